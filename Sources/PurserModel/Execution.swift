/// The names under which executions are stored, the seed's `dag_id`: any text that a caller chooses; Purser's own are
/// JSON arrays, which nobody else's should look like.
public enum ExecutionName {
  /// What the tasks of a pipeline left: `["KEY","PIPELINE"]`.
  public static func pipeline(_ storageKey: String, _ pipeline: String) -> String {
    JSON.array([.string(storageKey), .string(pipeline)]).serialized
  }

  /// One run of a pipeline: `["KEY","PIPELINE","RUN"]`.
  public static func run(_ storageKey: String, _ pipeline: String, _ run: String) -> String {
    JSON.array([.string(storageKey), .string(pipeline), .string(run)]).serialized
  }

  /// A branch, with all its pipelines: `["KEY"]`.
  public static func branch(_ storageKey: String) -> String { JSON.array([.string(storageKey)]).serialized }

  /// How the names of all runs of a pipeline begin.
  public static func runsPrefix(_ storageKey: String, _ pipeline: String) -> String {
    String(self.pipeline(storageKey, pipeline).dropLast()) + ","
  }

  /// The parts of one of Purser's own names, one to three; `nil` for another's.
  public static func parts(of name: String) -> [String]? {
    guard name.hasPrefix("["), let parts = (try? JSON(parsing: name.utf8))?.array?.map(\.string),
      (1...3).contains(parts.count)
    else { return nil }
    let texts = parts.compactMap(\.self)
    return texts.count == parts.count ? texts : nil
  }
}

/// Something that a task of an execution left: a value under a key of its own.
public struct Artifact: Sendable, Hashable {
  /// The task.
  public var node: String
  /// What the value is, such as `result`.
  public var key: String
  /// JSON text.
  public var value: String
  /// ISO 8601; `nil` for one that is not stored yet.
  public var createdAt: String?
  /// ISO 8601; `nil` for one that is not stored yet.
  public var updatedAt: String?

  /// Makes an artifact of a text that is JSON.
  public init(node: String, key: String, value: String) {
    self.node = node
    self.key = key
    self.value = value
  }
}

/// Which part of an execution's state a value is.
public enum ExecutionPhase: String, Sendable, CaseIterable {
  /// What is being worked at.
  case active
  /// What has still to be done.
  case pending
}

/// A run of a graph: its tasks, what each comes after, and how far each is.
public struct ExecutionTree: Sendable, Hashable {
  /// How far a task is; but for `pending` and `active`, as it ended.
  public enum State: String, Sendable, CaseIterable {
    case pending, active, fresh, restored, ran, failed, interrupted, skipped

    /// Whether nothing is left to be done.
    public var isDone: Bool { [.fresh, .restored, .ran].contains(self) }
  }

  /// A task of the run.
  public struct Node: Sendable, Hashable {
    /// Its id.
    public var id: String
    /// The tasks that it comes after.
    public var parents: [String]
    /// How far it is.
    public var state: State
    /// The how manieth it was to begin, from 1; `nil` for one that did not begin.
    public var order: Int?
    /// ISO 8601.
    public var startedAt: String?
    /// ISO 8601.
    public var finishedAt: String?
    /// Why it failed, or was not begun.
    public var why: String?

    /// Makes a task that has not begun.
    public init(_ id: String, after parents: [String] = [], state: State = .pending) {
      self.id = id
      self.parents = parents
      self.state = state
    }
  }

  /// The process that runs it.
  public struct Owner: Sendable, Hashable {
    /// The boot and the process name-space that `pid` is meant in.
    public var worker: String
    /// Process id.
    public var pid: Int32
    /// Clock ticks after boot.
    public var startTime: UInt64

    /// Names a process.
    public init(worker: String, pid: Int32, startTime: UInt64) {
      self.worker = worker
      self.pid = pid
      self.startTime = startTime
    }
  }

  /// The tasks.
  public var nodes: [Node]
  /// ISO 8601.
  public var startedAt: String
  /// ISO 8601; `nil` while it runs, or after it was killed.
  public var finishedAt: String?
  /// The exit code that it ended with.
  public var exitCode: Int32?
  /// Who runs it; `nil` where nobody says.
  public var owner: Owner?
  /// The words of a command that does what is left of it; empty where nobody says.
  public var command: [String]
  /// The project's root; `nil` where nobody says.
  public var root: String?

  /// Makes a tree.
  public init(startedAt: String, nodes: [Node]) {
    self.startedAt = startedAt
    self.nodes = nodes
    command = []
  }
}

extension ExecutionTree {
  /// JSON text as it is stored: `{"startedAt","finishedAt","exitCode","owner":{"worker","pid","startTime"},"command",
  /// "root","nodes":[{"task","after","state","order","startedAt","finishedAt","why"}]}`; what is not known is left out.
  /// O(size): written straight, since a run of 10,000 tasks writes it twice.
  public var serialized: [UInt8] {
    var members: [(String, JSON)] = [("startedAt", .string(startedAt))]
    if let finishedAt { members.append(("finishedAt", .string(finishedAt))) }
    if let exitCode { members.append(("exitCode", .integer(Int64(exitCode)))) }
    if let owner {
      members.append(
        (
          "owner",
          .object([
            ("worker", .string(owner.worker)), ("pid", .integer(Int64(owner.pid))),
            ("startTime", .integer(Int64(bitPattern: owner.startTime))),
          ])
        ))
    }
    if !command.isEmpty { members.append(("command", .array(command.map { .string($0) }))) }
    if let root { members.append(("root", .string(root))) }
    var bytes = Array(JSON.object(members).serialized.utf8.dropLast())
    bytes.reserveCapacity(bytes.count + nodes.count * 64)
    bytes += ",\"nodes\":[".utf8
    for (index, node) in nodes.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      node.write(to: &bytes)
    }
    bytes += "]}".utf8
    return bytes
  }

  /// Reads what ``serialized`` gives; `nil` for anything else. O(size).
  public init?(json: JSON) {
    guard let startedAt = json["startedAt"]?.string, let nodes = json["nodes"]?.array else { return nil }
    self.init(startedAt: startedAt, nodes: nodes.compactMap(Node.init))
    guard self.nodes.count == nodes.count else { return nil }
    finishedAt = json["finishedAt"]?.string
    exitCode = json["exitCode"]?.integer.map { Int32(truncatingIfNeeded: $0) }
    command = json["command"]?.array?.compactMap(\.string) ?? []
    root = json["root"]?.string
    if let worker = json["owner"]?["worker"]?.string, let pid = json["owner"]?["pid"]?.integer,
      let startTime = json["owner"]?["startTime"]?.integer
    {
      owner = Owner(
        worker: worker, pid: Int32(truncatingIfNeeded: pid), startTime: UInt64(bitPattern: startTime))
    }
  }
}

extension ExecutionTree.Node {
  /// See ``ExecutionTree/serialized``.
  fileprivate func write(to bytes: inout [UInt8]) {
    bytes += "{\"task\":".utf8
    JSON.write(id, to: &bytes)
    if !parents.isEmpty {
      bytes += ",\"after\":[".utf8
      for (index, parent) in parents.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        JSON.write(parent, to: &bytes)
      }
      bytes.append(UInt8(ascii: "]"))
    }
    bytes += ",\"state\":".utf8
    JSON.write(state.rawValue, to: &bytes)
    if let order { bytes += ",\"order\":\(order)".utf8 }
    func write(_ name: String, _ text: String?) {
      guard let text else { return }
      bytes += ",\"\(name)\":".utf8
      JSON.write(text, to: &bytes)
    }
    write("startedAt", startedAt)
    write("finishedAt", finishedAt)
    write("why", why)
    bytes.append(UInt8(ascii: "}"))
  }

  /// Reads what ``serialized`` gives.
  init?(json: JSON) {
    guard let id = json["task"]?.string,
      let state = json["state"]?.string.flatMap(ExecutionTree.State.init)
    else { return nil }
    self.init(id, after: json["after"]?.array?.compactMap(\.string) ?? [], state: state)
    order = json["order"]?.integer.map(Int.init)
    startedAt = json["startedAt"]?.string
    finishedAt = json["finishedAt"]?.string
    why = json["why"]?.string
  }
}

/// A snapshot, without what it holds.
public struct SnapshotEntry: Sendable, Hashable {
  /// Ascending: a later one has a greater number, whatever the clock says.
  public var number: Int64
  /// 16 hexadecimal digits, which name it for good.
  public var id: String
  /// Whose it is.
  public var name: String
  /// Who took it: `manual`, `run` (at a run's end), `interval` (while one ran), `restore` (before one was restored),
  /// or what a caller says.
  public var kind: String
  /// What was said about it; may be empty.
  public var note: String
  /// `user@host`, as far as the environment tells.
  public var createdBy: String
  /// ISO 8601.
  public var createdAt: String
  /// Of a branch: how many tasks it holds.
  public var tasks: Int
  /// Of a branch: how many mapped items it holds.
  public var subtasks: Int
  /// Bytes, uncompressed.
  public var size: UInt64
  /// Bytes in the store.
  public var storedSize: UInt64

  /// Makes an entry.
  public init(
    number: Int64, id: String, name: String, kind: String, note: String, createdBy: String, createdAt: String,
    tasks: Int, subtasks: Int, size: UInt64, storedSize: UInt64
  ) {
    self.number = number
    self.id = id
    self.name = name
    self.kind = kind
    self.note = note
    self.createdBy = createdBy
    self.createdAt = createdAt
    self.tasks = tasks
    self.subtasks = subtasks
    self.size = size
    self.storedSize = storedSize
  }
}
