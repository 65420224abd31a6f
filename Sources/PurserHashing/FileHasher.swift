import Glibc
package import PurserModel
import Synchronization

/// A file's state and its content's digest.
package struct FileDigest: Sendable, Hashable {
  /// As it was before and after the content was read.
  package var identity: FileIdentity
  /// SHA-256 of the raw bytes, as `sha256sum` prints it.
  package var digest: Digest

  package init(identity: FileIdentity, digest: Digest) {
    self.identity = identity
    self.digest = digest
  }
}

/// Digests of files' contents, by way of the stat cache.
///
/// A file is read between two looks at its identity; if they differ, it is read again, three times, and then refused as
/// `unstable`. Symbolic links are followed; only regular files have a digest.
package struct FileHasher: Sendable {
  package let cache: StatCache
  /// What differs from the disk; `nil` for files as they are.
  package let overlay: FileOverlay?
  private let requestedWorkers: Int?

  /// - Parameter workers: threads for many files; the number of processors if `nil`.
  package init(cache: StatCache, workers: Int? = nil, overlay: FileOverlay? = nil) {
    self.cache = cache
    self.overlay = overlay
    requestedWorkers = workers.map { max(1, $0) }
  }

  /// Of files as they are.
  var plain: FileHasher { FileHasher(cache: cache, workers: requestedWorkers) }

  /// Asked of the system only where it matters: three system calls, which a hit can do without.
  package var workers: Int { requestedWorkers ?? WorkerThreads.processors }

  /// Threads to look at many files with: more than there are processors, because the kernel has to ask the disk for what
  /// it does not remember, and because a thread on a busy machine waits for its turn. git takes up to 20.
  var lookers: Int { requestedWorkers ?? max(WorkerThreads.processors, 16) }

  /// The digest of a file's content: from the cache (one system call), else read.
  ///
  /// - Throws: `missing`, `unreadable`, `notAFile`, `unstable` or `io`.
  package func digest(of path: ByteString) throws(FileError) -> FileDigest {
    if let overlay { return try digest(of: path, in: overlay) }
    return try digest(of: path, identity: FileIdentity.of(path: path, followLinks: true))
  }

  /// As ``digest(of:)``, when the caller has just asked for the identity (following links): no system call on a hit.
  package func digest(of path: ByteString, identity: FileIdentity) throws(FileError) -> FileDigest {
    if let digest = cache.digest(for: identity) { return FileDigest(identity: identity, digest: digest) }
    if let overlay { return try digest(of: path, in: overlay) }
    return try read(path, identity)
  }

  /// The digest of what is in the file now, whatever the cache says; it is recorded there.
  package func currentDigest(of path: ByteString) throws(FileError) -> FileDigest {
    try read(path, FileIdentity.of(path: path, followLinks: true))
  }

  /// Whether a file's times prove that it was not touched at or after a time of the files' clock.
  package func isOlder(_ identity: FileIdentity, at path: ByteString, than time: Int64) -> Bool {
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) }
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    let granularity = cache.clock.granularity(ofDescriptor: descriptor, device: identity.device)
    // Where stamps are as fine as the clock, one that is smaller is older; else it may have been rounded down.
    let isFine = granularity < SystemFileClock.coarsest && identity.changed % 1_000_000_000 != 0
    return identity.changed < time - (isFine ? 0 : max(granularity, SystemFileClock.coarsest))
  }

  private func read(_ path: ByteString, _ identity: FileIdentity) throws(FileError) -> FileDigest {
    let reader = FileReader(cache: cache, mayUseSecondThread: identity.size >= FileReader.overlapFrom && workers > 1)
    return try path.withPath { cPath throws(FileError) in
      try reader.digest(at: Location(directory: AT_FDCWD, name: cPath, followsLinks: true), identity) { path }
    }
  }

  /// The digests of many files on all processors, in the order of `paths`; one file's error is no other's.
  package func digests(of paths: [ByteString]) -> [Result<FileDigest, FileError>] {
    if let overlay { return digests(of: paths, in: overlay) }
    // Looking at a file costs 1–3 µs and starting a thread 25: up to here the caller looks at all of them first.
    if paths.count <= 256 {
      var results = paths.map { path in identityAndCached(path) }
      let missing = results.indices.filter { results[$0].isMiss }
      if missing.isEmpty { return results.map { $0.result } }
      let bytes = missing.reduce(0) { $0 &+ results[$1].size }
      let parallel = missing.count > 1 && (missing.count >= 16 || bytes >= 512 * 1024)
      for (index, result) in zip(missing, hash(missing.map { (paths[$0], results[$0].identity) }, parallel)) {
        results[index] = .done(result)
      }
      return results.map { $0.result }
    }
    return hash(paths.map { ($0, nil) }, true)
  }

  private enum Look {
    case done(Result<FileDigest, FileError>)
    case miss(FileIdentity)

    var isMiss: Bool { if case .miss = self { true } else { false } }
    var identity: FileIdentity? { if case .miss(let identity) = self { identity } else { nil } }
    var size: Int64 { identity?.size ?? 0 }
    var result: Result<FileDigest, FileError> {
      switch self {
      case .done(let result): result
      case .miss: preconditionFailure("every miss is hashed before the results are read")
      }
    }
  }

  private func identityAndCached(_ path: ByteString) -> Look {
    do throws(FileError) {
      let identity = try FileIdentity.of(path: path, followLinks: true)
      guard let digest = cache.digest(for: identity) else { return .miss(identity) }
      return .done(.success(FileDigest(identity: identity, digest: digest)))
    } catch {
      return .done(.failure(error))
    }
  }

  private func hash(
    _ files: [(path: ByteString, identity: FileIdentity?)], _ parallel: Bool
  ) -> [Result<FileDigest, FileError>] {
    let threads = parallel ? min(workers, files.count) : 1
    let next = Atomic(0)
    let results = SharedBuffer<Result<FileDigest, FileError>?>(count: files.count, nil)
    WorkerThreads.run(threads) { [cache] in
      let reader = FileReader(cache: cache, mayUseSecondThread: threads == 1 && workers > 1, batch: 64)
      defer { reader.flush() }
      // A few at a time: 8 files of 4 KiB are 80 µs of work.
      let batch = files.count >= 64 * threads ? 8 : 1
      while true {
        let start = next.add(batch, ordering: .relaxed).oldValue
        guard start < files.count else { return }
        for index in start..<min(start + batch, files.count) {
          results[index] = reader.result(files[index].path, files[index].identity)
        }
      }
    }
    return (0..<files.count).map { index in
      guard let result = results[index] else { preconditionFailure("every file was given to a thread") }
      return result
    }
  }
}
