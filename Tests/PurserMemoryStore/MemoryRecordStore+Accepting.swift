package import PurserModel
package import PurserStore

extension MemoryRecordStore {
  package func accept(_ attempts: [AcceptedRun], replacing tokens: [Int64]) throws(StoreError) -> AcceptOutcome {
    try change { state throws(StoreError) in
      for token in tokens { state.endAbandonedLease(token, now: attempts.first?.run.now ?? "") }
      for attempt in attempts {
        let run = attempt.run
        let holders = state.leases(named: run.leases)
        guard holders.isEmpty else { return .held(holders) }
        guard state.isLastRun(run.previousRun, run.previousRunState, of: run.key) else { return .moved }
        // Somebody may have marked it meanwhile, or the result was damaged and forgotten.
        if let result = attempt.outcome.restored, !state.isValid(result.id, for: run.key) { return .moved }
      }
      var runs: [Int64] = []
      for attempt in attempts { runs.append(try state.accept(attempt)) }
      return .recorded(runs)
    }
  }

  package func revoke(_ request: Revocation, replacing tokens: [Int64]) throws(StoreError) -> AcceptOutcome {
    try change { state in
      for token in tokens { state.endAbandonedLease(token, now: request.mark.at) }
      for task in request.tasks {
        let holders = state.leases(named: task.leases)
        guard holders.isEmpty else { return .held(holders) }
      }
      return .recorded(request.tasks.map { state.revoke($0.key, request.mark) })
    }
  }

  package func acceptedResult(for actionKey: Digest, of key: TaskKey) throws(StoreError) -> ActionResult? {
    let state = current
    guard let word = state.words(of: key).first(where: { $0.actionKey == actionKey }),
      let row = state.results[word.result], row.validity.voidSince == nil
    else { return nil }
    return row.result
  }

  package func acceptedKeys(declaredAs key: Digest, of task: TaskKey) throws(StoreError) -> [Digest] {
    current.words(of: task).filter { $0.declaredKey == key }.map(\.actionKey)
  }

  package func acceptedTasks(_ keys: [TaskKey]) throws(StoreError) -> Set<TaskKey> {
    Set(current.words.rows.values.map(\.key)).intersection(keys)
  }

  package func acceptances(of keys: [TaskKey]) throws(StoreError) -> [TaskKey: [Acceptance]] {
    let state = current
    return keys.reduce(into: [:]) { found, key in
      let acceptances = state.acceptances(of: key)
      if !acceptances.isEmpty { found[key] = acceptances }
    }
  }

  package func itemAcceptance(of key: TaskKey, _ itemKey: Digest) throws(StoreError) -> Acceptance? {
    current.words(of: key).first { $0.vouch.itemKey == itemKey }?.vouch.acceptance
  }

  package func formerItemKeys(of key: TaskKey, _ itemKey: Digest) throws(StoreError) -> [Digest] {
    let words = current.words(of: key).reversed()
    var found = [itemKey]
    var place = 0
    while place < found.count {
      for word in words where word.vouch.itemKey == found[place] {
        if let former = word.vouch.formerItemKey, !found.contains(former) { found.append(former) }
      }
      place += 1
    }
    return Array(found.dropFirst())
  }
}

extension MemoryState {
  /// Newest first.
  fileprivate func words(of key: TaskKey) -> [Word] {
    words.ascending.reversed().map(\.row).filter { $0.key == key }
  }

  fileprivate mutating func accept(_ attempt: AcceptedRun) throws(StoreError) -> Int64 {
    let (run, outcome) = (attempt.run, attempt.outcome)
    let previous = tasks[run.key]?.record.status
    let id = open(run)
    _ = try close(OpenRun(id: id, key: run.key, tokens: []), outcome)
    guard let acceptance = outcome.vouch?.acceptance else { return id }
    log(
      "ACCEPTED", run: id, run.key, data: acceptance.jsonWithChanges, from: previous?.rawValue,
      to: outcome.status?.rawValue, at: acceptance.at, by: acceptance.by)
    return id
  }

  /// Writes down by whose word a result stands for a fingerprint; or, for one that was made from just that, that nobody's
  /// word is needed any more.
  mutating func recordVouch(of run: OpenRun, _ outcome: RunOutcome, for result: Int64) {
    let actionKey = outcome.fingerprint.actionKey
    let known = words.rows.first { $0.value.key == run.key && $0.value.actionKey == actionKey }
    guard var vouch = outcome.vouch else {
      if outcome.restored == nil, let known { words[known.key] = nil }
      return
    }
    // Changed to what its result was really made from: that is true without anybody's word.
    if outcome.restored?.actionKey == actionKey { return }
    // Accepted to and fro: what items of before stood for stays.
    vouch.itemKey = vouch.itemKey ?? known?.value.vouch.itemKey
    vouch.formerItemKey = vouch.formerItemKey ?? known?.value.vouch.formerItemKey
    let word = Word(
      key: run.key, actionKey: actionKey, result: result, vouch: vouch, declaredKey: outcome.declaredKey)
    if let known { words[known.key] = word } else { _ = words.add(word) }
  }

  fileprivate mutating func revoke(_ key: TaskKey, _ mark: Invalidation) -> Int64 {
    let before = tasks[key]?.record.status?.rawValue
    let isStripped = restoreFingerprint(of: key, now: mark.at)
    let count = Int64(words(of: key).count)
    guard count > 0 else { return 0 }
    for (id, word) in words.rows where word.key == key { words[id] = nil }
    log(
      "ACCEPTANCE_REVOKED", run: nil, key, data: .object([("why", .string(mark.why)), ("words", .integer(count))]),
      from: before, to: isStripped ? "INCOMPLETE" : before, at: mark.at, by: mark.by)
    return count
  }

  /// Gives a record that rests on somebody's word the fingerprint that its result was made from; where that is none, as
  /// after an adoption, nothing: `true` then.
  private mutating func restoreFingerprint(of key: TaskKey, now: String) -> Bool {
    guard var task = tasks[key], let actionKey = task.record.actionKey,
      let made = task.result.flatMap({ results[$0]?.result.actionKey }), made != actionKey
    else { return false }
    task.record.updatedAt = now
    if let fingerprint = fingerprints[made] {
      task.record.set(fingerprint)
    } else {
      (task.record.code, task.record.inputs, task.record.data) = (nil, nil, nil)
      (task.record.actionKey, task.record.outputsVersion, task.result) = (nil, nil, nil)
      task.record.status = .incomplete
    }
    tasks[key] = task
    return task.result == nil
  }

  /// From the record's own fingerprint back to the one that its result was made from.
  fileprivate func acceptances(of key: TaskKey) -> [Acceptance] {
    guard let task = tasks[key], let result = task.result else { return [] }
    var left = words(of: key).filter { $0.result == result }
    var found: [Acceptance] = []
    var actionKey = task.record.actionKey
    while let place = left.firstIndex(where: { $0.actionKey == actionKey }) {
      let word = left.remove(at: place)
      found.append(word.vouch.acceptance)
      actionKey = word.vouch.formerKey
    }
    return found
  }
}
