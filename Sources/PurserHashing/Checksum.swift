/// Multiply and shift, word by word. Each step is one to one, so a change within one word is always caught, any other
/// with a chance of 1 in 2^64. It guards derived files against accidents, not against someone who may write them.
struct Checksum {
  private(set) var value: UInt64 = 0x5055_5253_4552_5331

  mutating func add(_ word: UInt64) {
    value = (value ^ word) &* 0x9e37_79b9_7f4a_7c15
    value ^= value >> 29
  }

  /// Adds little-endian words: whole ones.
  mutating func add(words bytes: UnsafeRawBufferPointer) {
    for offset in stride(from: 0, to: bytes.count, by: 8) {
      add(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
    }
  }
}
