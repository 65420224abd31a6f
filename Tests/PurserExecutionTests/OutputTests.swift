import Glibc
import PurserExecution
import PurserModel
import Testing

@Suite(.timeLimit(.minutes(5)))
struct OutputTests {
  @Test func `Fifty megabytes are captured and passed on unchanged`() async throws {
    let size = 50_000_000
    // A sequence without a period that a lost or doubled block could hide in.
    let script = "seq 1 9000000 | head -c \(size)"
    let expected = try await onThread { () -> [UInt8] in
      var bytes: [UInt8] = []
      bytes.reserveCapacity(size + 16)
      var number = 1
      while bytes.count < size {
        bytes.append(contentsOf: "\(number)\n".utf8)
        number += 1
      }
      return Array(bytes[..<size])
    }
    let collector = Collector()
    let error = Collector()
    let (ran, passed) = try await collector.collect {
      try await error.collect {
        try await run(shell(script), passingTo: (collector.writing, error.writing))
      }.0
    }
    #expect(ran.exit == .exited(0))
    #expect(ran.failure == nil)
    #expect(ran.output == expected)
    #expect(passed == expected)
  }

  @Test func `A command that merges its streams itself keeps the order between them exactly`() async throws {
    let lines = 10_000
    let script = "exec 2>&1; i=0; while [ $i -lt \(lines) ]; do echo $i; echo $((i + 1)) >&2; i=$((i + 2)); done"
    let collector = Collector()
    let (ran, passed) = try await collector.collect {
      try await run(shell(script), passingTo: (collector.writing, collector.writing))
    }
    let numbers = String(decoding: passed, as: UTF8.self).split(separator: "\n").compactMap { Int($0) }
    #expect(numbers == Array(0..<lines))
    #expect(ran.output == passed)
  }

  @Test func `Streams that go to one place are still told apart in the log`() async throws {
    let collector = Collector()
    let (ran, passed) = try await collector.collect {
      try await run(
        shell("for i in 1 2 3; do echo o$i; echo e$i >&2; done"), passingTo: (collector.writing, collector.writing))
    }
    #expect(String(decoding: ran.output, as: UTF8.self) == "o1\no2\no3\n")
    #expect(String(decoding: ran.error, as: UTF8.self) == "e1\ne2\ne3\n")
    #expect(passed.count == 18)
  }

  @Test func `Two places keep their streams apart`() async throws {
    let one = Collector()
    let other = Collector()
    let ((ran, error), output) = try await one.collect {
      try await other.collect {
        try await run(
          shell("for i in 1 2 3; do echo o$i; echo e$i >&2; done"), passingTo: (one.writing, other.writing))
      }
    }
    #expect(String(decoding: output, as: UTF8.self) == "o1\no2\no3\n")
    #expect(String(decoding: error, as: UTF8.self) == "e1\ne2\ne3\n")
    #expect(ran.output == output)
    #expect(ran.error == error)
  }

  @Test func `A reader that goes away ends the command as it would without us`() async throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    close(ends[0])
    let ran = try await run(["yes"], passingTo: (ends[1], ends[1]))
    close(ends[1])
    #expect(ran.exit == .signalled(SIGPIPE))
    #expect(ran.exit.code == 141)
  }

  @Test func `A full device is reported, and part of the output does not pass for the whole`() async throws {
    let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
    let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
    defer {
      close(full)
      close(null)
    }
    let ran = try await run(shell("echo lost; sleep 0.1; echo kept >&2; exit 5"), passingTo: (full, null))
    #expect(ran.exit == .exited(5))
    #expect(ran.completion.outputFailure == ENOSPC)
    #expect(ran.failure == ENOSPC)
    #expect(ran.frames.isEmpty)
  }

  @Test func `A closed standard output loses the passing on only`() async throws {
    let ran = try await run(shell("echo captured"), passingTo: (-1, -1))
    #expect(ran.exit == .exited(0))
    #expect(ran.outputText == "captured\n")
  }

  @Test func `A reader that does not read holds the command up, and a timeout ends it still`() async throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    let flags = fcntl(ends[1], F_GETFL)
    let ran = try await run(
      ["yes"], timeout: .milliseconds(300), grace: .milliseconds(100), passingTo: (ends[1], ends[1]))
    #expect(ran.exit == .timedOut)
    #expect(fcntl(ends[1], F_GETFL) == flags, "a shared file description must stay as it is")
  }

  @Test func `A spool that cannot be written leaves the command and the passing on alone`() async throws {
    let collector = Collector()
    let (ran, passed) = try await collector.collect {
      try await run(
        shell("head -c 100000 /dev/zero; exit 9"), spoolDirectory: "/no/such/folder", memoryLimit: 1000,
        passingTo: (collector.writing, collector.writing))
    }
    #expect(ran.exit == .exited(9))
    #expect(passed.count == 100_000)
    #expect(ran.failure == ENOENT)
    #expect(ran.frames.isEmpty)
  }
}
