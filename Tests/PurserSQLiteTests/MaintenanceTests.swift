import PurserModel
import PurserStore
import Testing

@testable import PurserSQLite

@Suite("Looking after a store")
struct MaintenanceTests {
  private func request(keeping runs: Int = 2, events: Int = 10) -> MaintenanceRequest {
    MaintenanceRequest(
      now: Time.day(100), cutoff: Time.day(50), runsOfEachTask: runs, events: events)
  }

  @Test("old history goes, and only that", .temporaryFolder)
  func history() throws {
    let store = try openSQLite()
    for day in [1, 2, 3, 4, 60, 61] {
      var step = Step("a")
      step.day = day
      try step.run(in: store)
    }
    var old = Step("b")
    old.day = 5
    try old.run(in: store)
    let open = try Step("c").begin(in: store)
    try store.register(Queue.worker())
    try store.heartbeat("w1", .stopped, now: Time.day(3))
    let work = try store.queue(Queue.request("w"), Queue.request("x"))
    let claim = try #require(try store.claim(Queue.wish()))
    try store.conclude(claim, .completed(result: "{}"), now: Time.day(4))

    let report = try store.maintain(request())
    #expect(report.runs == 5 && report.workers == 1 && report.bytesBefore > 0)
    #expect(try store.runs(matching: RunFilter()).map(\.key.task) == ["c", "b", "a", "a"])
    #expect(try work.map { try store.state(of: $0) } == [nil, .pending])
    // The last ten, and one that is older than these but young.
    #expect(try Database().count("task_events") == 11)
    #expect(try store.workers().isEmpty)
    #expect(try store.lastMaintenance() == Time.day(100))
    // What is open can be closed, and what is recorded stands.
    try store.finish(open, with: Step("c").success)
    for task in ["a", "b", "c"] { #expect(try store.record(key(task))?.status == .success) }
    #expect(try store.record(key("b"))?.result?.manifest == old.manifest)
    let database = try Database()
    #expect(try database.rows("PRAGMA foreign_key_check").isEmpty)
    #expect(try database.rows("PRAGMA integrity_check") == ["ok"])
    #expect(try store.maintain(request()).runs == 0)
  }

  @Test("space is given back where much of it is free", .temporaryFolder)
  func space() throws {
    let store = try openSQLite()
    _ = try store.migrate(now: Time.day(1))
    let database = try Database()
    try database.connection.execute(
      """
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
      INSERT INTO task_events (storage_key, pipeline, task_id, event_type, timestamp)
      SELECT 'main', 'penguins', 'a', 'TEST', '\(Time.day(1))' FROM n
      """)
    let report = try openSQLite().maintain(request(events: 100))
    #expect(report.events == 59_900)
    #expect(report.bytesAfter * 4 < report.bytesBefore)
    #expect(try database.rows("PRAGMA integrity_check") == ["ok"])
    try Step("a").run(in: openSQLite())
  }

  @Test("a backup is the store at one moment, and never takes another file's place", .temporaryFolder)
  func backup() throws {
    let store = try openSQLite()
    let folder = TemporaryFolder.current
    #expect(throws: StoreError.self) { try store.backUp(to: folder("early.db")) }
    try Step("a").run(in: store)
    try store.backUp(to: folder("copy.db"))
    try Step("b").run(in: store)
    let copy = try Database("copy.db")
    #expect(try copy.rows("SELECT task_id FROM tasks") == ["a"])
    #expect(try copy.rows("PRAGMA integrity_check") == ["ok"])
    #expect(try copy.schema() == Database().schema())
    let before = try folder.bytes("copy.db")
    #expect(throws: StoreError.self) { try store.backUp(to: folder("copy.db")) }
    #expect(throws: StoreError.self) { try store.backUp(to: folder("none/copy.db")) }
    #expect(try folder.bytes("copy.db") == before)
    #expect(folder.names(in: ".").allSatisfy { !$0.escaped.hasSuffix("tmp") })
  }

  @Test("views are read as rows of JSON", .temporaryFolder)
  func views() throws {
    let store = try openSQLite()
    #expect(try store.rows(of: .systemHealth, limit: 5).isEmpty)
    try Step("a").run(in: store)
    let health = try #require(try store.rows(of: .systemHealth, limit: 5).first)
    #expect(health["tasks"]?.integer == 1 && health["runs"]?.integer == 1)
    for view in MonitoringView.allCases { _ = try store.rows(of: view, limit: 1) }
    #expect(try store.rows(of: .tasks, limit: 1).first?["task_id"]?.string == "a")
  }
}
