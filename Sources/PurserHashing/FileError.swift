import Glibc
package import PurserModel

/// Why a file, a folder or a cache file could not be read or written.
///
/// An I/O error is never a cache miss: whoever asks for a digest gets either the digest or one of these.
package struct FileError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What went wrong, for code.
  package enum Code: Sendable, Hashable {
    /// No such path.
    case missing
    /// There, and not permitted to us.
    case unreadable
    /// There, and not what can be hashed: its kind.
    case notAFile(FileIdentity.Kind)
    /// It changed each time while it was being read.
    case unstable
    /// Anything else the operating system said; see `errno`.
    case io
  }

  /// What went wrong, for code.
  package var code: Code
  /// The path as given, or relative to the project root where a folder or glob was walked.
  package var path: ByteString
  /// The system's error number; 0 where no call failed.
  package var errno: Int32
  /// What went wrong, for people, without the path.
  package var message: String

  package init(code: Code, path: ByteString, errno: Int32 = 0, message: String) {
    self.code = code
    self.path = path
    self.errno = errno
    self.message = message
  }

  /// The error that an error number stands for.
  package init(errno: Int32, path: ByteString, doing action: String = "read") {
    let code: Code =
      switch errno {
      case ENOENT, ENOTDIR: .missing
      case EACCES, EPERM: .unreadable
      default: .io
      }
    let message = code == .missing ? "does not exist" : "cannot \(action) it: \(String(cString: strerror(errno)))"
    self.init(code: code, path: path, errno: errno, message: message)
  }

  /// One line: the path, escaped, and the message.
  package var description: String { "'\(path.printable)': \(message)" }

  static func notAFile(_ kind: FileIdentity.Kind, path: ByteString) -> FileError {
    FileError(code: .notAFile(kind), path: path, message: "is \(kind.description), which has no content to hash")
  }

  static func unstable(path: ByteString) -> FileError {
    FileError(code: .unstable, path: path, message: "changed each time while it was being read")
  }
}
