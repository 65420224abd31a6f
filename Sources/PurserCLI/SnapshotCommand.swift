import Purser
import PurserModel

let snapshotCommand = CommandSpec(
  name: "snapshot", summary: "take, list, compare or bring back what is recorded under the storage key",
  operands: "[list] | create | show ID | diff ID [ID] | restore ID | prune",
  options: [
    .value("note", "TEXT", "with create: what is to be said about it"),
    .value("keep", "N", "with prune: the newest N stay"),
    .value("older-than", "DURATION", "with prune: what is older goes"),
    .flag("dry-run", "with prune: say only what would go"),
  ], takesOperands: true,
  discussion: """
    A snapshot holds all that is recorded under a storage key, of all its pipelines: records, what they were made from,
    items, task data, what was accepted or invalidated. 'run' takes one when it ends, and with --snapshot-every
    meanwhile; of these the last \(TaskCache.keptRunSnapshots) stay. An ID may be shortened to four digits; 'latest' is the last one.

    list     the snapshots of the storage key in use, or of --storage-key
    show     the tasks that one holds
    diff     what differs between one and another, or what stands there now, as 'branch diff' says it
    restore  brings one back in place of what stands there now, of which a snapshot is taken before; files are left as
             they are, and put back by the next 'run' or 'exec'
    prune    removes snapshots; what only they named goes with the next 'purser gc'

    Exit code: 0; 64 for an ID that several have; 66 for one that none has, and for a key without records; 74 for a
    snapshot that is damaged; 75 for restore while somebody is at work on a task of the storage key.
    """
) { invocation in
  let session = try Session(invocation)
  let operands = invocation.operands.map(\.escaped)
  let actions = ["list", "create", "show", "diff", "restore", "prune"]
  let action = operands.first ?? "list"
  func refuse(_ message: String) -> UsageError { UsageError(message: message, command: "snapshot") }
  guard actions.contains(action) else {
    let hint = Suggestion.hint(action, among: actions)
    throw refuse(
      "unknown action '\(TaskCache.shown(action))'"
        + (hint.isEmpty ? "; list, create, show, diff, restore or prune" : hint))
  }
  for (option, owner) in [("note", "create"), ("keep", "prune"), ("older-than", "prune"), ("dry-run", "prune")]
  where invocation.has(option) && action != owner {
    throw refuse("--\(option) is for 'snapshot \(owner)'")
  }
  let ids = Array(operands.dropFirst())
  let counts = ["show": 1...1, "diff": 1...2, "restore": 1...1][action] ?? 0...0
  guard counts.contains(ids.count) else {
    let form = ["show": " ID", "diff": " ID [ID]", "restore": " ID"][action] ?? ""
    throw refuse("write 'purser snapshot \(action)\(form)'")
  }
  let cache = try session.cache()
  switch action {
  case "create": return try session.createSnapshot(cache)
  case "show": return try session.showSnapshot(cache.snapshot(ids[0]), cache)
  case "diff":
    let (first, second) = (try cache.snapshot(ids[0]), try ids.dropFirst().first.map { try cache.snapshot($0) })
    session.show(
      try cache.differences(from: first, to: second), first.short, second?.short ?? "now")
    return 0
  case "restore": return try session.restoreSnapshot(cache.snapshot(ids[0]), cache)
  case "prune": return try session.pruneSnapshots(cache)
  default: return try session.listSnapshots(cache)
  }
}

extension Session {
  fileprivate func createSnapshot(_ cache: TaskCache) throws -> Int32 {
    let key = cache.project.storageKey
    guard let entry = try cache.takeSnapshot(note: invocation.text("note") ?? "") else {
      throw PurserError(
        .missing, "there are no records under storage key '\(TaskCache.shown(key))'; see 'purser branch list'")
    }
    if console.isJSON {
      console.print(entry.json)
    } else if console.verbosity != .quiet {
      console.print(
        "took snapshot \(entry.id) of \(TaskCache.shown(key)): \(entry.contents), \(size(entry.storedSize))")
    }
    return 0
  }

  fileprivate func listSnapshots(_ cache: TaskCache) throws -> Int32 {
    let entries = try cache.snapshots()
    if console.isJSON {
      console.print(
        .object([
          ("storageKey", .string(cache.project.storageKey)), ("snapshots", .array(entries.reversed().map(\.json))),
        ]))
      return 0
    }
    guard !entries.isEmpty else {
      console.print(
        "There is no snapshot of '\(TaskCache.shown(cache.project.storageKey))' yet; 'purser snapshot create' takes one."
      )
      return 0
    }
    let rows = entries.reversed().map { entry -> [(text: String, style: Console.Style?)] in
      [
        (entry.short, .bold), (age(entry.createdAt), nil), (entry.kind, nil), (String(entry.tasks), nil),
        (String(entry.subtasks), nil), (size(entry.storedSize), nil), (TaskCache.shown(entry.note), .dim),
      ]
    }
    console.print(console.table(["ID", "AGE", "KIND", "TASKS", "ITEMS", "SIZE", "NOTE"], rows))
    return 0
  }

  fileprivate func showSnapshot(_ entry: SnapshotEntry, _ cache: TaskCache) throws -> Int32 {
    let records = try cache.records(in: entry)
    if console.isJSON {
      func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
      let tasks = records.map { record in
        JSON.object([
          ("pipeline", .string(record.key.pipeline)), ("task", .string(record.key.task)),
          ("status", text(record.status?.rawValue)), ("invalidated", .bool(record.invalidation != nil)),
          ("fingerprint", text(record.actionKey?.hex)), ("outputsVersion", text(record.outputsVersion)),
          ("dataVersion", text(record.outputDataVersion)), ("subtasks", .integer(Int64(record.subtaskCount))),
          ("endTime", text(record.endTime)),
        ])
      }
      guard case .object(let members) = entry.json else { return 0 }
      console.print(.object(members + [("records", .array(tasks))]))
      return 0
    }
    console.print(
      "snapshot \(console.paint(entry.id, .bold)) of \(TaskCache.shown(cache.project.storageKey)), \(entry.createdAt), by "
        + "\(TaskCache.shown(entry.createdBy)): \(entry.contents)"
        + (entry.note.isEmpty ? "" : "\n" + TaskCache.shown(entry.note)))
    let isOne = Set(records.map { ByteString($0.key.pipeline) }).count < 2
    let rows = records.map { record -> [(text: String, style: Console.Style?)] in
      let name = isOne ? record.key.task : "\(record.key.pipeline): \(record.key.task)"
      let status = record.invalidation == nil ? record.status?.rawValue.lowercased() ?? "-" : "invalidated"
      return [
        (TaskCache.shown(name), .bold), (status, status == "success" ? .green : .yellow),
        (record.subtaskCount > 0 ? String(record.subtaskCount) : "-", nil), (age(record.endTime), nil),
      ]
    }
    console.print(console.table(["TASK", "STATUS", "ITEMS", "AGE"], rows))
    return 0
  }

  fileprivate func restoreSnapshot(_ entry: SnapshotEntry, _ cache: TaskCache) throws -> Int32 {
    let result = try cache.restoreSnapshot(entry)
    if console.isJSON {
      console.print(
        .object([
          ("restored", .string(entry.id)), ("storageKey", .string(cache.project.storageKey)),
          ("tasks", .integer(Int64(result.restored.tasks))), ("subtasks", .integer(Int64(result.restored.subtasks))),
          ("replacedTasks", .integer(Int64(result.replaced.tasks))),
          ("before", result.before.map { .string($0.id) } ?? .null),
        ]))
    } else if console.verbosity != .quiet {
      let way = result.before.map { "; what stood there is snapshot \($0.short)" } ?? ""
      console.print(
        "restored \(count(result.restored)) of \(TaskCache.shown(cache.project.storageKey)) as of \(entry.createdAt)\(way)"
      )
    }
    return 0
  }

  fileprivate func pruneSnapshots(_ cache: TaskCache) throws -> Int32 {
    let keep = try invocation.text("keep").map { text in
      guard let number = Int(text), number >= 0 else {
        throw UsageError(message: "--keep is a number, not '\(text)'", command: "snapshot")
      }
      return number
    }
    let age = try invocation.text("older-than").map { text in
      guard let age = parseDuration(text) else {
        throw UsageError(message: "--older-than is a duration such as 12h or 30d, not '\(text)'", command: "snapshot")
      }
      return age
    }
    guard keep != nil || age != nil else {
      throw UsageError(message: "say what may go: --keep N, --older-than DURATION, or both", command: "snapshot")
    }
    let removed = try cache.pruneSnapshots(keeping: keep, olderThan: age, isTrial: invocation.has("dry-run"))
    if console.isJSON {
      console.print(.object([("removed", .array(removed.map { .string($0.id) }))]))
    } else if console.verbosity != .quiet {
      let noun = removed.count == 1 ? "snapshot" : "snapshots"
      console.print(
        invocation.has("dry-run")
          ? "would remove \(removed.count) \(noun)" + (removed.isEmpty ? "" : ": " + shortened(removed.map(\.short)))
          : "removed \(removed.count) \(noun)")
    }
    return 0
  }
}

extension SnapshotEntry {
  /// Enough of the id for people.
  fileprivate var short: String { String(id.prefix(8)) }

  /// What a branch's snapshot holds.
  fileprivate var contents: String {
    let items = subtasks > 0 ? " with \(subtasks) \(subtasks == 1 ? "item" : "items")" : ""
    return "\(tasks) \(tasks == 1 ? "task" : "tasks")\(items)"
  }

  fileprivate var json: JSON {
    .object([
      ("id", .string(id)), ("kind", .string(kind)), ("note", .string(note)), ("createdAt", .string(createdAt)),
      ("createdBy", .string(createdBy)), ("tasks", .integer(Int64(tasks))), ("subtasks", .integer(Int64(subtasks))),
      ("bytes", .integer(Int64(clamping: size))), ("storedBytes", .integer(Int64(clamping: storedSize))),
    ])
  }
}
