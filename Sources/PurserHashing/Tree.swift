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

      /// What a directory entry is in a tree; `nil` for what has no content. Whether a file may be executed is known later.
      init?(_ kind: FileIdentity.Kind) {
        switch kind {
        case .file: self = .file
        case .symbolicLink: self = .link
        case .directory: self = .directory
        case .fifo, .socket, .characterDevice, .blockDevice: return nil
        }
      }
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
