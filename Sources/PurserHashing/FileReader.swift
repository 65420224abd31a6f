import Glibc
import PurserModel

/// Reads files into one buffer and hashes them with one context, both kept from file to file. For one thread.
final class FileReader {
  private let cache: StatCache
  private var buffer: UnsafeMutableRawBufferPointer
  private var hash = SHA256()
  /// Whether a large file may be read by a second thread while this one hashes.
  var mayUseSecondThread: Bool
  /// What is not in the cache yet: several threads that each put in one digest at a time wait for each other.
  private var learnt: ContiguousArray<StatRecord> = []
  private let batch: Int
  /// The last device's granularity: nearly always the next one's.
  private var device: UInt64?
  private var granularity: Int64 = 0

  /// Bytes read at a time. Measured in the page cache, best of 18: 64 KiB 1.34 GB/s, 128 KiB 1.38, 256 and 512 KiB 1.37.
  static let bufferSize = 128 * 1024
  /// For files up to here, one that the allocator has at hand: a larger one is mapped and unmapped for each reader.
  private static let smallBufferSize = 16 * 1024
  /// Bytes that the second thread reads at a time. Measured as bytes per second of the hashing thread's processor time,
  /// where SHA-256 alone makes 1.52 GB: without a second thread 1.28 GB, with one 1.47 in pieces of 128 KiB, 1.50 of
  /// 256, 1.53 of 1 MiB and of more (each piece costs a wake-up).
  private static let pieceSize = 1024 * 1024
  /// From here on a second thread reads: starting it costs as much as hashing 50 KB.
  static let overlapFrom: Int64 = 2 * 1024 * 1024
  /// Attempts after the first, when a file changed while it was read.
  private static let retries = 3

  /// - Parameter batch: how many digests are put into the cache together; whoever says more than one calls ``flush()``.
  init(cache: StatCache, mayUseSecondThread: Bool = false, batch: Int = 1) {
    self.cache = cache
    self.batch = batch
    self.mayUseSecondThread = mayUseSecondThread
    buffer = .allocate(byteCount: Self.smallBufferSize, alignment: 4_096)
  }

  deinit { buffer.deallocate() }

  /// Puts what was learnt into the cache.
  func flush() {
    cache.record(learnt)
    learnt.removeAll(keepingCapacity: true)
  }

  func result(_ path: ByteString, _ identity: FileIdentity?) -> Result<FileDigest, FileError> {
    do throws(FileError) {
      return .success(
        try path.withPath { cPath throws(FileError) in
          let location = Location(directory: AT_FDCWD, name: cPath, followsLinks: true)
          if let identity { return try digest(at: location, identity) { path } }
          let found = try location.identity { path }
          if let digest = cache.digest(for: found) { return FileDigest(identity: found, digest: digest) }
          return try digest(at: location, found) { path }
        })
    } catch {
      return .failure(error)
    }
  }

  /// Reads and hashes the file, and records it in the cache.
  ///
  /// `identity` was had from the name before; it is compared with the open file's after the last byte was read, so that
  /// one system call tells both that the right file was opened and that it did not change.
  ///
  /// - Parameter opened: the file, if the caller has it open already, and closes it; or -1.
  func digest(
    at location: Location, _ identity: FileIdentity, opened: Int32 = -1, path: () -> ByteString
  ) throws(FileError) -> FileDigest {
    var identity = identity
    for attempt in 0...Self.retries {
      if attempt > 0 { identity = try location.identity(path: path) }
      guard identity.kind == .file else { throw .notAFile(identity.kind, path: path()) }
      let began = cache.clock.now()
      let isOurs = opened < 0 || attempt > 0
      let descriptor = isOurs ? location.open() : opened
      guard descriptor >= 0 else { throw FileError(errno: errno, path: path(), doing: "open") }
      defer { if isOurs { close(descriptor) } }
      let size = try hashContent(descriptor, identity.size, path)
      let digest = hash.finalize()
      guard try FileIdentity.of(descriptor: descriptor) == identity else { continue }
      // In /proc and /sys the size is not that of the content: what identifies nothing is not recorded.
      if size == identity.size {
        let granularity = granularity(descriptor, identity.device)
        if StatCache.isSettled(identity.modified, at: began, granularity),
          StatCache.isSettled(identity.changed, at: began, granularity)
        {
          learnt.append(StatRecord(identity: identity, digest: digest))
          if learnt.count >= batch { flush() }
        }
      }
      return FileDigest(identity: identity, digest: digest)
    }
    throw .unstable(path: path())
  }

  private func granularity(_ descriptor: Int32, _ device: UInt64) -> Int64 {
    if self.device != device {
      granularity = cache.clock.granularity(ofDescriptor: descriptor, device: device)
      self.device = device
    }
    return granularity
  }

  /// Feeds the content to the hash: up to the size that was announced, or to the end where that was 0 (/proc).
  ///
  /// - Returns: the number of bytes.
  private func hashContent(_ descriptor: Int32, _ size: Int64, _ path: () -> ByteString) throws(FileError) -> Int64 {
    if size > Int64(Self.bufferSize) { posix_fadvise(descriptor, 0, 0, Int32(POSIX_FADV_SEQUENTIAL)) }
    if mayUseSecondThread && size >= Self.overlapFrom {
      let read = OverlappedReader.read(descriptor, size: size, pieceSize: Self.pieceSize) { hash.update($0) }
      if let read {
        if read >= 0 { return read }
        hash = SHA256()
        throw FileError(errno: Int32(-read), path: path())
      }
    }
    var total: Int64 = 0
    if size > Int64(buffer.count) && buffer.count < Self.bufferSize {
      buffer.deallocate()
      buffer = .allocate(byteCount: Self.bufferSize, alignment: 4_096)
    }
    repeat {
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      if count < 0 {
        if errno == EINTR { continue }
        hash = SHA256()
        throw FileError(errno: errno, path: path())
      }
      if count == 0 { break }
      hash.update(UnsafeRawBufferPointer(rebasing: buffer[0..<count]))
      total += Int64(count)
    } while total < size || size == 0
    return total
  }
}
