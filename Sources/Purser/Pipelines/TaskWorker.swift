import Glibc
import PurserExecution
import PurserHashing
import PurserModel
import PurserStore
import Synchronization

/// What the user chose for a whole run.
public struct RunOptions: Sendable {
  /// Tasks at once.
  public var jobs: Int
  /// Go on with what does not depend on a failure.
  public var keepsGoing = false
  /// Run whatever is recorded.
  public var isForced = false
  /// Never put a result back.
  public var mayRestore = true
  /// Only these items of mapped tasks, by key; `nil` for all.
  public var subset: [String]?
  /// Whether a mapped task that did not come to its end goes on where it was; else it begins with its first item.
  public var resumes = true
  /// Whether snapshots of the branch are taken: at the run's end, if it did anything, unless that would take more than a
  /// twentieth of the run's time and no interval is given.
  public var takesSnapshots = true
  /// How long after the start, and after each snapshot, the next one is taken; `nil` for at the end only.
  public var snapshotInterval: Duration?
  /// The graph that the user chose, to be chosen again by who goes on with the run.
  package var graph: String?
  /// The queued work that this is for.
  var queuedWork: Int64?
  /// Whether commands do not get the signals that this process gets: somebody else decides what they mean.
  var isShielded = false
  /// Whether SIGINT, SIGTERM and SIGHUP stop the run, instead of having their usual effect on the program.
  public var catchesSignals = true
  /// Whether orphans of commands are adopted, to be ended with them: in a process that has no other children.
  package var adoptsOrphans = true

  /// Options; as many tasks at once as there are processors where nothing is said.
  public init(jobs: Int? = nil) { self.jobs = max(1, jobs ?? sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}

/// Carries out single tasks of a pipeline, each on the thread that asks.
final class TaskWorker: Sendable {
  let cache: TaskCache
  let pipeline: Pipeline
  let executor: LocalExecutor
  let options: RunOptions
  let cancellation: Cancellation?
  let report: @Sendable (RunEvent) -> Void
  let places: Places
  /// Set once the run is told to stop: nobody waits for others any more.
  let isStopped = Atomic(false)
  /// The runs of other processes that tasks wait for, or have waited for.
  private let joined = Mutex<[String: JoinedTask]>([:])

  init(
    cache: TaskCache, pipeline: Pipeline, executor: LocalExecutor, options: RunOptions, cancellation: Cancellation?,
    report: @escaping @Sendable (RunEvent) -> Void
  ) {
    self.cache = cache
    self.pipeline = pipeline
    self.executor = executor
    self.options = options
    self.cancellation = cancellation
    self.report = report
    places = Places(count: options.jobs)
  }

  /// Decides about a task and does what is needed.
  ///
  /// - Returns: `nil` if another process is at it: a place must not be held while that is waited for.
  func carryOut(_ task: PipelineTask) -> TaskEnding? {
    do {
      return try unlessHeld(task.spec) { isHeld throws(PurserError) in try decideAndDo(task, isHeld) }
    } catch {
      if isStopped.load(ordering: .relaxed) { return .interrupted }
      let error = PurserError(wrapping: error)
      return .failed(error.message, exitCode: error.code.rawValue, items: nil)
    }
  }

  var decisionOptions: DecisionOptions {
    var decision = DecisionOptions()
    decision.isForced = options.isForced
    decision.mayRestore = options.mayRestore
    return decision
  }

  /// Calls a closure that takes a lease; `nil` if it gave up because another process holds it.
  func unlessHeld<Result>(
    _ spec: TaskSpec, _ body: ((Lessor.Holder) -> Void) throws(PurserError) -> Result
  ) throws(PurserError) -> Result? {
    let isHeld = Atomic(false)
    do throws(PurserError) {
      return try body { holder in
        isHeld.store(true, ordering: .relaxed)
        follow(holder, of: spec.id)
      }
    } catch {
      guard error.code == .busy, isHeld.load(ordering: .relaxed) else { throw error }
      return nil
    }
  }

  private func follow(_ holder: Lessor.Holder, of task: String) {
    let known = joinedTask(task)
    let current: JoinedTask
    if let known, known.holder.token == holder.token {
      current = known
    } else {
      current = JoinedTask(holder, of: cache.project) { [report] stream, line in
        report(.line(task: task, item: nil, stream: stream, text: line))
      }
      joined.withLock { $0[task] = current }
      if known?.holder.pid != holder.pid {
        report(.waiting(task: task, pid: holder.pid, since: holder.since, isJoined: holder.run != nil))
      }
    }
    current.follow()
  }

  private func joinedTask(_ task: String) -> JoinedTask? { joined.withLock { $0[task] } }

  /// The end of a task whose run by another process was joined: the rest of what that printed is shown.
  private func finishJoined(_ task: String, log: Digest?) {
    guard let joined = joined.withLock({ $0.removeValue(forKey: task) }) else { return }
    do {
      if let log { try cache.contents.withLog(log) { try joined.finish($0) } }
    } catch {
      report(.warning("what process \(joined.holder.pid) printed is not shown in whole: \(error)"))
    }
  }

  private func decideAndDo(
    _ task: PipelineTask, _ whileHeld: (Lessor.Holder) -> Void
  ) throws(PurserError) -> TaskEnding {
    let spec = task.spec
    var decision = decisionOptions
    while true {
      let assessment = try cache.assess(spec, decision)
      switch assessment.decision {
      case .fresh(let record):
        if let result = record.result, joinedTask(spec.id)?.holder.made(result) == true {
          finishJoined(spec.id, log: result.log)
        }
        return .fresh(savedMicroseconds: record.result?.durationMicroseconds ?? 0)
      case .restore(let result, _):
        do throws(PurserError) {
          guard
            try cache.restore(
              result, spec, assessment, for: options.queuedWork, isStopped: { true }, whileHeld: whileHeld)
          else {
            continue
          }
          return .restored(savedMicroseconds: result.durationMicroseconds)
        } catch {
          guard error.isAboutTheCache else { throw error }
          report(.warning("\(error.message); '\(spec.id)' is not restored"))
          decision.mayRestore = false
        }
      case .run(let reasons):
        try refusePending(reasons, spec)
        // Queued work is counted by its own attempts.
        if !options.isForced, options.queuedWork == nil, let joined = joinedTask(spec.id),
          let run = try joined.holder.failure(
            of: cache.key(spec.id), doing: assessment.survey.fingerprint.actionKey, in: cache)
        {
          finishJoined(spec.id, log: run.log)
          return .failed(
            "process \(joined.holder.pid), which was joined, failed at it: exit code \(run.failureCode)",
            exitCode: run.failureCode, items: nil)
        }
        try Declarations(project: cache.project).checkPlaces(spec, key: cache.key(spec.id), records: cache.records)
        guard
          let attempt = try cache.open(
            spec, assessment, kind: "run", for: options.queuedWork, isStopped: { true }, whileHeld: whileHeld)
        else { continue }
        do throws(PurserError) {
          try attempt.clearOutputs()
        } catch {
          attempt.abandon(because: error.message)
          throw error
        }
        for warning in assessment.survey.warnings { report(.warning(warning)) }
        return execute(task, attempt, because: reasons)
      }
    }
  }

  func refusePending(_ reasons: [Reason], _ spec: TaskSpec) throws(PurserError) {
    for case .upstreamPending(let tasks) in reasons {
      throw PurserError(
        .missing, "task '\(spec.id)' comes after '\(tasks[0])', which has no standing result; run '\(tasks[0])' first")
    }
  }

  /// Where a command's log is collected; of a whole run's, where others may follow it.
  func newLog(of run: OpenRun? = nil) -> LogSpool {
    let folder = cache.project.store.appending(path: "tmp")
    _ = folder.withCString { mkdir($0, 0o700) }
    return LogSpool(directory: folder, run: run?.id)
  }

  private func execute(_ task: PipelineTask, _ attempt: Attempt, because reasons: [Reason]) -> TaskEnding {
    let spec = task.spec
    let log = newLog(of: attempt.run)
    var start = MonotonicTime.now()
    do {
      if let closure = task.closure {
        return try places.hold {
          report(.started(task: spec.id, reasons: reasons))
          return try WorkerPool.asOthers { try execute(closure, task, attempt, log) }
        }
      }
      let commands = TaskCommand(cache: cache, pipeline: pipeline, task: task)
      let prepared = try commands.prepare(items: nil, run: attempt.run)
      let place = Places.Place(of: places)
      let completion: Completion
      do {
        completion = try run(
          prepared.command, of: spec.id, item: nil, log, attempt,
          ready: {
            place.take()
            // The run may have been told to stop while this waited.
            if isStopped.load(ordering: .relaxed) { throw Stopped() }
            attempt.restart()
            start = MonotonicTime.now()
            report(.started(task: spec.id, reasons: reasons))
          }, ended: { place.giveBack() })
      } catch is Stopped {
        place.giveBack()
        try attempt.finish(.cancelled(exitCode: nil))
        return .interrupted
      }
      try writeLog(log, of: task, values: [:])
      if completion.interruption != nil {
        _ = try attempt.finish(.cancelled(exitCode: completion.exit.code), log: log)
        return .interrupted
      }
      let trace = completion.trace
      let refused = trace?.refused.first
      let code = completion.exit.code == 0 && refused != nil ? 126 : completion.exit.code
      guard code == 0 else {
        let outcome = try attempt.finish(.failure(exitCode: code), log: log, trace: trace)
        for warning in outcome.warnings { report(.warning(warning)) }
        return .failed(refused?.refusal(of: spec) ?? Self.describe(completion), exitCode: code, items: nil)
      }
      let data: TaskData?
      do {
        data = try commands.data(from: prepared.result)
      } catch {
        let error = PurserError(wrapping: error)
        _ = try attempt.finish(.failure(exitCode: 1), log: log)
        return .failed(error.message, exitCode: 1, items: nil)
      }
      let outcome = try attempt.finish(.success, log: log, data: data, trace: trace)
      return ending(of: outcome, spec, since: start, items: nil)
    } catch let error as ExecutionError {
      _ = try? attempt.finish(.failure(exitCode: error.exitCode), log: log)
      return .failed(error.message, exitCode: error.exitCode, items: nil)
    } catch {
      let error = PurserError(wrapping: error)
      attempt.abandon(because: error.message)
      return .failed(error.message, exitCode: error.code.rawValue, items: nil)
    }
  }

  /// A task that a closure of this program carries out.
  private func execute(
    _ closure: TaskClosure, _ task: PipelineTask, _ attempt: Attempt, _ log: LogSpool
  ) throws -> TaskEnding {
    let start = MonotonicTime.now()
    var failure: (any Error)?
    var data: TaskData?
    do {
      if let text = try run(closure, of: task, item: nil, log) { data = try TaskData(parsing: text.utf8) }
    } catch {
      failure = error
    }
    try writeLog(log, of: task, values: [:])
    guard let failure else {
      return ending(of: try attempt.finish(.success, log: log, data: data), task.spec, since: start, items: nil)
    }
    if isStopped.load(ordering: .relaxed) {
      _ = try attempt.finish(.cancelled(exitCode: nil), log: log)
      return .interrupted
    }
    _ = try attempt.finish(.failure(exitCode: 1), log: log)
    return .failed(PurserError.words(for: failure), exitCode: 1, items: nil)
  }

  /// Runs a closure, for an item or for the whole task; what it prints, and why it failed, goes to `log`.
  func run(_ closure: TaskClosure, of task: PipelineTask, item: Item?, _ log: LogSpool) throws -> String? {
    let id = task.spec.id
    let lines = PrintedLines(log)
    let context = TaskContext(
      task: id, item: item?.key, project: cache.project, cache: cache, upstream: task.spec.upstream
    ) { [report] text in
      lines.add(text, stream: 1)
      report(.line(task: id, item: item?.key, stream: 1, text: Array(text.utf8)))
    }
    do {
      return try closure.run(context, item: item?.element) { isStopped.load(ordering: .relaxed) }
    } catch {
      lines.add(PurserError.words(for: error), stream: 2)
      throw error
    }
  }

  /// What came of storing a success.
  func ending(
    of outcome: Attempt.Report, _ spec: TaskSpec, since start: MonotonicTime, items: ItemCounts?
  ) -> TaskEnding {
    for warning in outcome.warnings { report(.warning(warning)) }
    if let missing = outcome.missingOutputs.first {
      return .failed(
        "it succeeded but did not make its output '\(missing.printable)'; make the command write it, or remove it from "
          + "'outputs'", exitCode: 1, items: items)
    }
    guard outcome.isStored else { return .failed("it ran, but its result is not stored", exitCode: 1, items: items) }
    if let mark = outcome.invalidation { return .failed("it \(mark.meanwhile)", exitCode: 1, items: items) }
    return .ran(microseconds: start.duration(to: MonotonicTime.now()).microseconds, items: items)
  }

  /// The run was told to stop before a command was started.
  private struct Stopped: Error {}

  /// Runs a command with its output delivered by lines.
  func run(
    _ command: Command, of task: String, item: String?, _ log: LogSpool, _ attempt: Attempt,
    ready: () throws -> Void = {}, ended: () -> Void = {}
  ) throws -> Completion {
    var command = command
    command.cancellation = cancellation
    command.isShielded = options.isShielded
    command.adoptsOrphans = options.adoptsOrphans
    return try executor.run(
      command, capture: log,
      output: .lines { [report] stream, line in report(.line(task: task, item: item, stream: stream, text: line)) },
      ready: ready,
      started: { _ in
        // It is not noted, as for a single step: what is left of a dead run is found by what it has in its environment.
        // But who was frozen since the lease was taken may have lost it, and must not begin.
        try attempt.confirm()
      }, ended: ended)
  }

  static func describe(_ completion: Completion) -> String {
    switch completion.exit {
    case .timedOut: "it ran longer than its time limit and was stopped"
    case .exited(let code): "exit code \(code)"
    case .signalled(let number): "killed by signal \(number)"
    }
  }

  /// Writes what was printed to the file that the task declares, if it does.
  func writeLog(_ log: LogSpool, of task: PipelineTask, values: [String: ByteString]) throws {
    guard let path = task.log else { return }
    let template = Template(path)
    let name = template.replacing(values)
    let declared = task.spec.code + task.spec.inputs + task.spec.outputs
    let isPlain =
      name.normalizedPath == name && !name.isAbsolutePath && !name.hasPrefix("../") && !name.isEmpty
      && (values.isEmpty || (try? Glob(template.path([:])))?.matches(name) == true)
    guard isPlain, !declared.contains(name), !cache.project.location(of: name).isWithin(cache.project.store) else {
      throw PurserError(
        .refused,
        "the log '\(name.printable)' of task '\(task.spec.id)' is not written: it is outside of its place, or something that "
          + "the task declares; a value in 'logs' must not be empty, begin with a dot or hold a '/'")
    }
    let files = try ProjectFiles(root: cache.project.root)
    let entry = OutputManifest.Entry(path: name, kind: .file, mode: 0o644, digest: SHA256.digest(of: []), size: 0)
    try files.place(entry) { descriptor throws(StoreError) in
      do {
        try log.withContents { try LogReplay.replay($0, standardOutput: descriptor, standardError: descriptor) }
      } catch {
        throw StoreError(.io, "the log '\(name.printable)' cannot be written: \(error)")
      }
    } linkTarget: {
      ""
    }
  }
}

/// A run of another process that a task of this one waits for, shown by lines.
private final class JoinedTask: Sendable {
  let holder: Lessor.Holder
  private let lines: Mutex<Lines>

  private struct Lines {
    let follower: LogFollower?
    var first: LineSplitter
    var second: LineSplitter

    mutating func add(_ bytes: UnsafeRawBufferPointer, of stream: UInt8) {
      if stream == 1 { first.add(bytes) } else { second.add(bytes) }
    }
  }

  init(_ holder: Lessor.Holder, of project: Project, deliver: @escaping @Sendable (UInt8, [UInt8]) -> Void) {
    self.holder = holder
    lines = Mutex(
      Lines(
        follower: holder.follower(in: project), first: LineSplitter(stream: 1, deliver: deliver),
        second: LineSplitter(stream: 2, deliver: deliver)))
  }

  func follow() {
    lines.withLock { lines in lines.follower?.follow { stream, bytes in lines.add(bytes, of: stream) } }
  }

  func finish(_ log: LogContents) throws {
    try lines.withLock { lines in
      try lines.follower?.finish(log) { stream, bytes in lines.add(bytes, of: stream) }
      lines.first.finish()
      lines.second.finish()
    }
  }
}

/// Lines that come from any thread, on their way into a log.
private final class PrintedLines: @unchecked Sendable {
  // Guard: `lock`.
  private let log: LogSpool
  private let lock = Mutex(())

  init(_ log: LogSpool) {
    self.log = log
  }

  func add(_ text: String, stream: UInt8) {
    lock.withLock { _ in
      Array((text + "\n").utf8).withUnsafeBytes { try? log.append(stream: stream, $0) }
    }
  }
}

extension Duration {
  /// Whole microseconds.
  var microseconds: Int64 {
    components.seconds &* 1_000_000 &+ components.attoseconds / 1_000_000_000_000
  }
}
