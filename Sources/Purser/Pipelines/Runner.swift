import Glibc
import PurserExecution
import PurserModel

/// Runs a pipeline with a cache: what is stale, in the right order, several tasks at once.
///
/// ```swift
/// let runner = try Runner(pipeline, cache: cache)
/// let run = runner.start()
/// for await event in run.events { … }
/// let summary = try await run.summary
/// ```
public struct Runner: Sendable {
  /// Where it is recorded, and under which storage key and pipeline.
  public let cache: TaskCache
  /// What is run.
  public let pipeline: Pipeline

  /// Makes a runner.
  ///
  /// - Throws: `refused` or `usage` for a declaration that cannot be used in the cache's project.
  public init(_ pipeline: Pipeline, cache: TaskCache) throws(PurserError) {
    self.cache = cache
    self.pipeline = try pipeline.resolved(for: cache)
  }

  /// What a run would do. Changes no record, and blocks on the disk. O(tasks + declared files).
  ///
  /// - Parameter targets: tasks, and with them all that they depend on; everything for an empty list.
  /// - Throws: `missing` for a task that is not in the pipeline; `unavailable`, `io` or `busy` for a store that cannot be
  ///   read.
  public func plan(_ targets: [String] = []) throws(PurserError) -> Plan {
    try Planner(cache: cache, pipeline: pipeline).plan(targets)
  }

  /// How every task stands now, in the pipeline's order. Blocks on the disk. O(tasks + declared files).
  public func states() throws(PurserError) -> [TaskState] { try cache.states(of: pipeline) }

  /// Runs tasks, and all that they depend on; blocks until that is over. Not for Swift's cooperative pool: there,
  /// ``start(_:options:)`` is.
  ///
  /// Meanwhile SIGINT, SIGTERM and SIGHUP stop the run instead of the program, which can tell by the summary; see
  /// ``RunOptions/catchesSignals``.
  ///
  /// - Parameters:
  ///   - targets: everything for an empty list.
  ///   - observe: called with all that happens, from any thread.
  /// - Throws: as ``plan(_:)``. A task that fails is no error of the run.
  @discardableResult
  public func run(
    _ targets: [String] = [], options: RunOptions = RunOptions(),
    observe: @escaping @Sendable (RunEvent) -> Void = { _ in }
  ) throws(PurserError) -> RunSummary {
    try graphRun(options, cancellation: nil, observe).run(targets)
  }

  /// A run in a program that may have other children than a run's commands.
  func graphRun(
    _ options: RunOptions, cancellation: Cancellation?, _ observe: @escaping @Sendable (RunEvent) -> Void
  ) -> GraphRun {
    var options = options
    options.adoptsOrphans = false
    return GraphRun(
      Planner(cache: cache, pipeline: pipeline), options: options, cancellation: cancellation, report: observe)
  }

  /// Starts a run on threads of its own, and returns at once.
  public func start(_ targets: [String] = [], options: RunOptions = RunOptions()) -> PipelineRun {
    PipelineRun(self, targets, options)
  }
}
