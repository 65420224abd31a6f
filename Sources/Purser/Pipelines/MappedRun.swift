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
  let total: Int
  let isSubset: Bool
  private let watch: InputWatch
  let outputs: ItemOutputs
  private let log: SharedLog
  let state: Mutex<State>
  private let logLock = Mutex(())
  private let startLock = Mutex(())

  /// Guard: `logLock`; alone in `conclude`, when no bundle runs any more.
  private struct SharedLog: @unchecked Sendable {
    let spool: LogSpool
  }

  struct State: @unchecked Sendable {
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
    /// Whether some of it stands only because a change was accepted here.
    var restsOnAcceptance = false
    /// What items took whose results were put back, or stood.
    var savedMicroseconds: Int64 = 0
  }

  init(
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
    log = SharedLog(spool: worker.newLog(of: attempt.run))
    state = Mutex(State())
  }

  var cache: TaskCache { worker.cache }
  var spec: TaskSpec { task.spec }

  // MARK: Run

  /// Whether what an item did is in its outputs, its data, or nowhere: then it need not be done again elsewhere. An
  /// output that belongs to no single item cannot be put back by items.
  var isRestorable: Bool {
    outputs.shared.isEmpty && (!outputs.ofItems.isEmpty || spec.keepsData || spec.isPure)
  }

  func outputHash(_ manifest: OutputManifest) -> String? {
    outputs.ofItems.isEmpty ? nil : manifest.digest.hex
  }

  /// Carries out a bundle. Failures of items are recorded; what is thrown stops the task.
  func run(_ bundle: [Item]) throws {
    guard !state.withLock({ $0.isInterrupted }), watch.moved == nil else { return }
    let begun = MonotonicTime.now()
    begin(bundle)
    let bundle = try clearOutputs(of: bundle, since: begun)
    guard !bundle.isEmpty else { return }
    if let closure = task.closure { return try WorkerPool.asOthers { try run(closure, bundle) } }
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
    var why = isGood ? ends?.failure : Self.reason(completion, own)
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

  /// How long ends of items that closures carry out may wait for others to be recorded with.
  private static let settlingInterval: Duration = .milliseconds(50)

  /// Carries a bundle out by a closure, item by item.
  private func run(_ closure: TaskClosure, _ bundle: [Item]) throws {
    var ends: [ItemEnd] = []
    var begun = MonotonicTime.now()
    for item in bundle {
      guard !worker.isStopped.load(ordering: .relaxed), watch.moved == nil else { break }
      let own = worker.newLog()
      do {
        ends.append(ItemEnd(item: item, error: nil, data: try worker.run(closure, of: task, item: item, own)))
      } catch {
        // One that was cancelled has not failed.
        if worker.isStopped.load(ordering: .relaxed) { break }
        ends.append(ItemEnd(item: item, error: PurserError.words(for: error), data: nil))
      }
      if !own.isEmpty { keep(own, [item]) }
      if begun.duration(to: MonotonicTime.now()) >= Self.settlingInterval {
        try settle(ends, since: begun)
        ends = []
        begun = MonotonicTime.now()
      }
    }
    try settle(ends, since: begun)
    if worker.isStopped.load(ordering: .relaxed) { interrupt() }
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
        try cache.restorer.clear(places, keeping: spec.keepsOutputs, found: found.manifest, for: attempt)
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

  private static func reason(_ completion: Completion, _ log: LogSpool) -> String {
    let line = log.tail(lines: 1, maxBytes: 200)
    let last = ByteString(bytes: line.last == UInt8(ascii: "\n") ? Array(line.dropLast()) : line).printable
    let code = TaskWorker.describe(completion)
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

  /// Something of it was not made from what the task is made from now, but accepted to stand for that: its result is
  /// nobody else's.
  func restOnAcceptance() {
    state.withLock { $0.restsOnAcceptance = true }
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
    let vouch = try state.withLock(\.restsOnAcceptance) ? attempt.vouchForItems() : nil
    let outcome = try attempt.finish(
      .success, log: log.spool, data: data(), outputs: spec.outputs.isEmpty ? nil : places(), vouch: vouch)
    let ending = worker.ending(of: outcome, spec, since: start, items: counts)
    if counts.ran == 0, counts.done > 0, ending.isSuccess {
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
      TaskData(isList: true, elements: items.map { JSON.string($0.key).serialized }), version: nil, of: key, .subset,
      now: TaskCache.now())
    let done = try cache.records.subtasks(of: key).count { $0.isDone }
    _ = try attempt.finish(.partial(done: max(1, done), total: total), log: log.spool)
    if counts.failed > 0 { return .failed(firstError ?? "items failed", exitCode: 1, items: counts) }
    return .ran(microseconds: start.duration(to: MonotonicTime.now()).microseconds, items: counts)
  }

  /// What the task's manifest is made of: what each item made, and what they share.
  func places() throws -> (places: [ByteString], patterns: [ByteString]) {
    var places = outputs.shared
    for item in items { places += try outputs.places(of: item) }
    // Where all belongs to items, the manifest itself says where to look: the patterns may match what others make.
    return (places, outputs.shared.isEmpty && !outputs.hasWildcards ? [] : places)
  }

  /// Removes what items of this task made on other storage keys, and are not in the list here. What another task made
  /// stays, though this one's patterns may match it.
  private func removeLeftovers() throws {
    guard !outputs.ofItems.isEmpty, !spec.keepsOutputs else { return }
    let patterns = outputs.ofItems.map(\.pattern)
    let isExpected = outputs.reach(of: items)
    guard try cache.scan(places: patterns, of: spec).manifest.entries.contains(where: { !isExpected($0.path) }) else {
      return
    }
    let records = try cache.records.records(storageKey: nil, pipeline: cache.project.pipeline)
    try remove(
      records.filter { $0.key.task == spec.id }.flatMap { $0.result?.manifest.entries.map(\.path) ?? [] },
      unless: isExpected)
  }

  /// Removes those of these paths that no item of the list makes; their content is saved first, and named.
  func remove(_ paths: [ByteString], unless isExpected: (ByteString) -> Bool) throws {
    let gone = Set(paths).filter { !isExpected($0) && !outputs.isShared($0) }
    guard !gone.isEmpty else { return }
    let found = try cache.scan(places: gone.map(\.asLiteralPattern), of: spec)
    let folders = found.manifest.entries.filter { $0.kind == .directory && gone.contains($0.path) }.map(\.path)
    try cache.restorer.clear(folders, keeping: false, namesAll: true, found: found.manifest, for: attempt)
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
