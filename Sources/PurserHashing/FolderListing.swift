import Glibc
package import PurserModel

/// What stands directly in one folder.
package struct FolderListing: Sendable {
  /// The folder as it was before it was listed.
  package var identity: FileIdentity
  /// Whether an entry that comes, goes or is renamed after the listing is sure to give the folder another time (see
  /// ``StatCache``).
  package var isSettled: Bool
  /// The kind of each entry; `nil` where the file system does not say. Links are not followed.
  package var entries: [ByteString: FileIdentity.Kind?]

  /// Lists a folder as a hasher sees it; see ``init(of:cache:)``.
  package init?(of path: ByteString, hasher: FileHasher) {
    guard let overlay = hasher.overlay else {
      self.init(of: path, cache: hasher.cache)
      return
    }
    guard let identity = try? overlay.identity(of: path, followLinks: true),
      let found = try? overlay.entries(of: path)
    else { return nil }
    self.init(
      identity: identity, isSettled: false, entries: Dictionary(uniqueKeysWithValues: found.map { ($0.name, $0.kind) }))
  }

  private init(identity: FileIdentity, isSettled: Bool, entries: [ByteString: FileIdentity.Kind?]) {
    self.identity = identity
    self.isSettled = isSettled
    self.entries = entries
  }

  /// Lists a folder, following links; `nil` where there is none that can be read. O(entries).
  package init?(of path: ByteString, cache: StatCache) {
    let began = cache.clock.now()
    var entries: [ByteString: FileIdentity.Kind?] = [:]
    let found: (FileIdentity, Int64)? = try? path.withPath { cPath throws(FileError) in
      let folder = try DirectoryHandle(in: AT_FDCWD, name: cPath, followLinks: true) { path }
      let identity = try FileIdentity.of(descriptor: folder.descriptor)
      try folder.list(path: { path }) { name, kind in entries[ByteString(name)] = .some(kind) }
      return (identity, cache.clock.granularity(ofDescriptor: folder.descriptor, device: identity.device))
    }
    guard let (identity, granularity) = found else { return nil }
    self.identity = identity
    self.entries = entries
    isSettled =
      StatCache.isSettled(identity.modified, at: began, granularity)
      && StatCache.isSettled(identity.changed, at: began, granularity)
  }
}
