import PurserModel
import PurserSchema
import Testing

@Suite("Schemas that are refused")
struct SchemaRefusalTests {
  private static let elsewhere =
    "leads to another document, which is not supported; put that schema under 'definitions' and refer to it by "
    + "'#/definitions/…'"

  @Test(
    "each problem is told with its place",
    arguments: [
      ("1", ["1 is not a schema; an object, true or false is expected"]),
      (
        ##"{"requird": [], "properties": {"a": {"$defs": {}}}, "unevaluatedProperties": false}"##,
        [
          "/requird: keyword 'requird' is not supported; did you mean 'required'?",
          "/properties/a/$defs: keyword '$defs' is not supported; draft 7 calls it 'definitions'",
          "/unevaluatedProperties: keyword 'unevaluatedProperties' is not supported",
        ]
      ),
      (
        ##"{"$ref": "#/definitions/a", "x-foo": 1, "definitions": {"a": {"x-bar": 1}}}"##,
        ["/x-foo: keyword 'x-foo' is not supported", "/definitions/a/x-bar: keyword 'x-bar' is not supported"]
      ),
      (
        ##"{"if": true, "then": {"x-note": 1}, "else": {"items": [{"y": 1}], "additionalItems": {"z": 1}}}"##,
        [
          "/then/x-note: keyword 'x-note' is not supported", "/else/items/0/y: keyword 'y' is not supported",
          "/else/additionalItems/z: keyword 'z' is not supported",
        ]
      ),
      (##"{"type": "int"}"##, ["/type: 'int' is not a type of JSON"]),
      (##"{"type": ["strng"]}"##, ["/type: 'strng' is not a type of JSON; did you mean 'string'?"]),
      (##"{"type": []}"##, ["/type: the list of types is empty"]),
      (##"{"type": 1}"##, ["/type: 1 is not a list of names"]),
      (##"{"enum": []}"##, ["/enum: the list of values is empty"]), (##"{"enum": 1}"##, ["/enum: 1 is not an array"]),
      (##"{"minimum": "1"}"##, [#"/minimum: "1" is not a number"#]),
      (##"{"exclusiveMinimum": true}"##, ["/exclusiveMinimum: true is not a number"]),
      (##"{"multipleOf": 0}"##, ["/multipleOf: 0 is not a number above 0"]),
      (##"{"multipleOf": -1}"##, ["/multipleOf: -1 is not a number above 0"]),
      (
        ##"{"minLength": -1, "maxItems": 1.5}"##,
        ["/minLength: -1 is not an integer from 0 up", "/maxItems: 1.5 is not an integer from 0 up"]
      ),
      (##"{"pattern": 1}"##, ["/pattern: 1 is not a text"]),
      (##"{"uniqueItems": 1}"##, ["/uniqueItems: 1 is not true or false"]),
      (##"{"required": "a"}"##, [#"/required: "a" is not a list of names"#]),
      (##"{"required": [1]}"##, ["/required: the list of names has something else in it"]),
      (##"{"properties": []}"##, ["/properties: an array of 0 elements is not an object"]),
      (
        ##"{"patternProperties": {"(": true}}"##,
        ["/patternProperties/(: the pattern '(' cannot be used: '(' is not closed"]
      ),
      (##"{"allOf": []}"##, ["/allOf: an array of 0 elements is not a list of one schema or more"]),
      (##"{"anyOf": {}}"##, ["/anyOf: an object is not a list of one schema or more"]),
      (##"{"items": [1]}"##, ["/items/0: 1 is not a schema; an object, true or false is expected"]),
      (
        ##"{"dependencies": {"a": 1}}"##,
        ["/dependencies/a: 1 is not a schema; an object, true or false is expected"]
      ),
      (
        ##"{"$schema": "https://json-schema.org/draft/2020-12/schema"}"##,
        [
          "/$schema: 'https://json-schema.org/draft/2020-12/schema' is not supported; write the schema in draft 7, "
            + "\"http://json-schema.org/draft-07/schema#\""
        ]
      ),
      (
        ##"{"items": {"$id": "x"}}"##,
        [
          "/items/$id: '$id' within a schema changes what references lead to, which is not supported; remove it, and "
            + "refer to the schema by '#/definitions/…'"
        ]
      ),
      (##"{"items": [{"$id": "#x"}, {"$id": "#x"}]}"##, ["/items/1/$id: two schemas have the name '#x'"]),
      (##"{"$ref": 1}"##, ["/$ref: 1 is not a text"]),
      (##"{"$ref": "other.json"}"##, ["/$ref: 'other.json' \(elsewhere)"]),
      (
        ##"{"$id": "http://x.org/a", "items": {"$ref": "http://x.org/b#/definitions/c"}}"##,
        ["/items/$ref: 'http://x.org/b#/definitions/c' \(elsewhere)"]
      ),
      (
        ##"{"$ref": "#/definitions/nam", "definitions": {"name": {}}}"##,
        ["/$ref: '#/definitions/nam' leads to no schema; did you mean '/definitions/name'?"]
      ),
      (##"{"items": {"$ref": "#/enum/0"}, "enum": [{}]}"##, ["/items/$ref: '#/enum/0' leads to no schema"]),
      (##"{"$ref": "#foo"}"##, ["/$ref: no schema here has the \"$id\": \"#foo\""]),
      (##"{"$ref": "#/a~2b"}"##, ["/$ref: '#/a~2b' is no JSON pointer: '~' has to be followed by 0 or 1"]),
      (##"{"$ref": "#/%zz"}"##, ["/$ref: '#/%zz' has a '%' that is followed by no UTF-8 in two hex digits each"]),
      (##"{"items": {"type": "null", "type": "string"}}"##, ["/items: the object has two members named 'type'"]),
    ] as [(String, [String])])
  func refused(schema: String, expected: [String]) throws {
    #expect(try problems(of: schema) == expected)
  }

  @Test(
    "loops that do not go on in the value are refused",
    arguments: [
      (##"{"$ref": "#"}"##, ["# → #"]),
      (##"{"allOf": [{"$ref": "#"}]}"##, ["# → #/allOf/0 → #"]),
      (
        ##"{"definitions": {"a": {"anyOf": [true, {"$ref": "#/definitions/b"}]}, "b": {"not": {"$ref": "#/definitions/a"}}}}"##,
        [
          "/definitions/a: #/definitions/a → #/definitions/a/anyOf/1 → #/definitions/b → #/definitions/b/not → "
            + "#/definitions/a"
        ]
      ),
      (##"{"if": {"oneOf": [{"$ref": "#"}]}, "then": true}"##, ["# → #/if → #/if/oneOf/0 → #"]),
      (##"{"dependencies": {"a": {"$ref": "#"}}}"##, ["# → #/dependencies/a → #"]),
    ])
  func loops(schema: String, loops: [String]) throws {
    let message = "it leads back to itself at the same place of the value, without end: "
    #expect(
      try problems(of: schema).map { $0.split(separator: message, omittingEmptySubsequences: true).joined() } == loops)
    #expect(try problems(of: schema).allSatisfy { $0.contains(message) })
  }

  @Test("schemas may lead back to themselves further down in the value")
  func recursion() throws {
    let tree = ##"{"properties": {"children": {"items": {"$ref": "#"}}}, "required": ["name"]}"##
    #expect(
      try violations(of: ##"{"name": 1, "children": [{"name": 2, "children": [{}]}]}"##, by: tree) == [
        "/children/0/children/0: property 'name' is missing"
      ])
  }

  @Test("a schema that is nested, long or large beyond reason is refused")
  func hostile() throws {
    let deep = String(repeating: #"{"not":"#, count: 400) + "true" + String(repeating: "}", count: 400)
    let pointer = String(repeating: "/not", count: 128).prefix(200)
    #expect(try problems(of: deep) == ["\(pointer)…: nested more than 128 levels deep"])
    let wide = "{\"allOf\":[" + Array(repeating: "true", count: 20_000).joined(separator: ",") + "]}"
    #expect(try problems(of: wide) == ["it has more than 10000 schemas within it"])
    let name = String(repeating: "n", count: 5000)
    #expect(
      try problems(of: "{\"properties\":{\"\(name)\":{}}}") == [
        "it has a schema whose pointer is longer than 4096 bytes; use shorter names"
      ])
    let unknown = "{" + (0..<500).map { "\"x\($0)\":1" }.joined(separator: ",") + "}"
    #expect(try problems(of: unknown).count == 100)
  }

  @Test("a chain of references as long as the schema is no loop, and no value fits it")
  func chain() throws {
    let links = (0..<5000).map { "\"\($0)\":{\"$ref\":\"#/definitions/\($0 + 1)\"}" }.joined(separator: ",")
    let schema = "{\"$ref\":\"#/definitions/0\",\"definitions\":{\(links),\"5000\":true}}"
    #expect(try violations(of: "1", by: schema) == ["it takes more than 512 schemas within schemas to check this"])
  }

  @Test("a value that would take forever is given up, and not let through")
  func budget() throws {
    // Each level looks at the next one twice: 2^60 looks.
    let levels = (0..<60).map {
      "\"\($0)\":{\"allOf\":[{\"$ref\":\"#/definitions/\($0 + 1)\"},{\"$ref\":\"#/definitions/\($0 + 1)\"}]}"
    }
    let definitions = "\"definitions\":{\(levels.joined(separator: ",")),\"60\":true}"
    let givenUp = "the check was given up after 100000 steps; make the value smaller or its schema simpler"
    for schema in [
      "{\"$ref\":\"#/definitions/0\",\(definitions)}",
      "{\"not\":{\"not\":{\"$ref\":\"#/definitions/0\"}},\(definitions)}",
      "{\"anyOf\":[{\"$ref\":\"#/definitions/0\"},true],\(definitions)}",
      "{\"if\":{\"$ref\":\"#/definitions/0\"},\"then\":true,\"else\":true,\(definitions)}",
    ] {
      let schema = try JSONSchema(reading: JSON(schema))
      #expect(schema.violations(of: .null, steps: 100_000).map(\.description) == [givenUp])
    }
  }

  @Test("a value that is nested beyond reason violates every schema")
  func deepValue() throws {
    let value = String(repeating: "[", count: 500) + String(repeating: "]", count: 500)
    let schema = try JSONSchema(reading: JSON(##"{"items": {"$ref": "#"}}"##))
    let violations = schema.violations(of: try JSON(value))
    #expect(violations.map(\.message) == ["nested more than 128 levels deep"])
    #expect(violations.first?.instancePointer == String(repeating: "/0", count: 128))
    let allowed = String(repeating: "[", count: 128) + String(repeating: "]", count: 128)
    #expect(schema.violations(of: try JSON(allowed)).isEmpty)
  }
}
