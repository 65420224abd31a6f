/// The outcome of a command that was started.
package struct Completion: Sendable {
  /// How the command ended.
  package var exit: Exit

  /// The first of SIGINT, SIGTERM, SIGHUP and SIGQUIT that this process itself got while the command ran.
  package var interruption: Int32?

  /// Whether a second interruption killed the command; see ``Command/escalates``.
  package var isEscalated: Bool

  /// From the start of the command to its end, not counting what output was still to be passed on then.
  package var duration: Duration

  /// The error number of a write to this process's own output that failed (a full disk): some of what the command
  /// printed was captured but not passed on. Not set for a reader that went away.
  package var outputFailure: Int32?

  /// What it did with the files of ``Command/tracedRoot``; `nil` where that was not asked for.
  package var trace: Trace?

  /// Puts an outcome together; for executors, and for those that stand in for one in tests.
  package init(
    exit: Exit, interruption: Int32? = nil, isEscalated: Bool = false, duration: Duration = .zero,
    outputFailure: Int32? = nil
  ) {
    self.exit = exit
    self.interruption = interruption
    self.isEscalated = isEscalated
    self.duration = duration
    self.outputFailure = outputFailure
  }
}
