import PurserHashing
import PurserModel
import PurserStore
import Testing

@Suite("Record store contract: task data")
struct TaskDataContractTests {
  private let step = Step("load")

  private func list(_ count: Int) -> TaskData {
    TaskData(isList: true, elements: (0..<count).map { #"{"n": \#($0)}"# })
  }

  private func outcome(_ data: TaskData?, of step: Step) -> RunOutcome {
    var outcome = step.success
    if let data {
      outcome.taskData = data
      outcome.outputDataVersion = digest(data.canonicalText).hex
      outcome.dataDigest = digest(data.text)
      outcome.blobs.append(Step.blob(data.text))
    }
    return outcome
  }

  @Test(
    "data is read back, each element as it came", .temporaryFolder, arguments: RecordStoreBackend.all,
    [
      TaskData(isList: false, elements: ["null"]), TaskData(isList: false, elements: [#"{"a": [1, 2], "b": 1e999}"#]),
      TaskData(isList: true, elements: []), TaskData(isList: true, elements: ["[]"]),
      TaskData(isList: true, elements: ["123456789012345678901234567890", "0.10", #""\u00e9 é""#]),
      TaskData(isList: true, elements: (0..<500).map { "\($0)" }),
      TaskData(isList: true, elements: (0..<1201).map { "\"\($0)\"" }),
    ])
  func roundTrip(backend: RecordStoreBackend, data: TaskData) throws {
    let store = try backend.open()
    #expect(try store.taskData(of: step.key, .result) == nil)
    try store.setTaskData(data, version: "v", of: step.key, .result, now: Time.day(1))
    #expect(try store.taskData(of: step.key, .result) == data)
    #expect(try backend.open().taskData(of: step.key, .result) == data)
    #expect(try store.taskData(of: step.key, .subset) == nil)
    let record = try #require(try store.record(step.key))
    #expect(record.taskdataCount == data.elements.count && record.outputDataVersion == "v")
  }

  @Test(
    "other data takes the place of all of it, and none removes it", .temporaryFolder, arguments: RecordStoreBackend.all)
  func replace(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    for data in [list(1700), list(600), TaskData(isList: false, elements: ["1"]), list(0), list(501)] {
      try store.setTaskData(data, version: "v", of: step.key, .result, now: Time.day(1))
      #expect(try store.taskData(of: step.key, .result) == data)
    }
    try store.setTaskData(nil, version: "ignored", of: step.key, .result, now: Time.day(2))
    #expect(try store.taskData(of: step.key, .result) == nil)
    let record = try #require(try store.record(step.key))
    #expect(record.taskdataCount == 0 && record.outputDataVersion == nil && record.updatedAt == Time.day(2))
  }

  @Test("a subset's data stands by itself", .temporaryFolder, arguments: RecordStoreBackend.all)
  func subset(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try store.setTaskData(list(3), version: "v", of: step.key, .result, now: Time.day(1))
    try store.setTaskData(list(2), version: "w", of: step.key, .subset, now: Time.day(1))
    #expect(try store.taskData(of: step.key, .subset) == list(2))
    #expect(try store.taskData(of: step.key, .result) == list(3))
    #expect(try store.record(step.key)?.outputDataVersion == "v")
    try store.setTaskData(nil, version: nil, of: step.key, .subset, now: Time.day(1))
    #expect(try store.taskData(of: step.key, .subset) == nil)
    #expect(try store.record(step.key)?.taskdataCount == 3)
  }

  @Test("a success records its data with its result", .temporaryFolder, arguments: RecordStoreBackend.all)
  func success(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try store.finish(try step.begin(in: store), with: outcome(list(700), of: step))
    #expect(try store.taskData(of: step.key, .result) == list(700))
    let record = try #require(try store.record(step.key))
    #expect(record.taskdataCount == 700 && record.outputDataVersion == digest(list(700).canonicalText).hex)
    let result = try store.newestResult(of: step)
    #expect(result.data == digest(list(700).text) && result.dataCount == 700)
    #expect(record.result == result)
    // The data is a content of the result, as an output is.
    #expect(try store.collectGarbage(olderThan: Time.day(9), treeChildren: { _ in [] }).blobs == 0)
    #expect(try store.inlineContent(digest(list(700).text)) != nil)

    // Without data there is none; the old result keeps its own.
    let other = Step("load", version: "2")
    try store.finish(try other.begin(in: store), with: outcome(nil, of: other))
    #expect(try store.taskData(of: step.key, .result) == nil)
    #expect(try store.record(step.key)?.outputDataVersion == nil)
    #expect(try store.newestResult(of: other).data == nil && store.newestResult(of: other).dataCount == 0)
    #expect(try store.newestResult(of: step) == result)

    // Restored, it is written again.
    var restore = step.ending(.completed, .success, exitCode: 0)
    restore.restored = result
    restore.taskData = list(700)
    restore.outputDataVersion = "v"
    try store.finish(try step.begin(in: store), with: restore)
    #expect(try store.taskData(of: step.key, .result) == list(700))
    #expect(try store.record(step.key)?.outputDataVersion == "v" && store.record(step.key)?.result == result)
  }

  @Test(
    "what did not succeed leaves the data of before", .temporaryFolder, arguments: RecordStoreBackend.all,
    [TaskStatus.failure, .incomplete, nil])
  func failure(backend: RecordStoreBackend, status: TaskStatus?) throws {
    let store = try backend.open()
    try store.finish(try step.begin(in: store), with: outcome(list(3), of: step))
    try store.finish(try step.begin(in: store), with: step.ending(.failed, status, exitCode: 1))
    #expect(try store.taskData(of: step.key, .result) == list(3))
    #expect(try store.record(step.key)?.taskdataCount == 3 && store.record(step.key)?.outputDataVersion != nil)
  }

  @Test("adopting what is there leaves its data", .temporaryFolder, arguments: RecordStoreBackend.all)
  func adopt(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try store.finish(try step.begin(in: store), with: outcome(list(3), of: step))
    var run = step.newRun
    let record = try #require(try store.record(step.key))
    (run.kind, run.previousRun, run.previousRunState) = ("adopt", record.lastRun, record.lastRunState)
    guard case .opened(let open) = try store.begin(run, replacing: []) else {
      Issue.record("not opened")
      return
    }
    var outcome = step.ending(.completed, .success, exitCode: 0)
    outcome.restored = record.result
    try store.finish(open, with: outcome)
    #expect(try store.taskData(of: step.key, .result) == list(3))
  }

  @Test(
    "a result whose data is no content of the store is not recorded", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func missingBlob(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let run = try step.begin(in: store)
    var bad = outcome(list(3), of: step)
    bad.blobs = []
    #expect(code { try store.finish(run, with: bad) } == .corrupt)
    #expect(try store.taskData(of: step.key, .result) == nil)
    #expect(try store.results(for: [step.actionKey]) == [:])
    try store.finish(run, with: outcome(list(3), of: step))
  }
}
