package import Glibc
package import PurserModel

/// What tells one state of a file from another without reading it: where it is, how long, and when it last changed.
package struct FileIdentity: Hashable, Sendable {
  /// What a directory entry is.
  package enum Kind: Sendable, Hashable, CustomStringConvertible {
    case file, directory, symbolicLink, fifo, socket, characterDevice, blockDevice

    /// With its article, for messages: "a folder".
    package var description: String {
      switch self {
      case .file: "a file"
      case .directory: "a folder"
      case .symbolicLink: "a symbolic link"
      case .fifo: "a named pipe (FIFO)"
      case .socket: "a socket"
      case .characterDevice: "a character device"
      case .blockDevice: "a block device"
      }
    }
  }

  /// The device that holds the file (`st_dev`).
  package var device: UInt64
  /// Its number on that device (`st_ino`).
  package var inode: UInt64
  /// Length in bytes.
  package var size: Int64
  /// Kind and permissions (`st_mode`).
  package var mode: UInt32
  /// When the content last changed: nanoseconds since 1970, UTC. Settable by anyone (`touch -d`).
  package var modified: Int64
  /// When the content or the metadata last changed: nanoseconds since 1970, UTC. Set by the kernel alone.
  package var changed: Int64

  package init(device: UInt64, inode: UInt64, size: Int64, mode: UInt32, modified: Int64, changed: Int64) {
    self.device = device
    self.inode = inode
    self.size = size
    self.mode = mode
    self.modified = modified
    self.changed = changed
  }

  /// What `stat` says.
  package init(_ status: stat) {
    self.init(
      device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
      mode: UInt32(status.st_mode), modified: Self.nanoseconds(status.st_mtim),
      changed: Self.nanoseconds(status.st_ctim))
  }

  /// Wraps instead of trapping: a file system may hold any 64-bit second, and a wrapped time is still only compared.
  static func nanoseconds(_ time: timespec) -> Int64 {
    Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
  }

  /// What the entry is.
  package var kind: Kind {
    switch mode & UInt32(S_IFMT) {
    case UInt32(S_IFDIR): .directory
    case UInt32(S_IFLNK): .symbolicLink
    case UInt32(S_IFIFO): .fifo
    case UInt32(S_IFSOCK): .socket
    case UInt32(S_IFCHR): .characterDevice
    case UInt32(S_IFBLK): .blockDevice
    default: .file
    }
  }

  /// Whether anyone may execute it.
  package var isExecutable: Bool { mode & 0o111 != 0 }

  /// The permission bits, with set-user-ID, set-group-ID and sticky.
  package var permissions: UInt32 { mode & 0o7777 }

  /// The identity of what stands at `path` now. One system call.
  ///
  /// - Parameter followLinks: whether a symbolic link in the last component is followed.
  /// - Throws: `missing`, `unreadable` or `io`.
  package static func of(path: ByteString, followLinks: Bool) throws(FileError) -> FileIdentity {
    try path.withPath { cPath throws(FileError) in
      try Location(directory: AT_FDCWD, name: cPath, followsLinks: followLinks).identity { path }
    }
  }

  /// The identity of an open file. One system call.
  package static func of(descriptor: Int32) throws(FileError) -> FileIdentity {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw FileError(errno: errno, path: ByteString("descriptor \(descriptor)"))
    }
    return FileIdentity(status)
  }
}

extension ByteString {
  /// Calls `body` with the path for the kernel; a path that holds a NUL cannot exist, and is not cut short at it.
  func withPath<Result>(
    _ body: (UnsafePointer<CChar>) throws(FileError) -> Result
  ) throws(FileError) -> Result {
    guard !bytes.contains(0) else {
      throw FileError(code: .missing, path: self, errno: ENOENT, message: "does not exist (no path holds a NUL)")
    }
    return try withCString(body)
  }
}

/// A name relative to an open folder, as the `…at` system calls take it. Valid only while the name's memory is.
struct Location {
  var directory: Int32
  var name: UnsafePointer<CChar>
  var followsLinks: Bool

  /// - Throws: `missing`, `unreadable` or `io`, with the path that `path` gives.
  func identity(path: () -> ByteString) throws(FileError) -> FileIdentity {
    var status = stat()
    guard fstatat(directory, name, &status, followsLinks ? 0 : AT_SYMLINK_NOFOLLOW) == 0 else {
      throw FileError(errno: errno, path: path())
    }
    return FileIdentity(status)
  }

  /// A descriptor for reading, or -1 and `errno`. Never waits: a FIFO that took a file's place opens at once.
  func open(_ flags: Int32 = 0) -> Int32 {
    openat(directory, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | flags | (followsLinks ? 0 : O_NOFOLLOW), 0)
  }
}
