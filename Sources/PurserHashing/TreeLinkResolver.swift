import Glibc
import PurserModel

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
    let identity = try hasher.identity(of: boundary.path(path), followLinks: false)
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
      identities.append(path, file.identity)
      target = Target(
        content: .init(kind: file.identity.isExecutable ? .executable : .file, digest: file.digest), leadsTo: [])
    default:
      throw .notAFile(identity.kind, path: path)
    }
    targets[path] = target
    return target
  }
}
