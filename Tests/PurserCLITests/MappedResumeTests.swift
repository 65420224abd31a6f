import Glibc
import PurserModel
import Testing

/// Which items run: those that are not done, have failed, or are made from something else than before, and no others.
@Suite(.project)
struct MappedResumeTests: MappedSuite {
  let project = TestProject.current

  @Test(arguments: [MappedResumeTests.command, MappedResumeTests.withOutput])
  func `An item that fails leaves the task incomplete and the next run does it alone`(_ fields: String) throws {
    try project.makeFolder("out")
    try makeBad("c")
    try project.writeMapped(fields, more: "  use: {after: work, command: 'echo >> \"$COUNTS/use\"'}")
    try project.writeList(["a", "b", "c", "d", "e"])
    let first = try project.runPipeline("-j2")
    #expect(first.code == 1)
    #expect(first.endings == ["list": "ran", "work": "failed", "use": "skipped"])
    #expect(first.items == counts(ran: 4, failed: 1))
    #expect(first.errorText.contains("item 'c': exit code 1"), "\(first.errorText)")
    #expect(project.lines("items").sorted() == ["a", "b", "c", "d", "e"], "one failure stops no other item")
    #expect(try project.status(of: "work") == "INCOMPLETE")
    let failed = try project.purser("subtasks", "work", "--failed", "--json").json().array ?? []
    #expect(failed.map { $0["key"]?.string } == ["c"])
    #expect(failed.first?["error"]?.string == "exit code 1")
    #expect(try project.items(of: "work").map(\.isDone) == [true, true, false, true, true])

    try project.remove("../bad/c")
    try project.clearCounts()
    let second = try project.runPipeline("-j2")
    #expect(second.code == 0)
    #expect(second.endings == ["list": "fresh", "work": "ran", "use": "ran"])
    #expect(second.items == counts(ran: 1, kept: 4))
    #expect(project.lines("items") == ["c"])
    #expect(try project.status(of: "work") == "SUCCESS")
    #expect(try project.purser("subtasks", "work", "--failed", "--json").json().array?.isEmpty == true)
    #expect(try project.items(of: "work").map(\.isDone) == [true, true, true, true, true])
    #expect(try run() == [])
  }

  @Test func `What an item that fails printed last is its error`() throws {
    try project.writeMapped("command: echo first; echo 'no \"such\" thing' >&2; exit 3")
    try project.writeList(["a"])
    let run = try project.runPipeline("-j1")
    #expect(run.code == 1)
    #expect(try project.items(of: "work").first?.error == "exit code 3: no \"such\" thing")
    #expect(run.errorText.contains("task 'work' failed: item 'a': exit code 3: no \"such\" thing (of 1 items: "))
  }

  @Test func `When all items fail so does the task`() throws {
    try makeBad("a", "b")
    try project.writeMapped(Self.command)
    try project.writeList(["a", "b"])
    #expect(try run(code: 1) == ["a", "b"])
    #expect(try project.status(of: "work") == "FAILURE")
    try project.remove("../bad/a")
    #expect(try run(code: 1) == ["a", "b"])
    #expect(try project.status(of: "work") == "INCOMPLETE")
    #expect(try run(code: 1) == ["b"])
    try project.remove("../bad/b")
    #expect(try run() == ["b"])
    #expect(try project.status(of: "work") == "SUCCESS")
  }

  @Test func `Only the items that failed are tried again`() throws {
    try project.writeMapped(
      """
      command: |
        echo "$name" >> "$COUNTS/items"
        case "$name" in never) exit 4;; late) [ "$(grep -c late "$COUNTS/items")" -ge 2 ];; esac
      retries: 1
      """)
    try project.writeList(["a", "late", "b", "never", "c"])
    let first = try project.runPipeline("-j2")
    #expect(first.code == 1)
    #expect(project.executionsByItem() == ["a": 1, "b": 1, "c": 1, "late": 2, "never": 2])
    #expect(first.items == counts(ran: 4, failed: 1))
    #expect(try project.items(of: "work").map(\.isDone) == [true, true, true, false, true])
    #expect(try project.status(of: "work") == "INCOMPLETE")
  }

  @Test func `An item that succeeds when tried again has not failed`() throws {
    try project.writeMapped(
      """
      command: echo "$name" >> "$COUNTS/items"; [ "$name" != b ] || [ "$(grep -c b "$COUNTS/items")" -ge 2 ]
      retries: 1
      bundle_size: 1
      """)
    try project.writeList(["a", "b", "c"])
    let first = try project.runPipeline("-j2")
    #expect(first.code == 0, "\(first.errorText)")
    #expect(first.items == counts(ran: 3))
    #expect(project.executionsByItem() == ["a": 1, "b": 2, "c": 1])
    #expect(try project.status(of: "work") == "SUCCESS")
    #expect(try project.items(of: "work")[1].error == nil)
  }

  @Test func `An item beyond its time limit fails alone`() throws {
    try project.writeMapped(#"command: '[ "$name" != b ] || exec sleep 1000'"# + "\ntimeout: 500ms")
    try project.writeList(["a", "b"])
    let run = try project.runPipeline("-j1")
    #expect(run.code == 1)
    #expect(try project.items(of: "work").map(\.isDone) == [true, false])
    #expect(try project.items(of: "work")[1].error?.contains("time limit") == true)
    project.expectNoProcess()
  }

  @Test func `An item that does not make its output has failed`() throws {
    try project.makeFolder("out")
    try project.writeMapped(#"command: '[ "$name" = b ] || echo made > "out/$name"'"# + "\noutputs: ['out/${name}']")
    try project.writeList(["a", "b"])
    #expect(try project.runPipeline().code == 1)
    let items = try project.items(of: "work")
    #expect(items.map(\.isDone) == [true, false])
    #expect(items[1].error == "it did not make its output 'out/b'")
    #expect(try project.status(of: "work") == "INCOMPLETE")
  }

  // MARK: Something else changes

  @Test(arguments: [MappedResumeTests.command, MappedResumeTests.withOutput])
  func `Changed code runs all items, and so do invalidation and force`(_ fields: String) throws {
    try project.makeFolder("out")
    try project.write("code.txt", "1")
    try project.write("input.txt", "1")
    let more = "\ncode: [code.txt]\ninputs: [input.txt]"
    try project.writeMapped(fields + more)
    try project.writeList(["a", "b"])
    #expect(try run() == ["a", "b"])
    try project.write("code.txt", "2")
    #expect(try run() == ["a", "b"])
    try project.write("input.txt", "2")
    #expect(try run() == ["a", "b"])
    try project.writeMapped(fields.replacing("command: ", with: "command: true; ") + more)
    #expect(try run() == ["a", "b"])
    #expect(try project.purser("invalidate", "work", "--why", "test").code == 0)
    #expect(try run() == ["a", "b"])
    #expect(try run() == [])
    #expect(try run("--force") == ["a", "b"])
    #expect(try run() == [])
  }

  @Test func `An item's output that was removed or edited is put back`() throws {
    try project.makeFolder("out")
    try project.writeMapped(Self.withOutput)
    try project.writeList(["a", "b", "c"])
    #expect(try run().count == 3)
    try project.remove("out/a")
    try project.write("out/b", "edited")
    #expect(try run() == [])
    #expect(try project.text("out/a") == "a")
    #expect(try project.text("out/b") == "b")
  }

  @Test func `An output that belongs to no item comes back too`() throws {
    try project.makeFolder("out")
    try project.writeMapped(
      #"command: echo "$name" >> "$COUNTS/items"; echo "$name" > "out/$name"; echo s > summary"#
        + "\noutputs: ['out/${name}', summary]")
    try project.writeList(["a", "b"])
    #expect(try run() == ["a", "b"])
    try project.remove("summary")
    #expect(try run() == [])
    #expect(try project.text("summary") == "s\n")
    try project.remove("summary")
    try project.remove("out/a")
    #expect(try run("--storage-key", "other") == [])
    #expect(try project.text("summary") == "s\n")
    #expect(project.names("out") == ["a", "b"])
  }

  @Test func `An item that ran beside a change of its input is not done`() throws {
    try project.write("in", "1")
    try project.writeMapped(
      #"command: echo "$name" >> "$COUNTS/items"; [ "$name" != b ] || [ -e ../quiet ] || echo more >> in"#
        + "\ninputs: [in]")
    try project.writeList(["a", "b"])
    #expect(try run("-j1", code: 1) == ["a", "b"])
    #expect(try project.items(of: "work")[1].error == "'in' changed while it ran")
    #expect(try project.status(of: "work") != "SUCCESS")
    try project.write("../quiet", "")
    #expect(try run().contains("b"))
    #expect(try project.status(of: "work") == "SUCCESS")
    #expect(try run() == [])
  }

  @Test func `A mapped task may map over what another returned`() throws {
    try project.writeMapped(
      """
      command: echo "$name" >> "$COUNTS/items"; printf '"%s%s"' "$name" "$name" > "$PURSER_RESULT"
      cache_result: true
      iterable_item: twice
      """, more: "  second: {after: work, map_over: twice, command: 'echo \"$twice\" >> \"$COUNTS/second\"'}")
    try project.writeList(["a", "b"])
    #expect(try run("-j1") == ["a", "b"])
    #expect(project.lines("second") == ["aa", "bb"])
    try project.writeList(["c", "a", "b"])
    #expect(try run("-j1") == ["c"])
    #expect(project.lines("second") == ["cc"])
    #expect(try project.items(of: "second").map(\.key) == ["cc", "aa", "bb"])
  }

  @Test func `Two runs of one mapped task execute each item once`() throws {
    try project.makeFolder("out")
    try project.writeMapped(Self.withOutput)
    for round in 1...TestProject.rounds(8) {
      let names = (1...12).map { "r\(round)-\($0)" }
      try project.writeList(names)
      let runs = try (1...2).map { _ in
        let process = try project.start([TestProject.tool, "run", "--json", "-j2"])
        usleep(UInt32.random(in: 0...80_000))
        return process
      }
      for run in runs {
        let result = try PipelineRun(run.wait())
        #expect(result.code == 0, "round \(round): \(result.errorText)")
      }
      let executions = project.executionsByItem()
      for name in names { try #require(executions[name] == 1, "round \(round), '\(name)'") }
      #expect(project.names("out").count == 12)
    }
  }

  @Test func `What is done stays done on record, however many end at once`() throws {
    try project.writeMapped("command: ['true']")
    // Somebody else writes too, so that commits wait for each other.
    let others = try (1...3).map { _ in
      try project.start(["/bin/sh", "-c", #"until [ -e ../stop ]; do "$TOOL" subtasks other create a b; done"#])
    }
    defer { for other in others { kill(-other.pid, SIGKILL) } }
    for round in 1...TestProject.rounds(4) {
      try project.writeList((1...150).map { "r\(round)-\($0)" })
      #expect(try project.runPipeline("-j8").code == 0)
      let open = try project.items(of: "work").filter { !$0.isDone || $0.status != "done" }
      try #require(open.isEmpty, "round \(round): \(open.map { "\($0.key) is \($0.status ?? "waiting")" })")
    }
    try project.write("../stop", "")
    for other in others { #expect(try other.wait().code == 0) }
  }

  @Test func `A second Ctrl-C ends items that do not heed the first`() throws {
    try project.writeMapped(
      """
      command: |
        trap 'echo got >> "$COUNTS/got"' INT
        echo "$name" >> "$COUNTS/items"
        while :; do sleep 0.01 || :; done
      """
    )
    try project.writeList(["a", "b", "c", "d"])
    let process = try project.start([TestProject.tool, "run", "-j2"])
    #expect(hasComeTrue { project.lines("items").count == 2 })
    kill(-process.pid, SIGINT)
    #expect(hasComeTrue { project.lines("got").count == 2 })
    // Twice within a tenth of a second counts as one.
    usleep(150_000)
    kill(-process.pid, SIGINT)
    #expect(try process.wait(seconds: 30).code == 130)
    project.expectNoProcess()
    #expect(project.lines("items").count == 2, "nothing new was started")
    #expect(try project.items(of: "work").allSatisfy { !$0.isDone })
  }

  @Test func `After a failed item other tasks go on only if they are to`() throws {
    try makeBad("a")
    try project.writeMapped(
      Self.command, more: "  free: {after: list, priority: -1, command: 'echo >> \"$COUNTS/free\"'}")
    try project.writeList(["a", "b"])
    let first = try project.runPipeline("-j1")
    #expect(first.endings == ["list": "ran", "work": "failed", "free": "skipped"])
    let second = try project.runPipeline("-j1", "-k")
    #expect(second.code == 1)
    #expect(second.endings == ["list": "fresh", "work": "failed", "free": "ran"])
    #expect(project.executionsByItem() == ["a": 2, "b": 1])
  }

  @Test func `Stopped in the middle it goes on with what is not done`() throws {
    try project.writeMapped(
      #"command: echo "$name" >> "$COUNTS/items"; [ "$name" != stop ] || [ -e ../go ] || exec sleep 1000"#)
    try project.writeList(["a", "b", "stop", "c", "d"])
    let process = try project.start([TestProject.tool, "run", "-j1", "--json"])
    #expect(hasComeTrue { project.lines("items").contains("stop") })
    process.signal(SIGINT)
    let result = try PipelineRun(process.wait())
    #expect(result.code == 130)
    #expect(result.endings["work"] == "interrupted")
    project.expectNoProcess()
    #expect(try project.items(of: "work").map(\.isDone) == [true, true, false, false, false])
    #expect(try project.status(of: "work") != "SUCCESS")
    try project.write("../go", "")
    #expect(try run("-j1") == ["c", "d", "stop"])
    #expect(try project.status(of: "work") == "SUCCESS")
  }
}
