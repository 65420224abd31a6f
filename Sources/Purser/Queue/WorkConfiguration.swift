import PurserModel
import PurserPipeline

/// What a piece of queued work is: see ``WorkRequest/configuration``.
package struct WorkConfiguration: Sendable {
  /// The project's root, absolute.
  package var root: ByteString
  /// What is to be done.
  package var kind: Kind
  /// The parameters of typed work, as JSON text.
  package var parameters: String?

  /// What is to be done.
  package enum Kind: Sendable {
    /// A task of the project's pipeline file, and what it depends on.
    case task(String)
    /// A command with its declaration.
    case command(TaskSpec)
  }

  package init(root: ByteString, kind: Kind, parameters: String? = nil) {
    self.root = root
    self.kind = kind
    self.parameters = parameters
  }

  /// Reads what was stored; `nil` for what is no such thing.
  init?(_ text: String) {
    guard let json = try? JSON(parsing: text.utf8), let root = json["root"]?.string.flatMap({ ByteString(escaped: $0) })
    else { return nil }
    self.root = root
    parameters = json["parameters"].flatMap { if case .null = $0 { nil } else { $0.serialized } }
    if let task = json["task"]?.string {
      kind = .task(task)
    } else if let spec = json["spec"].flatMap(TaskSpec.init(json:)) {
      kind = .command(spec)
    } else {
      return nil
    }
  }

  package var json: JSON {
    var members: [(String, JSON)] = [("root", .string(root.escaped))]
    switch kind {
    case .task(let task): members.append(("task", .string(task)))
    case .command(let spec): members.append(("spec", spec.json))
    }
    if let parameters, let json = try? JSON(parsing: parameters.utf8) { members.append(("parameters", json)) }
    return .object(members)
  }

  /// What a worker runs: the pipeline file's graph, or a pipeline of the one command.
  func pipeline(for cache: TaskCache, timeout: Duration?) throws(PurserError) -> (Pipeline, targets: [String]) {
    switch kind {
    case .task(let task):
      let loader = PipelineLoader(project: cache.project)
      guard let source = try loader.source() else {
        throw PurserError(
          .missing, "there is no pipeline file in '\(root.printable)' any more, which has task '\(task)'")
      }
      let file: PipelineFile
      do {
        file = try loader.file(of: source)
      } catch {
        throw PurserError(.pipeline, error.summary(file: source.name))
      }
      let name = cache.project.pipeline
      guard let graph = file.graphs.first(where: { (file.cacheNamespace ?? $0.name) == name || $0.name == name }) else {
        throw PurserError(
          .missing,
          "\(source.name) has no graph '\(name)' any more" + Suggestion.hint(name, among: file.graphs.map(\.name)))
      }
      return (
        try Pipeline(graph, of: file, named: source.name, project: cache.project, environment: cache.environment),
        [task]
      )
    case .command(let declared):
      let spec = try Declarations(project: cache.project).admit(declared)
      var task = PipelineTask(spec, .words(spec.command))
      task.timeout = timeout
      if let parameters { task.variables = [("PURSER_PARAMETERS", ByteString(parameters))] }
      return (try Pipeline(alone: task, cache), [])
    }
  }
}

extension Pipeline {
  /// A pipeline of one task; what it comes after stands in the records.
  fileprivate init(alone task: PipelineTask, _ cache: TaskCache) throws(PurserError) {
    self.init(
      graph: cache.project.pipeline, fileName: "", dialect: .purser, tasks: [task], config: .emptyObject,
      scratch: Self.scratch(of: cache.project, cache.environment), places: [task.spec.id: 0])
  }
}
