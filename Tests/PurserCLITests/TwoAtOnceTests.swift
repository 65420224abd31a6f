import Glibc
import PurserModel
import Testing

/// Two processes at one task: one executes it, the other waits and has the result, or takes over from the dead.
@Suite(.project)
struct TwoAtOnceTests {
  let project = TestProject.current

  /// A step that goes on when the file `go` appears beside the project.
  private func makeStep(_ body: String = "") throws {
    try project.script(
      "step.sh",
      """
      echo started; echo $$ >> ../pids
      \(body)
      until [ -e ../go ]; do sleep 0.01; done
      echo made > out; echo done >&2
      """)
  }

  private let arguments: [ByteString] = ["exec", "--task", "step", "--output", "out", "--", "./step.sh"]

  private func start(_ options: [ByteString] = []) throws -> RunningProcess {
    try project.start([TestProject.tool] + options + arguments)
  }

  /// Waits until a process says that it waits for another, and returns what it says.
  private func notice(of waiting: RunningProcess) throws -> String {
    try #require(hasComeTrue { waiting.errorSoFar.hasSuffix("\n") }, "nobody said what is waited for")
    return waiting.errorSoFar
  }

  private func expect(_ notice: String, toName holder: RunningProcess, _ verb: String = "joining") {
    let time = #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)/#
    #expect(
      notice.replacing(time, with: "TIME") == "purser: step: \(verb) process \(holder.pid), at work since TIME\n")
  }

  @Test func `One executes and the other says whom it waits for and replays`() throws {
    try makeStep()
    let first = try start()
    #expect(hasComeTrue { project.executions() == 1 })
    let second = try start()
    let notice = try notice(of: second)
    expect(notice, toName: first)
    try project.write("../go", "")
    let executed = try first.wait()
    let replayed = try second.wait()
    #expect(executed.code == 0)
    #expect(replayed.code == 0)
    #expect(replayed.output == executed.output)
    #expect(replayed.errorText == notice + executed.errorText)
    #expect(project.executions() == 1)
  }

  @Test func `Of many that start together one executes`() throws {
    try makeStep()
    try project.write("../go", "")
    let processes = try (1...8).map { _ in try start(["-q"]) }
    for process in processes {
      let outcome = try process.wait()
      #expect(outcome.code == 0)
      #expect(outcome.outputText == "started\n")
      #expect(outcome.errorText == "done\n")
    }
    #expect(project.executions() == 1)
  }

  @Test(arguments: [["a", "a"], ["a", "b"]] as [[ByteString]])
  func `Pairs that start at random moments execute once`(_ keys: [ByteString]) throws {
    try project.script("step.sh", "cat in > out; cat in")
    let arguments: [ByteString] = [
      "exec", "-q", "--task", "step", "--input", "in", "--output", "out", "--", "./step.sh",
    ]
    for round in 1...40 {
      try project.write("in", "\(round)")
      let processes = try keys.map { key in
        let process = try project.start([TestProject.tool, "--storage-key", key] + arguments)
        usleep(UInt32.random(in: 0...60_000))
        return process
      }
      for process in processes {
        let outcome = try process.wait()
        #expect(outcome.code == 0)
        #expect(outcome.outputText == "\(round)")
        #expect(outcome.error.isEmpty)
      }
      #expect(try project.text("out") == "\(round)")
      try #require(project.executions() == round)
    }
  }

  @Test func `Another storage key waits too and has the result without executing`() throws {
    try makeStep()
    let first = try start(["--storage-key", "a"])
    #expect(hasComeTrue { project.executions() == 1 })
    let second = try start(["--storage-key", "b"])
    expect(try notice(of: second), toName: first, "waiting for")
    try project.write("../go", "")
    #expect(try first.wait().code == 0)
    #expect(try second.wait().code == 0)
    #expect(try project.text("out") == "made\n")
    #expect(project.executions() == 1)
  }

  @Test func `Who joins sees what is printed while it is printed, and the rest at the end`() throws {
    try makeStep("until [ -e ../more ]; do sleep 0.01; done; echo more; echo odd >&2")
    let first = try start()
    #expect(hasComeTrue { project.executions() == 1 })
    let second = try start()
    #expect(hasComeTrue { second.outputSoFar == "started\n" }, "what was printed before is not shown")
    try project.write("../more", "")
    #expect(hasComeTrue { second.outputSoFar == "started\nmore\n" && second.errorSoFar.hasSuffix("\nodd\n") })
    #expect(isAlive(first.pid))
    #expect(project.exists(".purser/tmp/live-1"))
    try project.write("../go", "")
    let executed = try first.wait()
    let joined = try second.wait()
    #expect(joined.code == 0)
    #expect(joined.output == executed.output)
    #expect(joined.errorText.hasSuffix("\nodd\ndone\n"))
    #expect(project.executions() == 1)
    #expect(!project.exists(".purser/tmp/live-1"), "the file of the log is left")
  }

  private let failsOnce = "[ -e ../failed ] || { touch ../failed; until [ -e ../go ]; do sleep 0.01; done; exit 3; }"

  @Test func `The failure of a run that was joined is taken for one's own`() throws {
    try makeStep(failsOnce)
    let first = try start()
    #expect(hasComeTrue { project.executions() == 1 })
    let second = try start()
    expect(try notice(of: second), toName: first)
    try project.write("../go", "")
    #expect(try first.wait().code == 3)
    let joined = try second.wait()
    #expect(joined.code == 3)
    #expect(joined.outputText == "started\n")
    #expect(project.executions() == 1)
    #expect(try start().wait().code == 0, "nobody was at it: a failure is no result")
    #expect(project.executions() == 2)
  }

  @Test func `Who forces the run executes after a failure, too`() throws {
    try makeStep(failsOnce)
    let first = try start()
    #expect(hasComeTrue { project.executions() == 1 })
    let second = try project.start([TestProject.tool, "exec", "--force"] + arguments.dropFirst())
    _ = try notice(of: second)
    try project.write("../go", "")
    #expect(try first.wait().code == 3)
    #expect(try second.wait().code == 0)
    #expect(project.executions() == 2)
  }

  @Test func `Who waits for a run of something else executes`() throws {
    try makeStep(failsOnce)
    let first = try start()
    #expect(hasComeTrue { project.executions() == 1 })
    let second = try project.start([TestProject.tool] + arguments.dropLast() + ["./step.sh", "other"])
    expect(try notice(of: second), toName: first, "waiting for")
    try project.write("../go", "")
    #expect(try first.wait().code == 3)
    let own = try second.wait()
    #expect(own.code == 0)
    #expect(own.outputText == "started\n")
    #expect(project.executions() == 2)
  }

  @Test func `When the first is killed its command dies with its group and the second takes over`() throws {
    try makeStep(
      """
      for pid in $(cat ../grandchildren 2> /dev/null); do
        case "$(cut -d ' ' -f 3 /proc/$pid/stat 2> /dev/null)" in ''|Z) ;; *) echo $pid >> ../orphans;; esac
      done
      (trap '' TERM INT HUP; exec sleep 1000) &
      echo $! >> ../grandchildren
      echo >> ../ready
      """)
    let first = try start()
    #expect(hasComeTrue { project.exists("../ready") })
    let second = try start()
    expect(try notice(of: second), toName: first)
    first.signal(SIGKILL)
    #expect(try first.wait().code == 137)
    let hasTakenOver = try hasComeTrue { try project.text("../ready") == "\n\n" }
    #expect(hasTakenOver)
    #expect(!project.exists("../orphans"))
    let pids = try (project.text("../pids") + project.text("../grandchildren")).split(separator: "\n").map { Int32($0) }
    #expect(pids.count == 4)
    #expect(pids[0].map(isAlive) == false)
    #expect(pids[2].map(isAlive) == false)
    try project.write("../go", "")
    #expect(try second.wait().code == 0)
    #expect(project.executions() == 2)
    #expect(try project.purser(["check"] + arguments.dropFirst()).code == 0)
    if let last = pids[3] { kill(last, SIGKILL) }
  }

  @Test func `A killed run is told as interrupted and is done again`() throws {
    try makeStep()
    let first = try start()
    #expect(hasComeTrue { project.executions() == 1 })
    let status = try project.purser("status", "--json").json()["tasks"]?.array?.first
    #expect(status?["state"]?.string == "running")
    first.signal(SIGKILL)
    _ = try first.wait()
    let later = try project.purser("status", "--json").json()["tasks"]?.array?.first
    #expect(later?["state"]?.string == "interrupted")
    #expect(later?["status"]?.string != "SUCCESS")
    let check = try project.purser(["check", "--json"] + arguments.dropFirst())
    #expect(check.code == 1)
    #expect(try check.json()["tasks"]?.array?.first?["reasons"]?.serialized == #"[{"kind":"interrupted"}]"#)
    try project.write("../go", "")
    #expect(try start().wait().code == 0)
    #expect(project.executions() == 2)
  }

  @Test func `Different tasks do not wait for each other`() throws {
    try makeStep()
    let first = try start()
    #expect(hasComeTrue { project.executions() == 1 })
    try project.script("other.sh", "echo other", counting: "other")
    let outcome = try project.purser("exec", "--task", "other", "--", "./other.sh")
    #expect(outcome.outputText == "other\n")
    #expect(outcome.error.isEmpty)
    try project.write("../go", "")
    #expect(try first.wait().code == 0)
  }
}
