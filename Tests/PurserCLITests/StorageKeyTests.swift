import Glibc
import PurserModel
import Testing

/// From the branch to the storage key: by `purser.yaml`, by `branch_conf`, or as it is.
@Suite(.project)
struct StorageKeyTests {
  let project = TestProject.current

  private func checkOut(_ branch: ByteString) throws {
    try project.write(".git/HEAD", Array("ref: refs/heads/".utf8) + branch.bytes + [0x0a])
  }

  private func key(_ arguments: ByteString..., environment: [String: ByteString] = [:]) throws -> String {
    let outcome = try project.purser(["branch", "--json"] + arguments, environment: environment)
    try #require(outcome.code == 0, "\(outcome.errorText)")
    return try #require(try outcome.json()["current"]?.string)
  }

  private func writePipeline(_ rules: String) throws {
    try project.write("purser.yaml", "settings:\n  storage_keys: {\(rules)}\ntasks: {t: {command: 'true'}}\n")
  }

  @Test func `A file in branch_conf gives a branch its key`() throws {
    try checkOut("main")
    #expect(try key() == "main")
    try project.write("branch_conf/main.yaml", "# of kptn's watcher\nother: [1, {a: b}]\nstorage_key: prod\n")
    #expect(try key() == "prod")
    try checkOut("topic")
    #expect(try key() == "topic")
    try project.write("branch_conf/topic.yaml", "storage_key: 1.10")
    #expect(try key() == "1.10")
    try project.write("branch_conf/topic.yaml", "other: x")
    #expect(try key() == "topic")
    try project.write("branch_conf/topic.yaml", "storage_key: ~")
    #expect(try key() == "topic")
    try project.write("branch_conf/topic.yaml", "")
    #expect(try key() == "topic")
  }

  @Test func `A branch with slashes is looked for in folders, then with underscores`() throws {
    try checkOut("feature/a/b")
    try project.write("branch_conf/feature_a_b.yaml", "storage_key: flat")
    #expect(try key() == "flat")
    try project.write("branch_conf/feature/a/b.yaml", "storage_key: nested")
    #expect(try key() == "nested")
    try project.remove("branch_conf")
    try project.write("branch_conf", "a file")
    #expect(try key() == "feature/a/b")
  }

  @Test func `Branches of any bytes find their files`() throws {
    for branch in [ByteString("größe"), ByteString(bytes: [0x61, 0xff, 0xfe]), "-x", "{a,b}", "a b"] {
      try checkOut(branch)
      #expect(try key() == branch.escaped)
      try project.write("branch_conf/" + branch + ".yaml", "storage_key: found")
      #expect(try key() == "found")
      try project.remove("branch_conf")
    }
  }

  @Test func `What CI names for a detached head is mapped, and leads nowhere else`() throws {
    try project.write(".git/HEAD", "0123456789abcdef0123456789abcdef01234567\n")
    try project.write("branch_conf/release.yaml", "storage_key: prod")
    try project.write("../secret.yaml", "storage_key: secret")
    #expect(try key() == "detached-0123456789ab")
    #expect(try key(environment: ["CI_COMMIT_REF_NAME": "release"]) == "prod")
    for name in ["../../secret", "..", "/etc/x", "a//b", "./release", ""] {
      let expected = name.isEmpty ? "detached-0123456789ab" : name
      #expect(try key(environment: ["GITHUB_REF_NAME": ByteString(name)]) == expected)
    }
    try writePipeline("\"**\": all")
    #expect(try key(environment: ["GITHUB_HEAD_REF": "pull/1"]) == "all")
    #expect(try key() == "detached-0123456789ab")
  }

  @Test func `The pipeline file goes by name, then by the first pattern, and before branch_conf`() throws {
    try writePipeline("\"feature/*\": f, \"{fix,hot}/**\": x, main: prod, \"feature/one\": one, \"[a-c]?\": short")
    for branch: ByteString in ["feature/two", "main", "other"] {
      try project.write("branch_conf/" + branch + ".yaml", "storage_key: conf")
    }
    for (branch, expected) in [
      ("feature/two", "f"), ("feature/one", "one"), ("feature/a/b", "feature/a/b"), ("fix/a/b", "x"), ("hot/1", "x"),
      ("main", "prod"), ("b1", "short"), ("d1", "d1"), ("other", "conf"),
    ] as [(ByteString, String)] {
      try checkOut(branch)
      #expect(try key() == expected)
    }
  }

  @Test func `An option goes before a variable, and both before any mapping`() throws {
    try checkOut("main")
    try writePipeline("main: mapped")
    try project.write("branch_conf/main.yaml", "storage_key: [")
    #expect(try key() == "mapped", "a file that is not asked is not read")
    #expect(try key(environment: ["PURSER_STORAGE_KEY": "main"]) == "main")
    #expect(try key("--storage-key", "option", environment: ["PURSER_STORAGE_KEY": "main"]) == "option")
  }

  @Test(arguments: [
    ("storage_key: [", "branch_conf/main.yaml:2:1: a value is expected here"),
    ("x: 1\nstorage_key: {a: b}", "branch_conf/main.yaml:2:14: 'storage_key' must be a text, not a mapping"),
    ("storage_key: ''", "branch_conf/main.yaml:1:14: 'storage_key' is empty; write a text, or remove the key"),
    (
      #"storage_key: "a\tb""#,
      #"branch_conf/main.yaml:1:14: 'storage_key' has a control character: 'a\x09b'; remove it"#
    ),
    ("storage_kye: x", "branch_conf/main.yaml:1:1: unknown key 'storage_kye'; did you mean 'storage_key'?"),
    ("- storage_key: x", "branch_conf/main.yaml:1:1: the file must be a mapping, not a list"),
  ])
  func `A file that cannot be used stops every command but exec`(_ content: String, _ message: String) throws {
    try checkOut("main")
    try project.write("branch_conf/main.yaml", content)
    for arguments: [ByteString] in [
      ["status"], ["branch"], ["check", "t"], ["gc"], ["subtasks", "t"], ["db", "status"],
    ] {
      let outcome = try project.purser(arguments)
      #expect(outcome.code == 78)
      #expect(outcome.errorText == "error: \(message)\n")
    }
    let outcome = try project.purser("exec", "--task", "t", "--", "echo", "ran")
    #expect(outcome.code == 0 && outcome.outputText == "ran\n")
    #expect(outcome.errorText == "warning: \(message); recorded under storage key 'main'\n")
    #expect(try key("--storage-key", "x") == "x")
    try project.remove("branch_conf")
    #expect(try project.purser("check", "t").code == 0, "it was recorded under the branch's own name")
    try project.makeFolder("branch_conf/main.yaml")
    let folder = try project.purser("status")
    #expect(folder.code == 78)
    #expect(
      folder.errorText == "error: 'branch_conf/main.yaml' cannot be read: Is a directory; mend it, or name the key "
        + "with --storage-key\n")
  }

  @Test func `A rule that cannot be used is an error of the pipeline file, with its place`() throws {
    try checkOut("main")
    try project.write(
      "purser.yaml",
      """
      settings:
        storage_keys:
          "feature/[": a
          main: [b]
          "": c
          other: "d\\te"
      tasks: {t: {command: 'true'}}
      """)
    let outcome = try project.purser("lint")
    #expect(outcome.code == 78)
    let lines = outcome.outputText.split(separator: "\n")
    #expect(lines.count == 4)
    #expect(
      lines[0].hasPrefix("purser.yaml:3:5: error: the pattern 'feature/[' of 'storage_keys' of 'settings' has a '['"))
    #expect(lines[1] == "purser.yaml:4:11: error: the storage key of 'main' must be a text, not a list")
    #expect(lines[2].hasPrefix("purser.yaml:5:5: error: 'storage_keys' of 'settings' has an empty branch name"))
    #expect(lines[3].hasPrefix("purser.yaml:6:12: error: the storage key of 'other' has a control character"))
  }

  @Test func `A plan that is kept is kept for its branch and what that is mapped to`() throws {
    try project.write("in", "1")
    func write(_ rules: String) throws {
      try project.write(
        "purser.yaml", "settings: {storage_keys: {\(rules)}}\ntasks: {t: {command: cat in, inputs: in}}\n")
    }
    func run() throws -> String? { try project.runPipeline().endings["t"] }
    try write("a: shared, b: shared")
    try checkOut("a")
    #expect(try run() == "ran")
    try checkOut("b")
    #expect(try run() == "fresh")
    try checkOut("c")
    #expect(try run() == "ran")
    try project.write("branch_conf/c.yaml", "storage_key: shared")
    #expect(try run() == "fresh")
    try project.write("branch_conf/c.yaml", "storage_key: own")
    #expect(try run() == "ran")
    try write("a: shared, b: shared, c: new")
    #expect(try run() == "ran")
    #expect(try project.query("SELECT storage_key FROM tasks ORDER BY 1") == ["c", "new", "own", "shared"])
  }
}
