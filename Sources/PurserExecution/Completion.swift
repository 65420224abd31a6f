/// The outcome of a command that was started.
package struct Completion: Sendable {
  /// How the command ended.
  package var exit: Exit

  /// The first of SIGINT, SIGTERM, SIGHUP and SIGQUIT that this process itself got while the command ran.
  package var interruption: Int32?

  /// From the start of the command to its end, not counting what output was still to be passed on then.
  package var duration: Duration

  /// Puts an outcome together; for executors, and for those that stand in for one in tests.
  package init(exit: Exit, interruption: Int32? = nil, duration: Duration = .zero) {
    self.exit = exit
    self.interruption = interruption
    self.duration = duration
  }
}
