/// Which fields of a task follow.
struct TaskFields: OptionSet {
  let rawValue: UInt64
  static let file = Self(rawValue: 1 << 0)
  static let function = Self(rawValue: 1 << 1)
  static let shell = Self(rawValue: 1 << 2)
  static let words = Self(rawValue: 1 << 3)
  static let code = Self(rawValue: 1 << 4)
  static let inputs = Self(rawValue: 1 << 5)
  static let outputs = Self(rawValue: 1 << 6)
  static let excludes = Self(rawValue: 1 << 7)
  static let environment = Self(rawValue: 1 << 8)
  static let tools = Self(rawValue: 1 << 9)
  static let arguments = Self(rawValue: 1 << 10)
  static let cachesResult = Self(rawValue: 1 << 11)
  static let iterableItem = Self(rawValue: 1 << 12)
  static let mapOver = Self(rawValue: 1 << 13)
  static let bundleSize = Self(rawValue: 1 << 14)
  static let groupSize = Self(rawValue: 1 << 15)
  static let prefixArguments = Self(rawValue: 1 << 16)
  static let commandLineArguments = Self(rawValue: 1 << 17)
  static let logs = Self(rawValue: 1 << 18)
  static let tags = Self(rawValue: 1 << 19)
  static let timeout = Self(rawValue: 1 << 20)
  static let retries = Self(rawValue: 1 << 21)
  static let priority = Self(rawValue: 1 << 22)
  static let isPure = Self(rawValue: 1 << 23)
  static let keepsOutputs = Self(rawValue: 1 << 24)
  static let codeDigest = Self(rawValue: 1 << 25)
  static let dependencyFile = Self(rawValue: 1 << 26)
  static let tracing = Self(rawValue: 1 << 27)
  static let findsInputs = Self(rawValue: 1 << 28)
}

/// Writes a parsed file; the format is described beside ``PipelineFile/encoded``.
struct PipelineEncoder {
  private(set) var bytes: [UInt8] = []
  /// Whether strings stand where they are used, and not each once in a table.
  let hasInlineStrings: Bool
  private var strings: [String] = []
  private var places: [String: Int] = [:]

  init(hasInlineStrings: Bool = false) {
    self.hasInlineStrings = hasInlineStrings
  }

  var stringTable: [UInt8] {
    var table = PipelineEncoder()
    table.write(strings.count)
    for string in strings { table.write(string.utf8.count) }
    for string in strings { table.bytes += string.utf8 }
    return table.bytes
  }

  private mutating func write(_ value: Int) {
    var rest = UInt64(bitPattern: Int64(value))
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  private mutating func write(signed value: Int) {
    write((value << 1) ^ (value >> (Int.bitWidth - 1)))
  }

  private mutating func write(_ string: String?) {
    guard let string else { return write(0) }
    if hasInlineStrings {
      write(string.utf8.count + 1)
      bytes += string.utf8
      return
    }
    if let place = places[string] { return write(place) }
    strings.append(string)
    places[string] = strings.count
    write(strings.count)
  }

  private mutating func write(_ list: [String]) {
    write(list.count)
    for string in list { write(string) }
  }

  private mutating func write(_ mark: SourceMark) {
    write(mark.line)
    write(mark.column)
  }

  private mutating func write(_ arguments: [Argument]) {
    write(arguments.count)
    for argument in arguments {
      write(argument.name)
      write(argument.value.text)
    }
  }

  mutating func write(_ file: PipelineFile) {
    write(file.cacheNamespace)
    write(file.sourceRoots)
    write(file.storageKeys.count)
    for rule in file.storageKeys {
      write(rule.branch)
      write(rule.storageKey)
    }
    write(file.commonCode)
    write(file.codeDigest?.rawValue)
    write(signed: Int(file.snapshotMilliseconds ?? 0))
    write(file.pythonFolders)
    write(file.rFolders)
    write(file.tasks.count)
    for task in file.tasks { write(task) }
    write(file.graphs.count)
    for graph in file.graphs { write(graph) }
    write(file.warnings)
  }

  private mutating func write(_ diagnostics: [Diagnostic]) {
    write(diagnostics.count)
    for diagnostic in diagnostics {
      write(diagnostic.severity == .error ? 1 : 0)
      write(diagnostic.message)
      write(diagnostic.mark == nil ? 0 : 1)
      if let mark = diagnostic.mark { write(mark) }
    }
  }

  private mutating func write(_ graph: GraphDefinition) {
    write(graph.name)
    write(graph.config.text)
    write(graph.mark)
    write(graph.findings == nil ? 0 : 1)
    if let findings = graph.findings { write(findings) }
    write(graph.nodes.count)
    for node in graph.nodes { write(node) }
  }

  mutating func write(_ node: GraphDefinition.Node) {
    write(node.task)
    write(node.dependencies)
    write(node.arguments)
    write(node.mark)
  }

  mutating func write(_ task: TaskDefinition) {
    write(task.name)
    write(task.mark)
    write(Int(fields(of: task).rawValue))
    if let file = task.file { write(file) }
    if let function = task.function { write(function) }
    switch task.command {
    case .shell(let text)?: write(text)
    case .words(let words)?: write(words)
    case nil: break
    }
    for list in [task.code, task.inputs, task.outputs, task.excludes, task.environment, task.tools]
    where !list.isEmpty {
      write(list)
    }
    if !task.arguments.isEmpty { write(task.arguments) }
    if !task.iterableItem.isEmpty { write(task.iterableItem) }
    if !task.mapOver.isEmpty { write(task.mapOver) }
    for number in [task.bundleSize, task.groupSize] { if let number { write(signed: number) } }
    for text in [task.prefixArguments, task.commandLineArguments, task.logs] { if let text { write(text) } }
    if !task.tags.isEmpty { write(task.tags) }
    if let timeout = task.timeoutMilliseconds { write(signed: Int(timeout)) }
    for number in [task.retries, task.priority] where number != 0 { write(signed: number) }
    for text in [task.codeDigest?.rawValue, task.dependencyFile, task.tracing?.rawValue] { if let text { write(text) } }
  }

  private func fields(of task: TaskDefinition) -> TaskFields {
    var fields: TaskFields = []
    if task.file != nil { fields.insert(.file) }
    if task.function != nil { fields.insert(.function) }
    switch task.command {
    case .shell: fields.insert(.shell)
    case .words: fields.insert(.words)
    case nil: break
    }
    if !task.code.isEmpty { fields.insert(.code) }
    if !task.inputs.isEmpty { fields.insert(.inputs) }
    if !task.outputs.isEmpty { fields.insert(.outputs) }
    if !task.excludes.isEmpty { fields.insert(.excludes) }
    if !task.environment.isEmpty { fields.insert(.environment) }
    if !task.tools.isEmpty { fields.insert(.tools) }
    if !task.arguments.isEmpty { fields.insert(.arguments) }
    if task.cachesResult { fields.insert(.cachesResult) }
    if !task.iterableItem.isEmpty { fields.insert(.iterableItem) }
    if !task.mapOver.isEmpty { fields.insert(.mapOver) }
    if task.bundleSize != nil { fields.insert(.bundleSize) }
    if task.groupSize != nil { fields.insert(.groupSize) }
    if task.prefixArguments != nil { fields.insert(.prefixArguments) }
    if task.commandLineArguments != nil { fields.insert(.commandLineArguments) }
    if task.logs != nil { fields.insert(.logs) }
    if !task.tags.isEmpty { fields.insert(.tags) }
    if task.timeoutMilliseconds != nil { fields.insert(.timeout) }
    if task.retries != 0 { fields.insert(.retries) }
    if task.priority != 0 { fields.insert(.priority) }
    if task.isPure { fields.insert(.isPure) }
    if task.keepsOutputs { fields.insert(.keepsOutputs) }
    if task.codeDigest != nil { fields.insert(.codeDigest) }
    if task.dependencyFile != nil { fields.insert(.dependencyFile) }
    if task.tracing != nil { fields.insert(.tracing) }
    if task.findsInputs { fields.insert(.findsInputs) }
    return fields
  }
}
