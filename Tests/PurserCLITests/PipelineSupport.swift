import Glibc
import PurserModel
import Testing

/// What `purser run` came to, from its summary in JSON.
struct PipelineRun {
  let outcome: Outcome
  /// How each task ended: `ran`, `restored`, `fresh`, `failed`, `interrupted` or `skipped`.
  var endings: [String: String] = [:]
  /// What mapped tasks counted: `total`, `ran`, `restored`, `kept`, `failed`.
  var items: [String: [String: Int]] = [:]

  var code: Int32 { outcome.code }
  var errorText: String { outcome.errorText }

  init(_ outcome: Outcome) throws {
    self.outcome = outcome
    guard !outcome.output.isEmpty else { return }
    for task in try outcome.json()["tasks"]?.array ?? [] {
      let name = try #require(task["task"]?.string)
      endings[name] = task["ending"]?.string
      guard let counts = task["items"] else { continue }
      for field in ["total", "ran", "restored", "kept", "failed"] {
        items[name, default: [:]][field] = counts[field].flatMap { Int($0.serialized) }
      }
    }
  }
}

/// An item as `purser subtasks --json` shows it.
struct ShownItem {
  let key: String
  let index: Int
  let isDone: Bool
  let status: String?
  let error: String?
  let attempt: Int
}

extension TestProject {
  /// Runs the pipeline, and reads the summary.
  func runPipeline(
    _ arguments: ByteString..., in inner: ByteString = ".", environment: [String: ByteString] = [:]
  ) throws -> PipelineRun {
    try PipelineRun(purser(["run", "--json"] + arguments, in: inner, environment: environment))
  }

  /// The lines of a file of counts, in the order in which they were written.
  func lines(_ name: ByteString) -> [String] {
    let bytes = (try? contents(ofFile: folder + "/counts/" + name)) ?? []
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
      .dropLast().map(String.init)
  }

  /// Forgets what was counted.
  func clearCounts() throws {
    for name in names("../counts") { try remove("../counts/" + name) }
  }

  /// The items of a mapped task.
  func items(of task: ByteString, environment: [String: ByteString] = [:]) throws -> [ShownItem] {
    let outcome = try purser(["subtasks", task, "--json"], environment: environment)
    try #require(outcome.code == 0, "\(outcome.errorText)")
    return try (outcome.json().array ?? []).map { item in
      ShownItem(
        key: try #require(item["key"]?.string), index: item["i"].flatMap { Int($0.serialized) } ?? -1,
        isDone: item["endTime"]?.string != nil && item["status"]?.string != "failed", status: item["status"]?.string,
        error: item["error"]?.string, attempt: item["attempt"].flatMap { Int($0.serialized) } ?? 0)
    }
  }

  /// How a task stands: a member of its object in `purser status --json`, such as `state` or `status`.
  func status(of task: String, _ member: String = "status", environment: [String: ByteString] = [:]) throws -> String? {
    let tasks = try purser("status", "--json", environment: environment).json()["tasks"]?.array ?? []
    return tasks.first { $0["task"]?.string == task }?[member]?.string
  }

  /// Nothing that was started in the project is left.
  func expectNoProcess(_ comment: Comment? = nil) {
    #expect(hasComeTrue { processes(in: root).isEmpty }, comment)
  }

  /// Whether the pipeline's Python functions can be called.
  static let hasPython = access("/usr/bin/python3", X_OK) == 0 || access("/usr/local/bin/python3", X_OK) == 0

  /// How often a test repeats what has to go well every time: `PURSER_TEST_ROUNDS`, if it is given.
  static func rounds(_ usual: Int) -> Int {
    getenv("PURSER_TEST_ROUNDS").flatMap { Int(String(cString: $0)) } ?? usual
  }
}

// MARK: Mapped tasks

extension TestProject {
  /// Writes a pipeline whose task `work` maps over what `list.json` holds.
  ///
  /// - Parameter fields: of `work`, a line each.
  func writeMapped(_ fields: String, over names: String = "name", more: String = "") throws {
    let indented = fields.split(separator: "\n", omittingEmptySubsequences: false).map { "    \($0)\n" }.joined()
    try write(
      "purser.yaml",
      """
      tasks:
        list:
          command: cat list.json > "$PURSER_RESULT"
          inputs: [list.json]
          cache_result: true
          iterable_item: \(names)
        work:
          after: list
          map_over: \(names)
      \(indented)
      \(more)
      """)
  }

  /// Writes the list that is mapped over.
  func writeList(_ names: [String]) throws {
    try write("list.json", JSON.array(names.map { .string($0) }).serialized)
  }

  /// How often each item was executed, by the lines of a file of counts.
  func executionsByItem(_ name: ByteString = "items") -> [String: Int] {
    lines(name).reduce(into: [:]) { $0[$1, default: 0] += 1 }
  }
}

/// A suite on one mapped task, whose items note themselves in the file of counts `items`.
protocol MappedSuite {
  var project: TestProject { get }
}

extension MappedSuite {
  /// An item fails as long as there is a file of its name in `bad` beside the project.
  static var command: String {
    #"command: echo "$name" >> "$COUNTS/items"; [ ! -e "../bad/$name" ]"#
  }
  static var withOutput: String {
    command + #"; printf '%s' "$name" > "out/$name""# + "\noutputs: ['out/${name}']"
  }

  func makeBad(_ names: String...) throws {
    try project.makeFolder("../bad")
    for name in names { try project.write(ByteString("../bad/" + name), "") }
  }

  func counts(ran: Int = 0, restored: Int = 0, kept: Int = 0, failed: Int = 0) -> [String: [String: Int]] {
    [
      "work": [
        "total": ran + restored + kept + failed, "ran": ran, "restored": restored, "kept": kept, "failed": failed,
      ]
    ]
  }

  /// Runs, and returns which items were executed, sorted.
  func run(_ options: ByteString..., code: Int32 = 0) throws -> [String] {
    try project.clearCounts()
    let outcome = try project.purser(["run", "--json"] + options)
    #expect(outcome.code == code, "\(outcome.errorText)")
    return project.lines("items").sorted()
  }
}
