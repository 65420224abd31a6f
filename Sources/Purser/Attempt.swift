import Glibc
import PurserExecution
import PurserHashing
public import PurserModel
package import PurserStore
import Synchronization

/// One attempt at a task, open under its leases: from `begin` until `finish`.
///
/// An attempt that is dropped, or whose process dies, leaves nothing recorded as done; its leases go to whoever comes
/// next. While it is open, they are renewed.
public final class Attempt: Sendable {
  private let isOpen = Mutex(true)
  let cache: TaskCache
  let spec: TaskSpec
  let assessment: Assessment
  package let run: OpenRun
  /// Of a task with a dep file, or that is traced: the files' clock before the work began; what is stamped with this time or a later one
  /// may have changed during the work.
  let readsFrom: Int64?
  private let times: Mutex<Times>

  private struct Times {
    /// When the work began.
    var start = MonotonicTime.now()
    var startedAt = TaskCache.now()
    /// When the leases were last known to be held.
    var confirmed: MonotonicTime
  }

  init(
    cache: TaskCache, spec: TaskSpec, assessment: Assessment, run: OpenRun, confirmed: MonotonicTime, readsFrom: Int64?
  ) {
    self.readsFrom = readsFrom
    self.cache = cache
    self.spec = spec
    self.assessment = assessment
    self.run = run
    times = Mutex(Times(confirmed: confirmed))
  }

  deinit {
    if isOpen.withLock({ $0 }) { abandon(because: "dropped") }
  }

  /// Throws `leaseLost` if the leases are not this run's any more. Asked before files are changed: who was frozen for so
  /// long that somebody else took over must not remove what that one has made. Only asks if the last answer is more than
  /// a second old.
  func confirm() throws(StoreError) {
    let last = times.withLock { $0.confirmed }
    guard last.duration(to: MonotonicTime.now()) > .seconds(1) else { return }
    try cache.records.renew(run, until: TaskCache.time(in: cache.lessor.seconds))
    times.withLock { $0.confirmed = MonotonicTime.now() }
  }

  /// When the work began: at first, when the attempt was opened.
  var startedAt: String { times.withLock { $0.startedAt } }

  /// The work begins only now; it had to wait for its turn.
  func restart() {
    times.withLock { $0 = Times(confirmed: $0.confirmed) }
  }

  /// The leases are given back, or lost: nothing more is to be recorded.
  fileprivate func close() {
    isOpen.withLock { $0 = false }
    cache.leaseKeeper.release(run)
  }

  /// How the work ended.
  public enum Ending: Sendable {
    /// It did what it should.
    case success
    /// It failed, with the exit status that a shell would report.
    case failure(exitCode: Int32)
    /// Some items of a mapped task failed; or all of them.
    case partial(done: Int, total: Int)
    /// It was stopped; nothing is to be recorded as done.
    case cancelled(exitCode: Int32?)
  }

  /// What came of recording an attempt.
  public struct Report: Sendable {
    /// Whether a result was stored.
    public var isStored: Bool
    /// Declared outputs that the work did not make.
    public var missingOutputs: [ByteString]
    /// The mark that was made while it ran: its result is void on this storage key, and it has to run again.
    public var invalidation: Invalidation?
    /// What the user should know; one line each.
    public var warnings: [String]
  }

  /// Removes the declared outputs (their content is saved first where no blob holds it) and makes the folders that
  /// they go to.
  package func clearOutputs() throws(PurserError) {
    do {
      // Looked at now, under the lease: another storage key may have written here since the decision.
      let found = try cache.scan(spec)
      try cache.restorer.clear(spec, found: found.manifest, for: self)
    } catch {
      throw PurserError(wrapping: error)
    }
  }

  /// Records how the attempt ended. A result is stored only after a success, if every declared output is there and no
  /// input was touched meanwhile.
  ///
  /// - Parameters:
  ///   - ending: how it ended.
  ///   - data: what the task returned, for one that keeps data.
  /// - Throws: `unavailable` if the lease was lost, `io` or `busy` if nothing could be recorded.
  @discardableResult
  public func finish(_ ending: Ending, data: TaskData? = nil) throws(PurserError) -> Report {
    try finish(ending, log: nil, data: data)
  }

  /// Records a success with what the task returned, kept as JSON; its declaration has to say `keepsData`.
  ///
  /// - Throws: `EncodingError` for a value that JSON cannot say, else as ``finish(_:data:)``.
  @discardableResult
  public func finish(returning value: some Encodable) throws -> Report {
    try finish(.success, data: TaskData(parsing: JSON(encoding: value).serialized.utf8))
  }

  /// - Parameters:
  ///   - outputs: of a mapped task, what is to be looked at, and which of that may match more later.
  ///   - trace: what its command was seen to do.
  ///   - vouch: by whose word the result stands, where it was not all made from what the task is made from now.
  func finish(
    _ ending: Ending, log: LogSpool?, data: TaskData? = nil,
    outputs: (places: [ByteString], patterns: [ByteString])? = nil, vouch: Vouch? = nil, trace: Trace? = nil
  ) throws(PurserError) -> Report {
    var report = Report(isStored: false, missingOutputs: [], warnings: [])
    var outcome = emptyOutcome(ending)
    outcome.vouch = vouch
    var prepared = ContentStore.Prepared()
    do {
      if case .success = ending {
        try collect(outputs, into: &outcome, &report, &prepared)
        if outcome.manifest != nil, spec.dependencyFile != nil { try addUsedFiles(to: &outcome, &report) }
      }
      if let trace { try add(trace, to: &outcome, &report) }
      if case .success = ending {
        if outcome.manifest != nil, let data { try attach(data, to: &outcome, &prepared) }
      }
      if let log { try attach(log, to: &outcome, &report, &prepared) }
      outcome.blobs = try cache.contents.commit(prepared)
      report.invalidation = try cache.records.finish(
        run, with: outcome, isDurable: cache.commitsDurably.load(ordering: .relaxed))
      close()
      report.isStored = outcome.manifest != nil
      return report
    } catch {
      cache.contents.discard(prepared)
      abandon(because: "\(error)")
      throw PurserError(wrapping: error)
    }
  }

  fileprivate func emptyOutcome(_ ending: Ending) -> RunOutcome {
    let (state, status, exitCode): (RunState, TaskStatus?, Int32?) =
      switch ending {
      case .success: (.completed, nil, 0)
      case .failure(let code): (.failed, .failure, code)
      case .partial(let done, _): (.failed, done == 0 ? .failure : .incomplete, 1)
      case .cancelled(let code): (.cancelled, nil, code)
      }
    let (start, startedAt) = times.withLock { ($0.start, $0.startedAt) }
    let elapsed = start.duration(to: MonotonicTime.now()).components
    var outcome = RunOutcome(
      state: state, status: status, exitCode: exitCode, startedAt: startedAt, finishedAt: TaskCache.now(),
      durationMicroseconds: elapsed.seconds * 1_000_000 + elapsed.attoseconds / 1_000_000_000_000,
      fingerprint: assessment.survey.fingerprint)
    outcome.treeNodes = assessment.survey.treeNodes
    outcome.dependencies = spec.upstream
    return outcome
  }

  /// Looks at what the work made and whether it may be stored.
  private func collect(
    _ outputs: (places: [ByteString], patterns: [ByteString])?, into outcome: inout RunOutcome, _ report: inout Report,
    _ prepared: inout ContentStore.Prepared
  ) throws {
    var found = try outputs.map { try cache.scan(places: $0.places, of: spec) } ?? scanOutputs()
    if let outputs { found.manifest.patterns = outputs.patterns.sorted() }
    for pattern in found.emptyPatterns {
      report.warnings.append("output pattern '\(pattern.printable)' of task '\(spec.id)' matches no file")
    }
    guard found.missing.isEmpty else {
      report.missingOutputs = found.missing
      outcome.state = .failed
      outcome.status = .failure
      outcome.errorInfo = Self.error("outputMissing", "paths", found.missing.map(\.escaped))
      return
    }
    let moved = try movedInputs()
    guard moved.isEmpty else {
      report.warnings.append(
        "task '\(spec.id)' is not stored: \(moved.prefix(3).joined(separator: ", ")) changed while it ran; run it again"
      )
      outcome.errorInfo = Self.error("inputMoved", "names", moved)
      return
    }
    prepared = try cache.contents.prepare(found.manifest.entries, in: cache.project)
    outcome.manifest = found.manifest
    outcome.outputsVersion = found.manifest.digest
    outcome.status = .success
  }

  /// Files just written cannot enter the stat cache until the clock has ticked past their times; for large ones,
  /// waiting for that is cheaper than hashing them again.
  private func scanOutputs() throws -> OutputScanner.Finding {
    let isLarge = spec.outputs.contains { output in
      var info = stat()
      let code = cache.project.location(of: output).withCString { stat($0, &info) }
      return code == 0 && (info.st_size >= 4 << 20 || info.st_mode & S_IFMT == S_IFDIR)
    }
    if isLarge { usleep(10_000) }
    return try cache.scan(spec)
  }

  /// Names of what was touched between the decision and now. Content is compared, and so are the times of writing: a
  /// file that was changed and changed back may have been read in between.
  func movedInputs() throws -> [String] {
    let now = try cache.look(at: spec, standardInput: assessment.standardInput).survey
    let (was, isNow) = (assessment.survey, now)
    var names = Change.between(
      (was.declared ?? was.fingerprint).components, (isNow.declared ?? isNow.fingerprint).components
    ).map(\.label)
    names += Self.rewritten(assessment.survey.identities, now.identities)
    // Where the content tells it already, the files of upstream tasks need not be named.
    if names.isEmpty { names = Self.rewritten(assessment.survey.upstreamIdentities, now.upstreamIdentities) }
    return Array(Set(names)).sorted()
  }

  /// Files that were written to between two looks, though they may hold the same. The time of change tells of one that
  /// was moved away and back, too, which has kept everything else.
  private static func rewritten(
    _ before: [(path: ByteString, identity: FileIdentity)], _ after: [(path: ByteString, identity: FileIdentity)]
  ) -> [String] {
    let present = Dictionary(after.map { ($0.path, $0.identity) }) { first, _ in first }
    return before.compactMap { path, before in
      guard let after = present[path] else { return nil }
      let isSame =
        before.inode == after.inode && before.modified == after.modified && before.changed == after.changed
        && before.size == after.size
      return isSame ? nil : path.printable
    }
  }

  /// Adds what was printed. Losing it is no reason to lose an honest failure, but a result without it is none.
  private func attach(
    _ log: LogSpool, to outcome: inout RunOutcome, _ report: inout Report, _ prepared: inout ContentStore.Prepared
  ) throws {
    if let code = log.failure {
      if outcome.manifest != nil {
        report.warnings.append(
          "what task '\(spec.id)' printed could not be kept (\(String(cString: strerror(code)))); nothing is stored")
      }
      outcome.manifest = nil
      outcome.outputsVersion = nil
      if outcome.status == .success { outcome.status = nil }
      return
    }
    do {
      outcome.log = try cache.contents.add(log, to: &prepared)
    } catch {
      // A failure is recorded as one, with or without what it printed.
      guard outcome.manifest == nil else { throw error }
    }
  }

  private func attach(
    _ data: TaskData, to outcome: inout RunOutcome, _ prepared: inout ContentStore.Prepared
  ) throws {
    outcome.taskData = data
    outcome.outputDataVersion = data.version
    outcome.dataDigest = try cache.contents.add(Array(data.text.utf8), named: "the task data", to: &prepared)
  }

  /// Gives the leases back without a result. Where even that fails, they end with this process, which does not wait for
  /// itself.
  package func abandon(because message: String) {
    var outcome = emptyOutcome(.cancelled(exitCode: nil))
    outcome.errorInfo = Self.error("notStored", "message", [message])
    do {
      _ = try cache.records.finish(run, with: outcome)
    } catch {
      cache.expiredLeases.forsake(run.tokens)
    }
    close()
  }

  static func error(_ kind: String, _ name: String, _ values: [String]) -> String {
    JSON.object([("kind", .string(kind)), (name, .array(values.map { .string($0) }))]).serialized
  }
}

extension TaskCache {
  var restorer: Restorer {
    Restorer(project: project, contents: contents, hasher: hasher)
  }

  var lessor: Lessor {
    Lessor(
      records: records, project: project, expired: expiredLeases, seconds: Lessor.seconds(environment))
  }

  /// Opens an attempt at a task, waiting while another process is at it.
  ///
  /// If another process makes the task fresh meanwhile, the attempt is opened all the same: decide again after a wait
  /// where that matters.
  ///
  /// - Parameters:
  ///   - spec: the task, as it was decided about.
  ///   - reasons: as `decide` gave them.
  /// - Throws: `refused` or `missing` for a declaration that cannot be used; `unavailable`, `busy` or `io` for a store
  ///   that cannot be written.
  public func begin(_ spec: TaskSpec, because reasons: [Reason]) throws(PurserError) -> Attempt {
    let spec = try Declarations(project: project).admit(spec)
    while true {
      var assessment = try assess(spec, DecisionOptions())
      assessment.decision = .run(reasons)
      try Declarations(project: project).checkPlaces(spec, key: key(spec.id), records: records)
      if let attempt = try open(spec, assessment, kind: "run", whileHeld: { _ in }) {
        try attempt.clearOutputs()
        return attempt
      }
    }
  }

  /// Opens a run for a decision; `nil` if the decision is out of date.
  func open(
    _ spec: TaskSpec, _ assessment: Assessment, kind: String, for work: Int64? = nil,
    isStopped: () -> Bool = { false }, whileHeld: (Lessor.Holder) -> Void
  ) throws(PurserError) -> Attempt? {
    do {
      guard
        let opened = try lessor.open(
          spec, assessment, kind: kind, author: author, for: work, isStopped: isStopped, whileHeld: whileHeld)
      else {
        return nil
      }
      let attempt = Attempt(
        cache: self, spec: spec, assessment: assessment, run: opened.run, confirmed: opened.at,
        readsFrom: kind == "run" && (spec.dependencyFile != nil || spec.isTraced) ? nextTick() : nil)
      leaseKeeper.keep(opened.run, in: records, seconds: lessor.seconds)
      return attempt
    } catch {
      throw PurserError(error)
    }
  }

  /// Puts a result back for a task, and records it as done.
  ///
  /// - Throws: `io` if a content is damaged or a place cannot be written; the task then has to run. `busy` if the task
  ///   is not any more what the decision was about.
  public func restore(_ result: ActionResult, for spec: TaskSpec) throws(PurserError) {
    let spec = try Declarations(project: project).admit(spec)
    while true {
      let assessment = try assess(spec, DecisionOptions())
      switch assessment.decision {
      case .fresh: return
      case .restore(let current, _) where current == result:
        if try restore(current, spec, assessment, whileHeld: { _ in }) { return }
      default:
        throw PurserError(.busy, "task '\(spec.id)' is not any more what was decided about; decide again")
      }
    }
  }

  /// `false` if the decision is out of date.
  func restore(
    _ result: ActionResult, _ spec: TaskSpec, _ assessment: Assessment, for work: Int64? = nil,
    isStopped: () -> Bool = { false }, whileHeld: (Lessor.Holder) -> Void
  ) throws(PurserError) -> Bool {
    try Declarations(project: project).checkPlaces(spec, key: key(spec.id), records: records)
    guard
      let attempt = try open(spec, assessment, kind: "restore", for: work, isStopped: isStopped, whileHeld: whileHeld)
    else { return false }
    do {
      let found = try scan(spec)
      let data = try storedData(of: result)
      try restorer.restore(result, of: spec, over: found.manifest, for: attempt)
      // What was invalidated meanwhile is not what was asked for.
      return try attempt.finish(restored: result, data) == nil
    } catch {
      attempt.abandon(because: "\(error)")
      throw PurserError(wrapping: error)
    }
  }
}

extension Attempt {
  /// Returns the mark that was made since the decision, if any.
  fileprivate func finish(restored result: ActionResult, _ data: TaskData?) throws(StoreError) -> Invalidation? {
    var outcome = emptyOutcome(.success)
    outcome.status = .success
    outcome.taskData = data
    outcome.outputDataVersion = data?.version
    outcome.dataDigest = result.data
    outcome.restored = result
    outcome.log = result.log
    let mark = try cache.records.finish(
      run, with: outcome, isDurable: cache.commitsDurably.load(ordering: .relaxed))
    close()
    return mark
  }
}
