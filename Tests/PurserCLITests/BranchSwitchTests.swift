import Glibc
import PurserModel
import Testing

/// What it is all for: a pipeline on one branch, then on another, then back.
@Suite(.project, .enabled(if: access("/usr/bin/git", X_OK) == 0, "git is not installed"))
struct BranchSwitchTests {
  let project = TestProject.current

  private func git(_ commands: String...) throws {
    for command in commands {
      let outcome = try project.shell("git -c user.name=T -c user.email=t@example.org \(command)")
      try #require(outcome.code == 0, "git \(command): \(outcome.errorText)")
    }
  }

  /// `a` and `b` from files, `join` from both, `each` for items, `report` at the end, and `load`, whose effect is
  /// elsewhere.
  private func makeRepository() throws {
    for name in ["a", "b", "join", "report"] {
      try project.script(ByteString("\(name).sh"), "cat \"$@\"", counting: name)
    }
    try project.write("a.txt", "a\n")
    try project.write("b.txt", "b\n")
    try project.write(
      "purser.yaml",
      """
      tasks:
        a: {command: ./a.sh a.txt > made.a, code: a.sh, inputs: a.txt, outputs: made.a}
        b: {command: ./b.sh b.txt > made.b, code: b.sh, inputs: b.txt, outputs: made.b}
        join:
          command: ./join.sh made.a made.b > made.join
          code: join.sh
          inputs: [made.a, made.b]
          outputs: made.join
          after: [a, b]
        list: {command: 'echo ''["x", "y"]'' > "$PURSER_RESULT"', cache_result: true, iterable_item: name}
        each:
          command: echo >> "$COUNTS/each"; echo "$name" > "made.$name"
          outputs: ["made.${name}"]
          map_over: name
          after: list
        report: {command: ./report.sh made.join > made.report, code: report.sh, inputs: made.join, outputs: made.report, after: [join, each]}
      """)
    try project.write(".gitignore", "made.*\n")
    try git("init -q -b main", "add -A", "commit -q -m first")
  }

  private func counts() -> [String: Int] {
    ["a", "b", "join", "each", "report"].reduce(into: [:]) { $0[$1] = project.executions(ByteString($1)) }
  }

  private static let once = ["a": 1, "b": 1, "join": 1, "each": 2, "report": 1]
  private static let names = ["a", "b", "each", "join", "list", "report"]

  private func run(_ expected: [String: String], in folder: ByteString = ".") throws {
    let run = try project.runPipeline(in: folder)
    #expect(run.code == 0, "\(run.errorText)")
    #expect(run.endings == expected)
  }

  private func all(_ ending: String) -> [String: String] {
    Self.names.reduce(into: [:]) { $0[$1] = ending }
  }

  @Test func `A new branch runs nothing, a change runs what follows it, and the old branch is fresh`() throws {
    try makeRepository()
    try run(all("ran"))
    #expect(counts() == Self.once)

    try git("switch -q -c feature")
    try run(all("restored"))
    try run(all("fresh"))
    #expect(counts() == Self.once)

    // A comment: `b` runs, and makes the same; what follows does not even run.
    try project.script("b.sh", "# as before\ncat \"$@\"", counting: "b")
    try run(["a": "fresh", "b": "ran", "join": "fresh", "each": "fresh", "list": "fresh", "report": "fresh"])
    try project.script("b.sh", "cat \"$@\"; echo more", counting: "b")
    try run(["a": "fresh", "b": "ran", "join": "ran", "each": "fresh", "list": "fresh", "report": "ran"])
    #expect(counts() == ["a": 1, "b": 3, "join": 2, "each": 2, "report": 2])
    #expect(try project.text("made.report") == "a\nb\nmore\n")
    try git("commit -q -a -m change")

    // Back: what lies there is of the other branch, and is put back. Then all is fresh.
    for _ in 0..<2 {
      try git("switch -q main")
      try run([
        "a": "fresh", "b": "restored", "join": "restored", "each": "fresh", "list": "fresh", "report": "restored",
      ])
      #expect(try project.text("made.report") == "a\nb\n")
      try run(all("fresh"))
      try git("switch -q feature")
      try run([
        "a": "fresh", "b": "restored", "join": "restored", "each": "fresh", "list": "fresh", "report": "restored",
      ])
      #expect(try project.text("made.report") == "a\nb\nmore\n")
      try run(all("fresh"))
    }
    #expect(counts() == ["a": 1, "b": 3, "join": 2, "each": 2, "report": 2])
  }

  @Test func `Two worktrees share one store, and each is fresh on its own branch`() throws {
    try makeRepository()
    try run(all("ran"))
    try git("worktree add -q -b feature ../worktree")
    try run(all("restored"), in: "../worktree")
    try run(all("fresh"), in: "../worktree")
    #expect(counts() == Self.once)
    #expect(!project.exists("../worktree/.purser"))

    try project.write("../worktree/a.txt", "other\n")
    try run(
      ["a": "ran", "b": "fresh", "join": "ran", "each": "fresh", "list": "fresh", "report": "ran"], in: "../worktree")
    for _ in 0..<2 {
      try run(all("fresh"))
      try run(all("fresh"), in: "../worktree")
    }
    #expect(try project.text("made.report") == "a\nb\n")
    #expect(try project.text("../worktree/made.report") == "other\nb\n")
    #expect(counts() == ["a": 2, "b": 1, "join": 2, "each": 2, "report": 2])
    let keys = try project.purser("branch", "--json").json()["storageKeys"]?.array ?? []
    #expect(keys.compactMap { $0["storageKey"]?.string } == ["feature", "main"])
  }

  @Test func `After a clone a new branch is fresh at once, also where the effect is elsewhere`() throws {
    try makeRepository()
    try project.write(
      "purser.yaml",
      try project.text("purser.yaml") + "\n  load: {command: 'echo >> \"$COUNTS/load\"', after: report}\n")
    try git("commit -q -a -m load")
    #expect(try project.runPipeline().code == 0)
    try git("switch -q -c feature")
    #expect(
      try project.purser("branch", "clone", "main", "feature").outputText
        == "cloned 7 tasks (2 items) from main to feature\n")
    var fresh = all("fresh")
    fresh["load"] = "fresh"
    try run(fresh)
    #expect(counts() == Self.once)
    #expect(project.executions("load") == 1)
    #expect(
      try project.purser("branch", "diff", "main", "feature", "--json").outputText
        == "{\"tasks\":[],\"wouldRerun\":[]}\n")
    #expect(
      try project.purser("branch", "diff", "main", "feature").outputText
        == "Nothing differs between main and feature.\n")

    // Another new branch, not cloned: what was loaded for one was not loaded for it.
    try git("switch -q -c other")
    var restored = all("restored")
    restored["load"] = "ran"
    try run(restored)
    #expect(project.executions("load") == 2)
    try project.requireSoundRecords()
  }
}
