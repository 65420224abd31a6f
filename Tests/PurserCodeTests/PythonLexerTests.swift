import PurserCode
import PurserModel
import Testing

@Suite("Tokens of Python")
struct PythonLexerTests {
  /// Tokens as text: names and operators as they are, `#1` a number, `s''` a string, `ff''` a formatted one, and a mark
  /// for each of the rest.
  private func lex(_ text: String) -> [String] {
    let (source, error) = PythonTokens.prefix(of: Array(text.utf8))
    var result = source.tokens.map { token in
      let text = String(decoding: source.text(of: token), as: UTF8.self)
      return
        switch token.kind
      {
      case .name, .operator: text
      case .number: "#" + text
      case .string: "s" + text
      case .formattedString: "f" + text
      case .newline: "NL"
      case .indent: "IN"
      case .dedent: "DE"
      case .endOfFile: "END"
      }
    }
    if let error { result.append("line \(error.line): \(error.message)") }
    return result
  }

  private func error(_ bytes: [UInt8]) -> String? {
    PythonTokens.prefix(of: bytes).error?.description
  }

  @Test(
    "Lines and blocks",
    arguments: [
      ("", ["END"]), ("\n\n", ["END"]), ("# a\n", ["END"]), ("# a", ["END"]), ("   ", ["END"]),
      ("a", ["a", "NL", "END"]), ("a\n", ["a", "NL", "END"]), ("a # b\n\n\nc", ["a", "NL", "c", "NL", "END"]),
      ("a\r\nb\r\n", ["a", "NL", "b", "NL", "END"]), ("\u{feff}a", ["a", "NL", "END"]),
      ("if a:\n  b\nc", ["if", "a", ":", "NL", "IN", "b", "NL", "DE", "c", "NL", "END"]),
      (
        "if a:\n  if b:\n    c\n",
        ["if", "a", ":", "NL", "IN", "if", "b", ":", "NL", "IN", "c", "NL", "DE", "DE", "END"]
      ),
      ("if a:\n  b\n      # c\n\n# d\n  e", ["if", "a", ":", "NL", "IN", "b", "NL", "e", "NL", "DE", "END"]),
      ("(a,\n\n  # c\n b)\nc", ["(", "a", ",", "b", ")", "NL", "c", "NL", "END"]),
      ("a + \\\n  b", ["a", "+", "b", "NL", "END"]), ("a \\\r\n+b", ["a", "+", "b", "NL", "END"]),
      ("a \\\n\nb", ["a", "NL", "b", "NL", "END"]), ("a\\\n# b\n", ["a", "NL", "END"]),
      ("a;b", ["a", ";", "b", "NL", "END"]), ("a\u{c}b", ["a", "b", "NL", "END"]),
      // A form feed begins the line anew.
      ("if a:\n  \u{c} b\n c", ["if", "a", ":", "NL", "IN", "b", "NL", "c", "NL", "DE", "END"]),
      ("if a:\n\tb\n        \u{c}\tc", ["if", "a", ":", "NL", "IN", "b", "NL", "c", "NL", "DE", "END"]),
      // A tab goes on to the next multiple of eight.
      (
        "if a:\n\tif b:\n\t\tc\n\td",
        ["if", "a", ":", "NL", "IN", "if", "b", ":", "NL", "IN", "c", "NL", "DE", "d", "NL", "DE", "END"]
      ),
    ])
  func lines(_ text: String, _ expected: [String]) {
    #expect(lex(text) == expected)
  }

  @Test(
    "Numbers are as long as they can be",
    arguments: [
      "0", "00", "0_0", "1", "1_000", "0x1F", "0XaB_c", "0o17", "0b_1", "1.", ".5", "1.5", "1_0.0_1", "1e5", "1E+5",
      "1e-5", "1.e5", ".5e1", "1j", "1.5J", "0777.", "0777e1", "0777j", "1_0j",
    ])
  func numbers(_ text: String) {
    #expect(lex(text) == ["#" + text, "NL", "END"])
  }

  @Test(
    "What follows a number",
    arguments: [
      ("1if x", ["#1", "if", "x"]), ("0x1for x", ["#0x1f", "or", "x"]), ("1else", ["#1", "else"]),
      ("1or 2", ["#1", "or", "#2"]), ("1..a", ["#1.", ".", "a"]), ("1 .a", ["#1", ".", "a"]),
      ("1...", ["#1.", ".", "."]),
      ("a.5", ["a", "#.5"]), ("1+1", ["#1", "+", "#1"]), ("1jif", ["#1j", "if"]), ("1.if", ["#1.", "if"]),
      ("1not in a", ["#1", "not", "in", "a"]),
    ])
  func numberEnds(_ text: String, _ expected: [String]) {
    #expect(lex(text) == expected + ["NL", "END"])
  }

  @Test(
    "Operators are as long as they can be",
    arguments: [
      "+", "-", "*", "/", "%", "@", "&", "|", "^", "~", "<", ">", "=", ".", ",", ":", ";", "**", "//", ">>", "<<", "!=",
      "->", ":=", "==", "<=", ">=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@=", "**=", "//=", ">>=", "<<=",
      "...", "<>",
    ])
  func operators(_ text: String) {
    #expect(lex("a" + text + "a") == ["a", text, "a", "NL", "END"])
  }

  @Test("Operators that are written together")
  func joinedOperators() {
    #expect(lex("a**-b") == ["a", "**", "-", "b", "NL", "END"])
    #expect(lex("a...b") == ["a", "...", "b", "NL", "END"])
    #expect(lex("a..b") == ["a", ".", ".", "b", "NL", "END"])
    #expect(lex("a====b") == ["a", "==", "==", "b", "NL", "END"])
    #expect(lex("a->=b") == ["a", "->", "=", "b", "NL", "END"])
    #expect(lex("[({})]") == ["[", "(", "{", "}", ")", "]", "NL", "END"])
  }

  @Test(
    "Strings",
    arguments: [
      "''", "\"\"", "'a'", "'\"'", "'\\''", "'\\\\'", "'''a'''", "'''a'b''c'''", "\"\"\"a\nb\"\"\"", "'a\\\nb'",
      "'a\\\r\nb'", "''''a'''", "'''\\''''", "'''\\\\'''", "r'\\''", "b'a'", "u'a'", "R'a'", "rb'a'", "Rb'a'", "bR'a'",
      "BR''' '''", "U\"a\"", "'# no comment'", "'{'", "'\u{e9}'",
    ])
  func strings(_ text: String) {
    #expect(lex(text) == ["s" + text, "NL", "END"])
  }

  @Test(
    "Formatted strings are one token, with whatever is in their fields",
    arguments: [
      "f''", "F'a'", "t'a'", "T'a'", "fr'a'", "rf'a'", "Rf'a'", "fR'a'", "tr'a'", "rt'a'", "f'{a}'", "f'{{'", "f'}}'",
      "f'{{{a}}}'", "f'{a!r}'", "f'{a!r:>{b}}'", "f'{a:{b}.{c}}'", "f'{a:{b:{c}}}'", "f'{a=}'", "f'{a = !r:x}'",
      "f'{a!=b}'", "f'{(a:=b)}'", "f'{a:=5}'", "f'{a[\"b\"]}'", "f'{a['b']}'", "f'{f'{f'{a}'}'}'", "f'{\"}\"}'",
      "f'{ {1: 2}[1] }'", "f'{(lambda x: x)(1)}'", "f'{a[1:2]}'", "f'\\N{DASH}'", "f'\\N{LATIN SMALL LETTER A}{a}'",
      "fr'\\N{a}'", "f'\\{a}'", "f'\\\\{a}'", "f'{a:%H:%M}'", "f'{a:\\n}'", "f'{a:}'", "f'{\n a\n}'",
      "f'''{\n a # '''\n}'''", "f'''{a:\n}'''", "f'{a:x\n}'", "f'\\\n{a}'", "f'{'\\n'.join(a)}'", "f'{a:{'}'}}'",
      "f'{a if b else c!s}'", "f'''{a!r:'}'''", "f'{f'''{\na}'''}'", "f'{*a,}'", "f'{a\\\n}'", "f'\\''",
    ])
  func formattedStrings(_ text: String) {
    #expect(lex(text) == ["f" + text, "NL", "END"])
  }

  @Test(
    "What stands in the fields of a formatted string",
    arguments: [
      ("f'a'", ""), ("f'{a}'", "{ a }"), ("f'{a}{b}'", "{ a } { b }"), ("f'{a!r:>{w}.{p!s}}x'", "{ a { w } { p } }"),
      ("f'{a.b(c, d=1)}'", "{ a . b ( c , d = 1 ) }"), ("f'{a = }'", "{ a }"), ("f'{a == b}'", "{ a == b }"),
      ("f'{a:=5}'", "{ a }"), ("f'{(a:=5)}'", "{ ( a := 5 ) }"), ("f'{f'{a}{f'{b}'}'}'", "{ { a } { { b } } }"),
      ("f'{x[\"y\"]}'", "{ x [ \"y\" ] }"), ("f'{ {1: 2}[1] }'", "{ { 1 : 2 } [ 1 ] }"), ("f'{a!=b!r}'", "{ a != b }"),
      ("f'{'{'}}}'", "{ '{' }"), ("f'''{\n# b\na\n}'''", "{ a }"), ("f'{a:%H:%M}'", "{ a }"), ("f'{{a}}{b}'", "{ b }"),
      ("'{a}'", ""), ("f'{lambda x: 1}'", "{ lambda x }"), ("f'{yield}'", "{ yield }"),
    ])
  func fields(_ text: String, _ expected: String) throws {
    let source = try PythonTokens(Array(text.utf8))
    let fields = source.fieldTokens(of: source.tokens[0])
    #expect(fields.map { String(decoding: source.text(of: $0), as: UTF8.self) }.joined(separator: " ") == expected)
  }

  @Test("Tokens know their place, keyword and symbol")
  func places() throws {
    let source = try PythonTokens(Array("a = '''\n\n''' # c\nif f'''{\nb}''':\n\tNone\n".utf8))
    #expect(source.tokens.map(\.line) == [1, 1, 1, 3, 4, 4, 5, 5, 6, 6, 6, 7, 7])
    #expect(source.tokens.map(\.start) == [0, 2, 4, 16, 17, 20, 31, 32, 34, 34, 38, 39, 39])
    #expect(source.tokens.map(\.count) == [1, 1, 8, 1, 2, 11, 1, 1, 0, 4, 1, 0, 0])
    #expect(source.tokens.map(\.keyword) == [nil, nil, nil, nil, .if, nil, nil, nil, nil, .noneValue, nil, nil, nil])
    #expect(source.tokens[1].isSymbol("=") && source.tokens[6].isSymbol(":"))
    #expect(source.tokens[1].symbol == 0x3d && source.tokens[0].symbol == 0)
    #expect(!source.tokens[1].isSymbol(":") && !source.tokens[0].isSymbol("a"))
    #expect(
      source.is(source.tokens[4], "if") && !source.is(source.tokens[4], "i") && !source.is(source.tokens[4], "of"))
    let field = try #require(source.fieldTokens(of: source.tokens[5]).dropFirst().first)
    #expect(field.line == 5 && field.range == 26..<27)
    #expect(MemoryLayout<PythonToken>.stride == 16)
  }

  @Test("Every keyword is known, and nothing else")
  func keywords() throws {
    for keyword in PythonKeyword.allCases {
      #expect(try PythonTokens(Array(keyword.text.utf8)).tokens[0].keyword == keyword)
      #expect(try PythonTokens(Array((keyword.text + "x").utf8)).tokens[0].keyword == nil)
      #expect(try PythonTokens(Array(keyword.text.dropLast().utf8)).tokens[0].keyword == nil)
    }
    #expect(PythonKeyword.allCases.count == 35)
    for word in ["match", "case", "type", "_", "print", "exec", "none", "true", "nonlocals"] {
      #expect(try PythonTokens(Array(word.utf8)).tokens[0].keyword == nil)
    }
  }

  @Test("Names of letters that are not ASCII")
  func names() {
    #expect(lex("é = ℘ + ª·1 + 变量") == ["é", "=", "℘", "+", "ª·1", "+", "变量", "NL", "END"])
  }

  @Test(
    "What is refused, and in which line",
    arguments: [
      ("a\n'b\n", "line 2: a string is not closed"), ("'a\\\n\n", "line 1: a string is not closed"),
      ("\n'''a\n\n", "line 2: a string is not closed"), ("'", "line 1: a string is not closed"),
      ("'\\", "line 1: a string is not closed"), ("f'{a\n\n", "line 1: a string is not closed"),
      ("rf'\\'", "line 1: a string is not closed"), ("f'a\n'", "line 1: a string is not closed"),
      ("\nf'''\n{\n\n", "line 2: a string is not closed"),
      ("f'{'", "line 1: a string is not closed"), ("f'{a:'", "line 1: a field of a formatted string is not closed"),
      ("f'}'", "line 1: a formatted string holds a single '}'"), ("f'{a)}'", "line 1: '{' of line 1 is closed by ')'"),
      ("f'{(a}'", "line 1: '(' of line 1 is closed by '}'"), ("f'{a $ b}'", "line 1: '$' stands where no '$' can"),
      ("(\n\n", "line 1: '(' is never closed"), ("a\n[(\n)\n", "line 2: '[' is never closed"),
      ("\n)", "line 2: ')' closes nothing"), ("(\n]", "line 2: '(' of line 1 is closed by ']'"),
      ("if a:\n    b\n  c", "line 3: the indentation is that of no block around it"),
      ("if a:\n\tb\n        c", "line 3: tabs and spaces are mixed in the indentation"),
      ("if a:\n        if b:\n\tc", "line 3: tabs and spaces are mixed in the indentation"),
      ("if a:\n b\n\tc", "line 3: tabs and spaces are mixed in the indentation"),
      ("a\0", "line 1: a NUL byte"), ("# a\0", "line 1: a NUL byte"), ("a\n'\0'", "line 2: a NUL byte"),
      ("a\rb", "line 1: a carriage return that is no part of a line's end"),
      ("# a\rimport b\n", "line 1: a carriage return that is no part of a line's end"),
      ("'''\n\r'''", "line 2: a carriage return that is no part of a line's end"),
      ("a\n$", "line 2: '$' stands where no '$' can"), ("a?", "line 1: '?' stands where no '?' can"),
      ("`a`", "line 1: '`' stands where no '`' can"), ("!a", "line 1: '!' stands where no '!' can"),
      ("a ! = b", "line 1: '!' stands where no '!' can"), ("a \\ b", "line 1: a backslash stands outside of a string"),
      ("a \\", "line 1: nothing follows a backslash that joins lines"),
      ("a \\\n", "line 1: nothing follows a backslash that joins lines"),
      ("\\\na", "line 1: a line begins with a backslash that joins lines"),
      ("if a:\n  \\\nb", "line 2: a line begins with a backslash that joins lines"),
      ("a = “b”", "line 1: the character U+201C stands outside of strings and comments"),
      ("a\u{a0}= 1", "line 1: the character U+00A0 stands outside of strings and comments"),
      ("a → b", "line 1: the character U+2192 stands outside of strings and comments"),
      ("a\u{1}", "line 1: the character U+0001 stands outside of strings and comments"),
      ("\u{b}", "line 1: the character U+000B stands outside of strings and comments"),
      ("0777", "line 1: a number begins with 0"), ("0_7", "line 1: a number begins with 0"),
      ("1_", "line 1: a number is not complete"), ("1__0", "line 1: a number is not complete"),
      ("0x", "line 1: a number is not complete"), ("0b2", "line 1: a number is not complete"),
      ("0b12", "line 1: a number holds a digit that its base does not have"),
      ("0o18", "line 1: a number holds a digit that its base does not have"),
      ("1a", "line 1: a name follows a number without a space"),
      ("1ifx", "line 1: a name follows a number without a space"),
      ("10L", "line 1: a name follows a number without a space"),
      ("1.real", "line 1: a name follows a number without a space"),
      ("1e", "line 1: a name follows a number without a space"),
      ("# coding: latin-1\n'é'", "line 1: the encoding 'latin-1' is declared, and only UTF-8 is read"),
      ("\n# vim: set fileencoding=koi8-r :", "line 1: the encoding 'koi8-r' is declared, and only UTF-8 is read"),
      ("\u{feff}# coding: latin-1", "line 1: the encoding 'latin-1' is declared, and only UTF-8 is read"),
    ])
  func errors(_ text: String, _ expected: String) {
    #expect(error(Array(text.utf8)) == expected)
    #expect(throws: PythonSyntaxError.self) { try PythonTokens(Array(text.utf8)) }
  }

  @Test("Bytes that are not UTF-8 are refused, in comments too")
  func encoding() {
    #expect(error(Array("a\n# ".utf8) + [0xe9, 0x0a]) == "line 2: bytes that are not UTF-8")
    #expect(error(Array("a = '".utf8) + [0xed, 0xa0, 0x80, 0x27]) == "line 1: bytes that are not UTF-8")
    #expect(error([0xff, 0xfe, 0x61, 0x00]) == "line 1: bytes that are not UTF-8")
    #expect(error(Array("a = b\n".utf8) + [0xc3]) == "line 2: bytes that are not UTF-8")
  }

  @Test(
    "Encodings that are declared and mean UTF-8, or ASCII that is all there is, or are no declaration",
    arguments: [
      "# coding: utf-8\n'é'", "#!/bin/x\n# -*- coding: UTF_8 -*-\n'é'", "# coding=utf8\n'é'",
      "# coding: utf-8-unix\n'é'",
      "# coding: latin-1\n'e'", "# coding: us-ascii\n'e'", "# coding: ISO-8859-1\n'e'", "a\n# coding: koi8-r\n",
      "\n\n# coding: koi8-r\n", "'# coding: koi8-r'\n", "# encodings: koi8-r", "# coding : koi8-r",
    ])
  func declarations(_ text: String) {
    #expect(error(Array(text.utf8)) == nil)
  }

  @Test("What is before an error is given, with an end")
  func prefixes() {
    #expect(lex("a\nb = (\n$") == ["a", "NL", "b", "=", "(", "END", "line 3: '$' stands where no '$' can"])
    #expect(lex("f'{a") == ["END", "line 1: a string is not closed"])
  }

  @Test("Nesting has limits, and none overflows the stack")
  func nesting() {
    func nested(_ open: String, _ middle: String, _ close: String, _ count: Int) -> String? {
      let text = String(repeating: open, count: count) + middle + String(repeating: close, count: count)
      return error(Array(text.utf8))
    }
    #expect(nested("(", "a", ")", 200) == nil)
    #expect(nested("(", "a", ")", 201) == "line 1: brackets are nested too deeply")
    #expect(nested("[", "a", "]", 1_000_000) == "line 1: brackets are nested too deeply")
    #expect(nested("f'{", "a", "}'", 100) == nil)
    #expect(nested("f'{", "a", "}'", 101) == "line 1: formatted strings are nested too deeply")
    #expect(nested("f'{", "a", "}'", 300_000) == "line 1: formatted strings are nested too deeply")
    #expect(
      error(Array(("f'" + String(repeating: "{a:", count: 300_000)).utf8)) == "line 1: brackets are nested too deeply")
    func blocks(_ count: Int) -> String? {
      error(Array((0...count).flatMap { String(repeating: " ", count: $0).utf8 + Array("if a:\n".utf8) }))
    }
    #expect(blocks(99) == nil)
    #expect(blocks(100) == "line 101: blocks are nested too deeply")
    #expect(error([UInt8](repeating: 0x22, count: 1_000_002)) == nil)
    #expect(error([UInt8](repeating: 0x22, count: 1_000_003)) == "line 1: a string is not closed")
  }
}
