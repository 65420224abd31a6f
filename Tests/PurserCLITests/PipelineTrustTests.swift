import Glibc
import PurserModel
import Testing

/// Ways in which a pipeline could take a wrong result for a right one, and does not.
@Suite(.project)
struct PipelineTrustTests {
  let project = TestProject.current

  /// Starts a run, waits until an item has begun, does something, and lets the items go on.
  private func runBeside(_ script: String) throws -> Outcome {
    let run = try project.start([TestProject.tool, "run", "-j1"])
    #expect(hasComeTrue { project.exists("../begun") })
    try project.shell(script + "; touch ../go")
    return try run.wait()
  }

  private let waiting = "touch ../begun; until [ -e ../go ]; do sleep 0.01; done; "

  @Test func `Items that ran while an input came and went run again`() throws {
    for name in ["ref", "out"] as [ByteString] { try project.makeFolder(name) }
    try project.write("ref/a.txt", "good")
    try project.writeMapped(
      "command: '\(waiting)cat ref/*.txt > out/$name'\ninputs: [\"ref/*.txt\"]\noutputs: ['out/${name}']")
    try project.writeList(["x", "y"])
    #expect(try runBeside("printf bad > ref/b.txt").code == 1)
    #expect(try project.items(of: "work").allSatisfy { !$0.isDone })
    try project.remove("ref/b.txt")
    #expect(try project.runPipeline().code == 0)
    for name in ["out/x", "out/y"] as [ByteString] { #expect(try project.text(name) == "good") }
  }

  @Test func `An upstream output that is rewritten with the same while a task runs is noticed`() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        up: {command: "echo one > up.txt", outputs: [up.txt]}
        down: {after: up, command: "\(waiting)cat up.txt > down.txt", outputs: [down.txt]}
      """)
    let outcome = try runBeside("echo two > up.txt; sleep 0.02; echo one > up.txt")
    #expect(outcome.code == 1)
    #expect(outcome.errorText.contains("not stored: up.txt changed while it ran"))
    #expect(try project.runPipeline().code == 0)
    #expect(try project.text("down.txt") == "one\n")
  }

  @Test func `What ran may touch more than it declares: what follows is looked at again`() throws {
    try project.write("source", "1")
    try project.write(
      "purser.yaml",
      """
      tasks:
        up: {command: "cp source mid", inputs: [source]}
        down: {after: up, command: "cp mid end", inputs: [mid], outputs: [end]}
      """)
    for _ in 0..<2 { #expect(try project.runPipeline().code == 0) }
    try project.write("source", "2")
    #expect(try project.runPipeline().endings == ["up": "ran", "down": "ran"])
    #expect(try project.text("end") == "2")
  }

  @Test func `Two mapped tasks whose patterns match each other's outputs leave each other alone`() throws {
    try project.makeFolder("out")
    try project.writeMapped(
      "command: 'echo \"$name\" > out/$name'\noutputs: ['out/${name}']",
      more: """
          done:
            after: list
            map_over: name
            command: 'echo "$name" > out/$name-done'
            outputs: ['out/${name}-done']
        """)
    try project.writeList(["a", "b"])
    #expect(try project.runPipeline().code == 0)
    #expect(project.names("out") == ["a", "a-done", "b", "b-done"])
    #expect(try project.runPipeline().endings == ["list": "fresh", "work": "fresh", "done": "fresh"])
  }

  @Test func `Two items that would make the same file are refused, and named`() throws {
    try project.writeMapped(
      "command: 'echo \"$b\" > out/$a'\noutputs: ['out/${a}']".replacing("name", with: "a"), over: "a,b")
    try project.write("list.json", #"[["x", "1"], ["x", "2"]]"#)
    let run = try project.runPipeline()
    #expect(run.code == 1)
    let said = "\(run.errorText)\(String(decoding: run.outcome.output, as: UTF8.self))"
    #expect(said.contains("items 'x,1' and 'x,2' of task 'work' would both make 'out/x'"))
  }

  @Test func `An item that was marked as failed by hand runs again`() throws {
    try project.makeFolder("out")
    try project.writeMapped(
      "command: 'echo \"$name\" >> \"$COUNTS/items\"; echo > out/$name'\noutputs: ['out/${name}']")
    try project.writeList(["a", "b"])
    #expect(try project.runPipeline().code == 0)
    #expect(try project.purser("subtasks", "work", "fail", "a", "--error", "looked at it").code == 0)
    #expect(try project.runPipeline().code == 0)
    #expect(project.lines("items").sorted() == ["a", "a", "b"])
  }

  @Test func `Two runs that wait for each other's tasks both come to an end`() throws {
    let work = "{map_over: n, pure: true, retries: 3, command: 'sleep 0.1; test -e ../ok'}"
    try project.write(
      "purser.yaml",
      """
      graphs:
        g: {tasks: {list: , one: list, two: list}}
        h: {tasks: {list: , two: list, one: list}}
      settings: {cache_namespace: both}
      tasks:
        list: {command: 'echo "[1,2]" > "$PURSER_RESULT"', cache_result: true, iterable_item: n}
        one: \(work)
        two: \(work)
      """)
    let runs = try ["g", "h"].map {
      try project.start([TestProject.tool, "run", "-j1", "-k", "--pipeline", ByteString($0)])
    }
    #expect(hasComeTrue { runs.contains { $0.errorSoFar.contains("trying again") } })
    try project.write("../ok", "")
    for run in runs { #expect(try run.wait(seconds: 60).code == 0) }
  }
}
