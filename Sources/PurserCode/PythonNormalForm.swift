import PurserHashing
package import PurserModel

/// What of a Python source bears on what it does: its tokens, without layout, comments and docstrings.
///
/// Sources of one form have one syntax tree, docstrings aside. A form is one byte that tells whether docstrings are
/// kept, and then each token: the byte of its kind and, for all but line ends, indents and dedents, the length (LEB128)
/// and the bytes as they are written. So `1_0` and `10` differ, and so do `'a'` and `"a"`. Only the end of a line inside
/// of a string is always a line feed, as Python reads it.
///
/// A docstring is an expression of string literals alone that a module, a class or a function begins with. It is kept,
/// as are all others of the file, where a name of the file lets think that the program reads its own docstrings
/// (``keepsDocstrings(in:)``).
///
/// Version 1, told by the domain string of the digest: this.
package enum PythonNormalForm {
  private static let domain = "purser.python.normal.1\0"

  /// The form of a source. O(bytes).
  package static func bytes(of source: [UInt8]) throws(PythonSyntaxError) -> [UInt8] {
    bytes(of: try checked(source))
  }

  /// The digest of the form of a source.
  package static func digest(of source: [UInt8]) throws(PythonSyntaxError) -> Digest {
    digest(of: try checked(source))
  }

  /// The form of a source that was read and checked before.
  package static func bytes(of source: PythonTokens) -> [UInt8] {
    bytes(of: source, keepsDocstrings: keepsDocstrings(in: source))
  }

  private static func bytes(of source: PythonTokens, keepsDocstrings: Bool) -> [UInt8] {
    var form: [UInt8] = []
    form.reserveCapacity(source.bytes.count + 2 * source.tokens.count)
    form.append(keepsDocstrings ? 1 : 0)
    append(source.tokens.indices, of: source, keepsDocstrings: keepsDocstrings, to: &form)
    return form
  }

  /// The digest of the form of a source that was read and checked before.
  package static func digest(of source: PythonTokens) -> Digest {
    digest(of: source, keepsDocstrings: keepsDocstrings(in: source))
  }

  private static func digest(of source: PythonTokens, keepsDocstrings: Bool) -> Digest {
    var hash = SHA256()
    hash.update(ByteString(domain))
    hash.update(bytes(of: source, keepsDocstrings: keepsDocstrings))
    return hash.finalize()
  }

  /// What another file of the program may do with the text of this one.
  package struct Readings: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    /// It works with docstrings.
    package static let docstrings = Readings(rawValue: 1)
    /// It works with source text, comments and line numbers.
    package static let source = Readings(rawValue: 2)
  }

  /// Both forms of a source, and what it reads: which form counts depends on all the files of a program, since what
  /// one of them defines may be read by another.
  package static func forms(
    of source: [UInt8]
  ) throws(PythonSyntaxError) -> (plain: Digest, documented: Digest, readings: Readings) {
    let tokens = try checked(source)
    var readings: Readings = keepsDocstrings(in: tokens) ? .docstrings : []
    if readsSource(in: tokens) { readings.insert(.source) }
    return (digest(of: tokens, keepsDocstrings: false), digest(of: tokens, keepsDocstrings: true), readings)
  }

  private static func checked(_ source: [UInt8]) throws(PythonSyntaxError) -> PythonTokens {
    let tokens = try PythonTokens(source)
    try PythonStructure.check(tokens)
    return tokens
  }

  // MARK: - Ranges

  /// Appends the tokens of a range, without the docstrings of the functions and classes in it whose header is in it
  /// too; a range from 0 begins with the docstring of the module. `keepsDocstrings` is that of the whole file.
  package static func append(
    _ range: Range<Int>, of source: PythonTokens, keepsDocstrings: Bool, to form: inout [UInt8]
  ) {
    let tokens = source.tokens
    var index = range.lowerBound
    // Where a docstring would stand, and whether it would have its own line.
    var docstring = index == 0 ? (at: 0, isInline: false) : (at: -1, isInline: false)
    var isLineBegin = true
    while index < range.upperBound {
      if !keepsDocstrings {
        if isLineBegin, let header = headerEnd(in: tokens, from: index) {
          let hasBlock = header + 2 < tokens.count && tokens[header + 1].kind == .indent
          docstring = hasBlock ? (header + 2, false) : (header, true)
        }
        if index == docstring.at {
          index = skipDocstring(in: source, at: index, isInline: docstring.isInline)
          docstring.at = -1
          isLineBegin = !docstring.isInline
          continue
        }
      }
      let token = tokens[index]
      isLineBegin = append(token, of: source.bytes, to: &form)
      index += 1
    }
  }

  /// Appends one token, and tells whether a line can begin behind it.
  private static func append(_ token: PythonToken, of bytes: [UInt8], to form: inout [UInt8]) -> Bool {
    form.append(token.kind.rawValue)
    switch token.kind {
    case .newline, .indent, .dedent, .endOfFile:
      return true
    case .name, .number, .operator:
      appendLength(token.count, to: &form)
      form.append(contentsOf: bytes[token.range])
    case .string, .formattedString:
      let text = bytes[token.range]
      if text.contains(UInt8(ascii: "\r")) {
        // There is none but before a line feed.
        let joined = text.filter { $0 != UInt8(ascii: "\r") }
        appendLength(joined.count, to: &form)
        form.append(contentsOf: joined)
      } else {
        appendLength(text.count, to: &form)
        form.append(contentsOf: text)
      }
    }
    return false
  }

  private static func appendLength(_ count: Int, to form: inout [UInt8]) {
    var rest = count
    while rest >= 0x80 {
      form.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    form.append(UInt8(rest))
  }

  // MARK: - Docstrings

  /// Whether the docstrings of a file may be something that it works with. It is so where a name is `__doc__` or that of
  /// what reads docstrings (`docopt`, `getdoc`, `doctest`, parser generators, prompts of language models), also within
  /// a formatted string, and where a string holds `__doc__`.
  package static func keepsDocstrings(in source: PythonTokens) -> Bool {
    for (index, token) in source.tokens.enumerated() {
      switch token.kind {
      case .name:
        if isReader(token, in: source) || isHelp(index, in: source) { return true }
      case .string, .formattedString:
        guard contains(source.bytes, token.range, "__doc__") else {
          if token.kind == .formattedString, source.fieldTokens(of: token).contains(where: { isReader($0, in: source) })
          {
            return true
          }
          continue
        }
        return true
      default:
        continue
      }
    }
    return false
  }

  /// `help(…)`, the function; as the name of an argument it is another thing.
  private static func isHelp(_ index: Int, in source: PythonTokens) -> Bool {
    let tokens = source.tokens
    guard source.is(tokens[index], "help"), index + 1 < tokens.count, tokens[index + 1].isSymbol("(") else {
      return false
    }
    return index == 0 || !(tokens[index - 1].isSymbol(".") || tokens[index - 1].keyword == .def)
  }

  /// Whether a file works with the text of programs: by `inspect`, by code objects, or by opening `__file__`.
  package static func readsSource(in source: PythonTokens) -> Bool {
    var opensFile = false
    var namesFile = false
    for token in source.tokens {
      switch token.kind {
      case .newline:
        (opensFile, namesFile) = (false, false)
      case .name where token.keyword == nil:
        let name = source.string(of: token)
        if sourceReaders.contains(name) { return true }
        if name == "open" || name == "read_text" || name == "read_bytes" { opensFile = true }
        if name == "__file__" { namesFile = true }
        if opensFile, namesFile { return true }
      case .formattedString:
        for field in source.fieldTokens(of: token) where field.kind == .name {
          if sourceReaders.contains(source.string(of: field)) { return true }
        }
      default: continue
      }
    }
    return false
  }

  private static let sourceReaders: Set<ByteString> = [
    "getsource", "getsourcelines", "getcomments", "findsource", "getblock", "linecache", "co_consts", "co_code",
    "co_firstlineno", "co_lines", "co_positions", "f_lineno", "tb_lineno",
  ]

  private static let readers: Set<ByteString> = [
    "__doc__", "docopt", "getdoc", "get_docstring", "cleandoc", "doctest", "ply", "yacc", "lex", "dspy", "langchain",
    "langchain_core", "pydantic", "pydantic_ai", "smolagents", "fastapi", "instructor",
  ]
  private static let readerLengths = 3...14

  private static func isReader(_ token: PythonToken, in source: PythonTokens) -> Bool {
    guard token.kind == .name, token.keyword == nil, readerLengths.contains(token.count) else { return false }
    switch source.bytes[token.start] {
    case UInt8(ascii: "_"), UInt8(ascii: "d"), UInt8(ascii: "g"), UInt8(ascii: "l"), UInt8(ascii: "p"),
      UInt8(ascii: "s"), UInt8(ascii: "y"), UInt8(ascii: "c"), UInt8(ascii: "f"), UInt8(ascii: "i"):
      return readers.contains(source.string(of: token))
    default:
      return false
    }
  }

  private static func contains(_ bytes: [UInt8], _ range: Range<Int>, _ text: StaticString) -> Bool {
    bytes.withUnsafeBufferPointer { bytes in
      text.withUTF8Buffer { text in
        var index = range.lowerBound
        while index + text.count <= range.upperBound {
          if bytes[index] == text[0], (1..<text.count).allSatisfy({ bytes[index + $0] == text[$0] }) { return true }
          index += 1
        }
        return false
      }
    }
  }

  /// The index behind the colon that ends the header of the function or class that begins at an index; `nil` if none
  /// does.
  private static func headerEnd(in tokens: [PythonToken], from start: Int) -> Int? {
    switch tokens[start].keyword {
    case .def, .class: break
    case .async where start + 1 < tokens.count && tokens[start + 1].keyword == .def: break
    default: return nil
    }
    var depth = 0
    var lambdas = 0
    var index = start
    while index < tokens.count {
      let token = tokens[index]
      index += 1
      switch token.symbol {
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      case UInt8(ascii: ":") where depth == 0:
        if lambdas == 0 { return index }
        lambdas -= 1
      default:
        if token.kind == .newline { return nil }
        // A return annotation may be a lambda.
        if depth == 0, token.keyword == .lambda { lambdas += 1 }
      }
    }
    return nil
  }

  /// The index behind the docstring at an index, and behind what separates it from the next statement; the index itself
  /// if there is no docstring. The line end behind a docstring in the line of the header stays.
  private static func skipDocstring(in source: PythonTokens, at start: Int, isInline: Bool) -> Int {
    let tokens = source.tokens
    var index = start
    while index < tokens.count, tokens[index].kind == .string {
      // A character's name that Python does not know is an error, in a docstring too: so it counts.
      let range = tokens[index].range
      if PythonEscapes.isBytes(source.bytes, range) || contains(source.bytes, range, "\\N{") { return start }
      index += 1
    }
    guard index > start, index < tokens.count else { return start }
    let isSeparated = tokens[index].isSymbol(";")
    guard isSeparated || tokens[index].kind == .newline else { return start }
    if isSeparated { index += 1 }
    if !isInline, index < tokens.count, tokens[index].kind == .newline { index += 1 }
    return index
  }
}
