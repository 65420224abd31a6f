import Glibc
import Synchronization

/// Work for several threads that make more of it while they do it; done when none is left and nobody is at work.
final class TreeQueue<Task>: @unchecked Sendable {
  // Guard: `mutex`, for everything below it.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var tasks: [Task] = []
  private var working = 0
  private var isStopped = false
  /// Written under the lock, looked at without it.
  private let waiting = Atomic(0)

  init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// Adds work. The last added is done first, so that few folders are open at once.
  func push(_ new: [Task]) {
    guard !new.isEmpty else { return }
    pthread_mutex_lock(mutex)
    tasks += new
    // Whoever wakes can do any of it.
    if isHungry { if new.count == 1 { pthread_cond_signal(changed) } else { pthread_cond_broadcast(changed) } }
    pthread_mutex_unlock(mutex)
  }

  /// Whether a thread waits for work.
  var isHungry: Bool { waiting.load(ordering: .relaxed) > 0 }

  /// Whether there is work that nobody has begun.
  var hasTasks: Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return !tasks.isEmpty
  }

  /// Whether the one who asks does the last of the work there is.
  var isLast: Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return tasks.isEmpty && working <= 1
  }

  /// Does work until there is none anywhere.
  func work(_ body: (Task) -> Void) {
    pthread_mutex_lock(mutex)
    while true {
      if isStopped { break }
      if let task = tasks.popLast() {
        working += 1
        pthread_mutex_unlock(mutex)
        body(task)
        pthread_mutex_lock(mutex)
        working -= 1
      } else if working > 0 {
        waiting.add(1, ordering: .relaxed)
        pthread_cond_wait(changed, mutex)
        waiting.subtract(1, ordering: .relaxed)
      } else {
        break
      }
    }
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }

  /// Drops what is not begun.
  func stop() {
    pthread_mutex_lock(mutex)
    isStopped = true
    tasks = []
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }
}
