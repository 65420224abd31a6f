import Dispatch
import Glibc
import PurserModel
import PurserStore
import Synchronization
import Testing

@testable import PurserSQLite

/// Reading without locks what nobody is writing.
@Suite("A reader without locks", .serialized)
struct GenerationTests {
  private func open() throws -> SQLiteRecordStore {
    SQLiteRecordStore(directory: TemporaryFolder.current("store"), isDurable: false, now: { Time.day(1) })
  }

  private var gate: String { "\(TemporaryFolder.current("store"))/write.lock" }

  private var isGateIdle: Bool {
    switch Generation(gateAt: gate) {
    case .some: true
    case .none: false
    }
  }

  @Test("sees what another store committed since it looked last", .temporaryFolder)
  func seesLaterCommits() throws {
    try Step("a").run(in: open())
    let reader = try open()
    #expect(try reader.record(key("a"))?.status == .success)
    #expect(try reader.record(key("b")) == nil)
    try Step("b").run(in: open())
    #expect(try reader.record(key("b"))?.status == .success)
    #expect(try reader.record(key("a"))?.status == .success)
  }

  @Test("sees what is only in the write-ahead log", .temporaryFolder)
  func seesTheLog() throws {
    try Step("a").run(in: open())
    // Opening a run is a small commit that stays in the log.
    _ = try Step("b").begin(in: open())
    #expect(try TemporaryFolder.current.bytes("store/records.db-wal")?.isEmpty == false)
    #expect(try open().record(key("b"))?.status == .running)
  }

  @Test("sees what it has written itself", .temporaryFolder)
  func seesOwnWrites() throws {
    try Step("a").run(in: open())
    let store = try open()
    #expect(try store.record(key("b")) == nil)
    try Step("b").run(in: store)
    #expect(try store.record(key("b"))?.status == .success)
  }

  @Test("takes locks after somebody died inside the gate, until the next writer", .temporaryFolder)
  func oddGeneration() throws {
    try Step("a").run(in: open())
    let descriptor = Glibc.open(gate, O_RDWR | O_CLOEXEC)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    let before = try #require(Generation.read(descriptor))
    #expect(before % 2 == 0)
    let odd = "\(before + 1)"
    #expect(pwrite(descriptor, odd, odd.utf8.count, Generation.offset) == odd.utf8.count)
    #expect(!isGateIdle)
    #expect(try open().record(key("a"))?.status == .success)
    try Step("b").run(in: open())
    #expect(try #require(Generation.read(descriptor)) > before + 1)
    #expect(try #require(Generation.read(descriptor)) % 2 == 0)
    #expect(try open().record(key("b"))?.status == .success)
  }

  @Test("is not misled by anything else in the gate's file", .temporaryFolder, arguments: ["", "x", "4711\nabc"])
  func strangeGate(content: String) throws {
    try Step("a").run(in: open())
    let descriptor = Glibc.open(gate, O_WRONLY | O_TRUNC | O_CLOEXEC)
    try #require(descriptor >= 0)
    #expect(write(descriptor, content, content.utf8.count) == content.utf8.count)
    close(descriptor)
    #expect(!isGateIdle)
    #expect(try open().record(key("a"))?.status == .success)
  }

  @Test("opens stores whose path has characters that a URI takes otherwise", .temporaryFolder)
  func oddPath() throws {
    let folder = TemporaryFolder.current("a?b#c%41 ü")
    for _ in 0..<2 {
      let store = SQLiteRecordStore(directory: folder, isDurable: false, now: { Time.day(1) })
      if try store.record(key("a")) == nil { try Step("a").run(in: store) }
    }
    let store = SQLiteRecordStore(directory: folder, isDurable: false, now: { Time.day(1) })
    #expect(try store.record(key("a"))?.status == .success)
  }

  @Test("never sees half of a commit while another store writes and checkpoints", .temporaryFolder)
  func consistentUnderWrites() throws {
    let folder = TemporaryFolder.current("store")
    try Step("a", version: "0").run(in: open())
    let isDone = Atomic<Bool>(false)
    let failures = Mutex<[String]>([])
    let reads = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      do {
        if thread == 0 {
          defer { isDone.store(true, ordering: .releasing) }
          let writer = SQLiteRecordStore(directory: folder, isDurable: false, now: { Time.day(1) })
          var number = 0
          // Long enough that the readers have had their turns, on a busy machine too.
          while number < 150 || (reads.load(ordering: .relaxed) < 20 && number < 5000) {
            number += 1
            var step = Step("a", version: "\(number)")
            // Enough for a checkpoint at each commit.
            for file in 0..<12 {
              step.outputs[ByteString("\(file)")] = String(repeating: "\(number) \(file) ", count: 1000)
            }
            try step.run(in: writer)
          }
          return
        }
        while !isDone.load(ordering: .acquiring) {
          let store = SQLiteRecordStore(directory: folder, isDurable: false, now: { Time.day(1) })
          guard let record = try store.record(key("a")) else { throw StoreError(.corrupt, "the record vanished") }
          if record.status == .success, record.actionKey != record.result?.actionKey {
            throw StoreError(.corrupt, "the record of one commit with the result of another")
          }
          reads.add(1, ordering: .relaxed)
        }
      } catch {
        failures.withLock { $0.append("\(error)") }
        isDone.store(true, ordering: .releasing)
      }
    }
    #expect(failures.withLock { $0 } == [])
    #expect(reads.load(ordering: .relaxed) > 0)
  }
}
