import PurserExecution
public import PurserModel
import PurserStore

/// One task of two storage keys, as far as it differs.
public struct TaskDifference: Sendable {
  public var pipeline: String
  public var task: String
  /// From the first key's recorded components to the second's; folders as the files in them, where their listings are
  /// known.
  public var changes: [Change] = []
  /// The key that alone has the task.
  public var onlyIn: String?
  /// The recorded status, where it differs; `nil` for none.
  public var status: (was: String?, is: String?)?
  /// Whether it is marked as void, where that differs.
  public var isInvalidated: (was: Bool, is: Bool)?
  /// The outputs' versions, where they differ though they were made from the same.
  public var outputs: (was: String?, is: String?)?
  /// The data's versions, where they differ though made from the same.
  public var data: (was: String?, is: String?)?
  /// How many items are done, where a task is unfinished on both and not the same ones are.
  public var items: (was: Int, is: Int)?
  /// Whether the first key, the second, or neither has a record of what the task was made from.
  public var isKnown: (was: Bool, is: Bool) = (true, true)
}

/// What differs between two storage keys.
public struct BranchDifference: Sendable {
  /// Sorted by pipeline and task.
  public var tasks: [TaskDifference]
  /// What would run again where one key's state took the place of the other's: the tasks that differ, and what follows
  /// them by recorded dependencies. Sorted by pipeline and task.
  public var wouldRerun: [(pipeline: String, task: String)]
}

extension TaskCache {
  /// What stands under each storage key of the store; with a pipeline, only what stands under that. O(store).
  public func storageKeys(pipeline: String? = nil) throws(PurserError) -> [StorageKeySummary] {
    do {
      return try records.storageKeys(pipeline: pipeline)
    } catch {
      throw PurserError(error)
    }
  }

  // MARK: Copying

  /// Copies all that is recorded under one key to another, in one transaction; results and contents are shared.
  ///
  /// - Throws: `usage` for a key that nothing can stand under, for the same key, and for one that has records, unless it
  ///   `replaces` them; `missing` where there is nothing to copy; `busy` where somebody is at work on what would go.
  public func cloneRecords(
    from source: BranchScope, to key: String, replaces: Bool
  ) throws(PurserError) -> (copied: BranchCounts, replaced: BranchCounts) {
    try Self.check(key)
    guard !Self.areSame(key, source.storageKey) else {
      throw PurserError(.usage, "storage key '\(Self.shown(key))' cannot be cloned to itself; name another one")
    }
    var request = CloneRequest(from: source, to: key, replaces: replaces, now: TaskCache.now(), by: author)
    while true {
      let outcome: CloneOutcome
      do {
        outcome = try records.clone(request)
      } catch {
        throw PurserError(error)
      }
      switch outcome {
      case .cloned(let copied, let replaced): return (copied, replaced)
      case .nothing: throw try unknown(source)
      case .occupied(let counts):
        throw PurserError(
          .usage,
          "storage key '\(Self.shown(key))' has \(counts.tasks == 1 ? "a record" : "\(counts.tasks) records") already; "
            + "add --replace to remove them first")
      case .held(let leases):
        request.deadLeases += try tokensOfDead(among: leases, of: key)
      }
    }
  }

  /// A key that records can be put under: with text, of one line, and not too long.
  private static func check(_ key: String) throws(PurserError) {
    let bytes = ByteString(escaped: key) ?? ByteString(key)
    let problem: String? =
      if bytes.isEmpty {
        "is empty"
      } else if bytes.printable != bytes.escaped {
        "holds a control character"
      } else if bytes.count > 1000 {
        "is longer than 1000 bytes"
      } else {
        nil
      }
    guard let problem else { return }
    let shown = bytes.count > 200 ? ByteString(bytes.bytes.prefix(200)).printable + "…" : bytes.printable
    throw PurserError(.usage, "'\(shown)' cannot be a storage key: it \(problem); name another one")
  }

  // MARK: Removing

  /// Removes all that is recorded under a key, in one transaction. History stays; contents stay until they are
  /// collected.
  ///
  /// - Throws: `usage` for the key that is in use here, unless it is forced; `missing` where there is nothing; `busy`
  ///   where somebody is at work on it.
  public func dropRecords(of scope: BranchScope, isForced: Bool) throws(PurserError) -> BranchCounts {
    guard isForced || !Self.areSame(scope.storageKey, project.storageKey) else {
      throw PurserError(
        .usage,
        "storage key '\(Self.shown(scope.storageKey))' is the one in use here; add --force to drop it all the same")
    }
    var request = DropRequest(scope: scope, now: TaskCache.now(), by: author)
    while true {
      let outcome: DropOutcome
      do {
        outcome = try records.drop(request)
      } catch {
        throw PurserError(error)
      }
      switch outcome {
      case .dropped(let counts): return counts
      case .nothing: throw try unknown(scope)
      case .held(let leases): request.deadLeases += try tokensOfDead(among: leases, of: scope.storageKey)
      }
    }
  }

  /// The leases that nobody holds any more. What they leave behind is ended by who runs the task next, as always.
  func tokensOfDead(among leases: [Lease], of key: String) throws(PurserError) -> [Int64] {
    guard let living = lessor.living(among: leases).first else { return leases.map(\.token) }
    let names = (try? JSON(parsing: living.name.utf8))?.array ?? []
    let task = names.last?.string.map { " at task '\(Self.shown($0))'" } ?? ""
    throw PurserError(
      .busy,
      "storage key '\(Self.shown(key))' is in use: process \(living.owner.pid) is\(task), at work since "
        + "\(living.acquiredAt); wait for it, or stop it")
  }

  /// The error for a key, or a pipeline of one, that has no records.
  func unknown(_ scope: BranchScope) throws(PurserError) -> PurserError {
    let known = try storageKeys()
    let key = Self.shown(scope.storageKey)
    if let pipeline = scope.pipeline,
      let summary = known.first(where: { Self.areSame($0.storageKey, scope.storageKey) })
    {
      let hint = Suggestion.hint(pipeline, among: summary.pipelines)
      return PurserError(
        .missing,
        "there are no records of pipeline '\(Self.shown(pipeline))' under storage key '\(key)'"
          + (hint.isEmpty ? "; see 'purser branch list'" : hint))
    }
    let hint = Suggestion.hint(scope.storageKey, among: known.map(\.storageKey))
    return PurserError(
      .missing, "there are no records under storage key '\(key)'" + (hint.isEmpty ? "; see 'purser branch list'" : hint)
    )
  }

  /// By bytes: two texts that Swift takes for equal, such as an accented letter in one character or in two, are two keys.
  private static func areSame(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }

  /// A key or a name for a message: without control characters.
  package static func shown(_ text: String) -> String { ByteString(escaped: text)?.printable ?? text }

  // MARK: Comparing

  /// What differs between two storage keys, by their records alone; nothing on disk is looked at. O(records), and the
  /// listings of folders that differ.
  ///
  /// - Throws: `missing` for a key without records.
  public func differences(
    between first: String, and second: String, pipeline: String? = nil
  ) throws(PurserError) -> BranchDifference {
    try differences(
      between: BranchSide(store: records, storageKey: first, label: first),
      and: BranchSide(store: records, storageKey: second, label: second), pipeline)
  }

  /// What differs between two states of branches, wherever they are kept.
  func differences(
    between first: BranchSide, and second: BranchSide, _ pipeline: String?
  ) throws(PurserError) -> BranchDifference {
    do {
      let (old, new) = (try recorded(first, pipeline), try recorded(second, pipeline))
      var differences: [TaskDifference] = []
      let components = try components(old, new)
      for id in Set(old.keys).union(new.keys).sorted() {
        guard let key = (old[id] ?? new[id])?.key else { continue }
        let difference = try difference(key, (old[id], first), (new[id], second), components)
        if let difference { differences.append(difference) }
      }
      let reached = Self.followers(
        of: differences.filter(\.wouldRerun),
        try first.store.dependencies(of: old.values.map(\.key)),
        try second.store.dependencies(of: new.values.map(\.key)))
      return BranchDifference(tasks: differences, wouldRerun: reached)
    } catch {
      throw PurserError(wrapping: error)
    }
  }

  /// A task of whatever key.
  private struct PipelineTaskID: Hashable, Comparable {
    var pipeline: ByteString
    var task: ByteString

    init(_ key: TaskKey, task: String? = nil) {
      pipeline = ByteString(key.pipeline)
      self.task = ByteString(task ?? key.task)
    }

    static func < (left: Self, right: Self) -> Bool { (left.pipeline, left.task) < (right.pipeline, right.task) }
  }

  private func recorded(_ side: BranchSide, _ pipeline: String?) throws -> [PipelineTaskID: TaskRecord] {
    let found = try side.store.records(storageKey: side.storageKey, pipeline: pipeline)
    guard !found.isEmpty || side.mayBeEmpty else {
      throw try unknown(BranchScope(storageKey: side.storageKey, pipeline: pipeline))
    }
    return Dictionary(
      found.map { (PipelineTaskID($0.key), $0) }, uniquingKeysWith: { $1 })
  }

  /// The components behind every fingerprint that differs, asked for at once.
  private func components(
    _ old: [PipelineTaskID: TaskRecord], _ new: [PipelineTaskID: TaskRecord]
  ) throws(StoreError) -> [Digest: [Component]] {
    var wanted: Set<Digest> = []
    for (id, record) in old {
      guard let was = record.actionKey, let now = new[id]?.actionKey, was != now else { continue }
      wanted.formUnion([was, now])
    }
    return try records.components(of: Array(wanted))
  }

  private func difference(
    _ id: TaskKey, _ old: (record: TaskRecord?, side: BranchSide), _ new: (record: TaskRecord?, side: BranchSide),
    _ components: [Digest: [Component]]
  ) throws(StoreError) -> TaskDifference? {
    var difference = TaskDifference(pipeline: id.pipeline, task: id.task)
    guard let was = old.record, let now = new.record else {
      difference.onlyIn = (old.record == nil ? new : old).side.label
      return difference
    }
    difference.isKnown = (was.actionKey != nil, now.actionKey != nil)
    if let oldKey = was.actionKey, let newKey = now.actionKey, oldKey != newKey {
      for change in Change.between(components[oldKey] ?? [], components[newKey] ?? []) {
        difference.changes += try expand(change, treeNodes: [:])
      }
    } else if was.actionKey == now.actionKey {
      if was.outputsVersion != now.outputsVersion {
        difference.outputs = (was.outputsVersion, now.outputsVersion)
      }
      if was.outputDataVersion != now.outputDataVersion {
        difference.data = (was.outputDataVersion, now.outputDataVersion)
      }
    }
    if was.status != now.status { difference.status = (was.status?.rawValue, now.status?.rawValue) }
    if (was.invalidation == nil) != (now.invalidation == nil) {
      difference.isInvalidated = (was.invalidation != nil, now.invalidation != nil)
    }
    // Of a success all items are done.
    if was.status == now.status, was.status != .success, max(was.subtaskCount, now.subtaskCount) > 0 {
      func done(_ record: TaskRecord, _ side: BranchSide) throws(StoreError) -> Set<ByteString> {
        Set(try side.store.subtasks(of: record.key).lazy.filter(\.isDone).map { ByteString($0.key) })
      }
      let (old, new) = (try done(was, old.side), try done(now, new.side))
      if old != new { difference.items = (old.count, new.count) }
    }
    return difference.isEmpty ? nil : difference
  }

  /// Tasks, and everything that follows them on either key.
  private static func followers(
    of differences: [TaskDifference], _ first: [TaskKey: [String]], _ second: [TaskKey: [String]]
  ) -> [(pipeline: String, task: String)] {
    var dependents: [PipelineTaskID: [TaskKey]] = [:]
    for (key, upstream) in Array(first) + Array(second) {
      for task in upstream { dependents[PipelineTaskID(key, task: task), default: []].append(key) }
    }
    var reached: [PipelineTaskID: TaskKey] = [:]
    var waiting = differences.map { TaskKey(storageKey: "", pipeline: $0.pipeline, task: $0.task) }
    while let key = waiting.popLast() {
      let id = PipelineTaskID(key)
      guard reached.updateValue(key, forKey: id) == nil else { continue }
      waiting += dependents[id] ?? []
    }
    return reached.sorted { $0.key < $1.key }.map { ($0.value.pipeline, $0.value.task) }
  }
}

/// A state of a branch that another one is compared with.
struct BranchSide {
  var store: any RecordStore
  var storageKey: String
  /// What it is called.
  var label: String
  /// Whether it is no mistake where it has no records.
  var mayBeEmpty = false
}

extension TaskDifference {
  fileprivate var isEmpty: Bool {
    !wouldRerun && outputs == nil && data == nil
  }

  /// Whether the task itself would run again: not where only what it made came out differently.
  fileprivate var wouldRerun: Bool {
    !changes.isEmpty || onlyIn != nil || status != nil || isInvalidated != nil || items != nil
      || isKnown.was != isKnown.is
  }
}
