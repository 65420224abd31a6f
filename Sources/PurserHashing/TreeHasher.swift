import Glibc
package import PurserModel

/// Digests of folders (``Tree``), on all processors.
package struct TreeHasher: Sendable {
  private let hasher: FileHasher
  private let projectRoot: ByteString

  package init(hasher: FileHasher, projectRoot: ByteString) {
    self.hasher = hasher
    self.projectRoot = projectRoot
  }

  /// The digest of a folder and everything below, hidden files and empty folders included.
  ///
  /// Symbolic links below it are not descended into; see ``TreeLink`` for what they count as. Reads only files that the
  /// stat cache does not know. No thread is started where one is done sooner.
  ///
  /// - Parameters:
  ///   - directory: absolute, or relative to the project root; a link to a folder is followed.
  ///   - filter: what is left out.
  /// - Throws: `missing`, `unreadable`, `io`; `notAFile` for a FIFO, a socket or a device; `unstable` for what changes
  ///   while it is read.
  /// - Complexity: two system calls a folder and one a file, when nothing changed.
  package func tree(at directory: ByteString, excluding filter: PathFilter) throws(FileError) -> Tree {
    try tree(at: directory, excluding: filter, keepsParts: true)
  }

  /// As ``tree(at:excluding:)``, for who wants nothing but the digest: each folder is forgotten when it is done.
  package func digest(at directory: ByteString, excluding filter: PathFilter) throws(FileError) -> Digest {
    try tree(at: directory, excluding: filter, keepsParts: false).digest
  }

  private func tree(
    at directory: ByteString, excluding filter: PathFilter, keepsParts: Bool
  ) throws(FileError) -> Tree {
    let (path, relative) = resolve(directory)
    let realRoot = hasher.realPath(projectRoot)
    let realTree = hasher.realPath(path)
    let boundary = TreeBoundary(project: realRoot, tree: realTree, filter: filter)
    let walk = TreeWalk(hasher: hasher, filter: filter, boundary: boundary)
    walk.keepsParts = keepsParts
    try walk.run(path: path, relativePath: relative)
    var links = TreeLinkResolver(hasher: hasher, filter: filter, boundary: boundary)
    for link in walk.links {
      let digest = try links.digest(of: link)
      walk.finish(link, digest)
    }
    guard let digest = walk.digest else { preconditionFailure("a walk without an error ends with its top node") }
    var tree = Tree(
      digest: digest, nodes: walk.nodes, identities: walk.identities, fileCount: walk.identities.count,
      byteCount: walk.byteCount)
    tree.nodes.merge(links.nodes) { first, _ in first }
    tree.identities.append(contentsOf: links.identities)
    return tree
  }

  /// The path for the kernel, and the one for filters and messages.
  private func resolve(_ directory: ByteString) -> (path: ByteString, relative: ByteString) {
    func plain(_ path: ByteString) -> ByteString {
      let isAbsolute = path.bytes.first == UInt8(ascii: "/")
      let parts = path.bytes.split(separator: UInt8(ascii: "/")).filter { $0 != [UInt8(ascii: ".")] }
      return ByteString(bytes: (isAbsolute ? [UInt8(ascii: "/")] : []) + parts.joined(separator: [UInt8(ascii: "/")]))
    }
    let root = plain(projectRoot)
    let path = plain(directory)
    if path.bytes.first != UInt8(ascii: "/") {
      return (path.isEmpty ? projectRoot : projectRoot + "/" + path, path)
    }
    if path == root { return (path, "") }
    let prefix = root == "/" ? root : root + "/"
    return (path, path.hasPrefix(prefix) ? ByteString(path.bytes[prefix.count...]) : path)
  }

  /// The path without links; `nil` for one that leads nowhere.
  static func realPath(_ path: ByteString) -> ByteString? {
    let resolved = try? path.withPath { cPath in realpath(cPath, nil) }
    guard let resolved else { return nil }
    defer { free(resolved) }
    return ByteString(bytes: UnsafeBufferPointer(start: resolved, count: strlen(resolved)).map(UInt8.init(bitPattern:)))
  }
}
