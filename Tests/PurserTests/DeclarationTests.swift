import PurserModel
import Testing

@testable import Purser

@Suite("Declarations")
struct DeclarationTests {
  let project = Project(
    root: "/p", store: "/p/.purser", storageKey: "main", pipeline: "penguins", currentFolder: "/p")

  private func refusal(_ spec: TaskSpec, in project: Project? = nil) -> PurserError? {
    error { _ = try Declarations(project: project ?? self.project).admit(spec) }
  }

  @Test(
    "outputs under which a restore could do harm are refused, with the reason",
    arguments: [
      (["/etc/x"], [], "it is outside the project '/p'; declare one inside it, or use --project"),
      (["../x"], [], "it is outside the project '/p'; declare one inside it, or use --project"),
      (["a/../../x"], [], "it is outside the project '/p'; declare one inside it, or use --project"),
      (["."], [], "it is the project's root; declare a folder or file in it"),
      ([""], [], "it is the project's root; declare a folder or file in it"),
      (["a/.."], [], "it is the project's root; declare a folder or file in it"),
      ([".purser"], [], "it is in Purser's own store; declare another place"),
      ([".purser/x"], [], "it is in Purser's own store; declare another place"),
      (["./.purser/x"], [], "it is in Purser's own store; declare another place"),
      (["raw"], ["raw"], "it is an input too; a task cannot be made from what it makes"),
      (["raw/"], ["raw"], "it is an input too; a task cannot be made from what it makes"),
      (["*.csv"], ["*.csv"], "it is an input too; a task cannot be made from what it makes"),
      (["raw"], ["raw/a.csv"], "it holds the input 'raw/a.csv', which would be removed with it"),
      (["raw/"], ["raw/a.csv"], "it holds the input 'raw/a.csv', which would be removed with it"),
      (["./raw"], ["x/../raw/a.csv"], "it holds the input 'raw/a.csv', which would be removed with it"),
      (["ok", "b/**"], ["b/c/d"], "it matches the input 'b/c/d', which would be removed"),
    ] as [([ByteString], [ByteString], String)])
  func outputs(outputs: [ByteString], inputs: [ByteString], reason: String) throws {
    for spec in [TaskSpec("t", inputs: inputs, outputs: outputs), TaskSpec("t", code: inputs, outputs: outputs)] {
      let error = try #require(refusal(spec))
      #expect(error.code == .refused)
      #expect(error.message.hasPrefix("output '") && error.message.hasSuffix("' of task 't' is refused: \(reason)"))
    }
  }

  @Test(
    "other declarations are admitted",
    arguments: [
      ([], []), (["build/a"], ["raw/a"]), (["raw2"], ["raw/a"]), (["raw/a.out"], ["raw/a"]), (["raw/out"], ["raw"]),
      (["raw/*.out"], ["raw/a.csv"]), (["build"], ["/etc/hosts"]), (["build"], ["../other/a"]), (["build"], ["*.csv"]),
      ([".purser2"], [".purserx"]), (["build", "build/a"], []), ([".hidden/a"], []),
    ] as [([ByteString], [ByteString])])
  func admitted(outputs: [ByteString], inputs: [ByteString]) {
    #expect(refusal(TaskSpec("t", inputs: inputs, outputs: outputs)) == nil)
  }

  @Test("an output may not hold a store that lies deeper")
  func holdsStore() {
    var project = project
    project.store = "/p/state/deep/store"
    #expect(
      refusal(TaskSpec("t", outputs: ["state"]), in: project)
        == PurserError(
          .refused, "output 'state' of task 't' is refused: it holds Purser's store; declare another folder"))
    #expect(refusal(TaskSpec("t", outputs: ["state/other"]), in: project) == nil)
    project.store = "/elsewhere"
    #expect(refusal(TaskSpec("t", outputs: ["state"]), in: project) == nil)
  }

  @Test("nothing in the store is an input")
  func inputInStore() {
    #expect(
      refusal(TaskSpec("t", inputs: ["a", "x/../.purser/records.db"]))
        == PurserError(.refused, "input '.purser/records.db' of task 't' is in Purser's own store; remove it"))
    #expect(
      refusal(TaskSpec("t", code: ["/p/.purser"]))
        == PurserError(.refused, "code '/p/.purser' of task 't' is in Purser's own store; remove it"))
  }

  @Test("a task has a printable id and does not follow itself", arguments: ["", "a\nb", "\u{1b}", "\u{0}"])
  func ids(id: String) {
    #expect(refusal(TaskSpec(id))?.code == .usage)
    #expect(
      refusal(TaskSpec("t", upstream: ["a", "t"]))
        == PurserError(.refused, "task 't' cannot come after itself; remove --after t"))
  }

  @Test("a path with a NUL, or a pattern that cannot be read, is refused")
  func unreadable() {
    let nul = ByteString(bytes: [0x61, 0, 0x62])
    for spec in [TaskSpec("t", inputs: [nul]), TaskSpec("t", code: [nul]), TaskSpec("t", outputs: [nul])] {
      #expect(refusal(spec)?.code == .usage)
    }
    #expect(refusal(TaskSpec("t", outputs: ["a[b"]))?.code == .usage)
  }

  @Test("paths are normalized, so that one file has one name")
  func normalized() throws {
    var spec = TaskSpec("t", code: ["./a"], inputs: ["b//c", "."], outputs: ["d/"])
    spec.workingDirectory = "./e/.."
    let admitted = try Declarations(project: project).admit(spec)
    #expect(admitted.code == ["a"] && admitted.inputs == ["b/c", "."] && admitted.outputs == ["d"])
    #expect(admitted.workingDirectory == ".")
  }
}

@Suite("Task specifications")
struct TaskSpecTests {
  @Test("are read back from JSON as they were")
  func roundTrip() throws {
    var spec = TaskSpec(
      "tidy", command: ["python3", "-c", "print('\\n')", ByteString(bytes: [0xff])], code: ["src/é.py"],
      inputs: ["raw/*.csv", ByteString(bytes: [0x80, 0x5c])], outputs: ["out"], upstream: ["load", "x \"y\""])
    #expect(TaskSpec(json: try JSON(parsing: spec.json.serialized.utf8)) == spec)
    spec.workingDirectory = "src"
    spec.environment = ["LANG", ""]
    spec.tools = ["python3"]
    spec.arguments = [.init(name: "a", value: ""), .init(name: "", value: ByteString(bytes: [0]))]
    spec.excludes = ["*.pyc"]
    (spec.isPure, spec.keepsOutputs, spec.readsStandardInput) = (true, true, true)
    #expect(TaskSpec(json: try JSON(parsing: spec.json.serialized.utf8)) == spec)
  }

  @Test("of a version with fewer members are read with the defaults; without an id there is none")
  func partial() throws {
    #expect(TaskSpec(json: try JSON(parsing: #"{"id":"a","new":1}"#.utf8)) == TaskSpec("a"))
    for text in ["{}", "[]", "null", #"{"id":1}"#] {
      #expect(TaskSpec(json: try JSON(parsing: text.utf8)) == nil)
    }
  }
}
