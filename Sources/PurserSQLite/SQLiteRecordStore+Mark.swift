import Glibc
import PurserModel
package import PurserStore

extension SQLiteRecordStore {
  package func mark() -> StoreMark? {
    (try? locked { database throws(StoreError) in database.mark() }) ?? nil
  }

  package func settledMark() -> StoreMark? {
    (try? locked { database throws(StoreError) in database.settledMark() }) ?? nil
  }

  package func hasOnlyOwnWrites(since mark: StoreMark) -> Bool {
    (try? locked { database throws(StoreError) in database.hasOnlyOwnWrites(since: mark) }) ?? false
  }
}

// A mark: the generation of the writers' gate, and what the file system says of the database and its log. The latter
// because kptn's client writes without passing the gate. Integers of 64 bits, little-endian.
//
// The kernel's clock for the times of files ticks 100 to 1,000 times a second. A file that was written to within the
// last two ticks may be written to again and have the same times: there is no mark then. One whose modification lies
// further back cannot: whatever is written next gets the time of that moment.
extension RecordDatabase {
  /// How far back the modification of a file must lie, in nanoseconds: two ticks of the slowest common kernel clock.
  private static let settling: Int64 = 20_000_000

  func mark() -> StoreMark? {
    guard let generation = Generation.current(gateAt: gatePath) else { return nil }
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    var writer = ByteWriter()
    writer.append(littleEndian: generation)
    for path in [databasePath, databasePath + "-wal"] {
      var info = stat()
      if stat(path, &info) != 0 {
        guard errno == ENOENT, path != databasePath else { return nil }
        writer.append(littleEndian: UInt64(0))
        continue
      }
      let modified = Int64(info.st_mtim.tv_sec) * 1_000_000_000 + Int64(info.st_mtim.tv_nsec)
      let changed = Int64(info.st_ctim.tv_sec) * 1_000_000_000 + Int64(info.st_ctim.tv_nsec)
      let present = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
      guard present - modified > Self.settling else { return nil }
      for value in [UInt64(info.st_ino), UInt64(info.st_dev), UInt64(info.st_size)] {
        writer.append(littleEndian: value)
      }
      for value in [modified, changed] { writer.append(littleEndian: UInt64(bitPattern: value)) }
    }
    // A version that knows another schema may read its records otherwise.
    writer.append(littleEndian: UInt64(Migration.current))
    guard Generation.current(gateAt: gatePath) == generation else { return nil }
    return StoreMark(bytes: writer.bytes)
  }

  /// The mark after own writes, without waiting until they lie back: their times are set back instead, which opens no
  /// file. Other writers that pass the gate show by its generation; who does not, by the time of the write.
  func settledMark() -> StoreMark? {
    guard hasWritten else { return mark() }
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let back = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec) - 2 * Self.settling
    let time = timespec(tv_sec: Int(back / 1_000_000_000), tv_nsec: Int(back % 1_000_000_000))
    for path in [databasePath, databasePath + "-wal"] {
      var info = stat()
      guard stat(path, &info) == 0 else { continue }
      let modified = Int64(info.st_mtim.tv_sec) * 1_000_000_000 + Int64(info.st_mtim.tv_nsec)
      if modified <= back { continue }
      // A file system that keeps coarser times than this cannot tell.
      guard utimensat(AT_FDCWD, path, [time, time], AT_SYMLINK_NOFOLLOW) == 0, stat(path, &info) == 0,
        info.st_mtim.tv_sec == time.tv_sec, info.st_mtim.tv_nsec == time.tv_nsec
      else { return nil }
    }
    return mark()
  }

  func hasOnlyOwnWrites(since mark: StoreMark) -> Bool {
    var reader = ByteReader(mark.bytes)
    guard let generation: UInt64 = reader.readInteger() else { return false }
    return hasOnlyOwnWrites(since: generation)
  }
}
