public import PurserModel

/// What a run of a pipeline has to tell, as it happens; from any thread.
public enum RunEvent: Sendable {
  case warning(String)
  case error(String)
  /// What is to be done, before anything is.
  case planned(Plan, Pipeline)
  /// The run takes the place of one that was killed: so many of its tasks were done.
  case resuming(startedAt: String, done: Int, of: Int)
  /// Another process is at the task; `isJoined` if it does just what is to be done, so that its end is taken.
  case waiting(task: String, pid: Int32, since: String, isJoined: Bool)
  /// The command is about to be started.
  case started(task: String, reasons: [Reason])
  /// A line that a command printed; `item` where it is one item's.
  case line(task: String, item: String?, stream: UInt8, text: [UInt8])
  /// How far a mapped task is.
  case progress(task: String, done: Int, failed: Int, total: Int)
  /// A failed task, or failed items, will be tried again.
  case retrying(task: String, attempt: Int, of: Int, delay: Duration)
  /// The task is over.
  case ended(task: String, TaskEnding)
}

/// How a task of a pipeline ended.
public enum TaskEnding: Sendable {
  /// Nothing was to be done.
  case fresh(savedMicroseconds: Int64)
  /// Its result was put back.
  case restored(savedMicroseconds: Int64)
  /// It ran; for a mapped task, with how many of its items did.
  case ran(microseconds: Int64, items: ItemCounts?)
  /// It failed, and why in a line.
  case failed(String, exitCode: Int32, items: ItemCounts?)
  /// It was stopped.
  case interrupted
  /// It was not begun, since a task that it depends on did not succeed, or the run stopped before.
  case skipped(because: String)

  /// `fresh`, `restored`, `ran`, `failed`, `interrupted` or `skipped`.
  public var word: String {
    switch self {
    case .fresh: "fresh"
    case .restored: "restored"
    case .ran: "ran"
    case .failed: "failed"
    case .interrupted: "interrupted"
    case .skipped: "skipped"
    }
  }

  /// Whether what depends on it can go on.
  public var isSuccess: Bool {
    switch self {
    case .fresh, .restored, .ran: true
    case .failed, .interrupted, .skipped: false
    }
  }
}

/// What became of a mapped task's items.
public struct ItemCounts: Sendable, Hashable {
  /// Those that ran to a good end now.
  public var ran = 0
  /// Those whose result was put back.
  public var restored = 0
  /// Those that were done before.
  public var kept = 0
  /// Those that failed.
  public var failed = 0
  /// All.
  public var total = 0

  init() {}

  /// Those that need not run again.
  public var done: Int { ran + restored + kept }
}
