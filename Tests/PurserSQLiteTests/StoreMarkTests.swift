import Glibc
import PurserModel
import PurserSQLite
import PurserStore
import Testing

/// What tells one state of the store from another.
@Suite("The mark of a store")
struct StoreMarkTests {
  private func open() -> SQLiteRecordStore {
    SQLiteRecordStore(directory: TemporaryFolder.current("store"), isDurable: false, now: { Time.day(1) })
  }

  /// The database, and its log where there is something in it.
  private var files: [ByteString] {
    ["records.db", "records.db-wal"].map { TemporaryFolder.current("store/" + $0) }.filter { path in
      var info = stat()
      return path.withCString { stat($0, &info) } == 0 && info.st_size > 0
    }
  }

  /// As a client does that passes no gate: the same bytes again, in place.
  private func touch(_ path: ByteString) throws {
    let descriptor = path.withCString { Glibc.open($0, O_RDWR | O_CLOEXEC) }
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    var byte: UInt8 = 0
    try #require(pread(descriptor, &byte, 1, 0) == 1 && pwrite(descriptor, &byte, 1, 0) == 1)
  }

  private func modified(_ path: ByteString) throws -> Int {
    var info = stat()
    try #require(path.withCString { stat($0, &info) } == 0)
    return info.st_mtim.tv_sec * 1_000_000_000 + info.st_mtim.tv_nsec
  }

  @Test("just after a write there is no mark, but for who wrote and sees to it", .temporaryFolder)
  func settling() throws {
    let store = open()
    try Step("clean").run(in: store)
    let before = try files.map(modified)
    #expect(open().mark() == nil)
    #expect(open().settledMark() == nil, "it has not written")
    #expect(try files.map(modified) == before)
    let mark = try #require(store.settledMark())
    #expect(open().mark() == mark && store.mark() == mark && store.settledMark() == mark)
  }

  @Test("what passes no gate shows at once after a settled mark", .temporaryFolder)
  func outsideTheGate() throws {
    for round in 0..<20 {
      let store = open()
      try Step("clean", version: "\(round)").run(in: store)
      let mark = try #require(store.settledMark())
      // Within one tick of the clock, and without a change of size.
      try touch(files[round % files.count])
      #expect(open().mark() == nil, "just written, and nobody saw to it")
      usleep(30_000)
      #expect(try #require(open().mark()) != mark)
    }
  }

  @Test("what passes the gate shows at once after a settled mark", .temporaryFolder)
  func throughTheGate() throws {
    let store = open()
    try Step("clean").run(in: store)
    let mark = try #require(store.settledMark())
    let other = open()
    try Step("other").run(in: other)
    #expect(try #require(other.settledMark()) != mark)
  }
}
