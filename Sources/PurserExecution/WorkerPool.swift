import CSpawn
import Glibc

/// Threads that do what they are given, first come, first served, and never end while the process lives.
///
/// A command is killed when the thread that started it ends; on these, it may run as long as it likes. So they go on
/// waiting for work even when nobody holds the pool any more: make one for a process, not one for a task. The signals
/// that are passed on to commands are left to the other threads, except while a thread runs a command.
package final class WorkerPool: Sendable {
  private let queue: WorkQueue

  /// A pool of at most `count` threads, at least one. A thread is started when work comes and all others are busy.
  package init(count: Int) {
    queue = WorkQueue(limit: max(count, 1))
  }

  /// Adds work, and returns at once.
  ///
  /// Where the system refuses more threads, those that there are do it; if there are none, the calling thread does,
  /// before this returns.
  package func submit(_ work: @escaping @Sendable () -> Void) {
    queue.add(work)
  }
}

/// The work of a pool and the threads that wait for it.
private final class WorkQueue: @unchecked Sendable {
  /// Room for deep recursion in the work, whatever `ulimit -s` says; only what is used takes memory.
  private static let stackSize = 4 << 20

  // Guard: `mutex`, for everything below it.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let added = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let limit: Int
  /// What waits, from `next` on; the places before it are free.
  private var works: [(@Sendable () -> Void)?] = []
  private var next = 0
  private var threads = 0
  private var idle = 0

  init(limit: Int) {
    self.limit = limit
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(added, nil)
  }

  // Only of a pool that never had a thread; each thread keeps its queue.
  deinit {
    pthread_cond_destroy(added)
    pthread_mutex_destroy(mutex)
    added.deallocate()
    mutex.deallocate()
  }

  func add(_ work: @escaping @Sendable () -> Void) {
    pthread_mutex_lock(mutex)
    works.append(work)
    // A waiting thread that was woken for earlier work still counts as idle, so does that work as waiting.
    if works.count - next > idle && threads < limit && startThread() { threads += 1 }
    guard threads > 0 else {
      works.removeLast()
      pthread_mutex_unlock(mutex)
      return work()
    }
    pthread_cond_signal(added)
    pthread_mutex_unlock(mutex)
  }

  private func startThread() -> Bool {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, Self.stackSize)
    var thread = pthread_t()
    let queue = Unmanaged.passRetained(self)
    let status = pthread_create(
      &thread, &attributes,
      { queue in
        guard let queue else { return nil }
        cspawn_signals_leave()
        Unmanaged<WorkQueue>.fromOpaque(queue).takeUnretainedValue().workForever()
      }, queue.toOpaque())
    if status != 0 { queue.release() }
    return status == 0
  }

  private func workForever() -> Never {
    while true { take()() }
  }

  /// The next work; waits for it.
  private func take() -> @Sendable () -> Void {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if next < works.count, let work = works[next] {
        works[next] = nil
        next += 1
        if next == works.count {
          works.removeAll(keepingCapacity: true)
          next = 0
        } else if next >= 1024 && next * 2 >= works.count {
          works.removeFirst(next)
          next = 0
        }
        return work
      }
      idle += 1
      pthread_cond_wait(added, mutex)
      idle -= 1
    }
  }
}
