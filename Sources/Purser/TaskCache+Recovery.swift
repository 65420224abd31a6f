import PurserBlobs
import PurserExecution
public import PurserModel
import PurserStore

/// A run of a pipeline that was killed, or whose machine lost power, and how far it was.
public struct InterruptedRun: Sendable {
  /// What was being worked at.
  public struct ActiveTask: Sendable {
    /// The task.
    public var task: String
    /// ISO 8601; `nil` where nobody says.
    public var since: String?
    /// Of a mapped task, how many of its items are done.
    public var items: (done: Int, total: Int)?
  }

  /// Under which it is stored.
  package var name: String
  /// Its id: 8 hexadecimal digits.
  public var id: String
  /// The storage key that it ran on.
  public var storageKey: String
  /// The pipeline that it ran.
  public var pipeline: String
  /// As it was written down last.
  public var tree: ExecutionTree
  /// ISO 8601: when that was.
  public var updatedAt: String
  /// What was begun and did not end.
  public var active: [ActiveTask]
  /// What was not begun.
  public var pending: [String]
  /// What failed, or was not begun because of that.
  public var failed: [String]
  /// What is done, by that run or since.
  public var done: [String]
}

extension TaskCache {
  /// Who runs, for those who look whether the run lives.
  static func executionOwner() -> ExecutionTree.Owner {
    let current = ChildProcess.current
    return ExecutionTree.Owner(worker: Lessor.worker, pid: current.pid, startTime: current.startTime)
  }

  /// The runs of pipelines that began, did not come to their end, and have nobody any more who is at them; and of which
  /// something is left to be done. Nothing is changed. O(trees of such runs, and the records of their tasks).
  ///
  /// A run is told by its tree, which may be some seconds behind; what its tasks' own records say goes first. One that
  /// was stopped by Ctrl-C, or by a failure, came to its end.
  ///
  /// - Parameters:
  ///   - storageKey: only runs on this one.
  ///   - pipeline: only runs of this one.
  /// - Throws: `io` for a tree that is damaged, which is named; `unavailable` or `busy` for a store that cannot be read.
  public func interruptedRuns(
    storageKey: String? = nil, pipeline: String? = nil
  ) throws(PurserError) -> [InterruptedRun] {
    try asking {
      guard let store = records as? any ExecutionStore else { return [] }
      let recovery = RecoveryStore(store)
      var runs: [InterruptedRun] = []
      for (name, hasState) in try store.executions(withPrefix: "[") where hasState {
        guard let parts = ExecutionName.parts(of: name), parts.count == 3,
          storageKey.map({ $0.utf8.elementsEqual(parts[0].utf8) }) ?? true,
          pipeline.map({ $0.utf8.elementsEqual(parts[1].utf8) }) ?? true,
          let stored = try store.tree(of: name), let tree = try recovery.loadExecutionTree(name),
          tree.finishedAt == nil
        else { continue }
        guard try !isAlive(tree, parts) else { continue }
        var run = InterruptedRun(
          name: name, id: parts[2], storageKey: parts[0], pipeline: parts[1], tree: tree, updatedAt: stored.updatedAt,
          active: [], pending: [], failed: [], done: [])
        try sort(&run)
        if !run.active.isEmpty || !run.pending.isEmpty || !run.failed.isEmpty { runs.append(run) }
      }
      return runs
    }
  }

  /// Whether somebody may still be at a run. Pids of another name-space say nothing: there, the leases of its tasks do.
  private func isAlive(_ tree: ExecutionTree, _ parts: [String]) throws(StoreError) -> Bool {
    guard let owner = tree.owner else { return false }
    let worker = Lessor.worker
    if owner.worker == worker { return ChildProcess(pid: owner.pid, startTime: owner.startTime).isAlive }
    guard owner.worker.prefix(while: { $0 != "/" }) == worker.prefix(while: { $0 != "/" }) else { return false }
    let names = tree.nodes.map {
      Lessor.name(of: TaskKey(storageKey: parts[0], pipeline: parts[1], task: $0.id))
    }
    return try records.leases(named: names).contains {
      $0.worker == owner.worker && $0.owner.pid == owner.pid && $0.expiresAt > TaskCache.now()
    }
  }

  /// Says of each task of a run how far it is: by its record where that was touched since, else by the tree.
  private func sort(_ run: inout InterruptedRun) throws(StoreError) {
    let keys = run.tree.nodes.map { TaskKey(storageKey: run.storageKey, pipeline: run.pipeline, task: $0.id) }
    let found = try records.records(for: keys)
    for (node, record) in zip(run.tree.nodes, found) {
      let isTouched = record.map { ($0.startTime ?? "") >= run.tree.startedAt } ?? false
      switch record?.status {
      case .success where isTouched: run.done.append(node.id)
      case .failure where isTouched: run.failed.append(node.id)
      case .running where isTouched, .incomplete where isTouched && node.state == .active:
        var task = InterruptedRun.ActiveTask(task: node.id, since: record?.startTime ?? node.startedAt)
        if let record, record.subtaskCount > 0 {
          task.items = (try records.subtasks(of: record.key).count(where: \.isDone), record.subtaskCount)
        }
        run.active.append(task)
      default:
        switch node.state {
        case .fresh, .restored, .ran: run.done.append(node.id)
        case .failed, .skipped, .interrupted: run.failed.append(node.id)
        case .active: run.active.append(InterruptedRun.ActiveTask(task: node.id, since: node.startedAt))
        case .pending: run.pending.append(node.id)
        }
      }
    }
  }

  /// Forgets a run that was killed; its tasks' records stay.
  public func forget(_ run: InterruptedRun) throws(PurserError) {
    try asking {
      try (records as? any ExecutionStore)?.save(
        [.tree(of: run.name, nil)] + ExecutionPhase.allCases.map { .state(of: run.name, $0, nil) },
        now: TaskCache.now(), durable: true)
    }
  }
}
