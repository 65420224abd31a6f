import PurserModel
package import PurserStore

/// Claims of queued work: a lease each, whose token proves it.
extension SQLiteRecordStore {
  /// What a claim's lease is called.
  private static func leaseName(_ id: Int64) -> String { "[\"work\",\(id)]" }

  package func claim(_ request: ClaimRequest) throws(StoreError) -> ClaimedWork? {
    // Nobody takes the gate, which others wait for, where nothing is due.
    guard try hasDueWork(now: request.now) else { return nil }
    return try write(durable: false) { connection throws(StoreError) in
      try connection.run(
        """
        UPDATE task_runs INDEXED BY idx_task_runs_available SET available_at = NULL, updated_at = ?1
        WHERE status = 'PENDING' AND available_at IS NOT NULL AND available_at <= ?1 AND active = 1
        """, [.text(request.now)])
      guard
        let id = try connection.integer(
          """
          UPDATE task_runs SET status = 'SUBMITTED', worker_id = ?1, claimed_at = ?2, updated_at = ?2,
            attempts = attempts + 1, started_at = NULL, finished_at = NULL
          WHERE id = (
            SELECT id FROM task_runs INDEXED BY idx_task_runs_claim
            WHERE status = 'PENDING' AND queued_at IS NOT NULL AND available_at IS NULL AND active = 1
            ORDER BY priority DESC, id LIMIT 1)
          RETURNING id
          """, [.text(request.worker), .text(request.now)]),
        let work = try Self.work(id, connection)
      else { return nil }
      try connection.run(
        """
        INSERT INTO task_locks (lock_key, run_id, worker_id, owner_pid, owner_start, acquired_at, expires_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
        [
          .text(Self.leaseName(id)), .integer(id), .text(request.boot), .integer(Int64(request.owner.pid)),
          .integer(Int64(bitPattern: request.owner.startTime)), .text(request.now), .text(request.expiresAt),
        ])
      let token = connection.lastInsertedRow
      try connection.run(
        "UPDATE workers SET claimed = claimed + 1, updated_at = ? WHERE id = ?",
        [.text(request.now), .text(request.worker)])
      try Self.log(
        "CLAIMED", run: id, key: work.key, data: .object([("attempt", .integer(Int64(work.attempts)))]),
        from: "PENDING", to: "SUBMITTED", at: request.now, by: request.worker, connection)
      return ClaimedWork(work: work, token: token)
    }
  }

  private func hasDueWork(now: String) throws(StoreError) -> Bool {
    try read(else: false) { connection throws(StoreError) in
      try connection.integer(
        """
        SELECT 1 WHERE EXISTS (
          SELECT 1 FROM task_runs INDEXED BY idx_task_runs_claim
          WHERE status = 'PENDING' AND queued_at IS NOT NULL AND available_at IS NULL AND active = 1)
        OR EXISTS (
          SELECT 1 FROM task_runs INDEXED BY idx_task_runs_available
          WHERE status = 'PENDING' AND available_at IS NOT NULL AND available_at <= ? AND active = 1)
        """, [.text(now)]) != nil
    }
  }

  /// The claim must still stand.
  private static func requireClaim(_ claim: ClaimedWork, _ connection: Connection) throws(StoreError) {
    let stands = try connection.integer(
      "SELECT 1 FROM task_locks WHERE id = ? AND run_id = ?", [.integer(claim.token), .integer(claim.work.id)])
    guard stands != nil else {
      throw StoreError(
        .leaseLost, "work \(claim.work.id) was taken over by another worker; what became of it here is void")
    }
  }

  package func start(_ claim: ClaimedWork, now: String) throws(StoreError) {
    try write(durable: false) { connection throws(StoreError) in
      try Self.requireClaim(claim, connection)
      try connection.run(
        "UPDATE task_runs SET status = 'RUNNING', started_at = ?1, updated_at = ?1 WHERE id = ?2 AND status = 'SUBMITTED'",
        [.text(now), .integer(claim.work.id)])
      guard connection.changedRows > 0 else { return }
      try Self.log(
        "STARTED", run: claim.work.id, key: claim.work.key, from: "SUBMITTED", to: "RUNNING", at: now,
        by: claim.work.worker, connection)
    }
  }

  package func conclude(_ claim: ClaimedWork, _ ending: WorkEnding, now: String) throws(StoreError) {
    try write { connection throws(StoreError) in
      try Self.requireClaim(claim, connection)
      let (id, work) = (claim.work.id, claim.work)
      let before = try connection.text("SELECT status FROM task_runs WHERE id = ?", [.integer(id)]) ?? ""
      let isCancelled = before == "CANCELLING"
      var count: String?
      switch ending {
      case .completed(let result):
        try Self.end(id, .completed, now: now, result: result, connection)
        try Self.log(
          "FINISHED", run: id, key: work.key, from: before, to: "COMPLETED", at: now, by: work.worker, connection)
        count = "completed"
      case .failed(let error, let retryAt) where retryAt != nil && work.attempts < work.maximumAttempts && !isCancelled:
        try connection.run(
          """
          UPDATE task_runs SET status = 'PENDING', available_at = ?, error_info = ?, updated_at = ? WHERE id = ?
          """, [.text(orNull: retryAt), .text(error), .text(now), .integer(id)])
        try Self.log(
          "RETRYING", run: id, key: work.key, data: Self.data(error), from: before, to: "PENDING", at: now,
          by: work.worker, connection)
      case .failed(let error, _):
        try Self.end(id, .failed, now: now, error: error, connection)
        try Self.log(
          "FAILED", run: id, key: work.key, data: Self.data(error), from: before, to: "FAILED", at: now,
          by: work.worker,
          connection)
        count = "failed"
      case .givenBack:
        if isCancelled {
          try Self.end(id, .cancelled, now: now, connection)
        } else {
          try connection.run(
            """
            UPDATE task_runs SET status = 'PENDING', attempts = attempts - 1, available_at = NULL, updated_at = ?
            WHERE id = ?
            """, [.text(now), .integer(id)])
        }
        try Self.log(
          "GIVEN_BACK", run: id, key: work.key, from: before, to: isCancelled ? "CANCELLED" : "PENDING", at: now,
          by: work.worker, connection)
      }
      try connection.run("DELETE FROM task_locks WHERE id = ?", [.integer(claim.token)])
      if let count, let worker = work.worker {
        try connection.run(
          "UPDATE workers SET \(count) = \(count) + 1, updated_at = ? WHERE id = ?", [.text(now), .text(worker)])
      }
    }
  }

  private static func data(_ text: String) -> JSON? { try? JSON(parsing: text.utf8) }

  private static func end(
    _ id: Int64, _ state: RunState, now: String, result: String? = nil, error: String? = nil, _ connection: Connection
  ) throws(StoreError) {
    try connection.run(
      """
      UPDATE task_runs SET status = ?1, finished_at = ?2, updated_at = ?2, result_summary = ?3,
        error_info = ?4, available_at = NULL WHERE id = ?5
      """, [.text(state.rawValue), .text(now), .text(orNull: result), .text(orNull: error), .integer(id)])
  }

  package func renew(
    _ claims: [ClaimedWork], until expiry: String
  ) throws(StoreError) -> (cancelled: Set<Int64>, lost: Set<Int64>) {
    guard !claims.isEmpty else { return ([], []) }
    return try write(durable: false) { connection throws(StoreError) in
      var cancelled: Set<Int64> = []
      var lost: Set<Int64> = []
      for claim in claims {
        try connection.run(
          "UPDATE task_locks SET expires_at = ? WHERE id = ? AND run_id = ?",
          [.text(expiry), .integer(claim.token), .integer(claim.work.id)])
        if connection.changedRows == 0 { lost.insert(claim.work.id) }
        let state = try connection.text("SELECT status FROM task_runs WHERE id = ?", [.integer(claim.work.id)])
        if state == "CANCELLING" { cancelled.insert(claim.work.id) }
      }
      return (cancelled, lost)
    }
  }

  package func heldLeases() throws(StoreError) -> [Lease] {
    try read(else: []) { connection throws(StoreError) in
      var names: [String] = []
      do {
        var statement = try connection.statement("SELECT lock_key FROM task_locks ORDER BY id")
        while try statement.step() { names.append(statement.text(0) ?? "") }
      }
      return try Self.leases(named: names, connection)
    }
  }

  package func giveBack(_ tokens: [Int64], now: String) throws(StoreError) -> [Int64] {
    guard !tokens.isEmpty else { return [] }
    return try write(durable: false) { connection throws(StoreError) in
      var ids: [Int64] = []
      for token in tokens {
        let id = try connection.integer("SELECT run_id FROM task_locks WHERE id = ?", [.integer(token)])
        guard let id else { continue }
        guard let work = try Self.work(id, connection) else {
          try Self.endAbandonedLease(token, now: now, connection)
          continue
        }
        try connection.run("DELETE FROM task_locks WHERE id = ?", [.integer(token)])
        let error = #"{"kind":"workerLost"}"#
        let state: RunState
        if work.state == .cancelling {
          state = .cancelled
          try Self.end(id, .cancelled, now: now, error: error, connection)
        } else if work.attempts < work.maximumAttempts {
          state = .pending
          try connection.run(
            "UPDATE task_runs SET status = 'PENDING', available_at = NULL, error_info = ?, updated_at = ? WHERE id = ?",
            [.text(error), .text(now), .integer(id)])
        } else {
          state = .failed
          try Self.end(id, .failed, now: now, error: error, connection)
        }
        try Self.log(
          "WORKER_LOST", run: id, key: work.key, from: work.state.rawValue, to: state.rawValue, at: now,
          by: work.worker, connection)
        ids.append(id)
      }
      return ids
    }
  }
}
