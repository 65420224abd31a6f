import PurserCode
import PurserHashing
import PurserModel
import Testing

@Suite("The normal form of Python")
struct PythonNormalFormTests {
  private func form(_ text: String) throws -> [UInt8] {
    try PythonNormalForm.bytes(of: Array(text.utf8))
  }

  @Test("The form, byte by byte")
  func golden() throws {
    #expect(
      try form("if a:\n  b = f'c' + '' * 10\n") == [
        0,  // docstrings do not count
        1, 2, 0x69, 0x66, 1, 1, 0x61, 5, 1, 0x3a, 6, 7,  // if a : NEWLINE INDENT
        1, 1, 0x62, 5, 1, 0x3d, 4, 4, 0x66, 0x27, 0x63, 0x27,  // b = f'c'
        5, 1, 0x2b, 3, 2, 0x27, 0x27, 5, 1, 0x2a, 2, 2, 0x31, 0x30, 6, 8, 9,  // + '' * 10 NEWLINE DEDENT END
      ])
    #expect(try form("__doc__") == [1, 1, 7] + Array("__doc__".utf8) + [6, 9])
    let name = String(repeating: "a", count: 300)
    #expect(try form(name) == [0, 1, 0xac, 0x02] + Array(name.utf8) + [6, 9])
    #expect(try form("") == [0, 9])
  }

  @Test("The digest is that of the domain and the form")
  func digest() throws {
    let text = Array("a = 1\n".utf8)
    let expected = SHA256.digest(of: Array("purser.python.normal.1\0".utf8) + (try PythonNormalForm.bytes(of: text)))
    #expect(try PythonNormalForm.digest(of: text) == expected)
    #expect(expected.hex == "304aa110c4f0629df2014063ad0ac5bc4854a8e00421c195a5b706d4b6a53a3c")
  }

  @Test(
    "Layout and comments do not count",
    arguments: [
      ("a=1", "a  =  1 # b\n\n"), ("f(a,b)", "f(\n  a, # c\n  b\n)"), ("if a:\n  b", "# c\nif a :\n\n\tb\n # d\n"),
      ("a+b", "a + \\\n b"), ("a;b", "a ; b"), ("\u{feff}a", "a"), ("# coding: utf-8\na", "a"), ("a\r\nb\r\n", "a\nb"),
      ("'''a\r\nb'''", "'''a\nb'''"), ("f'''a\r\nb'''", "f'''a\nb'''"), ("1if a else b", "1 if a else b"),
      ("'a''b'", "'a' 'b'"),
      ("def f():\n  pass # type: ignore", "def f():\n    pass"),
    ])
  func layout(_ left: String, _ right: String) throws {
    #expect(try form(left) == form(right))
  }

  @Test(
    "All else counts",
    arguments: [
      ("a", "b"), ("x = 'a'", "x = \"a\""), ("'a'\nb = 'x'", "'a'\nb = 'y'"), ("b = 'a'", "b = 'a '"), ("1", "1_0"),
      ("10", "1_0"),
      ("a\nb", "a;b"), ("if a:\n  b\nc", "if a:\n  b\n  c"), ("if a: b", "if a:\n  b"), ("a - -b", "a + b"),
      ("a <= b", "a < b"),
      ("a, b", "a b.c"), ("f'{a}'", "f'{ a }'"), ("b'a'", "'a'"), ("x = r'a'", "x = 'a'"), ("(a)", "a"), ("a,", "a"),
      ("x = 'a' 'b'", "x = 'ab'"), ("x = '''a\n b'''", "x = '''a\n  b'''"), ("ab", "a; b"), ("é", "e"),
    ])
  func meaning(_ left: String, _ right: String) throws {
    let left = try? form(left)
    let right = try? form(right)
    #expect(left != nil || right != nil)
    #expect(left != right)
  }

  @Test(
    "Docstrings do not count",
    arguments: [
      ("'a'\nb", "b"), ("'a'", ""), ("'a';b", "b"), ("'a';\nb", "b"), ("'a' \\\n  'b'\nc", "c"),
      ("r'''a\n\n'''\nu'b'", "'c'\nu'b'"),
      ("def f():\n  'a'\n  b", "def f():\n  b"), ("class A:\n  'a'\n  b", "class A:\n  b"), ("# a\n\n'b'\nc", "c"),
      ("async def f(a: 'b' = {'c': 1}) -> 'd':\n  'e'\n  g", "async def f(a: 'b' = {'c': 1}) -> 'd':\n  g"),
      ("def f(): 'a'; b", "def f(): b"), ("def f(): 'a'", "def f(): 'b'"), ("def f(): 'a';", "def f(): 'b'"),
      ("def f(): 'a'\nb", "def f(): 'c'\nb"), ("class A(B):\n  'a'\nb", "class A(B):\n  'c'\nb"),
      ("def f() -> lambda: 0:\n  'a'\n  b", "def f() -> lambda: 0:\n  b"),
      ("def f[T: 'x'](): 'a'; b", "def f[T: 'x'](): b"),
      (
        "class A:\n  'a'\n  def f(self):\n    'b'\n    def g():\n      'c'\n      d",
        "class A:\n  def f(self):\n    def g():\n      d"
      ),
      ("@a\ndef f():\n  'b'\n  return 1", "@a\ndef f():\n  return 1"),
      ("x\ndef f():\n  'a'\n  'b'", "x\ndef f():\n  'c'\n  'b'"),
    ])
  func docstrings(_ left: String, _ right: String) throws {
    #expect(try form(left) == form(right))
  }

  @Test(
    "What looks like a docstring and is none counts",
    arguments: [
      ("b\n'a'", "b"), ("f'a'\nb", "b"), ("b'a'\nb", "b"), ("Rb'a'\nb", "b"), ("('a')\nb", "b"), ("'a'.b\nb", "b"),
      ("'a' % c\nb", "b"),
      ("'a', c\nb", "b"), ("if a:\n  'b'\n  c", "if a:\n  c"), ("def f(a='b'): c", "def f(a='d'): c"),
      ("'a' f'b'\nc", "c"),
      ("'a'\n'b'\nc", "'a'\nc"), ("def f():\n  a\n  'b'", "def f():\n  a"), ("x = 'a'\nb", "b"),
      ("a: 'b'\n", "a: 'c'\n"),
      ("def f(): b; 'a'", "def f(): b"), ("for a in b:\n  'c'\n  d", "for a in b:\n  d"), ("'\\N{DASH}'\nb", "b"),
      ("t'a'\nb", "b"),
    ])
  func otherStrings(_ left: String, _ right: String) throws {
    #expect(try form(left) != form(right))
  }

  @Test(
    "Docstrings count where the file may read them",
    arguments: [
      "print(__doc__)", "a.__doc__", "from docopt import docopt", "import docopt", "inspect.getdoc(a)",
      "import doctest",
      "getattr(a, '__doc__')", "f'{__doc__}'", "f'{f'{inspect.getdoc(a)}'}'", "import ply.yacc", "import dspy",
    ])
  func kept(_ rest: String) throws {
    #expect(try form("'a'\n" + rest) != form("'b'\n" + rest))
    #expect(try form("def f():\n  'a'\n" + rest) != form("def f():\n  'b'\n" + rest))
    #expect(try form("'a'\n" + rest).first == 1)
    let source = try PythonTokens(Array(rest.utf8))
    #expect(PythonNormalForm.keepsDocstrings(in: source))
  }

  @Test(
    "Docstrings do not count for what only sounds so",
    arguments: ["__docs__", "x = 'docopt'", "doctests", "f'docopt'", "# __doc__"])
  func notKept(_ rest: String) throws {
    #expect(try form("'a'\n" + rest) == form("'b'\n" + rest))
  }

  @Test("The form of a range leaves out the docstrings in it")
  func ranges() throws {
    let source = try PythonTokens(Array("'m'\nx = 1\ndef f():\n  'a'\n  return 'b'\ny = 2\n".utf8))
    func form(_ first: String, _ last: String, keepsDocstrings: Bool = false) throws -> [UInt8] {
      let start = try #require(source.tokens.firstIndex { source.is($0, "def") })
      let end = try #require(source.tokens.firstIndex { source.is($0, "y") })
      var form: [UInt8] = []
      PythonNormalForm.append(start..<end, of: source, keepsDocstrings: keepsDocstrings, to: &form)
      return form
    }
    let whole = try PythonNormalForm.bytes(of: Array("def f():\n  return 'b'\n".utf8))
    #expect(try form("def", "y") == Array(whole.dropFirst().dropLast()))
    let kept = try PythonNormalForm.bytes(of: Array("def f():\n  'a'\n  return 'b'\n__doc__".utf8))
    #expect(try kept.dropFirst().starts(with: form("def", "y", keepsDocstrings: true)))
    var parts: [UInt8] = [0]
    for range in [0..<6, 6..<source.tokens.count] {
      PythonNormalForm.append(range, of: source, keepsDocstrings: false, to: &parts)
    }
    #expect(try parts == PythonNormalForm.bytes(of: source.bytes))
    var none: [UInt8] = []
    PythonNormalForm.append(0..<0, of: source, keepsDocstrings: false, to: &none)
    #expect(none.isEmpty)
  }

  @Test("A source with a syntax error has no form", arguments: ["(", "a b", "if a:\nb", "\0"])
  func errors(_ text: String) {
    #expect(throws: PythonSyntaxError.self) { try PythonNormalForm.bytes(of: Array(text.utf8)) }
    #expect(throws: PythonSyntaxError.self) { try PythonNormalForm.digest(of: Array(text.utf8)) }
  }
}
