import Glibc
package import PurserModel

/// A command that could not be started, or could not be looked after.
///
/// A command that ran and failed is no error: see ``Completion``.
package struct ExecutionError: Error, Sendable {
  /// What kind of failure it is.
  package enum Code: Sendable {
    /// There is no such command, or its interpreter is missing.
    case commandNotFound
    /// The command is there and may not, or cannot, be executed.
    case notExecutable
    /// The system refused something else: a process, a descriptor, the working folder.
    case system
  }

  /// The kind of failure.
  package var code: Code
  /// `argv[0]`, or empty where no command was concerned.
  package var command: ByteString
  /// The system's error number.
  package var errno: Int32
  /// What happened, to which object, why, and what to do next.
  package var message: String

  /// Puts an error together.
  package init(code: Code, command: ByteString, errno: Int32, message: String) {
    self.code = code
    self.command = command
    self.errno = errno
    self.message = message
  }

  /// The exit status to give the user: 127 and 126 as a shell does, 74 for the rest.
  package var exitCode: Int32 {
    switch code {
    case .commandNotFound: 127
    case .notExecutable: 126
    case .system: 74
    }
  }
}

extension ExecutionError: CustomStringConvertible {
  package var description: String { message }
}

extension ExecutionError {
  /// The system's words for an error number.
  static func text(_ number: Int32) -> String {
    String(cString: strerror(number))
  }

  static func system(_ what: String, command: ByteString, errno number: Int32, next: String) -> ExecutionError {
    ExecutionError(
      code: .system, command: command, errno: number,
      message: "cannot run '\(command.printable)': \(what): \(text(number)); \(next)")
  }
}
