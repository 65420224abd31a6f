import PurserHashing
import PurserModel
import PurserStore
import Testing

/// Marks beside runs that are under way, and marks that are taken back.
@Suite("Record store contract: marks")
struct MarkContractTests {
  private let mark = Invalidation(at: Time.day(2), by: "me@here", why: "because")

  // MARK: Runs that are under way

  @Test(
    "a run that began before the mark makes nothing that counts, one that began after it does", .temporaryFolder,
    arguments: RecordStoreBackend.all, [false, true])
  func underWay(backend: RecordStoreBackend, hasRun: Bool) throws {
    let store = try backend.open()
    let step = Step("clean")
    if hasRun { try step.run(in: store) }
    let open = try step.begin(in: store)
    #expect(try store.invalidate([step.key]) == ["main/clean"])
    #expect(try store.finish(open, with: step.success) == mark)
    let record = try #require(try store.record(step.key))
    #expect(record.status == .success && record.invalidation == mark && record.markedRun == open.id)
    let horizon = try #require(try store.invalidationHorizons(for: [step.key])[step.key])
    #expect(try horizon.voids(store.newestResult(of: step)))

    let next = try step.begin(in: store)
    #expect(try store.finish(next, with: step.success) == nil)
    #expect(try store.record(step.key)?.invalidation == nil)
    #expect(try !horizon.voids(store.newestResult(of: step)))
  }

  @Test(
    "what another storage key was about to make when the mark was made does not count on the marked one",
    .temporaryFolder, arguments: RecordStoreBackend.all)
  func underWayElsewhere(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    let other = Step("clean", on: "feature")
    try step.run(in: store)
    let open = try other.begin(in: store)
    _ = try store.invalidate([step.key])
    #expect(try store.finish(open, with: other.success) == nil)
    let horizon = try #require(try store.invalidationHorizons(for: [step.key])[step.key])
    let result = try store.newestResult(of: step)
    #expect(result.producer == other.key && horizon.voids(result))
    #expect(try store.record(other.key)?.invalidation == nil)
  }

  @Test(
    "a run that fails, or puts back what is void, tells of the mark as it is", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func otherEnds(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    try step.run(in: store)
    let result = try store.newestResult(of: step)
    let failing = try step.begin(in: store)
    _ = try store.invalidate([step.key])
    #expect(try store.finish(failing, with: step.ending(.failed, .failure, exitCode: 1)) == nil)
    let restoring = try step.begin(in: store)
    var outcome = step.ending(.completed, .success, exitCode: 0)
    outcome.restored = result
    #expect(try store.finish(restoring, with: outcome) == mark)
    #expect(try store.record(step.key)?.invalidation == mark)
  }

  @Test(
    "a mark on all keys voids what runs on any key were about to make, for every key", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func underWayOnAllKeys(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    let feature = Step("clean", on: "feature")
    // Another task that does the very same, and was never named.
    var twin = Step("twin", pipeline: "other")
    twin.components = step.components
    try step.run(in: store)
    let runs = try [feature.begin(in: store), twin.begin(in: store)]
    _ = try store.invalidate([step.key], allKeys: true)
    try store.finish(runs[0], with: feature.success)
    try store.finish(runs[1], with: twin.success)
    #expect(try store.results(for: [step.actionKey]) == [:])
    #expect(try store.record(feature.key)?.invalidation == mark)
    #expect(try store.record(twin.key)?.invalidation == mark)

    try feature.run(in: store)
    #expect(try store.results(for: [step.actionKey])[step.actionKey]?.count == 1)
    _ = try store.takeBack([step.key], allKeys: true)
    #expect(try store.results(for: [step.actionKey])[step.actionKey]?.count == 4)
    #expect(try store.record(twin.key)?.invalidation == nil)
  }

  @Test(
    "items of a run that began before the mark make nothing that counts", .temporaryFolder,
    arguments: RecordStoreBackend.all, [false, true])
  func items(backend: RecordStoreBackend, allKeys: Bool) throws {
    let store = try backend.open()
    let step = Step("map")
    let open = try step.begin(in: store)
    try store.setSubtasks((0..<2).map { Subtask(index: $0, key: "\($0)") }, of: step.key, under: open)
    func end(_ index: Int, under run: OpenRun) throws {
      let made = NewItemResult(manifest: Step("x").manifest, data: "\(index)", durationMicroseconds: 1, blobs: [])
      try store.append(
        [
          ItemProgress(
            event: SubtaskEvent(index: index, status: .done, time: Time.day(3), contentKey: digest("\(index)")),
            result: made)
        ], of: step.key, under: run)
    }
    let wanted = [digest("0"), digest("1")]
    try end(0, under: open)
    _ = try store.invalidate([step.key], allKeys: allKeys)
    try end(1, under: open)
    #expect(try store.itemResults(for: wanted, of: step.key) == [:])
    #expect(try store.itemResults(for: wanted, of: key("map", on: "feature")).count == (allKeys ? 0 : 2))
    // One search for each key, and all rows at once, come to the same.
    #expect(try store.itemResults(for: wanted + (0..<50).map { digest("no \($0)") }, of: step.key) == [:])
    try store.finish(open, with: step.ending(.failed, .incomplete, exitCode: 1))

    let next = try step.begin(in: store)
    try end(1, under: next)
    #expect(Set(try store.itemResults(for: wanted, of: step.key).keys) == [digest("1")])
    try store.finish(next, with: step.ending(.failed, .incomplete, exitCode: 1))
    _ = try store.takeBack([step.key], allKeys: allKeys)
    #expect(try store.itemResults(for: wanted, of: step.key).count == 2)
  }

  @Test(
    "what follows is known from the moment that it begins", .temporaryFolder, arguments: RecordStoreBackend.all,
    [false, true])
  func beginning(backend: RecordStoreBackend, isKilled: Bool) throws {
    let store = try backend.open()
    try Step("list").run(in: store)
    var step = Step("map")
    step.upstream = ["list"]
    let open = try step.begin(in: store)
    try store.setSubtasks([Subtask(index: 0, key: "0")], of: step.key, under: open)
    let made = NewItemResult(manifest: Step("x").manifest, data: "0", durationMicroseconds: 1, blobs: [])
    let end = SubtaskEvent(index: 0, status: .done, time: Time.day(1), contentKey: digest("0"))
    try store.append([ItemProgress(event: end, result: made)], of: step.key, under: open)
    if isKilled { try store.finish(open, with: step.ending(.cancelled, nil, exitCode: nil)) }
    #expect(try store.invalidate([key("list")], downstream: true) == ["main/list", "main/map"])
    #expect(try store.itemResults(for: [digest("0")], of: step.key) == [:])
    if !isKilled { #expect(try store.finish(open, with: step.success) == mark) }
  }

  @Test(
    "a mark on all keys goes for what another pipeline has made, wherever the task puts it back", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func putBackFromElsewhere(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let other = Step("clean", pipeline: "other")
    try other.run(in: store)
    let result = try store.newestResult(of: other)
    try Step("clean").restore(result, in: store)
    // The record goes on to something else, so that nothing there tells of it.
    try Step("clean", version: "2").run(in: store)
    _ = try store.invalidate([key("clean")], allKeys: true)
    func mayPutBack(_ step: Step) throws -> Bool {
      let horizon = try store.invalidationHorizons(for: [step.key])[step.key]
      var run = step.newRun
      run.key = step.key.naming(step.key.task)
      run.restoring = result.id
      guard case .opened(let open) = try store.begin(run, replacing: []) else { return false }
      try store.finish(open, with: step.ending(.cancelled, nil, exitCode: nil))
      return horizon?.voids(result) != true
    }
    let new = Step("clean", on: "new")
    #expect(try !mayPutBack(new))
    #expect(try mayPutBack(Step("clean", on: "new", pipeline: "other")), "which was not marked")
    _ = try store.takeBack([key("clean")], allKeys: true)
    #expect(try mayPutBack(new))
  }

  @Test(
    "so it does for items, of the task that has put them back and of the one that made them", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func itemsFromElsewhere(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let other = Step("map", pipeline: "other")
    let open = try other.begin(in: store)
    try store.setSubtasks([Subtask(index: 0, key: "0"), Subtask(index: 1, key: "1")], of: other.key, under: open)
    for index in 0..<2 {
      let made = NewItemResult(manifest: Step("x").manifest, data: "\(index)", durationMicroseconds: 1, blobs: [])
      let end = SubtaskEvent(index: index, status: .done, time: Time.day(1), contentKey: digest("\(index)"))
      try store.append([ItemProgress(event: end, result: made)], of: other.key, under: open)
    }
    try store.finish(open, with: other.success)
    // Only one of them is an item of the marked task.
    var item = Subtask(index: 0, key: "0")
    (item.status, item.endTime, item.contentKey) = (.done, Time.day(1), digest("0"))
    let step = Step("map")
    let restoring = try step.begin(in: store)
    try store.setSubtasks([item], of: step.key, under: restoring)
    try store.finish(restoring, with: step.success)
    _ = try store.invalidate([step.key], allKeys: true)
    let wanted = [digest("0"), digest("1")]
    #expect(try store.itemResults(for: wanted, of: key("map", on: "new")) == [:])
    let left = try store.itemResults(for: wanted, of: key("map", on: "new", pipeline: "other"))
    #expect(Set(left.keys) == [digest("1")])
    _ = try store.takeBack([step.key], allKeys: true)
    #expect(try store.itemResults(for: wanted, of: key("map", on: "new")).count == 2)
  }

  @Test(
    "tasks whose names are the same but for their bytes are two tasks", .temporaryFolder,
    arguments: RecordStoreBackend.all, [false, true])
  func bytes(backend: RecordStoreBackend, allKeys: Bool) throws {
    let store = try backend.open()
    let keys = [key("\u{e9}"), key("e\u{301}")]
    for key in keys { try Step(key.task).run(in: store) }
    #expect(try store.invalidate([keys[0]], allKeys: allKeys).count == 1)
    #expect(try keys.map { try store.record($0)?.invalidation } == [mark, nil])
    #expect(try store.takeBack([keys[0]], allKeys: allKeys).count == 1)
    #expect(try store.invalidate(keys, allKeys: allKeys).count == 2)
    #expect(try keys.map { try store.record($0)?.invalidation } == [mark, mark])
    #expect(try store.takeBack(keys, allKeys: allKeys).count == 2)
    #expect(try keys.map { try store.record($0)?.invalidation } == [nil, nil])
  }

  @Test(
    "items that another task has done the same are void on all keys too", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func sharedItems(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    for task in ["map", "twin", "other"] {
      try store.setSubtasks([Subtask(index: 0, key: "0")], of: key(task), under: nil)
      let made = NewItemResult(manifest: Step("x").manifest, data: task, durationMicroseconds: 1, blobs: [])
      let content = digest(task == "other" ? "other" : "same")
      try store.append(
        [
          ItemProgress(
            event: SubtaskEvent(index: 0, status: .done, time: Time.day(1), contentKey: content), result: made)
        ], of: key(task), under: nil)
    }
    _ = try store.invalidate([key("map")], allKeys: true)
    #expect(
      try store.itemResults(for: [digest("same"), digest("other")], of: key("new")).mapValues(\.data)
        == [digest("other"): "other"])
  }

  // MARK: Taking back

  @Test(
    "a mark that is taken back leaves everything as it was", .temporaryFolder, arguments: RecordStoreBackend.all)
  func takeBack(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    try step.run(in: store)
    let before = try store.record(step.key)
    #expect(try store.takeBack([step.key]) == [])
    _ = try store.invalidate([step.key])
    #expect(
      try store.takeBack([step.key]) == [StandingMark(key: step.key, mark: mark, isOnAllKeys: false)])
    #expect(try store.record(step.key) == before)
    #expect(try store.invalidationHorizons(for: [step.key]) == [:])
    #expect(try store.takeBack([step.key]) == [])
  }

  @Test(
    "where there were several, the one before stands again", .temporaryFolder, arguments: RecordStoreBackend.all)
  func several(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    try step.run(in: store)
    let first = try store.newestResult(of: step)
    _ = try store.invalidate([step.key], day: 2, why: "first")
    try step.run(in: store)
    let second = try store.newestResult(of: step)
    _ = try store.invalidate([step.key], day: 3, why: "second")
    #expect(try store.takeBack([step.key]).map(\.mark.why) == ["second"])
    let horizon = try #require(try store.invalidationHorizons(for: [step.key])[step.key])
    #expect(horizon.voids(first) && !horizon.voids(second))
    #expect(try store.record(step.key)?.invalidation == nil)
    #expect(try store.takeBack([step.key]).map(\.mark.why) == ["first"])
    #expect(try store.invalidationHorizons(for: [step.key]) == [:])
  }

  @Test(
    "a run that was under way counts once the mark is taken back", .temporaryFolder,
    arguments: RecordStoreBackend.all, [false, true])
  func takeBackBeside(backend: RecordStoreBackend, isEarly: Bool) throws {
    let store = try backend.open()
    let step = Step("clean")
    let open = try step.begin(in: store)
    _ = try store.invalidate([step.key])
    if isEarly { _ = try store.takeBack([step.key]) }
    #expect(try store.finish(open, with: step.success) == (isEarly ? nil : mark))
    if !isEarly { _ = try store.takeBack([step.key]) }
    #expect(try store.record(step.key)?.invalidation == nil)
  }

  /// load, then left and right made from it, then join made from both.
  private func fillDiamond(_ store: any RecordStore, on storageKey: String = "main") throws {
    for (task, upstream) in [("load", []), ("left", ["load"]), ("right", ["load"]), ("join", ["left", "right"])] {
      var step = Step(task, on: storageKey)
      step.upstream = upstream
      try step.run(in: store)
    }
  }

  @Test(
    "downstream takes back what the same call has marked, wherever it stands, and no other mark", .temporaryFolder,
    arguments: RecordStoreBackend.all, [false, true])
  func downstream(backend: RecordStoreBackend, allKeys: Bool) throws {
    let store = try backend.open()
    try fillDiamond(store)
    try fillDiamond(store, on: "feature")
    let keys = allKeys ? ["feature", "main"] : ["main"]
    func takeBack(_ task: String) throws -> [String] {
      let taken = try store.takeBack([key(task)], downstream: true, allKeys: allKeys)
      #expect(Set(taken.map(\.key.storageKey)) == Set(taken.isEmpty ? [] : keys))
      return taken.filter { $0.key.storageKey == "main" }.map { "\($0.key.task) \($0.mark.why)" }.sorted()
    }
    func standing() throws -> [String] {
      try store.records(storageKey: "main", pipeline: nil).compactMap { record in
        record.invalidation.map { "\(record.key.task) \($0.why)" }
      }.sorted()
    }
    _ = try store.invalidate([key("load")], downstream: true, allKeys: allKeys, day: 2, why: "all")
    _ = try store.invalidate([key("left")], downstream: true, allKeys: allKeys, day: 3, why: "left")
    _ = try store.invalidate([key("join")], allKeys: allKeys, day: 4, why: "own")
    #expect(try takeBack("load") == ["join all", "left all", "load all", "right all"])
    #expect(try standing() == ["join own", "left left"])
    #expect(try takeBack("right") == [])
    #expect(try takeBack("left") == ["join left", "left left"])
    #expect(try standing() == ["join own"])
    #expect(try takeBack("join") == ["join own"])
    #expect(try store.records(storageKey: nil, pipeline: nil).allSatisfy { $0.invalidation == nil })
    #expect(try store.takeBack([key("load")], downstream: true, allKeys: allKeys) == [])
  }

  @Test(
    "a mark on all keys is taken back on all keys, and in no other way", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func onAllKeys(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    let feature = Step("clean", on: "feature")
    try step.run(in: store)
    try feature.run(in: store)
    let before = try store.records(storageKey: nil, pipeline: nil)
    _ = try store.invalidate([step.key], allKeys: true)
    #expect(try store.takeBack([step.key], isTrial: true).map(\.isOnAllKeys) == [true])
    #expect(try store.takeBack([step.key]) == [])
    #expect(try store.results(for: [step.actionKey]) == [:])
    // A mark of one key's own stays, on top or below.
    _ = try store.invalidate([feature.key], day: 3, why: "own")
    #expect(
      try store.takeBack([step.key], allKeys: true).map { "\($0.key.storageKey) \($0.mark.why)" }
        == ["feature because", "main because"])
    #expect(try store.record(step.key) == before.first { $0.key == step.key })
    #expect(try store.record(feature.key)?.invalidation?.why == "own")
    #expect(try store.results(for: [step.actionKey])[step.actionKey]?.count == 2)
    #expect(try store.takeBack([feature.key]).map(\.mark.why) == ["own"])
    #expect(try store.records(storageKey: nil, pipeline: nil) == before)
  }

  @Test(
    "of what several marks on all keys void, each frees only what no other one voids", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func sharedMarks(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    var twin = Step("twin")
    twin.components = step.components
    try step.run(in: store)
    _ = try store.invalidate([step.key], allKeys: true, day: 2)
    try twin.run(in: store)
    // Marked in one call, at one time.
    _ = try store.invalidate([step.key, twin.key], allKeys: true, day: 3)
    try step.run(in: store)
    let last = try store.newestResult(of: step)
    func valid() throws -> [Int64] { try store.results(for: [step.actionKey])[step.actionKey, default: []].map(\.id) }
    #expect(try valid() == [last.id])
    _ = try store.takeBack([step.key], allKeys: true)
    #expect(try valid() == [last.id], "the first is void by the mark of before, the second by that on the twin")
    _ = try store.takeBack([twin.key], allKeys: true)
    #expect(try valid() == [last.id, last.id - 1])
    _ = try store.takeBack([step.key], allKeys: true)
    #expect(try valid() == [last.id, last.id - 1, last.id - 2])
  }

  @Test(
    "an item that failed stays void when a mark on all keys is taken back", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func failedItem(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let task = key("map")
    try store.setSubtasks([Subtask(index: 0, key: "0")], of: task, under: nil)
    let made = NewItemResult(manifest: Step("x").manifest, data: "1", durationMicroseconds: 1, blobs: [])
    let done = SubtaskEvent(index: 0, status: .done, time: Time.day(1), contentKey: digest("0"))
    var failed = done
    failed.status = .failed
    try store.append([ItemProgress(event: done, result: made)], of: task, under: nil)
    try store.append([ItemProgress(event: failed)], of: task, under: nil)
    _ = try store.invalidate([task], allKeys: true)
    _ = try store.takeBack([task], allKeys: true)
    #expect(try store.itemResults(for: [digest("0")], of: task) == [:])
  }

  // MARK: Trials, traces, history

  @Test(
    "a trial tells the same and changes nothing", .temporaryFolder, arguments: RecordStoreBackend.all, [false, true])
  func trial(backend: RecordStoreBackend, allKeys: Bool) throws {
    let store = try backend.open()
    for storageKey in ["main", "feature"] {
      try Step("load", on: storageKey).run(in: store)
      var step = Step("clean", on: storageKey)
      step.upstream = ["load"]
      try step.run(in: store)
    }
    func state() throws -> [String] {
      let keys = try store.taskKeys(storageKey: nil, pipeline: nil, includesTraces: true)
      let results = try store.results(for: [Step("load").actionKey, Step("clean").actionKey])
      return [
        "\(try store.records(storageKey: nil, pipeline: nil))",
        "\(try store.events(matching: EventFilter(limit: 999)))",
        "\(keys.map { "\($0)" })", "\(results.sorted { $0.key < $1.key })",
        "\(try store.invalidationHorizons(for: keys).sorted { $0.key < $1.key })",
      ]
    }
    var request = InvalidationRequest(keys: [key("load")], includesDownstream: true, allKeys: allKeys, mark: mark)
    request.isTrial = true
    let before = try state()
    let trial = try store.invalidate(request)
    #expect(trial.count == (allKeys ? 4 : 2))
    #expect(try state() == before)
    request.isTrial = false
    #expect(try store.invalidate(request) == trial)
    let marked = try state()
    let tried = try store.takeBack([key("load")], downstream: true, allKeys: allKeys, isTrial: true)
    #expect(try state() == marked)
    #expect(Set(tried.map(\.key)) == Set(trial))
    #expect(try store.takeBack([key("load")], downstream: true, allKeys: allKeys) == tried)
    #expect(try store.records(storageKey: nil, pipeline: nil).allSatisfy { $0.invalidation == nil })
    #expect(try store.invalidationHorizons(for: trial) == [:])
    #expect(try store.results(for: [Step("load").actionKey])[Step("load").actionKey]?.count == 2)
  }

  @Test("results whose records are gone can be marked on all keys", .temporaryFolder, arguments: RecordStoreBackend.all)
  func traces(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean", on: "gone")
    try step.run(in: store)
    func drop() throws {
      let outcome = try store.drop(
        DropRequest(scope: BranchScope(storageKey: "gone"), now: Time.day(1), by: "me@here"))
      #expect(outcome == .dropped(BranchCounts(pipelines: ["penguins"], tasks: 1)))
    }
    try drop()
    #expect(try store.taskKeys(storageKey: nil, pipeline: nil, includesTraces: false) == [])
    #expect(try store.taskKeys(storageKey: nil, pipeline: "penguins", includesTraces: true) == [step.key])
    #expect(try store.taskKeys(storageKey: "main", pipeline: nil, includesTraces: true) == [])
    #expect(try store.invalidate([key("clean")]) == [])
    #expect(try store.results(for: [step.actionKey]).count == 1)
    #expect(try store.invalidate([key("clean")], allKeys: true) == ["gone/clean"])
    #expect(try store.results(for: [step.actionKey]) == [:])
    // Even where the mark's own rows went with their storage key.
    try Step("other", on: "gone").run(in: store)
    try drop()
    #expect(try store.takeBack([key("clean")], allKeys: true).map(\.key) == [step.key])
    #expect(try store.results(for: [step.actionKey]).count == 1)
  }

  @Test("tasks are listed by storage key and pipeline", .temporaryFolder, arguments: RecordStoreBackend.all)
  func taskKeys(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    for step in [Step("b"), Step("a"), Step("a", on: "feature"), Step("a", pipeline: "other")] {
      try step.run(in: store)
    }
    func names(_ storageKey: String?, _ pipeline: String?) throws -> [String] {
      try store.taskKeys(storageKey: storageKey, pipeline: pipeline, includesTraces: false).map {
        "\($0.storageKey)/\($0.pipeline)/\($0.task)"
      }
    }
    #expect(try names("main", "penguins") == ["main/penguins/a", "main/penguins/b"])
    #expect(try names("main", nil) == ["main/other/a", "main/penguins/a", "main/penguins/b"])
    #expect(try names(nil, "other") == ["main/other/a"])
    #expect(try names(nil, nil).count == 4)
  }

  @Test("history tells of the mark and of its taking back", .temporaryFolder, arguments: RecordStoreBackend.all)
  func events(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try Step("clean").run(in: store)
    _ = try store.invalidate([key("clean")], allKeys: true)
    _ = try store.takeBack([key("clean")], allKeys: true)
    var filter = EventFilter(limit: 9)
    filter.types = ["INVALIDATED", "REVALIDATED"]
    #expect(
      try store.events(matching: filter).map { "\($0.type)|\($0.time)|\($0.actor ?? "")|\($0.data ?? "")" } == [
        #"INVALIDATED|\#(Time.day(2))|me@here|{"why":"because","allKeys":true}"#,
        #"REVALIDATED|\#(Time.day(8))|you@there|{"why":"by mistake","allKeys":true,"mark":{"at":"\#(Time.day(2))","#
          + #""by":"me@here","why":"because"}}"#,
      ])
  }

  @Test(
    "a record that a mark on all keys voids without a mark of its own tells who and why", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func named(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let step = Step("clean")
    var twin = Step("twin", pipeline: "other")
    twin.components = step.components
    try step.run(in: store)
    try twin.run(in: store)
    _ = try store.invalidate([step.key], allKeys: true)
    #expect(try store.record(twin.key)?.invalidation == mark)
    #expect(try store.records(storageKey: nil, pipeline: "other").map(\.invalidation) == [mark])
  }
}
