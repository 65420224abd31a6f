package import PurserModel

/// A JSON Schema (draft 7) that was read, and found to say nothing that would not be checked.
///
/// Whatever a schema says is either checked or refused here, by name and place; only annotations are passed over. See
/// "Task types" in Purser's documentation for the keywords, and for what numbers and patterns mean.
package struct JSONSchema: Sendable {
  /// How deep a value, or the schema itself, may be nested.
  package static let maximumValueDepth = 128
  /// How many schemas within schemas, references followed, one place of a value may take.
  package static let maximumDepth = 512
  /// The most violations that are named for one value.
  package static let maximumViolations = 100
  /// How much work one value may cost: about one step for each keyword at each place.
  package static let maximumSteps = 5_000_000

  let subschemas: [Subschema]

  /// Reads a schema. O(size), but for patterns, whose repetitions are written out.
  ///
  /// - Throws: ``JSONSchemaError`` with everything that is wrong or not supported.
  package init(reading schema: JSON) throws(JSONSchemaError) {
    var reader = SchemaReader()
    try reader.read(schema)
    subschemas = reader.subschemas
  }

  /// What a value violates, in the schema's order; nothing if it is valid.
  ///
  /// At most ``maximumViolations`` are named. A value that costs more than `steps`, or is nested too deeply, violates
  /// the schema, whatever it is: nothing is let through unchecked.
  package func violations(of value: JSON, steps: Int = maximumSteps) -> [Violation] {
    do {
      var validation = Validation(subschemas: subschemas, steps: steps)
      return validation.violations(of: try Value(value))
    } catch {
      return [
        Violation(instancePointer: JSONPointer.pointer(to: error.path), schemaPointer: "", message: error.message)
      ]
    }
  }
}

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

/// Why a schema cannot be used: all of it, in the schema's order.
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
