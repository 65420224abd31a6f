import PurserModel
import PurserStore
import Testing

@Suite("Record store contract: queue")
struct QueueContractTests {
  @Test("an empty store has no work, and none is made by asking", .temporaryFolder, arguments: RecordStoreBackend.all)
  func empty(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    #expect(try store.claim(Queue.wish()) == nil)
    #expect(try store.work(matching: WorkFilter()).isEmpty && store.heldLeases().isEmpty && store.workers().isEmpty)
    #expect(try store.events(matching: EventFilter()).isEmpty && store.taskTypes().isEmpty)
    #expect(TemporaryFolder.current.names(in: ".").isEmpty)
  }

  @Test("work goes by priority, then by age", .temporaryFolder, arguments: RecordStoreBackend.all)
  func order(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try store.queue(
      Queue.request("a"), Queue.request("b", priority: 5), Queue.request("c", priority: -3), Queue.request("d"),
      Queue.request("e", priority: 5))
    #expect(
      try store.work(matching: WorkFilter(states: [.pending])).map(\.key.task) == ["b", "e", "a", "d", "c"])
    var claimed: [String] = []
    while let claim = try store.claim(Queue.wish()) { claimed.append(claim.work.key.task) }
    #expect(claimed == ["b", "e", "a", "d", "c"])
  }

  @Test("a piece of work from beginning to end", .temporaryFolder, arguments: RecordStoreBackend.all)
  func life(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try store.register(Queue.worker())
    var request = Queue.request("clean", priority: 3, attempts: 2, dedupe: "x")
    request.timeoutMilliseconds = 1500
    request.tags = ["nightly", "a b"]
    let id = try #require(try store.queue(request).first)
    let waiting = try #require(try store.work(matching: WorkFilter(tags: ["a b", "nightly"])).first)
    #expect(waiting.id == id && waiting.key == key("clean") && waiting.state == .pending && waiting.priority == 3)
    #expect(waiting.maximumAttempts == 2 && waiting.attempts == 0 && waiting.timeoutMilliseconds == 1500)
    #expect(waiting.tags == ["nightly", "a b"] && waiting.dedupeKey == digest("x").hex)
    #expect(waiting.configuration == #"{"root":"/r","task":"clean"}"# && waiting.createdBy == "me@here")

    let claim = try #require(try store.claim(Queue.wish(day: 2)))
    #expect(claim.work.id == id && claim.work.state == .submitted && claim.work.attempts == 1)
    #expect(claim.work.worker == "w1" && claim.work.claimedAt == Time.day(2))
    #expect(try store.claim(Queue.wish("w2")) == nil)
    let lease = try #require(try store.heldLeases().first)
    #expect(lease.token == claim.token && lease.owner.pid == 7 && lease.expiresAt == Time.day(3))
    try store.start(claim, now: Time.day(2))
    #expect(try store.state(of: id) == .running)
    try store.conclude(claim, .completed(result: #"{"outcome":"ran"}"#), now: Time.day(3))
    let over = try #require(try store.work(matching: WorkFilter(ids: [id])).first)
    #expect(over.state == .completed && over.finishedAt == Time.day(3) && over.result == #"{"outcome":"ran"}"#)
    #expect(try store.heldLeases().isEmpty)
    #expect(try store.eventTypes(of: id) == ["QUEUED", "CLAIMED", "STARTED", "FINISHED"])
    let worker = try #require(try store.workers().first)
    #expect(worker.claimed == 1 && worker.completed == 1 && worker.failed == 0)
  }

  @Test(
    "what failed is tried again when its time has come, and not for ever", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func retries(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let id = try #require(try store.queue(Queue.request("a", attempts: 2)).first)
    let first = try #require(try store.claim(Queue.wish()))
    try store.conclude(first, .failed(error: #"{"message":"m"}"#, retryAt: Time.day(5)), now: Time.day(2))
    #expect(try store.state(of: id) == .pending)
    #expect(try store.claim(Queue.wish(day: 4)) == nil)
    let second = try #require(try store.claim(Queue.wish(day: 5)))
    #expect(second.work.attempts == 2 && second.token > first.token)
    try store.conclude(second, .failed(error: #"{"message":"n"}"#, retryAt: Time.day(6)), now: Time.day(6))
    #expect(try store.state(of: id) == .failed)
    #expect(try store.work(matching: WorkFilter(ids: [id])).first?.error == #"{"message":"n"}"#)
    #expect(try store.claim(Queue.wish(day: 9)) == nil)
    #expect(
      try store.retry([id, 99], now: Time.day(7), by: "me")
        == [.changed(id, from: .failed, to: .pending), .unknown(99)])
    #expect(try store.claim(Queue.wish(day: 7))?.work.attempts == 1)
    #expect(
      try store.eventTypes(of: id) == [
        "QUEUED", "CLAIMED", "RETRYING", "CLAIMED", "FAILED", "RETRIED", "CLAIMED",
      ])
  }

  @Test("what was given back does not count as tried", .temporaryFolder, arguments: RecordStoreBackend.all)
  func givenBack(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let id = try #require(try store.queue(Queue.request("a")).first)
    let claim = try #require(try store.claim(Queue.wish()))
    try store.start(claim, now: Time.day(1))
    try store.conclude(claim, .givenBack, now: Time.day(1))
    #expect(try store.state(of: id) == .pending)
    #expect(try store.claim(Queue.wish("w2"))?.work.attempts == 1)
  }

  @Test("who lost a claim cannot say what became of it", .temporaryFolder, arguments: RecordStoreBackend.all)
  func staleClaim(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let id = try #require(try store.queue(Queue.request("a", attempts: 3)).first)
    let old = try #require(try store.claim(Queue.wish()))
    #expect(try store.giveBack([old.token, 12345], now: Time.day(2)) == [id])
    #expect(try store.state(of: id) == .pending)
    let new = try #require(try store.claim(Queue.wish("w2", day: 2)))
    func expectLost(_ body: () throws -> Void) {
      #expect {
        try body()
      } throws: { error in (error as? StoreError)?.code == .leaseLost }
    }
    expectLost { try store.start(old, now: Time.day(3)) }
    expectLost { try store.conclude(old, .completed(result: "{}"), now: Time.day(3)) }
    let renewed = try store.renew([old, new], until: Time.day(9))
    #expect(renewed.lost == [id] && renewed.cancelled.isEmpty)
    #expect(try store.heldLeases().map(\.expiresAt) == [Time.day(9)])
    try store.conclude(new, .completed(result: "{}"), now: Time.day(3))
    expectLost { try store.conclude(new, .failed(error: "{}", retryAt: nil), now: Time.day(4)) }
    #expect(try store.state(of: id) == .completed)
    #expect(
      try store.eventTypes(of: id) == ["QUEUED", "CLAIMED", "WORKER_LOST", "CLAIMED", "FINISHED"])
  }

  @Test("a worker that is lost costs an attempt", .temporaryFolder, arguments: RecordStoreBackend.all)
  func lostWorker(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let id = try #require(try store.queue(Queue.request("a")).first)
    let claim = try #require(try store.claim(Queue.wish()))
    _ = try store.giveBack([claim.token], now: Time.day(2))
    #expect(try store.state(of: id) == .failed)
    #expect(try store.work(matching: WorkFilter(ids: [id])).first?.error == #"{"kind":"workerLost"}"#)
  }

  @Test(
    "what waits is cancelled at once, what runs by its worker", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func cancelling(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let ids = try store.queue(Queue.request("a"), Queue.request("b"), Queue.request("c"))
    let claim = try #require(try store.claim(Queue.wish()))
    try store.start(claim, now: Time.day(1))
    let changes = try store.cancel([ids[0], ids[1]], now: Time.day(2), by: "me")
    #expect(
      changes == [.changed(ids[0], from: .running, to: .cancelling), .changed(ids[1], from: .pending, to: .cancelled)])
    #expect(try store.renew([claim], until: Time.day(3)).cancelled == [ids[0]])
    try store.conclude(claim, .givenBack, now: Time.day(3))
    #expect(try ids.map { try store.state(of: $0) } == [.cancelled, .cancelled, .pending])
    #expect(
      try store.cancel([ids[0]], now: Time.day(4), by: "me") == [.refused(ids[0], state: .cancelled)])
    #expect(try store.claim(Queue.wish())?.work.id == ids[2])
  }

  @Test("the same work is there once, until it is removed", .temporaryFolder, arguments: RecordStoreBackend.all)
  func dedupe(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let id = try #require(try store.queue(Queue.request("a", dedupe: "k")).first)
    let again = [Queue.request("b"), Queue.request("c", dedupe: "k")]
    guard case .duplicate(1, let work) = try store.enqueue(again, now: Time.day(1), by: "me") else {
      Issue.record("queued twice")
      return
    }
    #expect(work.id == id)
    let twins = [Queue.request("b", dedupe: "z"), Queue.request("c", dedupe: "z")]
    guard case .duplicate(1, let twin) = try store.enqueue(twins, now: Time.day(1), by: "me") else {
      Issue.record("queued twice")
      return
    }
    #expect(twin.id == 0 && twin.key.task == "b")
    #expect(try store.work(matching: WorkFilter()).map(\.id) == [id])
    #expect(try store.remove([id], now: Time.day(1), by: "me") == [.refused(id, state: .pending)])
    _ = try store.cancel([id], now: Time.day(1), by: "me")
    #expect(try store.remove([id], now: Time.day(1), by: "me") == [.changed(id, from: .cancelled, to: .cancelled)])
    #expect(try store.work(matching: WorkFilter()).isEmpty)
    #expect(try store.queue(Queue.request("c", dedupe: "k")).count == 1)
    #expect(try store.eventTypes(of: id) == ["QUEUED", "CANCEL_REQUESTED", "REMOVED"])
  }

  @Test(
    "attempts are listed by the work that they are for, and the work among no attempts", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func attempts(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let id = try #require(try store.queue(Queue.request("clean")).first)
    var run = Step("clean").newRun
    run.queuedWork = id
    guard case .opened(let open) = try store.begin(run, replacing: []) else {
      Issue.record("not opened")
      return
    }
    try store.finish(open, with: Step("clean").success)
    try Step("other").run(in: store)
    #expect(try store.runs(matching: RunFilter()).map(\.key.task) == ["other", "clean"])
    var filter = RunFilter()
    filter.queuedWork = id
    #expect(try store.runs(matching: filter).map(\.id) == [open.id])
    // What is queued is not what was done last.
    try store.queue(Queue.request("clean"))
    #expect(try store.record(key("clean"))?.lastRun == open.id)
  }

  @Test(
    "work that is out of bounds is refused, with what came beside it", .temporaryFolder,
    arguments: RecordStoreBackend.all, 0..<7)
  func bounds(backend: RecordStoreBackend, number: Int) throws {
    let store = try backend.open()
    var request = Queue.request("a")
    switch number {
    case 0: request.priority = 1001
    case 1: request.priority = -1001
    case 2: request.maximumAttempts = 0
    case 3: request.maximumAttempts = 1001
    case 4: request.dedupeKey = "short"
    case 5: request.timeoutMilliseconds = 0
    default: request.configuration = "{"
    }
    #expect(throws: StoreError.self) { try store.queue(Queue.request("fine"), request) }
    #expect(try store.work(matching: WorkFilter()).isEmpty)
  }

  @Test("types are registered once for each version", .temporaryFolder, arguments: RecordStoreBackend.all)
  func types(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let type = TaskType(name: "resize", version: "1", schema: "{}", specification: #"{"id":"x"}"#)
    let id = try store.register(type, now: Time.day(1))
    #expect(try store.register(type, now: Time.day(2)) == id)
    var other = type
    other.schema = #"{"type":"object"}"#
    #expect(throws: StoreError.self) { try store.register(other, now: Time.day(2)) }
    other.version = "2"
    #expect(try store.register(other, now: Time.day(3)) == id + 1)
    #expect(try store.setActive(false, type: "resize", version: "1", now: Time.day(4)) == 1)
    #expect(try store.setActive(false, type: "none", version: nil, now: Time.day(4)) == 0)
    #expect(try store.taskTypes().map(\.label) == ["resize@1", "resize@2"])
    #expect(try store.taskTypes().map(\.isActive) == [false, true])
    var request = Queue.request("a")
    request.type = id
    let work = try #require(try store.queue(request).first)
    #expect(try store.work(matching: WorkFilter(ids: [work])).first?.type == "resize@1")
  }

  @Test("workers come, are heard of, and go", .temporaryFolder, arguments: RecordStoreBackend.all)
  func workers(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try store.register(Queue.worker())
    try store.heartbeat("w1", .active, now: Time.day(2))
    #expect(try store.workers().first?.lastHeartbeat == Time.day(2))
    try store.heartbeat("w1", .lost, now: Time.day(5))
    let lost = try #require(try store.workers().first)
    #expect(throws: StoreError.self) { try store.register(Queue.worker()) }
    #expect(lost.status == .lost && lost.lastHeartbeat == Time.day(2) && lost.slots == 2 && lost.startTime == 3)
  }

  @Test("events are found by all that they are about", .temporaryFolder, arguments: RecordStoreBackend.all)
  func events(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let run = try Step("a").run(in: store)
    try Step("b", on: "feature").run(in: store)
    _ = try store.invalidate([key("a")], day: 2, why: "w")
    func types(_ change: (inout EventFilter) -> Void) throws -> [String] {
      var filter = EventFilter(limit: 100)
      change(&filter)
      return try store.events(matching: filter).map { "\($0.key.task) \($0.type)" }
    }
    let all = ["a STARTED", "a FINISHED", "b STARTED", "b FINISHED", "a INVALIDATED"]
    #expect(try types { _ in } == all)
    #expect(try types { $0.limit = 2 } == Array(all.suffix(2)))
    #expect(try types { $0.task = "a" } == ["a STARTED", "a FINISHED", "a INVALIDATED"])
    #expect(try types { $0.run = run.id } == ["a STARTED", "a FINISHED"])
    #expect(try types { $0.storageKey = "feature" } == ["b STARTED", "b FINISHED"])
    #expect(try types { $0.pipeline = "none" } == [])
    #expect(try types { $0.types = ["FINISHED", "INVALIDATED"] } == ["a FINISHED", "b FINISHED", "a INVALIDATED"])
    #expect(try types { $0.since = Time.day(2) } == ["a INVALIDATED"])
    let second = try #require(try store.events(matching: EventFilter(limit: 100)).dropFirst().first)
    #expect(second.previous == "RUNNING" && second.new == "SUCCESS" && second.time == Time.day(1))
    #expect(try types { ($0.after, $0.limit) = (second.id, 2) } == ["b STARTED", "b FINISHED"])
  }
}
