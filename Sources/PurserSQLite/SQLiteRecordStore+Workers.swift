package import PurserModel
package import PurserStore

/// Workers, types of work, and the audit trail.
extension SQLiteRecordStore {
  package func register(_ worker: WorkerRecord) throws(StoreError) {
    try write(durable: false) { connection throws(StoreError) in
      try connection.run(
        """
        INSERT INTO workers (id, hostname, boot, pid, start_time, slots, status, registered_at, last_heartbeat, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?8)
        """,
        [
          .text(worker.id), .text(worker.hostname), .text(worker.boot), .integer(Int64(worker.pid)),
          .integer(Int64(bitPattern: worker.startTime)), .integer(Int64(worker.slots)), .text(worker.status.rawValue),
          .text(worker.registeredAt),
        ])
    }
  }

  package func heartbeat(_ worker: String, _ status: WorkerRecord.Status, now: String) throws(StoreError) {
    try write(durable: false) { connection throws(StoreError) in
      try connection.run(
        """
        UPDATE workers SET status = ?1, last_heartbeat = CASE ?1 WHEN 'LOST' THEN last_heartbeat ELSE ?2 END,
          stopped_at = CASE ?1 WHEN 'STOPPED' THEN ?2 WHEN 'LOST' THEN ?2 END, updated_at = ?2
        WHERE id = ?3
        """, [.text(status.rawValue), .text(now), .text(worker)])
    }
  }

  package func workers() throws(StoreError) -> [WorkerRecord] {
    try read(else: []) { connection throws(StoreError) in
      var statement = try connection.statement(
        """
        SELECT id, hostname, boot, pid, start_time, slots, status, registered_at, last_heartbeat, claimed, completed, failed
        FROM workers ORDER BY registered_at DESC, id
        """)
      var found: [WorkerRecord] = []
      while try statement.step() {
        var worker = WorkerRecord(
          id: statement.text(0) ?? "", hostname: statement.text(1) ?? "", boot: statement.text(2) ?? "",
          pid: Int32(truncatingIfNeeded: statement.integer(3)), startTime: UInt64(bitPattern: statement.integer(4)),
          slots: Int(statement.integer(5)), status: statement.text(6).flatMap(WorkerRecord.Status.init) ?? .lost,
          registeredAt: statement.text(7) ?? "", lastHeartbeat: statement.text(8) ?? "")
        worker.claimed = Int(statement.integer(9))
        worker.completed = Int(statement.integer(10))
        worker.failed = Int(statement.integer(11))
        found.append(worker)
      }
      return found
    }
  }

  // MARK: Types

  package func register(_ type: TaskType, now: String) throws(StoreError) -> Int64 {
    try write { connection throws(StoreError) in
      let known = try Self.types(connection).first { $0.name == type.name && $0.version == type.version }
      if let known {
        guard known.schema == type.schema, known.specification == type.specification else {
          throw StoreError(
            .busy,
            "type '\(type.label)' is there with another schema or command; work may have been checked by it: give the "
              + "new one another version")
        }
        try connection.run(
          "UPDATE task_types SET is_active = 1, updated_at = ? WHERE id = ?", [.text(now), .integer(known.id)])
        return known.id
      }
      try connection.run(
        """
        INSERT INTO task_types (name, version, param_schema, spec, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
        """,
        [.text(type.name), .text(type.version), .text(type.schema), .text(type.specification), .text(now)])
      return connection.lastInsertedRow
    }
  }

  package func taskTypes() throws(StoreError) -> [TaskType] {
    try read(else: []) { connection throws(StoreError) in try Self.types(connection) }
  }

  private static func types(_ connection: Connection) throws(StoreError) -> [TaskType] {
    var statement = try connection.statement(
      "SELECT id, name, version, param_schema, spec, is_active, created_at, updated_at FROM task_types ORDER BY name, id"
    )
    var found: [TaskType] = []
    while try statement.step() {
      found.append(
        TaskType(
          id: statement.integer(0), name: statement.text(1) ?? "", version: statement.text(2) ?? "",
          schema: statement.text(3) ?? "", specification: statement.text(4) ?? "", isActive: statement.integer(5) != 0,
          createdAt: statement.text(6) ?? "", updatedAt: statement.text(7) ?? ""))
    }
    return found
  }

  package func setActive(
    _ isActive: Bool, type: String, version: String?, now: String
  ) throws(StoreError) -> Int {
    try write { connection throws(StoreError) in
      try connection.run(
        "UPDATE task_types SET is_active = ?1, updated_at = ?2 WHERE name = ?3 AND (?4 IS NULL OR version = ?4)",
        [.integer(isActive ? 1 : 0), .text(now), .text(type), .text(orNull: version)])
      return connection.changedRows
    }
  }

  // MARK: Events

  package func events(matching filter: EventFilter) throws(StoreError) -> [TaskEvent] {
    try read(else: []) { connection throws(StoreError) in
      var conditions: [String] = []
      var values: [SQLValue] = []
      func require(_ condition: String, _ value: SQLValue) {
        conditions.append(condition)
        values.append(value)
      }
      if let after = filter.after { require("event_id > ?", .integer(after)) }
      if let key = filter.storageKey { require("storage_key = ?", .text(key)) }
      if let pipeline = filter.pipeline { require("pipeline = ?", .text(pipeline)) }
      if let task = filter.task { require("task_id = ?", .text(task)) }
      if let run = filter.run { require("run_id = ?", .integer(run)) }
      if let since = filter.since { require("timestamp >= ?", .text(since)) }
      if !filter.types.isEmpty {
        conditions.append("event_type IN (\(Array(repeating: "?", count: filter.types.count).joined(separator: ", ")))")
        values += filter.types.map { .text($0) }
      }
      // The newest of a pipeline are found among the newest of all, without sorting what an index finds of it.
      let isByOrder = filter.task == nil && filter.run == nil && filter.types.isEmpty
      let order = filter.after == nil ? "DESC" : "ASC"
      var statement = try connection.statement(
        """
        SELECT event_id, run_id, storage_key, pipeline, task_id, event_type, event_data, previous_status, new_status,
          timestamp, actor
        FROM task_events \(isByOrder ? "NOT INDEXED" : "") \(conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND "))
        ORDER BY event_id \(order) LIMIT ?
        """)
      try statement.bind(values + [.integer(Int64(filter.limit))])
      var found: [TaskEvent] = []
      while try statement.step() {
        found.append(
          TaskEvent(
            id: statement.integer(0), run: statement.integer(orNil: 1),
            key: TaskKey(
              storageKey: statement.text(2) ?? "", pipeline: statement.text(3) ?? "", task: statement.text(4) ?? ""),
            type: statement.text(5) ?? "", data: statement.text(6), previous: statement.text(7), new: statement.text(8),
            time: statement.text(9) ?? "", actor: statement.text(10)))
      }
      return filter.after == nil ? found.reversed() : found
    }
  }
}
