/// What a value has that its schema does not allow.
package struct Violation: Sendable, Hashable, CustomStringConvertible {
  /// Where in the value, as a JSON pointer; empty for the whole value.
  package var instancePointer: String
  /// The keyword that says so, as a JSON pointer into the schema; it leads past references.
  package var schemaPointer: String
  /// What is wrong there.
  package var message: String

  /// `/years/0: 1999 is less than the minimum 2000`.
  package var description: String {
    instancePointer.isEmpty ? message : "\(Value.brief(pointer: instancePointer)): \(message)"
  }
}
