package import PurserModel
package import PurserStore

extension MemoryRecordStore {
  package func storageKeys(pipeline: String?) throws(StoreError) -> [StorageKeySummary] {
    let state = current
    let branches = Dictionary(grouping: state.tasks.values) { ByteString($0.record.key.storageKey) }
    let named = branches.mapValues { state.blobs(namedBy: $0) }
    return branches.sorted { $0.key < $1.key }.compactMap { branch, all in
      let tasks = all.filter { $0.record.key.isIn(nil, pipeline) }
      guard let first = tasks.first else { return nil }
      let blobs = state.blobs(namedBy: tasks)
      let others = named.filter { $0.key != branch }.values.reduce(into: Set()) { $0.formUnion($1) }
      func size(_ digests: Set<Digest>) -> UInt64 { digests.reduce(0) { $0 + (state.blobs[$1]?.size ?? 0) } }
      return StorageKeySummary(
        storageKey: first.record.key.storageKey, pipelines: tasks.counts.pipelines, tasks: tasks.count,
        subtasks: tasks.counts.subtasks, lastActivity: tasks.map(\.record.updatedAt).max(), bytes: size(blobs),
        ownBytes: size(blobs.subtracting(others)))
    }
  }

  package func clone(_ request: CloneRequest) throws(StoreError) -> CloneOutcome {
    try change { state in
      let target = BranchScope(storageKey: request.to, pipeline: request.from.pipeline)
      let (tasks, present) = (state.tasks(in: request.from), state.tasks(in: target).counts)
      guard !tasks.isEmpty else { return .nothing }
      guard present.tasks == 0 || request.replaces else { return .occupied(present) }
      let holders = state.leases(in: target, but: request.deadLeases)
      guard holders.isEmpty else { return .held(holders) }
      state.remove(target)
      for task in tasks { state.copy(task, to: request.to, now: request.now) }
      state.copyWords(in: request.from, to: request.to)
      for (key, marks) in state.marks where key.isIn(request.from) { state.marks[key.on(request.to)] = marks }
      let data = JSON.object([("from", .string(request.from.storageKey))])
      for task in state.tasks(in: target) {
        state.log(
          "CLONED", run: nil, task.record.key, data: data, from: nil, to: task.record.status?.rawValue,
          at: request.now, by: request.by)
      }
      return .cloned(tasks.counts, replaced: present)
    }
  }

  package func drop(_ request: DropRequest) throws(StoreError) -> DropOutcome {
    try change { state in
      let tasks = state.tasks(in: request.scope)
      guard !tasks.isEmpty else { return .nothing }
      let holders = state.leases(in: request.scope, but: request.deadLeases)
      guard holders.isEmpty else { return .held(holders) }
      for task in tasks {
        state.log(
          "DROPPED", run: nil, task.record.key, from: task.record.status?.rawValue, to: nil, at: request.now,
          by: request.by)
      }
      state.remove(request.scope)
      return .dropped(tasks.counts)
    }
  }
}

extension MemoryState {
  /// In the order in which they were made.
  fileprivate func tasks(in scope: BranchScope) -> [Task] {
    tasks.values.filter { $0.record.key.isIn(scope) }.sorted { $0.id < $1.id }
  }

  fileprivate func blobs(namedBy tasks: [Task]) -> Set<Digest> {
    tasks.reduce(into: []) { found, task in
      if let needs = task.result.flatMap({ results[$0]?.needs }) { found.formUnion(needs) }
    }
  }

  /// The leases of these tasks' runs and work, but for some.
  fileprivate func leases(in scope: BranchScope, but dead: [Int64]) -> [Lease] {
    leases.ascending.filter { id, held in
      let key = attempts[held.run]?.run.key ?? work[held.run]?.work.key
      return key?.isIn(scope) == true && !dead.contains(id)
    }.map(\.row.lease)
  }

  fileprivate mutating func copy(_ original: Task, to storageKey: String, now: String) {
    var task = original
    task.id = (tasks.values.map(\.id).max() ?? 0) + 1
    task.record.key = original.record.key.on(storageKey)
    task.record.updatedAt = now
    task.dependencies = Set(original.dependencies.map { $0.on(storageKey) })
    if original.record.status == .running {
      // A lease is not copied, and so nobody is at work on the copy.
      task.record.status = .incomplete
      task.lastRun = nil
    }
    tasks[task.record.key] = task
  }

  fileprivate mutating func copyWords(in scope: BranchScope, to storageKey: String) {
    for (_, word) in words.ascending where word.key.isIn(scope) {
      var copy = word
      copy.key = word.key.on(storageKey)
      _ = words.add(copy)
    }
  }

  fileprivate mutating func remove(_ scope: BranchScope) {
    tasks = tasks.filter { !$0.key.isIn(scope) }
    marks = marks.filter { !$0.key.isIn(scope) }
    for (id, word) in words.rows where word.key.isIn(scope) { words[id] = nil }
  }
}

extension TaskKey {
  fileprivate func on(_ storageKey: String) -> TaskKey {
    TaskKey(storageKey: storageKey, pipeline: pipeline, task: task)
  }
}

extension [Task] {
  fileprivate var counts: BranchCounts {
    let pipelines = Set(map { ByteString($0.record.key.pipeline) }).sorted()
    return BranchCounts(
      pipelines: pipelines.map { String(decoding: $0.bytes, as: UTF8.self) }, tasks: count,
      subtasks: reduce(0) { $0 + $1.record.subtaskCount })
  }
}
