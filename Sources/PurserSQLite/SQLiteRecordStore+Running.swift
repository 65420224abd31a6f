package import PurserModel
package import PurserStore

extension SQLiteRecordStore {
  package func begin(_ run: NewRun, replacing tokens: [Int64]) throws(StoreError) -> BeginOutcome {
    try writeShared(durable: false) { connection throws(StoreError) in
      for token in tokens { try Self.endAbandonedLease(token, now: run.now, connection) }
      let holders = try Self.leases(named: run.leases, connection)
      guard holders.isEmpty else { return .held(holders) }
      let last = try Self.lastRun(of: run.key, connection)
      guard last?.id == run.previousRun, last?.state == run.previousRunState else { return .moved }
      if let known = run.newestResult {
        let newest = try Self.results(of: run.actionKey, connection).first?.id ?? 0
        guard newest == known else { return .moved }
      }
      if let result = run.restoring, try !Self.stands(result, for: run.actionKey, of: run.key, connection) {
        return .moved
      }

      let id = try Self.insert(run, connection)
      try Self.log(
        "STARTED", run: id, key: run.key, from: last?.status, to: "RUNNING", at: run.now, by: run.createdBy, connection)
      var tokens: [Int64] = []
      for name in run.leases {
        try connection.run(
          """
          INSERT INTO task_locks (lock_key, run_id, worker_id, owner_pid, owner_start, acquired_at, expires_at)
          VALUES (?, ?, ?, ?, ?, ?, ?)
          """,
          [
            .text(name), .integer(id), .text(run.worker), .integer(Int64(run.owner.pid)),
            .integer(Int64(bitPattern: run.owner.startTime)), .text(run.now), .text(run.expiresAt),
          ])
        tokens.append(connection.lastInsertedRow)
      }
      return .opened(OpenRun(id: id, key: run.key, tokens: tokens))
    }
  }

  /// Writes down that a run has begun, and returns its number.
  static func insert(_ run: NewRun, _ connection: Connection) throws(StoreError) -> Int64 {
    try connection.run(
      """
      INSERT INTO task_runs (storage_key, pipeline, task_id, kind, status, action_key, reasons, created_by,
        created_at, updated_at, started_at, queue_id)
      VALUES (?, ?, ?, ?, 'RUNNING', ?, ?, ?, ?, ?, ?, ?)
      """,
      run.key.values + [
        .text(run.kind), .digest(run.actionKey), .text(run.reasons), .text(run.createdBy), .text(run.now),
        .text(run.now), .text(run.now), .integer(orNull: run.queuedWork),
      ])
    let id = connection.lastInsertedRow
    // Never INSERT OR REPLACE: that deletes the old row, and the cascade erases its bins.
    try connection.run(
      """
      INSERT INTO tasks (storage_key, pipeline, task_id, status, start_time, created_at, updated_at)
      VALUES (?, ?, ?, 'RUNNING', ?, ?, ?)
      ON CONFLICT (storage_key, pipeline, task_id) DO UPDATE SET
        status = 'RUNNING', start_time = excluded.start_time, end_time = NULL, updated_at = excluded.updated_at
      """, run.key.values + [.text(run.now), .text(run.now), .text(run.now)])
    try connection.run(
      """
      INSERT INTO task_details (task_row, run_id, spec)
      SELECT id, ?, ? FROM tasks WHERE storage_key = ? AND pipeline = ? AND task_id = ?
      ON CONFLICT (task_row) DO UPDATE SET run_id = excluded.run_id, spec = excluded.spec
      """, [.integer(id), .text(run.specification)] + run.key.values)
    // From the start: what a run has made by the time that it is killed, or marked, follows what it follows.
    try insertDependencies(run.dependencies, of: run.key, now: run.now, connection)
    return id
  }

  /// A task's last run, if it has had one, and what its record says; `nil` without a record.
  static func lastRun(
    of key: TaskKey, _ connection: Connection
  ) throws(StoreError) -> (id: Int64?, state: RunState?, status: String?)? {
    var statement = try connection.statement(
      """
      SELECT n.id, n.status, t.status FROM tasks t LEFT JOIN task_details d ON d.task_row = t.id
        LEFT JOIN task_runs n ON n.id = d.run_id
      WHERE t.storage_key = ? AND t.pipeline = ? AND t.task_id = ?
      """)
    try statement.bind(key.values)
    guard try statement.step() else { return nil }
    return (statement.integer(orNil: 0), statement.text(1).flatMap(RunState.init), statement.text(2))
  }

  /// Whether a result may still be put back for a task: no mark voids it, and it stands for the fingerprint.
  private static func stands(
    _ result: Int64, for actionKey: Digest, of key: TaskKey, _ connection: Connection
  ) throws(StoreError) -> Bool {
    let isItsOwn = try connection.integer(
      """
      SELECT 1 FROM action_results r WHERE r.id = ?4 AND (r.action_key = ?5 OR EXISTS (
        SELECT 1 FROM acceptances a WHERE a.storage_key = ?1 AND a.pipeline = ?2 AND a.task_id = ?3
          AND a.action_key = ?5 AND a.result_id = r.id))
      """, key.values + [.integer(result), .digest(actionKey)])
    guard isItsOwn != nil else { return false }
    return try isValid(result, for: key, connection)
  }

  /// Whether a result is there and no mark voids it for a task.
  static func isValid(_ result: Int64, for key: TaskKey, _ connection: Connection) throws(StoreError) -> Bool {
    try connection.integer(
      """
      SELECT 1 FROM action_results r WHERE r.id = ?4 AND r.invalidated_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM invalidations i WHERE i.storage_key = ?1 AND i.pipeline = ?2 AND i.task_id = ?3
          AND (r.id <= i.horizon OR r.begun BETWEEN 1 AND i.run_horizon))
        AND NOT EXISTS (
          SELECT 1 FROM all_keys_marks m WHERE m.pipeline = ?2 AND m.task_id = ?3
            AND r.begun BETWEEN 1 AND m.run_horizon)
      """, key.values + [.integer(result)]) != nil
  }

  /// Removes the lease of a dead owner and closes the run that it left open.
  static func endAbandonedLease(_ token: Int64, now: String, _ connection: Connection) throws(StoreError) {
    guard let run = try connection.integer("SELECT run_id FROM task_locks WHERE id = ?", [.integer(token)]) else {
      return
    }
    try connection.run("DELETE FROM task_locks WHERE id = ?", [.integer(token)])
    try connection.run(
      """
      UPDATE task_runs SET status = 'CANCELLED', finished_at = ?, updated_at = ?, error_info = '{"kind":"abandoned"}'
      WHERE id = ? AND status = 'RUNNING'
      """, [.text(now), .text(now), .integer(run)])
  }

  package func leases(named names: [String]) throws(StoreError) -> [Lease] {
    try read(else: []) { connection throws(StoreError) in try Self.leases(named: names, connection) }
  }

  static func leases(named names: [String], _ connection: Connection) throws(StoreError) -> [Lease] {
    var found: [Lease] = []
    var statement = try connection.statement(
      """
      SELECT l.id, l.lock_key, l.worker_id, l.owner_pid, l.owner_start, l.child_pid, l.child_start, l.child_group,
        l.acquired_at, l.expires_at, l.run_id, n.action_key
      FROM task_locks l LEFT JOIN task_runs n ON n.id = l.run_id WHERE l.lock_key = ?
      """)
    for name in names {
      try statement.bind([.text(name)])
      guard try statement.step() else { continue }
      func process(_ pid: Int32, _ start: Int32, group: Int32?) -> LeaseProcess? {
        guard let number = statement.integer(orNil: pid) else { return nil }
        return LeaseProcess(
          pid: Int32(truncatingIfNeeded: number), startTime: UInt64(bitPattern: statement.integer(start)),
          processGroup: group.flatMap { statement.integer(orNil: $0) }.map { Int32(truncatingIfNeeded: $0) })
      }
      guard let owner = process(3, 4, group: nil) else { continue }
      found.append(
        Lease(
          token: statement.integer(0), name: statement.text(1) ?? "", run: statement.integer(orNil: 10),
          actionKey: statement.digest(11), worker: statement.text(2) ?? "", owner: owner,
          child: process(5, 6, group: 7), acquiredAt: statement.text(8) ?? "", expiresAt: statement.text(9) ?? ""))
    }
    return found
  }

  package func noteChild(_ child: LeaseProcess, of run: OpenRun) throws(StoreError) {
    try write(durable: false) { connection throws(StoreError) in
      try Self.requireLeases(of: run, connection)
      try connection.run(
        "UPDATE task_locks SET child_pid = ?, child_start = ?, child_group = ? WHERE run_id = ?",
        [
          .integer(Int64(child.pid)), .integer(Int64(bitPattern: child.startTime)),
          .integer(orNull: child.processGroup.map(Int64.init)), .integer(run.id),
        ])
    }
  }

  package func renew(_ run: OpenRun, until expiry: String) throws(StoreError) {
    try write(durable: false) { connection throws(StoreError) in
      try Self.requireLeases(of: run, connection)
      try connection.run("UPDATE task_locks SET expires_at = ? WHERE run_id = ?", [.text(expiry), .integer(run.id)])
    }
  }

  package func save(_ contents: [SavedContent], for run: OpenRun) throws(StoreError) {
    try write { connection throws(StoreError) in
      try Self.requireLeases(of: run, connection)
      let now = try connection.text("SELECT updated_at FROM task_runs WHERE id = ?", [.integer(run.id)]) ?? ""
      for content in contents {
        let blob = try Self.insert(content.blob, now: now, connection)
        try connection.run(
          "INSERT OR REPLACE INTO run_blobs (run_id, role, path, blob_id) VALUES (?, 'saved', ?, ?)",
          [.integer(run.id), .blob(content.path.bytes), .integer(blob)])
      }
      let list = JSON.object([("saved", .array(try Self.savedContents(of: run, connection)))])
      try connection.run(
        "UPDATE task_runs SET execution_details = ? WHERE id = ?", [.text(list.serialized), .integer(run.id)])
    }
  }

  private static func savedContents(of run: OpenRun, _ connection: Connection) throws(StoreError) -> [JSON] {
    var statement = try connection.statement(
      """
      SELECT r.path, b.digest FROM run_blobs r JOIN blobs b ON b.id = r.blob_id
      WHERE r.run_id = ? AND r.role = 'saved' ORDER BY r.path
      """)
    try statement.bind([.integer(run.id)])
    var contents: [JSON] = []
    while try statement.step() {
      let path = ByteString(bytes: statement.bytes(0) ?? [])
      contents.append(
        .object([("path", .string(path.escaped)), ("digest", .string(statement.digest(1)?.hex ?? ""))]))
    }
    return contents
  }

  /// A stale owner cannot publish: each of its tokens must still stand.
  static func requireLeases(of run: OpenRun, _ connection: Connection) throws(StoreError) {
    var statement = try connection.statement("SELECT id FROM task_locks WHERE run_id = ?")
    try statement.bind([.integer(run.id)])
    var standing: [Int64] = []
    while try statement.step() { standing.append(statement.integer(0)) }
    guard run.tokens.allSatisfy(standing.contains) else {
      throw StoreError(
        .leaseLost, "task '\(run.key.task)' was taken over by another process; what this one made is not stored")
    }
  }

  package func sync(isLast: Bool) throws(StoreError) {
    guard let log = try locked({ database throws(StoreError) in try database.logToSync() }) else { return }
    try log.sync()
    try locked { database throws(StoreError) in try database.shortenLog(isLast: isLast) }
  }

  package func finish(
    _ run: OpenRun, with outcome: RunOutcome, isDurable: Bool
  ) throws(StoreError) -> Invalidation? {
    try writeShared(durable: isDurable) { connection throws(StoreError) in
      try Self.requireLeases(of: run, connection)
      let result = try Self.close(run, outcome, connection)
      try Self.log(
        outcome.state == .completed ? "FINISHED" : outcome.state.rawValue, run: run.id, key: run.key, from: "RUNNING",
        to: outcome.status?.rawValue, at: outcome.finishedAt, by: nil, connection)
      try connection.run("DELETE FROM task_locks WHERE run_id = ?", [.integer(run.id)])
      guard let result else { return nil }
      return try Self.mark(voiding: result, of: run, connection)
    }
  }

  /// Records what came of a run, and returns the number of the result that the record holds on to.
  static func close(_ run: OpenRun, _ outcome: RunOutcome, _ connection: Connection) throws(StoreError) -> Int64? {
    let now = outcome.finishedAt
    let task = try taskRow(of: run.key, connection)
    if let task { try fold(task.id, run.key, now: now, connection) }
    var blobs: [Digest: Int64] = [:]
    for blob in outcome.blobs { blobs[blob.digest] = try insert(blob, now: now, connection) }
    try intern(outcome.fingerprint, connection)
    for (digest, listing) in outcome.treeNodes {
      try connection.run(
        "INSERT OR IGNORE INTO tree_nodes (digest, listing) VALUES (?, ?)", [.digest(digest), .blob(listing)])
    }
    let result = try recordResult(of: run, outcome, blobs, connection)
    try connection.run(
      """
      UPDATE task_runs SET status = ?, action_key = ?, exit_code = ?, duration_us = ?, log_digest = ?,
        error_info = ?, started_at = ?, finished_at = ?, updated_at = ? WHERE id = ?
      """,
      [
        .text(outcome.state.rawValue), .digest(outcome.fingerprint.actionKey),
        .integer(orNull: outcome.exitCode.map(Int64.init)),
        .integer(outcome.durationMicroseconds), .digest(orNull: outcome.log), .text(orNull: outcome.errorInfo),
        .text(outcome.startedAt), .text(now), .text(now), .integer(run.id),
      ])
    if let log = outcome.log, let blob = try blobRow(log, connection) {
      try connection.run(
        "INSERT OR REPLACE INTO run_blobs (run_id, role, path, blob_id) VALUES (?, 'log', x'', ?)",
        [.integer(run.id), .integer(blob)])
    }
    if let trace = outcome.trace {
      try connection.run(
        "INSERT INTO run_traces (run_id, trace) VALUES (?, ?)", [.integer(run.id), .blob(trace.encoded)])
    }
    if let task { try recordTask(task.id, run, outcome, result, connection) }
    if outcome.taskData != nil || task?.hasData != false { try recordData(run, outcome, connection) }
    let artifact = Artifact(node: run.key.task, key: "result", value: outcome.summary(of: run.id).serialized)
    try insert(artifact, of: ExecutionName.pipeline(run.key.storageKey, run.key.pipeline), now: now, connection)
    return result
  }

  /// The number of the result that the record shall hold on to. `blobs` are rows that are known.
  private static func recordResult(
    of run: OpenRun, _ outcome: RunOutcome, _ blobs: [Digest: Int64], _ connection: Connection
  ) throws(StoreError) -> Int64? {
    if let restored = outcome.restored {
      guard try connection.integer("SELECT 1 FROM action_results WHERE id = ?", [.integer(restored.id)]) != nil else {
        throw StoreError(.corrupt, "the result of task '\(run.key.task)' vanished from the store while it was put back")
      }
      try recordVouch(of: run, outcome, for: restored.id, connection)
      return restored.id
    }
    guard let manifest = outcome.manifest, let outputsVersion = outcome.outputsVersion else { return nil }
    let resultKey = outcome.vouch?.resultKey
    try connection.run(
      """
      INSERT INTO action_results (action_key, outputs_version, manifest, log_digest, duration_us, storage_key,
        pipeline, task_id, run_id, begun, created_at, data_digest, data_count, declared_key,
        undeclared)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .digest(resultKey ?? outcome.fingerprint.actionKey), .digest(outputsVersion), .blob(manifest.encoded),
        .digest(orNull: outcome.log), .integer(outcome.durationMicroseconds),
      ] + run.key.values + [
        .integer(run.id), .integer(run.id), .text(outcome.finishedAt), .digest(orNull: outcome.dataDigest),
        .integer(orNull: outcome.taskData.map { Int64($0.elements.count) }),
        // Of a result that is nobody else's, nobody else is to find out by which files it came.
        .digest(orNull: resultKey == nil ? outcome.declaredKey : nil),
        outcome.undeclared.map { .blob($0.encoded) } ?? .null,
      ])
    let id = connection.lastInsertedRow
    try recordVouch(of: run, outcome, for: id, connection)
    try voidIfMarked(id, of: run, connection)
    var needed = Set(manifest.entries.lazy.filter { $0.kind != .directory }.map(\.digest))
    if let log = outcome.log { needed.insert(log) }
    if let data = outcome.dataDigest { needed.insert(data) }
    for digest in needed {
      let known = blobs[digest]
      let blob = if let known { known } else { try requireBlob(digest, connection) }
      try connection.run(
        "INSERT OR IGNORE INTO result_blobs (result_id, blob_id) VALUES (?, ?)", [.integer(id), .integer(blob)])
    }
    return id
  }

  private static func recordTask(
    _ row: Int64, _ run: OpenRun, _ outcome: RunOutcome, _ result: Int64?, _ connection: Connection
  ) throws(StoreError) {
    let now = outcome.finishedAt
    guard let status = outcome.status else {
      // What was recorded before still stands for what it was; only the attempt is over.
      try connection.run(
        "UPDATE tasks SET status = 'INCOMPLETE', end_time = ?, updated_at = ? WHERE id = ?",
        [.text(now), .text(now), .integer(row)])
      return
    }
    func column(_ digest: Digest) -> SQLValue { .text("\"\(digest.hex)\"") }
    let version = outcome.restored?.outputsVersion ?? outcome.outputsVersion
    try connection.run(
      """
      UPDATE tasks SET code_hashes = ?, input_hashes = ?, input_data_hashes = ?, outputs_version = ?, status = ?,
        start_time = ?, end_time = ?, updated_at = ?
      WHERE id = ?
      """,
      [
        column(outcome.fingerprint.code), column(outcome.fingerprint.inputs), column(outcome.fingerprint.data),
        .text(orNull: version?.hex), .text(status.rawValue), .text(outcome.startedAt), .text(now), .text(now),
        .integer(row),
      ])
    try connection.run(
      "UPDATE task_details SET action_key = ?, result_id = ? WHERE task_row = ?",
      [.digest(outcome.fingerprint.actionKey), .integer(orNull: result), .integer(row)])
    // Most often they are those that were written down at the start.
    let known = try dependencies(of: run.key, connection)
    for gone in known where !outcome.dependencies.contains(gone) {
      try connection.run(
        """
        DELETE FROM task_dependencies
        WHERE storage_key = ? AND pipeline = ? AND task_id = ? AND depends_on_task_id = ?
        """, run.key.values + [.text(gone)])
    }
    try insertDependencies(outcome.dependencies.filter { !known.contains($0) }, of: run.key, now: now, connection)
  }

  private static func insertDependencies(
    _ dependencies: [String], of key: TaskKey, now: String, _ connection: Connection
  ) throws(StoreError) {
    for upstream in dependencies where upstream != key.task {
      try connection.run(
        """
        INSERT OR IGNORE INTO task_dependencies (storage_key, pipeline, task_id, depends_on_task_id, created_at)
        VALUES (?, ?, ?, ?, ?)
        """, key.values + [.text(upstream), .text(now)])
    }
  }

  /// Brings the data's bins in line with the outcome. A failure leaves them; so does the adoption of what is there.
  private static func recordData(
    _ run: OpenRun, _ outcome: RunOutcome, _ connection: Connection
  ) throws(StoreError) {
    if outcome.taskData == nil {
      guard outcome.status == .success else { return }
      let kind = try connection.text("SELECT kind FROM task_runs WHERE id = ?", [.integer(run.id)])
      if kind == "adopt" { return }
    }
    try write(
      outcome.taskData, version: outcome.outputDataVersion, of: run.key, .result, now: outcome.finishedAt, connection)
  }

  // MARK: Rows

  static func blobRow(_ digest: Digest, _ connection: Connection) throws(StoreError) -> Int64? {
    try connection.integer("SELECT id FROM blobs WHERE digest = ?", [.digest(digest)])
  }

  static func requireBlob(_ digest: Digest, _ connection: Connection) throws(StoreError) -> Int64 {
    guard let blob = try blobRow(digest, connection) else {
      throw StoreError(.corrupt, "the content \(digest.short) vanished from the store while its result was recorded")
    }
    return blob
  }

  static func insert(_ blob: NewBlob, now: String, _ connection: Connection) throws(StoreError) -> Int64 {
    let row = try connection.integer(
      """
      INSERT INTO blobs (digest, size, encoding, content, created_at) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (digest) DO UPDATE SET encoding = excluded.encoding, content = excluded.content RETURNING id
      """,
      [
        .digest(blob.digest), .integer(Int64(blob.size)), .integer(blob.encoding.rawValue),
        blob.inlineContent.map { .blob($0) } ?? .null, .text(now),
      ])
    guard let row else {
      throw StoreError(.corrupt, "the content \(blob.digest.short) could not be recorded")
    }
    return row
  }

  static func log(
    _ type: String, run: Int64?, key: TaskKey, data: JSON? = nil, from: String?, to: String?, at: String, by: String?,
    _ connection: Connection
  ) throws(StoreError) {
    try connection.run(
      """
      INSERT INTO task_events (run_id, storage_key, pipeline, task_id, event_type, event_data, previous_status,
        new_status, timestamp, actor)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [.integer(orNull: run)] + key.values + [
        .text(type), .text(orNull: data?.serialized), .text(orNull: from), .text(orNull: to), .text(at),
        .text(orNull: by),
      ])
  }
}
