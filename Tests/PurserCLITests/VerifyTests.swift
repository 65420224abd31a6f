import Glibc
import PurserModel
import Testing

/// `verify` names what is damaged or missing and whose it is; `doctor` says what is wrong around the store, and repairs it.
@Suite(.project, .enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
struct VerifyTests {
  let project = TestProject.current

  private func exec(_ task: ByteString = "step", on key: ByteString = "default") throws -> Outcome {
    try project.script("step.sh", "seq 20000 > $1; echo small > $1.small; echo \"printed $1\"")
    return try project.purser(
      "exec", "--storage-key", key, "--task", task, "--output", task, "--output", task + ".small", "--", "./step.sh",
      task)
  }

  private func blobs() -> [ByteString] {
    project.tree(".purser/blobs").filter { !$0.hasSuffix("/") && !$0.hasPrefix("quarantine") }
      .map { ".purser/blobs/" + $0 }
  }

  /// Flips a bit of a file.
  private func flip(_ name: ByteString, at offset: Int, bit: UInt8 = 0) throws {
    var bytes = try project.bytes(name)
    bytes[offset % bytes.count] ^= 1 << bit
    try project.write(name, bytes, mode: 0o600)
  }

  private func findings(_ arguments: ByteString...) throws -> (code: Int32, states: [String: String]) {
    let outcome = try project.purser(["doctor", "--json"] + arguments)
    let json = try outcome.json()
    #expect(json["healthy"]?.serialized == "\(outcome.code == 0)")
    var states: [String: String] = [:]
    for finding in json["findings"]?.array ?? [] {
      let (check, state) = (finding["check"]?.string ?? "", finding["state"]?.string ?? "")
      #expect((finding["advice"]?.string != nil) == (state == "problem"), "\(check)")
      if states[check] == nil || states[check] == "ok" { states[check] = state }
    }
    return (outcome.code, states)
  }

  @Test func `A store that is sound, or not there, is said to be`() throws {
    let none = try project.purser("verify", "--json")
    #expect(none.code == 0 && none.outputText == "{\"sound\":true,\"contents\":0,\"bytes\":0,\"damage\":[]}\n")
    #expect(try findings().code == 0)
    #expect(project.names(".") == [], "nothing is made by asking")
    #expect(try exec().code == 0)
    let outcome = try project.purser("verify")
    #expect(outcome.code == 0 && outcome.error.isEmpty)
    #expect(outcome.outputText == "verified 3 contents, 108918 bytes: all is sound\n")
    let (code, states) = try findings()
    #expect(code == 0)
    for check in ["permissions", "space", "file system", "database", "records", "derived files", "leftovers", "clock"] {
      #expect(states[check] == "ok", "\(check)")
    }
  }

  @Test(arguments: [false, true])
  func `A damaged or missing content is named with its tasks and made again`(_ isMissing: Bool) throws {
    #expect(try exec().code == 0)
    #expect(try exec(on: "feature").code == 0)
    #expect(project.executions() == 1)
    let blob = try #require(blobs().first)
    let digest = try project.digest("step")
    if isMissing { try project.remove(blob) } else { try flip(blob, at: 5000) }
    let found = try project.purser("verify", "--json")
    #expect(found.code == 1)
    let tasks = ["default", "feature"].map {
      #"{"storageKey":"\#($0)","pipeline":"project","task":"step"}"#
    }.joined(separator: ",")
    let kind = isMissing ? "missingContent" : "damagedContent"
    #expect(
      found.outputText == #"{"sound":false,"contents":3,"bytes":108918,"damage":[{"kind":"\#(kind)","#
        + #""digest":"\#(digest)","size":108894,"tasks":[\#(tasks)]}]}"# + "\n")
    #expect(blobs().isEmpty)
    #expect(project.names(".purser/blobs/quarantine") == (isMissing ? [] : [ByteString(digest)]))
    // It counts as a miss from then on.
    #expect(try project.purser("verify").code == 0)
    try project.remove("step")
    let again = try exec()
    #expect(again.code == 0 && again.error.isEmpty && project.executions() == 2)
    #expect(try project.digest("step") == digest)
  }

  @Test func `A damaged small content is found in the records`() throws {
    #expect(try exec().code == 0)
    try project.query("UPDATE blobs SET content = x'00' WHERE size = 6")
    let found = try project.purser("verify")
    #expect(found.code == 1)
    #expect(found.outputText.hasPrefix("damaged  content "))
    #expect(found.outputText.contains(", 6 bytes of step (default, project)\nverified 3 contents"))
    try project.remove("step.small")
    #expect(try exec().error.isEmpty)
    #expect(try project.text("step.small") == "small\n")
  }

  @Test func `A damaged record is named and repaired`() throws {
    #expect(try exec().code == 0)
    try project.query("UPDATE action_results SET outputs_version = zeroblob(32)")
    let found = try project.purser("verify")
    #expect(found.code == 1)
    #expect(found.outputText.contains("the list of what result 1 made is damaged of step (default, project)"))
    #expect(found.errorText == "purser: 'purser doctor --repair' sets right what can be\n")
    #expect(try findings().states["records"] == "problem")
    #expect(try findings("--repair").states["records"] == "repaired")
    #expect(try findings().code == 0)
    #expect(try project.purser("verify").code == 0)
    #expect(try exec().error.isEmpty)
    #expect(project.executions() == 2)
  }

  @Test func `Permissions and leftovers are set right`() throws {
    #expect(try exec().code == 0)
    try project.setMode(".purser", 0o755)
    try project.setMode(".purser/records.db", 0o644)
    try project.write(".purser/tmp/blob-1-1", "left")
    try project.write(".purser/key", "short", mode: 0o600)
    try project.write(".purser/stat-cache", "no stat cache", mode: 0o600)
    try project.write(".purser/plan-0123456789ab", "no plan", mode: 0o600)
    #expect(try project.shell("touch -d '2 hours ago' .purser/tmp/blob-1-1").code == 0)
    let (code, states) = try findings()
    #expect(code == 1)
    for check in ["permissions", "key", "stat-cache", "plans"] { #expect(states[check] == "problem", "\(check)") }
    #expect(try project.mode(".purser") == 0o755, "nothing is changed by looking")
    let repaired = try findings("--repair")
    #expect(repaired.code == 0)
    for check in ["permissions", "key", "stat-cache", "plans"] {
      #expect(repaired.states[check] == "repaired", "\(check)")
    }
    #expect(try project.mode(".purser") == 0o700 && project.mode(".purser/records.db") == 0o600)
    #expect(!project.exists(".purser/plan-0123456789ab") && project.exists(".purser/key.damaged"))
    #expect(try findings().code == 0)
    #expect(try exec().error.isEmpty)
  }

  @Test func `A time in the future is a problem of the clock`() throws {
    #expect(try exec().code == 0)
    #expect(try project.shell("touch -d 'now + 3 days' .purser/stat-cache").code == 0)
    let (code, states) = try findings()
    #expect(code == 1 && states["clock"] == "problem")
  }

  @Test func `Another program's database is not touched`() throws {
    try project.makeFolder(".purser")
    try project.setMode(".purser", 0o700)
    try project.query("CREATE TABLE t (a); PRAGMA application_id = 7")
    try project.setMode(".purser/records.db", 0o600)
    let before = try project.bytes(".purser/records.db")
    let (code, states) = try findings("--repair")
    #expect(code == 1 && states["database"] == "problem")
    #expect(try project.bytes(".purser/records.db") == before)
    #expect(try project.purser("verify").code == 69)
  }

  @Test(arguments: 0..<6)
  func `Whatever bits are flipped nothing wrong is served and repair makes the store usable`(_ seed: Int) throws {
    #expect(try exec("one").code == 0)
    #expect(try exec("two").code == 0)
    #expect(try exec("one", on: "feature").code == 0)
    #expect(try project.purser("db", "maintain").code == 0)
    let whole = try project.bytes(".purser/records.db")
    let (one, two) = (try project.digest("one"), try project.digest("two"))
    var state = UInt64(seed + 1)
    func random(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % limit
    }
    for round in 0..<4 {
      for name in project.names(".purser") where name.hasPrefix("records.db-") { try project.remove(".purser/" + name) }
      var bytes = whole
      for _ in 0..<[1, 8, 64, 500][round] { bytes[random(bytes.count)] ^= 1 << UInt8(random(8)) }
      try project.write(".purser/records.db", bytes, mode: 0o600)
      try project.remove("one")
      for name: ByteString in ["one", "two"] {
        let outcome = try exec(name)
        #expect(outcome.code == 0 && outcome.outputText == "printed \(name)\n", "\(outcome.errorText)")
      }
      #expect(try project.digest("one") == one && project.digest("two") == two)
      #expect([0, 1].contains(try project.purser("doctor").code))
      #expect([0, 1].contains(try project.purser("verify").code))
      #expect(try findings("--repair").code == 0)
      #expect(try findings().code == 0)
      try project.requireSoundRecords()
      for _ in 0..<2 {
        for name: ByteString in ["one", "two"] {
          let outcome = try exec(name)
          #expect(outcome.code == 0 && outcome.error.isEmpty, "\(outcome.errorText)")
        }
      }
      #expect(try project.digest("one") == one && project.digest("two") == two)
      let count = project.executions()
      #expect(try exec("one").code == 0)
      #expect(project.executions() == count, "what was made after the repair is a hit")
    }
  }
}

extension ByteString {
  fileprivate func hasSuffix(_ suffix: ByteString) -> Bool { bytes.suffix(suffix.count) == suffix.bytes[...] }
}
