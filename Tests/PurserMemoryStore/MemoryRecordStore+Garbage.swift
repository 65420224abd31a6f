package import PurserModel
package import PurserStore

extension MemoryRecordStore {
  package func forgetBlob(_ digest: Digest) throws(StoreError) {
    try change { state in
      guard state.blobs.removeValue(forKey: digest) != nil else { return }
      _ = state.removeResults { $1.needs.contains(digest) }
      _ = state.removeItemResults { $1.needs.contains(digest) }
      for (id, attempt) in state.attempts where attempt.blobs.contains(digest) {
        state.attempts[id]?.saved = attempt.saved.filter { $0.value != digest }
        if attempt.keptLog == digest { state.attempts[id]?.keptLog = nil }
      }
    }
  }

  package func collectGarbage(
    olderThan cutoff: String, treeChildren: @Sendable ([UInt8]) -> [Digest]
  ) throws(StoreError) -> GarbageReport {
    try change { state in
      var report = GarbageReport()
      let held = Set(state.tasks.values.compactMap(\.result)).union(state.words.rows.values.map(\.result))
      report.results = state.removeResults { $1.result.createdAt < cutoff && !held.contains($0) }
      report.results += state.collectItems(olderThan: cutoff)
      for (id, attempt) in state.attempts {
        guard let end = attempt.run.finishedAt, end < cutoff else { continue }
        state.attempts[id]?.saved = [:]
        state.attempts[id]?.keptLog = nil
      }
      var named = Set(state.results.rows.values.flatMap(\.needs))
      named.formUnion(state.itemResults.rows.values.flatMap(\.needs))
      named.formUnion(state.attempts.values.flatMap(\.blobs))
      for (digest, blob) in state.blobs where !named.contains(digest) {
        report.blobs += 1
        report.bytes += blob.size
        state.blobs[digest] = nil
      }
      state.collectFingerprints(treeChildren)
      return report
    }
  }
}

extension MemoryState {
  /// Of what a list, or its journal, names, the newest valid result stays.
  fileprivate mutating func collectItems(olderThan cutoff: String) -> Int {
    var listed: Set<Digest> = []
    for task in tasks.values {
      listed.formUnion(task.items.compactMap(\.contentKey))
      listed.formUnion(task.journal.compactMap(\.contentKey))
    }
    var newest: [Digest: Int64] = [:]
    for (id, row) in itemResults.ascending where row.validity.voidSince == nil { newest[row.contentKey] = id }
    return removeItemResults { id, row in
      row.createdAt < cutoff && !(newest[row.contentKey] == id && listed.contains(row.contentKey))
    }
  }

  fileprivate mutating func collectFingerprints(_ treeChildren: ([UInt8]) -> [Digest]) {
    var used = Set(tasks.values.compactMap(\.record.actionKey))
    used.formUnion(results.rows.values.map(\.result.actionKey))
    used.formUnion(words.rows.values.map(\.actionKey))
    fingerprints = fingerprints.filter { used.contains($0.key) }
    var pending: [Digest] = []
    for component in fingerprints.values.flatMap(\.components)
    where component.tag == .codeTree || component.tag == .inputTree {
      if case .digest(let root) = component.value { pending.append(root) }
    }
    var kept: Set<Digest> = []
    while let digest = pending.popLast() {
      guard kept.insert(digest).inserted, let listing = treeNodes[digest] else { continue }
      pending += treeChildren(listing)
    }
    treeNodes = treeNodes.filter { kept.contains($0.key) }
  }
}
