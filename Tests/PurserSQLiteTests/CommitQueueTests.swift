import Glibc
import PurserStore
import Synchronization
import Testing

@testable import PurserSQLite

@Suite("The commit queue")
struct CommitQueueTests {
  /// What the committers saw.
  private final class Log: Sendable {
    let batches = Mutex<[[Int]]>([])
    let outcomes = Mutex<[Int: StoreError.Code?]>([:])
    let isBusy = Atomic<Bool>(false)
    let overlaps = Atomic<Int>(0)
  }

  @Test("a caller alone commits at once, by itself, and is told what came of it")
  func alone() throws {
    let queue = CommitQueue<Int>()
    var committed: [[Int]] = []
    try queue.submit(1) { take in
      committed.append(take())
      return [.success(())]
    }
    let failing = { try queue.submit(2) { take in take().map { _ in .failure(StoreError(.full, "full")) } } }
    #expect(code { try failing() } == .full)
    try queue.submit(3) { take in
      committed.append(take())
      return [.success(())]
    }
    #expect(committed == [[1], [3]])
  }

  @Test("those who come during a commit stand together in the next, each with its own outcome")
  func together() {
    let queue = CommitQueue<Int>()
    let log = Log()
    onThreads(5) { number in
      let outcome = code {
        try queue.submit(number) { take in
          let requests = take()
          let isFirst = log.batches.withLock { batches in
            batches.append(requests)
            return batches.count == 1
          }
          // The first one to commit waits until all the others stand in the queue.
          while isFirst, queue.count < 5 - requests.count { sched_yield() }
          return requests.map { $0 == 3 ? .failure(StoreError(.leaseLost, "")) : .success(()) }
        }
      }
      log.outcomes.withLock { $0[number] = outcome }
    }
    let batches = log.batches.withLock { $0 }
    #expect(batches.count == 2)
    #expect(batches.joined().sorted() == [0, 1, 2, 3, 4])
    #expect(log.outcomes.withLock { $0 } == [0: nil, 1: nil, 2: nil, 3: .leaseLost, 4: nil])
  }

  @Test("a commit waits for the company that is expected")
  func company() {
    let queue = CommitQueue<Int>()
    let log = Log()
    queue.expect(6)
    onThreads(6) { number in
      // Whoever would not wait is alone.
      if number > 0 { while queue.count == 0 { sched_yield() } }
      try? queue.submit(number) { take in
        let requests = take()
        log.batches.withLock { $0.append(requests) }
        return requests.map { _ in .success(()) }
      }
    }
    #expect(log.batches.withLock { $0.map { $0.sorted() } } == [[0, 1, 2, 3, 4, 5]])
  }

  @Test("a commit does not wait for ever for company that does not come, nor for any that was called off")
  func noCompany() throws {
    let queue = CommitQueue<Int>()
    var committed: [[Int]] = []
    for (number, expected) in [(1, 3), (2, 0), (3, 2)] {
      queue.expect(expected)
      try queue.submit(number) { take in
        committed.append(take())
        return [.success(())]
      }
    }
    #expect(committed == [[1], [2], [3]])
  }

  @Test("who waits for company hears that it was called off, and goes on")
  func calledOff() {
    let queue = CommitQueue<Int>(patience: 60_000)
    let log = Log()
    queue.expect(3)
    onThreads(2) { number in
      if number == 0 {
        try? queue.submit(7) { take in
          let requests = take()
          log.batches.withLock { $0.append(requests) }
          return requests.map { _ in .success(()) }
        }
      } else {
        while queue.count == 0 { sched_yield() }
        queue.expect(2)
        queue.expect(1)
        for _ in 0..<10_000 where log.batches.withLock({ $0.isEmpty }) { usleep(1_000) }
        #expect(log.batches.withLock { $0 } == [[7]])
      }
    }
  }

  @Test("requests of many threads are committed once each, one commit at a time")
  func many() {
    let queue = CommitQueue<Int>()
    let log = Log()
    onThreads(16) { thread in
      for number in 0..<100 {
        try? queue.submit(thread * 100 + number) { take in
          let requests = take()
          if log.isBusy.exchange(true, ordering: .sequentiallyConsistent) { log.overlaps.add(1, ordering: .relaxed) }
          log.batches.withLock { $0.append(requests) }
          log.isBusy.store(false, ordering: .sequentiallyConsistent)
          return requests.map { _ in .success(()) }
        }
      }
    }
    #expect(log.batches.withLock { $0.joined().sorted() } == Array(0..<1600))
    let overlaps = log.overlaps.load(ordering: .relaxed)
    #expect(overlaps == 0)
  }
}
