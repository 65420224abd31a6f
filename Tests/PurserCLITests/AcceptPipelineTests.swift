import Glibc
import PurserModel
import Testing

/// Acceptance in pipelines: data, mapped tasks, kept plans, dep files.
@Suite(.project, .enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
struct AcceptPipelineTests {
  let project = TestProject.current

  private func accept(_ arguments: ByteString..., code: Int32 = 0) throws -> Outcome {
    let outcome = try project.purser(["accept", "--why", "a comment"] + arguments)
    #expect(outcome.code == code, "\(outcome.errorText)")
    return outcome
  }

  /// load, and tidy made from it.
  private func writeTwo(_ comment: String = "") throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        load:
          command: 'echo >> "$COUNTS/load"; echo L > load.txt\(comment)'
          outputs: [load.txt]
        tidy:
          after: load
          command: 'echo >> "$COUNTS/tidy"; cat load.txt > tidy.txt'
          inputs: [load.txt]
          outputs: [tidy.txt]
      """)
  }

  // MARK: Declarations of the file

  @Test func `A changed command of the file is accepted, and what follows is not run`() throws {
    try writeTwo()
    #expect(try project.runPipeline().code == 0)
    try writeTwo("; # a comment")
    #expect(try project.runPipeline().endings == ["load": "ran", "tidy": "fresh"])
    try writeTwo("; # another")
    #expect(try accept("load").outputText == "load: accepted (argv)\n")
    #expect(try project.runPipeline().endings == ["load": "fresh", "tidy": "fresh"])
    #expect(project.executions("load") == 2 && project.executions("tidy") == 1)
    let plan = try project.purser("plan", "--json").json()["tasks"]?.array
    #expect(plan?.allSatisfy { $0["decision"]?.string == "fresh" && $0["reasons"]?.serialized == "[]" } == true)
  }

  @Test func `Tasks of the file that never ran are adopted, in their order`() throws {
    try writeTwo()
    try project.write("load.txt", "L\n")
    try project.write("tidy.txt", "L\n")
    let outcome = try accept("tidy", code: 65)
    #expect(
      outcome.errorText
        == "error: task 'tidy' is not accepted: it comes after 'load', which has no standing result on storage key "
        + "'default'; run or accept 'load' first\n")
    _ = try accept("load")
    _ = try accept("tidy")
    #expect(try project.runPipeline().endings == ["load": "fresh", "tidy": "fresh"])
    #expect(project.executions("load") == 0 && project.executions("tidy") == 0)
    // Nobody knows what they take.
    let plan = try project.purser("plan", "--force", "--json").json()
    #expect(plan["expectedMicroseconds"]?.integer == 0)
    #expect(plan["tasks"]?.array?.allSatisfy { $0["expectedMicroseconds"]?.serialized == "null" } == true)
    #expect(try project.status(of: "load", "state") == "fresh")
    #expect(try project.runPipeline("--storage-key", "other").endings == ["load": "ran", "tidy": "ran"])
  }

  // MARK: Data

  @Test func `A task that returns data needs it`() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        list:
          command: cat list.json > "$PURSER_RESULT"
          inputs: [list.json]
          cache_result: true
        use:
          after: list
          command: echo >> "$COUNTS/use"; echo > used
          outputs: [used]
      """)
    try project.write("list.json", "[1, 2]")
    let outcome = try accept("list", code: 65)
    #expect(
      outcome.errorText
        == "error: task 'list' is not accepted: it returns data, and there is none; set it with 'purser data set list', or "
        + "run it\n")
    try project.write("data", "[1, 2]")
    #expect(try project.purser("data", "set", "list", "--from", "data").code == 0)
    _ = try accept("list")
    #expect(try project.runPipeline().endings == ["list": "fresh", "use": "ran"])
    #expect(try project.purser("data", "get", "list").outputText == "[1,2]\n")
    // A change, and back: the data comes with the result.
    try project.write("list.json", "[3]")
    #expect(try project.runPipeline().endings == ["list": "ran", "use": "ran"])
    try project.write("list.json", "[1, 2]")
    #expect(try project.runPipeline().endings == ["list": "restored", "use": "restored"])
    #expect(try project.purser("data", "get", "list").outputText == "[1,2]\n")
    // Elsewhere it is made.
    #expect(try project.runPipeline("--storage-key", "other").endings["list"] == "ran")
  }

  @Test func `An accepted change leaves the data as it is`() throws {
    try project.writeMapped("command: 'true'", more: "")
    try project.writeList(["a"])
    #expect(try project.runPipeline().code == 0)
    try project.write("list.json", #"[ "a" ]"#)
    _ = try accept("list")
    #expect(try project.purser("data", "get", "list").outputText == "[\"a\"]\n")
    #expect(try project.runPipeline().endings == ["list": "fresh", "work": "fresh"])
  }

  // MARK: Mapped tasks

  private func writeWork(_ comment: String = "", outputs: Bool = true) throws {
    try project.makeFolder("out")
    try project.writeMapped(
      #"command: 'echo "$name" >> "$COUNTS/items"; sh work.sh "$name"'"# + "\ncode: [work.sh]"
        + (outputs ? "\noutputs: ['out/${name}']" : ""))
    try project.write(
      "work.sh", (outputs ? #"printf '%s' "$1" > "out/$1""# : "true") + "\n" + (comment.isEmpty ? "" : "# \(comment)\n")
    )
  }

  private func run(_ options: ByteString..., code: Int32 = 0) throws -> [String] {
    try project.clearCounts()
    let outcome = try project.purser(["run", "--json"] + options)
    #expect(outcome.code == code, "\(outcome.errorText)")
    return project.lines("items").sorted()
  }

  @Test(arguments: [true, false])
  func `Of a mapped task whose change was accepted, only new items run`(hasOutputs: Bool) throws {
    try writeWork(outputs: hasOutputs)
    try project.writeList(["a", "b"])
    #expect(try run() == ["a", "b"])
    try writeWork("first", outputs: hasOutputs)
    #expect(try accept("work").outputText == "work: accepted (work.sh)\n")
    #expect(try run() == [])
    try project.writeList(["a", "b", "c"])
    #expect(try run() == ["c"])
    try writeWork("second", outputs: hasOutputs)
    _ = try accept("work")
    try project.writeList(["d", "c", "a"])
    #expect(try run() == ["d"])
    #expect(try run() == [])
    if hasOutputs {
      #expect(project.names("out") == ["a", "c", "d"])
      #expect(try project.purser("status").outputText.contains("fresh (accepted)"))
    }
    // An item that changes its own mind is run.
    try writeWork("third", outputs: hasOutputs)
    #expect(try run() == ["a", "c", "d"])
    #expect(try project.purser("explain", "--json", "work").json()["acceptances"]?.serialized == "[]")
    try project.requireSoundRecords()
  }

  @Test func `Nothing of it reaches another storage key, neither items nor the whole`() throws {
    try writeWork()
    try project.writeList(["a", "b"])
    _ = try run()
    try writeWork("a comment")
    _ = try accept("work")
    try project.writeList(["a", "b", "c"])
    #expect(try run() == ["c"])
    #expect(try run("--storage-key", "other") == ["a", "b"], "c was really made like this")
    #expect(try run("--storage-key", "third") == [])
    #expect(try run() == [])
  }

  @Test func `After it is taken back the items of before run again, those of after do not`() throws {
    try writeWork()
    try project.writeList(["a", "b"])
    _ = try run()
    try writeWork("a comment")
    _ = try accept("work")
    try project.writeList(["a", "b", "c"])
    #expect(try run() == ["c"])
    #expect(try project.purser("accept", "--revoke", "work").code == 0)
    #expect(try run() == ["a", "b"])
    #expect(try run() == [])
    #expect(try project.query("SELECT count(*) FROM acceptances") == ["0"])
  }

  @Test func `Items without outputs that were taken over are taken back too`() throws {
    try writeWork(outputs: false)
    try project.writeList(["a"])
    _ = try run()
    try writeWork("a comment", outputs: false)
    _ = try accept("work")
    try project.writeList(["a", "b"])
    #expect(try run() == ["b"])
    #expect(try project.purser("accept", "--revoke", "work").code == 0)
    #expect(try run() == ["a"])
  }

  @Test func `An output that belongs to no single item is taken over as a whole, and back`() throws {
    try project.writeMapped(
      #"command: 'echo "$name" >> "$COUNTS/items"; echo "$name" >> all; sh work.sh'"#
        + "\ncode: [work.sh]\noutputs: [all]\ngroup_size: 1")
    try project.write("work.sh", "true\n")
    try project.writeList(["a", "b"])
    #expect(try run("-j1") == ["a", "b"])
    try project.write("work.sh", "true\n# a comment\n")
    _ = try accept("work")
    try project.remove("all")
    #expect(try project.runPipeline().endings["work"] == "restored")
    #expect(try project.text("all") == "a\nb\n")
    // What was put back here is nobody else's.
    #expect(try run("-j1", "--storage-key", "other") == ["a", "b"])
    #expect(try project.purser("accept", "--revoke", "work").code == 0)
    try project.remove("all")
    #expect(try run("-j1").isEmpty, "the other storage key has made it")
    #expect(try project.text("all") == "a\nb\n")
  }

  @Test func `An item that was never done is not hidden behind the others`() throws {
    try writeWork()
    try project.writeList(["a", "b"])
    _ = try run()
    try project.writeList(["b", "c"])
    #expect(try project.runPipeline("list").code == 0)
    try writeWork("a comment")
    let outcome = try accept("work", code: 65)
    #expect(
      outcome.errorText == "error: task 'work' is not accepted: its item 'c' was never done; run the task\n")
    try project.writeList(["b", "a"])
    #expect(try project.runPipeline("list").code == 0)
    _ = try accept("work")
    #expect(try run() == [])
  }

  @Test func `A mapped task that never ran is not adopted`() throws {
    try writeWork()
    try project.writeList(["a"])
    #expect(try project.runPipeline("list").code == 0)
    try project.write("out/a", "a")
    let outcome = try accept("work", code: 65)
    #expect(
      outcome.errorText
        == "error: task 'work' is not accepted: it is mapped and has no standing result, and what its items made cannot be "
        + "told apart; run it\n")
  }

  @Test func `A mark voids items that stand by somebody's word`() throws {
    try writeWork()
    try project.writeList(["a", "b"])
    _ = try run()
    try writeWork("a comment")
    _ = try accept("work")
    #expect(try project.purser("invalidate", "work").code == 0)
    #expect(try run() == ["a", "b"])
    #expect(try project.purser("explain", "--json", "work").json()["acceptances"]?.serialized == "[]")
  }

  // MARK: Kept plans

  @Test func `A kept plan is not believed when something was accepted, or taken back`() throws {
    var tasks = "tasks:\n"
    for number in 0..<60 {
      tasks += "  t\(number):\n    command: 'echo >> \"$COUNTS/runs\"; cat in\(number) > out\(number)'\n"
      tasks += "    inputs: [in\(number)]\n    outputs: [out\(number)]\n"
      try project.write(ByteString("in\(number)"), "\(number)\n")
    }
    try project.write("purser.yaml", tasks)
    func ran() throws -> Int {
      try project.clearCounts()
      let outcome = try project.purser("run")
      #expect(outcome.code == 0, "\(outcome.errorText)")
      return project.executions("runs")
    }
    #expect(try ran() == 60)
    #expect(try ran() == 0)
    try project.write("in7", "7 \n")
    _ = try accept("t7")
    #expect(try ran() == 0)
    #expect(try ran() == 0)
    #expect(try project.text("out7") == "7\n")
    #expect(try project.purser("accept", "--revoke", "t7").code == 0)
    #expect(try ran() == 1)
    #expect(try project.text("out7") == "7 \n")
    _ = try project.purser("invalidate", "t3*")
    #expect(try ran() == 11)
    _ = try project.purser("invalidate", "t3*")
    _ = try project.purser("uninvalidate", "t3*")
    #expect(try ran() == 0)
  }

  // MARK: Dep files

  @Test func `A header's change is accepted here, and comes back when it does`() throws {
    try project.script(
      "cc.sh", "cat x.c a.h > x.o; printf 'x.o: x.c a.h\\n' > x.d", counting: "cc")
    try project.write("x.c", "c\n")
    try project.write("a.h", "one\n")
    let step: [ByteString] = [
      "--task", "x", "--depfile", "x.d", "--code", "x.c", "--output", "x.o", "--", "./cc.sh",
    ]
    #expect(try project.purser(["exec"] + step).code == 0)
    try project.write("a.h", "one // a comment\n")
    #expect(try accept("x").outputText == "x: accepted (a.h)\n")
    #expect(try project.purser(["check"] + step).code == 0)
    #expect(try project.purser(["check", "--storage-key", "other"] + step).code == 1)
    try project.write("a.h", "two\n")
    #expect(try project.purser(["exec"] + step).code == 0)
    #expect(project.executions("cc") == 2)
    try project.write("a.h", "one // a comment\n")
    #expect(try project.purser(["exec"] + step).code == 0)
    #expect(try project.text("x.o") == "c\none\n")
    #expect(project.executions("cc") == 2)
    #expect(try project.purser("accept", "--revoke", "x").code == 0)
    #expect(try project.purser(["exec"] + step).code == 0)
    #expect(project.executions("cc") == 3)
  }
}
