import Glibc
import PurserExecution
import PurserModel
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5)))
struct WorkerPoolTests {
  /// Counts to a number, and tells whoever waits for it.
  private final class Countdown: Sendable {
    private let left: Mutex<Int>
    private let end: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init(_ count: Int) {
      left = Mutex(count)
      (end, continuation) = AsyncStream.makeStream()
    }

    func count() {
      let isLast = left.withLock { left in
        left -= 1
        return left == 0
      }
      if isLast { continuation.finish() }
    }

    func wait() async {
      for await _ in end {}
    }
  }

  @Test(arguments: [1, 4])
  func `All work is done, and begun in the order in which it came`(threads: Int) async {
    let pool = WorkerPool(count: threads)
    let countdown = Countdown(1000)
    let begun = Mutex<[Int]>([])
    for number in 0..<1000 {
      pool.submit {
        begun.withLock { $0.append(number) }
        countdown.count()
      }
    }
    await countdown.wait()
    let order = begun.withLock { $0 }
    #expect(order.sorted() == Array(0..<1000))
    if threads == 1 { #expect(order == Array(0..<1000)) }
  }

  @Test func `Work may come from work, and after a pause`() async {
    let pool = WorkerPool(count: 2)
    for _ in 0..<3 {
      let countdown = Countdown(101)
      pool.submit {
        for _ in 0..<100 { pool.submit { countdown.count() } }
        countdown.count()
      }
      await countdown.wait()
    }
  }

  @Test(arguments: [0, 1, 7])
  func `As many pieces of work are done at once as there are threads, and no more`(threads: Int) async {
    let pool = WorkerPool(count: threads)
    let size = max(threads, 1)
    let countdown = Countdown(size * 3)
    let state = Mutex<(now: Int, most: Int, arrived: Int)>((0, 0, 0))
    for _ in 0..<size * 3 {
      pool.submit {
        state.withLock { state in
          state.now += 1
          state.arrived += 1
          state.most = max(state.most, state.now)
        }
        // Each of the first waits for all of them: with fewer threads, for ever.
        while state.withLock({ $0.arrived < size }) { poll(nil, 0, 1) }
        state.withLock { $0.now -= 1 }
        countdown.count()
      }
    }
    await countdown.wait()
    #expect(state.withLock { $0.most } == size)
  }

  @Test func `A command that a pool's thread started lives until it ends by itself`() async throws {
    let result = Mutex<Result<Completion, any Error>?>(nil)
    let countdown = Countdown(2)
    do {
      let pool = WorkerPool(count: 2)
      pool.submit {
        let command = Command(argv: shell("sleep 0.3; exit 7"), environment: ["PATH=/usr/bin:/bin"])
        let ran = Result {
          try LocalExecutor().run(command.asAsked, capture: .discarding(), output: .discard, started: { _ in })
        }
        result.withLock { $0 = ran }
        countdown.count()
      }
      // The other thread is done with its work long before.
      pool.submit { countdown.count() }
    }
    await countdown.wait()
    #expect(try result.withLock { $0 }?.get().exit == .exited(7))
  }

  @Test func `A thread of a pool leaves signals to others, and has room for recursion`() async {
    let pool = WorkerPool(count: 1)
    let blocked = Mutex<[Bool]>([])
    let countdown = Countdown(1)
    pool.submit {
      var mask = sigset_t()
      pthread_sigmask(SIG_BLOCK, nil, &mask)
      let found = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGSEGV].map {
        sigismember(&mask, $0) == 1
      }
      useStack(of: 1 << 20)
      blocked.withLock { $0 = found }
      countdown.count()
    }
    await countdown.wait()
    #expect(blocked.withLock { $0 } == [true, true, true, true, true, true, false])
  }

  @Test func `Sixty-four commands at a time end well`() async {
    let pool = WorkerPool(count: 64)
    let countdown = Countdown(256)
    let wrong = Mutex<[String]>([])
    for number in 0..<256 {
      pool.submit {
        let argv: [ByteString] = number % 2 == 0 ? ["sleep", "0.2"] : ["true"]
        let command = Command(argv: argv, environment: ["PATH=/usr/bin:/bin"], escalates: number % 3 == 0)
        let ran = Result {
          try LocalExecutor().run(command.asAsked, capture: .discarding(), output: .discard, started: { _ in })
        }
        if case .success(let completion) = ran, completion.exit == .exited(0) {
        } else {
          wrong.withLock { $0.append("\(ran)") }
        }
        countdown.count()
      }
    }
    await countdown.wait()
    #expect(wrong.withLock { $0 } == [])
  }

  @Test func `Three hundred commands run at once under the usual limit on open files, which they inherit`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      var limit = rlimit()
      getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      // Where the hard limit is no higher, there is nothing to be shown.
      if limit.rlim_max < 4096 { exit(0) }
      limit.rlim_cur = 1024
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      let count = 300
      let watch = try InterruptionWatch()
      let pool = WorkerPool(count: count)
      let countdown = Countdown(count)
      let state = Mutex<(running: Int, wrong: Int)>((0, 0))
      var ends: [Int32] = [0, 0]
      guard pipe(&ends) == 0 else { exit(2) }
      let (reading, writing) = (ends[0], ends[1])
      for _ in 0..<count {
        pool.submit {
          // Each runs until all do.
          let command = Command(
            argv: shell("cat; ulimit -Sn"), environment: ["PATH=/usr/bin:/bin"], standardInput: reading)
          let spool = LogSpool(directory: "/tmp")
          let ran = try? LocalExecutor().run(command.asAsked, capture: spool, output: .discard) { _ in
            let all = state.withLock { state in
              state.running += 1
              return state.running == count
            }
            if all { close(writing) }
          }
          let output = spool.withContents(frames).flatMap(\.bytes)
          if ran?.exit != .exited(0) || output != Array("1024\n".utf8) { state.withLock { $0.wrong += 1 } }
          countdown.count()
        }
      }
      await countdown.wait()
      exit(state.withLock { $0.running == count && $0.wrong == 0 } && watch.count == 0 ? 0 : 1)
    }
  }

  @Test func `Pools that come and go share their threads`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      func threads() -> Int {
        guard let folder = opendir("/proc/self/task") else { return -1 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        return count
      }
      func use(_ pools: Int) async {
        for _ in 0..<pools {
          let pool = WorkerPool(count: 3)
          let countdown = Countdown(9)
          for _ in 0..<9 { pool.submit { countdown.count() } }
          await countdown.wait()
        }
      }
      await use(20)
      let before = threads()
      await use(500)
      // One that is about to wait may be missed, for another to be started.
      exit(before > 0 && threads() <= before + 6 ? 0 : 1)
    }
  }

  @Test func `Five hundred runs leave no descriptor open`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      func openFiles() -> Int {
        guard let folder = opendir("/proc/self/fd") else { return -1 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        return count
      }
      let pool = WorkerPool(count: 8)
      func runMany(_ count: Int) async {
        let countdown = Countdown(count)
        for number in 0..<count {
          pool.submit {
            do {
              let argv: [ByteString] = number % 5 == 0 ? ["no-such-command"] : ["echo", "x"]
              var command = Command(argv: argv, environment: ["PATH=/usr/bin:/bin"], escalates: number % 2 == 0)
              if number % 3 == 0 { command.timeout = .seconds(100) }
              // In a file at once.
              let spool = LogSpool(directory: "/tmp", memoryLimit: 0)
              _ = try? LocalExecutor().run(
                command.asAsked, capture: spool, output: .lines { _, _ in }, started: { _ in })
            }
            countdown.count()
          }
        }
        await countdown.wait()
      }
      func runAtOnce(_ count: Int) async {
        let countdown = Countdown(count)
        let running = Mutex(0)
        for _ in 0..<count {
          pool.submit {
            _ = try? LocalExecutor().run(
              Command(argv: ["true"]), capture: .discarding(), output: .discard,
              started: { _ in
                running.withLock { $0 += 1 }
                while running.withLock({ $0 < count }) { poll(nil, 0, 1) }
              })
            countdown.count()
          }
        }
        await countdown.wait()
      }
      // As many pipes for signals are kept as there were commands at once.
      let watch = try InterruptionWatch()
      await runMany(50)
      await runAtOnce(8)
      let before = openFiles()
      await runMany(500)
      exit(openFiles() == before && before > 0 && watch.count == 0 ? 0 : 1)
    }
  }
}

/// Goes deeper and deeper until that much of the stack is used.
private func useStack(of size: Int, from top: Int? = nil) {
  var place = 0
  let address = withUnsafeMutablePointer(to: &place) { Int(bitPattern: $0) }
  if (top ?? address) - address < size { useStack(of: size, from: top ?? address) }
  withExtendedLifetime(place) {}
}
