import Glibc

/// A moment of `CLOCK_MONOTONIC`, in nanoseconds.
package struct MonotonicTime: Comparable, Sendable {
  var nanoseconds: Int64

  /// Now.
  package static func now() -> MonotonicTime {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return MonotonicTime(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  /// Saturates, so that a timeout of a thousand years is no trap.
  package func advanced(by duration: Duration) -> MonotonicTime {
    let (seconds, attoseconds) = duration.components
    let (scaled, tooLong) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, overflow) = nanoseconds.addingReportingOverflow(scaled)
    if tooLong || overflow { return MonotonicTime(nanoseconds: seconds < 0 ? .min : .max) }
    let (total, past) = sum.addingReportingOverflow(attoseconds / 1_000_000_000)
    return MonotonicTime(nanoseconds: past ? .max : total)
  }

  /// The time from this moment to a later one.
  package func duration(to later: MonotonicTime) -> Duration {
    .nanoseconds(later.nanoseconds - nanoseconds)
  }

  /// Whole milliseconds until then, rounded up so that a poll does not wake too early; 0 if it is past.
  package var millisecondsFromNow: Int32 {
    let (left, overflow) = nanoseconds.subtractingReportingOverflow(Self.now().nanoseconds)
    if overflow || left > 1_000_000_000_000 { return 1_000_000 }
    return left <= 0 ? 0 : Int32((left + 999_999) / 1_000_000)
  }

  package static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
    left.nanoseconds < right.nanoseconds
  }
}
