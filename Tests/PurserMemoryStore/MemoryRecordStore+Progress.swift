package import PurserModel
package import PurserStore

/// Mapped items and task data. The journal is kept apart from the list, as it decides what is garbage.
extension MemoryRecordStore {
  package func subtasks(of key: TaskKey) throws(StoreError) -> [Subtask] { current.tasks[key]?.currentItems ?? [] }

  package func setSubtasks(_ subtasks: [Subtask], of key: TaskKey, under run: OpenRun?) throws(StoreError) {
    try change { state throws(StoreError) in
      if let run { try state.requireLeases(of: run) }
      state.ensureTask(key, now: now())
      state.tasks[key]?.items = subtasks.sorted { $0.index < $1.index }.map(\.consistent)
      state.tasks[key]?.journal = []
      state.tasks[key]?.record.subtaskCount = subtasks.count
    }
  }

  package func append(_ progress: [ItemProgress], of key: TaskKey, under run: OpenRun?) throws(StoreError) {
    guard let first = progress.first else { return }
    try change { state throws(StoreError) in
      if let run { try state.requireLeases(of: run) }
      guard let task = state.tasks[key] else { throw .missingItem(first.event.index, of: key) }
      let keys = Dictionary(task.items.map { ($0.index, $0.key) }) { first, _ in first }
      for event in progress.map(\.event) {
        // Who names items by key means just those, wherever they stand by now.
        guard let known = keys[event.index], event.key?.utf8.elementsEqual(known.utf8) ?? true else {
          throw .missingItem(event.index, of: key)
        }
      }
      for event in progress.map(\.event) where event.status == .failed { state.voidItems(of: event, key, under: run) }
      state.tasks[key]?.journal += progress.map(\.event)
      for entry in progress {
        guard let result = entry.result, let contentKey = entry.event.contentKey else { continue }
        try state.add(result, contentKey, of: key, under: run, now: entry.event.time)
      }
      if run == nil, task.record.status == .success, progress.contains(where: { $0.event.status != .done }) {
        // Somebody says that an item is not done after all: then the task is not either.
        state.tasks[key]?.record.status = .incomplete
      }
    }
  }

  package func foldProgress(of key: TaskKey) throws(StoreError) {
    try change { state in state.fold(key) }
  }

  package func itemResults(for contentKeys: [Digest], of key: TaskKey) throws(StoreError) -> [Digest: ItemResult] {
    let state = current
    let wanted = Set(contentKeys)
    let horizon = state.itemHorizon(of: key)
    return state.itemResults.ascending.reduce(into: [:]) { found, item in
      let row = item.row
      guard wanted.contains(row.contentKey), row.validity.voidSince == nil, item.id > horizon.result,
        row.run == 0 || row.run > horizon.run
      else { return }
      found[row.contentKey] = row.result
    }
  }

  package func taskData(of key: TaskKey, _ kind: TaskDataKind) throws(StoreError) -> TaskData? {
    current.tasks[key]?.data[kind]
  }

  package func setTaskData(
    _ data: TaskData?, version: String?, of key: TaskKey, _ kind: TaskDataKind, now: String
  ) throws(StoreError) {
    try change { state in
      state.ensureTask(key, now: now)
      state.set(data, version: version, of: key, kind)
    }
  }
}

extension MemoryState {
  mutating func fold(_ key: TaskKey) {
    guard let task = tasks[key] else { return }
    tasks[key]?.items = task.currentItems
    tasks[key]?.journal = []
  }

  mutating func set(_ data: TaskData?, version: String?, of key: TaskKey, _ kind: TaskDataKind) {
    tasks[key]?.data[kind] = data
    guard kind == .result else { return }
    tasks[key]?.record.taskdataCount = data?.elements.count ?? 0
    tasks[key]?.record.outputDataVersion = data == nil ? nil : version
  }

  /// What an item that failed had made before is not to be put back: on this storage key; where somebody says so by
  /// hand, on any.
  fileprivate mutating func voidItems(of event: SubtaskEvent, _ key: TaskKey, under run: OpenRun?) {
    guard let contentKey = event.contentKey else { return }
    for (id, row) in itemResults.rows where row.contentKey == contentKey && row.validity.voidSince == nil {
      let producer = row.result.producer
      guard producer == key || run == nil && producer.onNoStorageKey == key.onNoStorageKey else { continue }
      itemResults[id]?.validity.voidSince = event.time
    }
  }

  fileprivate mutating func add(
    _ result: NewItemResult, _ contentKey: Digest, of key: TaskKey, under run: OpenRun?, now: String
  ) throws(StoreError) {
    add(result.blobs)
    let needs = result.manifest.contents
    try requireBlobs(needs)
    let id = itemResults.add(
      Item(
        result: ItemResult(
          id: itemResults.last + 1, manifest: result.manifest, data: result.data,
          durationMicroseconds: result.durationMicroseconds, producer: key), contentKey: contentKey, createdAt: now,
        run: run?.id ?? 0, needs: needs))
    if let run { voidItemIfMarked(id, of: run) }
  }
}

extension Subtask {
  /// As a list keeps it: see ``ProgressStore/setSubtasks(_:of:under:)``.
  fileprivate var consistent: Subtask {
    var item = self
    if status == .failed { item.endTime = nil }
    if item.endTime != nil, status != nil { (item.status, item.error) = (.done, status == .done ? error : nil) }
    return item
  }
}

extension StoreError {
  fileprivate static func missingItem(_ index: Int, of key: TaskKey) -> StoreError {
    StoreError(
      .busy,
      "task '\(key.task)' has no item at place \(index): its list was changed by another process; look at the list "
        + "again")
  }
}
