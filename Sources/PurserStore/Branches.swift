public import PurserModel

/// Storage keys as a whole: counted, copied, removed.
public protocol BranchStore: Sendable {
  /// What stands under each storage key, sorted by key; with a pipeline, only what stands under it. O(store).
  func storageKeys(pipeline: String?) throws(StoreError) -> [StorageKeySummary]

  /// Copies all that is recorded under one key to another, in one durable transaction; results and contents are shared,
  /// not copied. A task that runs is copied as incomplete, without its lease. O(what is copied).
  func clone(_ request: CloneRequest) throws(StoreError) -> CloneOutcome

  /// Removes all that is recorded under a key, in one durable transaction. History stays, and so do results and
  /// contents, until they are collected. O(what is removed).
  func drop(_ request: DropRequest) throws(StoreError) -> DropOutcome
}

/// A copy to be made.
public struct CloneRequest: Sendable {
  /// What is copied.
  public var from: BranchScope
  /// The key that it is copied to, another one.
  public var to: String
  /// Whether what stands there goes first; else nothing may.
  public var replaces: Bool
  /// Leases there whose owners are known to be dead.
  public var deadLeases: [Int64]
  /// Now, ISO 8601.
  public var now: String
  /// Who asks.
  public var by: String

  /// Makes a request.
  public init(from: BranchScope, to: String, replaces: Bool, deadLeases: [Int64] = [], now: String, by: String) {
    self.from = from
    self.to = to
    self.replaces = replaces
    self.deadLeases = deadLeases
    self.now = now
    self.by = by
  }
}

/// What came of a copy.
public enum CloneOutcome: Sendable, Hashable {
  /// It was made, in place of what stood there.
  case cloned(BranchCounts, replaced: BranchCounts)
  /// There is nothing to copy.
  case nothing
  /// There are records already; nothing was changed.
  case occupied(BranchCounts)
  /// Somebody is at work on what was to go; nothing was changed.
  case held([Lease])
}

/// A removal to be made.
public struct DropRequest: Sendable {
  /// What is removed.
  public var scope: BranchScope
  /// Leases there whose owners are known to be dead.
  public var deadLeases: [Int64]
  /// Now, ISO 8601.
  public var now: String
  /// Who asks.
  public var by: String

  /// Makes a request.
  public init(scope: BranchScope, deadLeases: [Int64] = [], now: String, by: String) {
    self.scope = scope
    self.deadLeases = deadLeases
    self.now = now
    self.by = by
  }
}

/// What came of a removal.
public enum DropOutcome: Sendable, Hashable {
  /// It was made.
  case dropped(BranchCounts)
  /// There was nothing to remove.
  case nothing
  /// Somebody is at work on it; nothing was changed.
  case held([Lease])
}
