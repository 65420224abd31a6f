import PurserCode
import PurserModel
import Testing

@Suite("Python sources of any bytes")
struct PythonFuzzTests {
  private static let pieces = [
    "a", "b.c", "1", "0x", "'", "\"", "'''", "\"\"\"", "f'", "rf\"", "{", "}", "(", ")", "[", "]", ":", "!r", "=", ":=",
    "\\", "\\\n",
    "\n", "\r\n", "\r", "\t", " ", "    ", "#", "if ", "else:", "def f():", "class A:", "lambda ", "import ", "from ",
    " as ", "*", ",",
    ";", ".", "...", "sys.path", ".append(", ".insert(0, ", "__file__", "os.path.dirname(", "importlib.import_module(",
    "__import__(",
    "__all__", "+=", "Path(", ".parents[1]", " / ", "exec(open(a).read())", "\u{e9}", "\u{201c}", "\0", "\\N{",
    "async ", "try:", "return",
  ]

  private static let program = """
    import os, sys as s
    from importlib import import_module as im
    HERE = os.path.dirname(os.path.abspath(__file__))
    s.path.insert(0, os.path.join(HERE, "..", f"{'a'!r:>{10}}"))
    __all__ = ["a", 'b' "c"]

    class A(B):
    \t\"\"\"A docstring.\"\"\"
    \tdef f(self, a=1, *b: int) -> lambda: 0:
    \t\treturn {a: [im("x.y") for c in b if c], 'z': 0x1F}

    try:
        from .. import (c, d as e,)
    except* ImportError: pass

    """

  /// What holds for any source, whatever it is.
  private func check(_ bytes: [UInt8]) throws {
    let (source, error) = PythonTokens.prefix(of: bytes)
    let tokens = source.tokens
    let last = try #require(tokens.last)
    #expect(last.kind == .endOfFile && last.end <= bytes.count)
    #expect(zip(tokens, tokens.dropFirst()).allSatisfy { $0.end <= $1.start && $0.line <= $1.line })
    let lines = bytes.count { $0 == UInt8(ascii: "\n") } + 1
    #expect(tokens.allSatisfy { (1...lines).contains($0.line) })
    if let error { #expect((1...lines).contains(error.line) && !error.message.isEmpty) }
    var depth = 0
    for token in tokens {
      if token.kind == .indent { depth += 1 }
      if token.kind == .dedent { depth -= 1 }
      #expect(depth >= 0)
      if token.kind == .formattedString {
        let fields = source.fieldTokens(of: token)
        #expect(fields.allSatisfy { $0.start > token.start && $0.end < token.end && $0.line >= token.line })
        #expect(fields.count { $0.isSymbol("{") } == fields.count { $0.isSymbol("}") })
      }
    }
    if error == nil { #expect(depth == 0) }
    // What lies between tokens is neither a name nor a quote, except in a comment.
    if error == nil, !bytes.contains(UInt8(ascii: "#")) {
      var isCovered = [Bool](repeating: false, count: bytes.count)
      for token in tokens { for offset in token.range { isCovered[offset] = true } }
      let start = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
      let open = bytes.indices.dropFirst(start).filter { !isCovered[$0] }.map { bytes[$0] }
      #expect(open.allSatisfy { [0x20, 0x09, 0x0a, 0x0c, 0x0d, 0x5c].contains($0) })
    }
    let form = try? PythonNormalForm.bytes(of: bytes)
    if error != nil { #expect(form == nil) }
    let references = References(of: bytes, in: .python)
    #expect(references.remarks.allSatisfy { (1...lines).contains($0.line) && !$0.message.isEmpty })
    #expect(error == nil || references.remarks.contains { $0.message.hasPrefix("has a syntax error: ") })
    #expect(Set(references.uses).count == references.uses.count)
    for use in references.uses {
      switch use {
      case .module(let path, let level, let names):
        #expect(level > 0 || !path.isEmpty)
        #expect((path + names).allSatisfy { !$0.isEmpty && !$0.bytes.contains(0) })
      case .searchFolder(let path, _):
        #expect(!path.isEmpty && !path.bytes.contains(0))
      case .file:
        Issue.record("Python files name no files")
      }
    }
  }

  @Test("Random bytes")
  func bytes() throws {
    var fuzzer = SourceFuzzer(seed: 1)
    for _ in 0..<300 { try check(fuzzer.bytes(count: fuzzer.number(below: 60))) }
  }

  @Test("Pieces of programs in any order")
  func mixtures() throws {
    var fuzzer = SourceFuzzer(seed: 2)
    for _ in 0..<2_500 { try check(fuzzer.mixture(of: Self.pieces, count: fuzzer.number(below: 30))) }
  }

  @Test("A program with damages, and every beginning of it")
  func damages() throws {
    var fuzzer = SourceFuzzer(seed: 3)
    let program = Array(Self.program.utf8)
    try check(program)
    #expect(References(of: program, in: .python).remarks.map(\.message) == ["changes sys.path by a computed value"])
    for _ in 0..<700 { try check(fuzzer.damaged(program)) }
    for count in program.indices { try check(Array(program.prefix(count))) }
  }
}
