import Purser
import PurserModel

let statusCommand = CommandSpec(
  name: "status", summary: "show every task: its state, what differs, its age and how long it takes"
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  let states = try cache.states()
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
  let rows = states.map { state -> [(text: String, style: Console.Style?)] in
    let style: Console.Style =
      switch state.word {
      case "fresh", "success": .green
      case "restorable", "running": .blue
      case "failed", "failure": .red
      default: .yellow
      }
    return [
      (state.task, .bold), (state.word, style), mark(state.isCodeSame), mark(state.areInputsSame),
      mark(state.isDataSame), mark(state.areOutputsSame), (session.age(state.endTime), nil),
      (state.durationMicroseconds.map(Timestamp.duration) ?? "-", nil),
    ]
  }
  session.console.print(
    session.console.table(["TASK", "STATE", "CODE", "INPUTS", "DATA", "OUTPUTS", "AGE", "TOOK"], rows))
  cache.saveStatCache()
  return 0
}

extension TaskState {
  fileprivate var json: JSON {
    func flag(_ isSame: Bool?) -> JSON { isSame.map { .string($0 ? "same" : "changed") } ?? .null }
    return .object([
      ("task", .string(task)), ("state", .string(word)), ("status", status.map { .string($0) } ?? .null),
      ("code", flag(isCodeSame)), ("inputs", flag(areInputsSame)), ("data", flag(isDataSame)),
      ("outputs", flag(areOutputsSame)), ("endTime", endTime.map { .string($0) } ?? .null),
      ("durationMicroseconds", durationMicroseconds.map { .integer($0) } ?? .null),
      ("reasons", .array(reasons.map(\.json))),
    ])
  }
}
