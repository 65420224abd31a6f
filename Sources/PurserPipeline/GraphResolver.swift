import PurserModel

/// Merges into each graph what it extends, as kptn does: the parents' tasks first, in their order, and the first
/// definition of a task counts.
struct GraphResolver {
  /// Graphs that extend each other are not deeper than this.
  static let maximumDepth = 64
  /// How many tasks may be merged in all: a small file of many graphs that extend a large one could ask for billions.
  static let maximumMerged = 200_000
  /// How much text the graphs' merged `config` may have in all.
  static let maximumConfigBytes = 16 << 20

  let sources: [GraphSource]
  let config: [ConfigMember]
  let tasks: [TaskDefinition]
  private let graphs: [String: Int]
  private let knownTasks: Set<String>
  private var states: [State]
  private var stack: [Int] = []
  private var merged = 0
  private var configBytes = 0
  private var isExhausted = false

  private enum State {
    case untouched
    case open
    /// Not whole where a graph that it extends is missing, so that the absence of tasks says nothing.
    case done([GraphDefinition.Node], isWhole: Bool)
  }

  init(_ sources: [GraphSource], config: [ConfigMember], tasks: [TaskDefinition]) {
    self.sources = sources
    self.config = config
    self.tasks = tasks
    graphs = Dictionary(sources.enumerated().map { ($0.element.name, $0.offset) }) { first, _ in first }
    knownTasks = Set(tasks.map(\.name))
    states = Array(repeating: .untouched, count: sources.count)
  }

  mutating func resolve(_ parser: inout PipelineParser) -> [GraphDefinition] {
    let base = Self.object(config)
    var result: [GraphDefinition] = []
    for (index, source) in sources.enumerated() {
      let (nodes, isWhole) = nodes(of: index, &parser)
      if nodes.isEmpty, isWhole {
        parser.error(
          "graph \(quoted(source.name)) has no tasks; list some in its 'tasks', or extend one that has", at: source.mark
        )
      }
      var text = base
      if !source.config.isEmpty, !isExhausted {
        let own = Set(source.config.map(\.name))
        text = Self.object(config.filter { !own.contains($0.name) } + source.config)
        configBytes += text.text.utf8.count
        if configBytes > Self.maximumConfigBytes { exhaust(source.mark, &parser) }
      }
      result.append(GraphDefinition(name: source.name, nodes: nodes, config: text, mark: source.mark))
    }
    return result
  }

  private mutating func exhaust(_ mark: SourceMark, _ parser: inout PipelineParser) {
    guard !isExhausted else { return }
    isExhausted = true
    parser.error(
      "the graphs have more than \(Self.maximumMerged) tasks, or \(Self.maximumConfigBytes >> 20) MiB of 'config', "
        + "with what they extend; use fewer graphs", at: mark)
  }

  static func object(_ members: [ConfigMember]) -> ConfigValue {
    let sorted = members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    var text = "{"
    for (index, member) in sorted.enumerated() {
      if index > 0 { text += "," }
      text += JSON.string(member.name).serialized + ":" + member.value.text
    }
    return ConfigValue(text: text + "}")
  }

  // MARK: Merging

  private typealias Merged = (nodes: [GraphDefinition.Node], isWhole: Bool)

  private mutating func nodes(of index: Int, _ parser: inout PipelineParser) -> Merged {
    if case .done(let nodes, let isWhole) = states[index] { return (nodes, isWhole) }
    states[index] = .open
    stack.append(index)
    let (nodes, isWhole) = merge(sources[index], &parser)
    stack.removeLast()
    states[index] = .done(nodes, isWhole: isWhole)
    return (nodes, isWhole)
  }

  private mutating func merge(_ source: GraphSource, _ parser: inout PipelineParser) -> Merged {
    var nodes: [GraphDefinition.Node] = []
    var isWhole = !source.isBroken
    var places: [String: Int] = [:]
    var origins: [String: String] = [:]
    for parent in source.parents {
      guard let (inherited, isParentWhole) = inherited(parent, by: source, &parser) else {
        isWhole = false
        continue
      }
      isWhole = isWhole && isParentWhole
      let overrides = overrides(parent, inherited, &parser)
      merged += inherited.count
      guard merged <= Self.maximumMerged else {
        exhaust(parent.mark, &parser)
        return ([], false)
      }
      for node in inherited where places[node.task] == nil {
        places[node.task] = nodes.count
        origins[node.task] = parent.graph
        nodes.append(node)
        guard let values = overrides[node.task] else { continue }
        merged += node.arguments.count + values.count
        nodes[nodes.count - 1].arguments = Self.laid(values, over: node.arguments)
      }
    }
    let firstOwn = nodes.count
    for entry in source.entries {
      if places[entry.task] != nil {
        // Without an origin it stands twice, which was refused where it was read.
        guard let origin = origins[entry.task] else { continue }
        parser.warn(
          "task \(quoted(entry.task)) of graph \(quoted(source.name)) is defined by graph \(quoted(origin)), which it "
            + "extends and which counts; remove this entry", at: entry.mark)
        continue
      }
      places[entry.task] = nodes.count
      let names = entry.dependencies.map(\.name)
      nodes.append(.init(task: entry.task, dependencies: names, arguments: entry.arguments, mark: entry.mark))
    }
    checkOwn(nodes[firstOwn...], places, source, isWhole, &parser)
    return (nodes, isWhole)
  }

  private mutating func inherited(
    _ parent: GraphSource.Parent, by source: GraphSource, _ parser: inout PipelineParser
  ) -> Merged? {
    guard let index = graphs[parent.graph] else {
      let next = parser.log.hint(parent.graph, among: sources.map(\.name), else: "; define it in 'graphs'")
      parser.error(
        "graph \(quoted(source.name)) extends \(quoted(parent.graph)), which is not defined" + next, at: parent.mark)
      return nil
    }
    if case .open = states[index] {
      let path = stack[(stack.firstIndex(of: index) ?? 0)...].map { sources[$0].name } + [parent.graph]
      parser.error(
        "graphs extend each other: \(path.map(Self.shown).joined(separator: " -> ")); remove one of the 'extends'",
        at: parent.mark)
      return nil
    }
    guard stack.count < Self.maximumDepth else {
      parser.error("graphs extend each other more than \(Self.maximumDepth) deep; make them flatter", at: parent.mark)
      return nil
    }
    return nodes(of: index, &parser)
  }

  private func overrides(
    _ parent: GraphSource.Parent, _ inherited: [GraphDefinition.Node], _ parser: inout PipelineParser
  ) -> [String: [Argument]] {
    guard !parent.arguments.isEmpty else { return [:] }
    let names = inherited.map(\.task)
    let known = Set(names)
    var result: [String: [Argument]] = [:]
    for (task, mark, values) in parent.arguments {
      if known.contains(task) {
        result[task] = values
        continue
      }
      let message = "'args' are given for task \(quoted(task)), which graph \(quoted(parent.graph)) does not have"
      let next = parser.log.hint(task, among: names, else: "; remove them")
      parser.log.report(Diagnostic(parser.dialect == .purser ? .error : .warning, message + next, at: mark))
    }
    return result
  }

  private static func laid(_ values: [Argument], over base: [Argument]) -> [Argument] {
    var result = base
    var places = Dictionary(base.enumerated().map { ($0.element.name, $0.offset) }) { first, _ in first }
    for value in values {
      if let place = places[value.name] {
        result[place] = value
      } else {
        places[value.name] = result.count
        result.append(value)
      }
    }
    return result
  }

  // MARK: Checks of a graph's own entries; those that it inherits were checked where they stand

  private func checkOwn(
    _ own: ArraySlice<GraphDefinition.Node>, _ places: [String: Int], _ source: GraphSource, _ isWhole: Bool,
    _ parser: inout PipelineParser
  ) {
    for entry in source.entries {
      if !knownTasks.contains(entry.task), !tasks.isEmpty {
        let next = parser.log.hint(entry.task, among: tasks.map(\.name), else: "; define it in 'tasks'")
        parser.error(
          "graph \(quoted(source.name)) has the task \(quoted(entry.task)), which is not defined" + next,
          at: entry.mark)
      }
      guard isWhole else { continue }
      for use in entry.dependencies where places[use.name] == nil {
        let task = "task \(quoted(entry.task)) comes after \(quoted(use.name)), which is"
        if knownTasks.contains(use.name) || knownTasks.isEmpty {
          parser.error("\(task) not in graph \(quoted(source.name)); add it to the graph's 'tasks'", at: use.mark)
          continue
        }
        var next = parser.log.hint(use.name, among: tasks.map(\.name), else: "; define it")
        next = parser.log.hint(use.name, among: source.entries.map(\.task), else: next)
        parser.error("\(task) not defined\(next)", at: use.mark)
      }
    }
    // What a graph inherits is free of cycles already, and does not come after its own.
    let start = own.startIndex
    let successors = own.map { node in
      node.dependencies.compactMap { places[$0].flatMap { $0 >= start ? $0 - start : nil } }
    }
    for cycle in Cycles.find(successors) {
      parser.log.report(Cycles.diagnostic(cycle.map { own[start + $0] }))
    }
  }

  static func shown(_ name: String) -> String { ByteString(name).printable }
}

extension PipelineParser {
  mutating func resolve(_ sources: [GraphSource], config: [ConfigMember], into file: inout PipelineFile) {
    var resolver = GraphResolver(sources, config: config, tasks: file.tasks)
    file.graphs = resolver.resolve(&self)
  }
}
