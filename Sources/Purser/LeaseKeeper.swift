import Glibc
import Synchronization

/// A thread that does something every so many seconds until it is told to stop.
///
/// A thread of its own, because the work under a lease may block every other one for hours.
final class LeaseKeeper: Sendable {
  private let pipe: (reading: Int32, writing: Int32)?

  init(seconds: Int64, _ renew: @escaping @Sendable () -> Void) {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else {
      pipe = nil
      return
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    pipe = (ends[0], ends[1])
    let work = Work(reading: ends[0], milliseconds: Int32(seconds * 1000), renew: renew)
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(work).toOpaque())
    if code == 0 { pthread_detach(thread) }
  }

  /// Ends the thread; a renewal under way is not waited for.
  func stop() {
    if let pipe { close(pipe.writing) }
  }

  /// What the thread works on; it closes its end of the pipe when the other is closed.
  private final class Work: Sendable {
    let reading: Int32
    let milliseconds: Int32
    let renew: @Sendable () -> Void

    init(reading: Int32, milliseconds: Int32, renew: @escaping @Sendable () -> Void) {
      self.reading = reading
      self.milliseconds = milliseconds
      self.renew = renew
    }

    func run() {
      var entry = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
      while poll(&entry, 1, milliseconds) == 0 { renew() }
      close(reading)
    }
  }
}
