import CLinux
import Glibc
import PurserHashing
import PurserModel

/// A file of the store's folder that is derived from others, and replaced as a whole.
///
/// It begins with eight bytes that name its format and a checksum over all that follows (u64); then its version and five
/// numbers of its own (u32 each), and the key of what it holds for. Integers are little-endian.
enum StateFile {
  /// The format's name, as the bytes that a file begins with.
  enum Format: UInt64, CaseIterable {
    /// See ``PlanCache``.
    case plan = 0x4e41_4c50_5352_5550
    /// See ``KeptGraph``.
    case graph = 0x4850_5247_5352_5550
  }

  /// Where what the checksum is over begins.
  static let headerSize = 16
  /// Where the content begins, after the key.
  static let contentStart = 72

  /// The whole file, to be deallocated by the caller; `nil` where there is none, or none of that format and version, or a
  /// damaged one, or one that holds for something else.
  static func read(
    _ path: ByteString, _ format: Format, version: UInt32, key: Digest
  ) -> UnsafeRawBufferPointer? {
    guard let bytes = try? content(of: path) else { return nil }
    if isWhole(bytes), UInt64(littleEndian: bytes.load(as: UInt64.self)) == format.rawValue,
      bytes.count >= contentStart, number(in: bytes, at: headerSize) == version,
      Digest(bytes: UnsafeRawBufferPointer(rebasing: bytes[40..<contentStart])) == key
    {
      return bytes
    }
    bytes.deallocate()
    return nil
  }

  /// One of the numbers (u32); `offset` is a multiple of four.
  static func number(in bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
    Int(UInt32(littleEndian: bytes.load(fromByteOffset: offset, as: UInt32.self)))
  }

  /// Whether a file is none of these formats, of whatever version, or damaged; not so for one that is not there.
  static func isDamaged(_ path: ByteString) -> Bool {
    do {
      guard let bytes = try content(of: path) else { return false }
      defer { bytes.deallocate() }
      return !isWhole(bytes) || Format(rawValue: UInt64(littleEndian: bytes.load(as: UInt64.self))) == nil
    } catch {
      return true
    }
  }

  private struct Unreadable: Error {}

  /// `nil` for a file that cannot be opened.
  private static func content(of path: ByteString) throws(Unreadable) -> UnsafeRawBufferPointer? {
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_size >= headerSize, info.st_size < 1 << 31 else { throw Unreadable() }
    let size = Int(info.st_size)
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
    guard Glibc.read(descriptor, bytes.baseAddress, size) == size else {
      bytes.deallocate()
      throw Unreadable()
    }
    return UnsafeRawBufferPointer(bytes)
  }

  private static func isWhole(_ bytes: UnsafeRawBufferPointer) -> Bool {
    UInt64(littleEndian: bytes.load(fromByteOffset: 8, as: UInt64.self))
      == checksum(UnsafeRawBufferPointer(rebasing: bytes[headerSize...]))
  }

  /// Told apart from a damaged file, not from a forged one.
  static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var sum: UInt64 = 0x9e37_79b9_7f4a_7c15
    var offset = 0
    while offset + 8 <= bytes.count {
      sum =
        (sum ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))) &* 0x100_0000_01b3
      sum ^= sum >> 29
      offset += 8
    }
    while offset < bytes.count {
      sum = (sum ^ UInt64(bytes[offset])) &* 0x100_0000_01b3
      offset += 1
    }
    return sum
  }

  /// Writes a file of a format. Failing costs time later, nothing else.
  ///
  /// - Parameter bytes: the whole file; what it begins with is put in here.
  static func replace(_ path: ByteString, _ format: Format, with bytes: consuming [UInt8]) {
    let sum = bytes.withUnsafeBytes { Self.checksum(UnsafeRawBufferPointer(rebasing: $0[headerSize...])) }
    bytes.withUnsafeMutableBytes { bytes in
      bytes.storeBytes(of: format.rawValue.littleEndian, as: UInt64.self)
      bytes.storeBytes(of: sum.littleEndian, toByteOffset: 8, as: UInt64.self)
    }
    replace(path, in: path.parentPath, with: bytes)
  }

  /// Failing costs time later, nothing else. Where there is no store yet, none is made for this.
  static func replace(_ path: ByteString, in store: ByteString, with bytes: [UInt8]) {
    var unique: UInt64 = 0
    _ = purser_random(&unique, MemoryLayout.size(ofValue: unique))
    let folder = store.appending(path: "tmp")
    let temporary = folder.appending(path: path.lastPathComponent + ByteString("-" + String(unique, radix: 16)))
    let descriptor = temporary.withCString { open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600) }
    guard descriptor >= 0 else { return }
    let isWritten = (try? TemporaryFile.write(bytes, to: descriptor)) != nil
    close(descriptor)
    let isKept = isWritten && temporary.withCString { from in path.withCString { rename(from, $0) == 0 } }
    if !isKept { _ = temporary.withCString { unlink($0) } }
  }
}
