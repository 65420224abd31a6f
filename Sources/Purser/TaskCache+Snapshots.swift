import PurserBlobs
public import PurserModel
import PurserStore

/// What came of bringing a snapshot back.
public struct RestoredSnapshot: Sendable {
  /// The snapshot.
  public var entry: SnapshotEntry
  /// What stands there now.
  public var restored: BranchCounts
  /// What stood there before.
  public var replaced: BranchCounts
  /// The snapshot of that; `nil` where nothing stood there.
  public var before: SnapshotEntry?
}

/// Snapshots of a branch: all that is recorded under a storage key at a moment (records, what they are made from, items,
/// task data, words by which results stand, marks), but for files: those are put back by whoever runs the tasks next.
///
/// Results and contents that a snapshot names are not collected as long as it is there. All of these block on the disk.
/// They throw `unavailable`, `busy` or `io` for a store that cannot be used, and `io` for a snapshot that is damaged,
/// which they name.
extension TaskCache {
  /// So many of the snapshots that runs take by themselves are kept of a branch.
  package static let keptRunSnapshots = 10

  /// The store as one that takes snapshots.
  var snapshotStore: (any BranchSnapshotStore)? { records as? any BranchSnapshotStore }

  private func withSnapshots<Result>(
    _ body: (any BranchSnapshotStore) throws -> Result
  ) throws(PurserError) -> Result {
    try asking {
      guard let snapshotStore else { throw PurserError(.usage, "this store takes no snapshots") }
      return try body(snapshotStore)
    }
  }

  /// What executions left in this cache's store: by `purser run`, and by whoever else saves there.
  ///
  /// - Throws: `usage` for a store that keeps none.
  public func recoveryStore() throws(PurserError) -> RecoveryStore {
    guard let store = records as? any ExecutionStore else {
      throw PurserError(.usage, "this store keeps nothing of executions")
    }
    return RecoveryStore(store)
  }

  /// Takes a snapshot of this cache's branch. O(what is recorded there).
  ///
  /// - Parameter note: what is said about it.
  /// - Returns: its entry; `nil` where nothing is recorded there.
  public func takeSnapshot(note: String = "") throws(PurserError) -> SnapshotEntry? {
    try takeSnapshot(kind: "manual", note: note)
  }

  func takeSnapshot(kind: String, note: String) throws(PurserError) -> SnapshotEntry? {
    var request = request(kind: kind, note: note)
    if kind != "manual" {
      request.pruned = (["run", "interval"], Self.keptRunSnapshots)
      request.isDurable = false
    }
    return try withSnapshots { try $0.takeSnapshot(request, ZstdCodec()) }
  }

  private func request(kind: String, note: String) -> SnapshotRequest {
    SnapshotRequest(
      id: Self.newSnapshotID(), storageKey: project.storageKey, kind: kind, note: note, by: author,
      now: TaskCache.now())
  }

  /// The snapshots of this cache's branch, in the order in which they were taken.
  public func snapshots() throws(PurserError) -> [SnapshotEntry] {
    try withSnapshots { try $0.snapshots(of: ExecutionName.branch(project.storageKey)) }
  }

  /// A snapshot of this cache's branch by its id, the beginning of it (four digits at least), or `latest`.
  ///
  /// - Throws: `missing` where there is none, `usage` where several begin so.
  public func snapshot(_ id: String) throws(PurserError) -> SnapshotEntry {
    try Self.snapshot(id, among: snapshots())
  }

  static func snapshot(_ id: String, among entries: [SnapshotEntry]) throws(PurserError) -> SnapshotEntry {
    if id == "latest" {
      guard let last = entries.last else { throw PurserError(.missing, "there is no snapshot here yet") }
      return last
    }
    guard id.utf8.count >= 4 else {
      throw PurserError(.usage, "'\(shown(id))' is too short for a snapshot's id; write four digits at least")
    }
    let found = entries.filter { $0.id.hasPrefix(id.lowercased()) }
    guard let entry = found.first else {
      throw PurserError(
        .missing,
        "no snapshot's id begins with '\(shown(id))'"
          + (entries.isEmpty ? "; there is no snapshot here yet" : "; see 'purser snapshot list'"))
    }
    guard found.count == 1 else {
      throw PurserError(
        .usage,
        "the ids of \(found.count) snapshots begin with '\(shown(id))': \(found.prefix(5).map(\.id).joined(separator: ", "))"
      )
    }
    return entry
  }

  /// An id that no other snapshot has.
  static func newSnapshotID() -> String {
    let digits = String(UInt64.random(in: .min ... .max), radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// The records that a snapshot holds, sorted by pipeline and task. O(snapshot).
  public func records(in entry: SnapshotEntry) throws(PurserError) -> [TaskRecord] {
    try withSnapshots { store in
      try store.view(of: (entry, try value(of: entry, store)), ZstdCodec())
        .records(storageKey: project.storageKey, pipeline: nil)
    }
  }

  private func value(of entry: SnapshotEntry, _ store: any BranchSnapshotStore) throws -> SealedValue {
    guard let value = try store.snapshot(entry.number) else {
      throw PurserError(.missing, "snapshot \(entry.id) was removed meanwhile; see 'purser snapshot list'")
    }
    return value
  }

  /// What differs between a snapshot and another one, or what stands there now; as between two branches.
  public func differences(
    from entry: SnapshotEntry, to other: SnapshotEntry?
  ) throws(PurserError) -> BranchDifference {
    try asking {
      let now = BranchSide(store: records, storageKey: project.storageKey, label: "now", mayBeEmpty: true)
      return try differences(between: side(entry), and: other.map { try side($0) } ?? now, nil)
    }
  }

  private func side(_ entry: SnapshotEntry) throws(PurserError) -> BranchSide {
    try withSnapshots { store in
      BranchSide(
        store: try store.view(of: (entry, try value(of: entry, store)), ZstdCodec()), storageKey: project.storageKey,
        label: String(entry.id.prefix(8)), mayBeEmpty: true)
    }
  }

  /// Brings back what a snapshot holds in place of all that is recorded under this cache's storage key, in one durable
  /// transaction, after taking a snapshot of that. Files are left as they are: the next run puts them back.
  ///
  /// - Throws: `busy` while somebody is at work on a task of the branch; nothing is changed then.
  public func restoreSnapshot(_ entry: SnapshotEntry) throws(PurserError) -> RestoredSnapshot {
    try withSnapshots { store in
      let value = try value(of: entry, store)
      var dead: [Int64] = []
      while true {
        let request = request(kind: "restore", note: "before \(entry.id) was restored")
        switch try store.restore((entry, value), request, replacing: dead, ZstdCodec()) {
        case .restored(let restored, let replaced, let before):
          return RestoredSnapshot(entry: entry, restored: restored, replaced: replaced, before: before)
        case .held(let leases):
          dead += try tokensOfDead(among: leases, of: project.storageKey)
        }
      }
    }
  }

  /// Removes snapshots of this cache's branch: all but the newest `count`, and of those too what is older than `age`.
  /// What only they named is collected by ``collectGarbage(olderThan:)``.
  ///
  /// - Returns: those that went, or with `isTrial` would.
  public func pruneSnapshots(
    keeping count: Int? = nil, olderThan age: Duration? = nil, isTrial: Bool = false
  ) throws(PurserError) -> [SnapshotEntry] {
    try withSnapshots { store in
      let entries = try store.snapshots(of: ExecutionName.branch(project.storageKey))
      let cutoff = age.map { TaskCache.time(in: -$0.components.seconds) }
      let kept = count.map { max(0, entries.count - $0) } ?? 0
      let removed = entries.enumerated().filter { index, entry in
        index < kept || cutoff.map { entry.createdAt < $0 } ?? false
      }.map(\.element)
      if !isTrial { _ = try store.removeSnapshots(removed.map(\.number)) }
      return removed
    }
  }

  /// Removes one snapshot.
  public func removeSnapshot(_ entry: SnapshotEntry) throws(PurserError) {
    _ = try withSnapshots { try $0.removeSnapshots([entry.number]) }
  }
}
