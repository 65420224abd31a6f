import PurserModel
import PurserStore
import Testing

@testable import PurserSQLite

@Suite("Tables that belong to a storage key")
struct BranchTableTests {
  private func clone(_ store: SQLiteRecordStore) throws -> CloneOutcome {
    try store.clone(
      CloneRequest(from: BranchScope(storageKey: "main"), to: "feature", replaces: true, now: Time.day(8), by: "me"))
  }

  @Test("each table that names a key or a record is copied and removed with it, or is history", .temporaryFolder)
  func complete() throws {
    try Step("clean").run(in: openSQLite())
    let database = try Database()
    let tables = try database.rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    let named = try tables.filter { table in
      let columns = try database.rows("SELECT name FROM pragma_table_info('\(table)')")
      return columns.contains("storage_key") || columns.contains("task_row")
    }
    // What was done stays known, whatever becomes of the records; the journal is copied by numbers.
    let others = ["action_results", "item_results", "subtask_events", "task_events", "task_runs"]
    #expect(named.filter { !others.contains($0) }.sorted() == BranchTable.all.map(\.name).sorted())
  }

  @Test(
    "more rows than are copied at once, in the order of their key", .temporaryFolder,
    arguments: [1, 99, 100, 101, 200, 1701])
  func batches(count: Int) throws {
    let store = try openSQLite()
    try Step("map").run(in: store)
    let database = try Database()
    for key in ["main", "other"] {
      for (task, pipeline) in [("map", "penguins"), ("first", "penguins"), ("map", "gulls")] {
        try Step(task, on: key, pipeline: pipeline).run(in: store)
        for (table, column, type) in [
          ("subtask_bins", "", ""), ("taskdata_bins", "bin_type, ", "'TASKDATABIN', "),
          ("taskdata_bins", "bin_type, ", "'SUBSETBIN', "),
        ] {
          try database.connection.execute(
            """
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < \(count - 1))
            INSERT INTO \(table) (storage_key, pipeline, task_id, \(column)bin_id, data, created_at, updated_at)
            SELECT '\(key)', '\(pipeline)', '\(task)', \(type)i, '[{"i":' || i * 500 || ',"key":"\(key)"}]', 'c' || i,
              'u' || i FROM n
            """)
        }
      }
    }
    guard case .cloned = try clone(store) else {
      Issue.record("not cloned")
      return
    }
    func rows(_ table: String, _ key: String, by order: String) throws -> [String] {
      try database.rows(
        "SELECT pipeline, task_id, bin_id, data, created_at, updated_at FROM \(table) "
          + "WHERE storage_key = '\(key)' ORDER BY \(order)", columns: 6)
    }
    let main = try rows("subtask_bins", "main", by: "pipeline, task_id, bin_id")
    #expect(main.count == 3 * count)
    #expect(try rows("subtask_bins", "feature", by: "id") == main)
    #expect(try rows("subtask_bins", "other", by: "id").count == 3 * count)
    let data = try rows("taskdata_bins", "main", by: "pipeline, task_id, bin_type, bin_id")
    #expect(data.count == 6 * count)
    #expect(try rows("taskdata_bins", "feature", by: "id") == data)
  }

  @Test("the journals of others stay as they are when a key goes", .temporaryFolder)
  func journals() throws {
    let store = try openSQLite()
    for key in ["main", "feature", "other"] {
      let step = Step("map", on: key)
      try step.run(in: store)
      try store.setSubtasks((0..<700).map { Subtask(index: $0, key: "\($0)") }, of: step.key, under: nil)
      // So few at a time that they go to the journal.
      for start in stride(from: 0, to: 700, by: 100) {
        try store.append(
          (start..<start + 100).map { index in
            ItemProgress(event: SubtaskEvent(index: index, status: .running, time: Time.day(index % 9)))
          }, of: step.key, under: nil)
      }
    }
    let database = try Database()
    func events(_ key: String) throws -> [String] {
      try database.rows(
        """
        SELECT e.id - t.id * 4294967296, e.item, e.status, e.time, e.output_hash, e.error, e.content_key
        FROM subtask_events e JOIN tasks t ON t.id = e.task_row WHERE t.storage_key = '\(key)' ORDER BY e.id
        """, columns: 7)
    }
    let main = try events("main")
    #expect(main.count == 700)
    guard case .cloned(_, let replaced) = try clone(store) else {
      Issue.record("not cloned")
      return
    }
    #expect(replaced.subtasks == 700)
    for key in ["main", "feature", "other"] { #expect(try events(key) == main) }
    #expect(try database.count("subtask_events") == 2100)
    let request = DropRequest(scope: BranchScope(storageKey: "feature"), now: Time.day(9), by: "me")
    #expect(try store.drop(request) == .dropped(BranchCounts(pipelines: ["penguins"], tasks: 1, subtasks: 700)))
    for key in ["main", "other"] { #expect(try events(key) == main) }
    #expect(try database.count("subtask_events") == 1400)
    #expect(try database.rows("PRAGMA foreign_key_check").isEmpty)
    #expect(try database.rows("PRAGMA integrity_check") == ["ok"])
  }

  @Test("what was copied or removed is in the audit trail, task by task", .temporaryFolder)
  func events() throws {
    let store = try openSQLite()
    try Step("a").run(in: store)
    let open = try Step("b").begin(in: store)
    _ = try clone(store)
    _ = try store.drop(DropRequest(scope: BranchScope(storageKey: "feature"), now: Time.day(9), by: "me@here"))
    _ = open
    let rows = try Database().rows(
      """
      SELECT storage_key, task_id, event_type, event_data, previous_status, new_status, timestamp, actor
      FROM task_events WHERE event_type IN ('CLONED', 'DROPPED') ORDER BY event_id
      """, columns: 8)
    #expect(
      rows == [
        "feature|a|CLONED|{\"from\":\"main\"}|NULL|SUCCESS|\(Time.day(8))|me",
        "feature|b|CLONED|{\"from\":\"main\"}|NULL|INCOMPLETE|\(Time.day(8))|me",
        "feature|a|DROPPED|NULL|SUCCESS|NULL|\(Time.day(9))|me@here",
        "feature|b|DROPPED|NULL|INCOMPLETE|NULL|\(Time.day(9))|me@here",
      ])
  }
}
