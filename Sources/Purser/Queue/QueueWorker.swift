import Glibc
import PurserExecution
package import PurserModel
package import PurserStore
import Synchronization

/// What a worker tells, from any thread.
package enum WorkerEvent: Sendable {
  case warning(String)
  /// It is there, and looks for work.
  case began(worker: String)
  case claimed(QueuedWork)
  /// A line that a command printed.
  case line(work: Int64, task: String, stream: UInt8, text: [UInt8])
  case ended(QueuedWork, WorkEnding)
  /// It claims nothing more.
  case draining
}

/// Claims queued work and does it, several pieces at once, until it is told to stop.
///
/// One thread, the caller's, claims, renews the claims and gives back those of dead workers; the work is done on the
/// threads of a pool. The first SIGTERM, SIGINT or SIGHUP stops the claiming; a second one the work too, which is given
/// back.
package final class QueueWorker {
  /// What the user chose.
  package struct Options: Sendable {
    /// Pieces at once.
    package var slots = 1
    /// Ends once nothing is queued that could be claimed now or later, and nobody else is at work on any.
    package var endsWhenIdle = false
    /// Ends after so many pieces; `nil` for no end.
    package var limit: Int?

    package init() {}
  }

  private let project: Project
  private let environment: ProcessEnvironment
  private let records: any RecordStore
  private let lessor: Lessor
  private let options: Options
  private let report: @Sendable (WorkerEvent) -> Void
  private let pool: WorkerPool
  private let mailbox = Mailbox<Message>()
  private let id: String
  private let boot = Lessor.worker
  private let owner = ChildProcess.current

  private var caches: [TaskKey: TaskCache] = [:]
  private let known = KnownPipelines()
  private var underWay: [Int64: (claim: ClaimedWork, cancellation: Cancellation)] = [:]
  private var isDraining = false
  private var isStopping = false
  private var claimed = 0
  private var patience = QueueWorker.leastPatience
  private var nextRenewal = MonotonicTime.now()
  private var nextHeartbeat = MonotonicTime.now()

  /// How long it waits between two looks for work, in milliseconds.
  private static let leastPatience: Int32 = 10
  private static let mostPatience: Int32 = 250

  private enum Message: Sendable {
    case ended(ClaimedWork, WorkEnding)
    case warning(String)
  }

  package init(
    _ cache: TaskCache, _ options: Options, report: @escaping @Sendable (WorkerEvent) -> Void
  ) {
    project = cache.project
    environment = cache.environment
    records = cache.records
    lessor = cache.lessor
    self.options = options
    self.report = report
    pool = WorkerPool(count: options.slots)
    id = "\(Self.hostname)/\(owner.pid)/" + String(UInt32.random(in: 0...UInt32.max), radix: 16)
  }

  private static var hostname: String {
    var name = utsname()
    uname(&name)
    return withUnsafeBytes(of: &name.nodename) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  /// Works until it is told to stop; returns how many pieces failed, and the signal that ended it.
  ///
  /// - Throws: `unavailable`, `io` or `busy` for a store that cannot be written.
  package func run() throws(PurserError) -> (failed: Int, signal: Int32?) {
    let watch: InterruptionWatch
    do {
      watch = try InterruptionWatch()
    } catch {
      throw PurserError(.unavailable, "\(error)")
    }
    defer { watch.end() }
    do {
      try records.register(
        WorkerRecord(
          id: id, hostname: Self.hostname, boot: boot, pid: owner.pid, startTime: owner.startTime,
          slots: options.slots, registeredAt: TaskCache.now(), lastHeartbeat: TaskCache.now()))
      report(.began(worker: id))
      var failed = 0
      while true {
        try claim()
        if underWay.isEmpty, try isDone() { break }
        wait(watch)
        heed(watch)
        for message in mailbox.take() {
          switch message {
          case .warning(let text): report(.warning(text))
          case .ended(let claim, let ending):
            underWay[claim.token] = nil
            if case .failed = ending { failed += 1 }
            report(.ended(claim.work, ending))
            patience = Self.leastPatience
          }
        }
        try lookAround()
      }
      try records.heartbeat(id, .stopped, now: TaskCache.now())
      try records.sync(isLast: false)
      return (failed, watch.signal)
    } catch {
      for (_, cancellation) in underWay.values { cancellation.request() }
      throw PurserError(wrapping: error)
    }
  }

  /// Whether nothing is left to do.
  private func isDone() throws -> Bool {
    if isDraining || isStopping { return true }
    if let limit = options.limit, claimed >= limit { return true }
    guard options.endsWhenIdle else { return false }
    let open: [RunState] = [.pending, .submitted, .validating, .preparing, .building, .running, .cancelling]
    return try records.work(matching: WorkFilter(states: open, limit: 1)).isEmpty
  }

  private func claim() throws {
    guard !isDraining, !isStopping else { return }
    while underWay.count < options.slots, options.limit.map({ claimed < $0 }) ?? true {
      let request = ClaimRequest(
        worker: id, boot: boot, owner: LeaseProcess(pid: owner.pid, startTime: owner.startTime, processGroup: nil),
        now: TaskCache.now(), expiresAt: TaskCache.time(in: lessor.seconds))
      guard let claim = try records.claim(request) else { return patience = min(Self.mostPatience, patience * 2) }
      patience = Self.leastPatience
      claimed += 1
      let cancellation = Cancellation()
      underWay[claim.token] = (claim, cancellation)
      report(.claimed(claim.work))
      let cache = cache(for: claim.work.key, WorkConfiguration(claim.work.configuration)?.root)
      let (records, mailbox, report, known) = (records, mailbox, report, known)
      pool.submit {
        let ending = Self.carryOut(claim, cache, known, cancellation, report)
        do {
          try records.conclude(claim, ending, now: TaskCache.now())
        } catch {
          mailbox.post(.warning(PurserError(wrapping: error).message))
        }
        mailbox.post(.ended(claim, ending))
      }
    }
  }

  /// Where a piece of work is recorded. One for each storage key and pipeline: a cache holds the store open.
  private func cache(for key: TaskKey, _ root: ByteString?) -> TaskCache {
    let place = TaskKey(storageKey: key.storageKey, pipeline: key.pipeline, task: (root ?? project.root).escaped)
    if let known = caches[place] { return known }
    var project = project
    if let root { project.root = root }
    project.currentFolder = project.root
    project.storageKey = key.storageKey
    project.pipeline = key.pipeline
    let cache = TaskCache(project: project, environment: environment)
    caches[place] = cache
    return cache
  }

  // MARK: One piece

  /// Does a piece of work on the calling thread.
  private static func carryOut(
    _ claim: ClaimedWork, _ cache: TaskCache, _ known: KnownPipelines, _ cancellation: Cancellation,
    _ report: @escaping @Sendable (WorkerEvent) -> Void
  ) -> WorkEnding {
    let work = claim.work
    let start = MonotonicTime.now()
    do {
      guard let configuration = WorkConfiguration(work.configuration) else {
        throw PurserError(.refused, "what is queued cannot be read; queue it again")
      }
      guard FileKind.of(configuration.root) == .directory else {
        throw PurserError(.missing, "the project '\(configuration.root.printable)' is not here any more")
      }
      try cache.records.start(claim, now: TaskCache.now())
      let (pipeline, targets) = try configuration.pipeline(
        for: cache, timeout: work.timeoutMilliseconds.map { .milliseconds($0) }, known: known)
      var options = RunOptions(jobs: 1)
      options.queuedWork = work.id
      options.isShielded = true
      options.catchesSignals = false
      let summary = try GraphRun(
        Planner(cache: cache, pipeline: pipeline), options: options, cancellation: cancellation
      ) { event in
        switch event {
        case .line(let task, _, let stream, let text):
          report(.line(work: work.id, task: task, stream: stream, text: text))
        case .warning(let message): report(.warning(message))
        default: break
        }
      }.run(targets)
      // Cancelled where that was asked for; else somebody else is to do it.
      if summary.interruption != nil { return .givenBack }
      if let failure = summary.failure(of: pipeline) { return failed(failure.message, failure.exitCode, work) }
      if let failure = summary.storeFailure { throw failure }
      let word = summary.endings.compactMap(\.self).last?.word ?? "fresh"
      return .completed(
        result: JSON.object([
          ("outcome", .string(word)),
          ("durationMicroseconds", .integer(start.duration(to: MonotonicTime.now()).microseconds)),
        ]).serialized)
    } catch {
      let error = PurserError(wrapping: error)
      return failed(error.message, error.code.rawValue, work)
    }
  }

  private static func failed(_ message: String, _ exitCode: Int32, _ work: QueuedWork) -> WorkEnding {
    // 1 s, 2 s, 4 s … up to five minutes.
    let delay = min(300, Int64(1) << Int64(min(max(work.attempts - 1, 0), 9)))
    return .failed(
      error: JSON.object([("message", .string(message)), ("exitCode", .integer(Int64(exitCode)))]).serialized,
      retryAt: TaskCache.time(in: delay))
  }

  // MARK: Looking around

  private func heed(_ watch: InterruptionWatch) {
    guard watch.signal != nil else { return }
    if !isDraining {
      isDraining = true
      report(.draining)
      try? records.heartbeat(id, .draining, now: TaskCache.now())
    }
    if watch.count > 1, !isStopping {
      isStopping = true
      for (_, cancellation) in underWay.values { cancellation.request() }
    }
  }

  private func lookAround() throws {
    let now = MonotonicTime.now()
    if now >= nextRenewal {
      nextRenewal = now.advanced(by: .milliseconds(1000))
      try giveBackAbandoned()
      let claims = underWay.values.map(\.claim)
      let (cancelled, lost) = try records.renew(claims, until: TaskCache.time(in: lessor.seconds))
      for (claim, cancellation) in underWay.values where cancelled.union(lost).contains(claim.work.id) {
        cancellation.request()
      }
    }
    if now >= nextHeartbeat {
      nextHeartbeat = now.advanced(by: .seconds(5))
      try records.heartbeat(id, isDraining ? .draining : .active, now: TaskCache.now())
    }
  }

  /// What dead workers had claimed goes back to the queue, and they are said to be lost.
  private func giveBackAbandoned() throws {
    let abandoned = lessor.endLeftovers(try records.heldLeases()).filter { underWay[$0] == nil }
    guard !abandoned.isEmpty else { return }
    for work in try records.giveBack(abandoned, now: TaskCache.now()) {
      report(.warning("work \(work) is queued again, or has failed: its worker is gone"))
    }
    for worker in try records.workers() where worker.status == .active || worker.status == .draining {
      let isHere = worker.boot == boot
      guard isHere, !ChildProcess(pid: worker.pid, startTime: worker.startTime).isAlive else { continue }
      try records.heartbeat(worker.id, .lost, now: TaskCache.now())
    }
  }

  /// Until something is over, a signal comes, or it is time to look for work again.
  private func wait(_ watch: InterruptionWatch) {
    let isFull = isDraining || underWay.count >= options.slots
    var entries = [
      pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: watch.descriptor, events: Int16(POLLIN), revents: 0),
    ]
    poll(&entries, 2, isFull ? 1000 : patience)
    if entries[1].revents != 0 { watch.wait(milliseconds: 0) }
  }
}

extension RunSummary {
  /// What went wrong first.
  fileprivate func failure(of pipeline: Pipeline) -> (message: String, exitCode: Int32)? {
    for (place, ending) in endings.enumerated() {
      if case .failed(let why, let code, _)? = ending {
        return ("task '\(pipeline.tasks.name(place))' failed: \(why)", code)
      }
    }
    return nil
  }
}
