import PurserCode
import PurserHashing
public import PurserModel
import PurserStore

/// A decision, and what it rests on.
package struct Assessment: Sendable {
  package var decision: Decision
  package var survey: Survey
  package var record: TaskRecord?
  /// Digest of the standard input that was taken into account.
  var standardInput: Digest?
  /// The newest result of the action, 0 for none; `nil` where nobody had to look.
  var newestResult: Int64?
  /// What is on disk where outputs are declared; `nil` where nobody had to look.
  var outputs: OutputScanner.Finding?
  /// What makes the record's result doubtful, though it is made from all that is declared.
  var refutations: [Change] = []
}

/// What a plan looked up for all its tasks at once.
struct Sight {
  /// The records of the tasks, by id.
  var records: [String: TaskRecord]
  /// Every literal path that they declare.
  var table: FileTable
  /// The code that they use.
  var follower: CodeFollower
  /// What dependents see of the tasks decided so far; those that have to run are left out.
  var upstream: [String: Surveyor.UpstreamState] = [:]
}

/// What a decision should leave out of account.
package struct DecisionOptions: Sendable {
  /// Run whatever is recorded.
  package var isForced = false
  /// Never put a result back.
  package var mayRestore = true
  /// Digest of standard input, for a task that reads it.
  package var standardInput: Digest?

  package init() {}
}

extension TaskCache {
  /// Says whether a task is fresh, can be restored, or has to run, and every reason why. Changes no record; for a
  /// declared environment variable it may make the store's key. O(declared files) system calls.
  ///
  /// - Throws: `missing` or `refused` for a declaration that cannot be used, `unavailable` or `io` for a store that
  ///   cannot be read.
  public func decide(_ spec: TaskSpec) throws(PurserError) -> Decision {
    try assess(Declarations(project: project).admit(spec), DecisionOptions()).decision
  }

  /// Decides about a task whose declaration was admitted.
  ///
  /// - Parameter known: the records of the task and of those that it comes after, where they were looked up already.
  package func assess(
    _ spec: TaskSpec, _ options: DecisionOptions, known: [TaskRecord?]? = nil
  ) throws(PurserError) -> Assessment {
    try assess(spec, options, sight: nil, known: known)
  }

  /// As ``assess(_:_:)``, by way of what a plan looked up for all its tasks at once.
  func assess(
    _ spec: TaskSpec, _ options: DecisionOptions, sight: Sight?, known: [TaskRecord?]? = nil
  ) throws(PurserError) -> Assessment {
    do {
      let (survey, record, pending) = try look(
        at: spec, standardInput: options.standardInput, sight: sight, known: known)
      var assessment = Assessment(
        decision: .run([.neverRan]), survey: survey, record: record, standardInput: options.standardInput,
        newestResult: nil, outputs: nil)
      let actionKey = assessment.survey.fingerprint.actionKey

      if let record, record.holds(assessment.survey.fingerprint), pending.isEmpty,
        let result = record.result
      {
        let found = try scan(spec, of: result.manifest, sight?.table)
        assessment.outputs = found
        if found.manifest.digest == result.outputsVersion, !options.isForced {
          assessment.refutations = try refutations(of: result)
          if assessment.refutations.isEmpty {
            assessment.decision = .fresh(record)
            return assessment
          }
        }
      }
      let reasons = try reasons(for: assessment, spec, options, pending: pending)
      assessment.decision = .run(reasons)
      let results = try records.results(for: [actionKey])[actionKey] ?? []
      assessment.newestResult = results.first?.id ?? 0
      guard options.mayRestore, !options.isForced, pending.isEmpty else { return assessment }
      // What was accepted here comes first: it is what the tasks that follow have seen.
      let accepted = try records.acceptedResult(for: actionKey, of: key(spec.id))
      if let result = try restorable(among: (accepted.map { [$0] } ?? []) + results, for: spec) {
        assessment.decision = .restore(result, reasons)
      }
      return assessment
    } catch {
      throw PurserError(wrapping: error)
    }
  }

  /// Everything that the task is made from, its record, and the upstream tasks without a standing result.
  func look(
    at spec: TaskSpec, standardInput: Digest?, sight: Sight? = nil, known: [TaskRecord?]? = nil
  ) throws -> (survey: Survey, record: TaskRecord?, pending: [String]) {
    let record: TaskRecord?
    let upstream: [String: Surveyor.UpstreamState]
    let pending: [String]
    if let sight {
      record = sight.records[spec.id]
      upstream = sight.upstream
      pending = spec.upstream.filter { sight.upstream[$0] == nil }
    } else {
      let records = try known ?? records(of: spec)
      record = records[0]
      (upstream, pending) = try upstreamStates(of: spec, records.dropFirst())
    }
    var surveyor = Surveyor(
      cache: self, upstream: upstream, standardInput: standardInput, follower: sight?.follower ?? follower(),
      table: sight?.table)
    let survey = try surveyor.survey(spec)
    guard spec.dependencyFile != nil || spec.findsInputs else { return (survey, record, pending) }
    return (try matching(survey, record, spec), record, pending)
  }

  /// The records of a task and of those that it comes after.
  func records(of spec: TaskSpec) throws(StoreError) -> [TaskRecord?] {
    try records.records(for: [key(spec.id)] + spec.upstream.map { key($0) })
  }

  /// Follows code, as it is now.
  func follower() -> CodeFollower { CodeFollower(root: project.root, hasher: hasher, summaries: summaries) }

  /// What is on disk where the task's outputs are declared.
  ///
  /// - Parameter manifest: what a mapped task made, which alone is looked at then: its patterns may match what others
  ///   made.
  func scan(
    _ spec: TaskSpec, of manifest: OutputManifest? = nil, _ table: FileTable? = nil
  ) throws(PurserError) -> OutputScanner.Finding {
    try scan(places: spec.mapping == nil ? spec.outputs : manifest?.scanned ?? [], of: spec, table)
  }

  /// What is on disk at some places, for a task.
  func scan(
    places: [ByteString], of spec: TaskSpec, _ table: FileTable? = nil
  ) throws(PurserError) -> OutputScanner.Finding {
    do {
      return try OutputScanner(project: project, hasher: hasher, table: table).scan(places)
    } catch {
      throw PurserError(error, declaration: "output", of: spec.id)
    }
  }

  /// What dependents see of each upstream task: its version as recorded if the disk agrees, else that of the disk.
  private func upstreamStates(
    of spec: TaskSpec, _ records: ArraySlice<TaskRecord?>
  ) throws(PurserError) -> (states: [String: Surveyor.UpstreamState], pending: [String]) {
    var states: [String: Surveyor.UpstreamState] = [:]
    var pending: [String] = []
    for (task, record) in zip(spec.upstream, records) {
      guard let record, record.status == .success, record.invalidation == nil,
        let result = record.result
      else {
        pending.append(task)
        continue
      }
      do {
        let found = try OutputScanner(project: project, hasher: hasher).scan(result.manifest.scanned)
        states[task] = Surveyor.UpstreamState(
          outputsVersion: found.manifest.digest,
          outputDataVersion: record.outputDataVersion.map { ByteString($0) }, identities: found.identities)
      } catch {
        throw PurserError(error, declaration: "output", of: task)
      }
    }
    return (states, pending)
  }

  /// The newest of an action's results that may be put back for this task.
  private func restorable(among results: [ActionResult], for spec: TaskSpec) throws -> ActionResult? {
    guard !results.isEmpty else { return nil }
    let key = key(spec.id)
    let horizon = try records.invalidationHorizons(for: [key])[key]
    // Where one result was refuted, one that nobody traced proves nothing: it may be of the same kind, or older.
    var isOneRefuted = false
    for result in results where horizon?.voids(result) != true {
      guard try refutations(of: result).isEmpty else {
        isOneRefuted = true
        continue
      }
      if isOneRefuted, result.undeclared == nil { continue }
      // A manifest that was cut short must not pass for a smaller result.
      guard result.manifest.digest == result.outputsVersion else { continue }
      // Without outputs or data, what the command did may be elsewhere: a database load is not done here because it was done
      // for another branch, nor because it was done before another one of the same task overwrote it.
      guard !spec.outputs.isEmpty || spec.isPure || result.data != nil else { continue }
      var needed = Set(result.manifest.entries.lazy.filter { $0.kind != .directory }.map(\.digest))
      if let log = result.log { needed.insert(log) }
      if let data = result.data { needed.insert(data) }
      if try contents.hasAll(needed) { return result }
    }
    return nil
  }

  // MARK: Reasons

  private func reasons(
    for assessment: Assessment, _ spec: TaskSpec, _ options: DecisionOptions, pending: [String]
  ) throws(StoreError) -> [Reason] {
    var reasons: [Reason] = options.isForced ? [.forced] : []
    guard let record = assessment.record, let recordedKey = record.actionKey else {
      let wasInterrupted = assessment.record?.status == .running || assessment.record?.lastRunState == .cancelled
      reasons.append(wasInterrupted ? .interrupted : .neverRan)
      if let record = assessment.record, wasInterrupted { reasons += try unfinishedItems(of: record) }
      if !pending.isEmpty { reasons.append(.upstreamPending(pending)) }
      return reasons
    }
    if let mark = record.invalidation { reasons.append(.invalidated(mark)) }
    switch record.status {
    case .failure: reasons.append(.failed)
    case .running: reasons.append(.interrupted)
    case .incomplete where record.subtaskCount == 0:
      // An attempt that ended well but could not be stored, because an input moved, is none of an interruption.
      reasons.append(record.lastRunState == .completed ? .incomplete(done: 0, total: 1) : .interrupted)
    case .incomplete:
      if record.lastRunState == .cancelled { reasons.append(.interrupted) }
    default: break
    }
    if record.status != .success { reasons += try unfinishedItems(of: record) }
    if recordedKey != assessment.survey.fingerprint.actionKey {
      reasons += try changes(since: recordedKey, assessment.survey, pending: pending)
    }
    if !pending.isEmpty { reasons.append(.upstreamPending(pending)) }
    if let result = record.result, let found = try? assessment.outputs ?? scan(spec, of: result.manifest) {
      let (missing, modified) = result.manifest.differences(onDisk: found.manifest)
      if !missing.isEmpty { reasons.append(.outputMissing(missing)) }
      if !modified.isEmpty { reasons.append(.outputModified(modified)) }
    }
    if !assessment.refutations.isEmpty { reasons.append(.refuted(assessment.refutations)) }
    // The record stands, but the result that it rests on was forgotten (a damaged blob) or replaced by kptn's client.
    return reasons.isEmpty ? [.outputMissing(["(the stored result)"])] : reasons
  }

  /// How many of a mapped task's items are done, where not all are.
  private func unfinishedItems(of record: TaskRecord) throws(StoreError) -> [Reason] {
    guard record.subtaskCount > 0 else { return [] }
    let subtasks = try records.subtasks(of: record.key)
    let done = subtasks.count { $0.isDone }
    return done < subtasks.count ? [.incomplete(done: done, total: subtasks.count)] : []
  }

  private func changes(
    since recordedKey: Digest, _ survey: Survey, pending: [String]
  ) throws(StoreError) -> [Reason] {
    let recorded = try records.components(of: [recordedKey])[recordedKey] ?? []
    var changes: [Change] = []
    for change in Change.between(recorded, survey.fingerprint.components) {
      // What a pending task will have made is not known yet, and may well be the same.
      let isUpstream = change.tag == .upstreamOutputs || change.tag == .upstreamData
      if isUpstream, pending.contains(change.name.escaped) { continue }
      changes += try expand(change, treeNodes: survey.treeNodes)
    }
    func group(_ group: Component.Group) -> [Change] { changes.filter { $0.tag.group == group } }
    var reasons: [Reason] = []
    if !group(.code).isEmpty { reasons.append(.codeChanged(group(.code))) }
    if !group(.inputs).isEmpty { reasons.append(.inputsChanged(group(.inputs))) }
    if !group(.data).isEmpty { reasons.append(.dataChanged(group(.data))) }
    return reasons
  }

  /// A changed folder as the files in it that changed, where its old listing is still known.
  func expand(_ change: Change, treeNodes: [Digest: [UInt8]]) throws(StoreError) -> [Change] {
    guard change.tag == .codeTree || change.tag == .inputTree, case .digest(let was)? = change.was,
      case .digest(let now)? = change.now
    else { return [change] }
    var nodes = treeNodes
    var pending = [was, now]
    var isSeen: Set<Digest> = []
    while let digest = pending.popLast() {
      guard isSeen.insert(digest).inserted else { continue }
      if nodes[digest] == nil { nodes[digest] = try records.treeNode(digest) }
      guard let node = nodes[digest] else { continue }
      pending += (Tree.decode(node: node) ?? []).filter { $0.kind == .directory }.map(\.digest)
    }
    guard nodes[was] != nil, nodes[now] != nil else { return [change] }
    let files = Tree.difference(from: was, to: now) { nodes[$0] }
    let tag: Component.Tag = change.tag == .codeTree ? .codeFile : .inputFile
    func value(_ digest: Digest?, _ kind: Tree.Entry.Kind?) -> Component.Value? {
      switch kind {
      case .file?: digest.map { .file($0, isExecutable: false) }
      case .executable?: digest.map { .file($0, isExecutable: true) }
      default: digest.map { .digest($0) }
      }
    }
    return files.isEmpty
      ? [change]
      : files.map { file in
        Change(
          tag: tag, name: change.name.appending(path: file.path), was: value(file.was, file.wasKind),
          now: value(file.is, file.isKind))
      }
  }
}

extension TaskRecord {
  /// Whether this record is a standing success of just this fingerprint. The columns that kptn's client may write are
  /// looked at as well: what it has changed is not ours any more.
  fileprivate func holds(_ fingerprint: Fingerprint) -> Bool {
    status == .success && invalidation == nil && actionKey == fingerprint.actionKey && code == fingerprint.code
      && inputs == fingerprint.inputs && data == fingerprint.data
  }
}
