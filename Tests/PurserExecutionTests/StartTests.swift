import Glibc
import PurserExecution
import PurserModel
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5)))
struct StartTests {
  @Test func `Only the three standard descriptors are open in the command`() async throws {
    let leak = open("/dev/null", O_RDONLY)
    defer { close(leak) }
    // The fourth is the folder that ls reads.
    let ran = try await run(["ls", "/proc/self/fd"])
    #expect(ran.outputText == "0\n1\n2\n3\n")
  }

  /// The scheduling policy of a command that the calling thread starts. The name, which may hold blanks, ends with the
  /// last parenthesis; the policy is the 41st field, and the name the second.
  private static func policyOfCommand() throws -> Substring? {
    let spool = LogSpool(directory: "/tmp")
    let command = Command(argv: ["cat", "/proc/self/stat"], environment: ["PATH=/usr/bin:/bin"]).asAsked
    _ = try LocalExecutor().run(command, capture: spool, passThrough: false, started: { _ in })
    let text = String(decoding: spool.withContents(frames).flatMap(\.bytes), as: UTF8.self)
    return text.split(separator: ")").last?.split(whereSeparator: \.isWhitespace).dropFirst(38).first
  }

  @Test func `A thread of a pool gives way to commands, which take part as any other program does`() async throws {
    let seen: [String] = try await withCheckedThrowingContinuation { continuation in
      WorkerPool(count: 1).submit {
        continuation.resume(
          with: Result {
            let (own, command) = (sched_getscheduler(0), try Self.policyOfCommand())
            let closure = WorkerPool.asOthers { sched_getscheduler(0) }
            return ["\(own)", "\(command ?? "")", "\(closure)", "\(sched_getscheduler(0))"]
          })
      }
    }
    // SCHED_BATCH is 3, SCHED_OTHER is 0.
    #expect(seen == ["3", "0", "0", "3"])
  }

  @Test func `So do commands of threads that a thread of a pool has started`() async throws {
    let count = 40
    let policies = Mutex<[String]>([])
    let (ends, continuation) = AsyncStream.makeStream(of: Void.self)
    let waiting = Atomic(0)
    WorkerPool(count: 1).submit {
      let pool = WorkerPool(count: count)
      for _ in 0..<count {
        pool.submit {
          // All at once, so that there are not threads enough yet.
          waiting.add(1, ordering: .relaxed)
          while waiting.load(ordering: .relaxed) < count { sched_yield() }
          let policy = (try? Self.policyOfCommand()).map { "\(sched_getscheduler(0)) \($0)" }
          policies.withLock { $0.append(policy ?? "failed") }
          continuation.yield()
        }
      }
    }
    var left = count
    for await _ in ends {
      left -= 1
      if left == 0 { break }
    }
    let seen = Set(policies.withLock { $0 })
    #expect(seen == ["3 0"])
  }

  @Test func `Whoever waits until a command may start, and says no, starts nothing`() async throws {
    struct No: Error {}
    try await withTemporaryDirectory { directory in
      let mark = directory + "/started"
      let command = Command(argv: ["touch", mark], environment: ["PATH=/usr/bin:/bin"]).asAsked
      let told = try await onThread {
        var told: [String] = []
        #expect(throws: No.self) {
          _ = try LocalExecutor().run(
            command, capture: LogSpool(directory: directory), output: .discard,
            ready: {
              told.append("ready")
              throw No()
            }, started: { _ in told.append("started") }, ended: { told.append("ended") })
        }
        return told
      }
      #expect(told == ["ready"])
      #expect(mark.withCString { access($0, F_OK) } != 0)
    }
  }

  @Test func `Whoever asks is told in order: ready, started, ended, each once`() async throws {
    let command = Command(argv: shell("echo one; sleep 0.05; echo two; exit 3"), environment: ["PATH=/usr/bin:/bin"])
      .asAsked
    let (told, exit) = try await onThread {
      var told: [String] = []
      let completion = try LocalExecutor().run(
        command, capture: LogSpool(directory: "/tmp"), output: .discard, ready: { told.append("ready") },
        started: { _ in told.append("started") }, ended: { told.append("ended") })
      return (told, completion.exit)
    }
    #expect(told == ["ready", "started", "ended"])
    #expect(exit == .exited(3))
  }

  @Test(arguments: ["SigBlk", "SigIgn", "SigCgt"])
  func `No signal is blocked, ignored or caught in the command`(field: String) async throws {
    let ran = try await run(["cat", "/proc/self/status"])
    #expect(ran.outputText.split(separator: "\n").contains("\(field):\t0000000000000000"))
  }

  @Test(
    arguments: [
      [], [""], ["a b", "  "], ["line\nbreak", "tab\t"], ["'single' \"double\" `back` $dollar \\"], ["*", "?", "~"],
      ["-n", "--", "-"],
    ] as [[ByteString]])
  func `Arguments arrive as they are`(arguments: [ByteString]) async throws {
    let ran = try await run(["sh", "-c", "for each; do printf '%s\\0' \"$each\"; done", "sh"] + arguments)
    #expect(ran.output == arguments.flatMap { $0.bytes + [0] })
  }

  @Test func `Every byte but NUL arrives, in arguments, variables and names of folders`() async throws {
    let bytes = ByteString(bytes: Array(1...255))
    let argument = try await run(["printf", "%s", bytes])
    #expect(argument.output == bytes.bytes)
    let variable = try await run(["printenv", "ODD"], environment: ["PATH=/usr/bin:/bin", "ODD=" + bytes])
    #expect(variable.output == bytes.bytes + [UInt8(ascii: "\n")])
    try await withTemporaryDirectory { directory in
      let odd = directory + "/" + ByteString(bytes: bytes.bytes.filter { $0 != UInt8(ascii: "/") })
      try #require(odd.withCString { mkdir($0, 0o700) } == 0)
      let folder = try await run(["pwd"], workingDirectory: odd)
      #expect(folder.output == odd.bytes + [UInt8(ascii: "\n")])
    }
  }

  @Test func `The environment is exactly the one given`() async throws {
    let ran = try await run(["/usr/bin/env"], environment: ["A=1", "B=", "C=x=y"])
    #expect(ran.outputText == "A=1\nB=\nC=x=y\n")
  }

  @Test func `Standard input is empty unless one is given`() async throws {
    let none = try await run(shell("cat; readlink /proc/$$/fd/0"))
    #expect(none.outputText == "/dev/null\n")
    try await withTemporaryDirectory { directory in
      writeFile(directory + "/in", "given\n")
      let file = (directory + "/in").withCString { open($0, O_RDONLY | O_CLOEXEC) }
      defer { close(file) }
      let some = try await run(["cat"], standardInput: file)
      #expect(some.outputText == "given\n")
    }
  }

  @Test func `argv[0] is kept as it was given`() async throws {
    let ran = try await run(["sh", "-c", "tr '\\0' ' ' </proc/$$/cmdline; :"])
    #expect(ran.outputText.hasPrefix("sh -c "))
  }

  @Test func `A script without a first line is run by the shell`() async throws {
    try await withTemporaryDirectory { directory in
      writeFile(directory + "/script", "echo \"$0|$1|$2\"\n", mode: 0o755)
      let path = directory + "/script"
      let byPath = try await run([path, "a b", ""])
      #expect(byPath.outputText == "\(path)|a b|\n")
      let byName = try await run(["script", "x", "y"], environment: ["PATH=/nowhere:" + directory + ":/bin"])
      #expect(byName.outputText == "\(path)|x|y\n")
    }
  }

  @Test func `PATH is searched past what may not be executed`() async throws {
    try await withTemporaryDirectory { directory in
      for folder in ["/one", "/two"] as [ByteString] {
        try #require((directory + folder).withCString { mkdir($0, 0o700) } == 0)
      }
      writeFile(directory + "/one/tool", "#!/bin/sh\necho one\n")
      writeFile(directory + "/two/tool", "#!/bin/sh\necho two\n", mode: 0o755)
      let path = "PATH=" + directory + "/one:" + directory + "/two"
      #expect(try await run(["tool"], environment: [path]).outputText == "two\n")
      // An empty element is the working directory.
      let empty = try await run(["tool"], environment: ["PATH=:/nowhere"], workingDirectory: directory + "/two")
      #expect(empty.outputText == "two\n")
      #expect(try await run(["echo", "x"], environment: []).outputText == "x\n", "the default path")
    }
  }

  @Test func `A command that is not there is an error with code 127`() async throws {
    let error = await #expect(throws: ExecutionError.self) { try await run(["no such\ncommand"]) }
    #expect(error?.exitCode == 127)
    #expect(
      error?.message
        == "cannot run 'no such\\x0acommand': no such command on PATH; install it, or give its path")
    let path = await #expect(throws: ExecutionError.self) { try await run(["./none"]) }
    #expect(path?.exitCode == 127)
    #expect(
      path?.message
        == "cannot run './none': No such file or directory; check the path (it is relative to the working directory)")
    let empty = await #expect(throws: ExecutionError.self) { try await run([""]) }
    #expect(empty?.exitCode == 127)
  }

  @Test func `A missing interpreter is named as the cause`() async throws {
    try await withTemporaryDirectory { directory in
      writeFile(directory + "/script", "#!/no/such/interpreter\n", mode: 0o755)
      let error = await #expect(throws: ExecutionError.self) { try await run([directory + "/script"]) }
      #expect(error?.exitCode == 127)
      #expect(error?.message.contains("interpreter that its first line names does not exist") == true)
    }
  }

  @Test func `A file that may not be executed is an error with code 126`() async throws {
    try await withTemporaryDirectory { directory in
      writeFile(directory + "/plain", "echo hi\n")
      let error = await #expect(throws: ExecutionError.self) { try await run(["./plain"], workingDirectory: directory) }
      #expect(error?.exitCode == 126)
      #expect(error?.errno == EACCES)
      #expect(
        error?.message
          == "cannot run './plain': './plain' may not be executed: Permission denied; "
          + "make it executable (chmod +x), or run it with its interpreter")
      let folder = await #expect(throws: ExecutionError.self) { try await run([directory]) }
      #expect(folder?.exitCode == 126)
    }
  }

  @Test func `Arguments that are too long are an error with code 126`() async throws {
    let long = ByteString(bytes: [UInt8](repeating: 97, count: 200_000))
    let error = await #expect(throws: ExecutionError.self) { try await run(["true", long]) }
    #expect(error?.exitCode == 126)
    #expect(error?.errno == E2BIG)
  }

  @Test func `A working directory that is not there, and a NUL byte, are errors`() async throws {
    let folder = await #expect(throws: ExecutionError.self) { try await run(["true"], workingDirectory: "/no/such") }
    #expect(folder?.exitCode == 74)
    #expect(
      folder?.message
        == "cannot run 'true': the working directory '/no/such' cannot be entered: No such file or directory; "
        + "create it, or start from another")
    let null = await #expect(throws: ExecutionError.self) { try await run(["true", ByteString(bytes: [97, 0, 98])]) }
    #expect(null?.errno == EINVAL)
  }

  @Test func `The child is named right after the start, with its own process group`() async throws {
    let seen = Mutex<ChildProcess?>(nil)
    let ran = try await run(shell("echo $$; cut -d' ' -f22 /proc/$$/stat")) { child in seen.withLock { $0 = child } }
    let child = try #require(seen.withLock { $0 })
    #expect(ran.outputText == "\(child.pid)\n\(child.startTime)\n")
    #expect(!child.isAlive)
    if let group = child.processGroup { #expect(group == child.pid) }
  }

  @Test func `If the caller cannot record the start, the command is killed and the error thrown on`() async throws {
    struct Refused: Error {}
    let seen = Mutex<ChildProcess?>(nil)
    await #expect(throws: Refused.self) {
      try await run(shell("sleep \(unique(4202)) & setsid sleep \(unique(4203)) & wait")) { child in
        seen.withLock { $0 = child }
        // Until the shell has started them.
        while !(sleeps(unique(4202)) && sleeps(unique(4203))) { poll(nil, 0, 1) }
        throw Refused()
      }
    }
    #expect(try !#require(seen.withLock { $0 }).isAlive)
    #expect(!sleeps(unique(4202)))
    #expect(!sleeps(unique(4203)))
  }
}
