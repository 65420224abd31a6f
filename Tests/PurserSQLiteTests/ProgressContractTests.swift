import PurserHashing
import PurserModel
import PurserStore
import Testing

@Suite("Record store contract: progress of mapped items")
struct ProgressContractTests {
  private let step = Step("map")

  private func items(_ count: Int) -> [Subtask] {
    (0..<count).map { Subtask(index: $0, key: "item \($0)") }
  }

  private func mark(
    _ index: Int, _ status: Subtask.Status, day: Int = 1, hash: String? = nil, error: String? = nil, key: Digest? = nil
  ) -> ItemProgress {
    ItemProgress(
      event: SubtaskEvent(
        index: index, status: status, time: Time.day(day), outputHash: hash, error: error, contentKey: key))
  }

  @Test(
    "a list is read back as it was set, by place, whatever it holds", .temporaryFolder,
    arguments: RecordStoreBackend.all, [0, 1, 499, 500, 501, 1200])
  func roundTrip(backend: RecordStoreBackend, count: Int) throws {
    let store = try backend.open()
    #expect(try store.subtasks(of: step.key) == [])
    #expect(try store.encodedSubtasks(of: step.key) == Array("[]".utf8))
    var list = items(count)
    for index in list.indices where index % 3 == 0 {
      list[index].key = ["é\"\\\n", "", "a,b", "😀 \u{1}"][index % 4]
      list[index].startTime = Time.day(1)
      list[index].endTime = index % 2 == 0 ? Time.day(2) : nil
      list[index].outputHash = "hash \(index)"
      list[index].status = index % 2 == 0 ? .done : .failed
      list[index].error = index % 2 == 0 ? nil : "line\twith \"quotes\""
      list[index].attempt = index
      list[index].contentKey = digest("\(index)")
    }
    try store.setSubtasks(list.reversed(), of: step.key, under: nil)
    #expect(try store.subtasks(of: step.key) == list)
    #expect(try backend.open().subtasks(of: step.key) == list)
    #expect(try store.encodedSubtasks(of: step.key) == Subtask.encoded(list))
    #expect(try store.record(step.key)?.subtaskCount == count)
    #expect(try store.subtasks(of: key("other")) == [])
    #expect(try store.subtasks(of: key("map", on: "feature")) == [])
  }

  @Test(
    "an item that failed has no end, and one that has an end is done", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func ends(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var list = items(4)
    let states: [Subtask.Status?] = [.failed, .running, .done, nil]
    for (index, status) in states.enumerated() {
      (list[index].status, list[index].endTime, list[index].error) = (status, Time.day(2), "e")
    }
    try store.setSubtasks(list, of: step.key, under: nil)
    let found = try store.subtasks(of: step.key)
    #expect(found.map(\.status) == [.failed, .done, .done, nil])
    #expect(found.map(\.endTime) == [nil, Time.day(2), Time.day(2), Time.day(2)])
    #expect(found.map(\.error) == ["e", nil, "e", "e"])
  }

  @Test(
    "what happened shows at once, to everybody, and folding changes nothing", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func events(backend: RecordStoreBackend) throws {
    let (store, other) = (try backend.open(), try backend.open())
    try store.setSubtasks(items(1200), of: step.key, under: nil)
    try store.append([mark(0, .running), mark(499, .running), mark(500, .running)], of: step.key, under: nil)
    try store.append([mark(0, .failed, day: 2, error: "exit 3")], of: step.key, under: nil)
    try other.append([mark(0, .running, day: 3), mark(1199, .running, day: 3)], of: step.key, under: nil)
    try store.append([mark(500, .done, day: 4, hash: "h", key: digest("k"))], of: step.key, under: nil)
    try other.append([mark(1199, .failed, day: 4, error: "late")], of: step.key, under: nil)
    try other.append([mark(7, .done, day: 5, key: digest("restored"))], of: step.key, under: nil)

    var expected = items(1200)
    expected[0].startTime = Time.day(3)
    expected[0].status = .running
    expected[0].attempt = 2
    expected[499].startTime = Time.day(1)
    expected[499].status = .running
    expected[499].attempt = 1
    expected[500].startTime = Time.day(1)
    expected[500].endTime = Time.day(4)
    expected[500].status = .done
    expected[500].attempt = 1
    expected[500].outputHash = "h"
    expected[500].contentKey = digest("k")
    expected[1199].startTime = Time.day(3)
    expected[1199].status = .failed
    expected[1199].attempt = 1
    expected[1199].error = "late"
    expected[7].endTime = Time.day(5)
    expected[7].status = .done
    expected[7].contentKey = digest("restored")
    #expect(expected.filter(\.isDone).map(\.index) == [7, 500])

    #expect(try store.subtasks(of: step.key) == expected)
    #expect(try other.subtasks(of: step.key) == expected)
    #expect(try store.encodedSubtasks(of: step.key) == Subtask.encoded(expected))
    try other.foldProgress(of: step.key)
    #expect(try store.subtasks(of: step.key) == expected)
    #expect(try store.encodedSubtasks(of: step.key) == Subtask.encoded(expected))
    #expect(try other.subtasks(of: step.key) == expected)
    try store.foldProgress(of: step.key)
    #expect(try store.subtasks(of: step.key) == expected)

    // An item that is started again forgets its end; what the bin says is where the journal begins.
    try store.append([mark(500, .running, day: 6), mark(0, .done, day: 6)], of: step.key, under: nil)
    expected[500].startTime = Time.day(6)
    expected[500].endTime = nil
    expected[500].status = .running
    expected[500].attempt = 2
    expected[500].outputHash = nil
    expected[500].contentKey = nil
    expected[0].endTime = Time.day(6)
    expected[0].status = .done
    #expect(try other.subtasks(of: step.key) == expected)
    try store.foldProgress(of: step.key)
    #expect(try other.subtasks(of: step.key) == expected)
  }

  @Test(
    "another list takes the place of the first with all that belongs to it", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func replace(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try store.setSubtasks(items(1600), of: step.key, under: nil)
    try store.append([mark(0, .done), mark(1599, .done)], of: step.key, under: nil)
    try store.setSubtasks(items(501), of: step.key, under: nil)
    #expect(try store.subtasks(of: step.key) == items(501))
    #expect(try store.record(step.key)?.subtaskCount == 501)
    try store.setSubtasks([], of: step.key, under: nil)
    #expect(try store.subtasks(of: step.key) == [])
    #expect(try store.record(step.key)?.subtaskCount == 0)
  }

  @Test("progress of one task is no progress of another", .temporaryFolder, arguments: RecordStoreBackend.all)
  func apart(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let keys = [key("a"), key("b"), key("a", on: "feature"), key("a", pipeline: "other")]
    for key in keys { try store.setSubtasks(items(2), of: key, under: nil) }
    for (number, key) in keys.enumerated() {
      try store.append([mark(number % 2, .done, day: number + 1)], of: key, under: nil)
    }
    for _ in 0..<2 {
      for (number, key) in keys.enumerated() {
        let list = try store.subtasks(of: key)
        #expect(list.map(\.endTime) == (0..<2).map { $0 == number % 2 ? Time.day(number + 1) : nil })
      }
      try store.foldProgress(of: keys[1])
    }
  }

  @Test(
    "an item that is not in the list is refused, and all that came with it", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func unknownItem(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    #expect(code { try store.append([mark(0, .done)], of: step.key, under: nil) } == .busy)
    try store.setSubtasks(items(3), of: step.key, under: nil)
    let error = #expect(throws: StoreError.self) {
      try store.append([mark(0, .done), mark(3, .done)], of: step.key, under: nil)
    }
    #expect(error?.code == .busy)
    #expect(
      error?.message == "task 'map' has no item at place 3: its list was changed by another process; look at the list "
        + "again")
    #expect(try store.subtasks(of: step.key) == items(3))
    try store.append([], of: key("nothing"), under: nil)
    try store.foldProgress(of: key("nothing"))
    #expect(try store.record(key("nothing")) == nil)
  }

  @Test("an owner that was replaced records nothing any more", .temporaryFolder, arguments: RecordStoreBackend.all)
  func fencing(backend: RecordStoreBackend) throws {
    let (stale, store) = (try backend.open(), try backend.open())
    let lost = try step.begin(in: stale)
    try stale.setSubtasks(items(2), of: step.key, under: lost)
    try stale.append([mark(0, .running)], of: step.key, under: lost)
    let taken = try step.begin(in: store, replacing: lost.tokens)
    let before = try store.subtasks(of: step.key)
    #expect(before[0].status == .running)
    #expect(code { try stale.append([mark(0, .done)], of: step.key, under: lost) } == .leaseLost)
    #expect(code { try stale.setSubtasks([], of: step.key, under: lost) } == .leaseLost)
    #expect(try store.subtasks(of: step.key) == before)
    try store.append([mark(0, .done)], of: step.key, under: taken)
    #expect(try stale.subtasks(of: step.key)[0].status == .done)
  }

  @Test(
    "the items outlive the run, however it ends", .temporaryFolder, arguments: RecordStoreBackend.all,
    [TaskStatus.success, .failure, .incomplete, nil])
  func finished(backend: RecordStoreBackend, status: TaskStatus?) throws {
    let store = try backend.open()
    let run = try step.begin(in: store)
    try store.setSubtasks(items(2), of: step.key, under: run)
    try store.append([mark(0, .done), mark(1, .failed, error: "no")], of: step.key, under: run)
    let before = try store.subtasks(of: step.key)
    try store.finish(run, with: step.ending(status == nil ? .cancelled : .completed, status, exitCode: 0))
    #expect(try store.subtasks(of: step.key) == before)
    #expect(try store.record(step.key)?.subtaskCount == 2)
    _ = try step.begin(in: store)
    #expect(try store.subtasks(of: step.key) == before)
  }

  @Test(
    "many events in all orders come out as they would one by one", .temporaryFolder, arguments: RecordStoreBackend.all
  )
  func many(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var expected = items(1300)
    try store.setSubtasks(expected, of: step.key, under: nil)
    for round in 0..<100 {
      var batch: [ItemProgress] = []
      // In some rounds so many that bins are written anew at once.
      for number in 0..<(round % 6 < 2 ? 1200 : 100) {
        let status: [Subtask.Status] = [.running, .done, .failed]
        let entry = mark(
          (round * 331 + number * number * 17) % 1300, status[number % 3], day: round + 1,
          hash: number % 2 == 0 ? "\(number)" : nil, error: number % 5 == 0 ? "\(number)" : nil,
          key: number % 7 == 0 ? digest("\(number)") : nil)
        batch.append(entry)
        expected[entry.event.index].apply(entry.event)
      }
      try store.append(batch, of: step.key, under: nil)
      if round % 9 == 0 { try store.foldProgress(of: step.key) }
      if round % 20 == 0 { #expect(try store.subtasks(of: step.key) == expected) }
    }
    #expect(try store.subtasks(of: step.key) == expected)
  }
}
