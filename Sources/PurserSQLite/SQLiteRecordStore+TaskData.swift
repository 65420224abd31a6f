package import PurserModel
package import PurserStore

extension SQLiteRecordStore {
  package func taskData(of key: TaskKey, _ kind: TaskDataKind) throws(StoreError) -> TaskData? {
    try read(else: nil) { connection throws(StoreError) in
      var statement = try connection.statement(
        """
        SELECT bin_id, data FROM taskdata_bins
        WHERE storage_key = ? AND pipeline = ? AND task_id = ? AND bin_type = ? ORDER BY CAST(bin_id AS INTEGER)
        """)
      try statement.bind(key.values + [.text(kind.rawValue)])
      var bins: [TaskData] = []
      while try statement.step() {
        let outcome = statement.withText(1) { text in Result { () throws(JSONError) in try TaskData(parsing: text) } }
        switch outcome {
        case .success(let bin): bins.append(bin)
        case .failure(let error):
          throw StoreError(
            .corrupt,
            "bin \(statement.text(0) ?? "?") of the data of task '\(key.task)' is damaged (\(error)); run the task "
              + "again, or set its data")
        }
      }
      if bins.count <= 1 { return bins.first }
      return TaskData(isList: true, elements: bins.flatMap(\.elements))
    }
  }

  package func setTaskData(
    _ data: TaskData?, version: String?, of key: TaskKey, _ kind: TaskDataKind, now: String
  ) throws(StoreError) {
    try write { connection throws(StoreError) in
      _ = try Self.ensureTask(key, now: now, connection)
      try Self.write(data, version: version, of: key, kind, now: now, connection)
    }
  }

  /// Replaces the bins and what `tasks` says of them.
  static func write(
    _ data: TaskData?, version: String?, of key: TaskKey, _ kind: TaskDataKind, now: String, _ connection: Connection
  ) throws(StoreError) {
    let count = SQLValue.integer(Int64(data?.elements.count ?? 0))
    switch kind {
    case .result:
      try connection.run(
        """
        UPDATE tasks SET taskdata_count = ?, output_data_version = ?
        WHERE storage_key = ? AND pipeline = ? AND task_id = ?
        """, [count, .text(orNull: data == nil ? nil : version)] + key.values)
    case .subset:
      try connection.run(
        "UPDATE tasks SET subset_count = ? WHERE storage_key = ? AND pipeline = ? AND task_id = ?",
        [count] + key.values)
    }
    let bins = data?.bins ?? []
    try connection.run(
      """
      DELETE FROM taskdata_bins WHERE storage_key = ? AND pipeline = ? AND task_id = ? AND bin_type = ?
        AND (CAST(bin_id AS INTEGER) >= ? OR CAST(CAST(bin_id AS INTEGER) AS TEXT) <> bin_id)
      """, key.values + [.text(kind.rawValue), .integer(Int64(bins.count))])
    for (number, bin) in bins.enumerated() {
      try connection.run(
        """
        INSERT INTO taskdata_bins (storage_key, pipeline, task_id, bin_type, bin_id, data, created_at, updated_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (storage_key, pipeline, task_id, bin_type, bin_id) DO UPDATE
          SET data = excluded.data, updated_at = excluded.updated_at WHERE data <> excluded.data
        """,
        key.values + [.text(kind.rawValue), .text(String(number)), .text(bin.text), .text(now), .text(now)])
    }
  }
}

extension TaskData {
  /// In parts of at most 500 elements. An empty list has one part, so that it is told from no data.
  fileprivate var bins: [TaskData] {
    guard isList, elements.count > Self.binSize else { return [self] }
    return stride(from: 0, to: elements.count, by: Self.binSize).map {
      TaskData(isList: true, elements: Array(elements[$0..<min($0 + Self.binSize, elements.count)]))
    }
  }
}
