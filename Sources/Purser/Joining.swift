import PurserExecution
import PurserModel
import PurserStore

/// A run of another process is joined if it does just what is to be done here: what it prints is shown as it comes,
/// and how it ends is taken for one's own.
extension Lessor.Holder {
  /// For what it prints from now on; `nil` if it is only waited for.
  func follower(in project: Project) -> LogFollower? {
    run.map { LogFollower(run: $0, directory: project.store.appending(path: "tmp")) }
  }

  /// Whether a result is that of the run that was joined.
  func made(_ result: ActionResult) -> Bool { run == result.run }

  /// The run that was joined, if it failed by itself at an action that is still the one to be done: then so would
  /// another.
  func failure(of key: TaskKey, doing action: Digest, in cache: TaskCache) throws(PurserError) -> RunRecord? {
    guard let run else { return nil }
    do {
      let filter = RunFilter(storageKey: key.storageKey, pipeline: key.pipeline, task: key.task, limit: 1)
      return try cache.records.runs(matching: filter).first {
        $0.id == run && $0.state == .failed && $0.kind == "run" && $0.actionKey == action
      }
    } catch {
      throw PurserError(error)
    }
  }
}

extension RunRecord {
  /// The exit status to give where this failure is taken for one's own: never 0, as for one that made no output.
  var failureCode: Int32 { exitCode.flatMap { $0 == 0 ? nil : $0 } ?? 1 }
}
