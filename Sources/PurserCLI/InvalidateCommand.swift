import Purser
import PurserModel

/// Which tasks are meant, and whether anything is to be done to them.
private func selectionOptions(downstream: String) -> [OptionSpec] {
  [
    .flag("all-tasks", "all tasks of the pipeline, instead of naming them"),
    .flag("all-pipelines", "in every pipeline of the storage key"), .flag("downstream", downstream),
    .flag("dry-run", "say what would be hit, and change nothing"),
  ]
}

let invalidateCommand = CommandSpec(
  name: "invalidate", summary: "declare results void, so that tasks run again; history stays",
  operands: "TASK… | --all-tasks",
  options: selectionOptions(downstream: "also every task that follows, as recorded") + [
    .flag("all-keys", "on every storage key, and for keys to come"),
    .value("why", "TEXT", "the reason, kept with the mark"),
  ], takesOperands: true,
  discussion: """
    A TASK may be a pattern, in quotes: 'clean*'. What was made before the mark is neither fresh nor put back on this
    storage key, and nor is what a run makes that is under way; on others it may be, but with --all-keys. Files are not
    touched. 'purser uninvalidate' takes the mark back.

    The whole branch: purser invalidate --storage-key KEY --all-tasks --all-pipelines
    """
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  let isTrial = invocation.has("dry-run")
  let hit = try cache.invalidate(
    try session.selection("invalidate"), why: invocation.text("why") ?? "", isTrial: isTrial)
  if session.console.isJSON {
    session.console.print(
      .object([("invalidated", .array(hit.map { .object($0.members) })), ("dryRun", .bool(isTrial))]))
  } else if session.console.verbosity != .quiet {
    for key in hit {
      session.console.print((isTrial ? "would invalidate " : "invalidated ") + session.words(for: key))
    }
  }
  return 0
}

let uninvalidateCommand = CommandSpec(
  name: "uninvalidate", summary: "take the last mark of 'invalidate' back: tasks are what they were before it",
  operands: "TASK… | --all-tasks",
  options: selectionOptions(downstream: "also what the same command marked of the tasks that follow") + [
    .flag("all-keys", "the last mark that was made with --all-keys, wherever it stands, and what it voided"),
    .value("why", "TEXT", "the reason, kept in the history"),
  ], takesOperands: true,
  discussion: """
    A TASK may be a pattern, in quotes: 'clean*'. Where a task was marked more than once, the mark before stands again.
    What ran since the mark stays as it is. A mark on all keys is taken back by --all-keys alone.
    """
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  let isTrial = invocation.has("dry-run")
  let freed = try cache.takeBackMarks(
    try session.selection("uninvalidate"), why: invocation.text("why") ?? "", isTrial: isTrial)
  if session.console.isJSON {
    session.console.print(
      .object([
        (
          "uninvalidated",
          .array(
            freed.map { mark in
              .object(
                mark.key.members + [
                  (
                    "mark",
                    .object([
                      ("at", .string(mark.mark.at)), ("by", .string(mark.mark.by)), ("why", .string(mark.mark.why)),
                      ("allKeys", .bool(mark.isOnAllKeys)),
                    ])
                  )
                ])
            })
        ), ("dryRun", .bool(isTrial)),
      ]))
  } else if session.console.verbosity != .quiet {
    for mark in freed {
      let why = mark.mark.why.isEmpty ? "" : ": \(mark.mark.why)"
      session.console.print(
        (isTrial ? "would take back the mark on " : "took back the mark on ") + session.words(for: mark.key)
          + " (\(mark.mark.by), \(session.age(mark.mark.at)) ago\(why))")
    }
  }
  return 0
}

extension Session {
  /// The tasks that are named, or all.
  fileprivate func selection(_ command: String) throws -> TaskSelection {
    var selection = TaskSelection()
    selection.names = invocation.operands
    selection.onAllPipelines = invocation.has("all-pipelines")
    selection.onAllKeys = invocation.has("all-keys")
    selection.includesDownstream = invocation.has("downstream")
    guard selection.names.isEmpty == invocation.has("all-tasks") else {
      throw UsageError(
        message: selection.names.isEmpty
          ? "name a task, or say --all-tasks" : "name tasks or say --all-tasks, not both", command: command)
    }
    return selection
  }

  /// A task for a line of text: with its pipeline where several are meant.
  fileprivate func words(for key: TaskKey) -> String {
    key.task + (invocation.has("all-pipelines") ? " of \(key.pipeline)" : "") + " on \(key.storageKey)"
  }
}

extension TaskKey {
  fileprivate var members: [(String, JSON)] {
    [("storageKey", .string(storageKey)), ("pipeline", .string(pipeline)), ("task", .string(task))]
  }
}
