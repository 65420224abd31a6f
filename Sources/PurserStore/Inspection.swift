public import PurserModel

/// A store whose records can be looked at one by one, for what is wrong with them.
public protocol InspectedStore: Sendable {
  /// What is wrong with the store as a whole, without an error where it cannot even be opened.
  func health() -> StoreHealth

  /// The contents that records name, by ascending numbers after one, at most `limit`.
  func contents(after number: Int64, limit: Int) throws(StoreError) -> [(number: Int64, blob: StoredBlob)]

  /// The tasks whose records, results, items or history name a content: sorted, each once.
  func owners(of digest: Digest) throws(StoreError) -> [TaskKey]

  /// Records that are not what they were, or that name something which is not there. O(store).
  func damagedRecords(_ digests: RecordDigests) throws(StoreError) -> [RecordDamage]

  /// Removes damaged records, and what rests on them: what they stood for will be made again.
  func forget(_ damage: [RecordDamage]) throws(StoreError)

  /// Puts the store aside, into a folder that is not there yet, and takes its place with a new one that holds what can
  /// still be read of it.
  func salvage(settingAsideIn folder: ByteString) throws(StoreError) -> SalvageReport
}

/// How a store is, as a whole.
public struct StoreHealth: Sendable, Hashable {
  /// What was found.
  public enum State: String, Sendable {
    /// There is no store.
    case absent
    case sound
    /// It can be salvaged.
    case damaged
    /// It is another program's, or a newer Purser's: nobody is to touch it.
    case foreign
    /// It could not be looked at.
    case unreadable
  }

  /// What was found.
  public var state: State
  /// The version of its schema, where that is known.
  public var version: Int64
  /// What is wrong, a line each.
  public var messages: [String]

  /// Makes a finding.
  public init(_ state: State, version: Int64 = 0, messages: [String] = []) {
    self.state = state
    self.version = version
    self.messages = messages
  }
}

/// How the digests of records are computed, which a store need not know.
public struct RecordDigests: Sendable {
  /// The `outputs_version` of a manifest.
  public var outputsVersion: @Sendable (OutputManifest) -> Digest
  /// The action key over components.
  public var actionKey: @Sendable ([Component]) -> Digest
  /// Whether the listing of a folder is that of its digest.
  public var isListing: @Sendable ([UInt8], Digest) -> Bool

  /// Takes the functions.
  public init(
    outputsVersion: @escaping @Sendable (OutputManifest) -> Digest,
    actionKey: @escaping @Sendable ([Component]) -> Digest,
    isListing: @escaping @Sendable ([UInt8], Digest) -> Bool
  ) {
    self.outputsVersion = outputsVersion
    self.actionKey = actionKey
    self.isListing = isListing
  }
}

/// A record that is damaged.
public struct RecordDamage: Sendable, Hashable {
  /// Which record.
  public enum Record: Sendable, Hashable {
    /// What an action made.
    case result(Int64)
    /// What an item made.
    case itemResult(Int64)
    /// What an action was made from.
    case fingerprint(Digest)
    /// The listing of a folder.
    case listing(Digest)
    /// Some of a task's items.
    case items(TaskKey)
    /// Some of a task's data.
    case data(TaskKey)
    /// A record that rests on a result of another action, and on nobody's word.
    case task(TaskKey)
  }

  /// Which record.
  public var record: Record
  /// What is wrong with it.
  public var message: String
  /// Whose it is, as far as that can be told.
  public var tasks: [TaskKey]

  /// Names a damaged record.
  public init(_ record: Record, _ message: String, tasks: [TaskKey] = []) {
    self.record = record
    self.message = message
    self.tasks = tasks
  }
}

/// What was saved of a damaged store.
public struct SalvageReport: Sendable {
  /// Rows by table, where there are any; sorted by name.
  public var saved: [(table: String, rows: Int)] = []
  /// Tables of which some rows, or all, could not be read.
  public var incomplete: [String] = []
  /// Whether marks were lost, so that every result counts as void.
  public var hasVoidedResults = false

  /// Nothing.
  public init() {}
}
