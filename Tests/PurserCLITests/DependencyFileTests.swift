import Glibc
import PurserModel
import Testing

/// A command that tells by a dep file what it read.
@Suite(.project)
struct DependencyFileTests {
  let project = TestProject.current

  /// A compiler of one's own: `cat`s the files that a source names, and says so.
  private func setUp() throws {
    try project.script(
      "cc.sh",
      """
      cat "$1" $(cat "$1") > "$2.o"
      { printf '%s.o: %s' "$2" "$1"; for name in $(cat "$1"); do printf ' \\\\\\n %s' "$name"; done; echo; } > "$2.d"
      """)
    try project.write("x.c", "a.h b.h")
    for name in ["a.h", "b.h", "c.h"] as [ByteString] { try project.write(name, name.escaped) }
  }

  private let step: [ByteString] = [
    "--task", "x", "--depfile", "x.d", "--code", "x.c", "--output", "x.o", "--", "./cc.sh", "x.c", "x",
  ]

  @discardableResult
  private func exec(_ options: ByteString...) throws -> Outcome {
    let outcome = try project.purser(["exec"] + options + step)
    #expect(outcome.code == 0, "\(outcome.errorText)")
    return outcome
  }

  private func changes() throws -> [String] {
    let tasks = try project.purser(["check", "--json"] + step).json()["tasks"]?.array
    return (tasks?.first?["reasons"]?.array ?? []).flatMap { $0["changes"]?.array ?? [] }.compactMap {
      $0["name"]?.string
    }
  }

  @Test func `What the dep file names is code, and nothing else is`() throws {
    try setUp()
    for _ in 0..<2 { try exec() }
    #expect(project.executions() == 1)
    try project.write("c.h", "other")
    try exec()
    #expect(project.executions() == 1)
    try project.write("b.h", "other")
    #expect(try changes() == ["b.h"])
    try exec()
    #expect(project.executions() == 2)
    #expect(try project.text("x.o") == "a.h b.ha.hother")
    #expect(try project.purser("check", "x").code == 0)
  }

  @Test func `A source that comes to use another file is held to that one from then on`() throws {
    try setUp()
    try exec()
    try project.write("x.c", "a.h c.h")
    #expect(try changes() == ["x.c"])
    try exec()
    try project.write("b.h", "not used any more")
    try exec()
    #expect(project.executions() == 2)
    try project.write("c.h", "used now")
    #expect(try changes() == ["c.h"])
    try exec()
    #expect(project.executions() == 3)
  }

  @Test func `A state that was built before is restored, whichever files it used`() throws {
    try setUp()
    try exec()
    for text in ["one", "two"] {
      try project.write("a.h", text)
      try exec()
    }
    try project.write("x.c", "c.h")
    try exec()
    #expect(project.executions() == 4)
    try project.write("x.c", "a.h b.h")
    for text in ["a.h", "one", "two"] {
      try project.write("a.h", text)
      try exec()
      #expect(try project.text("x.o") == "a.h b.h\(text)b.h")
    }
    #expect(project.executions() == 4)
  }

  @Test func `Another checkout and another branch that share the store build nothing`() throws {
    try setUp()
    try exec()
    try exec("--storage-key", "feature")
    try project.shell("cp -r . ../second && rm -f ../second/x.o ../second/x.d && rm -rf ../second/.purser")
    let outcome = try project.purser(
      ["exec"] + step, in: "../second", environment: ["PURSER_STORE": project(".purser")])
    #expect(outcome.code == 0)
    #expect(project.executions() == 1)
    #expect(try project.text("../second/x.o") == "a.h b.ha.hb.h")
    #expect(try project.text("../second/x.d") == project.text("x.d"))
    try project.write("../second/a.h", "changed there")
    _ = try project.purser(["exec"] + step, in: "../second", environment: ["PURSER_STORE": project(".purser")])
    #expect(project.executions() == 2)
    try exec()
    #expect(project.executions() == 2)
  }

  @Test func `A header that is gone makes the task run, and is named`() throws {
    try setUp()
    try exec()
    try project.remove("b.h")
    #expect(try changes() == ["b.h"])
    try project.write("x.c", "a.h")
    try exec()
    #expect(project.executions() == 2)
    #expect(try project.purser("check", "x").code == 0)
  }

  @Test func `A header that is written while the command runs is noticed`() throws {
    try setUp()
    try project.script("cc.sh", "sleep 0.05; echo new > a.h; echo made > x.o; echo 'x.o: x.c a.h' > x.d")
    let outcome = try exec()
    #expect(outcome.errorText.contains("a.h, which its dep file names, changed while it ran"))
    #expect(try project.purser("check", "x").code == 1)
  }

  @Test func `A header that was written just before is no reason not to store`() throws {
    try setUp()
    for round in 0..<5 {
      try project.shell("echo \(round) > a.h; exec \"$TOOL\" exec " + step.map(\.escaped).joined(separator: " "))
      #expect(try project.purser("check", "x").code == 0)
    }
    #expect(project.executions() == 5)
  }

  @Test func `Its own products and the store are no reason to run again`() throws {
    try setUp()
    try project.script("cc.sh", "echo gen > gen.h; echo made > x.o; echo 'x.o: x.c gen.h .purser/key a.h' > x.d")
    let arguments: [ByteString] = ["exec", "--output", "gen.h"] + step
    for _ in 0..<2 { #expect(try project.purser(arguments).code == 0) }
    #expect(project.executions() == 1)
    try project.write("a.h", "changed")
    #expect(try project.purser(arguments).code == 0)
    #expect(project.executions() == 2)
  }

  @Test(arguments: [
    ("echo 'x.o x.c' > x.d", "cannot be understood"), ("mkdir x.d", "cannot be read"),
    ("printf 'x.o: gone.h' > x.d", "gone.h"),
  ])
  func `A dep file that cannot be used is told, and nothing is stored`(_ line: String, _ message: String) throws {
    try setUp()
    try project.script("cc.sh", "echo made > x.o; \(line)")
    let outcome = try exec()
    #expect(outcome.errorText.contains("is not stored"))
    #expect(outcome.errorText.contains(message))
    #expect(try project.text("x.o") == "made\n")
    #expect(try project.purser("check", "x").code == 1)
  }

  @Test func `A dep file that is not written is a missing output`() throws {
    try setUp()
    try project.script("cc.sh", "echo made > x.o")
    let outcome = try project.purser(["exec"] + step)
    #expect(outcome.code == 1)
    #expect(outcome.errorText.contains("x.d"))
  }

  @Test func `A pipeline's tasks have dep files too, and a plan that is kept knows what they named`() throws {
    try setUp()
    var tasks = "tasks:\n"
    for number in 0..<60 {
      try project.write(ByteString("s\(number).c"), "h\(number % 2).h")
      tasks +=
        "  t\(number): {command: [./cc.sh, s\(number).c, s\(number)], code: s\(number).c, outputs: [s\(number).o], "
      tasks += "depfile: s\(number).d}\n"
    }
    for name in ["h0.h", "h1.h"] as [ByteString] { try project.write(name, "1") }
    try project.write("purser.yaml", tasks)
    #expect(try project.runPipeline().code == 0)
    for _ in 0..<2 {
      usleep(30_000)
      #expect(try project.runPipeline().code == 0)
    }
    #expect(project.executions() == 60)
    try project.write("h1.h", "2")
    #expect(try project.runPipeline().code == 0)
    #expect(project.executions() == 90)
    #expect(try project.text("s1.o") == "h1.h2")
    try project.write("purser.yaml", "tasks:\n  t: {command: 'true', map_over: x, depfile: a.d}\n")
    #expect(try project.purser("lint").code == 78)
  }
}
