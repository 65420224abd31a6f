package import PurserModel
package import PurserStore

// A mark is a row of `invalidations`, one for each task: what was there when it was made, and what runs make that had
// begun by then, is void on its storage key. A later mark takes the place of an earlier one, which is kept, to stand
// again when the later one is taken back. A mark on all keys is, besides, one of `all_keys_marks`, and voids the results
// themselves.
extension SQLiteRecordStore {
  package func invalidate(_ request: InvalidationRequest) throws(StoreError) -> [TaskKey] {
    if request.isTrial {
      return try read(else: []) { connection throws(StoreError) in try Self.hits(of: request, connection) }
    }
    return try write { connection throws(StoreError) in
      let keys = try Self.hits(of: request, connection)
      guard !keys.isEmpty else { return [] }
      let mark = request.mark
      let horizons: [SQLValue] = try ["action_results", "item_results", "task_runs"].map { table throws(StoreError) in
        .integer(try connection.integer("SELECT coalesce(max(id), 0) FROM \(table)") ?? 0)
      }
      for key in keys {
        try connection.run(
          """
          INSERT INTO earlier_invalidations (\(markColumns))
          SELECT \(markColumns) FROM invalidations WHERE storage_key = ? AND pipeline = ? AND task_id = ?
          """, key.values)
        try connection.run(
          """
          INSERT INTO invalidations (storage_key, pipeline, task_id, horizon, item_horizon, run_horizon, on_all_keys,
            invalidated_at, invalidated_by, why)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
          ON CONFLICT (storage_key, pipeline, task_id) DO UPDATE SET horizon = excluded.horizon,
            item_horizon = excluded.item_horizon, run_horizon = excluded.run_horizon,
            on_all_keys = excluded.on_all_keys, invalidated_at = excluded.invalidated_at,
            invalidated_by = excluded.invalidated_by, why = excluded.why
          """,
          key.values + horizons + [
            .integer(request.allKeys ? 1 : 0), .text(mark.at), .text(mark.by), .text(mark.why),
          ])
        try Self.logMark(
          "INVALIDATED", key, [("why", .string(mark.why)), ("allKeys", .bool(request.allKeys))], mark, connection)
      }
      if request.allKeys { try Self.voidResults(of: keys, mark, runHorizon: horizons[2], connection) }
      return keys
    }
  }

  /// Whatever is meant, sorted. O(hits).
  static func hits(
    of request: InvalidationRequest, isTakingBack: Bool = false, _ connection: Connection
  ) throws(StoreError) -> [TaskKey] {
    let named = try named(by: request, isTakingBack, connection)
    return (request.includesDownstream ? named + (try followers(of: named, connection)) : named).sorted()
  }

  /// The tasks themselves, and the same on other storage keys, as asked. On all keys, also those whose records are gone and
  /// whose results are not; marks are found without a record too.
  static func named(
    by request: InvalidationRequest, _ isTakingBack: Bool, _ connection: Connection
  ) throws(StoreError) -> [TaskKey] {
    let tables = isTakingBack ? ["tasks", "invalidations"] : ["tasks"]
    var found: [TaskKey] = []
    var seen: Set<TaskKey> = []
    func add(_ key: TaskKey) { if seen.insert(key).inserted { found.append(key) } }
    func isKnown(_ key: TaskKey) throws(StoreError) -> Bool {
      for table in tables {
        let row = try connection.integer(
          "SELECT 1 FROM \(table) WHERE storage_key = ? AND pipeline = ? AND task_id = ?", key.values)
        if row != nil { return true }
      }
      return false
    }
    guard request.allKeys else {
      for key in request.keys where try isKnown(key) { add(key) }
      return found
    }
    var storageKeys: [String] = []
    for table in tables { storageKeys += try Self.storageKeys(in: table, connection) }
    var isDone: Set<TaskKey> = []
    for key in request.keys where isDone.insert(key.onNoStorageKey).inserted {
      for storageKey in storageKeys {
        let key = TaskKey(storageKey: storageKey, pipeline: key.pipeline, task: key.task)
        if try isKnown(key) { add(key) }
      }
      var statement = try connection.statement(
        "SELECT DISTINCT storage_key, pipeline, task_id FROM action_results WHERE pipeline = ? AND task_id = ?")
      try statement.bind([.text(key.pipeline), .text(key.task)])
      for key in try taskKeys(&statement) { add(key) }
    }
    return found
  }

  /// From one key to the next by the index, not through all rows.
  private static func storageKeys(in table: String, _ connection: Connection) throws(StoreError) -> [String] {
    var statement = try connection.statement(
      """
      WITH RECURSIVE k(storage_key) AS (
        SELECT min(storage_key) FROM \(table)
        UNION ALL
        SELECT (SELECT min(t.storage_key) FROM \(table) t WHERE t.storage_key > k.storage_key) FROM k
          WHERE k.storage_key IS NOT NULL
      )
      SELECT storage_key FROM k WHERE storage_key IS NOT NULL
      """)
    var keys: [String] = []
    while try statement.step() { keys.append(statement.text(0) ?? "") }
    return keys
  }

  /// Everything that depends on tasks, as recorded, but for these. Without statistics SQLite takes the wrong index: all
  /// dependencies of a pipeline would be looked through for each task.
  static func followers(of tasks: [TaskKey], _ connection: Connection) throws(StoreError) -> [TaskKey] {
    var statement = try connection.statement(
      """
      SELECT storage_key, pipeline, task_id FROM task_dependencies INDEXED BY idx_task_dependencies_upstream
      WHERE storage_key = ? AND pipeline = ? AND depends_on_task_id = ?
      """)
    var seen = Set(tasks)
    var found: [TaskKey] = []
    var waiting = tasks
    while let key = waiting.popLast() {
      try statement.bind(key.values)
      for follower in try taskKeys(&statement) where seen.insert(follower).inserted {
        found.append(follower)
        waiting.append(follower)
      }
    }
    return found
  }

  static func taskKeys(_ statement: inout Statement) throws(StoreError) -> [TaskKey] {
    var keys: [TaskKey] = []
    while try statement.step() { keys.append(taskKey(statement)) }
    return keys
  }

  static func taskKey(_ row: borrowing Statement) -> TaskKey {
    TaskKey(storageKey: row.text(0) ?? "", pipeline: row.text(1) ?? "", task: row.text(2) ?? "")
  }

  static func logMark(
    _ type: String, _ key: TaskKey, _ data: [(String, JSON)], _ mark: Invalidation, _ connection: Connection
  ) throws(StoreError) {
    try log(type, run: nil, key: key, data: .object(data), from: nil, to: nil, at: mark.at, by: mark.by, connection)
  }

  // MARK: All keys

  /// Marks tasks for keys to come, and the results of all that they ever did, whoever made them.
  private static func voidResults(
    of keys: [TaskKey], _ mark: Invalidation, runHorizon: SQLValue, _ connection: Connection
  ) throws(StoreError) {
    let last = try connection.integer("SELECT coalesce(max(id), 0) FROM all_keys_marks") ?? 0
    var seen: Set<TaskKey> = []
    for key in keys where seen.insert(key.onNoStorageKey).inserted {
      try connection.run(
        """
        INSERT INTO all_keys_marks (pipeline, task_id, run_horizon, invalidated_at, invalidated_by, why)
        VALUES (?, ?, ?, ?, ?, ?)
        """,
        [.text(key.pipeline), .text(key.task), runHorizon, .text(mark.at), .text(mark.by), .text(mark.why)])
    }
    // Results that are void for another reason than a mark on all keys are none of its own.
    try connection.run(
      """
      INSERT OR IGNORE INTO void_results (result_id, mark_id)
      SELECT r.id, m.id FROM all_keys_marks m
        JOIN action_results p ON p.pipeline = m.pipeline AND p.task_id = m.task_id
        JOIN action_results r ON r.action_key = p.action_key
      WHERE m.id > ?1 AND (r.invalidated_at IS NULL OR r.id IN (SELECT result_id FROM void_results))
      UNION
      SELECT r.id, m.id FROM tasks t JOIN all_keys_marks m ON m.pipeline = t.pipeline AND m.task_id = t.task_id
        JOIN task_details d ON d.task_row = t.id
        JOIN action_results r ON r.action_key = d.action_key
      WHERE m.id > ?1 AND (r.invalidated_at IS NULL OR r.id IN (SELECT result_id FROM void_results))
      """, [.integer(last)])
    try connection.run(
      """
      INSERT OR IGNORE INTO void_item_results (item_result_id, mark_id)
      SELECT r.id, m.id FROM item_results p JOIN all_keys_marks m ON m.pipeline = p.pipeline AND m.task_id = p.task_id
        JOIN item_results r ON r.content_key = p.content_key
      WHERE m.id > ?1 AND (r.invalidated_at IS NULL OR r.id IN (SELECT item_result_id FROM void_item_results))
      """, [.integer(last)])
    try voidListedItems(of: keys, since: last, connection)
    for (table, links, column) in voidTables {
      try connection.run(
        """
        UPDATE \(table) SET invalidated_at = ?
        WHERE invalidated_at IS NULL AND id IN (SELECT \(column) FROM \(links) WHERE mark_id > ?)
        """, [.text(mark.at), .integer(last)])
    }
  }

  /// Of items that were put back from another task, only the list tells.
  private static func voidListedItems(
    of keys: [TaskKey], since last: Int64, _ connection: Connection
  ) throws(StoreError) {
    var known: Set<Digest> = []
    do {
      var statement = try connection.statement("SELECT DISTINCT content_key FROM item_results")
      while try statement.step() { if let key = statement.digest(0) { known.insert(key) } }
    }
    guard !known.isEmpty else { return }
    for key in keys {
      // A list that is damaged tells nothing; the mark stands all the same.
      let listed = (try? items(of: key, connection)) ?? []
      for contentKey in Set(listed.lazy.compactMap(\.contentKey)).intersection(known) {
        try connection.run(
          """
          INSERT OR IGNORE INTO void_item_results (item_result_id, mark_id)
          SELECT r.id, m.id FROM item_results r JOIN all_keys_marks m ON m.pipeline = ?2 AND m.task_id = ?3 AND m.id > ?1
          WHERE r.content_key = ?4
            AND (r.invalidated_at IS NULL OR r.id IN (SELECT item_result_id FROM void_item_results))
          """, [.integer(last), .text(key.pipeline), .text(key.task), .digest(contentKey)])
      }
    }
  }

  static var voidTables: [(table: String, links: String, column: String)] {
    [("action_results", "void_results", "result_id"), ("item_results", "void_item_results", "item_result_id")]
  }

  /// Voids a result that was just recorded, if a mark on all keys was made since its run began: one on its task, or on
  /// another one that has done the same.
  static func voidIfMarked(_ result: Int64, of run: OpenRun, _ connection: Connection) throws(StoreError) {
    guard try hasMarks(since: run, connection) else { return }
    try connection.run(
      """
      INSERT INTO void_results (result_id, mark_id)
      SELECT n.id, m.id FROM all_keys_marks m JOIN action_results n ON n.id = ?1
      WHERE m.run_horizon >= ?2 AND (
        (m.pipeline = n.pipeline AND m.task_id = n.task_id)
        OR EXISTS (
          SELECT 1 FROM action_results r
          WHERE r.action_key = n.action_key AND r.pipeline = m.pipeline AND r.task_id = m.task_id AND r.id <> n.id)
        OR EXISTS (
          SELECT 1 FROM tasks t JOIN task_details d ON d.task_row = t.id
          WHERE d.action_key = n.action_key AND t.pipeline = m.pipeline AND t.task_id = m.task_id))
      """, [.integer(result), .integer(run.id)])
    try setInvalidated("action_results", "void_results", "result_id", [result], connection)
  }

  /// As ``voidIfMarked(_:of:_:)``, for what an item made.
  static func voidItemIfMarked(_ result: Int64, of run: OpenRun, _ connection: Connection) throws(StoreError) {
    guard try hasMarks(since: run, connection) else { return }
    try connection.run(
      """
      INSERT INTO void_item_results (item_result_id, mark_id)
      SELECT n.id, m.id FROM all_keys_marks m JOIN item_results n ON n.id = ?1
      WHERE m.run_horizon >= ?2 AND (
        (m.pipeline = n.pipeline AND m.task_id = n.task_id)
        OR EXISTS (
          SELECT 1 FROM item_results r
          WHERE r.content_key = n.content_key AND r.pipeline = m.pipeline AND r.task_id = m.task_id AND r.id <> n.id))
      """, [.integer(result), .integer(run.id)])
    try setInvalidated("item_results", "void_item_results", "item_result_id", [result], connection)
  }

  private static func hasMarks(since run: OpenRun, _ connection: Connection) throws(StoreError) -> Bool {
    try connection.integer("SELECT 1 FROM all_keys_marks WHERE run_horizon >= ? LIMIT 1", [.integer(run.id)]) != nil
  }

  /// Brings `invalidated_at` of results in line with the marks on all keys that void them.
  static func setInvalidated(
    _ table: String, _ links: String, _ column: String, _ results: [Int64], _ connection: Connection
  ) throws(StoreError) {
    for result in results {
      try connection.run(
        """
        UPDATE \(table) SET invalidated_at = (
          SELECT min(m.invalidated_at) FROM \(links) v JOIN all_keys_marks m ON m.id = v.mark_id
          WHERE v.\(column) = \(table).id)
        WHERE id = ?
        """, [.integer(result)])
    }
  }

  // MARK: Questions

  package func invalidationHorizons(for keys: [TaskKey]) throws(StoreError) -> [TaskKey: InvalidationHorizon] {
    try read(else: [:]) { connection throws(StoreError) in
      var found: [TaskKey: InvalidationHorizon] = [:]
      for key in keys {
        let horizon = try Self.horizon("horizon", of: key, connection)
        if horizon.result > 0 || horizon.run > 0 { found[key] = horizon }
      }
      return found
    }
  }

  /// What the mark on a task voids, and what the marks on all keys do, also on keys that came later: whoever made it.
  ///
  /// - Parameter column: `horizon` for results, `item_horizon` for those of items.
  static func horizon(
    _ column: String, of key: TaskKey, _ connection: Connection
  ) throws(StoreError) -> InvalidationHorizon {
    var statement = try connection.statement(
      """
      SELECT coalesce(max(\(column)), 0), max(coalesce(max(run_horizon), 0), coalesce((
        SELECT max(m.run_horizon) FROM all_keys_marks m WHERE m.pipeline = ?2 AND m.task_id = ?3), 0))
      FROM invalidations WHERE storage_key = ?1 AND pipeline = ?2 AND task_id = ?3
      """)
    try statement.bind(key.values)
    _ = try statement.step()
    return InvalidationHorizon(result: statement.integer(0), run: statement.integer(1))
  }

  package func taskKeys(
    storageKey: String?, pipeline: String?, includesTraces: Bool
  ) throws(StoreError) -> [TaskKey] {
    try read(else: []) { connection throws(StoreError) in
      let condition = "WHERE (?1 IS NULL OR storage_key = ?1) AND (?2 IS NULL OR pipeline = ?2)"
      let traces = ["action_results", "invalidations"].map {
        " UNION SELECT storage_key, pipeline, task_id FROM \($0) \(condition)"
      }
      var statement = try connection.statement(
        "SELECT storage_key, pipeline, task_id FROM tasks \(condition)\(includesTraces ? traces.joined() : "") "
          + "ORDER BY 1, 2, 3")
      try statement.bind([.text(orNull: storageKey), .text(orNull: pipeline)])
      return try Self.taskKeys(&statement)
    }
  }

  /// The mark that was made since a run began, or since the result was made that it put back.
  static func mark(
    voiding result: Int64, of run: OpenRun, _ connection: Connection
  ) throws(StoreError) -> Invalidation? {
    var statement = try connection.statement(
      """
      SELECT invalidated_at, invalidated_by, why FROM invalidations
      WHERE storage_key = ? AND pipeline = ? AND task_id = ? AND (run_horizon >= ? OR horizon >= ?)
      """)
    try statement.bind(run.key.values + [.integer(run.id), .integer(result)])
    guard try statement.step() else { return nil }
    return Invalidation(at: statement.text(0) ?? "", by: statement.text(1) ?? "", why: statement.text(2) ?? "")
  }
}

extension TaskKey {
  /// The task, wherever it is recorded.
  var onNoStorageKey: TaskKey { TaskKey(storageKey: "", pipeline: pipeline, task: task) }
}

/// The columns of a mark, the same in both tables.
let markColumns =
  "storage_key, pipeline, task_id, horizon, item_horizon, run_horizon, on_all_keys, invalidated_at, invalidated_by, why"
