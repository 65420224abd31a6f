package import PurserModel
package import PurserStore

extension MemoryRecordStore {
  package func invalidate(_ request: InvalidationRequest) throws(StoreError) -> [TaskKey] {
    if request.isTrial { return current.hits(of: request) }
    return try change { state in
      let keys = state.hits(of: request)
      guard !keys.isEmpty else { return [] }
      let runHorizon = state.lastRun
      for key in keys {
        let horizon = InvalidationHorizon(result: state.results.last, run: runHorizon)
        state.marks[key, default: []].append(
          Mark(
            horizon: horizon, itemHorizon: state.itemResults.last, isOnAllKeys: request.allKeys, mark: request.mark))
        state.log(
          "INVALIDATED", run: nil, key,
          data: .object([("why", .string(request.mark.why)), ("allKeys", .bool(request.allKeys))]), from: nil, to: nil,
          at: request.mark.at, by: request.mark.by)
      }
      if request.allKeys { state.voidResults(of: keys, request.mark, runHorizon) }
      return keys
    }
  }

  package func takeBack(_ request: InvalidationRequest) throws(StoreError) -> [StandingMark] {
    if request.isTrial {
      let state = current
      return request.allKeys
        ? state.standing(state.marksOnAllKeys(of: request), request) : state.marks(of: request)
    }
    return try change { state in
      var taken: [StandingMark]
      if request.allKeys {
        let marks = state.marksOnAllKeys(of: request)
        taken = state.standing(marks, request)
        for id in marks { state.free(id) }
      } else {
        taken = state.marks(of: request).filter { !$0.isOnAllKeys }
      }
      for mark in taken { state.remove(mark) }
      for taken in taken {
        let mark = taken.mark
        let told = JSON.object([("at", .string(mark.at)), ("by", .string(mark.by)), ("why", .string(mark.why))])
        state.log(
          "REVALIDATED", run: nil, taken.key,
          data: .object([("why", .string(request.mark.why)), ("allKeys", .bool(request.allKeys)), ("mark", told)]),
          from: nil, to: nil, at: request.mark.at, by: request.mark.by)
      }
      return taken
    }
  }

  package func invalidationHorizons(for keys: [TaskKey]) throws(StoreError) -> [TaskKey: InvalidationHorizon] {
    let state = current
    return keys.reduce(into: [:]) { found, key in
      let horizon = state.horizon(of: key)
      if horizon.result > 0 || horizon.run > 0 { found[key] = horizon }
    }
  }

  package func taskKeys(
    storageKey: String?, pipeline: String?, includesTraces: Bool
  ) throws(StoreError) -> [TaskKey] {
    let state = current
    var keys = Set(state.tasks.keys)
    if includesTraces {
      keys.formUnion(state.results.rows.values.map(\.result.producer))
      keys.formUnion(state.marks.keys)
    }
    return keys.filter { $0.isIn(storageKey, pipeline) }.sorted()
  }
}

extension MemoryState {
  // MARK: What is meant

  fileprivate func hits(of request: InvalidationRequest, isTakingBack: Bool = false) -> [TaskKey] {
    let named = named(by: request, isTakingBack)
    return (request.includesDownstream ? named.union(followers(of: named)) : named).sorted()
  }

  /// The tasks themselves, and the same on other storage keys, as asked. On all keys, also those whose records are gone
  /// and whose results are not; marks are found without a record too.
  private func named(by request: InvalidationRequest, _ isTakingBack: Bool) -> Set<TaskKey> {
    var known = Set(tasks.keys)
    if isTakingBack { known.formUnion(marks.keys) }
    guard request.allKeys else { return known.intersection(request.keys) }
    known.formUnion(results.rows.values.map(\.result.producer))
    let wanted = Set(request.keys.map(\.onNoStorageKey))
    return known.filter { wanted.contains($0.onNoStorageKey) }
  }

  /// Everything that depends on tasks, as recorded, but for these.
  private func followers(of keys: Set<TaskKey>) -> Set<TaskKey> {
    var seen = keys
    var waiting = Array(keys)
    while let key = waiting.popLast() {
      for task in tasks.values where task.dependencies.contains(key) && seen.insert(task.record.key).inserted {
        waiting.append(task.record.key)
      }
    }
    return seen.subtracting(keys)
  }

  // MARK: What is void

  /// What the mark on a task voids, and what those on all keys do, also on keys that came later.
  func horizon(of key: TaskKey) -> InvalidationHorizon {
    let standing = marks[key]?.last?.horizon
    let everywhere = allKeysMarks.rows.values.filter { $0.task == key.onNoStorageKey }.map(\.runHorizon).max()
    return InvalidationHorizon(result: standing?.result ?? 0, run: max(standing?.run ?? 0, everywhere ?? 0))
  }

  /// The same for the results of items.
  func itemHorizon(of key: TaskKey) -> InvalidationHorizon {
    InvalidationHorizon(result: marks[key]?.last?.itemHorizon ?? 0, run: horizon(of: key).run)
  }

  /// Marks tasks for keys to come, and the results of all that they ever did, whoever made them.
  fileprivate mutating func voidResults(of keys: [TaskKey], _ mark: Invalidation, _ runHorizon: Int64) {
    for task in Set(keys.map(\.onNoStorageKey)).sorted() {
      let id = allKeysMarks.add(AllKeysMark(task: task, runHorizon: runHorizon, mark: mark))
      let actions = actions(of: task)
      for (result, row) in results.rows where actions.contains(row.result.actionKey) && row.validity.mayBeMarked {
        results[result]?.validity.add(id, since: mark.at)
      }
      var contents = Set(
        itemResults.rows.values.filter { $0.result.producer.onNoStorageKey == task }.map(\.contentKey))
      // Of items that were put back from another task, only the list tells.
      for key in keys where key.onNoStorageKey == task {
        contents.formUnion((tasks[key]?.currentItems ?? []).compactMap(\.contentKey))
      }
      for (result, row) in itemResults.rows where contents.contains(row.contentKey) && row.validity.mayBeMarked {
        itemResults[result]?.validity.add(id, since: mark.at)
      }
    }
  }

  /// What a task has done, on any key.
  private func actions(of task: TaskKey) -> Set<Digest> {
    let made = results.rows.values.filter { $0.result.producer.onNoStorageKey == task }.map(\.result.actionKey)
    return Set(made).union(
      tasks.values.filter { $0.record.key.onNoStorageKey == task }.compactMap(\.record.actionKey))
  }

  /// Voids a result that was just recorded, if a mark on all keys was made since its run began: one on its task, or on
  /// another one that has done the same.
  mutating func voidIfMarked(_ id: Int64, of run: OpenRun) {
    guard let actionKey = results[id]?.result.actionKey else { return }
    for (mark, row) in allKeysMarks.ascending where row.runHorizon >= run.id {
      guard row.task == run.key.onNoStorageKey || actions(of: row.task).contains(actionKey) else { continue }
      results[id]?.validity.add(mark, since: row.mark.at)
    }
  }

  mutating func voidItemIfMarked(_ id: Int64, of run: OpenRun) {
    guard let contentKey = itemResults[id]?.contentKey else { return }
    for (mark, row) in allKeysMarks.ascending where row.runHorizon >= run.id {
      let isShared = itemResults.rows.values.contains {
        $0.contentKey == contentKey && $0.result.producer.onNoStorageKey == row.task
      }
      if isShared { itemResults[id]?.validity.add(mark, since: row.mark.at) }
    }
  }

  // MARK: Taking back

  private func mark(of key: TaskKey, madeAt time: String? = nil) -> StandingMark? {
    let mark = marks[key]?.last { time == nil || $0.mark.at == time }
    return mark.map { StandingMark(key: key, mark: $0.mark, isOnAllKeys: $0.isOnAllKeys) }
  }

  /// The mark that stands for each task that is named; of what follows one, the mark that was made by the same call,
  /// wherever it stands: another one says something else, and is not meant.
  fileprivate func marks(of request: InvalidationRequest) -> [StandingMark] {
    let named = named(by: request, true)
    var marks = named.compactMap { mark(of: $0) }
    if request.includesDownstream {
      for (time, causes) in Dictionary(grouping: marks, by: \.mark.at) {
        let keys = followers(of: Set(causes.map(\.key))).subtracting(named)
        marks += keys.compactMap { mark(of: $0, madeAt: time) }
      }
    }
    return marks.sorted { $0.key < $1.key }
  }

  /// As ``marks(of:)``: the last mark on all keys of each task that is named, and what the same calls made of what
  /// follows.
  fileprivate func marksOnAllKeys(of request: InvalidationRequest) -> [Int64] {
    func last(_ task: TaskKey, madeAt time: String? = nil) -> Int64? {
      allKeysMarks.ascending.last { $0.row.task == task && (time == nil || $0.row.mark.at == time) }?.id
    }
    let named = Dictionary(grouping: named(by: request, true), by: \.onNoStorageKey)
    var marks = named.keys.compactMap { last($0) }
    guard request.includesDownstream else { return marks }
    let causes = Dictionary(grouping: marks.compactMap { allKeysMarks[$0] }, by: \.mark.at)
    for (time, causes) in causes {
      let keys = followers(of: Set(causes.flatMap { named[$0.task] ?? [] }))
      marks += Set(keys.map(\.onNoStorageKey)).subtracting(named.keys).compactMap { last($0, madeAt: time) }
    }
    return marks
  }

  /// Where marks on all keys stand, or are covered by later ones. Where the keys that one was made on are gone, it stands
  /// for their results, and for keys to come.
  fileprivate func standing(_ ids: [Int64], _ request: InvalidationRequest) -> [StandingMark] {
    var found: [StandingMark] = []
    for row in ids.compactMap({ allKeysMarks[$0] }) {
      var keys = marks.filter { key, marks in
        key.onNoStorageKey == row.task && marks.contains { $0.isOnAllKeys && $0.mark.at == row.mark.at }
      }.map(\.key)
      if keys.isEmpty { keys = hits(of: request, isTakingBack: true).filter { $0.onNoStorageKey == row.task } }
      found += keys.map { StandingMark(key: $0, mark: row.mark, isOnAllKeys: true) }
    }
    return found.sorted { $0.key < $1.key }
  }

  /// Removes a mark on all keys, and frees the results that no other one voids.
  fileprivate mutating func free(_ mark: Int64) {
    allKeysMarks[mark] = nil
    for id in results.rows.keys where results[id]?.validity.marks.contains(mark) == true {
      results[id]?.validity.remove(mark, among: allKeysMarks)
    }
    for id in itemResults.rows.keys where itemResults[id]?.validity.marks.contains(mark) == true {
      itemResults[id]?.validity.remove(mark, among: allKeysMarks)
    }
  }

  /// Removes a mark, from wherever it stands; if it stood last, the one before it stands again.
  fileprivate mutating func remove(_ mark: StandingMark) {
    if self.mark(of: mark.key) == mark {
      marks[mark.key]?.removeLast()
    } else {
      marks[mark.key]?.removeAll { $0.mark.at == mark.mark.at && $0.isOnAllKeys == mark.isOnAllKeys }
    }
    if marks[mark.key]?.isEmpty == true { marks[mark.key] = nil }
  }
}

extension Validity {
  fileprivate mutating func add(_ mark: Int64, since time: String) {
    marks.insert(mark)
    voidSince = voidSince.map { min($0, time) } ?? time
  }

  fileprivate mutating func remove(_ mark: Int64, among all: Numbered<AllKeysMark>) {
    marks.remove(mark)
    voidSince = marks.compactMap { all[$0]?.mark.at }.min()
  }
}
