import CSpawn
import Glibc
import Synchronization

/// Does what it is given on a bounded number of threads, first come, first served.
///
/// The threads are the process's (``ThreadStock``): pools come and go, one for each run, and share them. The signals
/// that are passed on to commands are left to the other threads, except while a thread runs a command. When a thread
/// wakes, it lets commands and other threads have their turn first (`SCHED_BATCH`).
package final class WorkerPool: Sendable {
  private let limit: Int
  private let state = Mutex(State())

  private struct State {
    /// What waits, from `next` on; the places before it are free.
    var works: [(@Sendable () -> Void)?] = []
    var next = 0
    /// How many threads are at this pool's work.
    var threads = 0
  }

  /// Calls a closure that is no work of ours, and may start threads and programs of its own: it takes part as any other
  /// does, though it is called on a thread of a pool.
  package static func asOthers<Result>(_ body: () throws -> Result) rethrows -> Result {
    cspawn_take_part()
    defer { cspawn_give_way_again() }
    return try body()
  }

  /// A pool that uses at most `count` threads at a time, at least one.
  package init(count: Int) {
    limit = max(count, 1)
  }

  /// Adds work, and returns at once.
  ///
  /// Where the system refuses more threads, those that are at this pool's work do it; if there are none, the calling
  /// thread does, before this returns.
  package func submit(_ work: @escaping @Sendable () -> Void) {
    let isAnotherWanted = state.withLock { state in
      state.works.append(work)
      guard state.threads < limit else { return false }
      state.threads += 1
      return true
    }
    guard isAnotherWanted, !ThreadStock.shared.run({ [self] in workUntilDone() }) else { return }
    let isAlone = state.withLock { state in
      if state.threads == 1 { return true }
      state.threads -= 1
      return false
    }
    if isAlone { workUntilDone() }
  }

  private func workUntilDone() {
    while let work = take() { work() }
  }

  /// The next work; without one, a thread less is at it.
  private func take() -> (@Sendable () -> Void)? {
    state.withLock { state in
      guard state.next < state.works.count, let work = state.works[state.next] else {
        state.threads -= 1
        return nil
      }
      state.works[state.next] = nil
      state.next += 1
      if state.next == state.works.count {
        state.works.removeAll(keepingCapacity: true)
        state.next = 0
      } else if state.next >= 1024 && state.next * 2 >= state.works.count {
        state.works.removeFirst(state.next)
        state.next = 0
      }
      return work
    }
  }
}

/// Threads that never end while the process lives: a command is killed when the thread that started it ends; on these,
/// it may run as long as it likes. As many as were ever wanted at a time; one that is done waits to be wanted again.
private final class ThreadStock: @unchecked Sendable {
  static let shared = ThreadStock()

  /// Room for deep recursion in the work, whatever `ulimit -s` says; only what is used takes memory.
  private static let stackSize = 4 << 20

  // Guard: `mutex`, for everything below it.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let added = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var jobs: [@Sendable () -> Void] = []
  private var idle = 0

  private init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(added, nil)
  }

  /// Has a thread that has nothing else to do call `job`; `false` if there is none and none can be started.
  func run(_ job: @escaping @Sendable () -> Void) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    // A waiting thread that was woken for an earlier job still counts as idle, so does that job as waiting.
    guard jobs.count < idle || startThread() else { return false }
    jobs.append(job)
    pthread_cond_signal(added)
    return true
  }

  private func startThread() -> Bool {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, Self.stackSize)
    var thread = pthread_t()
    return pthread_create(
      &thread, &attributes,
      { _ in
        cspawn_signals_leave()
        cspawn_give_way()
        ThreadStock.shared.workForever()
      }, nil) == 0
  }

  private func workForever() -> Never {
    while true { take()() }
  }

  /// The next job; waits for it.
  private func take() -> @Sendable () -> Void {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while jobs.isEmpty {
      idle += 1
      pthread_cond_wait(added, mutex)
      idle -= 1
    }
    return jobs.removeFirst()
  }
}
