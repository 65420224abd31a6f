import Glibc
import PurserModel
import Testing

/// A graph runs in its order, and a second time only what follows a change.
@Suite(.project)
struct PipelineGraphTests {
  let project = TestProject.current

  /// A task that notes its start and its end.
  private func task(_ name: String, _ body: String, outputs: String? = nil, more: String = "") -> String {
    """
      \(name):
        command: |
          echo "+\(name)" >> "$COUNTS/order"
          \(body)
          echo "-\(name)" >> "$COUNTS/order"
        outputs: [\(outputs ?? name)]
    \(more)

    """
  }

  /// Every task began after the end of what it depends on, once.
  private func expectOrder(_ dependencies: [(String, after: String)], count: Int) {
    let order = project.lines("order")
    #expect(order.count == 2 * count, "\(order)")
    for (task, upstream) in dependencies {
      guard let start = order.firstIndex(of: "+" + task), let end = order.firstIndex(of: "-" + upstream) else {
        Issue.record("'\(task)' or '\(upstream)' did not run: \(order)")
        continue
      }
      #expect(end < start, "'\(task)' began before the end of '\(upstream)': \(order)")
    }
  }

  private func makeDiamond() throws {
    try project.write("in", "ab")
    try project.write(
      "purser.yaml",
      """
      graphs:
        diamond:
          tasks:
            bottom: [left, right]
            left: top
            right: {deps: top}
            top:
      tasks:

      """ + task("top", "head -c 1 in > top", more: "    inputs: [in]")
        + task("left", "cat top > left; echo left >> left") + task("right", "cat top > right; echo right >> right")
        + task("bottom", "cat left right > bottom"))
  }

  @Test(arguments: ["-j1", "-j2", "-j4"] as [ByteString])
  func `A diamond runs in its order`(_ jobs: ByteString) throws {
    try makeDiamond()
    let run = try project.runPipeline(jobs)
    #expect(run.code == 0)
    #expect(run.endings == ["top": "ran", "left": "ran", "right": "ran", "bottom": "ran"])
    expectOrder([("left", "top"), ("right", "top"), ("bottom", "left"), ("bottom", "right")], count: 4)
    #expect(try project.text("bottom") == "aleft\naright\n")
    let second = try project.runPipeline(jobs)
    #expect(second.code == 0)
    #expect(Set(second.endings.values) == ["fresh"])
    #expect(project.lines("order").count == 8)
  }

  @Test func `A fan-out runs in its order and gives the same with one job and with four`() throws {
    let leaves = (1...6).map { "leaf\($0)" }
    var text = "graphs:\n  fan:\n    tasks:\n      root:\n      sum: [\(leaves.joined(separator: ", "))]\n"
    text += leaves.map { "      \($0): root\n" }.joined() + "tasks:\n" + task("root", "seq 10 > root")
    text += leaves.map { task($0, "sed 's/^/\($0) /' root > \($0)") }.joined()
    text += task("sum", "cat \(leaves.joined(separator: " ")) > sum")
    for (folder, jobs) in [("one", "-j1"), ("four", "-j4")] as [(ByteString, ByteString)] {
      try project.write(folder + "/purser.yaml", text)
      try project.clearCounts()
      let run = try project.runPipeline(jobs, in: folder)
      #expect(run.code == 0)
      #expect(run.endings.values.allSatisfy { $0 == "ran" })
      expectOrder(leaves.flatMap { [($0, "root"), ("sum", $0)] }, count: 8)
    }
    for name in ["root", "sum"] + leaves {
      let made = try project.text("four/" + ByteString(name))
      #expect(!made.isEmpty)
      #expect(try project.text("one/" + ByteString(name)) == made)
    }
    #expect(try project.text("one/sum").split(separator: "\n").count == 60)
  }

  @Test func `What is ready runs at once, as many as there are jobs`() throws {
    // Each waits for the other: with one job neither would end.
    try project.write(
      "purser.yaml",
      """
      tasks:
        a: {command: "touch ../a; until [ -e ../b ]; do sleep 0.01; done"}
        b: {command: "touch ../b; until [ -e ../a ]; do sleep 0.01; done"}
      """)
    #expect(try project.runPipeline("-j2").code == 0)
  }

  /// So many short ones that some are made ready while others run (see `Places`).
  private func makeShort(_ count: Int, _ command: String) throws {
    let names = (100..<100 + count).map { "t\($0)" }
    let tasks = names.map { "  \($0): {command: '\(command) # \($0)', pure: true}\n" }.joined()
    try project.write("purser.yaml", "tasks:\n" + tasks)
  }

  @Test func `No more commands than jobs run at once, however short they are`() throws {
    try makeShort(150, "mkdir -p ../at; touch ../at/$$; ls ../at | wc -l >> ../counts/seen; rm ../at/$$")
    let run = try project.runPipeline("-j3")
    #expect(run.code == 0, "\(run.errorText)")
    #expect(run.endings.values.count { $0 == "ran" } == 150)
    let seen = project.lines("seen").compactMap { Int($0.filter { $0 != " " }) }
    #expect(seen.count == 150)
    #expect(seen.max().map { (2...3).contains($0) } == true, "\(seen)")
  }

  @Test func `Of short commands that are stopped, those that were made ready do not start, and none runs twice`() throws
  {
    try makeShort(400, "echo $PURSER_TASK >> ../counts/ran")
    let run = try project.start([TestProject.tool, "run", "-q", "-j2"])
    #expect(hasComeTrue(within: 60) { project.lines("ran").count >= 100 })
    run.signal(SIGINT)
    #expect(try run.wait().code == 130)
    #expect(project.lines("ran").count < 400)
    let rest = try project.runPipeline("-j2")
    #expect(rest.code == 0, "\(rest.errorText)")
    let executed = project.lines("ran")
    #expect(Set(executed).count == 400)
    // Only what was at work when the signal came.
    #expect(executed.count - 400 <= 2)
  }

  @Test func `With one job only one task runs at a time`() throws {
    let names = ["a", "b", "c", "d"]
    try project.write("purser.yaml", "tasks:\n" + names.map { task($0, "sleep 0.02; touch \($0)") }.joined())
    #expect(try project.runPipeline("-j1").code == 0)
    let order = project.lines("order")
    #expect(order.count == 8)
    for pair in stride(from: 0, to: order.count - 1, by: 2) {
      #expect(order[pair].dropFirst() == order[pair + 1].dropFirst(), "\(order)")
    }
  }

  @Test func `A higher priority goes first`() throws {
    try project.write(
      "purser.yaml",
      "tasks:\n" + task("a", "touch a", more: "    priority: -1") + task("b", "touch b")
        + task("c", "touch c", more: "    priority: 5"))
    #expect(try project.runPipeline("-j1").code == 0)
    #expect(project.lines("order") == ["+c", "-c", "+b", "-b", "+a", "-a"])
  }

  @Test func `A file without graphs orders its tasks by after`() throws {
    try project.write(
      "purser.yaml",
      "tasks:\n" + task("last", "cat first > last", more: "    after: first") + task("first", "echo 1 > first"))
    let run = try project.runPipeline("-j2")
    #expect(run.code == 0)
    expectOrder([("last", "first")], count: 2)
    #expect(try project.text("last") == "1\n")
  }

  @Test func `Only what follows a changed input runs`() throws {
    try project.write("one.txt", "1")
    try project.write("two.txt", "2")
    try project.write(
      "purser.yaml",
      "tasks:\n" + task("one", "cp one.txt one", more: "    inputs: [one.txt]")
        + task("two", "cp two.txt two", more: "    inputs: [two.txt]")
        + task("after_one", "cp one after_one", more: "    after: one")
        + task("after_two", "cp two after_two", more: "    after: two")
        + task("both", "cat after_one after_two > both", more: "    after: [after_one, after_two]"))
    #expect(try project.runPipeline().code == 0)
    try project.clearCounts()
    try project.write("two.txt", "II")
    let run = try project.runPipeline()
    #expect(
      run.endings == ["one": "fresh", "after_one": "fresh", "two": "ran", "after_two": "ran", "both": "ran"])
    #expect(Set(project.lines("order")) == ["+two", "-two", "+after_two", "-after_two", "+both", "-both"])
    #expect(try project.text("both") == "1II")
    // Back again: nothing has to run, everything is put back.
    try project.write("two.txt", "2")
    try project.clearCounts()
    #expect(
      try project.runPipeline().endings == [
        "one": "fresh", "after_one": "fresh", "two": "restored", "after_two": "restored", "both": "restored",
      ])
    #expect(project.lines("order") == [])
    #expect(try project.text("both") == "12")
  }

  @Test func `What comes out the same stops there`() throws {
    try makeDiamond()
    #expect(try project.runPipeline().code == 0)
    try project.clearCounts()
    // Only the first character counts.
    try project.write("in", "ax")
    let plan = try project.purser("plan", "--json").json()["tasks"]?.array ?? []
    #expect(plan.map { $0["decision"]?.string } == ["run", "run", "run", "run"])
    let run = try project.runPipeline("-j2")
    #expect(run.endings == ["top": "ran", "left": "fresh", "right": "fresh", "bottom": "fresh"])
    #expect(project.lines("order") == ["+top", "-top"])
    #expect(try project.runPipeline().endings.values.allSatisfy { $0 == "fresh" })
    try project.write("in", "bx")
    #expect(try project.runPipeline("-j2").endings.values.allSatisfy { $0 == "ran" })
    #expect(try project.text("bottom") == "bleft\nbright\n")
  }

  @Test func `A changed command runs again, with what follows if it comes out different`() throws {
    try makeDiamond()
    #expect(try project.runPipeline().code == 0)
    let file = try project.text("purser.yaml")
    try project.write("purser.yaml", file.replacing("cat top > left;", with: "cat top > left; :;"))
    #expect(
      try project.runPipeline().endings == ["top": "fresh", "left": "ran", "right": "fresh", "bottom": "fresh"])
    try project.write("purser.yaml", file.replacing("echo left >> left", with: "echo LEFT >> left"))
    #expect(try project.runPipeline().endings == ["top": "fresh", "left": "ran", "right": "fresh", "bottom": "ran"])
    #expect(try project.text("bottom") == "aLEFT\naright\n")
  }

  @Test func `An output that was removed or edited is put back without running`() throws {
    try makeDiamond()
    #expect(try project.runPipeline().code == 0)
    try project.clearCounts()
    try project.remove("left")
    try project.write("bottom", "edited")
    let run = try project.runPipeline()
    #expect(run.endings == ["top": "fresh", "left": "restored", "right": "fresh", "bottom": "restored"])
    #expect(try project.text("bottom") == "aleft\naright\n")
    #expect(project.lines("order") == [])
  }

  @Test func `A named task runs with what it needs and nothing else`() throws {
    try makeDiamond()
    let run = try project.runPipeline("left")
    #expect(run.code == 0)
    #expect(run.endings == ["top": "ran", "left": "ran"])
    #expect(project.lines("order") == ["+top", "-top", "+left", "-left"])
    #expect(!project.exists("right"))
    let rest = try project.runPipeline()
    #expect(rest.endings == ["top": "fresh", "left": "fresh", "right": "ran", "bottom": "ran"])
  }

  @Test func `Forced, everything that is asked for runs`() throws {
    try makeDiamond()
    #expect(try project.runPipeline().code == 0)
    let run = try project.runPipeline("--force")
    #expect(run.code == 0)
    #expect(run.endings.values.allSatisfy { $0 == "ran" })
    #expect(project.lines("order").count == 16)
    #expect(try project.runPipeline().endings.values.allSatisfy { $0 == "fresh" })
  }

  @Test func `Another storage key has outputs and data without running`() throws {
    try makeDiamond()
    let file = try project.text("purser.yaml")
    try project.write(
      "purser.yaml",
      file.replacing("      top:\n", with: "      top:\n      list: bottom\n")
        + task("list", "echo '[1, \"b\"]' > \"$PURSER_RESULT\"; cp bottom list", more: "    cache_result: true"))
    #expect(try project.runPipeline(environment: ["PURSER_STORAGE_KEY": "a"]).code == 0)
    try project.clearCounts()
    for name in ["top", "left", "right", "bottom", "list"] as [ByteString] { try project.remove(name) }
    let run = try project.runPipeline(environment: ["PURSER_STORAGE_KEY": "b"])
    #expect(run.code == 0)
    #expect(run.endings.count == 5)
    #expect(run.endings.values.allSatisfy { $0 == "restored" })
    #expect(project.lines("order") == [])
    #expect(try project.text("list") == "aleft\naright\n")
    let data = try project.purser("data", "get", "list", environment: ["PURSER_STORAGE_KEY": "b"])
    #expect(data.code == 0)
    #expect(try data.json().serialized == #"[1,"b"]"#)
    #expect(
      try project.runPipeline(environment: ["PURSER_STORAGE_KEY": "a"]).endings.values.allSatisfy { $0 == "fresh" })
    #expect(try project.runPipeline("--no-restore", environment: ["PURSER_STORAGE_KEY": "c"]).code == 0)
    #expect(project.lines("order").count == 10)
  }

  @Test func `A task that only has an effect runs again on another storage key`() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        load: {command: 'echo >> "$COUNTS/load"'}
        lint: {command: 'echo >> "$COUNTS/lint"', pure: true}
      """)
    for key in ["a", "b"] as [ByteString] {
      #expect(try project.runPipeline(environment: ["PURSER_STORAGE_KEY": key]).code == 0)
      #expect(try project.runPipeline(environment: ["PURSER_STORAGE_KEY": key]).code == 0)
    }
    #expect(project.executions("load") == 2)
    #expect(project.executions("lint") == 1)
  }
}

/// What a graph takes over from another.
@Suite(.project, .enabled(if: TestProject.hasPython, "python3 is not installed"))
struct PipelineExtendsTests {
  let project = TestProject.current

  @Test func `A graph that extends another has its tasks with other arguments`() throws {
    try project.write("steps.py", "def say(word, times=1):\n  open('said', 'a').write(word * times + '\\n')\n")
    try project.write(
      "purser.yaml",
      """
      graphs:
        base:
          tasks:
            say:
              args: {word: base, times: 2}
            other: say
        loud:
          extends:
            - graph: base
              args:
                say: {word: LOUD}
          tasks:
            more: [other]
      tasks:
        say: {file: steps.py}
        other: {command: 'echo "other" >> said'}
        more: {command: 'echo "more" >> said'}
      """)
    #expect(try project.runPipeline("--pipeline", "base").endings == ["say": "ran", "other": "ran"])
    #expect(try project.text("said") == "basebase\nother\n")
    let loud = try project.runPipeline("--pipeline", "loud")
    #expect(loud.code == 0)
    #expect(loud.endings == ["say": "ran", "other": "ran", "more": "ran"])
    #expect(try project.text("said") == "basebase\nother\nLOUDLOUD\nother\nmore\n")
    #expect(try project.runPipeline("--pipeline", "base").endings == ["say": "fresh", "other": "fresh"])
    #expect(try project.runPipeline("--pipeline", "loud").endings.values.allSatisfy { $0 == "fresh" })
  }
}
