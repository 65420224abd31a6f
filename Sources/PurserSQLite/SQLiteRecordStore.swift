package import PurserModel
package import PurserStore
import Synchronization

/// The record store in one SQLite file, `records.db`.
///
/// `@unchecked Sendable`: every use of `database` holds `mutex`.
package final class SQLiteRecordStore: RecordStore, @unchecked Sendable {
  private let mutex = Mutex(())
  private let database: RecordDatabase
  package let place: StorePlace
  /// The clock, ISO 8601.
  let now: @Sendable () -> String
  /// Appends of progress that wait for a commit.
  let appends = CommitQueue<ProgressAppend>()

  /// A store in the folder `directory`, which is made at the first write; reading where there is none finds nothing.
  ///
  /// - Parameters:
  ///   - isDurable: whether commits survive a power cut (`synchronous=FULL`) or only a killed process (`NORMAL`).
  ///   - now: the clock, for rows whose caller brings no time: ISO 8601.
  package convenience init(
    directory: ByteString, isDurable: Bool = true, now: @escaping @Sendable () -> String
  ) {
    self.init(.folder(directory), isDurable: isDurable, now: now)
  }

  /// A store wherever it is.
  package init(_ place: StorePlace, isDurable: Bool = true, now: @escaping @Sendable () -> String) {
    self.now = now
    self.place = place
    database = RecordDatabase(place, isDurable: isDurable, now: now)
  }

  func read<Result: Sendable>(
    else missing: Result, _ body: (Connection) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    try locked { database throws(StoreError) in try database.read(else: missing, body) }
  }

  func write<Result: Sendable>(
    durable: Bool = true, appends: Bool = false, _ body: (Connection) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    try locked { database throws(StoreError) in try database.write(durable: durable, appends: appends, body) }
  }

  func locked<Result: Sendable>(
    _ body: (RecordDatabase) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    try mutex.withLock { _ throws(StoreError) in try body(database) }
  }

  // MARK: Schema

  /// Where the schema stands, without changing it.
  package func schemaStatus() throws(StoreError) -> SchemaStatus {
    try locked { database throws(StoreError) in
      try database.inspect { connection throws(StoreError) in try Migrator(connection: connection).status() }
    }
      ?? SchemaStatus(
        version: 0,
        migrations: Migration.all.map { SchemaStatus.Migration(version: $0.version, name: $0.name, appliedAt: nil) })
  }

  /// Applies what is missing. Opening a store for writing does so too.
  package func migrate(now: String) throws(StoreError) -> SchemaStatus {
    try locked { database throws(StoreError) in
      try database.withMigrator { migrator throws(StoreError) in
        try migrator.migrate(now: now)
        try migrator.verifyChecksums()
        return try migrator.status()
      }
    }
  }

  /// Takes back the last `count` migrations, and what they held.
  package func rollback(_ count: Int) throws(StoreError) -> SchemaStatus {
    try locked { database throws(StoreError) in
      try database.withMigrator { migrator throws(StoreError) in
        try migrator.rollback(count)
        return try migrator.status()
      }
    }
  }
}
