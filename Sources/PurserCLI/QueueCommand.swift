import Purser
import PurserModel
import PurserStore

private let verbs = ["list", "add", "cancel", "retry", "remove"]

let queueCommand = CommandSpec(
  name: "queue", summary: "put work in for workers, list it, cancel it, queue it again",
  operands: "[list] | add TASK… | add [OPTIONS] -- COMMAND [ARGUMENT…] | add --type NAME | cancel | retry | remove N…",
  options: stepOptions + [
    .value("type", "NAME[@VERSION]", "with add: work of a registered type"),
    .value("params", "JSON", "with add --type: its parameters; @FILE reads a file"),
    .value("priority", "N", "with add: higher goes first, from -1000 to 1000 (default: 0)"),
    .value("attempts", "N", "with add: how often it is tried until it succeeds (default: 1)"),
    .value("dedupe", "TEXT", "with add: refuse it while work with this text is there"),
    .value("delay", "DURATION", "with add: not before so long from now"),
    .value("timeout", "DURATION", "with add: how long one attempt may take"),
    .list("tag", "TEXT", "with add: a word to find it by; with list: only what has it"),
    .value("state", "STATE", "with list: only pending, running, completed, failed, cancelled …"),
    .value("limit", "N", "with list: at most so much (default: 100)"),
    .flag("failed", "with retry: all that failed"),
  ], takesOperands: true, takesCommand: true,
  discussion: """
    'add TASK' is a task of the pipeline file, done with all that it depends on; 'add -- COMMAND' takes the options of
    'purser exec'. 'purser worker' does the work. 'remove' takes what is over out of the lists; its history stays.
    """
) { invocation in
  let session = try Session(invocation)
  let verb = invocation.operands.first?.escaped ?? (invocation.command == nil ? "list" : "add")
  let cache = try session.cache()
  switch verb {
  case "list": return try session.listWork(cache)
  case "add": return try session.addWork(cache)
  case "cancel":
    return try session.changeWork(cache, "cancel", "is over: it cannot be cancelled") { ids in
      try cache.cancelWork(ids)
    }
  case "retry":
    return try session.changeWork(cache, "retry", "has not failed: only what failed or was cancelled is tried again") {
      ids in try cache.retryWork(ids)
    }
  case "remove":
    return try session.changeWork(cache, "remove", "is not over: cancel it first") { ids in try cache.removeWork(ids) }
  default:
    throw UsageError(
      message: "queue is followed by \(verbs.joined(separator: ", ")), not '\(verb)'"
        + Suggestion.hint(verb, among: verbs), command: "queue")
  }
}

extension Session {
  fileprivate func number(_ name: String, _ range: ClosedRange<Int>, _ command: String) throws -> Int? {
    try invocation.text(name).map { text in
      guard let number = Int(text), range.contains(number) else {
        throw UsageError(
          message: "--\(name) is a number from \(range.lowerBound) to \(range.upperBound), not '\(text)'",
          command: command)
      }
      return number
    }
  }

  // MARK: Adding

  fileprivate func addWork(_ cache: TaskCache) throws -> Int32 {
    let tasks = invocation.operands.dropFirst().map(\.escaped)
    let type = invocation.text("type")
    if type != nil, !tasks.isEmpty || invocation.command != nil {
      throw UsageError(message: "work of a type has its command already: give --params alone", command: "queue")
    }
    guard type != nil || tasks.isEmpty != (invocation.command == nil) else {
      throw UsageError(
        message: tasks.isEmpty
          ? "name a task, or put '--' and a command behind the options"
          : "name tasks or put a command behind '--', not both", command: "queue")
    }
    var template = WorkRequest(key: cache.key(""), configuration: "{}")
    template.priority = try number("priority", -1000...1000, "queue") ?? 0
    template.maximumAttempts = try number("attempts", 1...1000, "queue") ?? 1
    template.tags = invocation.list("tag").map(\.escaped)
    if let text = invocation.text("delay") {
      guard let delay = parseDuration(text) else {
        throw UsageError(message: "--delay is a duration such as 90s, 5m or 1h30m, not '\(text)'", command: "queue")
      }
      template.availableAt = TaskCache.time(in: delay.components.seconds)
    }
    if let text = invocation.text("timeout") {
      guard let limit = parseDuration(text) else {
        throw UsageError(message: "--timeout is a duration such as 90s, 5m or 1h30m, not '\(text)'", command: "queue")
      }
      template.timeoutMilliseconds =
        limit.components.seconds * 1000 + limit.components.attoseconds / 1_000_000_000_000_000
    }
    let ids = try cache.enqueue(
      try type.map { [try typedRequest($0, template, cache)] } ?? requests(tasks, template, cache))
    if console.isJSON {
      console.print(.object([("queued", .array(ids.map { .integer($0) }))]))
    } else if console.verbosity != .quiet {
      for id in ids { console.print("queued as work \(id)") }
    }
    return 0
  }

  private func typedRequest(_ label: String, _ template: WorkRequest, _ cache: TaskCache) throws -> WorkRequest {
    let type = try cache.taskType(label, mustBeActive: true)
    let given = invocation.value("params") ?? "{}"
    let text = given.hasPrefix("@") ? try content(ofFileNamed: ByteString(given.bytes.dropFirst())) : given.bytes
    let own = try cache.request(of: type, parameters: text, task: invocation.text("task"))
    var request = template
    request.key = own.key
    request.configuration = own.configuration
    request.type = own.type
    request.dedupeKey = invocation.value("dedupe").map(TaskCache.dedupeKey)
    return request
  }

  private func requests(_ tasks: [String], _ template: WorkRequest, _ cache: TaskCache) throws -> [WorkRequest] {
    func request(_ task: String, _ kind: WorkConfiguration.Kind, _ dedupe: ByteString?) -> WorkRequest {
      var request = template
      request.key = cache.key(task)
      request.configuration = WorkConfiguration(root: cache.project.root, kind: kind).json.serialized
      request.dedupeKey = dedupe.map(TaskCache.dedupeKey)
      return request
    }
    let dedupe = invocation.value("dedupe")
    guard invocation.command == nil else {
      guard !invocation.has("stdin") else {
        throw UsageError(message: "queued work has no standard input; use --input", command: "queue")
      }
      let spec = try declaredSpec(cache.project)
      try cache.check(spec)
      return [request(spec.id, .command(spec), dedupe)]
    }
    guard !tasks.isEmpty, try pipelineFile(plainProject()) != nil else {
      throw PurserError(
        .missing,
        "there is no purser.yaml or kptn.yaml here, whose tasks could be queued; put '--' and a command instead")
    }
    let pipeline = try planner().pipeline
    for task in tasks { _ = try pipeline.place(of: task) }
    guard dedupe == nil || tasks.count == 1 else {
      throw UsageError(message: "--dedupe is for one piece of work: name one task", command: "queue")
    }
    guard template.timeoutMilliseconds == nil else {
      throw UsageError(
        message: "--timeout is for a command: a task of the pipeline file has its own, under 'timeout'",
        command: "queue")
    }
    return tasks.map { request($0, .task($0), dedupe) }
  }

  // MARK: Listing

  fileprivate func listWork(_ cache: TaskCache) throws -> Int32 {
    guard invocation.operands.count <= 1, invocation.command == nil else {
      throw UsageError(message: "queue list takes no tasks", command: "queue")
    }
    var filter = WorkFilter(limit: try number("limit", 1...1_000_000, "queue") ?? 100)
    filter.tags = invocation.list("tag").map(\.escaped)
    if let text = invocation.text("state") {
      guard let state = RunState(rawValue: text.uppercased()) else {
        let known = RunState.allCases.map { $0.rawValue.lowercased() }
        throw UsageError(
          message: "there is no state '\(text)'\(Suggestion.hint(text.lowercased(), among: known)); the states are "
            + known.joined(separator: ", "), command: "queue")
      }
      filter.states = [state]
    }
    let work = try cache.work(matching: filter)
    if console.isJSON {
      console.print(.object([("work", .array(work.map(\.json)))]))
      return 0
    }
    guard !work.isEmpty else {
      console.print("Nothing is queued\(filter.states == nil && filter.tags.isEmpty ? "" : " that matches").")
      return 0
    }
    let rows = work.map { work -> [(text: String, style: Console.Style?)] in
      let style: Console.Style =
        switch work.state {
        case .completed: .green
        case .failed: .red
        default: .yellow
        }
      return [
        (String(work.id), .dim), (work.key.task, .bold), (work.state.rawValue.lowercased(), style),
        (String(work.priority), nil), ("\(work.attempts)/\(work.maximumAttempts)", nil), (age(work.queuedAt), nil),
        (work.finishedAt == nil && work.state != .pending ? work.worker ?? "" : "", .dim),
        (work.failure ?? "", .red),
      ]
    }
    console.print(
      console.table(["WORK", "TASK", "STATE", "PRIORITY", "TRIES", "AGE", "WORKER", "ERROR"], rows))
    return 0
  }

  // MARK: Changing

  fileprivate func changeWork(
    _ cache: TaskCache, _ verb: String, _ refusal: String, _ change: ([Int64]) throws -> [WorkChange]
  ) throws -> Int32 {
    var ids = try invocation.operands.dropFirst().map { operand -> Int64 in
      guard let id = Int64(operand.escaped), id > 0 else {
        throw UsageError(
          message: "work is named by its number, not '\(operand.printable)'; see 'purser queue list'", command: "queue")
      }
      return id
    }
    if verb == "retry", invocation.has("failed") {
      ids += try cache.work(matching: WorkFilter(states: [.failed], limit: 1_000_000)).map(\.id)
    } else if ids.isEmpty {
      throw UsageError(message: "name work by its number; see 'purser queue list'", command: "queue")
    }
    // Nothing is changed where one of them cannot be.
    for work in ids where try cache.work(matching: WorkFilter(ids: [work])).isEmpty {
      throw PurserError(.missing, "there is no work \(work); see 'purser queue list'")
    }
    let changes = try change(ids)
    var isRefused = false
    var results: [JSON] = []
    for change in changes {
      switch change {
      case .changed(let id, let before, let after):
        results.append(
          .object([("work", .integer(id)), ("was", .string(before.rawValue)), ("is", .string(after.rawValue))]))
        if !console.isJSON, console.verbosity != .quiet {
          console.print("work \(id): \(before == after ? "removed" : after.rawValue.lowercased())")
        }
      case .refused(let id, let state):
        isRefused = true
        console.error("work \(id) \(refusal) (it is \(state.rawValue.lowercased()))")
      case .unknown(let id):
        isRefused = true
        console.error("there is no work \(id)")
      }
    }
    if console.isJSON { console.print(.object([("changed", .array(results))])) }
    return isRefused ? PurserError.Code.refused.rawValue : 0
  }
}

extension QueuedWork {
  /// What went wrong last, in a line.
  fileprivate var failure: String? {
    guard let json = error.flatMap({ try? JSON(parsing: $0.utf8) }) else { return nil }
    return json["message"]?.string ?? (json["kind"]?.string == "workerLost" ? "its worker was lost" : nil)
  }

  var json: JSON {
    func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
    func parsed(_ value: String?) -> JSON { value.flatMap { try? JSON(parsing: $0.utf8) } ?? .null }
    return .object([
      ("work", .integer(id)), ("storageKey", .string(key.storageKey)), ("pipeline", .string(key.pipeline)),
      ("task", .string(key.task)), ("state", .string(state.rawValue)), ("priority", .integer(Int64(priority))),
      ("attempts", .integer(Int64(attempts))), ("maximumAttempts", .integer(Int64(maximumAttempts))),
      ("type", text(type)), ("tags", .array(tags.map { .string($0) })), ("dedupeKey", text(dedupeKey)),
      ("timeoutMilliseconds", timeoutMilliseconds.map { .integer($0) } ?? .null), ("queuedAt", .string(queuedAt)),
      ("availableAt", text(availableAt)), ("createdBy", text(createdBy)), ("worker", text(worker)),
      ("claimedAt", text(claimedAt)), ("startedAt", text(startedAt)), ("finishedAt", text(finishedAt)),
      ("configuration", parsed(configuration)), ("error", parsed(error)), ("result", parsed(result)),
    ])
  }
}
