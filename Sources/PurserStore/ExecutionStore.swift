public import PurserModel

/// What executions of graphs leave and how far they are, so that one that was killed can be looked at and gone on with.
///
/// Values are opaque: whoever seals one opens it. Each write is one transaction, all of it or nothing.
public protocol ExecutionStore: Sendable {
  /// Makes changes, in their order, in one transaction. Where it is not `durable`, a killed process loses none of it, but
  /// a power cut may.
  func save(_ changes: [ExecutionChange], now: String, durable: Bool) throws(StoreError)

  /// What an execution's tasks left, by task and key. O(artifacts).
  func artifacts(of name: String) throws(StoreError) -> [Artifact]

  /// The tree of an execution; `nil` where there is none.
  func tree(of name: String) throws(StoreError) -> StoredValue?

  /// A part of an execution's state; `nil` where there is none.
  func state(of name: String, _ phase: ExecutionPhase) throws(StoreError) -> StoredValue?

  /// The names of executions that have a tree, those that begin with `prefix`, in the order in which they were first
  /// saved; whether each has a state: one that is over has none.
  func executions(withPrefix prefix: String) throws(StoreError) -> [(name: String, hasState: Bool)]

  /// Adds a snapshot, and removes those of the same name that are in excess of what is to be kept. Returns its entry.
  func save(_ snapshot: NewSnapshot) throws(StoreError) -> SnapshotEntry

  /// The snapshots of a name, or all, in the order in which they were taken. Their values are not read.
  func snapshots(of name: String?) throws(StoreError) -> [SnapshotEntry]

  /// What a snapshot holds; `nil` for one that is not there (any more).
  func snapshot(_ number: Int64) throws(StoreError) -> SealedValue?

  /// Removes snapshots; returns how many of them were there.
  func removeSnapshots(_ numbers: [Int64]) throws(StoreError) -> Int

  /// How much there is of everything: for people who look for what went wrong. O(store).
  func executionSizes() throws(StoreError) -> ExecutionSizes
}

/// A value that is stored, and since when.
public struct StoredValue: Sendable, Hashable {
  /// The value.
  public var value: SealedValue
  /// ISO 8601.
  public var createdAt: String
  /// ISO 8601.
  public var updatedAt: String

  /// Makes one.
  public init(value: SealedValue, createdAt: String, updatedAt: String) {
    self.value = value
    self.createdAt = createdAt
    self.updatedAt = updatedAt
  }
}

/// A change to what is stored of executions.
public enum ExecutionChange: Sendable {
  /// What the tasks left, in place of all that was there.
  case allArtifacts(of: String, [Artifact])
  /// What tasks left anew; one whose value is the same is left alone.
  case artifacts(of: String, [Artifact])
  /// The tree; `nil` for none any more.
  case tree(of: String, SealedValue?)
  /// A part of the state; `nil` for none any more.
  case state(of: String, ExecutionPhase, SealedValue?)
}

/// A snapshot on its way in.
public struct NewSnapshot: Sendable {
  /// 16 hexadecimal digits that no other has.
  public var id: String
  /// Whose it is.
  public var name: String
  /// See ``SnapshotEntry/kind``.
  public var kind: String
  /// What is said about it.
  public var note: String
  /// Who asks.
  public var by: String
  /// Now, ISO 8601.
  public var now: String
  /// Of these kinds, the newest `keeping` of the same name stay; `nil` for all.
  public var pruned: (kinds: [String], keeping: Int)?
  /// What it holds.
  public var value: SealedValue
  /// Of a branch: how many tasks and items.
  public var counts = BranchCounts()
  /// Of a branch: what must not be collected as long as it is there.
  public var held = HeldBySnapshot()

  /// Makes one.
  public init(id: String, name: String, kind: String, note: String, by: String, now: String, value: SealedValue) {
    self.id = id
    self.name = name
    self.kind = kind
    self.note = note
    self.by = by
    self.now = now
    self.value = value
  }
}

/// What a branch's snapshot names beyond itself.
public struct HeldBySnapshot: Sendable, Hashable {
  /// Numbers of results, ascending.
  public var results: [Int64]
  /// The first 8 bytes of the action keys and of the items' content keys, as numbers, ascending.
  public var keys: [UInt64]

  /// Makes one.
  public init(results: [Int64] = [], keys: [UInt64] = []) {
    self.results = results
    self.keys = keys
  }
}

/// How much is stored of executions.
public struct ExecutionSizes: Sendable {
  /// A value's name, bytes as stored, and bytes uncompressed.
  public struct Value: Sendable, Hashable {
    /// Whose it is.
    public var name: String
    /// Of a state, which part.
    public var phase: ExecutionPhase?
    /// Bytes in the store.
    public var storedBytes: UInt64
    /// Bytes uncompressed.
    public var bytes: UInt64
    /// ISO 8601.
    public var updatedAt: String

    /// Makes one.
    public init(name: String, phase: ExecutionPhase? = nil, storedBytes: UInt64, bytes: UInt64, updatedAt: String) {
      self.name = name
      self.phase = phase
      self.storedBytes = storedBytes
      self.bytes = bytes
      self.updatedAt = updatedAt
    }
  }

  /// Artifacts by name.
  public var artifacts: [(name: String, count: Int)] = []
  /// Trees.
  public var trees: [Value] = []
  /// Snapshots by name.
  public var snapshots: [(name: String, count: Int, storedBytes: UInt64)] = []
  /// States.
  public var states: [Value] = []

  /// Nothing.
  public init() {}
}
