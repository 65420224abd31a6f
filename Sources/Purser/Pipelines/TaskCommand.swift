import Glibc
import PurserExecution
import PurserModel
import PurserPipeline
import PurserStore

/// Makes the command that carries a task, or some of its items, out, and the files by which the two talk.
struct TaskCommand {
  let cache: TaskCache
  let pipeline: Pipeline
  let task: PipelineTask

  /// A command and its files, which are removed with it.
  final class Prepared: Sendable {
    let command: Command
    /// Where the task's data is to be written, absolute.
    let result: ByteString
    /// Where a bundle tells of its items, absolute; `nil` for a command of one item or none.
    let done: ByteString?
    private let files: [ByteString]

    init(command: Command, result: ByteString, done: ByteString?, files: [ByteString]) {
      self.command = command
      self.result = result
      self.done = done
      self.files = files
    }

    deinit {
      for file in files { _ = file.withCString { unlink($0) } }
    }
  }

  /// - Parameters:
  ///   - items: those of a mapped task that one process is to do; `nil` for a task that is not mapped.
  ///   - run: by its leases, what is left of its processes can be found.
  func prepare(items: [Item]?, run: OpenRun) throws -> Prepared {
    let scratch = pipeline.scratch
    if needsScratch { Self.makeFolder(scratch) }
    let base = cache.project.store.appending(path: "tmp").appending(path: ByteString("step-\(run.id)-" + Self.unique()))
    let result = base + ".result"
    var files = [result]
    var environment = cache.environment
    for name in ["PURSER_ITEMS", "PURSER_DONE", "PURSER_RESULT"] { environment.remove(ByteString(name)) }
    let project = cache.project
    let settings: [(ByteString, ByteString)] = [
      ("PURSER_TASK", ByteString(task.spec.id)), ("PURSER_PIPELINE", ByteString(project.pipeline)),
      ("PURSER_STORAGE_KEY", ByteString(project.storageKey)), ("PURSER_SCRATCH", scratch),
      ("PURSER_RESULT", result), ("OUTPUT_PIPELINE_DIR", scratch),
    ]
    for (name, value) in settings + task.variables { environment.set(name, to: value) }
    environment.set(entry: Lessor.variable(run.tokens.first ?? 0, project))

    var done: ByteString?
    var values: [String: ByteString] = [:]
    if let items {
      if isBundled {
        let list = base + ".items"
        try Self.write(items.map { $0.json + "\n" }.joined(), to: list)
        let ends = base + ".done"
        try Self.write("", to: ends)
        files += [list, ends]
        environment.set("PURSER_ITEMS", to: list)
        environment.set("PURSER_DONE", to: ends)
        done = ends
      }
      if !isBundled, let item = items.first {
        for (name, value) in zip(task.spec.mapping?.names ?? [], item.values) {
          guard !value.utf8.contains(0) else {
            throw PurserError(
              .refused, "item '\(item.key)' of task '\(task.spec.id)' holds a NUL, which no variable can")
          }
          values[name] = ByteString(value)
          if !task.isFunction { environment.set(ByteString(name), to: ByteString(value)) }
        }
      }
    }
    let folder = project.location(of: task.spec.workingDirectory)
    var argv: [ByteString]
    var program: ByteString?
    switch task.work {
    case .closure: preconditionFailure("a closure is no command")
    case .shell(let text):
      argv = ["sh", "-eu", "-c", text]
      if let plain = PlainCommand(text), let found = plain.program(environment, in: folder) {
        (argv, program) = (plain.words, found)
        environment.set("PWD", to: PlainCommand.currentFolder(environment, in: folder))
      }
    case .words(let words): argv = words.map { Template($0).replacing(values) }
    case .r(let prefix, let file, let words):
      argv = prefix.map { Template($0).replacing(values) } + ["Rscript", project.location(of: file)]
      argv += words.map { Template($0).replacing(values) }
    case .python(let file, let function):
      let call = base + ".call"
      files.append(call)
      try Self.write(callText(file, function, items, result: result, done: done), to: call)
      if environment["PYTHONUNBUFFERED"] == nil { environment.set("PYTHONUNBUFFERED", to: "1") }
      argv = ["python3", "-c", ByteString(bytes: PackageResources.bridge_py), call]
    }
    var command = Command(
      argv: argv, environment: environment.entries, workingDirectory: folder, timeout: task.timeout)
    command.program = program
    command.escalates = true
    if task.spec.isTraced { command.tracedRoot = project.root }
    return Prepared(command: command, result: result, done: done, files: files)
  }

  /// Whether one process may be given several items; a function always is spoken to by way of the files.
  private var isBundled: Bool { task.bundleSize ?? 1 > 1 || task.isFunction }

  /// A folder is not made in everybody's project: only where a step may look for it.
  private var needsScratch: Bool {
    switch task.work {
    case .python, .r: true
    case .shell(let text): String(decoding: text.bytes, as: UTF8.self).contains("PURSER_SCRATCH")
    case .words: pipeline.dialect == .kptn
    case .closure: false
    }
  }

  /// What the bridge is to do, as JSON.
  private func callText(
    _ file: ByteString, _ function: String, _ items: [Item]?, result: ByteString, done: ByteString?
  ) throws(StoreError) -> String {
    func text(_ value: String) -> String { JSON.string(value).serialized }
    func object(_ members: [(String, String)]) -> String {
      "{" + members.map { "\(text($0.0)):\($0.1)" }.joined(separator: ",") + "}"
    }
    let project = cache.project
    var data: [(String, String)] = []
    for (upstream, name) in task.data {
      guard let stored = try cache.records.taskData(of: cache.key(upstream), .result) else { continue }
      data.append((name, stored.text))
    }
    let context = [
      ("scratch_dir", text(pipeline.scratch.escaped)), ("STORAGE_KEY", text(project.storageKey)),
      ("BRANCH", text(project.storageKey)), ("PIPELINE_NAME", text(pipeline.graph)),
      ("DATA_YEAR", text(Pipeline.year(cache.environment).escaped)), ("SUBSET_MODE", "false"),
    ]
    let list = items.map { items in
      "[" + items.map { object([("key", text($0.key)), ("values", $0.json)]) }.joined(separator: ",") + "]"
    }
    return object([
      ("task", text(task.spec.id)), ("root", text(project.root.escaped)),
      ("file", text(project.location(of: file).escaped)), ("function", text(function)),
      ("arguments", object(task.arguments.map { ($0.name, $0.value.text) })), ("data", object(data)),
      ("config", pipeline.config.text), ("context", object(context)), ("items", list ?? "null"),
      ("keeps_data", task.spec.keepsData ? "true" : "false"), ("result", text(result.escaped)),
      ("done", done.map { text($0.escaped) } ?? "null"),
    ])
  }

  // MARK: Files

  private static func unique() -> String {
    String(UInt64.random(in: 0...UInt64.max), radix: 16)
  }

  private static func makeFolder(_ path: ByteString) {
    if path.withCString({ mkdir($0, 0o777) }) == 0 || errno != ENOENT { return }
    makeFolder(path.parentPath)
    _ = path.withCString { mkdir($0, 0o777) }
  }

  private static func write(_ text: String, to path: ByteString) throws(StoreError) {
    let descriptor = path.withCString { open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600) }
    guard descriptor >= 0 else {
      throw StoreError(.io, "'\(path.printable)' cannot be made: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    try TemporaryFile.write(Array(text.utf8), to: descriptor)
  }

  /// What a command wrote as its result; `nil` where it wrote nothing.
  static func read(_ path: ByteString) throws(StoreError) -> [UInt8]? {
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW) }
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw StoreError(.io, "the result file '\(path.printable)' cannot be read: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return nil }
    var bytes = [UInt8](repeating: 0, count: Int(info.st_size))
    var count = 0
    while count < bytes.count {
      let capacity = bytes.count - count
      let step = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress?.advanced(by: count), capacity) }
      if step <= 0 { break }
      count += step
    }
    return count == 0 ? nil : Array(bytes.prefix(count))
  }
}

extension TaskCommand {
  /// The data that a command wrote.
  ///
  /// - Throws: `refused` for a task that keeps data and wrote none, or something that is not JSON.
  func data(from path: ByteString) throws -> TaskData? {
    guard let bytes = try Self.read(path) else {
      guard task.spec.keepsData else { return nil }
      throw PurserError(
        .refused,
        "task '\(task.spec.id)' keeps its result but wrote none; write JSON to the file that PURSER_RESULT names, or remove "
          + "'cache_result'")
    }
    guard task.spec.keepsData else { return nil }
    do {
      return try TaskData(parsing: bytes)
    } catch {
      let start = ByteString(bytes: Array(bytes.prefix(60))).printable
      throw PurserError(
        .refused, "the result of task '\(task.spec.id)' is \(error); it begins: \(start); nothing is stored")
    }
  }
}
