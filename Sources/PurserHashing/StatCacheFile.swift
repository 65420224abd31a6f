import Glibc
import PurserModel

/// The stat cache's file as it was when it was opened. Read only, and safe from any thread.
///
/// Format, version 1; all integers little-endian:
///
///     header   32 bytes: "PURSTAT\n", version u32, record size u32, number of sorted records u64, checksum u64
///     sorted   records by ascending (device, inode), each pair once
///     tail     records in order of arrival, the last of a pair counts, and counts more than a sorted one
///     record   88 bytes: device, inode, size, modified, changed, mode (six 64-bit words), digest (32), checksum u64
///
/// What it guarantees: a digest is returned only from a record whose own checksum fits, for exactly the identity that
/// was recorded. Damage costs entries, never a wrong digest. A save appends to the tail with one O_APPEND write, so
/// that two processes never overwrite each other; when the tail has outgrown a quarter of the sorted part (and 1,000
/// records), the file is written anew under another name and renamed, so that a reader never sees half of one, and the
/// pages that it has mapped never change. It is not fsynced: it is derived, and may be deleted at any time.
///
/// Rejected: SQLite (statements and a journal for what may be lost); a hash table in the file (in-place changes need
/// locks and tear); one checksum over the file (a lookup would read all of it); the full path as the key (longer than
/// the digest, and a rename would miss).
///
/// History: 1, the first.
final class StatCacheFile: Sendable {
  static let headerSize = 32
  static let version: UInt32 = 1
  private static let magic = Array("PURSTAT\n".utf8)

  private let content: DerivedBytes?
  /// Records in the sorted part.
  let sortedCount: Int
  /// The tail's records.
  let tail: StatRecordTable
  /// Whether something in it was not as written, so that the next save must write it anew.
  let isDamaged: Bool

  /// An empty cache.
  init(damaged: Bool = false) {
    content = nil
    sortedCount = 0
    tail = StatRecordTable()
    isDamaged = damaged
  }

  private init(content: DerivedBytes, sortedCount: Int) {
    self.content = content
    self.sortedCount = sortedCount
    let bytes = content.bytes
    var table = StatRecordTable()
    let start = Self.headerSize + sortedCount * StatRecord.byteCount
    let count = (bytes.count - start) / StatRecord.byteCount
    var damaged = start + count * StatRecord.byteCount != bytes.count
    if let base = bytes.baseAddress, count > 0 {
      table.reserve(count)
      for index in 0..<count {
        if let record = StatRecord(decoding: base + (start + index * StatRecord.byteCount)) {
          table.set(record)
        } else {
          damaged = true
        }
      }
    }
    tail = table
    isDamaged = damaged
  }

  /// Opens the file; whatever is missing, damaged or not ours gives an empty cache.
  static func load(_ path: ByteString) -> StatCacheFile {
    let (content, exists) = DerivedBytes.load(path, atLeast: headerSize)
    guard let content, let count = sortedCount(inHeader: content.bytes, fileSize: content.bytes.count) else {
      return StatCacheFile(damaged: exists)
    }
    return StatCacheFile(content: content, sortedCount: count)
  }

  /// The number of sorted records that a header names; `nil` if it is not ours, or names more than the file holds.
  static func sortedCount(inHeader bytes: UnsafeRawBufferPointer, fileSize: Int) -> Int? {
    guard bytes.count >= headerSize else { return nil }
    let named = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    guard let count = Int(exactly: named), count <= (fileSize - headerSize) / StatRecord.byteCount,
      bytes[0..<headerSize].elementsEqual(header(sortedCount: count))
    else { return nil }
    return count
  }

  /// The 32 bytes that a file with so many sorted records begins with.
  static func header(sortedCount: Int) -> [UInt8] {
    var header = magic
    withUnsafeBytes(of: version.littleEndian) { header += $0 }
    withUnsafeBytes(of: UInt32(StatRecord.byteCount).littleEndian) { header += $0 }
    withUnsafeBytes(of: UInt64(sortedCount).littleEndian) { header += $0 }
    var checksum = Checksum()
    checksum.add(UInt64(sortedCount))
    withUnsafeBytes(of: checksum.value.littleEndian) { header += $0 }
    return header
  }

  /// The digest recorded for exactly this identity. O(log n), no system call.
  func digest(for identity: FileIdentity) -> Digest? {
    var place = -1
    return digest(for: identity, after: &place)
  }

  /// As ``digest(for:)``. Files that were made one after the other are neighbours, and are mostly asked for so: the
  /// place after the last one is looked at first.
  func digest(for identity: FileIdentity, after place: inout Int) -> Digest? {
    if let record = tail[identity] { return record.identity == identity ? record.digest : nil }
    guard let base = content?.bytes.baseAddress else { return nil }
    var low = 0
    var high = sortedCount
    if place + 1 < sortedCount, key(base, place + 1) == (identity.device, identity.inode) {
      (low, high) = (place + 1, place + 1)
    }
    while low < high {
      let middle = (low + high) / 2
      if key(base, middle) < (identity.device, identity.inode) { low = middle + 1 } else { high = middle }
    }
    guard low < sortedCount, key(base, low) == (identity.device, identity.inode),
      let record = StatRecord(decoding: base + offset(low)), record.identity == identity
    else { return nil }
    place = low
    return record.digest
  }

  private func offset(_ index: Int) -> Int { Self.headerSize + index * StatRecord.byteCount }

  private func key(_ base: UnsafeRawPointer, _ index: Int) -> (UInt64, UInt64) {
    let record = base + offset(index)
    return (
      UInt64(littleEndian: record.loadUnaligned(as: UInt64.self)),
      UInt64(littleEndian: record.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    )
  }

  /// Every record that is whole, by ascending (device, inode), with `newer` over the tail over the sorted part.
  func merged(with newer: StatRecordTable) -> ContiguousArray<StatRecord> {
    var table = tail
    table.merge(newer)
    let recent = table.sorted()
    guard sortedCount > 0, let base = content?.bytes.baseAddress else { return recent }
    var result = ContiguousArray<StatRecord>()
    result.reserveCapacity(sortedCount + recent.count)
    var next = 0
    for index in 0..<sortedCount {
      guard let record = StatRecord(decoding: base + offset(index)) else { continue }
      while next < recent.count, Self.precedes(recent[next], record) {
        result.append(recent[next])
        next += 1
      }
      if next == recent.count || Self.precedes(record, recent[next]) { result.append(record) }
    }
    result += recent[next...]
    return result
  }

  private static func precedes(_ left: StatRecord, _ right: StatRecord) -> Bool {
    (left.identity.device, left.identity.inode) < (right.identity.device, right.identity.inode)
  }
}
