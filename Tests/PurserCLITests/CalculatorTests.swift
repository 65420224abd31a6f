import Glibc
import PurserModel
import Testing

/// A C program built by Make, whose compile lines are wrapped by `purser exec --depfile`.
@Suite(
  .project,
  .enabled(
    if: access("/usr/bin/gcc", X_OK) == 0 && access("/usr/bin/make", X_OK) == 0, "gcc and make are not installed"))
struct CalculatorTests {
  let project = TestProject.current

  private static let fixture = ByteString(#filePath).folder.folder.folder + "/fixtures/calculator"

  /// Builds in a folder; gives the names of the commands that ran and of those that were put back.
  private func make(in folder: ByteString, store: ByteString? = nil) throws -> (ran: Set<String>, restored: Set<String>)
  {
    let before = try runs(in: folder, store)
    let extra: [String: ByteString] = store.map { ["PURSER_STORE": $0] } ?? [:]
    let outcome = try project.start(
      ["/usr/bin/make", "-s", "PURSER=" + TestProject.tool, "CC=gcc", "CFLAGS=-O0"], in: folder, environment: extra
    ).wait()
    #expect(outcome.code == 0, "\(outcome.errorText)")
    let new = try runs(in: folder, store).dropLast(before.count)
    func made(_ kind: String) throws -> Set<String> {
      var names: Set<String> = []
      for run in new where run["kind"]?.string == kind {
        if let name = try output(of: run["task"]?.string ?? "", in: folder, store) { names.insert(name) }
      }
      return names
    }
    return (try made("run"), try made("restore"))
  }

  private func runs(in folder: ByteString, _ store: ByteString?) throws -> [JSON] {
    let extra: [String: ByteString] = store.map { ["PURSER_STORE": $0] } ?? [:]
    let outcome = try project.purser("runs", "--json", "--limit", "1000", in: folder, environment: extra)
    return try outcome.json()["runs"]?.array ?? []
  }

  /// What a task makes, as its declaration says.
  private func output(of task: String, in folder: ByteString, _ store: ByteString?) throws -> String? {
    let rows = try project.shell(
      "sqlite3 '\((store ?? project(folder) + "/.purser").escaped)/records.db' "
        + "\"SELECT json_extract(d.spec, '$.outputs[0]') FROM tasks t JOIN task_details d ON d.task_row = t.id "
        + "WHERE t.task_id = '\(task)'\"")
    return rows.outputText.split(separator: "\n").first.map(String.init)
  }

  private func objects(including header: String) throws -> Set<String> {
    let found = try project.shell("cd first && grep -l '\(header)' build/*.d").outputText
    return Set(found.split(separator: "\n").map { String($0.dropLast(2)) + ".o" })
  }

  @Test(.enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
  func `Touching a header recompiles what includes it, and a second checkout compiles nothing`() throws {
    try project.shell("cp -r '\(Self.fixture.escaped)' first && rm -rf first/build && mkdir first/.purser")
    let first = try make(in: "first")
    #expect(first.ran.count == project.names("first/src").count { $0.bytes.suffix(2).elementsEqual(".c".utf8) } + 1)
    #expect(first.restored == [])
    let again = try make(in: "first")
    #expect(again.ran == [])
    #expect(again.restored == [])

    let wanted = try objects(including: "statistics.h")
    #expect(wanted.count >= 2 && wanted.count < 10)
    let text = try project.text("first/src/statistics.h")
    try project.write("first/src/statistics.h", text + "/* A comment changes no object. */\n")
    #expect(try make(in: "first").ran == wanted)
    #expect(try project.shell("cd first && echo '1 + 2 * 3' | build/calculator").outputText.contains("7"))

    let store = project("first/.purser")
    try project.shell("cp -r first second && rm -rf second/build second/.purser")
    let second = try make(in: "second", store: store)
    #expect(second.ran == [])
    #expect(second.restored.count == first.ran.count)
    #expect(try project.shell("cmp first/build/calculator second/build/calculator").code == 0)

    try project.write("second/src/statistics.h", text)
    let back = try make(in: "second", store: store)
    #expect(back.ran == [])
    #expect(back.restored == wanted)
  }
}
