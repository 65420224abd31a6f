/// The ten states of a run (one attempt at a task).
public enum RunState: String, Sendable, CaseIterable {
  case pending = "PENDING"
  case submitted = "SUBMITTED"
  case validating = "VALIDATING"
  case preparing = "PREPARING"
  case building = "BUILDING"
  case running = "RUNNING"
  case completed = "COMPLETED"
  case failed = "FAILED"
  case cancelling = "CANCELLING"
  case cancelled = "CANCELLED"
}

/// One attempt at a task, from the history.
public struct RunRecord: Sendable, Hashable {
  /// Number of the run, ascending.
  public var id: Int64
  /// Which task.
  public var key: TaskKey
  /// How far it got.
  public var state: RunState
  /// `run`, `restore` or `adopt`.
  public var kind: String
  /// ISO 8601.
  public var startedAt: String
  /// ISO 8601; `nil` while it runs.
  public var finishedAt: String?
  /// In microseconds.
  public var durationMicroseconds: Int64?
  /// The command's exit status as a shell would report it.
  public var exitCode: Int32?
  /// The action it ran.
  public var actionKey: Digest?
  /// Why it ran, as JSON (an array of reasons).
  public var reasons: String?
  /// What went wrong, as JSON.
  public var errorInfo: String?
  /// Its captured output.
  public var log: Digest?
  /// What else is known of it, as JSON: under `saved`, the contents that it removed or overwrote.
  public var executionDetails: String?
  /// Who asked for it.
  public var createdBy: String?

  /// Makes a run.
  public init(id: Int64, key: TaskKey, state: RunState, kind: String, startedAt: String) {
    self.id = id
    self.key = key
    self.state = state
    self.kind = kind
    self.startedAt = startedAt
  }
}
