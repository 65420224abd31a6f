import Dispatch
import Glibc
import PurserModel
import PurserStore
import Synchronization
import Testing

@testable import PurserSQLite

@Suite("Several writers", .serialized)
struct ConcurrencyTests {
  @Test("of 2,000 writes through two stores and four threads none is lost", .temporaryFolder)
  func twoStores() throws {
    let folder = TemporaryFolder.current("store")
    let stores = (0..<2).map { _ in
      SQLiteRecordStore(directory: folder, isDurable: false, now: { Time.day(1) })
    }
    let failures = Mutex<[String]>([])
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      do {
        for number in 0..<250 {
          var step = Step("task \(thread) \(number)", version: "\(number % 10)")
          step.outputs = ["a": "\(number % 7)"]
          try step.run(in: stores[thread % 2])
        }
      } catch {
        failures.withLock { $0.append("\(error)") }
      }
    }
    #expect(failures.withLock { $0 } == [])
    // Each run is a write to open it and one to close it.
    let database = try Database()
    #expect(try database.count("task_runs") == 1000)
    #expect(
      try database.rows("SELECT count(*), count(DISTINCT task_id), status FROM tasks", columns: 3)
        == ["1000|1000|SUCCESS"])
    #expect(try database.count("action_results") == 1000)
    #expect(try database.count("task_locks") == 0)
    #expect(try database.count("blobs") == 7)
    #expect(try database.count("components") == 1010)
    #expect(try database.rows("PRAGMA integrity_check") == ["ok"])
    #expect(try database.rows("PRAGMA foreign_key_check", columns: 3) == [])
  }

  @Test("of threads that end runs in one transaction, nobody fails with another", .temporaryFolder)
  func together() throws {
    let store = try openSQLite()
    let steps = (0..<8).map { Step("task \($0)") }
    let runs = try steps.map { try $0.begin(in: store) }
    // The third was taken over, the fifth says what the store refuses.
    _ = try store.begin(steps[2].newRun, replacing: runs[2].tokens)
    let codes = Mutex<[Int: StoreError.Code]>([:])
    onThreads(8) { number in
      var outcome = steps[number].success
      if number == 4 { outcome.errorInfo = "no JSON" }
      let failure = code { try store.finish(runs[number], with: outcome) }
      codes.withLock { $0[number] = failure }
    }
    #expect(codes.withLock { $0 } == [2: .leaseLost, 4: .io])
    for number in [0, 1, 3, 5, 6, 7] { #expect(try store.record(steps[number].key)?.status == .success) }
    #expect(try store.record(steps[4].key)?.result == nil)
    #expect(try Database().count("action_results") == 6)
  }

  @Test("where many threads are said to write, reading waits for none of them", .temporaryFolder)
  func readAside() throws {
    let store = try openSQLite()
    let step = Step("a")
    try step.run(in: store)
    store.expect(writers: 4)
    for (before, after) in [(TaskStatus.success, TaskStatus.failure), (.failure, .incomplete)] {
      let isInside = Atomic(false)
      let hasRead = Atomic(false)
      let found = Mutex<TaskStatus?>(nil)
      onThreads(2) { number in
        if number == 0 {
          _ = code {
            try store.write { connection throws(StoreError) in
              try connection.run("UPDATE tasks SET status = ?", [.text(after.rawValue)])
              isInside.store(true, ordering: .sequentiallyConsistent)
              for _ in 0..<10_000 where !hasRead.load(ordering: .sequentiallyConsistent) { usleep(1_000) }
              let isOver = hasRead.load(ordering: .sequentiallyConsistent)
              #expect(isOver, "the reader waits for the writer")
            }
          }
        } else {
          while !isInside.load(ordering: .sequentiallyConsistent) { sched_yield() }
          let status = try? store.record(step.key)?.status
          found.withLock { $0 = status }
          hasRead.store(true, ordering: .sequentiallyConsistent)
        }
      }
      // What was committed before, and nothing of what is not yet.
      #expect(found.withLock { $0 } == before)
      #expect(try store.record(step.key)?.status == after)
    }
    store.expect(writers: 0)
    #expect(try store.record(step.key)?.status == .incomplete)
  }

  @Test("a reader sees one moment, whatever others write", .temporaryFolder)
  func snapshot() throws {
    let (reader, writer) = (try openSQLite(), try openSQLite())
    try Step("a").run(in: writer)
    let counts: [Int64?] = try reader.read(else: []) { connection throws(StoreError) in
      let before = try connection.integer("SELECT count(*) FROM tasks")
      do { try Step("b").run(in: writer) } catch { throw StoreError(.io, "\(error)") }
      return [before, try connection.integer("SELECT count(*) FROM tasks")]
    }
    // The first look, without locks, is thrown away because somebody wrote; the second is as consistent.
    #expect(counts == [2, 2])
    #expect(try reader.records(storageKey: nil, pipeline: nil).count == 2)
  }

  @Test("a write waits for another process that holds the gate for a while", .temporaryFolder)
  func waitsForTheGate() throws {
    let step = Step("clean")
    let store = try openSQLite()
    try step.run(in: store)
    let gate = TemporaryFolder.current("store/write.lock")
    let fifo = TemporaryFolder.current("release")
    try #require(fifo.withCString { mkfifo($0, 0o600) } == 0)
    // Says that it holds the lock, and lets go when the FIFO was opened and closed.
    let script = """
      import fcntl, sys
      f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print("held", flush=True); open(sys.argv[2]).read()
      """
    let command = "exec python3 -c '\(script)' '\(gate)' '\(fifo)'"
    let holder = try #require(popen(command, "r"))
    defer { pclose(holder) }
    var line = [CChar](repeating: 0, count: 16)
    try #require(fgets(&line, Int32(line.count), holder) != nil)

    let isDone = Atomic<Bool>(false)
    let failure = Mutex<String?>(nil)
    let group = DispatchGroup()
    DispatchQueue.global().async(group: group) {
      do { try step.run(in: store) } catch { failure.withLock { $0 = "\(error)" } }
      isDone.store(true, ordering: .sequentiallyConsistent)
    }
    // The kernel lists who waits for a lock with an arrow; reading is not kept from by the gate.
    while try Self.countWaiting(forLocksOn: gate) == 0, !isDone.load(ordering: .sequentiallyConsistent) {
      sched_yield()
    }
    let wasDone = isDone.load(ordering: .sequentiallyConsistent)
    #expect(!wasDone)
    #expect(try openSQLite().record(step.key)?.status == .success)

    close(fifo.withCString { open($0, O_WRONLY | O_CLOEXEC) })
    group.wait()
    #expect(failure.withLock { $0 } == nil)
    #expect(try store.runs(matching: RunFilter()).count == 2)
  }

  @Test("a gate that stays shut is reported with its holder", .temporaryFolder)
  func busyGate() throws {
    let path = TemporaryFolder.current("write.lock").escaped
    var first = try WriterGate(path: path)
    var second = try WriterGate(path: path)
    var name = try #require(try TemporaryFolder(path: "/proc/self").bytes(ofPseudoFile: "comm"))
    name.removeLast()
    try first.hold { _ throws(StoreError) in
      var error: StoreError?
      do throws(StoreError) { try second.hold(seconds: 1) { _ throws(StoreError) in } } catch let busy { error = busy }
      #expect(error?.code == .busy)
      #expect(
        error?.message == "'\(path)' has been held for 1 s by process \(getpid()) "
          + "(\(String(decoding: name, as: UTF8.self))); wait until it is done and try again")
    }
    try second.hold(seconds: 1) { _ throws(StoreError) in }
  }

  @Test("who is quick waits for one of those who wait for the disk, not for all of them", .temporaryFolder)
  func twoQueues() throws {
    let path = TemporaryFolder.current("write.lock").escaped
    let names = ["one", "two", "three", "quick"]
    let order = Mutex<[String]>([])
    let group = DispatchGroup()
    /// Until so many stand in the queues, whether they wait for the lock or for the place in front of it.
    @Sendable func wait(for count: Int) throws(StoreError) {
      do {
        while try Self.countWaiting(forLocksOn: ByteString(path)) < count { sched_yield() }
      } catch {
        throw StoreError(.io, "\(error)")
      }
    }
    var first = try WriterGate(path: path)
    try first.hold { _ throws(StoreError) in
      for (number, name) in names.enumerated() {
        // A queue of its own is a thread of its own: those of a common one may be too few for all that wait.
        DispatchQueue(label: name).async(group: group) {
          #expect(throws: Never.self) {
            var gate = try WriterGate(path: path)
            try gate.hold(isQuick: name == "quick") { _ throws(StoreError) in
              let left = order.withLock { order in
                order.append(name)
                return names.count - order.count
              }
              try wait(for: left)
            }
          }
        }
        try wait(for: number + 1)
      }
    }
    group.wait()
    let last = order.withLock { $0 }
    #expect(last == ["one", "quick", "two", "three"])
  }

  @Test("who comes back at once leaves a moment to who stands in the other queue", .temporaryFolder)
  func letsOthersPass() throws {
    let path = TemporaryFolder.current("write.lock").escaped
    var gate = try WriterGate(path: path)
    try gate.hold { _ throws(StoreError) in }
    // One that has not woken: it stands in front of the lock.
    let descriptor = open(path, O_RDWR | O_CLOEXEC)
    defer { close(descriptor) }
    var place = flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 1 << 20 + 1, l_len: 1, l_pid: 0)
    try #require(fcntl(descriptor, Self.openFileLock, &place) == 0)
    func nanoseconds(_ isQuick: Bool) throws -> Int {
      let start = DispatchTime.now().uptimeNanoseconds
      try gate.hold(isQuick: isQuick) { _ throws(StoreError) in }
      return Int(DispatchTime.now().uptimeNanoseconds - start)
    }
    let waited = try nanoseconds(false)
    #expect(waited >= 5_000_000)
    // But not again and again for one that stands still.
    var turns = 0
    while try nanoseconds(false) >= 5_000_000, turns < 20 { turns += 1 }
    #expect(turns < 20)
    // Somebody else went in: it may be another one that stands there.
    var other = try WriterGate(path: path)
    try other.hold { _ throws(StoreError) in }
    try gate.hold { _ throws(StoreError) in }
    #expect(try nanoseconds(false) >= 5_000_000)
    place.l_type = Int16(F_UNLCK)
    try #require(fcntl(descriptor, Self.openFileLock, &place) == 0)
    turns = 0
    while try nanoseconds(false) >= 5_000_000, turns < 20 { turns += 1 }
    #expect(turns < 20, "with nobody there, nobody is waited for")
  }

  @Test("a body that throws leaves the gate open", .temporaryFolder)
  func throwingBody() throws {
    let path = TemporaryFolder.current("write.lock").escaped
    var first = try WriterGate(path: path)
    var second = try WriterGate(path: path)
    var thrown: StoreError.Code?
    do { try first.hold { _ throws(StoreError) in throw StoreError(.full, "") } } catch { thrown = error.code }
    #expect(thrown == .full)
    try second.hold(seconds: 1) { _ throws(StoreError) in }
    let store = try openSQLite()
    #expect(
      code { try store.write { _ throws(StoreError) in throw StoreError(.full, "") } } == .full)
    try Step("a").run(in: try openSQLite())
  }

  @Test("a write that fails is undone as a whole", .temporaryFolder)
  func rollback() throws {
    let store = try openSQLite()
    try Step("a").run(in: store)
    #expect(
      code {
        try store.write { connection throws(StoreError) in
          try connection.execute("DELETE FROM task_details; DELETE FROM tasks; INSERT INTO nowhere VALUES (1)")
        }
      } == .io)
    #expect(try store.record(key("a"))?.status == .success)
    try Step("a").run(in: store)
  }

  /// `F_OFD_SETLK`.
  private static let openFileLock: Int32 = 37

  private static func countWaiting(forLocksOn path: ByteString) throws -> Int {
    var info = stat()
    try #require(path.withCString { stat($0, &info) } == 0)
    let locks = try #require(try TemporaryFolder(path: "/proc").bytes(ofPseudoFile: "locks"))
    return String(decoding: locks, as: UTF8.self).split(separator: "\n").count {
      $0.contains("-> ") && $0.contains(":\(info.st_ino) ")
    }
  }
}

extension TemporaryFolder {
  /// The bytes of a file that does not know its size.
  func bytes(ofPseudoFile name: ByteString) throws -> [UInt8]? {
    let descriptor = self(name).withCString { open($0, O_RDONLY | O_CLOEXEC) }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      guard count > 0 else { return content }
      content += buffer[0..<count]
    }
  }
}
