import PurserHashing
import PurserModel
import PurserStore
import Testing

extension Acceptance {
  /// Somebody's word of a day.
  static func word(_ kind: Kind, day: Int = 2, why: String = "a comment") -> Acceptance {
    Acceptance(
      kind: kind, at: Time.day(day), by: "me@here", why: why,
      changes: kind == .accepted ? #"[{"group":"inputs","name":"raw.csv","was":"1","is":"2"}]"# : "[]")
  }
}

extension Step {
  /// As of now, the step with a result that was made from something else.
  func vouched(
    for result: ActionResult, in store: any RecordStore, day: Int = 2, why: String = "a comment",
    itemKey: Digest? = nil, formerItemKey: Digest? = nil
  ) throws -> AcceptedRun {
    var outcome = ending(.completed, .success, exitCode: nil)
    outcome.restored = result
    outcome.vouch = Vouch(
      acceptance: .word(.accepted, day: day, why: why), formerKey: try store.record(key)?.actionKey)
    outcome.vouch?.itemKey = itemKey
    outcome.vouch?.formerItemKey = formerItemKey
    return AcceptedRun(run: try run(adopting: store), outcome: outcome)
  }

  /// As of now, the step with its outputs, which nobody has made.
  func adopted(in store: any RecordStore, why: String = "by hand") throws -> AcceptedRun {
    var outcome = success
    outcome.exitCode = nil
    outcome.vouch = Vouch(acceptance: .word(.adopted, why: why), resultKey: adoptionKey)
    return AcceptedRun(run: try run(adopting: store), outcome: outcome)
  }

  /// A key that no fingerprint has.
  var adoptionKey: Digest { digest("adopted \(key.storageKey) \(key.pipeline) \(key.task) \(actionKey.hex)") }

  private func run(adopting store: any RecordStore) throws -> NewRun {
    var run = newRun
    run.kind = "adopt"
    let record = try store.record(key)
    (run.previousRun, run.previousRunState) = (record?.lastRun, record?.lastRunState)
    return run
  }

  /// Accepts a result for the step as it is; returns the number of the run.
  @discardableResult
  func accepting(_ result: ActionResult, in store: any RecordStore) throws -> Int64 {
    try store.accepted([vouched(for: result, in: store)])[0]
  }

  /// Takes over the step's outputs; returns the number of the run.
  @discardableResult
  func adopting(in store: any RecordStore) throws -> Int64 { try store.accepted([adopted(in: store)])[0] }
}

extension RecordStore {
  func accepted(_ attempts: [AcceptedRun]) throws -> [Int64] {
    guard case .recorded(let runs) = try accept(attempts, replacing: []) else {
      throw StoreError(.busy, "it could not be accepted")
    }
    return runs
  }

  /// Takes back what was accepted; returns how many words.
  @discardableResult
  func revoke(_ steps: Step...) throws -> [Int64] {
    let request = Revocation(
      tasks: steps.map { (key: $0.key, leases: $0.newRun.leases) },
      mark: Invalidation(at: Time.day(4), by: "me@here", why: "no"))
    guard case .recorded(let counts) = try revoke(request, replacing: []) else {
      throw StoreError(.busy, "it could not be taken back")
    }
    return counts
  }

  func takeBack(
    _ tasks: [TaskKey], downstream: Bool = false, allKeys: Bool = false, isTrial: Bool = false
  ) throws -> [StandingMark] {
    var request = InvalidationRequest(
      keys: tasks, includesDownstream: downstream, allKeys: allKeys,
      mark: Invalidation(at: Time.day(8), by: "you@there", why: "by mistake"))
    request.isTrial = isTrial
    return try takeBack(request)
  }
}
