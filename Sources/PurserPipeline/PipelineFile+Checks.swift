import PurserModel

extension PipelineFile {
  /// What the tasks of one graph mean for each other: names to map over, references, variables, outputs that two tasks
  /// declare, inputs that another task makes. An error among them means that the graph cannot run.
  ///
  /// A parsed file has looked already. O(tasks + dependencies + paths), but for looking for a way from an input's
  /// reader to its maker, which has a budget; beyond that, such a warning may be missing. An unknown name gives one
  /// error.
  ///
  /// - Returns: In the order of the file.
  public func checks(graph name: String) -> [Diagnostic] {
    let graph: GraphDefinition
    do {
      graph = try self.graph(named: name)
    } catch {
      return error.diagnostics
    }
    return graph.findings ?? findings(graph)
  }

  func findings(_ graph: GraphDefinition) -> [Diagnostic] {
    var view = GraphView(graph, of: self)
    view.checkTasks()
    guard view.isAcyclic else { return view.log.sorted }
    var outputs = OutputCheck(view)
    outputs.check(dialect: dialect)
    return outputs.log.sorted
  }
}

/// A graph with its tasks at hand, by place instead of by name.
struct GraphView {
  let nodes: [GraphDefinition.Node]
  /// `nil` for a task that is not defined.
  let tasks: [TaskDefinition?]
  /// What each node comes after.
  let upstream: [[Int]]
  private(set) var log = DiagnosticLog()
  private(set) var isAcyclic = true

  init(_ graph: GraphDefinition, of file: PipelineFile) {
    nodes = graph.nodes
    let definitions = Dictionary(file.tasks.enumerated().map { ($0.element.name, $0.offset) }) { first, _ in first }
    tasks = graph.nodes.map { definitions[$0.task].map { file.tasks[$0] } }
    let places = Dictionary(graph.nodes.enumerated().map { ($0.element.task, $0.offset) }) { first, _ in first }
    upstream = graph.nodes.map { $0.dependencies.compactMap { places[$0] } }
    for (index, node) in graph.nodes.enumerated() {
      if tasks[index] == nil {
        log.error(
          "graph \(quoted(graph.name)) has the task \(quoted(node.task)), which is not defined; define it in 'tasks'",
          at: node.mark)
      }
      guard upstream[index].count < node.dependencies.count else { continue }
      for name in node.dependencies where places[name] == nil {
        log.error(
          "task \(quoted(node.task)) comes after \(quoted(name)), which is not in graph \(quoted(graph.name)); add "
            + "it to the 'tasks' of the graph", at: node.mark)
      }
    }
    for cycle in Cycles.find(upstream) {
      isAcyclic = false
      log.report(Cycles.diagnostic(cycle.map { graph.nodes[$0] }))
    }
  }

  /// What can be said of each task by itself and what it comes after.
  mutating func checkTasks() {
    for index in nodes.indices {
      guard let task = tasks[index] else { continue }
      let node = nodes[index]
      var name: String { "task \(quoted(task.name))" }
      if let problem = task.unsupportedFile ?? task.unsupportedOutput { log.error("\(name) \(problem)", at: task.mark) }
      checkReferences(task.arguments, node, name, at: task.mark)
      checkReferences(node.arguments, node, name, at: node.mark)
      guard !task.mapOver.isEmpty else { continue }
      let provided = upstream[index].flatMap { tasks[$0]?.iterableItem ?? [] }
      let known = Set(provided)
      for item in task.mapOver where !known.contains(item) {
        let next = log.hint(item, among: provided, else: "; add it there, or add the dependency")
        log.error(
          "\(name) maps over \(quoted(item)), which no task that it comes after has as its 'iterable_item'\(next)",
          at: task.mark)
      }
      checkVariables(task, node, name)
    }
  }

  /// `args.X: {ref: T}` needs T's data.
  private mutating func checkReferences(
    _ arguments: [Argument], _ node: GraphDefinition.Node, _ name: @autoclosure () -> String, at mark: SourceMark
  ) {
    let references = arguments.compactMap { argument in argument.reference.map { (argument.name, $0) } }
    guard !references.isEmpty else { return }
    let known = Set(node.dependencies)
    for (argument, target) in references where !known.contains(target) {
      let next = log.hint(target, among: node.dependencies, else: "; add it to the task's dependencies")
      log.error(
        "argument \(quoted(argument)) of \(name()) refers to \(quoted(target)), which it does not come after\(next)",
        at: mark)
    }
  }

  /// In `cli_args` and `logs` a variable is an item's part, an argument, or the data of a dependency. (In a command it
  /// may be the shell's, and in an output it is a wildcard.)
  private mutating func checkVariables(
    _ task: TaskDefinition, _ node: GraphDefinition.Node, _ name: @autoclosure () -> String
  ) {
    let texts = [("cli_args", task.commandLineArguments), ("logs", task.logs)]
    let variables = texts.map { key, text in (key, text.map(Self.variables) ?? []) }
    guard variables.contains(where: { !$0.1.isEmpty }) else { return }
    let known = Set(
      task.mapOver + task.arguments.map(\.name) + node.arguments.map(\.name) + node.dependencies)
    for (key, names) in variables {
      for variable in names where !known.contains(variable) {
        let next = log.hint(variable, among: task.mapOver, else: "; add it to 'map_over', or remove it")
        log.error(
          "'\(key)' of \(name()) has the variable \(quoted("${\(variable)}")), which no item provides\(next)",
          at: task.mark)
      }
    }
  }

  /// The names in `${NAME}`; not the dotted ones.
  static func variables(in text: String) -> [String] {
    var names: [String] = []
    var rest = text[...]
    while let dollar = rest.utf8.firstIndex(of: UInt8(ascii: "$")) {
      rest = rest[rest.utf8.index(after: dollar)...]
      guard rest.utf8.first == UInt8(ascii: "{"), let end = rest.utf8.firstIndex(of: UInt8(ascii: "}")) else {
        continue
      }
      let name = String(rest.dropFirst()[..<end])
      rest = rest[rest.utf8.index(after: end)...]
      if !name.isEmpty, !name.utf8.contains(UInt8(ascii: ".")) { names.append(name) }
    }
    return names
  }
}

extension Argument {
  /// The task that this refers to, if it is `{"ref":TASK}`.
  package var reference: String? {
    guard value.text.hasPrefix("{\"ref\":\""), case .object(let members)? = try? JSON(parsing: value.text.utf8),
      members.count == 1
    else { return nil }
    return members[0].1.string
  }
}
