import Glibc
import PurserModel
import Synchronization

/// A folder while its tree is hashed: its sorted entries, and how many parts of it are not done.
final class TreeFolder: @unchecked Sendable {
  // Guard: `adopt` is called by one thread before any task names the folder; from then on the listing is constant, each
  // entry's identity and digest are written by the one task that has it, and read by the one that brings `unfinished`
  // to zero, which acquires what the others released.

  /// What is known of an entry.
  struct Entry {
    var kind: FileIdentity.Kind
    fileprivate var nameStart: UInt32
    fileprivate var nameLength: UInt32
    /// A file's, when it was looked at.
    var identity: FileIdentity?
    /// When it is known.
    var digest: Digest?
  }

  let parent: TreeFolder?
  /// The index of this folder in its parent's entries.
  let index: Int
  /// Relative to the project root.
  let path: ByteString
  /// Tasks that must end before the digest can be had; one for the listing itself.
  let unfinished = Atomic(1)
  /// Names end to end, each with a NUL.
  private var names = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)
  private var entries = UnsafeMutableBufferPointer<Entry>(start: nil, count: 0)

  init(parent: TreeFolder?, index: Int, path: ByteString) {
    self.parent = parent
    self.index = index
    self.path = path
  }

  deinit {
    names.deallocate()
    entries.deallocate()
  }

  var count: Int { entries.count }

  /// Bytes of all names together.
  var nameBytes: Int { names.count - entries.count }

  /// A folder's listing while it is read: names end to end, each with a NUL.
  struct Listing {
    fileprivate(set) var names: [UInt8] = []
    fileprivate var starts: [UInt32] = []
    fileprivate var kinds: [FileIdentity.Kind] = []
    /// Of the first name, the bytes that all share.
    private var shared = 0

    mutating func append(_ name: UnsafeBufferPointer<UInt8>, _ kind: FileIdentity.Kind) {
      let start = names.count
      names.append(contentsOf: name)
      names.append(0)
      shared = starts.isEmpty ? name.count : sharedWithFirst(start)
      starts.append(UInt32(start))
      kinds.append(kind)
    }

    private func sharedWithFirst(_ start: Int) -> Int {
      var length = 0
      while length < shared && names[length] == names[start + length] { length += 1 }
      return length
    }

    /// The indices by the bytes of the names. Compares the eight bytes after what all names share, and whole names only
    /// where those are equal: 2 % of an unchanged tree's time, where sorting by whole names took 10.
    fileprivate func order() -> [UInt32] {
      names.withUnsafeBufferPointer { names in
        guard let base = names.baseAddress else { return [] }
        var keys = starts.indices.map { index -> (key: UInt64, index: UInt32) in
          var key: UInt64 = 0
          var next = Int(starts[index]) + shared
          for _ in 0..<8 {
            key = key << 8 | UInt64(names[next])
            if names[next] != 0 { next += 1 }
          }
          return (key, UInt32(index))
        }
        // A name's NUL is less than any byte of one that is longer, so comparing up to it orders as bytes do.
        keys.sort { left, right in
          if left.key != right.key { return left.key < right.key }
          return strcmp(base + Int(starts[Int(left.index)]), base + Int(starts[Int(right.index)])) < 0
        }
        return keys.map(\.index)
      }
    }
  }

  /// Takes over the listing, sorted by the bytes of the names.
  func adopt(_ listing: Listing) {
    names = .allocate(capacity: listing.names.count)
    _ = names.initialize(from: listing.names)
    entries = .allocate(capacity: listing.starts.count)
    for (place, index) in listing.order().enumerated() {
      let start = listing.starts[Int(index)]
      let next = Int(index) + 1 < listing.starts.count ? listing.starts[Int(index) + 1] : UInt32(listing.names.count)
      entries.initializeElement(
        at: place, to: Entry(kind: listing.kinds[Int(index)], nameStart: start, nameLength: next - start - 1))
    }
  }

  func kind(_ index: Int) -> FileIdentity.Kind { entries[index].kind }

  func identity(_ index: Int) -> FileIdentity? { entries[index].identity }

  func set(_ identity: FileIdentity, at index: Int) { entries[index].identity = identity }

  func set(_ digest: Digest, at index: Int) { entries[index].digest = digest }

  func name(_ index: Int) -> UnsafeBufferPointer<UInt8> {
    let start = Int(entries[index].nameStart)
    return UnsafeBufferPointer(rebasing: names[start..<start + Int(entries[index].nameLength)])
  }

  /// The path of an entry, for messages and filters.
  func path(of index: Int) -> ByteString { path.appending(name(index)) }

  /// The name of an entry, with its NUL.
  func cName(_ index: Int) -> UnsafePointer<CChar> {
    guard let base = names.baseAddress else { preconditionFailure("a folder with an entry has a name") }
    return UnsafeRawPointer(base + Int(entries[index].nameStart)).assumingMemoryBound(to: CChar.self)
  }

  /// The folder's node, when every entry has its digest.
  func encoded() -> [UInt8] {
    var encoder = TreeNode.Encoder(
      capacity: TreeNode.size(entries: entries.count, nameBytes: nameBytes))
    for index in entries.indices {
      let entry = entries[index]
      guard let digest = entry.digest else { preconditionFailure("a folder is encoded when all its entries are done") }
      let kind: Tree.Entry.Kind =
        switch entry.kind {
        case .directory: .directory
        case .symbolicLink: .link
        default: entry.identity?.isExecutable == true ? .executable : .file
        }
      encoder.append(kind, name(index), digest)
    }
    return encoder.bytes
  }
}
