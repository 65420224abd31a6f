import PurserExecution
import PurserHashing
public import PurserModel
import PurserStore

/// What came of accepting a task.
public struct AcceptReport: Sendable {
  public var task: String
  /// What it is made from now.
  public var fingerprint: Digest
  /// By whose word it is done now; `nil` where nothing differed.
  public var acceptance: Acceptance?
  /// The run of the history that says so.
  public var run: Int64?
  /// What differed.
  public var changes: [Change]
}

/// Declaring changes harmless, and taking over what was made without Purser.
extension TaskCache {
  /// How often is begun anew when files or records move meanwhile.
  private static let tries = 5

  /// Records tasks as done without running them, all of them or none. A task with a standing result keeps it, under what
  /// it is made from now; one without takes over the outputs that are on disk.
  ///
  /// - Parameters:
  ///   - declared: the tasks as they are declared now.
  ///   - why: the reason; must not be empty.
  ///   - standardInput: its digest, for tasks that read it; else it counts as recorded.
  /// - Throws: `usage` without a reason; `refused` for a task whose outputs are not there, or not as its result has them,
  ///   or that follows one that is not done; `busy` for one that is being run. Nothing is changed then.
  public func accept(
    _ declared: [TaskSpec], why: String, standardInput: Digest? = nil
  ) throws(PurserError) -> [AcceptReport] {
    guard !why.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0a }) else {
      throw PurserError(.usage, "say why with --why TEXT: it is kept, for whoever asks later what was accepted")
    }
    let worker = Lessor.worker
    var abandoned: [Int64] = []
    for _ in 0..<Self.tries {
      var prepared = ContentStore.Prepared()
      do {
        var reports: [AcceptReport] = []
        var attempts: [AcceptedRun] = []
        var places: [Int] = []
        for spec in declared {
          try refuseIfHeld(key(spec.id), worker)
          let candidate = try Candidate(self, spec, standardInput)
          reports.append(candidate.report)
          guard candidate.needsWord else { continue }
          places.append(reports.count - 1)
          attempts.append(try attempt(candidate, why: why, worker, &prepared))
        }
        guard !attempts.isEmpty else { return reports }
        // What was looked at has to be what is recorded.
        guard try attempts.allSatisfy({ try isUnmoved($0, standardInput) }) else {
          contents.discard(prepared)
          continue
        }
        let blobs = try contents.commit(prepared)
        prepared = ContentStore.Prepared()
        attempts[0].outcome.blobs = blobs
        switch try records.accept(attempts, replacing: abandoned) {
        case .recorded(let runs):
          for (place, (attempt, run)) in zip(places, zip(attempts, runs)) {
            reports[place].acceptance = attempt.outcome.vouch?.acceptance
            reports[place].run = run
          }
          return reports
        case .moved: continue
        case .held(let leases):
          abandoned = lessor.endAbandoned(leases, worker)
          if let holder = leases.first(where: { !abandoned.contains($0.token) }) { throw Self.held(holder) }
        }
      } catch {
        contents.discard(prepared)
        throw PurserError(wrapping: error)
      }
    }
    throw PurserError(.busy, "something goes on changing what is to be accepted; try again when that is over")
  }

  /// Takes back what was accepted for tasks on this storage key: a record that rests on it is what it was before. Returns
  /// for each task how many words were taken back.
  ///
  /// - Throws: `missing` for a task for which nothing was accepted; `busy` for one that is being run. Nothing is changed
  ///   then.
  public func revokeAcceptance(of tasks: [String], why: String) throws(PurserError) -> [Int] {
    let worker = Lessor.worker
    var abandoned: [Int64] = []
    do {
      for task in tasks { try refuseIfHeld(key(task), worker) }
      let known = try records.acceptedTasks(tasks.map { key($0) })
      if let task = tasks.first(where: { !known.contains(key($0)) }) {
        throw PurserError(
          .missing,
          "nothing was accepted for task '\(task)' on storage key '\(project.storageKey)'; see 'purser status'")
      }
      for _ in 0..<Self.tries {
        let request = Revocation(
          tasks: tasks.map { (key: key($0), leases: lessor.names(of: key($0))) }, mark: mark(why))
        switch try records.revoke(request, replacing: abandoned) {
        case .recorded(let counts): return counts.map { Int($0) }
        case .moved: continue
        case .held(let leases):
          abandoned = lessor.endAbandoned(leases, worker)
          if let holder = leases.first(where: { !abandoned.contains($0.token) }) { throw Self.held(holder) }
        }
      }
    } catch {
      throw PurserError(wrapping: error)
    }
    throw PurserError(.busy, "one process after another runs these tasks; try again when that is over")
  }

  /// Those of these tasks for which anything was accepted here, in their order.
  package func acceptedTasks(among tasks: [String]) throws(PurserError) -> [String] {
    let accepted = try asking { try records.acceptedTasks(tasks.map { key($0) }) }
    return tasks.filter { accepted.contains(key($0)) }
  }

  /// What the records of these tasks rest on by somebody's word, last word first.
  public func acceptances(of tasks: [String]) throws(PurserError) -> [String: [Acceptance]] {
    try asking {
      var found: [String: [Acceptance]] = [:]
      for (key, acceptances) in try records.acceptances(of: tasks.map { key($0) }) { found[key.task] = acceptances }
      return found
    }
  }

  private func refuseIfHeld(_ key: TaskKey, _ worker: String) throws {
    let leases = try records.leases(named: lessor.names(of: key))
    let abandoned = lessor.endAbandoned(leases, worker)
    if let holder = leases.first(where: { !abandoned.contains($0.token) }) { throw Self.held(holder) }
  }

  private static func held(_ lease: Lease) -> PurserError {
    let task = (try? JSON(parsing: lease.name.utf8))?.array?.last?.string ?? lease.name
    return PurserError(
      .busy,
      "task '\(task)' is being run by process \(lease.owner.pid), since \(lease.acquiredAt); try again when that is over"
    )
  }

  private func isUnmoved(_ attempt: AcceptedRun, _ standardInput: Digest?) throws -> Bool {
    guard let spec = TaskSpec(json: try JSON(parsing: attempt.run.specification.utf8)) else { return false }
    var options = DecisionOptions()
    options.standardInput = standardInput
    options.mayRestore = false
    return try checkedAssessment(spec, options).survey.fingerprint.actionKey == attempt.outcome.fingerprint.actionKey
  }

  // MARK: What is recorded

  /// What is to be recorded of a task, its new contents staged.
  private func attempt(
    _ candidate: Candidate, why: String, _ worker: String, _ prepared: inout ContentStore.Prepared
  ) throws -> AcceptedRun {
    let (spec, assessment) = (candidate.spec, candidate.assessment)
    let now = TaskCache.now()
    var outcome = RunOutcome(
      state: .completed, status: .success, exitCode: nil, startedAt: now, finishedAt: now, durationMicroseconds: 0,
      fingerprint: assessment.survey.fingerprint)
    outcome.treeNodes = assessment.survey.treeNodes
    outcome.dependencies = spec.upstream
    outcome.declaredKey = assessment.survey.declared?.actionKey
    let changes = JSON.array(candidate.report.changes.map(\.json)).serialized
    switch candidate.way {
    case .nothing: preconditionFailure("only what differs is accepted")
    case .alias(let result):
      outcome.restored = result
      outcome.log = result.log
      outcome.vouch = Vouch(
        acceptance: Acceptance(kind: .accepted, at: now, by: author, why: why, changes: changes),
        formerKey: assessment.record?.actionKey)
      try addItemKeys(to: &outcome, of: candidate)
    case .adoption(let manifest, let data):
      let key = key(spec.id)
      try Declarations(project: project).checkPlaces(spec, key: key, records: records)
      let found = try contents.prepare(manifest.entries, in: project)
      prepared.add(found)
      outcome.manifest = manifest
      outcome.outputsVersion = manifest.digest
      outcome.undeclared = try assessment.record?.result?.undeclared?.map { file in
        Component(file.tag, file.name, try look(at: file.tag, file.name).value)
      }
      if let data {
        outcome.taskData = data
        outcome.outputDataVersion = data.version
        outcome.dataDigest = try contents.add(Array(data.text.utf8), named: "the task data", to: &prepared)
      }
      outcome.vouch = Vouch(
        acceptance: Acceptance(kind: .adopted, at: now, by: author, why: why, changes: changes),
        resultKey: VouchedResult.key(for: key, outcome.fingerprint.actionKey))
    }
    let current = ChildProcess.current
    var run = NewRun(
      key: key(spec.id), kind: "adopt", actionKey: outcome.fingerprint.actionKey,
      reasons: JSON.array(assessment.decision.reasons.map(\.json)).serialized, createdBy: author,
      specification: spec.json.serialized, previousRun: assessment.record?.lastRun,
      previousRunState: assessment.record?.lastRunState, leases: lessor.names(of: key(spec.id)), worker: worker,
      owner: LeaseProcess(pid: current.pid, startTime: current.startTime, processGroup: nil), now: now, expiresAt: now)
    run.newestResult = nil
    return AcceptedRun(run: run, outcome: outcome)
  }

  /// Of a mapped task: what its items' keys are made from, before and now, so that items that are done stay done.
  private func addItemKeys(to outcome: inout RunOutcome, of candidate: Candidate) throws {
    guard let mapping = candidate.spec.mapping, let former = candidate.assessment.record?.actionKey,
      let components = try records.components(of: [former])[former]
    else { return }
    let list = ItemList(task: candidate.spec.id, mapping: mapping)
    let (was, isNow) = (list.base(of: components), list.base(of: outcome.fingerprint.components))
    guard was != isNow else { return }
    outcome.vouch?.itemKey = isNow
    outcome.vouch?.formerItemKey = was
  }
}

extension TaskCache {
  /// What stood in the place of what a mapped task's items are made from now, before changes were accepted.
  func formerItemKeys(of task: String, _ itemKey: Digest) throws(PurserError) -> [Digest] {
    try asking { try records.formerItemKeys(of: key(task), itemKey) }
  }
}

extension Attempt {
  /// The word by which a mapped task's result stands where some of its items were done before a change that was accepted.
  func vouchForItems() throws(PurserError) -> Vouch {
    let key = run.key
    let actionKey = assessment.survey.fingerprint.actionKey
    let acceptance = try cache.asking {
      if let word = try cache.records.acceptances(of: [key])[key]?.first { return word }
      var base: Digest?
      if let mapping = spec.mapping {
        base = ItemList(task: spec.id, mapping: mapping).base(of: assessment.survey.fingerprint.components)
      }
      return try base.flatMap { try cache.records.itemAcceptance(of: key, $0) }
        ?? Acceptance(kind: .accepted, at: startedAt, by: cache.author, why: "items of before an accepted change")
    }
    return Vouch(acceptance: acceptance, resultKey: VouchedResult.key(for: key, actionKey))
  }
}

/// The key of a result that stands by somebody's word alone: SHA-256 over "purser.vouched-result" 00, a format version
/// (u32), and each after its length, storage key, pipeline, task and the fingerprint's key. No fingerprint has it, and so
/// no other task and no other storage key finds the result.
enum VouchedResult {
  private static let formatVersion: UInt32 = 1

  static func key(for task: TaskKey, _ actionKey: Digest) -> Digest {
    var writer = ByteWriter()
    writer.append(Array("purser.vouched-result\0".utf8))
    writer.append(littleEndian: formatVersion)
    for text in [task.storageKey, task.pipeline, task.task] { writer.append(lengthPrefixed: Array(text.utf8)) }
    writer.append(actionKey)
    return SHA256.digest(of: writer.bytes)
  }
}

extension Int64 {
  /// `nil` for 0: a duration that is not known.
  var nonZero: Int64? { self == 0 ? nil : self }
}

/// A task that is to be accepted, and how.
private struct Candidate {
  var spec: TaskSpec
  var assessment: Assessment
  var way: Way

  enum Way {
    /// It is fresh.
    case nothing
    /// The result stands for what the task is made from now.
    case alias(ActionResult)
    /// What is on disk becomes its result.
    case adoption(OutputManifest, TaskData?)
  }

  var needsWord: Bool {
    if case .nothing = way { false } else { true }
  }

  var report: AcceptReport {
    var changes: [Change] = []
    for reason in assessment.decision.reasons {
      switch reason {
      case .codeChanged(let more), .inputsChanged(let more), .dataChanged(let more), .refuted(let more): changes += more
      default: break
      }
    }
    return AcceptReport(
      task: spec.id, fingerprint: assessment.survey.fingerprint.actionKey, acceptance: nil, run: nil, changes: changes)
  }

  /// Decides how a task can be accepted.
  ///
  /// - Throws: `refused` for one that cannot.
  init(_ cache: TaskCache, _ declared: TaskSpec, _ standardInput: Digest?) throws(PurserError) {
    spec = try Declarations(project: cache.project).admit(declared)
    var options = DecisionOptions()
    options.mayRestore = false
    options.standardInput = standardInput
    assessment = try cache.checkedAssessment(spec, options)
    way = .nothing
    if case .fresh = assessment.decision { return }
    for case .upstreamPending(let tasks) in assessment.decision.reasons {
      throw refusal(
        "it comes after '\(tasks[0])', which has no standing result on storage key '\(cache.project.storageKey)'; run or "
          + "accept '\(tasks[0])' first")
    }
    if let mark = assessment.record?.invalidation, assessment.record?.result != nil {
      throw refusal(
        "it was invalidated\(mark.reason); run it, or take the mark back with 'purser uninvalidate \(spec.id)'")
    }
    if let record = assessment.record, record.status == .success, record.actionKey != nil, let result = record.result {
      way = try vouching(for: result, record, cache)
    } else {
      way = try adoption(cache)
    }
  }

  private func refusal(_ why: String) -> PurserError {
    PurserError(.refused, "task '\(spec.id)' is not accepted: \(why)")
  }

  /// A task with a standing result.
  private func vouching(
    for result: ActionResult, _ record: TaskRecord, _ cache: TaskCache
  ) throws(PurserError) -> Way {
    let found = try cache.scan(spec, of: result.manifest)
    let (missing, modified) = result.manifest.differences(onDisk: found.manifest)
    let declaresOthers = spec.mapping == nil && spec.outputs.sorted() != result.manifest.patterns
    if let path = found.missing.first ?? (declaresOthers ? found.emptyPatterns.first : nil) {
      throw refusal("its output '\(path.printable)' does not exist; \(Self.advice)")
    }
    if let path = missing.first(where: { !declaresOthers || covers($0) }) {
      throw refusal("its output '\(path.printable)' is missing; \(Self.advice)")
    }
    let isTouched = { (path: ByteString) in result.manifest.entries.contains { $0.path == path } }
    if let path = modified.first(where: { !declaresOthers || isTouched($0) }) {
      throw refusal("its output '\(path.printable)' is not what its last result made; \(Self.advice)")
    }
    let needsData = spec.keepsData && result.data == nil
    // The same result cannot stand for two states of what it read undeclared: it becomes one of its own.
    guard missing.isEmpty, modified.isEmpty, !needsData, assessment.refutations.isEmpty else {
      // It declares more than its result was looked at for: what is there now is a result of its own.
      return .adoption(found.manifest, try data(cache))
    }
    try refuseNewItems(record, cache)
    return .alias(result)
  }

  private static var advice: String {
    "run the task; or undo the changes, let Purser put the output back, and make them again"
  }

  /// Whether a path is among the outputs that are declared now.
  private func covers(_ path: ByteString) -> Bool {
    spec.outputs.contains { path.isWithin($0) || (Glob.isPattern($0) && (try? Glob($0))?.matches(path) == true) }
  }

  /// An item that was never made must not hide behind those that were.
  private func refuseNewItems(_ record: TaskRecord, _ cache: TaskCache) throws(PurserError) {
    guard let mapping = spec.mapping else { return }
    guard let data = try cache.data(of: mapping.upstream) else {
      throw refusal("the task that it maps over, '\(mapping.upstream)', has no data")
    }
    let items = try ItemList(task: spec.id, mapping: mapping).items(
      of: data, fingerprint: assessment.survey.fingerprint)
    let done = Set(try cache.subtasks(of: spec.id).lazy.filter(\.isDone).map { ByteString($0.key) })
    guard let item = items.first(where: { !done.contains(ByteString($0.key)) }) else { return }
    throw refusal("its item '\(ByteString(item.key).printable)' was never done; run the task")
  }

  /// A task without a standing result.
  private func adoption(_ cache: TaskCache) throws(PurserError) -> Way {
    guard spec.mapping == nil else {
      throw refusal("it is mapped and has no standing result, and what its items made cannot be told apart; run it")
    }
    if let file = spec.dependencyFile {
      throw refusal("what it uses is known only from the dep file '\(file.printable)' that a run of it writes; run it")
    }
    if spec.findsInputs { throw refusal("what it reads is known only from a run of it that is traced; run it") }
    if spec.readsStandardInput, assessment.standardInput == nil {
      throw refusal("it reads standard input, which is not known; give its options and its input, or run it")
    }
    let found = try cache.scan(spec)
    if let path = found.missing.first {
      throw refusal("its output '\(path.printable)' does not exist; put it there, or run the task")
    }
    if let pattern = found.emptyPatterns.first {
      throw refusal("its output pattern '\(pattern.printable)' matches no file; put its outputs there, or run the task")
    }
    return .adoption(found.manifest, try data(cache))
  }

  private func data(_ cache: TaskCache) throws(PurserError) -> TaskData? {
    guard spec.keepsData else { return nil }
    if let data = try cache.data(of: spec.id) { return data }
    throw refusal("it returns data, and there is none; set it with 'purser data set \(spec.id)', or run it")
  }
}
