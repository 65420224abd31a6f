import Glibc
import Purser
import PurserModel

let runCommand = CommandSpec(
  name: "run", summary: "run what is stale of the pipeline file's graph", operands: "[TASK…]",
  options: [
    .value("jobs", short: "j", "N", "tasks at once (default: the number of processors)"),
    .flag("keep-going", short: "k", "after a failure, go on with what does not depend on it"),
    .flag("force", "run whatever is recorded"),
    .flag("no-restore", "never put a stored result back: run instead"),
    .flag("resume", "go on with items where an interrupted task was (the default)"),
    .flag("no-resume", "begin interrupted tasks with their first item again"),
    .value(
      "snapshot-every", "DURATION", "also take a snapshot of the branch while it runs; 0 for none, at the end either"),
    .list("subset", "FILE|KEY", "run only these items of the mapped tasks: a key, or a file with one on each line"),
  ], takesOperands: true,
  discussion: """
    Without a TASK, the whole graph; else those tasks and what they depend on. Ctrl-C stops cleanly, and what was
    done stays done; a second one stops at once. What was killed is taken up: tasks that ended are not run again, nor are
    items that did; 'purser recover' lists what that is.

    A run that did anything leaves a snapshot of its branch (see 'purser snapshot'), unless --snapshot-every is 0, or
    the snapshot would take long beside the run. settings.snapshot_every of purser.yaml says it for each run.

    Exit code: 0; 1 if a task failed; 130 after Ctrl-C; 78 for a pipeline file that cannot be used.
    """
) { invocation in
  let session = try Session(invocation)
  var options = RunOptions()
  options.jobs = try session.jobs()
  let isPlain = invocation.operands.isEmpty && !invocation.has("force") && !invocation.has("subset")
  var found: FoundPipeline?
  if isPlain, !session.console.isJSON, session.console.verbosity != .verbose {
    let start = Timestamp.microseconds(TaskCache.now()) ?? 0
    found = try session.findPipeline()
    if let sight = found?.sight, sight.isUntouched {
      let took = (Timestamp.microseconds(TaskCache.now()) ?? 0) - start
      RunDisplay.sayUntouched(session.console, sight.plan.taskCount, saved: sight.plan.savedMicroseconds, took: took)
      return 0
    }
  }
  let planner = try session.planner(found)
  options.keepsGoing = invocation.has("keep-going")
  options.isForced = invocation.has("force")
  options.mayRestore = !invocation.has("no-restore")
  guard !invocation.has("resume") || !invocation.has("no-resume") else {
    throw UsageError(message: "--resume and --no-resume exclude each other", command: "run")
  }
  options.graph = session.chosenGraph
  options.resumes = !invocation.has("no-resume")
  options.snapshotInterval = planner.pipeline.snapshotInterval
  if let text = invocation.text("snapshot-every") {
    guard let interval = text == "off" ? .zero : parseDuration(text) else {
      throw UsageError(
        message: "--snapshot-every is a duration such as 30s or 10m, or 0 for none, not '\(text)'", command: "run")
    }
    options.takesSnapshots = interval > .zero
    options.snapshotInterval = interval > .zero ? interval : nil
  }
  let subset = invocation.list("subset")
  if !subset.isEmpty {
    guard !invocation.operands.isEmpty else {
      throw UsageError(message: "--subset is for named tasks: purser run TASK --subset KEY", command: "run")
    }
    let named = invocation.operands.map(\.escaped)
    guard planner.pipeline.tasks.contains(where: { named.contains($0.spec.id) && $0.spec.mapping != nil }) else {
      throw UsageError(message: "--subset chooses items, but none of the named tasks is mapped", command: "run")
    }
    options.subset = try subset.flatMap { try session.keys(inFileOrGiven: $0) }
  }
  try planner.cache.prepareStore()
  let display = RunDisplay(session.console, jobs: options.jobs)
  let summary = try GraphRun(planner, options: options) { display.show($0) }.run(invocation.operands.map(\.escaped))
  display.finish(summary, planner.pipeline)
  planner.cache.maintainIfDue()
  return summary.exitCode
}

extension Session {
  /// `--jobs`, else the number of processors that this process may use.
  func jobs() throws -> Int {
    guard let text = invocation.text("jobs") else { return max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
    guard let jobs = Int(text), jobs > 0, jobs <= 1024 else {
      throw UsageError(message: "--jobs is a number from 1 to 1024, not '\(text)'", command: "run")
    }
    return jobs
  }
}
