import PurserHashing
import PurserModel
package import PurserPipeline

extension Pipeline {
  /// Makes a graph ready: paths as Purser names them, variables in outputs as wildcards, tasks in order.
  ///
  /// - Throws: `pipeline` for a graph that cannot be run, `refused` for outputs that no task may have.
  package init(
    _ graph: GraphDefinition, of file: PipelineFile, named fileName: String, project: Project,
    environment: ProcessEnvironment
  ) throws(PurserError) {
    let definitions = Dictionary(file.tasks.map { ($0.name, $0) }) { first, _ in first }
    let order = try Self.order(of: graph, fileName)
    var places: [String: Int] = [:]
    for (place, node) in order.enumerated() { places[node.task] = place }
    let resolver = TaskResolver(graph, of: file, project: project, environment: environment)
    var tasks: [PipelineTask] = []
    tasks.reserveCapacity(order.count)
    for node in order {
      guard let definition = definitions[node.task] else {
        throw PurserError(.pipeline, "\(fileName): graph '\(graph.name)' names '\(node.task)', which is no task")
      }
      let dependencies = node.dependencies.compactMap { places[$0] }
      tasks.append(try resolver.task(definition, node, dependencies) { definitions[$0] })
    }
    self.init(PipelineTasks(tasks, places), graph, of: file, named: fileName, scratch: resolver.scratch)
  }

  /// A graph that was made ready before, and kept. Its tasks are made when they are asked for.
  package init(_ kept: KeptGraph, named fileName: String, project: Project, environment: ProcessEnvironment) {
    let resolver = TaskResolver(kept.graph, of: kept.file, project: project, environment: environment)
    self.init(
      PipelineTasks(kept, resolver), kept.graph, of: kept.file, named: fileName, scratch: resolver.scratch)
  }

  private init(
    _ tasks: PipelineTasks, _ graph: GraphDefinition, of file: PipelineFile, named fileName: String, scratch: ByteString
  ) {
    self.init(
      graph: graph.name, fileName: fileName, dialect: file.dialect, tasks: tasks, config: graph.config,
      scratch: scratch, snapshotInterval: file.snapshotMilliseconds.map { .milliseconds($0) })
  }

  /// Each task after what it depends on; among those that are ready, as in the file.
  private static func order(
    of graph: GraphDefinition, _ fileName: String
  ) throws(PurserError) -> [GraphDefinition.Node] {
    var index: [String: Int] = [:]
    for (place, node) in graph.nodes.enumerated() { index[node.task] = place }
    var dependencies: [[Int]] = []
    for node in graph.nodes {
      var places: [Int] = []
      for dependency in node.dependencies {
        guard let upstream = index[dependency] else {
          throw PurserError(
            .pipeline, "\(fileName): task '\(node.task)' depends on '\(dependency)', which is not in the graph")
        }
        places.append(upstream)
      }
      dependencies.append(places)
    }
    let order = order(dependencies)
    guard order.count == graph.nodes.count else {
      throw PurserError(.pipeline, "\(fileName): the dependencies of graph '\(graph.name)' have a cycle")
    }
    return order.map { graph.nodes[$0] }
  }

  /// What functions see as `DATA_YEAR`, with kptn's default.
  static func year(_ environment: ProcessEnvironment) -> ByteString { environment[nonEmpty: "DATA_YEAR"] ?? "2022" }

  /// `$SCRATCH_DIR/<storage key>`, else `scratch/<storage key>` in the root.
  static func scratch(of project: Project, _ environment: ProcessEnvironment) -> ByteString {
    let base =
      environment[nonEmpty: "SCRATCH_DIR"].map { project.root.appending(path: $0) }
      ?? project.root.appending(path: "scratch")
    // A storage key may have slashes, but must not lead out of the folder.
    let parts = project.storageKey.utf8.split(separator: UInt8(ascii: "/")).map { part in
      part.elementsEqual("..".utf8) || part.elementsEqual(".".utf8) ? ByteString("_") : ByteString(part)
    }
    return parts.reduce(base) { $0.appending(path: $1) }.normalizedPath
  }
}

/// Turns definitions of the file into tasks. What comes out depends on these alone, and on nothing on disk: a task that
/// could be made once can be made again (see ``KeptGraph``).
struct TaskResolver {
  let dialect: PipelineFile.Dialect
  let project: Project
  let scratch: ByteString
  let config: ConfigValue
  let graph: String
  let year: ByteString
  /// What holds for every task; its tasks and graphs are left out.
  let settings: PipelineFile

  init(_ graph: GraphDefinition, of file: PipelineFile, project: Project, environment: ProcessEnvironment) {
    dialect = file.dialect
    self.project = project
    scratch = Pipeline.scratch(of: project, environment)
    config = graph.config
    self.graph = graph.name
    year = Pipeline.year(environment)
    var settings = file
    (settings.tasks, settings.graphs) = ([], [])
    self.settings = settings
  }

  /// - Parameter definitions: those of the tasks that it depends on, by name.
  func task(
    _ definition: TaskDefinition, _ node: GraphDefinition.Node, _ dependencies: [Int],
    _ definitions: (String) -> TaskDefinition?
  ) throws(PurserError) -> PipelineTask {
    var arguments = definition.arguments
    for argument in node.arguments {
      arguments.removeAll { $0.name == argument.name }
      arguments.append(argument)
    }
    let work = try work(of: definition)
    var spec = TaskSpec(
      definition.name, command: key(of: work), code: definition.code.map { ByteString($0) },
      inputs: definition.inputs.map { ByteString($0) }, upstream: node.dependencies)
    if let file = definition.file { spec.code.insert(ByteString(file), at: 0) }
    spec.code += settings.commonCode.lazy.map { ByteString($0) }.filter { !spec.code.contains($0) }
    spec.sourceRoots = settings.sourceRoots.map { ByteString($0) }
    spec.dependencyFile = definition.dependencyFile.map { ByteString($0) }
    spec.isTraced = definition.tracing != nil
    spec.refusesUndeclared = definition.tracing == .strict
    spec.findsInputs = definition.findsInputs
    switch definition.codeDigest ?? settings.codeDigest {
    case .raw?, nil: break
    case .normalized?: spec.codeDigest = .normalized
    case .function?:
      if case .python(_, let function) = work {
        spec.codeDigest = .function(function)
      } else {
        spec.codeDigest = .function(nil)
      }
    }
    let templates = definition.outputs.map { output in
      dialect == .kptn ? location(inScratch: ByteString(output)) : ByteString(output)
    }
    spec.outputs = templates.map { Template($0).path([:]) }
    spec.environment = definition.environment.map { ByteString($0) }
    spec.tools = definition.tools.map { ByteString($0) }
    spec.excludes = definition.excludes.map { ByteString($0) }
    spec.arguments = arguments.map {
      TaskSpec.Argument(name: ByteString($0.name), value: ByteString($0.value.text))
    }
    spec.isPure = definition.isPure
    spec.keepsOutputs = definition.keepsOutputs
    spec.keepsData = definition.cachesResult
    if case .python = work { spec.parameters = parameters }
    if case .r(_, let file, _) = work, dialect == .kptn, !file.parentPath.isEmpty {
      spec.workingDirectory = file.parentPath
    }
    spec.mapping = try mapping(of: definition, node, templates, definitions)
    if case .words(let words) = work, let size = definition.bundleSize, size > 1,
      let name = words.lazy.flatMap({ Template($0).names }).first(where: definition.mapOver.contains)
    {
      throw PurserError(
        .pipeline,
        "task '\(definition.name)' has '${\(name)}' in its command and a bundle_size of \(size): a command of several items "
          + "finds them in the file that PURSER_ITEMS names; read them there, or remove 'bundle_size'")
    }
    var task = PipelineTask(
      spec: try Declarations(project: project).admit(spec), work: work, dependencies: dependencies,
      timeout: definition.timeoutMilliseconds.map { .milliseconds($0) }, retries: definition.retries,
      priority: definition.priority, bundleSize: definition.bundleSize, groupSize: definition.groupSize,
      arguments: arguments.filter { Self.reference($0) == nil },
      data: data(for: definition, node, arguments, definitions))
    if let logs = definition.logs {
      task.log =
        dialect == .kptn
        ? location(
          inScratch: ByteString("log").appending(path: ByteString(definition.name)).appending(path: ByteString(logs)))
        : ByteString(logs)
    }
    return task
  }

  /// What a function can see of the pipeline by `pipeline_config`, and no file tells of. The storage key is left out:
  /// what differs from branch to branch is to be the input.
  private var parameters: [TaskSpec.Argument] {
    var parameters = [
      TaskSpec.Argument(name: "pipeline name", value: ByteString(graph)),
      TaskSpec.Argument(name: "data year", value: year),
    ]
    if config != .emptyObject { parameters.append(TaskSpec.Argument(name: "config", value: ByteString(config.text))) }
    return parameters
  }

  /// A path below the scratch folder as Purser names it.
  private func location(inScratch path: ByteString) -> ByteString {
    let absolute = scratch.appending(path: path)
    return absolute.path(relativeTo: project.root) ?? absolute
  }

  private func work(of definition: TaskDefinition) throws(PurserError) -> PipelineTask.Work {
    switch definition.command {
    case .shell(let text)?: return .shell(ByteString(text))
    case .words(let words)?: return .words(words.map { ByteString($0) })
    case nil: break
    }
    guard let file = definition.file else {
      throw PurserError(.pipeline, "task '\(definition.name)' has neither 'command' nor 'file'; give it one")
    }
    let lowered = file.lowercased()
    if lowered.hasSuffix(".py") || lowered.hasSuffix(".pyw") {
      return .python(file: ByteString(file), function: definition.function ?? definition.name)
    }
    if lowered.hasSuffix(".r") {
      return .r(
        prefix: Self.words(definition.prefixArguments), file: ByteString(file).normalizedPath,
        words: Self.words(definition.commandLineArguments))
    }
    throw PurserError(
      .pipeline,
      "the file '\(file)' of task '\(definition.name)' is none that can be run: .py and .R can; use 'command' for others"
    )
  }

  /// What stands for the command in the key.
  private func key(of work: PipelineTask.Work) -> [ByteString] {
    switch work {
    case .shell(let text): ["sh", "-eu", "-c", text]
    case .words(let words): words
    case .python(let file, let function): ["python3", file + ":" + ByteString(function)]
    case .r(let prefix, let file, let words): prefix + ["Rscript", file] + words
    case .closure: []
    }
  }

  private static func words(_ text: String?) -> [ByteString] {
    (text ?? "").utf8.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0a }.map { ByteString($0) }
  }

  private func mapping(
    of definition: TaskDefinition, _ node: GraphDefinition.Node, _ templates: [ByteString],
    _ definitions: (String) -> TaskDefinition?
  ) throws(PurserError) -> TaskSpec.Mapping? {
    guard !definition.mapOver.isEmpty else { return nil }
    for dependency in node.dependencies {
      guard let upstream = definitions(dependency) else { continue }
      let parts = upstream.iterableItem
      let positions = definition.mapOver.compactMap { parts.firstIndex(of: $0) }
      if positions.count == definition.mapOver.count {
        return TaskSpec.Mapping(
          upstream: dependency, names: definition.mapOver, positions: parts.count == 1 ? [] : positions,
          outputs: templates)
      }
    }
    throw PurserError(
      .pipeline,
      "task '\(definition.name)' maps over '\(definition.mapOver.joined(separator: ","))', but no task that it depends on "
        + "provides that; set 'iterable_item' there")
  }

  /// kptn's rule: an argument that refers to the task names the data, else the task's own name does; for a mapped
  /// task, the items stand for the data of the task that provides them.
  private func data(
    for definition: TaskDefinition, _ node: GraphDefinition.Node, _ arguments: [Argument],
    _ definitions: (String) -> TaskDefinition?
  ) -> [(task: String, name: String)] {
    node.dependencies.compactMap { dependency in
      guard let upstream = definitions(dependency), upstream.cachesResult else { return nil }
      if !definition.mapOver.isEmpty, upstream.iterableItem.contains(where: definition.mapOver.contains) { return nil }
      let alias = arguments.first { Self.reference($0) == dependency }?.name
      return (dependency, alias ?? dependency)
    }
  }

  /// The task that an argument refers to: `{"ref":TASK}`.
  private static func reference(_ argument: Argument) -> String? {
    guard argument.value.text.hasPrefix("{"), let value = try? JSON(parsing: argument.value.text.utf8) else {
      return nil
    }
    return value["ref"]?.string
  }
}
