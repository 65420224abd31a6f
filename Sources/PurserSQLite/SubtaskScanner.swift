import Glibc
import PurserModel

/// Reads the text of a bin in one pass, without values in between: a list of 50,000 items has 100 bins of 150 KB.
///
/// It knows what bins hold, in any order and layout, and gives up on anything else: the general parser, which takes some
/// twenty times as long, then decides whether the text is JSON.
struct SubtaskScanner {
  private let text: UnsafeRawBufferPointer
  private var offset = 0
  /// Whether what was scanned is, to the byte, what ``Subtask/encoded(_:)`` writes for it, given that it is all ASCII.
  private(set) var isOurs = true

  init(_ text: UnsafeRawBufferPointer) {
    self.text = text
  }

  /// Appends the items; `false` for a text that is to be given to the general parser, when some may have been appended.
  mutating func scan(into items: inout [Subtask]) -> Bool {
    guard take("[") else { return false }
    if !take("]") {
      repeat {
        items.append(Subtask(index: -1, key: ""))
        guard scan(into: &items[items.count - 1]) else { return false }
      } while take(",")
      guard take("]") else { return false }
    }
    skipBlanks()
    return offset == text.count
  }

  private mutating func scan(into item: inout Subtask) -> Bool {
    guard take("{") else { return false }
    var hasKey = false
    // Places in our order of members, of which the first two are always there.
    var last = -1
    repeat {
      guard take("\""), let name = scanString(), take(":") else { return false }
      let place: Int
      switch (name.count, text[name.lowerBound]) {
      case (1, UInt8(ascii: "i")):
        guard let index = scanInteger() else { return false }
        item.index = index
        place = 0
      case (3, UInt8(ascii: "k")) where matches(name.lowerBound, "key"):
        guard take("\""), let key = scanText() else { return false }
        item.key = key
        hasKey = true
        place = 1
      case (9, UInt8(ascii: "s")) where matches(name.lowerBound, "startTime"):
        guard scan(into: &item.startTime) else { return false }
        place = 2
      case (7, UInt8(ascii: "e")) where matches(name.lowerBound, "endTime"):
        guard scan(into: &item.endTime) else { return false }
        place = 3
      case (10, UInt8(ascii: "o")) where matches(name.lowerBound, "outputHash"):
        guard scan(into: &item.outputHash) else { return false }
        place = 4
      case (6, UInt8(ascii: "s")) where matches(name.lowerBound, "status"):
        guard take("\""), let status = scanStatus() else { return false }
        item.status = status
        place = 5
      case (5, UInt8(ascii: "e")) where matches(name.lowerBound, "error"):
        guard scan(into: &item.error) else { return false }
        place = 6
      case (7, UInt8(ascii: "a")) where matches(name.lowerBound, "attempt"):
        guard let attempt = scanInteger() else { return false }
        item.attempt = attempt
        isOurs = isOurs && attempt > 0
        place = 7
      case (10, UInt8(ascii: "c")) where matches(name.lowerBound, "contentKey"):
        guard take("\""), let digits = scanString(),
          let digest = Digest(hexDigits: UnsafeRawBufferPointer(rebasing: text[digits]))
        else { return false }
        item.contentKey = digest
        isOurs = isOurs && !text[digits].contains { $0 < UInt8(ascii: "a") && $0 > UInt8(ascii: "9") }
        place = 8
      default: return false
      }
      isOurs = isOurs && last < place && (place >= 2 || last == place - 1)
      last = place
    } while take(",")
    return take("}") && hasKey && item.index >= 0
  }

  // MARK: Tokens

  private mutating func skipBlanks() {
    let start = offset
    defer { if offset > start { isOurs = false } }
    while offset < text.count, text[offset] <= 0x20,
      text[offset] == 0x20 || text[offset] == 0x0a || text[offset] == 0x0d || text[offset] == 0x09
    {
      offset += 1
    }
  }

  @inline(__always)
  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    if offset < text.count, text[offset] <= 0x20 { skipBlanks() }
    guard offset < text.count, text[offset] == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  /// Whether the text from `start` on is `name`.
  @inline(__always)
  private func matches(_ start: Int, _ name: StaticString) -> Bool {
    guard let base = text.baseAddress, text.count - start >= name.utf8CodeUnitCount else { return false }
    return memcmp(base + start, name.utf8Start, name.utf8CodeUnitCount) == 0
  }

  /// Digits that no `Int` can be too small for.
  private mutating func scanInteger() -> Int? {
    skipBlanks()
    let start = offset
    var value = 0
    while offset < text.count, text[offset] &- UInt8(ascii: "0") < 10, offset - start < 18 {
      value = value * 10 + Int(text[offset] &- UInt8(ascii: "0"))
      offset += 1
    }
    guard offset > start, offset - start == 1 || text[start] != UInt8(ascii: "0") else { return nil }
    return value
  }

  /// A string or null.
  private mutating func scan(into value: inout String?) -> Bool {
    if take("\"") {
      value = scanText()
      return value != nil
    }
    isOurs = false
    guard matches(offset, "null") else { return false }
    offset += 4
    value = nil
    return true
  }

  private mutating func scanStatus() -> Subtask.Status? {
    guard let start = scanString()?.lowerBound else { return nil }
    if matches(start, "done\"") { return .done }
    if matches(start, "running\"") { return .running }
    return matches(start, "failed\"") ? .failed : nil
  }

  /// What follows an opening quote, as text.
  private mutating func scanText() -> String? {
    let start = offset
    if let range = scanString() { return String(decoding: text[range], as: UTF8.self) }
    return scanEscapedText(from: start)
  }

  /// A string with escapes: kptn's client writes every character beyond ASCII so.
  private mutating func scanEscapedText(from start: Int) -> String? {
    isOurs = false
    offset = start
    while offset < text.count, text[offset] != UInt8(ascii: "\"") {
      offset += text[offset] == UInt8(ascii: "\\") ? 2 : 1
    }
    guard offset < text.count else { return nil }
    offset += 1
    return (try? JSON(parsing: text[start - 1..<offset]))?.string
  }

  /// Goes behind the closing quote and gives what is before it; `nil` at an escape or a control character. Eight bytes at
  /// a time: a byte that is zero after the exclusive or, or less than a blank, leaves its highest bit; bits above the
  /// first such byte mean nothing.
  private mutating func scanString() -> Range<Int>? {
    let start = offset
    let (ones, highs): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
    while text.count - offset >= 8 {
      let word = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      let quotes = word ^ (ones &* UInt64(UInt8(ascii: "\"")))
      let escapes = word ^ (ones &* UInt64(UInt8(ascii: "\\")))
      let hits =
        ((quotes &- ones) & ~quotes | (escapes &- ones) & ~escapes | (word &- (ones &* 0x20)) & ~word) & highs
      if hits != 0 {
        offset += hits.trailingZeroBitCount / 8
        break
      }
      offset += 8
    }
    while offset < text.count {
      let byte = text[offset]
      if byte == UInt8(ascii: "\"") {
        offset += 1
        return start..<offset - 1
      }
      if byte == UInt8(ascii: "\\") || byte < 0x20 { return nil }
      offset += 1
    }
    return nil
  }
}
