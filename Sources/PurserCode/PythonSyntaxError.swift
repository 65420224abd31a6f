/// Why a file is not read as Python.
///
/// Either Python would refuse it too, or it holds what two versions of Python read differently: then an error is the
/// safe answer.
package struct PythonSyntaxError: Error, Sendable, Equatable, CustomStringConvertible {
  /// From 1; where it begins, for something that is not closed.
  package var line: Int
  /// In words, without the place: "a string is not closed".
  package var message: String

  package init(line: Int, _ message: String) {
    self.line = line
    self.message = message
  }

  package var description: String { "line \(line): \(message)" }
}
