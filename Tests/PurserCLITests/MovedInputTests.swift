import Glibc
import PurserModel
import Testing

/// An input that changes while the command runs: the result is shown, and not stored.
@Suite(.project)
struct MovedInputTests {
  let project = TestProject.current

  /// What is done to `in`, or to `data/x` in the folder `data`, meanwhile.
  @Test(arguments: [
    Move("edited", "echo more >> in", names: "in"),
    Move("edited and changed back", "cp in ../copy; echo more >> in; sync in; cat ../copy > in", names: "in"),
    Move("replaced by the same", "cp in ../copy; mv ../copy in", names: "in"),
    Move("removed", "rm in", names: nil),
    Move("made executable", "chmod +x in", names: "in"),
    Move("edited in a folder", "echo more >> data/x", names: "data, data/x"),
    Move("added to a folder", "echo new > data/new", names: "data"),
    Move("edited as code", "echo '# more' >> step.sh", names: "step.sh"),
  ])
  func `An input that moves during the run is named and nothing is stored`(_ move: Move) throws {
    try project.write("in", "content\n")
    try project.write("data/x", "x\n")
    try project.script(
      "step.sh",
      #"""
      echo shown; echo complained >&2; echo made > out
      until [ -e ../moved ]; do sleep 0.01; done
      exit
      """#)
    let arguments: [ByteString] = [
      "exec", "--task", "step", "--input", "in", "--input", "data", "--output", "out", "--", "./step.sh",
    ]
    let step = try project.start([TestProject.tool] + arguments)
    #expect(hasComeTrue { project.executions() == 1 })
    try project.shell("\(move.script); touch ../moved")
    let outcome = try step.wait()
    #expect(outcome.code == 0)
    #expect(outcome.outputText == "shown\n")
    #expect(try project.text("out") == "made\n")
    if let names = move.names {
      #expect(
        outcome.errorText == """
          complained
          warning: task 'step' is not stored: \(names) changed while it ran; run it again

          """)
    } else {
      #expect(outcome.errorText.hasPrefix("complained\nwarning: "))
      try project.write("in", "content\n")
    }
    #expect(try project.purser(["check", "-q"] + arguments.dropFirst()).code == 1)
    #expect(try project.purser(arguments).code == 0)
    #expect(project.executions() == 2)
    #expect(try project.purser(arguments).code == 0)
    #expect(project.executions() == 2)
  }

  struct Move: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let script: String
    let names: String?

    init(_ what: String, _ script: String, names: String?) {
      testDescription = what
      self.script = script
      self.names = names
    }
  }

  @Test func `A first run that was not stored can be explained`() throws {
    try project.write("in", "content\n")
    try project.script("step.sh", "echo more >> in; echo made > out")
    let arguments: [ByteString] = ["exec", "--task", "step", "--input", "in", "--output", "out", "--", "./step.sh"]
    #expect(try project.purser(arguments).code == 0)
    let explanation = try project.purser("explain", "--json", "step")
    #expect(explanation.code == 0)
    #expect(try explanation.json()["lastRun"]?["error"]?.serialized == #"{"kind":"inputMoved","names":["in"]}"#)
    #expect(try project.purser("check", "step").code == 1)
  }

  @Test func `A failure keeps its exit code when an input moves`() throws {
    try project.write("in", "content\n")
    try project.script("step.sh", "echo more >> in; exit 3")
    let outcome = try project.purser("exec", "--task", "step", "--input", "in", "--", "./step.sh")
    #expect(outcome.code == 3)
  }
}
