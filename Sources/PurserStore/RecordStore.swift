public import PurserModel

/// Task records, results, runs and leases. Batch first: a plan of 10,000 tasks asks once.
///
/// Implementations are safe to use from several threads, and from several processes on one store. Every write is
/// atomic. All operations throw ``StoreError``.
public protocol RecordStore: ProgressStore, BranchStore, InvalidationStore, AcceptanceStore, QueueStore, MarkedStore,
  Sendable
{
  /// The records of these tasks, in their order; `nil` for one without. O(keys), one transaction.
  func records(for keys: [TaskKey]) throws(StoreError) -> [TaskRecord?]

  /// Every record, or those of one storage key or pipeline, sorted by (storage key, pipeline, task).
  func records(storageKey: String?, pipeline: String?) throws(StoreError) -> [TaskRecord]

  /// The components behind each action key that is known.
  func components(of actionKeys: [Digest]) throws(StoreError) -> [Digest: [Component]]

  /// The listing of a hashed folder.
  func treeNode(_ digest: Digest) throws(StoreError) -> [UInt8]?

  /// The results of each action that are not marked invalid, newest first.
  func results(for actionKeys: [Digest]) throws(StoreError) -> [Digest: [ActionResult]]

  /// The whole keys of the newest `limit` valid results of actions with this key of what is declared: newest first, each
  /// once.
  func actionKeys(declaredAs key: Digest, limit: Int) throws(StoreError) -> [Digest]

  /// The last declaration of a task, as JSON text.
  func specification(of key: TaskKey) throws(StoreError) -> String?

  /// What these tasks directly depend on, as recorded.
  func dependencies(of keys: [TaskKey]) throws(StoreError) -> [TaskKey: [String]]

  /// History, newest first. `nil` means any.
  func runs(matching filter: RunFilter) throws(StoreError) -> [RunRecord]

  /// What the last traced run of a task did; `nil` where there is none.
  func trace(of key: TaskKey) throws(StoreError) -> (run: Int64, trace: TaskTrace)?

  /// What the store holds of each of these contents.
  func blobs(_ digests: [Digest]) throws(StoreError) -> [Digest: StoredBlob]

  /// A small blob and its content, as stored (encoded); `nil` for a large one or an unknown one.
  func inlineContent(_ digest: Digest) throws(StoreError) -> (blob: StoredBlob, content: [UInt8])?

  /// Takes leases and opens a run under them, in one transaction. If any lease is held, or the task's last run is
  /// another or in another state than the caller knows of, or there is a newer result, no run is opened. Leases in
  /// `replacing` are removed first, if they still carry that token.
  func begin(_ run: NewRun, replacing tokens: [Int64]) throws(StoreError) -> BeginOutcome

  /// The leases that are held under these names.
  func leases(named names: [String]) throws(StoreError) -> [Lease]

  /// Notes the process that works under a run's leases.
  func noteChild(_ child: LeaseProcess, of run: OpenRun) throws(StoreError)

  /// Names contents that a run is about to remove or overwrite, durably, before it does.
  func save(_ contents: [SavedContent], for run: OpenRun) throws(StoreError)

  /// Extends a run's leases.
  func renew(_ run: OpenRun, until expiry: String) throws(StoreError)

  /// Closes a run: history, task record, result, blobs and leases, in one durable transaction. Throws `leaseLost`, and
  /// writes nothing, if a lease is no longer this run's. Returns the mark that was made while it ran: its result is void
  /// then on this storage key. Throws `corrupt`, and writes nothing, where a content that its result needs, or the result
  /// that it put back, is not in the store.
  ///
  /// Without `isDurable`, a killed process loses nothing of it, but a power cut may, until the next ``sync()``.
  @discardableResult
  func finish(_ run: OpenRun, with outcome: RunOutcome, isDurable: Bool) throws(StoreError) -> Invalidation?

  /// Says how many threads will begin and end tasks soon, so that each transaction waits for as many to share it, though
  /// for 25 ms at most. 0 or 1: for none.
  func expect(writers: Int)

  /// Makes everything that was committed so far durable.
  ///
  /// - Parameter isLast: whether nothing more is to come for a while, so that the next process should find it tidied up.
  func sync(isLast: Bool) throws(StoreError)

  /// Outputs that other tasks of this storage key and pipeline, with a standing result, have declared below a folder.
  func outputs(below folder: ByteString, near key: TaskKey) throws(StoreError) -> [(task: String, path: ByteString)]

  /// Forgets what nothing names: results that no record needs, that no open run is about, and older than the cutoff;
  /// then the blobs, sets and components that nothing refers to. Where the contents still take more than they may, the
  /// cutoff is moved on in eighths of what is left, up to now. O(store).
  func collectGarbage(_ request: GarbageRequest) throws(StoreError) -> GarbageReport

  /// Forgets a blob whose content turned out to be damaged or gone.
  func forgetBlob(_ digest: Digest) throws(StoreError)
}

extension RecordStore {
  public func expect(writers: Int) {}

  /// Closes a run durably.
  @discardableResult
  public func finish(_ run: OpenRun, with outcome: RunOutcome) throws(StoreError) -> Invalidation? {
    try finish(run, with: outcome, isDurable: true)
  }

  /// Forgets what nothing names and is older than a time.
  public func collectGarbage(
    olderThan cutoff: String, treeChildren: @escaping @Sendable ([UInt8]) -> [Digest]
  ) throws(StoreError) -> GarbageReport {
    try collectGarbage(GarbageRequest(cutoff: cutoff, treeChildren: treeChildren))
  }
}

/// What may be collected.
public struct GarbageRequest: Sendable {
  /// What is younger stays, ISO 8601; but see `maximumBytes`.
  public var cutoff: String
  /// How many bytes contents may take as they are kept; `nil` for any number.
  public var maximumBytes: UInt64?
  /// What a large content takes as it is kept.
  public var fileSize: @Sendable (Digest) -> UInt64
  /// Reads the folders out of a folder's listing.
  public var treeChildren: @Sendable ([UInt8]) -> [Digest]
  /// Whether to tell only what would go.
  public var isTrial = false

  /// Makes a request without a limit.
  public init(
    cutoff: String, fileSize: @escaping @Sendable (Digest) -> UInt64 = { _ in 0 },
    treeChildren: @escaping @Sendable ([UInt8]) -> [Digest]
  ) {
    self.cutoff = cutoff
    self.fileSize = fileSize
    self.treeChildren = treeChildren
  }
}

/// What a collection removed from the record store.
public struct GarbageReport: Sendable {
  /// Results forgotten.
  public var results: Int
  /// Blobs forgotten.
  public var blobs: Int
  /// Their bytes, decoded.
  public var bytes: UInt64
  /// Those of the blobs forgotten that do not stand in the record store itself.
  public var files: Set<Digest> = []
  /// What the blobs that stay take, as they are kept; counted only where they are limited.
  public var keptBytes: UInt64?

  /// Makes a report.
  public init(results: Int = 0, blobs: Int = 0, bytes: UInt64 = 0) {
    self.results = results
    self.blobs = blobs
    self.bytes = bytes
  }

  /// Takes in what another collection removed.
  package mutating func add(_ other: GarbageReport) {
    results += other.results
    blobs += other.blobs
    bytes += other.bytes
    files.formUnion(other.files)
  }
}
