import Glibc

/// Runs `body` on threads of its own, all at once whatever the number of cores, and waits for them.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  final class Start: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
      self.body = body
    }
  }
  var threads = [pthread_t](repeating: 0, count: count)
  for number in 0..<count {
    let start = Unmanaged.passRetained(Start { body(number) })
    let code = pthread_create(
      &threads[number], nil,
      { argument in
        if let argument { Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body() }
        return nil
      }, start.toOpaque())
    precondition(code == 0, "a test needs threads")
  }
  for thread in threads { pthread_join(thread, nil) }
}
