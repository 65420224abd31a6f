/// A SHA-256 digest: 32 bytes, compared and sorted as unsigned bytes, written as 64 lower-case hex digits.
///
/// Four big-endian words instead of an array, so that a digest is a value without an allocation.
@frozen
public struct Digest: Sendable, Hashable {
  @usableFromInline let word0: UInt64
  @usableFromInline let word1: UInt64
  @usableFromInline let word2: UInt64
  @usableFromInline let word3: UInt64

  /// The number of bytes in a digest.
  public static var byteCount: Int { 32 }

  /// Reads 32 bytes; `nil` if there are more or fewer.
  @inlinable
  public init?(bytes: UnsafeRawBufferPointer) {
    guard bytes.count == Digest.byteCount else { return nil }
    word0 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
    word1 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    word2 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    word3 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
  }

  /// Reads 32 bytes; `nil` if there are more or fewer.
  @inlinable
  public init?(bytes: [UInt8]) {
    guard let digest = bytes.withUnsafeBytes({ Digest(bytes: $0) }) else { return nil }
    self = digest
  }

  /// Reads 64 hex digits of either case; `nil` for anything else.
  public init?(hex: some StringProtocol) {
    var text = String(hex)
    guard let digest = text.withUTF8({ Digest(hexDigits: UnsafeRawBufferPointer($0)) }) else { return nil }
    self = digest
  }

  /// Reads 64 hex digits of either case, in place: a record has three such columns, and there are 10,000 of them.
  package init?(hexDigits digits: UnsafeRawBufferPointer) {
    guard digits.count == 2 * Digest.byteCount else { return nil }
    var wrong: UInt64 = 0
    func word(_ number: Int) -> UInt64 {
      func half(_ offset: Int) -> UInt64 {
        Hex.value(ofEight: digits.loadUnaligned(fromByteOffset: number * 16 + offset, as: UInt64.self), &wrong)
      }
      return half(0) << 32 | half(8)
    }
    (word0, word1, word2, word3) = (word(0), word(1), word(2), word(3))
    if wrong != 0 { return nil }
  }

  /// Calls `body` with the 32 bytes.
  @inlinable
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    let words = (word0.bigEndian, word1.bigEndian, word2.bigEndian, word3.bigEndian)
    return try withUnsafeBytes(of: words, body)
  }

  /// The 32 bytes.
  public var bytes: [UInt8] { withBytes { Array($0) } }

  /// 64 lower-case hex digits.
  public var hex: String { withBytes { Hex.string($0) } }

  /// The first 12 hex digits, for tables and messages.
  public var short: String { String(hex.prefix(12)) }
}

extension Digest: Comparable {
  @inlinable
  public static func < (left: Digest, right: Digest) -> Bool {
    (left.word0, left.word1, left.word2, left.word3) < (right.word0, right.word1, right.word2, right.word3)
  }
}

extension Digest: CustomStringConvertible {
  public var description: String { hex }
}
