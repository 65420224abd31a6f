import CLinux
import Glibc
import PurserExecution
import PurserModel
import PurserStore
import Synchronization

/// Opens runs under leases: waits for a living owner, takes over from a dead one.
struct Lessor {
  let records: any RecordStore
  let project: Project
  /// What was seen of leases that had expired, by whoever asks again and again.
  let expired: ExpiredLeases

  /// How long a lease lasts without being renewed. A frozen owner loses it after that, and cannot publish any more.
  let seconds: Int64

  /// `PURSER_LEASE_SECONDS`, from 2 to an hour; else a minute.
  static func seconds(_ environment: ProcessEnvironment) -> Int64 {
    environment["PURSER_LEASE_SECONDS"].flatMap { Int64($0.escaped) }.map { min(max($0, 2), 3600) } ?? 60
  }

  /// The boot and the process name-space that pids are meant in: `BOOT/NAMESPACE`.
  static let worker = {
    var boot = "unknown"
    let descriptor = Glibc.open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
    if descriptor >= 0 {
      boot = withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
        let count = read(descriptor, buffer.baseAddress, 36)
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
      }
      close(descriptor)
    }
    let namespace = withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
      let count = buffer.withMemoryRebound(to: CChar.self) { target in
        target.baseAddress.map { readlink("/proc/self/ns/pid", $0, target.count) } ?? 0
      }
      return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }
    return "\(boot)/\(namespace)"
  }()

  /// The lease on a task record.
  static func name(of key: TaskKey) -> String {
    JSON.array([.string("task"), .string(key.storageKey), .string(key.pipeline), .string(key.task)]).serialized
  }

  /// The leases that work at a task needs.
  func names(of key: TaskKey) -> [String] {
    [
      Self.name(of: key),
      // Two storage keys write the same files: never at once.
      JSON.array([.string("outputs"), .string(project.root.escaped), .string(key.task)]).serialized,
    ]
  }

  /// What the processes of a run of a pipeline have in their environment, by which they are found when their owner is
  /// dead: `PURSER_RUN` and the fencing token of the task's lease.
  static func variable(_ token: Int64, _ project: Project) -> ByteString {
    "PURSER_RUN=" + ByteString(String(token)) + "@" + project.store
  }

  /// Whether somebody alive holds the lease on a task record.
  func isAtWork(on key: TaskKey) throws(StoreError) -> Bool {
    let worker = Self.worker
    return try records.leases(named: [Self.name(of: key)]).contains { !isOrphaned($0, worker) }
  }

  /// Those of some leases whose owners are not known to be dead.
  func living(among leases: [Lease]) -> [Lease] {
    let worker = Self.worker
    return leases.filter { !isOrphaned($0, worker) }
  }

  /// Ends what is left of leases whose owners are known to be dead, and claims of work whose time is over; what is
  /// returned proves that these may be ended too. The lease of a task whose owner stands still is left to whoever wants
  /// the task.
  func endLeftovers(_ leases: [Lease]) -> [Int64] {
    let worker = Self.worker
    return endAbandoned(leases.filter { $0.isClaim || isOrphaned($0, worker) }, worker)
  }

  /// Who is waited for.
  struct Holder: Sendable {
    var token: Int64
    var pid: Int32
    var since: String
    /// The run that it has open, if that is one of the same task and the same action: it can be joined.
    var run: Int64?
  }

  /// Opens a run, once nobody else is at the task; `nil` if somebody was, so that the decision is out of date: what was
  /// recorded, and what is on disk, may be another. `whileHeld` is called before a wait, and several times a second
  /// during one; `isStopped`, as often, ends it with `busy`.
  func open(
    _ spec: TaskSpec, _ assessment: Assessment, kind: String, author: String, for work: Int64? = nil,
    isStopped: () -> Bool = { false }, whileHeld: (Holder) -> Void
  ) throws(StoreError) -> (run: OpenRun, at: MonotonicTime)? {
    let key = TaskKey(storageKey: project.storageKey, pipeline: project.pipeline, task: spec.id)
    let worker = Self.worker
    let current = ChildProcess.current
    var abandoned: [Int64] = []
    let names = names(of: key)
    while true {
      var run = NewRun(
        key: key, kind: kind, actionKey: assessment.survey.fingerprint.actionKey,
        reasons: JSON.array(assessment.decision.reasons.map(\.json)).serialized, createdBy: author,
        specification: spec.json.serialized,
        previousRun: assessment.record?.lastRun, previousRunState: assessment.record?.lastRunState,
        leases: names,
        worker: worker, owner: LeaseProcess(pid: current.pid, startTime: current.startTime, processGroup: nil),
        now: TaskCache.now(), expiresAt: TaskCache.time(in: seconds))
      run.dependencies = spec.upstream
      run.newestResult = assessment.newestResult
      run.queuedWork = work
      if case .restore(let result, _) = assessment.decision { run.restoring = result.id }
      let now = MonotonicTime.now()
      switch try records.begin(run, replacing: abandoned) {
      case .opened(let run): return (run, now)
      case .moved: return nil
      case .held(let leases):
        abandoned = endAbandoned(leases, worker)
        guard let lease = leases.first(where: { !abandoned.contains($0.token) }) else { continue }
        let isSame = lease.name == names[0] && lease.actionKey == run.actionKey
        let holder = Holder(
          token: lease.token, pid: lease.owner.pid, since: lease.acquiredAt, run: isSame ? lease.run : nil)
        while true {
          whileHeld(holder)
          // Until the holder's process ends; it may also go on to another task.
          purser_wait_for_process(lease.worker == worker ? lease.owner.pid : -1, 100)
          let standing = try records.leases(named: names)
          if !standing.contains(where: { $0.token == holder.token }) { return nil }
          if isStopped() { throw StoreError(.busy, "task '\(spec.id)' was not waited for") }
          if standing.allSatisfy({ isAbandoned($0, worker) }) { break }
        }
      }
    }
  }

  /// Ends what dead owners of leases have left running; what is returned proves that their leases may be taken.
  func endAbandoned(_ leases: [Lease], _ worker: String) -> [Int64] {
    let dead = leases.filter { isAbandoned($0, worker) }
    for lease in dead {
      guard let run = lease.run else { continue }
      _ = LogSpool.livePath(of: run, in: project.store.appending(path: "tmp")).withCString { unlink($0) }
    }
    for lease in dead where lease.worker == worker {
      // Its command may live on in a process of its own; nothing runs beside it.
      if let child = lease.child {
        ChildProcess(pid: child.pid, startTime: child.startTime, processGroup: child.processGroup).destroy()
      }
      for process in ChildProcess.all(startedWith: Self.variable(lease.token, project)) { process.destroy() }
    }
    return dead.map(\.token)
  }

  /// Whether a lease may be taken over: at once from an owner that is dead; from one that seems to live, if the lease has
  /// expired and then is not renewed for a while longer. By the wall clock alone, a computer that slept, or whose clock
  /// was set, would take every lease for expired.
  private func isAbandoned(
    _ lease: Lease, _ worker: String
  ) -> Bool {
    if isOrphaned(lease, worker) || expired.isForsaken(lease.token) { return true }
    guard lease.expiresAt < TaskCache.now() else { return false }
    return expired.hasStood(lease, longerThan: .seconds(seconds / 3))
  }

  /// Whether the owner is known to be dead. Pids of another name-space say nothing here.
  private func isOrphaned(_ lease: Lease, _ worker: String) -> Bool {
    if lease.worker.prefix(while: { $0 != "/" }) != worker.prefix(while: { $0 != "/" }) { return true }
    guard lease.worker == worker else { return false }
    return !ChildProcess(pid: lease.owner.pid, startTime: lease.owner.startTime).isAlive
  }
}

/// Leases that were seen to have expired, and since when they were not renewed; and those that this process holds only
/// because it could not give them back.
final class ExpiredLeases: Sendable {
  private struct Sight {
    var token: Int64
    var expiresAt: String
    var since: MonotonicTime
  }

  private let seen = Mutex<[Sight]>([])
  private let forsaken = Mutex<[Int64]>([])

  /// Remembers that nobody is at work under leases any more.
  func forsake(_ tokens: [Int64]) { forsaken.withLock { $0 += tokens } }

  func isForsaken(_ token: Int64) -> Bool { forsaken.withLock { $0.contains(token) } }

  /// Whether a lease was seen with just this end for longer than a while.
  func hasStood(_ lease: Lease, longerThan patience: Duration) -> Bool {
    seen.withLock { seen in
      let now = MonotonicTime.now()
      guard let place = seen.firstIndex(where: { $0.token == lease.token }) else {
        seen.append(Sight(token: lease.token, expiresAt: lease.expiresAt, since: now))
        return false
      }
      if seen[place].expiresAt == lease.expiresAt { return seen[place].since.duration(to: now) > patience }
      seen[place] = Sight(token: lease.token, expiresAt: lease.expiresAt, since: now)
      return false
    }
  }
}
