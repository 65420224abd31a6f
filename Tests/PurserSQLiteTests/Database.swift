import PurserModel
import Testing

@testable import PurserSQLite

/// A look at a database file from beside the store, for facts that the protocol does not show.
struct Database {
  let connection: Connection

  /// Opens, and makes if need be, a file of the test's own folder.
  init(_ name: ByteString = "store/records.db") throws {
    connection = try Connection(path: TemporaryFolder.current(name).escaped, mode: .readWrite)
  }

  /// Every row, its first columns as text joined by bars.
  func rows(_ sql: String, columns: Int32 = 1) throws -> [String] {
    var statement = try connection.statement(sql)
    var rows: [String] = []
    while try statement.step() {
      rows.append((0..<columns).map { statement.text($0) ?? "NULL" }.joined(separator: "|"))
    }
    return rows
  }

  /// The number of rows of a table.
  func count(_ table: String) throws -> Int64 {
    try connection.integer("SELECT count(*) FROM \(table)") ?? -1
  }

  /// The schema, without what SQLite and the migrator keep for themselves.
  func schema() throws -> [String] {
    try rows(
      """
      SELECT type, name, tbl_name, sql FROM sqlite_schema
      WHERE substr(name, 1, 7) <> 'sqlite_' AND name <> 'schema_migrations' ORDER BY type, name
      """, columns: 4)
  }
}

/// The store of the test's own folder, as the SQLite backend.
func openSQLite(isDurable: Bool = false) throws -> SQLiteRecordStore {
  SQLiteRecordStore(directory: TemporaryFolder.current("store"), isDurable: isDurable, now: { Time.day(1) })
}
