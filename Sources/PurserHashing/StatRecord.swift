import PurserModel

/// One entry of the stat cache: a state of a file, and its content's digest.
struct StatRecord: Sendable {
  var identity: FileIdentity
  var digest: Digest

  /// Bytes of a record in the file: ten words of content and one of checksum.
  static let byteCount = 88
  private static let checkedWords = 10

  /// Writes the record in file format.
  func encode(into bytes: UnsafeMutableRawPointer) {
    bytes.storeBytes(of: identity.device.littleEndian, toByteOffset: 0, as: UInt64.self)
    bytes.storeBytes(of: identity.inode.littleEndian, toByteOffset: 8, as: UInt64.self)
    bytes.storeBytes(of: identity.size.littleEndian, toByteOffset: 16, as: Int64.self)
    bytes.storeBytes(of: identity.modified.littleEndian, toByteOffset: 24, as: Int64.self)
    bytes.storeBytes(of: identity.changed.littleEndian, toByteOffset: 32, as: Int64.self)
    bytes.storeBytes(of: UInt64(identity.mode).littleEndian, toByteOffset: 40, as: UInt64.self)
    digest.withBytes { digest in
      UnsafeMutableRawBufferPointer(start: bytes + 48, count: Digest.byteCount).copyMemory(from: digest)
    }
    bytes.storeBytes(of: Self.checksum(bytes).littleEndian, toByteOffset: 80, as: UInt64.self)
  }

  /// Reads a record; `nil` where the checksum does not fit: torn, flipped, or never a record.
  init?(decoding bytes: UnsafeRawPointer) {
    guard UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 80, as: UInt64.self)) == Self.checksum(bytes) else {
      return nil
    }
    func word(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    guard
      let mode = UInt32(exactly: word(40)),
      let digest = Digest(bytes: UnsafeRawBufferPointer(start: bytes + 48, count: Digest.byteCount))
    else { return nil }
    self.init(
      identity: FileIdentity(
        device: word(0), inode: word(8), size: Int64(bitPattern: word(16)), mode: mode,
        modified: Int64(bitPattern: word(24)), changed: Int64(bitPattern: word(32))),
      digest: digest)
  }

  init(identity: FileIdentity, digest: Digest) {
    self.identity = identity
    self.digest = digest
  }

  private static func checksum(_ bytes: UnsafeRawPointer) -> UInt64 {
    var checksum = Checksum()
    checksum.add(words: UnsafeRawBufferPointer(start: bytes, count: checkedWords * 8))
    return checksum.value
  }
}
