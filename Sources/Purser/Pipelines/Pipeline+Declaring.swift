import PurserModel
import PurserPipeline

/// Collects the tasks of a ``Pipeline``: those that are listed, those of loops and of conditions.
@resultBuilder
public enum PipelineBuilder {
  /// One task.
  public static func buildExpression(_ task: PipelineTask) -> [PipelineTask] { [task] }
  /// Tasks that were made elsewhere.
  public static func buildExpression(_ tasks: [PipelineTask]) -> [PipelineTask] { tasks }
  /// All that is listed.
  public static func buildBlock(_ parts: [PipelineTask]...) -> [PipelineTask] { parts.flatMap(\.self) }
  /// Those of an `if` without `else`.
  public static func buildOptional(_ tasks: [PipelineTask]?) -> [PipelineTask] { tasks ?? [] }
  /// Those of an `if`.
  public static func buildEither(first tasks: [PipelineTask]) -> [PipelineTask] { tasks }
  /// Those of an `else`.
  public static func buildEither(second tasks: [PipelineTask]) -> [PipelineTask] { tasks }
  /// Those of a loop.
  public static func buildArray(_ parts: [[PipelineTask]]) -> [PipelineTask] { parts.flatMap(\.self) }
  /// Those that depend on the system's version.
  public static func buildLimitedAvailability(_ tasks: [PipelineTask]) -> [PipelineTask] { tasks }
}

extension Pipeline {
  /// A pipeline of these tasks, which may be listed in any order. Its name is that of the cache that it is run with.
  /// O(tasks + dependencies).
  ///
  /// - Throws: `refused` for two tasks of one name, a dependency that is not among the tasks, tasks that wait for each
  ///   other, and a task that maps over one without data.
  public init(@PipelineBuilder _ tasks: () throws -> [PipelineTask]) throws {
    try self.init(tasks())
  }

  /// A pipeline of these tasks.
  public init(_ tasks: [PipelineTask]) throws(PurserError) {
    var given: [String: Int] = [:]
    for (place, task) in tasks.enumerated() where given.updateValue(place, forKey: task.spec.id) != nil {
      throw PurserError(.refused, "the pipeline has two tasks '\(task.spec.id)'; give one another name")
    }
    let names = tasks.map(\.spec.id)
    for task in tasks {
      for upstream in task.spec.upstream where given[upstream] == nil {
        throw PurserError(
          .refused,
          "task '\(task.spec.id)' comes after '\(upstream)', which is not in the pipeline"
            + Suggestion.hint(upstream, among: names))
      }
      try task.checkItems(of: task.spec.mapping.flatMap { given[$0.upstream] }.map { tasks[$0] })
    }
    let dependencies = tasks.map { task in task.spec.upstream.compactMap { given[$0] } }
    let order = Self.order(dependencies)
    guard order.count == tasks.count else {
      let cycle = Self.cycle(dependencies, among: Set(tasks.indices).subtracting(order))
      throw PurserError(
        .refused,
        "tasks wait for each other: \(cycle.map { "'\(names[$0])'" }.joined(separator: " after ")); take one of these "
          + "out of 'after'")
    }
    var places = Array(repeating: 0, count: tasks.count)
    for (place, index) in order.enumerated() { places[index] = place }
    let sorted = order.map { index in
      var task = tasks[index]
      task.dependencies = dependencies[index].map { places[$0] }
      return task
    }
    self.init(
      graph: "", fileName: "", dialect: .purser,
      tasks: PipelineTasks(sorted, given.mapValues { places[$0] }), config: .emptyObject, scratch: "")
  }

  /// Places such that each comes after those that it depends on, otherwise as given; without those on a cycle, and
  /// behind one.
  static func order(_ dependencies: [[Int]]) -> [Int] {
    var waiting = dependencies.map(\.count)
    var dependents = Array(repeating: [Int](), count: dependencies.count)
    for (place, upstream) in dependencies.enumerated() {
      for dependency in upstream { dependents[dependency].append(place) }
    }
    var order = dependencies.indices.filter { waiting[$0] == 0 }
    var next = 0
    while next < order.count {
      for dependent in dependents[order[next]] {
        waiting[dependent] -= 1
        if waiting[dependent] == 0 { order.append(dependent) }
      }
      next += 1
    }
    return order
  }

  /// Some cycle, from a place back to it. `rest` are those that are on one, or behind one.
  private static func cycle(_ dependencies: [[Int]], among rest: Set<Int>) -> [Int] {
    guard var place = rest.min() else { return [] }
    var path: [Int] = []
    while !path.contains(place) {
      path.append(place)
      guard let next = dependencies[place].first(where: rest.contains) else { return path }
      place = next
    }
    return Array(path.drop { $0 != place }) + [place]
  }

  /// The same pipeline, ready to be run with a cache: its paths are checked, and closures have what stands for them.
  func resolved(for cache: TaskCache) throws(PurserError) -> Pipeline {
    var pipeline = self
    pipeline.graph = cache.project.pipeline
    pipeline.scratch = Self.scratch(of: cache.project, cache.environment)
    let program = pipeline.tasks.contains { $0.closure != nil } ? Project.realPath("/proc/self/exe") : nil
    try pipeline.tasks.change { task throws(PurserError) in
      if let closure = task.closure, closure.version == nil, let program {
        let inside = program.path(relativeTo: cache.project.root).map { "./" + $0 }
        task.spec.tools.append(inside ?? program)
      }
      task.spec = try Declarations(project: cache.project).admit(task.spec)
    }
    return pipeline
  }
}

extension PipelineTask {
  /// Whether its items can be had from the task that it maps over.
  fileprivate func checkItems(of upstream: PipelineTask?) throws(PurserError) {
    guard let mapping = spec.mapping, let upstream else { return }
    guard upstream.spec.keepsData else {
      throw PurserError(
        .refused,
        "task '\(spec.id)' maps over '\(mapping.upstream)', which returns nothing; return a list there, or, for a "
          + "command, add .keepingData()")
    }
  }
}
