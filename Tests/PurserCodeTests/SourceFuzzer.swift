import PurserCode
import PurserModel
import Testing

/// Makes up and damages sources: the same in every run, so that a failure can be repeated (SplitMix64).
struct SourceFuzzer {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func number(below limit: Int) -> Int {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return Int((value ^ (value >> 31)) % UInt64(limit))
  }

  mutating func bytes(count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(number(below: 256)) }
  }

  /// Pieces in any order.
  mutating func mixture(of pieces: [String], count: Int) -> [UInt8] {
    (0..<count).flatMap { _ in Array(pieces[number(below: pieces.count)].utf8) }
  }

  /// The text after a few changes: bytes changed, taken out or doubled, and the end cut off.
  mutating func damaged(_ text: [UInt8]) -> [UInt8] {
    var text = text
    for _ in 0...number(below: 6) where !text.isEmpty {
      let position = number(below: text.count)
      switch number(below: 5) {
      case 0: text[position] = UInt8(number(below: 256))
      case 1: text.remove(at: position)
      case 2: text.insert(text[number(below: text.count)], at: position)
      case 3: text.removeSubrange(position..<min(text.count, position + number(below: 20)))
      default: if number(below: 4) == 0 { text.removeSubrange(position...) }
      }
    }
    return text
  }

  /// Reads a source, and checks what holds for any.
  static func check(_ bytes: [UInt8], in language: Language) {
    let references = References(of: bytes, in: language)
    let lines = bytes.count { $0 == UInt8(ascii: "\n") } + 1
    #expect(references.remarks.allSatisfy { (1...lines).contains($0.line) && !$0.message.isEmpty })
    #expect(Set(references.uses).count == references.uses.count)
    #expect(Set(references.remarks).count == references.remarks.count)
    for case .file(let path, _) in references.uses {
      #expect(!path.isEmpty && !path.bytes.contains(0))
    }
    #expect(references.uses.allSatisfy { if case .module = $0 { false } else { true } })
    #expect(references.exports.isEmpty)
  }
}
