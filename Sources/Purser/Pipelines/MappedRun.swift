import Glibc
import PurserExecution
import PurserHashing
import PurserModel
import PurserStore
import Synchronization

/// One run of a mapped task: which items are to run, and what became of them.
///
/// `begin` decides about the items, `run` carries a bundle of them out (several at once, on several threads), `conclude`
/// records the task. An item's end is committed before `run` returns; many ends share a commit.
final class MappedRun: Sendable {
  let worker: TaskWorker
  let task: PipelineTask
  let attempt: Attempt
  /// Those that this run is about: all, or the chosen ones.
  let items: [Item]
  let start = MonotonicTime.now()
  private let total: Int
  private let isSubset: Bool
  private let watch: InputWatch
  private let log: SharedLog
  private let state: Mutex<State>
  private let logLock = Mutex(())
  private let startLock = Mutex(())

  /// Guard: `logLock`; alone in `conclude`, when no bundle runs any more.
  private struct SharedLog: @unchecked Sendable {
    let spool: LogSpool
  }

  private struct State: @unchecked Sendable {
    var counts = ItemCounts()
    /// What items returned, as JSON, by place.
    var data: [Int: String] = [:]
    /// Places of those that failed, with how often they were tried.
    var failed: [Int: Int] = [:]
    var tries: [Int: Int] = [:]
    /// Starts that are not recorded yet, by place: with the item's end, or by `fold`, whichever comes first.
    var starts: [Int: ItemProgress] = [:]
    var firstError: String?
    var isInterrupted = false
  }

  /// How a mapped task begins.
  enum Beginning {
    /// Nothing has to run.
    case ended(TaskEnding)
    /// The items of each process.
    case bundles(MappedRun, [[Item]])
    /// The decision was out of date.
    case again
  }

  private init(
    _ worker: TaskWorker, _ task: PipelineTask, _ attempt: Attempt, items: [Item], total: Int, isSubset: Bool
  ) {
    self.worker = worker
    self.task = task
    self.attempt = attempt
    self.items = items
    self.total = total
    self.isSubset = isSubset
    watch = InputWatch(attempt.assessment.survey.identities, project: worker.cache.project)
    log = SharedLog(spool: worker.newLog())
    state = Mutex(State())
  }

  private var cache: TaskCache { worker.cache }
  private var spec: TaskSpec { task.spec }

  // MARK: Begin

  /// Decides about the task and, if it has to run, about each of its items; puts back what can be put back.
  static func begin(_ task: PipelineTask, _ worker: TaskWorker) throws(PurserError) -> Beginning {
    let cache = worker.cache
    let spec = task.spec
    guard let mapping = spec.mapping else { preconditionFailure("only mapped tasks are begun here") }
    let assessment = try cache.assess(spec, worker.decisionOptions)
    if case .fresh(let record) = assessment.decision, worker.options.subset == nil {
      return .ended(.fresh(savedMicroseconds: record.result?.durationMicroseconds ?? 0))
    }
    let reasons = assessment.decision.reasons
    try worker.refusePending(reasons, spec)
    guard let data = try cache.data(of: mapping.upstream) else {
      throw PurserError(
        .missing,
        "task '\(spec.id)' maps over the data of '\(mapping.upstream)', which has none; set 'cache_result: true' there and "
          + "return a list")
    }
    let all = try ItemList(task: spec.id, mapping: mapping).items(
      of: data, fingerprint: assessment.survey.fingerprint)
    let chosen = try Self.choose(worker.options.subset, among: all, spec)
    try Declarations(project: cache.project).checkPlaces(spec, key: cache.key(spec.id), records: cache.records)
    guard let attempt = try cache.open(spec, assessment, kind: "run", willWait: worker.announce(spec)) else {
      return .again
    }
    do {
      let run = MappedRun(
        worker, task, attempt, items: chosen, total: all.count, isSubset: worker.options.subset != nil)
      for warning in assessment.survey.warnings { worker.report(.warning(warning)) }
      if case .restore(let result, _) = assessment.decision, !run.isSubset { try run.putBack(result) }
      let pending = try run.settleKnown(all: all)
      if !pending.isEmpty { worker.report(.started(task: spec.id, reasons: reasons)) }
      return .bundles(run, run.bundles(of: pending))
    } catch {
      let error = PurserError(wrapping: error)
      attempt.abandon(because: error.message)
      throw error
    }
  }

  private static func choose(
    _ subset: [String]?, among items: [Item], _ spec: TaskSpec
  ) throws(PurserError) -> [Item] {
    guard let subset else { return items }
    let places = Dictionary(items.map { ($0.key, $0.index) }) { first, _ in first }
    var chosen: [Item] = []
    for key in subset {
      guard let place = places[key] else {
        let hint = Suggestion.hint(key, among: items.map(\.key))
        throw PurserError(.missing, "task '\(spec.id)' has no item '\(key)'\(hint)")
      }
      chosen.append(items[place])
    }
    return chosen
  }

  private func bundles(of pending: [Item]) -> [[Item]] {
    let size = task.bundleSize(for: pending.count, jobs: worker.options.jobs)
    return stride(from: 0, to: pending.count, by: size).map { first in
      Array(pending[first..<min(first + size, pending.count)])
    }
  }

  /// Whether what an item did is in its outputs, its data, or nowhere: then it need not be done again elsewhere.
  private var isRestorable: Bool { spec.mapping?.outputs.isEmpty == false || spec.keepsData || spec.isPure }

  /// Records the list, with those items as done that need not run; returns the others.
  private func settleKnown(all: [Item]) throws -> [Item] {
    let key = cache.key(spec.id)
    var known: [String: Subtask] = [:]
    for subtask in try cache.records.subtasks(of: key) { known[subtask.key] = subtask }
    let usable = isRestorable && worker.options.mayRestore
    let results = usable ? try cache.records.itemResults(for: all.map(\.contentKey), of: key) : [:]
    let mark = attempt.assessment.record?.invalidation?.at
    let isChosen = Set(items.map(\.index))
    var list: [Subtask] = []
    var pending: [Item] = []
    for item in all {
      var subtask = Subtask(index: item.index, key: item.key)
      if let old = known[item.key] {
        subtask = old
        subtask.index = item.index
      }
      let mustRun = isChosen.contains(item.index) && (worker.options.isForced || isSubset)
      let isKept = subtask.isDone && subtask.contentKey == item.contentKey && (subtask.endTime ?? "") > (mark ?? "")
      if !mustRun, isRestorable, let result = results[item.contentKey] {
        switch try putBack(result, for: item, isChosen: isChosen.contains(item.index)) {
        case .kept:
          if !isKept { subtask = done(item, subtask, result) }
          count(\.kept, item, result)
        case .restored:
          subtask = done(item, subtask, result)
          count(\.restored, item, result)
        case .no:
          if isChosen.contains(item.index) { pending.append(item) }
          subtask = reset(subtask)
        }
      } else if !mustRun, !isRestorable, isKept {
        count(\.kept, item, nil)
      } else {
        if isChosen.contains(item.index) { pending.append(item) }
        if mustRun || subtask.isDone { subtask = reset(subtask) }
      }
      list.append(subtask)
    }
    state.withLock { $0.counts.total = isSubset ? items.count : all.count }
    try cache.records.setSubtasks(list, of: key, under: attempt.run)
    return pending
  }

  private func count(_ field: WritableKeyPath<ItemCounts, Int>, _ item: Item, _ result: ItemResult?) {
    state.withLock { state in
      state.counts[keyPath: field] += 1
      if let data = result?.data { state.data[item.index] = data }
    }
  }

  private func done(_ item: Item, _ old: Subtask, _ result: ItemResult) -> Subtask {
    var subtask = old
    let now = TaskCache.now()
    subtask.startTime = now
    subtask.endTime = now
    subtask.status = .done
    subtask.error = nil
    subtask.outputHash = outputHash(result.manifest)
    subtask.contentKey = item.contentKey
    return subtask
  }

  private func reset(_ old: Subtask) -> Subtask { Subtask(index: old.index, key: old.key) }

  private func outputHash(_ manifest: OutputManifest) -> String? {
    spec.mapping?.outputs.isEmpty == false ? manifest.digest.hex : nil
  }

  /// Puts back what belongs to no item as well, where the very same was made before.
  private func putBack(_ result: ActionResult) throws {
    let found = try cache.scan(spec)
    do throws(StoreError) {
      try cache.restorer.restore(result, of: spec, over: found.manifest, for: attempt.run)
    } catch {
      guard error.code == .corrupt else { throw error }
      worker.report(.warning("\(error.message); items of '\(spec.id)' that need it run again"))
    }
  }

  private enum PutBack {
    case kept
    case restored
    case no
  }

  private func putBack(_ result: ItemResult, for item: Item, isChosen: Bool) throws -> PutBack {
    let outputs = try outputs(of: item)
    guard !outputs.isEmpty else { return .kept }
    let found = try scan(outputs)
    if found.manifest.digest == result.manifest.digest { return .kept }
    let needed = Set(result.manifest.entries.lazy.filter { $0.kind != .directory }.map(\.digest))
    guard isChosen, try cache.contents.hasAll(needed) else { return .no }
    do throws(StoreError) {
      try cache.restorer.restore(result.manifest, within: outputs, over: found.manifest, for: attempt.run)
      return .restored
    } catch {
      guard error.code == .corrupt else { throw error }
      worker.report(.warning("\(error.message); item '\(item.key)' of '\(spec.id)' runs again"))
      return .no
    }
  }

  // MARK: Outputs of an item

  private func values(of item: Item) -> [String: ByteString] {
    var values: [String: ByteString] = [:]
    for (name, value) in zip(spec.mapping?.names ?? [], item.values) { values[name] = ByteString(value) }
    return values
  }

  /// The outputs that the item declares: those that its parts stand in.
  ///
  /// - Throws: `refused` for a value that would lead to another place than the task's outputs.
  private func outputs(of item: Item) throws(PurserError) -> [ByteString] {
    let values = values(of: item)
    var outputs: [ByteString] = []
    for template in spec.mapping?.outputs ?? [] {
      let parsed = Template(template)
      guard parsed.names.contains(where: { values[$0] != nil }) else { continue }
      let path = parsed.path(values)
      let plain = parsed.replacing(values)
      let pattern = parsed.path([:])
      let isWithin =
        plain.normalizedPath == plain && !plain.bytes.contains(0)
        && (try? Glob(pattern))?.matches(plain) == true
      guard isWithin else {
        throw PurserError(
          .refused,
          "item '\(ByteString(item.key).printable)' of task '\(spec.id)' would make '\(plain.printable)', which is outside of "
            + "its outputs '\(pattern.printable)'; a value in 'outputs' must not be empty, begin with a dot or hold a '/'")
      }
      outputs.append(path)
    }
    return outputs
  }

  private func scan(_ outputs: [ByteString]) throws(PurserError) -> OutputScanner.Finding {
    do {
      return try OutputScanner(project: cache.project, hasher: cache.hasher).scan(outputs)
    } catch {
      throw PurserError(error, declaration: "output", of: spec.id)
    }
  }

  // MARK: Run

  /// Carries out a bundle. Failures of items are recorded; what is thrown stops the task.
  func run(_ bundle: [Item]) throws {
    guard !bundle.isEmpty, !state.withLock({ $0.isInterrupted }) else { return }
    let now = TaskCache.now()
    state.withLock { state in
      for item in bundle {
        state.tries[item.index, default: 0] += 1
        state.starts[item.index] = ItemProgress(
          event: SubtaskEvent(index: item.index, status: .running, time: now))
      }
    }
    for item in bundle { try clearOutputs(of: item) }
    let commands = TaskCommand(cache: cache, pipeline: worker.pipeline, task: task)
    let prepared = try commands.prepare(items: bundle, run: attempt.run)
    let own = worker.newLog()
    let label = bundle.count == 1 ? bundle[0].key : "\(bundle[0].key)…"
    let begun = MonotonicTime.now()
    let ends = prepared.done.map { DoneFile(path: $0, items: bundle) }
    let tail = ends.map { ends in Tail { [self] in try settle(ends.newLines(), since: begun) } }
    let completion: Completion
    do {
      completion = try worker.run(prepared.command, of: spec.id, item: label, own, attempt)
    } catch let error as ExecutionError {
      try tail?.stop()
      try settle(bundle.map { ItemEnd(item: $0, error: error.message, data: nil) }, since: begun)
      return
    }
    try tail?.stop()
    if let ends { try settle(ends.newLines(), since: begun) }
    keep(own, bundle)
    if completion.interruption != nil {
      state.withLock { $0.isInterrupted = true }
      return
    }
    let left = ends?.unnamed ?? bundle
    guard !left.isEmpty else { return }
    let isGood = completion.exit.code == 0
    let why = isGood ? nil : Self.reason(completion, task, own)
    try settle(
      left.map { item in
        guard isGood, prepared.done == nil, spec.keepsData else { return ItemEnd(item: item, error: why, data: nil) }
        do {
          return ItemEnd(item: item, error: nil, data: try commands.data(from: prepared.result)?.text)
        } catch {
          return ItemEnd(item: item, error: PurserError(wrapping: error).message, data: nil)
        }
      }, since: begun)
  }

  private static func reason(_ completion: Completion, _ task: PipelineTask, _ log: LogSpool) -> String {
    let line = log.tail(lines: 1, maxBytes: 200)
    let last = ByteString(bytes: line.last == UInt8(ascii: "\n") ? Array(line.dropLast()) : line).printable
    let code = TaskWorker.describe(completion, task)
    return last.isEmpty ? code : "\(code): \(last)"
  }

  private func clearOutputs(of item: Item) throws {
    let outputs = try outputs(of: item)
    guard !outputs.isEmpty else { return }
    let found = try scan(outputs)
    try cache.restorer.clear(outputs, keeping: spec.keepsOutputs, found: found.manifest, for: attempt.run)
  }

  /// Adds what a bundle printed to the task's log, and to the files that the task declares.
  private func keep(_ own: LogSpool, _ bundle: [Item]) {
    logLock.withLock { _ in log.spool.append(contentsOf: own) }
    guard task.log != nil else { return }
    for item in bundle {
      do {
        try worker.writeLog(own, of: task, values: values(of: item))
      } catch {
        worker.report(.warning(PurserError(wrapping: error).message))
      }
    }
  }

  /// Commits how items ended, with what they made, and only then returns.
  private func settle(_ ends: [ItemEnd], since begun: MonotonicTime) throws {
    guard !ends.isEmpty else { return }
    let duration = begun.duration(to: MonotonicTime.now()).microseconds / Int64(ends.count)
    var progress: [ItemProgress] = []
    var failures: [(Item, String)] = []
    var successes: [ItemEnd] = []
    for end in ends {
      do {
        progress.append(try outcome(of: end, duration))
        if let error = end.error { failures.append((end.item, error)) } else { successes.append(end) }
      } catch let error as ItemFailure {
        progress.append(failure(of: end.item, error.message))
        failures.append((end.item, error.message))
      }
    }
    if let moved = watch.check(), !successes.isEmpty {
      for end in successes { failures.append((end.item, "'\(moved)' changed while it ran")) }
      successes = []
      progress = failures.map { failure(of: $0.0, $0.1) }
    }
    watch.note(successes.map(\.item.index))
    let starts = state.withLock { state in ends.compactMap { state.starts.removeValue(forKey: $0.item.index) } }
    // Those that are not there are recorded by now, or about to be: an end must not come before its start.
    if starts.count < ends.count { startLock.withLock { _ in } }
    try cache.records.append(starts + progress, of: cache.key(spec.id), under: attempt.run)
    let counts = state.withLock { state in
      for end in successes {
        state.counts.ran += 1
        if state.failed.removeValue(forKey: end.item.index) != nil { state.counts.failed -= 1 }
        if let data = end.data { state.data[end.item.index] = data }
      }
      for (item, error) in failures {
        if state.failed[item.index] == nil { state.counts.failed += 1 }
        state.failed[item.index] = state.tries[item.index]
        state.firstError = state.firstError ?? "item '\(ByteString(item.key).printable)': \(error)"
      }
      return state.counts
    }
    worker.report(.progress(task: spec.id, done: counts.done, failed: counts.failed, total: counts.total))
  }

  private func failure(of item: Item, _ error: String) -> ItemProgress {
    ItemProgress(
      event: SubtaskEvent(
        index: item.index, status: .failed, time: TaskCache.now(), error: String(error.prefix(500)),
        contentKey: item.contentKey))
  }

  private func outcome(of end: ItemEnd, _ duration: Int64) throws -> ItemProgress {
    if let error = end.error { return failure(of: end.item, error) }
    if spec.keepsData, end.data == nil { throw ItemFailure(message: "it returned nothing") }
    let outputs = try outputs(of: end.item)
    let found = try scan(outputs)
    if let missing = found.missing.first {
      throw ItemFailure(message: "it did not make its output '\(missing.printable)'")
    }
    var event = SubtaskEvent(
      index: end.item.index, status: .done, time: TaskCache.now(), outputHash: outputHash(found.manifest),
      contentKey: end.item.contentKey)
    guard isRestorable else { return ItemProgress(event: event) }
    let blobs = try cache.contents.commit(try cache.contents.prepare(found.manifest.entries, in: cache.project))
    event.time = TaskCache.now()
    return ItemProgress(
      event: event,
      result: NewItemResult(
        manifest: found.manifest, data: end.data, durationMicroseconds: duration, blobs: blobs))
  }

  private struct ItemFailure: Error {
    var message: String
  }

  // MARK: Conclude

  /// The items that failed and may be tried again, each by itself; empty for none.
  func again() -> [[Item]] {
    let places = state.withLock { state in
      state.isInterrupted ? [] : state.failed.filter { $0.value <= task.retries }.keys.sorted()
    }
    guard !places.isEmpty else { return [] }
    let wanted = Set(places)
    return items.filter { wanted.contains($0.index) }.map { [$0] }
  }

  /// How often the items that failed were tried.
  var tries: Int { state.withLock { $0.failed.values.max() ?? 0 } }

  /// Records what has started, and moves the journal into the bins, for others to see.
  func fold() {
    startLock.withLock { _ in
      let starts = state.withLock { state in
        defer { state.starts = [:] }
        return state.starts.values.sorted { $0.event.index < $1.event.index }
      }
      if !starts.isEmpty { try? cache.records.append(starts, of: cache.key(spec.id), under: attempt.run) }
    }
    try? cache.records.foldProgress(of: cache.key(spec.id))
  }

  /// The run was told to stop; items that were begun are left as they are.
  func interrupt() {
    state.withLock { $0.isInterrupted = true }
  }

  /// Records the task once no bundle runs any more.
  func conclude() throws -> TaskEnding {
    try takeBackIfMoved()
    let (counts, isInterrupted, firstError) = state.withLock { ($0.counts, $0.isInterrupted, $0.firstError) }
    if isInterrupted, counts.done + counts.failed < counts.total {
      _ = try attempt.finish(.cancelled(exitCode: nil), log: log.spool)
      return .interrupted
    }
    if isSubset { return try concludeSubset(counts, firstError) }
    guard counts.done == counts.total else {
      _ = try attempt.finish(.partial(done: counts.done, total: counts.total), log: log.spool)
      let why = firstError ?? "not all of its items are done"
      return .failed(why, exitCode: 1, items: counts)
    }
    try removeLeftovers()
    let outcome = try attempt.finish(.success, log: log.spool, data: data())
    let ending = worker.ending(of: outcome, spec, since: start, items: counts)
    if counts.ran == 0, counts.restored > 0, ending.isSuccess {
      return .restored(savedMicroseconds: attempt.assessment.record?.result?.durationMicroseconds ?? 0)
    }
    return ending
  }

  private func data() -> TaskData? {
    guard spec.keepsData else { return nil }
    let data = state.withLock { $0.data }
    return TaskData(isList: true, elements: items.map { data[$0.index] ?? "null" })
  }

  /// What was committed since the inputs were last known to stand still is not to be trusted if they did not.
  private func takeBackIfMoved() throws {
    guard let moved = watch.check(now: true) else { return }
    let doubtful = watch.unconfirmed()
    guard !doubtful.isEmpty else { return }
    let error = "'\(moved)' changed while it ran"
    let now = TaskCache.now()
    try cache.records.append(
      doubtful.map { ItemProgress(event: SubtaskEvent(index: $0, status: .failed, time: now, error: error)) },
      of: cache.key(spec.id), under: attempt.run)
    state.withLock { state in
      state.counts.ran -= doubtful.count
      state.counts.failed += doubtful.count
      state.firstError = state.firstError ?? error
    }
  }

  private func concludeSubset(_ counts: ItemCounts, _ firstError: String?) throws -> TaskEnding {
    let key = cache.key(spec.id)
    try cache.records.setTaskData(
      TaskData(isList: true, elements: items.map { JSON.string($0.key).serialized }), of: key, .subset,
      now: TaskCache.now())
    let done = try cache.records.subtasks(of: key).count { $0.isDone }
    _ = try attempt.finish(.partial(done: max(1, done), total: total), log: log.spool)
    if counts.failed > 0 { return .failed(firstError ?? "items failed", exitCode: 1, items: counts) }
    return .ran(microseconds: start.duration(to: MonotonicTime.now()).microseconds, items: counts)
  }

  /// Removes what earlier items made that are not in the list any more; it is saved first.
  private func removeLeftovers() throws {
    guard spec.mapping?.outputs.isEmpty == false, !spec.keepsOutputs else { return }
    let found = try scan(spec.outputs)
    var expected: Set<ByteString> = []
    var patterns: [Glob] = []
    for item in items {
      let values = values(of: item)
      for template in spec.mapping?.outputs ?? [] {
        let path = Template(template).path(values)
        if Glob.isPattern(path), let glob = try? Glob(path) { patterns.append(glob) }
        expected.insert(Template(template).replacing(values))
      }
    }
    let extra = found.manifest.entries.filter { entry in
      var path = entry.path
      while !path.isEmpty {
        if expected.contains(path) { return false }
        path = path.parentPath
      }
      return !patterns.contains { $0.matches(entry.path) }
    }
    guard !extra.isEmpty else { return }
    try cache.restorer.clear(
      [], keeping: false, namesAll: true, found: OutputManifest(entries: extra), for: attempt.run)
  }
}

/// How an item ended, before anything was looked at.
struct ItemEnd: Sendable {
  var item: Item
  /// What went wrong; `nil` for a good end.
  var error: String?
  /// What it returned, as JSON.
  var data: String?
}
