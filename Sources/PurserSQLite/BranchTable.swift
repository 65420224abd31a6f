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
  /// For a table whose rows are large, and so are copied some at a time: its unique key, but for the storage key.
  var key: [String]?

  /// How many large rows are copied at a time.
  private static let batch = 100

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
    BranchTable(name: "taskdata_bins", key: ["pipeline", "task_id", "bin_type", "bin_id"]),
    BranchTable(name: "subtask_bins", key: ["pipeline", "task_id", "bin_id"]),
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
    if let unique = self.key { return try copyInBatches(insert, by: unique, scope, to: key, connection) }
    let parameters = scope.values + [.text(key)] + (overrides.isEmpty ? [] : [.text(now)])
    let order = columns.contains("id") ? " ORDER BY id" : ""
    try connection.run("\(insert) FROM \(name) WHERE \(Self.scope)\(order)", parameters)
  }

  /// In batches, because SQLite keeps what it selects from the table that it inserts into, in memory: a million items
  /// are 300 MB. And in the order of the key, so that no page of an index is written to again after it has gone to the
  /// log: at commit SQLite would then sum up anew all of the log that follows on it, which took as long as the copying.
  private func copyInBatches(
    _ insert: String, by unique: [String], _ scope: BranchScope, to key: String, _ connection: Connection
  ) throws(StoreError) {
    let names = unique.joined(separator: ", ")
    func bound(_ comparison: String, at first: Int) -> String {
      " AND (\(names)) \(comparison) (\(unique.indices.map { "?\(first + $0)" }.joined(separator: ", ")))"
    }
    var last: [SQLValue] = []
    while true {
      var next: [SQLValue] = []
      do {
        var statement = try connection.statement(
          """
          SELECT \(names) FROM \(name) WHERE \(Self.scope)\(last.isEmpty ? "" : bound(">", at: 3))
          ORDER BY \(names) LIMIT 1 OFFSET \(Self.batch - 1)
          """)
        try statement.bind(scope.values + last)
        if try statement.step() { next = unique.indices.map { statement.value(Int32($0)) } }
      }
      let range =
        (last.isEmpty ? "" : bound(">", at: 4)) + (next.isEmpty ? "" : bound("<=", at: 4 + last.count))
      try connection.run(
        "\(insert) FROM \(name) WHERE \(Self.scope)\(range) ORDER BY \(names)",
        scope.values + [.text(key)] + last + next)
      if next.isEmpty { return }
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
