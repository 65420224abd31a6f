import Purser
import PurserModel

let statusCommand = CommandSpec(
  name: "status", summary: "show every task: its state, what differs, its age and how long it takes"
) { invocation in
  let session = try Session(invocation)
  let (cache, states) = try session.states()
  if session.console.isJSON {
    session.console.print(
      .object([
        ("storageKey", .string(cache.project.storageKey)), ("pipeline", .string(cache.project.pipeline)),
        ("tasks", .array(states.map(\.json))),
      ]))
    return 0
  }
  guard !states.isEmpty else {
    session.console.print(
      "No tasks under storage key '\(cache.project.storageKey)' of pipeline '\(cache.project.pipeline)' yet. Put "
        + "'purser exec … --' before a step.")
    return 0
  }
  func mark(_ isSame: Bool?) -> (text: String, style: Console.Style?) {
    switch isSame {
    case true?: ("same", .dim)
    case false?: ("changed", .yellow)
    case nil: ("-", .dim)
    }
  }
  let hasItems = states.contains { $0.items != nil }
  let rows = states.map { state -> [(text: String, style: Console.Style?)] in
    let style: Console.Style =
      switch state.word {
      case "fresh", "success": .green
      case "restorable", "running": .blue
      case "failed", "failure", "error": .red
      default: .yellow
      }
    let items = state.items.map { ("\($0.done)/\($0.total)", $0.done < $0.total ? Console.Style.yellow : .dim) }
    return [(state.task, .bold), (state.text, style)] + (hasItems ? [items ?? ("-", .dim)] : []) + [
      mark(state.isCodeSame), mark(state.areInputsSame),
      mark(state.isDataSame), mark(state.areOutputsSame), (session.age(state.endTime), nil),
      (state.durationMicroseconds.map(Timestamp.duration) ?? "-", nil),
    ]
  }
  session.console.print(
    session.console.table(
      ["TASK", "STATE"] + (hasItems ? ["ITEMS"] : []) + ["CODE", "INPUTS", "DATA", "OUTPUTS", "AGE", "TOOK"], rows))
  for state in states {
    if let error = state.error { session.console.warn("\(state.task): \(error)") }
  }
  cache.saveStatCache()
  return 0
}

extension Session {
  /// The tasks of the graph that is meant, ran or not; without a pipeline file, or one graph in it, those on record.
  fileprivate func states() throws -> (cache: TaskCache, states: [TaskState]) {
    let project = try plainProject()
    if let (file, _) = try pipelineFile(project), hasGraph(in: file) {
      let planner = try planner()
      return (planner.cache, try planner.cache.states(of: planner.pipeline))
    }
    let cache = try cache()
    return (cache, try cache.states())
  }
}

extension TaskState {
  /// The state as people see it: with the word that it rests on.
  fileprivate var text: String {
    guard word == "fresh", let kind = acceptance?.kind else { return word }
    return "\(word) (\(kind.rawValue))"
  }

  fileprivate var json: JSON {
    func flag(_ isSame: Bool?) -> JSON { isSame.map { .string($0 ? "same" : "changed") } ?? .null }
    return .object([
      ("task", .string(task)), ("state", .string(word)), ("status", status.map { .string($0) } ?? .null),
      ("code", flag(isCodeSame)), ("inputs", flag(areInputsSame)), ("data", flag(isDataSame)),
      ("outputs", flag(areOutputsSame)),
      (
        "items",
        items.map { .object([("done", .integer(Int64($0.done))), ("total", .integer(Int64($0.total)))]) } ?? .null
      ), ("endTime", endTime.map { .string($0) } ?? .null),
      ("durationMicroseconds", durationMicroseconds.map { .integer($0) } ?? .null),
      ("reasons", .array(reasons.map(\.json))), ("accepted", acceptance?.json ?? .null),
    ])
  }
}
