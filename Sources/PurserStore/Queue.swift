public import PurserModel

/// Work that is queued for workers. Every change is one transaction, with an event of what it was.
public protocol QueueStore: Sendable {
  /// Queues work, all of it or none, durably; returns its numbers. Throws for what is out of the bounds that
  /// ``WorkRequest`` names. O(log of the queue) for each.
  func enqueue(_ requests: [WorkRequest], now: String, by author: String) throws(StoreError) -> EnqueueOutcome

  /// Claims the next piece of work: by priority, then by age. The claim is a lease on that piece; `nil` where nothing is
  /// due. O(log of the queue).
  func claim(_ request: ClaimRequest) throws(StoreError) -> ClaimedWork?

  /// Says that the work of a claim has begun. Throws `leaseLost` where somebody has taken it over.
  func start(_ claim: ClaimedWork, now: String) throws(StoreError)

  /// Ends a claim. Throws `leaseLost`, and changes nothing, where somebody has taken it over.
  func conclude(_ claim: ClaimedWork, _ ending: WorkEnding, now: String) throws(StoreError)

  /// Extends claims; returns the numbers of the work among them that is to be cancelled, and of that which is lost.
  func renew(
    _ claims: [ClaimedWork], until expiry: String
  ) throws(StoreError) -> (cancelled: Set<Int64>, lost: Set<Int64>)

  /// Every lease that is held, on work and on tasks, oldest first.
  func heldLeases() throws(StoreError) -> [Lease]

  /// Ends leases whose owners are dead, or whose time is over. Work goes back to the queue; what was tried as often as it
  /// may be has failed. Runs of tasks are closed as abandoned. Returns the work that was given back or has failed.
  func giveBack(_ tokens: [Int64], now: String) throws(StoreError) -> [Int64]

  /// Cancels work: what waits at once; what is under way is marked, for its worker to stop.
  func cancel(_ ids: [Int64], now: String, by author: String) throws(StoreError) -> [WorkChange]

  /// Queues work again that failed or was cancelled, with all its attempts.
  func retry(_ ids: [Int64], now: String, by author: String) throws(StoreError) -> [WorkChange]

  /// Takes work that is over out of the lists; its history stays.
  func remove(_ ids: [Int64], now: String, by author: String) throws(StoreError) -> [WorkChange]

  /// Work, newest first, or in the order in which it will be claimed for what waits.
  func work(matching filter: WorkFilter) throws(StoreError) -> [QueuedWork]

  /// Registers a type of work, or activates a version that is there; returns its number. Throws `busy` for a version that
  /// is there with another schema or command.
  func register(_ type: TaskType, now: String) throws(StoreError) -> Int64

  /// Every type, sorted by name and age.
  func taskTypes() throws(StoreError) -> [TaskType]

  /// Whether work of a type can be queued; all versions for `nil`. Returns how many changed.
  func setActive(_ isActive: Bool, type: String, version: String?, now: String) throws(StoreError) -> Int

  /// Registers a worker; throws where there is one of that name, which is given once for good.
  func register(_ worker: WorkerRecord) throws(StoreError)

  /// Says that a worker is there, and how it is.
  func heartbeat(_ worker: String, _ status: WorkerRecord.Status, now: String) throws(StoreError)

  /// Every worker, newest first.
  func workers() throws(StoreError) -> [WorkerRecord]

  /// The audit trail.
  func events(matching filter: EventFilter) throws(StoreError) -> [TaskEvent]
}

/// What came of queueing.
public enum EnqueueOutcome: Sendable, Hashable {
  /// It is queued, under these numbers.
  case queued([Int64])
  /// The work at this place is there already; nothing was queued.
  case duplicate(place: Int, of: QueuedWork)
}

/// A wish for work.
public struct ClaimRequest: Sendable {
  /// The worker.
  public var worker: String
  /// Boot and process name-space of its process.
  public var boot: String
  /// Its process.
  public var owner: LeaseProcess
  /// Now, ISO 8601.
  public var now: String
  /// When the claim ends unless it is renewed, ISO 8601.
  public var expiresAt: String

  /// Makes a wish.
  public init(worker: String, boot: String, owner: LeaseProcess, now: String, expiresAt: String) {
    self.worker = worker
    self.boot = boot
    self.owner = owner
    self.now = now
    self.expiresAt = expiresAt
  }
}

/// A piece of work, and the token that proves the claim.
public struct ClaimedWork: Sendable, Hashable {
  /// What is to be done.
  public var work: QueuedWork
  /// The fencing token.
  public var token: Int64

  /// Makes a claim.
  public init(work: QueuedWork, token: Int64) {
    self.work = work
    self.token = token
  }
}

/// How the work of a claim ended.
public enum WorkEnding: Sendable, Hashable {
  /// It is done; what came of it, as JSON.
  case completed(result: String)
  /// It failed, as JSON says; it is tried again at that time where it may be.
  case failed(error: String, retryAt: String?)
  /// It was stopped: cancelled where that was asked for, else somebody else is to do it, and this attempt does not count.
  case givenBack
}

/// What became of one piece of work that was to be changed.
public enum WorkChange: Sendable, Hashable {
  /// It went from one state to another.
  case changed(Int64, from: RunState, to: RunState)
  /// It is in a state that cannot be changed so.
  case refused(Int64, state: RunState)
  /// There is none of that number.
  case unknown(Int64)
}

/// Which work to list.
public struct WorkFilter: Sendable {
  /// Only these.
  public var ids: [Int64]?
  /// Only in these states; `nil` for any.
  public var states: [RunState]?
  /// Only with all of these tags.
  public var tags: [String]
  /// At most so much.
  public var limit: Int

  /// Makes a filter.
  public init(ids: [Int64]? = nil, states: [RunState]? = nil, tags: [String] = [], limit: Int = 100) {
    self.ids = ids
    self.states = states
    self.tags = tags
    self.limit = limit
  }
}

/// Which events to list.
public struct EventFilter: Sendable {
  /// Only after this one.
  public var after: Int64?
  /// Only of this storage key.
  public var storageKey: String?
  /// Only of this pipeline.
  public var pipeline: String?
  /// Only of this task.
  public var task: String?
  /// Only of this run, or piece of work.
  public var run: Int64?
  /// Only of these types.
  public var types: [String] = []
  /// Only since then, ISO 8601.
  public var since: String?
  /// At most so many: the newest, or, after an event, the next.
  public var limit: Int

  /// Makes a filter for all events.
  public init(limit: Int = 100) {
    self.limit = limit
  }
}
