import Glibc
import PurserModel

/// How long each of many calls took, in nanoseconds.
struct Latencies {
  var samples: [Int64] = []

  /// Nanoseconds of `CLOCK_MONOTONIC`, which is one clock for all processes.
  static func clock() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  /// Runs `body` and notes how long it took.
  mutating func time<Result>(_ body: () throws -> Result) rethrows -> Result {
    let start = Self.clock()
    let result = try body()
    samples.append(Self.clock() - start)
    return result
  }

  /// Count, and percentiles in microseconds.
  var summary: JSON {
    let sorted = samples.sorted()
    func microseconds(_ share: Double) -> JSON {
      sorted.isEmpty ? .null : .number(Double(sorted[Int(Double(sorted.count - 1) * share)]) / 1000)
    }
    return .object([
      ("count", .integer(Int64(sorted.count))), ("p50", microseconds(0.5)), ("p95", microseconds(0.95)),
      ("p99", microseconds(0.99)), ("max", microseconds(1)),
    ])
  }
}
