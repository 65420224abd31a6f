public import PurserModel

/// The declaration of a task: what it runs, what it is made from, and what it makes.
///
/// Paths are relative to the project root; inputs and code may be absolute paths outside of it. A path may be a glob.
public struct TaskSpec: Sendable, Hashable {
  /// Unique in its pipeline.
  public var id: String
  /// The command's arguments; empty for a task that a Swift program carries out itself.
  public var command: [ByteString]
  /// Where the command runs, relative to the root; "." is the root.
  public var workingDirectory: ByteString
  /// Files, folders or globs of code.
  public var code: [ByteString]
  /// Files, folders or globs that are read.
  public var inputs: [ByteString]
  /// Files, folders or globs that are made; removed before the command runs.
  public var outputs: [ByteString]
  /// Names of environment variables that matter.
  public var environment: [ByteString]
  /// Programs that matter, looked up on PATH.
  public var tools: [ByteString]
  /// Named values that matter.
  public var arguments: [Argument]
  /// Tasks whose outputs and data this one uses.
  public var upstream: [String]
  /// Globs of what folders and globs leave out.
  public var excludes: [ByteString]
  /// Whether the task has no effect but its outputs and what it prints: a test, a lint.
  public var isPure: Bool
  /// Whether outputs are left in place before the command runs.
  public var keepsOutputs: Bool
  /// Whether standard input is read whole and belongs to the key.
  public var readsStandardInput: Bool
  /// Whether what it returns, as JSON, is kept as task data.
  public var keepsData: Bool
  /// Named values that matter to whoever carries the task out, such as the pipeline's configuration; data, not code.
  public var parameters: [Argument]
  /// What it maps over; `nil` for a task that is not mapped.
  public var mapping: Mapping?
  /// What of its Python files counts.
  public var codeDigest: CodeDigest
  /// Folders in which Python looks for modules, beside those that are found.
  public var sourceRoots: [ByteString]
  /// A dep file in Make's syntax that the command writes: an output, and what it names is code of the task.
  public var dependencyFile: ByteString?
  /// Whether its command is followed: what that reads and writes without declaring it is told, and a later hit is
  /// refuted where such a file has changed.
  public var isTraced: Bool
  /// Whether what reads or writes without declaring it is no result. Only of a task that is traced.
  public var refusesUndeclared: Bool
  /// Whether what its command is seen to read is an input. Only of a task that is traced.
  public var findsInputs: Bool

  /// What of a Python file counts as code. Files of other languages count by every byte.
  public enum CodeDigest: Sendable, Hashable {
    /// Every byte.
    case raw
    /// All but comments, docstrings and layout.
    case normalized
    /// Of the normalized text, what a function of the first file of `code` reaches; of a script (`nil`), what running it
    /// reaches.
    case function(String?)
  }

  /// How a task is mapped over the elements of another task's data.
  public struct Mapping: Sendable, Hashable {
    /// The task whose data is the list.
    public var upstream: String
    /// The names of the parts of an item.
    public var names: [String]
    /// For each name, which part of an element it is; empty where the element itself is the value.
    public var positions: [Int]
    /// The outputs of an item, `${NAME}` standing for its parts. The task's own outputs have wildcards there.
    public var outputs: [ByteString]

    /// Makes a mapping.
    public init(upstream: String, names: [String], positions: [Int], outputs: [ByteString]) {
      self.upstream = upstream
      self.names = names
      self.positions = positions
      self.outputs = outputs
    }
  }

  /// A named value.
  public struct Argument: Sendable, Hashable {
    /// Its name.
    public var name: ByteString
    /// Its value.
    public var value: ByteString

    /// Makes an argument.
    public init(name: ByteString, value: ByteString) {
      self.name = name
      self.value = value
    }
  }

  /// Declares a task.
  public init(
    _ id: String, command: [ByteString] = [], code: [ByteString] = [], inputs: [ByteString] = [],
    outputs: [ByteString] = [], upstream: [String] = []
  ) {
    self.id = id
    self.command = command
    self.code = code
    self.inputs = inputs
    self.outputs = outputs
    self.upstream = upstream
    workingDirectory = "."
    environment = []
    tools = []
    arguments = []
    excludes = []
    isPure = false
    keepsOutputs = false
    readsStandardInput = false
    keepsData = false
    parameters = []
    codeDigest = .raw
    sourceRoots = []
    isTraced = false
    refusesUndeclared = false
    findsInputs = false
  }
}

extension TaskSpec {
  /// The same task with the paths as Purser names them: without empty segments, "." and "..", the root as ".".
  var normalized: TaskSpec {
    func name(_ path: ByteString) -> ByteString {
      let normal = path.normalizedPath
      return normal.isEmpty ? "." : normal
    }
    var spec = self
    spec.code = code.map(name)
    spec.inputs = inputs.map(name)
    spec.outputs = outputs.map(name)
    spec.workingDirectory = name(workingDirectory)
    spec.mapping?.outputs = (mapping?.outputs ?? []).map(name)
    spec.sourceRoots = sourceRoots.map(name)
    spec.isTraced = isTraced || refusesUndeclared || findsInputs
    if let file = dependencyFile.map(name) {
      spec.dependencyFile = file
      if !spec.outputs.contains(file) { spec.outputs.append(file) }
    }
    return spec
  }
}

// Stored with the record, so that `check`, `explain` and `accept` need no options. Byte strings are escaped.
extension TaskSpec {
  /// The declaration as a JSON object.
  public var json: JSON {
    func list(_ items: [ByteString]) -> JSON { .array(items.map { .string($0.escaped) }) }
    var members: [(String, JSON)] = [
      ("id", .string(id)), ("command", list(command)), ("workingDirectory", .string(workingDirectory.escaped)),
      ("code", list(code)), ("inputs", list(inputs)), ("outputs", list(outputs)), ("environment", list(environment)),
      ("tools", list(tools)),
      ("arguments", .array(arguments.map { list([$0.name, $0.value]) })),
      ("upstream", .array(upstream.map { .string($0) })), ("excludes", list(excludes)), ("isPure", .bool(isPure)),
      ("keepsOutputs", .bool(keepsOutputs)), ("readsStandardInput", .bool(readsStandardInput)),
    ]
    if keepsData { members.append(("keepsData", .bool(true))) }
    if !parameters.isEmpty {
      members.append(("parameters", .array(parameters.map { list([$0.name, $0.value]) })))
    }
    switch codeDigest {
    case .raw: break
    case .normalized: members.append(("codeDigest", .string("normalized")))
    case .function(let name): members.append(("codeDigest", .string("function" + (name.map { ":" + $0 } ?? ""))))
    }
    if !sourceRoots.isEmpty { members.append(("sourceRoots", list(sourceRoots))) }
    if let dependencyFile { members.append(("dependencyFile", .string(dependencyFile.escaped))) }
    for (name, isSet) in [
      ("isTraced", isTraced), ("refusesUndeclared", refusesUndeclared), ("findsInputs", findsInputs),
    ] where isSet { members.append((name, .bool(true))) }
    if let mapping {
      members.append(
        (
          "mapping",
          .object([
            ("upstream", .string(mapping.upstream)), ("names", .array(mapping.names.map { .string($0) })),
            ("positions", .array(mapping.positions.map { .integer(Int64($0)) })), ("outputs", list(mapping.outputs)),
          ])
        ))
    }
    return .object(members)
  }

  /// Reads ``json`` back; `nil` if it has no id.
  public init?(json: JSON) {
    guard let id = json["id"]?.string else { return nil }
    func list(_ name: String) -> [ByteString] {
      (json[name]?.array ?? []).compactMap { $0.string.flatMap { ByteString(escaped: $0) } }
    }
    self.init(
      id, command: list("command"), code: list("code"), inputs: list("inputs"), outputs: list("outputs"),
      upstream: (json["upstream"]?.array ?? []).compactMap(\.string))
    workingDirectory = json["workingDirectory"]?.string.flatMap { ByteString(escaped: $0) } ?? "."
    environment = list("environment")
    tools = list("tools")
    func named(_ name: String) -> [Argument] {
      (json[name]?.array ?? []).compactMap { pair in
        let parts = (pair.array ?? []).compactMap { $0.string.flatMap { ByteString(escaped: $0) } }
        return parts.count == 2 ? Argument(name: parts[0], value: parts[1]) : nil
      }
    }
    arguments = named("arguments")
    parameters = named("parameters")
    excludes = list("excludes")
    isPure = json["isPure"]?.bool ?? false
    keepsOutputs = json["keepsOutputs"]?.bool ?? false
    readsStandardInput = json["readsStandardInput"]?.bool ?? false
    keepsData = json["keepsData"]?.bool ?? false
    if let mode = json["codeDigest"]?.string {
      let parts = mode.split(separator: ":", maxSplits: 1)
      codeDigest = parts.first == "function" ? .function(parts.count == 2 ? String(parts[1]) : nil) : .normalized
    }
    sourceRoots = list("sourceRoots")
    isTraced = json["isTraced"]?.bool ?? false
    refusesUndeclared = json["refusesUndeclared"]?.bool ?? false
    findsInputs = json["findsInputs"]?.bool ?? false
    dependencyFile = json["dependencyFile"]?.string.flatMap { ByteString(escaped: $0) }
    if let stored = json["mapping"], let upstream = stored["upstream"]?.string {
      mapping = Mapping(
        upstream: upstream, names: (stored["names"]?.array ?? []).compactMap(\.string),
        positions: (stored["positions"]?.array ?? []).compactMap { $0.integer.map(Int.init) },
        outputs: (stored["outputs"]?.array ?? []).compactMap { $0.string.flatMap { ByteString(escaped: $0) } })
    }
  }
}
