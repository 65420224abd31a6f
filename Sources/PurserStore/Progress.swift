public import PurserModel

/// Progress of mapped items and task data, in bins of 500.
public protocol ProgressStore: Sendable {
  /// The items of a task by their place: bins and journal merged. Empty where there are none.
  func subtasks(of key: TaskKey) throws(StoreError) -> [Subtask]

  /// The same as JSON, as ``Subtask/encoded(_:)`` writes them, without holding them all at once where that can be.
  func encodedSubtasks(of key: TaskKey) throws(StoreError) -> [UInt8]

  /// Sets the list of a task's items, with their state, in one durable transaction: bins and `subtask_count` are
  /// replaced, the journal is emptied. Makes the task's record if there is none. With a run, its leases must stand. An
  /// item that failed is kept without an end; one that was started and has an end is done.
  func setSubtasks(_ subtasks: [Subtask], of key: TaskKey, under run: OpenRun?) throws(StoreError)

  /// Appends what happened to items, in one durable transaction, with what they made. With a run, its leases must
  /// stand.
  func append(_ progress: [ItemProgress], of key: TaskKey, under run: OpenRun?) throws(StoreError)

  /// Moves the journal of a task into its bins.
  func foldProgress(of key: TaskKey) throws(StoreError)

  /// The result of each item action that is known and not void for `key`, newest first where there are several. As
  /// for tasks, an invalidation of `key` hides what was made before it.
  func itemResults(for contentKeys: [Digest], of key: TaskKey) throws(StoreError) -> [Digest: ItemResult]

  /// The data of a task; `nil` where there is none.
  func taskData(of key: TaskKey, _ kind: TaskDataKind) throws(StoreError) -> TaskData?

  /// Sets or removes the data of a task, in one durable transaction; makes the task's record if there is none. With
  /// `.result`, `output_data_version` and `taskdata_count` follow; with `.subset`, `subset_count` only.
  ///
  /// - Parameter version: the digest (hex) of the data's canonical text; `nil` where there is no data.
  func setTaskData(
    _ data: TaskData?, version: String?, of key: TaskKey, _ kind: TaskDataKind, now: String
  ) throws(StoreError)
}

extension ProgressStore {
  public func encodedSubtasks(of key: TaskKey) throws(StoreError) -> [UInt8] {
    try Subtask.encoded(subtasks(of: key))
  }
}

/// Which bins.
public enum TaskDataKind: String, Sendable {
  /// What the task returned.
  case result = "TASKDATABIN"
  /// What was returned in subset mode.
  case subset = "SUBSETBIN"
}

/// An item's event, and what the item made where it is done.
public struct ItemProgress: Sendable {
  /// What happened.
  public var event: SubtaskEvent
  /// The result to remember under the event's content key; `nil` for none.
  public var result: NewItemResult?

  /// Makes an entry.
  public init(event: SubtaskEvent, result: NewItemResult? = nil) {
    self.event = event
    self.result = result
  }
}

/// What an item made.
public struct NewItemResult: Sendable {
  /// What is on disk after it.
  public var manifest: OutputManifest
  /// The value that it returned, as JSON text; `nil` for none.
  public var data: String?
  /// In microseconds.
  public var durationMicroseconds: Int64
  /// Contents to be named by this commit.
  public var blobs: [NewBlob]

  /// Makes a result.
  public init(manifest: OutputManifest, data: String?, durationMicroseconds: Int64, blobs: [NewBlob]) {
    self.manifest = manifest
    self.data = data
    self.durationMicroseconds = durationMicroseconds
    self.blobs = blobs
  }
}

/// The remembered result of an item.
public struct ItemResult: Sendable, Hashable {
  /// The store's number for it.
  public var id: Int64
  /// What is on disk after it.
  public var manifest: OutputManifest
  /// The value that it returned, as JSON text.
  public var data: String?
  /// In microseconds.
  public var durationMicroseconds: Int64
  /// Where it was made.
  public var producer: TaskKey

  /// Makes a result.
  public init(
    id: Int64, manifest: OutputManifest, data: String?, durationMicroseconds: Int64, producer: TaskKey
  ) {
    self.id = id
    self.manifest = manifest
    self.data = data
    self.durationMicroseconds = durationMicroseconds
    self.producer = producer
  }
}
