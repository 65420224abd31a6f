/// What string literals stand for.
enum PythonLiteral {
  /// The text of adjacent string tokens, joined, as UTF-8. `nil` if a token is no string, or a bytes literal or a formatted
  /// one, or where the text cannot be told (`\N{DASH}`, half of a surrogate pair).
  static func text(of tokens: some Sequence<PythonToken>, in source: PythonTokens) -> [UInt8]? {
    var text: [UInt8] = []
    for token in tokens {
      guard token.kind == .string, append(source.bytes, token.range, to: &text) else { return nil }
    }
    return text
  }

  private static func append(_ bytes: [UInt8], _ range: Range<Int>, to text: inout [UInt8]) -> Bool {
    var index = range.lowerBound
    var isRaw = false
    while index < range.upperBound, bytes[index] != UInt8(ascii: "'"), bytes[index] != UInt8(ascii: "\"") {
      switch bytes[index] | 0x20 {
      case UInt8(ascii: "r"): isRaw = true
      case UInt8(ascii: "u"): break
      default: return false
      }
      index += 1
    }
    let isTriple = range.upperBound - index >= 6 && bytes[index + 1] == bytes[index] && bytes[index + 2] == bytes[index]
    let end = range.upperBound - (isTriple ? 3 : 1)
    index += isTriple ? 3 : 1
    while index < end {
      let byte = bytes[index]
      if byte == UInt8(ascii: "\\"), !isRaw {
        guard let next = appendEscape(bytes, index + 1, end, to: &text) else { return false }
        index = next
      } else {
        // A line end is read as a line feed.
        if byte != UInt8(ascii: "\r") { text.append(byte) }
        index += 1
      }
    }
    return true
  }

  /// Appends what a backslash before `start` begins, and gives the index behind it.
  private static func appendEscape(_ bytes: [UInt8], _ start: Int, _ end: Int, to text: inout [UInt8]) -> Int? {
    guard start < end else { return nil }
    var index = start + 1
    switch bytes[start] {
    case UInt8(ascii: "\n"): break
    case UInt8(ascii: "\r"): index += 1
    case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): text.append(bytes[start])
    case UInt8(ascii: "a"): text.append(0x07)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0c)
    case UInt8(ascii: "n"): text.append(0x0a)
    case UInt8(ascii: "r"): text.append(0x0d)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "v"): text.append(0x0b)
    case UInt8(ascii: "0")...UInt8(ascii: "7"):
      // One to three octal digits.
      var value: UInt32 = 0
      index = start
      while index < min(start + 3, end), let digit = PythonEscapes.hexadecimal(bytes[index]), digit < 8 {
        value = value << 3 | digit
        index += 1
      }
      return append(value, to: &text) ? index : nil
    case UInt8(ascii: "x"): return appendScalar(bytes, start + 1, digits: 2, end, to: &text)
    case UInt8(ascii: "u"): return appendScalar(bytes, start + 1, digits: 4, end, to: &text)
    case UInt8(ascii: "U"): return appendScalar(bytes, start + 1, digits: 8, end, to: &text)
    case UInt8(ascii: "N"): return nil
    default:
      // Not an escape: the backslash stays.
      text.append(UInt8(ascii: "\\"))
      text.append(bytes[start])
    }
    return index
  }

  /// Appends the character whose number is written in so many hexadecimal digits, and gives the index behind them.
  private static func appendScalar(
    _ bytes: [UInt8], _ start: Int, digits: Int, _ end: Int, to text: inout [UInt8]
  ) -> Int? {
    guard start + digits <= end else { return nil }
    var value: UInt32 = 0
    for index in start..<start + digits {
      guard let digit = PythonEscapes.hexadecimal(bytes[index]) else { return nil }
      value = value << 4 | digit
    }
    return append(value, to: &text) ? start + digits : nil
  }

  private static func append(_ value: UInt32, to text: inout [UInt8]) -> Bool {
    guard let scalar = Unicode.Scalar(value) else { return false }
    text.append(contentsOf: String(Character(scalar)).utf8)
    return true
  }
}
