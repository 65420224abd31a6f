import Glibc
import PurserModel
import Testing

/// Outputs that were made without Purser, and are taken over.
@Suite(.project, .enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
struct AdoptTests {
  let project = TestProject.current

  private let step: [ByteString] = [
    "--task", "model", "--code", "model.sh", "--output", "model.bin", "--output", "report", "--", "./model.sh",
  ]

  /// Three days of work, of before Purser.
  private func setUp() throws {
    try project.script("model.sh", "echo computed > model.bin; mkdir -p report; echo r > report/a")
    try project.write("model.bin", "by hand\n")
    try project.write("report/a", "page\n")
  }

  private func adopt(_ arguments: [ByteString]) throws -> Outcome {
    try project.purser(["accept", "--why", "computed on the old machine"] + arguments)
  }

  private func decision(_ options: [ByteString] = []) throws -> String? {
    try project.purser(["check", "--json"] + options + step).json()["tasks"]?.array?.first?["decision"]?.string
  }

  @Test func `A step that never ran takes over what is on disk, and is fresh`() throws {
    try setUp()
    let outcome = try adopt(step)
    #expect(outcome.code == 0)
    #expect(outcome.outputText == "model: adopted, with the outputs that are on disk\n")
    let replayed = try project.purser(["exec"] + step)
    #expect(replayed.code == 0)
    #expect(replayed.output.isEmpty)
    #expect(project.executions() == 0)
    #expect(try project.text("model.bin") == "by hand\n")
    #expect(try project.purser("status").outputText.contains("fresh (adopted)"))
    let explained = try project.purser("explain", "model").outputText
    #expect(explained.hasPrefix("model: fresh\nAdopted by "))
    #expect(explained.contains("computed on the old machine"))
    let run = try project.purser("runs", "--json").json()["runs"]?.array?.first
    #expect(run?["kind"]?.string == "adopt")
    try project.requireSoundRecords()
  }

  @Test func `What was adopted is put back here, and nowhere else`() throws {
    try setUp()
    #expect(try adopt(step).code == 0)
    try project.remove("model.bin")
    try project.write("report/a", "scribbled\n")
    #expect(try decision() == "restore")
    #expect(try project.purser(["exec"] + step).code == 0)
    #expect(try project.text("model.bin") == "by hand\n")
    #expect(try project.text("report/a") == "page\n")
    #expect(project.executions() == 0)
    for options: [ByteString] in [["--storage-key", "feature"], ["--pipeline", "other"]] {
      #expect(try decision(options) == "run")
    }
    #expect(try project.purser(["exec", "--storage-key", "feature"] + step).code == 0)
    #expect(project.executions() == 1)
    #expect(try project.text("model.bin") == "computed\n")
    let twin = step.map { $0 == "model" ? "twin" : $0 }
    #expect(try project.purser(["exec", "--storage-key", "third"] + twin).code == 0)
    #expect(try project.text("model.bin") == "computed\n", "what was really made is shared as ever")
    #expect(project.executions() == 1)
    // The word that holds here is older than nothing that was made here.
    #expect(try project.purser(["exec"] + step).code == 0)
    #expect(try project.text("model.bin") == "by hand\n")
  }

  @Test(arguments: ["model.bin", "report"] as [ByteString])
  func `Every declared output has to be there`(_ output: ByteString) throws {
    try setUp()
    try project.remove(output)
    let outcome = try adopt(step)
    #expect(outcome.code == 65)
    #expect(
      outcome.errorText
        == "error: task 'model' is not accepted: its output '\(output.escaped)' does not exist; put it there, or run the "
        + "task\n")
    #expect(try decision() == "run")
    #expect(!project.exists(".purser/records.db"), "nothing is written down")
  }

  @Test func `A pattern has to match something`() throws {
    let outcome = try adopt(["--task", "parts", "--output", "parts/*.csv", "--", "true"])
    #expect(outcome.code == 65)
    #expect(
      outcome.errorText
        == "error: task 'parts' is not accepted: its output pattern 'parts/*.csv' matches no file; put its outputs there, "
        + "or run the task\n")
    try project.write("parts/a.csv", "")
    #expect(try adopt(["--task", "parts", "--output", "parts/*.csv", "--", "true"]).code == 0)
    try project.write("parts/b.csv", "")
    #expect(try project.purser("check", "parts").code == 1)
  }

  @Test func `An edited output is not hidden by it`() throws {
    try setUp()
    #expect(try adopt(step).code == 0)
    try project.write("model.bin", "scribbled\n")
    #expect(try decision() == "restore")
    let again = try adopt(["model"])
    #expect(again.code == 65, "what was adopted is what counts")
    #expect(try project.purser("accept", "--revoke", "model").code == 0)
    #expect(try adopt(["model"]).code == 0)
    #expect(try decision() == "fresh")
    #expect(try project.text("model.bin") == "scribbled\n")
  }

  @Test func `A change makes it stale as any other`() throws {
    try setUp()
    #expect(try adopt(step).code == 0)
    try project.script("model.sh", "echo other > model.bin; mkdir -p report")
    #expect(try decision() == "run")
    #expect(try adopt(["model"]).outputText == "model: accepted (model.sh)\n")
    #expect(try decision() == "fresh")
    let words = try project.purser("explain", "--json", "model").json()["acceptances"]?.array
    #expect(words?.compactMap { $0["kind"]?.string } == ["accepted", "adopted"])
  }

  @Test func `Taken back, it is a task that never ran`() throws {
    try setUp()
    #expect(try adopt(step).code == 0)
    #expect(try project.purser("accept", "--revoke", "model").code == 0)
    #expect(try decision() == "run")
    #expect(try project.text("model.bin") == "by hand\n", "files are not touched")
    try project.remove("model.bin")
    #expect(try decision() == "run", "nor put back any more")
    #expect(try project.status(of: "model", "state") == "new")
  }

  @Test func `One that failed, or was interrupted, may take over what is there now`() throws {
    try setUp()
    try project.script("model.sh", "exit 3")
    #expect(try project.purser(["exec"] + step).code == 3)
    #expect(!project.exists("model.bin"), "it was removed before the run")
    #expect(try adopt(step).code == 65)
    try project.write("model.bin", "by hand\n")
    try project.write("report/a", "page\n")
    #expect(try adopt(["model"]).outputText == "model: adopted, with the outputs that are on disk\n")
    #expect(try decision() == "fresh")
  }

  @Test func `A task without outputs is done by somebody's word`() throws {
    try project.script("load.sh", "exit 3")
    let load: [ByteString] = ["--task", "load", "--", "./load.sh"]
    #expect(try adopt(load).code == 0)
    #expect(try project.purser(["exec"] + load).code == 0)
    #expect(project.executions() == 0)
    #expect(try project.purser(["check", "--storage-key", "other"] + load).code == 1)
  }

  @Test func `An output that is declared later is taken over beside the result`() throws {
    try project.script("step.sh", "echo a > a; echo b > b")
    let before: [ByteString] = ["--task", "step", "--output", "a", "--", "./step.sh"]
    let after: [ByteString] = ["--task", "step", "--output", "a", "--output", "b", "--", "./step.sh"]
    #expect(try project.purser(["exec"] + before).code == 0)
    try project.remove("b")
    #expect(try adopt(after).code == 65)
    try project.write("b", "b\n")
    #expect(try adopt(after).outputText == "step: adopted, with the outputs that are on disk\n")
    try project.remove("b")
    #expect(try project.purser(["exec"] + after).code == 0)
    #expect(try project.text("b") == "b\n")
    #expect(project.executions() == 1)
    // But not what was touched.
    #expect(try project.purser("accept", "--revoke", "step").code == 0)
    #expect(try project.purser(["exec"] + before).code == 0)
    try project.write("a", "by hand\n")
    #expect(try adopt(after).code == 65)
  }

  @Test func `Standard input counts as given`() throws {
    try project.script("sum.sh", "cat > sum", counting: "sum")
    try project.write("sum", "1\n")
    try project.write("numbers", "1\n")
    try project.write("others", "2\n")
    let sum: [ByteString] = ["--task", "sum", "--stdin", "--output", "sum", "--", "./sum.sh"]
    let arguments: [ByteString] = ["accept", "--why", "x"] + sum
    #expect(try project.purser(arguments, input: project("numbers")).code == 0)
    #expect(try project.purser(["exec"] + sum, input: project("numbers")).code == 0)
    #expect(project.executions("sum") == 0)
    #expect(try project.purser(["exec"] + sum, input: project("others")).code == 0)
    #expect(project.executions("sum") == 1)
  }

  @Test func `What a dep file will name is not known before a run`() throws {
    try project.write("x.o", "")
    try project.write("x.d", "x.o: x.c\n")
    let outcome = try adopt(["--task", "x", "--depfile", "x.d", "--output", "x.o", "--", "cc"])
    #expect(outcome.code == 65)
    #expect(
      outcome.errorText
        == "error: task 'x' is not accepted: what it uses is known only from the dep file 'x.d' that a run of it writes; "
        + "run it\n")
  }

  @Test(arguments: [["--output", "../out"], ["--output", ".purser/x"], ["--output", "."]] as [[ByteString]])
  func `A declaration that is refused is refused here too`(_ options: [ByteString]) throws {
    #expect(try adopt(["--task", "x"] + options + ["--", "true"]).code == 65)
  }

  @Test func `A large output, a link and a mode are adopted as they are`() throws {
    try project.write("big", Array(repeating: 7, count: 100_000), mode: 0o640)
    try project.link("link", to: "big")
    let digest = try project.digest("big")
    #expect(try adopt(["--task", "x", "--output", "big", "--output", "link", "--", "false"]).code == 0)
    try project.remove("big")
    try project.remove("link")
    let outcome = try project.purser("exec", "--task", "x", "--output", "big", "--output", "link", "--", "false")
    #expect(outcome.code == 0)
    #expect(try project.digest("big") == digest)
    #expect(try project.mode("big") == 0o640)
    #expect(try project.target("link") == "big")
  }
}
