import PurserModel

/// A graph as it is written, before what it extends is merged in.
struct GraphSource {
  var name: String
  var mark: SourceMark
  var parents: [Parent] = []
  var config: [ConfigMember] = []
  var entries: [Entry] = []
  /// Whether something in it could not be read, so that what is missing says nothing.
  var isBroken = false

  /// A graph that it extends.
  struct Parent {
    var graph: String
    var mark: SourceMark
    /// Arguments by task, laid over those in the parent.
    var arguments: [(task: String, mark: SourceMark, values: [Argument])] = []
  }

  /// A task of its own.
  struct Entry {
    var task: String
    var mark: SourceMark
    var dependencies: [PipelineParser.NameUse]
    var arguments: [Argument]
  }
}

/// Reading `graphs`.
extension PipelineParser {
  mutating func parseGraphs(_ node: YAMLNode) -> [GraphSource] {
    guard case .mapping(let entries) = node.content else {
      error("'graphs' must be a mapping from a name to a graph, not \(node.kind)", at: node.mark)
      return []
    }
    if entries.isEmpty { error("'graphs' is empty; define a graph, or remove the key", at: node.mark) }
    return entries.map { entry in
      checkName(entry.key, "a graph's name", at: entry.mark)
      return parseGraph(entry)
    }
  }

  private mutating func parseGraph(_ entry: YAMLEntry) -> GraphSource {
    var graph = GraphSource(name: entry.key, mark: entry.mark)
    let owner = "of graph \(quoted(entry.key))"
    let problems = log.errorCount
    for entry in entries(of: entry.value, "graph \(quoted(entry.key))") {
      switch GraphKey(rawValue: entry.key) {
      case .extends: graph.parents = parents(entry.value, "'extends' \(owner)")
      case .config: graph.config = members(of: entry.value, "'config' \(owner)")
      case .tasks: graph.entries = nodes(entry.value, owner)
      case nil: unknownKey(entry, of: owner, among: GraphKey.allCases.map(\.rawValue))
      }
    }
    graph.isBroken = log.errorCount > problems
    return graph
  }

  private mutating func parents(_ node: YAMLNode, _ field: @autoclosure () -> String) -> [GraphSource.Parent] {
    if node.isNull { return [] }
    guard case .sequence(let elements) = node.content else { return parent(node, field()).map { [$0] } ?? [] }
    return elements.compactMap { parent($0, field()) }
  }

  private mutating func parent(_ node: YAMLNode, _ field: @autoclosure () -> String) -> GraphSource.Parent? {
    guard case .mapping(let members) = node.content else {
      guard let name = node.isNull ? "" : node.text.map(trimmed), !name.isEmpty else {
        error("\(field()) must name a graph, not \(node.text == "" ? "an empty text" : node.kind)", at: node.mark)
        return nil
      }
      return GraphSource.Parent(graph: name, mark: node.mark)
    }
    var parent: GraphSource.Parent?
    var arguments: [(task: String, mark: SourceMark, values: [Argument])] = []
    for entry in members {
      switch ParentKey(rawValue: entry.key) {
      case .graph:
        parent = text(entry.value, "'graph' in \(field())").map {
          GraphSource.Parent(graph: trimmed($0), mark: entry.value.mark)
        }
      case .args:
        for task in entries(of: entry.value, "'args' in \(field())") {
          let values = self.arguments(task.value, "'args' for task \(quoted(task.key)) in \(field())")
          arguments.append((task.key, task.mark, values))
        }
      case nil: unknownKey(entry, of: "in \(field())", among: ParentKey.allCases.map(\.rawValue))
      }
    }
    if parent == nil { error("an entry of \(field()) has no 'graph'; name the graph that is extended", at: node.mark) }
    parent?.arguments = arguments
    return parent
  }

  private mutating func nodes(_ node: YAMLNode, _ owner: String) -> [GraphSource.Entry] {
    if node.isNull { return [] }
    guard case .mapping(let entries) = node.content else {
      error("'tasks' \(owner) must be a mapping from a task to what it comes after, not \(node.kind)", at: node.mark)
      return []
    }
    return entries.map { entry in
      var result = GraphSource.Entry(task: entry.key, mark: entry.mark, dependencies: [], arguments: [])
      var field: String { "task \(quoted(entry.key)) \(owner)" }
      guard case .mapping(let members) = entry.value.content else {
        result.dependencies = dependencies(entry.value, field)
        return result
      }
      for member in members {
        switch NodeKey(rawValue: member.key) {
        case .deps: result.dependencies = dependencies(member.value, "'deps' of \(field)")
        case .args: result.arguments = arguments(member.value, "'args' of \(field)")
        case nil: unknownKey(member, of: "of \(field)", among: NodeKey.allCases.map(\.rawValue))
        }
      }
      return result
    }
  }

  /// Nothing, a name, or a list of names; each once. kptn passes over empty ones.
  mutating func dependencies(_ node: YAMLNode, _ field: @autoclosure () -> String) -> [NameUse] {
    if node.isNull { return [] }
    let elements: [YAMLNode]
    switch node.content {
    case .scalar: elements = [node]
    case .sequence(let nodes): elements = nodes
    case .mapping:
      error("\(field()) must be a task, a list of tasks, or nothing, not a mapping", at: node.mark)
      return []
    }
    var seen: Set<String> = []
    var result: [NameUse] = []
    result.reserveCapacity(elements.count)
    for element in elements {
      let name = element.isNull ? "" : element.text.map(trimmed)
      guard let name else {
        error("\(field()) comes after tasks, which are named by texts, not by \(element.kind)", at: element.mark)
        continue
      }
      if name.isEmpty {
        if dialect == .purser { error("\(field()) has an empty name; name a task, or remove it", at: element.mark) }
        continue
      }
      if elements.count == 1 || seen.insert(name).inserted { result.append(NameUse(name: name, mark: element.mark)) }
    }
    return result
  }
}
