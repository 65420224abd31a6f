import PurserHashing
import PurserModel
import PurserStore
import Testing

@Suite("Record store contract: runs and leases")
struct RunContractTests {
  @Test(
    "a store that does not exist yet is empty and is not made by reading", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func emptyStore(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    #expect(try store.records(for: [key("a")]) == [nil])
    #expect(try store.records(storageKey: nil, pipeline: nil).isEmpty)
    #expect(try store.results(for: [digest("")]).isEmpty)
    #expect(try store.components(of: [digest("")]).isEmpty)
    #expect(try store.treeNode(digest("")) == nil)
    #expect(try store.invalidationHorizons(for: [key("a")]).isEmpty)
    #expect(try store.specification(of: key("a")) == nil)
    #expect(try store.dependencies(of: [key("a")]).isEmpty)
    #expect(try store.runs(matching: RunFilter()).isEmpty)
    #expect(try store.blobs([digest("")]).isEmpty)
    #expect(try store.inlineContent(digest("")) == nil)
    #expect(try store.leases(named: ["a"]).isEmpty)
    #expect(try store.outputs(below: "build", near: key("a")).isEmpty)
    #expect(TemporaryFolder.current.names(in: ".").isEmpty)
  }

  @Test("a begun run is on record as running, under its leases", .temporaryFolder, arguments: RecordStoreBackend.all)
  func begin(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.leases = ["task", "outputs"]
    let run = try step.begin(in: store)
    #expect(run.key == step.key && run.tokens.count == 2)
    let record = try #require(try store.record(step.key))
    #expect(record.status == .running && record.lastRun == run.id && record.lastRunState == .running)
    #expect(record.actionKey == nil && record.result == nil && record.startTime == Time.day(1))
    let leases = try store.leases(named: ["outputs", "task", "none"])
    #expect(leases.map(\.name) == ["outputs", "task"])
    #expect(Set(leases.map(\.token)) == Set(run.tokens))
    #expect(leases.allSatisfy { $0.owner == step.owner && $0.child == nil && $0.worker == "boot/pid" })
    #expect(leases.allSatisfy { $0.acquiredAt == Time.day(1) && $0.expiresAt == Time.day(2) })
    #expect(leases.allSatisfy { $0.run == run.id && $0.actionKey == step.actionKey })
  }

  @Test(
    "a finished run is on record with its result, contents and history", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func finish(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.outputs = ["build/a.csv": "A", "build/b.csv": "B"]
    step.log = "printed"
    step.upstream = ["load", "fetch"]
    let run = try step.run(in: store)

    let record = try #require(try store.record(step.key))
    #expect(record.key == step.key && record.status == .success)
    #expect(record.actionKey == step.actionKey && record.code == step.fingerprint.code)
    #expect(record.inputs == step.fingerprint.inputs && record.data == step.fingerprint.data)
    #expect(record.outputsVersion == step.manifest.digest.hex && record.outputDataVersion == nil)
    #expect(record.endTime == Time.day(1) && record.invalidation == nil)
    #expect(record.lastRun == run.id && record.lastRunState == .completed)
    let result = try #require(record.result)
    #expect(result.actionKey == step.actionKey && result.manifest == step.manifest)
    #expect(result.outputsVersion == step.manifest.digest && result.log == digest("printed"))
    #expect(result.producer == step.key && result.durationMicroseconds == 1234 && result.createdAt == Time.day(1))
    #expect(try store.results(for: [step.actionKey]) == [step.actionKey: [result]])
    #expect(try store.specification(of: step.key) == #"{"id":"clean"}"#)
    #expect(try store.dependencies(of: [step.key]) == [step.key: ["fetch", "load"]])
    #expect(try store.leases(named: ["task main penguins clean"]).isEmpty)

    let history = try #require(try store.runs(matching: RunFilter()).first)
    #expect(history.id == run.id && history.key == step.key && history.state == .completed && history.kind == "run")
    #expect(history.exitCode == 0 && history.durationMicroseconds == 1234 && history.actionKey == step.actionKey)
    #expect(history.startedAt == Time.day(1) && history.finishedAt == Time.day(1) && history.log == digest("printed"))
    #expect(history.reasons == #"[{"kind":"neverRan"}]"# && history.createdBy == "me@here" && history.errorInfo == nil)
  }

  @Test(
    "a failure keeps no result, and dependencies are those of the last run", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func failure(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.outputs = ["a": "A"]
    step.upstream = ["load"]
    try step.run(in: store)
    step.upstream = ["other"]
    let run = try step.begin(in: store)
    var outcome = step.ending(.failed, .failure, exitCode: 3)
    outcome.errorInfo = #"{"kind":"exit"}"#
    try store.finish(run, with: outcome)
    let record = try #require(try store.record(step.key))
    #expect(record.status == .failure && record.result == nil && record.outputsVersion == nil)
    #expect(record.actionKey == step.actionKey)
    #expect(try store.dependencies(of: [step.key]) == [step.key: ["other"]])
    let history = try store.runs(matching: RunFilter())
    #expect(history.map(\.state) == [.failed, .completed] && history.first?.exitCode == 3)
    #expect(history.first?.errorInfo == #"{"kind":"exit"}"#)
    // The old result still stands for whoever has its key again.
    #expect(try store.newestResult(of: step).manifest == step.manifest)
  }

  @Test(
    "a cancelled run leaves fingerprint and result of before, and says so", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func cancelled(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.outputs = ["a": "A"]
    try step.run(in: store)
    let before = try #require(try store.record(step.key))
    let other = Step("clean", version: "2")
    try store.finish(try other.begin(in: store), with: other.ending(.cancelled, nil, exitCode: nil))
    let record = try #require(try store.record(step.key))
    #expect(record.actionKey == before.actionKey && record.result == before.result && record.inputs == before.inputs)
    #expect(record.status == .incomplete && record.lastRunState == .cancelled)
  }

  @Test("what is held is not begun, and who holds it is named", .temporaryFolder, arguments: RecordStoreBackend.all)
  func held(backend: RecordStoreBackend) throws {
    let (store, other) = (try backend.open(), try backend.open())
    var step = Step("clean")
    step.leases = ["task clean", "outputs"]
    let run = try step.begin(in: store)
    try store.noteChild(LeaseProcess(pid: 99, startTime: .max, processGroup: 98), of: run)
    try store.renew(run, until: Time.day(9))

    var second = Step("other", on: "feature")
    second.leases = ["task other", "outputs"]
    guard case .held(let leases) = try other.begin(second.newRun, replacing: []) else {
      Issue.record("the lease on the outputs should be in the way")
      return
    }
    #expect(leases.map(\.name) == ["outputs"] && leases.first?.owner == step.owner)
    #expect(leases.first?.child == LeaseProcess(pid: 99, startTime: .max, processGroup: 98))
    #expect(leases.first?.expiresAt == Time.day(9))
    #expect(try other.leases(named: ["task other"]).isEmpty)
    #expect(try other.record(second.key) == nil)
    #expect(try other.runs(matching: RunFilter()).count == 1)
    try store.finish(run, with: step.success)
    _ = try second.begin(in: other)
  }

  @Test("a decision that is out of date begins nothing", .temporaryFolder, arguments: RecordStoreBackend.all)
  func moved(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    let first = try step.run(in: store)
    try step.run(in: store)
    let last = try #require(try store.record(step.key)?.lastRun)
    let stale: [(Int64?, RunState?)] = [
      (nil, nil), (first.id, .completed), (1000, .completed), (last, .running), (last, nil),
    ]
    for (previous, state) in stale {
      var stale = step.newRun
      (stale.previousRun, stale.previousRunState) = (previous, state)
      guard case .moved = try store.begin(stale, replacing: []) else {
        Issue.record("begun with an old decision")
        return
      }
    }
    #expect(try store.runs(matching: RunFilter()).count == 2)
    #expect(try store.record(step.key)?.status == .success)
    #expect(try store.leases(named: step.newRun.leases).isEmpty)
  }

  @Test("an owner that was replaced can publish nothing any more", .temporaryFolder, arguments: RecordStoreBackend.all)
  func fencing(backend: RecordStoreBackend) throws {
    let (stale, store) = (try backend.open(), try backend.open())
    var step = Step("clean")
    step.leases = ["task", "outputs"]
    step.outputs = ["a": "from the stale owner"]
    let lost = try step.begin(in: stale)
    var second = step
    second.outputs = ["a": "from the new owner"]
    let taken = try second.begin(in: store, replacing: lost.tokens)
    #expect(Set(taken.tokens).isDisjoint(with: lost.tokens))
    #expect((taken.tokens.min() ?? 0) > (lost.tokens.max() ?? 0))

    let saved = SavedContent(path: "a", blob: Step.blob("saved"))
    #expect(code { try stale.finish(lost, with: step.success) } == .leaseLost)
    #expect(code { try stale.renew(lost, until: Time.day(9)) } == .leaseLost)
    #expect(code { try stale.save([saved], for: lost) } == .leaseLost)
    #expect(
      code { try stale.noteChild(LeaseProcess(pid: 1, startTime: 1, processGroup: nil), of: lost) } == .leaseLost)
    #expect(try store.results(for: [step.actionKey]).isEmpty)
    #expect(try store.blobs([digest("from the stale owner"), digest("saved")]).isEmpty)
    #expect(try store.record(step.key)?.status == .running)
    #expect(try store.runs(matching: RunFilter()).map(\.state) == [.running, .cancelled])
    #expect(try store.leases(named: ["task"]).first?.expiresAt == Time.day(2))

    try store.finish(taken, with: second.success)
    #expect(try store.newestResult(of: step).manifest == second.manifest)
    #expect(code { try store.finish(taken, with: second.success) } == .leaseLost)
  }

  @Test("an owner that lost one of two leases can publish nothing", .temporaryFolder, arguments: RecordStoreBackend.all)
  func halfFenced(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.leases = ["task clean", "outputs"]
    let run = try step.begin(in: store)
    let outputs = try #require(try store.leases(named: ["outputs"]).first)
    var other = Step("other")
    other.leases = ["task other", "outputs"]
    _ = try other.begin(in: store, replacing: [outputs.token])
    #expect(code { try store.finish(run, with: step.success) } == .leaseLost)
  }

  @Test("a token that another took since is left alone", .temporaryFolder, arguments: RecordStoreBackend.all)
  func oldToken(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    let first = try step.begin(in: store)
    let second = try step.begin(in: store, replacing: first.tokens)
    guard case .held(let leases) = try store.begin(step.newRun, replacing: first.tokens) else {
      Issue.record("an old token took a lease away")
      return
    }
    #expect(leases.map(\.token) == second.tokens)
  }

  @Test(
    "what a run is about to remove is named and kept, however often it says so", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func save(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    let run = try step.begin(in: store)
    let raw = ByteString(bytes: [0xff, 0x2f, 0x61])
    try store.save([SavedContent(path: raw, blob: Step.blob("one"))], for: run)
    try store.save([SavedContent(path: "b", blob: Step.blob("two"))], for: run)
    try store.save([], for: run)
    #expect(try store.inlineContent(digest("one"))?.content == Array("one".utf8))
    try store.finish(run, with: step.success)
    let report = try store.collectGarbage(olderThan: Time.day(1), treeChildren: { _ in [] })
    #expect(report.blobs == 0)
    #expect(try store.blobs([digest("one"), digest("two")]).count == 2)
  }
}
