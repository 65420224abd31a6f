import Glibc
import PurserModel
import Testing

/// `kill -9` while items run: what is on record as done is never done again, and nothing is lost.
@Suite(.project, .enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
struct MappedCrashTests {
  let project = TestProject.current

  /// `PURSER_TEST_ITEMS` makes it more than 300 items, `PURSER_TEST_ROUNDS` more than ten kills.
  private static let count = getenv("PURSER_TEST_ITEMS").flatMap { Int(String(cString: $0)) } ?? 300
  private static let kills = TestProject.rounds(10)
  private static let jobs = 4

  private static let single = #"command: [sh, -euc, 'echo "$name" >> "$COUNTS/items"']"#
  private static let bundled = """
    command:
      - sh
      - -euc
      - |
        cut -d '"' -f 4 "$PURSER_ITEMS" | while read -r name; do
          echo "$name" >> "$COUNTS/items"
          printf '{"key":"%s","status":"done"}\\n' "$name" >> "$PURSER_DONE"
          sleep 0.02
        done
    bundle_size: 20
    """

  /// - Parameter inFlight: how many items may have been executed and not be on record when a run dies. A slot takes its
  ///   next item only when the end of the last one is on record; of a bundle, any number may be unread.
  @Test(arguments: [(single, jobs), (bundled, 20 * jobs)])
  func `After kill -9 at random moments no item that is done is done again and none is lost`(
    _ fields: String, inFlight: Int
  ) throws {
    try project.writeMapped(fields)
    let names = (0..<Self.count).map { "item-\($0)" }
    try project.writeList(names)
    var done: [String: Int] = [:]
    for round in 1...Self.kills {
      let before = project.lines("items").count
      let goal = before + Int.random(in: 1...max(2, 2 * Self.count / (3 * Self.kills)))
      let run = try project.start([TestProject.tool, "run", "-q", ByteString("-j\(Self.jobs)")])
      #expect(hasComeTrue(within: 60) { project.lines("items").count >= goal || !isAlive(run.pid) })
      // What a bundle tells is read ten times a second.
      usleep(UInt32.random(in: 0...(inFlight > Self.jobs ? 150_000 : 20_000)))
      run.signal(SIGKILL)
      _ = try run.wait()
      project.expectNoProcess("round \(round): an item's command outlived its purser")
      let executions = project.executionsByItem()
      for (name, count) in done {
        #expect(executions[name] == count, "round \(round): '\(name)' was on record as done and ran again")
      }
      done = [:]
      for item in try project.items(of: "work") where item.isDone {
        #expect(executions[item.key] != nil, "round \(round): '\(item.key)' is on record as done and never ran")
        done[item.key] = executions[item.key]
      }
      let lost = Set(executions.keys).subtracting(done.keys).count
      #expect(lost <= inFlight * round, "round \(round): \(lost) items ran and are not on record")
    }
    let last = try project.runPipeline(ByteString("-j\(Self.jobs)"))
    #expect(last.code == 0, "\(last.errorText)")
    if last.endings["work"] != "fresh" {
      #expect(last.items["work"]?["kept"] == done.count)
      #expect(last.items["work"]?["ran"] == Self.count - done.count)
    } else {
      #expect(done.count == Self.count)
    }
    let executions = project.executionsByItem()
    for (name, count) in done { #expect(executions[name] == count, "'\(name)' ran again") }
    #expect(Set(executions.keys) == Set(names))
    #expect(try project.items(of: "work").filter(\.isDone).map(\.key) == names)
    #expect(try project.status(of: "work") == "SUCCESS")
    let total = executions.values.reduce(0, +)
    #expect(total - Self.count <= inFlight * Self.kills)
    #expect(done.count > 0, "nothing was on record before the last run")
    print("\(Self.count) items, \(Self.kills) kills: \(total) executions, \(total - Self.count) of them repeated")
    try project.requireSoundRecords()
  }
}
