import PurserHashing
import PurserModel
import PurserStore
import Testing

@Suite("Record store contract: invalidation")
struct InvalidationContractTests {
  /// Tasks and what they depend on.
  private func make(_ graph: [(String, [String])], on storageKey: String = "main", in store: any RecordStore) throws {
    for (task, upstream) in graph {
      var step = Step(task, on: storageKey)
      step.upstream = upstream
      try step.run(in: store)
    }
  }

  static let diamond = [("load", []), ("left", ["load"]), ("right", ["load"]), ("join", ["left", "right"]), ("x", [])]

  @Test("a mark stands on the record until it runs again", .temporaryFolder, arguments: RecordStoreBackend.all)
  func mark(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    try step.run(in: store)
    let result = try store.newestResult(of: step)
    #expect(try store.invalidationHorizons(for: [step.key]) == [:])
    #expect(try store.invalidate([step.key], why: "new sensor") == ["main/clean"])
    let record = try #require(try store.record(step.key))
    #expect(record.invalidation == Invalidation(at: Time.day(2), by: "me@here", why: "new sensor"))
    #expect(record.status == .success && record.actionKey == step.actionKey && record.result == result)
    let horizon = InvalidationHorizon(result: result.id, run: result.run)
    #expect(try store.invalidationHorizons(for: [step.key, key("x")]) == [step.key: horizon])
    // Other storage keys may still use it.
    #expect(try store.results(for: [step.actionKey])[step.actionKey]?.map(\.id) == [result.id])

    try step.run(in: store)
    #expect(try store.record(step.key)?.invalidation == nil)
    #expect(try store.newestResult(of: step).id > result.id)
    #expect(try store.invalidationHorizons(for: [step.key]) == [step.key: horizon])
    #expect(try horizon.voids(result) && !horizon.voids(store.newestResult(of: step)))
  }

  @Test(
    "a failure after the mark leaves it standing, and so does a restore of what is void", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func stillMarked(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    try step.run(in: store)
    let result = try store.newestResult(of: step)
    _ = try store.invalidate([step.key])
    try store.finish(try step.begin(in: store), with: step.ending(.failed, .failure, exitCode: 1))
    #expect(try store.record(step.key)?.invalidation != nil)
    try step.restore(result, in: store)
    #expect(try store.record(step.key)?.invalidation != nil)
  }

  @Test("a later mark takes the place of an earlier one", .temporaryFolder, arguments: RecordStoreBackend.all)
  func twice(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    try step.run(in: store)
    _ = try store.invalidate([step.key], why: "first")
    try step.run(in: store)
    _ = try store.invalidate([step.key], day: 3, why: "second")
    #expect(try store.record(step.key)?.invalidation == Invalidation(at: Time.day(3), by: "me@here", why: "second"))
    #expect(
      try store.invalidationHorizons(for: [step.key])[step.key]?.result == (try store.newestResult(of: step).id))
  }

  @Test("only what exists is hit", .temporaryFolder, arguments: RecordStoreBackend.all)
  func unknown(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try Step("clean").run(in: store)
    #expect(try store.invalidate([key("none")]) == [])
    #expect(try store.invalidate([]) == [])
    #expect(try store.invalidate([key("clean", on: "none"), key("clean", pipeline: "none")]) == [])
    #expect(try store.record(key("clean"))?.invalidation == nil)
    #expect(try store.invalidationHorizons(for: [key("none")]) == [:])
  }

  @Test(
    "downstream goes down a diamond, each task once", .temporaryFolder,
    arguments: RecordStoreBackend.all,
    [
      (["load"], ["main/join", "main/left", "main/load", "main/right"]),
      (["left"], ["main/join", "main/left"]),
      (["join"], ["main/join"]),
      (["left", "right"], ["main/join", "main/left", "main/right"]),
      (["x"], ["main/x"]),
    ])
  func diamond(backend: RecordStoreBackend, table: (tasks: [String], hit: [String])) throws {
    let store = try backend.open()
    try make(Self.diamond, in: store)
    try make(Self.diamond, on: "feature", in: store)
    #expect(try store.invalidate(table.tasks.map { key($0) }, downstream: true).sorted() == table.hit)
    let marked = try store.records(storageKey: nil, pipeline: nil).filter { $0.invalidation != nil }
    #expect(marked.map { "\($0.key.storageKey)/\($0.key.task)" } == table.hit)
  }

  @Test("a cycle ends", .temporaryFolder, arguments: RecordStoreBackend.all)
  func cycle(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try make([("a", ["c"]), ("b", ["a"]), ("c", ["b"]), ("self", ["self"])], in: store)
    #expect(try store.invalidate([key("b")], downstream: true).sorted() == ["main/a", "main/b", "main/c"])
    #expect(try store.invalidate([key("self")], downstream: true) == ["main/self"])
  }

  @Test(
    "on all keys the task is marked everywhere, and its results for keys to come", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func allKeys(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try make(Self.diamond, in: store)
    try make(Self.diamond, on: "feature", in: store)
    try Step("left", on: "main", pipeline: "other", version: "other").run(in: store)
    #expect(try store.invalidate([key("left")], allKeys: true).sorted() == ["feature/left", "main/left"])
    #expect(try store.results(for: [Step("left").actionKey]) == [:])
    #expect(try store.record(key("left", on: "feature"))?.invalidation != nil)
    #expect(try store.record(key("left", pipeline: "other"))?.invalidation == nil)
    #expect(try store.results(for: [Step("left", version: "other").actionKey]).count == 1)
    #expect(try store.results(for: [Step("right").actionKey]).count == 1)
    #expect(
      try store.invalidate([key("load")], downstream: true, allKeys: true).sorted() == [
        "feature/join", "feature/left", "feature/load", "feature/right", "main/join", "main/left", "main/load",
        "main/right",
      ])
    #expect(try store.results(for: [Step("join").actionKey]) == [:])
  }

  @Test(
    "results that another task made for the same action are void on all keys too", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func sharedAction(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    try step.run(in: store)
    var twin = Step("twin", pipeline: "other")
    twin.components = step.components
    try twin.run(in: store)
    #expect(try store.results(for: [step.actionKey])[step.actionKey]?.count == 2)
    _ = try store.invalidate([step.key], allKeys: true, why: "bad disk")
    #expect(try store.results(for: [step.actionKey]) == [:])
    // The twin's record rests on a result that is void now.
    #expect(try store.record(twin.key)?.invalidation?.at == Time.day(2))
  }

  @Test(
    "marks outlive what they void: a result made after is valid, whatever was forgotten", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func numbersGrow(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.outputs = ["a": "A"]
    try step.run(in: store)
    let first = try store.newestResult(of: step)
    _ = try store.invalidate([step.key])
    try store.forgetBlob(digest("A"))
    #expect(try store.results(for: [step.actionKey]) == [:])
    try step.run(in: store)
    #expect(try store.newestResult(of: step).id > first.id)
    #expect(try store.record(step.key)?.invalidation == nil)
  }
}
