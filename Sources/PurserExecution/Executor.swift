/// Runs commands and captures what they print.
package protocol Executor: Sendable {
  /// Runs a command to its end; blocks the calling thread.
  ///
  /// - Parameters:
  ///   - capture: takes everything that the command prints. If it fails, the command goes on.
  ///   - output: where the output goes besides, as it comes.
  ///   - ready: called once, when nothing is left to be done but to start the command; it may wait. If it throws, nothing
  ///     is started.
  ///   - started: called once, right after the start. If it throws, the command is killed and the error thrown on.
  ///   - ended: called once, when the command itself has ended, while what it printed may still have to be taken; not
  ///     for one that was not started, or was killed because `started` threw.
  /// - Throws: ``ExecutionError`` if the command could not be started, and what `ready` and `started` throw.
  func run(
    _ command: Command,
    capture: LogSpool,
    output: OutputRoute,
    ready: () throws -> Void,
    started: (ChildProcess) throws -> Void,
    ended: () -> Void
  ) throws -> Completion
}

extension Executor {
  /// Runs a command to its end; its output also goes to this process's standard output and error with `passThrough`.
  package func run(
    _ command: Command,
    capture: LogSpool,
    passThrough: Bool,
    started: (ChildProcess) throws -> Void
  ) throws -> Completion {
    try run(command, capture: capture, output: passThrough ? .passThrough : .discard, started: started)
  }

  /// Runs a command to its end, at once.
  package func run(
    _ command: Command, capture: LogSpool, output: OutputRoute, started: (ChildProcess) throws -> Void
  ) throws -> Completion {
    try run(command, capture: capture, output: output, ready: {}, started: started, ended: {})
  }
}
