package import PurserModel
package import PurserStore

/// One call of `append`.
struct ProgressAppend: Sendable {
  var progress: [ItemProgress]
  var key: TaskKey
  var run: OpenRun?
}

extension SQLiteRecordStore {
  /// A journal that nobody folds is folded when it gets this long, so that reading stays fast: reading this many events
  /// takes about as long as reading 100 bins.
  private static let longestJournal: Int64 = 10_000

  package func subtasks(of key: TaskKey) throws(StoreError) -> [Subtask] {
    try read(else: []) { connection throws(StoreError) in try Self.items(of: key, connection) }
  }

  static func items(of key: TaskKey, _ connection: Connection) throws(StoreError) -> [Subtask] {
    // Bins hang from the record.
    guard let task = try taskRow(of: key, connection) else { return [] }
    return try items(
      of: key, count: task.subtaskCount, after: journal(of: task.id, connection), connection)
  }

  /// Some `count` items, as their bins and what happened since have them.
  private static func items(
    of key: TaskKey, count: Int, after events: [SubtaskEvent], _ connection: Connection
  ) throws(StoreError) -> [Subtask] {
    var items: [Subtask] = []
    items.reserveCapacity(max(0, min(count, 1_000_000)))
    try readBins(of: key, into: &items, connection)
    SubtaskBin.apply(events, to: &items)
    return items
  }

  package func encodedSubtasks(of key: TaskKey) throws(StoreError) -> [UInt8] {
    try read(else: Subtask.encoded([])) { connection throws(StoreError) in
      guard let task = try Self.taskRow(of: key, connection) else { return Subtask.encoded([]) }
      let events = try Self.journal(of: task.id, connection)
      if events.isEmpty, let text = try Self.encodedBins(of: key, count: task.subtaskCount, connection) { return text }
      return try Subtask.encoded(Self.items(of: key, count: task.subtaskCount, after: events, connection))
    }
  }

  private static func readBins(
    of key: TaskKey, into items: inout [Subtask], _ connection: Connection
  ) throws(StoreError) {
    try eachBin(of: key, connection) { bin in
      SubtaskBin.decode(bin, into: &items)
    }
    if !isSorted(items) { items.sort { $0.index < $1.index } }
  }

  /// One bin after the other, so that no more than one is ever held; `nil` where they are not in the order of their items.
  private static func encodedBins(
    of key: TaskKey, count: Int, _ connection: Connection
  ) throws(StoreError) -> [UInt8]? {
    var text: [UInt8] = [UInt8(ascii: "[")]
    // About as much as items take that were not begun.
    text.reserveCapacity(max(0, min(count, 1_000_000)) * 36)
    var items: [Subtask] = []
    var last = -1
    var isInOrder = true
    try eachBin(of: key, connection) { bin in
      items.removeAll(keepingCapacity: true)
      var isOurs = false
      guard SubtaskBin.decode(bin, into: &items, &isOurs) else { return false }
      if items.isEmpty { return true }
      isInOrder = isInOrder && items[0].index > last && isSorted(items)
      last = items[items.count - 1].index
      if text.count > 1 { text.append(UInt8(ascii: ",")) }
      if isOurs {
        text += bin[1..<bin.count - 1]
      } else {
        text += Subtask.encoded(items).dropFirst().dropLast()
      }
      return true
    }
    text.append(UInt8(ascii: "]"))
    return isInOrder ? text : nil
  }

  /// Gives the text of each bin, in the order of their numbers; `read` returns `false` for one that is damaged.
  private static func eachBin(
    of key: TaskKey, _ connection: Connection, _ read: (UnsafeRawBufferPointer) -> Bool
  ) throws(StoreError) {
    // Their rows first, from the index alone: what is sorted is copied.
    var rows: [Int64] = []
    var list = try connection.statement(
      """
      SELECT id FROM subtask_bins WHERE storage_key = ? AND pipeline = ? AND task_id = ?
      ORDER BY CAST(bin_id AS INTEGER)
      """)
    try list.bind(key.values)
    while try list.step() { rows.append(list.integer(0)) }
    var statement = try connection.statement("SELECT bin_id, data FROM subtask_bins WHERE id = ?")
    for row in rows {
      try statement.bind([.integer(row)])
      guard try statement.step() else { continue }
      guard statement.withText(1, read) else {
        throw StoreError(
          .corrupt,
          "bin \(statement.text(0) ?? "?") of the items of task '\(key.task)' is damaged; set the list of its items "
            + "again, which forgets how far they are")
      }
    }
  }

  private static func isSorted(_ items: [Subtask]) -> Bool {
    items.indices.dropFirst().allSatisfy { items[$0 - 1].index < items[$0].index }
  }

  package func setSubtasks(
    _ subtasks: [Subtask], of key: TaskKey, under run: OpenRun?
  ) throws(StoreError) {
    let now = now()
    try write { connection throws(StoreError) in
      if let run { try Self.requireLeases(of: run, connection) }
      let row = try Self.ensureTask(key, now: now, connection)
      try connection.run(
        "UPDATE tasks SET subtask_count = ? WHERE id = ?", [.integer(Int64(subtasks.count)), .integer(row)])
      try Self.emptyJournal(of: row, connection)
      let bins = Dictionary(grouping: subtasks.sorted { $0.index < $1.index }) { SubtaskBin.number(of: $0.index) }
      try connection.run(
        """
        DELETE FROM subtask_bins WHERE storage_key = ? AND pipeline = ? AND task_id = ?
          AND (CAST(bin_id AS INTEGER) >= ? OR CAST(CAST(bin_id AS INTEGER) AS TEXT) <> bin_id)
        """, key.values + [.integer(Int64(bins.count))])
      for (number, items) in bins.sorted(by: { $0.key < $1.key }) {
        try connection.run(
          """
          INSERT INTO subtask_bins (storage_key, pipeline, task_id, bin_id, data, created_at, updated_at)
          VALUES (?, ?, ?, ?, ?, ?, ?)
          ON CONFLICT (storage_key, pipeline, task_id, bin_id) DO UPDATE
            SET data = excluded.data, updated_at = excluded.updated_at WHERE data <> excluded.data
          """,
          key.values + [.text(String(number)), .utf8(Subtask.encoded(items)), .text(now), .text(now)])
      }
    }
  }

  package func append(
    _ progress: [ItemProgress], of key: TaskKey, under run: OpenRun?
  ) throws(StoreError) {
    guard !progress.isEmpty else { return }
    let request = ProgressAppend(progress: progress, key: key, run: run)
    try writeShared(appends: true) { connection throws(StoreError) in try Self.append(request, connection) }
  }

  private static func append(_ request: ProgressAppend, _ connection: Connection) throws(StoreError) {
    if let run = request.run { try requireLeases(of: run, connection) }
    guard let task = try taskRow(of: request.key, connection) else {
      throw missingItem(request.progress[0].event.index, of: request.key)
    }
    for entry in request.progress where entry.event.index >= task.subtaskCount {
      // The count may be behind: kptn's client sets it apart from the bins.
      guard try hasItem(entry.event.index, of: request.key, connection) else {
        throw missingItem(entry.event.index, of: request.key)
      }
    }
    try requireKeys(of: request, connection)
    for entry in request.progress where entry.event.status == .failed {
      try voidResults(of: entry.event, request, connection)
    }
    let last = try put(request.progress.map(\.event), of: task.id, request.key, connection)
    for entry in request.progress {
      guard let result = entry.result, let contentKey = entry.event.contentKey else { continue }
      try insert(result, contentKey, of: request.key, by: request.run, now: entry.event.time, connection)
    }
    if request.run == nil, request.progress.contains(where: { $0.event.status != .done }) {
      // Somebody says that an item is not done after all: then the task is not either.
      try connection.run(
        "UPDATE tasks SET status = 'INCOMPLETE' WHERE id = ? AND status = 'SUCCESS'", [.integer(task.id)])
    }
    if last >= longestJournal, let now = request.progress.last?.event.time {
      try fold(task.id, request.key, now: now, connection)
    }
  }

  /// Who names items by key means just those, wherever they stand by now.
  private static func requireKeys(of request: ProgressAppend, _ connection: Connection) throws(StoreError) {
    let named = request.progress.map(\.event).filter { $0.key != nil }
    for (number, events) in Dictionary(grouping: named, by: { SubtaskBin.number(of: $0.index) }) {
      let items = try bin(number, of: request.key, connection)?.items ?? []
      for event in events {
        guard let position = SubtaskBin.position(of: event.index, in: items), let key = event.key,
          items[position].key.utf8.elementsEqual(key.utf8)
        else { throw missingItem(event.index, of: request.key) }
      }
    }
  }

  /// What an item that failed had made before is not to be put back: on this storage key; where somebody says so by hand,
  /// on any.
  private static func voidResults(
    of event: SubtaskEvent, _ request: ProgressAppend, _ connection: Connection
  ) throws(StoreError) {
    guard let contentKey = event.contentKey else { return }
    let key = request.key
    try connection.run(
      """
      UPDATE item_results SET invalidated_at = ? WHERE content_key = ? AND invalidated_at IS NULL
        AND pipeline = ? AND task_id = ? AND (? OR storage_key = ?)
      """,
      [
        .text(event.time), .digest(contentKey), .text(key.pipeline), .text(key.task),
        .integer(request.run == nil ? 1 : 0), .text(key.storageKey),
      ])
  }

  private static func missingItem(_ index: Int, of key: TaskKey) -> StoreError {
    StoreError(
      .busy,
      "task '\(key.task)' has no item at place \(index): its list was changed by another process; look at the list "
        + "again")
  }

  private static func hasItem(_ index: Int, of key: TaskKey, _ connection: Connection) throws(StoreError) -> Bool {
    guard let items = try bin(SubtaskBin.number(of: index), of: key, connection)?.items else { return false }
    return SubtaskBin.position(of: index, in: items) != nil
  }

  package func foldProgress(of key: TaskKey) throws(StoreError) {
    let isEmpty = try read(else: true) { connection throws(StoreError) in
      guard let row = try Self.taskRow(of: key, connection)?.id else { return true }
      return try !Self.hasJournal(row, connection)
    }
    if isEmpty { return }
    let now = now()
    // Nothing is lost with a power cut: what the journal held is in the bins, or still in the journal.
    try write(durable: false) { connection throws(StoreError) in
      guard let row = try Self.taskRow(of: key, connection)?.id else { return }
      try Self.fold(row, key, now: now, connection)
    }
  }

  // MARK: Rows

  static func taskRow(
    of key: TaskKey, _ connection: Connection
  ) throws(StoreError) -> (id: Int64, subtaskCount: Int, hasData: Bool)? {
    var statement = try connection.statement(
      """
      SELECT id, subtask_count, output_data_version IS NOT NULL OR taskdata_count > 0 FROM tasks
      WHERE storage_key = ? AND pipeline = ? AND task_id = ?
      """)
    try statement.bind(key.values)
    guard try statement.step() else { return nil }
    return (statement.integer(0), Int(statement.integer(1)), statement.integer(2) == 1)
  }

  /// The row of a task, made where there is none.
  static func ensureTask(_ key: TaskKey, now: String, _ connection: Connection) throws(StoreError) -> Int64 {
    try connection.run(
      """
      INSERT INTO tasks (storage_key, pipeline, task_id, created_at, updated_at) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (storage_key, pipeline, task_id) DO UPDATE SET updated_at = excluded.updated_at
      """, key.values + [.text(now), .text(now)])
    guard let row = try taskRow(of: key, connection)?.id else {
      throw StoreError(.corrupt, "the record of task '\(key.task)' could not be made")
    }
    return row
  }
}
