import Purser
import PurserExecution
import PurserModel

let runsCommand = CommandSpec(
  name: "runs", summary: "list past runs, newest first", operands: "[TASK]",
  options: [.value("limit", "N", "at most so many (default: 20)")], takesOperands: true
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  let limit = try session.positiveNumber("limit", "runs")
  let task = invocation.operands.first?.escaped
  let runs = try cache.runs(of: task, limit: limit ?? 20)
  if let task, runs.isEmpty { throw try session.unknownTask(task, cache) }
  if session.console.isJSON {
    session.console.print(.object([("runs", .array(runs.map(\.json)))]))
    return 0
  }
  let rows = runs.map { run -> [(text: String, style: Console.Style?)] in
    let style: Console.Style =
      switch run.state {
      case .completed: .green
      case .failed: .red
      default: .yellow
      }
    let reasons = (run.storedReasons.array ?? []).compactMap { $0["kind"]?.string }.joined(separator: ", ")
    return [
      (String(run.id), .dim), (run.key.task, .bold), (run.kind, nil), (run.state.rawValue.lowercased(), style),
      (run.exitCode.map(String.init) ?? "-", nil), (session.age(run.startedAt), nil),
      (run.durationMicroseconds.map(Timestamp.duration) ?? "-", nil), (reasons, .dim),
    ]
  }
  session.console.print(
    session.console.table(["RUN", "TASK", "KIND", "STATE", "EXIT", "AGE", "TOOK", "BECAUSE"], rows))
  return 0
}

extension RunRecord {
  /// The reasons as they were stored; an empty list where there are none.
  var storedReasons: JSON { reasons.flatMap { try? JSON(parsing: $0.utf8) } ?? .array([]) }

  /// Contents that it removed or overwrote: objects of `path` and `digest`.
  var savedContents: [JSON] {
    executionDetails.flatMap { try? JSON(parsing: $0.utf8) }?["saved"]?.array ?? []
  }

  /// What went wrong, as it was stored.
  var storedError: JSON { errorInfo.flatMap { try? JSON(parsing: $0.utf8) } ?? .null }

  fileprivate var json: JSON {
    .object([
      ("run", .integer(id)), ("task", .string(key.task)), ("kind", .string(kind)), ("state", .string(state.rawValue)),
      ("startedAt", .string(startedAt)), ("finishedAt", finishedAt.map { .string($0) } ?? .null),
      ("durationMicroseconds", durationMicroseconds.map { .integer($0) } ?? .null),
      ("exitCode", exitCode.map { .integer(Int64($0)) } ?? .null), ("reasons", storedReasons), ("error", storedError),
      ("saved", .array(savedContents)), ("createdBy", createdBy.map { .string($0) } ?? .null),
    ])
  }
}

let logCommand = CommandSpec(
  name: "log", summary: "print what a task's last run printed, or that of an earlier one", operands: "TASK",
  options: [
    .value("run", "N", "the run's number, from 'purser runs'"),
    .value("saved", "PATH", "print instead the content that the run removed or overwrote there"),
  ], takesOperands: true
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  let task = try session.requiredTasks("log")[0]
  let runs = try cache.runs(of: task, limit: 1_000_000)
  guard !runs.isEmpty else { throw try session.unknownTask(task, cache) }
  var run = runs.first { $0.state != .running }
  if let text = invocation.text("run") {
    run = runs.first { String($0.id) == text }
    guard run != nil else {
      throw PurserError(.missing, "task '\(task)' has no run \(text); see 'purser runs \(task)'")
    }
  }
  if let path = invocation.value("saved") {
    let name = cache.project.name(ofPath: path).escaped
    let candidates = invocation.has("run") ? runs.filter { $0.id == run?.id } : runs
    let saved = candidates.lazy.flatMap(\.savedContents).first { $0["path"]?.string == name }
    guard let digest = saved?["digest"]?.string.flatMap({ Digest(hex: $0) }) else {
      throw PurserError(
        .missing, "no run of task '\(task)' has saved '\(path.printable)'; see 'saved' in 'purser runs \(task) --json'")
    }
    try cache.writeContent(digest)
    return 0
  }
  guard let run else { throw PurserError(.missing, "task '\(task)' has not finished a run yet") }
  if session.console.isJSON {
    let printed = try cache.printedText(of: run)
    session.console.print(
      .object([
        ("task", .string(task)), ("run", .integer(run.id)),
        ("stdout", .string(ByteString(bytes: printed.output).escaped)),
        ("stderr", .string(ByteString(bytes: printed.error).escaped)),
      ]))
  } else {
    try cache.replayLog(run)
  }
  return 0
}
