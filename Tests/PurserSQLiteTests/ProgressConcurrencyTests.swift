import Dispatch
import PurserModel
import PurserStore
import Synchronization
import Testing

@testable import PurserSQLite

@Suite("Progress by several writers", .serialized)
struct ProgressConcurrencyTests {
  private let task = key("map")

  private func event(_ index: Int, _ status: Subtask.Status = .done) -> ItemProgress {
    ItemProgress(event: SubtaskEvent(index: index, status: status, time: Time.day(1)))
  }

  private func openStores(_ count: Int) -> [SQLiteRecordStore] {
    let folder = TemporaryFolder.current("store")
    return (0..<count).map { _ in SQLiteRecordStore(directory: folder, isDurable: false, now: { Time.day(1) }) }
  }

  /// Runs `body` on as many threads, and returns what they threw.
  private func inParallel(_ threads: Int, _ body: @Sendable (Int) throws -> Void) -> [String] {
    let failures = Mutex<[String]>([])
    DispatchQueue.concurrentPerform(iterations: threads) { thread in
      do { try body(thread) } catch { failures.withLock { $0.append("\(error)") } }
    }
    return failures.withLock { $0 }
  }

  @Test("two of them marking different items of one bin lose nothing, 100 times of 100", .temporaryFolder)
  func oneBin() throws {
    let stores = openStores(2)
    let items = (0..<100).map { Subtask(index: $0, key: "\($0)") }
    for round in 0..<100 {
      try stores[round % 2].setSubtasks(items, of: task, under: nil)
      let failures = inParallel(2) { writer in
        for index in stride(from: writer, to: 100, by: 2) {
          try stores[writer].append([event(index, .running), event(index)], of: task, under: nil)
          if index % 17 == writer { try stores[writer].foldProgress(of: task) }
          if index % 23 == writer { _ = try stores[writer].subtasks(of: task) }
        }
      }
      #expect(failures == [])
      let list = try stores[round % 2].subtasks(of: task)
      #expect(list.filter { $0.isDone && $0.attempt == 1 }.count == 100)
    }
    try stores[0].foldProgress(of: task)
    #expect(try Database().count("subtask_events") == 0)
    #expect(try Database().rows("PRAGMA integrity_check") == ["ok"])
  }

  @Test("threads that append at once share commits, and each has its own events", .temporaryFolder)
  func shared() throws {
    let store = openStores(1)[0]
    let tasks = [key("a"), key("b")]
    for task in tasks {
      try store.setSubtasks((0..<800).map { Subtask(index: $0, key: "\($0)") }, of: task, under: nil)
    }
    let failures = inParallel(8) { thread in
      for number in 0..<200 {
        let index = thread / 2 * 200 + number
        try store.append([event(index, number % 3 == 0 ? .failed : .done)], of: tasks[thread % 2], under: nil)
      }
    }
    #expect(failures == [])
    for task in tasks {
      let list = try store.subtasks(of: task)
      #expect(list.map(\.isDone) == list.map { $0.index % 200 % 3 != 0 })
      #expect(list.allSatisfy { $0.status != nil })
    }
  }

  @Test("who is refused fails alone", .temporaryFolder)
  func refused() throws {
    let store = openStores(1)[0]
    try store.setSubtasks((0..<400).map { Subtask(index: $0, key: "\($0)") }, of: task, under: nil)
    let refusals = Atomic<Int>(0)
    let failures = inParallel(8) { thread in
      for number in 0..<50 {
        if thread % 2 == 0 {
          try store.append([event(thread / 2 * 100 + number)], of: task, under: nil)
        } else if code({ try store.append([event(number), event(400)], of: task, under: nil) }) == .busy {
          refusals.add(1, ordering: .relaxed)
        }
      }
    }
    #expect(failures == [])
    let count = refusals.load(ordering: .relaxed)
    #expect(count == 200)
    #expect(try store.subtasks(of: task).filter { $0.status != nil }.count == 200)
  }
}

@Suite("The commit queue")
struct CommitQueueTests {
  @Test("a caller alone commits at once, by itself, and is told what came of it")
  func alone() throws {
    let queue = CommitQueue<Int>()
    var committed: [[Int]] = []
    try queue.submit(1) { requests in
      committed.append(requests)
      return [.success(())]
    }
    let failing = { try queue.submit(2) { requests in requests.map { _ in .failure(StoreError(.full, "full")) } } }
    #expect(code { try failing() } == .full)
    try queue.submit(3) { requests in
      committed.append(requests)
      return [.success(())]
    }
    #expect(committed == [[1], [3]])
  }

  @Test("those who come during a commit stand together in the next, each with its own outcome")
  func together() throws {
    let queue = CommitQueue<Int>()
    let batches = Mutex<[[Int]]>([])
    let arrived = Atomic<Int>(0)
    let outcomes = Mutex<[Int: StoreError.Code?]>([:])
    DispatchQueue.concurrentPerform(iterations: 5) { number in
      // The first one to commit waits until all the others stand in the queue.
      arrived.add(1, ordering: .sequentiallyConsistent)
      let outcome = code {
        try queue.submit(number) { requests in
          let isFirst = batches.withLock { batches in
            batches.append(requests)
            return batches.count == 1
          }
          while isFirst, arrived.load(ordering: .sequentiallyConsistent) < 5 || queue.count < 5 - requests.count {}
          return requests.map { $0 == 3 ? .failure(StoreError(.leaseLost, "")) : .success(()) }
        }
      }
      outcomes.withLock { $0[number] = outcome }
    }
    #expect(batches.withLock { $0.count } == 2)
    #expect(batches.withLock { $0.joined().sorted() } == [0, 1, 2, 3, 4])
    #expect(outcomes.withLock { $0 } == [0: nil, 1: nil, 2: nil, 3: .leaseLost, 4: nil])
  }

  @Test("a thousand requests of many threads are committed once each")
  func many() {
    let queue = CommitQueue<Int>()
    let committed = Mutex<[Int]>([])
    let isBusy = Atomic<Bool>(false)
    let overlaps = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: 16) { thread in
      for number in 0..<100 {
        try? queue.submit(thread * 100 + number) { requests in
          if isBusy.exchange(true, ordering: .sequentiallyConsistent) { overlaps.add(1, ordering: .relaxed) }
          committed.withLock { $0 += requests }
          isBusy.store(false, ordering: .sequentiallyConsistent)
          return requests.map { _ in .success(()) }
        }
      }
    }
    #expect(committed.withLock { $0.sorted() } == Array(0..<1600))
    let count = overlaps.load(ordering: .relaxed)
    #expect(count == 0)
  }
}
