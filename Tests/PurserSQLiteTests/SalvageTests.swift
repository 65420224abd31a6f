import Glibc
import PurserHashing
import PurserModel
import PurserStore
import Testing

@testable import PurserSQLite

@Suite("Salvage of a damaged database")
struct SalvageTests {
  private static let digests = RecordDigests(
    outputsVersion: { $0.digest }, actionKey: { ActionKey.fingerprint(of: $0).actionKey },
    isListing: { SHA256.digest(of: $0) == $1 })

  /// Tasks with all that can hang from a record.
  private func fill(_ store: SQLiteRecordStore) throws {
    for number in 0..<40 {
      var step = Step("task \(number)", version: "\(number)")
      step.outputs = [ByteString("out/\(number)"): "content \(number)"]
      step.log = "log \(number)"
      step.upstream = ["task \(number + 1)"]
      try step.run(in: store)
    }
    try store.setSubtasks((0..<700).map { Subtask(index: $0, key: "\($0)") }, of: key("task 1"), under: nil)
    let data = TaskData(isList: true, elements: (0..<700).map { "\($0)" })
    try store.setTaskData(data, version: "v", of: key("task 1"), .result, now: Time.day(1))
    _ = try store.invalidate([key("task 2")])
    _ = try store.invalidate([key("task 3")], allKeys: true)
    let changed = Step("task 4", version: "other")
    try changed.accepting(try store.newestResult(of: Step("task 4", version: "4")), in: store)
    try store.queue(Queue.request("queued", dedupe: "k"))
    try store.sync(isLast: false)
  }

  private func contents(_ store: SQLiteRecordStore) throws -> [String] {
    [
      "\(try store.records(storageKey: nil, pipeline: nil))", "\(try store.runs(matching: RunFilter(limit: 999)))",
      "\(try store.events(matching: EventFilter(limit: 999)))", "\(try store.work(matching: WorkFilter()))",
      "\(try store.subtasks(of: key("task 1")))", "\(try store.taskData(of: key("task 1"), .result) as Any)",
      "\(try store.acceptances(of: [key("task 4")]))",
      "\(try store.invalidationHorizons(for: [key("task 2"), key("task 3")]).sorted { $0.key < $1.key })",
    ]
  }

  @Test("of a sound one everything is saved, and the old one is set aside", .temporaryFolder)
  func sound() throws {
    try fill(openSQLite())
    let before = try contents(openSQLite())
    #expect(try openSQLite().health() == StoreHealth(.sound, version: Migration.current))
    let damage = try openSQLite().damagedRecords(Self.digests)
    #expect(damage == [])
    let report = try openSQLite().salvage(settingAsideIn: TemporaryFolder.current("store/aside"))
    #expect(report.incomplete == [] && !report.hasVoidedResults)
    #expect(report.saved.first { $0.table == "tasks" }?.rows == 40)
    #expect(try contents(openSQLite()) == before)
    #expect(try openSQLite().health() == StoreHealth(.sound, version: Migration.current))
    #expect(try Database("store/aside/records.db").count("tasks") == 40)
    #expect(TemporaryFolder.current.mode("store/records.db") == 0o600)
    #expect(TemporaryFolder.current.names(in: "store").filter { $0.hasPrefix("records.db.") } == [])
    // Numbers go on, and so does work.
    let run = try Step("task 0", version: "new").run(in: openSQLite())
    #expect(run.id > 1000)
    try Step("task 2", version: "2").run(in: openSQLite())
    #expect(try openSQLite().record(key("task 2"))?.invalidation == nil)
  }

  @Test("where marks are lost, every result counts as void", .temporaryFolder)
  func lostMarks() throws {
    let step = Step("task 5", version: "5")
    try fill(openSQLite())
    _ = try openSQLite().maintain(
      MaintenanceRequest(now: Time.day(1), cutoff: Time.day(0), runsOfEachTask: 9, events: 99))
    // The page that the marks stand on is written over.
    let page = try #require(
      try Database().connection.integer("SELECT rootpage FROM sqlite_schema WHERE name = 'invalidations'"))
    var bytes = try #require(try TemporaryFolder.current.bytes("store/records.db"))
    bytes.replaceSubrange(Int(page - 1) * 4096..<Int(page) * 4096, with: Array(repeating: 0xa5, count: 4096))
    try TemporaryFolder.current.write("store/records.db", bytes)
    #expect(try openSQLite().health().state == .damaged)
    let report = try openSQLite().salvage(settingAsideIn: TemporaryFolder.current("store/aside"))
    #expect(report.incomplete == ["invalidations"] && report.hasVoidedResults)
    let store = try openSQLite()
    #expect(try store.results(for: [step.actionKey]) == [:])
    #expect(try store.record(step.key)?.invalidation != nil)
    try step.run(in: store)
    #expect(try store.record(step.key)?.invalidation == nil)
  }

  @Test("what was flipped where no structure shows it is found by what it should hash to", .temporaryFolder)
  func records() throws {
    let store = try openSQLite()
    try fill(store)
    let database = try Database()
    try database.connection.execute(
      """
      UPDATE action_results SET outputs_version = zeroblob(32) WHERE task_id = 'task 10';
      UPDATE components SET value = value || x'00' WHERE id = (SELECT min(id) FROM components);
      UPDATE taskdata_bins SET data = '[1,' WHERE bin_id = '1'; UPDATE subtask_bins SET data = '[' WHERE bin_id = '1';
      DELETE FROM result_blobs WHERE result_id = (SELECT id FROM action_results WHERE task_id = 'task 11');
      UPDATE task_details SET result_id = 1 WHERE task_row = (SELECT id FROM tasks WHERE task_id = 'task 12');
      """)
    let damage = try store.damagedRecords(Self.digests)
    #expect(
      Set(damage.filter { !$0.message.hasPrefix("the components") }.map(\.message)) == [
        "the list of what result 11 made is damaged", "result 12 names contents that the store does not know",
        "bin 1 of the items of task 'task 1' is damaged", "bin 1 of the data of task 'task 1' is damaged",
        "the record of task 'task 12' rests on a result of something else",
      ])
    #expect(damage.contains { $0.message.hasPrefix("the components") && $0.tasks.contains(key("task 0")) })
    try store.forget(damage)
    let left = try store.damagedRecords(Self.digests)
    #expect(left == [])
    #expect(store.health().state == .sound)
    #expect(try store.record(key("task 1"))?.status == .incomplete && store.subtasks(of: key("task 1")) == [])
    #expect(try store.record(key("task 12"))?.result == nil)
    #expect(try store.record(key("task 13"))?.result != nil)
  }

  @Test("another program's database, and a newer one, are left alone", .temporaryFolder)
  func foreign() throws {
    let store = try openSQLite()
    #expect(store.health().state == .absent)
    try fill(store)
    let database = try Database()
    try database.connection.execute(
      "PRAGMA user_version = 99; INSERT INTO schema_migrations VALUES (99, 'x', 'x', 'x')")
    #expect(try openSQLite().health().state == .foreign)
    try TemporaryFolder.current.makeFolder("other")
    let other = try Database("other/records.db")
    try other.connection.execute("CREATE TABLE t (a); PRAGMA application_id = 7")
    let theirs = SQLiteRecordStore(directory: TemporaryFolder.current("other"), now: { Time.day(1) })
    #expect(theirs.health().state == .foreign)
  }

  @Test(
    "whatever bits are flipped, what is left is a sound store that can be worked with", .temporaryFolder,
    arguments: 0..<12)
  func flips(seed: Int) throws {
    try fill(openSQLite())
    _ = try openSQLite().maintain(
      MaintenanceRequest(now: Time.day(1), cutoff: Time.day(0), runsOfEachTask: 9, events: 99))
    let whole = try #require(try TemporaryFolder.current.bytes("store/records.db"))
    var state = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 | 1
    func random(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % limit
    }
    for round in 0..<8 {
      var bytes = whole
      for _ in 0..<[1, 4, 40, 400][round % 4] {
        bytes[random(round == 7 ? 4096 : bytes.count)] ^= 1 << UInt8(random(8))
      }
      for name: ByteString in ["store/records.db-wal", "store/records.db-shm"] {
        _ = TemporaryFolder.current(name).withCString { unlink($0) }
      }
      try TemporaryFolder.current.write("store/records.db", bytes)
      if try openSQLite().health().state == .damaged {
        _ = try openSQLite().salvage(settingAsideIn: TemporaryFolder.current(ByteString("store/aside \(round)")))
        let aside = ByteString("store/aside \(round)/records.db")
        let isAside = try TemporaryFolder.current.bytes(aside) == bytes
        #expect(isAside)
      }
      let store = try openSQLite()
      try store.forget(store.damagedRecords(Self.digests))
      #expect(store.health() == StoreHealth(.sound, version: Migration.current))
      let step = Step("task \(random(40))", version: "again")
      try step.run(in: store)
      let record = try #require(try store.record(step.key))
      #expect(record.status == .success && record.invalidation == nil && record.actionKey == step.actionKey)
    }
  }
}
