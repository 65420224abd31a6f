package import PurserModel
package import PurserStore

/// Queued work: put in, listed, cancelled, queued again.
extension SQLiteRecordStore {
  package func enqueue(
    _ requests: [WorkRequest], now: String, by author: String
  ) throws(StoreError) -> EnqueueOutcome {
    try write { connection throws(StoreError) in
      for (place, request) in requests.enumerated() {
        guard let key = request.dedupeKey else { continue }
        let same = try connection.integer(
          "SELECT id FROM task_runs WHERE dedupe_key = ? AND dedupe_key IS NOT NULL AND active = 1", [.text(key)])
        if let same, let work = try Self.work(same, connection) { return .duplicate(place: place, of: work) }
        if let first = requests[..<place].firstIndex(where: { $0.dedupeKey == key }) {
          return .duplicate(
            place: place,
            of: QueuedWork(id: 0, key: requests[first].key, configuration: request.configuration, queuedAt: now))
        }
      }
      var ids: [Int64] = []
      for request in requests { ids.append(try Self.insert(request, now: now, by: author, connection)) }
      return .queued(ids)
    }
  }

  private static func insert(
    _ request: WorkRequest, now: String, by author: String, _ connection: Connection
  ) throws(StoreError) -> Int64 {
    let tags = request.tags.isEmpty ? nil : JSON.array(request.tags.map { .string($0) }).serialized
    try connection.run(
      """
      INSERT INTO task_runs (storage_key, pipeline, task_id, status, submitted_configs, priority, max_attempts,
        dedupe_key, timeout_ms, available_at, tags, task_type_id, queued_at, created_by, created_at, updated_at)
      VALUES (?, ?, ?, 'PENDING', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      request.key.values + [
        .text(request.configuration), .integer(Int64(request.priority)), .integer(Int64(request.maximumAttempts)),
        .text(orNull: request.dedupeKey), .integer(orNull: request.timeoutMilliseconds),
        .text(orNull: request.availableAt), .text(orNull: tags), .integer(orNull: request.type), .text(now),
        .text(author), .text(now), .text(now),
      ])
    let id = connection.lastInsertedRow
    try log("QUEUED", run: id, key: request.key, from: nil, to: "PENDING", at: now, by: author, connection)
    return id
  }

  // MARK: Lists

  private static let columns = """
    r.id, r.storage_key, r.pipeline, r.task_id, r.status, r.priority, r.attempts, r.max_attempts, r.submitted_configs,
    r.dedupe_key, r.timeout_ms, r.tags, t.name, t.version, r.queued_at, r.available_at, r.created_by, r.worker_id,
    r.claimed_at, r.started_at, r.finished_at, r.error_info, r.result_summary
    """

  static func work(_ row: borrowing Statement) -> QueuedWork {
    var work = QueuedWork(
      id: row.integer(0),
      key: TaskKey(storageKey: row.text(1) ?? "", pipeline: row.text(2) ?? "", task: row.text(3) ?? ""),
      configuration: row.text(8) ?? "{}", queuedAt: row.text(14) ?? "")
    work.state = row.text(4).flatMap(RunState.init) ?? .pending
    work.priority = Int(row.integer(5))
    work.attempts = Int(row.integer(6))
    work.maximumAttempts = Int(row.integer(7))
    work.dedupeKey = row.text(9)
    work.timeoutMilliseconds = row.integer(orNil: 10)
    work.tags = row.text(11).flatMap { try? JSON(parsing: $0.utf8) }?.array?.compactMap(\.string) ?? []
    if let name = row.text(12), let version = row.text(13) { work.type = "\(name)@\(version)" }
    work.availableAt = row.text(15)
    work.createdBy = row.text(16)
    work.worker = row.text(17)
    work.claimedAt = row.text(18)
    work.startedAt = row.text(19)
    work.finishedAt = row.text(20)
    work.error = row.text(21)
    work.result = row.text(22)
    return work
  }

  static func work(_ id: Int64, _ connection: Connection) throws(StoreError) -> QueuedWork? {
    var statement = try connection.statement(
      """
      SELECT \(columns) FROM task_runs r LEFT JOIN task_types t ON t.id = r.task_type_id
      WHERE r.id = ? AND r.queued_at IS NOT NULL
      """)
    try statement.bind([.integer(id)])
    return try statement.step() ? work(statement) : nil
  }

  /// A piece of work that was not removed.
  private static func listedWork(_ id: Int64, _ connection: Connection) throws(StoreError) -> QueuedWork? {
    let isActive = try connection.integer("SELECT active FROM task_runs WHERE id = ?", [.integer(id)])
    return isActive == 1 ? try work(id, connection) : nil
  }

  package func work(matching filter: WorkFilter) throws(StoreError) -> [QueuedWork] {
    try read(else: []) { connection throws(StoreError) in
      if let ids = filter.ids {
        var found: [QueuedWork] = []
        for id in ids {
          if let work = try Self.listedWork(id, connection) { found.append(work) }
        }
        return found
      }
      let states = filter.states ?? RunState.allCases
      // What waits comes in the order in which it will be claimed.
      let isWaiting = states == [.pending]
      let hasTag = "AND EXISTS (SELECT 1 FROM json_each(r.tags) WHERE value = ?)"
      let tags = filter.tags.map { _ in hasTag }.joined(separator: " ")
      let marks = Array(repeating: "?", count: states.count).joined(separator: ", ")
      var statement = try connection.statement(
        """
        SELECT \(Self.columns) FROM task_runs r LEFT JOIN task_types t ON t.id = r.task_type_id
        WHERE r.queued_at IS NOT NULL AND r.active = 1 AND r.status IN (\(marks))
          \(tags)
        ORDER BY \(isWaiting ? "r.available_at IS NOT NULL, r.available_at, r.priority DESC, r.id" : "r.id DESC")
        LIMIT ?
        """)
      try statement.bind(
        states.map { .text($0.rawValue) } + filter.tags.map { .text($0) } + [.integer(Int64(filter.limit))])
      var found: [QueuedWork] = []
      while try statement.step() { found.append(Self.work(statement)) }
      return found
    }
  }

  // MARK: Changes

  package func cancel(_ ids: [Int64], now: String, by author: String) throws(StoreError) -> [WorkChange] {
    try change(ids, "CANCEL_REQUESTED", now: now, by: author, Self.setState) { state in
      switch state {
      case .pending: .cancelled
      case .submitted, .validating, .preparing, .building, .running: .cancelling
      case .cancelling, .completed, .failed, .cancelled: nil
      }
    }
  }

  package func retry(_ ids: [Int64], now: String, by author: String) throws(StoreError) -> [WorkChange] {
    try change(ids, "RETRIED", now: now, by: author, Self.setState) { state in
      state == .failed || state == .cancelled ? .pending : nil
    }
  }

  package func remove(_ ids: [Int64], now: String, by author: String) throws(StoreError) -> [WorkChange] {
    try change(ids, "REMOVED", now: now, by: author, Self.hide) { state in
      [.completed, .failed, .cancelled].contains(state) ? state : nil
    }
  }

  private typealias Update = (Int64, RunState, String, Connection) throws(StoreError) -> Void

  /// Changes work from the state that it is in to the `next` one, and logs it; `nil` refuses.
  private func change(
    _ ids: [Int64], _ event: String, now: String, by author: String, _ update: Update,
    _ next: (RunState) -> RunState?
  ) throws(StoreError) -> [WorkChange] {
    try write { connection throws(StoreError) in
      var changes: [WorkChange] = []
      for id in ids {
        guard let work = try Self.listedWork(id, connection) else {
          changes.append(.unknown(id))
          continue
        }
        guard let state = next(work.state) else {
          changes.append(.refused(id, state: work.state))
          continue
        }
        try update(id, state, now, connection)
        try Self.log(
          event, run: id, key: work.key, from: work.state.rawValue, to: state.rawValue, at: now, by: author, connection)
        changes.append(.changed(id, from: work.state, to: state))
      }
      return changes
    }
  }

  private static func setState(
    of id: Int64, to state: RunState, now: String, _ connection: Connection
  ) throws(StoreError) {
    try connection.run(
      """
      UPDATE task_runs SET status = ?1, updated_at = ?2,
        attempts = CASE ?1 WHEN 'PENDING' THEN 0 ELSE attempts END,
        finished_at = CASE ?1 WHEN 'CANCELLED' THEN ?2 WHEN 'PENDING' THEN NULL ELSE finished_at END,
        available_at = CASE ?1 WHEN 'PENDING' THEN NULL ELSE available_at END,
        error_info = CASE ?1 WHEN 'PENDING' THEN NULL ELSE error_info END
      WHERE id = ?3
      """, [.text(state.rawValue), .text(now), .integer(id)])
  }

  private static func hide(_ id: Int64, in state: RunState, now: String, _ connection: Connection) throws(StoreError) {
    try connection.run("UPDATE task_runs SET active = 0, updated_at = ? WHERE id = ?", [.text(now), .integer(id)])
  }
}
