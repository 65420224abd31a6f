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
  private let outputs: ItemOutputs
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
    /// Places of those that ended well in this run.
    var ran: Set<Int> = []
    /// Places of those that failed, with how often they were tried.
    var failed: [Int: Int] = [:]
    var tries: [Int: Int] = [:]
    /// Starts that are not recorded yet, by place: with the item's end, or by `fold`, whichever comes first.
    var starts: [Int: ItemProgress] = [:]
    var firstError: String?
    var isInterrupted = false
    /// What items took whose results were put back, or stood.
    var savedMicroseconds: Int64 = 0
  }

  /// How a mapped task begins.
  enum Beginning {
    /// Nothing has to run.
    case ended(TaskEnding)
    /// The items of each process.
    case bundles(MappedRun, [[Item]])
    /// The decision was out of date, or another process is at it.
    case again(isHeld: Bool)
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
    watch = InputWatch(attempt)
    outputs = ItemOutputs(task.spec)
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
    try ItemOutputs(spec).refuseRepeated(all)
    let chosen = try Self.choose(worker.options.subset, among: all, spec)
    try Declarations(project: cache.project).checkPlaces(spec, key: cache.key(spec.id), records: cache.records)
    let opened = try worker.unlessHeld(spec) { willWait throws(PurserError) in
      try cache.open(spec, assessment, kind: "run", isStopped: { true }, willWait: willWait)
    }
    guard let opened else { return .again(isHeld: true) }
    guard let attempt = opened else {
      return .again(isHeld: false)
    }
    do {
      let run = MappedRun(
        worker, task, attempt, items: chosen, total: all.count, isSubset: worker.options.subset != nil)
      for warning in assessment.survey.warnings { worker.report(.warning(warning)) }
      var isWhole = false
      if case .restore(let result, _) = assessment.decision, try run.mayPutBack(result) {
        isWhole = try run.putBack(result)
      }
      let pending = try run.settleKnown(all: all, isWhole: isWhole)
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
    let places = Dictionary(items.map { (ByteString($0.key), $0.index) }) { first, _ in first }
    var chosen: [Item] = []
    var seen: Set<ByteString> = []
    for key in subset where seen.insert(ByteString(key)).inserted {
      guard let place = places[ByteString(key)] else {
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

  /// Whether what an item did is in its outputs, its data, or nowhere: then it need not be done again elsewhere. An
  /// output that belongs to no single item cannot be put back by items.
  private var isRestorable: Bool {
    outputs.shared.isEmpty && (!outputs.ofItems.isEmpty || spec.keepsData || spec.isPure)
  }

  /// Records the list, with those items as done that need not run; returns the others.
  ///
  /// - Parameter isWhole: whether the result of just these items was put back.
  private func settleKnown(all: [Item], isWhole: Bool) throws -> [Item] {
    let key = cache.key(spec.id)
    var known: [ByteString: Subtask] = [:]
    for subtask in try cache.records.subtasks(of: key) { known[ByteString(subtask.key)] = subtask }
    let usable = isRestorable && worker.options.mayRestore
    let results = usable ? try cache.records.itemResults(for: all.map(\.contentKey), of: key) : [:]
    let mark = attempt.assessment.record?.invalidation?.at
    let areSharedThere = try areSharedOutputsThere()
    let isChosen = Set(items.map(\.index))
    var list: [Subtask] = []
    var pending: [Item] = []
    for item in all {
      let isWanted = isChosen.contains(item.index)
      var subtask = known.removeValue(forKey: ByteString(item.key)) ?? Subtask(index: item.index, key: item.key)
      subtask.index = item.index
      let hasFailed = subtask.status == .failed && (subtask.contentKey ?? item.contentKey) == item.contentKey
      let mustRun = isWanted && (worker.options.isForced || isSubset) || hasFailed
      let isKept = subtask.isDone && subtask.contentKey == item.contentKey && (subtask.endTime ?? "") > (mark ?? "")
      if isWhole {
        if !isKept { subtask = done(item, subtask, results[item.contentKey]?.manifest ?? OutputManifest()) }
        state.withLock { $0.counts.restored += 1 }
      } else if !mustRun, isRestorable, let result = results[item.contentKey] {
        switch try putBack(result, for: item, isChosen: isWanted) {
        case .kept:
          if !isKept { subtask = done(item, subtask, result.manifest) }
          if isWanted { count(\.kept, item, result) }
        case .restored:
          subtask = done(item, subtask, result.manifest)
          if isWanted { count(\.restored, item, result) }
        case .no:
          if isWanted { pending.append(item) }
          subtask = reset(subtask)
        }
      } else if !mustRun, !isRestorable, isKept, areSharedThere {
        if isWanted { count(\.kept, item, nil) }
      } else {
        if isWanted { pending.append(item) }
        if isWanted, mustRun || subtask.isDone { subtask = reset(subtask) }
      }
      list.append(subtask)
    }
    state.withLock { $0.counts.total = items.count }
    try removeDropped(Array(known.values), key)
    // Nothing stands of what the items share: a leftover must not be taken for a part of it.
    if !outputs.shared.isEmpty, pending.count == all.count, !spec.keepsOutputs {
      let found = try cache.scan(places: outputs.shared, of: spec)
      try cache.restorer.clear(outputs.shared, keeping: false, found: found.manifest, for: attempt.run)
    }
    try cache.records.setSubtasks(list, of: key, under: attempt.run)
    return pending
  }

  /// Whether the outputs that belong to no single item are as they were recorded. Where nothing is recorded, after a run
  /// that did not come to its end, the items are taken at their word, if there is something at all.
  private func areSharedOutputsThere() throws -> Bool {
    guard !outputs.shared.isEmpty else { return true }
    let found = try cache.scan(places: outputs.shared, of: spec)
    guard let manifest = attempt.assessment.record?.result?.manifest else { return found.missing.isEmpty }
    return manifest.entries.filter { outputs.isShared($0.path) } == found.manifest.entries
  }

  /// Removes what items made that are not in the list any more; before the list forgets them, so that a run that fails,
  /// or is killed, leaves none behind.
  private func removeDropped(_ dropped: [Subtask], _ key: TaskKey) throws {
    let keys = dropped.compactMap(\.contentKey)
    guard !outputs.ofItems.isEmpty, !keys.isEmpty, !isSubset, !spec.keepsOutputs else { return }
    try remove(try cache.records.itemResults(for: keys, of: key).values.flatMap(\.manifest.entries).map(\.path))
  }

  private func count(_ field: WritableKeyPath<ItemCounts, Int>, _ item: Item, _ result: ItemResult?) {
    state.withLock { state in
      state.counts[keyPath: field] += 1
      if let data = result?.data { state.data[item.index] = data }
      state.savedMicroseconds += result?.durationMicroseconds ?? 0
    }
  }

  private func done(_ item: Item, _ old: Subtask, _ manifest: OutputManifest) -> Subtask {
    var subtask = old
    let now = TaskCache.now()
    subtask.startTime = now
    subtask.endTime = now
    subtask.status = .done
    subtask.error = nil
    subtask.outputHash = outputHash(manifest)
    subtask.contentKey = item.contentKey
    return subtask
  }

  private func reset(_ old: Subtask) -> Subtask { Subtask(index: old.index, key: old.key) }

  private func outputHash(_ manifest: OutputManifest) -> String? {
    outputs.ofItems.isEmpty ? nil : manifest.digest.hex
  }

  /// Whether the whole may be put back: only where items cannot be by themselves, and none was marked as failed, or ran
  /// again, since the result was made.
  private func mayPutBack(_ result: ActionResult) throws -> Bool {
    guard !isSubset, !outputs.shared.isEmpty else { return false }
    return try cache.records.subtasks(of: cache.key(spec.id)).allSatisfy { subtask in
      subtask.status != .failed && (subtask.endTime ?? "") <= result.createdAt
    }
  }

  /// Puts back the whole result, where the very same was made before; `false` if it is damaged.
  private func putBack(_ result: ActionResult) throws -> Bool {
    do {
      let data = try cache.storedData(of: result)
      let found = try cache.scan(spec, of: result.manifest)
      try cache.restorer.restore(result.manifest, within: places().places, over: found.manifest, for: attempt.run)
      state.withLock { state in
        for (index, element) in (data?.elements ?? []).enumerated() { state.data[index] = element }
      }
      return true
    } catch let error as StoreError {
      guard error.code == .corrupt else { throw error }
      worker.report(.warning("\(error.message); items of '\(spec.id)' that need it run again"))
      return false
    }
  }

  private enum PutBack {
    case kept
    case restored
    case no
  }

  private func putBack(_ result: ItemResult, for item: Item, isChosen: Bool) throws -> PutBack {
    guard !outputs.ofItems.isEmpty else { return .kept }
    // With outputs, but none made: what the item did may be elsewhere.
    if result.manifest.entries.isEmpty, !spec.keepsData, !spec.isPure { return .no }
    guard let places = try? outputs.places(of: item) else { return .no }
    let found = try cache.scan(places: places, of: spec)
    if found.manifest.digest == result.manifest.digest { return .kept }
    let needed = Set(result.manifest.entries.lazy.filter { $0.kind != .directory }.map(\.digest))
    guard isChosen, try cache.contents.hasAll(needed) else { return .no }
    do throws(StoreError) {
      try cache.restorer.restore(result.manifest, within: places, over: found.manifest, for: attempt.run)
      return .restored
    } catch {
      guard error.code == .corrupt else { throw error }
      worker.report(.warning("\(error.message); item '\(item.key)' of '\(spec.id)' runs again"))
      return .no
    }
  }

  // MARK: Run

  /// Carries out a bundle. Failures of items are recorded; what is thrown stops the task.
  func run(_ bundle: [Item]) throws {
    guard !state.withLock({ $0.isInterrupted }), watch.moved == nil else { return }
    let begun = MonotonicTime.now()
    begin(bundle)
    let bundle = try clearOutputs(of: bundle, since: begun)
    guard !bundle.isEmpty else { return }
    let commands = TaskCommand(cache: cache, pipeline: worker.pipeline, task: task)
    let prepared = try commands.prepare(items: bundle, run: attempt.run)
    let own = worker.newLog()
    let label = bundle.count == 1 ? bundle[0].key : "\(bundle[0].key)…"
    let ends = prepared.done.map { DoneFile(path: $0, items: bundle) }
    let tail = ends.map { ends in Tail { [self] in try settle(ends.newLines(), since: begun) } }
    let completion: Completion
    do {
      completion = try worker.run(prepared.command, of: spec.id, item: label, own, attempt)
    } catch let error as ExecutionError {
      try tail?.stop()
      return try settle(bundle.map { ItemEnd(item: $0, error: error.message, data: nil) }, since: begun)
    }
    try tail?.stop()
    if let ends { try settle(ends.newLines(isLast: true), since: begun) }
    keep(own, bundle)
    if completion.interruption != nil {
      state.withLock { $0.isInterrupted = true }
      return
    }
    if let problem = ends?.problem { worker.report(.warning("task '\(spec.id)': \(problem)")) }
    let left = ends?.unnamed ?? bundle
    guard !left.isEmpty else { return }
    let isGood = completion.exit.code == 0
    var why = isGood ? ends?.failure : Self.reason(completion, task, own)
    if isGood, task.isFunction { why = "its process ended without a word of it" }
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

  private func begin(_ bundle: [Item]) {
    let now = TaskCache.now()
    state.withLock { state in
      for item in bundle {
        state.tries[item.index, default: 0] += 1
        state.starts[item.index] = ItemProgress(
          event: SubtaskEvent(index: item.index, status: .running, time: now))
      }
    }
  }

  /// Removes what the items made before; those whose outputs cannot be had fail, and the others are returned.
  private func clearOutputs(of bundle: [Item], since begun: MonotonicTime) throws -> [Item] {
    guard !outputs.ofItems.isEmpty else { return bundle }
    var good: [Item] = []
    var bad: [ItemEnd] = []
    for item in bundle {
      do {
        // Not by a wildcard, which may match what another item made.
        let places = try outputs.exactPlaces(of: item)
        let found = try cache.scan(places: places, of: spec)
        try cache.restorer.clear(places, keeping: spec.keepsOutputs, found: found.manifest, for: attempt.run)
        good.append(item)
      } catch let error as StoreError where error.code == .leaseLost {
        throw error
      } catch {
        bad.append(ItemEnd(item: item, error: PurserError(wrapping: error).message, data: nil))
      }
    }
    try settle(bad, since: begun)
    return good
  }

  private static func reason(_ completion: Completion, _ task: PipelineTask, _ log: LogSpool) -> String {
    let line = log.tail(lines: 1, maxBytes: 200)
    let last = ByteString(bytes: line.last == UInt8(ascii: "\n") ? Array(line.dropLast()) : line).printable
    let code = TaskWorker.describe(completion, task)
    return last.isEmpty ? code : "\(code): \(last)"
  }

  /// Adds what a bundle printed to the task's log, and to the files that the task declares.
  private func keep(_ own: LogSpool, _ bundle: [Item]) {
    logLock.withLock { _ in log.spool.append(contentsOf: own) }
    guard task.log != nil else { return }
    for item in bundle {
      do {
        try worker.writeLog(own, of: task, values: outputs.values(of: item))
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
    // Before the outputs are looked at: what came after need not be known.
    let moved = ends.contains { $0.error == nil } ? try watch.check() : nil
    for end in ends {
      do {
        if end.error == nil, let moved { throw ItemFailure(message: "'\(moved)' changed while it ran") }
        progress.append(try outcome(of: end, duration))
        if let error = end.error { failures.append((end.item, error)) } else { successes.append(end) }
      } catch let error as StoreError {
        throw error
      } catch {
        let message = (error as? ItemFailure)?.message ?? PurserError(wrapping: error).message
        progress.append(failure(of: end.item, message))
        failures.append((end.item, message))
      }
    }
    let starts = state.withLock { state in ends.compactMap { state.starts.removeValue(forKey: $0.item.index) } }
    // Those that are not there are recorded by now, or about to be: an end must not come before its start.
    if starts.count < ends.count { startLock.withLock { _ in } }
    try cache.records.append(starts + progress, of: cache.key(spec.id), under: attempt.run)
    let counts = state.withLock { state in
      for end in successes {
        if state.ran.insert(end.item.index).inserted { state.counts.ran += 1 }
        if state.failed.removeValue(forKey: end.item.index) != nil { state.counts.failed -= 1 }
        if let data = end.data { state.data[end.item.index] = data }
      }
      for (item, error) in failures {
        if state.ran.remove(item.index) != nil { state.counts.ran -= 1 }
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
    let found = try cache.scan(places: outputs.places(of: end.item), of: spec)
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
    // What runs beside a change cannot be kept, however often it is tried.
    guard watch.moved == nil else { return [] }
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
    let outcome = try attempt.finish(
      .success, log: log.spool, data: data(), outputs: spec.outputs.isEmpty ? nil : places())
    let ending = worker.ending(of: outcome, spec, since: start, items: counts)
    if counts.ran == 0, counts.restored > 0, ending.isSuccess {
      return .restored(savedMicroseconds: state.withLock { $0.savedMicroseconds })
    }
    return ending
  }

  private func data() -> TaskData? {
    guard spec.keepsData else { return nil }
    let data = state.withLock { $0.data }
    return TaskData(isList: true, elements: items.map { data[$0.index] ?? "null" })
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

  /// What the task's manifest is made of: what each item made, and what they share.
  private func places() throws -> (places: [ByteString], patterns: [ByteString]) {
    var places = outputs.shared
    for item in items { places += try outputs.places(of: item) }
    // Where all belongs to items, the manifest itself says where to look: the patterns may match what others make.
    return (places, outputs.shared.isEmpty && !outputs.hasWildcards ? [] : places)
  }

  /// Removes what items of this task made on other storage keys, and are not in the list here. What another task made
  /// stays, though this one's patterns may match it.
  private func removeLeftovers() throws {
    guard !outputs.ofItems.isEmpty, !spec.keepsOutputs else { return }
    let patterns = outputs.ofItems.map { Template($0).path([:]) }
    let isExpected = outputs.reach(of: items)
    guard try cache.scan(places: patterns, of: spec).manifest.entries.contains(where: { !isExpected($0.path) }) else {
      return
    }
    let records = try cache.records.records(storageKey: nil, pipeline: cache.project.pipeline)
    try remove(records.filter { $0.key.task == spec.id }.flatMap { $0.result?.manifest.entries.map(\.path) ?? [] })
  }

  /// Removes those of these paths that no item of the list makes; their content is saved first, and named.
  private func remove(_ paths: [ByteString]) throws {
    let isExpected = outputs.reach(of: items)
    let gone = Set(paths).filter { !isExpected($0) && !outputs.isShared($0) }
    guard !gone.isEmpty else { return }
    let found = try cache.scan(places: gone.map(\.asLiteralPattern), of: spec)
    let folders = found.manifest.entries.filter { $0.kind == .directory && gone.contains($0.path) }.map(\.path)
    try cache.restorer.clear(folders, keeping: false, namesAll: true, found: found.manifest, for: attempt.run)
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
