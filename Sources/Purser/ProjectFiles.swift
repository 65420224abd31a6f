import CLinux
import Glibc
import PurserModel
import PurserStore

/// Changes files of the project, never through a symbolic link and never outside of the root.
///
/// Every path is opened from the root with `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)`: a folder on the way that
/// is, or becomes, a link makes the operation fail instead of leading it astray.
struct ProjectFiles: ~Copyable {
  private let root: Int32

  init(root path: ByteString) throws(StoreError) {
    root = path.withCString { purser_open_root($0) }
    guard root >= 0 else {
      throw StoreError(.io, "the project '\(path.printable)' cannot be opened: \(String(cString: strerror(-root)))")
    }
  }

  deinit {
    close(root)
  }

  /// Opens the folder that holds `path`, making what is missing of it.
  private func openParent(of path: ByteString, create: Bool) throws(StoreError) -> Int32 {
    let parent = path.parentPath
    guard !parent.isEmpty else { return try reopen(root) }
    let descriptor = parent.withCString { purser_open_beneath(root, $0, O_RDONLY | O_DIRECTORY, 0) }
    if descriptor >= 0 { return descriptor }
    if descriptor == -ENOENT, create {
      let grandparent = try openParent(of: parent, create: true)
      defer { close(grandparent) }
      let code = parent.lastPathComponent.withCString { mkdirat(grandparent, $0, 0o777) }
      guard code == 0 || errno == EEXIST else { throw Self.failure("the folder", parent, errno) }
      let made = parent.withCString { purser_open_beneath(root, $0, O_RDONLY | O_DIRECTORY, 0) }
      if made >= 0 { return made }
      throw Self.failure("the folder", parent, -made)
    }
    throw Self.failure("the folder", parent, -descriptor)
  }

  private func reopen(_ descriptor: Int32) throws(StoreError) -> Int32 {
    let copy = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard copy >= 0 else { throw Self.failure("the project's root", ".", errno) }
    return copy
  }

  /// Makes the folders above `path`.
  func makeParent(of path: ByteString) throws(StoreError) {
    close(try openParent(of: path, create: true))
  }

  /// Throws if a folder on the way to `path` is a symbolic link; folders that are not there yet are fine.
  func checkParent(of path: ByteString) throws(StoreError) {
    var parent = path.parentPath
    while !parent.isEmpty {
      let descriptor = parent.withCString { purser_open_beneath(root, $0, O_RDONLY | O_DIRECTORY, 0) }
      if descriptor >= 0 {
        close(descriptor)
        return
      }
      guard descriptor == -ENOENT else { throw Self.failure("the folder", parent, -descriptor) }
      parent = parent.parentPath
    }
  }

  /// Removes a file, link or folder with all that is in it. Nothing there is fine.
  func remove(_ path: ByteString) throws(StoreError) {
    try checkParent(of: path)
    let parent =
      path.parentPath.isEmpty
      ? try reopen(root) : path.parentPath.withCString { purser_open_beneath(root, $0, O_RDONLY | O_DIRECTORY, 0) }
    guard parent >= 0 else { return }
    defer { close(parent) }
    try Self.removeEntry(path.lastPathComponent, in: parent, path)
  }

  private static func removeEntry(_ name: ByteString, in folder: Int32, _ path: ByteString) throws(StoreError) {
    if name.withCString({ unlinkat(folder, $0, 0) }) == 0 || errno == ENOENT { return }
    guard errno == EISDIR || errno == EPERM else { throw failure("the output", path, errno) }
    let inner = name.withCString { openat(folder, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
    guard inner >= 0 else { throw failure("the output", path, errno) }
    guard let stream = fdopendir(inner) else {
      close(inner)
      throw failure("the output", path, errno)
    }
    var names: [ByteString] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { ByteString($0.prefix { $0 != 0 }) }
      if name != "." && name != ".." { names.append(name) }
    }
    defer { closedir(stream) }
    for name in names { try removeEntry(name, in: dirfd(stream), path.appending(path: name)) }
    guard name.withCString({ unlinkat(folder, $0, AT_REMOVEDIR) }) == 0 || errno == ENOENT else {
      throw failure("the output", path, errno)
    }
  }

  /// Puts an entry of a manifest in its place: written beside it under a temporary name, then renamed, so that nobody
  /// ever sees half of it. `write` fills an open file, or gives the target of a link.
  func place(
    _ entry: OutputManifest.Entry, fill: (Int32) throws(StoreError) -> Void,
    linkTarget: () throws(StoreError) -> ByteString
  ) throws(StoreError) {
    let parent = try openParent(of: entry.path, create: true)
    defer { close(parent) }
    let name = entry.path.lastPathComponent
    if entry.kind == .directory {
      if name.withCString({ mkdirat(parent, $0, mode_t(entry.mode)) }) != 0, errno != EEXIST {
        throw Self.failure("the folder", entry.path, errno)
      }
      // Opened rather than named: a link swapped in meanwhile must not have its target's mode changed.
      let made = entry.path.withCString { purser_open_beneath(root, $0, O_RDONLY | O_DIRECTORY, 0) }
      guard made >= 0 else { throw Self.failure("the folder", entry.path, -made) }
      defer { close(made) }
      guard fchmod(made, mode_t(entry.mode)) == 0 else { throw Self.failure("the folder", entry.path, errno) }
      return
    }
    // Short and of its own, so that a name of 255 bytes can be restored too. Folders and globs leave such names out.
    var unique: UInt64 = 0
    _ = purser_random(&unique, MemoryLayout.size(ofValue: unique))
    let temporary = ByteString(".purser-tmp-" + String(unique, radix: 16))
    do throws(StoreError) {
      if entry.kind == .link {
        let target = try linkTarget()
        let code = target.withCString { text in temporary.withCString { symlinkat(text, parent, $0) } }
        guard code == 0 else { throw Self.failure("the link", entry.path, errno) }
      } else {
        let file = temporary.withCString {
          openat(parent, $0, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        }
        guard file >= 0 else { throw Self.failure("the output", entry.path, errno) }
        defer { close(file) }
        try fill(file)
        guard fchmod(file, mode_t(entry.mode)) == 0 else { throw Self.failure("the output", entry.path, errno) }
      }
      let code = temporary.withCString { from in name.withCString { renameat(parent, from, parent, $0) } }
      guard code == 0 else { throw Self.failure("the output", entry.path, errno) }
    } catch {
      _ = temporary.withCString { unlinkat(parent, $0, 0) }
      throw error
    }
  }

  /// Renews the times of a file, so that programs which go by them see it as new.
  func touch(_ path: ByteString) {
    guard let parent = try? openParent(of: path, create: false) else { return }
    defer { close(parent) }
    _ = path.lastPathComponent.withCString { utimensat(parent, $0, nil, AT_SYMLINK_NOFOLLOW) }
  }

  private static func failure(_ what: String, _ path: ByteString, _ code: Int32) -> StoreError {
    switch code {
    case ELOOP, EXDEV, ENOTDIR:
      StoreError(
        .io,
        "\(what) '\(path.printable)' is, or is reached through, a symbolic link or a file; outputs are never "
          + "written through one: declare the real path")
    case ENOSPC, EDQUOT:
      StoreError(.full, "\(what) '\(path.printable)' cannot be written: the disk is full; free some space")
    default:
      StoreError(.io, "\(what) '\(path.printable)' cannot be changed: \(String(cString: strerror(code)))")
    }
  }
}
