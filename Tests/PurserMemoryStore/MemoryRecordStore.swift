import PurserModel
import PurserStore
import Synchronization

/// A record store of plain values behind one lock: the shortest way to say what a store does, and a second opinion on
/// every contract test. It knows neither files nor other processes, and a change costs a copy of what it touches.
package final class MemoryRecordStore: RecordStore {
  private let state = Mutex(MemoryState())
  /// The clock, ISO 8601, for what is recorded without a time.
  let now: @Sendable () -> String

  /// An empty store.
  package init(now: @escaping @Sendable () -> String) {
    self.now = now
  }

  /// The state at one moment, whatever others change meanwhile.
  var current: MemoryState { state.withLock { $0 } }

  /// Changes the state; where `body` throws, not at all.
  func change<Result: Sendable>(
    _ body: (inout MemoryState) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    try state.withLock { state throws(StoreError) in
      var changed = state
      let result = try body(&changed)
      state = changed
      return result
    }
  }
}

/// All that the store knows.
struct MemoryState: Sendable {
  var tasks: [TaskKey: Task] = [:]
  /// Attempts and queued work have their numbers from one source.
  var lastRun: Int64 = 0
  var attempts: [Int64: Attempt] = [:]
  var work: [Int64: Work] = [:]
  var leases = Numbered<HeldLease>()
  var events: [TaskEvent] = []
  var blobs: [Digest: NewBlob] = [:]
  var fingerprints: [Digest: Fingerprint] = [:]
  var treeNodes: [Digest: [UInt8]] = [:]
  var results = Numbered<Result>()
  var itemResults = Numbered<Item>()
  /// Of each task, the mark that stands last, after those whose place it took.
  var marks: [TaskKey: [Mark]] = [:]
  var allKeysMarks = Numbered<AllKeysMark>()
  var words = Numbered<Word>()
  var types = Numbered<TaskType>()
  var workers: [WorkerRecord] = []
}

/// Rows by numbers that grow and are never given twice.
struct Numbered<Row: Sendable>: Sendable {
  private(set) var last: Int64 = 0
  private(set) var rows: [Int64: Row] = [:]

  /// From the oldest to the newest.
  var ascending: [(id: Int64, row: Row)] { rows.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }

  mutating func add(_ row: Row) -> Int64 {
    last += 1
    rows[last] = row
    return last
  }

  subscript(id: Int64) -> Row? {
    get { rows[id] }
    set { rows[id] = newValue }
  }
}

/// A task record, and what hangs from it.
struct Task: Sendable {
  /// Grows with every record that was ever made.
  var id: Int64
  /// Without result, mark and last run, which are looked up.
  var record: TaskRecord
  var result: Int64?
  var lastRun: Int64?
  var specification: String?
  /// By bytes, as keys are.
  var dependencies: Set<TaskKey> = []
  var items: [Subtask] = []
  var journal: [SubtaskEvent] = []
  var data: [TaskDataKind: TaskData] = [:]

  /// The list with what happened since it was folded.
  var currentItems: [Subtask] {
    var items = items
    for event in journal {
      if let place = items.firstIndex(where: { $0.index == event.index }) { items[place].apply(event) }
    }
    return items
  }
}

struct Attempt: Sendable {
  var run: RunRecord
  var queuedWork: Int64?
  var saved: [ByteString: Digest] = [:]
  var keptLog: Digest?
  var trace: TaskTrace?

  var blobs: [Digest] { Array(saved.values) + (keptLog.map { [$0] } ?? []) }
}

struct Work: Sendable {
  var work: QueuedWork
  var type: Int64?
  var isListed = true
}

struct HeldLease: Sendable {
  var lease: Lease
  /// The attempt, or the work.
  var run: Int64
}

struct Result: Sendable {
  var result: ActionResult
  var declaredKey: Digest?
  var validity = Validity()
  var needs: Set<Digest> = []
}

struct Item: Sendable {
  var result: ItemResult
  var contentKey: Digest
  var createdAt: String
  /// The run that it was made under; 0 for none.
  var run: Int64
  var validity = Validity()
  var needs: Set<Digest> = []
}

/// Whether a result is void everywhere, and by which marks on all keys.
struct Validity: Sendable {
  var voidSince: String?
  var marks: Set<Int64> = []

  /// What was voided by something else than a mark on all keys is none of theirs.
  var mayBeMarked: Bool { voidSince == nil || !marks.isEmpty }
}

/// A mark on one storage key.
struct Mark: Sendable {
  var horizon: InvalidationHorizon
  var itemHorizon: Int64
  var isOnAllKeys: Bool
  var mark: Invalidation
}

struct AllKeysMark: Sendable {
  /// On no storage key.
  var task: TaskKey
  var runHorizon: Int64
  var mark: Invalidation
}

/// A result that stands for a fingerprint by somebody's word.
struct Word: Sendable {
  var key: TaskKey
  var actionKey: Digest
  var result: Int64
  var vouch: Vouch
  var declaredKey: Digest?
}

extension TaskKey {
  /// The task, wherever it is recorded.
  var onNoStorageKey: TaskKey { TaskKey(storageKey: "", pipeline: pipeline, task: task) }

  /// Names are told apart by their bytes.
  func isIn(_ storageKey: String?, _ pipeline: String?) -> Bool {
    (storageKey?.utf8.elementsEqual(self.storageKey.utf8) ?? true)
      && (pipeline?.utf8.elementsEqual(self.pipeline.utf8) ?? true)
  }

  func isIn(_ scope: BranchScope) -> Bool { isIn(scope.storageKey, scope.pipeline) }
}

extension MemoryState {
  mutating func log(
    _ type: String, run: Int64?, _ key: TaskKey, data: JSON? = nil, from: String?, to: String?, at time: String,
    by actor: String?
  ) {
    events.append(
      TaskEvent(
        id: Int64(events.count) + 1, run: run, key: key, type: type, data: data?.serialized, previous: from, new: to,
        time: time, actor: actor))
  }

  /// Makes a task's record if there is none; either way it was written to.
  mutating func ensureTask(_ key: TaskKey, now: String) {
    if tasks[key] == nil {
      let id = (tasks.values.map(\.id).max() ?? 0) + 1
      tasks[key] = Task(id: id, record: TaskRecord(key: key, status: nil, updatedAt: now))
    }
    tasks[key]?.record.updatedAt = now
  }

  func requireLeases(of run: OpenRun) throws(StoreError) {
    guard run.tokens.allSatisfy({ leases[$0]?.run == run.id }) else {
      throw StoreError(
        .leaseLost, "task '\(run.key.task)' was taken over by another process; what this one made is not stored")
    }
  }

  func leases(named names: [String]) -> [Lease] {
    names.compactMap { name in
      leases.rows.values.first { $0.lease.name.utf8.elementsEqual(name.utf8) }?.lease
    }
  }

  /// Contents that something is about to name must be there.
  func requireBlobs(_ digests: Set<Digest>) throws(StoreError) {
    for digest in digests where blobs[digest] == nil {
      throw StoreError(.corrupt, "the content \(digest.short) vanished from the store while its result was recorded")
    }
  }

  mutating func add(_ contents: [NewBlob]) {
    for blob in contents { blobs[blob.digest] = blob }
  }

  /// Removes results, and what rests on them.
  mutating func removeResults(where isRemoved: (Int64, Result) -> Bool) -> Int {
    let removed = results.rows.filter { isRemoved($0.key, $0.value) }.map(\.key)
    for id in removed {
      results[id] = nil
      for (key, task) in tasks where task.result == id { tasks[key]?.result = nil }
      for (word, row) in words.rows where row.result == id { words[word] = nil }
    }
    return removed.count
  }

  mutating func removeItemResults(where isRemoved: (Int64, Item) -> Bool) -> Int {
    let removed = itemResults.rows.filter { isRemoved($0.key, $0.value) }.map(\.key)
    for id in removed { itemResults[id] = nil }
    return removed.count
  }
}

extension OutputManifest {
  /// The contents that putting it back takes.
  var contents: Set<Digest> { Set(entries.lazy.filter { $0.kind != .directory }.map(\.digest)) }
}
