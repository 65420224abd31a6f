import PurserModel
import Testing

@Suite("JSON")
struct JSONTests {
  @Test(
    "valid texts are read and written back compactly",
    arguments: [
      ("null", "null"), (" true ", "true"), ("\t\n\r false", "false"), ("0", "0"), ("-1", "-1"), ("12", "12"),
      ("9223372036854775807", "9223372036854775807"), ("-9223372036854775808", "-9223372036854775808"),
      ("1.5", "1.5"), ("-0.25", "-0.25"), ("1e3", "1000.0"), ("1E+2", "100.0"), ("25e-1", "2.5"),
      ("9223372036854775808", "9.223372036854776e+18"), ("1e300", "1e+300"), ("5e-324", "5e-324"),
      ("\"\"", "\"\""), ("\"a\"", "\"a\""), ("\"Käse\"", "\"Käse\""), ("\"\u{7f}\"", "\"\u{7f}\""),
      (#""\"\\\/""#, #""\"\\/""#), (#""\b\f\n\r\t""#, #""\u0008\u000c\n\r\t""#), (#""\u0041\u00e9\u20ac""#, "\"Aé€\""),
      (#""\u0000""#, #""\u0000""#), (#""\uD83D\uDE00""#, "\"😀\""), (#""\ud834\udd1e""#, "\"𝄞\""),
      (#""\uFFFF""#, "\"\u{ffff}\""), ("[]", "[]"), ("[ ]", "[]"), ("[1, 2,3 ]", "[1,2,3]"), ("[[],{}]", "[[],{}]"),
      ("{}", "{}"), ("{ }", "{}"), ("{ \"a\" : 1 , \"b\":[true,null]}", "{\"a\":1,\"b\":[true,null]}"),
      ("{\"\":0}", "{\"\":0}"), ("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"),
    ])
  func valid(text: String, compact: String) throws {
    #expect(try JSON(parsing: text.utf8).serialized == compact)
    #expect(try JSON(parsing: compact.utf8).serialized == compact)
  }

  @Test(
    "invalid texts are refused",
    arguments: [
      "", " ", "nul", "nulll", "True", "NaN", "Infinity", "-Infinity", "undefined", "'a'", "a",
      "01", "-01", "00", "-", "+1", ".5", "1.", "1.e1", "1e", "1e+", "1e-", "0x10", "1_000", "- 1", "1 2", "1,",
      "1e999", "-1e999", "--1",
      "\"", "\"a", "\"a\nb\"", "\"a\tb\"", "\"\u{0}\"", "\"\u{1f}\"", #""\x41""#, #""\'""#, #""\"#, #""\u12""#,
      #""\u12g4""#, #""\u 123""#, #""\ud800""#, #""\udc00""#, #""\ud800x""#, #""\ud800\n""#, #""\ud800\u0041""#,
      #""\ud800\ud800""#, #""\udc00\ud800""#, #""\ud83d\ude0""#,
      "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1,,2]", "[}", "{", "}", "{]", "{\"a\"}", "{\"a\":}",
      "{\"a\":1,}", "{,}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{\"a\":1,,\"b\":2}", "{null:1}",
      "[] []", "{}x", "null,", "\u{feff}null", "// comment\nnull", "[1]/**/", "\u{c}null", "\u{a0}null", "[truefalse]",
    ])
  func invalid(text: String) {
    #expect(throws: JSONError.self) { try JSON(parsing: text.utf8) }
  }

  @Test(
    "bytes that are not UTF-8 are refused",
    arguments: [
      [0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82],
    ] as [[UInt8]])
  func notUTF8(bytes: [UInt8]) {
    #expect(throws: JSONError.self) { try JSON(parsing: [0x22] + bytes + [0x22]) }
    #expect(throws: JSONError.self) { try JSON(parsing: bytes) }
    #expect(throws: JSONError.self) { try JSON(parsing: Array("{\"".utf8) + bytes + Array("\":1}".utf8)) }
  }

  @Test("nesting is limited to 512 levels", arguments: ["[", "{\"a\":"])
  func depth(opening: String) throws {
    let closing = opening == "[" ? "]" : "}"
    func text(_ levels: Int) -> String {
      String(repeating: opening, count: levels - 1) + (opening == "[" ? "[]" : "{}")
        + String(repeating: closing, count: levels - 1)
    }
    _ = try JSON(parsing: text(512).utf8)
    #expect(throws: JSONError.self) { try JSON(parsing: text(513).utf8) }
    #expect(throws: JSONError.self) { try JSON(parsing: String(repeating: opening, count: 1_000_000).utf8) }
  }

  @Test(
    "an error says where and why",
    arguments: [
      ("", 0, "the text ends where a value is expected"),
      ("[1,]", 3, "a value is expected"),
      ("{\"a\":1}x", 7, "something follows the value"),
      ("[tru]", 1, "unknown word"),
      ("{a", 1, "a member's name is expected"),
      ("{\"a\" 1}", 5, "':' is expected"),
    ])
  func errors(text: String, offset: Int, message: String) {
    let error = #expect(throws: JSONError.self) { try JSON(parsing: text.utf8) }
    #expect(error?.offset == offset)
    #expect(error?.message == message)
    #expect(error?.description == "not JSON at byte \(offset): \(message)")
  }

  @Test("of members with one name the last counts, and a value answers only as what it is")
  func access() throws {
    let json = try JSON(parsing: #"{"a":1,"b":"x","c":[true],"a":2,"d":null,"e":1.5}"#.utf8)
    #expect(json["a"]?.integer == 2)
    #expect(json["b"]?.string == "x")
    #expect(json["c"]?.array?.first?.bool == true)
    #expect(json["none"]?.string == nil)
    #expect(json["a"]?.string == nil && json["b"]?.integer == nil && json["b"]?.array == nil && json["d"]?.bool == nil)
    #expect(json["e"]?.integer == nil)
    #expect(json.array == nil && JSON.array([])["a"] == nil)
  }

  @Test("numbers that JSON cannot hold are written as null")
  func notFinite() {
    #expect(JSON.array([.number(.nan), .number(.infinity), .number(-.infinity)]).serialized == "[null,null,null]")
  }

  @Test("what is written is read back, for 2,000 random values")
  func roundTrip() throws {
    var generator = SeededGenerator(seed: 3)
    for _ in 0..<2000 {
      let text = Self.value(depth: 0, &generator).serialized
      #expect(try JSON(parsing: text.utf8).serialized == text)
    }
  }

  @Test("random bytes and damaged texts never crash the parser")
  func damage() {
    var generator = SeededGenerator(seed: 4)
    let alphabet = Array("{}[]\",:\\u0123dD8e+-.truefalsn \u{1}é".utf8)
    for _ in 0..<10_000 { _ = try? JSON(parsing: generator.bytes(upTo: 40, from: alphabet)) }
    let valid = Array(#"{"a":[1,2.5e3,"é\ud83d\ude00\n",null,true],"b":{}}"#.utf8)
    for length in 0..<valid.count {
      #expect(throws: JSONError.self) { try JSON(parsing: valid.prefix(length)) }
    }
  }

  private static func value(depth: Int, _ generator: inout SeededGenerator) -> JSON {
    func text() -> String {
      let scalars: [Unicode.Scalar] = ["a", "\"", "\\", "\n", "\u{0}", "\u{1f}", "\u{7f}", "é", "\u{2028}", "😀", "/"]
      var view = String.UnicodeScalarView()
      for _ in 0..<Int.random(in: 0...6, using: &generator) {
        if let scalar = scalars.randomElement(using: &generator) { view.append(scalar) }
      }
      return String(view)
    }
    switch Int.random(in: 0...(depth < 4 ? 7 : 5), using: &generator) {
    case 0: return .null
    case 1: return .bool(Bool.random(using: &generator))
    case 2: return .integer(Int64.random(in: .min ... .max, using: &generator))
    case 3: return .number(Double(Int32.random(in: .min ... .max, using: &generator)) / 1024)
    case 4, 5: return .string(text())
    case 6:
      var elements: [JSON] = []
      for _ in 0..<Int.random(in: 0...4, using: &generator) { elements.append(value(depth: depth + 1, &generator)) }
      return .array(elements)
    default:
      var members: [(String, JSON)] = []
      for _ in 0..<Int.random(in: 0...4, using: &generator) {
        members.append((text(), value(depth: depth + 1, &generator)))
      }
      return .object(members)
    }
  }
}
