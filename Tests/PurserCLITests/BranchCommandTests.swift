import Glibc
import PurserModel
import Testing

/// `purser branch`: what it says, what it refuses, and what it leaves alone.
@Suite(.project)
struct BranchCommandTests {
  let project = TestProject.current

  /// A made from two files, `b` after it, `c` after that, and `x` by itself; on the key `main`.
  private func make(on key: ByteString = "main") throws {
    try project.write("in/1", "1\n")
    try project.write("in/2", "2\n")
    try project.write("code", "code\n")
    try project.write(
      "purser.yaml",
      """
      tasks:
        a: {command: cat in/* > a, inputs: in, outputs: a}
        b: {command: cat a > b, outputs: b, after: a}
        c: {command: echo ok, after: b}
        x: {command: cat code, code: code}
      """)
    try run(on: key)
  }

  private func run(on key: ByteString) throws {
    let outcome = try project.purser("run", "-q", "--storage-key", key)
    #expect(outcome.code == 0, "\(outcome.errorText)")
  }

  private func expectError(_ arguments: ByteString..., code: Int32, _ message: String) throws {
    let outcome = try project.purser(["branch"] + arguments + ["--storage-key", "main"])
    #expect(outcome.code == code)
    #expect(outcome.errorText == "error: \(message)\n")
    #expect(outcome.outputText == "")
  }

  private func keys() throws -> [String] {
    try project.purser("branch", "--json").json()["storageKeys"]?.array?.compactMap { $0["storageKey"]?.string } ?? []
  }

  @Test func `A list tells what stands under each key, and which is in use`() throws {
    #expect(
      try project.purser("branch", "list").outputText
        == "No storage key has records yet. Put 'purser exec … --' before a step, or use 'purser run'.\n")
    #expect(!project.exists(".purser"))
    try make()
    try project.write("in/2", "22\n")
    try run(on: "feature")
    try project.purser("exec", "--task", "t", "--pipeline", "other", "--storage-key", "feature", "--", "echo", "hi")
    let list = try project.purser("branch", "list", "--json", "--storage-key", "main").json()
    #expect(list["current"]?.string == "main")
    let keys = try #require(list["storageKeys"]?.array)
    #expect(keys.map { $0["storageKey"]?.string } == ["feature", "main"])
    #expect(keys.map { $0["current"]?.serialized } == ["false", "true"])
    #expect(keys.map { $0["pipelines"]?.serialized } == [#"["other","project"]"#, #"["project"]"#])
    #expect(keys.map { $0["tasks"]?.serialized } == ["5", "4"])
    #expect(keys.map { $0["subtasks"]?.serialized } == ["0", "0"])
    let sizes = keys.compactMap {
      ($0["bytes"].flatMap { Int($0.serialized) }, $0["ownBytes"].flatMap { Int($0.serialized) })
    }
    #expect(sizes.allSatisfy { ($0.0 ?? 0) > ($0.1 ?? 0) && ($0.1 ?? 0) > 0 })
    #expect(keys.allSatisfy { $0["lastActivity"]?.string?.hasSuffix("Z") == true })
    let lines = try project.purser("branch", "--storage-key", "main").outputText.split(separator: "\n")
    #expect(lines.count == 3)
    #expect(lines[0].hasPrefix("  KEY      PIPELINES       TASKS  SUBTASKS  AGE  "))
    #expect(lines[1].hasPrefix("  feature  other, project  5      0         "))
    #expect(lines[2].hasPrefix("* main     project         4      0         "))
    let other = try project.purser("branch", "--storage-key", "new").outputText
    #expect(other.hasSuffix("\nThe key in use here, 'new', has no records yet.\n"))
    let part = try project.purser("branch", "--pipeline", "other", "--json").json()["storageKeys"]?.array ?? []
    #expect(part.map { $0["storageKey"]?.string } == ["feature"] && part.map { $0["tasks"]?.serialized } == ["1"])
  }

  @Test func `A difference is named down to the file, with all that would run again`() throws {
    try make()
    #expect(try project.purser("branch", "clone", "main", "feature").code == 0)
    try project.write("in/2", "22\n")
    try run(on: "feature")
    let digests = try ["1", "2", "22"].map { try sha256("\($0)\n") }
    let difference = try project.purser("branch", "diff", "main", "feature", "--json").json()
    let tasks = try #require(difference["tasks"]?.array)
    #expect(tasks.map { $0["task"]?.string } == ["a", "b", "c"])
    #expect(
      tasks[0].serialized
        == #"{"task":"a","pipeline":"project","changes":[{"group":"inputs","name":"in/2","was":"\#(digests[1])","#
        + #""is":"\#(digests[2])"}]}"#)
    #expect(tasks[1]["changes"]?.array?.map { $0["name"]?.string } == ["outputs of a"])
    #expect(tasks[2]["changes"]?.array?.map { $0["name"]?.string } == ["outputs of b"])
    #expect(
      difference["wouldRerun"]?.serialized
        == #"[{"task":"a","pipeline":"project"},{"task":"b","pipeline":"project"},{"task":"c","pipeline":"project"}]"#)
    let back = try project.purser("branch", "diff", "feature", "main", "--json").json()
    #expect(back["tasks"]?.array?[0]["changes"]?.array?[0]["was"]?.string == digests[2])
    let text = try project.purser("branch", "diff", "main", "feature").outputText.split(separator: "\n")
    #expect(text.count == 7 && text[0] == "a" && text[2] == "b" && text[4] == "c")
    #expect(text[1] == "  in/2  (inputs)  was \(digests[1].prefix(12)), is \(digests[2].prefix(12))")
    #expect(text[6] == "Would run again where one took the other's place: a, b, c")
    #expect(
      try project.purser("branch", "diff", "main", "main", "--json").outputText == "{\"tasks\":[],\"wouldRerun\":[]}\n")
  }

  @Test func `Tasks of one key only, other statuses and marks are differences too`() throws {
    try make()
    try project.purser("branch", "clone", "main", "feature")
    try project.purser("exec", "--task", "extra", "--storage-key", "feature", "--", "true")
    try project.write("code", "exit 3\n")
    try project.purser("exec", "--task", "x", "--storage-key", "feature", "--code", "code", "--", "sh", "code")
    try project.purser("invalidate", "b", "--storage-key", "feature")
    let difference = try project.purser("branch", "diff", "main", "feature", "--json").json()
    let tasks = try #require(difference["tasks"]?.array)
    #expect(tasks.map { $0["task"]?.string } == ["b", "extra", "x"])
    #expect(
      tasks[0].serialized == #"{"task":"b","pipeline":"project","changes":[],"invalidated":{"was":false,"is":true}}"#)
    #expect(tasks[1].serialized == #"{"task":"extra","pipeline":"project","changes":[],"onlyIn":"feature"}"#)
    #expect(tasks[2]["status"]?.serialized == #"{"was":"SUCCESS","is":"FAILURE"}"#)
    #expect(tasks[2]["changes"]?.array?.isEmpty == false)
    #expect(difference["wouldRerun"]?.array?.map { $0["task"]?.string } == ["b", "c", "extra", "x"])
    let text = try project.purser("branch", "diff", "main", "feature").outputText
    #expect(
      text.hasPrefix("b: invalidated on feature\nextra: only on feature\nx: SUCCESS on main, FAILURE on feature\n"))
    #expect(
      try project.purser("branch", "diff", "main", "feature", "--pipeline", "other").errorText
        == "error: there are no records of pipeline 'other' under storage key 'main'; see 'purser branch list'\n")
  }

  @Test func `Other outputs of the same inputs are told apart from a change`() throws {
    for key: ByteString in ["main", "feature"] {
      let outcome = try project.purser(
        "exec", "--task", "dice", "--output", "out", "--storage-key", key, "--no-restore", "--", "sh", "-c",
        "cat /proc/sys/kernel/random/uuid > out")
      #expect(outcome.code == 0)
    }
    let difference = try project.purser("branch", "diff", "main", "feature", "--json").json()
    let task = try #require(difference["tasks"]?.array?.first)
    #expect(task["changes"]?.serialized == "[]" && task["outputs"]?["was"]?.string?.count == 64)
    #expect(difference["wouldRerun"]?.serialized == "[]")
    #expect(
      try project.purser("branch", "diff", "main", "feature").outputText
        == "dice: other outputs, though made from the same\n")
  }

  @Test func `Other data of the same inputs, and other items that are done, are told`() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        dice:
          command: 'printf ''"%s"'' "$(cat /proc/sys/kernel/random/uuid)" > "$PURSER_RESULT"'
          cache_result: true
        list: {command: 'echo ''["x", "y", "z"]'' > "$PURSER_RESULT"', cache_result: true, iterable_item: name}
        work: {command: '[ -e "../good-$name" ]', map_over: name, after: list}
      """)
    for (key, good) in [("main", ["x"]), ("feature", ["x", "y"]), ("other", ["y", "z"])] as [(ByteString, [ByteString])]
    {
      for name in good { try project.write("../good-" + name, "") }
      #expect(try project.runPipeline("--force", "--keep-going", "--storage-key", key).code == 1)
      for name in good { try project.remove("../good-" + name) }
    }
    func tasks(_ first: ByteString, _ second: ByteString) throws -> [JSON] {
      try project.purser("branch", "diff", first, second, "--json").json()["tasks"]?.array ?? []
    }
    let found = try tasks("main", "feature")
    #expect(found.map { $0["task"]?.string } == ["dice", "work"])
    #expect(found[0]["changes"]?.serialized == "[]" && found[0]["outputs"] == nil)
    #expect(found[0]["data"]?["was"]?.string?.count == 64)
    #expect(
      found[1].serialized == #"{"task":"work","pipeline":"project","changes":[],"items":{"was":1,"is":2}}"#)
    #expect(try tasks("feature", "other")[1]["items"]?.serialized == #"{"was":2,"is":2}"#, "but not the same two")
    #expect(
      try project.purser("branch", "diff", "main", "feature").outputText
        == """
        dice: other data, though made from the same
        work: 1 item done on main, 2 on feature
        Would run again where one took the other's place: work

        """)
    try project.purser("branch", "clone", "feature", "copy")
    #expect(try tasks("feature", "copy").isEmpty)
  }

  @Test func `A clone is refused onto records, onto itself, and from nothing`() throws {
    try make()
    #expect(
      try project.purser("branch", "clone", "main", "feature", "--json").outputText
        == #"{"from":"main","to":"feature","pipelines":["project"],"tasks":4,"subtasks":0,"replacedTasks":0}"# + "\n")
    try expectError(
      "clone", "main", "feature", code: 64,
      "storage key 'feature' has 4 records already; add --replace to remove them first")
    try expectError(
      "clone", "main", "main", code: 64, "storage key 'main' cannot be cloned to itself; name another one")
    try expectError(
      "clone", "mian", "new", code: 66, "there are no records under storage key 'mian'; did you mean 'main'?")
    try expectError(
      "clone", "quite-another", "new", code: 66,
      "there are no records under storage key 'quite-another'; see 'purser branch list'")
    try expectError(
      "clone", "main", "new", "--pipeline", "projekt", code: 66,
      "there are no records of pipeline 'projekt' under storage key 'main'; did you mean 'project'?")
    try expectError("clone", "main", "", code: 64, "'' cannot be a storage key: it is empty; name another one")
    try expectError(
      "clone", "main", "a\u{1b}[31m", code: 64,
      #"'a\x1b[31m' cannot be a storage key: it holds a control character; name another one"#)
    let long = ByteString(String(repeating: "é", count: 501))
    try expectError(
      "clone", "main", long, code: 64,
      "'\(String(repeating: "é", count: 100))…' cannot be a storage key: it is longer than 1000 bytes; name another one"
    )
    #expect(try keys() == ["feature", "main"])
    #expect(
      try project.purser("branch", "clone", "main", "feature", "--replace").outputText
        == "cloned 4 tasks from main to feature, in place of 4 tasks\n")
    #expect(try project.purser(["branch", "clone", "main", ByteString(String(repeating: "é", count: 500))]).code == 0)
  }

  @Test func `A key of any bytes can be cloned, compared and dropped`() throws {
    try make()
    let key = ByteString(bytes: Array("a/é\\".utf8) + [0xff])
    #expect(
      try project.purser("branch", "clone", "main", key).outputText == "cloned 4 tasks from main to a/é\\\\\\xff\n")
    #expect(try keys() == ["a/é\\\\\\xff", "main"])
    #expect(try project.purser(["status", "--storage-key", key]).outputText.contains("fresh"))
    #expect(try project.purser("branch", "diff", "main", key).outputText.hasPrefix("Nothing differs"))
    #expect(try project.purser("branch", "drop", key).code == 0)
    #expect(try keys() == ["main"])
  }

  @Test func `The key in use is dropped only by force, and what it made stays until it is collected`() throws {
    try make()
    try expectError(
      "drop", "main", code: 64, "storage key 'main' is the one in use here; add --force to drop it all the same")
    try expectError(
      "drop", "mian", code: 66, "there are no records under storage key 'mian'; did you mean 'main'?")
    #expect(
      try project.purser("branch", "drop", "main", "--force", "--storage-key", "main").outputText
        == "dropped 4 tasks of main; contents stay until 'purser gc'\n")
    #expect(try keys() == [])
    #expect(try project.purser("runs", "--storage-key", "main", "--json").json()["runs"]?.array?.count == 4)
    // Its results are still there for anybody, until nothing names them for long.
    try project.remove("a")
    try run(on: "main")
    #expect(
      try project.purser("runs", "a", "--json", "--storage-key", "main").json()["runs"]?.array?[0]["kind"]?.string
        == "restore")
    #expect(
      try project.purser("branch", "drop", "main", "--json").outputText
        == #"{"dropped":"main","pipelines":["project"],"tasks":4,"subtasks":0}"# + "\n")
    #expect(try project.purser("gc", "--older-than", "0s").code == 0)
    try project.remove("a")
    try run(on: "main")
    #expect(
      try project.purser("runs", "a", "--json", "--storage-key", "main").json()["runs"]?.array?[0]["kind"]?.string
        == "run")
    try project.requireSoundRecords()
  }

  @Test func `What is at work is neither dropped nor replaced, and who holds it is named`() throws {
    try make()
    let step = try project.start([
      TestProject.tool, "exec", "--task", "slow", "--storage-key", "feature", "--", "sh", "-c",
      "touch started; while [ ! -e go ]; do sleep 0.01; done",
    ])
    #expect(hasComeTrue { project.exists("started") })
    for arguments: [ByteString] in [
      ["drop", "feature"], ["drop", "feature", "--force"], ["clone", "main", "feature", "--replace"],
    ] {
      let outcome = try project.purser(["branch"] + arguments)
      #expect(outcome.code == 75)
      #expect(
        outcome.errorText.hasPrefix(
          "error: storage key 'feature' is in use: process \(step.pid) is at task 'slow', at work since 2"))
      #expect(outcome.errorText.hasSuffix("; wait for it, or stop it\n"))
    }
    // What runs can be copied: the copy is incomplete, and nobody's work.
    #expect(
      try project.purser("branch", "clone", "feature", "copy").outputText == "cloned 1 task from feature to copy\n")
    #expect(try project.query("SELECT status FROM tasks WHERE storage_key = 'copy'") == ["INCOMPLETE"])
    #expect(try project.purser("branch", "drop", "copy").code == 0)
    try project.write("go", "")
    #expect(try step.wait().code == 0)
    #expect(try project.purser("branch", "drop", "feature").code == 0)
  }

  @Test func `What a killed run left can be dropped`() throws {
    let step = try project.start([
      TestProject.tool, "exec", "--task", "slow", "--storage-key", "feature", "--", "sh", "-c",
      "touch started; exec sleep 1000",
    ])
    #expect(hasComeTrue { project.exists("started") })
    step.signal(SIGKILL)
    _ = try step.wait()
    #expect(try project.purser("branch", "drop", "feature").code == 0)
    #expect(try project.purser("exec", "--task", "slow", "--storage-key", "feature", "--", "true").code == 0)
    #expect(try project.query("SELECT status FROM tasks") == ["SUCCESS"])
    #expect(try project.query("SELECT count(*) FROM task_locks") == ["0"])
  }

  @Test func `A clone has what was accepted and what was declared void`() throws {
    try make()
    #expect(try project.purser("invalidate", "x", "--storage-key", "main", "--why", "sensor").code == 0)
    #expect(try project.purser("branch", "clone", "main", "feature").code == 0)
    #expect(try project.status(of: "x", "state", environment: ["PURSER_STORAGE_KEY": "feature"]) == "stale")
    #expect(try project.status(of: "a", "state", environment: ["PURSER_STORAGE_KEY": "feature"]) == "fresh")
    try run(on: "feature")
    #expect(try project.status(of: "x", "state", environment: ["PURSER_STORAGE_KEY": "main"]) == "stale")
  }

  @Test(
    arguments: [
      (["lst"], "unknown action 'lst'; did you mean 'list'?"),
      (["quite", "else"], "unknown action 'quite'; list, clone, diff or drop"),
      (["clone", "main"], "write 'purser branch clone FROM TO'"),
      (["clone"], "write 'purser branch clone FROM TO'"), (["diff", "main"], "write 'purser branch diff A B'"),
      (["drop"], "write 'purser branch drop KEY'"), (["drop", "a", "b"], "write 'purser branch drop KEY'"),
      (["list", "x"], "write 'purser branch list'"),
      (["drop", "a", "--replace"], "--replace is for 'branch clone'"),
      (["clone", "a", "b", "--force"], "--force is for 'branch drop'"),
      (["--replase"], "unknown option '--replase'; did you mean '--replace'?"),
    ] as [([ByteString], String)])
  func `What cannot be meant is refused`(_ arguments: [ByteString], _ message: String) throws {
    let outcome = try project.purser(["branch"] + arguments)
    #expect(outcome.code == 64)
    #expect(outcome.errorText == "error: \(message)\nSee 'purser branch --help'.\n")
  }

  private func sha256(_ text: String) throws -> String {
    try project.write("../text", text)
    return try project.digest("../text")
  }
}
