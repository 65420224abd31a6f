import Glibc
import PurserModel

/// A file that others can be made from again, shared by processes: put at its end what is new, or write it anew.
///
/// What is put at the end is one O_APPEND write, so that two processes never overwrite each other. Writing anew is done
/// under another name, then renamed, so that a reader never sees half of it and the pages that it has mapped never
/// change. Neither is synced.
struct DerivedFile {
  var path: ByteString

  /// One write at the end. `false` if the file should be written anew: missing, no regular file, or not accepted.
  ///
  /// - Parameter accepts: whether something may follow on what is there; gets the descriptor and the file's size.
  func append(
    _ bytes: () -> [UInt8], where accepts: (_ descriptor: Int32, _ size: Int) -> Bool
  ) throws(FileError) -> Bool {
    let descriptor = try path.withPath { cPath in
      open(cPath, O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)
    }
    guard descriptor >= 0 else {
      if errno == ENOENT || errno == ELOOP { return false }
      throw FileError(errno: errno, path: path, doing: "open")
    }
    defer { close(descriptor) }
    let identity = try FileIdentity.of(descriptor: descriptor)
    guard identity.kind == .file, accepts(descriptor, Int(identity.size)) else { return false }
    let bytes = bytes()
    let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    guard written == bytes.count else {
      // Half of something at the end makes the next save write the file anew.
      throw FileError(errno: written < 0 ? errno : ENOSPC, path: path, doing: "write")
    }
    return true
  }

  /// Puts what `write` gives in the file's place. `false`: someone else is at it.
  ///
  /// The other name is always the same, so that a killed process leaves at most one file, which the next one takes;
  /// a lock on it keeps two apart.
  ///
  /// - Parameter write: called when nobody else is at it; hands on the bytes, piece by piece.
  func replace(
    _ write: (_ put: ([UInt8]) throws(FileError) -> Void) throws(FileError) -> Void
  ) throws(FileError) -> Bool {
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
    guard ftruncate(descriptor, 0) == 0, fchmod(descriptor, 0o600) == 0 else {
      throw FileError(errno: errno, path: temporary, doing: "write")
    }
    try write { bytes throws(FileError) in try Self.put(bytes, descriptor, temporary) }
    let renamed = try temporary.withPath { from throws(FileError) in
      try path.withPath { to in rename(from, to) }
    }
    guard renamed == 0 else { throw FileError(errno: errno, path: path, doing: "replace") }
    return true
  }

  private static func put(_ bytes: [UInt8], _ descriptor: Int32, _ name: ByteString) throws(FileError) {
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + written }, $0.count - written) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw FileError(errno: count < 0 ? errno : ENOSPC, path: name, doing: "write") }
      written += count
    }
  }
}

/// A file's bytes as they were when it was opened. Read only.
///
/// Nobody may shorten the file in place: who has it mapped would die of it. Purser never does; deleting it is safe.
final class DerivedBytes: @unchecked Sendable {
  // Guard: written before the object is shared, and never after.
  private let content: UnsafeMutableRawBufferPointer
  private let isMapped: Bool

  /// Files up to here are read whole, larger ones are mapped. Measured: reading 256 KiB costs 13 µs and mapping it with
  /// one search 20 µs; 1 MiB 57 and 33 µs.
  private static let mapAbove = 256 * 1024

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(content) }

  /// The content of a regular file of at least so many bytes. Four system calls.
  ///
  /// - Returns: `nil` in place of the bytes where there is none; `exists` is whether there is something else.
  static func load(_ path: ByteString, atLeast least: Int) -> (bytes: DerivedBytes?, exists: Bool) {
    let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW
    guard let descriptor = try? path.withPath({ cPath in Glibc.open(cPath, flags) }), descriptor >= 0 else {
      return (nil, false)
    }
    defer { close(descriptor) }
    guard let identity = try? FileIdentity.of(descriptor: descriptor), identity.kind == .file else {
      return (nil, true)
    }
    return (DerivedBytes(descriptor, size: Int(identity.size), atLeast: least), true)
  }

  private init?(_ descriptor: Int32, size: Int, atLeast least: Int) {
    guard size >= least else { return nil }
    isMapped = size > Self.mapAbove
    if isMapped {
      guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
        return nil
      }
      content = UnsafeMutableRawBufferPointer(start: address, count: size)
    } else {
      content = .allocate(byteCount: size, alignment: 8)
      guard read(descriptor, content.baseAddress, size) == size else {
        content.deallocate()
        return nil
      }
    }
  }

  deinit {
    if isMapped { munmap(content.baseAddress, content.count) } else { content.deallocate() }
  }
}
