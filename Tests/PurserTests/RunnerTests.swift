import Glibc
import PurserModel
import PurserStore
import Synchronization
import Testing

@testable import Purser

/// What tasks did, in the order in which they did it.
final class Diary: Sendable {
  private let lines = Mutex<[String]>([])

  func note(_ line: String) { lines.withLock { $0.append(line) } }

  /// What was noted since the last time, sorted.
  func take() -> [String] {
    lines.withLock { lines in
      defer { lines = [] }
      return lines.sorted()
    }
  }
}

@Suite("A pipeline of a Swift program")
struct RunnerTests {
  let workspace = Workspace()
  let diary = Diary()

  private struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  /// Other tests of this process send it signals, and look at what they do.
  private static func options(jobs: Int = 2) -> RunOptions {
    var options = RunOptions(jobs: jobs)
    options.catchesSignals = false
    return options
  }

  /// How each task ended, by its name.
  @discardableResult
  private func run(
    _ pipeline: Pipeline, on storageKey: String = "main", _ targets: [String] = [], jobs: Int = 2
  ) throws -> [String: String] {
    let runner = try Runner(pipeline, cache: workspace.cache(on: storageKey))
    let summary = try runner.run(targets, options: Self.options(jobs: jobs))
    var endings: [String: String] = [:]
    for (task, ending) in zip(runner.pipeline.tasks, summary.endings) { endings[task.spec.id] = ending?.word }
    return endings
  }

  private func refusal(_ tasks: [PipelineTask]) -> String? {
    do throws(PurserError) {
      _ = try Pipeline(tasks)
      return nil
    } catch {
      return error.code == .refused ? error.message : "\(error.code): \(error.message)"
    }
  }

  // MARK: Declaring

  @Test("may be listed in any order, in loops and under conditions")
  func order() throws {
    let pipeline = try Pipeline {
      PipelineTask("last", command: ["true"], after: ["b1", "b2"])
      for number in 1...2 { PipelineTask("b\(number)", command: ["true"], after: ["first"]) }
      if diary.take().isEmpty { PipelineTask("first", command: ["true"]) } else { PipelineTask("x", command: ["true"]) }
      [PipelineTask("other", command: ["true"])]
    }
    #expect(pipeline.tasks.map(\.spec.id) == ["first", "other", "b1", "b2", "last"])
    #expect(pipeline.tasks.map(\.dependencies) == [[], [], [0], [0], [2, 3]])
  }

  @Test("that cannot be run is refused with what is wrong")
  func refusals() {
    func task(_ id: String, after upstream: String...) -> PipelineTask {
      PipelineTask(id, command: ["true"], after: upstream)
    }
    #expect(refusal([task("a"), task("a")]) == "the pipeline has two tasks 'a'; give one another name")
    #expect(
      refusal([task("clean"), task("b", after: "claen")])
        == "task 'b' comes after 'claen', which is not in the pipeline; did you mean 'clean'?")
    #expect(
      refusal([task("d", after: "c"), task("a", after: "c"), task("b", after: "a"), task("c", after: "b"), task("e")])
        == "tasks wait for each other: 'c' after 'b' after 'a' after 'c'; take one of these out of 'after'")
    #expect(
      refusal([task("a"), PipelineTask("b", over: "a") { (_: Int, _) in }])
        == "task 'b' maps over 'a', which returns nothing; return a list there, or, for a command, add .keepingData()")
  }

  @Test("has its paths checked by the runner", .temporaryFolder)
  func paths() throws {
    let pipeline = try Pipeline([PipelineTask("a", command: ["true"], outputs: ["../out"])])
    #expect(throws: PurserError.self) { try Runner(pipeline, cache: workspace.cache()) }
  }

  // MARK: Closures

  private struct Reading: Codable, Equatable {
    var station: String
    var value: Double
  }

  private func readings(version: String = "1", values: [Double] = [1, 2.5]) throws -> Pipeline {
    let folder = TemporaryFolder.current
    return try Pipeline {
      PipelineTask("read", version: version) { [diary] context -> [Reading] in
        diary.note("read")
        context.print("reading")
        return values.map { Reading(station: "s\($0)", value: $0) }
      }
      PipelineTask("sum", version: "1", outputs: ["sum.txt"], after: ["read"]) { [diary] context in
        diary.note("sum")
        let readings: [Reading] = try context.data(of: "read")
        try folder.write("project/sum.txt", "\(readings.map(\.value).reduce(0, +))")
      }
    }
  }

  @Test("hands values on, and runs what changed", .temporaryFolder)
  func values() throws {
    #expect(try run(readings()) == ["read": "ran", "sum": "ran"])
    #expect(diary.take() == ["read", "sum"] && workspace.text("sum.txt") == "3.5")
    #expect(try run(readings()) == ["read": "fresh", "sum": "fresh"] && diary.take() == [])
    // Early cutoff: made anew, and the same.
    #expect(try run(readings(version: "2")) == ["read": "ran", "sum": "fresh"] && diary.take() == ["read"])
    #expect(try run(readings(version: "3", values: [4])) == ["read": "ran", "sum": "ran"])
    #expect(diary.take() == ["read", "sum"] && workspace.text("sum.txt") == "4.0")
    let cache = try workspace.cache()
    #expect(try cache.data(of: "read", as: [Reading].self) == [Reading(station: "s4.0", value: 4)])
    #expect(throws: DecodingError.self) { try cache.data(of: "read", as: [String].self) }
    #expect(try cache.data(of: "sum") == nil)
    // On another branch nothing runs.
    #expect(try run(readings(version: "3", values: [4]), on: "feature") == ["read": "restored", "sum": "restored"])
    #expect(try run(readings(), on: "feature") == ["read": "restored", "sum": "restored"])
    #expect(diary.take() == [] && workspace.text("sum.txt") == "3.5")
  }

  @Test("without versions depends on the program itself", .temporaryFolder)
  func program() throws {
    let pipeline = try Pipeline([PipelineTask("a") { _ in 1 }])
    try run(pipeline)
    let spec = try #require(try workspace.cache().storedSpecification(of: "a"))
    #expect(spec.tools.count == 1 && spec.tools.first?.isAbsolutePath == true && spec.arguments == [])
    #expect(try run(pipeline) == ["a": "fresh"])
  }

  @Test("may fail, and says why", .temporaryFolder)
  func failures() throws {
    let pipeline = try Pipeline {
      PipelineTask("a", version: "1") { _ in throw Failure(description: "no disk today") }
      PipelineTask("b", version: "1", after: ["a"]) { [diary] _ in diary.note("b") }
      PipelineTask("c", version: "1") { _ in Double.nan }
      PipelineTask("d", version: "1", after: ["c"]) { context in try context.data(of: "a", as: Int.self) }
    }
    let runner = try Runner(pipeline, cache: workspace.cache())
    var options = Self.options(jobs: 1)
    options.keepsGoing = true
    let summary = try runner.run(options: options)
    #expect(summary.exitCode == 1 && diary.take() == [])
    let endings = summary.endings.map { $0?.text ?? "" }
    #expect(
      Dictionary(uniqueKeysWithValues: zip(runner.pipeline.tasks.map(\.spec.id), endings)) == [
        "a": "failed: no disk today", "b": "skipped: 'a' did not succeed", "c": "failed: JSON has no number nan",
        "d": "skipped: 'c' did not succeed",
      ])
    let cache = try workspace.cache()
    let run = try #require(try cache.runs(of: "a", limit: 1).first)
    #expect(String(decoding: try cache.printedText(of: run).error, as: UTF8.self) == "no disk today\n")
    let misuse = try Pipeline {
      PipelineTask("clean", version: "1") { _ in 1 }
      PipelineTask("d", version: "1", after: ["clean"]) { context in try context.data(of: "claen", as: Int.self) }
    }
    let last = try Runner(misuse, cache: cache).run(options: Self.options()).endings.last
    #expect(
      last??.text
        == "failed: task 'd' asks for the data of 'claen', which it does not come after; did you mean 'clean'?; name it in 'after'"
    )
  }

  @Test("suspends without holding up others, and blocks without harm", .temporaryFolder)
  func asynchronous() throws {
    // As many as the cooperative pool has threads, and more: each waits for the next, blocking.
    let gate = Atomic(0)
    let count = 8
    let pipeline = try Pipeline(
      (0..<count).map { number in
        PipelineTask("t\(number)", version: "1") { _ in
          await Task.yield()
          gate.add(1, ordering: .relaxed)
          while gate.load(ordering: .relaxed) < count { usleep(1000) }
          try await Task.sleep(for: .milliseconds(1))
          return try await withThrowingTaskGroup(of: Int.self) { group in
            for part in 0..<3 { group.addTask { part } }
            return try await group.reduce(0, +)
          }
        }
      })
    #expect(Set(try run(pipeline, jobs: count).values) == ["ran"])
    #expect(try workspace.cache().data(of: "t0", as: Int.self) == 3)
  }

  // MARK: Items

  private func mapped(_ list: [String], failing: Set<String> = [], version: String = "1") throws -> Pipeline {
    let folder = TemporaryFolder.current
    return try Pipeline {
      PipelineTask("list", version: list.joined(separator: ",")) { _ in list }
      PipelineTask("each", over: "list", version: version, outputs: ["out/${item}"]) {
        [diary] (name: String, context) in
        diary.note(name)
        context.print("at \(context.item ?? "-")")
        if failing.contains(name) { throw Failure(description: "bad \(name)") }
        try folder.write("project/out/" + ByteString(name), name)
        return name.count
      }
      PipelineTask("total", version: "1", after: ["each"]) { context in
        try context.data(of: "each", as: [Int].self).reduce(0, +)
      }
    }
  }

  @Test("keeps items that did not change, and goes on with those that failed", .temporaryFolder)
  func items() throws {
    #expect(
      try run(mapped(["a", "bb", "ccc"], failing: ["bb"])) == ["list": "ran", "each": "failed", "total": "skipped"])
    #expect(diary.take() == ["a", "bb", "ccc"])
    let cache = try workspace.cache()
    #expect(try cache.subtasks(of: "each").map(\.status) == [.done, .failed, .done])
    #expect(try cache.subtasks(of: "each")[1].error == "bad bb")
    #expect(try run(mapped(["a", "bb", "ccc"])) == ["list": "fresh", "each": "ran", "total": "ran"])
    #expect(diary.take() == ["bb"])
    #expect(try cache.data(of: "total", as: Int.self) == 6)
    // Grown, and in another order.
    #expect(try run(mapped(["ccc", "dddd", "a", "bb"])) == ["list": "ran", "each": "ran", "total": "ran"])
    #expect(diary.take() == ["dddd"])
    #expect(try cache.data(of: "each", as: [Int].self) == [3, 4, 1, 2])
    // Shrunk: what is not in the list is gone.
    #expect(try run(mapped(["a"]))["each"] == "restored")
    #expect(diary.take() == [] && workspace.folder.names(in: "project/out") == ["a"])
    #expect(try run(mapped(["a"], version: "2"))["each"] == "ran")
    #expect(diary.take() == ["a"])
  }

  @Test("takes items of any type, by their value", .temporaryFolder)
  func structuredItems() throws {
    func pipeline(_ readings: [Reading]) throws -> Pipeline {
      try Pipeline {
        PipelineTask("list", version: "\(readings)") { _ in readings }
        PipelineTask("double", over: "list", version: "1") { [diary] (reading: Reading, _) in
          diary.note(reading.station)
          return reading.value * 2
        }
      }
    }
    let some = [Reading(station: "a", value: 1), Reading(station: "b", value: 2)]
    try run(pipeline(some))
    #expect(diary.take() == ["a", "b"])
    try run(pipeline([some[1], Reading(station: "a", value: 3)]))
    #expect(diary.take() == ["a"])
    #expect(try workspace.cache().data(of: "double", as: [Double].self) == [4, 6])
    let wrong = try Pipeline {
      PipelineTask("list", version: "x") { _ in ["text"] }
      PipelineTask("double", over: "list", version: "1") { (number: Int, _) in number }
    }
    let endings = try Runner(wrong, cache: workspace.cache()).run(options: Self.options()).endings
    #expect(
      endings[1]?.text
        == "failed: item 'text': an item of task 'double' is no Int: Int is expected, not a text; it is \"text\"")
  }

  // MARK: Watching and stopping

  @Test("tells all that happens, in order", .temporaryFolder)
  func events() async throws {
    let run = try Runner(mapped(["a", "bb"]), cache: workspace.cache()).start(options: Self.options(jobs: 1))
    var seen: [String] = []
    for await event in run.events {
      switch event {
      case .planned(let plan, let pipeline):
        seen.append("planned \(plan.entries.count { $0?.isFresh == false }) of \(pipeline.tasks.count)")
      case .started(let task, let reasons): seen.append("started \(task): \(reasons.first?.kind ?? "")")
      case .line(let task, let item, _, let text):
        seen.append("\(task) \(item ?? "-") \(String(decoding: text, as: UTF8.self))")
      case .progress(let task, let done, let failed, let total):
        if done == total { seen.append("\(task) \(done)/\(failed)/\(total)") }
      case .ended(let task, let ending): seen.append("ended \(task): \(ending.word)")
      case .warning, .error, .resuming, .waiting, .retrying: seen.append("\(event)")
      }
    }
    #expect(
      seen == [
        "planned 3 of 3", "started list: neverRan", "ended list: ran", "started each: neverRan", "each a at a",
        "each bb at bb", "each 2/0/2", "ended each: ran", "started total: neverRan", "ended total: ran",
      ])
    #expect(try await run.summary.exitCode == 0)
    #expect(try await run.summary.endings.count == 3)
  }

  @Test("is stopped by whoever started it, and goes on later", .temporaryFolder)
  func cancelled() async throws {
    let pipeline = try Pipeline {
      PipelineTask("closure", version: "1") { [diary] _ in
        diary.note("begun")
        try await Task.sleep(for: .seconds(600))
      }
      PipelineTask("list", version: "1") { _ in [1, 2, 3] }
      PipelineTask("each", over: "list", version: "1") { [diary] (number: Int, _) in
        diary.note("item \(number)")
        if number == 2 { try await Task.sleep(for: .seconds(600)) }
        return number
      }
      PipelineTask("never", version: "1", after: ["closure"]) { [diary] _ in diary.note("never") }
    }
    let runner = try Runner(pipeline, cache: workspace.cache())
    let run = runner.start(options: Self.options(jobs: 4))
    while try !workspace.cache().subtasks(of: "each").contains(where: { $0.status == .done }) {
      try await Task.sleep(for: .milliseconds(5))
    }
    run.cancel()
    let summary = try await run.summary
    #expect(summary.exitCode == 128 + SIGTERM)
    var words: [String: String] = [:]
    for (task, ending) in zip(runner.pipeline.tasks, summary.endings) { words[task.spec.id] = ending?.word }
    #expect(
      words == [
        "closure": "interrupted", "list": "ran", "each": "interrupted", "never": "skipped",
      ])
    #expect(!diary.take().contains("never"))
    let cache = try workspace.cache()
    #expect(
      try cache.decide(try #require(try cache.storedSpecification(of: "closure"))).reasons.map(\.kind) == [
        "interrupted"
      ])
    #expect(try cache.subtasks(of: "each").map(\.isDone).prefix(2) == [true, false])
  }

  @Test("has its commands stopped too")
  func cancelledCommand() async {
    // In a process of its own: a command changes how signals are handled.
    await #expect(processExitsWith: .success) {
      var template = Array("/tmp/purser-runner-XXXXXX".utf8CString)
      guard mkdtemp(&template) != nil else { exit(2) }
      let root = ByteString(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
      let pipeline = try Pipeline([
        PipelineTask("command", shell: "trap 'echo ended > ended; exit 3' TERM; touch started; sleep 600 & wait")
      ])
      let runner = try Runner(pipeline, cache: TaskCache.open(project: root, storageKey: "main", pipeline: "p"))
      let run = runner.start()
      while access(runner.cache.project.location(of: "started").escaped, F_OK) != 0 { usleep(5000) }
      run.cancel()
      let summary = try await run.summary
      let wasInterrupted = if case .interrupted? = summary.endings[0] { true } else { false }
      let hasEnded = access(runner.cache.project.location(of: "ended").escaped, F_OK) == 0
      _ = system("rm -r '\(root.escaped)'")
      exit(summary.exitCode == 128 + SIGTERM && wasInterrupted && hasEnded ? EXIT_SUCCESS : EXIT_FAILURE)
    }
  }

  @Test("is stopped with the task that waits for it", .temporaryFolder)
  func cancelledByTask() async throws {
    let pipeline = try Pipeline([
      PipelineTask("closure", version: "1") { [diary] _ in
        diary.note("begun")
        try await Task.sleep(for: .seconds(600))
      }
    ])
    let run = try Runner(pipeline, cache: workspace.cache()).start(options: Self.options())
    let waiting = Task { try await run.summary.exitCode }
    while diary.take().isEmpty { try await Task.sleep(for: .milliseconds(5)) }
    waiting.cancel()
    #expect(try await waiting.value == 128 + SIGTERM)
  }

  @Test("whose tasks are asked for by name, or by a wrong one", .temporaryFolder)
  func targets() async throws {
    let pipeline = try mapped(["a"])
    #expect(try run(pipeline, ["list"]) == ["list": "ran"])
    let runner = try Runner(pipeline, cache: workspace.cache())
    #expect(throws: PurserError(.missing, "pipeline 'penguins' has no task 'lits'; did you mean 'list'?")) {
      try runner.run(["lits"], options: Self.options())
    }
    let run = runner.start(["lits"], options: Self.options())
    for await event in run.events { Issue.record("\(event)") }
    await #expect(throws: PurserError.self) { try await run.summary }
    #expect(try runner.plan(["each"]).entries.map { $0?.word } == ["fresh", "run", nil])
    #expect(try runner.states().map(\.word) == ["fresh", "new", "new"])
  }
}

extension TaskEnding {
  fileprivate var text: String {
    switch self {
    case .failed(let why, _, _): "failed: \(why)"
    case .skipped(let why): "skipped: \(why)"
    default: word
    }
  }
}
