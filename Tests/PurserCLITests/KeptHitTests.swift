import Glibc
import PurserModel
import Testing

/// What made a step fresh is kept beside the records, so that the next hit need not open them; and is worth nothing
/// once anybody has written to them.
@Suite(.project)
struct KeptHitTests {
  let project = TestProject.current

  init() throws {
    try project.script("step.sh", "cat in > out; cat in; cat in >&2")
    try project.write("in", "1")
  }

  private func exec(_ options: ByteString...) throws -> Outcome {
    let arguments: [ByteString] = ["exec", "--task", "step", "--input", "in", "--output", "out"]
    return try project.start([TestProject.tool] + options + arguments + ["--", "./step.sh"]).wait()
  }

  private func expectHit(_ outcome: Outcome, _ text: String = "1", executions: Int = 1) throws {
    #expect(outcome.code == 0)
    #expect(outcome.outputText == text)
    #expect(outcome.errorText == text)
    #expect(try project.text("out") == text)
    #expect(project.executions() == executions)
  }

  private func hits() throws -> [String] {
    try project.shell("ls .purser/hits 2> /dev/null || :").outputText.split(separator: "\n").map(String.init)
  }

  /// Runs the step, and lets it be fresh once after its records have settled.
  private func prepare() throws {
    try expectHit(exec())
    usleep(100_000)
    try expectHit(exec())
    #expect(try hits().count == 1)
  }

  /// How often the database was opened meanwhile.
  private func opened(_ body: () throws -> Void) throws -> Int {
    let watch = inotify_init1(Int32(O_NONBLOCK))
    try #require(watch >= 0)
    defer { close(watch) }
    let path = project(".purser/records.db")
    try #require(path.withCString { inotify_add_watch(watch, $0, UInt32(IN_OPEN)) } >= 0)
    try body()
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = Glibc.read(watch, &buffer, buffer.count)
    return max(0, count) / MemoryLayout<inotify_event>.size
  }

  @Test func `A hit that follows a hit does not open the records`() throws {
    try prepare()
    #expect(try opened { try expectHit(exec()) } == 0)
    #expect(try opened { _ = try project.purser("status") } > 0, "the watch sees nothing")
  }

  @Test func `A hit after which nothing can be kept is none the less right`() throws {
    try expectHit(exec())
    try project.write(".purser/hits", "in the way")
    usleep(100_000)
    for _ in 1...2 { try expectHit(exec()) }
    try project.remove(".purser/hits")
    try expectHit(exec())
    #expect(try hits().count == 1)
  }

  @Test func `Whoever writes to the records makes it void`() throws {
    try prepare()
    #expect(try project.purser("invalidate", "step", "--why", "test").code == 0)
    try expectHit(exec(), executions: 2)
    #expect(try project.query("SELECT count(*) FROM task_runs WHERE kind = 'run'") == ["2"])
    usleep(100_000)
    try expectHit(exec(), executions: 2)
    try project.query("UPDATE tasks SET status = 'FAILURE'")
    try expectHit(exec(), executions: 2)
    #expect(
      try project.query("SELECT kind FROM task_runs ORDER BY id") == ["run", "run", "restore"], "it passed for fresh")
  }

  @Test func `Files are looked at as ever`() throws {
    try prepare()
    try project.write("in", "2")
    try expectHit(exec(), "2", executions: 2)
    try project.write("in", "1")
    try expectHit(exec(), executions: 2)
    usleep(100_000)
    try expectHit(exec(), executions: 2)
    try project.write("out", "edited")
    try expectHit(exec(), executions: 2)
    try project.remove("out")
    try expectHit(exec(), executions: 2)
  }

  @Test func `Each storage key and each task has its own`() throws {
    try prepare()
    try expectHit(exec("--storage-key", "other"))
    #expect(try project.query("SELECT kind FROM task_runs ORDER BY id") == ["run", "restore"])
    usleep(100_000)
    for key in ["default", "other"] as [ByteString] { try expectHit(exec("--storage-key", key)) }
    #expect(try hits().count == 2)
    #expect(try opened { try expectHit(exec("--storage-key", "other")) } == 0)
  }

  @Test func `A step that comes after another one sees when that has changed`() throws {
    try prepare()
    try project.write("next.sh", "echo >> \"$COUNTS/next\"; cat out > last")
    let next: [ByteString] = ["exec", "--task", "next", "--after", "step", "--output", "last", "--", "sh", "next.sh"]
    func run() throws {
      #expect(try project.start([TestProject.tool] + next).wait().code == 0)
    }
    try run()
    usleep(100_000)
    try run()
    #expect(try opened { try run() } == 0)
    #expect(project.executions("next") == 1)
    try project.write("in", "3")
    try expectHit(exec(), "3", executions: 2)
    try run()
    #expect(project.executions("next") == 2)
    #expect(try project.text("last") == "3")
  }

  @Test func `A damaged one is worth nothing, whichever byte it is`() throws {
    try prepare()
    let name = ByteString(".purser/hits/" + (try #require(hits().first)))
    let whole = try project.bytes(name)
    for position in stride(from: 0, to: whole.count, by: max(1, whole.count / 60)) {
      var damaged = whole
      damaged[position] ^= 1 << (position % 8)
      try project.write(name, damaged)
      try expectHit(exec())
      #expect(try project.bytes(name) == whole, "it is not made anew after damage at \(position)")
    }
    for length in [0, 1, 16, 63, 64, whole.count - 1] {
      try project.write(name, Array(whole.prefix(length)))
      try expectHit(exec())
    }
  }
}
