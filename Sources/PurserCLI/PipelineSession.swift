import Purser
import PurserModel
import PurserPipeline

extension Session {
  /// The pipeline file of a project, or `nil` where there is none. What is wrong with it is printed, all of it.
  ///
  /// - Parameter commit: where the files are to be seen as it has them.
  func pipelineFile(
    _ project: Project, at commit: CommitFiles? = nil
  ) throws -> (file: PipelineFile, source: PipelineSource)? {
    let loader = PipelineLoader(project: project, overlay: commit?.overlay)
    guard let source = try loader.source() else { return nil }
    return (try file(of: source, loader, at: commit), source)
  }

  private func file(of source: PipelineSource, _ loader: PipelineLoader, at commit: CommitFiles?) throws -> PipelineFile
  {
    do throws(PipelineFileError) {
      return try loader.file(of: source)
    } catch {
      for diagnostic in error.diagnostics { show(diagnostic, source.name) }
      let count = error.diagnostics.count { $0.severity == .error }
      throw PurserError(
        .pipeline,
        "\(source.name) has \(count == 1 ? "an error" : "\(count) errors"); "
          + (commit == nil ? "mend it, and look with 'purser lint'" : "take a commit in which it is mended"))
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
  /// - Parameters:
  ///   - commit: where the files are to be seen as it has them; to plan only.
  ///   - found: the pipeline file, if it was looked for before.
  func planner(at commit: CommitFiles? = nil, _ found: FoundPipeline? = nil) throws -> Planner {
    var project = try found?.project ?? plainProject()
    let loader = PipelineLoader(project: project, overlay: commit?.overlay)
    guard let source = try found?.source ?? loader.source() else {
      if let commit {
        throw PurserError(
          .missing,
          "there is no purser.yaml or kptn.yaml in '\(project.root.printable)' \(commit.label); name a commit that "
            + "has one, or another root with --project")
      }
      throw PurserError(
        .missing,
        "there is no purser.yaml or kptn.yaml in '\(project.root.printable)'; write one (see 'purser schema'), or put "
          + "'purser exec … --' before single steps")
    }
    let name = source.name
    let place = commit == nil ? found?.place ?? place(source, project) : nil
    if let place, let kept = KeptGraph(at: place) {
      try project.mapStorageKey(by: kept.file)
      project.pipeline = kept.file.cacheNamespace ?? kept.graph.name
      return Planner(
        cache: TaskCache(project: project, environment: environment),
        pipeline: Pipeline(kept, named: name, project: project, environment: environment), keptAt: place,
        sight: found?.sight)
    }
    let file = try file(of: source, loader, at: commit)
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
    try project.mapStorageKey(by: file, overlay: commit?.overlay)
    project.pipeline = file.cacheNamespace ?? graph.name
    let pipeline = try Pipeline(graph, of: file, named: name, project: project, environment: environment)
    // Warnings are to be shown each time: what is kept would be found without a look at the file.
    let isClean = findings.isEmpty && file.warnings.isEmpty
    if isClean, let place, Planner.keepsPlan(of: pipeline) {
      KeptGraph.save(pipeline.tasks, graph, of: file, at: place)
    }
    return Planner(
      cache: TaskCache(project: project, environment: environment, overlay: commit?.overlay), pipeline: pipeline,
      keptAt: isClean ? place : nil, sight: found?.sight)
  }

  /// Where the plan of a graph is kept: for a branch, not for what the file maps it to, which is known only from its
  /// text. `nil` where that cannot be told.
  private func place(_ source: PipelineSource, _ located: Project) -> PlanCache.Place? {
    var project = located
    guard (try? project.mapStorageKey(by: nil)) != nil else { return nil }
    return PlanCache.Place(source, graph: chosenGraph, project: project, environment: environment)
  }

  /// Finds the pipeline file, and looks at every file of the plan that was kept: without reading its text, or any record.
  /// `nil` where there is no file.
  func findPipeline() throws -> FoundPipeline? {
    let project = try plainProject()
    guard let source = try PipelineLoader(project: project).source() else { return nil }
    let place = place(source, project)
    let cache = TaskCache(project: project, environment: environment)
    return FoundPipeline(project: project, source: source, place: place, sight: place.flatMap(cache.sight(ofPlan:)))
  }

  /// `--pipeline`, else `PURSER_PIPELINE`; `nil` where nobody chose.
  var chosenGraph: String? {
    invocation.text("pipeline") ?? environment["PURSER_PIPELINE"].flatMap { $0.isEmpty ? nil : $0.escaped }
  }

  /// As ``project()``, but a pipeline file, or one of `branch_conf`, that cannot be used is no reason for a command not
  /// to run.
  func stepProject() throws -> Project {
    var project = try plainProject()
    var file: PipelineFile?
    do {
      file = try name(&project)
    } catch let error as PurserError where error.code == .pipeline {
      console.warn("\(error.message); recorded in pipeline '\(project.pipeline)'")
    }
    do throws(PurserError) {
      try project.mapStorageKey(by: file)
    } catch {
      console.warn("\(error.message); recorded under storage key '\(project.storageKey)'")
    }
    return project
  }

  /// How tasks are declared, by name: by the pipeline file, where it has the graph that is meant and the task, else as
  /// stored with the record.
  func declarations(_ cache: TaskCache) throws -> (String) throws(PurserError) -> TaskSpec? {
    var specs: [String: TaskSpec] = [:]
    if let (file, _) = try pipelineFile(plainProject()), hasGraph(in: file) {
      for task in try planner().pipeline.tasks { specs[task.spec.id] = task.spec }
    }
    return { [specs] task throws(PurserError) in
      if let spec = specs[task] { return spec }
      return try cache.storedSpecification(of: task)
    }
  }

  /// Whether the file has the graph that is meant.
  func hasGraph(in file: PipelineFile) -> Bool { PipelineLoader.graph(chosenGraph, of: file) != nil }

  /// The project under the name that its pipeline file gives it, as far as one can be told.
  func project() throws -> Project {
    var project = try plainProject()
    let file = try name(&project)
    try project.mapStorageKey(by: file)
    return project
  }

  /// Gives the project the name that its pipeline file has for it, as far as one can be told.
  private func name(_ project: inout Project) throws -> PipelineFile? {
    guard let (file, _) = try pipelineFile(project) else { return nil }
    if let graph = PipelineLoader.graph(chosenGraph, of: file) { project.pipeline = file.cacheNamespace ?? graph.name }
    return file
  }
}

/// A project's pipeline file, as it was found.
struct FoundPipeline {
  /// Under the storage key that it has before the file maps its branch to one.
  let project: Project
  let source: PipelineSource
  let place: PlanCache.Place?
  /// What the kept plan and a look at every file say; `nil` where no plan is kept for what there is now.
  let sight: PlanSight?
}
