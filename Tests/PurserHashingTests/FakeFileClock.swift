import Glibc
import PurserHashing
import Synchronization

/// A clock that stands until it is moved, and that may do something whenever it is read.
final class FakeFileClock: FileClock {
  private let time: Mutex<Int64>
  private let tick: Int64
  private let whenRead: @Sendable () -> Void

  init(_ time: Int64 = 0, granularity: Int64 = 8_000_000, whenRead: @escaping @Sendable () -> Void = {}) {
    self.time = Mutex(time)
    self.tick = granularity
    self.whenRead = whenRead
  }

  /// An hour after the test began: every file that a test writes is settled.
  static func ahead(whenRead: @escaping @Sendable () -> Void = {}) -> FakeFileClock {
    FakeFileClock(SystemFileClock().now() + 3_600_000_000_000, whenRead: whenRead)
  }

  func set(_ now: Int64) { time.withLock { $0 = now } }

  func now() -> Int64 {
    whenRead()
    return time.withLock { $0 }
  }

  func granularity(ofDescriptor descriptor: Int32, device: UInt64) -> Int64 { tick }
}
