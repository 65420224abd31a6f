import PurserPipeline
import Synchronization

/// The tasks of a pipeline, each after what it depends on.
///
/// Those of a graph that was kept are made when they are first asked for: of 10,000 tasks, a run after one change needs
/// a handful, and of the others their names and what they depend on.
public struct PipelineTasks: Sendable, RandomAccessCollection {
  private var source: Source

  private enum Source: Sendable {
    case made([PipelineTask], places: [String: Int])
    case kept(KeptTasks)
  }

  init(_ tasks: [PipelineTask], _ places: [String: Int]) {
    source = .made(tasks, places: places)
  }

  init(_ graph: KeptGraph, _ resolver: TaskResolver) {
    source = .kept(KeptTasks(graph, resolver))
  }

  public var startIndex: Int { 0 }

  public var endIndex: Int {
    switch source {
    case .made(let tasks, _): tasks.count
    case .kept(let tasks): tasks.graph.taskCount
    }
  }

  /// The task at a place.
  public subscript(place: Int) -> PipelineTask {
    switch source {
    case .made(let tasks, _): tasks[place]
    case .kept(let tasks): tasks[place]
    }
  }

  /// A task's name.
  package func name(_ place: Int) -> String {
    switch source {
    case .made(let tasks, _): tasks[place].spec.id
    case .kept(let tasks): tasks.graph.name(of: place)
    }
  }

  /// The places of the tasks that one comes after.
  package func dependencies(of place: Int) -> ArraySlice<Int> {
    switch source {
    case .made(let tasks, _): tasks[place].dependencies[...]
    case .kept(let tasks): tasks.graph.dependencies(of: place)
    }
  }

  /// The place of the task of a name.
  func place(of name: String) -> Int? {
    switch source {
    case .made(_, let places): places[name]
    case .kept(let tasks): tasks.place(of: name)
    }
  }

  /// Changes every task; names and dependencies have to stay.
  mutating func change<Failure>(_ body: (inout PipelineTask) throws(Failure) -> Void) throws(Failure) {
    var tasks = Array(self)
    for place in tasks.indices { try body(&tasks[place]) }
    var places: [String: Int] = [:]
    for (place, task) in tasks.enumerated() { places[task.spec.id] = place }
    source = .made(tasks, places: places)
  }
}

/// The tasks of a graph that was kept, as far as they were asked for.
private final class KeptTasks: Sendable {
  let graph: KeptGraph
  private let resolver: TaskResolver
  private let made = Mutex<[Int: PipelineTask]>([:])
  private let places = Mutex<[String: Int]>([:])

  init(_ graph: KeptGraph, _ resolver: TaskResolver) {
    self.graph = graph
    self.resolver = resolver
  }

  subscript(place: Int) -> PipelineTask {
    made.withLock { made in
      if let task = made[place] { return task }
      let task = make(place)
      made[place] = task
      return task
    }
  }

  private func make(_ place: Int) -> PipelineTask {
    let dependencies = Array(graph.dependencies(of: place))
    if let member = graph.member(at: place),
      let task = try? resolver.task(
        member.definition, member.node, dependencies,
        { name in dependencies.first { graph.name(of: $0) == name }.flatMap(graph.member(at:))?.definition })
    {
      return task
    }
    // Not what was written, though its checksum fits: a task that cannot be run, and is never taken for the real one.
    return PipelineTask(
      spec: TaskSpec(graph.name(of: place)), work: .words([]), dependencies: dependencies, retries: 0, priority: 0,
      arguments: [], data: [])
  }

  func place(of name: String) -> Int? {
    places.withLock { places in
      if places.isEmpty { for place in 0..<graph.taskCount { places[graph.name(of: place)] = place } }
      return places[name]
    }
  }
}
