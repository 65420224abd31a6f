/// Appends values in the fixed little-endian forms of Purser's own formats.
public struct ByteWriter: Sendable {
  /// What has been written.
  public private(set) var bytes: [UInt8] = []

  /// Starts empty.
  public init() {}

  /// One byte.
  public mutating func append(byte: UInt8) {
    bytes.append(byte)
  }

  /// A fixed-width integer, least significant byte first.
  public mutating func append(littleEndian value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// The 32 bytes of a digest.
  public mutating func append(_ digest: Digest) {
    digest.withBytes { bytes.append(contentsOf: $0) }
  }

  /// A length (u64), then the bytes.
  public mutating func append(lengthPrefixed content: [UInt8]) {
    append(littleEndian: UInt64(content.count))
    bytes.append(contentsOf: content)
  }

  /// Bytes as they are.
  public mutating func append(_ content: [UInt8]) {
    bytes.append(contentsOf: content)
  }
}

/// Reads what ``ByteWriter`` wrote, from bytes that may be damaged: every read is bounds-checked and gives `nil`
/// beyond the end.
public struct ByteReader: Sendable {
  private let bytes: [UInt8]
  private var offset = 0

  /// Reads from the start of `bytes`.
  public init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// Whether everything has been read.
  public var isAtEnd: Bool { offset == bytes.count }

  /// One byte.
  public mutating func readByte() -> UInt8? {
    guard offset < bytes.count else { return nil }
    defer { offset += 1 }
    return bytes[offset]
  }

  /// A fixed-width little-endian integer.
  public mutating func readInteger<Value: FixedWidthInteger>() -> Value? {
    let width = MemoryLayout<Value>.size
    guard bytes.count - offset >= width else { return nil }
    defer { offset += width }
    return bytes.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
  }

  /// The 32 bytes of a digest.
  public mutating func readDigest() -> Digest? {
    guard bytes.count - offset >= Digest.byteCount else { return nil }
    defer { offset += Digest.byteCount }
    return bytes.withUnsafeBytes { Digest(bytes: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + 32])) }
  }

  /// As many bytes.
  public mutating func readBytes(_ count: Int) -> [UInt8]? {
    guard count >= 0, count <= bytes.count - offset else { return nil }
    defer { offset += count }
    return Array(bytes[offset..<offset + count])
  }

  /// A length and as many bytes.
  public mutating func readLengthPrefixed() -> [UInt8]? {
    guard let length: UInt64 = readInteger() else { return nil }
    return Int(exactly: length).flatMap { readBytes($0) }
  }
}
