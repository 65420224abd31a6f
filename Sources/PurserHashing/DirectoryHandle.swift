import Glibc
import PurserModel

/// An open folder, closed when the last who needs it is done.
final class DirectoryHandle: @unchecked Sendable {
  // Guard: `descriptor` never changes; the stream is made and read only by `list`, which its one caller calls once.
  private var stream: OpaquePointer?
  let descriptor: Int32

  /// - Parameter followLinks: whether a symbolic link as the last component is followed.
  /// - Throws: what `errno` says: `missing` too if it is not, or is no longer, a folder.
  init(
    in parent: Int32, name: UnsafePointer<CChar>, followLinks: Bool, path: () -> ByteString
  ) throws(FileError) {
    let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | (followLinks ? 0 : O_NOFOLLOW)
    descriptor = openat(parent, name, flags, 0)
    guard descriptor >= 0 else { throw FileError(errno: errno, path: path(), doing: "open") }
  }

  deinit { if let stream { closedir(stream) } else { close(descriptor) } }

  /// Calls `body` with each entry's name and kind (`nil`: the file system does not say), but for `.` and `..`.
  func list(
    path: () -> ByteString, _ body: (UnsafeBufferPointer<UInt8>, FileIdentity.Kind?) throws(FileError) -> Void
  ) throws(FileError) {
    guard let stream = fdopendir(descriptor) else { throw FileError(errno: errno, path: path(), doing: "list") }
    self.stream = stream
    let nameOffset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 19
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        if errno != 0 { throw FileError(errno: errno, path: path(), doing: "list") }
        return
      }
      let start = UnsafeRawPointer(entry) + nameOffset
      let count = strlen(start.assumingMemoryBound(to: CChar.self))
      let name = UnsafeBufferPointer(start: start.assumingMemoryBound(to: UInt8.self), count: count)
      if name[0] == UInt8(ascii: "."), name.count == 1 || (name.count == 2 && name[1] == UInt8(ascii: ".")) { continue }
      try body(name, Self.kind(entry.pointee.d_type))
    }
  }

  private static func kind(_ type: UInt8) -> FileIdentity.Kind? {
    switch Int(type) {
    case Int(DT_REG): .file
    case Int(DT_DIR): .directory
    case Int(DT_LNK): .symbolicLink
    case Int(DT_FIFO): .fifo
    case Int(DT_SOCK): .socket
    case Int(DT_CHR): .characterDevice
    case Int(DT_BLK): .blockDevice
    default: nil
    }
  }

  /// What an entry is, where listing it did not say.
  func kind(
    of name: UnsafeBufferPointer<UInt8>, path: () -> ByteString
  ) throws(FileError) -> FileIdentity.Kind {
    try (name.map { CChar(bitPattern: $0) } + [0]).withTerminated { name throws(FileError) in
      try Location(directory: descriptor, name: name, followsLinks: false).identity(path: path).kind
    }
  }

  /// The text of a symbolic link in this folder.
  func linkText(_ name: UnsafePointer<CChar>, path: () -> ByteString) throws(FileError) -> [UInt8] {
    var capacity = 256
    while true {
      var count = 0
      let text = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
        count = buffer.withMemoryRebound(to: CChar.self) { text in
          text.baseAddress.map { readlinkat(descriptor, name, $0, capacity) } ?? 0
        }
        initialized = max(0, count)
      }
      guard count >= 0 else { throw FileError(errno: errno, path: path(), doing: "read") }
      if count < capacity { return text }
      capacity *= 4
    }
  }
}
