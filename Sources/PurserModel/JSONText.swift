/// JSON texts that are looked into without being turned into values.
///
/// A number may have more digits than an `Int64` or a `Double`, and goes through here unchanged. An object that names a
/// member twice is refused: readers disagree about what it means.
public enum JSONText {
  /// The elements of a list, each as it stands in the text; for anything else, the one value. O(size).
  public static func elements(
    of bytes: some Collection<UInt8>
  ) throws(JSONError) -> (isList: Bool, elements: [String]) {
    var parser = JSONParser(bytes: Array(bytes))
    parser.skipWhitespace()
    let isList = parser.next == UInt8(ascii: "[")
    let elements =
      isList
      ? try parser.elements(depth: 0) { parser, depth throws(JSONError) in try parser.text(depth: depth) }
      : [try parser.text(depth: 0)]
    try parser.finish()
    return (isList, elements)
  }

  /// Whether these bytes are one JSON text, as ``elements(of:)`` has it.
  public static func isValid(_ bytes: some Collection<UInt8>) -> Bool {
    (try? elements(of: bytes)) != nil
  }
}

extension JSONParser {
  /// Nothing but white space may follow.
  mutating func finish() throws(JSONError) {
    skipWhitespace()
    guard offset == bytes.count else { throw error("something follows the value") }
  }

  /// One value as it stands there.
  mutating func text(depth: Int) throws(JSONError) -> String {
    skipWhitespace()
    let start = offset
    try skipValue(depth: depth)
    return String(decoding: bytes[start..<offset], as: UTF8.self)
  }

  private mutating func skipValue(depth: Int) throws(JSONError) {
    guard depth < Self.maximumDepth else { throw error("nested too deeply") }
    skipWhitespace()
    switch next {
    case UInt8(ascii: "{"):
      _ = try members(depth: depth) { parser, depth throws(JSONError) in try parser.skipValue(depth: depth) }
    case UInt8(ascii: "["):
      _ = try elements(depth: depth) { parser, depth throws(JSONError) in try parser.skipValue(depth: depth) }
    case UInt8(ascii: "\""): _ = try parseString()
    case UInt8(ascii: "t"): try take("true", as: ())
    case UInt8(ascii: "f"): try take("false", as: ())
    case UInt8(ascii: "n"): try take("null", as: ())
    case nil: throw error("the text ends where a value is expected")
    default: _ = try scanNumber()
    }
  }

  /// Goes through a list, each element by `body`.
  mutating func elements<Value>(
    depth: Int, _ body: (inout JSONParser, Int) throws(JSONError) -> Value
  ) throws(JSONError) -> [Value] {
    offset += 1
    var values: [Value] = []
    skipWhitespace()
    if take(UInt8(ascii: "]")) { return values }
    repeat {
      values.append(try body(&self, depth + 1))
      skipWhitespace()
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "]")) else { throw error("',' or ']' is expected") }
    return values
  }

  /// Goes through an object, each member's value by `body`; sorted by the bytes of the names, which must differ.
  mutating func members<Value>(
    depth: Int, _ body: (inout JSONParser, Int) throws(JSONError) -> Value
  ) throws(JSONError) -> [(name: String, value: Value)] {
    let start = offset
    offset += 1
    var members: [(name: String, value: Value)] = []
    skipWhitespace()
    if take(UInt8(ascii: "}")) { return members }
    repeat {
      skipWhitespace()
      guard next == UInt8(ascii: "\"") else { throw error("a member's name is expected") }
      let name = try parseString()
      skipWhitespace()
      guard take(UInt8(ascii: ":")) else { throw error("':' is expected") }
      members.append((name, try body(&self, depth + 1)))
      skipWhitespace()
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "}")) else { throw error("',' or '}' is expected") }
    // By bytes: for Swift's strings, "é" composed and decomposed are equal.
    members.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    for (left, right) in zip(members, members.dropFirst()) where left.name.utf8.elementsEqual(right.name.utf8) {
      throw JSONError(
        offset: start, message: "the object has two members named '\(ByteString(left.name).printable)'")
    }
    return members
  }
}
