package import PurserModel
package import PurserStore

extension SQLiteRecordStore {
  package func storageKeys(pipeline: String?) throws(StoreError) -> [StorageKeySummary] {
    try read(else: []) { connection throws(StoreError) in
      var summaries: [StorageKeySummary] = []
      do {
        var statement = try connection.statement(
          """
          SELECT storage_key, pipeline, count(*), sum(subtask_count), max(updated_at) FROM tasks
          WHERE ?1 IS NULL OR pipeline = ?1 GROUP BY storage_key, pipeline ORDER BY storage_key, pipeline
          """)
        try statement.bind([.text(orNull: pipeline)])
        while try statement.step() {
          let key = statement.text(0) ?? ""
          if summaries.last?.storageKey.utf8.elementsEqual(key.utf8) != true {
            summaries.append(
              StorageKeySummary(
                storageKey: key, pipelines: [], tasks: 0, subtasks: 0, lastActivity: nil, bytes: 0, ownBytes: 0))
          }
          summaries[summaries.count - 1].pipelines.append(statement.text(1) ?? "")
          summaries[summaries.count - 1].tasks += Int(statement.integer(2))
          summaries[summaries.count - 1].subtasks += Int(statement.integer(3))
          let last = [summaries[summaries.count - 1].lastActivity, statement.text(4)].compactMap(\.self).max()
          summaries[summaries.count - 1].lastActivity = last
        }
      }
      let sizes = try Self.sizes(pipeline: pipeline, connection)
      for index in summaries.indices {
        (summaries[index].bytes, summaries[index].ownBytes) =
          sizes[ByteString(summaries[index].storageKey)] ?? (0, 0)
      }
      return summaries
    }
  }

  /// Bytes that each key's records name, and those that no other key's do.
  private static func sizes(
    pipeline: String?, _ connection: Connection
  ) throws(StoreError) -> [ByteString: (all: UInt64, own: UInt64)] {
    var statement = try connection.statement(
      """
      WITH named AS MATERIALIZED (
        SELECT t.storage_key, b.blob_id, max(?1 IS NULL OR t.pipeline = ?1) AS counts
        FROM tasks t JOIN task_details d ON d.task_row = t.id JOIN result_blobs b ON b.result_id = d.result_id
        GROUP BY 1, 2),
      shared AS (SELECT blob_id, count(*) AS keys FROM named GROUP BY blob_id)
      SELECT n.storage_key, sum(b.size), sum(CASE s.keys WHEN 1 THEN b.size ELSE 0 END)
      FROM named n JOIN shared s USING (blob_id) JOIN blobs b ON b.id = n.blob_id WHERE n.counts GROUP BY 1
      """)
    try statement.bind([.text(orNull: pipeline)])
    // By bytes: two texts that Swift takes for equal may be two keys.
    var sizes: [ByteString: (all: UInt64, own: UInt64)] = [:]
    while try statement.step() {
      sizes[ByteString(statement.text(0) ?? "")] = (UInt64(statement.integer(1)), UInt64(statement.integer(2)))
    }
    return sizes
  }

  package func clone(_ request: CloneRequest) throws(StoreError) -> CloneOutcome {
    // Without anything to copy, no store is made.
    guard try hasRecords(request.from) else { return .nothing }
    return try write { connection throws(StoreError) in
      let target = BranchScope(storageKey: request.to, pipeline: request.from.pipeline)
      let counts = try Self.counts(request.from, connection)
      guard counts.tasks > 0 else { return .nothing }
      let present = try Self.counts(target, connection)
      guard present.tasks == 0 || request.replaces else { return .occupied(present) }
      let holders = try Self.leases(in: target, but: request.deadLeases, connection)
      guard holders.isEmpty else { return .held(holders) }
      try Self.removeMarks(target, connection)
      if present.tasks > 0 { try Self.removeRecords(target, connection) }
      try Self.copy(request.from, to: request.to, now: request.now, connection)
      try Self.logEach("CLONED", target, from: request.from.storageKey, now: request.now, by: request.by, connection)
      return .cloned(counts, replaced: present)
    }
  }

  package func drop(_ request: DropRequest) throws(StoreError) -> DropOutcome {
    guard try hasRecords(request.scope) else { return .nothing }
    return try write { connection throws(StoreError) in
      let counts = try Self.counts(request.scope, connection)
      guard counts.tasks > 0 else { return .nothing }
      let holders = try Self.leases(in: request.scope, but: request.deadLeases, connection)
      guard holders.isEmpty else { return .held(holders) }
      try Self.logEach("DROPPED", request.scope, from: nil, now: request.now, by: request.by, connection)
      try Self.removeMarks(request.scope, connection)
      try Self.removeRecords(request.scope, connection)
      return .dropped(counts)
    }
  }

  func hasRecords(_ scope: BranchScope) throws(StoreError) -> Bool {
    try read(else: false) { connection throws(StoreError) in
      try connection.integer("SELECT 1 FROM tasks WHERE \(BranchTable.scope) LIMIT 1", scope.values) != nil
    }
  }

  static func counts(_ scope: BranchScope, _ connection: Connection) throws(StoreError) -> BranchCounts {
    var statement = try connection.statement(
      """
      SELECT pipeline, count(*), sum(subtask_count) FROM tasks WHERE \(BranchTable.scope)
      GROUP BY pipeline ORDER BY pipeline
      """)
    try statement.bind(scope.values)
    var counts = BranchCounts()
    while try statement.step() {
      counts.pipelines.append(statement.text(0) ?? "")
      counts.tasks += Int(statement.integer(1))
      counts.subtasks += Int(statement.integer(2))
    }
    return counts
  }

  /// The leases of runs of these tasks, but for some.
  static func leases(
    in scope: BranchScope, but dead: [Int64], _ connection: Connection
  ) throws(StoreError) -> [Lease] {
    var names: [String] = []
    do {
      var statement = try connection.statement(
        """
        SELECT l.id, l.lock_key FROM task_locks l JOIN task_runs r ON r.id = l.run_id
        WHERE r.storage_key = ?1 AND (?2 IS NULL OR r.pipeline = ?2) ORDER BY l.id
        """)
      try statement.bind(scope.values)
      while try statement.step() {
        if !dead.contains(statement.integer(0)) { names.append(statement.text(1) ?? "") }
      }
    }
    return try leases(named: names, connection)
  }

  /// An event for each task, so that the audit trail says where a record came from, or why it is gone.
  static func logEach(
    _ type: String, _ scope: BranchScope, from: String?, now: String, by: String, _ connection: Connection
  ) throws(StoreError) {
    let isDropped = from == nil
    try connection.run(
      """
      INSERT INTO task_events (storage_key, pipeline, task_id, event_type, event_data, previous_status, new_status,
        timestamp, actor)
      SELECT storage_key, pipeline, task_id, ?3, ?4, iif(?5, status, NULL), iif(?5, NULL, status), ?6, ?7
      FROM tasks WHERE \(BranchTable.scope) ORDER BY id
      """,
      scope.values + [
        .text(type), .text(orNull: from.map { JSON.object([("from", .string($0))]).serialized }),
        .integer(isDropped ? 1 : 0), .text(now), .text(by),
      ])
  }

  // MARK: Rows

  private static func copy(
    _ scope: BranchScope, to key: String, now: String, _ connection: Connection
  ) throws(StoreError) {
    for table in BranchTable.all { try table.copy(scope, to: key, now: now, connection) }
    for pipeline in try counts(scope, connection).pipelines {
      try connection.run(
        """
        INSERT OR REPLACE INTO artifacts (dag_id, node_id, key, value, created_at, updated_at)
        SELECT ?2, node_id, key, value, ?3, ?3 FROM artifacts WHERE dag_id = ?1
        """,
        [
          .text(ExecutionName.pipeline(scope.storageKey, pipeline)), .text(ExecutionName.pipeline(key, pipeline)),
          .text(now),
        ])
    }
    // The journal of a task that is being run, or whose run was killed.
    try connection.run(
      """
      INSERT INTO subtask_events (id, task_row, item, status, time, output_hash, error, content_key)
      SELECT (new.id << 32) | (e.id & 0xffffffff), new.id, e.item, e.status, e.time, e.output_hash, e.error, e.content_key
      FROM subtask_events e JOIN tasks old ON old.id = e.task_row
        JOIN tasks new ON new.storage_key = ?3 AND new.pipeline = old.pipeline AND new.task_id = old.task_id
      WHERE old.storage_key = ?1 AND (?2 IS NULL OR old.pipeline = ?2) ORDER BY 1
      """, scope.values + [.text(key)])
  }

  /// What stands beside the records.
  static func removeMarks(_ scope: BranchScope, _ connection: Connection) throws(StoreError) {
    for table in BranchTable.all where !table.isOfRecords {
      try connection.run("DELETE FROM \(table.name) WHERE \(BranchTable.scope)", scope.values)
    }
  }

  static func removeRecords(_ scope: BranchScope, _ connection: Connection) throws(StoreError) {
    // Debian's SQLite writes zeros over all that it removes: of a million items 300 MB, twice, which takes four times as
    // long as the rest. What a page that is written anyway held is still overwritten.
    for pipeline in try counts(scope, connection).pipelines {
      try connection.run(
        "DELETE FROM artifacts WHERE dag_id = ?", [.text(ExecutionName.pipeline(scope.storageKey, pipeline))])
    }
    let security = try connection.integer("PRAGMA secure_delete") ?? 1
    try connection.execute("PRAGMA secure_delete = FAST")
    defer { try? connection.execute("PRAGMA secure_delete = \(security)") }
    // What hangs from a record goes with it. But the journal has no index by task (it is filled at its end, which an
    // index would double), so that each record would have all of it looked through: other tasks' events step aside.
    try connection.run(
      """
      DELETE FROM subtask_events WHERE task_row IN (SELECT id FROM tasks WHERE \(BranchTable.scope))
      """, scope.values)
    let hasJournal = try connection.integer("SELECT 1 FROM subtask_events LIMIT 1") != nil
    if hasJournal {
      try connection.execute(
        "CREATE TEMP TABLE other_events AS SELECT * FROM main.subtask_events; DELETE FROM main.subtask_events")
    }
    try connection.run("DELETE FROM tasks WHERE \(BranchTable.scope)", scope.values)
    if hasJournal {
      try connection.execute(
        "INSERT INTO main.subtask_events SELECT * FROM temp.other_events; DROP TABLE temp.other_events")
    }
  }
}

extension BranchScope {
  /// The parameters ?1 and ?2 of ``BranchTable/scope``.
  var values: [SQLValue] { [.text(storageKey), .text(orNull: pipeline)] }
}
