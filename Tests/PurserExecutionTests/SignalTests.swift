import Glibc
import PurserExecution
import PurserModel
import Testing

/// Signals concern the whole process, so each of these runs in a process of its own.
@Suite(.timeLimit(.minutes(5)))
struct SignalTests {
  @Test func `SIGTERM is passed on once, and the command's code is returned`() async {
    await #expect(processExitsWith: .exitCode(42)) { try await interrupted(by: SIGTERM) }
  }

  @Test func `SIGHUP is passed on once, and the command's code is returned`() async {
    await #expect(processExitsWith: .exitCode(42)) { try await interrupted(by: SIGHUP) }
  }

  @Test func `SIGINT is passed on once, and the command's code is returned`() async {
    await #expect(processExitsWith: .exitCode(42)) { try await interrupted(by: SIGINT) }
  }

  @Test func `SIGQUIT is passed on once, and the command's code is returned`() async {
    await #expect(processExitsWith: .exitCode(42)) { try await interrupted(by: SIGQUIT) }
  }

  @Test func `A command that dies of what was passed on gives 128 and the number`() async {
    await #expect(processExitsWith: .exitCode(143)) {
      signal(SIGTERM, SIG_DFL)
      let ran = try await run(["sleep", "4230"]) { _ in kill(getpid(), SIGTERM) }
      exit(ran.completion.interruption == SIGTERM ? ran.exit.code : 1)
    }
  }

  @Test func `What was ignored before stays ignored, here and in the command`() async {
    await #expect(processExitsWith: .exitCode(7)) {
      signal(SIGHUP, SIG_IGN)
      let ran = try await run(shell("kill -HUP $$; grep SigIgn /proc/$$/status; exit 7")) { _ in kill(getpid(), SIGHUP)
      }
      let ignored = ran.outputText == "SigIgn:\t0000000000000001\n"
      exit(ignored && ran.completion.interruption == nil ? ran.exit.code : 1)
    }
  }

  @Test func `Dispositions and the mask are as before after a run`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let numbers = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ, SIGCHLD, SIGTSTP, SIGCONT]
      func handlers() -> [UInt] {
        numbers.map { number in
          var action = sigaction()
          sigaction(number, nil, &action)
          return unsafeBitCast(action.__sigaction_handler.sa_handler, to: UInt.self)
        }
      }
      signal(SIGCHLD, SIG_IGN)
      let before = handlers()
      let ran = try await run(shell("exit 3"))
      exit(ran.exit == .exited(3) && handlers() == before ? 0 : 1)
    }
  }
}

/// Sends a signal to this process while a command counts what it gets; exits with 42 if that was one.
private func interrupted(by number: Int32) async throws {
  signal(number, SIG_DFL)
  let script = """
    count=0; trap 'count=$((count + 1))' \(number); echo ready
    while [ $count = 0 ]; do sleep 0.01; done
    sleep 0.1; exit $((41 + count))
    """
  var ends: [Int32] = [0, 0]
  guard pipe(&ends) == 0 else { exit(1) }
  let (reading, writing) = (ends[0], ends[1])
  let sender = Task {
    try await onThread {
      // Not before the trap is set.
      var byte: UInt8 = 0
      _ = Glibc.read(reading, &byte, 1)
      kill(getpid(), number)
    }
  }
  let ran = try await run(shell(script), passingTo: (writing, 2))
  try await sender.value
  exit(ran.completion.interruption == number ? ran.exit.code : 1)
}
