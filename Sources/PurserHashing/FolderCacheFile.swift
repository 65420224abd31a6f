import Glibc
import PurserModel

/// The folder cache's file as it was when it was opened. Read only.
///
/// Format, version 1; all integers little-endian. The file is a row of parts, each as one save wrote it:
///
///     header   32 bytes: "PURLIST\n", version u32, number of folders u32, bytes of the part u64, checksum u64
///     index    by ascending (device, inode), each pair once; ten 64-bit words: device, inode, size, modified, changed,
///              mode, where the names begin in the part, their bytes, their number, checksum of these and of the names
///     names    of each folder: of each entry a byte that says what it is, the name, a NUL; then NULs up to 8 bytes
///
/// What it guarantees: names are returned only where their checksum fits, for exactly the identity that was recorded.
/// Damage costs entries, never a wrong name. A later part counts more than an earlier one. A save is one O_APPEND write;
/// a file that has ``mostParts`` is written anew as one part under another name and renamed. It is not fsynced: it is
/// derived, and may be deleted at any time.
///
/// Rejected: names in the stat cache's records (of fixed size, found by file and not by folder); a file for each tree
/// (thousands of little ones, and trees overlap); one index at the end of the file (an append would then not be one
/// write).
///
/// History: 1, the first.
final class FolderCacheFile: Sendable {
  static let headerSize = 32
  static let recordSize = 80
  private static let checkedSize = 72
  private static let magic = Array("PURLIST\n".utf8)
  private static let version: UInt32 = 1
  /// Each part is searched in turn. Sixteen searches take less than listing ten names.
  private static let mostParts = 16

  private struct Part {
    var start: Int
    var count: Int
    var size: Int
  }

  private let content: DerivedBytes?
  /// The latest last.
  private let parts: [Part]
  /// Whether something in it was not as written, so that the next save must write it anew.
  let isDamaged: Bool

  /// An empty cache.
  init(damaged: Bool = false) {
    content = nil
    parts = []
    isDamaged = damaged
  }

  private init(_ content: DerivedBytes) {
    var parts: [Part] = []
    var start = 0
    while let part = Self.part(content.bytes, at: start) {
      parts.append(part)
      start += part.size
    }
    self.content = content
    self.parts = parts
    isDamaged = start != content.bytes.count
  }

  /// Opens the file; whatever is missing, damaged or not ours gives an empty cache.
  static func load(_ path: ByteString) -> FolderCacheFile {
    let (content, exists) = DerivedBytes.load(path, atLeast: headerSize)
    guard let content else { return FolderCacheFile(damaged: exists) }
    return FolderCacheFile(content)
  }

  /// The part that begins at an offset; `nil` if there is no whole one.
  private static func part(_ bytes: UnsafeRawBufferPointer, at start: Int) -> Part? {
    guard bytes.count - start >= headerSize else { return nil }
    let header = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + headerSize)])
    let count = Int(UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
    let size = UInt64(littleEndian: header.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    guard let size = Int(exactly: size), size <= bytes.count - start, size >= headerSize + count * recordSize,
      header.elementsEqual(self.header(count: count, size: size))
    else { return nil }
    return Part(start: start, count: count, size: size)
  }

  private static func header(count: Int, size: Int) -> [UInt8] {
    var header = magic
    withUnsafeBytes(of: version.littleEndian) { header += $0 }
    withUnsafeBytes(of: UInt32(count).littleEndian) { header += $0 }
    withUnsafeBytes(of: UInt64(size).littleEndian) { header += $0 }
    var checksum = Checksum()
    header.withUnsafeBytes { checksum.add(words: $0) }
    withUnsafeBytes(of: checksum.value.littleEndian) { header += $0 }
    return header
  }

  /// The names recorded for exactly this identity. O(parts × log folders + entries), no system call.
  func names(in identity: FileIdentity) -> FolderNames? {
    guard let bytes = content?.bytes else { return nil }
    for part in parts.reversed() {
      var (low, high) = (0, part.count)
      while low < high {
        let middle = (low + high) / 2
        if key(bytes, part, middle) < (identity.device, identity.inode) { low = middle + 1 } else { high = middle }
      }
      if low < part.count, let found = record(bytes, part, low), found.identity == identity { return found.names() }
    }
    return nil
  }

  private struct Record {
    var identity: FileIdentity
    var names: () -> FolderNames?
  }

  private func key(_ bytes: UnsafeRawBufferPointer, _ part: Part, _ index: Int) -> (UInt64, UInt64) {
    let offset = part.start + Self.headerSize + index * Self.recordSize
    return (
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)),
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
    )
  }

  /// One record; its names are looked at only when they are asked for, and are `nil` where the checksum does not fit.
  private func record(_ bytes: UnsafeRawBufferPointer, _ part: Part, _ index: Int) -> Record? {
    let offset = part.start + Self.headerSize + index * Self.recordSize
    func word(_ number: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + number * 8, as: UInt64.self))
    }
    guard let mode = UInt32(exactly: word(5)) else { return nil }
    let identity = FileIdentity(
      device: word(0), inode: word(1), size: Int64(bitPattern: word(2)), mode: mode,
      modified: Int64(bitPattern: word(3)), changed: Int64(bitPattern: word(4)))
    return Record(identity: identity) {
      guard let start = Int(exactly: word(6)), let length = Int(exactly: word(7)), let count = Int(exactly: word(8)),
        start <= part.size, length <= part.size - start, length % 8 == 0
      else { return nil }
      let names = UnsafeRawBufferPointer(rebasing: bytes[(part.start + start)..<(part.start + start + length)])
      var checksum = Checksum()
      checksum.add(words: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + Self.checkedSize)]))
      checksum.add(words: names)
      return checksum.value == word(9) ? FolderNames(bytes: Array(names), count: count) : nil
    }
  }

  // MARK: Writing

  /// Adds folders to a file: at its end, or by writing it anew.
  static func save(
    _ new: [(identity: FileIdentity, names: FolderNames)], to path: ByteString
  ) throws(FileError) {
    let file = DerivedFile(path: path)
    let known = load(path)
    if !known.isDamaged, 1..<mostParts ~= known.parts.count,
      try file.append({ encode(new) }, where: { _, _ in true })
    {
      return
    }
    // `false`: another process is writing it anew at this moment. What is new here is lost, and will be listed again.
    _ = try file.replace { put throws(FileError) in
      var merged = load(path).all()
      for folder in new { merged[FolderCache.Key(folder.identity)] = folder }
      try put(encode(Array(merged.values)))
    }
  }

  /// Every folder that is whole, the latest of each (device, inode).
  private func all() -> [FolderCache.Key: (identity: FileIdentity, names: FolderNames)] {
    var all: [FolderCache.Key: (identity: FileIdentity, names: FolderNames)] = [:]
    guard let bytes = content?.bytes else { return all }
    for part in parts {
      for index in 0..<part.count {
        guard let record = record(bytes, part, index), let names = record.names() else { continue }
        all[FolderCache.Key(record.identity)] = (record.identity, names)
      }
    }
    return all
  }

  /// One part.
  private static func encode(_ folders: [(identity: FileIdentity, names: FolderNames)]) -> [UInt8] {
    let sorted = folders.sorted { ($0.0.device, $0.0.inode) < ($1.0.device, $1.0.inode) }
    let starts = headerSize + sorted.count * recordSize
    var index: [UInt8] = []
    var all: [UInt8] = []
    for (identity, names) in sorted {
      var bytes = names.bytes
      while bytes.count % 8 != 0 { bytes.append(0) }
      let words = [
        identity.device, identity.inode, UInt64(bitPattern: identity.size), UInt64(bitPattern: identity.modified),
        UInt64(bitPattern: identity.changed), UInt64(identity.mode), UInt64(starts + all.count),
        UInt64(bytes.count), UInt64(names.count),
      ]
      var checksum = Checksum()
      for word in words {
        checksum.add(word)
        withUnsafeBytes(of: word.littleEndian) { index += $0 }
      }
      bytes.withUnsafeBytes { checksum.add(words: $0) }
      withUnsafeBytes(of: checksum.value.littleEndian) { index += $0 }
      all += bytes
    }
    return header(count: sorted.count, size: starts + all.count) + index + all
  }
}
