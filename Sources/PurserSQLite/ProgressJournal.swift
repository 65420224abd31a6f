import PurserModel
import PurserStore

/// The journal of what happened to items, and its way into the bins.
extension SQLiteRecordStore {
  /// The first and the last id that an event of a task may have.
  private static func journalIDs(of row: Int64) -> [SQLValue] {
    [.integer(row << 32), .integer(row << 32 | 0xffff_ffff)]
  }

  static func hasJournal(_ row: Int64, _ connection: Connection) throws(StoreError) -> Bool {
    try connection.integer("SELECT 1 FROM subtask_events WHERE id BETWEEN ? AND ? LIMIT 1", journalIDs(of: row)) != nil
  }

  static func emptyJournal(of row: Int64, _ connection: Connection) throws(StoreError) {
    try connection.run("DELETE FROM subtask_events WHERE id BETWEEN ? AND ?", journalIDs(of: row))
  }

  /// Appends events; returns how many the journal of the task holds now.
  static func append(
    _ events: [SubtaskEvent], toJournalOf row: Int64, _ connection: Connection
  ) throws(StoreError) -> Int64 {
    var id =
      try connection.integer(
        "SELECT id FROM subtask_events WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1", journalIDs(of: row))
      ?? row << 32
    var rest = events[...]
    for (rows, insertion) in [(insertedAtOnce, insertionOfMany), (1, insertionOfOne)] where rest.count >= rows {
      var statement = try connection.statement(insertion)
      while rest.count >= rows {
        var values: [SQLValue] = []
        values.reserveCapacity(rows * 8)
        for event in rest.prefix(rows) {
          id += 1
          values += [
            .integer(id), .integer(row), .integer(Int64(event.index)), .integer(event.status.code), .text(event.time),
            .text(orNull: event.outputHash), .text(orNull: event.error), .digest(orNull: event.contentKey),
          ]
        }
        try statement.bind(values)
        _ = try statement.step()
        rest = rest.dropFirst(rows)
      }
    }
    return id - row << 32
  }

  /// For each execution, SQLite makes a table of what `status` may be, which takes as long as a row does.
  private static let insertedAtOnce = 64
  private static let insertionOfOne = insertion(of: 1)
  private static let insertionOfMany = insertion(of: insertedAtOnce)

  private static func insertion(of rows: Int) -> String {
    "INSERT INTO subtask_events (id, task_row, item, status, time, output_hash, error, content_key) VALUES "
      + Array(repeating: "(?, ?, ?, ?, ?, ?, ?, ?)", count: rows).joined(separator: ", ")
  }

  /// The events of a task, in their order.
  static func journal(of row: Int64, _ connection: Connection) throws(StoreError) -> [SubtaskEvent] {
    var statement = try connection.statement(
      """
      SELECT item, status, time, output_hash, error, content_key FROM subtask_events WHERE id BETWEEN ? AND ?
      ORDER BY id
      """)
    try statement.bind(journalIDs(of: row))
    var events: [SubtaskEvent] = []
    while try statement.step() {
      guard let status = Subtask.Status(code: statement.integer(1)) else { continue }
      events.append(
        SubtaskEvent(
          index: Int(statement.integer(0)), status: status, time: statement.text(2) ?? "",
          outputHash: statement.text(3), error: statement.text(4), contentKey: statement.digest(5)))
    }
    return events
  }

  /// Moves the journal of a task into the bins that it speaks of. Where a bin is damaged its events stay, for whoever
  /// repairs it.
  static func fold(_ row: Int64, _ key: TaskKey, now: String, _ connection: Connection) throws(StoreError) {
    let events = try journal(of: row, connection)
    if events.isEmpty { return }
    // First, so that the bins are written to the pages that this frees.
    try emptyJournal(of: row, connection)
    // kptn's client may have removed a bin, and its items with it.
    _ = try apply(byBin(events), of: row, key, now: now, losesThoseWithoutBin: true, connection)
  }

  /// Puts down events: in the journal, or at once in the bins that they speak of, where they are so many for each that
  /// to write the bin anew is less. Returns how many the journal holds now.
  static func put(
    _ events: [SubtaskEvent], of row: Int64, _ key: TaskKey, _ connection: Connection
  ) throws(StoreError) -> Int64 {
    // What the journal holds came before.
    guard let now = events.last?.time, events.count >= manyOfABin, case let bins = byBin(events),
      events.count >= bins.count * manyOfABin, try !hasJournal(row, connection)
    else { return try append(events, toJournalOf: row, connection) }
    return try apply(bins, of: row, key, now: now, losesThoseWithoutBin: false, connection)
  }

  private static let manyOfABin = TaskData.binSize / 2

  /// By the numbers of the bins, and in their order within each.
  private static func byBin(_ events: [SubtaskEvent]) -> [Int: [SubtaskEvent]] {
    Dictionary(grouping: events) { SubtaskBin.number(of: $0.index) }
  }

  /// Writes bins anew, after events. Those of a bin that is damaged go to the journal; those of one that is not there go
  /// there too, or get lost. Returns how many the journal holds then, 0 where it was not needed.
  private static func apply(
    _ bins: [Int: [SubtaskEvent]], of row: Int64, _ key: TaskKey, now: String, losesThoseWithoutBin: Bool,
    _ connection: Connection
  ) throws(StoreError) -> Int64 {
    var count: Int64 = 0
    for (number, events) in bins.sorted(by: { $0.key < $1.key }) {
      let bin = try bin(number, of: key, connection)
      if bin == nil, losesThoseWithoutBin { continue }
      guard let bin, var items = bin.items else {
        count = try append(events, toJournalOf: row, connection)
        continue
      }
      SubtaskBin.apply(events, to: &items)
      try connection.run(
        "UPDATE subtask_bins SET data = ?, updated_at = ? WHERE id = ?",
        [.utf8(Subtask.encoded(items)), .text(now), .integer(bin.id)])
    }
    return count
  }

  /// One bin; `nil` where there is none. Its items are `nil` where it is damaged.
  static func bin(
    _ number: Int, of key: TaskKey, _ connection: Connection
  ) throws(StoreError) -> (id: Int64, items: [Subtask]?)? {
    var statement = try connection.statement(
      "SELECT id, data FROM subtask_bins WHERE storage_key = ? AND pipeline = ? AND task_id = ? AND bin_id = ?")
    try statement.bind(key.values + [.text(String(number))])
    var items: [Subtask] = []
    guard try statement.step() else { return nil }
    let isWhole = statement.withText(1) { SubtaskBin.decode($0, into: &items) }
    return (statement.integer(0), isWhole ? items : nil)
  }
}

extension Subtask.Status {
  /// What the journal holds; part of the format.
  fileprivate var code: Int64 {
    switch self {
    case .running: 1
    case .done: 2
    case .failed: 3
    }
  }

  fileprivate init?(code: Int64) {
    switch code {
    case 1: self = .running
    case 2: self = .done
    case 3: self = .failed
    default: return nil
    }
  }
}
