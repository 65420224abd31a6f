import PurserModel
import PurserStore
import Testing

@testable import PurserSQLite

@Suite("Migrations")
struct MigrationTests {
  static let versions = Migration.all.map(\.version)

  /// The schema after the first `count` up scripts, each by itself.
  private func expectedSchema(after count: Int64) throws -> [String] {
    let database = try Database(ByteString("expected-\(count).db"))
    for migration in Migration.all where migration.version <= count {
      try database.connection.execute(String(decoding: migration.up(), as: UTF8.self))
    }
    return try database.schema()
  }

  private func fill(_ store: SQLiteRecordStore) throws {
    for task in ["a", "b"] {
      var step = Step(task)
      step.outputs = [ByteString("\(task).csv"): task]
      step.log = "log"
      step.upstream = task == "b" ? ["a"] : []
      step.treeNodes = [digest("tree"): [1]]
      step.trace = TaskTrace(entries: [TaskTrace.Entry(path: "x", use: .read, isDeclared: false)])
      let run = try step.begin(in: store)
      try store.save([SavedContent(path: "x", blob: Step.blob("saved"))], for: run)
      try store.finish(run, with: step.success)
    }
    _ = try Step("open").begin(in: store)
    try fillQueue(store)
    _ = try store.invalidate([key("a")])
    _ = try store.invalidate([key("a")], allKeys: true, day: 3)
    _ = try Step("b", version: "2").accepting(try store.newestResult(of: Step("b")), in: store)
    try store.setSubtasks([Subtask(index: 0, key: "item")], of: key("a"), under: nil)
    let made = NewItemResult(
      manifest: Step("a").manifest, data: "1", durationMicroseconds: 1, blobs: [Step.blob("made by an item")])
    try store.append(
      [
        ItemProgress(
          event: SubtaskEvent(index: 0, status: .done, time: Time.day(1), contentKey: digest("item")), result: made)
      ], of: key("a"), under: nil)
    let value = SealedValue(content: [1], size: 1, digest: digest("x"))
    try store.save(
      [.tree(of: "run", value), .state(of: "run", .active, value), .state(of: "run", .pending, value)],
      now: Time.day(1), durable: false)
    _ = try store.save(
      NewSnapshot(
        id: "0123456789abcdef", name: "run", kind: "manual", note: "", by: "me", now: Time.day(1), value: value))
  }

  @Test("are numbered without gaps, up to the version that this build knows")
  func numbers() {
    #expect(Self.versions == Array(1...Migration.current))
    for migration in Migration.all {
      #expect(migration.name.hasPrefix(String("00\(migration.version)_".suffix(4))))
      #expect(!migration.up().isEmpty && !migration.down().isEmpty)
    }
  }

  /// FNV-1a of the released scripts. A released migration is never changed: add another one.
  /// Work in several states, a type and a worker.
  private func fillQueue(_ store: SQLiteRecordStore) throws {
    try store.register(Queue.worker())
    _ = try store.register(TaskType(name: "t", version: "1", schema: "{}", specification: "{}"), now: Time.day(1))
    _ = try store.enqueue((1...3).map { Queue.request("w\($0)") }, now: Time.day(1), by: "me")
    let claim = try #require(try store.claim(Queue.wish()))
    try store.conclude(claim, .completed(result: "{}"), now: Time.day(2))
    _ = try store.claim(Queue.wish())
  }

  @Test("are those that were released")
  func released() {
    #expect(
      Migration.all.prefix(10).map { "\($0.name) \($0.checksum)" } == [
        "001_kptn_tables cff807db6da125ac", "002_runs_and_events 6599807397c15c4f", "003_action_cache 6095f664b5778285",
        "004_progress a8216a644465b445", "005_dependency_files 37baa3b1df87b6d", "006_acceptance a4e2e1619bd7d953",
        "007_queue 9f89798c929c8f7a", "008_monitoring 5ed8779f365b4911", "009_executions d127223f58def527",
        "010_traces d07152aa1d0b0972",
      ])
  }

  @Test("each way down leaves exactly the schema of before", .temporaryFolder, arguments: [false, true])
  func down(isFilled: Bool) throws {
    let store = try openSQLite()
    #expect(try store.migrate(now: Time.day(1)).version == Migration.current)
    if isFilled { try fill(store) }
    #expect(try Database().schema() == expectedSchema(after: Migration.current))
    for version in Self.versions.reversed() {
      let status = try store.rollback(1)
      #expect(status.version == version - 1)
      #expect(status.migrations.filter { $0.appliedAt != nil }.map(\.version) == Array(1..<version))
      #expect(try Database().schema() == expectedSchema(after: version - 1))
      #expect(try Database().rows("PRAGMA integrity_check") == ["ok"])
      if isFilled, version > 1 {
        #expect(try Database().rows("SELECT task_id FROM tasks ORDER BY task_id") == ["a", "b", "open"])
        #expect(try Database().count("subtask_bins") == 1)
        #expect(try Database().rows("PRAGMA foreign_key_check", columns: 3) == [])
      }
    }
    #expect(try Database().rows("PRAGMA application_id") == [String(Migrator.applicationID)])
  }

  @Test(
    "down and up again gives a store that works", .temporaryFolder, arguments: 1...Int(Migration.current),
    [false, true])
  func downAndUp(count: Int, isFilled: Bool) throws {
    let store = try openSQLite()
    _ = try store.migrate(now: Time.day(1))
    if isFilled { try fill(store) }
    _ = try store.rollback(count)
    let status = try store.migrate(now: Time.day(7))
    #expect(status.version == Migration.current)
    #expect(
      status.migrations.map(\.appliedAt)
        == Self.versions.map { Time.day($0 > Migration.current - Int64(count) ? 7 : 1) })
    #expect(try Database().schema() == expectedSchema(after: Migration.current))
    let step = Step("a")
    // Which schema it was taken back to: without the action cache, a record has no key; without the first, it is gone.
    switch Migration.current - Int64(count) {
    case 3...: if isFilled { #expect(try store.record(step.key)?.actionKey == step.actionKey) }
    case 1, 2: if isFilled { #expect(try store.record(step.key)?.actionKey == nil) }
    default: #expect(try store.record(step.key) == nil)
    }
    try step.run(in: try openSQLite())
    #expect(try store.record(step.key)?.result?.manifest == step.manifest)
    #expect(try Database().rows("PRAGMA foreign_key_check", columns: 3) == [])
  }

  @Test(
    "a store of an older version is brought up by whoever opens it, reading or writing", .temporaryFolder,
    arguments: [false, true])
  func olderVersion(isWriting: Bool) throws {
    _ = try openSQLite().migrate(now: Time.day(1))
    _ = try openSQLite().rollback(1)
    let store = try openSQLite()
    if isWriting {
      try Step("a").run(in: store)
    } else {
      #expect(try store.records(storageKey: nil, pipeline: nil).isEmpty)
    }
    #expect(try store.schemaStatus().version == Migration.current)
  }

  @Test("going back further than there is leaves version 0, which is a store still", .temporaryFolder)
  func allTheWay() throws {
    let store = try openSQLite()
    _ = try store.migrate(now: Time.day(1))
    #expect(try store.rollback(99).version == 0)
    #expect(try Database().schema() == [])
    #expect(try store.rollback(1).version == 0)
    try Step("a").run(in: store)
    #expect(try store.schemaStatus().version == Migration.current)
  }

  @Test("asking for the status changes nothing", .temporaryFolder)
  func status() throws {
    let store = try openSQLite()
    let none = try store.schemaStatus()
    #expect(none.version == 0 && none.migrations.map(\.version) == Self.versions)
    #expect(none.migrations.allSatisfy { $0.appliedAt == nil })
    #expect(TemporaryFolder.current.names(in: ".").isEmpty)
    _ = try store.migrate(now: Time.day(3))
    let status = try store.schemaStatus()
    #expect(status.version == Migration.current)
    #expect(
      status.migrations.map(\.name) == [
        "001_kptn_tables", "002_runs_and_events", "003_action_cache", "004_progress", "005_dependency_files",
        "006_acceptance", "007_queue", "008_monitoring", "009_executions", "010_traces",
      ])
    #expect(status.migrations.allSatisfy { $0.appliedAt == Time.day(3) })
  }

  @Test("a migration that was edited after it was applied is refused", .temporaryFolder)
  func checksums() throws {
    let store = try openSQLite()
    _ = try store.migrate(now: Time.day(1))
    for migration in Migration.all {
      #expect(
        try Database().rows("SELECT checksum FROM schema_migrations WHERE version = \(migration.version)")
          == [migration.checksum])
    }
    try Database().connection.execute("UPDATE schema_migrations SET checksum = 'feed' WHERE version = 2")
    let before = try Database().schema()
    #expect(code { _ = try store.migrate(now: Time.day(2)) } == .unavailable)
    #expect(code { _ = try store.rollback(1) } == .unavailable)
    #expect(try Database().schema() == before)
    let error = #expect(throws: StoreError.self) { try store.rollback(1) }
    let path = TemporaryFolder.current("store/records.db")
    #expect(
      error?.message == "migration 002_runs_and_events of '\(path)' is not the one that this Purser has; use the "
        + "version that wrote the store, or another --store")
  }

  @Test("a migration that fails leaves the version and the schema of before", .temporaryFolder)
  func failing() throws {
    let store = try openSQLite()
    _ = try store.migrate(now: Time.day(1))
    _ = try store.rollback(Int(Migration.current) - 2)
    let database = try Database()
    try database.connection.execute("CREATE TABLE result_blobs (in_the_way)")
    let before = try database.schema()
    #expect(throws: StoreError.self) { try store.migrate(now: Time.day(2)) }
    #expect(try database.schema() == before)
    #expect(try database.rows("PRAGMA user_version") == ["2"])
    #expect(try database.count("schema_migrations") == 2)
  }
}
