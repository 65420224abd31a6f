import PurserModel
import PurserStore
import Testing

@testable import PurserSQLite

/// Leaves values as they are.
private struct PlainCodec: ValueCodec {
  func seal(
    _ write: ((UnsafeRawBufferPointer) throws(StoreError) -> Void) throws(StoreError) -> Void
  ) throws(StoreError) -> SealedValue {
    var content: [UInt8] = []
    try write { content += $0 }
    return SealedValue(content: content, size: UInt64(content.count), digest: digest("\(content.count)"))
  }

  func open(
    _ value: SealedValue, named name: String, _ read: (UnsafeRawBufferPointer) throws(StoreError) -> Void
  ) throws(StoreError) {
    // By pieces that end anywhere.
    for start in stride(from: 0, to: value.content.count, by: 7) {
      let piece = Array(value.content[start..<min(start + 7, value.content.count)])
      let outcome = piece.withUnsafeBytes { bytes in Result { () throws(StoreError) in try read(bytes) } }
      try outcome.get()
    }
  }
}

@Suite("A snapshot of a branch")
struct BranchSnapshotTests {
  private static let ids = (0..<10).map { "000000000000000\($0)" }

  private func request(_ number: Int, on key: String = "main") -> SnapshotRequest {
    SnapshotRequest(
      id: Self.ids[number], storageKey: key, kind: "manual", note: "", by: "me", now: Time.day(9))
  }

  private func take(_ number: Int, of key: String = "main", _ store: SQLiteRecordStore) throws -> SnapshotEntry {
    try #require(try store.takeSnapshot(request(number, on: key), PlainCodec()))
  }

  private func restore(_ entry: SnapshotEntry, _ number: Int, _ store: SQLiteRecordStore) throws -> RestoreOutcome {
    let value = try #require(try store.snapshot(entry.number))
    return try store.restore((entry, value), request(number), replacing: [], PlainCodec())
  }

  private static let tables = [
    "tasks", "task_details", "task_dependencies", "taskdata_bins", "subtask_bins", "acceptances", "invalidations",
    "earlier_invalidations", "subtask_events",
  ]

  /// All that stands under the keys, but for the numbers of rows.
  private func state() throws -> [String] {
    let database = try Database()
    var lines: [String] = []
    for table in Self.tables {
      let columns = try database.rows("SELECT name FROM pragma_table_info('\(table)')")
        .filter { !["id", "task_row"].contains($0) }
      let row = columns.map { "quote(\($0))" }.joined(separator: " || ' ' || ")
      let from =
        ["task_details", "subtask_events"].contains(table) ? "\(table) JOIN tasks t ON t.id = task_row" : table
      let rows =
        from == table
        ? row : "t.task_id || ' ' || " + columns.map { "quote(\(table).\($0))" }.joined(separator: " || ' ' || ")
      lines += try database.rows("SELECT \(rows) FROM \(from)").sorted().map { "\(table): \($0)" }
    }
    return lines
  }

  /// Every kind of row.
  private func fill(_ store: SQLiteRecordStore) throws {
    var clean = Step("clean")
    clean.outputs = ["clean.csv": "cleaned"]
    clean.log = "log"
    try clean.run(in: store)
    var report = Step("report")
    report.upstream = ["clean"]
    try report.run(in: store)
    try Step("marked").run(in: store)
    _ = try store.invalidate([key("marked")])
    _ = try store.invalidate([key("marked")], day: 3)
    var changed = Step("report", version: "2")
    changed.upstream = ["clean"]
    _ = try changed.accepting(try store.newestResult(of: report), in: store)
    try store.setTaskData(
      TaskData(isList: true, elements: ["1", "2"]), version: "v", of: key("clean"), .result, now: Time.day(1))
    try store.setSubtasks((0..<3).map { Subtask(index: $0, key: "i\($0)") }, of: key("report"), under: nil)
    try store.append(
      [ItemProgress(event: SubtaskEvent(index: 1, status: .done, time: Time.day(1), contentKey: digest("item")))],
      of: key("report"), under: nil)
    try Step("other", on: "feature").run(in: store)
  }

  @Test("brings back every row of its key and touches no other", .temporaryFolder)
  func restoring() throws {
    let store = try openSQLite()
    try fill(store)
    let before = try state()
    let entry = try take(0, store)
    #expect(entry.name == ExecutionName.branch("main") && entry.tasks == 3 && entry.subtasks == 3)
    // Everything changes.
    try Step("clean", version: "9").run(in: store)
    try Step("new").run(in: store)
    _ = try store.takeBack([key("marked")])
    _ = try store.invalidate([key("report")])
    try store.setSubtasks([], of: key("report"), under: nil)
    let changed = try state()
    #expect(changed != before)
    guard case .restored(let restored, let replaced, let saved?) = try restore(entry, 1, store) else {
      Issue.record("not restored")
      return
    }
    #expect(restored.tasks == 3 && restored.subtasks == 3 && replaced.tasks == 4)
    #expect(try state() == before)
    #expect(try Database().rows("PRAGMA foreign_key_check", columns: 3) == [])
    #expect(try store.subtasks(of: key("report")).map(\.isDone) == [false, true, false])
    #expect(try store.artifactNodes() == ["clean", "marked", "report"])
    // And back again.
    guard case .restored = try restore(saved, 2, store) else {
      Issue.record("not restored")
      return
    }
    #expect(try state() == changed)
    let events = try Database().rows(
      "SELECT DISTINCT storage_key FROM task_events WHERE event_type = 'SNAPSHOT_RESTORED'")
    #expect(events == ["main"])
  }

  @Test("is not brought back while somebody is at a task of its key", .temporaryFolder)
  func leases() throws {
    let store = try openSQLite()
    try Step("clean").run(in: store)
    let entry = try take(0, store)
    _ = try Step("work", on: "feature").begin(in: store)
    let run = try Step("work").begin(in: store)
    let before = try state()
    guard case .held(let leases) = try restore(entry, 1, store) else {
      Issue.record("restored beside a lease")
      return
    }
    #expect(leases.map(\.token) == run.tokens)
    #expect(try state() == before)
    #expect(try store.snapshots(of: nil).map(\.id) == [Self.ids[0]])
    // Its owner is known to be dead.
    let value = try #require(try store.snapshot(entry.number))
    guard case .restored = try store.restore((entry, value), request(2), replacing: run.tokens, PlainCodec()) else {
      Issue.record("not restored")
      return
    }
    #expect(try store.record(key("work")) == nil)
  }

  @Test("of a task at work holds it as incomplete", .temporaryFolder)
  func running() throws {
    let store = try openSQLite()
    let run = try Step("work").begin(in: store)
    let entry = try take(0, store)
    try store.finish(run, with: Step("work").success)
    guard case .restored = try restore(entry, 1, store) else {
      Issue.record("not restored")
      return
    }
    let record = try #require(try store.record(key("work")))
    #expect(record.status == .incomplete && record.lastRun == nil)
  }

  @Test("shows its records without changing any", .temporaryFolder)
  func view() throws {
    let store = try openSQLite()
    try fill(store)
    let records = try store.records(storageKey: "main", pipeline: nil)
    let entry = try take(0, store)
    try Step("clean", version: "9").run(in: store)
    _ = try store.takeBack([key("marked")])
    try store.setSubtasks([], of: key("report"), under: nil)
    let now = try state()
    let value = try #require(try store.snapshot(entry.number))
    let view = try store.view(of: (entry, value), PlainCodec())
    #expect(try view.records(storageKey: "main", pipeline: nil) == records)
    #expect(try view.record(key("marked"))?.invalidation != nil)
    #expect(try view.subtasks(of: key("report")).map(\.isDone) == [false, true, false])
    #expect(try view.dependencies(of: [key("report")])[key("report")] == ["clean"])
    #expect(try view.records(storageKey: "feature", pipeline: nil) == [])
    #expect(try state() == now)
  }

  @Test("keeps what it names from being collected, and no longer", .temporaryFolder)
  func garbage() throws {
    let store = try openSQLite()
    var old = Step("clean")
    old.outputs = ["clean.csv": "old"]
    try old.run(in: store)
    try store.setSubtasks([Subtask(index: 0, key: "i")], of: key("clean"), under: nil)
    let made = NewItemResult(
      manifest: Step("a").manifest, data: "1", durationMicroseconds: 1, blobs: [])
    try store.append(
      [
        ItemProgress(
          event: SubtaskEvent(index: 0, status: .done, time: Time.day(1), contentKey: digest("item")), result: made)
      ], of: key("clean"), under: nil)
    let entry = try take(0, store)
    var new = Step("clean", version: "2")
    new.outputs = ["clean.csv": "new"]
    try new.run(in: store)
    try store.setSubtasks([], of: key("clean"), under: nil)
    func collect() throws -> GarbageReport { try store.collectGarbage(olderThan: Time.day(99)) { _ in [] } }
    #expect(try collect().results == 0)
    #expect(try store.blobs([digest("old"), digest("new")]).count == 2)
    guard case .restored(_, _, let saved?) = try restore(entry, 1, store) else {
      Issue.record("not restored")
      return
    }
    #expect(try store.record(key("clean"))?.result?.manifest == old.manifest)
    #expect(try store.components(of: [old.actionKey])[old.actionKey] == old.components)
    #expect(try store.itemResults(for: [digest("item")], of: key("clean")).count == 1)
    #expect(try store.removeSnapshots([entry.number, saved.number]) == 2)
    #expect(try collect().results == 1)
    #expect(try store.blobs([digest("old"), digest("new")]).keys.elementsEqual([digest("old")]))
  }

  @Test("whose results were lost brings its records back without them", .temporaryFolder)
  func lostResults() throws {
    let store = try openSQLite()
    try fill(store)
    let entry = try take(0, store)
    try store.forgetBlob(digest("cleaned"))
    try Database().connection.execute("PRAGMA foreign_keys = ON; DELETE FROM task_runs; DELETE FROM action_results")
    guard case .restored(let counts, _, _) = try restore(entry, 1, store) else {
      Issue.record("not restored")
      return
    }
    #expect(counts.tasks == 3)
    #expect(try store.record(key("clean"))?.result == nil)
    #expect(try Database().rows("PRAGMA foreign_key_check", columns: 3) == [])
  }

  @Test("that is damaged anywhere is refused, and changes nothing", .temporaryFolder)
  func damage() throws {
    let store = try openSQLite()
    try fill(store)
    let entry = try take(0, store)
    let value = try #require(try store.snapshot(entry.number))
    let before = try state()
    for length in stride(from: 0, to: value.content.count, by: 11) {
      var cut = value
      cut.content.removeSubrange(length...)
      #expect(throws: StoreError.self) {
        _ = try store.restore((entry, cut), request(1), replacing: [], PlainCodec())
      }
    }
    #expect(try state() == before)
    #expect(try store.snapshots(of: nil).count == 1)
  }

  @Test("of a key without records is none", .temporaryFolder)
  func nothing() throws {
    let store = try openSQLite()
    #expect(try store.takeSnapshot(request(0), PlainCodec()) == nil)
    #expect(try store.schemaStatus().version == 0, "a store was made")
  }
}

extension SQLiteRecordStore {
  fileprivate func artifactNodes() throws -> [String] {
    try artifacts(of: ExecutionName.pipeline("main", "penguins")).map(\.node)
  }

  fileprivate func takeBack(_ keys: [TaskKey]) throws -> [StandingMark] {
    try takeBack(
      InvalidationRequest(
        keys: keys, includesDownstream: false, allKeys: false,
        mark: Invalidation(at: Time.day(4), by: "me", why: "")))
  }
}
