package import PurserModel
package import PurserStore

extension SQLiteRecordStore: ExecutionStore {
  package func save(
    _ changes: [ExecutionChange], now: String, durable: Bool
  ) throws(StoreError) {
    guard !changes.isEmpty else { return }
    try write(durable: durable) { connection throws(StoreError) in
      for change in changes {
        switch change {
        case .allArtifacts(let name, let artifacts):
          try connection.run("DELETE FROM artifacts WHERE dag_id = ?", [.text(name)])
          for artifact in artifacts { try Self.insert(artifact, of: name, now: now, connection) }
        case .artifacts(let name, let artifacts):
          for artifact in artifacts { try Self.insert(artifact, of: name, now: now, connection) }
        case .tree(let name, let value):
          try Self.put(value, "execution_trees", "tree_data", [("dag_id", .text(name))], now: now, connection)
        case .state(let name, let phase, let value):
          try Self.put(
            value, "execution_state", "state_data", [("dag_id", .text(name)), ("state_type", .text(phase.rawValue))],
            now: now, connection)
        }
      }
    }
  }

  /// Adds an artifact, or brings it up to date; the same value is left alone.
  static func insert(
    _ artifact: Artifact, of name: String, now: String, _ connection: Connection
  ) throws(StoreError) {
    try connection.run(
      """
      INSERT INTO artifacts (dag_id, node_id, key, value, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
      ON CONFLICT (dag_id, node_id, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
        WHERE value <> excluded.value
      """,
      [.text(name), .text(artifact.node), .text(artifact.key), .text(artifact.value), .text(now)])
  }

  private static func put(
    _ value: SealedValue?, _ table: String, _ column: String, _ key: [(name: String, value: SQLValue)], now: String,
    _ connection: Connection
  ) throws(StoreError) {
    let names = key.map(\.name).joined(separator: ", ")
    guard let value else {
      let condition = key.map { "\($0.name) = ?" }.joined(separator: " AND ")
      return try connection.run("DELETE FROM \(table) WHERE \(condition)", key.map(\.value))
    }
    try connection.run(
      """
      INSERT INTO \(table) (\(names), created_at, updated_at, size, digest, \(column))
      VALUES (\(String(repeating: "?, ", count: key.count))?, ?, ?, ?, ?)
      ON CONFLICT (\(names)) DO UPDATE SET updated_at = excluded.updated_at, size = excluded.size,
        digest = excluded.digest, \(column) = excluded.\(column)
      """,
      key.map(\.value) + [
        .text(now), .text(now), .integer(Int64(value.size)), .digest(value.digest), .blob(value.content),
      ])
  }

  package func artifacts(of name: String) throws(StoreError) -> [Artifact] {
    try read(else: []) { connection throws(StoreError) in
      var statement = try connection.statement(
        "SELECT node_id, key, value, created_at, updated_at FROM artifacts WHERE dag_id = ? ORDER BY node_id, key")
      try statement.bind([.text(name)])
      var artifacts: [Artifact] = []
      while try statement.step() {
        var artifact = Artifact(
          node: statement.text(0) ?? "", key: statement.text(1) ?? "", value: statement.text(2) ?? "null")
        artifact.createdAt = statement.text(3)
        artifact.updatedAt = statement.text(4)
        artifacts.append(artifact)
      }
      return artifacts
    }
  }

  package func tree(of name: String) throws(StoreError) -> StoredValue? {
    try read(else: nil) { connection throws(StoreError) in
      try Self.value(
        "SELECT tree_data, size, digest, created_at, updated_at FROM execution_trees WHERE dag_id = ?", [.text(name)],
        "the execution tree of \(name)", connection)
    }
  }

  package func state(of name: String, _ phase: ExecutionPhase) throws(StoreError) -> StoredValue? {
    try read(else: nil) { connection throws(StoreError) in
      try Self.value(
        "SELECT state_data, size, digest, created_at, updated_at FROM execution_state WHERE dag_id = ? AND state_type = ?",
        [.text(name), .text(phase.rawValue)], "the \(phase.rawValue) state of \(name)", connection)
    }
  }

  private static func value(
    _ sql: String, _ values: [SQLValue], _ name: String, _ connection: Connection
  ) throws(StoreError) -> StoredValue? {
    var statement = try connection.statement(sql)
    try statement.bind(values)
    guard try statement.step() else { return nil }
    return StoredValue(
      value: try sealed(statement, named: name), createdAt: statement.text(3) ?? "", updatedAt: statement.text(4) ?? "")
  }

  /// Columns: content, size, digest.
  private static func sealed(_ row: borrowing Statement, named name: String) throws(StoreError) -> SealedValue {
    guard let content = row.bytes(0), let size = UInt64(exactly: row.integer(1)), let digest = row.digest(2) else {
      throw StoreError(.corrupt, "\(name) is damaged in the store; it is not used")
    }
    return SealedValue(content: content, size: size, digest: digest)
  }

  package func executions(
    withPrefix prefix: String
  ) throws(StoreError) -> [(name: String, hasState: Bool)] {
    try read(else: []) { connection throws(StoreError) in
      var statement = try connection.statement(
        """
        SELECT dag_id, EXISTS (SELECT 1 FROM execution_state s WHERE s.dag_id = t.dag_id) FROM execution_trees t
        WHERE dag_id >= ?1 AND substr(dag_id, 1, length(?1)) = ?1 ORDER BY created_at, rowid
        """)
      try statement.bind([.text(prefix)])
      var found: [(name: String, hasState: Bool)] = []
      while try statement.step() { found.append((statement.text(0) ?? "", statement.integer(1) == 1)) }
      return found
    }
  }

  // MARK: Snapshots

  package func save(_ snapshot: NewSnapshot) throws(StoreError) -> SnapshotEntry {
    try write { connection throws(StoreError) in try Self.insert(snapshot, connection) }
  }

  static func insert(_ snapshot: NewSnapshot, _ connection: Connection) throws(StoreError) -> SnapshotEntry {
    var keys: [UInt8] = []
    keys.reserveCapacity(snapshot.held.keys.count * 8)
    for key in snapshot.held.keys { withUnsafeBytes(of: key.bigEndian) { keys += $0 } }
    try connection.run(
      """
      INSERT INTO snapshots (snapshot_id, dag_id, kind, note, created_by, created_at, tasks, subtasks, size, digest,
        held_results, held_keys, snapshot_data)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .text(snapshot.id), .text(snapshot.name), .text(snapshot.kind), .text(snapshot.note), .text(snapshot.by),
        .text(snapshot.now), .integer(Int64(snapshot.counts.tasks)), .integer(Int64(snapshot.counts.subtasks)),
        .integer(Int64(snapshot.value.size)), .digest(snapshot.value.digest),
        .blob(Varint.encode(snapshot.held.results)), .blob(keys), .blob(snapshot.value.content),
      ])
    let number = connection.lastInsertedRow
    if let pruned = snapshot.pruned {
      let kinds = pruned.kinds.map { _ in "?" }.joined(separator: ", ")
      let condition = "dag_id = ? AND kind IN (\(kinds))"
      try connection.run(
        """
        DELETE FROM snapshots WHERE \(condition) AND id NOT IN (
          SELECT id FROM snapshots WHERE dag_id = ? AND kind IN (\(kinds)) ORDER BY id DESC LIMIT ?)
        """,
        [.text(snapshot.name)] + pruned.kinds.map { .text($0) } + [.text(snapshot.name)]
          + pruned.kinds.map { .text($0) } + [.integer(Int64(pruned.keeping))])
    }
    return SnapshotEntry(
      number: number, id: snapshot.id, name: snapshot.name, kind: snapshot.kind, note: snapshot.note,
      createdBy: snapshot.by, createdAt: snapshot.now, tasks: snapshot.counts.tasks,
      subtasks: snapshot.counts.subtasks, size: snapshot.value.size, storedSize: UInt64(snapshot.value.content.count))
  }

  package func snapshots(of name: String?) throws(StoreError) -> [SnapshotEntry] {
    try read(else: []) { connection throws(StoreError) in
      var statement = try connection.statement(
        """
        SELECT id, snapshot_id, dag_id, kind, note, created_by, created_at, tasks, subtasks, size,
          length(snapshot_data)
        FROM snapshots WHERE ?1 IS NULL OR dag_id = ?1 ORDER BY id
        """)
      try statement.bind([.text(orNull: name)])
      var entries: [SnapshotEntry] = []
      while try statement.step() {
        entries.append(
          SnapshotEntry(
            number: statement.integer(0), id: statement.text(1) ?? "", name: statement.text(2) ?? "",
            kind: statement.text(3) ?? "", note: statement.text(4) ?? "", createdBy: statement.text(5) ?? "",
            createdAt: statement.text(6) ?? "", tasks: Int(statement.integer(7)), subtasks: Int(statement.integer(8)),
            size: UInt64(clamping: statement.integer(9)), storedSize: UInt64(clamping: statement.integer(10))))
      }
      return entries
    }
  }

  package func snapshot(_ number: Int64) throws(StoreError) -> SealedValue? {
    try read(else: nil) { connection throws(StoreError) in
      var statement = try connection.statement(
        "SELECT snapshot_data, size, digest, snapshot_id FROM snapshots WHERE id = ?")
      try statement.bind([.integer(number)])
      guard try statement.step() else { return nil }
      return try Self.sealed(statement, named: "snapshot \(statement.text(3) ?? "?")")
    }
  }

  package func removeSnapshots(_ numbers: [Int64]) throws(StoreError) -> Int {
    guard !numbers.isEmpty else { return 0 }
    return try write { connection throws(StoreError) in
      var count = 0
      for number in numbers {
        try connection.run("DELETE FROM snapshots WHERE id = ?", [.integer(number)])
        count += connection.changedRows
      }
      return count
    }
  }

  // MARK: Everything

  package func executionSizes() throws(StoreError) -> ExecutionSizes {
    try read(else: ExecutionSizes()) { connection throws(StoreError) in
      var sizes = ExecutionSizes()
      do {
        var statement = try connection.statement("SELECT dag_id, count(*) FROM artifacts GROUP BY 1 ORDER BY 1")
        while try statement.step() { sizes.artifacts.append((statement.text(0) ?? "", Int(statement.integer(1)))) }
      }
      do {
        var statement = try connection.statement(
          "SELECT dag_id, length(tree_data), size, updated_at FROM execution_trees ORDER BY created_at, rowid")
        while try statement.step() {
          sizes.trees.append(
            ExecutionSizes.Value(
              name: statement.text(0) ?? "", storedBytes: UInt64(clamping: statement.integer(1)),
              bytes: UInt64(clamping: statement.integer(2)), updatedAt: statement.text(3) ?? ""))
        }
      }
      do {
        var statement = try connection.statement(
          "SELECT dag_id, count(*), sum(length(snapshot_data)) FROM snapshots GROUP BY 1 ORDER BY 1")
        while try statement.step() {
          sizes.snapshots.append(
            (statement.text(0) ?? "", Int(statement.integer(1)), UInt64(clamping: statement.integer(2))))
        }
      }
      var statement = try connection.statement(
        """
        SELECT dag_id, state_type, length(state_data), size, updated_at FROM execution_state
        ORDER BY created_at, dag_id, state_type
        """)
      while try statement.step() {
        sizes.states.append(
          ExecutionSizes.Value(
            name: statement.text(0) ?? "", phase: statement.text(1).flatMap(ExecutionPhase.init),
            storedBytes: UInt64(clamping: statement.integer(2)), bytes: UInt64(clamping: statement.integer(3)),
            updatedAt: statement.text(4) ?? ""))
      }
      return sizes
    }
  }
}
