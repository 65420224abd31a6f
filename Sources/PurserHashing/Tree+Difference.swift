package import PurserModel

extension Tree {
  /// One entry that differs between two trees.
  package struct Change: Sendable, Hashable {
    /// Relative to the tree.
    package var path: ByteString
    /// What it was; `nil` for what was added.
    package var was: Digest?
    /// What it is; `nil` for what was removed.
    package var `is`: Digest?
    /// The kinds: where only the execute permission changed, the digests are equal and these are not.
    package var wasKind: Entry.Kind?
    package var isKind: Entry.Kind?
  }

  /// What differs between two trees, sorted by path. Looks only into folders whose digests differ.
  ///
  /// A folder that was added or removed, or whose listing is not to be had, is named itself.
  ///
  /// - Parameter node: the listing of a folder by its digest, from wherever it is kept; it is checked against the digest.
  /// - Complexity: O(entries of the folders that differ).
  package static func difference(from: Digest, to: Digest, node: (Digest) -> [UInt8]?) -> [Change] {
    func entries(_ digest: Digest) -> [Entry]? {
      guard let bytes = node(digest), SHA256.digest(of: bytes) == digest else { return nil }
      return decode(node: bytes)
    }
    var changes: [Change] = []
    var waiting: [(path: ByteString, was: Digest, is: Digest)] = from == to ? [] : [(ByteString(bytes: []), from, to)]
    while let folder = waiting.popLast() {
      guard let was = entries(folder.was), let now = entries(folder.is) else {
        let (was, now) = (folder.was, folder.is)
        changes.append(Change(path: folder.path, was: was, is: now, wasKind: .directory, isKind: .directory))
        continue
      }
      for (was, now) in pairs(was, now) where was != now {
        guard let name = (was ?? now)?.name else { continue }
        let path = folder.path.isEmpty ? name : folder.path + "/" + name
        if let was, let now, was.kind == .directory, now.kind == .directory {
          waiting.append((path, was.digest, now.digest))
        } else {
          changes.append(
            Change(path: path, was: was?.digest, is: now?.digest, wasKind: was?.kind, isKind: now?.kind))
        }
      }
    }
    return changes.sorted { $0.path < $1.path }
  }

  /// Two sorted listings side by side.
  private static func pairs(_ left: [Entry], _ right: [Entry]) -> [(Entry?, Entry?)] {
    var pairs: [(Entry?, Entry?)] = []
    var (i, j) = (0, 0)
    while i < left.count || j < right.count {
      if j == right.count || (i < left.count && left[i].name < right[j].name) {
        pairs.append((left[i], nil))
        i += 1
      } else if i == left.count || right[j].name < left[i].name {
        pairs.append((nil, right[j]))
        j += 1
      } else {
        pairs.append((left[i], right[j]))
        i += 1
        j += 1
      }
    }
    return pairs
  }
}
