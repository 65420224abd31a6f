import PurserHashing
import PurserModel
import PurserStore
import Testing

@testable import PurserSQLite

@Suite("The SQLite backend's own tables")
struct InterningTests {
  @Test("a component is stored once, and a set of them once", .temporaryFolder)
  func interned() throws {
    let store = try openSQLite()
    let files = (0..<20).map {
      Component(.inputFile, ByteString("raw/\($0)"), .file(digest("\($0)"), isExecutable: false))
    }
    func components(_ variant: String) -> [Component] {
      files + [Component(.argv, "", .list(["make", ByteString(variant)])), Component(.parameter, "p", .text("1"))]
    }
    for variant in ["a", "b", "a", "c"] {
      var step = Step(variant)
      step.components = components(variant)
      try step.run(in: store)
    }
    let database = try Database()
    // 20 files, 3 argv, 1 parameter; 3 code sets, 1 inputs set, 1 data set.
    #expect(try database.count("components") == 24)
    #expect(try database.count("component_sets") == 5)
    #expect(try database.count("fingerprints") == 3)
    var changed = Step("d")
    changed.components = components("a")
    changed.components[7].value = .file(digest("new"), isExecutable: false)
    try changed.run(in: store)
    #expect(try database.count("components") == 25)
    #expect(try database.count("component_sets") == 6)
    #expect(try store.components(of: [changed.actionKey])[changed.actionKey] == changed.fingerprint.components)
  }

  @Test("a collection leaves no component, set or fingerprint that nothing uses", .temporaryFolder)
  func collected() throws {
    let store = try openSQLite()
    for version in ["1", "2", "3"] { try Step("clean", version: version).run(in: store) }
    let database = try Database()
    #expect(try database.count("components") == 4)
    let report = try store.collectGarbage(olderThan: Time.day(2), treeChildren: { _ in [] })
    #expect(report.results == 2)
    #expect(try database.count("components") == 2)
    #expect(try database.count("component_sets") == 3)
    #expect(try database.count("fingerprints") == 1)
    #expect(try database.rows("PRAGMA foreign_key_check", columns: 3) == [])
  }

  @Test(
    "what another store, or this one, has collected is written again and not taken for known", .temporaryFolder,
    arguments: [true, false])
  func collectedMeanwhile(byAnother: Bool) throws {
    let (store, other) = (try openSQLite(), try openSQLite())
    let step = Step("clean")
    try step.run(in: store)
    try Step("clean", version: "2").run(in: store)
    _ = try (byAnother ? other : store).collectGarbage(olderThan: Time.day(2), treeChildren: { _ in [] })
    #expect(try Database().count("components") == 2)
    try step.run(in: store)
    #expect(try store.components(of: [step.actionKey])[step.actionKey] == step.fingerprint.components)
    #expect(try Database().rows("PRAGMA foreign_key_check", columns: 3) == [])
  }

  @Test("what a failed transaction wrote is not taken for known", .temporaryFolder)
  func rolledBack() throws {
    let store = try openSQLite()
    let step = Step("clean")
    var outcome = step.success
    outcome.errorInfo = "no JSON"
    #expect(code { try store.finish(try step.begin(in: store), with: outcome) } == .io)
    #expect(try Database().count("components") == 0)
    // Takes the same row numbers for something else.
    try Step("third").run(in: openSQLite())
    let again = Step("other")
    try again.run(in: store)
    #expect(try store.components(of: [again.actionKey])[again.actionKey] == again.fingerprint.components)
  }

  @Test("10,000 records are asked for at once", .temporaryFolder)
  func batch() throws {
    let store = try openSQLite()
    _ = try store.migrate(now: Time.day(1))
    try Database().connection.execute(
      """
      WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 9999)
      INSERT INTO tasks (storage_key, pipeline, task_id, status, subtask_count, created_at, updated_at)
        SELECT 'main', 'penguins', 'task ' || n, 'SUCCESS', n, 'then', 'then' FROM numbers
      """)
    let keys = (0..<10_000).map { key("task \($0)") }
    let found = try store.records(for: keys + [key("none"), key("task 1", on: "feature")])
    #expect(found.prefix(10_000).map(\.?.subtaskCount) == Array(0..<10_000))
    #expect(found.prefix(10_000).map(\.?.key) == keys)
    #expect(found.suffix(2) == [nil, nil])
    #expect(try store.records(storageKey: nil, pipeline: nil).count == 10_000)
    #expect(try store.records(for: []).isEmpty)
  }

  @Test(
    "lists of row ids are read back, and a cut one as far as it goes",
    arguments: [
      ([], []), ([0], [0]), ([1, 127], [1, 127]), ([128], [0x80, 1]), ([300, 1], [0xac, 2, 1]),
      ([.max], [UInt8](repeating: 0xff, count: 8) + [0x7f]),
      ([-1], [UInt8](repeating: 0xff, count: 9) + [1]),
    ] as [([Int64], [UInt8])])
  func varints(numbers: [Int64], bytes: [UInt8]) {
    #expect(Varint.encode(numbers) == bytes)
    #expect(Varint.decode(bytes) == numbers)
    #expect(Varint.decode(bytes + [0x80]) == numbers)
    #expect(Varint.decode(bytes + [UInt8](repeating: 0xff, count: 40)).starts(with: numbers))
  }

  @Test(
    "a damaged manifest is a miss, not a crash", .temporaryFolder,
    arguments: ["x''", "x'00'", "x'ff'", "substr(manifest, 1, length(manifest) - 1)", "zeroblob(1000)"])
  func damagedManifest(damage: String) throws {
    let store = try openSQLite()
    var step = Step("clean")
    step.outputs = ["a": "A", "b": "B"]
    try step.run(in: store)
    try Database().connection.execute("UPDATE action_results SET manifest = \(damage)")
    #expect(try store.results(for: [step.actionKey]) == [:])
    #expect(try store.record(step.key)?.result == nil)
  }

  @Test("damaged components leave out what cannot be read", .temporaryFolder)
  func damagedComponents() throws {
    let store = try openSQLite()
    let step = Step("clean")
    try step.run(in: store)
    try Database().connection.execute("UPDATE components SET value = x'09' WHERE tag = 0x14")
    #expect(try store.components(of: [step.actionKey])[step.actionKey]?.map(\.tag) == [.inputFile])
    try Database().connection.execute("UPDATE component_sets SET members = x'ffffffffffffffffffffffff'")
    #expect(try store.components(of: [step.actionKey])[step.actionKey] == [])
  }

  @Test("JSON columns hold JSON and nothing else", .temporaryFolder)
  func jsonColumns() throws {
    let store = try openSQLite()
    let step = Step("clean")
    var run = step.newRun
    run.reasons = "[not json"
    #expect(code { _ = try store.begin(run, replacing: []) } == .io)
    #expect(try store.record(step.key) == nil)
    run = step.newRun
    run.specification = "{\"a\":1}{"
    #expect(code { _ = try store.begin(run, replacing: []) } == .io)
    #expect(try store.record(step.key) == nil)
    run.specification = "{\"\\ud83d\\ude00\":[1e5,null]}"
    guard case .opened(let open) = try store.begin(run, replacing: []) else {
      Issue.record("it should have been opened")
      return
    }
    var outcome = step.success
    outcome.errorInfo = "{"
    #expect(code { try store.finish(open, with: outcome) } == .io)
    outcome.errorInfo = nil
    try store.finish(open, with: outcome)
    #expect(try store.specification(of: step.key) == run.specification)
  }

  @Test("every event is logged with what it changed", .temporaryFolder)
  func events() throws {
    let store = try openSQLite()
    let step = Step("clean")
    try step.run(in: store)
    try store.finish(try step.begin(in: store), with: step.ending(.failed, .failure, exitCode: 1))
    _ = try store.invalidate([step.key], why: "say \"why\"")
    #expect(
      try Database().rows(
        "SELECT event_type, previous_status, new_status, run_id, actor, event_data FROM task_events ORDER BY event_id",
        columns: 6) == [
          "STARTED|NULL|RUNNING|1|me@here|NULL", "FINISHED|RUNNING|SUCCESS|1|NULL|NULL",
          "STARTED|SUCCESS|RUNNING|2|me@here|NULL", "FAILED|RUNNING|FAILURE|2|NULL|NULL",
          #"INVALIDATED|NULL|NULL|NULL|me@here|{"why":"say \"why\"","allKeys":false}"#,
        ])
  }

  @Test("every path that a run saved stands in its row", .temporaryFolder)
  func savedPaths() throws {
    let store = try openSQLite()
    let run = try Step("clean").begin(in: store)
    try store.save([SavedContent(path: ByteString(bytes: [0xff]), blob: Step.blob("1"))], for: run)
    try store.save([SavedContent(path: "b", blob: Step.blob("2"))], for: run)
    let details = try #require(try Database().rows("SELECT execution_details FROM task_runs").first)
    let saved = try #require(try JSON(parsing: details.utf8)["saved"]?.array)
    #expect(saved.map { $0["path"]?.string } == ["b", "\\xff"])
    #expect(saved.map { $0["digest"]?.string } == [digest("2").hex, digest("1").hex])
  }
}
