public import PurserModel

/// A store that can be looked after: cleaned up, saved elsewhere, and asked how it is.
public protocol MaintainedStore: Sendable {
  /// Cleans up, in one transaction and what has to come after it. O(history that goes).
  func maintain(_ request: MaintenanceRequest) throws(StoreError) -> MaintenanceReport

  /// When it was last cleaned up, ISO 8601; `nil` for never.
  func lastMaintenance() throws(StoreError) -> String?

  /// Copies the records, as they are at one moment, to a file that is not there yet; durable when this returns.
  /// O(store).
  func backUp(to path: ByteString) throws(StoreError)

  /// What a view of the schema says: `system_health`, `task_stats`, `worker_stats`, `active_tasks`, `active_workers`,
  /// `pending_task_runs` or `task_execution_stats`. Each row an object, at most `limit` of them.
  func rows(of view: MonitoringView, limit: Int) throws(StoreError) -> [JSON]
}

/// What can be asked of a store's state.
public enum MonitoringView: String, Sendable, CaseIterable {
  case systemHealth = "system_health"
  case activeTasks = "active_tasks"
  case pendingRuns = "pending_task_runs"
  case queue = "task_stats"
  case activeWorkers = "active_workers"
  case workers = "worker_stats"
  case tasks = "task_execution_stats"
}

/// What may go.
public struct MaintenanceRequest: Sendable {
  /// Now, ISO 8601.
  public var now: String
  /// History from before may go, ISO 8601.
  public var cutoff: String
  /// So many runs of each task stay, however old.
  public var runsOfEachTask: Int
  /// So many events stay, however old.
  public var events: Int

  /// Makes a request.
  public init(now: String, cutoff: String, runsOfEachTask: Int, events: Int) {
    self.now = now
    self.cutoff = cutoff
    self.runsOfEachTask = runsOfEachTask
    self.events = events
  }
}

/// What went.
public struct MaintenanceReport: Sendable, Hashable {
  /// Past runs, and work that was over.
  public var runs = 0
  /// Events.
  public var events = 0
  /// Leases of dead owners.
  public var leases = 0
  /// Workers that are gone.
  public var workers = 0
  /// The file's size before, in bytes.
  public var bytesBefore: Int64 = 0
  /// The file's size after.
  public var bytesAfter: Int64 = 0

  /// Makes a report of nothing.
  public init() {}

  /// The documented JSON form.
  public var json: JSON {
    .object([
      ("runs", .integer(Int64(runs))), ("events", .integer(Int64(events))), ("leases", .integer(Int64(leases))),
      ("workers", .integer(Int64(workers))), ("bytesBefore", .integer(bytesBefore)),
      ("bytesAfter", .integer(bytesAfter)),
    ])
  }
}
