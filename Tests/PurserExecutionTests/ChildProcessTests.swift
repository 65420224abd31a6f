import Glibc
import PurserExecution
import PurserModel
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5)))
struct ChildProcessTests {
  @Test func `This process is alive, and another with its pid is not it`() {
    var process = ChildProcess.current
    #expect(process.pid == getpid())
    #expect(process.isAlive)
    process.startTime += 1
    #expect(!process.isAlive)
    // Would end the test if it were not noticed.
    process.processGroup = process.pid
    process.destroy()
  }

  @Test func `A takeover kills the command, its group and what left the group`() async throws {
    let ran = try await run(shell("sleep \(unique(4220)) & setsid sleep \(unique(4221)) & sleep \(unique(4222))")) {
      child in
      // Another thread does it, as another process would.
      Task {
        try await waitUntil { sleeps(unique(4220)) && sleeps(unique(4221)) && sleeps(unique(4222)) }
        try await onThread { child.destroy() }
      }
    }
    #expect(ran.exit == .signalled(SIGKILL))
    try await waitUntil { !sleeps(unique(4220)) && !sleeps(unique(4221)) && !sleeps(unique(4222)) }
  }

  @Test func `A takeover kills what is left of the group when its leader is gone`() async throws {
    let seen = Mutex<ChildProcess?>(nil)
    _ = try await run(shell("sleep \(unique(4223)) &")) { child in seen.withLock { $0 = child } }
    let child = try #require(seen.withLock { $0 })
    try await waitUntil { sleeps(unique(4223)) }
    #expect(!child.isAlive)
    guard child.processGroup != nil else { return }
    try await onThread { child.destroy() }
    #expect(!sleeps(unique(4223)))
  }
}
