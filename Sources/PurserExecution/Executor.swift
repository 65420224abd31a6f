/// Runs commands and captures what they print.
package protocol Executor: Sendable {
  /// Runs a command to its end; blocks the calling thread.
  ///
  /// - Parameters:
  ///   - capture: takes everything that the command prints. If it fails, the command goes on.
  ///   - output: where the output goes besides, as it comes.
  ///   - started: called once, right after the start. If it throws, the command is killed and the error thrown on.
  /// - Throws: ``ExecutionError`` if the command could not be started, and what `started` throws.
  func run(
    _ command: Command,
    capture: LogSpool,
    output: OutputRoute,
    started: (ChildProcess) throws -> Void
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
}
