import PurserHashing
import PurserModel
import PurserStore
import Testing

@Suite("Record store contract: garbage")
struct GarbageContractTests {
  private func collect(_ store: any RecordStore, day: Int = 5) throws -> GarbageReport {
    // A listing here is the concatenated digests of the folders in it.
    try store.collectGarbage(olderThan: Time.day(day)) { listing in
      stride(from: 0, to: listing.count, by: 32).compactMap { Digest(bytes: Array(listing[$0..<$0 + 32])) }
    }
  }

  private func step(_ version: String, day: Int, on storageKey: String = "main") -> Step {
    var step = Step("clean", on: storageKey, version: version)
    step.outputs = ["a": "content \(version)"]
    step.log = "log \(version)"
    step.day = day
    return step
  }

  @Test(
    "old results that no record holds go, with contents and components", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func results(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let steps = [step("old", day: 1), step("young", day: 9), step("current", day: 2)]
    for step in steps { try step.run(in: store) }
    let report = try collect(store)
    #expect(report.results == 1 && report.blobs == 2)
    #expect(report.bytes == UInt64("content old".utf8.count + "log old".utf8.count))
    let keys = steps.map(\.actionKey)
    #expect(Set(try store.results(for: keys).keys) == Set(keys[1...]))
    #expect(Set(try store.components(of: keys).keys) == Set(keys[1...]))
    #expect(try store.components(of: keys)[keys[1]] == steps[1].fingerprint.components)
    #expect(try store.blobs([digest("content old"), digest("log old")]).isEmpty)
    let kept = ["content young", "log young", "content current", "log current"].map(digest)
    #expect(try store.blobs(kept).count == 4)
    // History stays.
    #expect(try store.runs(matching: RunFilter()).count == 3)

    let again = try collect(store)
    #expect(again.results == 0 && again.blobs == 0 && again.bytes == 0)
  }

  @Test(
    "what a record on any storage key holds on to stays, however old and void it is", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func held(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let old = step("old", day: 1)
    try old.run(in: store)
    var other = old
    other.key = key("clean", on: "feature")
    try other.restore(try store.newestResult(of: old), in: store)
    try step("new", day: 1).run(in: store)
    _ = try store.invalidate([other.key], allKeys: true)
    let report = try collect(store)
    #expect(report.results == 0 && report.blobs == 0)
    #expect(try store.record(other.key)?.result?.manifest == old.manifest)
    #expect(try store.components(of: [old.actionKey]).count == 1)
  }

  @Test("what is being put back stays until that is over", .temporaryFolder, arguments: RecordStoreBackend.all)
  func restoring(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let old = step("old", day: 1)
    try old.run(in: store)
    try step("new", day: 1).run(in: store)
    let result = try store.newestResult(of: old)
    var request = old.newRun
    let record = try store.record(old.key)
    (request.kind, request.restoring) = ("restore", result.id)
    (request.previousRun, request.previousRunState) = (record?.lastRun, record?.lastRunState)
    guard case .opened(let run) = try store.begin(request, replacing: []) else {
      Issue.record("the restore could not be opened")
      return
    }
    #expect(try collect(store).results == 0)
    var outcome = old.ending(.completed, .success, exitCode: nil)
    outcome.restored = result
    try store.finish(run, with: outcome)
    #expect(try store.record(old.key)?.result?.id == result.id)
    // And then what it took the place of is what nobody holds.
    #expect(try collect(store).results == 1)
    #expect(
      try store.results(for: [old.actionKey, step("new", day: 1).actionKey]).keys.map(\.hex) == [old.actionKey.hex])
  }

  @Test("a content is kept while anything names it", .temporaryFolder, arguments: RecordStoreBackend.all)
  func shared(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var old = step("old", day: 1)
    old.outputs = ["a": "shared", "b": "old only"]
    try old.run(in: store)
    var new = step("new", day: 1)
    new.outputs = ["c": "shared"]
    try new.run(in: store)
    #expect(try collect(store).blobs == 2)
    #expect(
      try store.blobs([digest("shared"), digest("old only"), digest("log old")]).keys.map(\.hex)
        == [digest("shared").hex])
  }

  @Test("what a run saved stays while the run is young or open", .temporaryFolder, arguments: RecordStoreBackend.all)
  func saved(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    for (task, day) in [("old", 1), ("young", 9)] {
      var step = Step(task)
      step.day = day
      let run = try step.begin(in: store)
      try store.save([SavedContent(path: "x", blob: Step.blob("saved by \(task)"))], for: run)
      try store.finish(run, with: step.success)
    }
    let open = try Step("open").begin(in: store)
    try store.save([SavedContent(path: "x", blob: Step.blob("saved by open"))], for: open)
    #expect(try collect(store).blobs == 1)
    let digests = ["old", "young", "open"].map { digest("saved by \($0)") }
    #expect(Set(try store.blobs(digests).keys) == Set(digests[1...]))
  }

  @Test(
    "the log of an old failure goes, of a standing result stays", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func logs(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let success = step("1", day: 1)
    try success.run(in: store)
    let failing = Step("failing")
    var outcome = failing.ending(.failed, .failure, exitCode: 1)
    outcome.log = digest("failed")
    outcome.blobs = [Step.blob("failed")]
    try store.finish(try failing.begin(in: store), with: outcome)
    #expect(try store.blobs([digest("failed")]).count == 1)
    #expect(try collect(store).blobs == 1)
    #expect(Set(try store.blobs([digest("failed"), digest("log 1")]).keys) == [digest("log 1")])
  }

  @Test(
    "listings are kept as far as a standing fingerprint reaches them", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func treeNodes(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let (leaf, shared) = (digest("leaf"), digest("shared"))
    var old = step("old", day: 1)
    old.components.append(Component(.codeTree, "src", .digest(digest("old root"))))
    old.treeNodes = [digest("old root"): shared.bytes + digest("gone").bytes, shared: [], digest("gone"): []]
    try old.run(in: store)
    var new = step("new", day: 1)
    new.components.append(Component(.inputTree, "raw", .digest(digest("new root"))))
    // A listing may name itself by damage only; it must not loop.
    new.treeNodes = [digest("new root"): leaf.bytes + shared.bytes, leaf: leaf.bytes, shared: []]
    try new.run(in: store)
    _ = try collect(store)
    #expect(try store.treeNode(digest("new root")) == leaf.bytes + shared.bytes)
    #expect(try store.treeNode(leaf) == leaf.bytes)
    #expect(try store.treeNode(shared) == [])
    #expect(try store.treeNode(digest("old root")) == nil)
    #expect(try store.treeNode(digest("gone")) == nil)
  }

  @Test(
    "within a budget the oldest goes first, and what a record holds on to never", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func budget(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    for day in 1...8 {
      var step = Step("clean", version: "\(day)")
      step.outputs = ["a": "content \(day)"]
      step.day = day
      let run = try step.begin(in: store)
      var outcome = step.success
      outcome.blobs = [NewBlob(digest: digest("content \(day)"), size: 9, encoding: .identity, inlineContent: nil)]
      try store.finish(run, with: outcome)
    }
    func collect(_ maximum: UInt64?, isTrial: Bool = false) throws -> GarbageReport {
      var request = GarbageRequest(cutoff: Time.day(0), fileSize: { _ in 100 }, treeChildren: { _ in [] })
      (request.maximumBytes, request.isTrial) = (maximum, isTrial)
      return try store.collectGarbage(request)
    }
    func left() throws -> [Int] { try (1...8).filter { try !store.blobs([digest("content \($0)")]).isEmpty } }
    #expect(try collect(nil).keptBytes == nil)
    #expect(try collect(800).keptBytes == 800)
    let trial = try collect(500, isTrial: true)
    #expect(trial.results == 3 && trial.blobs == 3 && trial.keptBytes == 500)
    #expect(trial.files == [digest("content 1"), digest("content 2"), digest("content 3")])
    #expect(try left() == Array(1...8))
    #expect(try collect(500).files == trial.files)
    #expect(try left() == Array(4...8))
    let most = try collect(1)
    #expect(most.results == 4 && most.keptBytes == 100)
    #expect(try left() == [8])
    #expect(try store.record(key("clean"))?.result != nil)
  }

  @Test("a store without anything has no garbage", .temporaryFolder, arguments: RecordStoreBackend.all)
  func empty(backend: RecordStoreBackend) throws {
    let report = try collect(try backend.open())
    #expect(report.results == 0 && report.blobs == 0 && report.bytes == 0)
    #expect(TemporaryFolder.current.names(in: ".").isEmpty)
  }

  @Test(
    "a forgotten content takes the results that need it, and no others", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func forget(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let (bad, good) = (step("bad", day: 1), step("good", day: 1, on: "feature"))
    try bad.run(in: store)
    try good.run(in: store)
    try store.forgetBlob(digest("content bad"))
    try store.forgetBlob(digest("never known"))
    #expect(try store.results(for: [bad.actionKey]) == [:])
    #expect(try store.blobs([digest("content bad")]) == [:])
    #expect(try store.inlineContent(digest("content bad")) == nil)
    let record = try #require(try store.record(bad.key))
    #expect(record.result == nil && record.actionKey == bad.actionKey && record.status == .success)
    #expect(try store.record(good.key)?.result != nil)
    // It can be made again.
    try bad.run(in: store)
    #expect(try store.newestResult(of: bad).manifest == bad.manifest)
    try store.forgetBlob(digest("log good"))
    #expect(try store.results(for: [good.actionKey]) == [:])
  }
}
