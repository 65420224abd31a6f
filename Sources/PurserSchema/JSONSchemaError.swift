/// Why a schema cannot be used: everything that is wrong with it, at most a hundred problems.
package struct JSONSchemaError: Error, Sendable, Hashable, CustomStringConvertible {
  /// One thing that is wrong.
  package struct Problem: Sendable, Hashable, CustomStringConvertible {
    /// Where in the schema, as a JSON pointer.
    package var pointer: String
    /// What, why and what to do.
    package var message: String

    package var description: String {
      pointer.isEmpty ? message : "\(Value.brief(pointer: pointer)): \(message)"
    }
  }

  package var problems: [Problem]

  /// The problems, separated by `; `.
  package var description: String {
    problems.map(\.description).joined(separator: "; ")
  }
}
