import PurserModel
import Testing

/// A task without outputs may have its effect elsewhere; a failure is no result.
@Suite(.project)
struct EffectTests {
  let project = TestProject.current

  @Test func `A task without outputs is fresh on its own key and executed on another`() throws {
    try project.script("step.sh", "echo loaded")
    for key: ByteString in ["default", "other", "default", "other"] {
      let outcome = try project.purser("exec", "--storage-key", key, "--task", "load", "--", "./step.sh")
      #expect(outcome.code == 0)
      #expect(outcome.outputText == "loaded\n")
    }
    #expect(project.executions() == 2)
    #expect(try project.purser("exec", "--task", "load-again", "--", "./step.sh").code == 0)
    #expect(try project.purser("exec", "--pipeline", "another", "--task", "load", "--", "./step.sh").code == 0)
    #expect(project.executions() == 4)
  }

  @Test func `A pure task without outputs is restored everywhere`() throws {
    try project.script("step.sh", "echo tested; echo ok >&2")
    for key: ByteString in ["default", "other", "third"] {
      let outcome = try project.purser("exec", "--storage-key", key, "--task", "test", "--pure", "--", "./step.sh")
      #expect(outcome.code == 0)
      #expect(outcome.outputText == "tested\n")
      #expect(outcome.errorText == "ok\n")
    }
    #expect(
      try project.purser("exec", "--pipeline", "another", "--task", "lint", "--pure", "--", "./step.sh").code == 0)
    #expect(project.executions() == 1)
  }

  @Test func `A task with outputs is restored for another task of the same action`() throws {
    try project.script("step.sh", "echo made > out")
    try project.purser("exec", "--task", "one", "--output", "out", "--", "./step.sh")
    try project.remove("out")
    #expect(try project.purser("exec", "--task", "two", "--output", "out", "--", "./step.sh").code == 0)
    #expect(try project.text("out") == "made\n")
    #expect(project.executions() == 1)
  }

  @Test func `A failure is recorded and the next run says so`() throws {
    try project.script("step.sh", "echo printed; echo complained >&2; [ -e ../fixed ]")
    let arguments: [ByteString] = ["--task", "step", "--", "./step.sh"]
    #expect(try project.purser(["exec"] + arguments).code == 1)
    let state = try project.purser("status", "--json").json()["tasks"]?.array?.first
    #expect(state?["status"]?.string == "FAILURE")
    #expect(state?["state"]?.string == "failed")
    let check = try project.purser(["check", "--json"] + arguments)
    #expect(check.code == 1)
    #expect(try check.json()["tasks"]?.array?.first?["reasons"]?.serialized == #"[{"kind":"failed"}]"#)

    try project.write("../fixed", "")
    let outcome = try project.purser(["-v", "exec"] + arguments)
    #expect(outcome.code == 0)
    #expect(outcome.errorText == "purser: step: running (failed last time)\ncomplained\n")
    #expect(project.executions() == 2)
    #expect(try project.purser(["exec"] + arguments).code == 0)
    #expect(project.executions() == 2)
  }

  @Test func `A failure after a success does not bring the old result back`() throws {
    try project.script("step.sh", "echo made > out; [ ! -e ../broken ]")
    let arguments: [ByteString] = ["--task", "step", "--output", "out", "--", "./step.sh"]
    #expect(try project.purser(["exec"] + arguments).code == 0)
    try project.write("../broken", "")
    #expect(try project.purser(["exec", "--force"] + arguments).code == 1)
    #expect(try project.purser(["check"] + arguments).code == 1)
  }

  @Test func `The captured output of a failure is printed by log`() throws {
    try project.script("step.sh", #"echo printed; printf 'complained\377\n' >&2; exit 9"#)
    #expect(try project.purser("exec", "--task", "step", "--", "./step.sh").code == 9)
    let log = try project.purser("log", "step")
    #expect(log.code == 0)
    #expect(log.outputText == "printed\n")
    #expect(log.error == Array("complained".utf8) + [0xff, 0x0a])
    let json = try project.purser("log", "--json", "step").json()
    #expect(json["stdout"]?.string == "printed\n")
    #expect(json["stderr"]?.string == "complained\\xff\n")
    let run = try #require(try project.purser("runs", "--json").json()["runs"]?.array?.first)
    #expect(run["state"]?.string == "FAILED")
    #expect(run["exitCode"]?.integer == 9)
  }

  @Test func `An earlier log is printed by its number`() throws {
    try project.write("in", "one")
    try project.script("step.sh", "cat in")
    let arguments: [ByteString] = ["exec", "--task", "step", "--input", "in", "--", "./step.sh"]
    try project.purser(arguments)
    try project.write("in", "two")
    try project.purser(arguments)
    let runs = try project.purser("runs", "--json", "step").json()["runs"]?.array?.compactMap { $0["run"]?.integer }
    #expect(runs?.count == 2)
    #expect(try project.purser("log", "step").outputText == "two")
    #expect(try project.purser("log", "step", "--run", ByteString("\(runs?.last ?? 0)")).outputText == "one")
    let unknown = try project.purser("log", "step", "--run", "99")
    #expect(unknown.code == 66)
    #expect(unknown.errorText == "error: task 'step' has no run 99; see 'purser runs step'\n")
  }

  @Test func `Forcing runs a fresh task and forbidding restores runs one that could be restored`() throws {
    try project.script("step.sh", "echo made > out")
    let arguments: [ByteString] = ["--task", "step", "--output", "out", "--", "./step.sh"]
    try project.purser(["exec"] + arguments)
    #expect(try project.purser(["exec", "--force"] + arguments).code == 0)
    #expect(project.executions() == 2)
    let run = try project.purser("runs", "--json", "--limit", "1").json()["runs"]?.array?.first
    #expect(run?["reasons"]?.serialized == #"[{"kind":"forced"}]"#)
    try project.remove("out")
    #expect(try project.purser(["exec", "--no-restore"] + arguments).code == 0)
    #expect(project.executions() == 3)
    #expect(try project.purser(["exec", "--no-restore"] + arguments).code == 0)
    #expect(project.executions() == 3)
  }
}
