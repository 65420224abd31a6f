import PurserModel
import PurserStore

/// What the tests of the queue are made of.
enum Queue {
  static func request(_ task: String, priority: Int = 0, attempts: Int = 1, dedupe: String? = nil) -> WorkRequest {
    var request = WorkRequest(key: key(task), configuration: #"{"root":"/r","task":"\#(task)"}"#)
    request.priority = priority
    request.maximumAttempts = attempts
    request.dedupeKey = dedupe.map { digest($0).hex }
    return request
  }

  static func wish(_ worker: String = "w1", day: Int = 1, pid: Int32 = 7) -> ClaimRequest {
    ClaimRequest(
      worker: worker, boot: "boot/pid", owner: LeaseProcess(pid: pid, startTime: 3, processGroup: nil),
      now: Time.day(day), expiresAt: Time.day(day + 1))
  }

  static func worker(_ id: String = "w1", pid: Int32 = 7) -> WorkerRecord {
    WorkerRecord(
      id: id, hostname: "here", boot: "boot/pid", pid: pid, startTime: 3, slots: 2, registeredAt: Time.day(1),
      lastHeartbeat: Time.day(1))
  }
}

extension RecordStore {
  /// Queues work; its numbers.
  @discardableResult
  func queue(_ requests: WorkRequest..., day: Int = 1) throws -> [Int64] {
    guard case .queued(let ids) = try enqueue(requests, now: Time.day(day), by: "me@here") else { return [] }
    return ids
  }

  func state(of work: Int64) throws -> RunState? { try self.work(matching: WorkFilter(ids: [work])).first?.state }

  /// The types of a piece of work's events, oldest first.
  func eventTypes(of work: Int64) throws -> [String] {
    var filter = EventFilter(limit: 1000)
    filter.run = work
    return try events(matching: filter).map(\.type)
  }
}
