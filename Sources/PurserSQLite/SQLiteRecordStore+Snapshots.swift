package import PurserModel
package import PurserStore

extension SQLiteRecordStore: BranchSnapshotStore {
  package func takeSnapshot(
    _ request: SnapshotRequest, _ codec: any ValueCodec
  ) throws(StoreError) -> SnapshotEntry? {
    guard try hasRecords(BranchScope(storageKey: request.storageKey)) else { return nil }
    let image = try read(else: nil) { connection throws(StoreError) -> BranchImage? in
      try BranchImage(of: request.storageKey, codec, connection)
    }
    guard let image else { return nil }
    return try write(durable: request.isDurable) { connection throws(StoreError) in
      try Self.insert(request.snapshot(of: image), connection)
    }
  }

  package func restore(
    _ snapshot: (entry: SnapshotEntry, value: SealedValue), _ request: SnapshotRequest, replacing deadLeases: [Int64],
    _ codec: any ValueCodec
  ) throws(StoreError) -> RestoreOutcome {
    let scope = BranchScope(storageKey: request.storageKey)
    return try write { connection throws(StoreError) in
      let holders = try Self.leases(in: scope, but: deadLeases, connection)
      guard holders.isEmpty else { return .held(holders) }
      let replaced = try Self.counts(scope, connection)
      var before: SnapshotEntry?
      if replaced.tasks > 0 {
        let image = try BranchImage(of: request.storageKey, codec, connection)
        before = try Self.insert(request.snapshot(of: image), connection)
      }
      try Self.removeMarks(scope, connection)
      try Self.removeRecords(scope, connection)
      var loader = BranchLoader(to: .records, connection)
      try loader.load(snapshot, codec)
      try Self.logEach(
        "SNAPSHOT_RESTORED", scope, from: snapshot.entry.id, now: request.now, by: request.by, connection)
      return .restored(try Self.counts(scope, connection), replaced: replaced, before: before)
    }
  }

  package func view(
    of snapshot: (entry: SnapshotEntry, value: SealedValue), _ codec: any ValueCodec
  ) throws(StoreError) -> any RecordStore {
    let view = SQLiteRecordStore(place, now: now)
    try view.locked { database throws(StoreError) in
      guard place != .memory, let connection = try database.reading() else {
        throw StoreError(.unavailable, "a snapshot in memory cannot be looked at; restore it")
      }
      var loader = BranchLoader(to: .view, connection)
      try loader.load(snapshot, codec)
    }
    return view
  }

  /// What snapshots name, for whoever collects what nothing names: in tables of this connection alone.
  static func listHeldBySnapshots(_ connection: Connection) throws(StoreError) {
    try connection.execute(
      """
      CREATE TEMP TABLE IF NOT EXISTS held_results (id INTEGER PRIMARY KEY);
      CREATE TEMP TABLE IF NOT EXISTS held_keys (key BLOB PRIMARY KEY) WITHOUT ROWID;
      DELETE FROM temp.held_results; DELETE FROM temp.held_keys
      """)
    var numbers: [Int64] = []
    do {
      var statement = try connection.statement("SELECT id FROM snapshots")
      while try statement.step() { numbers.append(statement.integer(0)) }
    }
    for number in numbers {
      var results: [Int64] = []
      var keys: [UInt8] = []
      do {
        var statement = try connection.statement("SELECT held_results, held_keys FROM snapshots WHERE id = ?")
        try statement.bind([.integer(number)])
        guard try statement.step() else { continue }
        results = Varint.decode(statement.bytes(0) ?? [])
        keys = statement.bytes(1) ?? []
      }
      for result in results {
        try connection.run("INSERT OR IGNORE INTO temp.held_results (id) VALUES (?)", [.integer(result)])
      }
      for start in stride(from: 0, to: keys.count - 7, by: 8) {
        try connection.run(
          "INSERT OR IGNORE INTO temp.held_keys (key) VALUES (?)", [.blob(Array(keys[start..<start + 8]))])
      }
    }
  }
}

extension SnapshotRequest {
  fileprivate func snapshot(of image: BranchImage) -> NewSnapshot {
    var snapshot = NewSnapshot(
      id: id, name: ExecutionName.branch(storageKey), kind: kind, note: note, by: by, now: now, value: image.value)
    snapshot.pruned = pruned
    snapshot.counts = image.counts
    snapshot.held = image.held
    return snapshot
  }
}

/// All that stands under a storage key, serialised.
struct BranchImage: Sendable {
  let value: SealedValue
  let counts: BranchCounts
  let held: HeldBySnapshot

  /// The tables whose rows it holds, in the order in which they can be filled.
  static let tables = BranchTable.all.map(\.name) + ["subtask_events", "artifacts"]

  /// Reads a branch in the transaction that the connection is in.
  init(of key: String, _ codec: any ValueCodec, _ connection: Connection) throws(StoreError) {
    let scope = BranchScope(storageKey: key)
    let counts = try SQLiteRecordStore.counts(scope, connection)
    self.counts = counts
    var keys: Set<UInt64> = []
    value = try codec.seal { write throws(StoreError) in
      var writer = ImageWriter()
      try writer.begin(write)
      for table in Self.tables {
        let columns = try BranchTable(name: table).columns(connection)
        try writer.begin(table: table, columns: columns, write)
        let bins = table == "subtask_bins" ? columns.firstIndex(of: "data") : nil
        let names = table == "artifacts" ? counts.pipelines.map { ExecutionName.pipeline(key, $0) } : [key]
        var statement = try connection.statement(Self.query(table, columns))
        for name in names {
          try statement.bind([.text(name)])
          while try statement.step() {
            try writer.add(statement, columns: columns.count, write)
            guard let bins else { continue }
            var items: [Subtask] = []
            _ = statement.withText(Int32(bins)) { SubtaskBin.decode($0, into: &items) }
            for item in items { if let key = item.contentKey { keys.insert(Self.prefix(key)) } }
          }
        }
      }
      try writer.end(write)
    }
    held = try Self.held(key, keys, connection)
  }

  private static func query(_ table: String, _ columns: [String]) -> String {
    let list = columns.map { "d.\($0)" }.joined(separator: ", ")
    if columns.contains("dag_id") { return "SELECT \(list) FROM \(table) d WHERE d.dag_id = ?" }
    let order = columns.contains("id") ? " ORDER BY d.id" : ""
    guard columns.contains("task_row") else {
      return "SELECT \(list) FROM \(table) d WHERE d.storage_key = ?\(order)"
    }
    return "SELECT \(list) FROM \(table) d JOIN tasks t ON t.id = d.task_row WHERE t.storage_key = ?\(order)"
  }

  private static func held(
    _ key: String, _ items: Set<UInt64>, _ connection: Connection
  ) throws(StoreError) -> HeldBySnapshot {
    var held = HeldBySnapshot()
    var keys = items
    let details = "FROM task_details d JOIN tasks t ON t.id = d.task_row WHERE t.storage_key = ?1"
    do {
      var statement = try connection.statement(
        "SELECT d.result_id \(details) AND d.result_id IS NOT NULL UNION "
          + "SELECT result_id FROM acceptances WHERE storage_key = ?1 ORDER BY 1")
      try statement.bind([.text(key)])
      while try statement.step() { held.results.append(statement.integer(0)) }
    }
    var statement = try connection.statement(
      "SELECT d.action_key \(details) UNION SELECT action_key FROM acceptances WHERE storage_key = ?1 UNION "
        + "SELECT e.content_key FROM subtask_events e JOIN tasks t ON t.id = e.task_row WHERE t.storage_key = ?1")
    try statement.bind([.text(key)])
    while try statement.step() { if let key = statement.digest(0) { keys.insert(prefix(key)) } }
    held.keys = keys.sorted()
    return held
  }

  private static func prefix(_ digest: Digest) -> UInt64 {
    digest.withBytes { UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)) }
  }
}

/// Puts the rows of an image where they are wanted.
struct BranchLoader {
  enum Target {
    /// The records themselves, under the key that they had.
    case records
    /// Tables of this connection alone, which take the records' place for what it is asked.
    case view
  }

  private let target: Target
  private let connection: Connection
  private var table = ""
  private var columns: [String] = []
  private var insert = ""
  /// The numbers that tasks have now, by those that they had.
  private var rows: [Int64: Int64] = [:]
  private var running: Set<Int64> = []

  init(to target: Target, _ connection: Connection) {
    self.target = target
    self.connection = connection
  }

  mutating func load(
    _ snapshot: (entry: SnapshotEntry, value: SealedValue), _ codec: any ValueCodec
  ) throws(StoreError) {
    let name = "snapshot \(snapshot.entry.id)"
    if target == .view {
      for table in BranchImage.tables {
        try connection.execute("CREATE TEMP TABLE \(table) AS SELECT * FROM main.\(table) WHERE 0")
        let columns = try BranchTable(name: table).columns(connection)
        let key = ["storage_key", "task_row", "dag_id"].first(where: columns.contains) ?? "id"
        let more = key == "storage_key" ? ", pipeline, task_id" : ""
        try connection.execute("CREATE INDEX temp.of_\(table) ON \(table)(\(key)\(more))")
      }
    }
    var reader = ImageReader(named: name)
    let damage = reader.damage
    try codec.open(snapshot.value, named: name) { piece throws(StoreError) in
      try reader.add(piece) { record throws(StoreError) in
        switch record {
        case .table(let table, let columns): try begin(table, columns, name)
        case .row(let values):
          guard values.count == columns.count else { throw damage }
          try add(values)
        }
      }
    }
    guard reader.isComplete else { throw damage }
  }

  private mutating func begin(_ table: String, _ columns: [String], _ name: String) throws(StoreError) {
    let known = BranchImage.tables.contains(table) ? try BranchTable(name: table).columns(connection) : []
    guard columns.allSatisfy(known.contains) else {
      throw StoreError(
        .unavailable, "\(name) was taken by another version of Purser, with other tables; use that one to restore it")
    }
    (self.table, self.columns) = (table, columns)
    let written = columns.filter { target == .view || !($0 == "id" && table != "subtask_events") }
    let values = written.map { column in
      switch (target, table, column) {
      // What was collected, or forgotten, since.
      case (.records, "task_details", "result_id"): "(SELECT id FROM action_results WHERE id = ?)"
      case (.records, "task_details", "run_id"): "(SELECT id FROM task_runs WHERE id = ?)"
      default: "?"
      }
    }
    insert =
      "INSERT INTO \(target == .view ? "temp" : "main").\(table) (\(written.joined(separator: ", "))) "
      + "VALUES (\(values.joined(separator: ", ")))"
  }

  private mutating func add(_ values: [SQLValue]) throws(StoreError) {
    guard target == .records else { return try connection.run(insert, values) }
    var values = values
    func place(_ column: String) -> Int? { columns.firstIndex(of: column) }
    func number(_ column: String) -> Int64? {
      guard let place = place(column), case .integer(let number) = values[place] else { return nil }
      return number
    }
    let former = number("id")
    if table == "tasks", let former, let status = place("status"), case .utf8(let word) = values[status],
      word.elementsEqual("RUNNING".utf8)
    {
      // Its lease is not brought back, and so nobody is at work on it.
      values[status] = .text("INCOMPLETE")
      running.insert(former)
    }
    if let place = place("task_row") {
      guard let task = number("task_row"), let row = rows[task] else { return }
      values[place] = .integer(row)
      if table == "subtask_events", let id = self.columns.firstIndex(of: "id"), let former {
        values[id] = .integer(row << 32 | former & 0xffff_ffff)
      }
      if table == "task_details", running.contains(task), let run = self.columns.firstIndex(of: "run_id") {
        values[run] = .null
      }
    }
    if table == "acceptances", let result = number("result_id"),
      try connection.integer("SELECT 1 FROM action_results WHERE id = ?", [.integer(result)]) == nil
    {
      return
    }
    if table != "subtask_events", let id = place("id") { values.remove(at: id) }
    try connection.run(insert, values)
    if table == "tasks", let former { rows[former] = connection.lastInsertedRow }
  }
}
