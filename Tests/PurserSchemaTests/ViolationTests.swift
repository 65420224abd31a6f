import PurserModel
import PurserSchema
import Testing

@Suite("Values by a JSON Schema")
struct ViolationTests {
  @Test(
    "a message says where, what and why",
    arguments: [
      (##"{"type": "integer"}"##, #""x""#, [#""x" is not an integer"#]),
      (##"{"type": ["integer", "null"]}"##, "1.5", ["1.5 is not an integer or null"]),
      (##"{"type": "string"}"##, "[1]", ["an array of 1 element is not a string"]),
      (##"{"type": "array"}"##, "{}", ["an object is not an array"]),
      (
        ##"{"properties": {"years": {"items": {"minimum": 2000}}}}"##, ##"{"years": [1999, 2000, -1]}"##,
        ["/years/0: 1999 is less than the minimum 2000", "/years/2: -1 is less than the minimum 2000"]
      ),
      (##"{"maximum": 0.1}"##, "0.25", ["0.25 is more than the maximum 0.1"]),
      (##"{"exclusiveMinimum": 1}"##, "1.0", ["1 is not more than 1"]),
      (##"{"exclusiveMaximum": 1}"##, "1", ["1 is not less than 1"]),
      (##"{"multipleOf": 0.01}"##, "0.0075", ["0.0075 is not a multiple of 0.01"]),
      (##"{"minLength": 1}"##, #""""#, [#""" has 0 characters, and at least 1 is allowed"#]),
      (##"{"maxLength": 2}"##, #""abc""#, [#""abc" has 3 characters, and at most 2 are allowed"#]),
      (##"{"maxLength": 1}"##, #""e\u0301""#, ["\"e\u{301}\" has 2 characters, and at most 1 is allowed"]),
      (##"{"minItems": 2}"##, "[0]", ["the array has 1 element, and at least 2 are allowed"]),
      (##"{"maxItems": 0}"##, "[0]", ["the array has 1 element, and at most 0 are allowed"]),
      (##"{"minProperties": 1}"##, "{}", ["the object has 0 properties, and at least 1 is allowed"]),
      (##"{"maxProperties": 1}"##, ##"{"a":1,"b":2}"##, ["the object has 2 properties, and at most 1 is allowed"]),
      (##"{"pattern": "^[a-z]+$"}"##, #""A\u001b[31m""#, [#""A\x1b[31m" does not match the pattern '^[a-z]+$'"#]),
      (##"{"enum": ["red", 1, null]}"##, #""blue""#, [#""blue" is not one of "red", 1, null"#]),
      (##"{"enum": [1,2,3,4,5,6,7,8,9]}"##, "0", ["0 is not one of the 9 values allowed"]),
      (##"{"const": "a"}"##, "[]", [#"an array of 0 elements is not "a", the one value allowed"#]),
      (##"{"required": ["a", "b"]}"##, ##"{"b": 1}"##, ["property 'a' is missing"]),
      (
        ##"{"properties": {"colour": {}}, "additionalProperties": false}"##, ##"{"color": 1}"##,
        ["/color: property 'color' is not allowed; did you mean 'colour'?"]
      ),
      (##"{"additionalProperties": {"type": "null"}}"##, ##"{"a/b~": 1}"##, ["/a~1b~0: 1 is not null"]),
      (##"{"properties": {"a": false}}"##, ##"{"a": 1}"##, ["/a: nothing is allowed here"]),
      (
        ##"{"propertyNames": {"maxLength": 1}}"##, ##"{"ab": 1, "c": 1}"##,
        [#"/ab: the property's name: "ab" has 2 characters, and at most 1 is allowed"#]
      ),
      (
        ##"{"dependencies": {"a": ["b"], "c": {"minProperties": 2}}}"##, ##"{"a": 1}"##,
        ["property 'b' is missing, which 'a' needs"]
      ),
      (
        ##"{"dependencies": {"a": ["b"], "c": {"minProperties": 2}}}"##, ##"{"c": 1}"##,
        ["the object has 1 property, and at least 2 are allowed"]
      ),
      (
        ##"{"uniqueItems": true}"##, #"[1, {"a": 1, "b": 2}, 1.0, {"b": 2.0, "a": 1}]"#,
        ["/2: 1 stands there twice: it is element 0 too", "/3: an object stands there twice: it is element 1 too"]
      ),
      (##"{"contains": {"type": "string"}}"##, "[1]", ["the array has no element that it has to contain"]),
      (
        ##"{"items": [{"type": "null"}], "additionalItems": false}"##, "[1, 2]",
        ["/0: 1 is not null", "/1: nothing is allowed here"]
      ),
      (##"{"not": {"type": "null"}}"##, "null", ["null is what 'not' excludes"]),
      (
        ##"{"anyOf": [{"type": "string"}, {"properties": {"a": {"minimum": 3}}, "type": "object"}]}"##, ##"{"a": 2}"##,
        ["an object fits none of 2 schemas; the nearest says: /a: 2 is less than the minimum 3"]
      ),
      (
        ##"{"properties": {"x": {"oneOf": [{"type": "string"}, {"type": "null"}]}}}"##, ##"{"x": 1}"##,
        ["/x: 1 fits none of 2 schemas; the nearest says: 1 is not a string"]
      ),
      (
        ##"{"oneOf": [{"type": "null"}, {"minimum": 1}, {"maximum": 3}]}"##, "2",
        ["2 fits more than one of the schemas of which it may fit only one: 1 and 2"]
      ),
      (
        ##"{"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 5}}"##, "4",
        ["4 is less than the minimum 5"]
      ),
      (
        ##"{"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 5}}"##, #""x""#,
        [#""x" has 1 character, and at least 2 are allowed"#]
      ),
      ("false", "1", ["nothing is allowed here"]),
      ("{}", ##"{"a": [{"b": 1, "b": 2}]}"##, ["/a/0: the object has two members named 'b'"]),
    ] as [(String, String, [String])])
  func messages(schema: String, value: String, expected: [String]) throws {
    #expect(try violations(of: value, by: schema) == expected)
  }

  @Test(
    "what is allowed has no violations",
    arguments: [
      (##"{"oneOf": [{"type": "null"}, {"minimum": 3}]}"##, "3"),
      (##"{"oneOf": [{"minimum": 3}, {"maximum": 3}]}"##, "4"),
      (##"{"contains": {"minimum": 3}}"##, "[1, 3]"), (##"{"contains": false}"##, "{}"),
      (##"{"uniqueItems": true}"##, #"[1, true, 0, false, null, "1", [1], [true], {}, [], "é", "e\u0301"]"#),
      (##"{"uniqueItems": false}"##, "[1, 1]"), (##"{"items": [{"type": "null"}]}"##, "[null, 1]"),
      (##"{"additionalItems": false}"##, "[1]"), (##"{"items": {}, "additionalItems": false}"##, "[1]"),
      (##"{"if": {"const": 1}}"##, "2"), (##"{"then": false, "else": false}"##, "2"),
      (##"{"dependencies": {"a": []}}"##, ##"{"a": 1}"##), (##"{"dependencies": {"a": false}}"##, ##"{"b": 1}"##),
      (##"{"enum": [{"a": [1.0]}]}"##, ##"{"a": [1]}"##), (##"{"const": 10}"##, "1e1"), (##"{"const": 0}"##, "-0.0"),
      (##"{"type": "integer"}"##, "1.0"), (##"{"type": "integer"}"##, "1e300"), (##"{"maxLength": 2e0}"##, #""👩‍""#),
      (##"{"maxLength": 1e300}"##, #""abc""#), (##"{"title": 1, "format": "date", "default": {"$ref": "#/x"}}"##, "1"),
      (##"{"$ref": "#/definitions/a", "minimum": 5, "definitions": {"a": {"minimum": 1}}}"##, "1"),
      (##"{"$schema": "http://json-schema.org/draft-07/schema#", "$id": "https://x.org/a", "$comment": ""}"##, "1"),
      (##"{"definitions": {"é": true}, "$ref": "#/definitions/%C3%A9"}"##, "1"),
      (##"{"properties": {"é": false}}"##, ##"{"e\u0301": 1}"##),
      (##"{"properties": {"a": {"$ref": "#"}}}"##, ##"{"a": {"a": {"a": {}}}}"##),
    ])
  func valid(schema: String, value: String) throws {
    #expect(try violations(of: value, by: schema) == [])
  }

  @Test(
    "numbers are compared and divided as decimals",
    arguments: [
      (
        "multipleOf", "0.01", ["0.07", "1.13", "19.99", "4.35", "1e300", "9223372036854775807", "-0.29", "0"],
        ["0.005", "1e-3"]
      ),
      ("multipleOf", "0.1", ["0.3", "1.1", "-2.7"], ["0.35"]),
      ("multipleOf", "3", ["9223372036854775806", "-3", "3e2"], ["9223372036854775807", "1e300", "3.5"]),
      ("multipleOf", "1e300", ["3e300", "0"], ["1e299", "5"]), ("multipleOf", "5e-324", ["1", "1e308", "1e-323"], []),
      (
        "maximum", "9223372036854775806", ["9223372036854775806", "-1"],
        ["9223372036854775807", "9223372036854775808", "1e19"]
      ),
      (
        "minimum", "9007199254740993", ["9007199254740993"],
        ["9007199254740992", "9007199254740992.0", "-9007199254740994"]
      ),
      ("minimum", "-0.1", ["-0.1", "0", "-0.0", "5e-324", "1e-9"], ["-0.11", "-1", "-9223372036854775808", "-1e308"]),
      ("maximum", "100", ["99.999", "1e2", "-1e300", "12"], ["100.001", "1.01e2", "111"]),
      ("const", "9007199254740993", ["9007199254740993"], ["9007199254740992", "9007199254740993.5"]),
    ] as [(String, String, [String], [String])])
  func numbers(keyword: String, limit: String, valid: [String], invalid: [String]) throws {
    let schema = "{\"\(keyword)\": \(limit)}"
    for value in valid { #expect(try violations(of: value, by: schema) == [], "\(value)") }
    for value in invalid { #expect(try violations(of: value, by: schema).count == 1, "\(value)") }
  }

  @Test("a violation points into the value and into the schema, past references")
  func pointers() throws {
    let schema = try JSONSchema(
      reading: JSON(
        ##"{"properties": {"a/b": {"$ref": "#/definitions/x%25y"}}, "definitions": {"x%y": {"const": 1}}}"##))
    let violation = try #require(schema.violations(of: JSON(##"{"a/b": 2}"##)).first)
    #expect(violation.instancePointer == "/a~1b" && violation.schemaPointer == "/definitions/x%y/const")
    #expect(violation.description == "/a~1b: 2 is not 1, the one value allowed")
  }

  @Test("numbers that JSON does not have fit nothing that asks for numbers")
  func notFinite() throws {
    let schema = try JSONSchema(reading: JSON(##"{"type": ["integer", "string"]}"##))
    #expect(
      schema.violations(of: .number(.nan)).map(\.message) == [
        "a number that is not finite is not an integer or a string"
      ])
    let bound = try JSONSchema(reading: JSON(##"{"minimum": 1}"##))
    #expect(bound.violations(of: .number(.infinity)).map(\.message) == ["the number is not finite"])
  }

  @Test("no more violations are told than anybody reads")
  func many() throws {
    let schema = try JSONSchema(reading: JSON(##"{"items": {"type": "string"}}"##))
    let violations = schema.violations(of: .array(Array(repeating: .null, count: 1000)))
    #expect(violations.count == 100 && violations.last?.instancePointer == "/99")
  }
}
