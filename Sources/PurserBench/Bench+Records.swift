import PurserModel
import PurserSQLite
import PurserStore

/// W6: records of tasks, and what grows beside them.
extension Bench {
  static func key(_ number: Int) -> TaskKey { TaskKey(storageKey: "main", pipeline: "bench", task: "task-\(number)") }

  /// Some digest of its own for each number and purpose: nothing here depends on its being a hash.
  private static func digest(_ number: Int, _ purpose: UInt8) -> Digest {
    var word = UInt64(number) &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(purpose)
    let bytes = (0..<Digest.byteCount).map { _ in
      word = word &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(truncatingIfNeeded: word >> 56)
    }
    guard let digest = Digest(bytes: bytes) else { preconditionFailure("that is a digest's length") }
    return digest
  }

  /// Opens and closes a run for each record: one input, one small output.
  func create(first: Int, count: Int) throws -> JSON {
    var both = Latencies()
    var begin = Latencies()
    for number in first..<first + count {
      try both.time {
        let components = [
          Component(.argv, "", .list(["make", ByteString("task-\(number)")])),
          Component(.inputFile, "raw.csv", .file(Self.digest(0, 1), isExecutable: false)),
        ]
        let fingerprint = Fingerprint(
          components: components, code: Self.digest(number, 2), inputs: Self.digest(0, 3), data: Self.digest(0, 4),
          actionKey: Self.digest(number, 5))
        let content = Array("output \(number)".utf8)
        let blob = NewBlob(
          digest: Self.digest(number, 6), size: UInt64(content.count), encoding: .identity, inlineContent: content)
        let started = Self.now()
        let run = try begin.time { try open(Self.key(number), fingerprint.actionKey, lease: "task \(number)") }
        var outcome = RunOutcome(
          state: .completed, status: .success, exitCode: 0, startedAt: started, finishedAt: Self.now(),
          durationMicroseconds: 1000, fingerprint: fingerprint)
        outcome.manifest = OutputManifest(
          patterns: [ByteString("out/\(number)")],
          entries: [
            OutputManifest.Entry(
              path: ByteString("out/\(number)"), kind: .file, mode: 0o644, digest: blob.digest, size: blob.size)
          ])
        outcome.outputsVersion = Self.digest(number, 7)
        outcome.blobs = [blob]
        _ = try store.finish(run, with: outcome, isDurable: isDurable)
      }
    }
    return .object([("create", both.summary), ("begin", begin.summary)])
  }

  private func open(_ key: TaskKey, _ actionKey: Digest, lease: String) throws -> OpenRun {
    let wish = NewRun(
      key: key, kind: "run", actionKey: actionKey, reasons: #"[{"kind":"neverRan"}]"#, createdBy: "bench@here",
      specification: #"{"command":["true"]}"#, previousRun: nil, previousRunState: nil, leases: [lease],
      worker: "boot/pid",
      owner: LeaseProcess(pid: 42, startTime: 7, processGroup: nil), now: Self.now(), expiresAt: Self.later(3600))
    guard case .opened(let run) = try store.begin(wish, replacing: []) else {
      throw StoreError(.busy, "\(key.task) is held already")
    }
    return run
  }

  /// Under a run with so many items: `count` of them end, one after the other, each acknowledged before the next.
  func progress(items: Int, count: Int) throws -> JSON {
    let key = TaskKey(storageKey: "main", pipeline: "bench", task: "mapped")
    let run = try open(key, Self.digest(0, 8), lease: "mapped")
    try store.setSubtasks((0..<items).map { Subtask(index: $0, key: "item-\($0)") }, of: key, under: run)
    var latencies = Latencies()
    for number in 0..<count {
      let event = SubtaskEvent(index: number % items, status: .done, time: Self.now())
      try latencies.time { try store.append([ItemProgress(event: event)], of: key, under: run) }
    }
    guard try store.subtasks(of: key).prefix(count).allSatisfy({ $0.endTime != nil }) else {
      throw StoreError(.corrupt, "an item that ended is not recorded")
    }
    let seconds = Double(latencies.samples.reduce(0, +)) / 1e9
    return .object([("event", latencies.summary), ("seconds", .number(seconds))])
  }

  /// Of `records` records: one by one at random, all of them five times, and the last 50 runs of one.
  func lookup(records: Int, count: Int) throws -> JSON {
    var (one, all, history, events) = (Latencies(), Latencies(), Latencies(), Latencies())
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<count {
      let key = Self.key(Int.random(in: 0..<records, using: &generator))
      guard try one.time({ try store.records(for: [key]) })[0] != nil else {
        throw StoreError(.corrupt, "\(key.task) is not there")
      }
      let filter = RunFilter(storageKey: key.storageKey, pipeline: key.pipeline, task: key.task)
      let runs = try history.time { try store.runs(matching: filter) }
      guard let run = runs.first, run.key == key else { throw StoreError(.corrupt, "\(key.task) has no history") }
      var about = EventFilter()
      about.run = run.id
      guard try !events.time({ try store.events(matching: about) }).isEmpty else {
        throw StoreError(.corrupt, "run \(run.id) has no events")
      }
    }
    for _ in 0..<5 {
      guard try all.time({ try store.records(storageKey: "main", pipeline: "bench") }).count >= records else {
        throw StoreError(.corrupt, "not all of \(records) records are there")
      }
    }
    return .object([
      ("getOne", one.summary), ("getAll", all.summary), ("history", history.summary), ("events", events.summary),
    ])
  }

  /// One change of state with its event: of queued work that is cancelled and queued again, which is durable, or that is
  /// claimed and given back, which is not.
  func audit(count: Int) throws -> JSON {
    var latencies = Latencies()
    var request = WorkRequest(key: Self.key(0), configuration: #"{"root":"/r","task":"audit"}"#)
    (request.priority, request.maximumAttempts) = (1000, 1000)
    guard case .queued(let ids) = try store.enqueue([request], now: Self.now(), by: "bench") else {
      throw StoreError(.busy, "the work is there already")
    }
    for number in 0..<min(count, 1000) {
      if isDurable {
        let isThere = number % 2 == 0
        try latencies.time {
          let change = isThere ? store.cancel : store.retry
          _ = try change(ids, Self.now(), "bench")
        }
      } else {
        let wish = ClaimRequest(
          worker: "nobody", boot: "boot/pid", owner: LeaseProcess(pid: 42, startTime: 7, processGroup: nil),
          now: Self.now(), expiresAt: Self.later(60))
        guard let claim = try store.claim(wish), claim.work.id == ids[0] else {
          throw StoreError(.corrupt, "the work cannot be claimed")
        }
        _ = try latencies.time { try store.giveBack([claim.token], now: Self.now()) }
      }
    }
    _ = try store.cancel(ids, now: Self.now(), by: "bench")
    return .object([("event", latencies.summary)])
  }

  /// Makes a record with items on a storage key of its own, and drops that key.
  func delete(items: Int, count: Int) throws -> JSON {
    var (make, drop) = (Latencies(), Latencies())
    let key = TaskKey(storageKey: "short", pipeline: "bench", task: "each")
    let subtasks = (0..<items).map { Subtask(index: $0, key: "item-\($0)") }
    for _ in 0..<count {
      try make.time { try store.setSubtasks(subtasks, of: key, under: nil) }
      let scope = BranchScope(storageKey: key.storageKey, pipeline: key.pipeline)
      let request = DropRequest(scope: scope, now: Self.now(), by: "bench")
      guard case .dropped = try drop.time({ try store.drop(request) }) else {
        throw StoreError(.corrupt, "there was nothing to be dropped")
      }
    }
    return .object([("setSubtasks", make.summary), ("delete", drop.summary)])
  }
}
