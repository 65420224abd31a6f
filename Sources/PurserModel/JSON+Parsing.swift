/// Where and why a text is not JSON.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Offset of the offending byte from the start.
  public var offset: Int
  /// What was wrong there.
  public var message: String

  public var description: String { "not JSON at byte \(offset): \(message)" }
}

extension JSON {
  /// Reads one JSON text (RFC 8259, UTF-8); nothing but white space may follow it. Nesting is limited to 512 levels,
  /// so that hostile text cannot exhaust the stack. O(size).
  public init(parsing bytes: some Collection<UInt8>) throws(JSONError) {
    var parser = JSONParser(bytes: Array(bytes))
    self = try parser.parse()
  }
}

/// Goes through a JSON text. Shared by what reads values and what keeps texts as they are (see ``JSONText``).
struct JSONParser {
  static let maximumDepth = 512

  let bytes: [UInt8]
  var offset = 0

  mutating func parse() throws(JSONError) -> JSON {
    let value = try parseValue(depth: 0)
    skipWhitespace()
    guard offset == bytes.count else { throw error("something follows the value") }
    return value
  }

  func error(_ message: String) -> JSONError {
    JSONError(offset: offset, message: message)
  }

  var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  mutating func skipWhitespace() {
    while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { offset += 1 }
  }

  mutating func take(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    offset += 1
    return true
  }

  mutating func take<Value>(_ word: StaticString, as value: Value) throws(JSONError) -> Value {
    let matches = word.withUTF8Buffer { bytes[offset...].starts(with: $0) }
    guard matches else { throw error("unknown word") }
    offset += word.utf8CodeUnitCount
    return value
  }

  private mutating func parseValue(depth: Int) throws(JSONError) -> JSON {
    guard depth < Self.maximumDepth else { throw error("nested too deeply") }
    skipWhitespace()
    switch next {
    case UInt8(ascii: "{"): return try parseObject(depth: depth)
    case UInt8(ascii: "["): return try parseArray(depth: depth)
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "t"): return try take("true", as: .bool(true))
    case UInt8(ascii: "f"): return try take("false", as: .bool(false))
    case UInt8(ascii: "n"): return try take("null", as: .null)
    case nil: throw error("the text ends where a value is expected")
    default: return try parseNumber()
    }
  }

  private mutating func parseObject(depth: Int) throws(JSONError) -> JSON {
    offset += 1
    var members: [(String, JSON)] = []
    skipWhitespace()
    if take(UInt8(ascii: "}")) { return .object(members) }
    repeat {
      skipWhitespace()
      guard next == UInt8(ascii: "\"") else { throw error("a member's name is expected") }
      let name = try parseString()
      skipWhitespace()
      guard take(UInt8(ascii: ":")) else { throw error("':' is expected") }
      members.append((name, try parseValue(depth: depth + 1)))
      skipWhitespace()
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "}")) else { throw error("',' or '}' is expected") }
    return .object(members)
  }

  private mutating func parseArray(depth: Int) throws(JSONError) -> JSON {
    offset += 1
    var elements: [JSON] = []
    skipWhitespace()
    if take(UInt8(ascii: "]")) { return .array(elements) }
    repeat {
      elements.append(try parseValue(depth: depth + 1))
      skipWhitespace()
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "]")) else { throw error("',' or ']' is expected") }
    return .array(elements)
  }

  private mutating func parseNumber() throws(JSONError) -> JSON {
    let (range, isInteger) = try scanNumber()
    let text = String(decoding: bytes[range], as: UTF8.self)
    if isInteger, let value = Int64(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else { throw error("the number is out of range") }
    return .number(value)
  }

  /// Goes over one number of any size. An integer has neither fraction nor exponent.
  mutating func scanNumber() throws(JSONError) -> (range: Range<Int>, isInteger: Bool) {
    let start = offset
    _ = take(UInt8(ascii: "-"))
    let integerDigits = takeDigits()
    guard integerDigits > 0, integerDigits == 1 || bytes[offset - integerDigits] != UInt8(ascii: "0") else {
      throw error("a value is expected")
    }
    var isInteger = true
    if take(UInt8(ascii: ".")) {
      isInteger = false
      guard takeDigits() > 0 else { throw error("a digit is expected") }
    }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      isInteger = false
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      guard takeDigits() > 0 else { throw error("a digit is expected") }
    }
    return (start..<offset, isInteger)
  }

  private mutating func takeDigits() -> Int {
    let start = offset
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { offset += 1 }
    return offset - start
  }

  mutating func parseString() throws(JSONError) -> String {
    offset += 1
    if let text = takePlainString() { return text }
    var text: [UInt8] = []
    while let byte = next {
      offset += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let valid = String(validating: text, as: UTF8.self) else { throw error("the string is not UTF-8") }
        return valid
      case UInt8(ascii: "\\"): try parseEscape(into: &text)
      case 0..<0x20: throw error("a control character must be escaped")
      default: text.append(byte)
      }
    }
    throw error("the string does not end")
  }

  /// What follows up to the quote, if that is ASCII without escapes, as nearly every string is; else nothing is taken.
  private mutating func takePlainString() -> String? {
    let text = bytes.withUnsafeBufferPointer { bytes -> String? in
      var end = offset
      while end < bytes.count, bytes[end] != UInt8(ascii: "\"") {
        guard (0x20..<0x80).contains(bytes[end]), bytes[end] != UInt8(ascii: "\\") else { return nil }
        end += 1
      }
      guard end < bytes.count else { return nil }
      return String(decoding: UnsafeBufferPointer(rebasing: bytes[offset..<end]), as: UTF8.self)
    }
    if let text { offset += text.utf8.count + 1 }
    return text
  }

  private mutating func parseEscape(into text: inout [UInt8]) throws(JSONError) {
    guard let byte = next else { throw error("the string does not end") }
    offset += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0c)
    case UInt8(ascii: "n"): text.append(0x0a)
    case UInt8(ascii: "r"): text.append(0x0d)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      var code = try parseCodeUnit()
      if (0xd800..<0xdc00).contains(code), next == UInt8(ascii: "\\") {
        offset += 1
        guard take(UInt8(ascii: "u")) else { throw error("half a surrogate pair") }
        let low = try parseCodeUnit()
        guard (0xdc00..<0xe000).contains(low) else { throw error("half a surrogate pair") }
        code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw error("half a surrogate pair") }
      text.append(contentsOf: String(Character(scalar)).utf8)
    default: throw error("unknown escape")
    }
  }

  private mutating func parseCodeUnit() throws(JSONError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = next.flatMap(Hex.value) else { throw error("four hex digits are expected") }
      code = code << 4 | UInt32(digit)
      offset += 1
    }
    return code
  }
}
