package import PurserModel
package import PurserStore

/// Taking marks back: what stood before them stands again.
extension SQLiteRecordStore {
  package func takeBack(_ request: InvalidationRequest) throws(StoreError) -> [StandingMark] {
    if request.isTrial {
      return try read(else: []) { connection throws(StoreError) in
        guard request.allKeys else { return try Self.marks(of: request, connection) }
        return try Self.standing(Self.marksOnAllKeys(of: request, connection), request, connection)
      }
    }
    return try write { connection throws(StoreError) in
      var taken: [StandingMark]
      if request.allKeys {
        let marks = try Self.marksOnAllKeys(of: request, connection)
        taken = try Self.standing(marks, request, connection)
        for mark in marks { try Self.free(mark, connection) }
      } else {
        taken = try Self.marks(of: request, connection).filter { !$0.isOnAllKeys }
      }
      for mark in taken { try Self.remove(mark, connection) }
      for mark in taken {
        try Self.logMark(
          "REVALIDATED", mark.key,
          [
            ("why", .string(request.mark.why)), ("allKeys", .bool(request.allKeys)),
            (
              "mark",
              .object([
                ("at", .string(mark.mark.at)), ("by", .string(mark.mark.by)), ("why", .string(mark.mark.why)),
              ])
            ),
          ], request.mark, connection)
      }
      return taken
    }
  }

  /// A mark on all keys, as it stands for a task of a pipeline.
  private struct AllKeysMark {
    var id: Int64
    /// On no storage key.
    var task: TaskKey
    var mark: Invalidation
  }

  /// The mark that stands for each task that is named; of what follows one, the mark that was made by the same call,
  /// wherever it stands: another one says something else, and is not meant.
  static func marks(
    of request: InvalidationRequest, _ connection: Connection
  ) throws(StoreError) -> [StandingMark] {
    let named = try named(by: request, true, connection)
    var marks: [StandingMark] = []
    for key in named {
      if let mark = try mark(of: key, connection) { marks.append(mark) }
    }
    if request.includesDownstream {
      let isNamed = Set(named)
      for (time, causes) in Dictionary(grouping: marks, by: \.mark.at) {
        for key in try followers(of: causes.map(\.key), connection) where !isNamed.contains(key) {
          if let mark = try mark(of: key, madeAt: time, connection) { marks.append(mark) }
        }
      }
    }
    return marks.sorted { $0.key < $1.key }
  }

  /// A task's mark: that which stands, or that of a time.
  static func mark(
    of key: TaskKey, madeAt time: String? = nil, _ connection: Connection
  ) throws(StoreError) -> StandingMark? {
    let columns = "SELECT invalidated_at, invalidated_by, why, on_all_keys FROM"
    let condition = "WHERE storage_key = ?1 AND pipeline = ?2 AND task_id = ?3"
    var statement = try connection.statement(
      time == nil
        ? "\(columns) invalidations \(condition)"
        : """
        \(columns) invalidations \(condition) AND invalidated_at = ?4
        UNION ALL \(columns) earlier_invalidations \(condition) AND invalidated_at = ?4
        """)
    try statement.bind(key.values + (time.map { [.text($0)] } ?? []))
    guard try statement.step() else { return nil }
    return StandingMark(
      key: key,
      mark: Invalidation(at: statement.text(0) ?? "", by: statement.text(1) ?? "", why: statement.text(2) ?? ""),
      isOnAllKeys: statement.integer(3) != 0)
  }

  /// As ``marks(of:_:)``: the last mark on all keys of each task that is named, and what the same calls made of what
  /// follows.
  private static func marksOnAllKeys(
    of request: InvalidationRequest, _ connection: Connection
  ) throws(StoreError) -> [AllKeysMark] {
    let named = Dictionary(grouping: try named(by: request, true, connection), by: \.onNoStorageKey)
    var marks: [AllKeysMark] = []
    for task in named.keys.sorted() {
      if let mark = try markOnAllKeys(of: task, madeAt: nil, connection) { marks.append(mark) }
    }
    guard request.includesDownstream else { return marks }
    for (time, causes) in Dictionary(grouping: marks, by: \.mark.at) {
      let keys = causes.flatMap { named[$0.task] ?? [] }
      for task in Set(try followers(of: keys, connection).map(\.onNoStorageKey)).subtracting(named.keys).sorted() {
        if let mark = try markOnAllKeys(of: task, madeAt: time, connection) { marks.append(mark) }
      }
    }
    return marks
  }

  /// A task's last mark on all keys, or that of a time, whatever storage keys it was hit on.
  private static func markOnAllKeys(
    of key: TaskKey, madeAt time: String?, _ connection: Connection
  ) throws(StoreError) -> AllKeysMark? {
    var statement = try connection.statement(
      """
      SELECT id, invalidated_at, invalidated_by, why FROM all_keys_marks
      WHERE pipeline = ?1 AND task_id = ?2 AND (?3 IS NULL OR invalidated_at = ?3) ORDER BY id DESC LIMIT 1
      """)
    try statement.bind([.text(key.pipeline), .text(key.task), .text(orNull: time)])
    guard try statement.step() else { return nil }
    return AllKeysMark(
      id: statement.integer(0), task: key.onNoStorageKey,
      mark: Invalidation(at: statement.text(1) ?? "", by: statement.text(2) ?? "", why: statement.text(3) ?? ""))
  }

  /// Where marks on all keys stand, or are covered by later ones. O(marks of the store) for each time at which they were
  /// made.
  private static func standing(
    _ marks: [AllKeysMark], _ request: InvalidationRequest, _ connection: Connection
  ) throws(StoreError) -> [StandingMark] {
    var found: [StandingMark] = []
    var isFound: Set<Int64> = []
    for (time, marks) in Dictionary(grouping: marks, by: \.mark.at) {
      let byTask = Dictionary(marks.map { ($0.task, $0) }) { first, _ in first }
      var statement = try connection.statement(
        """
        SELECT storage_key, pipeline, task_id FROM invalidations WHERE on_all_keys AND invalidated_at = ?1
        UNION
        SELECT storage_key, pipeline, task_id FROM earlier_invalidations WHERE on_all_keys AND invalidated_at = ?1
        """)
      try statement.bind([.text(time)])
      for key in try taskKeys(&statement) {
        guard let mark = byTask[key.onNoStorageKey] else { continue }
        isFound.insert(mark.id)
        found.append(StandingMark(key: key, mark: mark.mark, isOnAllKeys: true))
      }
    }
    // Where the keys that it was made on are gone, it stands for their results, and for keys to come.
    let left = marks.filter { !isFound.contains($0.id) }
    if !left.isEmpty {
      let keys = Dictionary(
        grouping: try hits(of: request, isTakingBack: true, connection), by: \.onNoStorageKey)
      for mark in left {
        found += (keys[mark.task] ?? []).map { StandingMark(key: $0, mark: mark.mark, isOnAllKeys: true) }
      }
    }
    return found.sorted { $0.key < $1.key }
  }

  /// Removes a mark on all keys, and frees the results that no other one voids.
  private static func free(_ mark: AllKeysMark, _ connection: Connection) throws(StoreError) {
    for (table, links, column) in voidTables {
      var freed: [Int64] = []
      do {
        var statement = try connection.statement("SELECT \(column) FROM \(links) WHERE mark_id = ?")
        try statement.bind([.integer(mark.id)])
        while try statement.step() { freed.append(statement.integer(0)) }
      }
      try connection.run("DELETE FROM \(links) WHERE mark_id = ?", [.integer(mark.id)])
      try setInvalidated(table, links, column, freed, connection)
    }
    try connection.run("DELETE FROM all_keys_marks WHERE id = ?", [.integer(mark.id)])
  }

  /// Removes a mark, from wherever it stands.
  private static func remove(_ mark: StandingMark, _ connection: Connection) throws(StoreError) {
    if try self.mark(of: mark.key, connection) == mark { return try reveal(mark.key, connection) }
    try connection.run(
      """
      DELETE FROM earlier_invalidations
      WHERE storage_key = ? AND pipeline = ? AND task_id = ? AND invalidated_at = ? AND on_all_keys = ?
      """, mark.key.values + [.text(mark.mark.at), .integer(mark.isOnAllKeys ? 1 : 0)])
  }

  /// Removes the mark that stands for a task; the one before it stands again.
  private static func reveal(_ key: TaskKey, _ connection: Connection) throws(StoreError) {
    try connection.run(
      "DELETE FROM invalidations WHERE storage_key = ? AND pipeline = ? AND task_id = ?", key.values)
    let earlier = try connection.integer(
      "SELECT max(id) FROM earlier_invalidations WHERE storage_key = ? AND pipeline = ? AND task_id = ?", key.values)
    guard let earlier else { return }
    try connection.run(
      "INSERT INTO invalidations (\(markColumns)) SELECT \(markColumns) FROM earlier_invalidations WHERE id = ?",
      [.integer(earlier)])
    try connection.run("DELETE FROM earlier_invalidations WHERE id = ?", [.integer(earlier)])
  }
}
