import Glibc
import PurserModel

/// Every use that was met, each once, by number: thousands of files name the same modules.
final class UseTable {
  private(set) var uses: [References.Use] = []
  /// The encoded forms, one behind the other; of use `n` from `ends[n - 1]` to `ends[n]`.
  private var encoded: [UInt8] = []
  private var ends: [Int] = []
  /// Numbers plus one by hash, 0 for free; a power of two, at most half full.
  private var slots = [UInt32](repeating: 0, count: 1024)

  /// The number of a use in its encoded form; `nil` for bytes that are none.
  func number(_ bytes: UnsafeRawBufferPointer) -> Int? {
    let hash = Self.hash(bytes)
    var slot = hash & (slots.count - 1)
    while slots[slot] != 0 {
      let number = Int(slots[slot]) - 1
      if isEqual(number, bytes) { return number }
      slot = (slot + 1) & (slots.count - 1)
    }
    guard let use = References.Use(encoded: Array(bytes)) else { return nil }
    uses.append(use)
    encoded += bytes
    ends.append(encoded.count)
    slots[slot] = UInt32(uses.count)
    if 2 * uses.count > slots.count { grow() }
    return uses.count - 1
  }

  private func range(_ number: Int) -> Range<Int> { (number == 0 ? 0 : ends[number - 1])..<ends[number] }

  private func isEqual(_ number: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
    let range = range(number)
    guard range.count == bytes.count else { return false }
    return encoded.withUnsafeBytes { known in
      guard let left = known.baseAddress, let right = bytes.baseAddress else { return range.isEmpty }
      return memcmp(left + range.lowerBound, right, range.count) == 0
    }
  }

  private func grow() {
    slots = Array(repeating: 0, count: 2 * slots.count)
    for number in uses.indices {
      var slot = encoded.withUnsafeBytes { Self.hash(UnsafeRawBufferPointer(rebasing: $0[range(number)])) }
      slot &= slots.count - 1
      while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = UInt32(number + 1)
    }
  }

  /// FNV-1a by words of eight bytes, mixed: file names are no attack, and a collision costs a comparison.
  private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ UInt64(bytes.count)
    var offset = 0
    while offset + 8 <= bytes.count {
      hash = (hash ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x9e37_79b9_7f4a_7c15
      hash ^= hash >> 29
      offset += 8
    }
    while offset < bytes.count {
      hash = (hash ^ UInt64(bytes[offset])) &* 0x100_0000_01b3
      offset += 1
    }
    hash = (hash ^ hash >> 32) &* 0xd6e8_feb8_6659_fd93
    return Int(truncatingIfNeeded: hash >> 16)
  }
}
