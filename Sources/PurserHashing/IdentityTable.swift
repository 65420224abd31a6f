import Glibc
package import PurserModel
import Synchronization

/// File identities in a flat form, to be compared with the disk without an allocation for each.
///
/// A record has 48 bytes, integers little-endian: device, inode (u64), size, modified, changed (i64), mode, offset of the
/// path among the strings (u32). Paths end with a NUL; they are relative to a root, or absolute.
package enum IdentityTable {
  /// Bytes of one record.
  package static let recordSize = 48

  /// Adds a record.
  package static func append(_ identity: FileIdentity, pathOffset: UInt32, to writer: inout ByteWriter) {
    writer.append(littleEndian: identity.device)
    writer.append(littleEndian: identity.inode)
    writer.append(littleEndian: UInt64(bitPattern: identity.size))
    writer.append(littleEndian: UInt64(bitPattern: identity.modified))
    writer.append(littleEndian: UInt64(bitPattern: identity.changed))
    writer.append(littleEndian: identity.mode)
    writer.append(littleEndian: pathOffset)
  }

  /// The numbers of the records that differ from what stands on disk now; links are not followed. One system call each,
  /// on as many threads as `workers`.
  ///
  /// - Parameters:
  ///   - records: whole records, aligned to 8 bytes.
  ///   - strings: holds every path, and ends with a NUL.
  ///   - numbers: of the records that are looked at; `nil` for all.
  ///   - root: an absolute path.
  package static func changed(
    records: UnsafeRawBufferPointer, among numbers: [Int]? = nil, strings: UnsafeRawBufferPointer, root: ByteString,
    workers: Int
  ) -> [Int] {
    let count = numbers?.count ?? records.count / recordSize
    let folder = root.withCString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    guard folder >= 0, strings.last == 0 else { return numbers ?? Array(0..<count) }
    defer { close(folder) }
    let shared = Shared(records: records, numbers: numbers, strings: strings, folder: folder, count: count)
    WorkerThreads.run(count > 512 ? min(workers, 8) : 1) { shared.work() }
    return shared.changed.withLock { $0.sorted() }
  }

  private final class Shared: @unchecked Sendable {
    // Guard: both buffers are only read, and outlive the threads, which are joined.
    let records: UnsafeRawBufferPointer
    let numbers: [Int]?
    let strings: UnsafeRawBufferPointer
    let folder: Int32
    let count: Int
    let next = Atomic(0)
    let changed = Mutex<[Int]>([])

    init(
      records: UnsafeRawBufferPointer, numbers: [Int]?, strings: UnsafeRawBufferPointer, folder: Int32, count: Int
    ) {
      self.records = records
      self.numbers = numbers
      self.strings = strings
      self.folder = folder
      self.count = count
    }

    func work() {
      let batch = 256
      while true {
        let start = next.add(batch, ordering: .relaxed).oldValue
        guard start < count else { return }
        for index in start..<min(start + batch, count) {
          let number = numbers?[index] ?? index
          if !isUnchanged(number) { changed.withLock { $0.append(number) } }
        }
      }
    }

    private func isUnchanged(_ number: Int) -> Bool {
      let base = number * IdentityTable.recordSize
      func word(_ number: Int) -> UInt64 {
        UInt64(littleEndian: records.load(fromByteOffset: base + number * 8, as: UInt64.self))
      }
      let mode = UInt32(littleEndian: records.load(fromByteOffset: base + 40, as: UInt32.self))
      let offset = Int(UInt32(littleEndian: records.load(fromByteOffset: base + 44, as: UInt32.self)))
      guard offset < strings.count, let path = strings.baseAddress?.advanced(by: offset) else { return false }
      var status = stat()
      guard fstatat(folder, path.assumingMemoryBound(to: CChar.self), &status, AT_SYMLINK_NOFOLLOW) == 0 else {
        return false
      }
      let now = FileIdentity(status)
      return now.inode == word(1) && UInt64(bitPattern: now.size) == word(2)
        && UInt64(bitPattern: now.modified) == word(3) && UInt64(bitPattern: now.changed) == word(4)
        && now.device == word(0) && now.mode == mode
    }
  }
}
