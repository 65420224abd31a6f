public import PurserModel
import PurserPipeline

extension PipelineTask {
  /// A task that a command carries out. Templates `${NAME}` in a mapped task's command and outputs stand for its items.
  ///
  /// - Parameters:
  ///   - command: its arguments; the first is looked up on `PATH`. It runs in the project's root.
  ///   - code: files, folders or globs of code, relative to the root. What Python, R and shell files import is followed.
  ///   - inputs: files, folders or globs that it reads.
  ///   - outputs: files, folders or globs that it makes; removed before it runs.
  ///   - upstream: the tasks that it comes after, and whose outputs and data it uses.
  public init(
    _ id: String, command: [ByteString], code: [ByteString] = [], inputs: [ByteString] = [],
    outputs: [ByteString] = [], after upstream: [String] = []
  ) {
    self.init(
      TaskSpec(id, command: command, code: code, inputs: inputs, outputs: outputs, upstream: upstream), .words(command))
  }

  /// A task that a text for `sh -eu -c` carries out; the parts of a mapped task's item are variables there.
  public init(
    _ id: String, shell text: ByteString, code: [ByteString] = [], inputs: [ByteString] = [],
    outputs: [ByteString] = [], after upstream: [String] = []
  ) {
    self.init(
      TaskSpec(
        id, command: ["sh", "-eu", "-c", text], code: code, inputs: inputs, outputs: outputs, upstream: upstream),
      .shell(text))
  }

  /// A task that a closure carries out, which returns the task's data.
  ///
  /// A closure has no text that could be hashed. Without a version, it counts as changed whenever the running program
  /// does; with one, whenever the version does, or the files of `code`: then it is for you to change it.
  ///
  /// The closure runs on a thread of the runner's own, where it may block. When the run is stopped, its task is
  /// cancelled.
  ///
  /// - Parameters:
  ///   - version: what the closure does, in a word that changes when that does; `nil` for the program itself.
  ///   - body: does the work; what it returns is kept as JSON. To throw is to fail.
  public init<Output: Encodable & Sendable>(
    _ id: String, version: String? = nil, code: [ByteString] = [], inputs: [ByteString] = [],
    outputs: [ByteString] = [], after upstream: [String] = [],
    body: @escaping @Sendable (TaskContext) async throws -> Output
  ) {
    var spec = TaskSpec(id, code: code, inputs: inputs, outputs: outputs, upstream: upstream)
    spec.keepsData = true
    self.init(spec, TaskClosure(version: version) { context, _ in try JSON(encoding: await body(context)).serialized })
  }

  /// A task that a closure carries out for the sake of its outputs.
  public init(
    _ id: String, version: String? = nil, code: [ByteString] = [], inputs: [ByteString] = [],
    outputs: [ByteString] = [], after upstream: [String] = [],
    body: @escaping @Sendable (TaskContext) async throws -> Void
  ) {
    self.init(
      TaskSpec(id, code: code, inputs: inputs, outputs: outputs, upstream: upstream),
      TaskClosure(version: version) { context, _ in
        try await body(context)
        return nil
      })
  }

  /// A task that a closure carries out for each element of another task's data. Its own data is the list of what the
  /// closure returned, in the order of the elements.
  ///
  /// An item is known by its value: a list that grows, shrinks or changes its order keeps the items that did not change.
  /// Each end of an item is recorded; a run that is killed goes on where it stopped.
  ///
  /// - Parameters:
  ///   - list: the task whose data is the list; it is among the upstream tasks without being named there.
  ///   - outputs: what it makes; `${item}` stands for an item's value.
  public init<Item: Decodable & SendableMetatype, Output: Encodable & Sendable>(
    _ id: String, over list: String, version: String? = nil, code: [ByteString] = [], inputs: [ByteString] = [],
    outputs: [ByteString] = [], after upstream: [String] = [],
    body: @escaping @Sendable (Item, TaskContext) async throws -> Output
  ) {
    var spec = TaskSpec(id, code: code, inputs: inputs, outputs: outputs, upstream: upstream)
    spec.keepsData = true
    self.init(
      spec,
      TaskClosure(version: version) { context, item in
        try JSON(encoding: await body(try TaskClosure.decode(item, of: context), context)).serialized
      })
    map(over: list, as: "item")
  }

  /// A task that a closure carries out for each element of another task's data, for the sake of its outputs.
  public init<Item: Decodable & SendableMetatype>(
    _ id: String, over list: String, version: String? = nil, code: [ByteString] = [], inputs: [ByteString] = [],
    outputs: [ByteString] = [], after upstream: [String] = [],
    body: @escaping @Sendable (Item, TaskContext) async throws -> Void
  ) {
    self.init(
      TaskSpec(id, code: code, inputs: inputs, outputs: outputs, upstream: upstream),
      TaskClosure(version: version) { context, item in
        try await body(try TaskClosure.decode(item, of: context), context)
        return nil
      })
    map(over: list, as: "item")
  }

  private init(_ spec: TaskSpec, _ closure: TaskClosure) {
    var spec = spec
    if let version = closure.version {
      spec.arguments = [TaskSpec.Argument(name: "version", value: ByteString(version))]
    }
    self.init(spec, .closure(closure))
  }

  init(_ spec: TaskSpec, _ work: Work) {
    self.init(
      spec: spec, work: work, dependencies: [], timeout: nil, retries: 0, priority: 0, bundleSize: nil, groupSize: nil,
      log: nil, arguments: [], data: [])
  }

  private mutating func map(over list: String, as name: String) {
    if !spec.upstream.contains(list) { spec.upstream.append(list) }
    spec.mapping = TaskSpec.Mapping(upstream: list, names: [name], positions: [], outputs: spec.outputs)
    spec.outputs = spec.outputs.map { Template($0).path([:]) }
  }
}

/// What most tasks do without, each a copy of the task that has it.
extension PipelineTask {
  private func changed(_ change: (inout PipelineTask) -> Void) -> PipelineTask {
    var task = self
    change(&task)
    return task
  }

  /// A command for each element of another task's data: `${NAME}` in its arguments and outputs is an item's value, and
  /// so is the variable of that name.
  public func mapped(over list: String, as name: String = "item") -> PipelineTask {
    changed { $0.map(over: list, as: name) }
  }

  /// Environment variables that matter, by name; their values enter the fingerprint as keyed digests only.
  public func environment(_ names: ByteString...) -> PipelineTask { changed { $0.spec.environment += names } }

  /// Programs that matter, looked up on `PATH`.
  public func tools(_ names: ByteString...) -> PipelineTask { changed { $0.spec.tools += names } }

  /// A named value that matters.
  public func argument(_ name: ByteString, _ value: ByteString) -> PipelineTask {
    changed { $0.spec.arguments.append(TaskSpec.Argument(name: name, value: value)) }
  }

  /// Globs of what its folders and globs leave out.
  public func excluding(_ patterns: ByteString...) -> PipelineTask { changed { $0.spec.excludes += patterns } }

  /// It has no effect but its outputs, its data and what it prints, so that it need not be done again elsewhere.
  public func pure() -> PipelineTask { changed { $0.spec.isPure = true } }

  /// Its command is followed: what it uses undeclared is told, and refutes later hits where it has changed. `isStrict`: a
  /// run that does so is not stored.
  public func traced(isStrict: Bool = false) -> PipelineTask {
    changed {
      $0.spec.isTraced = true
      $0.spec.refusesUndeclared = isStrict
    }
  }

  /// What its command is seen to read are its inputs, beside those that are declared.
  public func findingInputs() -> PipelineTask { changed { $0.spec.findsInputs = true } }

  /// Its outputs stay in place before it runs.
  public func keepingOutputs() -> PipelineTask { changed { $0.spec.keepsOutputs = true } }

  /// What of its Python files counts.
  public func codeDigest(_ mode: TaskSpec.CodeDigest) -> PipelineTask { changed { $0.spec.codeDigest = mode } }

  /// The command's JSON, written to the file that `PURSER_RESULT` names, is kept as its data.
  public func keepingData() -> PipelineTask { changed { $0.spec.keepsData = true } }

  /// How long one attempt, or one item, of a command may take.
  public func timeout(_ limit: Duration) -> PipelineTask { changed { $0.timeout = limit } }

  /// How often it, or each of its items, is tried again after a failure.
  public func retries(_ count: Int) -> PipelineTask { changed { $0.retries = count } }

  /// Of the tasks that are ready, the one with the highest goes first; 0 where nothing is said.
  public func priority(_ priority: Int) -> PipelineTask { changed { $0.priority = priority } }

  /// How many items of a mapped task may be under way at once.
  public func itemsAtOnce(_ count: Int) -> PipelineTask { changed { $0.groupSize = count } }
}
