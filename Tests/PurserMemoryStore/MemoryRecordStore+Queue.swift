package import PurserModel
package import PurserStore

extension MemoryRecordStore {
  package func enqueue(
    _ requests: [WorkRequest], now: String, by author: String
  ) throws(StoreError) -> EnqueueOutcome {
    try change { state throws(StoreError) in
      for (place, request) in requests.enumerated() {
        try request.check()
        guard let key = request.dedupeKey else { continue }
        let same = state.work.values.first { $0.isListed && $0.work.dedupeKey == key }
        if let same { return .duplicate(place: place, of: state.labelled(same)) }
        if let first = requests[..<place].first(where: { $0.dedupeKey == key }) {
          let twin = QueuedWork(id: 0, key: first.key, configuration: request.configuration, queuedAt: now)
          return .duplicate(place: place, of: twin)
        }
      }
      return .queued(requests.map { state.enqueue($0, now: now, by: author) })
    }
  }

  package func claim(_ request: ClaimRequest) throws(StoreError) -> ClaimedWork? {
    try change { state in
      for (id, row) in state.work where row.work.state == .pending && row.isListed {
        if let time = row.work.availableAt, time <= request.now { state.work[id]?.work.availableAt = nil }
      }
      let waiting = state.work.values.filter {
        $0.work.state == .pending && $0.isListed && $0.work.availableAt == nil
      }
      guard let next = waiting.max(by: { $0.work.priority < $1.work.priority || $0.work.isBehind($1.work) }) else {
        return nil
      }
      let id = next.work.id
      state.setWork(id) { work in
        work.state = .submitted
        work.worker = request.worker
        work.claimedAt = request.now
        work.attempts += 1
        (work.startedAt, work.finishedAt) = (nil, nil)
      }
      let lease = Lease(
        token: state.leases.last + 1, name: "[\"work\",\(id)]", run: id, worker: request.boot, owner: request.owner,
        child: nil, acquiredAt: request.now, expiresAt: request.expiresAt)
      let token = state.leases.add(HeldLease(lease: lease, run: id))
      state.setWorker(request.worker) { $0.claimed += 1 }
      state.log(
        "CLAIMED", run: id, next.work.key, data: .object([("attempt", .integer(Int64(next.work.attempts) + 1))]),
        from: "PENDING", to: "SUBMITTED", at: request.now, by: request.worker)
      return state.work[id].map { ClaimedWork(work: state.labelled($0), token: token) }
    }
  }

  package func start(_ claim: ClaimedWork, now: String) throws(StoreError) {
    try change { state throws(StoreError) in
      try state.requireClaim(claim)
      guard state.work[claim.work.id]?.work.state == .submitted else { return }
      state.setWork(claim.work.id) { ($0.state, $0.startedAt) = (.running, now) }
      state.log(
        "STARTED", run: claim.work.id, claim.work.key, from: "SUBMITTED", to: "RUNNING", at: now,
        by: claim.work.worker)
    }
  }

  package func conclude(_ claim: ClaimedWork, _ ending: WorkEnding, now: String) throws(StoreError) {
    try change { state throws(StoreError) in
      try state.requireClaim(claim)
      let (id, before) = (claim.work.id, state.work[claim.work.id]?.work.state ?? .submitted)
      let isCancelled = before == .cancelling
      var (event, after, data) = ("FINISHED", RunState.completed, JSON?.none)
      switch ending {
      case .completed(let result):
        state.end(id, .completed, now: now, result: result)
        if let worker = claim.work.worker { state.setWorker(worker) { $0.completed += 1 } }
      case .failed(let error, let retryAt)
      where retryAt != nil && claim.work.attempts < claim.work.maximumAttempts && !isCancelled:
        state.setWork(id) { ($0.state, $0.availableAt, $0.error) = (.pending, retryAt, error) }
        (event, after, data) = ("RETRYING", .pending, try? JSON(parsing: error.utf8))
      case .failed(let error, _):
        state.end(id, .failed, now: now, error: error)
        if let worker = claim.work.worker { state.setWorker(worker) { $0.failed += 1 } }
        (event, after, data) = ("FAILED", .failed, try? JSON(parsing: error.utf8))
      case .givenBack:
        if isCancelled {
          state.end(id, .cancelled, now: now)
        } else {
          state.setWork(id) { ($0.state, $0.attempts, $0.availableAt) = (.pending, $0.attempts - 1, nil) }
        }
        (event, after) = ("GIVEN_BACK", isCancelled ? .cancelled : .pending)
      }
      state.log(
        event, run: id, claim.work.key, data: data, from: before.rawValue, to: after.rawValue, at: now,
        by: claim.work.worker)
      state.leases[claim.token] = nil
    }
  }

  package func renew(
    _ claims: [ClaimedWork], until expiry: String
  ) throws(StoreError) -> (cancelled: Set<Int64>, lost: Set<Int64>) {
    try change { state in
      var cancelled: Set<Int64> = []
      var lost: Set<Int64> = []
      for claim in claims {
        let id = claim.work.id
        if state.leases[claim.token]?.run == id {
          state.leases[claim.token]?.lease.expiresAt = expiry
        } else {
          lost.insert(id)
        }
        if state.work[id]?.work.state == .cancelling { cancelled.insert(id) }
      }
      return (cancelled, lost)
    }
  }

  package func heldLeases() throws(StoreError) -> [Lease] { current.leases.ascending.map(\.row.lease) }

  package func giveBack(_ tokens: [Int64], now: String) throws(StoreError) -> [Int64] {
    try change { state in
      var ids: [Int64] = []
      for token in tokens {
        guard let id = state.leases[token]?.run else { continue }
        guard let work = state.work[id]?.work else {
          state.endAbandonedLease(token, now: now)
          continue
        }
        state.leases[token] = nil
        let error = #"{"kind":"workerLost"}"#
        if work.state == .cancelling {
          state.end(id, .cancelled, now: now, error: error)
        } else if work.attempts < work.maximumAttempts {
          state.setWork(id) { ($0.state, $0.availableAt, $0.error) = (.pending, nil, error) }
        } else {
          state.end(id, .failed, now: now, error: error)
        }
        state.log(
          "WORKER_LOST", run: id, work.key, from: work.state.rawValue, to: state.work[id]?.work.state.rawValue,
          at: now, by: work.worker)
        ids.append(id)
      }
      return ids
    }
  }

  package func cancel(_ ids: [Int64], now: String, by author: String) throws(StoreError) -> [WorkChange] {
    try change(ids, "CANCEL_REQUESTED", now: now, by: author) { work in
      switch work.state {
      case .pending:
        (work.state, work.finishedAt) = (.cancelled, now)
        return true
      case .submitted, .validating, .preparing, .building, .running:
        work.state = .cancelling
        return true
      case .cancelling, .completed, .failed, .cancelled: return false
      }
    }
  }

  package func retry(_ ids: [Int64], now: String, by author: String) throws(StoreError) -> [WorkChange] {
    try change(ids, "RETRIED", now: now, by: author) { work in
      guard work.state == .failed || work.state == .cancelled else { return false }
      (work.state, work.attempts) = (.pending, 0)
      (work.finishedAt, work.availableAt, work.error) = (nil, nil, nil)
      return true
    }
  }

  package func remove(_ ids: [Int64], now: String, by author: String) throws(StoreError) -> [WorkChange] {
    try change(ids, "REMOVED", now: now, by: author, isRemoval: true) { work in
      [.completed, .failed, .cancelled].contains(work.state)
    }
  }

  private func change(
    _ ids: [Int64], _ event: String, now: String, by author: String, isRemoval: Bool = false,
    _ body: (inout QueuedWork) -> Bool
  ) throws(StoreError) -> [WorkChange] {
    try change { state in
      ids.map { id in
        guard var row = state.work[id], row.isListed else { return .unknown(id) }
        let before = row.work.state
        guard body(&row.work) else { return .refused(id, state: before) }
        row.isListed = !isRemoval
        state.work[id] = row
        state.log(
          event, run: id, row.work.key, from: before.rawValue, to: row.work.state.rawValue, at: now, by: author)
        return .changed(id, from: before, to: row.work.state)
      }
    }
  }

  package func work(matching filter: WorkFilter) throws(StoreError) -> [QueuedWork] {
    let state = current
    let listed = state.work.filter(\.value.isListed)
    if let ids = filter.ids { return ids.compactMap { listed[$0] }.map(state.labelled) }
    let found = listed.values.filter { row in
      (filter.states?.contains(row.work.state) ?? true) && filter.tags.allSatisfy(row.work.tags.contains)
    }
    // What waits comes in the order in which it will be claimed.
    let isWaiting = filter.states == [.pending]
    let ordered = found.map(state.labelled).sorted { left, right in
      guard isWaiting else { return left.id > right.id }
      let (leftTime, rightTime) = (left.availableAt ?? "", right.availableAt ?? "")
      if leftTime != rightTime { return leftTime < rightTime }
      return left.priority != right.priority ? left.priority > right.priority : left.id < right.id
    }
    return Array(ordered.prefix(filter.limit))
  }
}

extension MemoryState {
  /// With the name of its type.
  fileprivate func labelled(_ row: Work) -> QueuedWork {
    var work = row.work
    work.type = row.type.flatMap { types[$0]?.label }
    return work
  }

  fileprivate mutating func enqueue(_ request: WorkRequest, now: String, by author: String) -> Int64 {
    lastRun += 1
    var work = QueuedWork(id: lastRun, key: request.key, configuration: request.configuration, queuedAt: now)
    work.priority = request.priority
    work.maximumAttempts = request.maximumAttempts
    work.dedupeKey = request.dedupeKey
    work.timeoutMilliseconds = request.timeoutMilliseconds
    work.tags = request.tags
    work.availableAt = request.availableAt
    work.createdBy = author
    self.work[lastRun] = Work(work: work, type: request.type)
    log("QUEUED", run: lastRun, request.key, from: nil, to: "PENDING", at: now, by: author)
    return lastRun
  }

  fileprivate func requireClaim(_ claim: ClaimedWork) throws(StoreError) {
    guard leases[claim.token]?.run == claim.work.id else {
      throw StoreError(
        .leaseLost, "work \(claim.work.id) was taken over by another worker; what became of it here is void")
    }
  }

  fileprivate mutating func setWork(_ id: Int64, _ body: (inout QueuedWork) -> Void) {
    guard var row = work[id] else { return }
    body(&row.work)
    work[id] = row
  }

  fileprivate mutating func setWorker(_ id: String, _ body: (inout WorkerRecord) -> Void) {
    guard let place = workers.firstIndex(where: { $0.id == id }) else { return }
    body(&workers[place])
  }

  fileprivate mutating func end(
    _ id: Int64, _ state: RunState, now: String, result: String? = nil, error: String? = nil
  ) {
    setWork(id) { work in
      (work.state, work.finishedAt, work.availableAt) = (state, now, nil)
      (work.result, work.error) = (result, error)
    }
  }
}

extension QueuedWork {
  /// Of two of one priority, whether the other one goes first.
  fileprivate func isBehind(_ other: QueuedWork) -> Bool { priority == other.priority && id > other.id }
}

extension WorkRequest {
  /// Throws for what no store takes.
  fileprivate func check() throws(StoreError) {
    let isDigest = dedupeKey.map { Digest(hex: $0[...]) != nil } ?? true
    guard (-1000...1000).contains(priority), (1...1000).contains(maximumAttempts), isDigest,
      timeoutMilliseconds ?? 1 > 0, (try? JSON(parsing: configuration.utf8)) != nil
    else { throw StoreError(.io, "the work for task '\(key.task)' is not of the form that the queue takes") }
  }
}
