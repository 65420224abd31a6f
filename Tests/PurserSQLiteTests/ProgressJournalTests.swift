import PurserModel
import PurserStore
import Testing

@testable import PurserSQLite

/// What the protocol does not show: where progress stands in the file.
@Suite("The progress journal")
struct ProgressJournalTests {
  private let step = Step("map")

  private func list(_ count: Int) -> [Subtask] {
    (0..<count).map { Subtask(index: $0, key: "\($0)") }
  }

  private func event(_ index: Int, _ status: Subtask.Status = .done) -> ItemProgress {
    ItemProgress(event: SubtaskEvent(index: index, status: status, time: Time.day(1)))
  }

  @Test("holds events until they are folded, and folding writes only the bins that they speak of", .temporaryFolder)
  func fold() throws {
    let store = try openSQLite()
    try store.setSubtasks(list(1600), of: step.key, under: nil)
    let database = try Database()
    try database.connection.execute("UPDATE subtask_bins SET updated_at = 'before'")
    let before = try database.rows("SELECT data FROM subtask_bins ORDER BY bin_id")
    try store.append([event(3), event(1500), event(3, .failed)], of: step.key, under: nil)
    #expect(
      try database.rows("SELECT id & 65535, item, status FROM subtask_events", columns: 3) == [
        "1|3|2", "2|1500|2", "3|3|3",
      ])
    #expect(try database.rows("SELECT data FROM subtask_bins ORDER BY bin_id") == before)
    try store.foldProgress(of: step.key)
    #expect(try database.count("subtask_events") == 0)
    #expect(
      try database.rows("SELECT bin_id, updated_at FROM subtask_bins ORDER BY bin_id", columns: 2)
        == ["0|\(Time.day(1))", "1|before", "2|before", "3|\(Time.day(1))"])
    try store.append([event(0)], of: step.key, under: nil)
    #expect(try database.rows("SELECT id & 65535 FROM subtask_events") == ["1"])
  }

  @Test("is folded when the run ends, and when the record goes so does it", .temporaryFolder)
  func finish() throws {
    let store = try openSQLite()
    let run = try step.begin(in: store)
    try store.setSubtasks(list(2), of: step.key, under: run)
    try store.append([event(0)], of: step.key, under: run)
    let database = try Database()
    #expect(try database.count("subtask_events") == 1)
    try store.finish(run, with: step.ending(.completed, .incomplete, exitCode: 0))
    #expect(try database.count("subtask_events") == 0)
    #expect(
      try database.rows("SELECT data FROM subtask_bins")
        == [#"[{"i":0,"key":"0","endTime":"\#(Time.day(1))","status":"done"},{"i":1,"key":"1"}]"#])
    try store.append([event(1)], of: step.key, under: nil)
    try database.connection.execute("PRAGMA foreign_keys = ON; DELETE FROM tasks")
    #expect(try database.count("subtask_events") == 0 && database.count("subtask_bins") == 0)
  }

  @Test("is folded by itself when nobody does it and it gets long", .temporaryFolder)
  func long() throws {
    let store = try openSQLite()
    try store.setSubtasks(list(600), of: step.key, under: nil)
    let batch = (0..<200).map { event($0 * 3, .running) }
    let database = try Database()
    for number in 1...50 {
      try store.append(batch, of: step.key, under: nil)
      #expect(try database.count("subtask_events") == (number == 50 ? 0 : number * 200))
    }
    #expect(try store.subtasks(of: step.key).map(\.attempt).reduce(0, +) == 10_000)
  }

  @Test(
    "is passed by where bins are written anew for half of their items, but never by what came before", .temporaryFolder)
  func dense() throws {
    let store = try openSQLite()
    try store.setSubtasks(list(1500), of: step.key, under: nil)
    let database = try Database()
    func done() throws -> Int { try store.subtasks(of: step.key).count { $0.isDone } }
    try store.append((300..<800).map { event($0) }, of: step.key, under: nil)
    #expect(try database.count("subtask_events") == 0)
    #expect(try done() == 500)
    // Too few for three bins.
    try store.append((0..<500).map { event($0 * 3, .failed) }, of: step.key, under: nil)
    #expect(try database.count("subtask_events") == 500)
    #expect(try done() == 333)
    // After those of the journal, so within it.
    try store.append((0..<500).map { event($0) }, of: step.key, under: nil)
    #expect(try database.count("subtask_events") == 1000)
    #expect(try done() == 700)
    try store.foldProgress(of: step.key)
    #expect(try done() == 700)
  }

  @Test("keeps many events of a bin that is damaged, too", .temporaryFolder)
  func damagedDenseBin() throws {
    let store = try openSQLite()
    try store.setSubtasks(list(500), of: step.key, under: nil)
    let database = try Database()
    try database.connection.execute("UPDATE subtask_bins SET data = '[{'")
    try store.append((0..<400).map { event($0) }, of: step.key, under: nil)
    #expect(try database.count("subtask_events") == 400)
  }

  @Test("keeps many events of a bin that is put back before they are folded", .temporaryFolder)
  func missingDenseBin() throws {
    let store = try openSQLite()
    try store.setSubtasks(list(900), of: step.key, under: nil)
    let database = try Database()
    let bin = try database.rows("SELECT data FROM subtask_bins WHERE bin_id = '1'")[0]
    try database.connection.execute("DELETE FROM subtask_bins WHERE bin_id = '1'")
    try store.append((200..<900).map { event($0) }, of: step.key, under: nil)
    #expect(try database.count("subtask_events") == 400)
    try database.connection.execute(
      """
      INSERT INTO subtask_bins (storage_key, pipeline, task_id, bin_id, data, created_at, updated_at)
      SELECT storage_key, pipeline, task_id, '1', '\(bin)', created_at, updated_at FROM subtask_bins
      """)
    try store.foldProgress(of: step.key)
    #expect(try store.subtasks(of: step.key).count { $0.isDone } == 700)
  }

  @Test("keeps the events of a bin that is damaged, and folds the others", .temporaryFolder)
  func damagedBin() throws {
    let store = try openSQLite()
    let run = try step.begin(in: store)
    try store.setSubtasks(list(1200), of: step.key, under: run)
    try store.append([event(0), event(600), event(1100)], of: step.key, under: run)
    let database = try Database()
    try database.connection.execute("UPDATE subtask_bins SET data = '[{' WHERE bin_id = '1'")
    let error = #expect(throws: StoreError.self) { try store.subtasks(of: step.key) }
    #expect(error?.code == .corrupt)
    #expect(throws: StoreError.self) { try store.encodedSubtasks(of: step.key) }
    #expect(
      error?.message
        == "bin 1 of the items of task 'map' is damaged; set the list of its items again, which forgets how "
        + "far they are")
    try store.finish(run, with: step.success)
    #expect(try database.rows("SELECT item FROM subtask_events") == ["600"])
    #expect(try store.record(step.key)?.status == .success)
    try store.setSubtasks(list(1200), of: step.key, under: nil)
    #expect(try store.subtasks(of: step.key) == list(1200))
  }

  @Test("bins as others write them, in any order and layout, are read back in ours", .temporaryFolder)
  func foreignBins() throws {
    let store = try openSQLite()
    try store.setSubtasks(list(501), of: step.key, under: nil)
    let database = try Database()
    try database.connection.execute(
      #"UPDATE subtask_bins SET data = '[ {"key":"b", "i":501, "endTime":null}, {"i" : 500,"key":"a"} ]' WHERE bin_id = '1'"#
    )
    var expected = list(502)
    (expected[500].key, expected[501].key) = ("a", "b")
    #expect(try store.subtasks(of: step.key) == expected)
    #expect(try store.encodedSubtasks(of: step.key) == Subtask.encoded(expected))
    // The second bin's items come before the first's.
    try database.connection.execute(#"UPDATE subtask_bins SET data = '[{"i":700,"key":"z"}]' WHERE bin_id = '0'"#)
    let last = Subtask(index: 700, key: "z")
    #expect(try store.subtasks(of: step.key) == expected[500...] + [last])
    #expect(try store.encodedSubtasks(of: step.key) == Subtask.encoded(expected[500...] + [last]))
  }

  @Test("a list is written again only where it differs", .temporaryFolder)
  func unchanged() throws {
    let store = try openSQLite()
    try store.setSubtasks(list(1200), of: step.key, under: nil)
    try Database().connection.execute("UPDATE subtask_bins SET updated_at = 'before', created_at = 'first'")
    var changed = list(1200)
    changed[700].attempt = 1
    try store.setSubtasks(changed, of: step.key, under: nil)
    #expect(
      try Database().rows("SELECT bin_id, updated_at, created_at FROM subtask_bins ORDER BY bin_id", columns: 3)
        == ["0|before|first", "1|\(Time.day(1))|first", "2|before|first"])
  }

  @Test("many appends do not truncate the log each time; what ends a run does", .temporaryFolder)
  func log() throws {
    let store = try openSQLite(isDurable: true)
    let run = try step.begin(in: store)
    try store.setSubtasks(list(500), of: step.key, under: run)
    func logSize() throws -> Int { try TemporaryFolder.current.bytes("store/records.db-wal")?.count ?? 0 }
    for index in 0..<100 { try store.append([event(index)], of: step.key, under: run) }
    #expect(try logSize() > 64 * 1024)
    for index in 100..<500 { try store.append((0..<10).map { _ in event(index) }, of: step.key, under: run) }
    #expect(try logSize() < 8 << 20)
    try store.finish(run, with: step.success)
    #expect(try logSize() <= 64 * 1024)
  }
}
