import Glibc
import PurserModel
import Testing

/// A mark makes results void: on one storage key or on all, for a task or for all that follows.
@Suite(.project)
struct InvalidationTests {
  let project = TestProject.current

  /// a, then b made from a, then c made from b; d stands alone.
  private func runAll(_ options: [ByteString] = []) throws {
    for task: ByteString in ["a", "b", "c", "d"] {
      let outcome = try exec(task, options)
      #expect(outcome.code == 0, "\(outcome.errorText)")
    }
  }

  private func makeChain() throws {
    try project.script("a.sh", "echo a > a", counting: "a")
    try project.script("b.sh", "cat a > b", counting: "b")
    try project.script("c.sh", "cat b > c", counting: "c")
    try project.script("d.sh", "echo d > d", counting: "d")
    try runAll()
  }

  private func exec(_ task: ByteString, _ options: [ByteString] = []) throws -> Outcome {
    let upstream: [ByteString: [ByteString]] = ["b": ["--after", "a"], "c": ["--after", "b"]]
    return try project.purser(
      ["exec", "--task", task, "--output", task] + options + (upstream[task] ?? []) + ["--", "./" + task + ".sh"])
  }

  private var executions: [Int] { ["a", "b", "c", "d"].map { project.executions($0) } }

  /// Tasks that are not fresh on a storage key.
  private func stale(_ options: [ByteString] = []) throws -> [String] {
    let tasks = try project.purser(["status", "--json"] + options).json()["tasks"]?.array ?? []
    return tasks.filter { $0["state"]?.string != "fresh" }.compactMap { $0["task"]?.string }
  }

  @Test func `A mark makes one task run again and is the reason that is given`() throws {
    try makeChain()
    let outcome = try project.purser("invalidate", "a", "--why", "new calibration")
    #expect(outcome.code == 0)
    #expect(outcome.outputText == "invalidated a on default\n")
    let reason = try project.purser("check", "--json", "a").json()["tasks"]?.array?.first?["reasons"]?.array
    #expect(reason?.count == 1)
    #expect(reason?.first?["kind"]?.string == "invalidated")
    #expect(reason?.first?["why"]?.string == "new calibration")
    #expect(reason?.first?["at"]?.string?.isEmpty == false)
    #expect(reason?.first?["by"]?.string?.contains("@") == true)

    #expect(try exec("c").code == 0, "c rests on b, which stands")
    let pending = try exec("b")
    #expect(pending.code == 66)
    #expect(try exec("a").code == 0)
    #expect(executions == [2, 1, 1, 1])
    #expect(try stale() == [], "what follows sees the same outputs")
  }

  @Test func `A mark does not remove outputs or history`() throws {
    try makeChain()
    try project.purser("invalidate", "a")
    #expect(try project.text("a") == "a\n")
    #expect(try project.purser("runs", "--json", "a").json()["runs"]?.array?.count == 1)
  }

  @Test func `A void result is not restored on its key but on others`() throws {
    try makeChain()
    try project.purser("invalidate", "a")
    try project.remove("a")
    #expect(try exec("a", ["--storage-key", "new"]).code == 0)
    #expect(try project.text("a") == "a\n")
    #expect(executions == [1, 1, 1, 1])
    try project.remove("a")
    #expect(try exec("a").code == 0)
    #expect(executions == [2, 1, 1, 1])
    try project.remove("a")
    #expect(try exec("a").code == 0, "the new result is restored")
    #expect(executions == [2, 1, 1, 1])
  }

  @Test func `Downstream marks all that follows and nothing else`() throws {
    try makeChain()
    let outcome = try project.purser("invalidate", "--json", "--downstream", "b")
    let marked = try outcome.json()["invalidated"]?.array?.compactMap { $0["task"]?.string }
    #expect(marked == ["b", "c"])
    #expect(try stale() == ["b", "c"])
    try runAll()
    #expect(executions == [1, 2, 2, 1])
    #expect(try stale() == [])
  }

  @Test func `Another storage key keeps its records unless all keys are meant`() throws {
    try makeChain()
    try runAll(["--storage-key", "other"])
    #expect(executions == [1, 1, 1, 1])
    try project.purser("invalidate", "--downstream", "a")
    #expect(try stale() == ["a", "b", "c"])
    #expect(try stale(["--storage-key", "other"]) == [])

    let outcome = try project.purser("invalidate", "--downstream", "--all-keys", "a")
    #expect(outcome.code == 0)
    #expect(Set(outcome.outputText.split(separator: "\n")).count == 6)
    #expect(try stale(["--storage-key", "other"]) == ["a", "b", "c"])
    try runAll(["--storage-key", "other"])
    #expect(executions == [2, 2, 2, 1])
  }

  @Test func `All keys means keys to come too`() throws {
    try makeChain()
    try project.purser("invalidate", "--all-keys", "a")
    #expect(try exec("a", ["--storage-key", "new"]).code == 0)
    #expect(executions == [2, 1, 1, 1])
    #expect(try exec("d", ["--storage-key", "new"]).code == 0)
    #expect(executions == [2, 1, 1, 1])
  }

  @Test func `A task known on another key only is no task here but with all keys`() throws {
    try makeChain()
    #expect(try project.purser("invalidate", "a", "--storage-key", "empty").code == 66)
    #expect(try project.purser("invalidate", "a", "--all-keys", "--storage-key", "empty").code == 0)
    #expect(try stale().contains("a"))
  }

  @Test func `One unknown task among several marks none`() throws {
    try makeChain()
    let outcome = try project.purser("invalidate", "a", "nonsense", "d")
    #expect(outcome.code == 66)
    #expect(
      outcome.errorText
        == "error: no task 'nonsense' under storage key 'default' of pipeline 'project'; see 'purser status'\n")
    #expect(try stale() == [])
  }

  // MARK: What is selected

  @Test func `A pattern stands for the tasks that it matches, and for one at least`() throws {
    try makeChain()
    let outcome = try project.purser("invalidate", "[bd]", "--why", "both")
    #expect(outcome.code == 0)
    #expect(outcome.outputText == "invalidated b on default\ninvalidated d on default\n")
    #expect(try stale() == ["b", "c", "d"], "c follows b")
    let none = try project.purser("invalidate", "a", "x*")
    #expect(none.code == 66)
    #expect(
      none.errorText
        == "error: the pattern 'x*' matches no task under storage key 'default' of pipeline 'project'; see 'purser "
        + "status'\n")
    let bad = try project.purser("invalidate", "[")
    #expect(bad.code == 64)
    #expect(bad.errorText.hasPrefix("error: the pattern '[' has a '[' that is not closed"))
    #expect(try stale() == ["b", "c", "d"], "nothing was changed by either")
    #expect(
      try project.purser("uninvalidate", "{b,d}", "--json").json()["uninvalidated"]?.array?.map { $0["task"]?.string }
        == ["b", "d"])
    #expect(try stale() == [])
  }

  @Test func `A task whose name looks like a pattern is meant by its name`() throws {
    for task: ByteString in ["a*", "ab"] {
      #expect(try project.purser("exec", "--task", task, "--", "true").code == 0)
    }
    #expect(try project.purser("invalidate", "a*").outputText == "invalidated a* on default\n")
    #expect(
      try project.purser("invalidate", "a?").outputText == "invalidated a* on default\ninvalidated ab on default\n")
  }

  @Test func `All tasks of a pipeline, or of a storage key, are marked`() throws {
    try makeChain()
    #expect(try project.purser("exec", "--pipeline", "other", "--task", "e", "--", "true").code == 0)
    #expect(try project.purser("exec", "--storage-key", "feature", "--task", "a", "--", "true").code == 0)
    #expect(try project.purser("invalidate", "--all-tasks").outputText.split(separator: "\n").count == 4)
    #expect(try stale() == ["a", "b", "c", "d"])
    #expect(try stale(["--pipeline", "other"]) == [])
    let branch = try project.purser("invalidate", "--storage-key", "default", "--all-tasks", "--all-pipelines")
    #expect(branch.outputText.split(separator: "\n").contains("invalidated e of other on default"))
    #expect(try stale(["--pipeline", "other"]) == ["e"])
    #expect(try stale(["--storage-key", "feature"]) == [])
    let unknown = try project.purser("invalidate", "--storage-key", "featrue", "--all-tasks")
    #expect(unknown.code == 66)
    #expect(
      unknown.errorText
        == "error: there are no tasks under storage key 'featrue' of pipeline 'project'; did you mean 'feature'?\n")
  }

  @Test(arguments: [["invalidate"], ["invalidate", "a", "--all-tasks"], ["uninvalidate"]] as [[ByteString]])
  func `Either tasks or all of them are named`(_ arguments: [ByteString]) throws {
    try makeChain()
    #expect(try project.purser(arguments).code == 64)
    #expect(try stale() == [])
  }

  @Test(arguments: [[], ["--downstream"], ["--all-keys"], ["--all-keys", "--downstream"]] as [[ByteString]])
  func `A dry run tells the same and changes nothing`(_ options: [ByteString]) throws {
    try makeChain()
    try runAll(["--storage-key", "other"])
    let before = try project.purser("status", "--json").output
    let dry = try project.purser(["invalidate", "a", "--dry-run", "--json"] + options).json()
    #expect(dry["dryRun"]?.bool == true)
    #expect(try project.purser("status", "--json").output == before)
    let text = try project.purser(["invalidate", "a", "--dry-run"] + options).outputText
    #expect(text.hasPrefix("would invalidate a on "))
    let real = try project.purser(["invalidate", "a", "--json"] + options).json()
    #expect(real["dryRun"]?.bool == false)
    #expect(real["invalidated"]?.serialized == dry["invalidated"]?.serialized)

    let marked = try project.purser("status", "--json").output
    let dryBack = try project.purser(["uninvalidate", "a", "--dry-run", "--json"] + options).json()
    #expect(try project.purser("status", "--json").output == marked)
    let back = try project.purser(["uninvalidate", "a", "--json"] + options).json()
    #expect(back["uninvalidated"]?.serialized == dryBack["uninvalidated"]?.serialized)
    #expect(dryBack["dryRun"]?.bool == true && back["dryRun"]?.bool == false)
    #expect(try project.purser("status", "--json").output == before)
    try runAll()
    try runAll(["--storage-key", "other"])
    #expect(executions == [1, 1, 1, 1])
  }

  // MARK: Taking back

  @Test func `A mark that is taken back leaves fresh what nothing else has changed`() throws {
    try makeChain()
    try project.purser("invalidate", "--downstream", "a", "--why", "new calibration")
    let outcome = try project.purser("uninvalidate", "--downstream", "a")
    #expect(outcome.code == 0)
    let lines = outcome.outputText.split(separator: "\n")
    #expect(lines.count == 3)
    #expect(lines.first?.hasPrefix("took back the mark on a on default (") == true)
    #expect(lines.first?.hasSuffix(" ago: new calibration)") == true)
    #expect(try stale() == [])
    try runAll()
    #expect(executions == [1, 1, 1, 1])
    let again = try project.purser("uninvalidate", "a")
    #expect(again.code == 66)
    #expect(
      again.errorText
        == "error: task 'a' has no mark on storage key 'default'; see 'purser status' for what is invalidated\n")
    #expect(try project.purser("uninvalidate", "--all-tasks").code == 66)
  }

  @Test func `A mark on all keys is taken back with all keys only`() throws {
    try makeChain()
    try project.purser("invalidate", "--all-keys", "a", "--why", "bad disk")
    let refused = try project.purser("uninvalidate", "a")
    #expect(refused.code == 65)
    #expect(
      refused.errorText
        == "error: the mark on task 'a' was made on all storage keys (bad disk); take it back there, with --all-keys\n")
    let mark = try project.purser("uninvalidate", "--all-keys", "--json", "a").json()["uninvalidated"]?.array?.first
    #expect(mark?["mark"]?["why"]?.string == "bad disk")
    #expect(mark?["mark"]?["allKeys"]?.bool == true)
    try project.remove("a")
    #expect(try exec("a", ["--storage-key", "new"]).code == 0)
    #expect(executions == [1, 1, 1, 1], "what it had voided is put back")
    let none = try project.purser("uninvalidate", "--all-keys", "a")
    #expect(none.code == 66)
    #expect(none.errorText.hasPrefix("error: task 'a' has no mark on all storage keys; one on a single key"))
  }

  @Test func `What ran since the mark stays when it is taken back`() throws {
    try makeChain()
    try project.purser("invalidate", "a")
    #expect(try exec("a").code == 0)
    #expect(try project.purser("uninvalidate", "a").code == 0)
    #expect(try stale() == [])
    #expect(executions == [2, 1, 1, 1])
  }

  @Test(arguments: [[], ["--all-keys"]] as [[ByteString]])
  func `What follows keeps a mark that was made for another reason`(_ options: [ByteString]) throws {
    try makeChain()
    try project.purser(["invalidate", "a", "--downstream", "--why", "new calibration"] + options)
    try runAll()
    #expect(executions == [2, 2, 2, 1])
    try project.purser(["invalidate", "c", "--why", "a bug of its own"] + options)
    let outcome = try project.purser(["uninvalidate", "a", "--downstream", "--json"] + options)
    let taken = try outcome.json()["uninvalidated"]?.array ?? []
    #expect(taken.map { $0["task"]?.string } == ["a", "b", "c"])
    #expect(taken.allSatisfy { $0["mark"]?["why"]?.string == "new calibration" })
    #expect(try stale() == ["c"])
    #expect(try project.purser(["uninvalidate", "c"] + options).code == 0)
    #expect(try stale() == [])
  }

  @Test func `Names that are the same but for their bytes are two tasks`() throws {
    let tasks = [ByteString("\u{e9}"), ByteString("e\u{301}")]
    for task in tasks {
      #expect(try project.purser("exec", "--task", task, "--output", "o" + task, "--", "touch", "o" + task).code == 0)
    }
    func states() throws -> [String?] {
      try project.purser("status", "--json").json()["tasks"]?.array?.map { $0["state"]?.string } ?? []
    }
    #expect(try project.purser("invalidate", tasks[0]).outputText == "invalidated \u{e9} on default\n")
    #expect(try states().filter { $0 == "stale" }.count == 1)
    #expect(try project.purser("uninvalidate", tasks[1]).code == 66)
    #expect(try project.purser("uninvalidate", tasks[0]).code == 0)
    #expect(try states() == ["fresh", "fresh"])
    try project.purser("invalidate", "--all-tasks")
    #expect(try states() == ["stale", "stale"])
  }

  // MARK: Mapped tasks

  @Test func `Items of a first run that was stopped are void with what they follow`() throws {
    try project.makeFolder("out")
    try project.writeMapped(
      #"command: 'echo "$name" >> "$COUNTS/items"; [ "$name" = x ] || until [ -e ../go ]; do sleep 0.01; done; "#
        + #"echo > "out/$name"'"# + "\noutputs: ['out/${name}']")
    try project.writeList(["x", "y"])
    let running = try project.start([TestProject.tool, "run", "-j1"])
    #expect(hasComeTrue { project.lines("items") == ["x", "y"] })
    running.signal(SIGTERM)
    #expect(try running.wait().code != 0)
    let outcome = try project.purser("invalidate", "list", "--downstream", "--json").json()
    #expect(outcome["invalidated"]?.array?.map { $0["task"]?.string } == ["list", "work"])
    try project.clearCounts()
    try project.write("../go", "")
    #expect(try project.runPipeline().items["work"]?["ran"] == 2)
    #expect(project.lines("items").sorted() == ["x", "y"])
  }

  @Test func `Items that came from another pipeline do not come back on keys to come`() throws {
    try project.makeFolder("out")
    try project.writeList(["x", "y"])
    try project.write(
      "purser.yaml",
      """
      graphs:
        first: {tasks: {list: null, work: list}}
        second: {tasks: {list: null, work: list}}
      tasks:
        list: {command: cat list.json > "$PURSER_RESULT", inputs: [list.json], cache_result: true, iterable_item: name}
        work:
          command: echo "$name" >> "$COUNTS/items"; echo > "out/$name"
          outputs: ["out/${name}"]
          map_over: name
      """)
    #expect(try project.runPipeline("--pipeline", "first").items["work"]?["ran"] == 2)
    #expect(try project.runPipeline("--pipeline", "second").endings["work"] == "restored")
    #expect(project.lines("items").count == 2)
    #expect(try project.purser("invalidate", "work", "--all-keys", "--pipeline", "second").code == 0)
    let new = try project.runPipeline("--pipeline", "second", "--storage-key", "new")
    #expect(new.items["work"]?["ran"] == 2 && new.items["work"]?["restored"] == 0)
    #expect(project.lines("items").count == 4)
    // What was made since is nothing that the mark is about, for the other pipeline either.
    #expect(try project.runPipeline("--pipeline", "first").endings["work"] == "restored")
    #expect(project.lines("items").count == 4)
  }

  // MARK: Runs that are under way

  @Test(arguments: [[], ["--all-keys"]] as [[ByteString]])
  func `A run that is under way does not count once it was invalidated`(_ options: [ByteString]) throws {
    try project.script("a.sh", "until [ -e ../go ]; do sleep 0.01; done; echo a > a; exit 0", counting: "a")
    let running = try project.start([TestProject.tool, "exec", "--task", "a", "--output", "a", "--", "./a.sh"])
    #expect(hasComeTrue { project.executions("a") == 1 })
    #expect(try project.purser(["invalidate", "a", "--why", "wrong input"] + options).code == 0)
    try project.write("../go", "")
    let outcome = try running.wait()
    #expect(outcome.code == 0, "the command's own exit code")
    #expect(
      outcome.errorText
        == "warning: task 'a' was invalidated while it ran (wrong input), so that its result does not count; run it "
        + "again\n")
    let reason = try project.purser("check", "--json", "a").json()["tasks"]?.array?.first?["reasons"]?.array
    #expect(reason?.map { $0["kind"]?.string } == ["invalidated"])
    try project.remove("a")
    // Made with the wrong input, it is nothing for others either if all keys were meant.
    #expect(try exec("a", ["--storage-key", "other"]).code == 0)
    #expect(project.executions("a") == (options.isEmpty ? 1 : 2))
    try project.remove("a")
    #expect(try exec("a").code == 0)
    #expect(project.executions("a") == 2)
    #expect(try stale() == [])
  }

  @Test func `A run of the pipeline says that a task was invalidated meanwhile, and goes no further`() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        a:
          command: 'echo >> "$COUNTS/a"; until [ -e ../go ]; do sleep 0.01; done; echo a > a'
          outputs: [a]
        b:
          after: a
          command: 'echo >> "$COUNTS/b"; cat a > b'
          outputs: [b]
      """)
    let running = try project.start([TestProject.tool, "run"])
    #expect(hasComeTrue { project.executions("a") == 1 })
    #expect(try project.purser("invalidate", "a", "--why", "wrong input").code == 0)
    try project.write("../go", "")
    let outcome = try running.wait()
    #expect(outcome.code == 1)
    #expect(
      outcome.errorText.contains(
        "error: task 'a' failed: it was invalidated while it ran (wrong input), so that its result does not count; run it "
          + "again\n"))
    #expect(project.executions("b") == 0)
    #expect(try project.runPipeline().endings == ["a": "ran", "b": "ran"])
    #expect(project.executions("a") == 2)
  }

  @Test func `A task that was marked while one before it ran is not passed over as fresh`() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        a: {command: 'echo >> "$COUNTS/a"; until [ -e ../go ]; do sleep 0.01; done; echo a > a', inputs: [in], outputs: [a]}
        b: {command: 'echo >> "$COUNTS/b"; cp a b', outputs: [b], after: a}
        c: {command: 'echo >> "$COUNTS/c"; cp b c', outputs: [c], after: b}
      """)
    try project.write("in", "1\n")
    try project.write("../go", "")
    #expect(try project.runPipeline().code == 0)
    try project.remove("../go")
    try project.write("in", "2\n")
    let running = try project.start([TestProject.tool, "run", "--json"])
    #expect(hasComeTrue { project.executions("a") == 2 })
    try project.purser("invalidate", "b")
    try project.write("../go", "")
    #expect(try PipelineRun(running.wait()).endings == ["a": "ran", "b": "ran", "c": "fresh"])
    #expect(["a", "b", "c"].map { project.executions($0) } == [2, 2, 1])
    #expect(try stale() == [])
  }

  @Test(arguments: [true, false])
  func `Items of a run that was invalidated meanwhile run again`(hasOutputs: Bool) throws {
    try project.makeFolder("out")
    try project.writeMapped(
      #"command: 'echo "$name" >> "$COUNTS/items"; until [ -e "../go-$name" ]; do sleep 0.01; done"#
        + (hasOutputs ? #"; echo > "out/$name"'"# + "\noutputs: ['out/${name}']" : "'"))
    try project.writeList(["x", "y"])
    let running = try project.start([TestProject.tool, "run", "-j1"])
    #expect(hasComeTrue { project.lines("items").count == 1 })
    #expect(try project.purser("invalidate", "work").code == 0)
    for name: ByteString in ["x", "y"] { try project.write("../go-" + name, "") }
    #expect(try running.wait().code == 1)
    #expect(project.lines("items").sorted() == ["x", "y"])
    // One alone first: the other one is not to pass for done by that.
    #expect(try project.purser("run", "work", "--subset", "y").code == 0)
    #expect(project.lines("items").sorted() == ["x", "y", "y"])
    #expect(try project.runPipeline().code == 0)
    #expect(project.lines("items").sorted() == ["x", "x", "y", "y"])
    #expect(try project.runPipeline().endings["work"] == "fresh")
  }
}
