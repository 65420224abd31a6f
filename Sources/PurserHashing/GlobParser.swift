import PurserModel

/// Reads a pattern: braces first, then segments, then tokens.
struct GlobParser {
  let pattern: ByteString

  /// As long as a path may be (PATH_MAX): finding the end of braces takes time that grows with the square.
  private static let maximumLength = 4_096
  /// Alternatives that braces may make; more are an accident, or an attack.
  private static let maximumAlternatives = 1_024
  /// Segments of one alternative: their states fit one word.
  static let maximumSegments = 62

  func parse() throws(GlobError) -> [[Glob.Segment]] {
    guard !pattern.isEmpty else { throw error("is empty; name a file or a pattern such as 'data/*.csv'") }
    guard pattern.count <= Self.maximumLength else {
      throw error("is longer than \(Self.maximumLength) bytes; write a shorter one")
    }
    guard !pattern.bytes.contains(0) else { throw error("holds a NUL byte, which no path can") }
    var waiting = [pattern.bytes]
    var done: [[Glob.Segment]] = []
    while let next = waiting.popLast() {
      if let alternatives = firstBraces(in: next) {
        waiting += alternatives
        guard waiting.count + done.count <= Self.maximumAlternatives else {
          throw error("has braces that stand for more than \(Self.maximumAlternatives) patterns; write fewer")
        }
      } else {
        done.append(try segments(of: next))
      }
    }
    return done
  }

  private func error(_ message: String) -> GlobError {
    GlobError(pattern: pattern, message: message)
  }

  /// The pattern with its first `{a,b}` replaced by each choice; `nil` without one. Braces without a comma, or that
  /// are not closed, are ordinary characters.
  private func firstBraces(in bytes: [UInt8]) -> [[UInt8]]? {
    var index = 0
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "\\"):
        index += 1
      case UInt8(ascii: "["):
        index = endOfSet(in: bytes, from: index) ?? index
      case UInt8(ascii: "{"):
        if let found = choices(in: bytes, from: index) {
          return found.choices.map { Array(bytes[..<index]) + $0 + bytes[(found.end + 1)...] }
        }
      default:
        break
      }
      index += 1
    }
    return nil
  }

  private func choices(in bytes: [UInt8], from start: Int) -> (choices: [ArraySlice<UInt8>], end: Int)? {
    var depth = 0
    var index = start
    var begin = start + 1
    var choices: [ArraySlice<UInt8>] = []
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "\\"):
        index += 1
      case UInt8(ascii: "["):
        index = endOfSet(in: bytes, from: index) ?? index
      case UInt8(ascii: "{"):
        depth += 1
      case UInt8(ascii: ",") where depth == 1:
        choices.append(bytes[begin..<index])
        begin = index + 1
      case UInt8(ascii: "}"):
        depth -= 1
        if depth == 0 {
          choices.append(bytes[begin..<index])
          return choices.count > 1 ? (choices, index) : nil
        }
      default:
        break
      }
      index += 1
    }
    return nil
  }

  /// The index of the `]` that ends the set which begins at `start`.
  private func endOfSet(in bytes: [UInt8], from start: Int) -> Int? {
    var index = start + 1
    if index < bytes.count, bytes[index] == UInt8(ascii: "!") || bytes[index] == UInt8(ascii: "^") { index += 1 }
    if index < bytes.count, bytes[index] == UInt8(ascii: "]") { index += 1 }
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "]") { return index }
      if bytes[index] == UInt8(ascii: "/") { return nil }
      index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
    }
    return nil
  }

  private func segments(of bytes: [UInt8]) throws(GlobError) -> [Glob.Segment] {
    var segments: [Glob.Segment] = []
    for part in bytes.split(separator: UInt8(ascii: "/")) where part != [UInt8(ascii: ".")] {
      if part.count == 2 && part.allSatisfy({ $0 == UInt8(ascii: "*") }) {
        if segments.last != .anyFolders { segments.append(.anyFolders) }
      } else {
        segments.append(.name(GlobName(try tokens(of: Array(part)))))
      }
    }
    // `a/**` is everything below a, not a itself.
    if segments.last == .anyFolders { segments.append(.name(GlobName([.anyRun]))) }
    guard !segments.isEmpty else { throw error("names no file; name one, or a pattern such as 'data/*.csv'") }
    guard segments.count <= Self.maximumSegments else {
      throw error("has more than \(Self.maximumSegments) segments; write a shorter one")
    }
    return segments
  }

  private func tokens(of part: [UInt8]) throws(GlobError) -> [GlobName.Token] {
    var tokens: [GlobName.Token] = []
    var index = 0
    while index < part.count {
      switch part[index] {
      case UInt8(ascii: "*"):
        if tokens.last != .anyRun { tokens.append(.anyRun) }
      case UInt8(ascii: "?"):
        tokens.append(.anyCharacter)
      case UInt8(ascii: "["):
        guard let end = endOfSet(in: part, from: index) else {
          throw error("has a '[' that is not closed; close it with ']', or write '\\[' for the character")
        }
        tokens.append(try set(Array(part[(index + 1)..<end])))
        index = end
      case UInt8(ascii: "\\"):
        index += 1
        guard index < part.count else { throw error("ends a segment with a backslash; write '\\\\' for the character") }
        tokens.append(.byte(part[index]))
      default:
        tokens.append(.byte(part[index]))
      }
      index += 1
    }
    return tokens
  }

  private func set(_ content: [UInt8]) throws(GlobError) -> GlobName.Token {
    let negated = content.first == UInt8(ascii: "!") || content.first == UInt8(ascii: "^")
    var characters: [(value: UInt32, isEscaped: Bool)] = []
    content.withUnsafeBufferPointer { bytes in
      var index = negated ? 1 : 0
      while index < bytes.count {
        let isEscaped = bytes[index] == UInt8(ascii: "\\") && index + 1 < bytes.count
        if isEscaped { index += 1 }
        let character = GlobName.character(in: bytes, at: index)
        characters.append((character.value, isEscaped))
        index += character.length
      }
    }
    var ranges: [ClosedRange<UInt32>] = []
    var index = 0
    while index < characters.count {
      let low = characters[index].value
      if index + 2 < characters.count, characters[index + 1] == (UInt32(UInt8(ascii: "-")), false) {
        let high = characters[index + 2].value
        guard low <= high else { throw error("has a set whose range runs backwards; write the lower end first") }
        ranges.append(low...high)
        index += 3
      } else {
        ranges.append(low...low)
        index += 1
      }
    }
    return .set(ranges, negated: negated)
  }
}
