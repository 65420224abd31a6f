import Glibc
import PurserModel
import Testing

/// `kill -9` at any moment: the store opens, nothing half done counts as done, and no command is left behind.
@Suite(.project, .enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
struct CrashTests {
  let project = TestProject.current

  /// `PURSER_TEST_SEED` repeats the moments of an earlier run; `PURSER_TEST_ROUNDS` makes it more than 60 of them.
  private static let seed = setting("PURSER_TEST_SEED") ?? UInt64.random(in: 0...UInt64.max)
  private static let rounds = setting("PURSER_TEST_ROUNDS") ?? 60

  private static func setting(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

  @Test(arguments: [seed])
  func `After kill -9 at random moments nothing unfinished is a result and nothing finished is lost`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix(state: seed)
    // In two halves, so that one of them alone would be seen; the large one goes to a file of its own.
    try project.script(
      "step.sh",
      #"""
      n=$(cat in); echo "half $n" > out; seq $n 6000 > big
      echo "printed $n"
      echo "whole $n" >> out
      """#)
    let arguments: [ByteString] = [
      "exec", "--task", "step", "--input", "in", "--output", "out", "--output", "big", "--", "./step.sh",
    ]
    // How long a run takes here, so that the moments are spread over all of it.
    try project.write("in", "0")
    let start = ContinuousClock.now
    #expect(try project.purser(arguments).code == 0)
    let time = ContinuousClock.now - start
    let microseconds = UInt64(time / .microseconds(1)) + 1000
    var finished: UInt64 = 0
    for round in 1...Self.rounds {
      let number = Int.random(in: 1...20, using: &random)
      try project.write("in", "\(number)")
      let process = try project.start([TestProject.tool] + arguments)
      usleep(UInt32(UInt64.random(in: 0...microseconds, using: &random)))
      process.signal(SIGKILL)
      let outcome = try process.wait()
      if outcome.code == 0 { finished += 1 }
      try requireNoOrphan(round)
      try requireTruth(number, isDone: outcome.code == 0, round)
    }
    try project.write("in", "7")
    let last = try project.purser(arguments)
    #expect(last.code == 0)
    #expect(last.outputText == "printed 7\n")
    #expect(try project.purser("check", "step").code == 0)
    #expect(try project.text("out") == "half 7\nwhole 7\n")
    try project.requireSoundRecords()
    #expect(try project.query("SELECT count(*) FROM task_locks") == ["0"])
    #expect(
      try project.query(
        "SELECT count(*) FROM tasks WHERE status = 'SUCCESS' AND id NOT IN (SELECT task_row FROM task_details)")
        == ["0"])
    #expect(finished < Self.rounds, "no run was killed in time")
  }

  /// Whoever still works in the project's folder was started by the purser that is dead.
  private func requireNoOrphan(_ round: UInt64) throws {
    #expect(hasComeTrue { processes(in: project.root).isEmpty }, "round \(round): the command outlived its purser")
  }

  /// The store opens, and says of the task only what is so.
  private func requireTruth(_ number: Int, isDone: Bool, _ round: UInt64) throws {
    let status = try project.purser("status", "--json")
    try #require(status.code == 0, "round \(round): \(status.errorText)")
    let task = try #require(try status.json()["tasks"]?.array?.first)
    let state = try #require(task["state"]?.string)
    if isDone { #expect(state == "fresh", "round \(round): a finished run was lost") }
    #expect(["fresh", "restorable", "interrupted", "stale"].contains(state), "round \(round)")
    guard state == "fresh" else { return }
    #expect(try project.text("out") == "half \(number)\nwhole \(number)\n", "round \(round)")
    #expect(try project.text("big").hasPrefix("\(number)\n"), "round \(round)")
    #expect(try project.text("big").hasSuffix("\n6000\n"), "round \(round)")
  }
}

/// A generator that gives the same numbers for the same seed (Steele, Lea and Flood, 2014).
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}
