import Glibc
import PurserModel
import Testing

/// `explain` follows a difference upstream to where it began.
@Suite(.project)
struct RootCauseTests {
  let project = TestProject.current

  private func setUp() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        raw: {command: "cat a.txt > raw.txt", inputs: [a.txt], outputs: [raw.txt]}
        clean: {after: raw, command: [sh, clean.sh], code: [clean.sh], outputs: [clean.txt]}
        join: {after: clean, command: "cat clean.txt > join.txt", outputs: [join.txt]}
        report: {after: join, command: "cat join.txt > report.txt", outputs: [report.txt]}
      """)
    try project.write("a.txt", "hi\n")
    try project.write("clean.sh", "cat raw.txt > clean.txt\n")
    #expect(try project.runPipeline().code == 0)
  }

  private func explain(_ arguments: ByteString...) throws -> JSON {
    let outcome = try project.purser(["explain", "--json"] + arguments)
    #expect(outcome.code == 0, "\(outcome.errorText)")
    return try outcome.json()
  }

  private func causes(_ task: ByteString) throws -> [String] {
    (try explain(task)["rootCauses"]?.array ?? []).map { cause in
      let path = (cause["path"]?.array ?? []).compactMap(\.string).joined(separator: "<")
      let what =
        cause["change"]?["name"]?.string ?? cause["reason"]?["kind"]?.string ?? cause["kind"]?.string ?? "?"
      return "\(path): \(what)"
    }
  }

  @Test func `A change three tasks upstream is named before anything has run again, and while it does`() throws {
    try setUp()
    #expect(try causes("report") == [])
    try project.write("clean.sh", "sed s/h/j/ raw.txt > clean.txt\n")
    #expect(try causes("report") == ["report<join<clean: clean.sh"])
    let explanation = try explain("report")
    #expect(explanation["decision"]?.string == "run")
    #expect(explanation["reasons"]?.array?.first?["kind"]?.string == "upstreamPending")
    for task in ["clean", "join"] as [ByteString] {
      #expect(try project.purser("run", task).code == 0)
      #expect(try causes("report") == ["report<join<clean: clean.sh"])
    }
    #expect(try explain("report")["reasons"]?.array?.first?["kind"]?.string == "inputsChanged")
    #expect(try project.runPipeline().code == 0)
    #expect(try causes("report") == [])
  }

  @Test func `Several causes are all told, each once`() throws {
    try setUp()
    try project.write("clean.sh", "sed s/h/j/ raw.txt > clean.txt\n")
    try project.write("a.txt", "ho\n")
    #expect(try Set(causes("report")) == ["report<join<clean: clean.sh", "report<join<clean<raw: a.txt"])
  }

  @Test func `What is no change of a file is told as what it is`() throws {
    try setUp()
    try project.purser("invalidate", "clean", "--why", "new calibration")
    #expect(try causes("report") == ["report<join<clean: invalidated"])
    #expect(try project.runPipeline().code == 0)
    try project.write("join.txt", "edited by hand\n")
    #expect(try causes("report").contains("report<join: outputModified"))
    try project.remove("join.txt")
    #expect(try causes("report").contains("report<join: outputMissing"))
  }

  @Test func `A task that gives something else each time is told apart from a change`() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        now: {command: "date +%s%N > now.txt", outputs: [now.txt]}
        after: {after: now, command: "cat now.txt > after.txt", outputs: [after.txt]}
      """)
    #expect(try project.runPipeline().code == 0)
    #expect(try project.purser("run", "now", "--force").code == 0)
    #expect(try causes("after") == ["after<now: differentOutputs"])
  }

  @Test(.enabled(if: access("/usr/bin/git", X_OK) == 0, "git is not installed"))
  func `The commit that last touched the file is named`() throws {
    try setUp()
    try project.write("clean.sh", "sed s/h/j/ raw.txt > clean.txt\n")
    try project.shell(
      """
      git init -q -b main . && git config user.name Ada && git config user.email ada@example.org && git add clean.sh
      GIT_AUTHOR_DATE='2024-05-06T07:08:09+02:00' git commit -q -m 'Mend the spelling' -m 'At length.'
      """)
    let name = try project.shell("git rev-parse HEAD").outputText.dropLast()
    func commit() throws -> JSON? {
      try project.purser("explain", "--json", "--storage-key", "default", "report").json()["rootCauses"]?.array?.first?[
        "commit"]
    }
    let found = try commit()
    #expect(found?["name"]?.string == String(name))
    #expect(found?["author"]?.string == "Ada")
    #expect(found?["date"]?.string == "2024-05-06T07:08:09+02:00")
    #expect(found?["subject"]?.string == "Mend the spelling")
    #expect(found?["changedSince"]?.bool == false)
    try project.write("clean.sh", "sed s/h/k/ raw.txt > clean.txt\n")
    #expect(try commit()?["changedSince"]?.bool == true)
    let text = try project.purser("explain", "--storage-key", "default", "report").outputText
    #expect(text.contains("clean.sh  (clean)  report <- join <- clean"))
    #expect(
      text.contains("last commit \(name.prefix(12)), 2024-05-06T07:08:09+02:00, Ada: Mend the spelling, and changed"))
  }

  @Test func `Another storage key is compared with by name, and an unknown one is told`() throws {
    try setUp()
    try project.write("clean.sh", "sed s/h/j/ raw.txt > clean.txt\n")
    #expect(try project.purser("run", "--storage-key", "feature").code == 0)
    let changes = try explain("clean", "--storage-key", "feature", "--against", "default")["changes"]?.array
    #expect(changes?.compactMap { $0["name"]?.string } == ["clean.sh"])
    #expect(try explain("raw", "--storage-key", "feature", "--against", "default")["changes"]?.array?.isEmpty == true)
    let wrong = try project.purser("explain", "clean", "--against", "featur")
    #expect(wrong.code == 66)
    #expect(wrong.errorText.contains("'feature'"))
  }

  @Test func `The declaration in the pipeline file counts, not the one that was recorded`() throws {
    try setUp()
    let file = try project.text("purser.yaml")
    try project.write("purser.yaml", file.replacing("cat join.txt > report.txt", with: "tac join.txt > report.txt"))
    #expect(try causes("report") == ["report: argv"])
    #expect(try project.purser("check", "report").code == 1)
  }
}
