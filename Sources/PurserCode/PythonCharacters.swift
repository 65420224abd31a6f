/// Which characters a name can have.
enum PythonCharacters {
  /// Refuses a name that holds a character which cannot be part of any: a quotation mark of a word processor, a
  /// no-break space, an arrow. What Unicode may add to later is let through.
  static func check(
    _ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, line: Int
  ) throws(PythonSyntaxError) {
    var index = range.lowerBound
    while index < range.upperBound {
      guard bytes[index] >= 0x80 else {
        index += 1
        continue
      }
      let (scalar, length) = scalar(bytes, at: index)
      guard isPossible(scalar) else { throw error(bytes, at: index, end: range.upperBound, line: line) }
      index += length
    }
  }

  private static func isPossible(_ scalar: Unicode.Scalar) -> Bool {
    let properties = scalar.properties
    if properties.isXIDContinue || properties.isIDContinue { return true }
    switch properties.generalCategory {
    case .spaceSeparator, .lineSeparator, .paragraphSeparator, .control, .mathSymbol, .currencySymbol,
      .modifierSymbol, .otherSymbol, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
      .finalPunctuation:
      return false
    default:
      return true
    }
  }

  /// What is wrong with the character at `index`.
  static func error(
    _ bytes: UnsafeBufferPointer<UInt8>, at index: Int, end: Int, line: Int
  ) -> PythonSyntaxError {
    let scalar = scalar(bytes, at: index).scalar
    if (0x21...0x7e).contains(scalar.value) {
      return PythonSyntaxError(line: line, "'\(Character(scalar))' stands where no '\(Character(scalar))' can")
    }
    let digits = String(scalar.value, radix: 16, uppercase: true)
    let code = "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    return PythonSyntaxError(line: line, "the character \(code) stands outside of strings and comments")
  }

  /// The character at an offset of valid UTF-8.
  private static func scalar(_ bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> (
    scalar: Unicode.Scalar, length: Int
  ) {
    let first = bytes[index]
    let length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
    var value = length == 1 ? UInt32(first) : UInt32(first) & (0x7f >> UInt32(length))
    for offset in 1..<max(length, 1) where index + offset < bytes.count {
      value = value << 6 | UInt32(bytes[index + offset] & 0x3f)
    }
    return (Unicode.Scalar(value) ?? "\u{fffd}", length)
  }
}
