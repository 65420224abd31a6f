public import PurserModel

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
  public var specification: String
  /// The tasks that it follows.
  public var dependencies: [String] = []
  /// The last run that the caller's decision took into account.
  public var previousRun: Int64?
  /// The state that it was in then.
  public var previousRunState: RunState?
  /// The newest result of the action that the decision took into account, 0 for none; `nil` where it does not matter.
  public var newestResult: Int64?
  /// The queued work that this is an attempt at; `nil` for none.
  public var queuedWork: Int64?
  /// The result that is to be put back: it has to stand still; `nil` for none.
  public var restoring: Int64?
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
    key: TaskKey, kind: String, actionKey: Digest, reasons: String, createdBy: String, specification: String,
    previousRun: Int64?, previousRunState: RunState?, leases: [String], worker: String, owner: LeaseProcess,
    now: String,
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
  /// Of a task with a dep file: the key of what is declared, without what the dep file named.
  public var declaredKey: Digest?
  /// Listings of the folders in the fingerprint.
  public var treeNodes: [Digest: [UInt8]]
  /// What it made, for a new result.
  public var manifest: OutputManifest?
  /// The digest of the manifest.
  public var outputsVersion: Digest?
  /// The result that was restored or accepted, instead of a new one.
  public var restored: ActionResult?
  /// By whose word the result stands for the fingerprint, where it was not made from just that.
  public var vouch: Vouch?
  /// Contents that are to be named by this commit.
  public var blobs: [NewBlob]
  /// The captured output.
  public var log: Digest?
  /// What the task returned, to be written to its bins: by a run, or again by a restore. With a success and without
  /// data, the bins are removed; but an adopted result leaves them.
  public var taskData: TaskData?
  /// The digest of the data's canonical text.
  public var outputDataVersion: String?
  /// The data's JSON text as a content, for a new result; it stands among `blobs`.
  public var dataDigest: Digest?
  /// What it did with files, for those who ask; `nil` where it was not traced.
  public var trace: TaskTrace?
  /// For a new result: what was read without being declared; `nil` where it was not traced.
  public var undeclared: [Component]?
  /// Direct upstream tasks.
  public var dependencies: [String]
  /// What went wrong, as JSON.
  public var errorInfo: String?

  /// Makes an outcome without result, data, blobs or error.
  public init(
    state: RunState, status: TaskStatus?, exitCode: Int32?, startedAt: String, finishedAt: String,
    durationMicroseconds: Int64, fingerprint: Fingerprint
  ) {
    self.state = state
    self.status = status
    self.exitCode = exitCode
    self.startedAt = startedAt
    self.finishedAt = finishedAt
    self.durationMicroseconds = durationMicroseconds
    self.fingerprint = fingerprint
    treeNodes = [:]
    blobs = []
    dependencies = []
  }
}

extension RunOutcome {
  /// What the task left, for whoever goes on from there: the artifact `result` of its pipeline. `{"run","status",
  /// "exitCode","finishedAt","durationMicroseconds","fingerprint","outputsVersion","dataVersion","outputs":{"files",
  /// "bytes","places"},"log"}`, without what there is not; `places` are the first 20 of the declared outputs. The contents
  /// stand in the store by their digests, and are not repeated here.
  public func summary(of run: Int64) -> JSON {
    var members: [(String, JSON)] = [("run", .integer(run)), ("status", .string(status?.rawValue ?? "INCOMPLETE"))]
    if let exitCode { members.append(("exitCode", .integer(Int64(exitCode)))) }
    members += [
      ("finishedAt", .string(finishedAt)), ("durationMicroseconds", .integer(durationMicroseconds)),
      ("fingerprint", .string(fingerprint.actionKey.hex)),
    ]
    if let version = restored?.outputsVersion ?? outputsVersion {
      members.append(("outputsVersion", .string(version.hex)))
    }
    if let outputDataVersion { members.append(("dataVersion", .string(outputDataVersion))) }
    if let made = restored?.manifest ?? manifest {
      let files = made.entries.filter { $0.kind != .directory }
      members.append(
        (
          "outputs",
          .object([
            ("files", .integer(Int64(files.count))),
            ("bytes", .integer(files.reduce(0) { $0 &+ Int64(clamping: $1.size) })),
            ("places", .array(made.patterns.prefix(20).map { .string($0.escaped) })),
          ])
        ))
    }
    if let log { members.append(("log", .string(log.hex))) }
    return .object(members)
  }
}

/// Which runs to list.
public struct RunFilter: Sendable {
  /// Only this storage key.
  public var storageKey: String?
  /// Only this pipeline.
  public var pipeline: String?
  /// Only this task.
  public var task: String?
  /// Only attempts at this queued work.
  public var queuedWork: Int64?
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
