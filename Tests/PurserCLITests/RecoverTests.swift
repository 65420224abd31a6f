import Glibc
import PurserModel
import Testing

/// A run that is killed is found, shown as it was, and gone on with by the command that is named.
@Suite(.project)
struct RecoverTests {
  let project = TestProject.current

  /// `first`, then the items of `work`, then `last`. Items wait while there is a file `hold` beside the project.
  private func writePipeline(_ items: Int = 6) throws {
    try project.write("list.json", JSON.array((0..<items).map { .string("i\($0)") }).serialized)
    try project.write(
      "purser.yaml",
      """
      tasks:
        first: {command: cp in first, inputs: in, outputs: first}
        list:
          command: cat list.json > "$PURSER_RESULT"
          inputs: list.json
          cache_result: true
          iterable_item: name
        work:
          after: [first, list]
          map_over: name
          command: echo "$name" >> "$COUNTS/items"; if [ "$name" = i3 ]; then while [ -e ../hold ]; do sleep 0.01; done; fi
        last: {command: cp first last, outputs: last, after: work}
      """)
    try project.write("in", "1\n")
    try project.write("../hold", "")
  }

  /// Starts the pipeline and waits until `i3` is at work: the three before it are on record then.
  private func startUntilHeld(_ arguments: [ByteString] = []) throws -> RunningProcess {
    let run = try project.start([TestProject.tool, "run", "-j1"] + arguments)
    #expect(hasComeTrue(within: 60) { project.lines("items").last == "i3" })
    return run
  }

  private func killedRun(_ arguments: ByteString...) throws {
    let run = try startUntilHeld(arguments)
    run.signal(SIGKILL)
    _ = try run.wait()
    project.expectNoProcess()
  }

  private func runs(_ arguments: ByteString...) throws -> [JSON] {
    try project.purser(["recover", "--json"] + arguments).json()["runs"]?.array ?? []
  }

  @Test func `A killed run is listed with what was active, pending and done, and gone on with`() throws {
    #expect(
      try project.purser("recover").outputText
        == "No run was interrupted on default, or what it had left was done since.\n")
    try writePipeline()
    let run = try startUntilHeld()
    #expect(try runs().isEmpty, "somebody is at it")
    run.signal(SIGKILL)
    _ = try run.wait()
    let found = try #require(try runs().first)
    #expect(found["storageKey"]?.string == "default" && found["pipeline"]?.string == "project")
    #expect(found["pid"]?.integer == Int64(run.pid))
    #expect(found["done"]?.serialized == #"["first","list"]"#)
    let active = try #require(found["active"]?.array?.first)
    #expect(active["task"]?.string == "work" && active["done"]?.integer == 3 && active["total"]?.integer == 6)
    #expect(found["pending"]?.serialized == #"["last"]"# && found["failed"]?.serialized == "[]")
    #expect(found["resume"]?.serialized == #"["purser","run"]"#)
    let id = try #require(found["run"]?.string)
    let text = try project.purser("recover").outputText
    #expect(text.hasPrefix("run \(id) of project on default, begun 20"))
    #expect(text.contains("\n  of 4 tasks: 2 done, 1 active, 1 pending\n"))
    #expect(text.contains(", 3 of 6 items done\n  pending  last\n  done     first, list\n  to go on: purser run\n"))
    try project.remove("../hold")
    let outcome = try project.purser("run")
    #expect(outcome.code == 0)
    #expect(outcome.errorText.contains("that was killed: 2 of its 4 tasks were done\n"))
    #expect(project.executionsByItem().filter { $0.key != "i3" }.values.allSatisfy { $0 == 1 })
    #expect(try runs().isEmpty)
  }

  @Test func `What other commands have done since is not listed any more`() throws {
    try writePipeline()
    try killedRun()
    try project.remove("../hold")
    #expect(try project.purser("run", "work").code == 0)
    let left = try #require(try runs().first)
    #expect(left["active"]?.serialized == "[]" && left["pending"]?.serialized == #"["last"]"#)
    #expect(try project.purser("run", "last").code == 0)
    #expect(try runs().isEmpty)
    #expect(try project.purser("recover").outputText.hasPrefix("No run was interrupted"))
  }

  @Test func `A run is named with the words that go on with it, and can be forgotten`() throws {
    try writePipeline()
    try killedRun("work", "--keep-going", "--storage-key", "it's")
    #expect(try runs().isEmpty, "it is another storage key's")
    let found = try #require(try runs("--all-keys").first)
    #expect(
      found["resume"]?.serialized == #"["purser","--storage-key","it's","run","--keep-going","work"]"#)
    #expect(
      try project.purser("recover", "--all-keys").outputText.hasSuffix(
        #"  to go on: purser --storage-key 'it'\''s' run --keep-going work"# + "\n"))
    let id = ByteString(try #require(found["run"]?.string))
    let wrong = try project.purser("recover", "forget", "0", "--all-keys")
    #expect(wrong.code == 66 && wrong.errorText == "error: no interrupted run '0'; see 'purser recover'\n")
    #expect(try project.purser("recover", "forget", id, "--all-keys").code == 0)
    #expect(try runs("--all-keys").isEmpty)
    #expect(try project.items(of: "work", environment: ["PURSER_STORAGE_KEY": "it's"]).count(where: \.isDone) == 3)
  }

  @Test func `Without resuming, an interrupted task begins with its first item`() throws {
    try writePipeline()
    try killedRun()
    try project.remove("../hold")
    let both = try project.purser("run", "--resume", "--no-resume")
    #expect(both.code == 64)
    let outcome = try project.runPipeline("--no-resume")
    #expect(outcome.endings == ["first": "fresh", "list": "fresh", "work": "ran", "last": "ran"])
    #expect(outcome.items["work"]?["ran"] == 6 && outcome.items["work"]?["kept"] == 0)
    #expect(try project.runPipeline("--no-resume").endings.values.allSatisfy { $0 == "fresh" })
  }

  @Test func `A run that was stopped or failed came to its end`() throws {
    try writePipeline()
    let run = try startUntilHeld()
    run.signal(SIGTERM)
    #expect(try run.wait().code == 143)
    #expect(try runs().isEmpty)
    try project.write("purser.yaml", "tasks:\n  bad: {command: exit 3}\n")
    #expect(try project.purser("run").code == 1)
    #expect(try runs().isEmpty)
  }

  @Test(.enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
  func `An unchanged graph writes nothing, also where a run of it was killed`() throws {
    try writePipeline()
    try project.remove("../hold")
    #expect(try project.purser("run").code == 0)
    let trees = try project.query("SELECT count(*) FROM execution_trees")
    let counters = ["task_runs", "task_events", "artifacts", "snapshots"].map { "SELECT count(*) FROM \($0)" }
    let before = try counters.map { try project.query($0) }
    let generation = try project.bytes(".purser/write.lock")
    #expect(try project.purser("run", "-v").code == 0)
    #expect(try project.purser("run", "--force", "--json", "-q", "first").code == 0)
    #expect(try project.query("SELECT count(*) FROM execution_trees") == trees, "only the last run's tree is kept")
    #expect(try counters.map { try project.query($0) } != before)
    let afterForce = try project.bytes(".purser/write.lock")
    #expect(generation != afterForce)
    #expect(try project.purser("run", "-v").code == 0)
    #expect(try project.bytes(".purser/write.lock") == afterForce, "somebody went through the writers' gate")
  }

  @Test func `What a task left can be looked at, and how much there is`() throws {
    try writePipeline()
    try project.remove("../hold")
    #expect(try project.purser("run").code == 0)
    let text = try project.purser("db", "dump").outputText
    #expect(
      text.hasPrefix(
        "=== SQLite DB contents ===\nArtifacts by execution:\n  default / project: 4 entries\nExecution trees:\n  default / project (run "
      ))
    #expect(text.contains("\nSnapshots by execution:\n  default: 1 snapshot, "))
    #expect(text.hasSuffix("\nExecution states:\n"))
    let dump = try project.purser("db", "dump", "--json").json()
    #expect(dump["artifacts"]?.serialized == #"[{"execution":"[\"default\",\"project\"]","entries":4}]"#)
    #expect(dump["trees"]?.array?.count == 1 && dump["states"]?.serialized == "[]")
  }
}
