import Glibc
import PurserExecution
import PurserModel
import Testing

@Suite(.timeLimit(.minutes(5)))
struct ExitTests {
  @Test func `Every exit code from 0 to 255 is the command's`() async throws {
    for code in Int32(0)...255 {
      let ran = try await run(shell("exit \(code)"))
      #expect(ran.exit == .exited(code))
      #expect(ran.exit.code == code)
    }
  }

  @Test(arguments: [
    SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE,
    SIGALRM, SIGTERM, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO, SIGSYS, 34, 64,
  ])
  func `A fatal signal gives 128 and its number`(signal: Int32) async throws {
    let ran = try await run(shell("ulimit -c 0; kill -\(signal) $$"))
    #expect(ran.exit == .signalled(signal))
    #expect(ran.exit.code == 128 + signal)
    #expect(ran.completion.interruption == nil)
  }

  @Test func `A timeout gives 124`() {
    #expect(Exit.timedOut.code == 124)
  }

  @Test func `A grandchild that holds the pipes does not hold up the end`() async throws {
    // The time limit of the suite is the guard: the grandchild would hold it up for ever.
    let ran = try await run(shell("echo before; sleep \(unique(4201)) & echo $!; exit 3"))
    #expect(ran.exit == .exited(3))
    let lines = ran.outputText.split(separator: "\n")
    #expect(lines.first == "before")
    let pid = try #require(lines.last.flatMap { Int32($0) })
    #expect(kill(pid, SIGKILL) == 0, "it was left alone")
  }

  @Test func `A grandchild that never stops printing does not hold up the end`() async throws {
    let ran = try await run(shell("yes & echo $! >&2; sleep 0.1; exit 3"))
    #expect(ran.exit == .exited(3))
    #expect(!ran.output.isEmpty)
  }

  @Test func `What was printed just before the end is not lost`() async throws {
    for _ in 0..<50 {
      let ran = try await run(shell("head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2; kill -9 $$"))
      #expect(ran.output.count == 60000)
      #expect(ran.error.count == 60000)
    }
  }
}
