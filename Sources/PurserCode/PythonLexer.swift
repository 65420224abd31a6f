/// Splits a Python source into tokens, by one loop over its bytes; ``PythonTokens`` is its interface.
///
/// Nothing here calls itself: brackets, blocks and formatted strings stand on stacks, which are as deep as Python's own
/// at most.
struct PythonLexer {
  let bytes: UnsafeBufferPointer<UInt8>
  /// Where reading ends: the end of the source, or of what can be read of it.
  let end: Int
  /// What is wrong at `end`.
  let fault: PythonText.Fault?
  let keywords = PythonKeywordTable.shared

  var index: Int
  var line = 1
  var tokens: [PythonToken] = []
  /// Off while a formatted string is skipped.
  var keepsTokens = true
  var brackets: [Bracket] = []
  /// The formatted strings that `index` is in.
  var literals: [Literal] = []
  private var indents: [Indent] = [Indent(column: 0, alternative: 0)]

  /// Python's own limits.
  static let maximumBrackets = 200
  private static let maximumIndents = 100
  static let maximumLiterals = 100

  /// A bracket that is open.
  struct Bracket {
    let opener: UInt8
    /// Whether it is the brace of a field of a formatted string.
    let isField: Bool
    let line: Int
  }

  /// A width of indentation, with tabs to multiples of eight and with tabs of one.
  private struct Indent {
    var column: Int
    var alternative: Int
  }

  private init(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, fault: PythonText.Fault? = nil) {
    self.bytes = bytes
    end = range.upperBound
    index = range.lowerBound
    self.fault = fault
  }

  /// Reads a whole source; the tokens before the error, if there is one.
  static func run(over bytes: [UInt8]) -> (tokens: [PythonToken], error: PythonSyntaxError?) {
    bytes.withUnsafeBufferPointer { bytes in
      let text = PythonText(bytes)
      var lexer = PythonLexer(bytes, text.start..<text.end, fault: text.fault)
      do throws(PythonSyntaxError) {
        try lexer.readLines()
        return (lexer.tokens, nil)
      } catch {
        lexer.keepsTokens = true
        lexer.add(.endOfFile, from: lexer.index)
        return (lexer.tokens, error)
      }
    }
  }

  /// The tokens in the fields of a formatted string that was read before.
  static func fieldTokens(of token: PythonToken, in bytes: [UInt8]) -> [PythonToken] {
    bytes.withUnsafeBufferPointer { bytes in
      guard token.end <= bytes.count else { return [] }
      var lexer = PythonLexer(bytes, token.range)
      lexer.line = token.line
      while lexer.index < lexer.end, isNameByte(lexer.bytes[lexer.index]) { lexer.index += 1 }
      do throws(PythonSyntaxError) {
        try lexer.readFormattedString(prefix: token.start)
      } catch {
        // Cannot be: it was read before.
        return []
      }
      return lexer.tokens
    }
  }

  // MARK: - Parts that all share

  /// The byte at an offset; 0, which no source holds, at the end.
  @inline(__always)
  func byte(_ offset: Int) -> UInt8 { offset < end ? bytes[offset] : 0 }

  /// Appends the token that ends at `index`.
  mutating func add(_ kind: PythonToken.Kind, from start: Int, keyword: PythonKeyword? = nil, symbol: UInt8 = 0) {
    guard keepsTokens else { return }
    tokens.append(PythonToken(kind, start..<index, line: line, keyword: keyword, symbol: symbol))
  }

  func error(_ message: String) -> PythonSyntaxError { PythonSyntaxError(line: line, message) }

  /// Something is not complete when reading ends; what stopped the reading is the better explanation.
  func unfinished(_ message: String, line: Int) -> PythonSyntaxError {
    if let fault { return PythonSyntaxError(line: self.line, fault.message) }
    return PythonSyntaxError(line: line, message)
  }

  /// The number of bytes of the line end at an offset, or 0.
  @inline(__always)
  func lineEnd(_ offset: Int) -> Int {
    switch byte(offset) {
    case UInt8(ascii: "\n"): 1
    case UInt8(ascii: "\r"): byte(offset + 1) == UInt8(ascii: "\n") ? 2 : 0
    default: 0
    }
  }

  static func isNameStart(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"), 0x80...: true
    default: false
    }
  }

  static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

  static func isNameByte(_ byte: UInt8) -> Bool { isNameStart(byte) || isDigit(byte) }

  // MARK: - Lines

  private mutating func readLines() throws(PythonSyntaxError) {
    while index < end {
      guard try readIndentation() else { continue }
      try readLogicalLine()
    }
    if let fault { throw error(fault.message) }
    for _ in indents.dropFirst() { add(.dedent, from: index) }
    add(.endOfFile, from: index)
  }

  /// Reads what a line begins with; `false` if it is blank, and then it is over.
  private mutating func readIndentation() throws(PythonSyntaxError) -> Bool {
    var width = Indent(column: 0, alternative: 0)
    loop: while index < end {
      switch bytes[index] {
      case UInt8(ascii: " "):
        width.column += 1
        width.alternative += 1
      case UInt8(ascii: "\t"):
        width.column = (width.column / 8 + 1) * 8
        width.alternative += 1
      case 0x0c:
        width = Indent(column: 0, alternative: 0)
      default:
        break loop
      }
      index += 1
    }
    if index < end, bytes[index] == UInt8(ascii: "#") { skipComment() }
    guard index < end else { return false }
    let lineEnd = lineEnd(index)
    if lineEnd > 0 {
      index += lineEnd
      line += 1
      return false
    }
    // Whose width counts, that of this line or that of the next, depends on the version.
    guard bytes[index] != UInt8(ascii: "\\") else { throw error("a line begins with a backslash that joins lines") }
    try setIndentation(width)
    return true
  }

  private mutating func setIndentation(_ width: Indent) throws(PythonSyntaxError) {
    let mixed = "tabs and spaces are mixed in the indentation"
    var current = indents[indents.count - 1]
    if width.column > current.column {
      guard width.alternative > current.alternative else { throw error(mixed) }
      guard indents.count < Self.maximumIndents else { throw error("blocks are nested too deeply") }
      indents.append(width)
      add(.indent, from: index)
      return
    }
    while width.column < current.column {
      indents.removeLast()
      current = indents[indents.count - 1]
      add(.dedent, from: index)
    }
    guard width.column == current.column else { throw error("the indentation is that of no block around it") }
    guard width.alternative == current.alternative else { throw error(mixed) }
  }

  private mutating func readLogicalLine() throws(PythonSyntaxError) {
    while true {
      try skipSpace()
      guard index < end else {
        if let open = brackets.last {
          throw unfinished("'\(Character(UnicodeScalar(open.opener)))' is never closed", line: open.line)
        }
        if let fault { throw error(fault.message) }
        add(.newline, from: index)
        return
      }
      let lineEnd = lineEnd(index)
      if lineEnd > 0 {
        let start = index
        index += lineEnd
        if brackets.isEmpty {
          add(.newline, from: start)
          line += 1
          return
        }
        line += 1
      } else {
        try readToken()
        try readOpenLiterals()
      }
    }
  }

  private mutating func skipComment() {
    while index < end, bytes[index] != UInt8(ascii: "\n"), bytes[index] != UInt8(ascii: "\r") { index += 1 }
  }

  /// Skips what separates tokens of one line: blanks, comments, and line ends behind a backslash.
  mutating func skipSpace() throws(PythonSyntaxError) {
    while index < end {
      switch bytes[index] {
      case UInt8(ascii: " "), UInt8(ascii: "\t"), 0x0c:
        index += 1
      case UInt8(ascii: "#"):
        skipComment()
      case UInt8(ascii: "\\"):
        let lineEnd = lineEnd(index + 1)
        guard lineEnd > 0 else {
          if index + 1 >= end { throw unfinished("nothing follows a backslash that joins lines", line: line) }
          throw error("a backslash stands outside of a string")
        }
        index += 1 + lineEnd
        line += 1
        if index >= end { throw unfinished("nothing follows a backslash that joins lines", line: line - 1) }
      default:
        return
      }
    }
  }

  // MARK: - Tokens

  /// Reads one token at `index`, which is no space and no line end. Of a formatted string it only reads the opening
  /// quote, and puts it on `literals`.
  mutating func readToken() throws(PythonSyntaxError) {
    let start = index
    let first = bytes[index]
    if Self.isNameStart(first) {
      try readName()
    } else if Self.isDigit(first) || first == UInt8(ascii: ".") && Self.isDigit(byte(index + 1)) {
      try readNumber()
      add(.number, from: start)
    } else if first == UInt8(ascii: "\"") || first == UInt8(ascii: "'") {
      try readString(from: start)
    } else {
      try readOperator()
    }
  }

  /// Reads a name, a keyword, or a string with a prefix.
  private mutating func readName() throws(PythonSyntaxError) {
    let start = index
    var word: UInt64 = 0
    var isASCII = true
    while index < end {
      let byte = bytes[index]
      guard Self.isNameByte(byte) else { break }
      if byte >= 0x80 { isASCII = false }
      if index - start < 8 { word |= UInt64(byte) << UInt64(8 * (index - start)) }
      index += 1
    }
    let count = index - start
    if count <= 2, index < end, bytes[index] == UInt8(ascii: "\"") || bytes[index] == UInt8(ascii: "'") {
      if let prefix = StringPrefix(bytes[start], count == 2 ? bytes[start + 1] : 0) {
        if prefix.isFormatted { return try openLiteral(start: start, isRaw: prefix.isRaw) }
        return try readString(from: start)
      }
    }
    if !isASCII { try PythonCharacters.check(bytes, start..<index, line: line) }
    let keyword = PythonKeywordTable.lengths.contains(count) ? keywords.keyword(word) : nil
    add(.name, from: start, keyword: keyword)
  }

  /// What may stand before a quote: one of r, b, u, f, t, or r with b, f or t, in any order and case.
  private struct StringPrefix {
    let isRaw: Bool
    let isFormatted: Bool

    init?(_ first: UInt8, _ second: UInt8) {
      let (first, second) = (first | 0x20, second == 0 ? 0 : second | 0x20)
      let raw = UInt8(ascii: "r")
      isRaw = first == raw || second == raw
      let letter = second == 0 || second == raw ? first : second
      isFormatted = letter == UInt8(ascii: "f") || letter == UInt8(ascii: "t")
      switch letter {
      case UInt8(ascii: "f"), UInt8(ascii: "t"), UInt8(ascii: "b"):
        if second != 0 && (!isRaw || first == second) { return nil }
      case raw, UInt8(ascii: "u"):
        if second != 0 { return nil }
      default:
        return nil
      }
    }
  }

  /// Reads a string that is not a formatted one; `index` is at its first quote.
  private mutating func readString(from start: Int) throws(PythonSyntaxError) {
    let firstLine = line
    let quote = bytes[index]
    let isTriple = byte(index + 1) == quote && byte(index + 2) == quote
    index += isTriple ? 3 : 1
    while index < end {
      let byte = bytes[index]
      if byte == quote {
        if !isTriple || self.byte(index + 1) == quote && self.byte(index + 2) == quote {
          index += isTriple ? 3 : 1
          if keepsTokens { tokens.append(PythonToken(.string, start..<index, line: firstLine)) }
          return
        }
      } else if byte == UInt8(ascii: "\\") {
        // A carriage return is a part of the line end behind it.
        index += self.byte(index + 1) == UInt8(ascii: "\r") ? 2 : 1
        if self.byte(index) == UInt8(ascii: "\n") { line += 1 }
      } else if byte == UInt8(ascii: "\n") {
        if !isTriple { throw PythonSyntaxError(line: firstLine, "a string is not closed") }
        line += 1
      }
      index += 1
    }
    index = end
    throw unfinished("a string is not closed", line: firstLine)
  }

  private mutating func readOperator() throws(PythonSyntaxError) {
    let start = index
    let first = bytes[index]
    switch first {
    case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"):
      try open(first, isField: false)
      index += 1
      add(.operator, from: start, symbol: first)
    case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
      try close(first)
      index += 1
      add(.operator, from: start, symbol: first)
    default:
      let count = operatorLength(first)
      guard count > 0 else { throw PythonCharacters.error(bytes, at: index, end: end, line: line) }
      index += count
      add(.operator, from: start, symbol: count == 1 ? first : 0)
    }
  }

  /// How many bytes the longest operator at `index` has; 0 if there is none.
  private func operatorLength(_ first: UInt8) -> Int {
    let second = byte(index + 1)
    let equals = UInt8(ascii: "=")
    switch first {
    case UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "~"):
      return 1
    case UInt8(ascii: "."):
      return second == first && byte(index + 2) == first ? 3 : 1
    case UInt8(ascii: "*"), UInt8(ascii: "/"), UInt8(ascii: "<"), UInt8(ascii: ">"):
      if second == first { return byte(index + 2) == equals ? 3 : 2 }
      // `<>` is an operator of an odd future import.
      if first == UInt8(ascii: "<") && second == UInt8(ascii: ">") { return 2 }
      return second == equals ? 2 : 1
    case UInt8(ascii: "-"):
      return second == equals || second == UInt8(ascii: ">") ? 2 : 1
    case UInt8(ascii: "!"):
      return second == equals ? 2 : 0
    case UInt8(ascii: "="), UInt8(ascii: "+"), UInt8(ascii: "%"), UInt8(ascii: "&"), UInt8(ascii: "|"),
      UInt8(ascii: "^"), UInt8(ascii: "@"), UInt8(ascii: ":"):
      return second == equals ? 2 : 1
    default:
      return 0
    }
  }

  // MARK: - Brackets

  mutating func open(_ opener: UInt8, isField: Bool) throws(PythonSyntaxError) {
    guard brackets.count < Self.maximumBrackets else { throw error("brackets are nested too deeply") }
    brackets.append(Bracket(opener: opener, isField: isField, line: line))
  }

  private mutating func close(_ closer: UInt8) throws(PythonSyntaxError) {
    guard let open = brackets.last else { throw error("'\(Character(UnicodeScalar(closer)))' closes nothing") }
    let matches =
      switch open.opener {
      case UInt8(ascii: "("): closer == UInt8(ascii: ")")
      case UInt8(ascii: "["): closer == UInt8(ascii: "]")
      default: closer == UInt8(ascii: "}")
      }
    guard matches else {
      let opener = Character(UnicodeScalar(open.opener))
      throw error("'\(opener)' of line \(open.line) is closed by '\(Character(UnicodeScalar(closer)))'")
    }
    brackets.removeLast()
  }
}
