import Glibc
import PurserExecution
import PurserModel
import Synchronization
import Testing

/// What one command's end does to others that run beside it.
@Suite(.timeLimit(.minutes(5)))
struct NeighbourTests {
  @Test func `Commands that start while another one is being ended are left alone`() async {
    // In a process of its own, so that no other test's commands are about.
    await #expect(processExitsWith: .exitCode(0)) {
      let wrong = try await Neighbours().run()
      exit(wrong.isEmpty ? 0 : 1)
    }
  }
}

private final class Neighbours: Sendable {
  private let wrong = Mutex<[String]>([])
  private let isOver = Mutex(false)

  /// What did not end as it should.
  func run() async throws -> [String] {
    try await withThrowingTaskGroup { group in
      group.addTask { try await onThread { try self.endCommands() } }
      for _ in 0..<6 { group.addTask { try await onThread { try self.runCommands() } } }
      try await group.waitForAll()
    }
    return wrong.withLock { $0 }
  }

  /// Ends some commands that are deaf to SIGTERM, so that they are looked for again and again until they are killed.
  private func endCommands() throws {
    for _ in 0..<5 {
      let command = Command(
        argv: shell("trap '' TERM; while :; do sleep 0.01; done"), environment: ["PATH=/usr/bin:/bin"],
        timeout: .milliseconds(1), grace: .milliseconds(300))
      try expect(.timedOut, of: command)
    }
    isOver.withLock { $0 = true }
  }

  /// Runs others for as long.
  private func runCommands() throws {
    while !isOver.withLock({ $0 }) {
      try expect(.exited(0), of: Command(argv: ["true"], environment: ["PATH=/usr/bin:/bin"]))
    }
  }

  private func expect(_ exit: Exit, of command: Command) throws {
    let ran = try LocalExecutor().run(command, capture: .discarding(), output: .discard, started: { _ in })
    if ran.exit != exit { wrong.withLock { $0.append("\(ran)") } }
  }
}
