import Glibc
import Purser
import PurserModel
import PurserStore

let subtasksCommand = CommandSpec(
  name: "subtasks", summary: "list the items of a mapped task, or record how they go",
  operands: "TASK [create|start|done|fail KEY…]",
  options: [
    .flag("failed", "list only those that failed"),
    .value("from", "FILE", "read keys from a file, one on each line; - is standard input"),
    .value("error", "TEXT", "with fail: what went wrong"),
  ], takesOperands: true,
  discussion: """
    For scripts that run their items themselves: 'create' makes the list (what is known of a key stays), 'start', 'done'
    and 'fail' record what happened, all keys of one call in one commit. What is recorded is on disk when the command
    returns; any number of processes may record at once.
    """
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  guard let task = invocation.operands.first?.escaped else {
    throw UsageError(message: "name a task", command: "subtasks")
  }
  guard invocation.operands.count > 1 else { return try session.listSubtasks(of: task, cache) }
  var keys = invocation.operands.dropFirst(2).map(\.escaped)
  if let path = invocation.value("from") {
    keys += path == "-" ? try session.lines(of: 0) : try session.keys(inFileOrGiven: path)
  }
  let verb = invocation.operands[1].escaped
  let verbs = ["create", "start", "done", "fail"]
  guard verbs.contains(verb) else {
    throw UsageError(
      message: "'subtasks TASK' is followed by create, start, done or fail, not '\(verb)'"
        + Suggestion.hint(verb, among: verbs), command: "subtasks")
  }
  guard !keys.isEmpty || verb == "create" else {
    throw UsageError(message: "name the items by their keys, or use --from FILE", command: "subtasks")
  }
  switch verb {
  case "create": try cache.createSubtasks(keys, of: task)
  case "start": try cache.mark(keys, of: task, .running)
  case "done": try cache.mark(keys, of: task, .done)
  default: try cache.mark(keys, of: task, .failed, error: invocation.text("error") ?? "")
  }
  return 0
}

extension Session {
  fileprivate func listSubtasks(of task: String, _ cache: TaskCache) throws -> Int32 {
    if console.isJSON, !invocation.has("failed") {
      let text = try cache.encodedSubtasks(of: task)
      if text != Subtask.encoded([]) {
        console.print(json: text)
        return 0
      }
    }
    var subtasks = try cache.subtasks(of: task)
    if subtasks.isEmpty, try !cache.taskRecords().contains(where: { $0.key.task == task }) {
      throw try unknownTask(task, cache)
    }
    if invocation.has("failed") { subtasks = subtasks.filter { $0.status == .failed } }
    if console.isJSON {
      console.print(json: Subtask.encoded(subtasks))
      return 0
    }
    guard !subtasks.isEmpty else {
      console.print(invocation.has("failed") ? "No item of '\(task)' failed." : "'\(task)' has no items.")
      return 0
    }
    let rows = subtasks.map { subtask -> [(text: String, style: Console.Style?)] in
      let (word, style): (String, Console.Style) =
        subtask.isDone
        ? ("done", .green)
        : subtask.status == .failed
          ? ("failed", .red) : subtask.startTime != nil ? ("running", .blue) : ("waiting", .dim)
      return [
        (String(subtask.index), .dim), (ByteString(subtask.key).printable, .bold), (word, style),
        (subtask.attempt > 0 ? String(subtask.attempt) : "-", nil), (age(subtask.endTime ?? subtask.startTime), nil),
        (ByteString(subtask.error ?? "").printable, .dim),
      ]
    }
    console.print(console.table(["I", "KEY", "STATE", "TRIES", "AGE", "ERROR"], rows))
    return 0
  }
}

let dataCommand = CommandSpec(
  name: "data", summary: "print what a task returned, or set it", operands: "get|set TASK",
  options: [
    .value("from", "FILE", "with set: read the JSON from a file (default: standard input)"),
    .flag("subset", "with get: the keys of the last subset run"),
  ], takesOperands: true,
  discussion: "The data is JSON. What depends on the task sees a change by the digest of its canonical form."
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  guard invocation.operands.count == 2 else {
    throw UsageError(message: "data is followed by get or set, and a task", command: "data")
  }
  let task = invocation.operands[1].escaped
  switch invocation.operands[0].escaped {
  case "get":
    guard let data = try cache.data(of: task, invocation.has("subset") ? .subset : .result) else {
      guard try cache.taskRecords().contains(where: { $0.key.task == task }) else {
        throw try session.unknownTask(task, cache)
      }
      throw PurserError(.missing, "task '\(task)' has no data; it keeps its result with 'cache_result: true'")
    }
    session.console.print(data.text)
  case "set":
    let bytes = try session.content(of: invocation.value("from"))
    let data: TaskData
    do {
      data = try TaskData(parsing: bytes)
    } catch {
      throw PurserError(.refused, "the data for task '\(task)' is \(error); nothing is stored")
    }
    try cache.setData(data, of: task)
  case let verb:
    throw UsageError(
      message: "data is followed by get or set, not '\(verb)'" + Suggestion.hint(verb, among: ["get", "set"]),
      command: "data")
  }
  return 0
}

extension Session {
  /// A file's content, or that of standard input.
  fileprivate func content(of path: ByteString?) throws -> [UInt8] {
    let descriptor = path.map { path in path.withCString { open($0, O_RDONLY | O_CLOEXEC) } } ?? 0
    guard descriptor >= 0 else {
      throw PurserError(
        .missing, "'\(path?.printable ?? "")' cannot be read: \(String(cString: strerror(errno)))")
    }
    defer { if descriptor > 0 { close(descriptor) } }
    return try content(of: descriptor)
  }
}
