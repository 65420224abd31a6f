import PurserModel
import Testing

/// The schema goes up and down by numbered migrations; garbage goes, and only garbage.
@Suite(.project, .enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
struct UpkeepTests {
  let project = TestProject.current

  private func schema(_ arguments: ByteString...) throws -> (version: Int64, applied: [Bool]) {
    let outcome = try project.purser(["db"] + arguments + ["--json"])
    try #require(outcome.code == 0, "\(outcome.errorText)")
    let json = try outcome.json()
    let migrations = try #require(json["migrations"]?.array)
    return (try #require(json["version"]?.integer), migrations.map { $0["appliedAt"]?.string != nil })
  }

  @Test func `A store that is not there has a schema version of 0 and is not made by asking`() throws {
    let status = try schema("status")
    #expect(status.version == 0)
    #expect(!status.applied.isEmpty && !status.applied.contains(true))
    #expect(try project.purser("status").code == 0)
    #expect(try project.purser("runs").code == 0)
    #expect(project.names(".") == [])
  }

  @Test func `Migrations are applied and taken back one by one`() throws {
    try project.purser("exec", "--task", "step", "--", "true")
    let full = try schema("status")
    let newest = full.version
    #expect(full.applied == Array(repeating: true, count: Int(newest)))
    #expect(try project.query("PRAGMA user_version") == ["\(newest)"])
    for version in (0..<newest).reversed() {
      let status = try schema("rollback")
      #expect(status.version == version)
      #expect(status.applied == (1...newest).map { $0 <= version })
      #expect(try project.query("PRAGMA user_version") == ["\(version)"])
    }
    #expect(try project.query("SELECT name FROM sqlite_schema WHERE name LIKE 'task%'") == [])
    #expect(try schema("rollback").version == 0, "there is nothing left to take back")
    #expect(try schema("migrate").version == newest)
    #expect(try schema("migrate").version == newest)
    #expect(try project.purser("exec", "--task", "step", "--", "true").error.isEmpty)
    #expect(try project.purser("check", "step").code == 0)
    try project.requireSoundRecords()
  }

  @Test func `A store that was rolled back is brought up by the next run`() throws {
    try project.script("step.sh", "echo hi")
    try project.purser("exec", "--task", "step", "--", "./step.sh")
    let newest = try schema("status").version
    #expect(try schema("rollback", "8").version == newest - 8)
    let outcome = try project.purser("exec", "--task", "step", "--", "./step.sh")
    #expect(outcome.code == 0)
    #expect(outcome.error.isEmpty)
    #expect(try schema("status").version == newest)
    #expect(project.executions() == 2)
  }

  @Test func `A migration that was edited is refused`() throws {
    try project.purser("exec", "--task", "step", "--", "true")
    try project.query("UPDATE schema_migrations SET checksum = 'x' WHERE version = 1")
    let outcome = try project.purser("db", "rollback")
    #expect(outcome.code == 69)
    #expect(
      outcome.errorText == """
        error: migration 001_kptn_tables of '\(project.root)/.purser/records.db' is not the one that this Purser has; use \
        the version that wrote the store, or another --store

        """)
  }

  @Test func `Garbage goes and what a record names stays`() throws {
    try project.script("step.sh", #"n=$(cat in); seq $n 20000 > big; echo "small $n" > small; echo "printed $n""#)
    let arguments: [ByteString] = [
      "--task", "step", "--input", "in", "--output", "big", "--output", "small", "--", "./step.sh",
    ]
    func exec(_ number: Int, _ key: ByteString = "default") throws {
      try project.write("in", "\(number)")
      let outcome = try project.purser(["exec", "--storage-key", key] + arguments)
      #expect(outcome.code == 0)
      #expect(outcome.outputText == "printed \(number)\n")
    }
    try exec(1, "other")
    try exec(2)
    try exec(3)
    #expect(project.executions() == 3)
    let young = try project.purser("gc", "--json").json()
    #expect(young["results"]?.integer == 0)
    #expect(young["blobs"]?.integer == 0)

    let report = try project.purser("gc", "--older-than", "0s", "--json").json()
    #expect(report["results"]?.integer == 1)
    #expect(report["blobs"]?.integer == 3)
    #expect(try project.query("SELECT count(*) FROM action_results") == ["2"])
    #expect(try project.query("SELECT count(*) FROM blobs") == ["6"])
    try project.requireSoundRecords()

    try exec(3)
    try project.remove("big")
    try project.remove("small")
    try exec(3)
    try exec(1, "other")
    try exec(1)
    #expect(project.executions() == 3, "what records name is restored")
    try exec(2)
    #expect(project.executions() == 4, "what was forgotten is made again")
    #expect(try project.text("small") == "small 2\n")
  }

  @Test func `A budget takes the oldest first and tells what records keep`() throws {
    for number in 1...5 {
      try project.write("in", "\(number)")
      let outcome = try project.purser(
        "exec", "--task", "step", "--input", "in", "--output", "big", "--", "sh", "-c",
        "head -c 100000 /dev/urandom > big")
      #expect(outcome.code == 0)
    }
    func files() -> Int { project.tree(".purser/blobs").count { $0.bytes.last != UInt8(ascii: "/") } }
    func gc(_ arguments: ByteString...) throws -> (json: JSON, warning: String) {
      let outcome = try project.purser(["gc", "--json"] + arguments)
      #expect(outcome.code == 0)
      return (try outcome.json(), outcome.errorText)
    }
    for number in 1...4 { try project.write(ByteString(".purser/backup-\(number)-schema-1.db"), "") }
    try project.write(".purser/plan-0123456789ab", "")
    try project.write(".purser/hits/0123456789ab", "")
    try project.write(".purser/hits/123456789abc", "")
    try project.makeFolder(".purser/blobs/quarantine")
    try project.write(".purser/blobs/quarantine/x", "")
    #expect(try project.shell("touch -d '40 days ago' .purser/plan-0123456789ab .purser/hits/01*").code == 0)
    let trial = try gc("--max-size", "250K", "--dry-run").json
    #expect(trial["results"]?.integer == 3 && trial["dryRun"]?.serialized == "true")
    #expect(trial["files"]?.integer == 3 && trial["youngFiles"]?.integer == 3)
    #expect(project.exists(".purser/plan-0123456789ab") && files() == 6)
    let report = try gc("--max-size", "250K").json
    #expect(report["results"]?.integer == 3 && report["keptBytes"]?.integer ?? 0 <= 250 << 10)
    #expect(report["files"]?.integer == 3 && report["youngFiles"]?.integer == 3)
    #expect(!project.exists(".purser/plan-0123456789ab") && !project.exists(".purser/backup-1-schema-1.db"))
    #expect(project.exists(".purser/backup-2-schema-1.db"))
    #expect(!project.exists(".purser/hits/0123456789ab") && project.exists(".purser/hits/123456789abc"))
    #expect(files() == 6, "files that were written to within the last hour stay")
    let (most, warning) = try gc("--max-size", "1K")
    #expect(most["results"]?.integer == 1)
    #expect(
      warning.contains("KiB of contents are still named by records or recent runs; 'purser branch' tells by which"))
    #expect(try project.purser("gc", "--max-age", "0s").code == 0)
    try project.remove("big")
    #expect(try project.purser("check", "step").outputText.contains("restore"))
    #expect(try project.purser("verify").code == 0)
  }

  @Test func `Garbage is collected beside running tasks`() throws {
    try project.script("step.sh", "seq 20000 > big; echo > ../ready; until [ -e ../go ]; do sleep 0.01; done")
    let arguments: [ByteString] = ["exec", "--task", "step", "--output", "big", "--", "./step.sh"]
    let running = try project.start([TestProject.tool] + arguments)
    #expect(hasComeTrue { project.exists("../ready") })
    #expect(try project.purser("gc", "--older-than", "0s").code == 0)
    try project.write("../go", "")
    #expect(try running.wait().code == 0)
    try project.remove("big")
    #expect(try project.purser(arguments).error.isEmpty)
    #expect(project.executions() == 1)
    #expect(project.exists("big"))
  }

  @Test func `A backup holds the records, and a rollback makes one before`() throws {
    try project.script("step.sh", "echo hi")
    try project.purser("exec", "--task", "step", "--", "./step.sh")
    #expect(try project.purser("db", "backup", "copy.db").outputText == "backed up to copy.db\n")
    let again = try project.purser("db", "backup", "copy.db")
    #expect(again.code == 69 && again.errorText.contains("'copy.db' is there already"))
    let newest = try schema("status").version
    #expect(try schema("rollback").version == newest - 1)
    let backups = project.names(".purser").filter { $0.hasPrefix("backup-") }
    #expect(backups.count == 1)
    // The backup is a store.
    try project.makeFolder("other")
    try project.rename(".purser/" + (backups.first ?? ""), "other/records.db")
    #expect(try project.purser("--store", "other", "db", "status", "--json").json()["version"]?.integer == newest)
    let copied = try project.purser("--store", "other", "runs", "--json").json()["runs"]?.array ?? []
    #expect(copied.map { $0["task"]?.string } == ["step"])
  }

  @Test func `Maintenance and statistics can be asked for`() throws {
    for _ in 0..<3 { try project.purser("exec", "--task", "step", "--force", "--", "true") }
    let report = try project.purser(
      "db", "maintain", "--keep", "0s", "--keep-runs", "1", "--keep-events", "2", "--json"
    ).json()
    #expect(report["runs"]?.integer == 2 && report["events"]?.integer == 4)
    #expect(try project.purser("check", "step").code == 0)
    let stats = try project.purser("stats", "--json").json()
    #expect(stats["system_health"]?["runs"]?.integer == 1 && stats["system_health"]?["tasks"]?.integer == 1)
    #expect(stats["task_execution_stats"]?.array?.first?["task_id"]?.string == "step")
    #expect(try project.purser("stats").outputText.contains("What tasks take"))
    let wrong = try project.purser("db", "maintian")
    #expect(wrong.code == 64 && wrong.errorText.contains("did you mean 'maintain'?"))
  }
}
