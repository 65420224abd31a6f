import CSQLite
package import PurserModel
package import PurserStore

extension SQLiteRecordStore: InspectedStore {
  /// The SQLite that is linked in.
  package static var libraryVersion: (number: Int, text: String) {
    (Int(sqlite3_libversion_number()), String(cString: sqlite3_libversion()))
  }

  package func health() -> StoreHealth {
    do throws(StoreError) {
      return try locked { database throws(StoreError) in
        try database.inspect { connection throws(StoreError) in try Self.health(connection) }
      } ?? StoreHealth(.absent)
    } catch {
      // A header that a bit was flipped in is "not a database" too; what is not ours by intent has another application's id.
      let isDamaged = error.code == .corrupt || error.message.contains("not a Purser record store")
      return StoreHealth(isDamaged ? .damaged : .unreadable, messages: [error.message])
    }
  }

  private static func health(_ connection: Connection) throws(StoreError) -> StoreHealth {
    let version = try connection.integer("PRAGMA user_version") ?? 0
    let application = try connection.integer("PRAGMA application_id") ?? 0
    let ours = try connection.integer(
      "SELECT count(*) FROM sqlite_schema WHERE name IN ('tasks', 'schema_migrations') AND type = 'table'")
    let isEmpty = try connection.integer("SELECT count(*) FROM sqlite_schema") == 0
    guard application == Migrator.applicationID || ours == 2 || isEmpty && application == 0 else {
      return StoreHealth(
        .foreign, version: version,
        messages: ["'\(connection.path)' is a database of another program; move it away, or use --store"])
    }
    let applied = ours == 2 ? try connection.integer("SELECT max(version) FROM schema_migrations") ?? 0 : version
    guard max(applied, application == Migrator.applicationID ? version : 0) <= Migration.current || applied != version
    else {
      return StoreHealth(
        .foreign, version: version,
        messages: ["schema \(version) was written by a newer Purser, this one knows \(Migration.current); use that one"]
      )
    }
    var messages: [String] = []
    if application != Migrator.applicationID, !isEmpty { messages.append("the header names another application") }
    if applied != version { messages.append("the header says schema \(version), the migrations \(applied)") }
    if version == Migration.current {
      for entry in try SchemaEntry.expected() where try entry.sql != entry.definition(in: connection) {
        messages.append("the definition of \(entry.type) \(entry.name) is not that of the migrations")
      }
    }
    // What a damaged page breaks off is no less damaged.
    do throws(StoreError) {
      var statement = try connection.statement("PRAGMA integrity_check(20)")
      while try statement.step() {
        if let text = statement.text(0), text != "ok" { messages += text.split(separator: "\n").map { String($0) } }
      }
    } catch {
      messages.append(error.message)
    }
    do throws(StoreError) {
      var dangling: [String: Int] = [:]
      var statement = try connection.statement("PRAGMA foreign_key_check")
      while try statement.step() {
        dangling["rows of \(statement.text(0) ?? "?") name what is not in \(statement.text(2) ?? "?")", default: 0] += 1
      }
      messages += dangling.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
    } catch  where messages.isEmpty {
      messages.append(error.message)
    } catch {}
    return StoreHealth(messages.isEmpty ? .sound : .damaged, version: version, messages: messages)
  }

  package func contents(
    after number: Int64, limit: Int
  ) throws(StoreError) -> [(number: Int64, blob: StoredBlob)] {
    try read(else: []) { connection throws(StoreError) in
      var statement = try connection.statement(
        "SELECT id, digest, size, encoding, content IS NOT NULL FROM blobs WHERE id > ? ORDER BY id LIMIT ?")
      try statement.bind([.integer(number), .integer(Int64(limit))])
      var found: [(number: Int64, blob: StoredBlob)] = []
      while try statement.step() {
        guard let digest = statement.digest(1) else { continue }
        let encoding = BlobEncoding(rawValue: statement.integer(3)) ?? .identity
        found.append(
          (
            statement.integer(0),
            StoredBlob(
              digest: digest, size: UInt64(clamping: statement.integer(2)), encoding: encoding,
              isInline: statement.integer(4) != 0)
          ))
      }
      return found
    }
  }

  package func owners(of digest: Digest) throws(StoreError) -> [TaskKey] {
    try read(else: []) { connection throws(StoreError) in
      var statement = try connection.statement(
        """
        WITH named(result_id) AS (
          SELECT result_id FROM result_blobs JOIN blobs b ON b.id = blob_id WHERE b.digest = ?1)
        SELECT storage_key, pipeline, task_id FROM action_results WHERE id IN (SELECT result_id FROM named)
        UNION SELECT t.storage_key, t.pipeline, t.task_id FROM task_details d JOIN tasks t ON t.id = d.task_row
          WHERE d.result_id IN (SELECT result_id FROM named)
        UNION SELECT r.storage_key, r.pipeline, r.task_id FROM item_results r
          JOIN item_blobs i ON i.item_result_id = r.id JOIN blobs b ON b.id = i.blob_id WHERE b.digest = ?1
        UNION SELECT r.storage_key, r.pipeline, r.task_id FROM task_runs r
          JOIN run_blobs n ON n.run_id = r.id JOIN blobs b ON b.id = n.blob_id WHERE b.digest = ?1
        ORDER BY 1, 2, 3
        """)
      try statement.bind([.digest(digest)])
      return try Self.taskKeys(&statement)
    }
  }

  // MARK: Records

  package func damagedRecords(_ digests: RecordDigests) throws(StoreError) -> [RecordDamage] {
    try read(else: []) { connection throws(StoreError) in
      try Self.damagedResults(digests, connection) + Self.damagedItemResults(connection)
        + Self.damagedFingerprints(digests, connection) + Self.damagedListings(digests, connection)
        + Self.damagedBins(connection) + Self.straying(connection)
    }
  }

  private static func damagedResults(
    _ digests: RecordDigests, _ connection: Connection
  ) throws(StoreError) -> [RecordDamage] {
    var damage: [RecordDamage] = []
    var statement = try connection.statement(
      """
      SELECT storage_key, pipeline, task_id, id, manifest, outputs_version, log_digest, data_digest FROM action_results
      """)
    while try statement.step() {
      let (id, keys) = (statement.integer(3), [taskKey(statement)])
      guard let manifest = statement.bytes(4).flatMap({ OutputManifest(encoded: $0) }),
        digests.outputsVersion(manifest) == statement.digest(5)
      else {
        damage.append(RecordDamage(.result(id), "the list of what result \(id) made is damaged", tasks: keys))
        continue
      }
      let needed = contents(of: manifest).union([statement.digest(6), statement.digest(7)].compactMap(\.self))
      if try !names(needed, "result_blobs", "result_id", id, connection) {
        damage.append(
          RecordDamage(.result(id), "result \(id) names contents that the store does not know", tasks: keys))
      }
    }
    return damage
  }

  private static func damagedItemResults(_ connection: Connection) throws(StoreError) -> [RecordDamage] {
    var damage: [RecordDamage] = []
    var statement = try connection.statement("SELECT storage_key, pipeline, task_id, id, manifest FROM item_results")
    while try statement.step() {
      let (id, keys) = (statement.integer(3), [taskKey(statement)])
      guard let manifest = statement.bytes(4).flatMap({ OutputManifest(encoded: $0) }),
        try names(contents(of: manifest), "item_blobs", "item_result_id", id, connection)
      else {
        damage.append(
          RecordDamage(.itemResult(id), "result \(id) of an item is damaged, or names what is not there", tasks: keys))
        continue
      }
    }
    return damage
  }

  private static func contents(of manifest: OutputManifest) -> Set<Digest> {
    Set(manifest.entries.lazy.filter { $0.kind != .directory }.map(\.digest))
  }

  /// Whether a result is linked to each of these contents, and they are there.
  private static func names(
    _ needed: Set<Digest>, _ table: String, _ column: String, _ id: Int64, _ connection: Connection
  ) throws(StoreError) -> Bool {
    for digest in needed {
      let link = try connection.integer(
        "SELECT 1 FROM \(table) l JOIN blobs b ON b.id = l.blob_id WHERE l.\(column) = ? AND b.digest = ?",
        [.integer(id), .digest(digest)])
      if link == nil { return false }
    }
    return true
  }

  private static func damagedFingerprints(
    _ digests: RecordDigests, _ connection: Connection
  ) throws(StoreError) -> [RecordDamage] {
    var damage: [RecordDamage] = []
    var statement = try connection.statement("SELECT action_key FROM fingerprints")
    while try statement.step() {
      guard let key = statement.digest(0) else { continue }
      let components = try Self.components(of: key, connection) ?? []
      guard digests.actionKey(components) != key else { continue }
      var owners = try connection.statement(
        """
        SELECT t.storage_key, t.pipeline, t.task_id FROM tasks t JOIN task_details d ON d.task_row = t.id
        WHERE d.action_key = ? ORDER BY 1, 2, 3
        """)
      try owners.bind([.digest(key)])
      damage.append(
        RecordDamage(
          .fingerprint(key), "the components behind fingerprint \(key.short) are damaged", tasks: try taskKeys(&owners))
      )
    }
    return damage
  }

  private static func damagedListings(
    _ digests: RecordDigests, _ connection: Connection
  ) throws(StoreError) -> [RecordDamage] {
    var damage: [RecordDamage] = []
    var statement = try connection.statement("SELECT digest, listing FROM tree_nodes")
    while try statement.step() {
      guard let digest = statement.digest(0), !digests.isListing(statement.bytes(1) ?? [], digest) else { continue }
      damage.append(RecordDamage(.listing(digest), "the listing of folder \(digest.short) is damaged"))
    }
    return damage
  }

  private static func damagedBins(_ connection: Connection) throws(StoreError) -> [RecordDamage] {
    var damage: [RecordDamage] = []
    var items = try connection.statement(
      "SELECT storage_key, pipeline, task_id, bin_id, data FROM subtask_bins ORDER BY 1, 2, 3, 4")
    while try items.step() {
      var decoded: [Subtask] = []
      if items.withText(4, { SubtaskBin.decode($0, into: &decoded) }) { continue }
      let key = taskKey(items)
      damage.append(
        RecordDamage(
          .items(key), "bin \(items.text(3) ?? "?") of the items of task '\(key.task)' is damaged", tasks: [key]))
    }
    var data = try connection.statement(
      "SELECT storage_key, pipeline, task_id, bin_id, data FROM taskdata_bins ORDER BY 1, 2, 3, 4")
    while try data.step() {
      if data.withText(4, { (try? TaskData(parsing: $0)) != nil }) { continue }
      let key = taskKey(data)
      damage.append(
        RecordDamage(
          .data(key), "bin \(data.text(3) ?? "?") of the data of task '\(key.task)' is damaged", tasks: [key])
      )
    }
    return damage
  }

  private static func straying(_ connection: Connection) throws(StoreError) -> [RecordDamage] {
    var statement = try connection.statement(
      """
      SELECT t.storage_key, t.pipeline, t.task_id FROM tasks t JOIN task_details d ON d.task_row = t.id
        JOIN action_results r ON r.id = d.result_id
      WHERE r.action_key <> d.action_key AND NOT EXISTS (
        SELECT 1 FROM acceptances a WHERE a.storage_key = t.storage_key AND a.pipeline = t.pipeline
          AND a.task_id = t.task_id AND a.action_key = d.action_key AND a.result_id = r.id)
      ORDER BY 1, 2, 3
      """)
    return try taskKeys(&statement).map {
      RecordDamage(.task($0), "the record of task '\($0.task)' rests on a result of something else", tasks: [$0])
    }
  }

  package func forget(_ damage: [RecordDamage]) throws(StoreError) {
    guard !damage.isEmpty else { return }
    try write { connection throws(StoreError) in
      for record in damage.map(\.record) {
        switch record {
        case .result(let id): try connection.run("DELETE FROM action_results WHERE id = ?", [.integer(id)])
        case .itemResult(let id): try connection.run("DELETE FROM item_results WHERE id = ?", [.integer(id)])
        case .fingerprint(let key):
          // Written again with the next run; what rests on it has a key that nothing leads to.
          try connection.run("DELETE FROM fingerprints WHERE action_key = ?", [.digest(key)])
          try connection.run("DELETE FROM component_sets WHERE id NOT IN (\(Self.usedSets))", [])
          connection.interned = InternedRows()
        case .listing(let digest): try connection.run("DELETE FROM tree_nodes WHERE digest = ?", [.digest(digest)])
        case .items(let key):
          try connection.run(
            "DELETE FROM subtask_bins WHERE storage_key = ? AND pipeline = ? AND task_id = ?", key.values)
          try connection.run(
            """
            UPDATE tasks SET subtask_count = 0, status = 'INCOMPLETE'
            WHERE storage_key = ? AND pipeline = ? AND task_id = ?
            """, key.values)
        case .data(let key):
          try connection.run(
            "DELETE FROM taskdata_bins WHERE storage_key = ? AND pipeline = ? AND task_id = ?", key.values)
          try connection.run(
            """
            UPDATE tasks SET taskdata_count = 0, output_data_version = NULL, status = 'INCOMPLETE'
            WHERE storage_key = ? AND pipeline = ? AND task_id = ?
            """, key.values)
        case .task(let key):
          try connection.run(
            """
            UPDATE task_details SET action_key = NULL, result_id = NULL WHERE task_row = (
              SELECT id FROM tasks WHERE storage_key = ? AND pipeline = ? AND task_id = ?)
            """, key.values)
        }
      }
    }
  }

  private static let usedSets =
    "SELECT code_set FROM fingerprints UNION SELECT inputs_set FROM fingerprints UNION SELECT data_set FROM fingerprints"
}
