import PurserModel
import PurserStore

/// A table whose rows belong to a storage key, and so are copied and removed with it.
///
/// Which columns it has is asked of the database, so that a column which a migration adds is copied without a change
/// here; a new table is one line in ``all``.
struct BranchTable {
  let name: String
  /// Whether it holds the records, or its rows go with them, by `ON DELETE CASCADE`.
  var isOfRecords = true
  /// What a copied column holds instead of its value.
  var overrides: [String: String] = [:]
  /// How many rows are copied at once; `nil` for all.
  var batch: Int64?

  /// In the order in which they can be filled.
  static let all = [
    BranchTable(
      name: "tasks",
      overrides: [
        // A lease is not copied, and so nobody is at work on the copy.
        "status": "CASE status WHEN 'RUNNING' THEN 'INCOMPLETE' ELSE status END", "created_at": "?4",
        "updated_at": "?4",
      ]),
    BranchTable(name: "task_details", overrides: ["run_id": "iif(old.status = 'RUNNING', NULL, d.run_id)"]),
    BranchTable(name: "task_dependencies"),
    BranchTable(name: "taskdata_bins", batch: 100),
    BranchTable(name: "subtask_bins", batch: 100),
    BranchTable(name: "acceptances"),
    BranchTable(name: "invalidations", isOfRecords: false),
    BranchTable(name: "earlier_invalidations", isOfRecords: false),
  ]

  /// The rows of a ``BranchScope``, by its ``BranchScope/values``.
  static let scope = "storage_key = ?1 AND (?2 IS NULL OR pipeline = ?2)"

  /// Copies the rows of a scope to another key.
  func copy(
    _ scope: BranchScope, to key: String, now: String, _ connection: Connection
  ) throws(StoreError) {
    let columns = try columns(connection)
    if columns.contains("task_row") { return try copyByRow(columns, scope, to: key, connection) }
    let copied = columns.filter { $0 != "id" }
    let values = copied.map { $0 == "storage_key" ? "?3" : overrides[$0] ?? $0 }
    let insert = "INSERT INTO \(name) (\(copied.joined(separator: ", "))) SELECT \(values.joined(separator: ", "))"
    let parameters = scope.values + [.text(key)] + (overrides.isEmpty ? [] : [.text(now)])
    guard let batch else {
      let order = columns.contains("id") ? " ORDER BY id" : ""
      return try connection.run("\(insert) FROM \(name) WHERE \(Self.scope)\(order)", parameters)
    }
    // SQLite keeps what it selects from the table that it inserts into, in memory: a million items are 300 MB. By the
    // rows' numbers: the index by key would be sorted again for each batch.
    let rows = "FROM \(name) NOT INDEXED WHERE \(Self.scope) AND id > ?4"
    let end = try connection.integer("SELECT max(id) FROM \(name)") ?? 0
    var last: Int64 = 0
    while last < end {
      let next = try connection.integer(
        "SELECT max(id) FROM (SELECT id \(rows) AND id <= ?5 ORDER BY id LIMIT ?3)",
        scope.values + [.integer(batch), .integer(last), .integer(end)])
      guard let next, next > last else { return }
      try connection.run("\(insert) \(rows) AND id <= ?5 ORDER BY id", parameters + [.integer(last), .integer(next)])
      last = next
    }
  }

  /// A table that names the record by its number.
  private func copyByRow(
    _ columns: [String], _ scope: BranchScope, to key: String, _ connection: Connection
  ) throws(StoreError) {
    let copied = columns.filter { $0 != "task_row" }
    try connection.run(
      """
      INSERT INTO \(name) (task_row, \(copied.joined(separator: ", ")))
      SELECT new.id, \(copied.map { overrides[$0] ?? "d.\($0)" }.joined(separator: ", "))
      FROM tasks old JOIN \(name) d ON d.task_row = old.id
        JOIN tasks new ON new.storage_key = ?3 AND new.pipeline = old.pipeline AND new.task_id = old.task_id
      WHERE old.storage_key = ?1 AND (?2 IS NULL OR old.pipeline = ?2) ORDER BY new.id
      """, scope.values + [.text(key)])
  }

  func columns(_ connection: Connection) throws(StoreError) -> [String] {
    var statement = try connection.statement("PRAGMA table_info(\(name))")
    var columns: [String] = []
    while try statement.step() { columns.append(statement.text(1) ?? "") }
    return columns
  }
}
