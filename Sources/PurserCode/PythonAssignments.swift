import PurserModel

/// Which names a file gives a value, and how often: a name that is given one exactly once, by `name = value`, has that
/// value wherever it is read.
///
/// In doubt a name counts as given another value, so that nothing is concluded from it.
struct PythonAssignments {
  private var counts: [ByteString: Int] = [:]
  private var values: [ByteString: Range<Int>] = [:]
  private var imported: Set<ByteString> = []
  private var hasStarImport = false

  /// The tokens of the value of a name that is given only one.
  func onlyValue(of name: ByteString) -> Range<Int>? {
    counts[name] == 1 && !imported.contains(name) && !hasStarImport ? values[name] : nil
  }

  /// Whether the file gives it a value, other than by an import.
  func isAssigned(_ name: ByteString) -> Bool { counts[name] != nil }

  /// O(tokens).
  init(_ tokens: [PythonToken], _ source: PythonTokens) {
    var start = 0
    var depth = 0
    for index in tokens.indices {
      let token = tokens[index]
      switch token.symbol {
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      default:
        let isEnd =
          token.kind == .newline
          || depth == 0 && (token.isSymbol(";") || token.isSymbol(":") && Self.hasBlock(tokens[start]))
        guard isEnd || token.kind == .indent || token.kind == .dedent else { continue }
        read(start..<index, of: tokens, source)
        start = index + 1
        depth = 0
      }
    }
  }

  private static func hasBlock(_ token: PythonToken) -> Bool {
    switch token.keyword {
    case .if, .elif, .else, .while, .for, .try, .except, .finally, .with, .def, .class, .async: true
    default: false
    }
  }

  /// Reads one statement, or the header of one.
  private mutating func read(_ range: Range<Int>, of tokens: [PythonToken], _ source: PythonTokens) {
    guard let first = range.first.map({ tokens[$0] }) else { return }
    switch first.keyword {
    case .import, .from:
      for index in range {
        if tokens[index].isSymbol("*") { hasStarImport = true }
        if tokens[index].kind == .name, tokens[index].keyword == nil {
          imported.insert(source.string(of: tokens[index]))
        }
      }
      return
    case .global, .nonlocal, .del: return countAll(range, tokens, source)
    default: break
    }
    if source.is(first, "case") || source.is(first, "match") { countAll(range, tokens, source) }
    let isHeader = first.keyword == .def || first.keyword == .async && tokens[range].dropFirst().first?.keyword == .def
    var depth = 0
    var begin = range.lowerBound
    var isSimple = true
    // Where the targets of `for` stand, the parameters of `lambda`, and what follows `as` in brackets.
    var isTarget = false
    var isParameter = false
    var aliasDepth = Int.max
    for index in range {
      let token = tokens[index]
      switch token.kind {
      case .name:
        switch token.keyword {
        case nil: break
        case .for: isTarget = true
        case .in: isTarget = false
        case .lambda: isParameter = true
        default: break
        }
        guard token.keyword == nil, index > range.lowerBound else { continue }
        let previous = tokens[index - 1]
        if previous.isSymbol(".") { continue }
        let follows = previous.isSymbol(",") || previous.isSymbol("*") || source.is(previous, "**")
        let isBound =
          isTarget || depth >= aliasDepth || previous.keyword == .as || previous.keyword == .def
          || previous.keyword == .class || isParameter && (follows || previous.keyword == .lambda)
          || isHeader && depth == 1 && (follows || previous.isSymbol("(") || previous.isSymbol("["))
          || index + 1 < range.upperBound && source.is(tokens[index + 1], ":=")
        if isBound { count(token, source) }
      case .operator:
        switch token.symbol {
        case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"):
          depth += 1
          if index > range.lowerBound, tokens[index - 1].keyword == .as { aliasDepth = min(aliasDepth, depth) }
        case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
          depth -= 1
          if depth < aliasDepth { aliasDepth = .max }
        case UInt8(ascii: ":"): isParameter = false
        case UInt8(ascii: "=") where depth == 0:
          readTarget(begin..<index, value: index + 1..<range.upperBound, isSimple: isSimple, tokens, source)
          begin = index + 1
          isSimple = false
        case 0 where depth == 0 && Self.isAugmented(token, source):
          countAll(begin..<index, tokens, source)
        default: break
        }
      default: break
      }
    }
  }

  private static func isAugmented(_ token: PythonToken, _ source: PythonTokens) -> Bool {
    guard source.bytes[token.end - 1] == UInt8(ascii: "=") else { return false }
    switch source.bytes[token.start] {
    case UInt8(ascii: "="), UInt8(ascii: "!"), UInt8(ascii: ":"): return false
    case UInt8(ascii: "<"), UInt8(ascii: ">"): return token.count == 3
    default: return true
    }
  }

  /// Reads what stands before a `=` outside of brackets: `name`, `name: type`, or more.
  private mutating func readTarget(
    _ target: Range<Int>, value: Range<Int>, isSimple: Bool, _ tokens: [PythonToken], _ source: PythonTokens
  ) {
    guard let first = target.first.map({ tokens[$0] }) else { return }
    let isName = first.kind == .name && first.keyword == nil
    guard isSimple, isName, target.count == 1 || tokens[target.lowerBound + 1].isSymbol(":") else {
      return countAll(target, tokens, source)
    }
    count(first, source)
    values[source.string(of: first)] = value
  }

  private mutating func countAll(_ range: Range<Int>, _ tokens: [PythonToken], _ source: PythonTokens) {
    for index in range where tokens[index].kind == .name && tokens[index].keyword == nil {
      if index > range.lowerBound, tokens[index - 1].isSymbol(".") { continue }
      // `a.b = …` and `a[b] = …` leave `a` what it is.
      if index + 1 < tokens.count, tokens[index + 1].isSymbol(".") || tokens[index + 1].isSymbol("[") { continue }
      count(tokens[index], source)
    }
  }

  private mutating func count(_ token: PythonToken, _ source: PythonTokens) {
    counts[source.string(of: token), default: 0] += 1
  }
}
