import PurserHashing
package import PurserModel
package import PurserStore

/// Work that waits for workers.
extension TaskCache {
  /// Queues work, all of it or none; returns its numbers.
  ///
  /// - Throws: `refused` for a priority, a number of attempts or a time limit that is out of bounds, and for work that is
  ///   there already by its dedupe key; nothing is queued then.
  package func enqueue(_ requests: [WorkRequest]) throws(PurserError) -> [Int64] {
    for request in requests {
      guard (-1000...1000).contains(request.priority) else {
        throw PurserError(.refused, "a priority is a number from -1000 to 1000, not \(request.priority)")
      }
      guard (1...1000).contains(request.maximumAttempts) else {
        throw PurserError(
          .refused, "the attempts at a piece of work are from 1 to 1000, not \(request.maximumAttempts)")
      }
      guard request.timeoutMilliseconds ?? 1 > 0 else {
        throw PurserError(.refused, "a time limit is longer than nothing; leave it out for none")
      }
    }
    let outcome = try asking { try records.enqueue(requests, now: TaskCache.now(), by: author) }
    switch outcome {
    case .queued(let ids): return ids
    case .duplicate(let place, let work):
      let task = requests[place].key.task
      guard work.id > 0 else {
        throw PurserError(.refused, "'\(task)' is named twice with one dedupe key; nothing is queued")
      }
      throw PurserError(
        .refused,
        "'\(task)' is queued already: work \(work.id), \(work.state.rawValue.lowercased()), has this dedupe key; nothing is "
          + "queued. To do it again: 'purser queue retry \(work.id)' if it failed, 'purser queue remove \(work.id)' if it is "
          + "over, or another key")
    }
  }

  /// SHA-256 (hex) of what somebody says makes work the same.
  package static func dedupeKey(_ text: ByteString) -> String {
    var writer = ByteWriter()
    writer.append(Array("purser.dedupe\0".utf8))
    writer.append(lengthPrefixed: text.bytes)
    return SHA256.digest(of: writer.bytes).hex
  }

  /// Throws `refused` or `usage` for a declaration that cannot be used.
  package func check(_ spec: TaskSpec) throws(PurserError) { _ = try Declarations(project: project).admit(spec) }

  /// Queued work; what waits, in the order in which it will be claimed, else newest first.
  package func work(matching filter: WorkFilter) throws(PurserError) -> [QueuedWork] {
    try asking { try records.work(matching: filter) }
  }

  /// Cancels work: what waits at once, what is under way by its worker.
  package func cancelWork(_ ids: [Int64]) throws(PurserError) -> [WorkChange] {
    try asking { try records.cancel(ids, now: TaskCache.now(), by: author) }
  }

  /// Queues work again that failed or was cancelled.
  package func retryWork(_ ids: [Int64]) throws(PurserError) -> [WorkChange] {
    try asking { try records.retry(ids, now: TaskCache.now(), by: author) }
  }

  /// Takes work that is over out of the lists.
  package func removeWork(_ ids: [Int64]) throws(PurserError) -> [WorkChange] {
    try asking { try records.remove(ids, now: TaskCache.now(), by: author) }
  }

  /// Every worker, newest first.
  package func workers() throws(PurserError) -> [WorkerRecord] { try asking { try records.workers() } }

  /// The audit trail, oldest first; see ``EventFilter``.
  package func events(matching filter: EventFilter) throws(PurserError) -> [TaskEvent] {
    try asking { try records.events(matching: filter) }
  }
}
