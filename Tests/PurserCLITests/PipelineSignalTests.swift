import Glibc
import PurserModel
import Testing

/// Ctrl-C, `kill -9`, and several runs of one pipeline at a time.
@Suite(.project)
struct PipelineSignalTests {
  let project = TestProject.current

  /// `first` is done before; `step` waits for the file `go` beside the project; `last` follows.
  private func makePipeline(_ reaction: String = "trap 'echo got >> \"$COUNTS/got\"; exit 9' INT TERM HUP") throws {
    try project.write(
      "purser.yaml",
      """
      graphs:
        main:
          tasks:
            first:
            step: first
            last: step
      tasks:
        first: {command: 'echo >> "$COUNTS/first"; echo 1 > first', outputs: [first]}
        step:
          command: |
            \(reaction)
            env --default-signal=INT sh -c 'echo $$ >> ../pids; exec sleep 1000' &
            until [ -s ../pids ]; do sleep 0.01 || :; done
            echo >> "$COUNTS/step"
            echo ready
            # A test that failed leaves nothing running.
            until [ -e ../go ] || [ ! -e "$COUNTS" ]; do sleep 0.01 || :; done
            [ ! -e ../bad ] || exit 4
            cp first step
          outputs: [step]
        last: {command: 'echo >> "$COUNTS/last"; cp step last', outputs: [last]}
      """)
  }

  private func startRun(_ options: ByteString...) throws -> RunningProcess {
    let process = try project.start([TestProject.tool, "run", "-j2"] + options)
    #expect(hasComeTrue { project.executions() == 1 }, "the task did not start: \(process.errorSoFar)")
    return process
  }

  /// Nothing is left; the next run does what was not done, and no more.
  private func expectClean() throws {
    project.expectNoProcess()
    for pid in try project.text("../pids").split(separator: "\n").compactMap({ pid_t($0) }) {
      #expect(hasComeTrue { !isAlive(pid) }, "a child of the command is left")
    }
    try project.write("../go", "")
    let next = try project.runPipeline()
    #expect(next.code == 0)
    #expect(next.endings == ["first": "fresh", "step": "ran", "last": "ran"])
    #expect(project.executions("first") == 1)
    #expect(project.executions("last") == 1)
    for pid in try project.text("../pids").split(separator: "\n").compactMap({ pid_t($0) }) { kill(pid, SIGKILL) }
  }

  @Test(arguments: [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129)] as [(Int32, Int32)])
  func `A signal is passed on once and the run goes on later`(_ signal: Int32, _ code: Int32) throws {
    try makePipeline()
    let run = try startRun("--json")
    run.signal(signal)
    let result = try PipelineRun(run.wait())
    #expect(result.code == code)
    #expect(result.endings == ["first": "ran", "step": "interrupted", "last": "skipped"])
    #expect(project.lines("got") == ["got"])
    #expect(project.executions("last") == 0)
    try expectClean()
  }

  @Test func `Ctrl-C reaches the whole group, and the command has it once`() throws {
    try makePipeline()
    let run = try startRun()
    kill(-run.pid, SIGINT)
    #expect(try run.wait().code == 130)
    #expect(project.lines("got") == ["got"])
    try expectClean()
  }

  @Test(arguments: ["trap 'echo got >> \"$COUNTS/got\"' INT", "trap '' INT; echo got >> \"$COUNTS/got\""])
  func `A second Ctrl-C ends a command that does not heed the first`(_ reaction: String) throws {
    try makePipeline(reaction)
    let run = try startRun()
    kill(-run.pid, SIGINT)
    #expect(hasComeTrue { !project.lines("got").isEmpty })
    // Twice within a tenth of a second counts as one.
    usleep(150_000)
    #expect(isAlive(run.pid), "the run did not wait for its command")
    kill(-run.pid, SIGINT)
    #expect(try run.wait(seconds: 30).code == 130)
    try expectClean()
  }

  @Test func `Between two tries Ctrl-C ends the run at once`() throws {
    try project.write(
      "purser.yaml", "tasks: {bad: {command: 'echo >> \"$COUNTS/step\"; exit 1', retries: 1000}}")
    let process = try project.start([TestProject.tool, "run"])
    #expect(hasComeTrue { process.errorSoFar.contains("trying again in 4 s") })
    process.signal(SIGINT)
    #expect(try process.wait(seconds: 20).code == 130)
    #expect(project.executions() == 3)
  }

  @Test func `Killed outright the run takes its command with it and the next one goes on`() throws {
    try makePipeline("trap '' INT TERM HUP")
    let run = try startRun()
    run.signal(SIGKILL)
    _ = try run.wait()
    #expect(hasComeTrue { processes(in: project.root).count <= 1 }, "the command outlived its purser")
    try project.write("../go", "")
    let next = try project.runPipeline()
    #expect(next.code == 0)
    #expect(next.endings == ["first": "fresh", "step": "ran", "last": "ran"])
    for pid in try project.text("../pids").split(separator: "\n").compactMap({ pid_t($0) }) { kill(pid, SIGKILL) }
  }

  @Test(.enabled(if: TestProject.hasPython, "python3 is not installed"))
  func `On a terminal Ctrl-C stops the run and the command has it once`() throws {
    try makePipeline("trap 'echo got >> \"$COUNTS/got\"; exit 9' INT")
    // A terminal whose user types Ctrl-C when the command says that it is ready.
    try project.write(
      "../terminal.py",
      """
      import os, pty, sys
      pid, terminal = pty.fork()
      if pid == 0:
          os.execv(sys.argv[1], sys.argv[1:])
      shown, typed = b"", False
      while True:
          try:
              part = os.read(terminal, 4096)
          except OSError:
              part = b""
          if not part:
              break
          shown += part
          if b"ready" in shown and not typed:
              os.write(terminal, b"\\x03")
              typed = True
      print(shown.decode())
      sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
      """)
    let outcome = try project.start(
      ["/usr/bin/env", "python3", "../terminal.py", TestProject.tool, "run", "--color", "never"]
    ).wait()
    #expect(outcome.code == 130, "\(outcome.outputText) \(outcome.errorText)")
    #expect(outcome.outputText.contains("purser: 3 tasks: 1 ran, 1 interrupted, 1 skipped, in "))
    #expect(project.lines("got") == ["got"])
    try expectClean()
  }

  @Test func `A command that ends by the signal before the run has seen it was interrupted`() throws {
    try project.write("purser.yaml", "tasks: {step: {command: 'kill -INT $PPID; exit 9'}}")
    for round in 1...TestProject.rounds(40) {
      let result = try project.runPipeline()
      try #require(result.endings == ["step": "interrupted"], "round \(round): \(result.errorText)")
      #expect(result.code == 130)
    }
  }

  @Test func `After kill -9 at random moments nothing that is done runs again`() throws {
    let names = (1...24).map { "t\($0)" }
    // Each after two of those before it.
    var text = "tasks:\n"
    for (place, name) in names.enumerated() {
      let after = place < 3 ? [] : [names[place - 2], names[place / 2 - 1]]
      text += """
          \(name):
            after: [\(after.joined(separator: ", "))]
            command: |
              echo >> "$COUNTS/\(name)"
              cat \((after + ["in"]).joined(separator: " ")) | wc -l > \(name)
              echo end >> \(name)
            inputs: [in]
            outputs: [\(name)]

        """
    }
    try project.write("purser.yaml", text)
    try project.write("in", "1\n")
    var done: [String: Int] = [:]
    for round in 1...TestProject.rounds(6) {
      let before = names.count { project.executions(ByteString($0)) > 0 }
      let run = try project.start([TestProject.tool, "run", "-q", "-j3"])
      let goal = before + Int.random(in: 1...3)
      #expect(
        hasComeTrue { names.count { project.executions(ByteString($0)) > 0 } >= goal || !isAlive(run.pid) })
      usleep(UInt32.random(in: 0...10_000))
      run.signal(SIGKILL)
      _ = try run.wait()
      // What is left of the commands is ended by the next run.
      for (name, count) in done {
        try #require(project.executions(ByteString(name)) == count, "round \(round): '\(name)' ran again")
      }
      let states = try project.purser("status", "--json")
      try #require(states.code == 0, "round \(round): \(states.errorText)")
      for task in try states.json()["tasks"]?.array ?? [] where task["state"]?.string == "fresh" {
        let name = try #require(task["task"]?.string)
        done[name] = project.executions(ByteString(name))
        #expect(try project.text(ByteString(name)).hasSuffix("end\n"), "round \(round)")
      }
    }
    let last = try project.runPipeline("-j3")
    #expect(last.code == 0, "\(last.errorText)")
    for (name, count) in done { #expect(project.executions(ByteString(name)) == count, "'\(name)' ran again") }
    #expect(names.allSatisfy { project.executions(ByteString($0)) > 0 })
    #expect(try project.runPipeline().endings.values.allSatisfy { $0 == "fresh" })
    try #require(TestProject.hasSQLite)
    try project.requireSoundRecords()
    #expect(try project.query("SELECT count(*) FROM task_locks") == ["0"])
  }

  @Test func `Two runs of one pipeline execute each task once`() throws {
    try project.write(
      "purser.yaml",
      """
      graphs:
        main:
          tasks:
            top:
            left: top
            right: top
            bottom: [left, right]
      tasks:
        top: {command: 'echo >> "$COUNTS/top"; cp in top', inputs: [in], outputs: [top]}
        left: {command: 'echo >> "$COUNTS/left"; cp top left', outputs: [left]}
        right: {command: 'echo >> "$COUNTS/right"; cp top right', outputs: [right]}
        bottom: {command: 'echo >> "$COUNTS/bottom"; cat left right > bottom', outputs: [bottom]}
      """)
    for round in 1...TestProject.rounds(20) {
      try project.write("in", "\(round) ")
      let runs = try (1...2).map { _ in
        let process = try project.start([TestProject.tool, "run", "--json", "-j2"])
        usleep(UInt32.random(in: 0...50_000))
        return process
      }
      for run in runs {
        let result = try PipelineRun(run.wait())
        #expect(result.code == 0, "round \(round): \(result.errorText)")
        #expect(result.endings.values.allSatisfy { ["ran", "restored", "fresh"].contains($0) }, "\(result.endings)")
      }
      #expect(try project.text("bottom") == "\(round) \(round) ")
      for name in ["top", "left", "right", "bottom"] as [ByteString] {
        try #require(project.executions(name) == round, "\(name.printable), round \(round)")
      }
    }
    try #require(TestProject.hasSQLite)
    try project.requireSoundRecords()
  }

  @Test func `Ctrl-C ends a run that waits for another, which goes on`() throws {
    try makePipeline()
    let first = try startRun()
    let second = try project.start([TestProject.tool, "run", "-j2"])
    #expect(hasComeTrue { second.errorSoFar.contains("step: joining process \(first.pid)") })
    kill(-second.pid, SIGINT)
    #expect(throws: Never.self, "Ctrl-C had no effect") { try #expect(second.wait(seconds: 20).code == 130) }
    #expect(isAlive(first.pid))
    #expect(project.lines("got") == [], "the command is the other's")
    try project.write("../go", "")
    #expect(try first.wait().code == 0)
    #expect(project.executions() == 1)
    for pid in try project.text("../pids").split(separator: "\n").compactMap({ pid_t($0) }) { kill(pid, SIGKILL) }
  }

  @Test func `A run that waits for another takes over when that is killed`() throws {
    try makePipeline()
    let first = try startRun()
    let second = try project.start([TestProject.tool, "run", "--json", "-j2"])
    #expect(hasComeTrue { project.executions("first") == 1 && processes(in: project.root).contains(second.pid) })
    first.signal(SIGKILL)
    _ = try first.wait()
    #expect(hasComeTrue { project.executions() == 2 }, "nobody took over: \(second.errorSoFar)")
    try project.write("../go", "")
    let result = try PipelineRun(second.wait())
    #expect(result.code == 0)
    #expect(result.endings["step"] == "ran")
    #expect(project.executions("first") == 1)
    #expect(project.executions("last") == 1)
    for pid in try project.text("../pids").split(separator: "\n").compactMap({ pid_t($0) }) { kill(pid, SIGKILL) }
  }

  @Test func `A run that waits for another says for whom, and has its result`() throws {
    try makePipeline()
    let first = try startRun()
    let second = try project.start([TestProject.tool, "run", "-j2"])
    #expect(hasComeTrue { second.errorSoFar.contains("step: joining process \(first.pid), at work since ") })
    #expect(hasComeTrue { second.outputSoFar == "step | ready\n" }, "what the other prints is not shown")
    try project.write("../go", "")
    #expect(try first.wait().code == 0)
    let joined = try second.wait()
    #expect(joined.code == 0)
    #expect(joined.outputText == "step | ready\n")
    #expect(joined.errorText.contains("step: fresh, saved "))
    #expect(project.executions() == 1)
    #expect(project.executions("last") == 1)
    for pid in try project.text("../pids").split(separator: "\n").compactMap({ pid_t($0) }) { kill(pid, SIGKILL) }
  }

  @Test func `A run that joins another's task has its failure`() throws {
    try makePipeline()
    let first = try startRun()
    let second = try project.start([TestProject.tool, "run", "-j2"])
    #expect(hasComeTrue { second.errorSoFar.contains("step: joining process \(first.pid)") })
    try project.write("../bad", "")
    try project.write("../go", "")
    #expect(try first.wait().code == 1)
    let result = try second.wait()
    #expect(result.code == 1)
    #expect(
      result.errorText.contains("task 'step' failed: process \(first.pid), which was joined, failed at it: exit code 4")
    )
    #expect(project.executions() == 1)
    #expect(project.executions("last") == 0)
    for pid in try project.text("../pids").split(separator: "\n").compactMap({ pid_t($0) }) { kill(pid, SIGKILL) }
  }
}
