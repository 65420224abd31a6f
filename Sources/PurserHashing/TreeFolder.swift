import Glibc
import PurserModel
import Synchronization

/// A folder while its tree is hashed: its node, in which digests are put as they become known, and how many parts of it
/// are not done.
final class TreeFolder: @unchecked Sendable {
  // Guard: `adopt` is called by one thread before any task names the folder; from then on the names are constant, each
  // entry's identity and digest are written by the one task that has it, and read by the one that brings `unfinished`
  // to zero, which acquires what the others released, and calls `finish`; after that nothing is written.

  private struct Entry {
    /// Where its name begins in the node.
    var nameStart: UInt32
    var kind: FileIdentity.Kind
  }

  let parent: TreeFolder?
  /// The index of this folder in its parent's entries.
  let index: Int
  /// Relative to the project root.
  let path: ByteString
  /// Tasks that must end before the digest can be had; one for the listing itself.
  let unfinished = Atomic(1)
  /// The number of entries.
  private(set) var count = 0
  /// The node until it is finished. A digest that is not known yet is zeros: the name before it ends with a NUL then.
  private var unfinishedNode = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var nodeSize = 0
  /// The node, when it is finished.
  private(set) var node: [UInt8] = []
  private var entries = UnsafeMutableBufferPointer<Entry>(start: nil, count: 0)
  /// Of the files, by the index of the entry; only those that were looked at are initialized.
  private var identities = UnsafeMutableBufferPointer<FileIdentity>(start: nil, count: 0)

  init(parent: TreeFolder?, index: Int, path: ByteString) {
    self.parent = parent
    self.index = index
    self.path = path
  }

  deinit {
    unfinishedNode.deallocate()
    entries.deallocate()
    identities.deallocate()
  }

  /// Takes over the names, but for those that are skipped.
  func adopt(_ names: FolderNames, skips: (UnsafeBufferPointer<UInt8>, FileIdentity.Kind) -> Bool) {
    let capacity = TreeNode.header.count + names.count * TreeNode.entryOverhead + names.bytes.count
    unfinishedNode = .allocate(byteCount: capacity, alignment: 8)
    entries = .allocate(capacity: names.count)
    identities = .allocate(capacity: names.count)
    unfinishedNode.copyBytes(from: TreeNode.header)
    nodeSize = TreeNode.header.count
    names.forEach { name, kind in
      if skips(name, kind) { return }
      unfinishedNode[nodeSize] = Tree.Entry.Kind(kind)?.rawValue ?? 0
      unfinishedNode.storeBytes(of: UInt64(name.count).littleEndian, toByteOffset: nodeSize + 1, as: UInt64.self)
      let start = nodeSize + TreeNode.beforeName
      let rest = UnsafeMutableRawBufferPointer(
        rebasing: unfinishedNode[start..<(start + name.count + Digest.byteCount)])
      rest.copyMemory(from: UnsafeRawBufferPointer(name))
      rest[name.count...].initializeMemory(as: UInt8.self, repeating: 0)
      entries.initializeElement(at: count, to: Entry(nameStart: UInt32(start), kind: kind))
      nodeSize = start + rest.count
      count += 1
    }
  }

  func kind(_ index: Int) -> FileIdentity.Kind { entries[index].kind }

  /// What a file was when it was looked at.
  func identity(_ index: Int) -> FileIdentity { identities[index] }

  func set(_ identity: FileIdentity, at index: Int) {
    identities.initializeElement(at: index, to: identity)
    let kind: Tree.Entry.Kind = identity.isExecutable ? .executable : .file
    unfinishedNode[Int(entries[index].nameStart) - TreeNode.beforeName] = kind.rawValue
  }

  func set(_ digest: Digest, at index: Int) {
    let end = nameEnd(index)
    digest.withBytes { bytes in
      UnsafeMutableRawBufferPointer(rebasing: unfinishedNode[end..<(end + bytes.count)]).copyMemory(from: bytes)
    }
  }

  private func nameEnd(_ index: Int) -> Int {
    let next = index + 1 < count ? Int(entries[index + 1].nameStart) - TreeNode.beforeName : nodeSize
    return next - Digest.byteCount
  }

  func name(_ index: Int) -> ByteString {
    let range = Int(entries[index].nameStart)..<nameEnd(index)
    return ByteString(bytes: node.isEmpty ? Array(unfinishedNode[range]) : Array(node[range]))
  }

  /// The path of an entry, for messages and filters.
  func path(of index: Int) -> ByteString { path.appending(path: name(index)) }

  /// The name of an entry, with its NUL. Only until its digest is set.
  func cName(_ index: Int) -> UnsafePointer<CChar> {
    guard let base = unfinishedNode.baseAddress else { preconditionFailure("a folder with an entry has a node") }
    return UnsafeRawPointer(base + Int(entries[index].nameStart)).assumingMemoryBound(to: CChar.self)
  }

  /// The digest, when every entry has its own. From here on the folder is only read.
  func finish() -> Digest {
    node = Array(unfinishedNode[..<nodeSize])
    unfinishedNode.deallocate()
    unfinishedNode = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    return SHA256.digest(of: node)
  }
}
