import Glibc
import PurserModel
import Testing

/// `plan --at COMMIT` says what `plan` says after a checkout of it, and touches nothing.
@Suite(.project, .enabled(if: access("/usr/bin/git", X_OK) == 0, "git is not installed"))
struct PlanAtTests {
  let project = TestProject.current

  @discardableResult
  private func git(_ commands: String...) throws -> String {
    var last = ""
    for command in commands {
      let outcome = try project.shell("git -c user.name=T -c user.email=t@example.org \(command)")
      try #require(outcome.code == 0, "git \(command): \(outcome.errorText)")
      last = outcome.outputText
    }
    return String(last.prefix { $0 != "\n" })
  }

  /// Everything that is in a folder but for the store: kinds, permissions, times and contents.
  private func snapshot(_ folder: ByteString = ".") throws -> [String] {
    try project.names(folder).filter { $0 != ".purser" }.flatMap { name -> [String] in
      let path = folder == "." ? name : folder + "/" + name
      let info = try project.status(path)
      let state = "\(path.escaped) \(info.st_mode)"
      switch info.st_mode & S_IFMT {
      case S_IFDIR: return try [state] + snapshot(path)
      case S_IFLNK: return ["\(state) \(try project.target(path).escaped)"]
      default:
        let content = try project.bytes(path)
        return ["\(state) \(info.st_mtim.tv_sec).\(info.st_mtim.tv_nsec) \(content.count) \(content.hashValue)"]
      }
    }
  }

  private func plan(_ options: ByteString..., in folder: ByteString = ".") throws -> JSON {
    let outcome = try project.purser(["plan", "--json", "--storage-key", "key"] + options, in: folder)
    try #require(outcome.code == 0, "\(outcome.errorText)")
    return try outcome.json()
  }

  /// The plan for a commit, without what names the commit.
  private func plan(at commit: String, in folder: ByteString = ".") throws -> JSON {
    let before = try snapshot()
    let plan = try plan("--at", ByteString(commit), in: folder)
    #expect(try snapshot() == before, "the working tree, the index and HEAD are left alone")
    #expect(plan["at"]?.string == commit)
    guard case .object(let members) = plan else { return plan }
    let rest = JSON.object(members.filter { $0.0 != "at" }).serialized
    return try JSON(parsing: rest.replacing(" at \(commit.prefix(12))", with: "").utf8)
  }

  /// Compares a commit's plan, seen from what is checked out, with the plan after a checkout; gives the decisions.
  private func compare(_ commit: String, from here: String, in folder: ByteString = ".") throws -> [String] {
    try git("checkout -q \(here)")
    let seen = try plan(at: commit, in: folder)
    try git("checkout -q \(commit)")
    let real = try plan(in: folder)
    #expect(seen.serialized == real.serialized, "\(commit) from \(here)")
    return (real["tasks"]?.array ?? []).compactMap { $0["decision"]?.string }
  }

  // MARK: A history

  /// Numbers that are the same each time.
  private struct Dice {
    var state: UInt64

    mutating func roll(_ sides: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(sides))
    }

    mutating func pick<Element>(_ choices: Element...) -> Element { choices[roll(choices.count)] }
  }

  private static let tasks: [(name: String, fields: String)] = [
    ("imports", "command: 'echo > out/imports', code: step.py, outputs: out/imports"),
    ("forms", "command: 'echo > out/forms', code: step.py, code_digest: normalized, outputs: out/forms"),
    ("functions", "command: 'echo > out/functions', code: lib/b.py, code_digest: function, outputs: out/functions"),
    ("folder", "command: 'ls data > out/folder', inputs: data, outputs: out/folder"),
    ("glob", "command: 'cat in/*.csv > out/glob', inputs: ['in/*.csv', '**/*.txt'], outputs: out/glob"),
    ("link", "command: 'ls -L link > out/link', inputs: link, outputs: out/link"),
    ("program", "command: [./tool.sh]"),
    ("ignored", "command: 'ls raw > out/ignored', inputs: [raw, 'raw/*.dat'], outputs: out/ignored"),
    ("tracked", "command: 'echo o > made/o.txt', inputs: in/a.csv, outputs: made"),
    ("tool", "command: 'echo > out/tool', tools: ./tool.sh, outputs: out/tool"),
    ("header", "command: 'printf \"o: in/a.csv data/x/1.txt\" > out/d', depfile: out/d, code: common.sh"),
  ]

  private func writePipeline(_ folder: ByteString, _ dropped: Set<String>, _ number: Int) throws {
    let tasks = Self.tasks.filter { !dropped.contains($0.name) }.map { "  \($0.name): {\($0.fields)}\n" }.joined()
    let last = "  last: {command: 'echo \(number) > out/last', after: [folder, imports], outputs: out/last}\n"
    try project.write(folder + "/purser.yaml", "tasks:\n" + tasks + last)
  }

  /// One change of the files below a folder. Where a folder stands in a file's way, or the reverse, it gives way.
  private func change(_ folder: ByteString, _ dice: inout Dice, _ dropped: inout Set<String>) throws {
    func place(_ path: ByteString) -> ByteString { folder + "/" + path }
    func write(_ path: ByteString, _ text: String, mode: mode_t = 0o644) throws {
      var above = path.folder
      while !above.isEmpty {
        if let info = try? project.status(place(above)), info.st_mode & S_IFMT != S_IFDIR {
          try project.remove(place(above))
        }
        above = above.folder
      }
      try project.remove(place(path))
      try project.write(place(path), text, mode: mode)
    }
    func link(_ path: ByteString, to target: ByteString) throws {
      try project.remove(place(path))
      try project.makeFolder(place(path.folder.isEmpty ? "." : path.folder))
      try project.link(place(path), to: target)
    }
    let digit = ByteString(String(dice.roll(4)))
    switch dice.roll(16) {
    case 0, 1: try write("lib/a.py", "X = \(dice.roll(4))\n# \(dice.roll(3))\n")
    case 2:
      try write("lib/m" + digit + ".py", "import lib.a\n")
      try write("lib/b.py", "from . import a, m\(digit.printable)\n")
    case 3: try project.remove(place("lib/m" + digit + ".py"))
    case 4: try write("data/" + dice.pick("x", "y", "z") + "/" + digit + ".txt", "\(dice.roll(3))")
    case 5: try project.remove(place("data/" + dice.pick("x", "y", "y/2.txt", "x/1.txt")))
    case 6: try write("in/" + dice.pick("a", "b", "c", "sub/d") + ".csv", "\(dice.roll(3))")
    case 7: try project.remove(place("in/" + dice.pick("b.csv", "c.csv", "sub")))
    case 8: try write("tool.sh", "#!/bin/sh\n. ./common.sh\n", mode: dice.pick(0o755, 0o644))
    case 9:
      try link("link", to: dice.pick("data/x", "data/y", "in", "nowhere", "other"))
      try link("other", to: dice.pick("in", "lib/../in", "/etc/hostname", "link"))
    case 10: dropped.formSymmetricDifference([dice.pick("functions", "tool", "ignored", "tracked")])
    case 11:
      if project.exists(place("data/y")), !project.exists(place("data/q")) {
        try project.rename(place("data/y"), place("data/q"))
      } else if project.exists(place("data/q")) {
        try project.remove(place("data/y"))
        try project.rename(place("data/q"), place("data/y"))
      }
    case 12: try dice.roll(2) == 0 ? write("data/z", "a file") : write("data/z/f.txt", "in a folder")
    case 13:
      if dice.roll(2) == 0 {
        try write("data/w/in.txt", "a folder")
      } else {
        try link("data/w", to: dice.pick("../in", "../lib", "x", "../../..", "/tmp"))
      }
    case 14:
      try write("common.sh", "A=1\n. ./more\(digit.printable).sh\n")
      if dice.roll(2) == 0 { try write("more" + digit + ".sh", "B=1\n") }
    default:
      if project.exists(place("lib/__init__.py")) {
        try project.remove(place("lib/__init__.py"))
      } else {
        try write("lib/__init__.py", "# \(digit.printable)\n")
      }
    }
  }

  /// Twenty commits and more of a project in a folder of the repository, run now and then.
  private func makeHistory(_ folder: ByteString, seed: UInt64) throws -> [String] {
    try git("init -q -b main")
    try project.makeFolder(folder)
    for (path, text) in [
      ("lib/__init__.py", ""), ("lib/a.py", "X = 1\n"), ("lib/b.py", "from . import a\n"),
      ("step.py", "import lib.b\n"), ("common.sh", "A=1\n"), ("data/x/1.txt", "1"), ("data/y/2.txt", "2"),
      ("in/a.csv", "a"), ("in/b.csv", "b"), ("made/o.txt", "o\n"), ("raw/1.dat", "ignored"), ("out/.keep", ""),
      (".gitignore", ".purser/\nout/*\n!out/.keep\nraw/*.dat\n"),
    ] { try project.write(folder + "/" + ByteString(path), text) }
    try project.write(folder + "/tool.sh", "#!/bin/sh\n. ./common.sh\n", mode: 0o755)
    try project.link(folder + "/link", to: "data/x")
    try project.link(folder + "/data/l", to: "../in/a.csv")
    var dice = Dice(state: seed)
    var dropped: Set<String> = []
    try writePipeline(folder, dropped, 0)
    var commits: [String] = []
    for number in 0..<20 {
      for _ in 0...dice.roll(3) where number > 0 { try change(folder, &dice, &dropped) }
      try writePipeline(folder, dropped, number / 2)
      if dice.roll(3) == 0 { try project.write(folder + "/raw/2.dat", "\(number)") }
      try git("add -A", "commit -q --allow-empty -m \(number)")
      try commits.append(git("rev-parse HEAD"))
      if number % 5 == 1 { try project.purser("run", "--keep-going", "--storage-key", "key", in: folder) }
      // What a task has made that is tracked is part of the next commit.
    }
    return commits
  }

  @Test(arguments: [(1, "."), (2, "."), (3, "inner/project")] as [(UInt64, ByteString)])
  func `Every commit is planned as after a checkout`(_ seed: UInt64, _ folder: ByteString) throws {
    let commits = try makeHistory(folder, seed: seed)
    var decisions: Set<String> = []
    for (number, commit) in commits.enumerated() {
      decisions.formUnion(try compare(commit, from: commits[19 - number], in: folder))
    }
    // With files that git does not know in folders that come and go, and outputs of another commit.
    try git("checkout -q \(commits[12])")
    try project.write(folder + "/data/y/untracked.bin", "u")
    try project.write(folder + "/lib/__pycache__/z.pyc", "u")
    try project.purser("run", "--keep-going", "--storage-key", "key", in: folder)
    try git("checkout -q -f HEAD")
    for commit in commits[0..<8] {
      decisions.formUnion(try compare(commit, from: commits[12], in: folder))
    }
    #expect(decisions.isSuperset(of: ["fresh", "restore", "run"]))
  }

  // MARK: Single cases

  /// `copy` reads `in.txt`; two commits, in the second of which it is another.
  private func makeTwo() throws -> (first: String, second: String) {
    try project.write("in.txt", "one\n")
    try project.write(".gitignore", "out.txt\n.purser\n")
    try project.write("purser.yaml", "tasks: {copy: {command: cp in.txt out.txt, inputs: in.txt, outputs: out.txt}}\n")
    try git("init -q -b main", "add -A", "commit -q -m first", "tag before")
    let first = try git("rev-parse HEAD")
    try project.write("in.txt", "two\n")
    try git("commit -q -a -m second")
    return (first, try git("rev-parse HEAD"))
  }

  @Test func `A pull request is told what it would cost`() throws {
    let (first, _) = try makeTwo()
    #expect(try project.runPipeline().endings == ["copy": "ran"])
    let outcome = try project.purser("plan", "--at", "before")
    #expect(outcome.code == 0 && outcome.errorText.isEmpty, "\(outcome.errorText)")
    let lines = outcome.outputText.split(separator: "\n")
    #expect(lines[1].hasPrefix("copy  run   ") && lines[1].hasSuffix("inputs changed: in.txt"))
    #expect(lines[2].hasPrefix("1 of 1 tasks are not fresh at \(first.prefix(12)), about "))
    #expect(
      try project.purser("plan", "--at=HEAD").outputText
        == "The task is fresh at \(git("rev-parse HEAD").prefix(12)).\n")
  }

  @Test func `Edits that are not committed are no part of any commit`() throws {
    let (first, second) = try makeTwo()
    _ = try project.runPipeline()
    try project.write("in.txt", "edited\n")
    try project.write("new.txt", "staged")
    try git("add new.txt")
    func decision(_ plan: JSON) -> String? { plan["tasks"]?.array?.first?["decision"]?.string }
    #expect(decision(try project.purser("plan", "--json").json()) == "run")
    #expect(decision(try project.purser("plan", "--json", "--at", "HEAD").json()) == "fresh")
    try project.remove("in.txt")
    #expect(decision(try project.purser("plan", "--json", "--at", ByteString(second)).json()) == "fresh")
    #expect(decision(try project.purser("plan", "--json", "--at", ByteString(first)).json()) == "run")
    #expect(decision(try project.purser("plan", "--json").json()) == "error", "nothing of it was remembered")
  }

  @Test func `Code that is not tracked is seen on disk, and a tracked file wins over one in its way`() throws {
    try project.write("purser.yaml", "tasks: {a: {command: 'true', code: step.py, inputs: 'in/*', pure: true}}\n")
    try project.write("step.py", "import helper\n")
    try project.write("in/a", "tracked")
    try git("init -q -b main", "add -A", "commit -q -m first")
    let first = try git("rev-parse HEAD")
    try git("rm -q -r in step.py", "commit -q -m second")
    try project.write("helper.py", "Y = 1\n")
    try project.write("in", "a file that nobody tracks")
    let seen = try plan(at: first)
    try project.remove("in")
    try git("checkout -q \(first)")
    #expect(seen.serialized == (try plan()).serialized)
    #expect(try project.purser("lint").outputText.contains("helper") == false, "the import is followed")
  }

  @Test func `A linked worktree is compared with its own index and store`() throws {
    let (first, second) = try makeTwo()
    try git("worktree add -q -b topic ../worktree \(first)")
    _ = try project.runPipeline("--storage-key", "key", in: "../worktree")
    let seen = try plan("--at", ByteString(first), in: "../worktree")
    #expect(seen["tasks"]?.array?.first?["decision"]?.string == "fresh")
    let other = try plan("--at", ByteString(second), in: "../worktree")
    #expect(other["tasks"]?.array?.first?["decision"]?.string == "run")
    #expect(try plan("--at", ByteString(first))["tasks"]?.array?.first?["decision"]?.string == "restore")
  }

  @Test func `Line ends are those that a checkout writes`() throws {
    let (first, second) = try makeTwo()
    try project.write(".git/info/attributes", "*.txt text eol=crlf\n")
    try project.remove("in.txt")
    try git("checkout -q -f HEAD")
    #expect(try project.text("in.txt") == "two\r\n")
    _ = try compare(first, from: second)
    #expect(try project.text("in.txt") == "one\r\n")
    _ = try compare(second, from: first)
  }

  @Test func `Files that were only touched are left as they are, as by a checkout`() throws {
    let first = try makeTwo().first
    try project.write("\"quoted", "")
    try git("add -A", "commit -q -m third")
    let third = try git("rev-parse HEAD")
    try project.write(".git/info/attributes", "*.txt text eol=crlf\n")
    // Never checked out since: without the line ends that it would get.
    try project.shell("touch -d 2001-01-01 in.txt purser.yaml '\"quoted'; chmod 600 in.txt")
    _ = try compare(third, from: third)
    #expect(try project.text("in.txt") == "two\n")
    try project.shell("touch -d 2002-02-02 in.txt")
    _ = try compare(first, from: third)
  }

  @Test func `A merge in conflict is no part of any commit`() throws {
    let (first, second) = try makeTwo()
    try git("checkout -q -b other \(first)")
    try project.write("in.txt", "three\n")
    try git("commit -q -a -m third")
    let third = try git("rev-parse HEAD")
    #expect(try project.shell("git -c user.name=T -c user.email=t@example.org merge -q main").code == 1)
    let seen = try [first, second, third].map { try plan(at: $0).serialized }
    try git("merge --abort")
    for (commit, plan) in zip([first, second, third], seen) {
      try git("checkout -q \(commit)")
      #expect(try self.plan().serialized == plan)
    }
  }

  @Test func `Names may be any bytes`() throws {
    try project.write("purser.yaml", "tasks: {a: {command: 'true', inputs: [in, 'in/*'], pure: true}}\n")
    let names: [ByteString] = [
      "in/a\nb", "in/ c", "in/d\te", ByteString([0x69, 0x6e, 0x2f, 0xff]), "in/f\"g\\h", "in/*",
    ]
    for name in names { try project.write(name, "1") }
    try git("init -q -b main", "add -A", "commit -q -m first")
    let first = try git("rev-parse HEAD")
    for name in names { try project.write(name, "2") }
    try project.link("in/link\n", to: "a\nb")
    try git("add -A", "commit -q -m second")
    let second = try git("rev-parse HEAD")
    _ = try compare(first, from: second)
    _ = try compare(second, from: first)
  }

  @Test func `A submodule is seen on disk, and that is said`() throws {
    let (first, _) = try makeTwo()
    try project.shell(
      """
      git init -q ../library && cd ../library && echo 1 > f && git add f &&
        git -c user.name=T -c user.email=t@example.org commit -q -m library
      """)
    try git("-c protocol.file.allow=always submodule --quiet add ../library library", "commit -q -m third")
    let outcome = try project.purser("plan", "--at", ByteString(first))
    #expect(outcome.code == 0)
    #expect(
      outcome.errorText
        == "warning: the submodule 'library' is another at \(first.prefix(12)); it is seen as it is on disk\n")
    _ = try compare(first, from: "main")
  }

  @Test func `What may be otherwise after a checkout is said`() throws {
    let (first, _) = try makeTwo()
    func warnings() throws -> String { try project.purser("plan", "--at", ByteString(first)).errorText }
    try git("config core.sparseCheckout true")
    #expect(
      try warnings()
        == "warning: only part of the repository is checked out; what is another at \(first.prefix(12)) outside of it is "
        + "seen as if it were\n")
    try git("config --unset core.sparseCheckout")
    try project.write(".gitattributes", "*.txt text\n")
    try git("add -A", "commit -q -m third")
    #expect(
      try warnings()
        == "warning: '.gitattributes' is another at \(first.prefix(12)); line ends and filters are those of the one on "
        + "disk\n")
    #expect(try project.purser("plan", "--at", "HEAD").errorText.isEmpty)
    #expect(try project.purser("plan", "--at", "HEAD~1").errorText.isEmpty, "nothing is converted")
  }

  /// A git before the real one, which runs a line of shell at each comparison, with the number of it in `$n`.
  private func interfere(_ line: String) throws -> [String: ByteString] {
    try project.write(
      "../bin/git",
      """
      #!/bin/sh
      case "$*" in *diff-index*)
        echo >> "$COUNTS/comparisons"; n=$(wc -l < "$COUNTS/comparisons"); \(line)
      esac
      exec /usr/bin/git "$@"

      """, mode: 0o755)
    return ["PATH": project.folder + "/bin:/usr/bin:/bin"]
  }

  @Test func `A file that is edited meanwhile has the plan made again`() throws {
    let (first, _) = try makeTwo()
    let environment = try interfere("if [ $n = 2 ]; then echo edited > in.txt; fi")
    let outcome = try project.purser("plan", "--json", "--at", ByteString(first), environment: environment)
    #expect(outcome.code == 0, "\(outcome.errorText)")
    #expect(project.executions("comparisons") == 4)
    #expect(try outcome.json()["tasks"]?.array?.first?["decision"]?.string == "run")
  }

  @Test func `Files that never hold still are given up on`() throws {
    let (first, _) = try makeTwo()
    let environment = try interfere("mv in.txt $n.txt; echo $n > in.txt; git add -A")
    let outcome = try project.purser("plan", "--at", ByteString(first), environment: environment)
    #expect(outcome.code == 75)
    #expect(
      outcome.errorText
        == "error: files of the working tree change while they are compared with the commit; try again when they do not\n"
    )
    #expect(project.executions("comparisons") == 6)
  }

  // MARK: Bad input

  @Test func `What names no commit is refused`() throws {
    let (first, _) = try makeTwo()
    let root = project.root.escaped
    func refusal(_ reference: ByteString, code: Int32, environment: [String: ByteString] = [:]) throws -> String {
      let outcome = try project.purser("plan", "--at=" + reference, environment: environment)
      #expect(outcome.code == code && outcome.output.isEmpty)
      return outcome.errorText
    }
    #expect(
      try refusal("befor", code: 66) == "error: git knows no commit 'befor' in '\(root)'; did you mean 'before'?\n")
    #expect(
      try refusal("quite/another", code: 66)
        == "error: git knows no commit 'quite/another' in '\(root)'; 'git branch -a', 'git tag' and 'git log' name those "
        + "that are there\n")
    for reference: ByteString in ["--output=x", "-x", ""] {
      #expect(
        try refusal(reference, code: 64)
          == "error: --at '\(reference.printable)' names no commit; give a branch, a tag or a commit, such as HEAD~1\n")
    }
    #expect(
      try refusal("HEAD:in.txt", code: 66)
        == "error: 'HEAD:in.txt' is no commit, but another object of git's; name a commit\n")
    #expect(try refusal("HEAD~9", code: 66).contains("git knows no commit 'HEAD~9'"))
    #expect(try refusal("before..HEAD", code: 66).contains("git knows no commit 'before..HEAD'"))
    #expect(
      try refusal("HEAD", code: 69, environment: ["PATH": "/nonexistent"])
        == "error: git is needed for this, and is not on PATH; install it\n")
    #expect(try project.purser("plan", "--at").code == 64)
    #expect(try project.purser("plan", "--json", "--at", ":/first").json()["at"]?.string == first)
  }

  @Test func `A clone of part of the history says so`() throws {
    _ = try makeTwo()
    try git("clone -q --depth 1 file://\(project.root.escaped) ../clone")
    let outcome = try project.purser("plan", "--at", "HEAD~1", in: "../clone")
    #expect(outcome.code == 66)
    #expect(
      outcome.errorText.hasSuffix("; this clone has only part of the history: 'git fetch --unshallow' gets the rest\n"))
  }

  @Test func `Outside of a repository there are no commits`() throws {
    try project.write("purser.yaml", "tasks: {a: {command: 'true'}}\n")
    let outcome = try project.purser("plan", "--at", "HEAD")
    #expect(outcome.code == 64)
    #expect(
      outcome.errorText.hasPrefix(
        "error: --at needs the working tree of a git repository, and '\(project.root.escaped)' is in none: git says 'fatal:"
      ))
  }

  @Test func `The pipeline file is the commit's`() throws {
    try project.write("in.txt", "1")
    try git("init -q -b main", "add -A", "commit -q -m none")
    let none = try git("rev-parse HEAD")
    try project.write("purser.yaml", "tasks: {a: {command: 'true', inptus: in.txt}}\n")
    try git("add -A", "commit -q -m wrong")
    let wrong = try git("rev-parse HEAD")
    try project.write(
      "purser.yaml", "tasks: {a: {command: 'true', inputs: [in.txt, gone.txt]}, b: {command: 'true'}}\n")
    try project.write("gone.txt", "")
    try git("add -A", "commit -q -m right", "rm -q gone.txt", "commit -q -m gone")
    let gone = try git("rev-parse HEAD")
    try git("checkout -q HEAD~1")

    let missing = try project.purser("plan", "--at", ByteString(none))
    #expect(missing.code == 66)
    #expect(
      missing.errorText
        == "error: there is no purser.yaml or kptn.yaml in '\(project.root.escaped)' at \(none.prefix(12)); name a commit "
        + "that has one, or another root with --project\n")
    let broken = try project.purser("plan", "--at", ByteString(wrong))
    #expect(broken.code == 78)
    #expect(broken.errorText.hasPrefix("purser.yaml at \(wrong.prefix(12)):1:"))
    #expect(
      broken.errorText.hasSuffix(
        "error: purser.yaml at \(wrong.prefix(12)) has an error; take a commit in which it is mended\n"))
    let unknown = try project.purser("plan", "aa", "--at", ByteString(gone))
    #expect(unknown.code == 66)
    #expect(unknown.errorText.contains("of purser.yaml at \(gone.prefix(12)) has no task 'aa'; did you mean 'a'?"))
    let error = try project.purser("plan", "--json", "--at", ByteString(gone)).json()["tasks"]?.array?.first
    #expect(
      error?["error"]?.string
        == "input 'gone.txt' does not exist at \(gone.prefix(12)) (declared by task 'a'); create it, or remove --input "
        + "gone.txt")
  }
}
