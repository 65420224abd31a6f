import Glibc
import PurserModel
import Testing

/// Some items only: they run and are recorded, and the task is not done for it.
@Suite(.project)
struct MappedSubsetTests {
  let project = TestProject.current

  private func makeList() throws {
    try project.makeFolder("out")
    try project.writeMapped(
      #"command: echo "$name" >> "$COUNTS/items"; echo "$name" > "out/$name""# + "\noutputs: ['out/${name}']",
      more: "  use: {after: work, command: 'echo >> \"$COUNTS/use\"'}")
    try project.writeList(["a", "b", "c", "d", "e f"])
  }

  private func subset() throws -> [String?]? {
    try project.purser("data", "get", "work", "--subset").json().array?.map(\.string)
  }

  @Test func `Only the named items run and a full run does the others`() throws {
    try makeList()
    let run = try project.runPipeline("work", "--subset", "b", "--subset", "e f")
    #expect(run.code == 0, "\(run.errorText)")
    #expect(project.lines("items").sorted() == ["b", "e f"])
    #expect(project.names("out") == ["b", "e f"])
    #expect(try subset() == ["b", "e f"])
    #expect(try project.status(of: "work") == "INCOMPLETE")
    #expect(try project.items(of: "work").map(\.isDone) == [false, true, false, false, true])
    #expect(project.executions("use") == 0)
    try project.clearCounts()
    let full = try project.runPipeline()
    #expect(full.code == 0, "\(full.errorText)")
    #expect(project.lines("items").sorted() == ["a", "c", "d"])
    #expect(full.items["work"] == ["total": 5, "ran": 3, "restored": 0, "kept": 2, "failed": 0])
    #expect(try project.status(of: "work") == "SUCCESS")
    #expect(project.names("out") == ["a", "b", "c", "d", "e f"])
    #expect(project.executions("use") == 1)
  }

  @Test func `A subset comes from a file with a key on each line`() throws {
    try makeList()
    try project.write("keys.txt", "c\ne f\n")
    #expect(try project.runPipeline("work", "--subset", "keys.txt").code == 0)
    #expect(project.lines("items").sorted() == ["c", "e f"])
    #expect(try subset() == ["c", "e f"])
  }

  @Test func `A key that is named twice counts once`() throws {
    try makeList()
    let run = try project.runPipeline("work", "--subset", "c", "--subset", "c")
    #expect(run.code == 0)
    #expect(run.items["work"]?["total"] == 1)
    #expect(project.lines("items") == ["c"])
    #expect(try subset() == ["c"])
  }

  @Test func `A subset of a task that is done runs them again`() throws {
    try makeList()
    #expect(try project.runPipeline().code == 0)
    try project.clearCounts()
    #expect(try project.runPipeline("work", "--subset", "c").code == 0)
    #expect(project.lines("items") == ["c"])
    try project.clearCounts()
    let full = try project.runPipeline()
    #expect(full.code == 0)
    #expect(project.lines("items") == [], "all were done")
    #expect(try project.status(of: "work") == "SUCCESS")
    #expect(project.names("out") == ["a", "b", "c", "d", "e f"])
  }

  @Test func `A subset in which an item fails fails, and says which`() throws {
    try project.writeMapped(#"command: echo "$name" >> "$COUNTS/items"; [ "$name" != b ]"#)
    try project.writeList(["a", "b", "c"])
    let run = try project.runPipeline("work", "--subset", "a", "--subset", "b")
    #expect(run.code == 1)
    #expect(run.errorText.contains("'b'"), "\(run.errorText)")
    #expect(project.lines("items").sorted() == ["a", "b"])
    #expect(try project.status(of: "work") == "INCOMPLETE")
  }

  @Test func `A key that is not in the list is refused with a suggestion`() throws {
    try project.writeMapped(#"command: echo "$name" >> "$COUNTS/items""#)
    try project.writeList(["alpha", "beta"])
    let run = try project.runPipeline("work", "--subset", "alpha", "--subset", "bata")
    #expect(run.code != 0)
    #expect(run.errorText.contains("task 'work' has no item 'bata'; did you mean 'beta'?"), "\(run.errorText)")
    #expect(project.lines("items") == [])
    let bare = try project.purser("run", "--subset", "alpha")
    #expect(bare.code == 64)
    #expect(bare.errorText.contains("--subset is for named tasks"))
  }
}
