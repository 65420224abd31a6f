import Glibc
package import PurserExecution
import PurserHashing
package import PurserModel
import PurserStore

/// Runs one command through the cache: replays it, restores it, or runs and records it. The engine of `purser exec`.
package struct StepRunner {
  let cache: TaskCache
  let executor: any Executor
  let report: (StepEvent) -> Void

  package init(cache: TaskCache, executor: any Executor, report: @escaping (StepEvent) -> Void) {
    self.cache = cache
    self.executor = executor
    self.report = report
  }

  /// What the user chose for this one run.
  package struct Options: Sendable {
    package var isForced = false
    package var mayRestore = true
    package var requiresCache = false
    package var touchesOutputs = false
    package var timeout: Duration?
    /// An open, seekable file that is the command's standard input, and its digest.
    package var standardInput: (descriptor: Int32, digest: Digest)?

    package init() {}
  }

  /// Carries the step out and returns the exit code for the user.
  ///
  /// - Throws: `usage`, `refused` or `missing` for a declaration that cannot be used, and the command is then not run.
  ///   Whatever else fails, the command runs uncached, unless the cache is required.
  package func run(_ declared: TaskSpec, _ options: Options) throws(PurserError) -> Int32 {
    let spec = try Declarations(project: cache.project).admit(declared)
    do throws(PurserError) {
      return try runCached(spec, options)
    } catch {
      guard error.isAboutTheCache, !options.requiresCache else { throw error }
      report(.warning("\(error.message); '\(spec.id)' runs uncached"))
      return runUncached(spec, options)
    }
  }

  private func runCached(_ spec: TaskSpec, _ options: Options) throws(PurserError) -> Int32 {
    var decisionOptions = DecisionOptions()
    decisionOptions.isForced = options.isForced
    decisionOptions.mayRestore = options.mayRestore
    decisionOptions.standardInput = options.standardInput?.digest
    var hasFoundDamage = false
    var joined: Joined?
    var isFirst = true
    while true {
      let known = try isFirst ? lookUp(spec) : nil
      isFirst = false
      let assessment = try cache.assess(spec, decisionOptions, known: known?.records)
      let whileHeld = { (holder: Lessor.Holder) in follow(holder, of: spec, &joined) }
      switch assessment.decision {
      case .fresh(let record):
        cache.saveStatCache()
        guard let result = record.result else { continue }
        let event = StepEvent.fresh(task: spec.id, savedMicroseconds: result.durationMicroseconds)
        if let code = try deliver(result, of: spec, options, event, joined, known) { return code }
        giveUp(&decisionOptions, &hasFoundDamage)
      case .restore(let result, let reasons):
        do throws(PurserError) {
          guard try cache.restore(result, spec, assessment, whileHeld: whileHeld) else { continue }
        } catch {
          guard error.isAboutTheCache else { throw error }
          report(.warning("\(error.message); '\(spec.id)' is not restored"))
          decisionOptions.mayRestore = false
          continue
        }
        cache.saveStatCache()
        let event = StepEvent.restored(
          task: spec.id, reasons: reasons, savedMicroseconds: result.durationMicroseconds)
        if let code = try deliver(result, of: spec, options, event, joined) { return code }
        giveUp(&decisionOptions, &hasFoundDamage)
      case .run(let reasons):
        for case .upstreamPending(let tasks) in reasons {
          throw PurserError(
            .missing,
            "task '\(spec.id)' comes after '\(tasks[0])', which has no standing result under storage key "
              + "'\(cache.project.storageKey)'; run '\(tasks[0])' first")
        }
        if let code = try fail(with: joined, spec, assessment, options) { return code }
        try Declarations(project: cache.project).checkPlaces(spec, key: cache.key(spec.id), records: cache.records)
        guard let attempt = try cache.open(spec, assessment, kind: "run", whileHeld: whileHeld) else { continue }
        do throws(PurserError) {
          try attempt.clearOutputs()
        } catch {
          attempt.abandon(because: error.message)
          throw error
        }
        for warning in assessment.survey.warnings { report(.warning(warning)) }
        report(.running(task: spec.id, reasons: reasons))
        return execute(spec, options, attempt)
      }
    }
  }

  // MARK: Keeping hits

  /// What is known of a step before it is decided about.
  private struct Known {
    var place: KeptHit.Place
    var mark: StoreMark
    var records: [TaskRecord?]
    /// Where the records are from, if not from the store.
    var kept: KeptHit?
  }

  /// The step's records as they were kept, else as the store has them; `nil` where nothing can be kept now.
  private func lookUp(_ spec: TaskSpec) throws(PurserError) -> Known? {
    guard let mark = cache.records.mark() else { return nil }
    let place = KeptHit.Place(spec, in: cache.project)
    do {
      try StoreFolder.check(cache.project.store)
      if let kept = KeptHit(at: place, mark: mark) {
        return Known(place: place, mark: mark, records: kept.records, kept: kept)
      }
      return Known(place: place, mark: mark, records: try cache.records(of: spec), kept: nil)
    } catch {
      throw PurserError(error)
    }
  }

  /// Keeps what made a step fresh, if nobody has written to the store since it was looked up.
  private func keep(_ known: Known, log: (blob: StoredBlob, content: [UInt8])?) {
    guard cache.records.mark() == known.mark else { return }
    KeptHit(mark: known.mark, records: known.records, log: log).save(at: known.place)
  }

  // MARK: Joining

  private typealias Joined = (holder: Lessor.Holder, follower: LogFollower?)

  private func follow(_ holder: Lessor.Holder, of spec: TaskSpec, _ joined: inout Joined?) {
    if joined?.holder.token != holder.token {
      if joined?.holder.pid != holder.pid {
        report(.waiting(task: spec.id, pid: holder.pid, since: holder.since, isJoined: holder.run != nil))
      }
      joined = (holder, holder.follower(in: cache.project))
    }
    joined?.follower?.follow(show)
  }

  private func show(_ stream: UInt8, _ bytes: UnsafeRawBufferPointer) throws {
    try LogReplay.write(bytes, to: stream == 1 ? 1 : 2)
  }

  /// The exit code of the run that was joined, if that failed at what is to be done now; what was not seen of its log
  /// is shown.
  private func fail(
    with joined: Joined?, _ spec: TaskSpec, _ assessment: Assessment, _ options: Options
  ) throws(PurserError) -> Int32? {
    guard let joined, !options.isForced,
      let run = try joined.holder.failure(
        of: cache.key(spec.id), doing: assessment.survey.fingerprint.actionKey, in: cache)
    else { return nil }
    do {
      if let log = run.log { try cache.contents.withLog(log) { try joined.follower?.finish($0, show) } }
    } catch {
      report(.warning("what process \(joined.holder.pid) printed is not shown in whole: \(error)"))
    }
    report(.joined(task: spec.id, pid: joined.holder.pid, exitCode: run.failureCode, microseconds: nil))
    return run.failureCode
  }

  /// Prints what the recorded run printed, and returns the exit code; `nil` if that is damaged, and forgotten where that
  /// was possible: the decision has to be made again.
  private func deliver(
    _ result: ActionResult, of spec: TaskSpec, _ options: Options, _ event: StepEvent, _ joined: Joined?,
    _ known: Known? = nil
  ) throws(PurserError) -> Int32? {
    let joined = joined.flatMap { $0.holder.made(result) ? $0 : nil }
    do {
      var stored = known?.kept?.log
      if let log = result.log {
        if let known, known.kept == nil { stored = try cache.records.inlineContent(log) }
        try cache.contents.withLog(log, known: stored) { log in
          if let joined { try joined.follower?.finish(log, show) } else { try LogReplay.replay(log) }
        }
      }
      if let known, known.kept == nil { keep(known, log: stored) }
    } catch let error as StoreError where error.code == .corrupt {
      report(.warning(error.message))
      return nil
    } catch let error as LogFormatError {
      report(.warning("\(error)"))
      return nil
    } catch let error as StoreError {
      throw PurserError(error)
    } catch {
      // It cannot be written to this process's own output. That is no reason to do the work once more.
      report(.error("\(error)"))
      return PurserError.Code.io.rawValue
    }
    if let joined {
      let time = result.durationMicroseconds
      report(.joined(task: spec.id, pid: joined.holder.pid, exitCode: 0, microseconds: time))
    } else {
      report(event)
    }
    if options.touchesOutputs { touch(spec) }
    return 0
  }

  /// The next decision is made without what is damaged; should it come to the same again, the step runs.
  private func giveUp(_ options: inout DecisionOptions, _ hasFoundDamage: inout Bool) {
    if hasFoundDamage { options.isForced = true }
    hasFoundDamage = true
  }

  private func touch(_ spec: TaskSpec) {
    guard let files = try? ProjectFiles(root: cache.project.root), let found = try? cache.scan(spec) else { return }
    for entry in found.manifest.entries where entry.kind == .file { files.touch(entry.path) }
  }

  // MARK: Running

  private func command(_ spec: TaskSpec, _ options: Options) -> Command {
    var command = Command(
      argv: spec.command, environment: cache.environment.entries,
      workingDirectory: cache.project.location(of: spec.workingDirectory),
      standardInput: options.standardInput?.descriptor, timeout: options.timeout)
    if spec.isTraced { command.tracedRoot = cache.project.root }
    return command
  }

  /// Runs the command and records how it ended. From here on, nothing that the cache does changes the exit code.
  private func execute(_ spec: TaskSpec, _ options: Options, _ attempt: Attempt) -> Int32 {
    let folder = cache.project.store.appending(path: "tmp")
    _ = folder.withCString { mkdir($0, 0o700) }
    let log = LogSpool(directory: folder, run: attempt.run.id)
    var ending: Attempt.Ending
    var exitCode: Int32
    var trace: Trace?
    do {
      let completion = try executor.run(
        command(spec, options), capture: log, passThrough: true,
        started: { child in
          let process = LeaseProcess(
            pid: child.pid, startTime: child.startTime, processGroup: child.processGroup)
          do {
            try cache.records.noteChild(process, of: attempt.run)
          } catch let error as StoreError where error.code == .leaseLost {
            throw error
          } catch {
            // Not noted, a takeover could not end it; the run itself is no worse for that.
          }
        })
      exitCode = exitStatus(of: completion)
      if completion.interruption != nil {
        ending = .cancelled(exitCode: exitCode)
      } else {
        // What was printed is captured, even if it could not be passed on: the work is done.
        let code = completion.exit.code
        ending = code == 0 ? .success : .failure(exitCode: code)
      }
      trace = completion.trace
      if let refused = trace?.refused.first {
        report(.error(refused.refusal(of: spec)))
        exitCode = exitCode == 0 ? 126 : exitCode
        if case .success = ending { ending = .failure(exitCode: exitCode) }
      }
      if case .timedOut = completion.exit {
        report(.warning("task '\(spec.id)' ran longer than its time limit and was stopped"))
      }
    } catch let error as ExecutionError {
      report(.error(error.message))
      exitCode = error.exitCode
      ending = .failure(exitCode: exitCode)
    } catch {
      report(.error("\(error)"))
      exitCode = PurserError.Code.bug.rawValue
      ending = .cancelled(exitCode: nil)
    }
    do throws(PurserError) {
      let outcome = try attempt.finish(ending, log: log, trace: trace)
      for warning in outcome.warnings { report(.warning(warning)) }
      if let mark = outcome.invalidation {
        report(.warning("task '\(spec.id)' \(mark.meanwhile)"))
      }
      if let missing = outcome.missingOutputs.first {
        report(
          .error(
            "task '\(spec.id)' succeeded but did not make its output '\(missing.printable)'; nothing is stored: make "
              + "the command write it, or remove --output \(missing.printable)"))
        exitCode = 1
      }
    } catch {
      report(.warning("\(error.message); the result of '\(spec.id)' is not stored"))
      if options.requiresCache, exitCode == 0 { exitCode = error.code.rawValue }
    }
    cache.saveStatCache()
    report(.finished(task: spec.id, exitCode: exitCode))
    return exitCode
  }

  /// The command's own, but never 0 where what it printed did not arrive: it would not have been 0 without us either.
  private func exitStatus(of completion: Completion) -> Int32 {
    if let number = completion.outputFailure {
      report(.error("what the command printed cannot be written: \(String(cString: strerror(number)))"))
    }
    let code = completion.exit.code
    return code == 0 && completion.outputFailure != nil ? PurserError.Code.io.rawValue : code
  }

  private func runUncached(_ spec: TaskSpec, _ options: Options) -> Int32 {
    do {
      return exitStatus(
        of: try executor.run(
          command(spec, options), capture: LogSpool.discarding(), passThrough: true, started: { _ in }))
    } catch let error as ExecutionError {
      report(.error(error.message))
      return error.exitCode
    } catch {
      report(.error("\(error)"))
      return PurserError.Code.bug.rawValue
    }
  }
}

/// What a step has to tell its user.
package enum StepEvent: Sendable {
  case warning(String)
  case error(String)
  /// Another process is at the task; `isJoined` if it does just what is to be done, so that its end is taken.
  case waiting(task: String, pid: Int32, since: String, isJoined: Bool)
  /// The run of another process was taken for this one; with its duration, if it succeeded.
  case joined(task: String, pid: Int32, exitCode: Int32, microseconds: Int64?)
  case fresh(task: String, savedMicroseconds: Int64)
  case restored(task: String, reasons: [Reason], savedMicroseconds: Int64)
  case running(task: String, reasons: [Reason])
  case finished(task: String, exitCode: Int32)
}

extension PurserError {
  /// Whether the cache is at fault, and not what the user declared: then the command still runs.
  var isAboutTheCache: Bool {
    switch code {
    case .unavailable, .io, .busy, .bug: true
    case .usage, .refused, .missing, .pipeline: false
    }
  }
}
