import PurserModel
import PurserPipeline
import Synchronization

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
  func pipeline(
    for cache: TaskCache, timeout: Duration?, known: KnownPipelines
  ) throws(PurserError) -> (Pipeline, targets: [String]) {
    switch kind {
    case .task(let task):
      let loader = PipelineLoader(project: cache.project)
      guard let source = try loader.source() else {
        throw PurserError(
          .missing, "there is no pipeline file in '\(root.printable)' any more, which has task '\(task)'")
      }
      let place = KnownPipelines.Place(
        digest: source.digest, root: root, storageKey: cache.project.storageKey, name: cache.project.pipeline)
      if let pipeline = known[place] { return (pipeline, [task]) }
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
      let pipeline = try Pipeline(
        graph, of: file, named: source.name, project: cache.project, environment: cache.environment)
      known[place] = pipeline
      return (pipeline, [task])
    case .command(let declared):
      let spec = try Declarations(project: cache.project).admit(declared)
      var task = PipelineTask(spec, .words(spec.command))
      task.timeout = timeout
      if let parameters { task.variables = [("PURSER_PARAMETERS", ByteString(parameters))] }
      return (try Pipeline(alone: task, cache), [])
    }
  }
}

/// The pipeline that a worker has read last: its pieces of work are mostly of one, and of a graph of 10,000 tasks reading it
/// took ten times as long as a small task.
final class KnownPipelines: Sendable {
  /// What a pipeline was read from.
  struct Place: Hashable {
    var digest: Digest
    var root: ByteString
    var storageKey: String
    var name: String
  }

  private let last = Mutex<(place: Place, pipeline: Pipeline)?>(nil)

  subscript(place: Place) -> Pipeline? {
    get { last.withLock { $0?.place == place ? $0?.pipeline : nil } }
    set { last.withLock { last in last = newValue.map { (place, $0) } } }
  }
}

extension Pipeline {
  /// A pipeline of one task; what it comes after stands in the records.
  fileprivate init(alone task: PipelineTask, _ cache: TaskCache) throws(PurserError) {
    self.init(
      graph: cache.project.pipeline, fileName: "", dialect: .purser, tasks: PipelineTasks([task], [task.spec.id: 0]),
      config: .emptyObject, scratch: Self.scratch(of: cache.project, cache.environment))
  }
}
