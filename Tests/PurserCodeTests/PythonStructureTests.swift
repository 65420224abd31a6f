import PurserCode
import PurserModel
import Testing

@Suite("Syntax errors of Python that tokens show")
struct PythonStructureTests {
  private func error(_ text: String) -> String? {
    do throws(PythonSyntaxError) {
      try PythonStructure.check(try PythonTokens(Array(text.utf8)))
      return nil
    } catch {
      return error.description
    }
  }

  @Test(
    "What is refused",
    arguments: [
      (" a", "line 1: a line is indented, and no block begins before it"),
      ("a\n  b", "line 2: a line is indented, and no block begins before it"),
      ("if a: b\n  c", "line 2: a line is indented, and no block begins before it"),
      ("if a:\nb", "line 1: a line ends with ':', and no block follows it"),
      ("def f():\n", "line 1: a line ends with ':', and no block follows it"),
      ("if a:\n  def f():\n  b", "line 2: a line ends with ':', and no block follows it"),
      ("a:\n  b", "line 1: a line ends with ':', and begins no block"),
      ("if a\n  b", "line 1: ':' is missing after 'if'"), ("def f()\n", "line 1: ':' is missing after 'def'"),
      ("class A\n", "line 1: ':' is missing after 'class'"),
      ("while lambda: a\n", "line 1: ':' is missing after 'while'"),
      ("for a in b\n", "line 1: ':' is missing after 'for'"), ("with a as b\n", "line 1: ':' is missing after 'with'"),
      ("async def f()\n", "line 1: ':' is missing after 'async'"), ("try a", "line 1: ':' is missing after 'try'"),
      ("if a:\n  b\nelse if c:\n  d", "line 3: ':' is missing after 'else'"),
      ("if a:\n  b\nelif\n", "line 3: nothing follows 'elif' that it could apply to"),
      ("else:\n  a", "line 1: 'else' follows nothing that it can belong to"),
      ("if a:\n  b\nc\nelif d:\n  e", "line 4: 'elif' follows nothing that it can belong to"),
      ("if a:\n  b\nexcept:\n  c", "line 3: 'except' follows nothing that it can belong to"),
      ("with a:\n  b\nfinally:\n  c", "line 3: 'finally' follows nothing that it can belong to"),
      ("if a:\n  b\n  else:\n    c", "line 3: 'else' follows nothing that it can belong to"),
      ("try:\n  a\nb", "line 3: 'try' has neither 'except' nor 'finally' before this line"),
      ("try:\n  a\nelse:\n  b", "line 3: 'try' has neither 'except' nor 'finally' before this line"),
      ("def f():\n  try:\n    a\nb", "line 4: 'try' has neither 'except' nor 'finally' before this line"),
      ("try:\n  a\n", "line 3: 'try' has neither 'except' nor 'finally' before this line"),
      ("a b", "line 1: two expressions stand side by side"),
      ("print 'a'", "line 1: two expressions stand side by side"),
      ("[1 2]", "line 1: two expressions stand side by side"),
      ("[\n'a',\nb\nc]", "line 4: two expressions stand side by side"),
      ("f(a) b", "line 1: two expressions stand side by side"),
      ("{'a': 1 'b': 2}", "line 1: two expressions stand side by side"),
      ("a {}", "line 1: two expressions stand side by side"),
      ("a lambda: b", "line 1: two expressions stand side by side"),
      ("match a b:\n  pass", "line 1: two expressions stand side by side"),
      ("None a", "line 1: two expressions stand side by side"),
      ("x = match a", "line 1: two expressions stand side by side"),
      ("1 1", "line 1: two expressions stand side by side"),
      ("'a' 1", "line 1: two expressions stand side by side"), ("ur'a'", "line 1: two expressions stand side by side"),
      ("a +", "line 1: nothing follows '+' that it could apply to"),
      ("a =\n", "line 1: nothing follows '=' that it could apply to"),
      ("a and", "line 1: nothing follows 'and' that it could apply to"),
      ("(a +)", "line 1: nothing follows '+' that it could apply to"),
      ("a. = b", "line 1: nothing follows '.' that it could apply to"),
      ("f(a=)", "line 1: nothing follows '=' that it could apply to"),
      ("[a if]", "line 1: nothing follows 'if' that it could apply to"),
      ("import", "line 1: nothing follows 'import' that it could apply to"),
      ("a + == b", "line 1: nothing follows '+' that it could apply to"),
      ("a // , b", "line 1: nothing follows '//' that it could apply to"),
      ("a = +; b", "line 1: nothing follows '+' that it could apply to"),
      ("not\n", "line 1: nothing follows 'not' that it could apply to"),
      ("= a", "line 1: a statement begins with '='"), ("a; .b", "line 1: a statement begins with '.'"),
      ("if a: == b", "line 1: a statement begins with '=='"), ("a;;b", "line 1: a statement begins with ';'"),
      ("a\n<<<<<<< ours\n", "line 2: a statement begins with '<<'"),
      ("async a", "line 1: 'async' is followed by neither 'def', 'for' nor 'with'"),
      ("f(async=1)", "line 1: 'async' is followed by neither 'def', 'for' nor 'with'"),
      ("'C:\\Users'", "line 1: a string holds an incomplete escape"),
      ("a = 1\n'\\x1'", "line 2: a string holds an incomplete escape"),
      ("'\\u12g4'", "line 1: a string holds an incomplete escape"),
      ("'\\N{DASH'", "line 1: a string holds an incomplete escape"),
      ("'\\N'", "line 1: a string holds an incomplete escape"),
      ("b'\\x'", "line 1: a string holds an incomplete escape"),
      ("'\\U00110000'", "line 1: a string holds an incomplete escape"),
      ("'\\\\\\x'", "line 1: a string holds an incomplete escape"),
      ("b'é'", "line 1: a bytes literal holds a character that is not ASCII"),
      ("rb'é'", "line 1: a bytes literal holds a character that is not ASCII"),
      ("'a' b'b'", "line 1: bytes and text stand side by side"),
      ("Rb'a' f'b'", "line 1: bytes and text stand side by side"),
      ("raise A, 'b'", "line 1: a ',' stands in a 'raise' statement"),
      ("if a: raise A, 'b'", "line 1: a ',' stands in a 'raise' statement"),
    ])
  func refused(_ text: String, _ expected: String) {
    #expect(error(text) == expected)
  }

  @Test(
    "What is not refused, odd as it may be",
    arguments: [
      "if a: b\nelse: c", "if a:\n  b\n\nelif c:\n  d\nelse:\n  e", "for a in b:\n  c\nelse:\n  d",
      "while a: b\nelse: c",
      "try: a\nexcept* B: c\nelse: d\nfinally: e", "try:\n  a\nfinally:\n  b",
      "async def f():\n  async for a in b: c\n  else: d",
      "async def f():\n  async with a as b: c\n  return [d async for d in e]", "with (a as b, c as d):\n  e",
      "match a:\n  case [1, *_]: b\n  case {'c': d, **e}: f\n  case A(b=c) | D(): pass\n  case _ if g: pass",
      "match = 1",
      "match[a] = 1", "match(a)", "match (a):\n  case 1: b", "match -a:\n  case -1: b", "match a, b:\n  case c, d: e",
      "case = 1",
      "type A = int", "type A[T] = list[T]", "type = 1", "type(a)", "print(a)", "def f(a, /, b, *, c=1, **d): pass",
      "def f(*, a): pass", "def f(a, *): pass", "def f(*a: *b) -> (yield): pass", "def f() -> lambda: 0: pass",
      "class A[T: int, *U, **P](B, c=d): pass", "@a.b(c)\ndef f(): pass", "@a\nclass B: pass",
      "@(lambda f: f)\ndef g(): pass",
      "lambda *a, b=1, **c: d", "lambda: (yield)", "a = *b, c", "*a, b = c", "f(*a, **b)", "[*a]", "{**a}",
      "a[1:2, ::3, ...]",
      "a[:]", "a[b:=1]", "(a := b)", "...", "a = ...", "from . import a", "from .. import a", "from ... import a",
      "from ...a import b", "from .a.b import (c, d as e,)", "from a import *", "import a.b as c, d", "global a, b",
      "nonlocal a", "del a[0], b", "assert a, b", "raise a from b", "raise", "raise f(a, b)", "raise lambda a, b: 0",
      "return",
      "yield", "a = yield b, c", "await a", "a if b else c", "not a", "a not in b", "a is not b", "- + ~ a", "a ** -b",
      "a @ b", "a @= b", "a <> b", "'a' 'b' f'c' \"d\"", "('a'\n'b')", "b'a' b'b'", "1if a else 2",
      "[a for b in c if d]", "a;",
      "a; b;", "if a: b; c", "x: int", "x: int = 1", "x: lambda: int = 1", "if (lambda: a): b", "if lambda: a: b",
      "{a: b for c in d}", "{lambda: a: b}", "a = b = c", "a -= -1", "except_ = 1", "print >>a, b", "exec('a')",
      "try:\n  a\nexcept A, B:\n  c", "for a, in b: c", "for *a, b in c: d", "return *a, b", "\"\"\"a\"\"\"", "a,",
      "(a,)", "()",
      "while a:\n  b\n  # c\n\nd", "if a:\n  # b\n  c", "async def f(): return [await a async for a in b]",
      "def f(a=1, *, b: int = 2): ...", "a = lambda x=1, *y: (x, y)", "with a, b as c: d", "a.match.case.type",
      "f(match=a, case=b)", "r'C:\\Users'", "b'\\u \\U \\N'", "'\\\\x'", "'\\x41\\u00e9\\U0010ffff\\ud800\\8\\q'",
      "'''\\N{DASH}\\\n'''", "u'\\'\\x41' R'\\x'", "b'a' rb'b'",
    ])
  func accepted(_ text: String) {
    #expect(error(text) == nil)
  }

  @Test("What could be read of a source with an error can be checked too")
  func prefixes() throws {
    for text in ["a = (", "if a:\n  b(", "try:\n  a['", "async", "a ="] {
      let source = PythonTokens.prefix(of: Array(text.utf8)).tokens
      _ = try? PythonStructure.check(source)
    }
  }
}
