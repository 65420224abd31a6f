import Glibc
package import PurserModel
import Synchronization

/// The names in folders by the folders' identities, so that one that did not change need not be listed again. Any use
/// from any thread.
///
/// A folder's identity tells its entries by the rule by which a file's tells its content (see ``StatCache``): whatever
/// comes, goes or is renamed in a folder stamps it, so names are kept only where the folder had been left alone for
/// longer than its file system's clock can tell apart when listing began. And only on file systems that are known to
/// stamp folders so: where the clock is not known (network and user-space file systems, FAT, `/proc`), the folder is
/// listed each time. The names are all that is kept: every entry is still looked at, and what is mounted over a folder
/// has an identity of its own.
package final class FolderCache: Sendable {
  /// A place where a folder may be; what is there now has the identity that was seen last.
  struct Key: Hashable {
    var device: UInt64
    var inode: UInt64

    init(_ identity: FileIdentity) {
      device = identity.device
      inode = identity.inode
    }
  }

  private struct State: Sendable {
    /// `nil` until it is first asked for.
    var file: FolderCacheFile?
    /// Of this process, since the file was opened.
    var recent: [Key: (identity: FileIdentity, names: FolderNames)] = [:]
    /// Those of them that are not in the file.
    var unsaved: Set<Key> = []
  }

  private let path: ByteString?
  private let state = Mutex(State())

  /// Folders with fewer entries are listed: that costs little, and keeping their names would cost more bytes for each.
  private static let fewest = 32

  /// Names in one file; `nil` for a cache in memory only. Nothing is opened before it is needed; a missing, damaged or
  /// foreign file gives an empty cache.
  package init(path: ByteString?) {
    self.path = path
  }

  /// The names in the folder that has this identity, if they are known. O(log folders + entries); no system call but
  /// for the first.
  func names(in identity: FileIdentity) -> FolderNames? {
    let (recent, file) = state.withLock { state in
      if state.file == nil { state.file = path.map(FolderCacheFile.load) ?? FolderCacheFile() }
      return (state.recent.isEmpty ? nil : state.recent[Key(identity)], state.file)
    }
    if let recent { return recent.identity == identity ? recent.names : nil }
    return file?.names(in: identity)
  }

  /// Remembers names, if the folder's times prove that a change of them would change those.
  ///
  /// - Parameters:
  ///   - identity: had after `began` and before the first name was read.
  ///   - began: the clock's time then.
  ///   - granularity: of the file system's clock, in nanoseconds.
  func record(_ identity: FileIdentity, _ names: FolderNames, listingBegan began: Int64, granularity: Int64) {
    guard names.count >= Self.fewest, granularity < SystemFileClock.coarsest,
      StatCache.isSettled(identity.modified, at: began, granularity),
      StatCache.isSettled(identity.changed, at: began, granularity)
    else { return }
    state.withLock { state in
      state.recent[Key(identity)] = (identity, names)
      state.unsaved.insert(Key(identity))
    }
  }

  /// Puts what is new into the file. Nothing new: no system call. A save that is lost to another process costs listings,
  /// nothing else.
  package func save() throws(FileError) {
    guard let path else { return }
    let new = state.withLock { state in
      let new = state.unsaved.compactMap { state.recent[$0] }
      state.unsaved = []
      return new
    }
    if !new.isEmpty { try FolderCacheFile.save(new, to: path) }
  }
}
