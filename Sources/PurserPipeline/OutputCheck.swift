import PurserModel

/// Compares what the tasks of a graph make and read: outputs that two of them declare, and inputs that another makes
/// without being waited for.
struct OutputCheck {
  /// How many steps may be spent on comparing patterns and on looking for ways between tasks. 10,000 tasks that each
  /// read what two others make take some 40,000.
  static let maximumSteps = 2_000_000
  /// More warnings than this are no help.
  static let maximumWarnings = 200

  /// A path or pattern of a task.
  private struct Path {
    let pattern: PathPattern
    /// As it is written.
    let source: String
    let node: Int
    /// Whether it is one of the task's `inputs`, not of its code.
    var isInput = false
  }

  let view: GraphView
  private(set) var log: DiagnosticLog
  private var outputs: [Path] = []
  private var inputs: [Path] = []
  /// Who declares a path as its output.
  private var makers: [String: Int] = [:]
  /// Outputs that are patterns, by the folder that they begin in.
  private var patternOutputs: [String: [Path]] = [:]
  private var stepsLeft = Self.maximumSteps
  private var warningsLeft = Self.maximumWarnings
  /// For looking for ways: in which search a node was reached last.
  private var reached: [Int]
  private var search = 0

  init(_ view: GraphView) {
    self.view = view
    log = view.log
    reached = Array(repeating: 0, count: view.nodes.count)
    for (node, task) in view.tasks.enumerated() {
      guard let task else { continue }
      for source in task.outputs { outputs.append(Path(pattern: PathPattern(source), source: source, node: node)) }
      for source in task.inputs {
        inputs.append(Path(pattern: PathPattern(source), source: source, node: node, isInput: true))
      }
      for source in task.code + (task.file.map { [$0] } ?? []) {
        inputs.append(Path(pattern: PathPattern(source), source: source, node: node))
      }
    }
  }

  mutating func check(dialect: PipelineFile.Dialect) {
    collectOutputs()
    checkFolders()
    // In kptn's files outputs are relative to the scratch folder, and inputs are not.
    if dialect == .purser { checkInputs() }
  }

  // MARK: Outputs

  private mutating func collectOutputs() {
    makers.reserveCapacity(outputs.count)
    for output in outputs {
      let path = output.pattern
      if path.isPattern {
        patternOutputs[path.literalFolder, default: []].append(output)
      } else if let other = makers[path.text] {
        if other != output.node { refuse(output, "the output \(quoted(output.source))", as: other) }
      } else {
        makers[path.text] = output.node
      }
    }
  }

  /// A folder that is an output is removed before its task runs, with what another task put there.
  private mutating func checkFolders() {
    for output in outputs where !output.pattern.isPattern {
      for folder in PathPattern.ancestors(of: output.pattern.text) {
        guard let other = makers[folder], other != output.node else { continue }
        refuse(output, "the output \(quoted(output.source)) in the folder \(quoted(folder))", as: other)
        break
      }
    }
  }

  private mutating func refuse(_ output: Path, _ what: String, as other: Int) {
    guard let task = view.tasks[output.node], let first = view.tasks[other] else { return }
    log.error(
      "task \(quoted(task.name)) declares \(what), which task \(quoted(first.name)) (\(Self.place(first.mark))) "
        + "declares too; let each output have one task", at: task.mark)
  }

  private static func place(_ mark: SourceMark) -> String { "line \(mark.line), column \(mark.column)" }

  // MARK: Inputs

  /// A path that a task reads and another makes, by the place of the maker.
  private typealias Use = (maker: Int, path: String)

  private mutating func checkInputs() {
    let below = outputsByFolder()
    var index = 0
    while index < inputs.count, warningsLeft > 0, stepsLeft > 0 {
      let node = inputs[index].node
      var uses: [Use] = []
      while index < inputs.count, inputs[index].node == node {
        collectUses(of: inputs[index], below, &uses)
        index += 1
      }
      if !uses.isEmpty { report(uses, by: node) }
    }
  }

  /// Outputs by the folders they lie in, at any depth; only for folders that are read, or that a pattern begins in.
  private func outputsByFolder() -> [String: [Use]] {
    var result: [String: [Use]] = [:]
    for input in inputs where input.isInput || input.pattern.isPattern {
      let path = input.pattern
      // What is itself an output is no folder of others, or was refused.
      if !path.isPattern, makers[path.text] != nil { continue }
      result[path.isPattern ? path.literalFolder : path.text] = []
    }
    guard !result.isEmpty else { return [:] }
    for output in outputs where !output.pattern.isPattern {
      let use = (output.node, output.pattern.text)
      result[""]?.append(use)
      result["."]?.append(use)
      for folder in PathPattern.ancestors(of: output.pattern.text) { result[folder]?.append(use) }
    }
    return result
  }

  private mutating func collectUses(of input: Path, _ below: [String: [Use]], _ uses: inout [Use]) {
    let path = input.pattern
    guard !path.isPattern else {
      let matcher = PathMatcher(path)
      for use in below[path.literalFolder] ?? [] where use.maker != input.node {
        stepsLeft -= path.text.utf8.count
        guard stepsLeft > 0 else { return }
        if matcher.matches(use.path) { uses.append(use) }
      }
      for output in patternOutputs[path.literalFolder] ?? [] where output.node != input.node && output.pattern == path {
        uses.append((output.node, input.source))
      }
      return
    }
    if let maker = makers[path.text] {
      if maker != input.node {
        uses.append((maker, input.source))
      } else if input.isInput, let task = view.tasks[input.node] {
        log.error(
          "task \(quoted(task.name)) declares \(quoted(input.source)) as input and as output; remove one of them",
          at: task.mark)
      }
    } else if !below.isEmpty {
      for use in below[path.text] ?? [] where use.maker != input.node { uses.append(use) }
    }
    for folder in PathPattern.ancestors(of: path.text) {
      if let maker = makers[folder], maker != input.node { uses.append((maker, input.source)) }
      matchPatterns(in: folder, input, &uses)
    }
    matchPatterns(in: "", input, &uses)
  }

  private mutating func matchPatterns(in folder: String, _ input: Path, _ uses: inout [Use]) {
    guard !patternOutputs.isEmpty, let outputs = patternOutputs[folder] else { return }
    for output in outputs where output.node != input.node {
      stepsLeft -= output.pattern.text.utf8.count * 4
      guard stepsLeft > 0 else { return }
      if PathMatcher(output.pattern).matches(input.pattern.text) { uses.append((output.node, input.source)) }
    }
  }

  private mutating func report(_ uses: [Use], by node: Int) {
    let direct = view.upstream[node]
    var pending: [Use] = []
    for use in uses {
      stepsLeft -= direct.count
      if !direct.contains(use.maker), !pending.contains(where: { $0.maker == use.maker }) { pending.append(use) }
      if stepsLeft <= 0 || pending.count > Self.maximumWarnings { break }
    }
    guard !pending.isEmpty, let task = view.tasks[node], reachUpstream(of: node) else { return }
    for use in pending.sorted(by: { $0.maker < $1.maker }) where reached[use.maker] != search {
      guard warningsLeft > 0, let maker = view.tasks[use.maker] else { return }
      warningsLeft -= 1
      log.warn(
        "task \(quoted(task.name)) reads \(quoted(use.path)), which task \(quoted(maker.name)) "
          + "(\(Self.place(maker.mark))) makes, but does not come after it; add \(quoted(maker.name)) to its "
          + "dependencies", at: task.mark)
    }
  }

  /// Marks everything that a node comes after, near or far; `false` where the budget does not reach.
  private mutating func reachUpstream(of node: Int) -> Bool {
    search += 1
    reached[node] = search
    var pending = [node]
    while let next = pending.popLast() {
      stepsLeft -= view.upstream[next].count
      guard stepsLeft > 0 else { return false }
      for upstream in view.upstream[next] where reached[upstream] != search {
        reached[upstream] = search
        pending.append(upstream)
      }
    }
    return true
  }
}
