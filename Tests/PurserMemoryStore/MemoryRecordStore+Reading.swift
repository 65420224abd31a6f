package import PurserModel
package import PurserStore

extension MemoryRecordStore {
  package func records(for keys: [TaskKey]) throws(StoreError) -> [TaskRecord?] {
    let state = current
    return keys.map { state.record($0) }
  }

  package func records(storageKey: String?, pipeline: String?) throws(StoreError) -> [TaskRecord] {
    let state = current
    return state.tasks.keys.filter { $0.isIn(storageKey, pipeline) }.sorted().compactMap { state.record($0) }
  }

  package func components(of actionKeys: [Digest]) throws(StoreError) -> [Digest: [Component]] {
    let state = current
    return actionKeys.reduce(into: [:]) { $0[$1] = state.fingerprints[$1]?.components }
  }

  package func treeNode(_ digest: Digest) throws(StoreError) -> [UInt8]? { current.treeNodes[digest] }

  package func results(for actionKeys: [Digest]) throws(StoreError) -> [Digest: [ActionResult]] {
    let state = current
    return actionKeys.reduce(into: [:]) { found, actionKey in
      let results = state.validResults(of: actionKey)
      if !results.isEmpty { found[actionKey] = results }
    }
  }

  package func actionKeys(declaredAs key: Digest, limit: Int) throws(StoreError) -> [Digest] {
    let newest = current.results.ascending.reversed().map(\.row)
      .filter { $0.declaredKey == key && $0.validity.voidSince == nil }.prefix(limit)
    return newest.reduce(into: []) { keys, row in
      if !keys.contains(row.result.actionKey) { keys.append(row.result.actionKey) }
    }
  }

  package func specification(of key: TaskKey) throws(StoreError) -> String? { current.tasks[key]?.specification }

  package func dependencies(of keys: [TaskKey]) throws(StoreError) -> [TaskKey: [String]] {
    let state = current
    return keys.reduce(into: [:]) { found, key in
      guard let upstream = state.tasks[key]?.dependencies, !upstream.isEmpty else { return }
      found[key] = upstream.sorted().map(\.task)
    }
  }

  package func runs(matching filter: RunFilter) throws(StoreError) -> [RunRecord] {
    let found = current.attempts.values.filter { attempt in
      attempt.run.key.isIn(filter.storageKey, filter.pipeline)
        && filter.task?.utf8.elementsEqual(attempt.run.key.task.utf8) ?? true
        && (filter.queuedWork == nil || attempt.queuedWork == filter.queuedWork)
    }
    return Array(found.map(\.run).sorted { $0.id > $1.id }.prefix(filter.limit))
  }

  package func trace(of key: TaskKey) throws(StoreError) -> (run: Int64, trace: TaskTrace)? {
    let traced = current.attempts.values.filter { $0.run.key == key && $0.trace != nil }
    return traced.max { $0.run.id < $1.run.id }.flatMap { attempt in attempt.trace.map { (attempt.run.id, $0) } }
  }

  package func blobs(_ digests: [Digest]) throws(StoreError) -> [Digest: StoredBlob] {
    let state = current
    return digests.reduce(into: [:]) { $0[$1] = state.blobs[$1].map(StoredBlob.init) }
  }

  package func inlineContent(_ digest: Digest) throws(StoreError) -> (blob: StoredBlob, content: [UInt8])? {
    guard let blob = current.blobs[digest], let content = blob.inlineContent else { return nil }
    return (StoredBlob(blob), content)
  }

  package func outputs(
    below folder: ByteString, near key: TaskKey
  ) throws(StoreError) -> [(task: String, path: ByteString)] {
    var found: [(task: String, path: ByteString)] = []
    for record in try records(storageKey: key.storageKey, pipeline: key.pipeline)
    where record.key != key && record.status == .success && record.invalidation == nil {
      for place in record.result?.manifest.places ?? [] where place.hasPrefix(folder + "/") {
        found.append((record.key.task, place))
      }
    }
    return found
  }
}

extension MemoryState {
  /// A record with what belongs to it.
  func record(_ key: TaskKey) -> TaskRecord? {
    guard let task = tasks[key] else { return nil }
    var record = task.record
    let row = task.result.flatMap { results[$0] }
    record.result = row?.result
    if let last = task.lastRun, let attempt = attempts[last] {
      (record.lastRun, record.lastRunState) = (last, attempt.run.state)
    }
    if let mark = marks[key]?.last, row.map({ mark.horizon.voids($0.result) }) ?? true {
      (record.invalidation, record.markedRun) = (mark.mark, mark.horizon.run)
    } else if let row, let time = row.validity.voidSince {
      let first = row.validity.marks.min().flatMap { allKeysMarks[$0]?.mark }
      record.invalidation = Invalidation(at: time, by: first?.by ?? "", why: first?.why ?? "")
    }
    return record
  }

  /// Newest first, without those that are void everywhere.
  func validResults(of actionKey: Digest) -> [ActionResult] {
    results.ascending.reversed().filter { $0.row.result.actionKey == actionKey && $0.row.validity.voidSince == nil }
      .map(\.row.result)
  }
}

extension StoredBlob {
  init(_ blob: NewBlob) {
    self.init(digest: blob.digest, size: blob.size, encoding: blob.encoding, isInline: blob.inlineContent != nil)
  }
}
