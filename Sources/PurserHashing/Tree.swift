package import PurserModel

/// A folder's content as one digest, with the listings that tell what changed in it later.
package struct Tree: Sendable {
  /// Of the top node.
  package var digest: Digest
  /// The encoded listing of every folder in it, by its digest: what a store keeps for ``difference(from:to:node:)``.
  package var nodes: [Digest: [UInt8]]
  /// Every regular file that the digest covers, for looking again after a run.
  package var identities: TreeIdentities
  /// Regular files in the tree (not those that only links lead to).
  package var fileCount: Int
  /// Their lengths together.
  package var byteCount: Int64

  /// One entry of a folder.
  package struct Entry: Sendable, Hashable {
    /// What it is; the raw value is its byte in a node.
    package enum Kind: UInt8, Sendable {
      /// A regular file that nobody may execute.
      case file = 0x66
      /// A regular file that someone may execute.
      case executable = 0x78
      case link = 0x6c
      case directory = 0x64
    }

    package var kind: Kind
    /// One segment, not empty, no slash.
    package var name: ByteString
    /// A file's is of its raw bytes, a folder's of its node, a link's of its target (``TreeLink``).
    package var digest: Digest

    package init(kind: Kind, name: ByteString, digest: Digest) {
      self.kind = kind
      self.name = name
      self.digest = digest
    }
  }

  /// The entries of an encoded node, in order; `nil` for bytes that no tree has.
  ///
  /// Safe for bytes from anywhere: every length is checked, and names must be plain and strictly ascending. O(bytes).
  package static func decode(node: [UInt8]) -> [Entry]? {
    TreeNode.decode(node)
  }
}

/// The encoding of a folder, which is what its digest is of.
///
/// Format, version 1; integers little-endian:
///
///     "purser.tree-node" 00, version u32
///     then each entry, by ascending bytes of its name:
///       kind (1 byte: f file, x executable file, l link, d folder), length of name u64, name, digest (32)
///
/// What it guarantees: equal digests mean equal names, kinds, execute permission and contents, at every depth; the order
/// of listing, times, owners, other permissions and the folder's own name and place do not count. A node is all there is
/// to its digest, so whoever keeps nodes can check them. The name's length comes first, so that no name can pass for
/// two entries. 53 bytes a file with a name of 12: 100,000 files are 5.3 MB.
///
/// Rejected: git's tree objects (SHA-1 or not, they need blob objects with their header, so a file's digest would not
/// be `sha256sum`'s); one flat listing of all paths (a change would rehash all of it, and paths repeat their folders);
/// modes in full (they differ between checkouts with another umask).
///
/// History: 1, the first.
enum TreeNode {
  private static let header = Array("purser.tree-node".utf8) + [0, 1, 0, 0, 0]
  /// Kind, length and digest.
  private static let entryOverhead = 1 + 8 + Digest.byteCount

  /// Bytes of a node.
  static func size(entries: Int, nameBytes: Int) -> Int {
    header.count + entries * entryOverhead + nameBytes
  }

  /// The writing end of a node; entries must come in order.
  struct Encoder {
    private(set) var bytes: [UInt8] = header

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    mutating func append(_ kind: Tree.Entry.Kind, _ name: UnsafeBufferPointer<UInt8>, _ digest: Digest) {
      bytes.append(kind.rawValue)
      withUnsafeBytes(of: UInt64(name.count).littleEndian) { bytes.append(contentsOf: $0) }
      bytes.append(contentsOf: name)
      digest.withBytes { bytes.append(contentsOf: $0) }
    }
  }

  static func decode(_ node: [UInt8]) -> [Tree.Entry]? {
    guard node.starts(with: header) else { return nil }
    var entries: [Tree.Entry] = []
    var index = header.count
    while index < node.count {
      guard node.count - index >= entryOverhead, let kind = Tree.Entry.Kind(rawValue: node[index]) else { return nil }
      let length = node.withUnsafeBytes {
        UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: index + 1, as: UInt64.self))
      }
      guard let count = Int(exactly: length), count <= node.count - index - entryOverhead else { return nil }
      let name = ByteString(node[(index + 9)..<(index + 9 + count)])
      index += entryOverhead + count
      guard isPlain(name), entries.last.map({ $0.name < name }) ?? true,
        let digest = Digest(bytes: Array(node[(index - Digest.byteCount)..<index]))
      else { return nil }
      entries.append(Tree.Entry(kind: kind, name: name, digest: digest))
    }
    return entries
  }

  private static func isPlain(_ name: ByteString) -> Bool {
    !name.isEmpty && name != "." && name != ".." && !name.bytes.contains { $0 == 0 || $0 == UInt8(ascii: "/") }
  }
}

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
