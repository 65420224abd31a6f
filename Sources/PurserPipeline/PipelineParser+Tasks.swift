import PurserModel

/// Reading `tasks`.
extension PipelineParser {
  mutating func parseTasks(_ node: YAMLNode) -> [TaskDefinition] {
    guard case .mapping(let entries) = node.content else {
      error("'tasks' must be a mapping from a name to a task, not \(node.kind)", at: node.mark)
      return []
    }
    if entries.isEmpty { error("'tasks' is empty; define a task", at: node.mark) }
    var tasks: [TaskDefinition] = []
    tasks.reserveCapacity(entries.count)
    for entry in entries {
      checkName(entry.key, "a task's name", at: entry.mark)
      var task = TaskDefinition(name: entry.key, mark: entry.mark)
      var after: [NameUse] = []
      parse(entry.value, into: &task, &after)
      tasks.append(task)
      predecessors.append(after)
    }
    return tasks
  }

  private mutating func parse(_ node: YAMLNode, into task: inout TaskDefinition, _ after: inout [NameUse]) {
    let name = task.name
    var owner: String { "of task \(quoted(name))" }
    guard case .mapping(let entries) = node.content else {
      if node.isNull {
        error("task \(quoted(task.name)) has neither 'file' nor 'command'; give it one", at: task.mark)
      } else {
        error("task \(quoted(task.name)) must be a mapping, not \(node.kind)", at: node.mark)
      }
      return
    }
    var marks: FieldMarks = FieldMarks()
    var hasUnknownKey = false
    for entry in entries {
      guard let key = TaskKey(rawValue: entry.key), key != .after || dialect == .purser else {
        let known = TaskKey.allCases.filter { $0 != .after || dialect == .purser }
        unknownKey(entry, of: owner, among: known.map(\.rawValue))
        hasUnknownKey = true
        continue
      }
      if !entry.value.isNull { marks[key] = entry.mark }
      parse(key, entry.value, "'\(entry.key)' \(owner)", into: &task, &after)
    }
    check(task, marks, hasUnknownKey)
  }

  private mutating func parse(
    _ key: TaskKey, _ node: YAMLNode, _ field: @autoclosure () -> String, into task: inout TaskDefinition,
    _ after: inout [NameUse]
  ) {
    switch key {
    case .file: parseFile(node, field(), into: &task)
    case .command: task.command = command(node, field())
    case .after: after = dependencies(node, field())
    case .code: task.code = texts(node, field())
    case .inputs: parseInputs(node, field(), into: &task)
    case .outputs: task.outputs = texts(node, field())
    case .exclude: task.excludes = texts(node, field())
    case .env: task.environment = variables(node, field())
    case .tools: task.tools = texts(node, field())
    case .args: task.arguments = arguments(node, field())
    case .cacheResult: task.cachesResult = flag(node, field())
    case .iterableItem: task.iterableItem = names(node, field())
    case .mapOver: task.mapOver = names(node, field())
    case .bundleSize: task.bundleSize = integer(node, field(), 1...(.max))
    case .groupSize: task.groupSize = integer(node, field(), 1...(.max))
    case .prefixArgs: task.prefixArguments = text(node, field())
    case .cliArgs: task.commandLineArguments = text(node, field())
    case .logs: task.logs = text(node, field())
    case .tags: task.tags = texts(node, field())
    case .compute: _ = entries(of: node, field())
    case .timeout: task.timeoutMilliseconds = duration(node, field())
    case .retries: task.retries = integer(node, field(), 0...1000) ?? 0
    case .priority: task.priority = integer(node, field(), -1_000_000...1_000_000) ?? 0
    case .pure: task.isPure = flag(node, field())
    case .keepOutputs: task.keepsOutputs = flag(node, field())
    case .codeDigest: task.codeDigest = mode(node, field())
    case .depfile: task.dependencyFile = text(node, field())
    case .trace: task.tracing = tracing(node, field())
    }
  }

  /// Paths, or the word `auto` in their place; a file of that name is one of a list.
  private mutating func parseInputs(
    _ node: YAMLNode, _ field: @autoclosure () -> String, into task: inout TaskDefinition
  ) {
    if dialect == .purser, case .scalar(let scalar) = node.content, scalar.text == "auto" {
      task.findsInputs = true
    } else {
      task.inputs = texts(node, field())
    }
  }

  /// `true`, `false` or `strict`.
  private mutating func tracing(_ node: YAMLNode, _ field: @autoclosure () -> String) -> TracingMode? {
    guard case .scalar(let scalar) = node.content, !scalar.isNull else { return flag(node, field()) ? .on : nil }
    if case .bool(let value) = scalar.value { return value ? .on : nil }
    if scalar.text == TracingMode.strict.rawValue { return .strict }
    error("\(field()) must be true, false or strict, not \(scalar.kind)", at: node.mark)
    return nil
  }

  /// `x.py:function`.
  private mutating func parseFile(_ node: YAMLNode, _ field: @autoclosure () -> String, into task: inout TaskDefinition)
  {
    guard let text = text(node, field()) else { return }
    let colon = text.utf8.lastIndex(of: UInt8(ascii: ":"))
    let path = trimmed(text[..<(colon ?? text.endIndex)])
    let function = colon.map { trimmed(text[text.index(after: $0)...]) }
    guard !path.isEmpty else {
      error("\(field()) names no file before the ':'; write 'file.py:function'", at: node.mark)
      return
    }
    task.file = path
    task.function = function?.isEmpty == true ? nil : function
  }

  private mutating func command(_ node: YAMLNode, _ field: @autoclosure () -> String) -> TaskDefinition.CommandForm? {
    switch node.content {
    case .scalar: return text(node, field()).map { .shell($0) }
    case .sequence(let elements):
      let words = texts(node, field(), allowsEmpty: true)
      if elements.isEmpty || words.first?.isEmpty == true {
        error("\(field()) has no program; write at least one word", at: node.mark)
      }
      return .words(words)
    case .mapping:
      error("\(field()) must be a text for the shell or a list of words, not a mapping", at: node.mark)
      return nil
    }
  }

  private mutating func variables(_ node: YAMLNode, _ field: @autoclosure () -> String) -> [String] {
    if case .mapping = node.content {
      error(
        "\(field()) lists the names of variables that matter; their values come from where Purser is started",
        at: node.mark)
      return []
    }
    return texts(node, field()).filter { name in
      guard name.utf8.contains(UInt8(ascii: "=")) else { return true }
      error("\(field()) lists names, and \(quoted(name)) is none; write the name without '='", at: node.mark)
      return false
    }
  }

  mutating func arguments(_ node: YAMLNode, _ field: @autoclosure () -> String) -> [Argument] {
    members(of: node, field()).map { Argument(name: $0.name, value: $0.value) }
  }

  /// What the keys of a task mean for each other.
  private mutating func check(_ task: TaskDefinition, _ marks: FieldMarks, _ hasUnknownKey: Bool) {
    var name: String { "task \(quoted(task.name))" }
    switch (marks[.file], marks[.command]) {
    case (nil, nil) where hasUnknownKey && dialect == .purser: break
    case (nil, nil): error("\(name) has neither 'file' nor 'command'; give it one", at: task.mark)
    case (let file?, let command?):
      error("\(name) has both 'file' and 'command'; remove one", at: max(file, command))
    case (nil, _?):
      for key in [TaskKey.prefixArgs, .cliArgs] {
        guard let mark = marks[key] else { continue }
        error("'\(key.rawValue)' of \(name) is for a 'file'; write the words into 'command'", at: mark)
      }
    case (let mark?, nil):
      if let problem = task.unsupportedFile { warn("\(name) \(problem); a graph with it cannot run", at: mark) }
    }
    if let problem = task.unsupportedOutput, let mark = marks[.outputs] {
      warn("\(name) \(problem); a graph with it cannot run", at: mark)
    }
    if !task.iterableItem.isEmpty, !task.cachesResult, let mark = marks[.iterableItem] {
      warn(
        "'iterable_item' of \(name) has no effect without 'cache_result: true', which keeps the list to map over",
        at: mark)
    }
    if marks[.mapOver] != nil, let mark = marks[.depfile] {
      error(
        "'depfile' of \(name) is for a task that is not mapped; compile each file in a task of its own, or declare the "
          + "headers under 'code'", at: mark)
    }
    if marks[.mapOver] != nil, task.tracing != nil || task.findsInputs, let mark = marks[.trace] ?? marks[.inputs] {
      error("\(name) is mapped, and only a task with one command can be traced; declare what it reads", at: mark)
    }
    if marks[.mapOver] == nil {
      for key in [TaskKey.bundleSize, .groupSize] {
        guard let mark = marks[key] else { continue }
        warn("'\(key.rawValue)' of \(name) has no effect without 'map_over'", at: mark)
      }
    }
  }
}

/// Where the keys of a task stand. A list: there are few.
private struct FieldMarks {
  private var marks: [(key: TaskKey, mark: SourceMark)] = []

  subscript(key: TaskKey) -> SourceMark? {
    get { marks.first { $0.key == key }?.mark }
    set { if let newValue { marks.append((key, newValue)) } }
  }
}

extension TaskDefinition {
  /// What is wrong with `file`, if Purser does not run such files.
  var unsupportedFile: String? {
    guard let file else { return nil }
    let suffix = file.utf8.lastIndex(of: UInt8(ascii: ".")).map { file[$0...].lowercased() } ?? ""
    switch suffix {
    case ".py", ".pyw", ".r": return nil
    case ".sql": return "has the DuckDB script \(quoted(file)), which Purser does not run; call it by a 'command'"
    default: return "has the file \(quoted(file)), which is neither Python (.py) nor R (.R); run it by a 'command'"
    }
  }

  /// What is wrong with `outputs`, if Purser does not know how to keep one.
  var unsupportedOutput: String? {
    outputs.first { $0.hasPrefix("duckdb://") }.map {
      "has the output \(quoted($0)), which is no file, and which Purser does not keep; declare files"
    }
  }
}

extension SourceMark: Comparable {
  /// In the order of the file.
  public static func < (left: SourceMark, right: SourceMark) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }
}
