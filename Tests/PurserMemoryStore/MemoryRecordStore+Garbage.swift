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

  package func collectGarbage(_ request: GarbageRequest) throws(StoreError) -> GarbageReport {
    if request.isTrial {
      var trial = current
      return trial.collectGarbage(request)
    }
    return try change { state in state.collectGarbage(request) }
  }
}

extension MemoryState {
  fileprivate mutating func collectGarbage(_ request: GarbageRequest) -> GarbageReport {
    var report = collect(olderThan: request.cutoff)
    if let maximum = request.maximumBytes {
      let times = (results.rows.values.map(\.result.createdAt) + itemResults.rows.values.map(\.createdAt)).sorted()
      for step in 1...8 where size(request) > maximum {
        let place = times.count * step / 8
        // In the end all that no record holds on to.
        report.add(collect(olderThan: place < times.count ? times[place] : "~"))
      }
      report.keptBytes = size(request)
    }
    collectFingerprints(request.treeChildren)
    return report
  }

  /// What the contents take as they are kept.
  private func size(_ request: GarbageRequest) -> UInt64 {
    blobs.values.reduce(0) { total, blob in
      total + (blob.inlineContent.map { UInt64($0.count) } ?? request.fileSize(blob.digest))
    }
  }

  private mutating func collect(olderThan cutoff: String) -> GarbageReport {
    var report = GarbageReport()
    let held = Set(tasks.values.compactMap(\.result)).union(words.rows.values.map(\.result))
    let open = Set(attempts.values.filter { $0.run.state == .running }.compactMap(\.run.actionKey))
    report.results = removeResults {
      $1.result.createdAt < cutoff && !held.contains($0) && !open.contains($1.result.actionKey)
    }
    report.results += collectItems(olderThan: cutoff)
    for (id, attempt) in attempts {
      guard let end = attempt.run.finishedAt, end < cutoff else { continue }
      attempts[id]?.saved = [:]
      attempts[id]?.keptLog = nil
    }
    var named = Set(results.rows.values.flatMap(\.needs))
    named.formUnion(itemResults.rows.values.flatMap(\.needs))
    named.formUnion(attempts.values.flatMap(\.blobs))
    for (digest, blob) in blobs where !named.contains(digest) {
      report.blobs += 1
      report.bytes += blob.size
      if blob.inlineContent == nil { report.files.insert(digest) }
      blobs[digest] = nil
    }
    return report
  }

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
