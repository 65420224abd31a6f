/// One token of a Python source: 16 bytes that say where it stands and what it is.
package struct PythonToken: Sendable, Equatable {
  package enum Kind: UInt8, Sendable {
    /// A name or a keyword.
    case name = 1
    case number
    /// A string or bytes literal with its prefix and quotes.
    case string
    /// A literal with the prefix `f` or `t`, whole; ``PythonTokens/fieldTokens(of:)`` looks into it.
    case formattedString
    /// An operator, a bracket or a delimiter.
    case `operator`
    /// The end of a logical line; there is one at the end of the last line too, written or not.
    case newline
    /// No bytes: a line stands deeper than the one before it.
    case indent
    /// No bytes: one for each block that ends, before the first token after it.
    case dedent
    /// No bytes: the last token.
    case endOfFile
  }

  /// What it is.
  package let kind: Kind
  /// Which keyword a name is; `nil` for all others, and for soft keywords (`match`, `case`, `type`, `_`).
  package let keyword: PythonKeyword?
  /// The byte of an operator that has only one, 0 for all else: `token.symbol == UInt8(ascii: "(")`.
  package let symbol: UInt8
  private let startOffset: UInt32
  private let byteCount: UInt32
  private let lineNumber: UInt32

  /// The offset of its first byte.
  package var start: Int { Int(startOffset) }
  /// The offset after its last byte.
  package var end: Int { Int(startOffset) + Int(byteCount) }
  /// Its bytes.
  package var range: Range<Int> { start..<end }
  /// How many bytes it has.
  package var count: Int { Int(byteCount) }
  /// The line of its first byte, from 1.
  package var line: Int { Int(lineNumber) }

  init(_ kind: Kind, _ range: Range<Int>, line: Int, keyword: PythonKeyword? = nil, symbol: UInt8 = 0) {
    self.kind = kind
    self.keyword = keyword
    self.symbol = symbol
    startOffset = UInt32(truncatingIfNeeded: range.lowerBound)
    byteCount = UInt32(truncatingIfNeeded: range.count)
    lineNumber = UInt32(truncatingIfNeeded: line)
  }

  /// Whether it is the operator of this one byte.
  package func isSymbol(_ scalar: Unicode.Scalar) -> Bool { symbol != 0 && UInt32(symbol) == scalar.value }
}

/// The words that no variable can be named.
package enum PythonKeyword: UInt8, Sendable, CaseIterable {
  case `false` = 1
  case noneValue, `true`, and, `as`, assert, async, await, `break`, `class`, `continue`, def, del, elif, `else`, except
  case finally, `for`, from, global, `if`, `import`, `in`, `is`, lambda, nonlocal, not, or, pass, raise, `return`, `try`
  case `while`, with, yield

  /// As it is written.
  package var text: String {
    switch self {
    case .false: "False"
    case .noneValue: "None"
    case .true: "True"
    default: "\(self)"
    }
  }
}

/// Finds keywords by one multiplication and, as a rule, one comparison.
struct PythonKeywordTable {
  static let shared = PythonKeywordTable()
  /// The longest keyword has 8 bytes, so that each fits one word.
  static let lengths = 2...8

  private var words = [UInt64](repeating: 0, count: 256)
  private var keywords = [PythonKeyword?](repeating: nil, count: 256)

  init() {
    for keyword in PythonKeyword.allCases {
      var word: UInt64 = 0
      for byte in keyword.text.utf8.reversed() { word = word << 8 | UInt64(byte) }
      var slot = Self.slot(of: word)
      while words[slot] != 0 { slot = (slot + 1) & 255 }
      words[slot] = word
      keywords[slot] = keyword
    }
  }

  private static func slot(of word: UInt64) -> Int {
    Int(truncatingIfNeeded: (word &* 0x9e37_79b9_7f4a_7c15) >> 56)
  }

  /// The keyword whose bytes are those of `word`, the first one lowest.
  func keyword(_ word: UInt64) -> PythonKeyword? {
    var slot = Self.slot(of: word)
    while words[slot] != 0 {
      if words[slot] == word { return keywords[slot] }
      slot = (slot + 1) & 255
    }
    return nil
  }
}
