import PurserModel
import Testing

/// Whatever a task declares makes it run again when it changes, and is named with what it was and what it is.
@Suite(.project, .enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
struct ChangeTests {
  let project = TestProject.current

  @Test(arguments: ChangedComponent.all)
  func `A change makes the task run again and is the one that is named`(_ component: ChangedComponent) throws {
    let step = try component.step(project)
    try step.enter(component.first)
    #expect(try step.exec().code == 0)
    #expect(try project.text("out") == "1\n")
    #expect(try step.exec().code == 0)
    #expect(project.executions() == 1)

    try step.enter(component.second)
    let expected = try step.reasons(from: component.first, to: component.second)
    if component.isSeenByCheck {
      let check = try step.check()
      #expect(check.code == 1)
      let task = try check.json()["tasks"]?.array?.first
      #expect(task?["decision"]?.string == "run")
      #expect(try step.masked(task?["reasons"]) == expected)
    }
    if component.isOnDisk {
      #expect(try step.masked(step.explain()["reasons"]) == expected)
    }
    #expect(try step.exec().code == 0)
    #expect(project.executions() == 2)
    #expect(try project.text("out") == "2\n")
    #expect(try step.masked(step.explain()["lastRun"]?["reasons"]) == expected)
  }

  @Test(arguments: ChangedComponent.all)
  func `A change that is taken back is a hit on every storage key`(_ component: ChangedComponent) throws {
    let step = try component.step(project)
    for situation in [component.first, component.second] {
      try step.enter(situation)
      #expect(try step.exec().code == 0)
    }
    #expect(project.executions() == 2)
    try step.enter(component.first)
    #expect(try step.exec().code == 0)
    #expect(try project.text("out") == "1\n")
    for (situation, output) in [(component.first, "1\n"), (component.second, "2\n"), (component.first, "1\n")] {
      try step.enter(situation)
      #expect(try step.exec(["--storage-key", "other"]).code == 0)
      #expect(try project.text("out") == output)
    }
    #expect(project.executions() == 2)
  }

  @Test func `An undeclared variable changes nothing`() throws {
    try project.script("step.sh", "echo made > out")
    for value: ByteString in ["one", "two"] {
      let outcome = try project.purser(
        "exec", "--task", "step", "--output", "out", "--", "./step.sh", environment: ["MODE": value])
      #expect(outcome.code == 0)
    }
    #expect(project.executions() == 1)
  }

  @Test func `A variable that is empty differs from one that is not set`() throws {
    try project.script("step.sh", "echo made > out")
    let arguments: [ByteString] = ["exec", "--task", "step", "--env", "MODE", "--output", "out", "--", "./step.sh"]
    try project.purser(arguments)
    try project.purser(arguments, environment: ["MODE": ""])
    #expect(project.executions() == 2)
    let lastRun = try project.purser("explain", "--json", "step", environment: ["MODE": ""]).json()["lastRun"]
    let change = try #require(lastRun?["reasons"]?.array?.first?["changes"]?.array?.first)
    #expect(change["name"]?.string == "env MODE")
    #expect(change["was"]?.serialized == "null")
    #expect(change["is"]?.string?.count == 64)
  }

  @Test func `Arguments that read the same when joined are told apart`() throws {
    for argv: [ByteString] in [["ab", "c"], ["a", "bc"], ["abc"], ["ab", "c", ""]] {
      try project.purser(
        ["exec", "--task", "step", "--pure", "--", "sh", "-c", "echo >> \"$COUNTS/step\"", "sh"] + argv)
    }
    #expect(project.executions() == 4)
  }

  @Test func `Several changes at once are all named`() throws {
    try project.script("step.sh", "cat in > out")
    try project.write("in", "1")
    try project.write("lib", "1")
    let options: [ByteString] = ["--task", "step", "--code", "lib", "--input", "in", "--output", "out"]
    try project.purser(["exec"] + options + ["--", "./step.sh"])
    try project.write("in", "2")
    try project.write("lib", "2")
    try project.write("out", "3")
    let reasons = try project.purser("explain", "--json", "step").json()["reasons"]?.array ?? []
    #expect(reasons.compactMap { $0["kind"]?.string } == ["codeChanged", "inputsChanged", "outputModified"])
    let names = reasons.flatMap { $0["changes"]?.array ?? [] }.compactMap { $0["name"]?.string }
    #expect(names == ["lib", "in"])
  }
}
