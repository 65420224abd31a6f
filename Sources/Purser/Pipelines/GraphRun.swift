import Glibc
package import PurserExecution
import PurserModel
import PurserStore
import Synchronization

/// What a whole run came to.
public struct RunSummary: Sendable {
  /// How each task ended, by place; `nil` for those that were not asked for.
  public var endings: [TaskEnding?]
  /// From start to end, in microseconds.
  public var microseconds: Int64
  /// The signal that stopped it.
  public var interruption: Int32?
  /// Why what was done is not recorded, or not for good.
  public var storeFailure: PurserError?

  /// 0; 1 if a task failed; 130 (128 and the signal) if the run was stopped; 69 or 74 if the store failed in the end.
  public var exitCode: Int32 {
    if let interruption { return 128 + interruption }
    return endings.contains { if case .failed? = $0 { true } else { false } } ? 1 : storeFailure?.code.rawValue ?? 0
  }
}

/// One run of a pipeline's graph.
///
/// One thread, the caller's, decides what goes next; the work is done on the threads of a pool, which tell it when they
/// are done. Ready tasks go by priority, then by the longest expected path behind them. A mapped task takes as many
/// places as it has bundles to run, up to its `group_size`.
package final class GraphRun {
  private let planner: Planner
  private let cache: TaskCache
  private let pipeline: Pipeline
  private let options: RunOptions
  private let report: @Sendable (RunEvent) -> Void
  private let worker: TaskWorker
  private let cancellation: Cancellation?
  private let pool: WorkerPool
  private let mailbox = Mailbox<Message>()

  private var plan = Plan(entries: [], expectedMicroseconds: 0, criticalPath: [])
  private var endings: [TaskEnding?] = []
  private var dependents = Dependents()
  /// How many of a task's dependencies are not over.
  private var waiting: [Int] = []
  /// Whether what dependents see of a task that is over is what they saw when they last ran.
  private var isUnchanged: [Bool] = []
  private var ready = ReadyQueue()
  private var mapped: [Int: MappedProgress] = [:]
  private var tries: [Int: Int] = [:]
  private var timesHeld: [Int: Int] = [:]
  /// How tasks that wait for another try ended last.
  private var lastEndings: [Int: TaskEnding] = [:]
  /// Tasks, or rounds of items, that are to be tried again, and when.
  private var delayed: [(at: MonotonicTime, place: Int)] = []
  private var running = 0
  private var isStopping = false
  /// While what is fresh by the plan is sorted out, in order: what that lets go is not ready yet.
  private var isPreparing = false
  private var interruption: Int32?
  private var nextFold = MonotonicTime.now()
  private let unsynced = Unsynced()
  private var syncing: RepeatingThread?
  private var hasRunAnything = false
  private var recorder: ExecutionRecorder?

  /// A mapped task under way.
  private struct MappedProgress {
    var run: MappedRun
    var bundles: ArraySlice<[Item]>
    var running = 0
    var error: (any Error)?
    var isConcluding = false
  }

  /// Whether tasks have ended that are not on the disk yet.
  private final class Unsynced: Sendable {
    let isSome = Atomic(false)
  }

  /// What a thread of the pool tells.
  private enum Message: Sendable {
    case ended(Int, TaskEnding)
    /// Another process is at the task.
    case held(Int)
    case began(Int, MappedRun, [[Item]])
    case bundle(Int, (any Error)?)
    case concluded(Int, TaskEnding)
  }

  /// - Parameters:
  ///   - planner: of the same cache and pipeline.
  ///   - cancellation: stops the run when it is requested, as a SIGTERM does.
  ///   - report: called from any thread.
  package init(
    _ planner: Planner, options: RunOptions, cancellation: Cancellation? = nil,
    report: @escaping @Sendable (RunEvent) -> Void
  ) {
    self.planner = planner
    cache = planner.cache
    pipeline = planner.pipeline
    self.options = options
    self.cancellation = cancellation
    self.report = report
    worker = TaskWorker(
      cache: cache, pipeline: pipeline, executor: LocalExecutor(), options: options, cancellation: cancellation,
      report: report)
    pool = WorkerPool(count: options.jobs + Places.mostAhead)
  }

  /// Runs the tasks that are asked for (all for an empty list) and what they depend on.
  ///
  /// - Throws: `missing` for a task that is not in the pipeline; `unavailable`, `io` or `busy` for a store that cannot be
  ///   read. A task that fails is no error of the run.
  package func run(_ targets: [String] = []) throws(PurserError) -> RunSummary {
    let start = MonotonicTime.now()
    plan = try planner.plan(targets, worker.decisionOptions)
    report(.planned(plan, pipeline))
    recorder = ExecutionRecorder(cache, pipeline, options, targets, plan)
    let watch: InterruptionWatch?
    do {
      watch = options.catchesSignals ? try InterruptionWatch() : nil
    } catch {
      throw PurserError(.unavailable, "\(error)")
    }
    defer { watch?.end() }
    // The ends of tasks share the cost of reaching the disk. None is acknowledged before: that is this run's own end.
    cache.commitsDurably.store(false, ordering: .relaxed)
    defer { cache.commitsDurably.store(true, ordering: .relaxed) }
    prepare()
    while true {
      startWhatCan()
      // While so many wait to be recorded, there are enough others for the places.
      cache.records.expect(writers: mapped.isEmpty ? (running - options.jobs) * 2 / 3 : 0)
      guard running > 0 || !delayed.isEmpty else { break }
      wait(watch)
      if let signal = watch?.signal ?? (cancellation?.isRequested == true ? SIGTERM : nil), interruption == nil {
        interrupt(signal)
      }
      for message in mailbox.take() { receive(message) }
      takeDelayed()
      fold()
      recorder?.takeTurn()
    }
    cache.records.expect(writers: 0)
    syncing?.stop()
    syncing = nil
    skipTheRest()
    var summary = RunSummary(endings: endings, microseconds: 0, interruption: interruption)
    recorder?.finish(exitCode: summary.exitCode, hasRunAnything: hasRunAnything)
    do throws(StoreError) {
      try cache.records.sync(isLast: true)
    } catch {
      summary.storeFailure = PurserError(error)
      report(.error(error.message))
    }
    cache.saveStatCache()
    planner.keep(plan) { place in
      if case .fresh? = endings[place] { true } else { false }
    }
    summary.microseconds = start.duration(to: MonotonicTime.now()).microseconds
    return summary
  }

  // MARK: What goes next

  private func prepare() {
    let tasks = pipeline.tasks
    endings = Array(repeating: nil, count: tasks.count)
    waiting = Array(repeating: 0, count: tasks.count)
    for place in tasks.indices where plan.entries[place] != nil { waiting[place] = tasks.dependencies(of: place).count }
    dependents = Dependents(tasks, plan)
    isUnchanged = Array(repeating: false, count: tasks.count)
    isPreparing = true
    defer { isPreparing = false }
    // What is fresh by the plan, and all of whose dependencies are, needs no second look: nothing ran meanwhile.
    for place in tasks.indices {
      guard plan.entries[place]?.isFresh == true, endings[place] == nil, waiting[place] == 0 else { continue }
      if options.subset != nil, tasks[place].spec.mapping != nil { continue }
      end(place, .fresh(savedMicroseconds: plan.entries[place]?.expectedMicroseconds ?? 0))
    }
    for place in tasks.indices where plan.entries[place] != nil && endings[place] == nil && waiting[place] == 0 {
      ready.add(self.place(place))
    }
  }

  private func place(_ place: Int) -> ReadyQueue.Entry {
    ReadyQueue.Entry(
      priority: pipeline.tasks[place].priority, path: plan.entries[place]?.pathMicroseconds ?? 0, place: place)
  }

  /// Bundles of items hold their places while they are recorded, and take part in no company: tasks are not made ready
  /// beside them.
  private var limit: Int { options.jobs + (mapped.isEmpty ? worker.places.ahead : 0) }

  private func startWhatCan() {
    while running < limit {
      let task = isStopping ? nil : ready.first
      let map = mapped.keys.filter(hasBundle).map(place).max()
      if let map, task.map({ $0 < map }) ?? true {
        startBundle(map.place)
      } else if !isStopping, let task = ready.takeFirst() {
        startTask(task.place)
      } else {
        return
      }
    }
  }

  private func hasBundle(_ place: Int) -> Bool {
    guard interruption == nil, let map = mapped[place], map.error == nil, !map.bundles.isEmpty, !map.isConcluding
    else { return false }
    return pipeline.tasks[place].processLimit.map { map.running < $0 } ?? true
  }

  private func startTask(_ place: Int) {
    running += 1
    let task = pipeline.tasks[place]
    tries[place, default: 0] += 1
    // While the task is under way already; that it is over is known only later.
    defer { recorder?.begins(place, endings: endings, report) }
    let (worker, mailbox) = (worker, mailbox)
    guard task.spec.mapping != nil else {
      pool.submit { mailbox.post(worker.carryOut(task).map { .ended(place, $0) } ?? .held(place)) }
      return
    }
    pool.submit {
      do throws(PurserError) {
        while true {
          switch try MappedRun.begin(task, worker) {
          case .ended(let ending): return mailbox.post(.ended(place, ending))
          case .bundles(let run, let bundles): return mailbox.post(.began(place, run, bundles))
          case .again(isHeld: true): return mailbox.post(.held(place))
          case .again(isHeld: false): continue
          }
        }
      } catch {
        mailbox.post(.ended(place, .failed(error.message, exitCode: error.code.rawValue, items: nil)))
      }
    }
  }

  private func startBundle(_ place: Int) {
    guard let run = mapped[place]?.run, let bundle = mapped[place]?.bundles.popFirst() else { return }
    mapped[place]?.running += 1
    running += 1
    let (mailbox, places) = (mailbox, worker.places)
    pool.submit {
      do {
        try places.hold { try run.run(bundle) }
        mailbox.post(.bundle(place, nil))
      } catch {
        mailbox.post(.bundle(place, error))
      }
    }
  }

  // MARK: What came of it

  private func receive(_ message: Message) {
    switch message {
    case .held(let place):
      // Looked at again in a while; its place is free for others, who may be the ones that are waited for elsewhere.
      running -= 1
      tries[place, default: 1] -= 1
      let count = timesHeld[place, default: 0]
      timesHeld[place] = count + 1
      delayed.append((MonotonicTime.now().advanced(by: .milliseconds(min(1000, 100 << min(count, 4)))), place))
    case .ended(let place, let ending):
      running -= 1
      syncSoon()
      if !retry(place, after: ending) { end(place, ending) }
    case .began(let place, let run, let bundles):
      running -= 1
      mapped[place] = MappedProgress(run: run, bundles: bundles[...])
      if interruption != nil { run.interrupt() }
      concludeIfDone(place)
    case .bundle(let place, let error):
      running -= 1
      mapped[place]?.running -= 1
      if let error, mapped[place]?.error == nil { mapped[place]?.error = error }
      concludeIfDone(place)
    case .concluded(let place, let ending):
      running -= 1
      syncSoon()
      mapped[place] = nil
      end(place, ending)
    }
  }

  /// Tries a failed task again, after a while, if it may be.
  private func retry(_ place: Int, after ending: TaskEnding) -> Bool {
    let task = pipeline.tasks[place]
    guard case .failed = ending, task.spec.mapping == nil, interruption == nil, !isStopping,
      let count = tries[place], count <= task.retries
    else { return false }
    lastEndings[place] = ending
    delay(place, try: count)
    return true
  }

  /// 1 s, 2 s, 4 s … up to half a minute.
  private func delay(_ place: Int, try count: Int) {
    let task = pipeline.tasks[place]
    let delay = Duration.seconds(min(30, 1 << min(count - 1, 5)))
    report(.retrying(task: task.spec.id, attempt: count + 1, of: task.retries + 1, delay: delay))
    delayed.append((MonotonicTime.now().advanced(by: delay), place))
  }

  private func takeDelayed() {
    let now = MonotonicTime.now()
    let mayTry = interruption == nil && !isStopping
    let due = delayed.filter { $0.at <= now || !mayTry }
    delayed.removeAll { $0.at <= now || !mayTry }
    for (_, place) in due {
      if let run = mapped[place]?.run {
        if mayTry { mapped[place]?.bundles = run.again()[...] }
        concludeIfDone(place, mayRetry: false)
      } else if mayTry {
        ready.add(self.place(place))
      } else if let ending = lastEndings[place] {
        end(place, ending)
      }
    }
  }

  private func concludeIfDone(_ place: Int, mayRetry: Bool = true) {
    guard let map = mapped[place], map.running == 0, !map.isConcluding,
      map.bundles.isEmpty || map.error != nil || interruption != nil
    else { return }
    if mayRetry, map.error == nil, interruption == nil, !isStopping, !map.run.again().isEmpty {
      return delay(place, try: map.run.tries)
    }
    running += 1
    mapped[place]?.isConcluding = true
    let (mailbox, run, failure) = (mailbox, map.run, map.error)
    pool.submit {
      do {
        if let failure { throw failure }
        mailbox.post(.concluded(place, try run.conclude()))
      } catch {
        let error = PurserError(wrapping: error)
        run.attempt.abandon(because: error.message)
        mailbox.post(.concluded(place, .failed(error.message, exitCode: error.code.rawValue, items: nil)))
      }
    }
  }

  /// Records that a task is over, and lets go what waited for it. What then is known to be fresh is over too, and so on
  /// through the graph.
  private func end(_ place: Int, _ ending: TaskEnding) {
    if case .fresh = ending {} else { hasRunAnything = true }
    var over = [(place: place, ending: ending, isCutOff: false)]
    var holding: Set<Int>?
    while let (place, ending, isCutOff) = over.popLast() {
      guard endings[place] == nil else { continue }
      endings[place] = ending
      recorder?.ends(place, ending)
      report(.ended(task: pipeline.tasks.name(place), ending))
      if ending.isSuccess, options.subset != nil, pipeline.tasks[place].spec.mapping != nil {
        skip(dependents[place], because: "only some items of '\(pipeline.tasks.name(place))' were run")
        continue
      }
      guard ending.isSuccess else {
        if !options.keepsGoing { isStopping = true }
        skip(dependents[place], because: "'\(pipeline.tasks.name(place))' did not succeed")
        continue
      }
      isUnchanged[place] = isCutOff || plan.entries[place]?.isFresh == true || isAsRecorded(place)
      // What ran may have touched more than it declares, and taken its time.
      if hasRunAnything, holding == nil { holding = stillFresh(behind: place) }
      for dependent in dependents[place] where endings[dependent] == nil {
        waiting[dependent] -= 1
        guard waiting[dependent] == 0 else { continue }
        if isFreshByNow(dependent), holding?.contains(dependent) ?? true {
          over.append((dependent, .fresh(savedMicroseconds: plan.entries[dependent]?.expectedMicroseconds ?? 0), true))
        } else if !isPreparing {
          ready.add(self.place(dependent))
        }
      }
    }
  }

  /// Early cutoff without a decision: all that it depends on came to what it was.
  private func isFreshByNow(_ place: Int) -> Bool {
    guard plan.entries[place]?.isFreshIfUpstreamSame == true, plan.entries[place]?.isFresh == false else {
      return false
    }
    return !options.isForced && (options.subset == nil || pipeline.tasks[place].spec.mapping == nil)
      && pipeline.tasks.dependencies(of: place).allSatisfy { isUnchanged[$0] }
  }

  /// Which tasks that early cutoff can come to from a task that is over are as they were planned: looked at together,
  /// since behind one change there may be most of the graph.
  private func stillFresh(behind place: Int) -> Set<Int> {
    var reached = [place]
    var next = 0
    while next < reached.count {
      for dependent in dependents[reached[next]] where endings[dependent] == nil {
        waiting[dependent] -= 1
        guard waiting[dependent] == 0, isFreshByNow(dependent) else { continue }
        isUnchanged[dependent] = true
        reached.append(dependent)
      }
      next += 1
    }
    // None of that has happened yet.
    for place in reached {
      for dependent in dependents[place] where endings[dependent] == nil { waiting[dependent] += 1 }
    }
    reached.removeFirst()
    for place in reached { isUnchanged[place] = false }
    return reached.isEmpty ? [] : Set(planner.stillUntouched(reached, plan))
  }

  /// Whether a task that ran, or was put back, came to what dependents saw of it before.
  private func isAsRecorded(_ place: Int) -> Bool {
    guard let recorded = plan.entries[place]?.recorded,
      let record = try? cache.records.records(for: [cache.key(pipeline.tasks.name(place))])[0],
      let result = record.result, record.status == .success
    else { return false }
    return result.outputsVersion == recorded.outputsVersion
      && record.outputDataVersion.map { ByteString($0) } == recorded.outputDataVersion
  }

  private func skip(_ places: some Sequence<Int>, because reason: String) {
    var pending = Array(places)
    while let place = pending.popLast() {
      guard endings[place] == nil else { continue }
      endings[place] = .skipped(because: reason)
      recorder?.ends(place, .skipped(because: reason))
      report(.ended(task: pipeline.tasks.name(place), .skipped(because: reason)))
      pending += dependents[place]
    }
  }

  private func skipTheRest() {
    let reason = interruption == nil ? "the run stopped at a failure" : "the run was stopped"
    skip(pipeline.tasks.indices.filter { plan.entries[$0] != nil && endings[$0] == nil }, because: reason)
  }

  // MARK: Signals and time

  private func interrupt(_ signal: Int32) {
    interruption = signal
    isStopping = true
    worker.isStopped.store(true, ordering: .relaxed)
    for map in mapped.values { map.run.interrupt() }
    for place in mapped.keys { concludeIfDone(place) }
  }

  /// Until a message, a signal, or the next thing that is due.
  private func wait(_ watch: InterruptionWatch?) {
    let due = delayed.map(\.at).min().map { $0.millisecondsFromNow } ?? 1000
    var entries = [
      pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: watch?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
      pollfd(
        fd: interruption == nil ? cancellation?.descriptor ?? -1 : -1, events: Int16(POLLIN), revents: 0),
    ]
    poll(&entries, 3, min(due, mapped.isEmpty ? 60_000 : 1000, recorder?.millisecondsLeft ?? .max))
    if entries[1].revents != 0 { watch?.wait(milliseconds: 0) }
  }

  /// A few times a second, for whoever pulls the plug meanwhile. On a thread of its own: the disk may take its time,
  /// and who decides what goes next must not wait for it.
  private func syncSoon() {
    unsynced.isSome.store(true, ordering: .relaxed)
    guard syncing == nil else { return }
    syncing = RepeatingThread(everyMilliseconds: 250) { [unsynced, records = cache.records] in
      guard unsynced.isSome.exchange(false, ordering: .relaxed) else { return }
      try? records.sync(isLast: false)
    }
  }

  /// Brings the bins of mapped tasks up to date once a second.
  private func fold() {
    let now = MonotonicTime.now()
    guard !mapped.isEmpty, now >= nextFold else { return }
    nextFold = now.advanced(by: .seconds(1))
    for map in mapped.values where map.running > 0 { map.run.fold() }
  }
}
