import PurserModel
import PurserStore

/// The journal of what happened to items, and its way into the bins.
extension SQLiteRecordStore {
  /// Appends events; returns how many the journal of the task holds now.
  static func append(
    _ events: [SubtaskEvent], toJournalOf row: Int64, _ connection: Connection
  ) throws(StoreError) -> Int64 {
    var number =
      try connection.integer("SELECT max(number) FROM subtask_events WHERE task_row = ?", [.integer(row)]) ?? 0
    var statement = try connection.statement(
      """
      INSERT INTO subtask_events (task_row, number, item, status, time, output_hash, error, content_key)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      """)
    for event in events {
      number += 1
      try statement.bind([
        .integer(row), .integer(number), .integer(Int64(event.index)), .integer(event.status.code), .text(event.time),
        .text(orNull: event.outputHash), .text(orNull: event.error), .digest(orNull: event.contentKey),
      ])
      _ = try statement.step()
    }
    return number
  }

  /// The events of a task, in their order.
  static func journal(of row: Int64, _ connection: Connection) throws(StoreError) -> [SubtaskEvent] {
    var statement = try connection.statement(
      """
      SELECT item, status, time, output_hash, error, content_key FROM subtask_events WHERE task_row = ? ORDER BY number
      """)
    try statement.bind([.integer(row)])
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
    let bins = Dictionary(grouping: try journal(of: row, connection)) { SubtaskBin.number(of: $0.index) }
    if bins.isEmpty { return }
    var damaged: [Int] = []
    for (number, events) in bins {
      guard var bin = try bin(number, of: key, connection) else {
        damaged.append(number)
        continue
      }
      SubtaskBin.apply(events, to: &bin.items)
      try connection.run(
        "UPDATE subtask_bins SET data = ?, updated_at = ? WHERE id = ?",
        [.utf8(SubtaskBin.encode(bin.items)), .text(now), .integer(bin.id)])
    }
    if damaged.isEmpty {
      return try connection.run("DELETE FROM subtask_events WHERE task_row = ?", [.integer(row)])
    }
    for number in bins.keys where !damaged.contains(number) {
      let first = Int64(number * TaskData.binSize)
      try connection.run(
        "DELETE FROM subtask_events WHERE task_row = ? AND item BETWEEN ? AND ?",
        [.integer(row), .integer(first), .integer(first + Int64(TaskData.binSize) - 1)])
    }
  }

  /// One bin; `nil` where there is none, or it is damaged.
  static func bin(
    _ number: Int, of key: TaskKey, _ connection: Connection
  ) throws(StoreError) -> (id: Int64, items: [Subtask])? {
    var statement = try connection.statement(
      "SELECT id, data FROM subtask_bins WHERE storage_key = ? AND pipeline = ? AND task_id = ? AND bin_id = ?")
    try statement.bind(key.values + [.text(String(number))])
    var items: [Subtask] = []
    guard try statement.step(), statement.withText(1, { SubtaskBin.decode($0, into: &items) }) else { return nil }
    return (statement.integer(0), items)
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
