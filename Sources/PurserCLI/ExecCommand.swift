import Purser
import PurserExecution
import PurserModel

let execCommand = CommandSpec(
  name: "exec", summary: "run a command, or replay or restore what it did before",
  operands: "-- COMMAND [ARGUMENT…]",
  options: stepOptions + [
    .flag("touch", "renew the times of fresh outputs, for programs that go by them"),
    .value("timeout", "DURATION", "stop the command after so long, as 90s, 5m or 1h30m"),
    .flag("require-cache", "fail instead of running uncached when the store cannot be used"),
  ],
  takesCommand: true,
  discussion: """
    The exit code is the command's; a signal gives 128 and its number, a timeout 124. If the cache cannot be used, the
    command runs all the same. 1: the command succeeded without making a declared output. 65: a declaration is
    refused. 66: an input does not exist.
    """
) { invocation in
  let session = try Session(invocation)
  let console = session.console
  let project = try session.stepProject()
  let spec = try session.declaredSpec(project)
  var options = StepRunner.Options()
  options.isForced = invocation.has("force")
  options.mayRestore = !invocation.has("no-restore")
  options.requiresCache = invocation.has("require-cache")
  options.touchesOutputs = invocation.has("touch")
  if let text = invocation.text("timeout") {
    guard let timeout = parseDuration(text), timeout > .zero else {
      throw UsageError(message: "--timeout is a duration such as 90s, 5m or 1h30m, not '\(text)'", command: "exec")
    }
    options.timeout = timeout
  }
  let runner = StepRunner(
    cache: TaskCache(project: project, environment: session.environment), executor: LocalExecutor()
  ) { event in
    switch event {
    case .warning(let message): console.warn(message)
    case .error(let message): console.error(message)
    case .waiting(let task, let pid, let since, let isJoined):
      if console.verbosity != .quiet {
        console.note("\(task): \(isJoined ? "joining" : "waiting for") process \(pid), at work since \(since)")
      }
    case .joined(let task, let pid, let exitCode, let time):
      if console.showsDecisions {
        let end = time.map { "ran in \(Timestamp.duration(microseconds: $0))" } ?? "failed with exit code \(exitCode)"
        console.note("\(task): process \(pid), which was joined, \(end)")
      }
    case .fresh(let task, let saved):
      if console.showsDecisions { console.note("\(task): fresh, saved \(Timestamp.duration(microseconds: saved))") }
    case .restored(let task, let reasons, let saved):
      if console.showsDecisions {
        console.note(
          "\(task): restored, saved \(Timestamp.duration(microseconds: saved)) (\(summary(reasons)))")
      }
    case .running(let task, let reasons):
      if console.showsDecisions { console.note("\(task): running (\(summary(reasons)))") }
    case .finished: break
    }
  }
  guard spec.readsStandardInput else { return try runner.run(spec, options) }
  let input = try TemporaryFile(in: project.store.appending(path: "tmp"))
  options.standardInput = (input.descriptor, try spoolStandardInput(into: input))
  return try runner.run(spec, options)
}

/// All reasons in one line.
func summary(_ reasons: [Reason]) -> String {
  reasons.map(\.summary).joined(separator: "; ")
}
