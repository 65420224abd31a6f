import Glibc
import PurserModel

/// Puts new records into the stat cache's file: at its end, or by writing it anew.
struct StatCacheWriter {
  var path: ByteString

  /// The tail is loaded at each open: with 1,000 records that takes 38 µs.
  private static let leastTail = 1_000

  func save(_ new: StatRecordTable, mustRewrite: Bool) throws(FileError) {
    if !mustRewrite, try append(new) { return }
    // `false`: another process is writing it anew at this moment. What is new here is lost, and will be hashed again.
    _ = try rewrite(with: new)
  }

  /// One write at the end. `false` if the file should be written anew: missing, foreign, damaged, or a long tail.
  private func append(_ new: StatRecordTable) throws(FileError) -> Bool {
    let descriptor = try path.withPath { cPath in
      open(cPath, O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)
    }
    guard descriptor >= 0 else {
      if errno == ENOENT || errno == ELOOP { return false }
      throw FileError(errno: errno, path: path, doing: "open")
    }
    defer { close(descriptor) }
    let identity = try FileIdentity.of(descriptor: descriptor)
    guard identity.kind == .file, let sortedCount = sortedCount(descriptor, fileSize: Int(identity.size)) else {
      return false
    }
    let (count, rest) = (Int(identity.size) - StatCacheFile.headerSize).quotientAndRemainder(
      dividingBy: StatRecord.byteCount)
    guard rest == 0, count - sortedCount + new.records.count <= max(sortedCount / 4, Self.leastTail) else {
      return false
    }
    let bytes = encode(new.records[...])
    let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    guard written == bytes.count else {
      // A part of a record at the end makes the next save write the file anew.
      throw FileError(errno: written < 0 ? errno : ENOSPC, path: path, doing: "write")
    }
    return true
  }

  private func sortedCount(_ descriptor: Int32, fileSize: Int) -> Int? {
    withUnsafeTemporaryAllocation(byteCount: StatCacheFile.headerSize, alignment: 8) { header in
      guard pread(descriptor, header.baseAddress, header.count, 0) == header.count else { return nil }
      return StatCacheFile.sortedCount(inHeader: UnsafeRawBufferPointer(header), fileSize: fileSize)
    }
  }

  /// Merges the file as it is now with what is new, under another name, and renames. `false`: someone else is at it.
  ///
  /// The other name is always the same, so that a killed process leaves at most one file, which the next one takes;
  /// a lock on it keeps two apart.
  private func rewrite(with new: StatRecordTable) throws(FileError) -> Bool {
    let temporary = path + ".new"
    let descriptor = try temporary.withPath { cPath in
      open(cPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0o600)
    }
    guard descriptor >= 0 else { throw FileError(errno: errno, path: temporary, doing: "create") }
    defer { close(descriptor) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return false }
    // The lock may have come when its last holder had renamed the file: it is then the cache itself.
    let opened = try FileIdentity.of(descriptor: descriptor)
    guard let named = try? FileIdentity.of(path: temporary, followLinks: false), opened.kind == .file,
      named.inode == opened.inode, named.device == opened.device
    else { return false }
    let records = StatCacheFile.load(path).merged(with: new)
    guard ftruncate(descriptor, 0) == 0, fchmod(descriptor, 0o600) == 0 else {
      throw FileError(errno: errno, path: temporary, doing: "write")
    }
    try put(StatCacheFile.header(sortedCount: records.count), descriptor, temporary)
    let batch = 8_192
    for start in stride(from: 0, to: records.count, by: batch) {
      try put(encode(records[start..<min(start + batch, records.count)]), descriptor, temporary)
    }
    let renamed = try temporary.withPath { from throws(FileError) in
      try path.withPath { to in rename(from, to) }
    }
    guard renamed == 0 else { throw FileError(errno: errno, path: path, doing: "replace") }
    return true
  }

  private func put(_ bytes: [UInt8], _ descriptor: Int32, _ name: ByteString) throws(FileError) {
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + written }, $0.count - written) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw FileError(errno: count < 0 ? errno : ENOSPC, path: name, doing: "write") }
      written += count
    }
  }

  private func encode(_ records: ContiguousArray<StatRecord>.SubSequence) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: records.count * StatRecord.byteCount) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      for record in records {
        record.encode(into: UnsafeMutableRawPointer(base + count))
        count += StatRecord.byteCount
      }
    }
  }
}
