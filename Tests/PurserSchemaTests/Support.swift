import PurserModel
import PurserSchema
import Testing

extension JSON {
  init(_ text: String) throws(JSONError) {
    self = try JSON(parsing: text.utf8)
  }
}

/// Checks a text by a schema; what is violated, a line each.
func violations(of value: String, by schema: String) throws -> [String] {
  try JSONSchema(reading: JSON(schema)).violations(of: JSON(value)).map(\.description)
}

/// What is wrong with a schema, a line each; nothing if it can be used.
func problems(of schema: String) throws -> [String] {
  let schema = try JSON(schema)
  do throws(JSONSchemaError) {
    _ = try JSONSchema(reading: schema)
    return []
  } catch {
    return error.problems.map(\.description)
  }
}

/// SplitMix64: the same "random" numbers in every run, so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
