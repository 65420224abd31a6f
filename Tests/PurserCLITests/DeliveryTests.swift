import Glibc
import PurserModel
import Testing

/// What cannot be delivered is no reason to do the work again.
@Suite(.project)
struct DeliveryTests {
  let project = TestProject.current

  private func makeStep() throws {
    try project.script("step.sh", "echo printed; echo made > made")
    #expect(try project.purser("exec", "--task", "step", "--output", "made", "--", "./step.sh").code == 0)
    #expect(project.executions() == 1)
  }

  @Test(arguments: [">/dev/full", ">&-", ">/dev/full 2>&1"])
  func `A hit whose output cannot be written does not run the step`(redirection: String) throws {
    try makeStep()
    let outcome = try project.shell("\"$TOOL\" exec --task step --output made -- ./step.sh \(redirection)")
    // A closed descriptor stands for nobody who listens; a full device for somebody who misses something.
    #expect(outcome.code == (redirection == ">&-" ? 0 : 74))
    #expect(project.executions() == 1)
  }

  @Test func `A hit into a closed pipe does not run the step, also where SIGPIPE is ignored`() throws {
    try makeStep()
    for _ in 0..<5 {
      try project.shell("trap '' PIPE; \"$TOOL\" exec --task step --output made -- ./step.sh | true")
    }
    #expect(project.executions() == 1)
  }

  @Test func `A closed standard output is never a file of the store`() throws {
    try project.script("step.sh", "for i in 1 2 3; do echo printed; done; echo made > made")
    try project.shell("\"$TOOL\" exec --task step --output made -- ./step.sh >&- 2>&-")
    #expect(project.executions() == 1)
    #expect(try !project.text(".purser/write.lock").contains("printed"))
    #expect(try project.purser("check", "step").outputText == "step: fresh\n")
  }

  @Test func `What was printed being damaged twice over makes the step run, once`() throws {
    try makeStep()
    // A log that no content stands behind, and that cannot be forgotten because nobody knows it.
    let script =
      "import sqlite3; c = sqlite3.connect('.purser/records.db'); "
      + "c.execute(\"update action_results set log_digest = zeroblob(32)\"); c.commit()"
    #expect(try project.start(["/usr/bin/env", "python3", "-c", ByteString(script)]).wait().code == 0)
    let outcome = try project.purser("exec", "--task", "step", "--output", "made", "--", "./step.sh")
    #expect(outcome.code == 0)
    #expect(outcome.outputText == "printed\n")
    #expect(project.executions() == 2)
  }

  @Test func `A folder that the command runs in is refused as its output`() throws {
    // The project's root is where its store is.
    #expect(try project.purser("exec", "--task", "first", "--", "true").code == 0)
    try project.write("build/kept", "precious")
    let outcome = try project.purser("exec", "--task", "step", "--output", ".", "--", "true", in: "build")
    #expect(outcome.code == 65)
    #expect(
      outcome.errorText == "error: output 'build' of task 'step' is refused: the command runs in it, and it would be "
        + "removed; declare what the command makes there\n")
    #expect(try project.text("build/kept") == "precious")
  }

  @Test func `A glob of outputs has what a glob of inputs would leave out`() throws {
    try project.script("step.sh", "mkdir -p lib; echo 1 > lib/a.pyc; echo 2 > lib/b")
    for _ in 1...2 {
      #expect(try project.purser("exec", "--task", "step", "--output", "lib/*", "--", "./step.sh").code == 0)
      #expect(try project.text("lib/a.pyc") == "1\n")
      try project.remove("lib")
    }
    #expect(project.executions() == 1)
  }

  @Test func `A step without outputs is done again when its input comes back, unless it is pure`() throws {
    try project.script("load.sh", "cp in \"$COUNTS/database\"")
    for (content, runs) in [("1", 1), ("1", 1), ("2", 2), ("1", 3)] {
      try project.write("in", content)
      #expect(try project.purser("exec", "--task", "load", "--input", "in", "--", "./load.sh").code == 0)
      #expect(project.executions() == runs)
    }
  }

  @Test func `What a restore overwrote can be had again`() throws {
    try makeStep()
    try project.write("made", "mine\n")
    #expect(try project.purser("exec", "--task", "step", "--output", "made", "--", "./step.sh").code == 0)
    #expect(try project.text("made") == "made\n")
    #expect(try project.purser("log", "step", "--saved", "made").outputText == "mine\n")
    let missing = try project.purser("log", "step", "--saved", "other")
    #expect(missing.code == 66)
    #expect(
      missing.errorText
        == "error: no run of task 'step' has saved 'other'; see 'saved' in 'purser runs step --json'\n")
  }
}
