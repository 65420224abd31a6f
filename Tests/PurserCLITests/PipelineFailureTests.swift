import Glibc
import PurserModel
import Testing

/// What a failure stops and what it does not; trying again, time limits, and what was printed.
@Suite(.project)
struct PipelineFailureTests {
  let project = TestProject.current

  /// `bad` fails while `slow` runs; `other` and what comes after them wait.
  private func makeFailure() throws {
    try project.write(
      "purser.yaml",
      """
      graphs:
        main:
          tasks:
            slow:
            bad:
            other:
            after_bad: bad
            after_both: [after_bad, other]
            after_slow: slow
      tasks:
        slow:
          command: |
            echo slow >> "$COUNTS/order"; touch ../slow
            until [ -e ../go ]; do sleep 0.01; done
            echo slow > slow
          outputs: [slow]
          priority: 9
        bad:
          command: |
            echo bad >> "$COUNTS/order"
            until [ -e ../slow ]; do sleep 0.01; done
            [ -e ../mended ] || { echo "it broke" >&2; exit 7; }
            echo bad > bad
          outputs: [bad]
          priority: 8
        other: {command: 'echo other >> "$COUNTS/order"; echo other > other', outputs: [other]}
        after_bad: {command: 'echo after_bad >> "$COUNTS/order"; cp bad after_bad', outputs: [after_bad]}
        after_both: {command: 'echo after_both >> "$COUNTS/order"; cp bad after_both', outputs: [after_both]}
        after_slow: {command: 'echo after_slow >> "$COUNTS/order"; cp slow after_slow', outputs: [after_slow]}
      """)
  }

  /// Starts a run, lets `slow` go on when `bad` has failed, and waits for the end.
  private func runPastFailure(_ options: ByteString...) throws -> PipelineRun {
    let process = try project.start([TestProject.tool, "run", "--json", "-j2"] + options)
    #expect(hasComeTrue { process.errorSoFar.contains("'bad' failed") })
    try project.write("../go", "")
    return try PipelineRun(process.wait())
  }

  @Test func `After a failure nothing new is started and what runs finishes`() throws {
    try makeFailure()
    let run = try runPastFailure()
    #expect(run.code == 1)
    #expect(
      run.endings == [
        "slow": "ran", "bad": "failed", "other": "skipped", "after_bad": "skipped", "after_both": "skipped",
        "after_slow": "skipped",
      ])
    #expect(Set(project.lines("order")) == ["slow", "bad"])
    #expect(try project.text("slow") == "slow\n")
    #expect(run.errorText.contains("error: task 'bad' failed: exit code 7"))
    #expect(run.errorText.contains("it broke\n"))
    #expect(try project.status(of: "slow") == "SUCCESS")
    #expect(try project.status(of: "bad") == "FAILURE")
    // Mended, only what failed, what follows it, and what was not reached is done.
    try project.write("../mended", "")
    try project.clearCounts()
    let second = try project.runPipeline("-j2")
    #expect(second.code == 0)
    #expect(second.endings["slow"] == "fresh")
    #expect(Set(project.lines("order")) == ["bad", "other", "after_bad", "after_both", "after_slow"])
  }

  @Test(arguments: ["--keep-going", "-k"] as [ByteString])
  func `Kept going, all runs that does not depend on the failure`(_ option: ByteString) throws {
    try makeFailure()
    let run = try runPastFailure(option)
    #expect(run.code == 1)
    #expect(
      run.endings == [
        "slow": "ran", "bad": "failed", "other": "ran", "after_bad": "skipped", "after_both": "skipped",
        "after_slow": "ran",
      ])
    #expect(Set(project.lines("order")) == ["slow", "bad", "other", "after_slow"])
    try project.write("../mended", "")
    try project.clearCounts()
    let second = try project.runPipeline("-j2")
    #expect(second.code == 0)
    #expect(
      second.endings == [
        "slow": "fresh", "bad": "ran", "other": "fresh", "after_bad": "ran", "after_both": "ran",
        "after_slow": "fresh",
      ])
    #expect(Set(project.lines("order")) == ["bad", "after_bad", "after_both"])
  }

  @Test func `What a failed run left of outputs is not taken for a result`() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        half: {command: 'echo half > out; [ -e ../mended ]; echo whole >> out', outputs: [out]}
        use: {after: half, command: cp out used, outputs: [used]}
      """)
    #expect(try project.runPipeline().endings == ["half": "failed", "use": "skipped"])
    #expect(try project.runPipeline("use").code == 1)
    #expect(!project.exists("used"))
    try project.write("../mended", "")
    #expect(try project.runPipeline().code == 0)
    #expect(try project.text("used") == "half\nwhole\n")
  }

  @Test func `A declared output that is missing is a failure`() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        make: {command: touch made, outputs: [made, forgotten]}
        use: {after: make, command: 'echo >> "$COUNTS/use"'}
      """)
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(run.endings == ["make": "failed", "use": "skipped"])
    #expect(
      run.errorText == """
        error: task 'make' failed: it succeeded but did not make its output 'forgotten'; make the command write it, or \
        remove it from 'outputs'

        """)
    #expect(project.executions("use") == 0)
    #expect(try project.runPipeline().endings["make"] == "failed", "a failure is not fresh")
  }

  @Test func `A program that is not there is a failure of its task`() throws {
    try project.write(
      "purser.yaml", "tasks:\n  a: {command: [no-such-program, x]}\n  b: {after: a, command: \"true\"}\n")
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(run.endings == ["a": "failed", "b": "skipped"])
    #expect(run.errorText.contains("no-such-program"))
  }

  @Test func `A missing input fails its task before it runs`() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        a: {command: 'echo >> "$COUNTS/a"', inputs: [no/such/file]}
        b: {after: a, command: 'echo >> "$COUNTS/b"'}
        c: {command: 'echo >> "$COUNTS/c"'}
      """)
    let run = try project.runPipeline("-k")
    #expect(run.code == 1)
    #expect(run.endings == ["a": "failed", "b": "skipped", "c": "ran"])
    #expect(run.errorText.contains("'no/such/file'"))
    #expect(project.executions("a") + project.executions("b") == 0)
  }

  @Test func `A result is not kept if an input changed while it was made`() throws {
    try project.write("in", "1")
    try project.write(
      "purser.yaml",
      """
      tasks:
        make: {command: 'cp in out; [ -e ../quiet ] || echo more >> in', inputs: [in], outputs: [out]}
        use: {after: make, command: cp out used, outputs: [used]}
      """)
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(run.endings == ["make": "failed", "use": "skipped"])
    #expect(run.errorText.contains("'make' is not stored: in changed while it ran"), "\(run.errorText)")
    try project.write("../quiet", "")
    #expect(try project.runPipeline().endings == ["make": "ran", "use": "ran"])
    #expect(try project.text("used") == "1more\n")
  }

  // MARK: Trying again

  private func makeFlaky(retries: Int) throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        flaky:
          command: |
            echo >> "$COUNTS/step"
            echo half > out
            echo "attempt $(wc -l < "$COUNTS/step")"
            [ "$(wc -l < "$COUNTS/step")" -ge 3 ]
            echo whole >> out
          outputs: [out]
          retries: \(retries)
        use: {after: flaky, command: cp out used, outputs: [used]}
      """)
  }

  @Test func `A task that fails twice succeeds with two retries`() throws {
    try makeFlaky(retries: 2)
    let run = try project.runPipeline()
    #expect(run.code == 0)
    #expect(run.endings == ["flaky": "ran", "use": "ran"])
    #expect(project.executions() == 3)
    #expect(try project.text("used") == "half\nwhole\n")
    #expect(try project.purser("log", "flaky").outputText == "attempt 3\n")
    #expect(try project.runPipeline().endings == ["flaky": "fresh", "use": "fresh"])
  }

  @Test func `A task that fails more often than it has retries has failed`() throws {
    try makeFlaky(retries: 1)
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(run.endings == ["flaky": "failed", "use": "skipped"])
    #expect(project.executions() == 2)
  }

  // MARK: Time limits

  @Test(arguments: ["", "trap '' TERM; "])
  func `A task beyond its time limit is stopped with all its processes`(_ trap: String) throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        long:
          command: "\(trap)sleep 1000 & echo $! > ../child; sleep 1000; touch done"
          timeout: 300ms
          outputs: [done]
        use: {after: long, command: 'echo >> "$COUNTS/use"'}
      """)
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(run.endings == ["long": "failed", "use": "skipped"])
    #expect(run.errorText.contains("task 'long' failed: it ran longer than its time limit and was stopped"))
    let child = try #require(pid_t(project.text("../child").dropLast()))
    #expect(hasComeTrue { !isAlive(child) })
    project.expectNoProcess()
    #expect(project.executions("use") == 0)
    #expect(try project.status(of: "long") == "FAILURE")
  }

  @Test func `A task within its time limit is not stopped`() throws {
    try project.write("purser.yaml", "tasks: {short: {command: 'true', timeout: 10m}}")
    #expect(try project.runPipeline().endings == ["short": "ran"])
  }

  // MARK: What was printed

  private func makeTalkers() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        talk: {command: "echo to out; echo to err >&2; printf 'no end'"}
        more: {after: talk, command: "printf 'a\\n\\nb\\n'"}
      """)
  }

  @Test func `With several jobs what a task prints has its name before it`() throws {
    try makeTalkers()
    let outcome = try project.purser("run", "-q", "-j2")
    #expect(outcome.code == 0)
    #expect(outcome.outputText == "talk | to out\ntalk | no end\nmore | a\nmore | \nmore | b\n")
    #expect(outcome.errorText == "talk | to err\n")
  }

  @Test func `With one job what a task prints is as it is`() throws {
    try makeTalkers()
    let outcome = try project.purser("run", "-q", "-j1")
    #expect(outcome.outputText == "to out\nno end\na\n\nb\n")
    #expect(outcome.errorText == "to err\n")
  }

  @Test func `The log of a task is what it printed`() throws {
    try makeTalkers()
    #expect(try project.purser("run", "-j2").code == 0)
    let log = try project.purser("log", "talk")
    #expect(log.code == 0)
    #expect(log.outputText == "to out\nno end")
    #expect(log.errorText == "to err\n")
    #expect(try project.purser("log", "more").outputText == "a\n\nb\n")
  }

  @Test func `The log of a failed task is kept too`() throws {
    try project.write("purser.yaml", "tasks: {bad: {command: 'echo before; exit 3'}}")
    #expect(try project.purser("run").code == 1)
    #expect(try project.purser("log", "bad").outputText == "before\n")
  }

  @Test func `A run says what it did, task by task and in sum`() throws {
    try makeTalkers()
    let time = #/ ?(in|saved) [0-9.]+ (ms|s)/#
    let first = try project.purser("run", "-j1")
    #expect(
      first.errorText.replacing(time, with: "") == """
        to err
        purser: talk: ran
        purser: more: ran
        purser: 2 tasks: 2 ran,

        """)
    let second = try project.purser("run", "-j1")
    #expect(second.outputText == "")
    #expect(second.errorText.hasPrefix("purser: 2 tasks: 2 fresh, in "))
  }
}
