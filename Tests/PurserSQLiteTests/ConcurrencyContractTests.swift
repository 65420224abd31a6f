import PurserHashing
import PurserModel
import PurserStore
import Synchronization
import Testing

/// Each thread is a client of its own, as a process would be.
@Suite("Record store contract: several clients", .serialized)
struct ConcurrencyContractTests {
  private static let clients = 8

  /// Collects what threads found.
  private final class Findings<Value: Sendable>: Sendable {
    private let list = Mutex<[Value]>([])

    func add(_ value: Value) { list.withLock { $0.append(value) } }

    var all: [Value] { list.withLock { $0 } }
  }

  /// Runs `body` once for each client, all at once; nobody may throw.
  private func together(
    _ backend: RecordStoreBackend, _ body: @escaping @Sendable (any RecordStore, Int) throws -> Void
  ) throws {
    let folder = TemporaryFolder.current("store")
    let failures = Findings<String>()
    onThreads(Self.clients) { client in
      do { try body(backend.openStore(folder), client) } catch { failures.add("\(error)") }
    }
    #expect(failures.all == [])
  }

  @Test("one task is begun by one of many at a time", .temporaryFolder, arguments: RecordStoreBackend.all)
  func oneOwner(backend: RecordStoreBackend) throws {
    let opened = Findings<OpenRun>()
    try together(backend) { store, _ in
      if case .opened(let run) = try store.begin(Step("clean").newRun, replacing: []) { opened.add(run) }
    }
    #expect(opened.all.count == 1)
    #expect(try backend.open().runs(matching: RunFilter()).map(\.id) == opened.all.map(\.id))
  }

  @Test(
    "a dead owner is replaced by one of many, and what it makes is lost", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func takeover(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.outputs = ["a": "stale"]
    let (lost, outcome) = (try step.begin(in: store), step.success)
    let (opened, refused) = (Findings<OpenRun>(), Findings<StoreError.Code?>())
    try together(backend) { store, client in
      if client == 0 {
        // The owner is alive after all: it publishes before the takeover, or not at all.
        refused.add(code { try store.finish(lost, with: outcome) })
        return
      }
      var run = Step("clean").newRun
      (run.previousRun, run.previousRunState) = (lost.id, .cancelled)
      if case .opened(let run) = try store.begin(run, replacing: lost.tokens) { opened.add(run) }
    }
    let isPublished = refused.all == [nil]
    #expect(isPublished || refused.all == [.leaseLost])
    #expect(opened.all.count == (isPublished ? 0 : 1))
    #expect(try store.results(for: [step.actionKey]).isEmpty == !isPublished)
    #expect(try store.blobs([digest("stale")]).isEmpty == !isPublished)
    #expect(try store.heldLeases().map(\.token) == opened.all.flatMap(\.tokens))
  }

  @Test(
    "each piece of work is claimed once, in the order of the queue for each worker", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func claims(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let requests = (0..<200).map { Queue.request("t\($0)", priority: $0 % 3) }
    guard case .queued(let ids) = try store.enqueue(requests, now: Time.day(1), by: "me") else { return }
    let claimed = Findings<[ClaimedWork]>()
    try together(backend) { store, client in
      var mine: [ClaimedWork] = []
      while let claim = try store.claim(Queue.wish("w\(client)")) {
        mine.append(claim)
        if client % 2 == 0 { try store.start(claim, now: Time.day(1)) }
        try store.conclude(claim, .completed(result: "{}"), now: Time.day(2))
      }
      claimed.add(mine)
    }
    let all = claimed.all.flatMap(\.self)
    #expect(all.map(\.work.id).sorted() == ids)
    #expect(Set(all.map(\.token)).count == ids.count)
    for mine in claimed.all {
      let order = mine.map { (-$0.work.priority, $0.work.id) }
      #expect(zip(order, order.dropFirst()).allSatisfy { $0 < $1 })
    }
    #expect(try store.work(matching: WorkFilter(states: [.completed], limit: 999)).count == ids.count)
    #expect(try store.heldLeases().isEmpty)
  }

  @Test("of one claim one ending counts, whoever else has it", .temporaryFolder, arguments: RecordStoreBackend.all)
  func oneEnding(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    for _ in 0..<20 {
      let id = try #require(try store.queue(Queue.request("a", attempts: 2)).first)
      let claim = try #require(try store.claim(Queue.wish()))
      let ended = Findings<Int>()
      try together(backend) { store, client in
        let isMine =
          client == 0
          ? try store.giveBack([claim.token], now: Time.day(2)) == [id]
          : code { try store.conclude(claim, .completed(result: "\(client)"), now: Time.day(2)) } == nil
        if isMine { ended.add(client) }
      }
      #expect(ended.all.count == 1)
      let work = try #require(try store.work(matching: WorkFilter(ids: [id])).first)
      #expect(work.state == (ended.all == [0] ? .pending : .completed))
      #expect(work.result == ended.all.first.flatMap { $0 == 0 ? nil : "\($0)" })
      _ = try store.cancel([id], now: Time.day(3), by: "me")
    }
  }

  @Test("of many writes none is lost, and none is seen half done", .temporaryFolder, arguments: RecordStoreBackend.all)
  func writes(backend: RecordStoreBackend) throws {
    try together(backend) { store, client in
      for number in 0..<40 {
        var step = Step("task \(client) \(number)", version: "\(number % 10)")
        step.outputs = ["a": "\(number % 7)"]
        try step.run(in: store)
        let records = try store.records(storageKey: nil, pipeline: nil)
        // Who has no result is at work under a lease; who has one has its contents.
        for record in records where record.status == .success {
          guard let content = record.result?.manifest.entries.first?.digest else {
            throw StoreError(.corrupt, "a success without a result")
          }
          if try store.blobs([content]).isEmpty { throw StoreError(.corrupt, "a result without its content") }
        }
      }
    }
    let store = try backend.open()
    let records = try store.records(storageKey: nil, pipeline: nil)
    #expect(records.count == 40 * Self.clients && records.allSatisfy { $0.status == .success })
    #expect(Set(records.compactMap(\.result?.id)).count == records.count)
    #expect(Set(records.compactMap(\.lastRun)).count == records.count)
    #expect(try store.events(matching: EventFilter(limit: 9999)).count == 2 * records.count)
  }
}
