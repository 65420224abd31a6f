import Purser
import PurserCode
import PurserModel
import PurserPipeline

let planCommand = CommandSpec(
  name: "plan", summary: "say what 'purser run' would do, and why", operands: "[TASK…]",
  options: [
    .value("at", "COMMIT", "what it would do after a checkout of COMMIT, without one"),
    .flag("force", "as if --force were given to 'run'"),
  ],
  takesOperands: true,
  discussion: """
    With --at, the pipeline file and everything that git tracks is as COMMIT has it, and all else, such as outputs, as it
    lies on disk; records and results are those of the present storage key. Nothing is checked out or written. The JSON
    has the commit's full name as "at".

    A task behind one that has to run is listed as 'run' because of it; whether it really does is decided when its
    turn comes: what comes out the same stops there. Exit code 0 whatever is found.
    """
) { invocation in
  let session = try Session(invocation)
  let (plan, pipeline, commit) = try session.plan()
  let console = session.console
  if console.isJSON {
    console.print(plan.json(pipeline, at: commit?.commit))
    return 0
  }
  var rows: [[(text: String, style: Console.Style?)]] = []
  for (place, entry) in plan.entries.enumerated() {
    guard let entry, !entry.isFresh || console.verbosity == .verbose else { continue }
    let style: Console.Style = entry.isFresh ? .green : entry.error != nil ? .red : .yellow
    let expected = entry.expectedMicroseconds.map { Timestamp.duration(microseconds: $0) } ?? "-"
    let why = entry.error?.message ?? entry.reasons.map(\.summary).joined(separator: "; ")
    rows.append([(pipeline.tasks.name(place), .bold), (entry.word, style), (expected, nil), (why, .dim)])
  }
  let total = plan.entries.count { $0 != nil }
  let place = commit.map { " " + $0.label } ?? ""
  guard !rows.isEmpty else {
    console.print((total == 1 ? "The task is fresh" : "All \(total) tasks are fresh") + place + ".")
    return 0
  }
  console.print(console.table(["TASK", "WHAT", "ABOUT", "WHY"], rows))
  let stale = plan.entries.count { $0?.isFresh == false }
  var line = "\(stale) of \(total) tasks are not fresh" + place
  if plan.expectedMicroseconds > 0 {
    line += ", about \(Timestamp.duration(microseconds: plan.expectedMicroseconds)) of work"
  }
  console.print(console.paint(line, .dim))
  if plan.criticalPath.count > 1 {
    let names = plan.criticalPath.map { pipeline.tasks.name($0) }
    let shown = names.count > 8 ? names.prefix(4) + ["…"] + names.suffix(3) : names[...]
    console.print(console.paint("Critical path: \(shown.joined(separator: " → "))", .dim))
  }
  return 0
}

extension Session {
  /// The plan that is asked for, and the commit that it is for, if one was named.
  fileprivate func plan() throws -> (plan: Plan, pipeline: Pipeline, commit: CommitFiles?) {
    var options = DecisionOptions()
    options.isForced = invocation.has("force")
    func make(_ commit: CommitFiles?) throws -> (plan: Plan, pipeline: Pipeline, commit: CommitFiles?) {
      let planner = try planner(at: commit)
      let plan = try planner.plan(invocation.operands.map(\.escaped), options, isThorough: console.isJSON)
      planner.cache.saveStatCache()
      return (plan, planner.pipeline, commit)
    }
    guard let reference = invocation.value("at") else { return try make(nil) }
    for _ in 1...3 {
      let commit = try CommitFiles(reference, project: plainProject(), environment: environment)
      let result = try make(commit)
      guard try commit.isCurrent() else { continue }
      for warning in commit.warnings { console.warn(warning) }
      return result
    }
    throw PurserError(
      .busy, "files of the working tree change while they are compared with the commit; try again when they do not")
  }
}

extension Plan {
  fileprivate func json(_ pipeline: Pipeline, at commit: String?) -> JSON {
    let tasks = entries.enumerated().compactMap { place, entry -> JSON? in
      guard let entry else { return nil }
      var members: [(String, JSON)] = [
        ("task", .string(pipeline.tasks.name(place))), ("decision", .string(entry.word)),
        ("reasons", .array(entry.reasons.map(\.json))),
        ("fingerprint", entry.assessment.map { .string($0.survey.fingerprint.actionKey.hex) } ?? .null),
        ("expectedMicroseconds", entry.expectedMicroseconds.map { .integer($0) } ?? .null),
      ]
      if let error = entry.error { members.append(("error", .string(error.message))) }
      return .object(members)
    }
    return .object(
      (commit.map { [("at", .string($0))] } ?? []) + [
        ("graph", .string(pipeline.graph)), ("tasks", .array(tasks)),
        ("expectedMicroseconds", .integer(expectedMicroseconds)),
        ("criticalPath", .array(criticalPath.map { .string(pipeline.tasks.name($0)) })),
      ])
  }
}

let lintCommand = CommandSpec(
  name: "lint", summary: "check the pipeline file, and what of its code cannot be followed, with line and column",
  operands: "[GRAPH…]", takesOperands: true,
  discussion: "Exit code 0 without errors (warnings are none), 78 with."
) { invocation in
  let session = try Session(invocation)
  var project = try session.plainProject()
  let loader = PipelineLoader(project: project)
  var findings: [Diagnostic] = []
  var remarks: [CodeClosure.Remark] = []
  var name = "purser.yaml"
  do {
    guard let source = try loader.source() else {
      throw PurserError(.missing, "there is no purser.yaml or kptn.yaml in '\(project.root.printable)'")
    }
    name = source.name
    let file = try loader.file(of: source)
    findings = file.warnings
    try project.mapStorageKey(by: file)
    let wanted = invocation.operands.map(\.escaped)
    for graph in wanted where !file.graphs.contains(where: { $0.name == graph }) {
      throw PurserError(
        .usage, "\(name) has no graph '\(graph)'\(Suggestion.hint(graph, among: file.graphs.map(\.name)))")
    }
    for graph in file.graphs where wanted.isEmpty || wanted.contains(graph.name) {
      let checks = file.checks(graph: graph.name)
      for finding in checks where !findings.contains(finding) { findings.append(finding) }
      guard !checks.contains(where: { $0.severity == .error }) else { continue }
      let pipeline = try Pipeline(graph, of: file, named: name, project: project, environment: session.environment)
      let cache = TaskCache(project: project, environment: session.environment)
      for remark in cache.codeRemarks(of: pipeline.tasks.map(\.spec)) where !remarks.contains(remark) {
        remarks.append(remark)
      }
      cache.saveStatCache()
    }
  } catch let error as PipelineFileError {
    findings = error.diagnostics
  }
  let errors = findings.count { $0.severity == .error }
  if session.console.isJSON {
    session.console.print(
      .object([
        ("file", .string(name)),
        (
          "findings",
          .array(
            findings.map { finding in
              .object([
                ("severity", .string(finding.severity.rawValue)), ("message", .string(finding.message)),
                ("file", .string(name)), ("line", finding.mark.map { .integer(Int64($0.line)) } ?? .null),
                ("column", finding.mark.map { .integer(Int64($0.column)) } ?? .null),
              ])
            }
              + remarks.map { remark in
                .object([
                  ("severity", .string("warning")), ("message", .string(remark.message)),
                  ("file", .string(remark.path.escaped)),
                  ("line", remark.line > 0 ? .integer(Int64(remark.line)) : .null), ("column", .null),
                ])
              })
        ),
      ]))
  } else {
    for finding in findings { session.console.print(finding.text(file: name)) }
    for remark in remarks {
      let place = remark.path.printable + (remark.line > 0 ? ":\(remark.line)" : "")
      session.console.print("\(place): warning: \(remark.message)")
    }
    if findings.isEmpty, remarks.isEmpty, session.console.verbosity != .quiet {
      session.console.print("\(name): no findings")
    }
  }
  return errors == 0 ? 0 : PurserError.Code.pipeline.rawValue
}

let schemaCommand = CommandSpec(
  name: "schema", summary: "print the JSON Schema of purser.yaml, for editors",
  discussion: """
    For editors with a YAML language server, put this on the first line of purser.yaml:
      # yaml-language-server: $schema=./purser.schema.json
    and save the schema: purser schema > purser.schema.json
    """
) { invocation in
  let session = try Session(invocation)
  session.console.print(PipelineSchema.json)
  return 0
}
