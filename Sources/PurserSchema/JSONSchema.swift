package import PurserModel

/// A JSON Schema (draft 7) that was read, and found to say nothing that would not be checked.
///
/// Whatever a schema says is either checked or refused here, by name and place; only annotations are passed over. See
/// "Task types" in Purser's documentation for the keywords, and for what numbers and patterns mean.
package struct JSONSchema: Sendable {
  /// How deep a value, or the schema itself, may be nested.
  package static let maximumValueDepth = 128
  /// How many schemas within schemas, references followed, a check may be in at once. Measured on anyOf and $ref in
  /// turn: that takes less than 0.5 MB of stack, in a debug build less than 2 MB.
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
