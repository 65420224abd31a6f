import PurserModel
import PurserStore
import Testing

@testable import PurserSQLite

@Suite("Opening a record store")
struct OpeningTests {
  @Test("a new store is closed to others and marked as a cache", .temporaryFolder)
  func folder() throws {
    try Step("a").run(in: try openSQLite())
    let folder = TemporaryFolder.current
    #expect(folder.mode("store") == 0o700)
    #expect(folder.mode("store/records.db") == 0o600 && folder.mode("store/write.lock") == 0o600)
    #expect(try folder.bytes("store/.gitignore") == Array("*\n".utf8))
    let tag = try #require(try folder.bytes("store/CACHEDIR.TAG"))
    #expect(tag.starts(with: "Signature: 8a477f597d28d172789f06886806bc55".utf8))
  }

  /// Pragma, value for a writing connection, value for a reading one (`nil`: of no consequence there).
  @Test(
    "connections have the settings of the design", .temporaryFolder,
    arguments: [
      ("journal_mode", "wal", nil), ("synchronous", "2", nil), ("foreign_keys", "1", nil),
      ("busy_timeout", "30000", "30000"), ("trusted_schema", "0", "0"), ("cell_size_check", "1", "1"),
      ("temp_store", "2", "2"), ("mmap_size", "0", "0"), ("journal_size_limit", "67108864", nil),
      ("wal_autocheckpoint", "1000", nil), ("application_id", "1347768915", "1347768915"),
      ("user_version", "\(Migration.current)", "\(Migration.current)"),
    ] as [(String, String, String?)])
  func settings(pragma: String, writing: String, reading: String?) throws {
    let store = try openSQLite(isDurable: true)
    #expect(try store.write { connection throws(StoreError) in try connection.text("PRAGMA \(pragma)") } == writing)
    guard let reading else { return }
    let reader = try openSQLite()
    #expect(
      try reader.read(else: nil) { connection throws(StoreError) in try connection.text("PRAGMA \(pragma)") }
        == reading)
  }

  @Test(
    "only a durable store syncs every commit", .temporaryFolder,
    arguments: [(true, true, "2"), (true, false, "1"), (false, true, "1"), (false, false, "1")])
  func durability(isStoreDurable: Bool, isWriteDurable: Bool, expected: String) throws {
    let store = try openSQLite(isDurable: isStoreDurable)
    let value = try store.write(durable: isWriteDurable) { connection throws(StoreError) in
      try connection.text("PRAGMA synchronous")
    }
    #expect(value == expected)
  }

  @Test(
    "what was committed without being synced is synced later, where the disk does it", .temporaryFolder,
    arguments: [true, false])
  func laterSync(isDurable: Bool) throws {
    let store = try openSQLite(isDurable: isDurable)
    try store.write(durable: false) { connection throws(StoreError) in try connection.execute("CREATE TABLE told (id)")
    }
    #expect(code { try store.sync(isLast: false) } == nil)
    // From here on the disk refuses.
    try store.locked { database throws(StoreError) in
      if database.log != nil { database.log = try WriteAheadLog(at: "/dev/null") }
    }
    #expect(code { try store.sync(isLast: false) } == (isDurable ? .io : nil))
    #expect(code { try store.sync(isLast: true) } == (isDurable ? .io : nil))
    #expect(try Database().count("told") == 0)
  }

  @Test("after a sync that failed none is believed", .temporaryFolder)
  func doubtful() throws {
    try TemporaryFolder.current.write("log", [])
    let log = try WriteAheadLog(at: TemporaryFolder.current("log").escaped)
    #expect(code { try log.sync() } == nil)
    log.distrust()
    #expect(code { try log.sync() } == .io)
    let bad = try WriteAheadLog(at: "/dev/null")
    for _ in 0..<2 { #expect(code { try bad.sync() } == .io) }
  }

  @Test("a reading connection cannot write", .temporaryFolder)
  func readOnly() throws {
    try Step("a").run(in: try openSQLite())
    let reader = try openSQLite()
    #expect(
      code {
        try reader.read(else: ()) { connection throws(StoreError) in try connection.execute("DELETE FROM tasks") }
      } == .unavailable)
  }

  @Test("a long write-ahead log is moved into the database before a writer leaves", .temporaryFolder)
  func walIsTruncated() throws {
    let store = try openSQLite()
    var step = Step("a")
    for number in 0..<20 { step.outputs[ByteString("\(number)")] = String(repeating: "\(number)", count: 8000) }
    try step.run(in: store)
    #expect(try TemporaryFolder.current.bytes("store/records.db-wal")?.count ?? 0 <= 64 * 1024)
    #expect(try TemporaryFolder.current.bytes("store/records.db")?.count ?? 0 > 100_000)
  }

  @Test("a connection that closes last leaves the log to the next writer", .temporaryFolder)
  func noCheckpointOnClose() throws {
    do {
      let store = try openSQLite()
      try Step("a").run(in: store)
      let run = try Step("b").begin(in: store)
      try store.renew(run, until: Time.day(9))
    }
    do { #expect(try openSQLite().record(key("a")) != nil) }
    let wal = try TemporaryFolder.current.bytes("store/records.db-wal")
    #expect((wal?.count ?? 0) > 0)
    #expect(try openSQLite().record(key("a")) != nil)
  }

  /// Calls everything that opens the file, and expects each to refuse it.
  private func expectRefused(_ expected: StoreError.Code, _ message: String? = nil) throws {
    let step = Step("a")
    let attempts: [(SQLiteRecordStore) throws -> Void] = [
      { _ = try $0.record(step.key) }, { _ = try $0.begin(step.newRun, replacing: []) }, { _ = try $0.schemaStatus() },
      { _ = try $0.migrate(now: Time.day(1)) }, { _ = try $0.rollback(1) }, { try $0.forgetBlob(digest("a")) },
    ]
    for attempt in attempts {
      let store = try openSQLite()
      #expect(code { try attempt(store) } == expected)
      // And again on the same one.
      #expect(code { try attempt(store) } == expected)
    }
    guard let message else { return }
    let store = try openSQLite()
    let error = #expect(throws: StoreError.self) { try store.record(step.key) }
    #expect(error?.message == message)
  }

  private var path: ByteString { TemporaryFolder.current("store/records.db") }

  @Test("a newer store is refused and not written to", .temporaryFolder)
  func newer() throws {
    try Step("a").run(in: try openSQLite())
    let database = try Database()
    try database.connection.execute(
      "PRAGMA user_version = \(Migration.current + 1); CREATE TABLE from_the_future (a)")
    database.connection.truncateWAL()
    let before = try TemporaryFolder.current.bytes("store/records.db")
    try expectRefused(
      .unavailable,
      "the record store '\(path)' was written by a newer Purser (schema \(Migration.current + 1), this one knows "
        + "\(Migration.current)); use that version, or another --store")
    #expect(try TemporaryFolder.current.bytes("store/records.db") == before)
    #expect(try TemporaryFolder.current.bytes("store/records.db-wal")?.count ?? 0 == 0)
  }

  @Test(
    "a database of another program is refused and not written to", .temporaryFolder,
    arguments: [
      "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)",
      "CREATE TABLE tasks (id INTEGER PRIMARY KEY); PRAGMA user_version = 3",
      "PRAGMA application_id = 1196444487; CREATE TABLE layers (a)",
      "PRAGMA user_version = 1",
      "PRAGMA application_id = 7",
    ])
  func foreign(sql: String) throws {
    try TemporaryFolder.current.makeFolder("store")
    do { try Database().connection.execute(sql) }
    let before = try TemporaryFolder.current.bytes("store/records.db")
    try expectRefused(
      .unavailable,
      "'\(path)' is a database of another program; it is left as it is: move it away, or use --store")
    #expect(try TemporaryFolder.current.bytes("store/records.db") == before)
    #expect(Set(TemporaryFolder.current.names(in: "store")).subtracting(["write.lock"]) == ["records.db"])
  }

  @Test("kptn's own database is another program's", .temporaryFolder)
  func kptn() throws {
    try TemporaryFolder.current.makeFolder("store")
    do { try Database().connection.execute(KptnSchemaTests.seed) }
    try expectRefused(.unavailable)
  }

  @Test("a file that is no database is refused and left alone", .temporaryFolder, arguments: [5, 100, 512, 4096, 9000])
  func garbage(size: Int) throws {
    let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) }
    try TemporaryFolder.current.makeFolder("store")
    try TemporaryFolder.current.write("store/records.db", bytes)
    try expectRefused(.unavailable)
    #expect(try TemporaryFolder.current.bytes("store/records.db") == bytes)
  }

  @Test("an empty file is an empty store", .temporaryFolder)
  func empty() throws {
    try TemporaryFolder.current.makeFolder("store")
    try TemporaryFolder.current.write("store/records.db", [])
    let store = try openSQLite()
    #expect(try store.record(key("a")) == nil)
    try Step("a").run(in: store)
    #expect(try store.record(key("a")) != nil)
  }

  @Test(
    "a folder in the place of the database, or a file in that of the store, is an error and no miss",
    .temporaryFolder)
  func wrongKinds() throws {
    try TemporaryFolder.current.makeFolder("store")
    try TemporaryFolder.current.makeFolder("store/records.db")
    let folder = try openSQLite()
    #expect(code { _ = try folder.record(key("a")) } != nil)
    #expect(code { _ = try Step("a").begin(in: folder) } != nil)
    #expect(code { _ = try folder.schemaStatus() } != nil)
    #expect(code { _ = try folder.migrate(now: Time.day(1)) } != nil)
    try TemporaryFolder.current.write("file", [])
    let store = SQLiteRecordStore(directory: TemporaryFolder.current("file"), now: { Time.day(1) })
    #expect(code { _ = try store.record(key("a")) } == .unavailable)
    #expect(code { _ = try Step("a").begin(in: store) } == .unavailable)
  }

  @Test("a store cut in half is damaged, or as far as it is whole it is right, and never crashes", .temporaryFolder)
  func truncated() throws {
    let step = Step("a")
    do {
      let store = try openSQLite()
      for number in 0..<50 { try Step("task \(number)").run(in: store) }
      try step.run(in: store)
      _ = try store.migrate(now: Time.day(1))
    }
    let whole = try #require(try TemporaryFolder.current.bytes("store/records.db"))
    let expected = try openSQLite().record(step.key)
    for percent in stride(from: 1, to: 100, by: 7) {
      try TemporaryFolder.current.write("store/records.db", Array(whole.prefix(whole.count * percent / 100)))
      do {
        #expect(try openSQLite().record(step.key) == expected)
      } catch {
        #expect([.corrupt, .unavailable, .io].contains((error as? StoreError)?.code))
      }
    }
  }

  @Test("a path that is not UTF-8 is refused", .temporaryFolder)
  func notUTF8() throws {
    let folder = TemporaryFolder.current(ByteString(bytes: [0xff]))
    let error = #expect(throws: StoreError.self) {
      try SQLiteRecordStore(directory: folder, now: { "" }).record(key("a"))
    }
    #expect(error?.code == .unavailable)
    #expect(error?.message == "the store's path '\(folder.printable)' is not UTF-8; use --store with one that is")
  }
}
