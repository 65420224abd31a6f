import Glibc
import Purser
import PurserModel
import PurserStore

let workerCommand = CommandSpec(
  name: "worker", summary: "do queued work until told to stop", operands: "[list]",
  options: [
    .value("jobs", short: "j", "N", "pieces of work at once (default: 1)"),
    .flag("until-idle", "end once the queue is empty and nobody works"),
    .value("limit", "N", "end after so many pieces"),
  ], takesOperands: true,
  discussion: """
    Any number of workers, on one store: each piece is claimed by one, by priority, then by age. The first SIGTERM or
    Ctrl-C lets what is under way end, a second one stops it; it is then queued again. What a killed worker had claimed
    is queued again by the next one that looks. With --until-idle or --limit the exit code is 1 if a piece failed.
    'worker list' shows the workers.
    """
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  switch (invocation.operands.first?.escaped, invocation.operands.count) {
  case (nil, 0): break
  case ("list", 1): return try session.listWorkers(cache)
  default: throw UsageError(message: "worker is followed by nothing, or by 'list'", command: "worker")
  }
  var options = QueueWorker.Options()
  if invocation.has("jobs") { options.slots = try session.jobs() }
  options.endsWhenIdle = invocation.has("until-idle")
  options.limit = try session.positiveNumber("limit", "worker")
  try cache.prepareStore()
  let console = session.console
  let (failed, signal) = try QueueWorker(cache, options) { event in
    switch event {
    case .warning(let message): console.warn(message)
    case .began(let worker): note("\(worker) looks for work")
    case .claimed(let work): note("work \(work.id): \(work.key.task), attempt \(work.attempts)")
    case .draining: note("no more work is claimed; a second signal stops what is under way")
    case .line(let work, _, let stream, let text):
      var line = Array("\(work) | ".utf8)
      line += text + [UInt8(ascii: "\n")]
      Console.write(line, to: Int32(stream))
    case .ended(let work, let ending): note("work \(work.id): \(words(ending))")
    }
    func note(_ text: String) {
      if console.verbosity != .quiet { console.note(text) }
    }
  }.run()
  cache.maintainIfDue()
  if let signal, options.limit == nil, !options.endsWhenIdle { return signal == SIGTERM ? 0 : 128 + signal }
  return failed > 0 && (options.endsWhenIdle || options.limit != nil) ? 1 : 0
}

private func words(_ ending: WorkEnding) -> String {
  switch ending {
  case .completed(let result): (try? JSON(parsing: result.utf8))?["outcome"]?.string ?? "completed"
  case .failed(let error, _): "failed: " + ((try? JSON(parsing: error.utf8))?["message"]?.string ?? "")
  case .givenBack: "stopped"
  }
}

extension Session {
  fileprivate func listWorkers(_ cache: TaskCache) throws -> Int32 {
    let workers = try cache.workers()
    if console.isJSON {
      console.print(.object([("workers", .array(workers.map(\.json)))]))
      return 0
    }
    guard !workers.isEmpty else {
      console.print("No worker was here yet. Start one with 'purser worker'.")
      return 0
    }
    let rows = workers.map { worker -> [(text: String, style: Console.Style?)] in
      [
        (worker.id, .bold), (worker.status.rawValue.lowercased(), worker.status == .active ? .green : .yellow),
        (String(worker.slots), nil), (age(worker.registeredAt), nil), (age(worker.lastHeartbeat), nil),
        (String(worker.claimed), nil), (String(worker.completed), nil), (String(worker.failed), nil),
      ]
    }
    console.print(
      console.table(["WORKER", "STATUS", "SLOTS", "AGE", "SEEN", "CLAIMED", "COMPLETED", "FAILED"], rows))
    return 0
  }
}

extension WorkerRecord {
  fileprivate var json: JSON {
    .object([
      ("worker", .string(id)), ("hostname", .string(hostname)), ("pid", .integer(Int64(pid))),
      ("status", .string(status.rawValue)), ("slots", .integer(Int64(slots))),
      ("registeredAt", .string(registeredAt)), ("lastHeartbeat", .string(lastHeartbeat)),
      ("claimed", .integer(Int64(claimed))), ("completed", .integer(Int64(completed))),
      ("failed", .integer(Int64(failed))),
    ])
  }
}
