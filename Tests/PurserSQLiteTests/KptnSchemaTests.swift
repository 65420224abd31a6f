import PurserHashing
import PurserModel
import PurserStore
import Testing

@testable import PurserSQLite

@Suite("kptn's tables")
struct KptnSchemaTests {
  @Test("a record that kptn's client replaces takes what was accepted with it", .temporaryFolder)
  func replacedByKptn() throws {
    let store = try openSQLite()
    let (ran, changed) = (Step("clean", version: "1"), Step("clean", version: "2"))
    try ran.run(in: store)
    try changed.accepting(try store.newestResult(of: ran), in: store)
    let database = try Database()
    #expect(try database.rows("PRAGMA foreign_key_check", columns: 3) == [])
    try database.connection.execute("PRAGMA foreign_keys = ON")
    try database.connection.execute(
      """
      INSERT OR REPLACE INTO tasks (storage_key, pipeline, task_id, status, created_at, updated_at)
      VALUES ('main', 'penguins', 'clean', 'SUCCESS', 'now', 'now')
      """)
    #expect(try database.count("acceptances") == 0)
    #expect(try store.acceptedResult(for: changed.actionKey, of: ran.key) == nil)
  }

  /// The SQL of kptn's own schema document (seed 0), unchanged.
  static let seed = """
    CREATE TABLE tasks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        storage_key TEXT NOT NULL,           -- Branch/storage key
        pipeline TEXT NOT NULL,              -- Pipeline ID
        task_id TEXT NOT NULL,               -- Task ID
        code_hashes TEXT,                    -- JSON string
        input_hashes TEXT,                   -- JSON string
        input_data_hashes TEXT,              -- JSON string
        outputs_version TEXT,
        output_data_version TEXT,
        status TEXT,
        start_time TEXT,
        end_time TEXT,
        subtask_count INTEGER DEFAULT 0,
        taskdata_count INTEGER DEFAULT 0,
        subset_count INTEGER DEFAULT 0,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        UNIQUE(storage_key, pipeline, task_id)
    );
    CREATE TABLE taskdata_bins (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        storage_key TEXT NOT NULL,
        pipeline TEXT NOT NULL,
        task_id TEXT NOT NULL,
        bin_type TEXT NOT NULL,              -- 'TASKDATABIN', 'SUBSETBIN'
        bin_id TEXT NOT NULL,                -- '0', '1', '2', etc.
        data TEXT NOT NULL,                  -- JSON serialized data
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        UNIQUE(storage_key, pipeline, task_id, bin_type, bin_id),
        FOREIGN KEY(storage_key, pipeline, task_id) REFERENCES tasks(storage_key, pipeline, task_id) ON DELETE CASCADE
    );
    CREATE TABLE subtask_bins (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        storage_key TEXT NOT NULL,
        pipeline TEXT NOT NULL,
        task_id TEXT NOT NULL,
        bin_id TEXT NOT NULL,                -- '0', '1', '2', etc.
        data TEXT NOT NULL,                  -- JSON serialized subtask list
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        UNIQUE(storage_key, pipeline, task_id, bin_id),
        FOREIGN KEY(storage_key, pipeline, task_id) REFERENCES tasks(storage_key, pipeline, task_id) ON DELETE CASCADE
    );
    CREATE INDEX idx_tasks_lookup ON tasks(storage_key, pipeline, task_id);
    CREATE INDEX idx_tasks_pipeline ON tasks(storage_key, pipeline);
    CREATE INDEX idx_taskdata_bins_lookup ON taskdata_bins(storage_key, pipeline, task_id, bin_type);
    CREATE INDEX idx_subtask_bins_lookup ON subtask_bins(storage_key, pipeline, task_id);
    """

  static let tables = ["tasks", "taskdata_bins", "subtask_bins"]

  @Test(
    "are the seed's, column for column, with their constraints, cascades and indexes", .temporaryFolder,
    arguments: tables)
  func equalsSeed(table: String) throws {
    _ = try openSQLite().migrate(now: Time.day(1))
    let (ours, theirs) = (try Database(), try Database("seed.db"))
    try theirs.connection.execute(Self.seed)
    func shape(_ database: Database) throws -> [String] {
      var shape = try database.rows("PRAGMA table_xinfo(\(table))", columns: 7)
      #expect(!shape.isEmpty)
      shape += try database.rows("PRAGMA foreign_key_list(\(table))", columns: 8)
      let indexes = try database.rows(
        "SELECT name, \"unique\", origin, partial FROM pragma_index_list('\(table)') ORDER BY name", columns: 4)
      #expect(!indexes.isEmpty)
      for index in indexes {
        let name = String(index.prefix { $0 != "|" })
        shape += [index] + (try database.rows("PRAGMA index_xinfo('\(name)')", columns: 6))
      }
      return shape
    }
    #expect(try shape(ours) == shape(theirs))
    let isAscending = "SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_schema WHERE name = '\(table)'"
    #expect(try ours.rows(isAscending) == ["1"])
  }

  @Test("have the four named indexes", .temporaryFolder)
  func indexes() throws {
    _ = try openSQLite().migrate(now: Time.day(1))
    let names = try Database().rows(
      """
      SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL
        AND tbl_name IN ('tasks', 'taskdata_bins', 'subtask_bins') ORDER BY name
      """)
    #expect(
      names == ["idx_subtask_bins_lookup", "idx_taskdata_bins_lookup", "idx_tasks_lookup", "idx_tasks_pipeline"])
  }

  @Test("beginning and finishing a run keeps the row and its bins", .temporaryFolder)
  func binsStay() throws {
    let store = try openSQLite()
    var step = Step("clean")
    step.outputs = ["a": "A"]
    try step.run(in: store)
    let database = try Database()
    try database.connection.execute(
      """
      INSERT INTO taskdata_bins (storage_key, pipeline, task_id, bin_type, bin_id, data, created_at, updated_at)
        VALUES ('main', 'penguins', 'clean', 'TASKDATABIN', '0', '[1]', 'then', 'then');
      INSERT INTO subtask_bins (storage_key, pipeline, task_id, bin_id, data, created_at, updated_at)
        VALUES ('main', 'penguins', 'clean', '0', '[]', 'then', 'then');
      UPDATE tasks SET subtask_count = 7, taskdata_count = 8, subset_count = 9, created_at = 'then';
      """)
    let row = try database.rows("SELECT id FROM tasks")
    try store.finish(
      try step.begin(in: store), with: step.ending(.failed, .failure, exitCode: 1))
    try store.finish(try step.begin(in: store), with: step.ending(.cancelled, nil, exitCode: nil))
    let lost = try step.begin(in: store)
    let taken = try step.begin(in: store, replacing: lost.tokens)
    #expect(try database.rows("SELECT id FROM tasks") == row)
    #expect(try database.rows("SELECT data FROM taskdata_bins") == ["[1]"])
    #expect(try database.rows("SELECT data FROM subtask_bins") == ["[]"])
    #expect(
      try database.rows(
        "SELECT subtask_count, taskdata_count, subset_count, created_at FROM tasks", columns: 4) == ["7|8|9|then"])
    let record = try #require(try store.record(step.key))
    #expect(record.subtaskCount == 7 && record.taskdataCount == 8)

    // A success without data has none, whatever there was; the items stay.
    try store.finish(taken, with: step.success)
    #expect(try database.rows("SELECT id FROM tasks") == row)
    #expect(try database.rows("SELECT data FROM taskdata_bins") == [])
    #expect(try database.rows("SELECT data FROM subtask_bins") == ["[]"])
    #expect(
      try database.rows(
        "SELECT subtask_count, taskdata_count, subset_count, created_at FROM tasks", columns: 4) == ["7|0|9|then"])
  }

  @Test("hold the group digests as JSON strings, and times in UTC", .temporaryFolder)
  func columns() throws {
    let step = Step("clean")
    try step.run(in: try openSQLite())
    let print = step.fingerprint
    #expect(
      try Database().rows(
        """
        SELECT code_hashes, input_hashes, input_data_hashes, outputs_version, status, start_time, end_time,
          created_at, updated_at FROM tasks
        """, columns: 9) == [
          "\"\(print.code.hex)\"|\"\(print.inputs.hex)\"|\"\(print.data.hex)\"|\(step.manifest.digest.hex)|SUCCESS|"
            + [String](repeating: Time.day(1), count: 4).joined(separator: "|")
        ])
  }

  @Test("a REPLACE by kptn's client voids what Purser knew, but not the mark", .temporaryFolder)
  func replaced() throws {
    let store = try openSQLite()
    let step = Step("clean")
    try step.run(in: store)
    _ = try store.invalidate([step.key])
    try Database().connection.execute(
      """
      PRAGMA foreign_keys = ON;
      INSERT OR REPLACE INTO tasks (storage_key, pipeline, task_id, code_hashes, status, created_at, updated_at)
        VALUES ('main', 'penguins', 'clean', '{"a.py": "1"}', 'QUEUED', 'now', 'now')
      """)
    let record = try #require(try store.record(step.key))
    #expect(record.actionKey == nil && record.result == nil && record.lastRun == nil)
    #expect(record.code == nil && record.status == nil)
    #expect(record.invalidation != nil)
    try step.run(in: store)
    #expect(try store.record(step.key)?.status == .success)
  }
}
