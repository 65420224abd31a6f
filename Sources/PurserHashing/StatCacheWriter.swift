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

  /// `false` if the file should be written anew: missing, foreign, damaged, or a long tail.
  private func append(_ new: StatRecordTable) throws(FileError) -> Bool {
    try DerivedFile(path: path).append({ encode(new.records[...]) }) { descriptor, size in
      guard let sortedCount = sortedCount(descriptor, fileSize: size) else { return false }
      let (count, rest) = (size - StatCacheFile.headerSize).quotientAndRemainder(dividingBy: StatRecord.byteCount)
      return rest == 0 && count - sortedCount + new.records.count <= max(sortedCount / 4, Self.leastTail)
    }
  }

  private func sortedCount(_ descriptor: Int32, fileSize: Int) -> Int? {
    withUnsafeTemporaryAllocation(byteCount: StatCacheFile.headerSize, alignment: 8) { header in
      guard pread(descriptor, header.baseAddress, header.count, 0) == header.count else { return nil }
      return StatCacheFile.sortedCount(inHeader: UnsafeRawBufferPointer(header), fileSize: fileSize)
    }
  }

  /// Merges the file as it is now with what is new. `false`: someone else is at it.
  private func rewrite(with new: StatRecordTable) throws(FileError) -> Bool {
    try DerivedFile(path: path).replace { put throws(FileError) in
      let records = StatCacheFile.load(path).merged(with: new)
      try put(StatCacheFile.header(sortedCount: records.count))
      let batch = 8_192
      for start in stride(from: 0, to: records.count, by: batch) {
        try put(encode(records[start..<min(start + batch, records.count)]))
      }
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
