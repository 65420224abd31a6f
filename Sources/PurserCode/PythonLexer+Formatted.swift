extension PythonLexer {
  /// A formatted string that is open.
  struct Literal {
    let start: Int
    let line: Int
    let quote: UInt8
    let isTriple: Bool
    let isRaw: Bool
    /// What `index` is in.
    var part = Part.text
    /// Its fields that are open, one in the format specification of the other.
    var fields = 0

    enum Part {
      /// Between the fields, or in the format specification of the innermost one.
      case text
      /// In the expression of the innermost field.
      case expression
    }
  }

  /// Begins a formatted string; `index` is at its first quote.
  mutating func openLiteral(start: Int, isRaw: Bool) throws(PythonSyntaxError) {
    guard literals.count < Self.maximumLiterals else { throw error("formatted strings are nested too deeply") }
    let quote = bytes[index]
    let isTriple = byte(index + 1) == quote && byte(index + 2) == quote
    index += isTriple ? 3 : 1
    literals.append(Literal(start: start, line: line, quote: quote, isTriple: isTriple, isRaw: isRaw))
  }

  /// Reads a formatted string whose prefix begins at an offset and ends at `index`, and keeps the tokens of its fields.
  mutating func readFormattedString(prefix start: Int) throws(PythonSyntaxError) {
    let isRaw = (start..<index).contains { bytes[$0] | 0x20 == UInt8(ascii: "r") }
    try openLiteral(start: start, isRaw: isRaw)
    while !literals.isEmpty { try advance() }
  }

  /// Reads the formatted string that ``readToken()`` has begun, if it has, as one token.
  mutating func readOpenLiterals() throws(PythonSyntaxError) {
    guard let outermost = literals.first else { return }
    keepsTokens = false
    while !literals.isEmpty { try advance() }
    keepsTokens = true
    tokens.append(PythonToken(.formattedString, outermost.start..<index, line: outermost.line))
  }

  /// Goes on in the innermost literal, at least by one byte or one literal.
  private mutating func advance() throws(PythonSyntaxError) {
    switch literals[literals.count - 1].part {
    case .text: try readText()
    case .expression: try readExpression()
    }
  }

  private var notClosed: String { "a string is not closed" }

  // MARK: - Text

  /// Reads text up to a field, the end of the field that it specifies the format of, or the end of the literal.
  private mutating func readText() throws(PythonSyntaxError) {
    let literal = literals[literals.count - 1]
    while index < end {
      switch bytes[index] {
      case literal.quote:
        if !literal.isTriple || byte(index + 1) == literal.quote && byte(index + 2) == literal.quote {
          guard literal.fields == 0 else { throw error("a field of a formatted string is not closed") }
          index += literal.isTriple ? 3 : 1
          literals.removeLast()
          return
        }
        index += 1
      case UInt8(ascii: "{"):
        if literal.fields == 0, byte(index + 1) == UInt8(ascii: "{") {
          index += 2
        } else {
          return try openField()
        }
      case UInt8(ascii: "}"):
        if literal.fields > 0 { return closeField() }
        guard byte(index + 1) == UInt8(ascii: "}") else { throw error("a formatted string holds a single '}'") }
        index += 2
      case UInt8(ascii: "\\"):
        skipEscape(isRaw: literal.isRaw)
      case UInt8(ascii: "\n"):
        index += 1
        line += 1
        if literal.isTriple { continue }
        guard literal.fields > 0 else { throw PythonSyntaxError(line: literal.line, notClosed) }
        // Some versions let a line end finish a format specification; only the end of the field can follow.
        literals[literals.count - 1].part = .expression
        return
      default:
        index += 1
      }
    }
    index = end
    throw unfinished(notClosed, line: literal.line)
  }

  /// Skips a backslash and what it stands for; not a brace, which counts for the fields, except in `\N{DASH}`.
  private mutating func skipEscape(isRaw: Bool) {
    index += byte(index + 1) == UInt8(ascii: "\r") ? 2 : 1
    switch byte(index) {
    case UInt8(ascii: "{"), UInt8(ascii: "}"), 0:
      return
    case UInt8(ascii: "\n"):
      line += 1
      index += 1
    case UInt8(ascii: "N") where !isRaw && byte(index + 1) == UInt8(ascii: "{"):
      var offset = index + 2
      while Self.isNameByte(byte(offset)) || byte(offset) == UInt8(ascii: " ") || byte(offset) == UInt8(ascii: "-") {
        offset += 1
      }
      // Without a closing brace there, Python refuses the escape; the quote may still end the string.
      index = byte(offset) == UInt8(ascii: "}") ? offset + 1 : index + 2
    default:
      index += 1
    }
  }

  // MARK: - Fields

  private mutating func openField() throws(PythonSyntaxError) {
    try open(UInt8(ascii: "{"), isField: true)
    let start = index
    index += 1
    add(.operator, from: start, symbol: UInt8(ascii: "{"))
    literals[literals.count - 1].fields += 1
    literals[literals.count - 1].part = .expression
  }

  private mutating func closeField() {
    let start = index
    index += 1
    add(.operator, from: start, symbol: UInt8(ascii: "}"))
    brackets.removeLast()
    literals[literals.count - 1].fields -= 1
    literals[literals.count - 1].part = .text
  }

  /// Reads tokens of an expression until it ends or another literal begins.
  private mutating func readExpression() throws(PythonSyntaxError) {
    let depth = literals.count
    let literal = literals[depth - 1]
    while literals.count == depth {
      try skipSpace()
      guard index < end else { throw unfinished(notClosed, line: literal.line) }
      let lineEnd = lineEnd(index)
      if lineEnd > 0 {
        index += lineEnd
        line += 1
      } else if brackets[brackets.count - 1].isField {
        switch bytes[index] {
        case UInt8(ascii: "}"):
          return closeField()
        case UInt8(ascii: ":"):
          index += 1
          literals[depth - 1].part = .text
          return
        case UInt8(ascii: "!") where byte(index + 1) != UInt8(ascii: "="):
          // A conversion: `!r`.
          index += 1
          while Self.isNameByte(byte(index)) { index += 1 }
        case UInt8(ascii: "=") where byte(index + 1) != UInt8(ascii: "="):
          // What shows the expression too: `{x=}`.
          index += 1
        default:
          try readToken()
        }
      } else {
        try readToken()
      }
    }
  }
}
