/// The pattern of one path segment: no slash in it.
struct GlobName: Sendable, Hashable {
  enum Token: Sendable, Hashable {
    case byte(UInt8)
    case anyCharacter
    case anyRun
    /// Inclusive ranges of character values.
    case set([ClosedRange<UInt32>], negated: Bool)
  }

  /// The name that it stands for, when it stands for only one.
  let literal: [UInt8]?
  private let tokens: [Token]
  /// Hidden names match only a pattern that begins with a dot.
  private let beginsWithDot: Bool

  init(_ tokens: [Token]) {
    self.tokens = tokens
    beginsWithDot = tokens.first == .byte(UInt8(ascii: "."))
    var bytes: [UInt8]? = []
    for token in tokens {
      if case .byte(let byte) = token { bytes?.append(byte) } else { bytes = nil }
    }
    literal = bytes
  }

  /// Whether the name matches. At most O(name × pattern): on a mismatch only the last `*` takes one character more,
  /// which is enough, since whatever an earlier one could take, the last one can.
  func matches(_ name: UnsafeBufferPointer<UInt8>, hidden: Bool = false) -> Bool {
    if let literal { return name.elementsEqual(literal) }
    if !hidden && !beginsWithDot && name.first == UInt8(ascii: ".") { return false }
    var position = 0
    var token = 0
    var afterRun: (token: Int, position: Int)?
    while position < name.count || token < tokens.count {
      if token < tokens.count {
        if tokens[token] == .anyRun {
          token += 1
          afterRun = (token, position)
          continue
        }
        if let length = length(of: tokens[token], in: name, at: position) {
          position += length
          token += 1
          continue
        }
      }
      guard let run = afterRun, run.position < name.count else { return false }
      let next = run.position + Self.character(in: name, at: run.position).length
      afterRun = (run.token, next)
      (token, position) = (run.token, next)
    }
    return true
  }

  /// How many bytes of the name one token takes; `nil` for a mismatch.
  private func length(of token: Token, in name: UnsafeBufferPointer<UInt8>, at position: Int) -> Int? {
    guard position < name.count else { return nil }
    switch token {
    case .byte(let byte):
      return name[position] == byte ? 1 : nil
    case .anyCharacter:
      return Self.character(in: name, at: position).length
    case .set(let ranges, let negated):
      let character = Self.character(in: name, at: position)
      return ranges.contains { $0.contains(character.value) } != negated ? character.length : nil
    case .anyRun:
      return nil
    }
  }

  /// The UTF-8 character at a position, or the one byte there where it is not valid UTF-8 (with a value above all of
  /// Unicode's, so that it is no other character).
  static func character(in bytes: UnsafeBufferPointer<UInt8>, at position: Int) -> (value: UInt32, length: Int) {
    let first = bytes[position]
    if first < 0x80 { return (UInt32(first), 1) }
    let invalid = (0x11_0000 + UInt32(first), 1)
    let length: Int
    switch first {
    case 0xc2...0xdf: length = 2
    case 0xe0...0xef: length = 3
    case 0xf0...0xf4: length = 4
    default: return invalid
    }
    guard position + length <= bytes.count else { return invalid }
    var value = UInt32(first) & (0x7f >> UInt32(length))
    for offset in 1..<length {
      let byte = bytes[position + offset]
      guard byte & 0xc0 == 0x80 else { return invalid }
      value = value << 6 | UInt32(byte & 0x3f)
    }
    // Too long a form, a surrogate, or beyond Unicode: not UTF-8 (RFC 3629).
    let least: [UInt32] = [0, 0, 0x80, 0x800, 0x1_0000]
    guard value >= least[length], value <= 0x10_ffff, !(0xd800...0xdfff).contains(value) else { return invalid }
    return (value, length)
  }
}
