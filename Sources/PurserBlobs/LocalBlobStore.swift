import CLinux
import Glibc
import PurserHashing
package import PurserModel
package import PurserStore
import Synchronization

/// Blobs as files below `blobs/`, named by the SHA-256 of their content: `blobs/ab/cdef…`.
///
/// A file appears under its name only by a rename after its bytes were synced, so that a name never stands for half a
/// content. Nothing is ever written in place, and no file is linked into a project.
package final class LocalBlobStore: BlobStore, Sendable {
  private let root: ByteString
  private let temporary: ByteString
  private let counter = Atomic<Int>(0)
  private let now: @Sendable () -> Int
  private static let chunk = 256 * 1024

  /// The blobs of the store in `directory`; its folders are made when first needed. `now` is the clock by which a
  /// collection tells what is young, in seconds since 1970.
  package init(directory: ByteString, now: @escaping @Sendable () -> Int = { time(nil) }) {
    self.now = now
    root = directory + "/blobs"
    temporary = directory + "/tmp"
  }

  private func path(of digest: Digest) -> ByteString {
    let hex = digest.hex
    return root + ByteString("/\(hex.prefix(2))/\(hex.dropFirst(2))")
  }

  package func contains(_ digest: Digest) -> Bool {
    path(of: digest).withCString { access($0, F_OK) } == 0
  }

  // MARK: In

  package func stage(fileAt path: ByteString) throws(StoreError) -> StagedBlob {
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
    guard descriptor >= 0 else { throw Self.failure("'\(path.printable)' cannot be read") }
    defer { close(descriptor) }
    var before = stat()
    guard fstat(descriptor, &before) == 0, before.st_mode & S_IFMT == S_IFREG else {
      throw StoreError(.io, "'\(path.printable)' is not a regular file any more")
    }
    let staged = try stage(descriptor: descriptor, name: path)
    var after = stat()
    guard fstat(descriptor, &after) == 0, before.st_size == after.st_size,
      before.st_mtim.tv_sec == after.st_mtim.tv_sec, before.st_mtim.tv_nsec == after.st_mtim.tv_nsec,
      before.st_ctim.tv_sec == after.st_ctim.tv_sec, before.st_ctim.tv_nsec == after.st_ctim.tv_nsec
    else {
      discard([staged])
      throw StoreError(.io, "'\(path.printable)' changed while it was being stored")
    }
    return staged
  }

  package func stage(descriptor: Int32, name: ByteString) throws(StoreError) -> StagedBlob {
    let target = try makeTemporaryFile()
    defer { close(target.descriptor) }
    do throws(StoreError) {
      return try copy(from: descriptor, named: name, to: target.descriptor, at: target.path)
    } catch {
      _ = target.path.withCString { unlink($0) }
      throw error
    }
  }

  private func copy(
    from source: Int32, named name: ByteString, to target: Int32, at temporaryPath: ByteString
  ) throws(StoreError) -> StagedBlob {
    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk, alignment: 4096)
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk, alignment: 4096)
    defer {
      input.deallocate()
      output.deallocate()
    }
    var hash = SHA256()
    var offset: Int64 = 0
    var count = try Self.read(source, at: offset, into: input, name)
    let sample = UnsafeRawBufferPointer(rebasing: input[0..<min(count, 64 * 1024)])
    let encoding: BlobEncoding = Zstandard.isWorthwhile(sample) ? .zstd : .identity
    guard var compressor = ZstdCompressor() else { throw StoreError(.io, "out of memory") }
    repeat {
      let piece = UnsafeRawBufferPointer(rebasing: input[0..<count])
      hash.update(piece)
      offset += Int64(count)
      switch encoding {
      case .identity:
        try Self.write(piece, to: target, temporaryPath)
      case .zstd:
        let isDone = try compressor.add(piece, isLast: count == 0, into: output) { piece throws(StoreError) in
          try Self.write(piece, to: target, temporaryPath)
        }
        guard isDone else { throw StoreError(.io, "'\(name.printable)' could not be compressed") }
        if count == 0 { break }
      }
      if count == 0 { break }
      count = try Self.read(source, at: offset, into: input, name)
      if count == 0, encoding == .identity { break }
    } while true
    return StagedBlob(
      digest: hash.finalize(), size: UInt64(offset), encoding: encoding, temporaryPath: temporaryPath)
  }

  package func commit(_ blobs: [StagedBlob]) throws(StoreError) {
    var folders: Set<ByteString> = []
    do throws(StoreError) {
      for blob in blobs {
        // A failed sync may have dropped the pages: the file is given up, never synced again.
        let descriptor = blob.temporaryPath.withCString { open($0, O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw Self.failure("a staged blob cannot be opened") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw Self.failure("a blob cannot be written to disk") }
      }
      for blob in blobs {
        let target = path(of: blob.digest)
        let folder = ByteString(target.bytes.dropLast(63))
        if folders.insert(folder).inserted, try Self.makeFolder(folder) { folders.insert(root) }
        let code = blob.temporaryPath.withCString { from in target.withCString { rename(from, $0) } }
        guard code == 0 else { throw Self.failure("a blob cannot be moved into place") }
      }
      for folder in folders { try Self.sync(folder: folder) }
    } catch {
      discard(blobs)
      throw error
    }
  }

  package func discard(_ blobs: [StagedBlob]) {
    for blob in blobs { _ = blob.temporaryPath.withCString { unlink($0) } }
  }

  private func makeTemporaryFile() throws(StoreError) -> (descriptor: Int32, path: ByteString) {
    _ = try Self.makeFolder(temporary)
    while true {
      let number = counter.wrappingAdd(1, ordering: .relaxed).newValue
      let path = temporary + ByteString("/blob-\(getpid())-\(number)")
      let descriptor = path.withCString { open($0, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) }
      if descriptor >= 0 { return (descriptor, path) }
      guard errno == EEXIST else { throw Self.failure("a temporary file cannot be made in '\(temporary.printable)'") }
    }
  }

  // MARK: Out

  package func write(_ blob: StoredBlob, to target: Int32) throws(StoreError) {
    let path = path(of: blob.digest)
    let source = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) }
    guard source >= 0 else {
      guard errno == ENOENT else { throw Self.failure("the blob \(blob.digest.short) cannot be read") }
      throw StoreError(.corrupt, "the blob \(blob.digest.short) is not in the store any more; it counts as a miss")
    }
    defer { close(source) }
    guard try decode(source, blob, to: target) else {
      quarantine(path, blob.digest)
      throw StoreError(
        .corrupt, "the blob \(blob.digest.short) is damaged; it was moved to blobs/quarantine and counts as a miss")
    }
  }

  /// Copies and verifies; `false` where the content is not what the digest says.
  private func decode(_ source: Int32, _ blob: StoredBlob, to target: Int32) throws(StoreError) -> Bool {
    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk, alignment: 4096)
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk, alignment: 4096)
    defer {
      input.deallocate()
      output.deallocate()
    }
    var hash = SHA256()
    var offset: Int64 = 0
    var size: UInt64 = 0
    guard var decompressor = ZstdDecompressor() else { throw StoreError(.io, "out of memory") }
    // The clone shares its extents with the blob; what is read from the blob is what the clone holds.
    let isCloned = blob.encoding == .identity && purser_reflink(target, source) == 0
    while true {
      let count = try Self.read(source, at: offset, into: input, "a blob")
      if count == 0 { break }
      offset += Int64(count)
      let piece = UnsafeRawBufferPointer(rebasing: input[0..<count])
      func take(_ piece: UnsafeRawBufferPointer) throws(StoreError) -> Bool {
        size += UInt64(piece.count)
        guard size <= blob.size else { return false }
        hash.update(piece)
        if !isCloned { try Self.write(piece, to: target, "the restored file") }
        return true
      }
      switch blob.encoding {
      case .identity:
        guard try take(piece) else { return false }
      case .zstd:
        guard try decompressor.add(piece, into: output, take) else { return false }
      }
    }
    guard blob.encoding == .identity || decompressor.isComplete else { return false }
    return size == blob.size && hash.finalize() == blob.digest
  }

  private func quarantine(_ path: ByteString, _ digest: Digest) {
    let folder = root + "/quarantine"
    _ = try? Self.makeFolder(folder)
    let target = folder + ByteString("/" + digest.hex)
    if path.withCString({ from in target.withCString { rename(from, $0) } }) != 0 {
      _ = path.withCString { unlink($0) }
    }
  }

  package func size(of digest: Digest) -> UInt64 {
    var info = stat()
    return path(of: digest).withCString { lstat($0, &info) } == 0 ? UInt64(info.st_blocks) * 512 : 0
  }

  package func sweep(
    quarantineAge: Int64, isTrial: Bool, isKept: (Digest) -> Bool
  ) throws(StoreError) -> (count: Int, bytes: UInt64) {
    var removed = (count: 0, bytes: UInt64(0))
    let hourAgo = now() - 3600
    for prefix in StoreFolder.names(in: root) where prefix.count == 2 {
      for rest in StoreFolder.names(in: root + "/" + prefix) {
        guard let digest = Digest(hex: (prefix + rest).escaped), !isKept(digest) else { continue }
        Self.removeIfOld(path(of: digest), hourAgo, isTrial, &removed)
      }
    }
    let quarantine = root + "/quarantine"
    if quarantineAge < Int64(now()) {
      for name in StoreFolder.names(in: quarantine) {
        Self.removeIfOld(quarantine + "/" + name, now() - Int(quarantineAge), isTrial, &removed)
      }
    }
    var leftovers = (count: 0, bytes: UInt64(0))
    for name in StoreFolder.names(in: temporary) {
      Self.removeIfOld(temporary + "/" + name, hourAgo, isTrial, &leftovers)
    }
    removed.bytes += leftovers.bytes
    return removed
  }

  // MARK: Files

  private static func removeIfOld(
    _ path: ByteString, _ limit: Int, _ isTrial: Bool, _ removed: inout (count: Int, bytes: UInt64)
  ) {
    var info = stat()
    guard path.withCString({ lstat($0, &info) }) == 0, info.st_mtim.tv_sec < limit, info.st_ctim.tv_sec < limit,
      isTrial || path.withCString({ unlink($0) }) == 0
    else { return }
    removed.count += 1
    removed.bytes += UInt64(info.st_blocks) * 512
  }

  /// Makes a folder closed to others; `true` if it was not there.
  private static func makeFolder(_ path: ByteString) throws(StoreError) -> Bool {
    if path.withCString({ mkdir($0, 0o700) }) == 0 { return true }
    if errno == EEXIST { return false }
    if errno == ENOENT, let slash = path.bytes.lastIndex(of: UInt8(ascii: "/")), slash > 0 {
      _ = try makeFolder(ByteString(path.bytes[..<slash]))
      return try makeFolder(path)
    }
    throw failure("the folder '\(path.printable)' cannot be made")
  }

  private static func sync(folder: ByteString) throws(StoreError) {
    let descriptor = folder.withCString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    guard descriptor >= 0 else { throw failure("the folder '\(folder.printable)' cannot be opened") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw failure("the folder '\(folder.printable)' cannot be written to disk") }
  }

  private static func read(
    _ descriptor: Int32, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer, _ name: ByteString
  ) throws(StoreError) -> Int {
    while true {
      let count = pread(descriptor, buffer.baseAddress, buffer.count, Int(offset))
      if count >= 0 { return count }
      guard errno == EINTR else { throw failure("'\(name.printable)' cannot be read") }
    }
  }

  private static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, _ name: ByteString
  ) throws(StoreError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno != EINTR {
        throw failure("'\(name.printable)' cannot be written")
      }
    }
  }

  /// An error from `errno`, with what to do next.
  private static func failure(_ what: String) -> StoreError {
    let code = errno
    let isFull = [ENOSPC, EDQUOT, EFBIG].contains(code)
    return StoreError(
      isFull ? .full : .io,
      "\(what): \(String(cString: strerror(code)))" + (isFull ? "; free some space, or run 'purser gc'" : ""))
  }
}
