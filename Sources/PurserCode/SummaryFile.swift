import Glibc
import PurserModel

/// The file of a ``SummaryCache`` as it was when it was opened. Read only.
///
/// Format, integers little-endian:
///
///     header   16 bytes: "PURSCODE", version u32, 0 u32
///     entry    kind u32, length u32, content digest (32), checksum u64, the summary, filled up to 8 bytes
///
/// Of two entries for one content and kind the later counts. Opening walks from entry to entry without a look at what
/// they say; an entry is returned only if its checksum fits.
struct SummaryFile: ~Copyable {
  static let headerSize = 16
  private static let entrySize = 48
  /// Marks the beginning of an entry, in the upper half of its kind.
  private static let mark: UInt32 = 0x5053_0000
  /// Files above are mapped, others read.
  private static let mapAbove = 256 * 1024

  private let bytes: UnsafeMutableRawBufferPointer
  private let isMapped: Bool
  /// Offsets of entries by hash, 0 for free; a power of two, at most half full.
  private var slots: [UInt32] = []
  private(set) var count = 0
  /// Whether the file is missing, not ours, damaged, or larger than it should get.
  private(set) var mustBeReplaced: Bool

  /// No file.
  init(mustBeReplaced: Bool) {
    bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    isMapped = false
    self.mustBeReplaced = mustBeReplaced
  }

  /// Opens the file; whatever cannot be used gives an empty one.
  ///
  /// - Parameter limit: bytes beyond which the file is to be written anew; beyond four times that it is not read.
  init(path: ByteString, version: UInt32, limit: Int) {
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW) }
    guard descriptor >= 0 else {
      self.init(mustBeReplaced: true)
      return
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size >= Self.headerSize,
      status.st_size <= min(4 * limit, Int(UInt32.max))
    else {
      self.init(mustBeReplaced: true)
      return
    }
    guard let bytes = Self.content(descriptor, Int(status.st_size)) else {
      self.init(mustBeReplaced: true)
      return
    }
    self.init(bytes: bytes, mustBeReplaced: bytes.count > limit)
    if bytes.starts(with: Self.header(version: version)) { index() } else { mustBeReplaced = true }
  }

  private init(bytes: UnsafeMutableRawBufferPointer, mustBeReplaced: Bool) {
    self.bytes = bytes
    isMapped = bytes.count > Self.mapAbove
    self.mustBeReplaced = mustBeReplaced
  }

  private static func content(_ descriptor: Int32, _ size: Int) -> UnsafeMutableRawBufferPointer? {
    if size > mapAbove {
      guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
        return nil
      }
      return UnsafeMutableRawBufferPointer(start: address, count: size)
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
    guard read(descriptor, buffer.baseAddress, size) == size else {
      buffer.deallocate()
      return nil
    }
    return buffer
  }

  deinit {
    if isMapped { munmap(bytes.baseAddress, bytes.count) } else { bytes.deallocate() }
  }

  static func header(version: UInt32) -> [UInt8] {
    var writer = ByteWriter()
    writer.append(Array("PURSCODE".utf8))
    writer.append(littleEndian: version)
    writer.append(littleEndian: UInt32(0))
    return writer.bytes
  }

  private mutating func index() {
    var offsets: [UInt32] = []
    var offset = Self.headerSize
    while offset < bytes.count {
      guard bytes.count - offset >= Self.entrySize, word(offset) & 0xffff_0000 == Self.mark,
        Int(word(offset + 4)) <= bytes.count - offset - Self.entrySize
      else {
        mustBeReplaced = true
        break
      }
      offsets.append(UInt32(offset))
      offset = (offset + Self.entrySize + Int(word(offset + 4)) + 7) & ~7
    }
    count = offsets.count
    var size = 16
    while size < 2 * count { size *= 2 }
    slots = Array(repeating: 0, count: size)
    for offset in offsets {
      var slot = self.slot(hash(Int(offset)))
      while slots[slot] != 0, !isSame(Int(slots[slot]), Int(offset)) { slot = (slot + 1) & (size - 1) }
      slots[slot] = offset
    }
  }

  private func word(_ offset: Int) -> UInt32 {
    UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  /// Digests are as good as random: eight bytes of one, and the kind.
  private func hash(_ offset: Int) -> UInt64 {
    bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self) ^ UInt64(word(offset) & 0xffff)
  }

  private func slot(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (slots.count - 1) }

  private func isSame(_ left: Int, _ right: Int) -> Bool {
    word(left) == word(right) && memcmp(at(left + 8), at(right + 8), Digest.byteCount) == 0
  }

  private func at(_ offset: Int) -> UnsafeRawPointer {
    guard let base = bytes.baseAddress else { preconditionFailure("an empty file has no entries") }
    return UnsafeRawPointer(base + offset)
  }

  /// The summary of a kind and a content; `nil` where there is none, or it is damaged.
  mutating func summary(_ kind: UInt32, _ digest: Digest) -> [UInt8]? {
    guard count > 0 else { return nil }
    let found = digest.withBytes { digest -> Int in
      var slot = self.slot(digest.loadUnaligned(as: UInt64.self) ^ UInt64(kind))
      while slots[slot] != 0 {
        let offset = Int(slots[slot])
        if word(offset) == Self.mark | kind,
          UnsafeRawBufferPointer(start: at(offset + 8), count: Digest.byteCount).elementsEqual(digest)
        {
          return offset
        }
        slot = (slot + 1) & (slots.count - 1)
      }
      return 0
    }
    guard found > 0 else { return nil }
    let content = UnsafeRawBufferPointer(start: at(found + Self.entrySize), count: Int(word(found + 4)))
    let sum = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: found + 40, as: UInt64.self))
    guard Self.checksum(UnsafeRawBufferPointer(start: at(found), count: 40), content) == sum else {
      mustBeReplaced = true
      return nil
    }
    return Array(content)
  }

  /// An entry as it stands in the file.
  static func append(_ kind: UInt32, _ digest: Digest, _ summary: [UInt8], to writer: inout ByteWriter) {
    var head = ByteWriter()
    head.append(littleEndian: mark | kind)
    head.append(littleEndian: UInt32(summary.count))
    head.append(digest)
    let sum = head.bytes.withUnsafeBytes { head in summary.withUnsafeBytes { checksum(head, $0) } }
    writer.append(head.bytes)
    writer.append(littleEndian: sum)
    writer.append(summary)
    writer.append(Array(repeating: 0, count: (8 - summary.count % 8) % 8))
  }

  /// Eight bytes at a time; against accidents, not against someone who may write the file.
  private static func checksum(_ head: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) -> UInt64 {
    var sum: UInt64 = 0x5055_5253_434f_4445
    func add(_ word: UInt64) {
      sum = (sum ^ word) &* 0x9e37_79b9_7f4a_7c15
      sum ^= sum >> 29
    }
    for bytes in [head, content] {
      var offset = 0
      while offset + 8 <= bytes.count {
        add(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
        offset += 8
      }
      var last: UInt64 = 0
      while offset < bytes.count {
        last = last << 8 | UInt64(bytes[offset])
        offset += 1
      }
      add(last)
    }
    return sum
  }
}
