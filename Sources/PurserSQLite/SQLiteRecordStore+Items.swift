package import PurserModel
package import PurserStore

/// What items made, by what they were made from.
extension SQLiteRecordStore {
  package func itemResults(
    for contentKeys: [Digest], of key: TaskKey
  ) throws(StoreError) -> [Digest: ItemResult] {
    try read(else: [:]) { connection throws(StoreError) in
      guard let last = try connection.integer("SELECT max(id) FROM item_results"), last > 0 else { return [:] }
      let horizon = try Self.horizon("item_horizon", of: key, connection)
      // Two searches a key, or all rows once: measured, 50,000 keys of 50,000 take 190 ms the one way, 75 the other.
      return Int64(contentKeys.count) > (last - horizon.result) / 4
        ? try Self.scanItemResults(for: contentKeys, after: horizon, connection)
        : try Self.searchItemResults(for: contentKeys, after: horizon, connection)
    }
  }

  private static let itemColumns =
    "SELECT id, manifest, data, duration_us, storage_key, pipeline, task_id, content_key FROM item_results "

  private static func searchItemResults(
    for contentKeys: [Digest], after horizon: InvalidationHorizon, _ connection: Connection
  ) throws(StoreError) -> [Digest: ItemResult] {
    var statement = try connection.statement(
      itemColumns
        + "WHERE content_key = ? AND id > ? AND begun NOT BETWEEN 1 AND ? AND invalidated_at IS NULL ORDER BY id DESC")
    var found: [Digest: ItemResult] = [:]
    for contentKey in contentKeys {
      try statement.bind([.digest(contentKey), .integer(horizon.result), .integer(horizon.run)])
      while found[contentKey] == nil, try statement.step() {
        found[contentKey] = itemResult(statement)
      }
    }
    return found
  }

  private static func scanItemResults(
    for contentKeys: [Digest], after horizon: InvalidationHorizon, _ connection: Connection
  ) throws(StoreError) -> [Digest: ItemResult] {
    let wanted = Set(contentKeys)
    var found: [Digest: ItemResult] = [:]
    found.reserveCapacity(wanted.count)
    var statement = try connection.statement(
      itemColumns + "WHERE id > ? AND begun NOT BETWEEN 1 AND ? AND invalidated_at IS NULL ORDER BY id")
    try statement.bind([.integer(horizon.result), .integer(horizon.run)])
    while try statement.step() {
      guard let contentKey = statement.digest(7), wanted.contains(contentKey) else { continue }
      if let result = itemResult(statement) { found[contentKey] = result }
    }
    return found
  }

  /// `nil` where what is stored cannot be read, which then counts as a miss.
  private static func itemResult(_ row: borrowing Statement) -> ItemResult? {
    guard let manifest = row.bytes(1).flatMap({ OutputManifest(encoded: $0) }) else { return nil }
    return ItemResult(
      id: row.integer(0), manifest: manifest, data: row.text(2), durationMicroseconds: row.integer(3),
      producer: TaskKey(storageKey: row.text(4) ?? "", pipeline: row.text(5) ?? "", task: row.text(6) ?? ""))
  }

  static func insert(
    _ result: NewItemResult, _ contentKey: Digest, of key: TaskKey, by run: OpenRun?, now: String,
    _ connection: Connection
  ) throws(StoreError) {
    for blob in result.blobs { _ = try insert(blob, now: now, connection) }
    try connection.run(
      """
      INSERT INTO item_results (content_key, manifest, data, duration_us, storage_key, pipeline, task_id, created_at,
        begun)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .digest(contentKey), .blob(result.manifest.encoded), .text(orNull: result.data),
        .integer(result.durationMicroseconds),
      ] + key.values + [.text(now), .integer(run?.id ?? 0)])
    let id = connection.lastInsertedRow
    if let run { try voidItemIfMarked(id, of: run, connection) }
    for digest in Set(result.manifest.entries.lazy.filter({ $0.kind != .directory }).map(\.digest)) {
      try connection.run(
        "INSERT OR IGNORE INTO item_blobs (item_result_id, blob_id) VALUES (?, ?)",
        [.integer(id), .integer(try requireBlob(digest, connection))])
    }
  }

  /// Forgets old results that no record's list has as its own: the newest of a key that a bin or the journal names stays.
  static func collectItemResults(
    olderThan cutoff: String, _ connection: Connection
  ) throws(StoreError) -> Int {
    var old: [Int64] = []
    do {
      // A later result of the same action takes an earlier one's place, unless it is void.
      var statement = try connection.statement(
        """
        SELECT id, content_key, invalidated_at IS NOT NULL OR EXISTS (
          SELECT 1 FROM item_results n
          WHERE n.content_key = r.content_key AND n.id > r.id AND n.invalidated_at IS NULL)
        FROM item_results r
        WHERE created_at < ? AND substr(content_key, 1, 8) NOT IN (SELECT key FROM temp.held_keys)
        """)
      try statement.bind([.text(cutoff)])
      var known: Set<Digest>?
      while try statement.step() {
        guard let contentKey = statement.digest(1) else { continue }
        if statement.integer(2) == 0 {
          if known == nil { known = try contentKeys(connection) }
          if known?.contains(contentKey) == true { continue }
        }
        old.append(statement.integer(0))
      }
    }
    for id in old { try connection.run("DELETE FROM item_results WHERE id = ?", [.integer(id)]) }
    return old.count
  }

  /// What the items of every task were made from, as far as bins and journals say.
  private static func contentKeys(_ connection: Connection) throws(StoreError) -> Set<Digest> {
    var keys: Set<Digest> = []
    var bins = try connection.statement("SELECT data FROM subtask_bins")
    while try bins.step() {
      var items: [Subtask] = []
      _ = bins.withText(0) { SubtaskBin.decode($0, into: &items) }
      keys.formUnion(items.lazy.compactMap(\.contentKey))
    }
    var events = try connection.statement("SELECT content_key FROM subtask_events WHERE content_key IS NOT NULL")
    while try events.step() {
      if let contentKey = events.digest(0) { keys.insert(contentKey) }
    }
    return keys
  }
}
