public import PurserModel

/// A process named in a lease, told apart from a later one with its number by when it started.
public struct LeaseProcess: Sendable, Hashable {
  /// Process id.
  public var pid: Int32
  /// Clock ticks after boot.
  public var startTime: UInt64
  /// Its process group, where it has one of its own.
  public var processGroup: Int32?

  /// Names a process.
  public init(pid: Int32, startTime: UInt64, processGroup: Int32?) {
    self.pid = pid
    self.startTime = startTime
    self.processGroup = processGroup
  }
}

/// A lease that somebody else holds.
public struct Lease: Sendable, Hashable {
  /// Its fencing token.
  public var token: Int64
  /// What it covers.
  public var name: String
  /// The run that is open under it, and the action that this does; `nil` where there is none.
  public var run: Int64?
  /// See ``run``.
  public var actionKey: Digest?
  /// Boot and process name-space of the owner: pids mean something only within them.
  public var worker: String
  /// Whether it is a claim of queued work.
  public var isClaim: Bool { name.hasPrefix("[\"work\",") }
  /// The owner.
  public var owner: LeaseProcess
  /// The command that works under it, once started.
  public var child: LeaseProcess?
  /// ISO 8601.
  public var acquiredAt: String
  /// ISO 8601; after this it may be taken over even from a living owner.
  public var expiresAt: String

  /// Makes a lease.
  public init(
    token: Int64, name: String, run: Int64? = nil, actionKey: Digest? = nil, worker: String, owner: LeaseProcess,
    child: LeaseProcess?, acquiredAt: String, expiresAt: String
  ) {
    self.run = run
    self.actionKey = actionKey
    self.token = token
    self.name = name
    self.worker = worker
    self.owner = owner
    self.child = child
    self.acquiredAt = acquiredAt
    self.expiresAt = expiresAt
  }
}
