extension JSONText {
  /// The members of an object, each value as it stands in the text, sorted by the bytes of their names. O(size).
  ///
  /// - Throws: for anything but an object.
  public static func members(
    of bytes: some Collection<UInt8>
  ) throws(JSONError) -> [(name: String, value: String)] {
    var parser = JSONParser(bytes: Array(bytes))
    parser.skipWhitespace()
    guard parser.next == UInt8(ascii: "{") else { throw JSONError(offset: 0, message: "an object is expected") }
    let members = try parser.members(depth: 0) { parser, depth throws(JSONError) in try parser.text(depth: depth) }
    try parser.finish()
    return members
  }
}
