import Glibc
import PurserModel
import PurserSQLite
import PurserStore

/// This program several times at once. Each says when it is ready, waits for the others, and prints its samples: three
/// numbers each.
struct Crew {
  /// What each process did: when it began, when it had what it wanted, and when that was over; nanoseconds.
  private var samples: [[(began: Int64, had: Int64, ended: Int64)]] = []

  init(arguments: [String], count: Int) throws {
    let start = Self.makePipe()
    var outputs: [UnsafeMutablePointer<FILE>] = []
    var children: [pid_t] = []
    for _ in 0..<count {
      let output = Self.makePipe()
      var actions = posix_spawn_file_actions_t()
      posix_spawn_file_actions_init(&actions)
      posix_spawn_file_actions_adddup2(&actions, start[0], 0)
      posix_spawn_file_actions_adddup2(&actions, output[1], 1)
      var words = arguments.map { strdup($0) } + [nil]
      var child: pid_t = 0
      let code = posix_spawn(&child, "/proc/self/exe", &actions, nil, &words, environ)
      posix_spawn_file_actions_destroy(&actions)
      for word in words { free(word) }
      close(output[1])
      guard code == 0, let file = fdopen(output[0], "r") else {
        throw StoreError(.io, "process \(children.count) could not be started: \(String(cString: strerror(code)))")
      }
      children.append(child)
      outputs.append(file)
    }
    close(start[0])
    for file in outputs { _ = Self.line(file) }
    close(start[1])
    for file in outputs {
      var own: [(Int64, Int64, Int64)] = []
      while let line = Self.line(file) {
        let numbers = line.split(separator: " ").compactMap { Int64($0) }
        if numbers.count == 3 { own.append((numbers[0], numbers[1], numbers[2])) }
      }
      samples.append(own)
      fclose(file)
    }
    var isGood = true
    for child in children {
      var status: Int32 = 0
      waitpid(child, &status, 0)
      if status != 0 { isGood = false }
    }
    guard isGood else { throw StoreError(.io, "a process failed; its message is above") }
  }

  /// Both ends, of which a child gets only what it is given.
  private static func makePipe() -> [Int32] {
    var ends: [Int32] = [-1, -1]
    precondition(pipe(&ends) == 0, "a crew needs pipes")
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return ends
  }

  private static func line(_ file: UnsafeMutablePointer<FILE>) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
      fgets(buffer.baseAddress, 128, file).map { String(cString: $0).filter { $0 != "\n" } }
    }
  }

  /// Says that this process is ready, and waits until all are.
  static func report() {
    print("ready")
    fflush(nil)
    var byte: UInt8 = 0
    _ = read(0, &byte, 1)
  }

  private func members(_ first: String, _ second: String) -> [(String, JSON)] {
    let all = samples.joined()
    let counts = samples.map { Int64($0.count) }
    let span = Double((all.map(\.ended).max() ?? 0) - (all.map(\.began).min() ?? 0)) / 1e9
    return [
      (first, Latencies(samples: all.map { $0.had - $0.began }).summary),
      (second, Latencies(samples: all.map { $0.ended - $0.began }).summary),
      ("seconds", .number(span)), ("perSecond", .number(span > 0 ? Double(all.count) / span : 0)),
      ("workers", .integer(Int64(counts.count))), ("least", .integer(counts.min() ?? 0)),
      ("most", .integer(counts.max() ?? 0)), ("unserved", .integer(Int64(counts.filter { $0 == 0 }.count))),
    ]
  }

  var claims: JSON { .object(members("claim", "claimAndConclude")) }

  /// A write that found the store busy has no end.
  var writes: JSON {
    var crew = self
    let busy = samples.joined().filter { $0.ended == 0 }.count
    crew.samples = samples.map { $0.filter { $0.ended != 0 } }
    return .object(crew.members("write", "writeToo").filter { $0.0 != "writeToo" } + [("busy", .integer(Int64(busy)))])
  }
}

/// W7: what each process of a crew does.
extension Bench {
  private static func process() -> LeaseProcess { LeaseProcess(pid: getpid(), startTime: 1, processGroup: nil) }

  private static func put(_ samples: [(Int64, Int64, Int64)]) {
    for sample in samples { print("\(sample.0) \(sample.1) \(sample.2)") }
  }

  private func register() throws -> String {
    let id = "bench/\(getpid())/\(Latencies.clock())"
    let now = Self.now()
    try store.register(
      WorkerRecord(
        id: id, hostname: "here", boot: "boot/pid", pid: getpid(), startTime: 1, slots: 1, registeredAt: now,
        lastHeartbeat: now))
    return id
  }

  /// Claims and concludes until the queue is empty or the time is over. The work itself is to wait.
  func claim(seconds: Int, workMilliseconds: Int) throws {
    let worker = try register()
    Crew.report()
    let end = Latencies.clock() + Int64(seconds) * 1_000_000_000
    var samples: [(Int64, Int64, Int64)] = []
    while true {
      let began = Latencies.clock()
      if began >= end { break }
      let request = ClaimRequest(
        worker: worker, boot: "boot/pid", owner: Self.process(), now: Self.now(), expiresAt: Self.later(60))
      guard let claim = try store.claim(request) else { break }
      let had = Latencies.clock()
      if workMilliseconds > 0 { usleep(UInt32(workMilliseconds) * 1000) }
      let done = Latencies.clock()
      try store.conclude(claim, .completed(result: "{}"), now: Self.now())
      // The work itself is no part of what the queue took.
      samples.append((began, had, Latencies.clock() - (done - had)))
    }
    Self.put(samples)
  }

  /// Small transactions, one after another: of three, one is synced.
  func write(seconds: Int) throws {
    let worker = try register()
    let request = WorkRequest(key: Self.key(Int(getpid())), configuration: #"{"root":"/r","task":"write"}"#)
    guard case .queued(let ids) = try store.enqueue([request], now: Self.now(), by: worker) else { return }
    Crew.report()
    let end = Latencies.clock() + Int64(seconds) * 1_000_000_000
    var samples: [(Int64, Int64, Int64)] = []
    var number = 0
    while true {
      let began = Latencies.clock()
      if began >= end { break }
      do throws(StoreError) {
        switch number % 6 {
        case 2: _ = try store.cancel(ids, now: Self.now(), by: worker)
        case 5: _ = try store.retry(ids, now: Self.now(), by: worker)
        default: try store.heartbeat(worker, .active, now: Self.now())
        }
        let ended = Latencies.clock()
        samples.append((began, ended, ended))
      } catch {
        guard error.code == .busy else { throw error }
        samples.append((began, began, 0))
      }
      number += 1
    }
    _ = try store.cancel(ids, now: Self.now(), by: worker)
    Self.put(samples)
  }
}
