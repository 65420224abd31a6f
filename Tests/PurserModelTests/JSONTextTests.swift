import PurserModel
import Testing

@Suite("JSON texts that are kept as they are")
struct JSONTextTests {
  @Test(
    "a list is split into the texts of its elements",
    arguments: [
      ("[]", []), (" [ ] ", []), ("[1]", ["1"]), ("[1, 2 ,3]", ["1", "2", "3"]), ("[[1,2],[3]]", ["[1,2]", "[3]"]),
      (#"[{"a": [1, {}]},"x,]"]"#, [#"{"a": [1, {}]}"#, #""x,]""#]),
      ("[null,true , false]", ["null", "true", "false"]),
      ("[12345678901234567890123, 1e999, -0, 0.10]", ["12345678901234567890123", "1e999", "-0", "0.10"]),
      (#"["\u00e9","é\n\"]"]"#, [#""\u00e9""#, #""é\n\"]""#]),
    ] as [(String, [String])])
  func lists(text: String, elements: [String]) throws {
    let found = try JSONText.elements(of: text.utf8)
    #expect(found.isList && found.elements == elements)
    #expect(JSONText.isValid(text.utf8))
    let data = try TaskData(parsing: text.utf8)
    #expect(data == TaskData(isList: true, elements: elements))
    #expect(try TaskData(parsing: data.text.utf8) == data)
  }

  @Test(
    "anything else is one element, without the blanks around it",
    arguments: ["1", " null ", "\"a\"", #"{"a": [1, 2]}"#, "\n{ }\t", "-1e-999"])
  func values(text: String) throws {
    let found = try JSONText.elements(of: text.utf8)
    let trimmed = String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    #expect(!found.isList && found.elements == [trimmed])
    #expect(try TaskData(parsing: text.utf8).text == trimmed)
  }

  @Test(
    "what is no JSON is refused with the place",
    arguments: [
      ("", 0), (" ", 1), ("[1,]", 3), ("[1", 2), ("[1]]", 3), ("[1 2]", 3), ("nul", 0), ("{\"a\"}", 4), ("01", 2),
      ("[1.]", 3), ("[+1]", 1), ("[\"a\nb\"]", 4), (#"["\ud800"]"#, 8), ("NaN", 0), ("{\"a\":1,}", 7),
    ])
  func invalid(text: String, offset: Int) {
    for attempt in [{ _ = try JSONText.elements(of: text.utf8) }, { _ = try JSONText.canonical(text) }] {
      let error = #expect(throws: JSONError.self) { try attempt() }
      #expect(error?.offset == offset)
    }
    #expect(!JSONText.isValid(text.utf8))
  }

  @Test(
    "an object that names a member twice is refused, however it spells it",
    arguments: [
      (#"{"a":1,"a":2}"#, 0, "a"), (#"[0, {"b":1, "a":1, "\u0061":2}]"#, 4, "a"),
      (#"{"x":{"é":1,"\u00e9":1}}"#, 5, "é"), (#"{"\n":1,"\u000a":1}"#, 0, "\\x0a"),
    ])
  func duplicates(text: String, offset: Int, name: String) {
    for attempt in [{ _ = try JSONText.elements(of: text.utf8) }, { _ = try JSONText.canonical(text) }] {
      let error = #expect(throws: JSONError.self) { try attempt() }
      #expect(error?.message == "the object has two members named '\(name)'")
      #expect(error?.offset == offset)
    }
  }

  @Test("composed and decomposed letters are two names")
  func normalization() throws {
    let text = "{\"e\u{301}\":1,\"\u{e9}\":2}"
    #expect(Array(try JSONText.canonical(text).utf8) == Array(text.utf8))
  }

  @Test("nesting is limited to 512 levels", arguments: ["[", "{\"a\":"])
  func depth(opening: String) throws {
    func text(_ levels: Int) -> String {
      String(repeating: opening, count: levels - 1) + (opening == "[" ? "[]" : "{}")
        + String(repeating: opening == "[" ? "]" : "}", count: levels - 1)
    }
    _ = try JSONText.elements(of: text(512).utf8)
    _ = try JSONText.canonical(text(512))
    #expect(throws: JSONError.self) { try JSONText.elements(of: text(513).utf8) }
    #expect(throws: JSONError.self) { try JSONText.canonical(String(repeating: opening, count: 100_000)) }
  }
}

@Suite("The canonical form of JSON")
struct JSONCanonicalTests {
  @Test(
    "has no blanks, sorted members and no needless escapes",
    arguments: [
      (" [ 1 , true,null ] ", "[1,true,null]"), (#"{"b":1, "a":{"d":0,"c":[]}}"#, #"{"a":{"c":[],"d":0},"b":1}"#),
      (#"{"é":1,"z":2,"a":3,"":4,"Z":5}"#, #"{"":4,"Z":5,"a":3,"z":2,"é":1}"#),
      (#"{"\u007a":1,"\u0061":2}"#, #"{"a":2,"z":1}"#), (#""\u0041\/\u00e9\ud83d\ude00""#, #""A/é😀""#),
      (#""\u0022\u005c\u000a\u0009\u000d\u0008\u001f\u007f""#, "\"\\\"\\\\\\n\\t\\r\\u0008\\u001f\u{7f}\""),
      ("{}", "{}"), ("[]", "[]"), ("false", "false"),
    ])
  func layout(text: String, form: String) throws {
    #expect(try JSONText.canonical(text) == form)
    #expect(try JSONText.canonical(form) == form)
  }

  @Test(
    "keeps every number what it is",
    arguments: [
      ("0", "0"), ("-0", "0"), ("17", "17"), ("-17", "-17"),
      ("123456789012345678901234567890", "123456789012345678901234567890"), ("1.0", "1.0"), ("1.50", "1.5"),
      ("0.1", "0.1"), ("1e2", "100.0"), ("1E+2", "100.0"), ("100e0", "100.0"), ("12.5e-1", "1.25"), ("-0.0", "-0.0"),
      ("0e5", "0.0"), ("-0E-3", "-0.0"), ("1e300", "1e+300"), ("5e-324", "5e-324"),
      // More digits than a Double has, or a greater exponent.
      ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827e0"),
      ("9007199254740993.0", "0.9007199254740993e16"), ("1e999", "0.1e1000"), ("10E998", "0.1e1000"),
      ("-0.00012e-400", "-0.12e-403"), ("1e99999999999999999999", "1e99999999999999999999"),
    ])
  func numbers(text: String, form: String) throws {
    #expect(try JSONText.canonical(text) == form)
    #expect(try JSONText.canonical(form) == form)
  }

  @Test("is no other for values by themselves, or in an object of one member, than within a list")
  func plain() throws {
    var values = ["0", "7", "10", "-1", "1.5", "00", "\"\"", "\"a b\"", "true", "12345678901234567890"]
    values += (UInt8(1)...127).map { "\"\(Character(Unicode.Scalar($0)))\"" } + ["\"é\"", "\"\\u0041\""]
    for value in values {
      for text in [value, "{\"key\":\(value)}", "{\"\":\(value)}", "{\(value):1}"] {
        let within = try? JSONText.canonical("[\(text)]")
        let itself = try? JSONText.canonical(text)
        #expect(itself.map { "[\($0)]" } == within, "\(text)")
      }
    }
  }

  @Test(
    "does not take a part for the whole",
    arguments: [
      "\"", "{", "{\"", "{\"a\"", "{\"a\":", "{\"a\":\"", "{\"a\":1", "{\"a\":1}}", "1 2", "12a", "\"a\"\"", "{}x",
    ])
  func parts(text: String) {
    #expect(throws: JSONError.self) { try JSONText.canonical(text) }
  }

  @Test("is one form for all spellings of a value, for 2,000 random ones")
  func spellings() throws {
    var generator = SeededGenerator(seed: 11)
    for _ in 0..<2000 {
      let value = Self.value(depth: 0, &generator)
      let form = try JSONText.canonical(Self.spell(value, plainly: true, &generator))
      for _ in 0..<3 { #expect(try JSONText.canonical(Self.spell(value, plainly: false, &generator)) == form) }
      #expect(try JSONText.canonical(form) == form)
      #expect(JSONText.isValid(form.utf8))
    }
  }

  @Test("differs where values differ, for 20,000 random numbers and all near them")
  func distinct() throws {
    var generator = SeededGenerator(seed: 12)
    var forms: [String: String] = [:]
    func add(_ digits: String, _ exponent: Int, _ text: String) throws {
      // The value as digits without zeros at either end, and a power of ten.
      var significant = digits.drop { $0 == "0" }
      var power = exponent
      while significant.last == "0" {
        significant.removeLast()
        power += 1
      }
      let value = significant.isEmpty ? "0" : "\(significant)e\(power)"
      let form = try JSONText.canonical(text)
      #expect(forms.updateValue(value, forKey: form) ?? value == value, "\(text)")
    }
    for _ in 0..<20_000 {
      let count = Int.random(in: 1...22, using: &generator)
      let digits = (0..<count).map { _ in String(Int.random(in: 0...9, using: &generator)) }.joined()
      let exponent = Int.random(in: -20...20, using: &generator)
      try add(digits, exponent, "0.\(digits)e\(exponent + count)")
      try add(digits + "1", exponent - 1, "0.\(digits)1e\(exponent + count)")
    }
  }

  @Test("a task's data has one, in a list or by itself")
  func taskData() throws {
    let data = try TaskData(parsing: #"[ {"b": 1.0, "a": "\u0041"}, 1e2 ]"#.utf8)
    #expect(data.canonicalText == #"[{"a":"A","b":1.0},100.0]"#)
    #expect(TaskData(isList: false, elements: [#" {"b" : 2} "#]).canonicalText == #"{"b":2}"#)
    #expect(
      TaskData(isList: true, elements: ["[]"]).canonicalText != TaskData(isList: true, elements: []).canonicalText)
    #expect(TaskData(isList: true, elements: ["not JSON"]).canonicalText == "[not JSON]")
  }

  /// A value whose objects have different names.
  private static func value(depth: Int, _ generator: inout SeededGenerator) -> JSON {
    switch Int.random(in: 0...(depth < 4 ? 6 : 4), using: &generator) {
    case 0: return [.null, .bool(true), .bool(false)].randomElement(using: &generator) ?? .null
    case 1: return .integer(Int64.random(in: -1000...1000, using: &generator))
    case 2: return .number(Double(Int.random(in: -100_000...100_000, using: &generator)) / 64)
    case 3, 4: return .string(text(&generator))
    case 5:
      var elements: [JSON] = []
      for _ in 0..<Int.random(in: 0...4, using: &generator) { elements.append(value(depth: depth + 1, &generator)) }
      return .array(elements)
    default:
      var members: [(String, JSON)] = []
      for number in 0..<Int.random(in: 0...4, using: &generator) {
        members.append(("\(text(&generator))\(number)", value(depth: depth + 1, &generator)))
      }
      return .object(members)
    }
  }

  private static func text(_ generator: inout SeededGenerator) -> String {
    let scalars: [Unicode.Scalar] = ["a", "Z", "\"", "\\", "\n", "\u{0}", "é", "\u{301}", "😀", "/", "\u{7f}", " "]
    var view = String.UnicodeScalarView()
    for _ in 0..<Int.random(in: 0...5, using: &generator) {
      if let scalar = scalars.randomElement(using: &generator) { view.append(scalar) }
    }
    return String(view)
  }

  /// Writes a value in one of its many ways: blanks, order of members, escapes, exponents.
  private static func spell(_ value: JSON, plainly: Bool, _ generator: inout SeededGenerator) -> String {
    func blank() -> String { plainly ? "" : ["", " ", "\n", "\t \r"].randomElement(using: &generator) ?? "" }
    func quoted(_ text: String) -> String {
      var quoted = ""
      for scalar in text.unicodeScalars {
        let mustEscape = scalar == "\"" || scalar == "\\" || scalar.value < 0x20
        if mustEscape || (!plainly && Bool.random(using: &generator)) {
          for unit in String(Character(scalar)).utf16 {
            let digits = String(unit, radix: 16, uppercase: Bool.random(using: &generator))
            quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
          }
        } else {
          quoted.unicodeScalars.append(scalar)
        }
      }
      return "\"\(quoted)\""
    }
    switch value {
    case .number(let number) where !plainly:
      return [
        "\(number)", "\(number)00", "\(number)e0", "\(number)E+00", "\(number)0e-0",
      ].randomElement(using: &generator) ?? "\(number)"
    case .string(let text): return blank() + quoted(text) + blank()
    case .array(let elements):
      var parts: [String] = []
      for element in elements { parts.append(blank() + spell(element, plainly: plainly, &generator) + blank()) }
      return "[" + (parts.isEmpty ? blank() : parts.joined(separator: ",")) + "]"
    case .object(let members):
      var parts: [String] = []
      for member in plainly ? members : members.shuffled(using: &generator) {
        parts.append(
          blank() + quoted(member.0) + blank() + ":" + blank() + spell(member.1, plainly: plainly, &generator) + blank()
        )
      }
      return "{" + (parts.isEmpty ? blank() : parts.joined(separator: ",")) + "}"
    default: return blank() + value.serialized + blank()
    }
  }
}
