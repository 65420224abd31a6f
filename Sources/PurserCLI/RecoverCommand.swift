import Purser
import PurserModel

let recoverCommand = CommandSpec(
  name: "recover", summary: "list runs of pipelines that were killed, how far they were, and how to go on",
  operands: "[list] | forget RUN…",
  options: [.flag("all-keys", "on every storage key, not only the one in use")], takesOperands: true,
  discussion: """
    A run that was killed, or whose machine lost power, leaves what it was at: tasks that were active, pending, failed
    and done, as their records have it by now. Going on needs no preparation: the command that is named does what is
    left. Runs that somebody is at are not listed, nor those that were stopped by Ctrl-C or a failure, which came to
    their end.

    forget   takes a run out of the list; its tasks' records stay

    Exit code: 0, whatever it finds; 66 for a RUN that is not listed; 74 for what is damaged.
    """
) { invocation in
  let session = try Session(invocation)
  let operands = invocation.operands.map(\.escaped)
  let action = operands.first ?? "list"
  let cache = try session.cache()
  let runs = try cache.interruptedRuns(storageKey: invocation.has("all-keys") ? nil : cache.project.storageKey)
  switch (action, operands.count) {
  case ("list", 0...1): return session.show(runs, cache)
  case ("forget", 2...):
    let chosen = try operands.dropFirst().map { id in
      guard let run = runs.first(where: { $0.id == id }) else {
        throw PurserError(
          .missing,
          "no interrupted run '\(TaskCache.shown(id))'" + Suggestion.hint(id, among: runs.map(\.id))
            + "; see 'purser recover'")
      }
      return run
    }
    for run in chosen { try cache.forget(run) }
    if session.console.isJSON {
      session.console.print(.object([("forgotten", .array(chosen.map { .string($0.id) }))]))
    }
    return 0
  case ("forget", _): throw UsageError(message: "name a run: purser recover forget RUN", command: "recover")
  default:
    let hint = Suggestion.hint(action, among: ["list", "forget"])
    throw UsageError(
      message: "unknown action '\(TaskCache.shown(action))'" + (hint.isEmpty ? "; list, or forget RUN" : hint),
      command: "recover")
  }
}

extension Session {
  fileprivate func show(_ runs: [InterruptedRun], _ cache: TaskCache) -> Int32 {
    if console.isJSON {
      console.print(.object([("runs", .array(runs.map { json($0, cache) }))]))
      return 0
    }
    guard !runs.isEmpty else {
      let place = invocation.has("all-keys") ? "" : " on \(TaskCache.shown(cache.project.storageKey))"
      console.print("No run was interrupted\(place), or what it had left was done since.")
      return 0
    }
    for (index, run) in runs.enumerated() {
      if index > 0 { console.print("") }
      print(run, cache)
    }
    return 0
  }

  private func print(_ run: InterruptedRun, _ cache: TaskCache) {
    let counts = [
      ("done", run.done.count), ("active", run.active.count), ("failed", run.failed.count),
      ("pending", run.pending.count),
    ].filter { $0.1 > 0 }.map { "\($0.1) \($0.0)" }.joined(separator: ", ")
    console.print(
      "\(console.paint("run \(run.id)", .bold)) of \(TaskCache.shown(run.pipeline)) on "
        + "\(TaskCache.shown(run.storageKey)), begun \(run.tree.startedAt) (\(age(run.tree.startedAt)) ago), last seen "
        + run.updatedAt)
    console.print("  of \(run.tree.nodes.count) tasks: \(counts)")
    for task in run.active {
      let items = task.items.map { ", \($0.done) of \($0.total) items done" } ?? ""
      let since = task.since.map { " since \($0)" } ?? ""
      console.print("  \(console.paint("active", .yellow))   \(TaskCache.shown(task.task))\(since)\(items)")
    }
    for (word, style, tasks) in [
      ("failed ", Console.Style.red, run.failed), ("pending", .blue, run.pending), ("done   ", .green, run.done),
    ] where !tasks.isEmpty {
      console.print("  \(console.paint(word, style))  \(shortened(tasks.map(TaskCache.shown)))")
    }
    let words = command(run, cache)
    console.print(
      words.isEmpty
        ? "  to go on, start the program again that ran it" : "  to go on: \(words.map(quoted).joined(separator: " "))")
  }

  /// The words of the command that goes on with a run from the current folder; none for a program's own.
  private func command(_ run: InterruptedRun, _ cache: TaskCache) -> [String] {
    guard !run.tree.command.isEmpty else { return [] }
    var words = ["purser"]
    if let root = run.tree.root, root != cache.project.root.escaped { words += ["--project", root] }
    if !run.storageKey.utf8.elementsEqual(cache.project.storageKey.utf8) { words += ["--storage-key", run.storageKey] }
    return words + run.tree.command
  }

  /// A word for a shell.
  private func quoted(_ word: String) -> String {
    let isPlain =
      !word.isEmpty
      && word.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: Array("_-./:=@%+,".utf8).contains(byte)
        }
      }
    return isPlain
      ? word : "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }

  private func json(_ run: InterruptedRun, _ cache: TaskCache) -> JSON {
    func names(_ tasks: [String]) -> JSON { .array(tasks.map { .string($0) }) }
    let active = run.active.map { task in
      var members: [(String, JSON)] = [
        ("task", .string(task.task)), ("since", task.since.map { .string($0) } ?? .null),
      ]
      if let items = task.items {
        members += [("done", .integer(Int64(items.done))), ("total", .integer(Int64(items.total)))]
      }
      return JSON.object(members)
    }
    return .object([
      ("run", .string(run.id)), ("storageKey", .string(run.storageKey)), ("pipeline", .string(run.pipeline)),
      ("startedAt", .string(run.tree.startedAt)), ("updatedAt", .string(run.updatedAt)),
      ("pid", run.tree.owner.map { .integer(Int64($0.pid)) } ?? .null), ("active", .array(active)),
      ("pending", names(run.pending)), ("failed", names(run.failed)), ("done", names(run.done)),
      ("resume", names(command(run, cache))),
    ])
  }
}
