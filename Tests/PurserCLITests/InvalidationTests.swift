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
}
