import CLinux
import Glibc
package import PurserModel

/// The state folder itself: closed to others, ignored by git, marked as a cache for backup programs.
package enum StoreFolder {
  /// Makes the folder if there is none. Throws `unavailable` if it cannot be used.
  package static func prepare(_ path: ByteString) throws(StoreError) {
    try check(path)
    if path.withCString({ mkdir($0, 0o700) }) != 0 {
      guard errno == EEXIST else {
        throw StoreError(
          .unavailable,
          "the store '\(path.printable)' cannot be made: \(String(cString: strerror(errno))); make its folder "
            + "writable, or name another one with --store")
      }
      return try check(path)
    }
    do throws(StoreError) {
      try check(path)
    } catch {
      _ = path.withCString { rmdir($0) }
      throw error
    }
    write("*\n", to: path + "/.gitignore")
    write("Signature: 8a477f597d28d172789f06886806bc55\n# Purser's records and blobs.\n", to: path + "/CACHEDIR.TAG")
  }

  /// Throws `unavailable` if the folder is somebody else's or on a network file system. One or two system calls.
  package static func check(_ path: ByteString) throws(StoreError) {
    // SQLite takes paths as text, and Swift's would repair, and so change, what is not UTF-8.
    guard String(validating: path.bytes, as: UTF8.self) != nil else {
      throw StoreError(.unavailable, "the store's path '\(path.printable)' is not UTF-8; use --store with one that is")
    }
    var info = stat()
    guard path.withCString({ stat($0, &info) }) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return }
      throw StoreError(
        .unavailable, "the store '\(path.printable)' cannot be reached: \(String(cString: strerror(errno)))")
    }
    guard info.st_mode & S_IFMT == S_IFDIR else {
      throw StoreError(
        .unavailable, "the store '\(path.printable)' is not a folder; move it away, or name another with --store")
    }
    guard info.st_uid == geteuid() || geteuid() == 0 else {
      throw StoreError(
        .unavailable,
        "the store '\(path.printable)' belongs to user \(info.st_uid), whose records cannot be trusted; "
          + "name another with --store")
    }
    guard path.withCString({ purser_is_network_filesystem($0) }) == 0 else {
      throw StoreError(
        .unavailable,
        "the store '\(path.printable)' is on a network file system, where locks cannot be trusted; name "
          + "a local folder with --store or PURSER_STORE")
    }
  }

  /// The names in one of its folders, sorted; none where it cannot be read.
  package static func names(in folder: ByteString) -> [ByteString] {
    guard let stream = folder.withCString({ opendir($0) }) else { return [] }
    defer { closedir(stream) }
    var names: [ByteString] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { ByteString($0.prefix { $0 != 0 }) }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  private static func write(_ content: StaticString, to path: ByteString) {
    let descriptor = path.withCString { open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) }
    guard descriptor >= 0 else { return }
    _ = Glibc.write(descriptor, content.utf8Start, content.utf8CodeUnitCount)
    close(descriptor)
  }
}
