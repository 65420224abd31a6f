import PurserModel
import PurserStore
import Synchronization
import Testing

@Suite("Record store contract: progress by several writers", .serialized)
struct ProgressConcurrencyContractTests {
  private let task = key("map")

  private func event(_ index: Int, _ status: Subtask.Status = .done) -> ItemProgress {
    ItemProgress(event: SubtaskEvent(index: index, status: status, time: Time.day(1)))
  }

  /// Runs `body` on as many threads, and returns what they threw.
  private func inParallel(_ threads: Int, _ body: @escaping @Sendable (Int) throws -> Void) -> [String] {
    let failures = Failures()
    onThreads(threads) { thread in
      do { try body(thread) } catch { failures.list.withLock { $0.append("\(error)") } }
    }
    return failures.list.withLock { $0 }
  }

  private final class Failures: Sendable {
    let list = Mutex<[String]>([])
  }

  private final class Counter: Sendable {
    let value = Atomic<Int>(0)
  }

  @Test(
    "two of them marking different items of one bin lose nothing, 100 times of 100", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func oneBin(backend: RecordStoreBackend) throws {
    let stores = [try backend.open(), try backend.open()]
    let items = (0..<60).map { Subtask(index: $0, key: "\($0)") }
    for round in 0..<100 {
      try stores[round % 2].setSubtasks(items, of: task, under: nil)
      let failures = inParallel(2) { writer in
        for index in stride(from: writer, to: 60, by: 2) {
          try stores[writer].append([event(index, .running), event(index)], of: task, under: nil)
          if index % 17 == writer { try stores[writer].foldProgress(of: task) }
          if index % 23 == writer { _ = try stores[writer].subtasks(of: task) }
        }
      }
      #expect(failures == [])
      let list = try stores[round % 2].subtasks(of: task)
      #expect(list.filter { $0.isDone && $0.attempt == 1 }.count == 60)
    }
  }

  @Test(
    "threads that append at once share commits, and each has its own events", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func shared(backend: RecordStoreBackend) throws {
    let store = try backend.open()
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

  @Test("who is refused fails alone", .temporaryFolder, arguments: RecordStoreBackend.all)
  func refused(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try store.setSubtasks((0..<400).map { Subtask(index: $0, key: "\($0)") }, of: task, under: nil)
    let refusals = Counter()
    let failures = inParallel(8) { thread in
      for number in 0..<50 {
        if thread % 2 == 0 {
          try store.append([event(thread / 2 * 100 + number)], of: task, under: nil)
        } else if code({ try store.append([event(number), event(400)], of: task, under: nil) }) == .busy {
          refusals.value.add(1, ordering: .relaxed)
        }
      }
    }
    #expect(failures == [])
    let count = refusals.value.load(ordering: .relaxed)
    #expect(count == 200)
    #expect(try store.subtasks(of: task).filter { $0.status != nil }.count == 200)
  }
}
