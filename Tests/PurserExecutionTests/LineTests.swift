import Glibc
import PurserExecution
import PurserModel
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5)))
struct LineTests {
  /// What came to the closure.
  private final class Lines: Sendable {
    struct Line: Sendable, Equatable {
      var stream: UInt8
      var bytes: [UInt8]
    }

    private let all = Mutex<[Line]>([])

    func add(_ stream: UInt8, _ bytes: [UInt8]) {
      all.withLock { $0.append(Line(stream: stream, bytes: bytes)) }
    }

    func of(_ stream: UInt8) -> [String] {
      all.withLock { $0.filter { $0.stream == stream }.map { String(decoding: $0.bytes, as: UTF8.self) } }
    }
  }

  @Test(
    arguments: [
      ("", []), ("a\\n", ["a"]), ("a", ["a"]), ("a\\nb", ["a", "b"]), ("\\n", [""]),
      ("\\n\\na\\n\\n", ["", "", "a", ""]),
      ("a\\r\\nb\\rc\\n", ["a\r", "b\rc"]),
    ] as [(String, [String])])
  func `A line comes without its newline, the last one even if it had none`(text: String, expected: [String])
    async throws
  {
    let lines = Lines()
    let ran = try await run(shell("printf '\(text)'; printf '\(text)' >&2"), lines: lines.add)
    #expect(lines.of(1) == expected)
    #expect(lines.of(2) == expected)
    #expect(ran.output == ran.error, "the capture has the exact bytes")
    #expect(ran.outputText == text.replacing("\\n", with: "\n").replacing("\\r", with: "\r"))
  }

  @Test func `A line is put together from several writes, and streams are not mixed`() async throws {
    let lines = Lines()
    _ = try await run(
      shell("printf a; printf x >&2; sleep 0.05; printf b; printf y >&2; sleep 0.05; echo c; echo z >&2"),
      lines: lines.add)
    #expect(lines.of(1) == ["abc"])
    #expect(lines.of(2) == ["xyz"])
  }

  @Test(
    arguments: [
      (65_535, [65_535]), (65_536, [65_536]), (65_537, [65_536, 1]), (131_072, [65_536, 65_536]),
      (200_000, [65_536, 65_536, 65_536, 3392]),
    ] as [(Int, [Int])])
  func `A long line comes in pieces of 64 KiB`(length: Int, expected: [Int]) async throws {
    let lines = Lines()
    let ran = try await run(shell("head -c \(length) /dev/zero | tr '\\0' x; echo; echo end"), lines: lines.add)
    #expect(lines.of(1).map(\.utf8.count) == expected + [3])
    #expect(lines.of(1).last == "end")
    #expect(ran.output.count == length + 5)
  }

  @Test func `Every line of much output arrives in order`() async throws {
    let lines = Lines()
    _ = try await run(["seq", "200000"], lines: lines.add)
    #expect(lines.of(1) == (1...200_000).map { "\($0)" })
  }

  @Test func `The last line comes at the command's end, even if something holds the pipe`() async throws {
    let lines = Lines()
    _ = try await run(shell("sleep \(unique(4240)) & echo $!; printf unfinished"), lines: lines.add)
    #expect(lines.of(1).last == "unfinished")
    let pid = try #require(lines.of(1).first.flatMap { Int32($0) })
    #expect(kill(pid, SIGKILL) == 0, "it was left alone")
  }

  @Test func `Lines come as they are printed, on the thread that runs the command`() async throws {
    let same = try await onThread { () -> Bool in
      let own = pthread_self()
      let found = Mutex<Bool?>(nil)
      // The command ends only when it was told that its first line has come.
      var ends: [Int32] = [0, 0]
      precondition(pipe(&ends) == 0)
      let (reading, writing) = (ends[0], ends[1])
      let command = Command(
        argv: ["sh", "-c", "echo first; read answer; echo $answer"], environment: ["PATH=/usr/bin:/bin"],
        standardInput: reading)
      let ran = try LocalExecutor().run(
        command.asAsked, capture: .discarding(),
        output: .lines { _, line in
          if line == Array("first".utf8) { _ = Glibc.write(writing, "go\n", 3) }
          let isOwn = pthread_equal(own, pthread_self()) != 0
          found.withLock { $0 = ($0 ?? true) && isOwn }
        }, started: { _ in })
      for end in ends { close(end) }
      return ran.exit == .exited(0) && found.withLock { $0 } == true
    }
    #expect(same)
  }
}
