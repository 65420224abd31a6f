import Glibc
package import PurserModel
package import PurserStore

/// A table, an index, a trigger or a view, as the migrations make it.
struct SchemaEntry {
  let type: String
  let name: String
  let sql: String

  /// The whole schema of this build.
  static func expected() throws(StoreError) -> [SchemaEntry] {
    let connection = try Connection(path: ":memory:", mode: .readWrite)
    try Migrator(connection: connection).migrate(now: "")
    var statement = try connection.statement("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    var found: [SchemaEntry] = []
    while try statement.step() {
      guard let type = statement.text(0), let name = statement.text(1), let sql = statement.text(2) else { continue }
      found.append(SchemaEntry(type: type, name: name, sql: sql))
    }
    return found
  }

  /// How it is defined in a database; `nil` where it is not there.
  func definition(in connection: Connection) throws(StoreError) -> String? {
    try connection.text("SELECT sql FROM sqlite_schema WHERE type = ? AND name = ?", [.text(type), .text(name)])
  }
}

/// Saves what can be read of a damaged database into a new one, table by table, within our schema.
///
/// The damaged file is never written to: it is read by way of a copy, whose header is put right first (all that stands
/// there is the same for every store), and then moved aside. Rows are read in the order of their numbers; behind one
/// that cannot be read, the next that can is looked for at growing distances. What breaks a constraint is left out, and
/// so is what names a row that was lost. Where a mark was lost, every result counts as void: what is not known to stand
/// must not be used.
struct Salvage {
  let path: String
  let now: String

  /// Tables whose loss would let void results stand.
  private static let marks = [
    "invalidations", "earlier_invalidations", "all_keys_marks", "void_results", "void_item_results",
  ]
  /// How far tokens and numbers go on behind the last one that is known: one that was lost must not be given again.
  private static let margin: Int64 = 1000

  /// Within the gate, with no connection open.
  func run(settingAsideIn folder: String) throws(StoreError) -> SalvageReport {
    let (copy, fresh) = (path + ".salvage", path + ".new")
    func removeTemporaries() {
      for name in [copy, fresh] { for suffix in ["", "-wal", "-shm", "-journal"] { unlink(name + suffix) } }
    }
    removeTemporaries()
    defer { removeTemporaries() }
    guard mkdir(folder, 0o700) == 0 else { throw failure("'\(folder)' cannot be made") }
    for suffix in ["", "-wal"] { try Self.copyFile(path + suffix, to: copy + suffix) }
    try Self.mendHeader(of: copy)
    Self.mendSchema(of: copy)
    let report: SalvageReport
    do {
      let target = try Connection(path: fresh, mode: .readWrite)
      try target.execute("PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY; PRAGMA synchronous = FULL")
      try Migrator(connection: target).migrate(now: now)
      try target.execute("BEGIN IMMEDIATE")
      report = try fill(target, from: try? Connection(path: copy, mode: .salvage))
      try target.execute("COMMIT")
    }
    chmod(fresh, 0o600)
    // The new file takes the place of the damaged one in one step, once that has its other name.
    guard link(path, folder + "/records.db") == 0 else { throw failure("the damaged store cannot be set aside") }
    for suffix in ["-wal", "-shm"] { rename(path + suffix, folder + "/records.db" + suffix) }
    guard rename(fresh, path) == 0 else { throw failure("the new store cannot be put into its place") }
    return report
  }

  private func failure(_ what: String) -> StoreError { StoreError(.io, "\(what): \(String(cString: strerror(errno)))") }

  // MARK: The copy

  private static func copyFile(_ from: String, to path: String) throws(StoreError) {
    let source = open(from, O_RDONLY | O_CLOEXEC)
    guard source >= 0 else { return }
    defer { close(source) }
    let target = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard target >= 0 else { throw StoreError(.io, "'\(path)' cannot be made: \(String(cString: strerror(errno)))") }
    defer { close(target) }
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = Glibc.read(source, &buffer, buffer.count)
      if count == 0 { return }
      guard count > 0, Glibc.write(target, buffer, count) == count else {
        throw StoreError(.io, "'\(path)' cannot be written: \(String(cString: strerror(errno)))")
      }
    }
  }

  /// Puts the constants of a store's header into a file: SQLite's own name, pages of 4096 bytes, the log, and so on.
  private static func mendHeader(of path: String) throws(StoreError) {
    let file = open(path, O_RDWR | O_CLOEXEC)
    guard file >= 0 else { return }
    defer { close(file) }
    var header = [UInt8](repeating: 0, count: 100)
    guard pread(file, &header, 100, 0) == 100 else { return }
    header.replaceSubrange(0..<16, with: Array("SQLite format 3\0".utf8))
    header.replaceSubrange(16..<24, with: [0x10, 0x00, 2, 2, 0, 64, 32, 32])
    let pages = UInt32(clamping: lseek(file, 0, SEEK_END) / 4096)
    header.replaceSubrange(28..<32, with: withUnsafeBytes(of: pages.bigEndian, Array.init))
    header.replaceSubrange(44..<48, with: [0, 0, 0, 4])
    header.replaceSubrange(56..<60, with: [0, 0, 0, 1])
    header.replaceSubrange(92..<96, with: header[24..<28])
    guard pwrite(file, header, 100, 0) == 100 else { throw StoreError(.io, "'\(path)' cannot be written") }
  }

  /// Puts definitions that were damaged right, as far as they can still be told. What a column that is not there yet
  /// holds is its default.
  private static func mendSchema(of path: String) {
    guard let copy = try? Connection(path: path, mode: .salvage), let expected = try? SchemaEntry.expected() else {
      return
    }
    for entry in expected {
      _ = try? copy.run(
        "UPDATE sqlite_schema SET sql = ?1 WHERE type = ?2 AND name = ?3 AND sql <> ?1",
        [.text(entry.sql), .text(entry.type), .text(entry.name)])
    }
  }

  // MARK: Rows

  private func fill(_ target: Connection, from source: Connection?) throws(StoreError) -> SalvageReport {
    var report = SalvageReport()
    let triggers = try Self.texts("SELECT sql FROM sqlite_schema WHERE type = 'trigger'", target)
    for name in try Self.texts("SELECT name FROM sqlite_schema WHERE type = 'trigger'", target) {
      try target.execute("DROP TRIGGER \(name)")
    }
    let tables = try Self.texts(
      """
      SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'
        AND name <> 'schema_migrations' ORDER BY name
      """, target)
    for table in tables {
      let (rows, isWhole) = try copy(table, from: source, to: target)
      if rows > 0 { report.saved.append((table, rows)) }
      if !isWhole { report.incomplete.append(table) }
    }
    try Self.removeDangling(tables, target)
    report.hasVoidedResults = !Set(report.incomplete).isDisjoint(with: Self.marks)
    if report.hasVoidedResults {
      for table in ["action_results", "item_results"] {
        try target.run("UPDATE \(table) SET invalidated_at = ? WHERE invalidated_at IS NULL", [.text(now)])
      }
    }
    try Self.advanceNumbers(target)
    for sql in triggers { try target.execute(sql) }
    return report
  }

  /// Lets numbers go on behind all that were given, those of lost rows too, as far as results and marks tell; so that
  /// no mark voids what is made from now on. A mark that a flipped bit has sent far ahead voids all there is.
  private static func advanceNumbers(_ target: Connection) throws(StoreError) {
    let sources: [(table: String, column: String, others: [String])] = [
      ("task_runs", "run_horizon", ["action_results.begun", "item_results.begun"]),
      ("action_results", "horizon", []), ("item_results", "item_horizon", []), ("task_locks", "", []),
      ("task_events", "", []), ("all_keys_marks", "", []), ("acceptances", "", []), ("earlier_invalidations", "", []),
    ]
    for (table, column, others) in sources {
      var last =
        try target.integer(
          "SELECT max(id) FROM \(table == "task_events" ? "(SELECT event_id AS id FROM task_events)" : table)") ?? 0
      for other in others {
        let parts = other.split(separator: ".")
        last = max(last, try target.integer("SELECT max(\(parts[1])) FROM \(parts[0])") ?? 0)
      }
      var marks = column.isEmpty ? [] : ["invalidations", "earlier_invalidations"]
      if column == "run_horizon" { marks.append("all_keys_marks") }
      for mark in marks {
        let horizon = try target.integer(
          "SELECT max(\(column)) FROM \(mark) WHERE \(column) < ?", [.integer(last + 1 << 32)])
        last = max(last, horizon ?? 0)
      }
      for mark in marks {
        try target.run("UPDATE \(mark) SET \(column) = ?1 WHERE \(column) > ?1", [.integer(last)])
      }
      try target.run("DELETE FROM sqlite_sequence WHERE name = ?", [.text(table)])
      try target.run(
        "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", [.text(table), .integer(last + margin)])
    }
  }

  private static func texts(_ sql: String, _ connection: Connection) throws(StoreError) -> [String] {
    var statement = try connection.statement(sql)
    var found: [String] = []
    while try statement.step() { found.append(statement.text(0) ?? "") }
    return found
  }

  /// Copies what can be read of a table; whether that is all there was.
  private func copy(
    _ table: String, from source: Connection?, to target: Connection
  ) throws(StoreError) -> (rows: Int, isWhole: Bool) {
    guard let source, let known = try? Self.texts("SELECT name FROM pragma_table_info('\(table)')", source) else {
      return (0, false)
    }
    let all = try Self.texts("SELECT name FROM pragma_table_info('\(table)')", target)
    let columns = all.filter(known.contains)
    // A store of an older schema has no such table yet.
    guard !columns.isEmpty else {
      return (0, (try? source.integer("SELECT max(version) FROM schema_migrations")) ?? version < version)
    }
    let hasNumbers = (try? source.statement("SELECT rowid FROM \(table) LIMIT 0")) != nil
    let names = columns.joined(separator: ", ")
    let insert =
      "INSERT OR IGNORE INTO \(table) (\(names)) VALUES (\(columns.map { _ in "?" }.joined(separator: ", ")))"
    var (rows, isWhole) = (0, true)
    func take(_ row: borrowing Statement, from first: Int32) throws(StoreError) {
      try target.run(insert, (0..<Int32(columns.count)).map { row.value(first + $0) })
      if target.changedRows > 0 { rows += 1 } else { isWhole = false }
    }
    guard hasNumbers else {
      // From its start and, behind what is damaged, from its end.
      for order in ["", " ORDER BY \(try Self.key(of: table, target)) DESC"] {
        do throws(StoreError) {
          var statement = try source.statement("SELECT \(names) FROM \(table)\(order)")
          while try statement.step() { try take(statement, from: 0) }
          return (rows, isWhole)
        } catch {
          isWhole = false
        }
      }
      return (rows, isWhole)
    }
    var (last, step): (Int64, Int64) = (-1, 1)
    while step < 1 << 56, last < Int64.max >> 1 {
      do throws(StoreError) {
        var statement = try source.statement(
          "SELECT rowid, \(names) FROM \(table) NOT INDEXED WHERE rowid > ? ORDER BY rowid")
        try statement.bind([.integer(last)])
        while try statement.step() {
          try take(statement, from: 1)
          (last, step) = (max(last, statement.integer(0)), 1)
        }
        return (rows, isWhole)
      } catch {
        isWhole = false
        last += step
        step *= 2
      }
    }
    return (rows, isWhole)
  }

  private var version: Int64 { Migration.current }

  private static func key(of table: String, _ connection: Connection) throws(StoreError) -> String {
    try texts("SELECT name FROM pragma_table_info('\(table)') WHERE pk > 0 ORDER BY pk", connection)
      .joined(separator: " DESC, ")
  }

  /// Removes rows, or what they name, where that was lost; again, until nothing dangles.
  private static func removeDangling(_ tables: [String], _ target: Connection) throws(StoreError) {
    struct Reference {
      var parent: String
      var isCleared: Bool
      var columns: [(from: String, to: String)] = []
    }
    var references: [(table: String, reference: Reference)] = []
    for table in tables {
      var found: [Int64: Reference] = [:]
      var statement = try target.statement("PRAGMA foreign_key_list(\(table))")
      while try statement.step() {
        let id = statement.integer(0)
        if found[id] == nil {
          found[id] = Reference(parent: statement.text(2) ?? "", isCleared: statement.text(6) == "SET NULL")
        }
        found[id]?.columns.append((statement.text(3) ?? "", statement.text(4) ?? ""))
      }
      references += found.values.map { (table, $0) }
    }
    var hasChanged = true
    while hasChanged {
      hasChanged = false
      for (table, reference) in references {
        let match = reference.columns.map { "p.\($0.to) = \(table).\($0.from)" }.joined(separator: " AND ")
        let isSet = reference.columns.map { "\(table).\($0.from) IS NOT NULL" }.joined(separator: " AND ")
        let lost = "WHERE \(isSet) AND NOT EXISTS (SELECT 1 FROM \(reference.parent) p WHERE \(match))"
        let cleared = reference.columns.map { "\($0.from) = NULL" }.joined(separator: ", ")
        try target.run(
          reference.isCleared ? "UPDATE \(table) SET \(cleared) \(lost)" : "DELETE FROM \(table) \(lost)", [])
        if target.changedRows > 0 { hasChanged = true }
      }
    }
  }
}

extension SQLiteRecordStore {
  package func salvage(settingAsideIn folder: ByteString) throws(StoreError) -> SalvageReport {
    let now = now()
    return try locked { database throws(StoreError) in
      try database.replaceFile { path throws(StoreError) in
        try Salvage(path: path, now: now).run(settingAsideIn: String(decoding: folder.bytes, as: UTF8.self))
      }
    }
  }
}
