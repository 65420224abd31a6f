/// Looks at what a string literal holds, as far as Python refuses a program for it.
enum PythonEscapes {
  /// Whether a literal is one of bytes, by its prefix.
  static func isBytes(_ source: [UInt8], _ range: Range<Int>) -> Bool {
    for byte in source[range].prefix(2) {
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { return false }
      if byte | 0x20 == UInt8(ascii: "b") { return true }
    }
    return false
  }

  /// What is wrong with the string literal that stands in a range; `nil` if nothing is. O(its bytes).
  static func error(in source: [UInt8], _ range: Range<Int>) -> String? {
    source.withUnsafeBufferPointer { bytes in
      var start = range.lowerBound
      var isRaw = false
      var isBytes = false
      while start < range.upperBound, PythonLexer.isNameStart(bytes[start]) {
        isRaw = isRaw || bytes[start] | 0x20 == UInt8(ascii: "r")
        isBytes = isBytes || bytes[start] | 0x20 == UInt8(ascii: "b")
        start += 1
      }
      if isBytes, bytes[start..<range.upperBound].contains(where: { $0 >= 0x80 }) {
        return "a bytes literal holds a character that is not ASCII"
      }
      return isRaw || isSound(bytes, start..<range.upperBound, isBytes: isBytes)
        ? nil : "a string holds an incomplete escape"
    }
  }

  /// Whether the escapes that need so many digits have them.
  private static func isSound(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, isBytes: Bool) -> Bool {
    var index = range.lowerBound
    while index < range.upperBound {
      guard bytes[index] == UInt8(ascii: "\\"), index + 1 < range.upperBound else {
        index += 1
        continue
      }
      let digits: Int
      switch bytes[index + 1] {
      case UInt8(ascii: "x"): digits = 2
      case UInt8(ascii: "u") where !isBytes: digits = 4
      case UInt8(ascii: "U") where !isBytes: digits = 8
      case UInt8(ascii: "N") where !isBytes:
        // The name itself is Python's to know.
        guard index + 2 < range.upperBound, bytes[index + 2] == UInt8(ascii: "{"),
          let end = bytes[index + 3..<range.upperBound].firstIndex(of: UInt8(ascii: "}"))
        else { return false }
        index = end + 1
        continue
      default: digits = 0
      }
      index += 2
      guard index + digits < range.upperBound else { return false }
      var value: UInt32 = 0
      for _ in 0..<digits {
        guard let digit = hexadecimal(bytes[index]) else { return false }
        value = value << 4 | digit
        index += 1
      }
      if value > 0x10ffff { return false }
    }
    return true
  }

  /// The value of a digit.
  static func hexadecimal(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }
}
