import Glibc
import PurserModel
import Testing

/// A branch's records as they were: taken, shown, compared, brought back.
@Suite(.project)
struct SnapshotTests {
  let project = TestProject.current

  private func make() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        a: {command: cat in > a, inputs: in, outputs: a}
        b: {command: cat a > b, outputs: b, after: a}
      """)
    try run("1\n")
  }

  private func run(_ input: String, _ options: ByteString...) throws {
    try project.write("in", input)
    let outcome = try project.purser(["run", "-q"] + options)
    #expect(outcome.code == 0, "\(outcome.errorText)")
  }

  private func list() throws -> [(id: ByteString, kind: String)] {
    try (project.purser("snapshot", "--json").json()["snapshots"]?.array ?? []).map {
      (ByteString($0["id"]?.string ?? ""), $0["kind"]?.string ?? "")
    }
  }

  private func create(_ arguments: ByteString...) throws -> ByteString {
    let outcome = try project.purser(["snapshot", "create", "--json"] + arguments)
    #expect(outcome.code == 0, "\(outcome.errorText)")
    return ByteString(try #require(try outcome.json()["id"]?.string))
  }

  @Test func `A run leaves a snapshot, unless it did nothing or was told not to`() throws {
    try make()
    #expect(try list().map(\.kind) == ["run"])
    try run("1\n")
    #expect(try list().count == 1)
    try run("2\n", "--snapshot-every", "0")
    #expect(try list().count == 1)
    try run("3\n", "--snapshot-every", "1h")
    #expect(try list().map(\.kind) == ["run", "run"])
    for number in 4...15 { try run("\(number)\n", "--snapshot-every", "1h") }
    #expect(try list().count == 10, "the last ten are kept")
    let wrong = try project.purser("run", "--snapshot-every", "soon")
    #expect(wrong.code == 64)
    #expect(
      wrong.errorText.hasPrefix(
        "error: --snapshot-every is a duration such as 30s or 10m, or 0 for none, not 'soon'\n"))
  }

  @Test(arguments: ["--snapshot-every", "file"])
  func `Snapshots are taken while a run goes on`(_ way: ByteString) throws {
    let isInFile = way == "file"
    try project.write("../hold", "")
    try project.write(
      "purser.yaml",
      """
      \(isInFile ? "settings: {snapshot_every: 50ms}" : "")
      tasks:
        slow: {command: 'while [ -e ../hold ]; do sleep 0.01; done'}
      """)
    let run = try project.start([TestProject.tool, "run"] + (isInFile ? [] : [way, "50ms"]))
    #expect(try hasComeTrue(within: 60) { try list().count { $0.kind == "interval" } >= 3 })
    try project.remove("../hold")
    #expect(try run.wait().code == 0)
    #expect(try list().first?.kind == "run")
  }

  @Test func `What is brought back is what was there, and what stood there is kept`() throws {
    try make()
    let first = try create("--note", "before the change")
    let before = try project.purser("snapshot", "show", first, "--json").json()
    try run("2\n")
    #expect(try project.purser("invalidate", "b").code == 0)
    let difference = try project.purser("snapshot", "diff", first, "--json").json()
    #expect(difference["tasks"]?.array?.map { $0["task"]?.string } == ["a", "b"])
    #expect(difference["tasks"]?.array?.last?["invalidated"]?.serialized == #"{"was":false,"is":true}"#)
    #expect(difference["wouldRerun"]?.array?.map { $0["task"]?.string } == ["a", "b"])
    let outcome = try project.purser("snapshot", "restore", ByteString(first.bytes.prefix(6)), "--json")
    #expect(outcome.code == 0, "\(outcome.errorText)")
    let json = try outcome.json()
    #expect(
      json["restored"]?.string == first.escaped && json["tasks"]?.integer == 2 && json["replacedTasks"]?.integer == 2)
    #expect(
      try project.purser("snapshot", "diff", first).outputText
        == "Nothing differs between \(first.escaped.prefix(8)) and now.\n")
    #expect(try project.text("b") == "2\n", "files are left as they are")
    try run("1\n")
    #expect(try project.text("b") == "1\n")
    let saved = ByteString(try #require(json["before"]?.string))
    #expect(try list().contains { $0.id == saved && $0.kind == "restore" })
    let two = try project.purser("snapshot", "diff", first, saved).outputText
    #expect(two.hasPrefix("a\n  in  (inputs)  was "))
    #expect(two.contains("invalidated on \(saved.escaped.prefix(8))"))
    #expect(try project.purser("snapshot", "restore", saved).code == 0)
    #expect(try project.purser("check", "b").errorText.isEmpty)
    #expect(before["note"]?.string == "before the change")
    #expect(before["records"]?.array?.map { $0["status"]?.string } == ["SUCCESS", "SUCCESS"])
  }

  @Test func `Nothing is brought back while somebody is at a task of the branch`() throws {
    try make()
    try project.write("../hold", "")
    let held = try project.start([
      TestProject.tool, "exec", "--task", "slow", "--", "sh", "-c",
      "echo >> $COUNTS/slow; while [ -e ../hold ]; do sleep 0.01; done",
    ])
    #expect(hasComeTrue(within: 60) { project.executions("slow") == 1 })
    let outcome = try project.purser("snapshot", "restore", "latest")
    #expect(outcome.code == 75)
    #expect(
      outcome.errorText.hasPrefix(
        "error: storage key 'default' is in use: process \(held.pid) is at task 'slow', at work since 20"))
    #expect(try list().count == 1)
    held.signal(SIGKILL)
    _ = try held.wait()
    #expect(try project.purser("snapshot", "restore", "latest").code == 0, "a dead owner is in nobody's way")
    try project.remove("../hold")
  }

  @Test func `What a snapshot names outlives gc until the snapshot goes`() throws {
    try make()
    let first = try create()
    try run("2\n")
    #expect(
      try project.purser("snapshot", "prune", "--keep", "1", "--dry-run").outputText.hasPrefix(
        "would remove 2 snapshots: "))
    #expect(try project.purser("gc", "--older-than", "0s").code == 0)
    #expect(try project.purser("snapshot", "restore", first).code == 0)
    let restored = try project.runPipeline()
    #expect(restored.code == 0)
    try project.write("in", "1\n")
    #expect(try project.runPipeline("--snapshot-every", "0").endings == ["a": "restored", "b": "restored"])
    #expect(try project.purser("snapshot", "prune", "--keep", "0").code == 0)
    #expect(try list().isEmpty)
    let gone = try project.purser("snapshot", "restore", first)
    #expect(gone.code == 66)
    #expect(
      gone.errorText == "error: no snapshot's id begins with '\(first.escaped)'; there is no snapshot here yet\n")
  }

  @Test func `What is asked wrongly is refused with what to do`() throws {
    func expect(_ arguments: [ByteString], _ code: Int32, _ message: String) throws {
      let outcome = try project.purser(["snapshot"] + arguments)
      #expect(outcome.code == code && outcome.errorText.hasPrefix("error: \(message)\n"), "\(outcome.errorText)")
    }
    try expect(
      ["create"], 66, "there are no records under storage key 'default'; see 'purser branch list'")
    #expect(!project.exists(".purser"))
    #expect(
      try project.purser("snapshot").outputText
        == "There is no snapshot of 'default' yet; 'purser snapshot create' takes one.\n")
    try expect(["show", "latest"], 66, "there is no snapshot here yet")
    try expect(["creat"], 64, "unknown action 'creat'; did you mean 'create'?")
    try expect(["show"], 64, "write 'purser snapshot show ID'")
    try expect(["show", "abc"], 64, "'abc' is too short for a snapshot's id; write four digits at least")
    try expect(["prune"], 64, "say what may go: --keep N, --older-than DURATION, or both")
    try expect(["list", "--keep", "1"], 64, "--keep is for 'snapshot prune'")
    try expect(["prune", "--keep", "x"], 64, "--keep is a number, not 'x'")
  }

  @Test(.enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
  func `A damaged snapshot is named, and nothing is brought back`() throws {
    try make()
    let first = try create()
    try run("2\n")
    let before = try project.query("SELECT * FROM tasks")
    try project.query("UPDATE snapshots SET digest = zeroblob(32) WHERE snapshot_id = '\(first.escaped)'")
    for action: ByteString in ["restore", "show", "diff"] {
      let outcome = try project.purser("snapshot", action, first)
      #expect(outcome.code == 74)
      #expect(outcome.errorText == "error: snapshot \(first.escaped) is damaged in the store; it is not used\n")
    }
    #expect(try project.query("SELECT * FROM tasks") == before)
  }
}
