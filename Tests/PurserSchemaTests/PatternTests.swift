import PurserModel
import PurserSchema
import Testing

@Suite("Patterns")
struct PatternTests {
  private func matches(_ pattern: String, _ text: String) throws -> Bool {
    try JSONSchema(reading: .object([("pattern", .string(pattern))])).violations(of: .string(text)).isEmpty
  }

  @Test(
    "match anywhere in the text, by code points, as ECMA-262 has it",
    arguments: [
      ("", ["", "a"], []), ("a+", ["xxaayy", "a"], ["", "b", "A"]), ("^a*$", ["", "aaa"], ["b", "ab", "a\n"]),
      ("^$", [""], ["\n", "a"]), ("a|^b$", ["xa", "b"], ["xb", "bx"]), ("^(a|b)*c$", ["c", "abac"], ["ab", "d"]),
      ("^(?:ab)?c$", ["c", "abc"], ["ac", "ababc"]), ("^(?<year>\\d{4})$", ["2024"], ["202", "20245", "２０２４"]),
      ("^a{2}$", ["aa"], ["a", "aaa"]), ("^a{2,}$", ["aa", "aaaa"], ["a"]), ("^a{1,2}$", ["a", "aa"], ["", "aaa"]),
      ("^a{0}$", [""], ["a"]), ("^(){3}$", [""], ["a"]), ("^(a*)*$", ["", "aaa"], ["b"]),
      ("^(a?)+?b$", ["aab", "b"], ["a"]),
      ("^a{,2}$", ["a{,2}"], ["", "aa"]), ("^{.*}$", ["{x}"], ["x"]), ("^]$", ["]"], []), ("^a{x$", ["a{x"], []),
      ("^.$", ["a", "é", "😀", "\u{85}"], ["", "\n", "\r", "\u{2028}", "\r\n", "e\u{301}", "👩‍👩‍👧"]),
      ("^[a-c]$", ["a", "b", "c"], ["d", "A", "", "-"]), ("^[^a-c]$", ["d", "\n", "😀"], ["a", ""]),
      ("^[]$", [], ["", "]"]), ("^[^]$", ["]", "\n"], ["", "ab"]), ("^[a-]$", ["a", "-"], ["b"]),
      ("^[-a]$", ["a", "-"], []), ("^[\\w-x]$", ["_", "-", "x"], ["é", " "]),
      ("^[\\]\\\\^]$", ["]", "\\", "^"], ["a"]),
      ("^[\\b]$", ["\u{8}"], ["b"]), ("^[.$*]$", [".", "$", "*"], ["a"]), ("^[é-ü]$", ["é", "ö"], ["e"]),
      ("^\\w$", ["a", "Z", "0", "_"], ["é", "-"]), ("^\\W$", ["é", "-"], ["a"]), ("^\\D$", ["a", "٣"], ["3"]),
      (
        "^\\s$", [" ", "\t", "\n", "\u{b}", "\u{a0}", "\u{feff}", "\u{2028}", "\u{3000}"], ["a", "\u{200b}", "\u{85}"]
      ),
      ("^\\S$", ["a", "\u{85}"], [" "]), ("\\bcat\\b", ["cat", "a cat!", "écat"], ["cats", "_cat"]),
      ("\\Bat\\b", ["cat"], ["at"]),
      ("^\\t\\n\\v\\f\\r\\0$", ["\t\n\u{b}\u{c}\r\0"], []), ("^\\x41\\u0042\\u{43}\\cJ$", ["ABC\n"], ["abc\n"]),
      ("^\\uD83D\\uDE00$", ["😀"], ["😁"]),
      ("^\\^\\$\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\/\\-\\_\\ $", ["^$.*+?()[]{}|/-_ "], []),
      ("^á", ["ábc"], ["a\u{301}bc"]), ("^a\u{301}$", ["a\u{301}"], ["á"]),
      ("^(a|ab)(c|bcd)$", ["abcd", "ac", "abc"], ["abd"]),
      ("a$b", [], ["a", "ab"]), ("(^a|b)c", ["ac", "xbc"], ["xac"]), ("a||b", ["", "x"], []),
    ] as [(String, [String], [String])])
  func matching(pattern: String, texts: [String], others: [String]) throws {
    for text in texts { #expect(try matches(pattern, text), "\(text.debugDescription)") }
    for text in others { #expect(try !matches(pattern, text), "\(text.debugDescription)") }
  }

  @Test(
    "what is not ECMA-262, or needs more than one pass, is refused by name",
    arguments: [
      ("(", "'(' is not closed"), ("a)", "')' closes nothing"), ("[a", "'[' is not closed"),
      ("[a\\", "the '\\' at the end escapes nothing"),
      ("a\\", "the '\\' at the end escapes nothing"),
      ("*a", "'*' has nothing to repeat"), ("a**", "'*' has nothing to repeat"), ("a|+", "'+' has nothing to repeat"),
      ("{2}", "a number in braces has nothing to repeat"), ("^*", "'^' cannot be repeated"),
      ("\\b+", "'\\b' cannot be repeated"),
      ("a{3,2}", "the bounds of '{3,2}' are out of order"), ("[b-a]", "the range 'b-a' is out of order"),
      ("(?=a)", "'(?=…)', lookahead, is not supported"), ("(?!a)", "'(?!…)', lookahead, is not supported"),
      ("(?<=a)", "'(?<=…)', lookbehind, is not supported"), ("(?<!a)", "'(?<!…)', lookbehind, is not supported"),
      ("(?i)a", "'(?…)' with flags is not supported"), ("(?P<n>a)", "'(?…)' with flags is not supported"),
      ("(?<n a)", "' ' cannot stand in the name of a group"), ("(?<n", "the name of a group is not closed"),
      ("(a)\\1", "'\\1', a reference to a group, is not supported"),
      ("\\k<n>", "'\\k', a reference to a group, is not supported"),
      ("\\p{L}", "'\\p', a Unicode property, is not supported"), ("\\A", "'\\A' is not ECMAScript; write '^'"),
      ("a\\Z", "'\\Z' is not ECMAScript; write '$'"), ("\\h", "'\\h' is an escape that ECMAScript does not have"),
      ("\\x4", "'\\x' is an escape that ECMAScript does not have"), ("\\u{110000}", "'\\u{…}' names no code point"),
      ("\\uD83D", "half a surrogate pair matches nothing"),
      ("a{2}{3}", "a number in braces has nothing to repeat"),
      ("(a{1000}){1000}", "it is too large: more than 2000 steps, repetitions written out"),
      ("((((){999999999}){999999999}){999999999})", "it is too large: more than 2000 steps, repetitions written out"),
      ("a{99999999999999999999}", "it is too large: more than 2000 steps, repetitions written out"),
      ("a{0,99999999999999999999}", "it is too large: more than 2000 steps, repetitions written out"),
    ])
  func refusals(pattern: String, message: String) throws {
    let schema = JSON.object([("pattern", .string(pattern))])
    let error = #expect(throws: JSONSchemaError.self) { try JSONSchema(reading: schema) }
    let shown = ByteString(pattern).printable
    #expect(error?.problems.map(\.description) == ["/pattern: the pattern '\(shown)' cannot be used: \(message)"])
  }

  @Test("hostile patterns neither hang nor exhaust the stack")
  func hostile() throws {
    let text = String(repeating: "a", count: 5000) + "b"
    #expect(try !matches("^(a|a)*$", text))
    #expect(try !matches("^(a*)*$", text))
    #expect(try !matches("^(a+)+$", text))
    #expect(try matches("(x+x+)+y|b$", text))
    #expect(
      try problems(of: #"{"pattern": "\#(String(repeating: "(", count: 1000))"}"#) == [
        "/pattern: the pattern '\(String(repeating: "(", count: 60))…' cannot be used: "
          + "groups are nested more than 64 deep"
      ])
    // Hundreds of states at each of 10,000 places.
    let schema = try JSONSchema(reading: JSON(#"{"pattern": "(a?){600}c"}"#))
    let violations = schema.violations(of: .string(String(repeating: "a", count: 10_000)), steps: 10_000)
    #expect(
      violations.map(\.description) == [
        "the check was given up after 10000 steps; make the value smaller or its schema simpler"
      ])
  }
}
