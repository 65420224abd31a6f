import Glibc
import PurserExecution
import PurserModel
import Testing

@Suite(.timeLimit(.minutes(5)))
struct TimeoutTests {
  @Test func `A command that ends on SIGTERM is given the time`() async throws {
    let ran = try await run(
      shell("trap 'echo ending; exit 0' TERM; echo ready; while :; do sleep 0.01; done"), timeout: .milliseconds(300),
      grace: .seconds(120))
    #expect(ran.exit == .timedOut)
    #expect(ran.outputText == "ready\nending\n")
    #expect(ran.completion.duration < .seconds(100))
  }

  @Test func `A command in time is not touched`() async throws {
    #expect(try await run(shell("exit 7"), timeout: .seconds(120)).exit == .exited(7))
    #expect(try await run(shell("exit 7"), timeout: .seconds(Int64.max)).exit == .exited(7))
  }

  @Test(arguments: [
    // Three deep, all deaf to SIGTERM.
    (
      unique(4210),
      "trap '' TERM; sh -c 'trap \"\" TERM; sh -c \"trap : TERM; sleep \(unique(4210)); sleep \(unique(4210))\"; :'; :"
    ),
    // Out of the group and session, the parent alive.
    (unique(4211), "setsid sh -c 'trap \"\" TERM; sleep \(unique(4211)); :' & wait"),
    // Out of the group, the parent dead, the pipe still open.
    (unique(4212), "sh -c 'setsid sleep \(unique(4212)) &'; sleep \(unique(4212))"),
    // The command itself obeys, what it started does not.
    (unique(4213), "(trap '' TERM; sleep \(unique(4213)); sleep \(unique(4213))) & exec sleep \(unique(4213))"),
    // Stopped processes get a signal only when they go on.
    (unique(4214), "sleep \(unique(4214)) & kill -STOP $!; kill -STOP $$"),
  ])
  func `A timeout leaves no orphan`(mark: String, script: String) async throws {
    let ran = try await run(shell(script), timeout: .milliseconds(300), grace: .milliseconds(200))
    #expect(ran.exit == .timedOut)
    #expect(!sleeps(mark))
  }

  @Test func `A daemon that let go of everything is left alone at a normal end`() async throws {
    let ran = try await run(shell("setsid sleep \(unique(4215)) >/dev/null 2>&1 & echo $!"))
    #expect(ran.exit == .exited(0))
    let pid = try #require(Int32(ran.outputText.dropLast()))
    try await waitUntil { sleeps(unique(4215)) }
    #expect(kill(pid, SIGKILL) == 0)
  }
}
