package import PurserHashing
package import PurserStore

/// What went wrong, in words for the user, and the exit code that a command line tool should give.
public struct PurserError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The kinds of failure; the raw value is the exit code (sysexits.h where it has one).
  public enum Code: Int32, Sendable {
    case usage = 64
    case refused = 65
    case missing = 66
    case unavailable = 69
    case bug = 70
    case io = 74
    case busy = 75
    case pipeline = 78
  }

  /// The kind of failure.
  public var code: Code
  /// What, which object, why, and what to do.
  public var message: String

  /// Makes an error.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// The message.
  public var description: String { message }

  /// A failure of the store, for somebody who asked for the store itself.
  package init(_ error: StoreError) {
    let code: Code =
      switch error.code {
      case .busy: .busy
      case .unavailable, .leaseLost: .unavailable
      case .corrupt, .full, .io: .io
      }
    self.init(code, error.message)
  }

  /// Any error: those of the store and one's own as they are, others as a bug.
  package init(wrapping error: any Error) {
    switch error {
    case let error as PurserError: self = error
    case let error as StoreError: self.init(error)
    default: self.init(.bug, "\(error)")
    }
  }

  /// A declared path that cannot be hashed.
  package init(_ error: FileError, declaration: String, of task: String) {
    let path = error.path.printable
    switch error.code {
    case .missing:
      self.init(
        .missing,
        "\(declaration) '\(path)' \(error.message) (declared by task '\(task)'); create it, or remove --\(declaration) "
          + path)
    case .unreadable, .notAFile:
      self.init(.refused, "\(declaration) '\(path)' of task '\(task)' cannot be used: \(error.message)")
    case .unstable, .io:
      // Nothing is wrong with the declaration: the task can run, only not be cached.
      self.init(.io, "\(declaration) '\(path)' of task '\(task)' cannot be hashed: \(error.message)")
    }
  }
}
