/// Reads ECMA-262 regular expressions: the part of them that can be matched in one pass.
struct PatternParser {
  private static let maximumDepth = 64

  private let scalars: [Unicode.Scalar]
  private var offset = 0

  init(_ source: String) {
    scalars = Array(source.unicodeScalars)
  }

  static func parse(_ source: String) throws(PatternError) -> PatternSyntax {
    var parser = PatternParser(source)
    let syntax = try parser.choice(depth: 0)
    if parser.next != nil { throw PatternError("')' closes nothing") }
    return syntax
  }

  private var next: Unicode.Scalar? { offset < scalars.count ? scalars[offset] : nil }

  private func startsHere(_ text: String) -> Bool {
    scalars[offset...].starts(with: text.unicodeScalars)
  }

  private mutating func take(_ text: String) -> Bool {
    guard startsHere(text) else { return false }
    offset += text.unicodeScalars.count
    return true
  }

  private mutating func choice(depth: Int) throws(PatternError) -> PatternSyntax {
    guard depth < Self.maximumDepth else { throw PatternError("groups are nested more than \(Self.maximumDepth) deep") }
    var alternatives = [try sequence(depth: depth)]
    while take("|") { alternatives.append(try sequence(depth: depth)) }
    return alternatives.count == 1 ? alternatives[0] : .choice(alternatives)
  }

  private mutating func sequence(depth: Int) throws(PatternError) -> PatternSyntax {
    var parts: [PatternSyntax] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      let start = offset
      let part = try atom(depth: depth)
      let end = offset
      guard let (minimum, maximum) = try quantifier() else {
        parts.append(part)
        continue
      }
      if case .assertion = part { throw PatternError("'\(text(start..<end))' cannot be repeated") }
      if let maximum, maximum < minimum { throw PatternError("the bounds of '\(text(end..<offset))' are out of order") }
      parts.append(.repetition(part, minimum: minimum, maximum: maximum))
    }
    return .sequence(parts)
  }

  private func text(_ range: Range<Int>) -> String {
    var text = String.UnicodeScalarView()
    text.append(contentsOf: scalars[range])
    return String(text)
  }

  private mutating func quantifier() throws(PatternError) -> (Int, Int?)? {
    let bounds: (Int, Int?)
    if take("*") {
      bounds = (0, nil)
    } else if take("+") {
      bounds = (1, nil)
    } else if take("?") {
      bounds = (0, 1)
    } else if let braces = braces() {
      bounds = braces
    } else {
      return nil
    }
    // Lazy: matches the same texts.
    _ = take("?")
    if let scalar = next, "*+?".unicodeScalars.contains(scalar) {
      throw PatternError("'\(scalar)' has nothing to repeat")
    }
    return bounds
  }

  /// `{2}`, `{2,}` or `{2,3}`; any other brace stands for itself.
  private mutating func braces() -> (Int, Int?)? {
    let start = offset
    if take("{"), let minimum = number() {
      if take("}") { return (minimum, minimum) }
      if take(",") {
        let maximum = number()
        if take("}") { return (minimum, maximum) }
      }
    }
    offset = start
    return nil
  }

  /// A decimal number; of one that is too large for anything, the largest.
  private mutating func number() -> Int? {
    let start = offset
    while let scalar = next, ("0"..."9").contains(scalar) { offset += 1 }
    return offset == start ? nil : Int(text(start..<offset)) ?? .max
  }

  private mutating func atom(depth: Int) throws(PatternError) -> PatternSyntax {
    if braces() != nil { throw PatternError("a number in braces has nothing to repeat") }
    guard let scalar = next else { return .sequence([]) }
    offset += 1
    switch scalar {
    case "^": return .assertion(.start)
    case "$": return .assertion(.end)
    case ".": return .set(ScalarSet.lineEnds.inverted)
    case "[": return .set(try characterClass())
    case "(": return try group(depth: depth)
    case "*", "+", "?": throw PatternError("'\(scalar)' has nothing to repeat")
    case "\\":
      if take("b") { return .assertion(.wordBoundary) }
      if take("B") { return .assertion(.noWordBoundary) }
      return .set(try escape(inClass: false))
    default: return .set(ScalarSet(scalar.value))
    }
  }

  private mutating func group(depth: Int) throws(PatternError) -> PatternSyntax {
    if startsHere("?"), !take("?:") {
      for (opening, name) in [("?=", "lookahead"), ("?!", "lookahead"), ("?<=", "lookbehind"), ("?<!", "lookbehind")]
      where startsHere(opening) {
        throw PatternError("'(\(opening)…)', \(name), is not supported")
      }
      guard take("?<") else { throw PatternError("'(?…)' with flags is not supported") }
      while let scalar = next, scalar != ">" {
        guard scalar == "_" || scalar == "$" || scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) else {
          throw PatternError("'\(scalar)' cannot stand in the name of a group")
        }
        offset += 1
      }
      guard take(">") else { throw PatternError("the name of a group is not closed") }
    }
    let content = try choice(depth: depth + 1)
    guard take(")") else { throw PatternError("'(' is not closed") }
    return content
  }

  private mutating func characterClass() throws(PatternError) -> ScalarSet {
    let isInverted = take("^")
    var ranges: [ClosedRange<UInt32>] = []
    while !take("]") {
      let first = try classMember()
      let start = offset
      if take("-"), next != nil, next != "]" {
        let last = try classMember()
        guard let low = first.single, let high = last.single else {
          // A set such as \d is no end of a range: the '-' stands for itself.
          ranges += first.ranges + last.ranges + [0x2d...0x2d]
          continue
        }
        guard low <= high else { throw PatternError("the range '\(text(start - 1..<offset))' is out of order") }
        ranges.append(low...high)
      } else {
        offset = start
        ranges += first.ranges
      }
    }
    let set = ScalarSet(ranges)
    return isInverted ? set.inverted : set
  }

  private mutating func classMember() throws(PatternError) -> ScalarSet {
    guard let scalar = next else { throw PatternError("'[' is not closed") }
    offset += 1
    guard scalar == "\\" else { return ScalarSet(scalar.value) }
    return try escape(inClass: true)
  }

  /// What stands after a backslash.
  private mutating func escape(inClass: Bool) throws(PatternError) -> ScalarSet {
    guard let scalar = next else { throw PatternError("the '\\' at the end escapes nothing") }
    offset += 1
    switch scalar {
    case "d": return .digits
    case "D": return ScalarSet.digits.inverted
    case "w": return .word
    case "W": return ScalarSet.word.inverted
    case "s": return .space
    case "S": return ScalarSet.space.inverted
    case "t": return ScalarSet(0x09)
    case "n": return ScalarSet(0x0a)
    case "v": return ScalarSet(0x0b)
    case "f": return ScalarSet(0x0c)
    case "r": return ScalarSet(0x0d)
    case "b" where inClass: return ScalarSet(0x08)
    case "0" where !(next.map { ("0"..."9").contains($0) } ?? false): return ScalarSet(0)
    case "x":
      if let value = hexadecimal(digits: 2) { return ScalarSet(value) }
    case "u":
      if let value = try codePoint() { return ScalarSet(value) }
    case "c":
      if let letter = next, ("a"..."z").contains(letter) || ("A"..."Z").contains(letter) {
        offset += 1
        return ScalarSet(letter.value & 0x1f)
      }
    case "p", "P": throw PatternError("'\\\(scalar)', a Unicode property, is not supported")
    case "k", "0"..."9": throw PatternError("'\\\(scalar)', a reference to a group, is not supported")
    case "A": throw PatternError("'\\A' is not ECMAScript; write '^'")
    case "z", "Z": throw PatternError("'\\\(scalar)' is not ECMAScript; write '$'")
    case "a"..."z", "A"..."Z": break
    default: return ScalarSet(scalar.value)
    }
    throw PatternError("'\\\(scalar)' is an escape that ECMAScript does not have")
  }

  private mutating func hexadecimal(digits: Int) -> UInt32? {
    guard scalars.count - offset >= digits,
      scalars[offset..<offset + digits].allSatisfy({ $0.isASCII && $0.properties.isASCIIHexDigit }),
      let value = UInt32(text(offset..<offset + digits), radix: 16)
    else { return nil }
    offset += digits
    return value
  }

  /// `41` `D83DDE00` written as two escapes, or `{1F600}`, after `\u`.
  private mutating func codePoint() throws(PatternError) -> UInt32? {
    let start = offset
    if take("{") {
      while let scalar = next, scalar.properties.isASCIIHexDigit { offset += 1 }
      guard let value = UInt32(text(start + 1..<offset), radix: 16), value <= 0x10ffff, take("}") else {
        throw PatternError("'\\u{…}' names no code point")
      }
      return value
    }
    guard let high = hexadecimal(digits: 4) else { return nil }
    guard (0xd800..<0xe000).contains(high) else { return high }
    if high < 0xdc00, take("\\u"), let low = hexadecimal(digits: 4), (0xdc00..<0xe000).contains(low) {
      return 0x10000 + (high - 0xd800) << 10 + (low - 0xdc00)
    }
    throw PatternError("half a surrogate pair matches nothing")
  }
}

extension ScalarSet {
  /// The code point, if there is just one.
  fileprivate var single: UInt32? {
    ranges.count == 1 && ranges[0].count == 1 ? ranges[0].lowerBound : nil
  }
}
