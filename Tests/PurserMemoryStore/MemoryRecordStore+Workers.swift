package import PurserModel
package import PurserStore

/// Types of work, workers, and the audit trail.
extension MemoryRecordStore {
  package func register(_ type: TaskType, now: String) throws(StoreError) -> Int64 {
    try change { state throws(StoreError) in
      if let (id, known) = state.types.rows.first(where: { $0.value.label == type.label }) {
        guard known.schema == type.schema, known.specification == type.specification else {
          throw StoreError(
            .busy,
            "type '\(type.label)' is there with another schema or command; work may have been checked by it: give the "
              + "new one another version")
        }
        state.types[id]?.isActive = true
        state.types[id]?.updatedAt = now
        return id
      }
      var added = type
      added.id = state.types.last + 1
      (added.isActive, added.createdAt, added.updatedAt) = (true, now, now)
      return state.types.add(added)
    }
  }

  package func taskTypes() throws(StoreError) -> [TaskType] {
    current.types.rows.values.sorted { (ByteString($0.name), $0.id) < (ByteString($1.name), $1.id) }
  }

  package func setActive(_ isActive: Bool, type: String, version: String?, now: String) throws(StoreError) -> Int {
    try change { state in
      let changed = state.types.rows.filter {
        $0.value.name == type && (version ?? $0.value.version) == $0.value.version
      }
      for id in changed.keys {
        state.types[id]?.isActive = isActive
        state.types[id]?.updatedAt = now
      }
      return changed.count
    }
  }

  package func register(_ worker: WorkerRecord) throws(StoreError) {
    try change { state throws(StoreError) in
      guard !state.workers.contains(where: { $0.id == worker.id }) else {
        throw StoreError(.io, "a worker '\(worker.id)' is there already")
      }
      state.workers.append(worker)
    }
  }

  package func heartbeat(_ worker: String, _ status: WorkerRecord.Status, now: String) throws(StoreError) {
    try change { state in
      guard let place = state.workers.firstIndex(where: { $0.id == worker }) else { return }
      state.workers[place].status = status
      if status != .lost { state.workers[place].lastHeartbeat = now }
    }
  }

  package func workers() throws(StoreError) -> [WorkerRecord] {
    current.workers.sorted { ($1.registeredAt, $0.id) < ($0.registeredAt, $1.id) }
  }

  package func events(matching filter: EventFilter) throws(StoreError) -> [TaskEvent] {
    let found = current.events.filter { event in
      event.id > filter.after ?? 0 && event.key.isIn(filter.storageKey, filter.pipeline)
        && filter.task?.utf8.elementsEqual(event.key.task.utf8) ?? true
        && (filter.run == nil || event.run == filter.run) && event.time >= filter.since ?? ""
        && (filter.types.isEmpty || filter.types.contains(event.type))
    }
    return filter.after == nil ? found.suffix(filter.limit) : Array(found.prefix(filter.limit))
  }
}
