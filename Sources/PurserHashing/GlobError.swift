package import PurserModel

/// Why a glob pattern cannot be used.
package struct GlobError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The whole pattern.
  package var pattern: ByteString
  /// What is wrong with it, and what to do.
  package var message: String

  /// One line: the pattern, escaped, and the message.
  package var description: String { "pattern '\(pattern.printable)': \(message)" }
}
