import PurserModel
import PurserSchema
import Testing

/// Random schemas and values: nothing crashes, the answer is the same every time, and laws hold that need no oracle.
@Suite("Random schemas, values and patterns")
struct FuzzTests {
  @Test("are judged the same every time, and as the laws of 'not', 'allOf', 'anyOf' and 'if' have it", arguments: 0..<4)
  func schemas(seed: UInt64) throws {
    var random = Maker(generator: SeededGenerator(seed: seed))
    var (refused, valid, invalid) = (0, 0, 0)
    for _ in 0..<100 {
      let form = random.schema(depth: 3)
      let schema: JSONSchema
      do throws(JSONSchemaError) {
        schema = try JSONSchema(reading: form)
      } catch {
        let again = #expect(throws: JSONSchemaError.self) { try JSONSchema(reading: form) }
        #expect(again == error && !error.problems.isEmpty)
        refused += 1
        continue
      }
      func wrapped(_ wrapper: JSON) throws -> JSONSchema { try JSONSchema(reading: wrapper) }
      // The wrapped schema moves, so only those without references keep their meaning.
      let isMovable = !form.serialized.contains("$ref")
      for _ in 0..<8 {
        let value = random.value(depth: 3)
        let found = schema.violations(of: value)
        #expect(schema.violations(of: value) == found)
        #expect(try JSONSchema(reading: JSON(form.serialized)).violations(of: JSON(value.serialized)) == found)
        #expect(schema.violations(of: value.reversed).isEmpty == found.isEmpty)
        if found.isEmpty { valid += 1 } else { invalid += 1 }
        guard isMovable else { continue }
        let (isValid, text) = (found.isEmpty, "\(form.serialized) of \(value.serialized)")
        #expect(try wrapped(.object([("not", form)])).violations(of: value).isEmpty != isValid, "\(text)")
        #expect(
          try wrapped(.object([("allOf", .array([form, form]))])).violations(of: value).isEmpty == isValid, "\(text)")
        #expect(
          try wrapped(.object([("anyOf", .array([.bool(false), form]))])).violations(of: value).isEmpty == isValid)
        #expect(try wrapped(.object([("oneOf", .array([form, form]))])).violations(of: value).isEmpty == false)
        let conditional = JSON.object([("if", form), ("then", .bool(false))])
        #expect(try wrapped(conditional).violations(of: value).isEmpty != isValid)
        let reference = JSON.object([("$ref", .string("#/definitions/x")), ("definitions", .object([("x", form)]))])
        #expect(try wrapped(reference).violations(of: value).isEmpty == isValid)
      }
    }
    #expect(refused > 0 && valid > 0 && invalid > 0)
  }

  @Test("patterns match what Swift's own engine matches, whose \\w alone is another", arguments: 0..<4)
  func patterns(seed: UInt64) throws {
    var random = Maker(generator: SeededGenerator(seed: seed))
    for _ in 0..<150 {
      let pattern = random.pattern(depth: 3)
      let schema = try JSONSchema(reading: .object([("pattern", .string(pattern))]))
      let oracle = try Regex(pattern).matchingSemantics(.unicodeScalar)
      for _ in 0..<10 {
        let text = random.text(of: ["a", "b", "c", "é"], upTo: 6)
        let matches = schema.violations(of: .string(text)).isEmpty
        #expect(matches == text.contains(oracle), "\(pattern) on \(text)")
      }
    }
  }

  @Test("any text is either a pattern or refused", arguments: 0..<4)
  func texts(seed: UInt64) throws {
    var random = Maker(generator: SeededGenerator(seed: seed))
    var (used, refused) = (0, 0)
    for _ in 0..<2000 {
      let letters = [
        "a", "(", ")", "[", "]", "^", "-", "\\", "{", "}", "1", ",", "*", "?", "|", "$", "u", ":", "<", "d",
      ]
      let pattern = random.text(of: letters, upTo: 10)
      if let schema = try? JSONSchema(reading: .object([("pattern", .string(pattern))])) {
        _ = schema.violations(of: .string(random.text(of: letters, upTo: 10)))
        used += 1
      } else {
        refused += 1
      }
    }
    #expect(used > 0 && refused > 0)
  }
}

private struct Maker {
  var generator: SeededGenerator

  mutating func pick<Element>(_ elements: [Element]) -> Element {
    elements[Int.random(in: 0..<elements.count, using: &generator)]
  }

  mutating func text(of letters: [String], upTo limit: Int) -> String {
    (0..<Int.random(in: 0...limit, using: &generator)).map { _ in pick(letters) }.joined()
  }

  mutating func value(depth: Int) -> JSON {
    let count = Int.random(in: 0...3, using: &generator)
    switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &generator) {
    case 0: return .null
    case 1: return .bool(pick([true, false]))
    case 2: return .integer(pick([0, 1, 2, -1, 10, .max, .min]))
    case 3: return .number(pick([0, 1, 0.5, -0.01, 1e300, .leastNonzeroMagnitude]))
    case 4, 5: return .string(text(of: ["a", "b", "é", "1"], upTo: 3))
    case 6: return .array((0..<count).map { _ in value(depth: depth - 1) })
    default:
      let names = ["a", "b", "c", "ab"].shuffled(using: &generator).prefix(count)
      return .object(names.map { ($0, value(depth: depth - 1)) })
    }
  }

  mutating func schema(depth: Int) -> JSON {
    if depth == 0 || Int.random(in: 0..<6, using: &generator) == 0 {
      return pick([.bool(true), .bool(false), .object([])])
    }
    let names = Self.keywords.shuffled(using: &generator).prefix(Int.random(in: 1...4, using: &generator))
    return .object(names.map { ($0, keyword($0, depth: depth)) })
  }

  private static let keywords = [
    "type", "enum", "const", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength",
    "maxLength", "pattern", "items", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains", "required",
    "properties", "patternProperties", "additionalProperties", "propertyNames", "minProperties", "maxProperties",
    "dependencies", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "$ref", "definitions",
  ]

  private mutating func keyword(_ name: String, depth: Int) -> JSON {
    // Now and then something that does not belong there.
    if Int.random(in: 0..<80, using: &generator) == 0 { return value(depth: 1) }
    switch name {
    case "type": return .string(pick(["null", "boolean", "integer", "number", "string", "array", "object"]))
    case "enum": return .array([value(depth: 2), value(depth: 2), value(depth: 0)])
    case "const": return value(depth: 2)
    case "multipleOf": return pick([.integer(2), .number(0.01), .number(0.5)])
    case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum": return pick([.integer(1), .number(0.5)])
    case "uniqueItems": return .bool(true)
    case "pattern": return .string(pattern(depth: 2))
    case "required": return .array([.string(pick(["a", "b"]))])
    case "allOf", "anyOf", "oneOf": return .array([schema(depth: depth - 1), schema(depth: depth - 1)])
    case "properties", "definitions", "dependencies":
      return .object([("a", schema(depth: depth - 1)), ("b", schema(depth: depth - 1))])
    case "patternProperties": return .object([(pattern(depth: 1), schema(depth: depth - 1))])
    case "items" where pick([true, false]): return .array([schema(depth: depth - 1), schema(depth: depth - 1)])
    case "$ref": return .string(pick(["#", "#/definitions/a", "#/properties/b", "#/items"]))
    case _ where name.hasPrefix("m"): return .integer(pick([0, 1, 2, 3]))
    default: return schema(depth: depth - 1)
    }
  }

  mutating func pattern(depth: Int) -> String {
    (0..<Int.random(in: 1...3, using: &generator)).map { _ in
      switch Int.random(in: 0..<(depth > 0 ? 12 : 6), using: &generator) {
      case 0...2: pick(["a", "b", "é"])
      case 3: pick(["[ab]", "[^a]", "[a-c]"])
      case 4: pick([".", "\\d", "\\D"])
      case 5: pick(["^", "$", "a", "b"])
      case 6...7: "(" + pattern(depth: depth - 1) + "|" + pattern(depth: depth - 1) + ")"
      case 8...10: "(" + pattern(depth: depth - 1) + ")" + pick(["*", "+", "?", "{2}", "{1,}", "{0,2}", "*?"])
      default: "(?:" + pattern(depth: depth - 1) + ")"
      }
    }.joined()
  }
}

extension JSON {
  /// The same value, members of its objects in reverse order.
  fileprivate var reversed: JSON {
    switch self {
    case .array(let elements): .array(elements.map(\.reversed))
    case .object(let members): .object(members.reversed().map { ($0.0, $0.1.reversed) })
    default: self
    }
  }
}
