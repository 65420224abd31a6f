import Glibc
import Purser
import PurserModel
import PurserStore

let eventsCommand = CommandSpec(
  name: "events", summary: "what happened: the audit trail, oldest first", operands: "[TASK]",
  options: [
    .flag("follow", "go on with what happens, until interrupted"),
    .list("type", "TYPE", "only of these types: STARTED, FINISHED, FAILED, INVALIDATED, QUEUED, CLAIMED …"),
    .value("run", "N", "only of this run, or piece of work"),
    .value("since", "DURATION", "only of the last 12h, 7d …"),
    .value("limit", "N", "at most so many, the newest (default: 50)"),
    .flag("all-keys", "on every storage key"),
  ], takesOperands: true,
  discussion: "With --json, one object on each line."
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  guard invocation.operands.count <= 1 else { throw UsageError(message: "name one task", command: "events") }
  var filter = EventFilter(limit: try session.positiveNumber("limit", "events") ?? 50)
  filter.task = invocation.operands.first?.escaped
  filter.run = try session.positiveNumber("run", "events").map(Int64.init)
  filter.types = invocation.list("type").map { $0.escaped.uppercased() }
  if !invocation.has("all-keys"), filter.run == nil {
    filter.storageKey = cache.project.storageKey
    filter.pipeline = cache.project.pipeline
  }
  if let text = invocation.text("since") {
    guard let age = parseDuration(text) else {
      throw UsageError(message: "--since is a duration such as 12h or 7d, not '\(text)'", command: "events")
    }
    filter.since = TaskCache.time(in: -age.components.seconds)
  }
  var events = try cache.events(matching: filter)
  if let task = filter.task, events.isEmpty, !invocation.has("follow"), try cache.runs(of: task, limit: 1).isEmpty {
    throw try session.unknownTask(task, cache)
  }
  session.show(events)
  guard invocation.has("follow") else { return 0 }
  filter.limit = 1000
  let newest = try cache.events(matching: EventFilter(limit: 1)).last?.id ?? 0
  filter.after = events.last?.id ?? newest
  while true {
    usleep(100_000)
    events = try cache.events(matching: filter)
    session.show(events)
    if let last = events.last { filter.after = last.id }
  }
}

extension Session {
  fileprivate func show(_ events: [TaskEvent]) {
    for event in events {
      guard !console.isJSON else {
        console.print(event.json)
        continue
      }
      let states = [event.previous, event.new].compactMap { $0?.lowercased() }.joined(separator: " → ")
      let time = event.time.prefix(19).split(separator: "T").joined(separator: " ")
      let parts: [String] = [
        time, console.paint(event.key.task, .bold), event.type.lowercased(), states.isEmpty ? "" : "(\(states))",
        event.run.map { console.paint("run \($0)", .dim) } ?? "",
        event.actor.map { console.paint("by \($0)", .dim) } ?? "", event.data.map { console.paint($0, .dim) } ?? "",
      ]
      console.print(parts.filter { !$0.isEmpty }.joined(separator: "  "))
    }
  }
}

extension TaskEvent {
  fileprivate var json: JSON {
    func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
    return .object([
      ("event", .integer(id)), ("time", .string(time)), ("type", .string(type)),
      ("run", run.map { .integer($0) } ?? .null),
      ("storageKey", .string(key.storageKey)), ("pipeline", .string(key.pipeline)), ("task", .string(key.task)),
      ("previousState", text(previous)), ("state", text(new)), ("actor", text(actor)),
      ("data", data.flatMap { try? JSON(parsing: $0.utf8) } ?? .null),
    ])
  }
}
