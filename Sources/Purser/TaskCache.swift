import Glibc
import PurserBlobs
package import PurserCode
package import PurserHashing
@_exported public import PurserModel
import PurserSQLite
package import PurserStore
import Synchronization

/// The name-space of a branch's records, as a text or as it is found out.
public struct StorageKey: Sendable, Hashable, ExpressibleByStringLiteral {
  /// The name; `nil` where it is to be found out.
  let name: String?

  /// `PURSER_STORAGE_KEY`, else the branch that is checked out, or what that is mapped to; `default` without git.
  public static let gitBranch = StorageKey(name: nil)

  /// A key by its name.
  public init(_ name: String) {
    self.name = name
  }

  public init(stringLiteral name: String) {
    self.name = name
  }

  private init(name: String?) {
    self.name = name
  }
}

/// The cache of one project on one storage key and pipeline: decides whether tasks are fresh, puts results back, and
/// records what was made.
///
/// Safe to use from several threads. Calls block on the disk; do not make them on Swift's cooperative pool.
public final class TaskCache: Sendable {
  /// Where the project and its store are, and under which names its records stand.
  public let project: Project
  package let environment: ProcessEnvironment
  package let records: any RecordStore
  package let blobStore: any BlobStore
  package let hasher: FileHasher
  /// What was found out about source files.
  package let summaries: SummaryCache
  let contents: ContentStore
  /// The folders of PATH, in their order.
  let searchFolders: [ByteString]
  /// Whether each end of a task is made durable by itself; else somebody calls `sync` for many of them.
  let commitsDurably = Atomic(true)
  /// How often this object was told to invalidate something.
  let invalidations = Atomic(0)
  let expiredLeases = ExpiredLeases()
  let leaseKeeper = LeaseKeeper()

  /// Opens the cache of a project. No record is written until something is to be recorded.
  public convenience init(project: Project, environment: ProcessEnvironment = .current) {
    self.init(project: project, environment: environment, overlay: nil)
  }

  /// Opens the cache to decide about files that are not all as on disk. Only to decide: nothing may be run, restored or
  /// recorded by way of it.
  package convenience init(project: Project, environment: ProcessEnvironment, overlay: FileOverlay?) {
    self.init(
      project: project, environment: environment,
      records: SQLiteRecordStore(
        directory: project.store, isDurable: environment["PURSER_DURABILITY"] != "fast", now: { TaskCache.now() }),
      blobs: LocalBlobStore(directory: project.store),
      statCache: StatCache(
        path: project.store.appending(path: "stat-cache"), folders: project.store.appending(path: "folder-cache")),
      summaries: SummaryCache(path: project.store.appending(path: "code-cache")), overlay: overlay)
  }

  package init(
    project: Project, environment: ProcessEnvironment, records: any RecordStore, blobs: any BlobStore,
    statCache: StatCache, summaries: SummaryCache = SummaryCache(path: nil), overlay: FileOverlay? = nil
  ) {
    self.project = project
    self.environment = environment
    searchFolders = environment.searchFolders
    self.records = records
    blobStore = blobs
    hasher = FileHasher(cache: statCache, overlay: overlay)
    self.summaries = summaries
    contents = ContentStore(
      records: records, blobs: blobs, temporaryFolder: project.store.appending(path: "tmp"))
  }

  /// Opens the cache of the project at a path. No record is written until something is to be recorded.
  ///
  /// - Parameters:
  ///   - path: the project's root.
  ///   - storageKey: under which its records stand.
  ///   - pipeline: their pipeline's name; `nil` for `PURSER_PIPELINE`, else the name of the root's folder.
  ///   - store: the store's folder; `nil` for `PURSER_STORE`, else `.purser` in the root.
  /// - Throws: `usage` if the root is no folder; `pipeline` for a file that maps branches and cannot be read.
  public static func open(
    project path: ByteString = ".", storageKey: StorageKey = .gitBranch, pipeline: String? = nil,
    store: ByteString? = nil
  ) throws(PurserError) -> TaskCache {
    let environment = ProcessEnvironment.current
    return try TaskCache(
      project: Project.find(
        Project.Options(root: path, store: store, storageKey: storageKey.name, pipeline: pipeline),
        environment: environment),
      environment: environment)
  }

  /// The key of a task in this cache.
  public func key(_ task: String) -> TaskKey {
    TaskKey(storageKey: project.storageKey, pipeline: project.pipeline, task: task)
  }

  /// Now, as the store writes it.
  package static func now() -> String {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp.string(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
  }

  /// Now and some seconds.
  package static func time(in seconds: Int64) -> String {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp.string(microseconds: (Int64(time.tv_sec) + seconds) * 1_000_000 + Int64(time.tv_nsec) / 1000)
  }

  /// `user@host`, as far as the environment tells.
  package var author: String { environment.author }

  /// Keeps what the caches of files and folders have learnt, and what source files say. Failing costs time later, never a result.
  package func saveStatCache() {
    try? hasher.cache.save()
    try? hasher.cache.folders.save()
    summaries.save()
  }
}
