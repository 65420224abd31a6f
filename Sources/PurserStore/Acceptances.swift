public import PurserModel

/// Results that somebody vouched for: each for one task on one storage key, and for nobody else.
public protocol AcceptanceStore: Sendable {
  /// Records tasks as done by somebody's word, all of them or none, in one transaction, each as a run of kind `adopt`.
  /// Nothing is recorded if a lease is held, or a task's last run is another, or in another state, than is known of.
  /// Leases in `replacing` are removed first, if they still carry that token.
  func accept(_ attempts: [AcceptedRun], replacing tokens: [Int64]) throws(StoreError) -> AcceptOutcome

  /// Takes back all that was vouched for of these tasks, in one transaction. A record that rests on it is one of what
  /// its result was really made from; where there is no such thing, of nothing.
  func revoke(_ request: Revocation, replacing tokens: [Int64]) throws(StoreError) -> AcceptOutcome

  /// The result that stands for a fingerprint of this task by somebody's word, and is not void everywhere.
  func acceptedResult(for actionKey: Digest, of key: TaskKey) throws(StoreError) -> ActionResult?

  /// The whole keys that were accepted for this task with this key of what is declared, newest first.
  func acceptedKeys(declaredAs key: Digest, of task: TaskKey) throws(StoreError) -> [Digest]

  /// Those of these tasks for which anything was vouched for.
  func acceptedTasks(_ keys: [TaskKey]) throws(StoreError) -> Set<TaskKey>

  /// What the records of these tasks rest on by somebody's word, last word first; tasks without are left out.
  func acceptances(of keys: [TaskKey]) throws(StoreError) -> [TaskKey: [Acceptance]]

  /// The last word by which items of a mapped task with these content keys stand.
  func itemAcceptance(of key: TaskKey, _ itemKey: Digest) throws(StoreError) -> Acceptance?

  /// What stood for the content keys of a mapped task's items before changes were accepted, nearest first.
  func formerItemKeys(of key: TaskKey, _ itemKey: Digest) throws(StoreError) -> [Digest]
}

/// Somebody's word, on its way into the store.
public struct Vouch: Sendable {
  /// What, who, when and why.
  public var acceptance: Acceptance
  /// The key under which a new result is stored: none that a fingerprint has. `nil` where the result is there already.
  public var resultKey: Digest?
  /// The fingerprint of the record before.
  public var formerKey: Digest?
  /// What the content keys of a mapped task's items are made from, and were before; `nil` where that did not change.
  public var itemKey: Digest?
  /// See `itemKey`.
  public var formerItemKey: Digest?

  /// Makes a word.
  public init(acceptance: Acceptance, resultKey: Digest? = nil, formerKey: Digest? = nil) {
    self.acceptance = acceptance
    self.resultKey = resultKey
    self.formerKey = formerKey
  }
}

/// A task that is done by somebody's word.
public struct AcceptedRun: Sendable {
  /// The run under which it stands in history.
  public var run: NewRun
  /// What is to be recorded: `vouch` is set, and a manifest or a result that is there already.
  public var outcome: RunOutcome

  /// Makes one.
  public init(run: NewRun, outcome: RunOutcome) {
    self.run = run
    self.outcome = outcome
  }
}

/// What came of asking for something that must not happen beside a run.
public enum AcceptOutcome: Sendable {
  /// It is recorded; for each task, the number of its run, or of the words that were taken back.
  case recorded([Int64])
  /// Somebody is at one of the tasks.
  case held([Lease])
  /// Somebody has run one of the tasks since: decide again.
  case moved
}

/// A request to take back what was vouched for.
public struct Revocation: Sendable {
  /// The tasks, and the names of the leases that must not be held.
  public var tasks: [(key: TaskKey, leases: [String])]
  /// Time, author and reason.
  public var mark: Invalidation

  /// Makes a request.
  public init(tasks: [(key: TaskKey, leases: [String])], mark: Invalidation) {
    self.tasks = tasks
    self.mark = mark
  }
}
