import Purser
import PurserModel
import PurserPipeline

extension Session {
  /// The pipeline file of a project, or `nil` where there is none. What is wrong with it is printed, all of it.
  func pipelineFile(_ project: Project) throws -> (file: PipelineFile, name: String)? {
    let loader = PipelineLoader(project: project)
    do {
      return try loader.load()
    } catch let error as PipelineFileError {
      let name = loader.find()?.name.escaped ?? "purser.yaml"
      for diagnostic in error.diagnostics { show(diagnostic, name) }
      let count = error.diagnostics.count { $0.severity == .error }
      throw PurserError(
        .pipeline, "\(name) has \(count == 1 ? "an error" : "\(count) errors"); mend it, and look with 'purser lint'")
    }
  }

  func show(_ diagnostic: Diagnostic, _ file: String) {
    let text = diagnostic.text(file: file)
    if diagnostic.severity == .error || console.verbosity != .quiet { Console.write(text + "\n", to: 2) }
  }

  /// The cache and the graph that the user means.
  ///
  /// - Throws: `missing` where there is no pipeline file, `usage` for a graph that is not in it, `pipeline` for one that
  ///   cannot be run.
  func pipeline() throws -> (cache: TaskCache, pipeline: Pipeline) {
    var project = try plainProject()
    guard let (file, name) = try pipelineFile(project) else {
      throw PurserError(
        .missing,
        "there is no purser.yaml or kptn.yaml in '\(project.root.printable)'; write one (see 'purser schema'), or put "
          + "'purser exec … --' before single steps")
    }
    for warning in file.warnings { show(warning, name) }
    let chosen = chosenGraph
    guard let graph = PipelineLoader.graph(chosen, of: file) else {
      let names = file.graphs.map(\.name)
      guard let chosen else {
        throw PurserError(
          .usage, "\(name) has several graphs; choose one with --pipeline: \(names.joined(separator: ", "))")
      }
      throw PurserError(.usage, "\(name) has no graph '\(chosen)'\(Suggestion.hint(chosen, among: names))")
    }
    let findings = file.checks(graph: graph.name)
    for finding in findings { show(finding, name) }
    guard !findings.contains(where: { $0.severity == .error }) else {
      throw PurserError(.pipeline, "graph '\(graph.name)' of \(name) cannot be run as it is")
    }
    project.pipeline = file.cacheNamespace ?? graph.name
    let cache = TaskCache(project: project, environment: environment)
    return (
      cache, try Pipeline(graph, of: file, named: name, project: project, environment: environment)
    )
  }

  /// `--pipeline`, else `PURSER_PIPELINE`; `nil` where nobody chose.
  private var chosenGraph: String? {
    invocation.text("pipeline") ?? environment["PURSER_PIPELINE"].flatMap { $0.isEmpty ? nil : $0.escaped }
  }

  /// Whether the file has the graph that is meant.
  func hasGraph(in file: PipelineFile) -> Bool { PipelineLoader.graph(chosenGraph, of: file) != nil }

  /// The project under the name that its pipeline file gives it, as far as one can be told.
  func project() throws -> Project {
    var project = try plainProject()
    guard let (file, _) = try pipelineFile(project) else { return project }
    if let graph = PipelineLoader.graph(chosenGraph, of: file) { project.pipeline = file.cacheNamespace ?? graph.name }
    return project
  }
}
