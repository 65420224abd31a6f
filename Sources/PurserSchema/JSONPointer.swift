import PurserModel

/// JSON pointers (RFC 6901).
enum JSONPointer {
  /// A pointer with one more name at its end.
  static func appending(_ name: String, to pointer: String) -> String {
    var bytes = Array(pointer.utf8)
    bytes.append(UInt8(ascii: "/"))
    for byte in name.utf8 {
      switch byte {
      case UInt8(ascii: "~"): bytes += "~0".utf8
      case UInt8(ascii: "/"): bytes += "~1".utf8
      default: bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The pointer that these names make.
  static func pointer(to path: [String]) -> String {
    path.reduce("") { appending($1, to: $0) }
  }

  /// The text of a URI's fragment without its percent escapes; `nil` if they are wrong.
  static func unescaped(fragment: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = fragment.utf8.makeIterator()
    while let byte = rest.next() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.next().flatMap(Hex.value), let low = rest.next().flatMap(Hex.value) else { return nil }
      bytes.append(high << 4 | low)
    }
    return String(validating: bytes, as: UTF8.self)
  }

  /// Whether the text is a pointer: nothing, or names after slashes, with no escapes but `~0` and `~1`.
  static func isValid(_ text: String) -> Bool {
    guard text.isEmpty || text.utf8.first == UInt8(ascii: "/") else { return false }
    return text.utf8.split(separator: UInt8(ascii: "~"), omittingEmptySubsequences: false).dropFirst().allSatisfy {
      $0.first == UInt8(ascii: "0") || $0.first == UInt8(ascii: "1")
    }
  }
}
