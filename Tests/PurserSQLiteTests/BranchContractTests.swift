import PurserHashing
import PurserModel
import PurserStore
import Testing

@Suite("Record store contract: storage keys")
struct BranchContractTests {
  private func clone(
    _ store: any RecordStore, _ from: String = "main", to: String = "feature", pipeline: String? = nil,
    replaces: Bool = false, dead: [Int64] = []
  ) throws -> CloneOutcome {
    try store.clone(
      CloneRequest(
        from: BranchScope(storageKey: from, pipeline: pipeline), to: to, replaces: replaces, deadLeases: dead,
        now: Time.day(8), by: "me@here"))
  }

  private func drop(
    _ store: any RecordStore, _ key: String = "main", pipeline: String? = nil, dead: [Int64] = []
  ) throws -> DropOutcome {
    try store.drop(
      DropRequest(
        scope: BranchScope(storageKey: key, pipeline: pipeline), deadLeases: dead, now: Time.day(8), by: "me@here"))
  }

  private func items(_ count: Int) -> [Subtask] {
    (0..<count).map { index in
      var item = Subtask(index: index, key: "item \(index)")
      item.status = .done
      (item.startTime, item.endTime, item.attempt) = (Time.day(1), Time.day(2), 1)
      item.contentKey = digest("\(index)")
      return item
    }
  }

  /// Tasks with all that can hang from a record.
  private func fill(_ store: any RecordStore, on storageKey: String = "main", pipeline: String = "penguins") throws {
    var clean = Step("clean", on: storageKey, pipeline: pipeline)
    clean.outputs = ["clean.csv": "clean"]
    clean.log = "printed"
    try clean.run(in: store)
    var mapped = Step("map", on: storageKey, pipeline: pipeline)
    mapped.upstream = ["clean", "load"]
    try mapped.run(in: store)
    try store.setSubtasks(items(1201), of: mapped.key, under: nil)
    let failed = SubtaskEvent(index: 700, status: .failed, time: Time.day(3), error: "exit 1")
    try store.append([ItemProgress(event: failed)], of: mapped.key, under: nil)
    let data = TaskData(isList: true, elements: (0..<700).map { "\($0)" })
    try store.setTaskData(data, version: "v", of: mapped.key, .result, now: Time.day(1))
    try store.setTaskData(data, version: "v", of: mapped.key, .subset, now: Time.day(1))
    try Step("void", on: storageKey, pipeline: pipeline).run(in: store)
    _ = try store.invalidate([key("void", on: storageKey, pipeline: pipeline)], why: "new sensor")
    let failing = try Step("broken", on: storageKey, pipeline: pipeline).begin(in: store)
    try store.finish(
      failing, with: Step("broken", pipeline: pipeline).ending(.failed, .failure, exitCode: 1))
  }

  /// All that a store tells of a key, without the key itself and the times of the rows.
  private func contents(_ store: any RecordStore, _ storageKey: String) throws -> [String] {
    try store.records(storageKey: storageKey, pipeline: nil).map { record in
      var record = record
      let key = record.key
      record.key.storageKey = ""
      record.updatedAt = ""
      return
        """
        \(record) \(try store.subtasks(of: key)) \(String(describing: try store.taskData(of: key, .result))) \
        \(String(describing: try store.taskData(of: key, .subset))) \
        \(try store.dependencies(of: [key])[key]?.sorted() ?? []) \(try store.specification(of: key) ?? "") \
        \(String(describing: try store.invalidationHorizons(for: [key])[key]))
        """
    }
  }

  @Test(
    "of a store that does not exist yet there is nothing, and none is made", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func empty(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    #expect(try store.storageKeys(pipeline: nil) == [])
    #expect(try clone(store) == .nothing)
    #expect(try drop(store) == .nothing)
    #expect(TemporaryFolder.current.names(in: ".").isEmpty)
  }

  @Test("a copy has everything, and shares results and contents", .temporaryFolder, arguments: RecordStoreBackend.all)
  func copies(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try fill(store)
    try fill(store, pipeline: "other")
    try fill(store, on: "third")
    let results = try store.results(for: [Step("clean").actionKey])
    let (main, third) = (try contents(store, "main"), try contents(store, "third"))
    #expect(main.count == 8)
    #expect(
      try clone(store)
        == .cloned(
          BranchCounts(pipelines: ["other", "penguins"], tasks: 8, subtasks: 2402), replaced: BranchCounts()))
    #expect(try contents(store, "feature") == main)
    #expect(try contents(store, "main") == main)
    #expect(try contents(store, "third") == third)
    #expect(try store.results(for: [Step("clean").actionKey]) == results)
    let copy = try #require(try store.record(key("clean", on: "feature")))
    #expect(copy.updatedAt == Time.day(8) && copy.result?.producer == key("clean"))
    // What is void there is void here, and what is not can be restored on.
    #expect(try store.record(key("void", on: "feature"))?.invalidation?.why == "new sensor")
    #expect(try store.subtasks(of: key("map", on: "feature"))[700].error == "exit 1")
    #expect(try backend.open().record(key("clean", on: "feature")) == copy)
    // History is of what was done under a key.
    #expect(try store.runs(matching: RunFilter(storageKey: "feature")).isEmpty)
  }

  @Test("a copy goes its own way", .temporaryFolder, arguments: RecordStoreBackend.all)
  func independent(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try fill(store)
    let main = try contents(store, "main")
    _ = try clone(store)
    try Step("clean", on: "feature", version: "2").run(in: store)
    _ = try store.invalidate([key("clean", on: "feature")])
    try store.setSubtasks(items(3), of: key("map", on: "feature"), under: nil)
    try store.setTaskData(nil, version: nil, of: key("map", on: "feature"), .result, now: Time.day(9))
    #expect(try contents(store, "main") == main)
    let feature = try contents(store, "feature")
    try Step("clean", version: "3").run(in: store)
    #expect(try contents(store, "feature") == feature)
  }

  @Test("of one pipeline only that is copied", .temporaryFolder, arguments: RecordStoreBackend.all)
  func onePipeline(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try fill(store)
    try Step("x", pipeline: "other").run(in: store)
    try Step("y", on: "feature", pipeline: "other").run(in: store)
    #expect(try clone(store, pipeline: "none") == .nothing)
    guard case .cloned(let counts, replaced: BranchCounts()) = try clone(store, pipeline: "penguins") else {
      Issue.record("not cloned")
      return
    }
    #expect(counts == BranchCounts(pipelines: ["penguins"], tasks: 4, subtasks: 1201))
    #expect(
      try store.records(storageKey: "feature", pipeline: nil).map { "\($0.key.pipeline)/\($0.key.task)" }
        == ["other/y", "penguins/broken", "penguins/clean", "penguins/map", "penguins/void"])
  }

  @Test(
    "onto records only where they are to be replaced, and then all of them", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func replacing(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try fill(store)
    try fill(store, on: "feature", pipeline: "other")
    try Step("clean", on: "feature", version: "2").run(in: store)
    _ = try store.invalidate([key("clean", on: "feature")])
    let (main, feature) = (try contents(store, "main"), try contents(store, "feature"))
    let present = BranchCounts(pipelines: ["other", "penguins"], tasks: 5, subtasks: 1201)
    #expect(try clone(store) == .occupied(present))
    #expect(try contents(store, "feature") == feature)
    #expect(
      try clone(store, replaces: true)
        == .cloned(BranchCounts(pipelines: ["penguins"], tasks: 4, subtasks: 1201), replaced: present))
    #expect(try contents(store, "feature") == main)
    #expect(try contents(store, "main") == main)
  }

  @Test("what runs is copied as incomplete, and goes on", .temporaryFolder, arguments: RecordStoreBackend.all)
  func running(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("map")
    try step.run(in: store)
    try store.setSubtasks(items(3), of: step.key, under: nil)
    let run = try step.begin(in: store)
    try store.append(
      [ItemProgress(event: SubtaskEvent(index: 1, status: .running, time: Time.day(3)))], of: step.key, under: run)
    guard case .cloned = try clone(store) else {
      Issue.record("not cloned")
      return
    }
    let copy = try #require(try store.record(key("map", on: "feature")))
    #expect(copy.status == .incomplete && copy.lastRun == nil && copy.actionKey == step.actionKey)
    #expect(try store.subtasks(of: copy.key).map(\.status) == [.done, .running, .done])
    #expect(try store.record(step.key)?.status == .running)
    // The copy is nobody's work: it can be begun, while the original goes on.
    let other = try Step("map", on: "feature").begin(in: store)
    try store.append(
      [ItemProgress(event: SubtaskEvent(index: 1, status: .done, time: Time.day(4)))], of: step.key, under: run)
    try store.finish(run, with: step.success)
    try store.finish(other, with: Step("map", on: "feature").success)
    #expect(try store.subtasks(of: step.key).map(\.status) == [.done, .done, .done])
    #expect(try store.subtasks(of: copy.key).map(\.status) == [.done, .running, .done])
  }

  @Test("what somebody is at work on neither goes nor is replaced", .temporaryFolder, arguments: RecordStoreBackend.all)
  func held(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try Step("clean").run(in: store)
    try Step("clean", on: "feature").run(in: store)
    let run = try Step("load", on: "feature", pipeline: "other").begin(in: store)
    let before = try contents(store, "feature")
    let lease = try #require(try store.leases(named: ["task feature other load"]).first)
    #expect(try drop(store, "feature") == .held([lease]))
    #expect(try clone(store, replaces: true) == .held([lease]))
    #expect(try contents(store, "feature") == before)
    // Elsewhere nobody is at work.
    #expect(
      try drop(store, "feature", pipeline: "penguins") == .dropped(BranchCounts(pipelines: ["penguins"], tasks: 1)))
    #expect(try drop(store) == .dropped(BranchCounts(pipelines: ["penguins"], tasks: 1)))
    // A dead owner's lease stays for who takes it over.
    #expect(
      try drop(store, "feature", dead: run.tokens) == .dropped(BranchCounts(pipelines: ["other"], tasks: 1)))
    #expect(try store.leases(named: ["task feature other load"]) == [lease])
    #expect(try Step("load", on: "feature", pipeline: "other").begin(in: store, replacing: run.tokens).id > run.id)
  }

  @Test(
    "what is dropped is gone, but for history, results, and what other keys have", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func dropping(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try fill(store)
    try fill(store, on: "feature")
    try fill(store, on: "feature", pipeline: "other")
    let main = try contents(store, "main")
    let runs = try store.runs(matching: RunFilter())
    let counts = BranchCounts(pipelines: ["other", "penguins"], tasks: 8, subtasks: 2402)
    #expect(try drop(store, "feature") == .dropped(counts))
    #expect(try drop(store, "feature") == .nothing)
    #expect(try contents(store, "feature") == [])
    #expect(try store.subtasks(of: key("map", on: "feature")) == [])
    #expect(try store.taskData(of: key("map", on: "feature"), .result) == nil)
    #expect(try store.dependencies(of: [key("map", on: "feature")]) == [:])
    #expect(try store.invalidationHorizons(for: [key("void", on: "feature")]) == [:])
    #expect(try store.runs(matching: RunFilter()) == runs)
    #expect(try store.results(for: [Step("clean").actionKey])[Step("clean").actionKey]?.count == 3)
    #expect(try contents(store, "main") == main)
    // A name that was dropped begins anew.
    try Step("clean", on: "feature").run(in: store)
    #expect(try store.record(key("clean", on: "feature"))?.invalidation == nil)
  }

  @Test(
    "keys are counted, with what their results name and what no other key does", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func summaries(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    func run(_ task: String, _ key: String, _ pipeline: String, _ contents: [String], day: Int) throws {
      var step = Step(task, on: key, pipeline: pipeline, version: contents.joined())
      for (index, content) in contents.enumerated() { step.outputs[ByteString("\(index)")] = content }
      step.day = day
      try step.run(in: store)
    }
    try run("a", "main", "p", ["1", "22", "1"], day: 1)
    try run("b", "main", "p", ["22", "333"], day: 3)
    try run("c", "main", "q", ["4444"], day: 2)
    try run("a", "feature", "p", ["1", "55555"], day: 5)
    // What it was made of before counts no more.
    try run("a", "feature", "p", ["1", "666666"], day: 6)
    try store.setSubtasks(items(3), of: key("m", on: "zero", pipeline: "p"), under: nil)
    let main = StorageKeySummary(
      storageKey: "main", pipelines: ["p", "q"], tasks: 3, subtasks: 0, lastActivity: Time.day(3), bytes: 10,
      ownBytes: 9)
    let feature = StorageKeySummary(
      storageKey: "feature", pipelines: ["p"], tasks: 1, subtasks: 0, lastActivity: Time.day(6), bytes: 7, ownBytes: 6)
    let zero = StorageKeySummary(
      storageKey: "zero", pipelines: ["p"], tasks: 1, subtasks: 3, lastActivity: Time.day(1), bytes: 0, ownBytes: 0)
    #expect(try store.storageKeys(pipeline: nil) == [feature, main, zero])
    var part = main
    (part.pipelines, part.tasks, part.lastActivity, part.bytes, part.ownBytes) = (["q"], 1, Time.day(2), 4, 4)
    #expect(try store.storageKeys(pipeline: "q") == [part])
    #expect(try store.storageKeys(pipeline: "none") == [])
    _ = try clone(store, "feature", to: "copy")
    #expect(
      try store.storageKeys(pipeline: nil).map { "\($0.storageKey) \($0.bytes) \($0.ownBytes)" }
        == ["copy 7 0", "feature 7 0", "main 10 9", "zero 0 0"])
  }

  @Test("keys are told apart by their bytes", .temporaryFolder, arguments: RecordStoreBackend.all)
  func bytes(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let (composed, decomposed) = ("\u{e9}", "e\u{301}")
    try fill(store, on: composed)
    guard case .cloned = try clone(store, composed, to: decomposed) else {
      Issue.record("not cloned")
      return
    }
    #expect(
      try store.storageKeys(pipeline: nil).map { ByteString($0.storageKey) } == [
        ByteString(decomposed), ByteString(composed),
      ])
    #expect(try store.storageKeys(pipeline: nil).map(\.bytes) == [12, 12])
    guard case .dropped = try drop(store, composed) else {
      Issue.record("not dropped")
      return
    }
    #expect(try store.storageKeys(pipeline: nil).map { ByteString($0.storageKey) } == [ByteString(decomposed)])
  }
}
