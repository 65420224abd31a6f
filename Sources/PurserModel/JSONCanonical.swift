// The canonical form of a JSON text: no white space; members sorted by the UTF-8 of their names, escapes resolved;
// strings with no escape that is not needed; integers as their digits; other numbers as below. Two texts of one value
// that differ in layout, order or spelling have one form. No two different values share one: nothing is rounded.

extension JSONText {
  /// The canonical form of one JSON text. O(size), but for the sorting of members.
  public static func canonical(_ text: String) throws(JSONError) -> String {
    let bytes = Array(text.utf8)
    if isPlain(bytes) { return text }
    var parser = JSONParser(bytes: bytes)
    let form = try parser.canonicalValue(depth: 0)
    try parser.finish()
    return String(decoding: form, as: UTF8.self)
  }

  /// Whether a text is of the kind that most items of lists are, and canonical as it stands: a string of ASCII without
  /// escapes, a whole number, or an object with one of these as its only member.
  private static func isPlain(_ text: [UInt8]) -> Bool {
    var rest = text[...]
    func take(_ byte: UInt8) -> Bool {
      guard rest.first == byte else { return false }
      rest.removeFirst()
      return true
    }
    let quote = UInt8(ascii: "\"")
    func takeString() -> Bool {
      guard take(quote) else { return false }
      while let byte = rest.popFirst() {
        if byte == quote { return true }
        guard (0x20...0x7e).contains(byte), byte != UInt8(ascii: "\\") else { return false }
      }
      return false
    }
    func takeValue() -> Bool {
      guard rest.first != quote else { return takeString() }
      let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      rest = rest.dropFirst(digits.count)
      return digits.count == 1 || digits.first.map { $0 != UInt8(ascii: "0") } ?? false
    }
    let isWhole =
      take(UInt8(ascii: "{"))
      ? takeString() && take(UInt8(ascii: ":")) && takeValue() && take(UInt8(ascii: "}")) : takeValue()
    return isWhole && rest.isEmpty
  }
}

extension JSONParser {
  fileprivate mutating func canonicalValue(depth: Int) throws(JSONError) -> [UInt8] {
    guard depth < Self.maximumDepth else { throw error("nested too deeply") }
    skipWhitespace()
    var form: [UInt8] = []
    switch next {
    case UInt8(ascii: "{"):
      let members = try members(depth: depth) { parser, depth throws(JSONError) in
        try parser.canonicalValue(depth: depth)
      }
      form.append(UInt8(ascii: "{"))
      for (index, member) in members.enumerated() {
        if index > 0 { form.append(UInt8(ascii: ",")) }
        JSON.write(member.name, to: &form)
        form.append(UInt8(ascii: ":"))
        form += member.value
      }
      form.append(UInt8(ascii: "}"))
    case UInt8(ascii: "["):
      let elements = try elements(depth: depth) { parser, depth throws(JSONError) in
        try parser.canonicalValue(depth: depth)
      }
      form.append(UInt8(ascii: "["))
      form += elements.joined(separator: [UInt8(ascii: ",")])
      form.append(UInt8(ascii: "]"))
    case UInt8(ascii: "\""): JSON.write(try parseString(), to: &form)
    case UInt8(ascii: "t"): form += try take("true", as: "true".utf8)
    case UInt8(ascii: "f"): form += try take("false", as: "false".utf8)
    case UInt8(ascii: "n"): form += try take("null", as: "null".utf8)
    case nil: throw error("the text ends where a value is expected")
    default:
      let (range, isInteger) = try scanNumber()
      let text = String(decoding: bytes[range], as: UTF8.self)
      form += (isInteger ? text == "-0" ? "0" : text : Self.canonicalFraction(text)).utf8
    }
    return form
  }

  /// A number with a fraction or an exponent: as Swift prints the nearest `Double`, if that is the very same decimal;
  /// else its digits in scientific form.
  private static func canonicalFraction(_ text: String) -> String {
    guard let decimal = Decimal(text) else { return text }
    if let double = Double(text), double.isFinite, Decimal(double.description) == decimal { return double.description }
    return decimal.description
  }
}

/// A decimal number of any length: `±0.digits × 10^exponent`, without zeros at either end. Zero keeps its sign, as a
/// `Double` does.
private struct Decimal: Equatable, CustomStringConvertible {
  var isNegative: Bool
  var digits: [UInt8]
  var exponent: Int

  /// Reads a number that follows JSON's grammar; `nil` where the exponent is beyond anything.
  init?(_ text: String) {
    let parts = text.utf8.split(maxSplits: 1, omittingEmptySubsequences: false) { $0 | 0x20 == UInt8(ascii: "e") }
    exponent = 0
    if parts.count == 2 {
      guard let value = Int(Substring(parts[1])), value.magnitude < 1 << 60 else { return nil }
      exponent = value
    }
    isNegative = parts[0].first == UInt8(ascii: "-")
    let mantissa = parts[0].drop { $0 == UInt8(ascii: "-") }
    let whole = mantissa.prefix { $0 != UInt8(ascii: ".") }
    digits = mantissa.filter { $0 != UInt8(ascii: ".") }
    exponent += whole.count
    let leading = digits.prefix { $0 == UInt8(ascii: "0") }.count
    digits.removeFirst(leading)
    exponent -= leading
    while digits.last == UInt8(ascii: "0") { digits.removeLast() }
    if digits.isEmpty { exponent = 0 }
  }

  var description: String {
    (isNegative ? "-" : "") + "0." + String(decoding: digits.isEmpty ? [UInt8(ascii: "0")] : digits, as: UTF8.self)
      + "e\(exponent)"
  }
}
