public import PurserModel

/// Snapshots of storage keys: all that stands under one at a moment, to be looked at and brought back.
public protocol BranchSnapshotStore: ExecutionStore {
  /// Takes a snapshot of all that stands under a key; `nil` where nothing does. What it names is not collected as long
  /// as it is there. O(what stands there).
  func takeSnapshot(_ request: SnapshotRequest, _ codec: any ValueCodec) throws(StoreError) -> SnapshotEntry?

  /// Brings back what a snapshot holds, in place of all that stands under its key, in one durable transaction; and takes
  /// one of what stands there, in the same. O(both).
  func restore(
    _ snapshot: (entry: SnapshotEntry, value: SealedValue), _ request: SnapshotRequest, replacing deadLeases: [Int64],
    _ codec: any ValueCodec
  ) throws(StoreError) -> RestoreOutcome

  /// The records as a snapshot holds them, to be read from; nothing is written. O(snapshot).
  func view(
    of snapshot: (entry: SnapshotEntry, value: SealedValue), _ codec: any ValueCodec
  ) throws(StoreError) -> any RecordStore
}

/// A snapshot of a branch to be taken.
public struct SnapshotRequest: Sendable {
  /// 16 hexadecimal digits that no other has.
  public var id: String
  /// The branch.
  public var storageKey: String
  /// See ``SnapshotEntry/kind``.
  public var kind: String
  /// What is said about it.
  public var note: String
  /// Who asks.
  public var by: String
  /// Now, ISO 8601.
  public var now: String
  /// Whether it is on disk when the call returns; else a power cut may lose it until the next `sync`.
  public var isDurable = true
  /// See ``NewSnapshot/pruned``.
  public var pruned: (kinds: [String], keeping: Int)?

  /// Makes a request.
  public init(id: String, storageKey: String, kind: String, note: String, by: String, now: String) {
    self.id = id
    self.storageKey = storageKey
    self.kind = kind
    self.note = note
    self.by = by
    self.now = now
  }
}

/// What came of bringing a snapshot back.
public enum RestoreOutcome: Sendable, Hashable {
  /// It was: how much stands there now, how much did before, and the snapshot of that; `nil` where nothing did.
  case restored(BranchCounts, replaced: BranchCounts, before: SnapshotEntry?)
  /// Somebody is at work on what was to go; nothing was changed.
  case held([Lease])
}
