import Glibc
package import PurserModel
package import PurserStore

extension SQLiteRecordStore: MaintainedStore {
  /// Free pages are given back to the file system where they are more than this part of the file, and more than a
  /// megabyte: a store that grows and shrinks by itself is left alone.
  private static let freePartWorthVacuuming = 4
  private static let freeBytesWorthVacuuming = 1 << 20
  /// Rows that `ANALYZE` looks at in each index.
  private static let analysisLimit = 1000

  package func maintain(_ request: MaintenanceRequest) throws(StoreError) -> MaintenanceReport {
    var report = try write { connection throws(StoreError) in
      var report = MaintenanceReport()
      report.bytesBefore = try Self.size(connection)
      // What a record was made by, and what is kept of each task, stays; and so does what is not over.
      try connection.run(
        """
        DELETE FROM task_runs WHERE finished_at < ?1
          AND NOT EXISTS (SELECT 1 FROM task_details d WHERE d.run_id = task_runs.id)
          AND NOT EXISTS (SELECT 1 FROM task_locks l WHERE l.run_id = task_runs.id)
          AND (queued_at IS NOT NULL OR (
            SELECT count(*) FROM (
              SELECT 1 FROM task_runs n WHERE n.storage_key = task_runs.storage_key
                AND n.pipeline = task_runs.pipeline AND n.task_id = task_runs.task_id AND n.id > task_runs.id LIMIT ?2)
            ) >= ?2)
        """, [.text(request.cutoff), .integer(Int64(request.runsOfEachTask))])
      report.runs = connection.changedRows
      try connection.run(
        """
        DELETE FROM task_events WHERE timestamp < ?1
          AND event_id <= (SELECT max(event_id) FROM task_events) - ?2
        """, [.text(request.cutoff), .integer(Int64(request.events))])
      report.events = connection.changedRows
      try connection.run(
        "DELETE FROM workers WHERE status IN ('STOPPED', 'LOST') AND last_heartbeat < ?", [.text(request.cutoff)])
      report.workers = connection.changedRows
      try connection.run(
        """
        INSERT INTO system_state (key, value, updated_at) VALUES ('maintenance', ?1, ?2)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
        """, [.text(report.json.serialized), .text(request.now)])
      return report
    }
    report.bytesAfter = try locked { database throws(StoreError) in
      try database.withMigrator { migrator throws(StoreError) in
        let connection = migrator.connection
        try connection.execute("PRAGMA analysis_limit = \(Self.analysisLimit); ANALYZE")
        let free = try connection.integer("PRAGMA freelist_count") ?? 0
        let page = try connection.integer("PRAGMA page_size") ?? 0
        let size = try Self.size(connection)
        if free * page > Self.freeBytesWorthVacuuming, free * page > size / Int64(Self.freePartWorthVacuuming) {
          // Its copy has the same CHECKs, whose functions a schema that is not trusted may not use there.
          try connection.execute("PRAGMA trusted_schema = ON; VACUUM")
        }
        return try Self.size(connection)
      }
    }
    return report
  }

  private static func size(_ connection: Connection) throws(StoreError) -> Int64 {
    (try connection.integer("PRAGMA page_count") ?? 0) * (try connection.integer("PRAGMA page_size") ?? 0)
  }

  package func lastMaintenance() throws(StoreError) -> String? {
    try read(else: nil) { connection throws(StoreError) in
      try connection.text("SELECT updated_at FROM system_state WHERE key = 'maintenance'")
    }
  }

  package func backUp(to path: ByteString) throws(StoreError) {
    guard let text = String(validating: path.bytes, as: UTF8.self) else {
      throw StoreError(.unavailable, "'\(path.printable)' is no UTF-8, which SQLite needs; choose another name")
    }
    guard access(text, F_OK) != 0 else {
      throw StoreError(.unavailable, "'\(path.printable)' is there already; choose another name, or remove it")
    }
    let temporary = text + ".purser-tmp"
    unlink(temporary)
    do throws(StoreError) {
      let isCopied = try locked { database throws(StoreError) in
        try database.inspect { connection throws(StoreError) in
          _ = try Migrator.check(connection)
          try connection.copyAll(to: temporary)
          return true
        }
      }
      guard isCopied == true else { throw StoreError(.unavailable, "there is no record store here yet to back up") }
      try Self.settle(temporary, as: text)
    } catch {
      unlink(temporary)
      throw error
    }
  }

  /// Brings a file to the disk, and gives it its name.
  private static func settle(_ temporary: String, as path: String) throws(StoreError) {
    func failure() -> StoreError {
      StoreError(.io, "the backup '\(path)' cannot be written: \(String(cString: strerror(errno)))")
    }
    let descriptor = open(temporary, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure() }
    defer { Glibc.close(descriptor) }
    guard fchmod(descriptor, 0o600) == 0, fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw failure() }
    let folder = ByteString(path).parentPath
    let parent = open(folder.isEmpty ? "." : String(decoding: folder.bytes, as: UTF8.self), O_RDONLY | O_CLOEXEC)
    guard parent >= 0 else { throw failure() }
    defer { Glibc.close(parent) }
    guard fsync(parent) == 0 else { throw failure() }
  }

  package func rows(of view: MonitoringView, limit: Int) throws(StoreError) -> [JSON] {
    try read(else: []) { connection throws(StoreError) in
      var names: [String] = []
      do {
        var columns = try connection.statement("SELECT name FROM pragma_table_info(?)")
        try columns.bind([.text(view.rawValue)])
        while try columns.step() { names.append(columns.text(0) ?? "") }
      }
      var statement = try connection.statement("SELECT * FROM \(view.rawValue) LIMIT ?")
      try statement.bind([.integer(Int64(limit))])
      var rows: [JSON] = []
      while try statement.step() {
        rows.append(
          .object(names.enumerated().map { column, name in (name, statement.json(Int32(column))) }))
      }
      return rows
    }
  }
}
