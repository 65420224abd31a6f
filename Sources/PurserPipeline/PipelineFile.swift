/// A place in a pipeline file, both from 1. Columns count characters.
public struct SourceMark: Sendable, Hashable {
  /// The line.
  public var line: Int
  /// The column.
  public var column: Int

  /// Makes a place.
  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }
}

/// What is wrong with a pipeline file, and where.
public struct Diagnostic: Sendable, Hashable {
  /// How bad it is.
  public enum Severity: String, Sendable {
    case error
    case warning
  }

  /// How bad it is.
  public var severity: Severity
  /// What, why and what next.
  public var message: String
  /// Where; `nil` where it is about the whole file.
  public var mark: SourceMark?

  /// Makes a diagnostic.
  public init(_ severity: Severity, _ message: String, at mark: SourceMark?) {
    self.severity = severity
    self.message = message
    self.mark = mark
  }

  /// `purser.yaml:12:5: error: …`, as compilers print it.
  public func text(file: String) -> String {
    let place = mark.map { ":\($0.line):\($0.column)" } ?? ""
    return "\(file)\(place): \(severity.rawValue): \(message)"
  }
}

/// A pipeline file that cannot be used: everything that is wrong with it.
public struct PipelineFileError: Error, Sendable {
  /// In the order of the file; at least one error, and warnings.
  public var diagnostics: [Diagnostic]

  /// Makes an error.
  public init(_ diagnostics: [Diagnostic]) {
    self.diagnostics = diagnostics
  }
}

/// A pipeline file, read and checked: graphs with their inheritance resolved, and the tasks that they are made of.
public struct PipelineFile: Sendable {
  /// Whose format it is.
  public enum Dialect: UInt8, Sendable {
    /// `purser.yaml`: an unknown key is an error.
    case purser = 1
    /// kptn 0.1's `kptn.yaml`: an unknown key is warned about, and outputs resolve against the scratch folder.
    case kptn = 2
  }

  /// Whose format it is.
  public var dialect: Dialect
  /// In the order of the file.
  public var graphs: [GraphDefinition]
  /// In the order of the file, each name once.
  public var tasks: [TaskDefinition]
  /// `settings.cache_namespace`: takes the graph's place in the `pipeline` column.
  public var cacheNamespace: String?
  /// `settings.source_roots`: where Python looks for modules, beside the folders that are found by themselves.
  public var sourceRoots: [String]
  /// `settings.storage_keys`: branches, or patterns of them, and their storage keys, in the order of the file.
  public var storageKeys: [StorageKeyRule]
  /// `settings.code`: files, folders or globs of code of every task, such as a lock file.
  public var commonCode: [String]
  /// `settings.code_digest`: for the tasks that do not say.
  public var codeDigest: CodeDigestMode?
  /// `settings.snapshot_every`: how often a run takes a snapshot of its branch; `nil` for at its end only.
  public var snapshotMilliseconds: Int64?
  /// `settings.py_tasks_dir`: where a Python `file` is looked for, after the root.
  public var pythonFolders: [String]
  /// `settings.r_tasks_dir`: where an R `file` is looked for, after the root.
  public var rFolders: [String]
  /// What should be looked at, though the file can be used.
  public var warnings: [Diagnostic]

  /// Makes an empty file.
  public init(dialect: Dialect) {
    self.dialect = dialect
    graphs = []
    tasks = []
    sourceRoots = []
    storageKeys = []
    commonCode = []
    pythonFolders = []
    rFolders = []
    warnings = []
  }
}

/// What of a Python file counts.
public enum CodeDigestMode: String, Sendable, Hashable, CaseIterable {
  /// Every byte.
  case raw
  /// All but comments, docstrings and layout.
  case normalized
  /// Of the normalized text, the function that is called and what it reaches.
  case function
}

/// How a command is followed.
public enum TracingMode: String, Sendable, Hashable {
  /// What it uses undeclared is told.
  case on
  /// A run that uses undeclared files is not stored.
  case strict
}

/// A graph: which tasks, and what each comes after. Parents are merged in.
public struct GraphDefinition: Sendable, Hashable {
  /// Its name.
  public var name: String
  /// Every task of it, in the order of the file (a parent's first).
  public var nodes: [Node]
  /// The file's `config`, with the graph's own laid over it: what kptn hands to functions. An object; empty if there
  /// is none.
  public var config: ConfigValue
  /// Where it is defined.
  public var mark: SourceMark
  /// What ``PipelineFile/checks(graph:)`` found, once it has looked: part of a parse, so that it is kept with it.
  /// Whoever changes a graph or its tasks sets it to `nil`.
  public var findings: [Diagnostic]?

  /// A task in a graph.
  public struct Node: Sendable, Hashable {
    /// Its name, a key of `tasks`.
    public var task: String
    /// What it comes after, each once, in the order of the file.
    public var dependencies: [String]
    /// Named values for this graph; laid over the task's own.
    public var arguments: [Argument]
    /// Where it stands.
    public var mark: SourceMark

    /// Makes a node.
    public init(task: String, dependencies: [String], arguments: [Argument], mark: SourceMark) {
      self.task = task
      self.dependencies = dependencies
      self.arguments = arguments
      self.mark = mark
    }
  }

  /// Makes a graph.
  public init(name: String, nodes: [Node], config: ConfigValue, mark: SourceMark) {
    self.name = name
    self.nodes = nodes
    self.config = config
    self.mark = mark
  }
}

/// A JSON value as its canonical text: a scalar, a list or an object of the file.
public struct ConfigValue: Sendable, Hashable {
  /// JSON (RFC 8259), members sorted by name, no white space.
  public var text: String

  /// Takes canonical text.
  public init(text: String) {
    self.text = text
  }

  /// An object without members.
  public static let emptyObject = ConfigValue(text: "{}")
}

/// A named value.
public struct Argument: Sendable, Hashable {
  /// Its name.
  public var name: String
  /// Its value; `{"ref":TASK}` stands for the data of a task.
  public var value: ConfigValue

  /// Makes an argument.
  public init(name: String, value: ConfigValue) {
    self.name = name
    self.value = value
  }
}

/// A task as the file defines it. Paths and patterns are as written; `${NAME}` is not replaced yet.
public struct TaskDefinition: Sendable, Hashable {
  /// Its name.
  public var name: String
  /// `file`, without the function.
  public var file: String?
  /// The function after the colon in `file`.
  public var function: String?
  /// `command`.
  public var command: CommandForm?
  /// Files, folders or globs of code, beside `file`.
  public var code: [String]
  /// Files, folders or globs that are read.
  public var inputs: [String]
  /// Files, folders or globs that are made.
  public var outputs: [String]
  /// What folders and globs leave out.
  public var excludes: [String]
  /// Environment variables that matter.
  public var environment: [String]
  /// Programs that matter.
  public var tools: [String]
  /// Named values, in the order of the file.
  public var arguments: [Argument]
  /// Whether its result is kept as task data.
  public var cachesResult: Bool
  /// The names that the parts of each element of its result have for tasks that map over it.
  public var iterableItem: [String]
  /// The names that it maps over; empty for a task that is not mapped.
  public var mapOver: [String]
  /// Items per process.
  public var bundleSize: Int?
  /// Items in flight.
  public var groupSize: Int?
  /// Words before the interpreter, for `file`.
  public var prefixArguments: String?
  /// Words behind the file, for `file`.
  public var commandLineArguments: String?
  /// Where each item's, or the task's, printed output is written too.
  public var logs: String?
  /// Free words.
  public var tags: [String]
  /// How long one attempt may take, in milliseconds.
  public var timeoutMilliseconds: Int64?
  /// How often it is tried again after a failure.
  public var retries: Int
  /// Higher goes first among tasks that are ready.
  public var priority: Int
  /// Whether it has no effect but its outputs, its data and what it prints.
  public var isPure: Bool
  /// Whether outputs are left in place before it runs.
  public var keepsOutputs: Bool
  /// What of its Python files counts; `nil` where the file's setting does.
  public var codeDigest: CodeDigestMode?
  /// A dep file that it writes: its prerequisites are code of the task.
  public var dependencyFile: String?
  /// Whether and how its command is followed; `nil` where it is not.
  public var tracing: TracingMode?
  /// Whether what its command is seen to read are its inputs: `inputs: auto`.
  public var findsInputs: Bool
  /// Where it is defined.
  public var mark: SourceMark

  /// How a command is written.
  public enum CommandForm: Sendable, Hashable {
    /// Text for `sh -eu -c`.
    case shell(String)
    /// Words, started without a shell.
    case words([String])
  }

  /// A task with nothing but a name.
  public init(name: String, mark: SourceMark) {
    self.name = name
    self.mark = mark
    code = []
    inputs = []
    outputs = []
    excludes = []
    environment = []
    tools = []
    arguments = []
    cachesResult = false
    iterableItem = []
    mapOver = []
    tags = []
    retries = 0
    priority = 0
    isPure = false
    findsInputs = false
    keepsOutputs = false
  }
}
