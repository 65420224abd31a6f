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
    let (path, relative) = resolve(directory)
    let realRoot = Self.realPath(projectRoot)
    let realTree = Self.realPath(path)
    let boundary = TreeBoundary(project: realRoot, tree: realTree, filter: filter)
    let walk = TreeWalk(hasher: hasher, filter: filter, boundary: boundary)
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

/// What lies in the project and outside of the tree: where links count with their content.
struct TreeBoundary: Sendable {
  /// Real paths; `nil` where there is none.
  var project: ByteString?
  var tree: ByteString?
  var filter: PathFilter

  /// The path relative to the project of a link's target, if its content counts.
  func contentPath(_ realTarget: ByteString) -> ByteString? {
    guard let project, let tree, realTarget != tree, !realTarget.hasPrefix(tree == "/" ? tree : tree + "/") else {
      return nil
    }
    if realTarget == project { return "" }
    let prefix = project == "/" ? project : project + "/"
    guard realTarget.hasPrefix(prefix) else { return nil }
    let relative = ByteString(realTarget.bytes[prefix.count...])
    return filter.skips(relative, isDirectory: true) || filter.skips(relative, isDirectory: false) ? nil : relative
  }

  /// The path for the kernel of one relative to the project, or absolute.
  func path(_ relative: ByteString) -> ByteString {
    guard let project, relative.bytes.first != UInt8(ascii: "/") else { return relative }
    if relative.isEmpty { return project }
    return project == "/" ? project + relative : project + "/" + relative
  }
}

/// Digests of links with the contents that they lead to; each content is hashed once.
struct TreeLinkResolver {
  let hasher: FileHasher
  let filter: PathFilter
  let boundary: TreeBoundary
  private(set) var nodes: [Digest: [UInt8]] = [:]
  private(set) var identities = TreeIdentities()

  private struct Target {
    var content: TreeLink.Content
    /// What links inside of it lead to.
    var leadsTo: [ByteString]
  }
  private var targets: [ByteString: Target] = [:]

  init(hasher: FileHasher, filter: PathFilter, boundary: TreeBoundary) {
    self.hasher = hasher
    self.filter = filter
    self.boundary = boundary
  }

  /// O(contents it leads to), after each was hashed once.
  mutating func digest(of link: TreeWalk.Link) throws(FileError) -> Digest {
    var contents: [ByteString: TreeLink.Content] = [:]
    var waiting = [link.target]
    while let path = waiting.popLast() {
      guard contents[path] == nil else { continue }
      let target = try target(path)
      contents[path] = target.content
      waiting += target.leadsTo
    }
    let sorted = contents.sorted { $0.key < $1.key }.map { (path: $0.key, content: $0.value) }
    return TreeLink.digest(text: link.text, contents: sorted)
  }

  private mutating func target(_ path: ByteString) throws(FileError) -> Target {
    if let known = targets[path] { return known }
    let identity = try FileIdentity.of(path: boundary.path(path), followLinks: false)
    let target: Target
    switch identity.kind {
    case .directory:
      let walk = TreeWalk(hasher: hasher, filter: filter, boundary: boundary)
      walk.linksByText = true
      try walk.run(path: boundary.path(path), relativePath: path)
      guard let digest = walk.digest else { preconditionFailure("a walk without an error ends with its top node") }
      nodes.merge(walk.nodes) { first, _ in first }
      identities.append(contentsOf: walk.identities)
      target = Target(content: .init(kind: .directory, digest: digest), leadsTo: walk.links.map(\.target))
    case .file:
      let file = try hasher.digest(of: boundary.path(path), identity: identity)
      let slash = path.bytes.lastIndex(of: UInt8(ascii: "/"))
      identities.beginFolder(ByteString(path.bytes[..<(slash ?? 0)]))
      path.bytes[(slash.map { $0 + 1 } ?? 0)...].withUnsafeBufferPointer { identities.append($0, file.identity) }
      target = Target(
        content: .init(kind: file.identity.isExecutable ? .executable : .file, digest: file.digest), leadsTo: [])
    default:
      throw .notAFile(identity.kind, path: path)
    }
    targets[path] = target
    return target
  }
}
