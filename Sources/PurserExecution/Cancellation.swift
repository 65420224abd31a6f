import Glibc
import Synchronization

/// A request to stop, from within this process: for commands as a SIGTERM that arrives once, for whoever else looks.
package final class Cancellation: Sendable {
  private let flag = Atomic(false)
  private let writing: Int32

  /// Readable for ever once stopping was asked for; -1 where no more files can be opened, and only ``isRequested`` tells.
  package let descriptor: Int32

  package init() {
    var ends: [Int32] = [-1, -1]
    _ = pipe(&ends)
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    (descriptor, writing) = (ends[0], ends[1])
  }

  deinit {
    for end in [descriptor, writing] where end >= 0 { close(end) }
  }

  /// Whether stopping was asked for. Cheap; for any thread.
  package var isRequested: Bool { flag.load(ordering: .acquiring) }

  /// Asks to stop. Once and for all; for any thread.
  package func request() {
    guard !flag.exchange(true, ordering: .acquiringAndReleasing) else { return }
    var byte: UInt8 = 0
    write(writing, &byte, 1)
  }
}
