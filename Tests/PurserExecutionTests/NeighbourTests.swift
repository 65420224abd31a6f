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

  @Test func `A program that was just written is executed, even while others start`() async throws {
    try await withTemporaryDirectory { directory in
      try await withThrowingTaskGroup { group in
        for number in 0..<8 {
          group.addTask {
            let path = directory + "/" + ByteString("\(number)")
            for _ in 0..<50 {
              // Any command that starts in here, on another thread, gets a copy of the open file.
              writeFile(path, "#!/bin/sh\nexit 5\n", mode: 0o755)
              let ran = try await run([path])
              #expect(ran.exit == .exited(5))
              _ = path.withCString { unlink($0) }
            }
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test func `A program that stays open for writing is no program`() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/open"
      writeFile(path, "#!/bin/sh\n", mode: 0o755)
      let file = path.withCString { open($0, O_WRONLY | O_CLOEXEC) }
      defer { close(file) }
      let error = await #expect(throws: ExecutionError.self) { try await run([path]) }
      #expect(error?.errno == ETXTBSY)
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
    let ran = try LocalExecutor().run(command.asAsked, capture: .discarding(), output: .discard, started: { _ in })
    if ran.exit != exit { wrong.withLock { $0.append("\(ran)") } }
  }
}
