import Purser
import PurserModel

let branchCommand = CommandSpec(
  name: "branch", summary: "list, copy, compare or remove what is recorded under storage keys",
  operands: "[list] | clone FROM TO | diff A B | drop KEY",
  options: [
    .flag("replace", "with clone: remove what stands under TO first"),
    .flag("force", "with drop: also the storage key that is in use here"),
  ], takesOperands: true,
  discussion: """
    A storage key is a branch's name-space: --storage-key, else PURSER_STORAGE_KEY, else what settings.storage_keys of
    purser.yaml or branch_conf/BRANCH.yaml map the checked-out branch to, else the branch. With --pipeline, only the
    records of that pipeline are meant.

    list    every storage key, the one in use marked; SIZE is what its results name, ONLY HERE what no other key does
    clone   copies all records, so that a new branch begins where another one is; results are shared, nothing is run
    diff    which tasks differ, by the recorded components (was: A, is: B), and what that would run again
    drop    removes records; history stays, contents go with the next 'purser gc' that finds them old enough

    Exit code: 0, whatever diff finds; 64 for a key that is in use (clone without --replace, drop without --force); 66
    for one without records; 75 while somebody is at work on it.
    """
) { invocation in
  let session = try Session(invocation)
  let operands = invocation.operands.map(\.escaped)
  let actions = ["list", "clone", "diff", "drop"]
  let action = operands.first ?? "list"
  guard actions.contains(action) else {
    let hint = Suggestion.hint(action, among: actions)
    throw UsageError(
      message: "unknown action '\(TaskCache.shown(action))'" + (hint.isEmpty ? "; list, clone, diff or drop" : hint),
      command: "branch")
  }
  for (option, owner) in [("replace", "clone"), ("force", "drop")] where invocation.has(option) && action != owner {
    throw UsageError(message: "--\(option) is for 'branch \(owner)'", command: "branch")
  }
  let names = operands.dropFirst()
  func take(_ count: Int, _ form: String) throws {
    guard names.count == count else { throw UsageError(message: "write 'purser branch \(form)'", command: "branch") }
  }
  switch action {
  case "clone":
    try take(2, "clone FROM TO")
    return try session.cloneBranch(names[1], to: names[2])
  case "diff":
    try take(2, "diff A B")
    return try session.compareBranches(names[1], names[2])
  case "drop":
    try take(1, "drop KEY")
    return try session.dropBranch(names[1])
  default:
    try take(0, "list")
    return try session.listBranches()
  }
}

extension Session {
  /// The pipeline, where one was given: by the name in its records, which a file's `cache_namespace` may set.
  private func givenPipeline(_ cache: TaskCache) -> String? {
    invocation.has("pipeline") ? cache.project.pipeline : nil
  }

  // MARK: list

  fileprivate func listBranches() throws -> Int32 {
    let cache = try cache()
    let current = cache.project.storageKey
    let keys = try cache.storageKeys(pipeline: givenPipeline(cache))
    func isCurrent(_ summary: StorageKeySummary) -> Bool { summary.storageKey.utf8.elementsEqual(current.utf8) }
    if console.isJSON {
      console.print(
        .object([
          ("current", .string(current)),
          (
            "storageKeys",
            .array(
              keys.map { summary in
                .object([
                  ("storageKey", .string(summary.storageKey)), ("current", .bool(isCurrent(summary))),
                  ("pipelines", .array(summary.pipelines.map { .string($0) })),
                  ("tasks", .integer(Int64(summary.tasks))), ("subtasks", .integer(Int64(summary.subtasks))),
                  ("lastActivity", summary.lastActivity.map { .string($0) } ?? .null),
                  ("bytes", .integer(Int64(clamping: summary.bytes))),
                  ("ownBytes", .integer(Int64(clamping: summary.ownBytes))),
                ])
              })
          ),
        ]))
      return 0
    }
    guard !keys.isEmpty else {
      console.print("No storage key has records yet. Put 'purser exec … --' before a step, or use 'purser run'.")
      return 0
    }
    let rows = keys.map { summary -> [(text: String, style: Console.Style?)] in
      let name = TaskCache.shown(summary.storageKey)
      return [
        isCurrent(summary) ? ("* \(name)", .green) : ("  \(name)", .bold), (names(summary.pipelines), nil),
        (String(summary.tasks), nil), (String(summary.subtasks), nil), (age(summary.lastActivity), nil),
        (size(summary.bytes), nil), (size(summary.ownBytes), .dim),
      ]
    }
    console.print(
      console.table(["  KEY", "PIPELINES", "TASKS", "SUBTASKS", "AGE", "SIZE", "ONLY HERE"], rows))
    if !keys.contains(where: isCurrent) {
      console.print(console.paint("The key in use here, '\(TaskCache.shown(current))', has no records yet.", .dim))
    }
    return 0
  }

  /// The first few names.
  private func names(_ names: [String]) -> String {
    let shown = names.prefix(3).map(TaskCache.shown).joined(separator: ", ")
    return names.count > 3 ? "\(shown) and \(names.count - 3) more" : shown
  }

  /// Bytes for people, to three digits.
  func size(_ bytes: UInt64) -> String {
    var (whole, rest, unit) = (bytes, UInt64(0), 0)
    while whole >= 1024, unit < 5 { (whole, rest, unit) = (whole / 1024, whole % 1024, unit + 1) }
    let tenths = unit > 0 && whole < 100 ? ".\(rest * 10 / 1024)" : ""
    return "\(whole)\(tenths) \(["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit])"
  }

  // MARK: clone, drop

  fileprivate func cloneBranch(_ from: String, to: String) throws -> Int32 {
    let cache = try cache()
    let scope = BranchScope(storageKey: from, pipeline: givenPipeline(cache))
    let (copied, replaced) = try cache.cloneRecords(from: scope, to: to, replaces: invocation.has("replace"))
    if console.isJSON {
      console.print(
        .object(
          [("from", .string(from)), ("to", .string(to))] + members(copied) + [
            ("replacedTasks", .integer(Int64(replaced.tasks)))
          ]))
    } else if console.verbosity != .quiet {
      let instead = replaced.tasks > 0 ? ", in place of \(count(replaced))" : ""
      console.print("cloned \(count(copied)) from \(TaskCache.shown(from)) to \(TaskCache.shown(to))\(instead)")
    }
    return 0
  }

  fileprivate func dropBranch(_ key: String) throws -> Int32 {
    let cache = try cache()
    let scope = BranchScope(storageKey: key, pipeline: givenPipeline(cache))
    let dropped = try cache.dropRecords(of: scope, isForced: invocation.has("force"))
    if console.isJSON {
      console.print(.object([("dropped", .string(key))] + members(dropped)))
    } else if console.verbosity != .quiet {
      console.print("dropped \(count(dropped)) of \(TaskCache.shown(key)); contents stay until 'purser gc'")
    }
    return 0
  }

  private func members(_ counts: BranchCounts) -> [(String, JSON)] {
    [
      ("pipelines", .array(counts.pipelines.map { .string($0) })), ("tasks", .integer(Int64(counts.tasks))),
      ("subtasks", .integer(Int64(counts.subtasks))),
    ]
  }

  func count(_ counts: BranchCounts) -> String {
    let items = counts.subtasks > 0 ? " (\(counts.subtasks) \(counts.subtasks == 1 ? "item" : "items"))" : ""
    return "\(counts.tasks) \(counts.tasks == 1 ? "task" : "tasks")\(items)"
  }

  // MARK: diff

  fileprivate func compareBranches(_ first: String, _ second: String) throws -> Int32 {
    let cache = try cache()
    show(try cache.differences(between: first, and: second, pipeline: givenPipeline(cache)), first, second)
    return 0
  }

  /// What differs between two states, by the names that they have.
  func show(_ found: BranchDifference, _ first: String, _ second: String) {
    if console.isJSON { return console.print(found.json) }
    guard !found.tasks.isEmpty else {
      return console.print("Nothing differs between \(TaskCache.shown(first)) and \(TaskCache.shown(second)).")
    }
    // The pipeline is named where there are several.
    let several = Set((found.tasks.map(\.pipeline) + found.wouldRerun.map(\.pipeline)).map { ByteString($0) }).count > 1
    func name(_ pipeline: String, _ task: String) -> String {
      TaskCache.shown(several ? "\(pipeline): \(task)" : task)
    }
    for task in found.tasks {
      console.print(console.paint(name(task.pipeline, task.task), .bold) + task.heading(first, second))
      for change in task.changes { console.print(line(change)) }
    }
    let rerun = found.wouldRerun.map { name($0.pipeline, $0.task) }
    if !rerun.isEmpty {
      console.print(console.paint("Would run again where one took the other's place: ", .dim) + shortened(rerun))
    }
  }

  func shortened(_ names: [String]) -> String {
    guard names.count > 20, console.verbosity != .verbose else { return names.joined(separator: ", ") }
    return names.prefix(20).joined(separator: ", ") + " and \(names.count - 20) more"
  }

  private func line(_ change: Change) -> String {
    let what: String =
      switch (change.was, change.now) {
      case (nil, let now?): "added, is \(now.short)"
      case (let was?, nil): "removed, was \(was.short)"
      case (let was?, let now?): "was \(was.short), is \(now.short)"
      case (nil, nil): "changed"
      }
    return "  \(console.paint(change.printableLabel, .yellow))  (\(change.tag.group))  \(what)"
  }
}

extension TaskDifference {
  /// What there is to say but for components.
  fileprivate func heading(_ first: String, _ second: String) -> String {
    let (first, second) = (TaskCache.shown(first), TaskCache.shown(second))
    if let onlyIn { return ": only on \(TaskCache.shown(onlyIn))" }
    var parts: [String] = []
    if let status { parts.append("\(status.was ?? "no status") on \(first), \(status.is ?? "no status") on \(second)") }
    if let isInvalidated { parts.append("invalidated on \(isInvalidated.was ? first : second)") }
    if isKnown.was != isKnown.is {
      parts.append("what it was made from is not known on \(isKnown.was ? second : first)")
    }
    let made = [(outputs, "outputs"), (data, "data")].filter { $0.0 != nil }.map(\.1)
    if !made.isEmpty { parts.append("other \(made.joined(separator: " and ")), though made from the same") }
    if let items {
      let noun = items.was == 1 ? "item" : "items"
      parts.append("\(items.was) \(noun) done on \(first), \(items.is) on \(second)")
    }
    return parts.isEmpty ? "" : ": " + parts.joined(separator: "; ")
  }

  fileprivate var json: JSON {
    func pair(_ was: JSON, _ now: JSON) -> JSON { .object([("was", was), ("is", now)]) }
    func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
    var members: [(String, JSON)] = [
      ("task", .string(task)), ("pipeline", .string(pipeline)), ("changes", .array(changes.map(\.json))),
    ]
    if let onlyIn { members.append(("onlyIn", .string(onlyIn))) }
    if let status { members.append(("status", pair(text(status.was), text(status.is)))) }
    if let isInvalidated { members.append(("invalidated", pair(.bool(isInvalidated.was), .bool(isInvalidated.is)))) }
    if isKnown.was != isKnown.is { members.append(("fingerprinted", pair(.bool(isKnown.was), .bool(isKnown.is)))) }
    if let outputs { members.append(("outputs", pair(text(outputs.was), text(outputs.is)))) }
    if let data { members.append(("data", pair(text(data.was), text(data.is)))) }
    if let items { members.append(("items", pair(.integer(Int64(items.was)), .integer(Int64(items.is))))) }
    return .object(members)
  }
}

extension BranchDifference {
  fileprivate var json: JSON {
    .object([
      ("tasks", .array(tasks.map(\.json))),
      (
        "wouldRerun",
        .array(wouldRerun.map { .object([("task", .string($0.task)), ("pipeline", .string($0.pipeline))]) })
      ),
    ])
  }
}
