package import PurserModel
package import PurserStore

/// Runs, from their leases to what is remembered of them.
extension MemoryRecordStore {
  package func begin(_ run: NewRun, replacing tokens: [Int64]) throws(StoreError) -> BeginOutcome {
    try change { state throws(StoreError) in
      for token in tokens { state.endAbandonedLease(token, now: run.now) }
      let holders = state.leases(named: run.leases)
      guard holders.isEmpty else { return .held(holders) }
      guard state.isLastRun(run.previousRun, run.previousRunState, of: run.key) else { return .moved }
      if let known = run.newestResult, state.validResults(of: run.actionKey).first?.id ?? 0 != known { return .moved }
      if let result = run.restoring, !state.stands(result, for: run.actionKey, of: run.key) { return .moved }

      let previous = state.tasks[run.key]?.record.status
      let id = state.open(run)
      state.log(
        "STARTED", run: id, run.key, from: previous?.rawValue, to: "RUNNING", at: run.now, by: run.createdBy)
      var tokens: [Int64] = []
      for name in run.leases {
        let lease = Lease(
          token: state.leases.last + 1, name: name, run: id, actionKey: run.actionKey, worker: run.worker,
          owner: run.owner, child: nil, acquiredAt: run.now, expiresAt: run.expiresAt)
        tokens.append(state.leases.add(HeldLease(lease: lease, run: id)))
      }
      return .opened(OpenRun(id: id, key: run.key, tokens: tokens))
    }
  }

  package func leases(named names: [String]) throws(StoreError) -> [Lease] { current.leases(named: names) }

  package func noteChild(_ child: LeaseProcess, of run: OpenRun) throws(StoreError) {
    try changeLeases(of: run) { $0.child = child }
  }

  package func renew(_ run: OpenRun, until expiry: String) throws(StoreError) {
    try changeLeases(of: run) { $0.expiresAt = expiry }
  }

  private func changeLeases(of run: OpenRun, _ body: (inout Lease) -> Void) throws(StoreError) {
    try change { state throws(StoreError) in
      try state.requireLeases(of: run)
      for token in state.leases.rows.keys where state.leases[token]?.run == run.id {
        if var held = state.leases[token] {
          body(&held.lease)
          state.leases[token] = held
        }
      }
    }
  }

  package func save(_ contents: [SavedContent], for run: OpenRun) throws(StoreError) {
    try change { state throws(StoreError) in
      try state.requireLeases(of: run)
      state.add(contents.map(\.blob))
      for content in contents { state.attempts[run.id]?.saved[content.path] = content.blob.digest }
      let saved = state.attempts[run.id]?.saved.sorted { $0.key < $1.key } ?? []
      let list = saved.map { path, digest in
        JSON.object([("path", .string(path.escaped)), ("digest", .string(digest.hex))])
      }
      state.attempts[run.id]?.run.executionDetails = JSON.object([("saved", .array(list))]).serialized
    }
  }

  package func finish(
    _ run: OpenRun, with outcome: RunOutcome, isDurable: Bool
  ) throws(StoreError) -> Invalidation? {
    try change { state throws(StoreError) in
      try state.requireLeases(of: run)
      let result = try state.close(run, outcome)
      state.log(
        outcome.state == .completed ? "FINISHED" : outcome.state.rawValue, run: run.id, run.key, from: "RUNNING",
        to: outcome.status?.rawValue, at: outcome.finishedAt, by: nil)
      for token in state.leases.rows.keys where state.leases[token]?.run == run.id { state.leases[token] = nil }
      guard let result, let mark = state.marks[run.key]?.last else { return nil }
      return mark.horizon.run >= run.id || mark.horizon.result >= result ? mark.mark : nil
    }
  }

  package func sync(isLast: Bool) throws(StoreError) {}
}

extension MemoryState {
  func isLastRun(_ run: Int64?, _ state: RunState?, of key: TaskKey) -> Bool {
    guard let last = tasks[key]?.lastRun, let attempt = attempts[last] else { return run == nil }
    return last == run && attempt.run.state == state
  }

  /// Whether a result may still be put back for a task: no mark voids it, and it stands for the fingerprint.
  func stands(_ result: Int64, for actionKey: Digest, of key: TaskKey) -> Bool {
    let isAccepted = words.rows.values.contains {
      $0.key == key && $0.actionKey == actionKey && $0.result == result
    }
    return (results[result]?.result.actionKey == actionKey || isAccepted) && isValid(result, for: key)
  }

  /// Whether a result is there and no mark voids it for a task.
  func isValid(_ id: Int64, for key: TaskKey) -> Bool {
    guard let row = results[id], row.validity.voidSince == nil else { return false }
    return !horizon(of: key).voids(row.result)
  }

  mutating func endAbandonedLease(_ token: Int64, now: String) {
    guard let held = leases[token] else { return }
    leases[token] = nil
    guard attempts[held.run]?.run.state == .running else { return }
    attempts[held.run]?.run.state = .cancelled
    attempts[held.run]?.run.finishedAt = now
    attempts[held.run]?.run.errorInfo = #"{"kind":"abandoned"}"#
  }

  /// Writes down that a run has begun.
  mutating func open(_ run: NewRun) -> Int64 {
    lastRun += 1
    var record = RunRecord(id: lastRun, key: run.key, state: .running, kind: run.kind, startedAt: run.now)
    record.actionKey = run.actionKey
    record.reasons = run.reasons
    record.createdBy = run.createdBy
    attempts[lastRun] = Attempt(run: record, queuedWork: run.queuedWork)
    ensureTask(run.key, now: run.now)
    tasks[run.key]?.record.status = .running
    tasks[run.key]?.record.startTime = run.now
    tasks[run.key]?.record.endTime = nil
    tasks[run.key]?.lastRun = lastRun
    tasks[run.key]?.specification = run.specification
    // From the start: what a run has made by the time that it is killed, or marked, follows what it follows.
    let upstream = upstream(run.dependencies, of: run.key)
    tasks[run.key]?.dependencies.formUnion(upstream)
    return lastRun
  }

  private func upstream(_ names: [String], of key: TaskKey) -> Set<TaskKey> {
    Set(names.map { key.naming($0) }).subtracting([key])
  }

  /// Records what came of a run, and returns the number of the result that the record holds on to.
  mutating func close(_ run: OpenRun, _ outcome: RunOutcome) throws(StoreError) -> Int64? {
    fold(run.key)
    add(outcome.blobs)
    let actionKey = outcome.fingerprint.actionKey
    fingerprints[actionKey] = fingerprints[actionKey] ?? outcome.fingerprint
    treeNodes.merge(outcome.treeNodes) { known, _ in known }
    let result = try recordResult(of: run, outcome)
    if var attempt = attempts[run.id] {
      attempt.run.state = outcome.state
      attempt.run.actionKey = actionKey
      attempt.run.exitCode = outcome.exitCode
      attempt.run.durationMicroseconds = outcome.durationMicroseconds
      attempt.run.log = outcome.log
      attempt.run.errorInfo = outcome.errorInfo
      attempt.run.startedAt = outcome.startedAt
      attempt.run.finishedAt = outcome.finishedAt
      attempt.trace = outcome.trace
      attempt.keptLog = outcome.log.flatMap { blobs[$0]?.digest }
      attempts[run.id] = attempt
    }
    recordTask(run, outcome, result)
    // A failure leaves the data; so does the adoption of what is there.
    let isAdopted = attempts[run.id]?.run.kind == "adopt"
    if outcome.taskData != nil || (outcome.status == .success && !isAdopted) {
      set(outcome.taskData, version: outcome.outputDataVersion, of: run.key, .result)
    }
    return result
  }

  private mutating func recordResult(of run: OpenRun, _ outcome: RunOutcome) throws(StoreError) -> Int64? {
    if let restored = outcome.restored {
      guard results[restored.id] != nil else { throw .vanishedResult(of: run.key) }
      recordVouch(of: run, outcome, for: restored.id)
      return restored.id
    }
    guard let manifest = outcome.manifest, let outputsVersion = outcome.outputsVersion else { return nil }
    let resultKey = outcome.vouch?.resultKey
    var result = ActionResult(
      id: results.last + 1, actionKey: resultKey ?? outcome.fingerprint.actionKey, manifest: manifest,
      outputsVersion: outputsVersion, log: outcome.log, durationMicroseconds: outcome.durationMicroseconds,
      producer: run.key, createdAt: outcome.finishedAt)
    result.run = run.id
    result.undeclared = outcome.undeclared
    result.data = outcome.dataDigest
    result.dataCount = outcome.taskData?.elements.count ?? 0
    // Of a result that is nobody else's, nobody else is to find out by which files it came.
    var row = Result(result: result, declaredKey: resultKey == nil ? outcome.declaredKey : nil)
    row.needs = manifest.contents.union([outcome.log, outcome.dataDigest].compactMap(\.self))
    try requireBlobs(row.needs)
    let id = results.add(row)
    recordVouch(of: run, outcome, for: id)
    voidIfMarked(id, of: run)
    return id
  }

  private mutating func recordTask(_ run: OpenRun, _ outcome: RunOutcome, _ result: Int64?) {
    guard var task = tasks[run.key] else { return }
    task.record.endTime = outcome.finishedAt
    task.record.updatedAt = outcome.finishedAt
    // Without a status, what was recorded before still stands for what it was; only the attempt is over.
    task.record.status = outcome.status ?? .incomplete
    if outcome.status != nil {
      task.record.set(outcome.fingerprint)
      task.record.outputsVersion = (outcome.restored?.outputsVersion ?? outcome.outputsVersion)?.hex
      task.record.startTime = outcome.startedAt
      task.result = result
      task.dependencies = upstream(outcome.dependencies, of: run.key)
    }
    tasks[run.key] = task
  }
}

extension TaskRecord {
  /// Takes over what the task was made from.
  mutating func set(_ fingerprint: Fingerprint) {
    (code, inputs, data) = (fingerprint.code, fingerprint.inputs, fingerprint.data)
    actionKey = fingerprint.actionKey
  }
}

extension StoreError {
  static func vanishedResult(of key: TaskKey) -> StoreError {
    StoreError(.corrupt, "the result of task '\(key.task)' vanished from the store while it was put back")
  }
}
