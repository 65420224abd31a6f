import PurserModel

/// The encoding of a symbolic link, which is what its digest is of.
///
/// Format, version 1; integers little-endian:
///
///     "purser.tree-link" 00, version u32
///     length of target text u64, target text
///     number of contents u64, then each, by ascending bytes of its path:
///       kind (1 byte, as in a node), length of path u64, path relative to the project root, digest
///
/// The contents are what the link leads to inside the project and outside of the tree, and what links in there lead to,
/// each once; the digest of a folder in this list has its links by their text alone. None for a link that dangles or
/// leads into the tree (whose digest covers that already), into what the filter skips, or out of the project.
///
/// Rejected: the target's own tree digest, links followed in turn. Cycles then make a digest depend on where the walk
/// began, and folders that all link to each other take a walk for every order of them. A list takes each folder once.
enum TreeLink {
  private static let header = Array("purser.tree-link".utf8) + [0, 1, 0, 0, 0]

  struct Content: Sendable {
    var kind: Tree.Entry.Kind
    var digest: Digest
  }

  static func digest(text: [UInt8], contents: [(path: ByteString, content: Content)] = []) -> Digest {
    var hash = SHA256()
    hash.update(header)
    hash.update(littleEndian: UInt64(text.count))
    hash.update(text)
    hash.update(littleEndian: UInt64(contents.count))
    for (path, content) in contents {
      hash.update(byte: content.kind.rawValue)
      hash.update(littleEndian: UInt64(path.count))
      hash.update(path)
      hash.update(content.digest)
    }
    return hash.finalize()
  }
}
