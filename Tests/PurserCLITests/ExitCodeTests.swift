import Glibc
import PurserModel
import Testing

/// The exit code is the command's, and what did not succeed is not taken for done.
@Suite(.project)
struct ExitCodeTests {
  let project = TestProject.current

  @Test(arguments: [1, 2, 3, 42, 64, 65, 66, 69, 75, 124, 126, 127, 128, 130, 255])
  func `A failure has the command's exit code every time`(_ code: Int32) throws {
    try project.script("step.sh", "echo out; echo err >&2; exit \(code)")
    for execution in 1...2 {
      let outcome = try project.purser("exec", "--task", "step", "--", "./step.sh")
      #expect(outcome.code == code)
      #expect(outcome.outputText == "out\n")
      #expect(outcome.errorText == "err\n")
      #expect(project.executions() == execution)
    }
  }

  @Test(arguments: [SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGKILL, SIGSEGV, SIGPIPE, SIGTERM, SIGUSR1])
  func `A command that dies of a signal gives 128 and its number`(_ signal: Int32) throws {
    let outcome = try project.purser(
      "exec", "--task", "step", "--", "sh", "-c", ByteString("ulimit -c 0; kill -\(signal) $$"))
    #expect(outcome.code == 128 + signal)
    #expect(try project.purser("check", "step").code == 1)
  }

  @Test(arguments: [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129)] as [(Int32, Int32)])
  func `A signal is passed on and nothing is recorded as done`(_ signal: Int32, _ code: Int32) throws {
    try project.script(
      "step.sh", "echo started; echo half > out; echo $$ > ../pid; until [ -e ../go ]; do sleep 0.01; done")
    let arguments: [ByteString] = ["exec", "--task", "step", "--output", "out", "--", "./step.sh"]
    let process = try project.start([TestProject.tool] + arguments)
    #expect(hasComeTrue { project.exists("../pid") })
    process.signal(signal)
    let outcome = try process.wait()
    #expect(outcome.code == code)
    #expect(outcome.outputText == "started\n")
    let pid = Int32(try project.text("../pid").filter(\.isNumber)) ?? 0
    #expect(!isAlive(pid))
    let run = try #require(try project.purser("runs", "--json").json()["runs"]?.array?.first)
    #expect(run["state"]?.string == "CANCELLED")
    let check = try project.purser("check", "--json", "step")
    #expect(check.code == 1)
    #expect(try check.json()["tasks"]?.array?.first?["reasons"]?.serialized == #"[{"kind":"interrupted"}]"#)
    try project.write("../go", "")
    #expect(try project.purser(arguments).code == 0)
    #expect(project.executions() == 2)
  }

  @Test func `A command that turns a signal into success is not recorded as done`() throws {
    try project.script("step.sh", "trap 'exit 0' INT; echo > ../ready; until [ -e ../go ]; do sleep 0.01; done")
    let process = try project.start([TestProject.tool, "exec", "--task", "step", "--", "./step.sh"])
    #expect(hasComeTrue { project.exists("../ready") })
    process.signal(SIGINT)
    #expect(try process.wait().code == 0)
    #expect(try project.purser("check", "step").code == 1)
  }

  @Test func `A command that is too slow is stopped with all that it started and gives 124`() throws {
    try project.script("step.sh", "sleep 1000 & echo $! > ../pid; wait")
    let outcome = try project.purser("exec", "--task", "step", "--timeout", "300ms", "--", "./step.sh")
    #expect(outcome.code == 124)
    #expect(outcome.errorText == "warning: task 'step' ran longer than its time limit and was stopped\n")
    let pid = Int32(try project.text("../pid").filter(\.isNumber)) ?? 0
    #expect(hasComeTrue { !isAlive(pid) })
    let check = try project.purser("check", "--json", "step").json()["tasks"]?.array?.first
    #expect(check?["reasons"]?.serialized == #"[{"kind":"failed"}]"#)
  }

  @Test func `A command that is fast enough is not stopped`() throws {
    let outcome = try project.purser("exec", "--task", "step", "--timeout", "1h30m", "--", "echo", "done")
    #expect(outcome.code == 0)
    #expect(outcome.outputText == "done\n")
    #expect(try project.purser("check", "step").code == 0)
  }

  @Test(arguments: ["soon", "", "-1s", "0", "5 m", "1y", "99999999999999999999"])
  func `A time limit that is none is refused`(_ duration: String) throws {
    let outcome = try project.purser("exec", "--timeout", ByteString(duration), "--", "true")
    #expect(outcome.code == 64)
    #expect(
      outcome.errorText == """
        error: --timeout is a duration such as 90s, 5m or 1h30m, not '\(duration)'
        See 'purser exec --help'.

        """)
  }

  @Test func `A command that is not found gives 127`() throws {
    for command: ByteString in ["no-such-command", "./no-such-command", "/no/such/command"] {
      let outcome = try project.purser("exec", "--task", "step", "--", command)
      #expect(outcome.code == 127)
      #expect(outcome.errorText.hasPrefix("error: cannot run '\(command)': "))
      #expect(outcome.errorText.count { $0 == "\n" } == 1)
    }
    #expect(try project.purser("check", "step").code == 1)
  }

  @Test func `A command that is not executable gives 126`() throws {
    try project.write("step.sh", "#!/bin/sh\necho ran\n", mode: 0o644)
    try project.makeFolder("folder")
    for command: ByteString in ["./step.sh", "./folder"] {
      let outcome = try project.purser("exec", "--task", "step", "--", command)
      #expect(outcome.code == 126)
      #expect(outcome.output.isEmpty)
      #expect(outcome.errorText.hasPrefix("error: cannot run '\(command)': "))
      #expect(outcome.errorText.count { $0 == "\n" } == 1)
    }
  }

  @Test func `A success that leaves out a declared output gives 1 and is not stored`() throws {
    try project.script("step.sh", "echo printed; echo made > one")
    let arguments: [ByteString] = [
      "exec", "--task", "step", "--output", "one", "--output", "two", "--", "./step.sh",
    ]
    for execution in 1...2 {
      let outcome = try project.purser(arguments)
      #expect(outcome.code == 1)
      #expect(outcome.outputText == "printed\n")
      #expect(
        outcome.errorText == """
          error: task 'step' succeeded but did not make its output 'two'; nothing is stored: make the command write it, \
          or remove --output two

          """)
      #expect(project.executions() == execution)
    }
  }

  @Test func `A leftover is not taken for a product`() throws {
    try project.script("step.sh", "true")
    try project.write("out", "leftover")
    let outcome = try project.purser("exec", "--task", "step", "--output", "out", "--", "./step.sh")
    #expect(outcome.code == 1)
    #expect(!project.exists("out"))
    let kept = try project.purser(
      "exec", "--task", "kept", "--output", "in", "--keep-outputs", "--", "sh", "-c", "echo >> in")
    #expect(kept.code == 0)
  }

  @Test func `An input pattern without a match is warned about and the command runs`() throws {
    try project.script("step.sh", "echo ran")
    let outcome = try project.purser("exec", "--task", "step", "--input", "raw/*.csv", "--", "./step.sh")
    #expect(outcome.code == 0)
    #expect(outcome.outputText == "ran\n")
    #expect(outcome.errorText == "warning: input pattern 'raw/*.csv' of task 'step' matches no file\n")
    try project.write("raw/a.csv", "a")
    #expect(try project.purser("check", "step").code == 1)
  }

  @Test func `A grandchild that keeps the output open is not waited for`() throws {
    let outcome = try project.start([
      TestProject.tool, "exec", "--task", "step", "--", "sh", "-c", "sleep 300 & echo $! > ../pid; exit 3",
    ]).wait(seconds: 60)
    #expect(outcome.code == 3)
    if let pid = Int32(try project.text("../pid").filter(\.isNumber)) { kill(pid, SIGKILL) }
  }
}
