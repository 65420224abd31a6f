import Glibc
import PurserExecution
import PurserModel
import Synchronization
import Testing

/// Signals concern the whole process, so each of these runs in a process of its own.
@Suite(.timeLimit(.minutes(5)))
struct InterruptionTests {
  @Test func `A second SIGINT kills all that the command started, where it may`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let script = """
        trap 'echo got' INT; setsid sh -c 'trap "" INT; sleep \(unique(4250)); :' & sleep \(unique(4251)) &
        echo ready; while :; do sleep 0.01; done
        """
      let ran = try await run(shell(script), escalates: true, lines: signalling(SIGINT))
      let completion = ran.completion
      let right = ran.exit == .signalled(SIGKILL) && completion.isEscalated && completion.interruption == SIGINT
      exit(right && !sleeps(unique(4250)) && !sleeps(unique(4251)) ? 0 : 1)
    }
  }

  @Test func `After SIGTERM, SIGINT is a second interruption`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let script = "trap 'echo got' TERM; trap '' INT; echo ready; while :; do sleep 0.01; done"
      let ran = try await run(shell(script), escalates: true, lines: signalling(SIGTERM, then: SIGINT))
      let completion = ran.completion
      exit(ran.exit == .signalled(SIGKILL) && completion.isEscalated && completion.interruption == SIGTERM ? 0 : 1)
    }
  }

  @Test func `Otherwise the second one is passed on like the first`() async {
    await #expect(processExitsWith: .exitCode(42)) {
      let script = """
        count=0; trap 'count=$((count + 1)); echo got' INT; echo ready
        while [ $count -lt 2 ]; do sleep 0.01; done; exit $((40 + count))
        """
      let ran = try await run(shell(script), lines: signalling(SIGINT))
      exit(ran.completion.isEscalated ? 1 : ran.exit.code)
    }
  }

  @Test func `A signal that is sent twice for one cause is no second one`() async {
    await #expect(processExitsWith: .exitCode(42)) {
      let watch = try InterruptionWatch()
      let script = "trap 'sleep 0.2; exit 42' INT; echo ready; while :; do sleep 0.01; done"
      let apart = Mutex<Duration>(.zero)
      let ran = try await run(
        shell(script), escalates: true,
        lines: { _, _ in
          let start = MonotonicTime.now()
          // Each is delivered before the call returns, this thread being one that takes them.
          pthread_kill(pthread_self(), SIGINT)
          pthread_kill(pthread_self(), SIGINT)
          apart.withLock { $0 = start.duration(to: MonotonicTime.now()) }
        })
      // On a machine that stood still between the two, they are two.
      if apart.withLock({ $0 }) >= .milliseconds(100) { exit(42) }
      exit(ran.completion.isEscalated || watch.count != 1 ? 1 : ran.exit.code)
    }
  }

  @Test func `While a watch is held, a signal between commands ends nothing, and is told`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      signal(SIGTERM, SIG_DFL)
      let watch = try InterruptionWatch()
      var right = watch.signal == nil && watch.count == 0 && !watch.wait(milliseconds: 0)
      let first = try await run(shell("exit 3"))
      kill(getpid(), SIGTERM)
      right = right && watch.wait(milliseconds: -1) && watch.signal == SIGTERM && watch.count == 1
      right = right && !watch.wait(milliseconds: 1)
      // What came before a command is not passed on to it.
      let second = try await run(shell("exit 4"))
      right = right && first.exit == .exited(3) && second.exit == .exited(4) && second.completion.interruption == nil
      kill(getpid(), SIGINT)
      watch.wait(milliseconds: -1)
      watch.end()
      watch.end()
      right = right && watch.signal == SIGTERM && watch.count == 2 && !watch.wait(milliseconds: 0)
      exit(right ? 0 : 1)
    }
  }

  @Test func `After a watch, signals have their effect again`() async {
    await #expect(processExitsWith: .signal(SIGTERM)) {
      signal(SIGTERM, SIG_DFL)
      do {
        let watch = try InterruptionWatch()
        kill(getpid(), SIGTERM)
        watch.wait(milliseconds: -1)
      }
      // Given up by being let go.
      kill(getpid(), SIGTERM)
      while true { pause() }
    }
  }

  @Test func `A wait is ended by a signal from elsewhere`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let watch = try InterruptionWatch()
      let sender = Task { try await onThread { _ = kill(getpid(), SIGHUP) } }
      let came = try await onThread { watch.wait(milliseconds: -1) }
      try await sender.value
      exit(came && watch.signal == SIGHUP ? 0 : 1)
    }
  }

  @Test func `What was ignored before stays ignored under a watch`() async {
    await #expect(processExitsWith: .exitCode(7)) {
      signal(SIGINT, SIG_IGN)
      let watch = try InterruptionWatch()
      kill(getpid(), SIGINT)
      let ran = try await run(shell("grep SigIgn /proc/$$/status; exit 7")) { _ in kill(getpid(), SIGINT) }
      kill(getpid(), SIGINT)
      let ignored = ran.outputText == "SigIgn:\t0000000000000002\n" && ran.completion.interruption == nil
      exit(ignored && watch.signal == nil && watch.count == 0 && !watch.wait(milliseconds: 1) ? ran.exit.code : 1)
    }
  }

  @Test func `Every one of many commands gets each signal once, and so does the watch`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let watch = try InterruptionWatch()
      let right = try await interruptMany(16)
      exit(right && watch.count == 1 ? 0 : 1)
    }
  }

  @Test func `A watch leaves stopping and going on alone`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      func handler(_ number: Int32) -> UInt {
        var action = sigaction()
        sigaction(number, nil, &action)
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: UInt.self)
      }
      let before = [handler(SIGTSTP), handler(SIGCONT)]
      let watch = try InterruptionWatch()
      _ = try await run(shell("exit 0"))
      exit([handler(SIGTSTP), handler(SIGCONT)] == before && watch.count == 0 ? 0 : 1)
    }
  }

  @Test func `Under a watch, commands are stopped with this process`() async {
    await #expect(processExitsWith: .exitCode(42)) {
      // In the foreground of a terminal, the key's signal reaches the command directly.
      let terminal = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY)
      if terminal >= 0 { exit(42) }
      let watch = try InterruptionWatch()
      // What lets this process go on again, if it may stop at all, is out of the reach of what stops the command. The
      // command is let go on in either case.
      let script = """
        trap 'exit 42' CONT
        setsid sh -c "echo ready; exec >/dev/null 2>&1
          while sleep 0.05 && [ -d /proc/$PPID ]; do
            grep -q '^State:.T' /proc/$PPID/status && kill -CONT $PPID
          done" &
        count=0; while [ $count -lt 1000 ]; do count=$((count + 1)); sleep 0.01; done
        """
      let ran = try await run(shell(script), lines: { _, _ in kill(getpid(), SIGTSTP) })
      exit(watch.count == 0 && ran.completion.interruption == nil ? ran.exit.code : 1)
    }
  }

  @Test func `Under a watch, a timeout still ends a daemon that let go of everything`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let watch = try InterruptionWatch()
      let script = "(setsid sleep \(unique(4252)) >/dev/null 2>&1 &); echo ready; sleep \(unique(4253))"
      let ran = try await run(shell(script), timeout: .milliseconds(500), grace: .milliseconds(100))
      exit(ran.exit == .timedOut && !sleeps(unique(4252)) && watch.count == 0 ? 0 : 1)
    }
  }
}

/// Sends SIGTERM when that many commands are ready for it; whether each of them got it once.
private func interruptMany(_ count: Int) async throws -> Bool {
  let script = """
    count=0; trap 'count=$((count + 1))' TERM; echo ready
    while [ $count = 0 ]; do sleep 0.01; done
    sleep 0.1; exit $((41 + count))
    """
  let ready = Counter()
  return try await withThrowingTaskGroup(of: Bool.self) { group in
    for _ in 0..<count {
      group.addTask {
        let ran = try await run(
          shell(script),
          lines: { _, _ in
            if ready.increment() == count { kill(getpid(), SIGTERM) }
          })
        return ran.exit == .exited(42) && ran.completion.interruption == SIGTERM
      }
    }
    return try await group.allSatisfy { $0 }
  }
}

private final class Counter: Sendable {
  private let value = Mutex(0)

  func increment() -> Int {
    value.withLock { value in
      value += 1
      return value
    }
  }
}

/// Sends this process a signal when a command prints "ready", and one, at its distance, when it prints "got".
private func signalling(_ first: Int32, then second: Int32? = nil) -> @Sendable (UInt8, [UInt8]) -> Void {
  let sent = Counter()
  return { _, _ in
    let count = sent.increment()
    // Longer than the time in which a second one counts as the same.
    if count == 2 { poll(nil, 0, 150) }
    if count <= 2 { kill(getpid(), count == 1 ? first : second ?? first) }
  }
}
