package import PurserModel
package import PurserStore

extension SQLiteRecordStore {
  /// A task record with its result, its mark and its last run, in one row.
  private static let recordColumns = """
    SELECT t.storage_key, t.pipeline, t.task_id, t.code_hashes, t.input_hashes, t.input_data_hashes,
      t.outputs_version, t.output_data_version, t.status, t.start_time, t.end_time, t.subtask_count,
      t.taskdata_count, t.updated_at, d.action_key,
      r.id, r.action_key, r.manifest, r.outputs_version, r.log_digest, r.duration_us, r.storage_key, r.pipeline,
      r.task_id, r.created_at, r.data_digest, r.data_count, r.invalidated_at,
      i.horizon, i.invalidated_at, i.invalidated_by, i.why, n.id, n.status, r.begun, i.run_horizon,
      r.undeclared
    FROM tasks t
      LEFT JOIN task_details d ON d.task_row = t.id
      LEFT JOIN action_results r ON r.id = d.result_id
      LEFT JOIN task_runs n ON n.id = d.run_id
      LEFT JOIN invalidations i
        ON i.storage_key = t.storage_key AND i.pipeline = t.pipeline AND i.task_id = t.task_id

    """

  private static let recordOfTask = recordColumns + "WHERE t.storage_key = ? AND t.pipeline = ? AND t.task_id = ?"

  package func records(for keys: [TaskKey]) throws(StoreError) -> [TaskRecord?] {
    try read(else: Array(repeating: nil, count: keys.count)) { connection throws(StoreError) in
      var found: [TaskRecord?] = []
      var statement = try connection.statement(Self.recordOfTask)
      for key in keys {
        try statement.bind(key.values)
        found.append(try statement.step() ? Self.record(statement, connection) : nil)
      }
      return found
    }
  }

  package func records(storageKey: String?, pipeline: String?) throws(StoreError) -> [TaskRecord] {
    try read(else: []) { connection throws(StoreError) in
      var conditions: [String] = []
      var values: [SQLValue] = []
      if let storageKey {
        conditions.append("t.storage_key = ?")
        values.append(.text(storageKey))
      }
      if let pipeline {
        conditions.append("t.pipeline = ?")
        values.append(.text(pipeline))
      }
      let condition = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
      var statement = try connection.statement(
        Self.recordColumns + condition + " ORDER BY t.storage_key, t.pipeline, t.task_id")
      try statement.bind(values)
      var records: [TaskRecord] = []
      // Counted first: records are large, and to move all of them each time that the room is used up takes longer.
      let count = try connection.integer("SELECT count(*) FROM tasks t " + condition, values) ?? 0
      records.reserveCapacity(Int(count))
      while try statement.step() { records.append(try Self.record(statement, connection)) }
      return records
    }
  }

  private static func record(_ row: borrowing Statement, _ connection: Connection) throws(StoreError) -> TaskRecord {
    var record = TaskRecord(
      key: TaskKey(storageKey: row.text(0) ?? "", pipeline: row.text(1) ?? "", task: row.text(2) ?? ""),
      status: row.text(8).flatMap(TaskStatus.init), updatedAt: row.text(13) ?? "")
    record.code = groupDigest(row, 3)
    record.inputs = groupDigest(row, 4)
    record.data = groupDigest(row, 5)
    record.outputsVersion = row.text(6)
    record.outputDataVersion = row.text(7)
    record.startTime = row.text(9)
    record.endTime = row.text(10)
    record.subtaskCount = Int(row.integer(11))
    record.taskdataCount = Int(row.integer(12))
    record.actionKey = row.digest(14)
    record.result = result(row, from: 15)
    record.lastRun = row.integer(orNil: 32)
    record.lastRunState = row.text(33).flatMap(RunState.init)
    record.result?.run = row.integer(34)
    record.result?.undeclared = row.bytes(36).flatMap { [Component](encoded: $0) }
    if let horizon = row.integer(orNil: 28) {
      let mark = InvalidationHorizon(result: horizon, run: row.integer(35))
      if record.result.map(mark.voids) ?? true {
        record.invalidation = Invalidation(at: row.text(29) ?? "", by: row.text(30) ?? "", why: row.text(31) ?? "")
        record.markedRun = mark.run
      }
    }
    if record.invalidation == nil, let marked = row.text(27) {
      record.invalidation = Invalidation(at: marked, by: "", why: "")
      try nameMark(of: &record, connection)
    }
    return record
  }

  /// Who made the mark on all keys that a record's result is void by, and why. Few records are marked: not in their
  /// query, which is every decision's.
  private static func nameMark(of record: inout TaskRecord, _ connection: Connection) throws(StoreError) {
    guard let result = record.result else { return }
    var statement = try connection.statement(
      """
      SELECT m.invalidated_by, m.why FROM void_results v JOIN all_keys_marks m ON m.id = v.mark_id
      WHERE v.result_id = ? ORDER BY m.id LIMIT 1
      """)
    try statement.bind([.integer(result.id)])
    guard try statement.step() else { return }
    record.invalidation?.by = statement.text(0) ?? ""
    record.invalidation?.why = statement.text(1) ?? ""
  }

  /// kptn's models expect a JSON string there: 64 hex digits in quotes.
  private static func groupDigest(_ row: borrowing Statement, _ column: Int32) -> Digest? {
    row.withText(column) { text in
      let quote = UInt8(ascii: "\"")
      guard text.count == 66, text.first == quote, text.last == quote else { return nil }
      return Digest(hexDigits: UnsafeRawBufferPointer(rebasing: text[1..<65]))
    }
  }

  /// Columns: id, action_key, manifest, outputs_version, log_digest, duration_us, storage_key, pipeline, task_id,
  /// created_at, data_digest, data_count. `nil` without a row, or where what is stored cannot be read, which then counts as a miss.
  static func result(_ row: borrowing Statement, from first: Int32) -> ActionResult? {
    guard let id = row.integer(orNil: first), let actionKey = row.digest(first + 1),
      let manifest = row.bytes(first + 2).flatMap({ OutputManifest(encoded: $0) }),
      let outputsVersion = row.digest(first + 3)
    else { return nil }
    var result = ActionResult(
      id: id, actionKey: actionKey, manifest: manifest, outputsVersion: outputsVersion, log: row.digest(first + 4),
      durationMicroseconds: row.integer(first + 5),
      producer: TaskKey(
        storageKey: row.text(first + 6) ?? "", pipeline: row.text(first + 7) ?? "", task: row.text(first + 8) ?? ""),
      createdAt: row.text(first + 9) ?? "")
    result.data = row.digest(first + 10)
    result.dataCount = Int(row.integer(first + 11))
    return result
  }

  package func results(for actionKeys: [Digest]) throws(StoreError) -> [Digest: [ActionResult]] {
    try read(else: [:]) { connection throws(StoreError) in
      var found: [Digest: [ActionResult]] = [:]
      for actionKey in actionKeys {
        let results = try Self.results(of: actionKey, connection)
        if !results.isEmpty { found[actionKey] = results }
      }
      return found
    }
  }

  /// Newest first, without those that are marked invalid or cannot be read.
  static func results(of actionKey: Digest, _ connection: Connection) throws(StoreError) -> [ActionResult] {
    var statement = try connection.statement(
      """
      SELECT id, action_key, manifest, outputs_version, log_digest, duration_us, storage_key, pipeline, task_id,
        created_at, data_digest, data_count, begun, undeclared
      FROM action_results WHERE action_key = ? AND invalidated_at IS NULL ORDER BY id DESC
      """)
    try statement.bind([.digest(actionKey)])
    var results: [ActionResult] = []
    while try statement.step() {
      guard var result = result(statement, from: 0) else { continue }
      result.run = statement.integer(12)
      result.undeclared = statement.bytes(13).flatMap { [Component](encoded: $0) }
      results.append(result)
    }
    return results
  }

  package func actionKeys(declaredAs key: Digest, limit: Int) throws(StoreError) -> [Digest] {
    try read(else: []) { connection throws(StoreError) in
      var statement = try connection.statement(
        """
        SELECT action_key FROM action_results WHERE declared_key = ? AND invalidated_at IS NULL ORDER BY id DESC LIMIT ?
        """)
      try statement.bind([.digest(key), .integer(Int64(limit))])
      var keys: [Digest] = []
      while try statement.step() {
        if let key = statement.digest(0), !keys.contains(key) { keys.append(key) }
      }
      return keys
    }
  }

  package func specification(of key: TaskKey) throws(StoreError) -> String? {
    try read(else: nil) { connection throws(StoreError) in
      try connection.text(
        """
        SELECT d.spec FROM tasks t JOIN task_details d ON d.task_row = t.id
        WHERE t.storage_key = ? AND t.pipeline = ? AND t.task_id = ?
        """, key.values)
    }
  }

  package func dependencies(of keys: [TaskKey]) throws(StoreError) -> [TaskKey: [String]] {
    try read(else: [:]) { connection throws(StoreError) in
      var found: [TaskKey: [String]] = [:]
      for key in keys {
        let dependencies = try Self.dependencies(of: key, connection)
        if !dependencies.isEmpty { found[key] = dependencies }
      }
      return found
    }
  }

  static func dependencies(of key: TaskKey, _ connection: Connection) throws(StoreError) -> [String] {
    var statement = try connection.statement(
      """
      SELECT depends_on_task_id FROM task_dependencies WHERE storage_key = ? AND pipeline = ? AND task_id = ?
      ORDER BY depends_on_task_id
      """)
    try statement.bind(key.values)
    var found: [String] = []
    while try statement.step() { found.append(statement.text(0) ?? "") }
    return found
  }

  package func runs(matching filter: RunFilter) throws(StoreError) -> [RunRecord] {
    try read(else: []) { connection throws(StoreError) in
      // What is queued is no attempt; those at it are.
      var conditions = ["queued_at IS NULL"]
      var values: [SQLValue] = []
      if let work = filter.queuedWork {
        conditions.append("queue_id = ?")
        values.append(.integer(work))
      }
      for (column, value) in [
        ("storage_key", filter.storageKey), ("pipeline", filter.pipeline), ("task_id", filter.task),
      ] {
        guard let value else { continue }
        conditions.append("\(column) = ?")
        values.append(.text(value))
      }
      let condition = "WHERE " + conditions.joined(separator: " AND ")
      var statement = try connection.statement(
        """
        SELECT id, storage_key, pipeline, task_id, status, kind, started_at, finished_at, duration_us, exit_code,
          action_key, reasons, error_info, log_digest, created_by, execution_details
        FROM task_runs \(condition) ORDER BY id DESC LIMIT ?
        """)
      try statement.bind(values + [.integer(Int64(filter.limit))])
      var runs: [RunRecord] = []
      while try statement.step() {
        var run = RunRecord(
          id: statement.integer(0),
          key: TaskKey(
            storageKey: statement.text(1) ?? "", pipeline: statement.text(2) ?? "", task: statement.text(3) ?? ""),
          state: statement.text(4).flatMap(RunState.init) ?? .pending, kind: statement.text(5) ?? "",
          startedAt: statement.text(6) ?? "")
        run.finishedAt = statement.text(7)
        run.durationMicroseconds = statement.integer(orNil: 8)
        run.exitCode = statement.integer(orNil: 9).map { Int32(truncatingIfNeeded: $0) }
        run.actionKey = statement.digest(10)
        run.reasons = statement.text(11)
        run.errorInfo = statement.text(12)
        run.log = statement.digest(13)
        run.createdBy = statement.text(14)
        run.executionDetails = statement.text(15)
        runs.append(run)
      }
      return runs
    }
  }

  package func trace(of key: TaskKey) throws(StoreError) -> (run: Int64, trace: TaskTrace)? {
    try read(else: nil) { connection throws(StoreError) in
      var statement = try connection.statement(
        """
        SELECT t.run_id, t.trace FROM run_traces t JOIN task_runs n ON n.id = t.run_id
        WHERE n.storage_key = ? AND n.pipeline = ? AND n.task_id = ? ORDER BY t.run_id DESC LIMIT 1
        """)
      try statement.bind(key.values)
      guard try statement.step(), let trace = statement.bytes(1).flatMap({ TaskTrace(encoded: $0) }) else { return nil }
      return (statement.integer(0), trace)
    }
  }

  package func blobs(_ digests: [Digest]) throws(StoreError) -> [Digest: StoredBlob] {
    try read(else: [:]) { connection throws(StoreError) in
      var found: [Digest: StoredBlob] = [:]
      var statement = try connection.statement("SELECT size, encoding, content IS NOT NULL FROM blobs WHERE digest = ?")
      for digest in digests {
        try statement.bind([.digest(digest)])
        guard try statement.step(), let encoding = BlobEncoding(rawValue: statement.integer(1)) else { continue }
        found[digest] = StoredBlob(
          digest: digest, size: UInt64(statement.integer(0)), encoding: encoding, isInline: statement.integer(2) != 0)
      }
      return found
    }
  }

  package func inlineContent(_ digest: Digest) throws(StoreError) -> (blob: StoredBlob, content: [UInt8])? {
    try read(else: nil) { connection throws(StoreError) in
      var statement = try connection.statement(
        "SELECT size, encoding, content FROM blobs WHERE digest = ? AND content IS NOT NULL")
      try statement.bind([.digest(digest)])
      guard try statement.step(), let encoding = BlobEncoding(rawValue: statement.integer(1)),
        let content = statement.bytes(2)
      else { return nil }
      let size = UInt64(statement.integer(0))
      return (StoredBlob(digest: digest, size: size, encoding: encoding, isInline: true), content)
    }
  }

  package func outputs(
    below folder: ByteString, near key: TaskKey
  ) throws(StoreError) -> [(task: String, path: ByteString)] {
    try read(else: []) { connection throws(StoreError) in
      // The index on components answers at once whether anybody ever declared such an output; only then are the
      // records that stand looked through. The end of the range is the byte after '/'.
      let candidates = try connection.integer(
        "SELECT count(*) FROM components WHERE tag = ? AND name > ? AND name < ?",
        [
          .integer(Int64(Component.Tag.outputPattern.rawValue)), .blob((folder + "/").bytes),
          .blob((folder + "0").bytes),
        ])
      guard let candidates, candidates > 0 else { return [] }
      var statement = try connection.statement(
        Self.recordColumns + "WHERE t.storage_key = ? AND t.pipeline = ? AND t.task_id <> ? AND t.status = 'SUCCESS'")
      try statement.bind(key.values)
      var found: [(task: String, path: ByteString)] = []
      while try statement.step() {
        let record = try Self.record(statement, connection)
        guard record.invalidation == nil, let manifest = record.result?.manifest else { continue }
        for pattern in manifest.places where pattern.hasPrefix(folder + "/") {
          found.append((record.key.task, pattern))
        }
      }
      return found
    }
  }

  package func treeNode(_ digest: Digest) throws(StoreError) -> [UInt8]? {
    try read(else: nil) { connection throws(StoreError) in
      var statement = try connection.statement("SELECT listing FROM tree_nodes WHERE digest = ?")
      try statement.bind([.digest(digest)])
      return try statement.step() ? statement.bytes(0) : nil
    }
  }
}

extension TaskKey {
  /// The three columns in the order of the tables.
  var values: [SQLValue] { [.text(storageKey), .text(pipeline), .text(task)] }
}
