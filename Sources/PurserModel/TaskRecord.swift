/// The state of a task on one storage key, in kptn's words.
public enum TaskStatus: String, Sendable {
  case success = "SUCCESS"
  case failure = "FAILURE"
  case incomplete = "INCOMPLETE"
  case running = "RUNNING"
}

/// What the store knows of one task: kptn's columns, and what hangs from them.
public struct TaskRecord: Sendable, Hashable {
  /// Which task.
  public var key: TaskKey
  /// The group digests as the kptn columns hold them; `nil` where a column is NULL or holds something else.
  public var code: Digest?
  /// The inputs group's digest.
  public var inputs: Digest?
  /// The data group's digest.
  public var data: Digest?
  /// Digest (hex) of the output manifest.
  public var outputsVersion: String?
  /// Digest of the task data.
  public var outputDataVersion: String?
  /// The state; `nil` where kptn's client stored none or another word.
  public var status: TaskStatus?
  /// ISO 8601, as stored.
  public var startTime: String?
  /// ISO 8601, as stored.
  public var endTime: String?
  /// Number of mapped items.
  public var subtaskCount: Int
  /// Number of task data items.
  public var taskdataCount: Int
  /// ISO 8601, as stored.
  public var updatedAt: String
  /// The key that the recorded fingerprint has; `nil` for a record that kptn's client wrote.
  public var actionKey: Digest?
  /// The result that the outputs should be in line with; `nil` after a failure.
  public var result: ActionResult?
  /// The standing invalidation, if there is one.
  public var invalidation: Invalidation?
  /// With an invalidation: the number of the last run that had begun before it; 0 where that does not matter.
  public var markedRun: Int64
  /// The number of the last attempt.
  public var lastRun: Int64?
  /// How the last attempt ended, where that is not in `status`.
  public var lastRunState: RunState?

  /// Makes a record.
  public init(key: TaskKey, status: TaskStatus?, updatedAt: String) {
    self.key = key
    self.status = status
    self.updatedAt = updatedAt
    subtaskCount = 0
    taskdataCount = 0
    markedRun = 0
  }
}

extension TaskRecord {
  /// Whether the record's result was made from something else, and stands because somebody vouched for it.
  public var isVouchedFor: Bool {
    guard let actionKey, let result else { return false }
    return result.actionKey != actionKey
  }
}

/// A mark that says: do not use what was made before this.
public struct Invalidation: Sendable, Hashable {
  /// ISO 8601.
  public var at: String
  /// Who said so: `user@host`, as far as the environment tells.
  public var by: String
  /// The reason given; may be empty.
  public var why: String

  /// Makes a mark.
  public init(at: String, by: String, why: String) {
    self.at = at
    self.by = by
    self.why = why
  }
}

/// A mark that was taken back, or would be.
public struct StandingMark: Sendable, Hashable {
  /// The task.
  public var key: TaskKey
  /// Who made the mark, when and why.
  public var mark: Invalidation
  /// Whether it is part of one on all keys.
  public var isOnAllKeys: Bool

  /// Makes one.
  public init(key: TaskKey, mark: Invalidation, isOnAllKeys: Bool) {
    self.key = key
    self.mark = mark
    self.isOnAllKeys = isOnAllKeys
  }
}

/// The remembered result of an action: what it made, what it printed, and who made it.
public struct ActionResult: Sendable, Hashable {
  /// The store's number for it.
  public var id: Int64
  /// The action that gave it.
  public var actionKey: Digest
  /// What is on disk after it.
  public var manifest: OutputManifest
  /// The digest of the manifest.
  public var outputsVersion: Digest
  /// The captured output (see `LogSpool` for the format); `nil` where nothing was printed.
  public var log: Digest?
  /// The task data that it returned, as a content (JSON text); `nil` where there is none.
  public var data: Digest?
  /// How many items the data has, 1 for a single value; 0 without data.
  public var dataCount: Int
  /// What running it took, in microseconds.
  public var durationMicroseconds: Int64
  /// Where it was made.
  public var producer: TaskKey
  /// When, ISO 8601.
  public var createdAt: String
  /// The number of the run that made it; 0 where that is not known.
  public var run: Int64
  /// What the run read without declaring it, and what that was then; `nil` where nobody traced it.
  public var undeclared: [Component]?

  /// Makes a result without data.
  public init(
    id: Int64, actionKey: Digest, manifest: OutputManifest, outputsVersion: Digest, log: Digest?,
    durationMicroseconds: Int64, producer: TaskKey, createdAt: String
  ) {
    self.id = id
    self.actionKey = actionKey
    self.manifest = manifest
    self.outputsVersion = outputsVersion
    self.log = log
    dataCount = 0
    run = 0
    self.durationMicroseconds = durationMicroseconds
    self.producer = producer
    self.createdAt = createdAt
  }
}
