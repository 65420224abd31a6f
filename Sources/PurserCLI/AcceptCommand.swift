import Purser
import PurserExecution
import PurserHashing
import PurserModel

let acceptCommand = CommandSpec(
  name: "accept", summary: "declare changes harmless: a task is done as it is now, without running; audited",
  operands: "--why TEXT TASK… | --why TEXT [OPTIONS] -- COMMAND [ARGUMENT…] | --revoke TASK…",
  options: [
    .value("why", "TEXT", "the reason, kept for whoever asks later; required"),
    .flag("revoke", "take back what was accepted for the tasks: they are what they were before"),
  ] + stepOptions.filter { !["force", "no-restore"].contains($0.name) }, takesOperands: true, takesCommand: true,
  discussion: """
    A task with a result keeps it, under what the task is made from now: its outputs have to be on disk as the result
    has them. A task that has no result takes over the outputs that are on disk; it is marked as adopted. TASK may be a
    pattern, in quotes, which stands for tasks that have a result, or with --revoke for those for which something was
    accepted. Of several tasks, all are accepted or none.

    This holds for the task on this storage key alone: no other branch, pipeline or task is given the result. Look at
    what has changed with 'purser explain TASK' first.

    Exit code: 0; 65 for a task that cannot be accepted, 66 for one that is not known, 75 for one that is being run.
    """
) { invocation in
  let session = try Session(invocation)
  if invocation.has("revoke") { return try session.revoke() }
  guard let why = invocation.text("why") else {
    throw UsageError(
      message: "say why with --why TEXT: it is kept, for whoever asks later what was accepted", command: "accept")
  }
  let (cache, specs) = try session.specsToAccept()
  var digest: Digest?
  if invocation.has("stdin") {
    digest = try spoolStandardInput(into: TemporaryFile(in: cache.project.store.appending(path: "tmp")))
  }
  let reports = try cache.accept(specs, why: why, standardInput: digest)
  cache.saveStatCache()
  if session.console.isJSON {
    session.console.print(.object([("tasks", .array(reports.map(\.json)))]))
  } else if session.console.verbosity != .quiet {
    for report in reports { session.console.print(report.text) }
  }
  return 0
}

extension Session {
  fileprivate func specsToAccept() throws -> (TaskCache, [TaskSpec]) {
    guard invocation.command == nil else {
      guard invocation.operands.isEmpty else {
        throw UsageError(message: "name tasks, or a command behind '--', not both", command: "accept")
      }
      let cache = try cache()
      return (cache, [try declaredSpec(cache.project)])
    }
    guard !invocation.operands.isEmpty else { throw UsageError(message: "name a task", command: "accept") }
    for option in stepOptions where invocation.has(option.name) && option.name != "stdin" {
      throw UsageError(
        message: "--\(option.name) declares a step: put '--' and its command behind the options", command: "accept")
    }
    let cache = try cache()
    let declaration = try declarations(cache)
    var specs: [TaskSpec] = []
    for task in try tasksToAccept(cache) where !specs.contains(where: { $0.id == task }) {
      specs.append(try required(declaration(task), task, cache))
    }
    return (cache, specs)
  }

  /// Names as they are, and patterns as the tasks with a result that they match.
  private func tasksToAccept(_ cache: TaskCache) throws -> [String] {
    var known: [TaskRecord]?
    return try invocation.operands.flatMap { name -> [String] in
      guard TaskCache.isPattern(name) else { return [name.escaped] }
      if known == nil { known = try cache.taskRecords() }
      if known?.contains(where: { $0.key.task == name.escaped }) == true { return [name.escaped] }
      let withResult = (known ?? []).filter { $0.status == .success && $0.result != nil }.map(\.key.task)
      let matches = try TaskCache.matches(name, among: withResult)
      guard !matches.isEmpty else {
        throw PurserError(
          .missing, "the pattern '\(name.printable)' matches no task that has a result; see 'purser status'")
      }
      return matches
    }
  }

  fileprivate func revoke() throws -> Int32 {
    guard invocation.command == nil else {
      throw UsageError(message: "--revoke takes tasks by name, not a command", command: "accept")
    }
    guard !invocation.operands.isEmpty else {
      throw UsageError(message: "name a task: purser accept --revoke TASK", command: "accept")
    }
    let cache = try cache()
    var tasks: [String] = []
    let known = try cache.taskRecords().map(\.key.task)
    for name in invocation.operands {
      var found = [name.escaped]
      if !known.contains(name.escaped) {
        guard TaskCache.isPattern(name) else { throw try unknownTask(name.escaped, cache) }
        found = try TaskCache.matches(name, among: try cache.acceptedTasks(among: known))
        guard !found.isEmpty else {
          throw PurserError(
            .missing,
            "the pattern '\(name.printable)' matches no task for which anything was accepted; see 'purser status'")
        }
      }
      tasks += found.filter { !tasks.contains($0) }
    }
    let counts = try cache.revokeAcceptance(of: tasks, why: invocation.text("why") ?? "")
    if console.isJSON {
      let revoked = zip(tasks, counts).map { task, count in
        JSON.object([("task", .string(task)), ("revoked", .integer(Int64(count)))])
      }
      console.print(.object([("tasks", .array(revoked))]))
    } else if console.verbosity != .quiet {
      for task in tasks { console.print("\(task): what was accepted is taken back") }
    }
    return 0
  }
}

extension AcceptReport {
  /// `{"task","accepted","kind","fingerprint","run","at","by","why","changes"}`; where nothing differed, `accepted` is
  /// false and what would tell of it null.
  fileprivate var json: JSON {
    .object([
      ("task", .string(task)), ("accepted", .bool(acceptance != nil)),
      ("kind", acceptance.map { .string($0.kind.rawValue) } ?? .null), ("fingerprint", .string(fingerprint.hex)),
      ("run", run.map { .integer($0) } ?? .null), ("at", acceptance.map { .string($0.at) } ?? .null),
      ("by", acceptance.map { .string($0.by) } ?? .null), ("why", acceptance.map { .string($0.why) } ?? .null),
      ("changes", .array(changes.map(\.json))),
    ])
  }

  fileprivate var text: String {
    switch acceptance?.kind {
    case nil: "\(task): nothing differs, nothing to accept"
    case .adopted?: "\(task): adopted, with the outputs that are on disk"
    case .accepted? where changes.isEmpty: "\(task): accepted"
    case .accepted?:
      "\(task): accepted (\(changes.prefix(3).map(\.printableLabel).joined(separator: ", "))"
        + (changes.count > 3 ? " and \(changes.count - 3) more" : "") + ")"
    }
  }
}
