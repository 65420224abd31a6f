import Glibc
import Synchronization

/// Threads that end when their work does. Not Swift's cooperative pool, which blocking reads would starve.
final class WorkerThreads {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  private var threads: [pthread_t] = []

  /// The number of processors that this process may use.
  static let processors = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

  /// Starts a thread; `false` where the system refuses one, and the caller's thread does the work alone.
  @discardableResult
  func start(_ run: @escaping @Sendable () -> Void) -> Bool {
    var thread = pthread_t()
    let body = Unmanaged.passRetained(Body(run))
    let error = pthread_create(
      &thread, nil,
      { body in
        if let body { Unmanaged<Body>.fromOpaque(body).takeRetainedValue().run() }
        return nil
      }, body.toOpaque())
    guard error == 0 else {
      body.release()
      return false
    }
    threads.append(thread)
    return true
  }

  /// Waits for the threads' end.
  func join() {
    for thread in threads { pthread_join(thread, nil) }
    threads = []
  }

  /// Runs `body` on `count` threads, the caller's among them, and returns when all have returned.
  static func run(_ count: Int, _ body: @escaping @Sendable () -> Void) {
    let threads = WorkerThreads()
    for _ in 1..<max(count, 1) { threads.start(body) }
    body()
    threads.join()
  }
}
