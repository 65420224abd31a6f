public import PurserModel

/// Task records, results, runs and leases. Batch first: a plan of 10,000 tasks asks once.
///
/// Implementations are safe to use from several threads, and from several processes on one store. Every write is
/// atomic. All operations throw ``StoreError``.
public protocol RecordStore: Sendable {
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

  /// The last result number that is void for a task, if it was ever invalidated.
  func invalidationHorizons(for keys: [TaskKey]) throws(StoreError) -> [TaskKey: Int64]

  /// The last declaration of a task, as JSON text.
  func specification(of key: TaskKey) throws(StoreError) -> String?

  /// What these tasks directly depend on, as recorded.
  func dependencies(of keys: [TaskKey]) throws(StoreError) -> [TaskKey: [String]]

  /// History, newest first. `nil` means any.
  func runs(matching filter: RunFilter) throws(StoreError) -> [RunRecord]

  /// What the store holds of each of these contents.
  func blobs(_ digests: [Digest]) throws(StoreError) -> [Digest: StoredBlob]

  /// A small blob and its content, as stored (encoded); `nil` for a large one or an unknown one.
  func inlineContent(_ digest: Digest) throws(StoreError) -> (blob: StoredBlob, content: [UInt8])?

  /// Takes leases and opens a run under them, in one transaction. If any lease is held, or the task's last run is another
  /// or in another state than the caller knows of, no run is opened. Leases in `replacing` are removed first, if they still carry that
  /// token.
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
  /// writes nothing, if a lease is no longer this run's.
  func finish(_ run: OpenRun, with outcome: RunOutcome) throws(StoreError)

  /// Outputs that other tasks of this storage key and pipeline, with a standing result, have declared below a folder.
  func outputs(below folder: ByteString, near key: TaskKey) throws(StoreError) -> [(task: String, path: ByteString)]

  /// Marks tasks; returns those that were hit. With `allKeys`, on every storage key, and the results themselves.
  func invalidate(_ request: InvalidationRequest) throws(StoreError) -> [TaskKey]

  /// Forgets what nothing names: results no record needs and older than `cutoff`, and then the blobs, sets and
  /// components that nothing refers to. `treeChildren` reads the folders out of a folder's listing. O(store).
  func collectGarbage(
    olderThan cutoff: String, treeChildren: @Sendable ([UInt8]) -> [Digest]
  ) throws(StoreError) -> GarbageReport

  /// Forgets a blob whose content turned out to be damaged or gone.
  func forgetBlob(_ digest: Digest) throws(StoreError)
}

/// Which runs to list.
public struct RunFilter: Sendable {
  /// Only this storage key.
  public var storageKey: String?
  /// Only this pipeline.
  public var pipeline: String?
  /// Only this task.
  public var task: String?
  /// At most so many.
  public var limit: Int

  /// Makes a filter.
  public init(storageKey: String? = nil, pipeline: String? = nil, task: String? = nil, limit: Int = 50) {
    self.storageKey = storageKey
    self.pipeline = pipeline
    self.task = task
    self.limit = limit
  }
}

/// How a blob's bytes are encoded at rest. The raw value is part of the format.
public enum BlobEncoding: Int64, Sendable {
  case identity = 0
  case zstd = 1
}

/// A blob that the store knows.
public struct StoredBlob: Sendable, Hashable {
  /// SHA-256 of the content.
  public var digest: Digest
  /// Bytes of content, decoded.
  public var size: UInt64
  /// How it is kept.
  public var encoding: BlobEncoding
  /// Whether the content stands in the record store itself.
  public var isInline: Bool

  /// Makes a description.
  public init(digest: Digest, size: UInt64, encoding: BlobEncoding, isInline: Bool) {
    self.digest = digest
    self.size = size
    self.encoding = encoding
    self.isInline = isInline
  }
}

/// A blob to be named by a commit: small ones bring their content, large ones are on disk already.
public struct NewBlob: Sendable, Hashable {
  /// SHA-256 of the content.
  public var digest: Digest
  /// Bytes of content, decoded.
  public var size: UInt64
  /// How it is kept.
  public var encoding: BlobEncoding
  /// The encoded content of a small blob.
  public var inlineContent: [UInt8]?

  /// Makes a description.
  public init(digest: Digest, size: UInt64, encoding: BlobEncoding, inlineContent: [UInt8]?) {
    self.digest = digest
    self.size = size
    self.encoding = encoding
    self.inlineContent = inlineContent
  }
}

/// A process named in a lease, told apart from a later one with its number by when it started.
public struct LeaseProcess: Sendable, Hashable {
  /// Process id.
  public var pid: Int32
  /// Clock ticks after boot.
  public var startTime: UInt64
  /// Its process group, where it has one of its own.
  public var processGroup: Int32?

  /// Names a process.
  public init(pid: Int32, startTime: UInt64, processGroup: Int32?) {
    self.pid = pid
    self.startTime = startTime
    self.processGroup = processGroup
  }
}

/// A lease that somebody else holds.
public struct Lease: Sendable, Hashable {
  /// Its fencing token.
  public var token: Int64
  /// What it covers.
  public var name: String
  /// Boot and process name-space of the owner: pids mean something only within them.
  public var worker: String
  /// The owner.
  public var owner: LeaseProcess
  /// The command that works under it, once started.
  public var child: LeaseProcess?
  /// ISO 8601.
  public var acquiredAt: String
  /// ISO 8601; after this it may be taken over even from a living owner.
  public var expiresAt: String

  /// Makes a lease.
  public init(
    token: Int64, name: String, worker: String, owner: LeaseProcess, child: LeaseProcess?, acquiredAt: String,
    expiresAt: String
  ) {
    self.token = token
    self.name = name
    self.worker = worker
    self.owner = owner
    self.child = child
    self.acquiredAt = acquiredAt
    self.expiresAt = expiresAt
  }
}

/// A run to be opened.
public struct NewRun: Sendable {
  /// Which task.
  public var key: TaskKey
  /// `run`, `restore` or `adopt`.
  public var kind: String
  /// The action it is about to do.
  public var actionKey: Digest
  /// Why, as JSON.
  public var reasons: String
  /// Who asks.
  public var createdBy: String
  /// The declaration, as JSON.
  public var specification: String?
  /// The last run that the caller's decision took into account.
  public var previousRun: Int64?
  /// The state that it was in then.
  public var previousRunState: RunState?
  /// The leases to take.
  public var leases: [String]
  /// Boot and process name-space of the owner.
  public var worker: String
  /// The owner.
  public var owner: LeaseProcess
  /// Now, ISO 8601.
  public var now: String
  /// When the leases end, ISO 8601.
  public var expiresAt: String

  /// Makes a request.
  public init(
    key: TaskKey, kind: String, actionKey: Digest, reasons: String, createdBy: String, specification: String? = nil,
    previousRun: Int64?, previousRunState: RunState?, leases: [String], worker: String, owner: LeaseProcess, now: String,
    expiresAt: String
  ) {
    self.key = key
    self.kind = kind
    self.actionKey = actionKey
    self.reasons = reasons
    self.createdBy = createdBy
    self.specification = specification
    self.previousRun = previousRun
    self.previousRunState = previousRunState
    self.leases = leases
    self.worker = worker
    self.owner = owner
    self.now = now
    self.expiresAt = expiresAt
  }
}

/// What came of asking for leases.
public enum BeginOutcome: Sendable {
  /// The run is open.
  case opened(OpenRun)
  /// Somebody else is at it.
  case held([Lease])
  /// Somebody else has run the task since: decide again.
  case moved
}

/// A run that is open, and the tokens that prove it.
public struct OpenRun: Sendable, Hashable {
  /// Number of the run.
  public var id: Int64
  /// Which task.
  public var key: TaskKey
  /// Fencing tokens of its leases.
  public var tokens: [Int64]

  /// Makes a handle.
  public init(id: Int64, key: TaskKey, tokens: [Int64]) {
    self.id = id
    self.key = key
    self.tokens = tokens
  }
}

/// Content that is about to disappear from the project.
public struct SavedContent: Sendable, Hashable {
  /// Where it was, relative to the project root.
  public var path: ByteString
  /// What it was.
  public var blob: NewBlob

  /// Makes a description.
  public init(path: ByteString, blob: NewBlob) {
    self.path = path
    self.blob = blob
  }
}

/// How a run ended, and everything that is to be remembered of it.
public struct RunOutcome: Sendable {
  /// The state of the run.
  public var state: RunState
  /// The state of the task; `nil` leaves record and status as they were before the run.
  public var status: TaskStatus?
  /// The command's exit status.
  public var exitCode: Int32?
  /// Start, ISO 8601.
  public var startedAt: String
  /// End, ISO 8601.
  public var finishedAt: String
  /// In microseconds.
  public var durationMicroseconds: Int64
  /// What the task was made from.
  public var fingerprint: Fingerprint
  /// Listings of the folders in the fingerprint.
  public var treeNodes: [Digest: [UInt8]]
  /// What it made, for a new result.
  public var manifest: OutputManifest?
  /// The digest of the manifest.
  public var outputsVersion: Digest?
  /// The result that was restored or adopted, instead of a new one.
  public var restored: ActionResult?
  /// Contents that are to be named by this commit.
  public var blobs: [NewBlob]
  /// The captured output.
  public var log: Digest?
  /// The declaration, as JSON.
  public var specification: String
  /// Direct upstream tasks.
  public var dependencies: [String]
  /// What went wrong, as JSON.
  public var errorInfo: String?

  /// Makes an outcome without result, blobs or error.
  public init(
    state: RunState, status: TaskStatus?, exitCode: Int32?, startedAt: String, finishedAt: String,
    durationMicroseconds: Int64, fingerprint: Fingerprint, specification: String
  ) {
    self.state = state
    self.status = status
    self.exitCode = exitCode
    self.startedAt = startedAt
    self.finishedAt = finishedAt
    self.durationMicroseconds = durationMicroseconds
    self.fingerprint = fingerprint
    self.specification = specification
    treeNodes = [:]
    blobs = []
    dependencies = []
  }
}

/// What to invalidate.
public struct InvalidationRequest: Sendable {
  /// The tasks, on their storage keys.
  public var keys: [TaskKey]
  /// Also what depends on them, as recorded.
  public var includesDownstream: Bool
  /// On every storage key, and the results themselves.
  public var allKeys: Bool
  /// Time, author and reason.
  public var mark: Invalidation

  /// Makes a request.
  public init(keys: [TaskKey], includesDownstream: Bool, allKeys: Bool, mark: Invalidation) {
    self.keys = keys
    self.includesDownstream = includesDownstream
    self.allKeys = allKeys
    self.mark = mark
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

  /// Makes a report.
  public init(results: Int = 0, blobs: Int = 0, bytes: UInt64 = 0) {
    self.results = results
    self.blobs = blobs
    self.bytes = bytes
  }
}
