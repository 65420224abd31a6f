/// A path or pattern of a pipeline file, as far as a check before any run can tell: `${NAME}` may be anything.
///
/// A simpler reading than that of the globs which a run expands: `{a,b}` is not followed, hidden names match like
/// others. It serves warnings only.
struct PathPattern: Hashable {
  /// Without `./`, doubled slashes and a slash at the end.
  let text: String
  /// Whether it is a pattern: it has a `*`, a `?`, a `[` or a variable.
  let isPattern: Bool

  init(_ source: String) {
    var source = source
    var isPattern = false
    let isPlain = source.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "*"), UInt8(ascii: "?"), UInt8(ascii: "["), UInt8(ascii: "$"), UInt8(ascii: "."),
        UInt8(ascii: "/"):
        false
      default: true
      }
    }
    if !isPlain {
      var bytes = Self.withoutVariables(Array(source.utf8), &isPattern)
      if Self.needsNormalising(bytes) { bytes = Self.normalised(bytes) }
      source = String(decoding: bytes, as: UTF8.self)
    }
    text = source
    self.isPattern = isPattern
  }

  /// Puts `*` in place of each `${NAME}`, and notices other wildcards.
  private static func withoutVariables(_ bytes: [UInt8], _ isPattern: inout Bool) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      if byte == UInt8(ascii: "$"), index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "{"),
        let end = bytes[index...].firstIndex(of: UInt8(ascii: "}"))
      {
        isPattern = true
        if result.last != UInt8(ascii: "*") { result.append(UInt8(ascii: "*")) }
        index = end + 1
        continue
      }
      if byte == UInt8(ascii: "*") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "[") { isPattern = true }
      result.append(byte)
      index += 1
    }
    return result
  }

  private static func needsNormalising(_ bytes: [UInt8]) -> Bool {
    var previous = UInt8(ascii: "/")
    for (index, byte) in bytes.enumerated() {
      if byte == UInt8(ascii: "/"), previous == byte, index > 0 { return true }
      let endsSegment = index + 1 == bytes.count || bytes[index + 1] == UInt8(ascii: "/")
      if byte == UInt8(ascii: "."), previous == UInt8(ascii: "/"), endsSegment { return true }
      previous = byte
    }
    return bytes.count > 1 && previous == UInt8(ascii: "/")
  }

  private static func normalised(_ bytes: [UInt8]) -> [UInt8] {
    let segments = bytes.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual([UInt8(ascii: ".")]) }
    let root = bytes.first == UInt8(ascii: "/") ? [UInt8(ascii: "/")] : []
    let path = root + segments.joined(separator: [UInt8(ascii: "/")])
    return path.isEmpty ? [UInt8(ascii: ".")] : path
  }

  /// The folders that a path lies in, the nearest first.
  static func ancestors(of path: String) -> some Sequence<String> {
    sequence(state: path.utf8.endIndex) { end -> String? in
      guard let slash = path.utf8[..<end].lastIndex(of: UInt8(ascii: "/")), slash > path.startIndex else { return nil }
      end = slash
      return String(path[..<slash])
    }
  }

  /// The folder that everything which the pattern matches lies below; empty for the root.
  var literalFolder: String {
    let special = text.utf8.firstIndex {
      $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "[")
    }
    guard let slash = text.utf8[..<(special ?? text.endIndex)].lastIndex(of: UInt8(ascii: "/")) else { return "" }
    return String(text[..<slash])
  }
}

/// Matches paths against one pattern.
struct PathMatcher {
  private enum Token {
    case byte(UInt8)
    /// `?`, or a set: one byte, no slash.
    case one
    /// `*`: no slash.
    case some
    /// `**`: anything.
    case any
  }

  private var tokens: [Token] = []

  init(_ pattern: PathPattern) {
    let bytes = Array(pattern.text.utf8)
    var index = 0
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "*"):
        let run = bytes[index...].prefix { $0 == UInt8(ascii: "*") }.count
        index += run
        let startsSegment = index == run || bytes[index - run - 1] == UInt8(ascii: "/")
        if run == 2, startsSegment, index < bytes.count, bytes[index] == UInt8(ascii: "/") {
          // `**/` may stand for no folder.
          index += 1
          tokens.append(.any)
        } else {
          tokens.append(run == 2 && startsSegment ? .any : .some)
        }
        continue
      case UInt8(ascii: "["):
        if let end = bytes[min(index + 2, bytes.count)...].firstIndex(of: UInt8(ascii: "]")) {
          tokens.append(.one)
          index = end + 1
          continue
        }
        tokens.append(.byte(bytes[index]))
      case UInt8(ascii: "?"): tokens.append(.one)
      case let byte: tokens.append(.byte(byte))
      }
      index += 1
    }
  }

  /// O(path × pattern).
  func matches(_ path: String) -> Bool {
    var states = [Bool](repeating: false, count: tokens.count + 1)
    states[0] = true
    close(&states)
    for byte in path.utf8 {
      var next = [Bool](repeating: false, count: tokens.count + 1)
      var isAlive = false
      for index in tokens.indices where states[index] {
        switch tokens[index] {
        case .byte(byte): next[index + 1] = true
        case .one where byte != UInt8(ascii: "/"): next[index + 1] = true
        case .some where byte != UInt8(ascii: "/"), .any: next[index] = true
        default: continue
        }
        isAlive = true
      }
      guard isAlive else { return false }
      close(&next)
      states = next
    }
    return states[tokens.count]
  }

  private func close(_ states: inout [Bool]) {
    for index in tokens.indices where states[index] {
      switch tokens[index] {
      case .some, .any: states[index + 1] = true
      default: continue
      }
    }
  }
}
