import PurserStore
import PurserModel

/// Brings a database to a version, one transaction a migration. Only within the gate.
struct Migrator {
  /// "PURS", in the header of every store.
  static let applicationID: Int64 = 0x5055_5253

  let connection: Connection

  /// Refuses what is not ours or is newer than this build; writes nothing. Returns the version.
  static func check(_ connection: Connection) throws(StoreError) -> Int64 {
    let application = try connection.integer("PRAGMA application_id") ?? 0
    let version = try connection.integer("PRAGMA user_version") ?? 0
    if application == applicationID {
      guard version <= Migration.current else {
        throw StoreError(
          .unavailable,
          "the record store '\(connection.path)' was written by a newer Purser (schema \(version), this one knows "
            + "\(Migration.current)); use that version, or another --store")
      }
      return version
    }
    let tables = try connection.integer("SELECT count(*) FROM sqlite_schema") ?? 0
    guard application == 0, version == 0, tables == 0 else {
      throw StoreError(
        .unavailable,
        "'\(connection.path)' is a database of another program; it is left as it is: move it away, or use --store")
    }
    return 0
  }

  /// Applies what is missing, up to the current version.
  func migrate(now: String) throws(StoreError) {
    for migration in Migration.all where try Self.check(connection) < migration.version {
      try apply(migration.up(), to: migration.version) { () throws(StoreError) in
        try connection.execute(
          "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
            + "checksum TEXT NOT NULL, applied_at TEXT NOT NULL)")
        try connection.run(
          "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
          [.integer(migration.version), .text(migration.name), .text(migration.checksum), .text(now)])
      }
    }
  }

  /// Takes back the last `count` migrations. What they held is gone.
  func rollback(_ count: Int) throws(StoreError) {
    try verifyChecksums()
    for _ in 0..<max(0, count) {
      let version = try Self.check(connection)
      guard let migration = Migration.all.first(where: { $0.version == version }) else { return }
      try apply(migration.down(), to: version - 1) { () throws(StoreError) in
        try connection.run("DELETE FROM schema_migrations WHERE version = ?", [.integer(version)])
      }
    }
  }

  private func apply(
    _ script: [UInt8], to version: Int64, _ record: () throws(StoreError) -> Void
  ) throws(StoreError) {
    try connection.execute("BEGIN IMMEDIATE")
    do throws(StoreError) {
      try connection.execute(String(decoding: script, as: UTF8.self))
      try record()
      try connection.execute("PRAGMA application_id = \(Self.applicationID)")
      try connection.execute("PRAGMA user_version = \(version)")
      try connection.execute("COMMIT")
    } catch {
      try? connection.execute("ROLLBACK")
      throw error
    }
  }

  /// Which migrations were applied when.
  func status() throws(StoreError) -> SchemaStatus {
    let version = try Self.check(connection)
    var applied: [Int64: String] = [:]
    if version > 0 {
      var statement = try connection.statement("SELECT version, applied_at FROM schema_migrations")
      while try statement.step() { applied[statement.integer(0)] = statement.text(1) }
    }
    return SchemaStatus(
      version: version,
      migrations: Migration.all.map {
        SchemaStatus.Migration(version: $0.version, name: $0.name, appliedAt: applied[$0.version])
      })
  }

  /// Throws if an applied migration is not the one that this build has.
  func verifyChecksums() throws(StoreError) {
    guard try Self.check(connection) > 0 else { return }
    var recorded: [Int64: String] = [:]
    var statement = try connection.statement("SELECT version, checksum FROM schema_migrations")
    while try statement.step() { recorded[statement.integer(0)] = statement.text(1) }
    for migration in Migration.all {
      guard let checksum = recorded[migration.version], checksum != migration.checksum else { continue }
      throw StoreError(
        .unavailable,
        "migration \(migration.name) of '\(connection.path)' is not the one that this Purser has; use the version that "
          + "wrote the store, or another --store")
    }
  }
}
