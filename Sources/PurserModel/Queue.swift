/// A piece of work that waits for a worker, is under way, or is over.
public struct QueuedWork: Sendable, Hashable {
  /// Its number, ascending: age.
  public var id: Int64
  /// Which task.
  public var key: TaskKey
  /// How far it is.
  public var state: RunState
  /// Higher goes first, from -1000 to 1000.
  public var priority: Int
  /// How often it was claimed.
  public var attempts: Int
  /// How often it may be.
  public var maximumAttempts: Int
  /// What it is, as JSON: see ``WorkRequest/configuration``.
  public var configuration: String
  /// SHA-256 (hex) of what makes it the same work as another; `nil` where that does not matter.
  public var dedupeKey: String?
  /// For one attempt, in milliseconds; `nil` for no limit.
  public var timeoutMilliseconds: Int64?
  /// Texts to find it by.
  public var tags: [String]
  /// Its type as `name@version`; `nil` for work without one.
  public var type: String?
  /// ISO 8601, as all times here.
  public var queuedAt: String
  /// Not before; `nil` for at once.
  public var availableAt: String?
  /// Who asked for it.
  public var createdBy: String?
  /// The worker that claimed it last.
  public var worker: String?
  /// When that was.
  public var claimedAt: String?
  /// When its command was started last.
  public var startedAt: String?
  /// When it was over.
  public var finishedAt: String?
  /// What went wrong, as JSON.
  public var error: String?
  /// What came of it, as JSON.
  public var result: String?

  /// Makes a piece of work that waits.
  public init(id: Int64, key: TaskKey, configuration: String, queuedAt: String) {
    self.id = id
    self.key = key
    self.configuration = configuration
    self.queuedAt = queuedAt
    state = .pending
    priority = 0
    attempts = 0
    maximumAttempts = 1
    tags = []
  }
}

/// A piece of work to be queued.
public struct WorkRequest: Sendable, Hashable {
  /// Which task.
  public var key: TaskKey
  /// What it is, as a JSON object: `root`, the project's folder; and `task`, a task of the pipeline file, or `spec`, a
  /// declaration with a command, with `parameters` where it is of a type.
  public var configuration: String
  /// Higher goes first, from -1000 to 1000.
  public var priority = 0
  /// How often it may be tried, from 1 to 1000.
  public var maximumAttempts = 1
  /// SHA-256 (hex) of what makes it the same work as another.
  public var dedupeKey: String?
  /// For one attempt, in milliseconds.
  public var timeoutMilliseconds: Int64?
  /// Not before, ISO 8601.
  public var availableAt: String?
  /// Texts to find it by.
  public var tags: [String] = []
  /// The number of its type.
  public var type: Int64?

  /// Makes a request.
  public init(key: TaskKey, configuration: String) {
    self.key = key
    self.configuration = configuration
  }
}

/// A type of work: which parameters it takes, and the command that does it.
public struct TaskType: Sendable, Hashable {
  /// Its number.
  public var id: Int64
  /// Its name, of 1 to 255 characters.
  public var name: String
  /// Of 1 to 50 characters.
  public var version: String
  /// The JSON Schema of its parameters, as text.
  public var schema: String
  /// The declaration of the command, as JSON: `${NAME}` in its arguments stands for a parameter.
  public var specification: String
  /// Whether work of it can be queued.
  public var isActive: Bool
  /// ISO 8601.
  public var createdAt: String
  /// ISO 8601.
  public var updatedAt: String

  /// Makes a type.
  public init(
    id: Int64 = 0, name: String, version: String, schema: String, specification: String, isActive: Bool = true,
    createdAt: String = "", updatedAt: String = ""
  ) {
    self.id = id
    self.name = name
    self.version = version
    self.schema = schema
    self.specification = specification
    self.isActive = isActive
    self.createdAt = createdAt
    self.updatedAt = updatedAt
  }

  /// `name@version`.
  public var label: String { "\(name)@\(version)" }
}

/// A process that claims work, or did.
public struct WorkerRecord: Sendable, Hashable {
  /// Whether it is there.
  public enum Status: String, Sendable {
    case active = "ACTIVE"
    /// It claims no more, and ends what it is at.
    case draining = "DRAINING"
    case stopped = "STOPPED"
    /// It was found dead.
    case lost = "LOST"
  }

  /// Its name, for good.
  public var id: String
  /// Where it runs.
  public var hostname: String
  /// Boot and process name-space that `pid` is meant in.
  public var boot: String
  /// Its process.
  public var pid: Int32
  /// Clock ticks after boot at which that began.
  public var startTime: UInt64
  /// How much it does at once.
  public var slots: Int
  /// Whether it is there.
  public var status: Status
  /// ISO 8601.
  public var registeredAt: String
  /// ISO 8601.
  public var lastHeartbeat: String
  /// How often it claimed something.
  public var claimed = 0
  /// How much of that it completed.
  public var completed = 0
  /// How much of that failed.
  public var failed = 0

  /// Makes a record.
  public init(
    id: String, hostname: String, boot: String, pid: Int32, startTime: UInt64, slots: Int, status: Status = .active,
    registeredAt: String, lastHeartbeat: String
  ) {
    self.id = id
    self.hostname = hostname
    self.boot = boot
    self.pid = pid
    self.startTime = startTime
    self.slots = slots
    self.status = status
    self.registeredAt = registeredAt
    self.lastHeartbeat = lastHeartbeat
  }
}

/// Something that happened, from the audit trail.
public struct TaskEvent: Sendable, Hashable {
  /// Its number, ascending.
  public var id: Int64
  /// The run that it is about.
  public var run: Int64?
  /// The task that it is about.
  public var key: TaskKey
  /// `STARTED`, `FINISHED`, `FAILED`, `CANCELLED`, `INVALIDATED`, `QUEUED`, `CLAIMED` …
  public var type: String
  /// What else is known, as JSON.
  public var data: String?
  /// The state before.
  public var previous: String?
  /// The state after.
  public var new: String?
  /// ISO 8601.
  public var time: String
  /// Who did it.
  public var actor: String?

  /// Makes an event.
  public init(
    id: Int64, run: Int64?, key: TaskKey, type: String, data: String? = nil, previous: String? = nil,
    new: String? = nil, time: String, actor: String? = nil
  ) {
    self.id = id
    self.run = run
    self.key = key
    self.type = type
    self.data = data
    self.previous = previous
    self.new = new
    self.time = time
    self.actor = actor
  }
}
