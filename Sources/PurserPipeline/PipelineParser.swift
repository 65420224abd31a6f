import PurserModel

/// Reads a pipeline file's tree, and collects everything that is wrong with it.
struct PipelineParser {
  let dialect: PipelineFile.Dialect
  let defaultGraph: String
  var log = DiagnosticLog()
  /// `after` of each task, by its place in the file.
  var predecessors: [[NameUse]] = []

  /// A name where it is used.
  struct NameUse {
    var name: String
    var mark: SourceMark
  }

  init(dialect: PipelineFile.Dialect, defaultGraph: String) {
    self.dialect = dialect
    self.defaultGraph = defaultGraph
  }

  // MARK: Reporting

  mutating func error(_ message: String, at mark: SourceMark?) {
    log.error(message, at: mark)
  }

  mutating func warn(_ message: String, at mark: SourceMark?) {
    log.warn(message, at: mark)
  }

  /// A key that is none: an error in `purser.yaml`, and a warning in `kptn.yaml`, which other tools read too.
  mutating func unknownKey(_ entry: YAMLEntry, of owner: String, among known: [String]) {
    switch dialect {
    case .purser:
      let advice =
        known.count > 12
        ? ", or see 'purser schema' for those that there are" : " (known are \(known.joined(separator: ", ")))"
      let next = log.hint(entry.key, among: known, else: "; remove it" + advice)
      error("unknown key \(quoted(entry.key)) \(owner)\(next)", at: entry.mark)
    case .kptn:
      let next = log.hint(entry.key, among: known)
      warn("unknown key \(quoted(entry.key)) \(owner) is ignored\(next)", at: entry.mark)
    }
  }

  // MARK: The file

  mutating func parse(_ root: YAMLNode) -> PipelineFile {
    var file = PipelineFile(dialect: dialect)
    guard case .mapping(let entries) = root.content else {
      error("a pipeline file is a mapping with 'tasks' and 'graphs', not \(root.kind)", at: root.mark)
      return file
    }
    var config: [ConfigMember] = []
    var graphs: YAMLNode?
    var hasTasks = false
    for entry in entries {
      switch RootKey(rawValue: entry.key) {
      case .settings: parseSettings(entry.value, into: &file)
      case .config: config = members(of: entry.value, "'config'")
      case .graphs: graphs = entry.value.isNull ? nil : entry.value
      case .tasks:
        hasTasks = true
        file.tasks = parseTasks(entry.value)
      case nil:
        // For anchors, as in other tools' files.
        if entry.key.hasPrefix("x-") { continue }
        unknownKey(entry, of: "at the top of the file", among: RootKey.allCases.map(\.rawValue))
      }
    }
    if !hasTasks { error("the file has no 'tasks'; define them there, by name", at: root.mark) }
    if let graphs {
      refusePredecessors()
      resolve(parseGraphs(graphs), config: config, into: &file)
    } else if dialect == .kptn {
      error("the file has no 'graphs'; say there which tasks run, and after which", at: root.mark)
    } else if !file.tasks.isEmpty {
      singleGraph(at: entries.first { $0.key == "tasks" }?.mark ?? root.mark, config: config, into: &file)
    }
    return file
  }

  private mutating func parseSettings(_ node: YAMLNode, into file: inout PipelineFile) {
    for entry in entries(of: node, "'settings'") {
      guard let key = SettingKey(rawValue: entry.key) else {
        unknownKey(entry, of: "of 'settings'", among: SettingKey.allCases.map(\.rawValue))
        continue
      }
      let field = "'\(entry.key)' of 'settings'"
      switch key {
      case .cacheNamespace:
        file.cacheNamespace = text(entry.value, field)
        if let name = file.cacheNamespace { checkName(name, field, at: entry.value.mark) }
      case .sourceRoots: file.sourceRoots = texts(entry.value, field)
      case .storageKeys: file.storageKeys = storageKeyRules(entry.value, field)
      case .code: file.commonCode = texts(entry.value, field)
      case .codeDigest: file.codeDigest = mode(entry.value, field)
      case .snapshotEvery: file.snapshotMilliseconds = duration(entry.value, field)
      case .pyTasksDir: file.pythonFolders = texts(entry.value, field)
      case .rTasksDir: file.rFolders = texts(entry.value, field)
      default: continue
      }
    }
  }

  /// With graphs, what a task comes after depends on the graph.
  private mutating func refusePredecessors() {
    for use in predecessors.compactMap(\.first) {
      error(
        "'after' is for files without 'graphs'; write what the task comes after into the graph's 'tasks'", at: use.mark)
    }
  }

  /// A file without `graphs` has one, which holds every task with its `after`.
  private mutating func singleGraph(at mark: SourceMark, config: [ConfigMember], into file: inout PipelineFile) {
    let entries = zip(file.tasks, predecessors).map { task, after in
      GraphSource.Entry(task: task.name, mark: task.mark, dependencies: after, arguments: [])
    }
    let source = GraphSource(name: defaultGraph, mark: mark, entries: entries)
    resolve([source], config: config, into: &file)
  }
}
