extension PythonLexer {
  /// Reads a number: as many bytes as can belong to it.
  mutating func readNumber() throws(PythonSyntaxError) {
    if byte(index) == UInt8(ascii: "0") {
      switch byte(index + 1) | 0x20 {
      case UInt8(ascii: "x"): return try readDigits(radix: 16)
      case UInt8(ascii: "o"): return try readDigits(radix: 8)
      case UInt8(ascii: "b"): return try readDigits(radix: 2)
      default: break
      }
    }
    let start = index
    var isInteger = true
    if Self.isDigit(byte(index)) { try skipDecimals() }
    let integerEnd = index
    if byte(index) == UInt8(ascii: ".") {
      isInteger = false
      index += 1
      if Self.isDigit(byte(index)) { try skipDecimals() }
    }
    if byte(index) | 0x20 == UInt8(ascii: "e") {
      let sign = byte(index + 1)
      let length = sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") ? 2 : 1
      if Self.isDigit(byte(index + length)) {
        isInteger = false
        index += length
        try skipDecimals()
      }
    }
    if byte(index) | 0x20 == UInt8(ascii: "j") {
      isInteger = false
      index += 1
    }
    if isInteger, byte(start) == UInt8(ascii: "0") {
      for offset in start..<integerEnd where byte(offset) != UInt8(ascii: "0") && byte(offset) != UInt8(ascii: "_") {
        throw error("a number begins with 0")
      }
    }
    try checkEndOfNumber()
  }

  /// Skips digits with single underscores between them.
  private mutating func skipDecimals() throws(PythonSyntaxError) {
    while true {
      while Self.isDigit(byte(index)) { index += 1 }
      guard byte(index) == UInt8(ascii: "_") else { return }
      index += 1
      guard Self.isDigit(byte(index)) else { throw error("a number is not complete") }
    }
  }

  private mutating func readDigits(radix: UInt8) throws(PythonSyntaxError) {
    index += 2
    repeat {
      if byte(index) == UInt8(ascii: "_") { index += 1 }
      guard Self.isDigit(byte(index), radix: radix) else { throw error("a number is not complete") }
      while Self.isDigit(byte(index), radix: radix) { index += 1 }
    } while byte(index) == UInt8(ascii: "_")
    guard !Self.isDigit(byte(index)) else { throw error("a number holds a digit that its base does not have") }
    try checkEndOfNumber()
  }

  private static func isDigit(_ byte: UInt8, radix: UInt8) -> Bool {
    if radix < 16 { return byte &- UInt8(ascii: "0") < radix }
    return isDigit(byte) || (byte | 0x20) &- UInt8(ascii: "a") < 6
  }

  /// Only a few keywords may follow a number without a space: `1if x else 2`.
  private func checkEndOfNumber() throws(PythonSyntaxError) {
    guard Self.isNameByte(byte(index)) else { return }
    var word: UInt64 = 0
    var offset = index
    while offset - index < 5, Self.isNameByte(byte(offset)) {
      word |= UInt64(byte(offset)) << UInt64(8 * (offset - index))
      offset += 1
    }
    switch Self.isNameByte(byte(offset)) ? nil : keywords.keyword(word) {
    case .and, .else, .for, .if, .in, .is, .not, .or: return
    default: throw error("a name follows a number without a space")
    }
  }
}
