import PurserModel
import PurserStore
import Testing

@testable import PurserSQLite

@Suite("The queue's schema")
struct QueueSchemaTests {
  private static let order: [RunState] = [.pending, .submitted, .validating, .preparing, .building, .running]

  /// What the ten states may follow on.
  private static func isLegal(_ old: RunState, _ new: RunState) -> Bool {
    if old == new { return true }
    switch old {
    case .pending, .submitted, .validating, .preparing, .building, .running:
      guard let place = order.firstIndex(of: old) else { return false }
      if let next = order.firstIndex(of: new) { return next > place || next == 0 }
      return new != .completed || old != .pending
    case .cancelling: return [.completed, .failed, .cancelled].contains(new)
    case .failed, .cancelled: return new == .pending
    case .completed: return false
    }
  }

  @Test("states go on only as they may", .temporaryFolder)
  func transitions() throws {
    _ = try openSQLite().migrate(now: Time.day(1))
    let database = try Database()
    try database.connection.execute("DROP TRIGGER task_runs_state_insert")
    for old in RunState.allCases {
      for new in RunState.allCases {
        try database.connection.execute(
          """
          DELETE FROM task_runs;
          INSERT INTO task_runs (storage_key, pipeline, task_id, status, created_by, created_at, updated_at)
          VALUES ('k', 'p', 't', '\(old.rawValue)', 'me', 'c', 'u')
          """)
        var message = ""
        do {
          try database.connection.execute("UPDATE task_runs SET status = '\(new.rawValue)', updated_at = 'v'")
        } catch {
          message = error.message
        }
        let isLegal = Self.isLegal(old, new)
        #expect(message.isEmpty == isLegal, "\(old) to \(new): \(message)")
        if !isLegal { #expect(message.contains("illegal transition")) }
        #expect(try database.rows("SELECT status FROM task_runs") == [isLegal ? new.rawValue : old.rawValue])
      }
    }
  }

  @Test(
    "what breaks a rule is not written", .temporaryFolder,
    arguments: [
      ("status", "'COMPLETED'", "illegal state"), ("status", "'DONE'", "illegal state"), ("priority", "1001", "CHECK"),
      ("priority", "-1001", "CHECK"), ("max_attempts", "0", "CHECK"), ("attempts", "-1", "CHECK"),
      ("timeout_ms", "0", "CHECK"), ("dedupe_key", "'abc'", "CHECK"),
      ("dedupe_key", "'\(String(repeating: "G", count: 64))'", "CHECK"), ("tags", "'{}'", "CHECK"),
      ("tags", "'[1'", "CHECK"), ("submitted_configs", "'{'", "CHECK"), ("error_info", "'no'", "CHECK"),
      ("result_summary", "'no'", "CHECK"), ("progress_details", "'no'", "CHECK"), ("active", "2", "CHECK"),
    ])
  func rules(column: String, value: String, expected: String) throws {
    _ = try openSQLite().migrate(now: Time.day(1))
    let database = try Database()
    let status = column == "status" ? "" : ", status"
    #expect {
      try database.connection.execute(
        """
        INSERT INTO task_runs (storage_key, pipeline, task_id, created_by, created_at, updated_at, \(column)\(status))
        VALUES ('k', 'p', 't', 'me', 'c', 'u', \(value)\(status.isEmpty ? "" : ", 'PENDING'"))
        """)
    } throws: { error in
      (error as? StoreError)?.message.contains(expected) == true
    }
    #expect(try database.count("task_runs") == 0)
  }

  @Test("each question of the hot paths is answered by its index", .temporaryFolder)
  func plans() throws {
    let store = try openSQLite()
    _ = try store.migrate(now: Time.day(1))
    let database = try Database()
    func plan(_ sql: String) throws -> String {
      try database.rows("EXPLAIN QUERY PLAN \(sql)", columns: 4).joined(separator: "; ")
    }
    for (sql, index) in [
      (
        """
        SELECT id FROM task_runs INDEXED BY idx_task_runs_claim WHERE status = 'PENDING' AND queued_at IS NOT NULL
        AND available_at IS NULL AND active = 1 ORDER BY priority DESC, id LIMIT 1
        """, "idx_task_runs_claim"
      ),
      (
        """
        SELECT 1 FROM task_runs INDEXED BY idx_task_runs_available
        WHERE status = 'PENDING' AND available_at IS NOT NULL AND available_at <= 'x' AND active = 1
        """, "idx_task_runs_available"
      ),
      (
        "SELECT id FROM task_runs WHERE dedupe_key = 'x' AND dedupe_key IS NOT NULL AND active = 1",
        "idx_task_runs_dedupe"
      ),
      ("SELECT id FROM task_runs WHERE queue_id = 1", "idx_task_runs_queue_id"),
      (
        "SELECT id FROM task_runs WHERE storage_key = 'k' AND pipeline = 'p' AND task_id = 't' ORDER BY id DESC",
        "idx_task_runs_task"
      ),
      ("SELECT event_id FROM task_events WHERE run_id = 1", "idx_task_events_run_id"),
      (
        "SELECT event_id FROM task_events WHERE event_type = 'FAILED' ORDER BY event_id DESC",
        "idx_task_events_event_type"
      ),
      ("SELECT * FROM workers WHERE status = 'ACTIVE'", "idx_workers_status"),
      (
        "SELECT id FROM tasks WHERE storage_key = 'k' AND pipeline = 'p' AND task_id = 't'", "sqlite_autoindex_tasks_1"
      ),
      ("SELECT id FROM action_results WHERE action_key = x'00' ORDER BY id DESC", "idx_action_results_key"),
    ] {
      let plan = try plan(sql)
      #expect(plan.contains(index), "\(sql): \(plan)")
      #expect(!plan.contains("TEMP B-TREE"), "\(sql): \(plan)")
    }
  }

  @Test("rows that are changed without a time get one", .temporaryFolder)
  func updatedAt() throws {
    let store = try openSQLite()
    _ = try store.register(TaskType(name: "t", version: "1", schema: "{}", specification: "{}"), now: "then")
    try store.register(Queue.worker())
    try store.queue(Queue.request("a"))
    let database = try Database()
    try database.connection.execute(
      """
      UPDATE task_types SET is_active = 0; UPDATE workers SET slots = 3; UPDATE task_runs SET priority = 1;
      INSERT INTO system_state (key, value, updated_at) VALUES ('k', '1', 'then'); UPDATE system_state SET value = '2'
      """)
    for table in ["task_types", "workers", "task_runs", "system_state"] {
      let time = try #require(try database.rows("SELECT updated_at FROM \(table)").first)
      #expect(time.utf8.count == 27 && Timestamp.microseconds(time) != nil, "\(table): \(time)")
    }
  }

  @Test("the views answer", .temporaryFolder)
  func views() throws {
    let store = try openSQLite()
    try Step("a").run(in: store)
    _ = try Step("b").begin(in: store)
    try store.register(Queue.worker())
    try store.queue(Queue.request("w1"), Queue.request("w2", priority: 2), Queue.request("w3", attempts: 2))
    let claim = try #require(try store.claim(Queue.wish()))
    try store.conclude(claim, .completed(result: "{}"), now: Time.day(2))
    let database = try Database()
    #expect(try database.rows("SELECT task_id, status, owner_pid FROM active_tasks", columns: 3) == ["b|RUNNING|42"])
    #expect(try database.rows("SELECT task_id FROM pending_task_runs") == ["w1", "w3"])
    #expect(try database.rows("SELECT id, claimed, completed FROM active_workers", columns: 3) == ["w1|1|1"])
    #expect(
      try database.rows("SELECT task_id, runs, executed, average_us FROM task_execution_stats ORDER BY 1", columns: 4)
        == ["a|1|1|1234.0", "b|1|0|NULL"])
    #expect(
      try database.rows("SELECT status, count, max_attempts FROM task_stats ORDER BY 1", columns: 3)
        == ["COMPLETED|1|1", "PENDING|2|0"])
    #expect(
      try database.rows(
        "SELECT worker_id, tasks_processed, successful, avg_processing_time_minutes FROM worker_stats", columns: 4)
        == ["w1|1|1|1440.0"])
    #expect(
      try database.rows("SELECT tasks, running, pending, failed, workers, runs FROM system_health", columns: 6)
        == ["2|1|2|0|1|5"])
  }
}
