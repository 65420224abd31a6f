import Glibc
import Purser
import PurserModel
import Synchronization

/// Shows a run as it goes: a line for each task, and on a terminal a last line that is brought up to date.
final class RunDisplay: Sendable {
  private let console: Console
  private let jobs: Int
  /// Whether somebody looks at standard error.
  private let isLive: Bool
  private let state: Mutex<State>

  private struct State {
    var total = 0
    var ended = 0
    var failed = 0
    /// Expected microseconds of the tasks that have to run and are not over.
    var remaining: [String: Int64] = [:]
    var running: [String] = []
    /// Tasks that another process was at.
    var waited: Set<String> = []
    var items: [String: (done: Int, failed: Int, total: Int, since: Int64, first: Int)] = [:]
    var isShown = false
    var drawn: Int64 = 0
  }

  init(_ console: Console, jobs: Int) {
    self.console = console
    self.jobs = jobs
    isLive = isatty(2) == 1 && console.verbosity != .quiet && !console.isJSON
    state = Mutex(State())
  }

  func show(_ event: RunEvent) {
    state.withLock { state in
      switch event {
      case .warning(let message): above(&state) { console.warn(message) }
      case .error(let message): above(&state) { console.error(message) }
      case .planned(let plan, let pipeline): begin(&state, plan, pipeline)
      case .resuming(let startedAt, let done, let count):
        say(&state, "takes up the run of \(startedAt) that was killed: \(done) of its \(count) tasks were done")
      case .waiting(let task, let pid, let since, let isJoined):
        state.waited.insert(task)
        say(&state, "\(task): \(isJoined ? "joining" : "waiting for") process \(pid), at work since \(since)")
      case .started(let task, let reasons):
        state.running.append(task)
        if isLive || console.verbosity == .verbose { say(&state, "\(task): running (\(summary(reasons)))") }
      case .line(let task, let item, let stream, let text): line(&state, task, item, stream, text)
      case .progress(let task, let done, let failed, let total):
        let known = state.items[task]
        state.items[task] = (done, failed, total, known?.since ?? Self.now(), known?.first ?? done)
      case .retrying(let task, let attempt, let count, let delay):
        let seconds = delay.components.seconds
        say(&state, "\(task): trying again in \(seconds) s (\(attempt) of \(count))")
      case .ended(let task, let ending): end(&state, task, ending)
      }
      draw(&state)
    }
  }

  private func begin(_ state: inout State, _ plan: Plan, _ pipeline: Pipeline) {
    for (place, entry) in plan.entries.enumerated() {
      guard let entry else { continue }
      state.total += 1
      guard isLive, !entry.isFresh else { continue }
      state.remaining[pipeline.tasks.name(place)] = entry.expectedMicroseconds ?? 0
    }
  }

  private func end(_ state: inout State, _ task: String, _ ending: TaskEnding) {
    state.ended += 1
    if !state.remaining.isEmpty { state.remaining[task] = nil }
    if !state.items.isEmpty { state.items[task] = nil }
    state.running.removeAll { $0 == task }
    switch ending {
    case .fresh(let saved):
      if console.verbosity == .verbose || state.waited.contains(task) {
        say(&state, "\(task): fresh, saved \(Timestamp.duration(microseconds: saved))")
      }
    case .restored(let saved):
      say(&state, "\(task): restored, saved \(Timestamp.duration(microseconds: saved))")
    case .ran(let took, let items):
      say(&state, "\(task): ran in \(Timestamp.duration(microseconds: took))\(items.map(Self.text) ?? "")")
    case .failed(let why, _, let items):
      state.failed += 1
      above(&state) { console.error("task '\(task)' failed: \(why)\(items.map(Self.text) ?? "")") }
    case .interrupted: say(&state, "\(task): interrupted")
    case .skipped(let why):
      if console.verbosity == .verbose { say(&state, "\(task): skipped, \(why)") }
    }
  }

  private static func text(_ items: ItemCounts) -> String {
    var parts = ["\(items.ran) ran"]
    if items.restored > 0 { parts.append("\(items.restored) restored") }
    if items.kept > 0 { parts.append("\(items.kept) done before") }
    if items.failed > 0 { parts.append("\(items.failed) failed") }
    return " (of \(items.total) items: \(parts.joined(separator: ", ")))"
  }

  // MARK: Lines

  private func say(_ state: inout State, _ message: String) {
    guard console.verbosity != .quiet, !console.isJSON else { return }
    above(&state) { console.note(message) }
  }

  /// A line that a command printed, with its task's name where several may print.
  private func line(_ state: inout State, _ task: String, _ item: String?, _ stream: UInt8, _ text: [UInt8]) {
    var bytes: [UInt8] = []
    if jobs > 1 || item != nil {
      let name = item.map { "\(task)[\(ByteString($0).printable)]" } ?? task
      bytes += "\(name) | ".utf8
    }
    bytes += text
    bytes.append(UInt8(ascii: "\n"))
    above(&state) { Console.write(bytes, to: stream == 1 && !console.isJSON ? 1 : 2) }
  }

  /// Writes lines above the last one.
  private func above(_ state: inout State, _ write: () -> Void) {
    if state.isShown {
      Console.write("\r\u{1b}[K", to: 2)
      state.isShown = false
      state.drawn = 0
    }
    write()
  }

  // MARK: The last line

  private func draw(_ state: inout State) {
    guard isLive else { return }
    let now = Self.now()
    guard now - state.drawn >= 100_000 else { return }
    state.drawn = now
    var parts = ["[\(state.ended)/\(state.total)]"]
    if !state.running.isEmpty { parts.append("\(state.running.count) running") }
    if state.failed > 0 { parts.append("\(state.failed) failed") }
    var left: Int64 = 0
    for (task, items) in state.items.sorted(by: { $0.key < $1.key }) {
      var text = "\(task) \(items.done)/\(items.total)"
      if items.failed > 0 { text += ", \(items.failed) failed" }
      let elapsed = now - items.since
      let ran = Int64(items.done - items.first)
      if elapsed > 500_000, ran > 0 {
        text += ", \(ran * 1_000_000 / elapsed)/s"
        left = max(left, Int64(items.total - items.done - items.failed) * elapsed / ran)
      }
      parts.append(text)
    }
    let expected = state.remaining.reduce(Int64(0)) { sum, entry in
      state.items[entry.key] == nil ? sum + entry.value : sum
    }
    left = max(left, expected / Int64(max(1, jobs)))
    if left >= 1_000_000 { parts.append("about \(Timestamp.duration(microseconds: left)) left") }
    var size = winsize()
    let width = ioctl(2, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    Console.write("\r\u{1b}[K" + parts.joined(separator: " · ").prefix(width - 1), to: 2)
    state.isShown = true
  }

  private static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
  }

  // MARK: The end

  /// The sums: how many ran, were restored, were fresh, failed, and what that saved.
  func finish(_ summary: RunSummary, _ pipeline: Pipeline) {
    state.withLock { state in above(&state) {} }
    if console.isJSON { return console.print(summary.json(pipeline)) }
    guard console.verbosity != .quiet else { return }
    var counts: [String: Int] = [:]
    var saved: Int64 = 0
    for ending in summary.endings {
      guard let ending else { continue }
      counts[ending.word, default: 0] += 1
      switch ending {
      case .fresh(let time), .restored(let time): saved += time
      default: break
      }
    }
    let order = ["ran", "restored", "fresh", "failed", "interrupted", "skipped"]
    let parts = order.compactMap { word in counts[word].map { "\($0) \(word)" } }
    Self.say(console, counts.values.reduce(0, +), parts, saved, summary.microseconds)
  }

  /// The sums where nothing was to be done, and nothing was looked at closely.
  static func sayUntouched(_ console: Console, _ tasks: Int, saved: Int64, took: Int64) {
    say(console, tasks, ["\(tasks) fresh"], saved, took)
  }

  private static func say(_ console: Console, _ total: Int, _ parts: [String], _ saved: Int64, _ took: Int64) {
    guard console.verbosity != .quiet else { return }
    var text = "\(total) \(total == 1 ? "task" : "tasks"): \(parts.joined(separator: ", "))"
    text += ", in \(Timestamp.duration(microseconds: took))"
    if saved > 0 { text += "; saved \(Timestamp.duration(microseconds: saved))" }
    console.note(text)
  }
}

extension RunSummary {
  fileprivate func json(_ pipeline: Pipeline) -> JSON {
    let tasks = endings.enumerated().compactMap { place, ending -> JSON? in
      guard let ending else { return nil }
      var members: [(String, JSON)] = [("task", .string(pipeline.tasks.name(place))), ("ending", .string(ending.word))]
      switch ending {
      case .fresh(let saved), .restored(let saved): members.append(("savedMicroseconds", .integer(saved)))
      case .ran(let took, let items):
        members.append(("durationMicroseconds", .integer(took)))
        if let items { members.append(("items", items.json)) }
      case .failed(let why, let code, let items):
        members += [("error", .string(why)), ("exitCode", .integer(Int64(code)))]
        if let items { members.append(("items", items.json)) }
      case .skipped(let why): members.append(("because", .string(why)))
      case .interrupted: break
      }
      return .object(members)
    }
    return .object([
      ("graph", .string(pipeline.graph)), ("tasks", .array(tasks)), ("durationMicroseconds", .integer(microseconds)),
      ("exitCode", .integer(Int64(exitCode))),
    ])
  }
}

extension ItemCounts {
  fileprivate var json: JSON {
    .object([
      ("total", .integer(Int64(total))), ("ran", .integer(Int64(ran))), ("restored", .integer(Int64(restored))),
      ("kept", .integer(Int64(kept))), ("failed", .integer(Int64(failed))),
    ])
  }
}
