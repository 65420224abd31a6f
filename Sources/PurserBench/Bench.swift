import Glibc
import PurserModel
import PurserSQLite
import PurserStore

/// `purser-bench WORKLOAD STORE [NUMBER…] [--not-durable]`: latencies of calls to a record store, as JSON.
///
/// For `scripts/bench`: what a call costs without the start of a process. The store is filled by its caller.
@main
struct Bench {
  static let usage = """
    usage: purser-bench create STORE FIRST COUNT [--not-durable]    records by opening and closing runs
           purser-bench lookup STORE RECORDS COUNT                  by key, all, history
           purser-bench audit STORE COUNT [--not-durable]           a change of state, with its event
           purser-bench progress STORE ITEMS COUNT [--not-durable]  an item's end, one at a time
           purser-bench delete STORE ITEMS COUNT [--not-durable]    a record with so many subtasks
           purser-bench claims STORE PROCESSES SECONDS WORK_MS [--not-durable]
           purser-bench writers STORE PROCESSES SECONDS [--not-durable]
    """

  let store: SQLiteRecordStore
  let isDurable: Bool

  static func main() {
    do {
      var words = Array(CommandLine.arguments.dropFirst())
      let isDurable = !words.contains("--not-durable")
      words.removeAll { $0 == "--not-durable" }
      let numbers = words.dropFirst(2).compactMap { Int($0) }
      guard words.count >= 3, numbers.count == words.count - 2, numbers.allSatisfy({ $0 >= 0 }) else {
        return fail(usage, 64)
      }
      let store = SQLiteRecordStore(directory: ByteString(words[1]), isDurable: isDurable, now: now)
      let bench = Bench(store: store, isDurable: isDurable)
      var arguments = CommandLine.arguments
      let report: JSON?
      switch (words[0], numbers.count) {
      case ("create", 2): report = try bench.create(first: numbers[0], count: numbers[1])
      case ("lookup", 2): report = try bench.lookup(records: numbers[0], count: numbers[1])
      case ("audit", 1): report = try bench.audit(count: numbers[0])
      case ("progress", 2): report = try bench.progress(items: numbers[0], count: numbers[1])
      case ("delete", 2): report = try bench.delete(items: numbers[0], count: numbers[1])
      case ("claims", 3), ("writers", 2):
        arguments[1] = words[0] == "claims" ? "claimer" : "writer"
        let crew = try Crew(arguments: arguments, count: numbers[0])
        report = words[0] == "claims" ? crew.claims : crew.writes
      case ("claimer", 3):
        try bench.claim(seconds: numbers[1], workMilliseconds: numbers[2])
        report = nil
      case ("writer", 2):
        try bench.write(seconds: numbers[1])
        report = nil
      default: return fail(usage, 64)
      }
      if let report { print(report.serialized) }
    } catch {
      fail("error: \(error)", 1)
    }
  }

  static func fail(_ message: String, _ code: Int32) {
    let line = Array((message + "\n").utf8)
    _ = Glibc.write(2, line, line.count)
    exit(code)
  }

  /// The clock of the store.
  @Sendable static func now() -> String { later(0) }

  static func later(_ seconds: Int64) -> String {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp.string(
      microseconds: (Int64(time.tv_sec) + seconds) * 1_000_000 + Int64(time.tv_nsec) / 1000)
  }
}
