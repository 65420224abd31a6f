import Glibc
package import PurserModel
import Synchronization

/// Files as they are on disk, but for some of one folder that are other files, or are not there: the state that another
/// commit has, without a checkout. Any use from any thread.
///
/// What differs stands in a tree of names. Everything else is asked of the disk, and a path is walked name by name, so
/// that links lead where they would, from either side.
package final class FileOverlay: Sendable {
  /// What stands at a path instead of what is on disk.
  package enum Change: Sendable {
    case nothing
    /// A file by its number, which is what its content is asked for with.
    case file(number: Int, permissions: UInt32)
    case link(text: ByteString)
    /// What is on disk in a folder. Where that is nothing, an empty one, or none at all if it is not kept.
    case folder(isKept: Bool)
  }

  /// Absolute, without links: where the changes begin.
  package let top: ByteString
  /// The state that is looked at, for messages: "at 1a2b3c4d5e6f".
  package let label: String
  private let root: Folder
  private let folderPermissions: UInt32
  private let contents: any OverlayContents
  private let folders: Mutex<[ByteString: Place]>
  private let digests = Mutex<[Int: FileDigest]>([:])

  struct File: Sendable {
    /// Absolute, without links.
    var path: ByteString
    var number: Int
    var permissions: UInt32
  }

  /// A folder with a change in it, or below it.
  final class Folder: Sendable {
    let path: ByteString
    let entries: [ByteString: Node]
    /// Whether the same folder is on disk: what is not among the entries is there.
    let isOnDisk: Bool

    init(path: ByteString, entries: [ByteString: Node], isOnDisk: Bool) {
      self.path = path
      self.entries = entries
      self.isOnDisk = isOnDisk
    }
  }

  enum Node: Sendable {
    case nothing
    case file(File)
    case link(ByteString)
    case folder(Folder)
  }

  /// What a path leads to.
  enum Place: Sendable {
    case missing(Int32)
    /// On disk, by its path without links.
    case disk(ByteString, FileIdentity)
    case file(File)
    case link(ByteString, text: ByteString)
    case folder(Folder)
  }

  /// O(changes).
  ///
  /// - Parameters:
  ///   - top: a folder on disk, absolute and without links.
  ///   - changes: by paths relative to it.
  ///   - folderPermissions: of folders that are not on disk.
  package init(
    top: ByteString, label: String, changes: [(path: ByteString, change: Change)], folderPermissions: UInt32,
    contents: any OverlayContents
  ) {
    self.top = top
    self.label = label
    self.folderPermissions = folderPermissions
    self.contents = contents
    let names = Names()
    for (path, change) in changes { names.add(path, change) }
    root = names.folder(at: top, isOnDisk: true)
    folders = Mutex([top: .folder(root)])
  }

  // MARK: Walking

  /// Links on one way, as the kernel has it.
  private static let maximumLinks = 40

  /// What an absolute path leads to. One system call where the folder was asked for before.
  func place(of path: ByteString, followLinks: Bool) -> Place { place(of: path, followLinks, 0) }

  private func place(of path: ByteString, _ followsLinks: Bool, _ links: Int) -> Place {
    if path == top { return .folder(root) }
    if path.bytes.last == UInt8(ascii: "/"), path.count > 1 {
      return place(of: ByteString(path.bytes.dropLast()), followsLinks, links)
    }
    if path == "/" { return onDisk(path) }
    guard path.isAbsolutePath else { return .missing(ENOENT) }
    let found = entry(path.lastPathComponent, in: folder(at: path.parentPath, links))
    guard followsLinks else { return found }
    let (link, text): (ByteString, ByteString)
    switch found {
    case .link(let path, let target): (link, text) = (path, target)
    case .disk(let path, let identity) where identity.kind == .symbolicLink:
      guard let target = Self.linkText(path) else { return .missing(errno) }
      (link, text) = (path, target)
    default: return found
    }
    guard links < Self.maximumLinks, !text.isEmpty else { return .missing(text.isEmpty ? ENOENT : ELOOP) }
    return place(of: link.parentPath.appending(path: text), true, links + 1)
  }

  private func folder(at path: ByteString, _ links: Int) -> Place {
    if let known = folders.withLock({ $0[path] }) { return known }
    let found = place(of: path, true, links)
    // Whether there are too many links depends on where the way began.
    if case .missing(ELOOP) = found { return found }
    folders.withLock { $0[path] = found }
    return found
  }

  private func entry(_ name: ByteString, in folder: Place) -> Place {
    let path: ByteString
    switch folder {
    case .missing: return folder
    case .file, .link: return .missing(ENOTDIR)
    case .disk(let own, let identity):
      guard identity.kind == .directory else { return .missing(ENOTDIR) }
      path = own
    case .folder(let inner): path = inner.path
    }
    if name == "." { return folder }
    if name == ".." { return place(of: path == "/" ? path : path.parentPath, followLinks: true) }
    let inner = path.appending(path: name)
    guard case .folder(let changed) = folder else { return inner == top ? .folder(root) : onDisk(inner) }
    switch changed.entries[name] {
    case .nothing?: return .missing(ENOENT)
    case .file(let file)?: return .file(file)
    case .link(let text)?: return .link(inner, text: text)
    case .folder(let folder)?: return .folder(folder)
    case nil: return changed.isOnDisk ? onDisk(inner) : .missing(ENOENT)
    }
  }

  private func onDisk(_ path: ByteString) -> Place {
    do throws(FileError) {
      return .disk(path, try FileIdentity.of(path: path, followLinks: false))
    } catch {
      return .missing(error.errno)
    }
  }

  static func linkText(_ path: ByteString) -> ByteString? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = path.withCString { path in
      buffer.withUnsafeMutableBytes { bytes in
        bytes.withMemoryRebound(to: CChar.self) { text in text.baseAddress.map { readlink(path, $0, text.count) } ?? -1
        }
      }
    }
    return count >= 0 ? ByteString(buffer.prefix(count)) : nil
  }

  // MARK: Answers

  /// The error of a path that leads nowhere.
  func error(_ number: Int32, _ path: ByteString) -> FileError {
    var error = FileError(errno: number, path: path)
    if error.code == .missing, path.isWithin(top) { error.message += " " + label }
    return error
  }

  /// Belongs to no file on disk, so that the stat cache knows nothing of it.
  private func identity(_ kind: mode_t, _ permissions: UInt32, number: Int = 0, size: Int64 = 0) -> FileIdentity {
    FileIdentity(
      device: .max, inode: UInt64(number), size: size, mode: UInt32(kind) | permissions, modified: 0, changed: 0)
  }

  /// As ``FileIdentity/of(path:followLinks:)``; the size of a file that differs is not known before it is digested.
  package func identity(of path: ByteString, followLinks: Bool) throws(FileError) -> FileIdentity {
    switch place(of: path, followLinks: followLinks) {
    case .missing(let number): throw error(number, path)
    case .disk(_, let identity): return identity
    case .file(let file): return identity(S_IFREG, file.permissions, number: file.number)
    case .link(_, let text): return identity(S_IFLNK, 0o777, size: Int64(text.count))
    case .folder(let folder):
      return folder.isOnDisk
        ? try FileIdentity.of(path: folder.path, followLinks: false) : identity(S_IFDIR, folderPermissions)
    }
  }

  /// The path without links of a folder that is on disk with everything below it; `nil` for one with changes.
  func unchangedFolder(_ path: ByteString) throws(FileError) -> ByteString? {
    switch place(of: path, followLinks: true) {
    case .disk(let real, _): top.isWithin(real) ? nil : real
    case .missing(let number): throw error(number, path)
    case .folder, .file, .link: nil
    }
  }

  /// The path without links; `nil` for one that leads nowhere.
  func realPath(_ path: ByteString) -> ByteString? {
    switch place(of: path, followLinks: true) {
    case .disk(let path, _): path
    case .file(let file): file.path
    case .folder(let folder): folder.path
    case .missing, .link: nil
    }
  }

  /// The text of a symbolic link.
  func linkText(of path: ByteString) throws(FileError) -> ByteString {
    switch place(of: path, followLinks: false) {
    case .missing(let number): throw error(number, path)
    case .link(_, let text): return text
    case .disk(let real, _):
      guard let text = Self.linkText(real) else { throw FileError(errno: errno, path: path) }
      return text
    case .file, .folder: throw FileError(errno: EINVAL, path: path)
    }
  }

  /// What stands in a folder, links followed on the way there; `nil` for a kind that the file system does not say.
  func entries(of path: ByteString) throws(FileError) -> [(name: ByteString, kind: FileIdentity.Kind?)] {
    var entries: [(name: ByteString, kind: FileIdentity.Kind?)] = []
    switch place(of: path, followLinks: true) {
    case .missing(let number): throw error(number, path)
    case .file, .link: throw error(ENOTDIR, path)
    case .disk(let real, _): entries = try Self.list(real)
    case .folder(let folder):
      if folder.isOnDisk { entries = try Self.list(folder.path).filter { folder.entries[$0.name] == nil } }
      for (name, node) in folder.entries {
        switch node {
        case .nothing: continue
        case .file: entries.append((name, .file))
        case .link: entries.append((name, .symbolicLink))
        case .folder: entries.append((name, .directory))
        }
      }
    }
    return entries
  }

  static func list(_ path: ByteString) throws(FileError) -> [(name: ByteString, kind: FileIdentity.Kind?)] {
    var entries: [(name: ByteString, kind: FileIdentity.Kind?)] = []
    let handle = try path.withPath { cPath throws(FileError) in
      try DirectoryHandle(in: AT_FDCWD, name: cPath, followLinks: false) { path }
    }
    try handle.list(path: { path }) { name, kind in entries.append((ByteString(name), kind)) }
    return entries
  }

  /// The digest of a file that differs: made once.
  func digest(of file: File) throws(FileError) -> FileDigest {
    if let known = digests.withLock({ $0[file.number] }) { return known }
    var hash = SHA256()
    var size: Int64 = 0
    try contents.read(file.number, at: file.path) { bytes in
      hash.update(bytes)
      size += Int64(bytes.count)
    }
    let digest = FileDigest(
      identity: identity(S_IFREG, file.permissions, number: file.number, size: size), digest: hash.finalize())
    digests.withLock { $0[file.number] = digest }
    return digest
  }

  /// Where the bytes of a file are.
  package enum Source {
    /// On disk, at a path without links.
    case disk(ByteString)
    case bytes([UInt8])
    case missing
  }

  /// Where the bytes of a file are, links followed; of one that differs, as many as the limit allows.
  package func source(of path: ByteString, limit: Int) -> Source {
    switch place(of: path, followLinks: true) {
    case .disk(let path, _): return .disk(path)
    case .file(let file):
      var content: [UInt8] = []
      do throws(FileError) {
        try contents.read(file.number, at: file.path) { content += $0.prefix(limit - content.count) }
      } catch {
        return .missing
      }
      return .bytes(content)
    case .missing, .folder, .link: return .missing
    }
  }
}

/// Where the contents of an overlay's files come from.
package protocol OverlayContents: Sendable {
  /// Gives the whole content of a file, in pieces. Any use from any thread.
  func read(_ number: Int, at path: ByteString, _ body: (UnsafeRawBufferPointer) -> Void) throws(FileError)
}

/// The changes by names, while they are collected.
private final class Names {
  private var change: FileOverlay.Change?
  private var inner: [ByteString: Names] = [:]

  func add(_ path: ByteString, _ change: FileOverlay.Change) {
    var names = self
    for name in path.bytes.split(separator: UInt8(ascii: "/")) {
      let name = ByteString(name)
      if let known = names.inner[name] {
        names = known
      } else {
        let new = Names()
        names.inner[name] = new
        names = new
      }
    }
    names.change = change
  }

  func folder(at path: ByteString, isOnDisk: Bool) -> FileOverlay.Folder {
    FileOverlay.Folder(
      path: path,
      entries: Dictionary(
        uniqueKeysWithValues: inner.map { name, names in
          (name, names.node(at: path.appending(path: name), isInFolderOnDisk: isOnDisk))
        }),
      isOnDisk: isOnDisk)
  }

  private func node(at path: ByteString, isInFolderOnDisk: Bool) -> FileOverlay.Node {
    var isKept = false
    switch change {
    // What was in a folder in its place is gone with it.
    case .file(let number, let permissions)?:
      return .file(FileOverlay.File(path: path, number: number, permissions: permissions))
    case .link(let text)?: return .link(text)
    case .nothing? where inner.isEmpty: return .nothing
    case .folder(let kept)?: isKept = kept
    case .nothing?, nil: break
    }
    let isOnDisk =
      isInFolderOnDisk && (try? FileIdentity.of(path: path, followLinks: false))?.kind == .directory
    let folder = folder(at: path, isOnDisk: isOnDisk)
    // Git takes a folder away with the last file in it; what it does not know of holds it.
    return isKept || folder.holdsAnything ? .folder(folder) : .nothing
  }
}

extension FileOverlay.Folder {
  fileprivate var holdsAnything: Bool {
    for case .file in entries.values { return true }
    for case .link in entries.values { return true }
    for case .folder in entries.values { return true }
    guard isOnDisk else { return false }
    var found = false
    try? path.withPath { cPath throws(FileError) in
      let handle = try DirectoryHandle(in: AT_FDCWD, name: cPath, followLinks: false) { path }
      try handle.list(path: { path }) { name, _ in if entries[ByteString(name)] == nil { found = true } }
    }
    return found
  }
}
