import Glibc
import PurserModel
import Testing

/// Scripts that run their items themselves, and record with `purser subtasks` how they go.
@Suite(.project)
struct MappedScriptTests {
  let project = TestProject.current

  @Test func `A script makes a list and records how its items go`() throws {
    #expect(try project.purser("subtasks", "load", "create", "a", "b b", "ü", "d").code == 0)
    #expect(try project.items(of: "load").map(\.key) == ["a", "b b", "ü", "d"])
    #expect(try project.items(of: "load").allSatisfy { !$0.isDone })
    #expect(try project.purser("subtasks", "load", "start", "a", "ü").code == 0)
    #expect(try project.purser("subtasks", "load", "done", "a", "d").code == 0)
    #expect(try project.purser("subtasks", "load", "fail", "ü", "--error", "no such thing").code == 0)
    let items = try project.items(of: "load")
    #expect(items.map(\.isDone) == [true, false, false, true])
    #expect(items.map(\.status) == ["done", nil, "failed", "done"])
    #expect(items[2].error == "no such thing")
    let failed = try project.purser("subtasks", "load", "--failed", "--json").json().array ?? []
    #expect(failed.map { $0["key"]?.string } == ["ü"])
    #expect(try project.purser("subtasks", "load", "--failed").outputText.contains("no such thing"))
    // Done after all.
    #expect(try project.purser("subtasks", "load", "done", "ü").code == 0)
    #expect(try project.items(of: "load")[2].isDone)
    #expect(try project.purser("subtasks", "load", "--failed").outputText == "No item of 'load' failed.\n")
  }

  @Test func `Keys come from a file or from standard input too`() throws {
    try project.write("keys", (0..<1200).map { "k\($0)\n" }.joined())
    #expect(try project.purser("subtasks", "load", "create", "--from", "keys").code == 0)
    #expect(try project.items(of: "load").count == 1200)
    try project.write("some", "k0\nk499\nk500\nk1199\n")
    #expect(try project.purser("subtasks", "load", "done", "--from", "-", input: project("some")).code == 0)
    #expect(try project.items(of: "load").filter(\.isDone).map(\.key) == ["k0", "k499", "k500", "k1199"])
    #expect(try project.purser("subtasks", "load", "fail", "k1", "--from", "some").code == 0)
    #expect(try project.items(of: "load").filter { $0.status == "failed" }.count == 5)
  }

  @Test func `What is known of a key stays when the list is made again`() throws {
    #expect(try project.purser("subtasks", "load", "create", "a", "b", "c").code == 0)
    #expect(try project.purser("subtasks", "load", "done", "a", "c").code == 0)
    #expect(try project.purser("subtasks", "load", "create", "new", "c", "b").code == 0)
    #expect(try project.items(of: "load").map(\.key) == ["new", "c", "b"])
    #expect(try project.items(of: "load").map(\.isDone) == [false, true, false])
  }

  @Test func `Each storage key has a list of its own`() throws {
    #expect(try project.purser("subtasks", "load", "create", "a", "b", "--storage-key", "x").code == 0)
    #expect(try project.purser("subtasks", "load", "done", "a", "--storage-key", "x").code == 0)
    #expect(try project.purser("subtasks", "load", "--storage-key", "y").code == 66)
    #expect(try project.items(of: "load", environment: ["PURSER_STORAGE_KEY": "x"]).map(\.isDone) == [true, false])
  }

  @Test func `What cannot be recorded is refused, all of it`() throws {
    func expect(_ arguments: [ByteString], _ code: Int32, _ message: String) throws {
      let outcome = try project.purser(["subtasks"] + arguments)
      #expect(outcome.code == code, "\(arguments)")
      #expect(outcome.errorText.contains(message), "\(outcome.errorText)")
    }
    try expect(["load"], 66, "'load'")
    try expect(["load", "done", "a"], 66, "task 'load' has no items yet")
    #expect(try project.purser("subtasks", "load", "create", "alpha", "beta").code == 0)
    try expect(["load", "done", "alpha", "bata"], 66, "task 'load' has no item 'bata'; did you mean 'beta'?")
    try expect(["load", "finished", "alpha"], 64, "not 'finished'")
    try expect(["load", "done"], 64, "name the items")
    try expect(["load", "create", "a", "b", "a"], 65, "'a'")
    #expect(try project.items(of: "load").map(\.key) == ["alpha", "beta"])
    #expect(try project.items(of: "load").allSatisfy { !$0.isDone })
    try expect(["laod"], 66, "'load'")
  }

  @Test func `Two processes that mark items of one bin lose nothing`() throws {
    let script = #"for call in 1 2 3; do "$TOOL" subtasks load done "$1-$call-a" "$1-$call-b"; done"#
    let keys = ["x", "y"].flatMap { side in
      (1...3).flatMap { call in ["a", "b"].map { "\(side)-\(call)-\($0)" } }
    }
    for round in 1...TestProject.rounds(20) {
      let task = ByteString("load")
      let key = ByteString("round-\(round)")
      let environment: [String: ByteString] = ["PURSER_STORAGE_KEY": key]
      #expect(
        try project.purser(["subtasks", task, "create"] + keys.map { ByteString($0) }, environment: environment).code
          == 0)
      let processes = try ["x", "y"].map { side in
        try project.start(["/bin/sh", "-euc", ByteString(script), "sh", ByteString(side)], environment: environment)
      }
      for process in processes {
        let outcome = try process.wait()
        #expect(outcome.code == 0, "round \(round): \(outcome.errorText)")
      }
      let items = try project.items(of: task, environment: environment)
      try #require(items.count == 12)
      try #require(items.allSatisfy { $0.isDone }, "round \(round): an update was lost")
    }
  }
}
