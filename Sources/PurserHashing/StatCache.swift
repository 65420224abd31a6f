import Glibc
package import PurserModel
import Synchronization

/// Digests by file identity, so that a file that did not change need not be read again.
///
/// An entry is trusted only if the file had been left alone for longer than its file system's clock can tell apart
/// when hashing began (git's racily-clean rule): a later write then must give it another time. Any use from any thread.
package final class StatCache: Sendable {
  /// The clock that hashing is timed with.
  package let clock: any FileClock
  /// The names in folders that did not change.
  package let folders: FolderCache

  private struct Recent: Sendable {
    /// Of this process, not yet in the file.
    var unsaved = StatRecordTable()
    /// Of this process, already in the file.
    var saved = StatRecordTable()
  }

  private let path: ByteString?
  private let file: StatCacheFile
  private let recent = Mutex(Recent())
  /// Whether `recent` holds anything: spares most lookups the lock.
  private let hasRecent = Atomic(false)
  /// Whether the file was found damaged, and this process has not written it anew.
  private let mustRewrite: Atomic<Bool>

  /// Opens the cache in one file; `nil` for one in memory only.
  ///
  /// A missing, damaged or foreign file gives an empty cache, never an error. Four system calls; O(tail).
  ///
  /// - Parameter folders: the file for the names in folders; `nil` for one in memory only.
  package init(path: ByteString?, folders: ByteString? = nil, clock: any FileClock = SystemFileClock()) {
    self.path = path
    self.clock = clock
    self.folders = FolderCache(path: folders)
    file = path.map(StatCacheFile.load) ?? StatCacheFile()
    mustRewrite = Atomic(file.isDamaged)
  }

  /// Whether a file is no whole stat cache.
  package static func isDamaged(at path: ByteString) -> Bool { StatCacheFile.load(path).isDamaged }

  /// The digest of the content that a file with this identity has, if that is known. No system call.
  package func digest(for identity: FileIdentity) -> Digest? {
    if hasRecent.load(ordering: .acquiring) {
      let found = recent.withLock { $0.unsaved[identity] ?? $0.saved[identity] }
      if let found { return found.identity == identity ? found.digest : nil }
    }
    return file.digest(for: identity)
  }

  /// Whether this process has learnt anything.
  var isFresh: Bool { !hasRecent.load(ordering: .acquiring) }

  /// As ``digest(for:)``, of what the file holds, which takes no lock.
  ///
  /// - Parameter place: where the last one was found, which the next one is likely to follow.
  func savedDigest(for identity: FileIdentity, after place: inout Int) -> Digest? {
    file.digest(for: identity, after: &place)
  }

  /// Remembers a digest, if the file's times prove that a later write would change them.
  ///
  /// - Parameters:
  ///   - identity: the same before and after the content was read.
  ///   - hashingBegan: the clock's time before the first byte was read.
  ///   - granularity: of the file system's clock, in nanoseconds; a time of whole seconds counts as at least 2 s.
  package func record(_ identity: FileIdentity, _ digest: Digest, hashingBegan: Int64, granularity: Int64) {
    guard Self.isSettled(identity.modified, at: hashingBegan, granularity),
      Self.isSettled(identity.changed, at: hashingBegan, granularity)
    else { return }
    record([StatRecord(identity: identity, digest: digest)])
  }

  /// Remembers digests of files that were settled.
  func record(_ records: ContiguousArray<StatRecord>) {
    let new = records.filter { file.digest(for: $0.identity) != $0.digest }
    guard !new.isEmpty else { return }
    recent.withLock { recent in
      for record in new {
        if let known = recent.saved[record.identity], known.identity == record.identity, known.digest == record.digest {
          continue
        }
        recent.unsaved.set(record)
      }
    }
    hasRecent.store(true, ordering: .releasing)
  }

  /// Whether a write at `began` or later is sure to be stamped otherwise. A time in the future never is.
  static func isSettled(_ time: Int64, at began: Int64, _ granularity: Int64) -> Bool {
    let margin = time % 1_000_000_000 == 0 ? max(granularity, SystemFileClock.coarsest) : granularity
    let (limit, overflow) = began.subtractingReportingOverflow(margin)
    return !overflow && time < limit
  }

  /// Appends what is new to the file. Nothing new: no system call. A save that is lost to another process costs
  /// entries, nothing else.
  ///
  /// - Throws: the error of the call that failed; the entries stay, for the next save.
  package func save() throws(FileError) {
    guard let path, hasRecent.load(ordering: .acquiring) else { return }
    let new = recent.withLock { recent in
      let new = recent.unsaved
      recent.saved.merge(new)
      recent.unsaved = StatRecordTable()
      return new
    }
    guard !new.isEmpty else { return }
    do throws(FileError) {
      try StatCacheWriter(path: path).save(new, mustRewrite: mustRewrite.load(ordering: .relaxed))
      mustRewrite.store(false, ordering: .relaxed)
    } catch {
      recent.withLock { recent in
        for record in new.records where recent.unsaved[record.identity] == nil { recent.unsaved.set(record) }
      }
      throw error
    }
  }
}
