import Glibc
import PurserModel
import Testing

/// `purser queue`, `purser worker`, `purser events`: each piece of work done once, by whoever is there.
@Suite(.project)
struct QueueTests {
  let project = TestProject.current

  private func add(_ task: String, _ script: String, _ options: ByteString...) throws {
    let outcome = try project.purser(
      ["queue", "add", "-q", "--task", ByteString(task)] + options + ["--", "sh", "-c", ByteString(script)])
    #expect(outcome.code == 0, "\(outcome.errorText)")
  }

  /// The state of each piece of work, by its task.
  private func states() throws -> [String: String] {
    let work = try project.purser("queue", "list", "--limit", "100000", "--json").json()["work"]?.array ?? []
    return work.reduce(into: [:]) { $0[$1["task"]?.string ?? ""] = $1["state"]?.string }
  }

  private func worker(_ options: ByteString..., environment: [String: ByteString] = [:]) throws -> RunningProcess {
    try project.start([TestProject.tool, "worker", "-q"] + options, environment: environment)
  }

  @Test func `Work is done by priority, and recorded as any task is`() throws {
    for (name, priority) in [("low", "-1"), ("high", "7"), ("first", "0"), ("second", "0")] {
      let output = ByteString("\(name).out")
      try add(
        name, "echo \(name) >> \"$COUNTS/order\"; echo made > \(name).out", "--priority", ByteString(priority),
        "--output", output)
    }
    let waiting = try project.purser("queue", "list", "--state", "pending", "--json").json()["work"]?.array ?? []
    #expect(waiting.map { $0["task"]?.string } == ["high", "first", "second", "low"])
    #expect(try worker("--until-idle").wait().code == 0)
    #expect(project.lines("order") == ["high", "first", "second", "low"])
    #expect(Set(try states().values) == ["COMPLETED"])
    #expect(try project.purser("check", "low", "high", "first", "second").code == 0)
    // Queued again, it is fresh: nothing runs.
    try add("low", "echo low >> \"$COUNTS/order\"; echo made > low.out", "--output", "low.out")
    #expect(try worker("--until-idle").wait().code == 0)
    #expect(project.lines("order").count == 4)
    let newest = try project.purser("queue", "--json").json()["work"]?.array?.first
    #expect(newest?["result"]?["outcome"]?.string == "fresh")
    try project.requireSoundRecords()
  }

  @Test func `Tasks of the pipeline file are done with what they depend on`() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        a: {command: 'echo >> "$COUNTS/a"; echo 1 > a.txt', outputs: a.txt}
        b: {command: 'echo >> "$COUNTS/b"; cat a.txt a.txt > b.txt', inputs: a.txt, outputs: b.txt, after: a}
      """)
    #expect(try project.purser("queue", "add", "b", "a").code == 0)
    #expect(try worker("--until-idle", "-j2").wait().code == 0)
    #expect(project.executions("a") == 1 && project.executions("b") == 1)
    #expect(try project.text("b.txt") == "1\n1\n")
    #expect(
      try project.purser("run", "--json").json()["tasks"]?.array?.compactMap { $0["ending"]?.string } == [
        "fresh", "fresh",
      ])
    let outcome = try project.purser("queue", "add", "bb")
    #expect(outcome.code == 66 && outcome.errorText.contains("has no task 'bb'; did you mean 'b'?"))
  }

  @Test func `What fails is tried as often as it may be, and can be tried again`() throws {
    try add(
      "flaky", "echo >> \"$COUNTS/flaky\"; [ -e ready ] || { touch ready; echo not yet >&2; exit 4; }", "--attempts",
      "3")
    try add("bad", "exit 5")
    let run = try worker("--until-idle").wait()
    #expect(run.code == 1)
    #expect(run.errorText == "" && run.outputText == "" || run.errorText.contains("not yet"))
    #expect(try states() == ["flaky": "COMPLETED", "bad": "FAILED"])
    #expect(project.executions("flaky") == 2)
    let list = try project.purser("queue", "list").outputText
    #expect(list.contains("task 'bad' failed: exit code 5"))
    #expect(try project.purser("queue", "retry", "--failed").outputText == "work 2: pending\n")
    #expect(try project.purser("queue", "cancel", "2").outputText == "work 2: cancelled\n")
    #expect(try project.purser("queue", "remove", "2").outputText == "work 2: removed\n")
    #expect(try states() == ["flaky": "COMPLETED"])
    let events = try project.purser("events", "--run", "1", "--json").outputText.split(separator: "\n")
    let types = try events.map { try JSON(parsing: $0.utf8)["type"]?.string }
    #expect(types == ["QUEUED", "CLAIMED", "STARTED", "RETRYING", "CLAIMED", "STARTED", "FINISHED"])
  }

  @Test func `Work that runs is cancelled by its worker`() throws {
    try add("long", "touch started; sleep 600 & wait")
    let worker = try worker("--until-idle")
    while !project.exists("started") { usleep(5000) }
    #expect(try project.purser("queue", "cancel", "1").outputText == "work 1: cancelling\n")
    #expect(try worker.wait().code == 0)
    #expect(try states() == ["long": "CANCELLED"])
    project.expectNoProcess()
  }

  @Test func `A worker drains at the first signal and stops at the second`() throws {
    try add("one", "touch one; while [ ! -e go ]; do sleep 0.02; done; echo >> \"$COUNTS/one\"")
    try add("two", "echo >> \"$COUNTS/two\"")
    let first = try worker()
    while !project.exists("one") { usleep(5000) }
    first.signal(SIGTERM)
    while try project.purser("worker", "list", "--json").json()["workers"]?.array?.first?["status"]?.string
      != "DRAINING"
    {
      usleep(5000)
    }
    try project.write("go", "")
    #expect(try first.wait().code == 0)
    #expect(try states() == ["one": "COMPLETED", "two": "PENDING"])
    #expect(project.executions("one") == 1 && project.executions("two") == 0)

    try add("long", "touch long; sleep 600 & wait", "--priority", "9")
    let second = try worker()
    while !project.exists("long") { usleep(5000) }
    second.signal(SIGTERM)
    usleep(200_000)
    second.signal(SIGTERM)
    #expect(try second.wait().code == 0)
    #expect(try states() == ["one": "COMPLETED", "two": "PENDING", "long": "PENDING"])
    project.expectNoProcess()
    let workers = try project.purser("worker", "list", "--json").json()["workers"]?.array ?? []
    #expect(workers.map { $0["status"]?.string } == ["STOPPED", "STOPPED"])
  }

  @Test func `Many workers do each piece once`() throws {
    let count = TestProject.rounds(60)
    try project.shell(
      """
      for i in $(seq 1 \(count)); do
        "$TOOL" queue add -q --task "t$i" -- sh -c "echo $i >> \\"$COUNTS/done\\"" || exit 1
      done
      """)
    let workers = try (0..<6).map { _ in try worker("--until-idle", "-j2") }
    for worker in workers { #expect(try worker.wait().code == 0) }
    #expect(project.lines("done").compactMap(Int.init).sorted() == Array(1...count))
    let states = try states()
    #expect(states.count == count && Set(states.values) == ["COMPLETED"])
    let served = try project.purser("worker", "list", "--json").json()["workers"]?.array ?? []
    #expect(served.compactMap { $0["completed"]?.integer }.reduce(0, +) == Int64(count))
    try project.requireSoundRecords()
  }

  @Test func `Killed and frozen workers lose nothing, and publish nothing late`() throws {
    let environment: [String: ByteString] = ["PURSER_LEASE_SECONDS": "2"]
    let count = 24
    try project.shell(
      """
      for i in $(seq 1 \(count)); do
        "$TOOL" queue add -q --attempts 50 --task "t$i" --output "out/$i" -- \\
          sh -c "echo $i >> \\"$COUNTS/begun\\"; sleep 0.2; echo $i > out/$i" || exit 1
      done
      """)
    var frozen: [RunningProcess] = []
    for round in 0..<6 {
      let worker = try worker("-j3", environment: environment)
      usleep(UInt32(60_000 + 30_000 * round))
      if round % 2 == 0 {
        worker.signal(SIGKILL)
        _ = try worker.wait()
      } else {
        worker.signal(SIGSTOP)
        frozen.append(worker)
      }
    }
    #expect(try worker("--until-idle", "-j4", environment: environment).wait().code == 0)
    let states = try states()
    #expect(states.count == count && Set(states.values) == ["COMPLETED"], "\(states)")
    // They wake up, and what they believe to hold is not theirs any more.
    for worker in frozen {
      worker.signal(SIGCONT)
      worker.signal(SIGTERM)
      _ = try worker.wait()
    }
    #expect(try self.states() == states)
    for number in 1...count { #expect(try project.text(ByteString("out/\(number)")) == "\(number)\n") }
    let runs = try project.purser("runs", "--limit", "100000", "--json").json()["runs"]?.array ?? []
    let published = runs.filter { $0["state"]?.string == "COMPLETED" && $0["kind"]?.string == "run" }
    #expect(Set(published.compactMap { $0["task"]?.string }).count == count)
    #expect(published.count == count, "each result is published once")
    #expect(try project.purser("check", "t1", ByteString("t\(count)")).code == 0)
    project.expectNoProcess()
    try project.requireSoundRecords()
  }

  @Test(
    arguments: [
      (["queue", "ad"], 64, "queue is followed by list, add, cancel, retry, remove, not 'ad'; did you mean 'add'?"),
      (["queue", "add"], 64, "name a task, or put '--' and a command behind the options"),
      (
        ["queue", "add", "--priority", "1001", "--", "true"], 64,
        "--priority is a number from -1000 to 1000, not '1001'"
      ),
      (["queue", "add", "--attempts", "0", "--", "true"], 64, "--attempts is a number from 1 to 1000, not '0'"),
      (
        ["queue", "add", "--delay", "soon", "--", "true"], 64,
        "--delay is a duration such as 90s, 5m or 1h30m, not 'soon'"
      ),
      (["queue", "add", "--stdin", "--", "true"], 64, "queued work has no standard input; use --input"),
      (["queue", "list", "--state", "pendig"], 64, "there is no state 'pendig'; did you mean 'pending'?"),
      (["queue", "cancel"], 64, "name work by its number; see 'purser queue list'"),
      (["queue", "cancel", "x"], 64, "work is named by its number, not 'x'; see 'purser queue list'"),
      (["queue", "retry", "7"], 66, "there is no work 7; see 'purser queue list'"),
      (["queue", "add", "task"], 66, "there is no purser.yaml or kptn.yaml here"),
      (["queue", "add", "--output", "/tmp/x", "--", "true"], 65, "it is outside the project"),
      (["worker", "--limit", "0"], 64, "--limit is a number above 0, not '0'"),
      (["worker", "stop"], 64, "worker is followed by nothing, or by 'list'"),
      (["events", "--since", "ever"], 64, "--since is a duration such as 12h or 7d, not 'ever'"),
      (["events", "none"], 66, "no task 'none'"),
    ] as [([String], Int, String)])
  func `Mistakes are told, and change nothing`(_ words: [String], _ code: Int, _ message: String) throws {
    let outcome = try project.purser(words.map { ByteString($0) })
    #expect(outcome.code == Int32(code) && outcome.output.isEmpty)
    #expect(outcome.errorText.contains(message), "\(outcome.errorText)")
    #expect(!project.exists(".purser"))
  }

  @Test func `The same work is refused while it is there`() throws {
    try add("a", "true", "--dedupe", "k")
    let outcome = try project.purser("queue", "add", "--task", "b", "--dedupe", "k", "--", "true")
    #expect(outcome.code == 65)
    #expect(
      outcome.errorText.contains("'b' is queued already: work 1, pending, has this dedupe key; nothing is queued"))
    #expect(try states() == ["a": "PENDING"])
  }

  @Test func `Events are followed as they happen`() throws {
    try project.purser("exec", "--task", "a", "--", "true")
    let following = try project.start([TestProject.tool, "events", "--follow", "--json"])
    usleep(300_000)
    try project.purser("exec", "--task", "b", "--", "true")
    usleep(500_000)
    following.signal(SIGTERM)
    let lines = try following.wait().outputText.split(separator: "\n")
    let seen = try lines.map { line in
      let event = try JSON(parsing: line.utf8)
      return "\(event["task"]?.string ?? "") \(event["type"]?.string ?? "")"
    }
    #expect(seen == ["a STARTED", "a FINISHED", "b STARTED", "b FINISHED"])
  }
}
