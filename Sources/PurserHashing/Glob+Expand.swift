import Glibc
package import PurserModel

extension Glob {
  /// The paths that match: of files and symbolic links, never of folders; sorted by bytes, each once.
  ///
  /// Only folders that can hold a match are listed, from the pattern's literal beginning on. `**` does not go through
  /// symbolic links to folders; other segments do.
  ///
  /// - Parameters:
  ///   - root: where a relative pattern begins.
  ///   - filter: what is left out, and not looked into.
  /// - Returns: paths relative to `root`, absolute outside of it; none where the literal beginning does not exist.
  /// - Throws: `missing` if there is no root, `unreadable` or `io` for a folder on the way, `notAFile` for a matching
  ///   FIFO, socket or device.
  package func expand(
    root: ByteString, filter: PathFilter, overlay: FileOverlay? = nil
  ) throws(FileError) -> [ByteString] {
    var found: Set<ByteString> = []
    for alternative in alternatives {
      let (path, start, isAbsolute) =
        isAbsolute ? alternative.below(root) ?? (alternative, "/", true) : (alternative, root, false)
      if let overlay {
        let folder = OverlayFolder(overlay: overlay, path: start)
        try GlobWalk(path: path, filter: filter, isAbsolute: isAbsolute).run(from: folder) { found.insert($0) }
        continue
      }
      let folder = try start.withPath { cPath throws(FileError) in
        try DirectoryHandle(in: AT_FDCWD, name: cPath, followLinks: true) { start }
      }
      try GlobWalk(path: path, filter: filter, isAbsolute: isAbsolute).run(from: folder) { found.insert($0) }
    }
    return found.sorted()
  }
}

/// A folder that a pattern is walked through.
private protocol GlobFolder {
  /// Calls `body` with each entry's name and kind (`nil`: the file system does not say).
  func list(
    path: () -> ByteString, _ body: (UnsafeBufferPointer<UInt8>, FileIdentity.Kind?) throws(FileError) -> Void
  ) throws(FileError)

  /// What an entry is.
  func kind(of name: [CChar], followLinks: Bool, _ path: ByteString) throws(FileError) -> FileIdentity.Kind

  /// A folder in this one.
  func folder(_ name: [CChar], followLinks: Bool, _ path: ByteString) throws(FileError) -> Self
}

extension DirectoryHandle: GlobFolder {
  func kind(of name: [CChar], followLinks: Bool, _ path: ByteString) throws(FileError) -> FileIdentity.Kind {
    try name.withTerminated { name throws(FileError) in
      try Location(directory: descriptor, name: name, followsLinks: followLinks).identity { path }.kind
    }
  }

  func folder(_ name: [CChar], followLinks: Bool, _ path: ByteString) throws(FileError) -> DirectoryHandle {
    try name.withTerminated { name throws(FileError) in
      try DirectoryHandle(in: descriptor, name: name, followLinks: followLinks) { path }
    }
  }
}

/// A folder as an overlay has it.
private struct OverlayFolder: GlobFolder {
  let overlay: FileOverlay
  let path: ByteString

  private func inner(_ name: [CChar]) -> ByteString {
    path.appending(path: ByteString(name.dropLast().map { UInt8(bitPattern: $0) }))
  }

  func list(
    path: () -> ByteString, _ body: (UnsafeBufferPointer<UInt8>, FileIdentity.Kind?) throws(FileError) -> Void
  ) throws(FileError) {
    for (name, kind) in try overlay.entries(of: self.path) {
      try name.bytes.withUnsafeBufferPointer { name throws(FileError) in try body(name, kind) }
    }
  }

  func kind(of name: [CChar], followLinks: Bool, _ path: ByteString) throws(FileError) -> FileIdentity.Kind {
    try overlay.identity(of: inner(name), followLinks: followLinks).kind
  }

  func folder(_ name: [CChar], followLinks: Bool, _ path: ByteString) throws(FileError) -> OverlayFolder {
    OverlayFolder(overlay: overlay, path: inner(name))
  }
}

extension GlobPath {
  /// For a pattern of absolute paths that begins with the root's own names: the rest of it.
  fileprivate func below(_ root: ByteString) -> (GlobPath, ByteString, Bool)? {
    let names = root.bytes.split(separator: UInt8(ascii: "/")).filter { $0 != [UInt8(ascii: ".")] }
    guard names.count < segments.count else { return nil }
    for (name, segment) in zip(names, segments) {
      guard case .name(let pattern) = segment, let literal = pattern.literal, name.elementsEqual(literal) else {
        return nil
      }
    }
    return (GlobPath(Array(segments[names.count...])), root, false)
  }
}

/// A walk along one pattern.
private struct GlobWalk<Folder: GlobFolder> {
  let path: GlobPath
  let filter: PathFilter
  let isAbsolute: Bool

  /// A folder to be looked into: opened only then, relative to its parent.
  private struct Waiting {
    var parent: Folder
    var name: [CChar]
    var path: ByteString
    var state: GlobPath.State
    var followLinks: Bool
  }

  func run(from root: Folder, found: (ByteString) -> Void) throws(FileError) {
    var waiting: [Waiting] = []
    try look(into: root, isAbsolute ? "/" : "", path.start, &waiting, found)
    while let next = waiting.popLast() {
      do throws(FileError) {
        let folder = try next.parent.folder(next.name, followLinks: next.followLinks, next.path)
        try look(into: folder, next.path, next.state, &waiting, found)
      } catch  where error.code == .missing || error.errno == ELOOP {
        // It was removed or replaced since its parent was listed.
        continue
      }
    }
  }

  private func look(
    into folder: Folder, _ folderPath: ByteString, _ state: GlobPath.State, _ waiting: inout [Waiting],
    _ found: (ByteString) -> Void
  ) throws(FileError) {
    let scope = filter.scope(of: folderPath)
    if let literals = path.literals(state) {
      for literal in literals {
        let name = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: literal.count)
        defer { name.deallocate() }
        _ = name.initialize(from: literal)
        try visit(UnsafeBufferPointer(name), nil, folder, folderPath, scope, state, &waiting, found)
      }
    } else {
      try folder.list(path: { folderPath }) { name, kind throws(FileError) in
        try visit(name, kind, folder, folderPath, scope, state, &waiting, found)
      }
    }
  }

  private func visit(
    _ name: UnsafeBufferPointer<UInt8>, _ kind: FileIdentity.Kind?, _ folder: Folder,
    _ folderPath: ByteString, _ scope: PathFilter.Scope, _ state: GlobPath.State, _ waiting: inout [Waiting],
    _ found: (ByteString) -> Void
  ) throws(FileError) {
    let (folders, named) = path.step(state, name)
    let isMatch = path.isAccepting(named)
    let deeper = path.continuing(folders | named)
    guard isMatch || (deeper != 0 && (kind ?? .directory) != .file) else { return }
    let entryPath = folderPath.appending(name)
    let cName = name.map { CChar(bitPattern: $0) } + [0]
    var kind = kind
    if kind == nil { kind = try self.kind(cName, folder, entryPath, followLinks: false) }
    guard let kind, !scope.skips(name, isDirectory: kind == .directory, path: { entryPath }) else { return }
    switch kind {
    case .directory:
      guard deeper != 0 else { return }
      waiting.append(Waiting(parent: folder, name: cName, path: entryPath, state: deeper, followLinks: false))
    case .symbolicLink:
      if isMatch { found(entryPath) }
      let throughLink = path.continuing(named)
      guard throughLink != 0, try self.kind(cName, folder, entryPath, followLinks: true) == .directory else { return }
      waiting.append(Waiting(parent: folder, name: cName, path: entryPath, state: throughLink, followLinks: true))
    case .file:
      if isMatch { found(entryPath) }
    default:
      if isMatch { throw .notAFile(kind, path: entryPath) }
    }
  }

  /// What an entry is; `nil` if it is not there (any more).
  private func kind(
    _ name: [CChar], _ folder: Folder, _ path: ByteString, followLinks: Bool
  ) throws(FileError) -> FileIdentity.Kind? {
    do throws(FileError) {
      return try folder.kind(of: name, followLinks: followLinks, path)
    } catch  where error.code == .missing || error.errno == ELOOP {
      return nil
    }
  }
}

extension [CChar] {
  /// Calls `body` with a name that ends with its NUL.
  func withTerminated<Result>(
    _ body: (UnsafePointer<CChar>) throws(FileError) -> Result
  ) throws(FileError) -> Result {
    try withUnsafeBufferPointer { buffer throws(FileError) -> Result in
      guard let base = buffer.baseAddress else { preconditionFailure("it ends with a NUL, so it is not empty") }
      return try body(base)
    }
  }
}

extension ByteString {
  /// The path of an entry of the folder that this is the path of; empty is the root's.
  func appending(_ name: UnsafeBufferPointer<UInt8>) -> ByteString {
    var result: [UInt8] = []
    result.reserveCapacity(count + 1 + name.count)
    result += bytes
    if !isEmpty && bytes.last != UInt8(ascii: "/") { result.append(UInt8(ascii: "/")) }
    result += name
    return ByteString(bytes: result)
  }
}
