package import PurserModel
package import PurserStore

// A row of `acceptances` lets a result stand for a fingerprint that it was not made from, for one task on one storage
// key. A record that rests on one has that fingerprint's key and a result with another key.
extension SQLiteRecordStore {
  package func accept(_ attempts: [AcceptedRun], replacing tokens: [Int64]) throws(StoreError) -> AcceptOutcome {
    try write { connection throws(StoreError) in
      for token in tokens { try Self.endAbandonedLease(token, now: attempts.first?.run.now ?? "", connection) }
      for attempt in attempts {
        let run = attempt.run
        let holders = try Self.leases(named: run.leases, connection)
        guard holders.isEmpty else { return .held(holders) }
        let last = try Self.lastRun(of: run.key, connection)
        guard last?.id == run.previousRun, last?.state == run.previousRunState else { return .moved }
        // Somebody may have marked it meanwhile, or the result was damaged and forgotten.
        if let result = attempt.outcome.restored, try !Self.isValid(result.id, for: run.key, connection) {
          return .moved
        }
      }
      var runs: [Int64] = []
      for attempt in attempts { runs.append(try Self.accept(attempt, connection)) }
      return .recorded(runs)
    }
  }

  private static func accept(_ attempt: AcceptedRun, _ connection: Connection) throws(StoreError) -> Int64 {
    let (run, outcome) = (attempt.run, attempt.outcome)
    let previous = try connection.text(
      "SELECT status FROM tasks WHERE storage_key = ? AND pipeline = ? AND task_id = ?", run.key.values)
    let id = try insert(run, connection)
    let open = OpenRun(id: id, key: run.key, tokens: [])
    _ = try close(open, outcome, connection)
    guard let acceptance = outcome.vouch?.acceptance else { return id }
    try log(
      "ACCEPTED", run: id, key: run.key, data: acceptance.jsonWithChanges, from: previous, to: outcome.status?.rawValue,
      at: acceptance.at, by: acceptance.by, connection)
    return id
  }

  /// Writes down by whose word a result stands for a fingerprint; or, for one that was made from just that, that nobody's
  /// word is needed any more.
  static func recordVouch(
    of run: OpenRun, _ outcome: RunOutcome, for result: Int64, _ connection: Connection
  ) throws(StoreError) {
    guard let vouch = outcome.vouch else {
      if outcome.restored == nil {
        try connection.run(
          "DELETE FROM acceptances WHERE storage_key = ? AND pipeline = ? AND task_id = ? AND action_key = ?",
          run.key.values + [.digest(outcome.fingerprint.actionKey)])
      }
      return
    }
    // Changed to what its result was really made from: that is true without anybody's word.
    if outcome.restored?.actionKey == outcome.fingerprint.actionKey { return }
    let acceptance = vouch.acceptance
    // Accepted to and fro: what items of before stood for stays.
    try connection.run(
      """
      INSERT INTO acceptances (storage_key, pipeline, task_id, kind, action_key, result_id, former_key, declared_key,
        item_key, former_item_key, changes, accepted_at, accepted_by, why)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (storage_key, pipeline, task_id, action_key) DO UPDATE SET kind = excluded.kind,
        result_id = excluded.result_id, former_key = excluded.former_key, declared_key = excluded.declared_key,
        item_key = coalesce(excluded.item_key, item_key),
        former_item_key = coalesce(excluded.former_item_key, former_item_key), changes = excluded.changes,
        accepted_at = excluded.accepted_at, accepted_by = excluded.accepted_by, why = excluded.why
      """,
      run.key.values + [
        .text(acceptance.kind.rawValue), .digest(outcome.fingerprint.actionKey), .integer(result),
        .digest(orNull: vouch.formerKey), .digest(orNull: outcome.declaredKey), .digest(orNull: vouch.itemKey),
        .digest(orNull: vouch.formerItemKey), .text(acceptance.changes), .text(acceptance.at), .text(acceptance.by),
        .text(acceptance.why),
      ])
  }

  // MARK: Taking back

  package func revoke(_ request: Revocation, replacing tokens: [Int64]) throws(StoreError) -> AcceptOutcome {
    try write { connection throws(StoreError) in
      for token in tokens { try Self.endAbandonedLease(token, now: request.mark.at, connection) }
      for task in request.tasks {
        let holders = try Self.leases(named: task.leases, connection)
        guard holders.isEmpty else { return .held(holders) }
      }
      var counts: [Int64] = []
      for task in request.tasks { counts.append(try Self.revoke(task.key, request.mark, connection)) }
      return .recorded(counts)
    }
  }

  private static func revoke(
    _ key: TaskKey, _ mark: Invalidation, _ connection: Connection
  ) throws(StoreError) -> Int64 {
    let before = try connection.text(
      "SELECT status FROM tasks WHERE storage_key = ? AND pipeline = ? AND task_id = ?", key.values)
    let isStripped = try restoreFingerprint(of: key, now: mark.at, connection)
    try connection.run(
      "DELETE FROM acceptances WHERE storage_key = ? AND pipeline = ? AND task_id = ?", key.values)
    let count = Int64(connection.changedRows)
    guard count > 0 else { return 0 }
    try log(
      "ACCEPTANCE_REVOKED", run: nil, key: key,
      data: .object([("why", .string(mark.why)), ("words", .integer(count))]),
      from: before, to: isStripped ? "INCOMPLETE" : before, at: mark.at, by: mark.by, connection)
    return count
  }

  /// Gives a record that rests on somebody's word the fingerprint that its result was made from; where that is none, as
  /// after an adoption, nothing: `true` then.
  private static func restoreFingerprint(
    of key: TaskKey, now: String, _ connection: Connection
  ) throws(StoreError) -> Bool {
    let row = try connection.integer(
      """
      SELECT t.id FROM tasks t JOIN task_details d ON d.task_row = t.id JOIN action_results r ON r.id = d.result_id
      WHERE t.storage_key = ? AND t.pipeline = ? AND t.task_id = ? AND r.action_key <> d.action_key
      """, key.values)
    guard let row else { return false }
    let isKnown = try connection.integer(
      """
      SELECT 1 FROM task_details d JOIN action_results r ON r.id = d.result_id
        JOIN fingerprints f ON f.action_key = r.action_key
      WHERE d.task_row = ?
      """, [.integer(row)])
    if isKnown == nil {
      try connection.run(
        """
        UPDATE tasks SET code_hashes = NULL, input_hashes = NULL, input_data_hashes = NULL, outputs_version = NULL,
          status = 'INCOMPLETE', updated_at = ? WHERE id = ?
        """, [.text(now), .integer(row)])
      try connection.run(
        "UPDATE task_details SET action_key = NULL, result_id = NULL WHERE task_row = ?", [.integer(row)])
      return true
    }
    func column(_ set: String) -> String {
      """
      (SELECT '"' || lower(hex(s.digest)) || '"' FROM task_details d JOIN action_results r ON r.id = d.result_id
        JOIN fingerprints f ON f.action_key = r.action_key JOIN component_sets s ON s.id = f.\(set)
        WHERE d.task_row = tasks.id)
      """
    }
    try connection.run(
      """
      UPDATE tasks SET code_hashes = \(column("code_set")), input_hashes = \(column("inputs_set")),
        input_data_hashes = \(column("data_set")), updated_at = ? WHERE id = ?
      """, [.text(now), .integer(row)])
    try connection.run(
      """
      UPDATE task_details SET action_key = (SELECT r.action_key FROM action_results r WHERE r.id = result_id)
      WHERE task_row = ?
      """, [.integer(row)])
    return false
  }

  // MARK: Questions

  package func acceptedResult(for actionKey: Digest, of key: TaskKey) throws(StoreError) -> ActionResult? {
    try read(else: nil) { connection throws(StoreError) in
      var statement = try connection.statement(
        """
        SELECT r.id, r.action_key, r.manifest, r.outputs_version, r.log_digest, r.duration_us, r.storage_key,
          r.pipeline, r.task_id, r.created_at, r.data_digest, r.data_count, r.begun
        FROM acceptances a JOIN action_results r ON r.id = a.result_id
        WHERE a.storage_key = ? AND a.pipeline = ? AND a.task_id = ? AND a.action_key = ? AND r.invalidated_at IS NULL
        """)
      try statement.bind(key.values + [.digest(actionKey)])
      guard try statement.step(), var result = Self.result(statement, from: 0) else { return nil }
      result.run = statement.integer(12)
      return result
    }
  }

  package func acceptedTasks(_ keys: [TaskKey]) throws(StoreError) -> Set<TaskKey> {
    try read(else: []) { connection throws(StoreError) in
      var found: Set<TaskKey> = []
      for key in keys {
        let row = try connection.integer(
          "SELECT 1 FROM acceptances WHERE storage_key = ? AND pipeline = ? AND task_id = ? LIMIT 1", key.values)
        if row != nil { found.insert(key) }
      }
      return found
    }
  }

  package func acceptedKeys(declaredAs key: Digest, of task: TaskKey) throws(StoreError) -> [Digest] {
    try digests(
      """
      SELECT action_key FROM acceptances
      WHERE storage_key = ? AND pipeline = ? AND task_id = ? AND declared_key = ? ORDER BY id DESC
      """, task, key)
  }

  package func itemAcceptance(of key: TaskKey, _ itemKey: Digest) throws(StoreError) -> Acceptance? {
    try read(else: nil) { connection throws(StoreError) in
      var statement = try connection.statement(
        """
        SELECT kind, accepted_at, accepted_by, why, changes FROM acceptances
        WHERE storage_key = ? AND pipeline = ? AND task_id = ? AND item_key = ? ORDER BY id DESC LIMIT 1
        """)
      try statement.bind(key.values + [.digest(itemKey)])
      return try statement.step() ? Self.acceptance(statement) : nil
    }
  }

  private static func acceptance(_ row: borrowing Statement) -> Acceptance? {
    guard let kind = row.text(0).flatMap(Acceptance.Kind.init) else { return nil }
    return Acceptance(
      kind: kind, at: row.text(1) ?? "", by: row.text(2) ?? "", why: row.text(3) ?? "", changes: row.text(4) ?? "[]")
  }

  package func formerItemKeys(of key: TaskKey, _ itemKey: Digest) throws(StoreError) -> [Digest] {
    try digests(
      """
      WITH RECURSIVE former(item_key) AS (
        SELECT former_item_key FROM acceptances
          WHERE storage_key = ?1 AND pipeline = ?2 AND task_id = ?3 AND item_key = ?4
        UNION
        SELECT a.former_item_key FROM former f JOIN acceptances a ON a.item_key = f.item_key
          WHERE a.storage_key = ?1 AND a.pipeline = ?2 AND a.task_id = ?3
      )
      SELECT item_key FROM former WHERE item_key IS NOT NULL AND item_key <> ?4
      """, key, itemKey)
  }

  private func digests(_ sql: String, _ key: TaskKey, _ digest: Digest) throws(StoreError) -> [Digest] {
    try read(else: []) { connection throws(StoreError) in
      var statement = try connection.statement(sql)
      try statement.bind(key.values + [.digest(digest)])
      var found: [Digest] = []
      while try statement.step() {
        if let digest = statement.digest(0) { found.append(digest) }
      }
      return found
    }
  }

  package func acceptances(of keys: [TaskKey]) throws(StoreError) -> [TaskKey: [Acceptance]] {
    try read(else: [:]) { connection throws(StoreError) in
      var found: [TaskKey: [Acceptance]] = [:]
      for key in keys {
        let acceptances = try Self.acceptances(of: key, connection)
        if !acceptances.isEmpty { found[key] = acceptances }
      }
      return found
    }
  }

  /// From the record's own fingerprint back to the one that its result was made from.
  private static func acceptances(of key: TaskKey, _ connection: Connection) throws(StoreError) -> [Acceptance] {
    var statement = try connection.statement(
      """
      WITH RECURSIVE word(depth, id, former_key, result_id) AS (
        SELECT 0, a.id, a.former_key, a.result_id
          FROM tasks t JOIN task_details d ON d.task_row = t.id JOIN acceptances a
            ON a.storage_key = t.storage_key AND a.pipeline = t.pipeline AND a.task_id = t.task_id
            AND a.action_key = d.action_key AND a.result_id = d.result_id
          WHERE t.storage_key = ?1 AND t.pipeline = ?2 AND t.task_id = ?3
        UNION ALL
        SELECT w.depth + 1, a.id, a.former_key, a.result_id FROM word w JOIN acceptances a
          ON a.action_key = w.former_key AND a.result_id = w.result_id
          WHERE a.storage_key = ?1 AND a.pipeline = ?2 AND a.task_id = ?3 AND w.depth < 100
      )
      SELECT a.kind, a.accepted_at, a.accepted_by, a.why, a.changes, a.id
      FROM word w JOIN acceptances a ON a.id = w.id ORDER BY w.depth
      """)
    try statement.bind(key.values)
    var found: [Acceptance] = []
    var seen: Set<Int64> = []
    while try statement.step() {
      guard seen.insert(statement.integer(5)).inserted, let acceptance = acceptance(statement) else { break }
      found.append(acceptance)
    }
    return found
  }
}
