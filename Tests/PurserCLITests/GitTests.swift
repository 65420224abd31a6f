import Glibc
import PurserModel
import Testing

/// The checked-out branch is the storage key, and worktrees share one store.
@Suite(.project, .enabled(if: access("/usr/bin/git", X_OK) == 0, "git is not installed"))
struct GitTests {
  let project = TestProject.current

  private func git(_ commands: String...) throws {
    for command in commands {
      let outcome = try project.shell("git -c user.name=T -c user.email=t@example.org \(command)")
      try #require(outcome.code == 0, "git \(command): \(outcome.errorText)")
    }
  }

  private func makeRepository() throws {
    try project.script("step.sh", "cat in > out; echo done")
    try project.write("in", "main\n")
    try project.write(".gitignore", "out\n")
    try git("init -q -b main", "add -A", "commit -q -m first")
  }

  private func exec(in folder: ByteString = ".", environment: [String: ByteString] = [:]) throws -> Outcome {
    try project.purser(
      "exec", "--task", "step", "--input", "in", "--output", "out", "--", "./step.sh", in: folder,
      environment: environment)
  }

  private func key(in folder: ByteString = ".", environment: [String: ByteString] = [:]) throws -> String? {
    try project.purser("status", "--json", in: folder, environment: environment).json()["storageKey"]?.string
  }

  @Test func `Each branch has its records and none executes what another did`() throws {
    try makeRepository()
    #expect(try exec().outputText == "done\n")
    #expect(try key() == "main")
    try git("switch -q -c topic/one")
    #expect(try key() == "topic/one")
    #expect(try project.purser("check", "step").code == 66, "there is no record on this branch yet")
    #expect(try exec().outputText == "done\n")
    #expect(project.executions() == 1)

    try project.write("in", "topic\n")
    try git("commit -q -a -m second")
    #expect(try exec().code == 0)
    #expect(project.executions() == 2)
    for (branch, content) in [("main", "main\n"), ("topic/one", "topic\n"), ("main", "main\n")] {
      try git("switch -q \(branch)")
      #expect(try exec().code == 0)
      #expect(try project.text("out") == content)
      #expect(try project.purser("check", "step").code == 0)
    }
    #expect(project.executions() == 2)
    #expect(try project.shell("git status --porcelain").outputText == "", "the store is ignored")
  }

  @Test(arguments: ["../worktree", ".worktrees/topic"])
  func `A worktree uses the main one's store and restores from it`(_ place: String) throws {
    let folder = ByteString(place)
    try makeRepository()
    #expect(try exec().code == 0)
    try git("worktree add -q -b topic \(place)")
    for _ in 1...2 {
      #expect(try key(in: folder) == "topic")
      let outcome = try exec(in: folder)
      #expect(outcome.code == 0)
      #expect(outcome.outputText == "done\n")
      #expect(try project.text(folder + "/out") == "main\n")
      #expect(!project.exists(folder + "/.purser"))
    }
    #expect(project.executions() == 1)
    try project.write(folder + "/in", "topic\n")
    #expect(try exec(in: folder).code == 0)
    #expect(try project.text(folder + "/out") == "topic\n")
    #expect(try project.text("out") == "main\n")
    #expect(project.executions() == 2)
    #expect(try exec().code == 0)
    #expect(project.executions() == 2)
  }

  @Test func `A worktree that runs first makes the main one's store`() throws {
    try makeRepository()
    try git("worktree add -q -b topic ../worktree")
    #expect(try exec(in: "../worktree").code == 0)
    #expect(!project.exists("../worktree/.purser"))
    #expect(project.exists(".purser"))
    #expect(try exec().code == 0)
    #expect(try project.text("out") == "main\n")
    #expect(project.executions() == 1)
  }

  @Test func `A detached HEAD is a key by its commit or by what CI says`() throws {
    try makeRepository()
    try git("switch -q --detach")
    let commit = try project.shell("git rev-parse HEAD").outputText
    #expect(try key() == "detached-\(commit.prefix(12))")
    #expect(try key(environment: ["CI_COMMIT_REF_NAME": "from-gitlab"]) == "from-gitlab")
    #expect(try key(environment: ["GITHUB_REF_NAME": "from-github"]) == "from-github")
    #expect(try key(environment: ["GITHUB_HEAD_REF": "pull", "GITHUB_REF_NAME": "7/merge"]) == "pull")
    #expect(try key(environment: ["GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "from-github"]) == "from-github")
    try git("switch -q main")
    #expect(try key(environment: ["GITHUB_REF_NAME": "from-github"]) == "main")
    #expect(try key(environment: ["PURSER_STORAGE_KEY": "mine"]) == "mine")
  }

  @Test func `Unborn branches, packed references and names of all kinds are keys`() throws {
    try makeRepository()
    for branch in ["a/b/c", "größe", "日本", "v1.0", "-", "a@b", "x{1,2}", "\u{e9}", "e\u{301}"] {
      try git("switch -q --orphan 'top/\(branch)'")
      #expect(ByteString(try #require(try key())) == ByteString("top/\(branch)"), "unborn")
      try git("commit -q --allow-empty -m x", "pack-refs --all --prune")
      #expect(ByteString(try #require(try key())) == ByteString("top/\(branch)"), "packed")
    }
    try project.shell("git symbolic-ref HEAD \"refs/heads/$(printf 'raw\\377')\"")
    #expect(try key() == "raw\\xff")
  }

  @Test func `A submodule has its own branch and store`() throws {
    try makeRepository()
    try git("clone -q . ../other", "-c protocol.file.allow=always submodule --quiet add ../other sub")
    #expect(try key(in: "sub") == "main")
    #expect(try project.text("sub/.git").hasPrefix("gitdir: "))
    try git("-C sub switch -q -c topic/sub")
    #expect(try key(in: "sub") == "topic/sub")
    #expect(try key() == "main")
    #expect(try exec(in: "sub").code == 0)
    #expect(project.exists("sub/.purser") && !project.exists(".purser"))
  }

  @Test func `The git top level is the root from any folder below it`() throws {
    try makeRepository()
    try project.makeFolder("a/b")
    let outcome = try project.purser(
      "exec", "--task", "step", "--input", "../../in", "--output", "made", "--", "sh", "-c", "cp ../../in made",
      in: "a/b")
    #expect(outcome.code == 0)
    #expect(project.exists(".purser") && !project.exists("a/b/.purser"))
    #expect(try project.text("a/b/made") == "main\n")
    let check = try project.purser("check", "step", in: "a")
    #expect(check.outputText == "step: fresh\n")
    try project.remove("a/b/made")
    let explanation = try project.purser("explain", "--json", "step").json()["reasons"]?.serialized
    #expect(explanation == #"[{"kind":"outputMissing","paths":["a/b/made"]}]"#)
  }

  @Test func `Two checkouts of one project give the same fingerprint`() throws {
    try makeRepository()
    try git("clone -q . ../copy")
    let fingerprints = try [".", "../copy"].map { folder in
      try project.purser(
        "check", "--json", "--task", "step", "--input", "in", "--output", "out", "--", "./step.sh",
        in: ByteString(folder)
      ).json()["tasks"]?.array?.first?["fingerprint"]?.string
    }
    #expect(fingerprints[0]?.count == 64)
    #expect(fingerprints[0] == fingerprints[1])
  }
}
