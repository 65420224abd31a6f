import Glibc
import Synchronization

/// A thread that does something again and again until it is told to stop.
///
/// A thread of its own, because the work beside it (a command under a lease, say) may block every other one for hours.
final class RepeatingThread: Sendable {
  private let pipe: (reading: Int32, writing: Int32)?

  init(everyMilliseconds milliseconds: Int32, _ work: @escaping @Sendable () -> Void) {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else {
      pipe = nil
      return
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    pipe = (ends[0], ends[1])
    let body = Body(reading: ends[0], milliseconds: milliseconds, work: work)
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(body).toOpaque())
    if code == 0 { pthread_detach(thread) }
  }

  /// Ends the thread; work under way is not waited for.
  func stop() {
    if let pipe { close(pipe.writing) }
  }

  /// What the thread works on; it closes its end of the pipe when the other is closed.
  private final class Body: Sendable {
    let reading: Int32
    let milliseconds: Int32
    let work: @Sendable () -> Void

    init(reading: Int32, milliseconds: Int32, work: @escaping @Sendable () -> Void) {
      self.reading = reading
      self.milliseconds = milliseconds
      self.work = work
    }

    func run() {
      var entry = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
      while poll(&entry, 1, milliseconds) == 0 { work() }
      close(reading)
    }
  }
}
