import PurserBlobs
import PurserExecution
import PurserModel
import PurserStore

/// Writes down how far a run of a pipeline is: its tree, and what is active and pending, for whoever finds the run
/// killed; and takes snapshots of its branch.
///
/// Nothing is written before a task is begun, so that a run that finds all fresh writes nothing. What it writes stands in
/// few transactions, which the run's own `sync` makes durable: each task's record is there anyway, and is what
/// `recover` believes where the tree is behind. One thread's.
final class ExecutionRecorder {
  private let cache: TaskCache
  private let store: any ExecutionStore
  private let pipeline: Pipeline
  private let options: RunOptions
  private let codec = ZstdCodec()
  private let name: String
  private let start: MonotonicTime
  private let startedAt: String
  /// Places of the tasks in the tree, in their order.
  private let places: [Int]
  /// For each task of the pipeline, which node of the tree it is; none before the first task was begun.
  private var nodes: [Int?] = []
  private var tree: ExecutionTree
  private var begun = 0
  private var isBegun = false
  private var isDirty = false
  private var nextWrite: MonotonicTime
  private var nextSnapshot: MonotonicTime

  /// The tree is written at most so often, and takes at most this part of the time.
  private static let pause = Duration.milliseconds(500)
  private static let share: Int32 = 50
  /// A snapshot at the end of a run that nobody asked for takes at most this part of the run's time.
  private static let snapshotShare: Int64 = 20
  /// What a snapshot is taken to cost, in microseconds for each task and each item: measured, and rounded up.
  private static let snapshotCost: (task: Int64, item: Int64) = (15, 3)

  /// `nil` for a run that is not to be written down: one of queued work, which has a record of its own, and one in a
  /// store that keeps no executions.
  init?(_ cache: TaskCache, _ pipeline: Pipeline, _ options: RunOptions, _ targets: [String], _ plan: Plan) {
    guard options.queuedWork == nil, let store = cache.records as? any ExecutionStore else { return nil }
    self.cache = cache
    self.store = store
    self.pipeline = pipeline
    self.options = options
    let project = cache.project
    name = ExecutionName.run(
      project.storageKey, project.pipeline, String(UInt32.random(in: .min ... .max) | 1 << 31, radix: 16))
    let start = MonotonicTime.now()
    self.start = start
    startedAt = TaskCache.now()
    nextWrite = start
    nextSnapshot = options.snapshotInterval.map { start.advanced(by: $0) } ?? start
    places = pipeline.tasks.indices.filter { plan.entries[$0] != nil }
    tree = ExecutionTree(startedAt: startedAt, nodes: [])
    // Of a program's own pipeline nobody else has the tasks.
    if !pipeline.fileName.isEmpty { tree.command = ["run"] + options.words + targets }
    tree.root = project.root.escaped
  }

  // MARK: As the run goes

  /// A task is about to be decided about, and perhaps done.
  func begins(_ place: Int, endings: [TaskEnding?], _ report: (RunEvent) -> Void) {
    if !isBegun { open(endings, report) }
    update(place) { node in
      node.state = .active
      if node.order == nil {
        begun += 1
        node.order = begun
        node.startedAt = TaskCache.now()
      }
    }
  }

  /// A task is over.
  func ends(_ place: Int, _ ending: TaskEnding) {
    guard isBegun else { return }
    update(place) { node in Self.set(ending, &node) }
  }

  private func update(_ place: Int, _ body: (inout ExecutionTree.Node) -> Void) {
    guard isBegun, let node = nodes[place] else { return }
    body(&tree.nodes[node])
    isDirty = true
  }

  private static func set(_ ending: TaskEnding, _ node: inout ExecutionTree.Node) {
    node.state = ExecutionTree.State(rawValue: ending.word) ?? .skipped
    if node.startedAt != nil { node.finishedAt = TaskCache.now() }
    switch ending {
    case .failed(let why, _, _), .skipped(let why): node.why = why
    default: node.why = nil
    }
  }

  private func open(_ endings: [TaskEnding?], _ report: (RunEvent) -> Void) {
    isBegun = true
    tree.owner = TaskCache.executionOwner()
    nodes = Array(repeating: nil, count: pipeline.tasks.count)
    tree.nodes.reserveCapacity(places.count)
    for place in places {
      var node = ExecutionTree.Node(
        pipeline.tasks.name(place), after: pipeline.tasks.dependencies(of: place).map { pipeline.tasks.name($0) })
      if let ending = endings[place] { Self.set(ending, &node) }
      nodes[place] = tree.nodes.count
      tree.nodes.append(node)
    }
    for run in supersede() {
      report(.resuming(startedAt: run.tree.startedAt, done: run.done.count, of: run.tree.nodes.count))
    }
  }

  /// Takes the place of runs that were killed and asked for no more than this one does.
  @discardableResult
  private func supersede() -> [InterruptedRun] {
    let project = cache.project
    let found = (try? cache.interruptedRuns(storageKey: project.storageKey, pipeline: project.pipeline)) ?? []
    if found.isEmpty { return [] }
    let tasks = Set(places.map { ByteString(pipeline.tasks.name($0)) })
    let over = found.filter { $0.tree.nodes.allSatisfy { tasks.contains(ByteString($0.id)) } }
    guard !over.isEmpty else { return [] }
    try? store.save(over.flatMap { Self.removal(of: $0.name) }, now: TaskCache.now(), durable: false)
    return over
  }

  private static func removal(of name: String) -> [ExecutionChange] {
    [.tree(of: name, nil)] + ExecutionPhase.allCases.map { .state(of: name, $0, nil) }
  }

  // MARK: Writing

  /// Milliseconds until something is to be done.
  var millisecondsLeft: Int32 {
    guard isBegun else { return .max }
    let snapshot = options.snapshotInterval == nil ? Int32.max : nextSnapshot.millisecondsFromNow
    return min(snapshot, isDirty ? nextWrite.millisecondsFromNow : .max)
  }

  /// Writes what is due. What fails is due again later: the run does not depend on it.
  func takeTurn() {
    guard isBegun else { return }
    let now = MonotonicTime.now()
    if isDirty, now >= nextWrite { write() }
    if let interval = options.snapshotInterval, now >= nextSnapshot {
      _ = try? cache.takeSnapshot(kind: "interval", note: "")
      nextSnapshot = MonotonicTime.now().advanced(by: interval)
    }
  }

  private func write() {
    let began = MonotonicTime.now()
    try? save(states: true)
    isDirty = false
    let cost = began.duration(to: .now())
    nextWrite = MonotonicTime.now().advanced(by: max(Self.pause, cost * Self.share))
  }

  private func save(states: Bool, _ more: [ExecutionChange] = []) throws(StoreError) {
    var changes = [ExecutionChange.tree(of: name, try codec.seal(tree.serialized))]
    for (phase, state) in [(ExecutionPhase.active, ExecutionTree.State.active), (.pending, .pending)] {
      let tasks = tree.nodes.lazy.filter { $0.state == state }.map { JSON.string($0.id) }
      changes.append(
        .state(of: name, phase, states ? try codec.seal(Array(JSON.array(Array(tasks)).serialized.utf8)) : nil))
    }
    try store.save(changes + more, now: TaskCache.now(), durable: false)
  }

  /// The run is over: its tree takes the place of those of earlier runs that are over, and a snapshot is taken.
  func finish(exitCode: Int32, hasRunAnything: Bool) {
    guard isBegun else {
      supersede()
      return
    }
    tree.finishedAt = TaskCache.now()
    tree.exitCode = exitCode
    let prefix = ExecutionName.runsPrefix(cache.project.storageKey, cache.project.pipeline)
    let earlier = (try? store.executions(withPrefix: prefix).filter { !$0.hasState && $0.name != name }) ?? []
    try? save(states: false, earlier.map { .tree(of: $0.name, nil) })
    guard hasRunAnything, options.takesSnapshots, options.snapshotInterval != nil || isSnapshotCheap else { return }
    _ = try? cache.takeSnapshot(kind: "run", note: "")
  }

  private var isSnapshotCheap: Bool {
    // What this run knows to be recorded, before the store counts all.
    guard isCheap(tasks: tree.nodes.count { $0.state.isDone }, items: 0) else { return false }
    guard let keys = try? cache.records.storageKeys(pipeline: nil),
      let key = keys.first(where: { $0.storageKey.utf8.elementsEqual(cache.project.storageKey.utf8) })
    else { return true }
    return isCheap(tasks: key.tasks, items: key.subtasks)
  }

  private func isCheap(tasks: Int, items: Int) -> Bool {
    let cost = Int64(tasks) * Self.snapshotCost.task + Int64(items) * Self.snapshotCost.item
    return cost * Self.snapshotShare <= start.duration(to: .now()).microseconds
  }
}

extension RunOptions {
  /// The options of `purser run` that mean this.
  fileprivate var words: [String] {
    (graph.map { ["--pipeline", $0] } ?? []) + (keepsGoing ? ["--keep-going"] : [])
      + (mayRestore ? [] : ["--no-restore"])
      + (subset ?? []).flatMap { ["--subset", $0] }
  }
}
