import Glibc
import PurserExecution
import PurserModel
import Testing

/// A program that is asked again and again, and never waited for in vain.
@Suite(.timeLimit(.minutes(5)))
struct DialogueTests {
  private static func start(_ argv: [ByteString]) throws -> Dialogue {
    try Dialogue(Command(argv: argv, environment: ["PATH=/usr/bin:/bin"]))
  }

  @Test func `Each question has its answer`() async throws {
    try await onThread {
      let program = try Self.start(shell("while read -r line; do echo \"<$line>\"; done; echo end >&2; exit 3"))
      var buffer = [UInt8](repeating: 0, count: 64)
      for question in ["one", "two"] {
        #expect(program.ask(Array("\(question)\n".utf8)))
        let count = buffer.withUnsafeMutableBytes { program.read(into: $0) }
        #expect(String(decoding: buffer.prefix(count ?? 0), as: UTF8.self) == "<\(question)>\n")
      }
      #expect(program.end() == .exited(3))
      #expect(program.errorText == "end")
    }
  }

  @Test func `A program that is gone does not listen, and kills nobody`() async throws {
    try await onThread {
      let program = try Self.start(shell("exec <&-; echo ready; exec >&-; exec sleep 1000"))
      #expect(program.readAll() == Array("ready\n".utf8))
      #expect(!program.ask([0x0a]))
      let other = try Self.start(shell("kill -TERM $$"))
      #expect(other.readAll() == [])
      #expect(other.end() == .signalled(SIGTERM))
    }
  }

  @Test func `Complaints of any length hold nothing up`() async throws {
    try await onThread {
      let program = try Self.start(shell("head -c 1000000 /dev/zero | tr '\\0' x >&2; seq 100000"))
      program.endQuestions()
      #expect(program.readAll()?.count == 588_895)
      #expect(program.end() == .exited(0))
      #expect(program.errorText.bytes.allSatisfy { $0 == UInt8(ascii: "x") })
    }
  }

  @Test func `A program ends with who asks it`() async throws {
    try await onThread {
      var program: Dialogue? = try Self.start(shell("echo $$; exec sleep 1000"))
      var buffer = [UInt8](repeating: 0, count: 64)
      let count = buffer.withUnsafeMutableBytes { program?.read(into: $0) }
      let pid = try #require(Int32(String(decoding: buffer.prefix((count ?? 1) - 1), as: UTF8.self)))
      #expect(kill(pid, 0) == 0)
      program = nil
      #expect(kill(pid, 0) != 0)
    }
  }

  @Test func `A program that is not there is named`() async throws {
    try await onThread {
      let error = #expect(throws: ExecutionError.self) { try Self.start(["no-such-program"]) }
      #expect(error?.code == .commandNotFound)
    }
  }
}
