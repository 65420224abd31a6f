import Glibc
import PurserModel
import Testing

/// A step that was done is not done again: what it printed and made is there as if it had been.
@Suite(.project)
struct ReplayTests {
  let project = TestProject.current

  /// Prints on both streams in turn, bytes that are no text among them, and makes an output.
  private func makeStep() throws {
    try project.script(
      "step.sh",
      #"""
      for i in 1 2 3 4 5; do echo "out $i"; echo "err $i" >&2; done
      printf '\000\377\200no newline'
      printf 'a\r\033[31mred\n' >&2
      mkdir -p build
      printf 'made\000\376' > build/made
      chmod 750 build/made
      """#)
  }

  private func exec(merged: Bool = false) throws -> Outcome {
    try project.purser("exec", "--task", "step", "--output", "build/made", "--", "./step.sh", merged: merged)
  }

  private let output = Array("out 1\nout 2\nout 3\nout 4\nout 5\n".utf8) + [0, 0xff, 0x80] + Array("no newline".utf8)
  private let error = Array("err 1\nerr 2\nerr 3\nerr 4\nerr 5\na\r\u{1b}[31mred\n".utf8)

  @Test func `A step that runs twice executes once and prints the same bytes on both streams`() throws {
    try makeStep()
    for _ in 1...2 {
      let outcome = try exec()
      #expect(outcome.code == 0)
      #expect(outcome.output == output)
      #expect(outcome.error == error)
    }
    #expect(project.executions() == 1)
  }

  @Test func `Streams that go to one file are replayed in the order in which they arrived`() throws {
    try makeStep()
    let first = try exec(merged: true)
    #expect(first.output.count == output.count + error.count)
    let second = try exec(merged: true)
    #expect(second.output == first.output)
    #expect(project.executions() == 1)
  }

  @Test func `A removed output is restored byte for byte with its mode and without running`() throws {
    try makeStep()
    _ = try exec()
    let made = try project.bytes("build/made")
    try project.remove("build")
    let outcome = try exec()
    #expect(outcome.code == 0)
    #expect(outcome.output == output)
    #expect(outcome.error == error)
    #expect(try project.bytes("build/made") == made)
    #expect(try project.mode("build/made") == 0o750)
    #expect(project.executions() == 1)
  }

  @Test func `An output edited by hand is reported and restored and its content is saved first`() throws {
    try makeStep()
    _ = try exec()
    let made = try project.bytes("build/made")
    try project.write("build/made", "mine", mode: 0o600)

    let check = try project.purser("check", "--json", "step")
    #expect(check.code == 1)
    let task = try #require(try check.json()["tasks"]?.array?.first)
    #expect(task["decision"]?.string == "restore")
    #expect(task["reasons"]?.serialized == #"[{"kind":"outputModified","paths":["build/made"]}]"#)

    #expect(try exec().code == 0)
    #expect(try project.bytes("build/made") == made)
    #expect(try project.mode("build/made") == 0o750)
    #expect(project.executions() == 1)
    #expect(try project.saved("build/made") == [Array("mine".utf8)])
  }

  @Test func `A large output edited by hand is saved too`() throws {
    try project.script("step.sh", "seq 20000 > big; seq 30000")
    let arguments: [ByteString] = ["exec", "--task", "step", "--output", "big", "--", "./step.sh"]
    let printed = try project.purser(arguments).output
    let made = try project.bytes("big")
    let mine = made.reversed() as [UInt8]
    try project.write("big", mine)
    let outcome = try project.purser(arguments)
    #expect(outcome.output == printed)
    #expect(try project.bytes("big") == made)
    #expect(project.executions() == 1)
    let digest = try #require(try project.savedDigests("big").first)
    try project.write("copy", mine)
    #expect(try project.digest("copy") == digest)
    #expect(project.exists(".purser/blobs/" + ByteString(digest.prefix(2)) + "/" + ByteString(digest.dropFirst(2))))
  }

  @Test func `A rerun saves an output edited by hand before it is removed`() throws {
    try makeStep()
    _ = try exec()
    try project.write("build/made", "mine")
    let outcome = try project.purser(
      "exec", "--task", "step", "--output", "build/made", "--force", "--", "./step.sh")
    #expect(outcome.code == 0)
    #expect(project.executions() == 2)
    #expect(try project.saved("build/made") == [Array("mine".utf8)])
  }

  @Test func `A damaged blob is a miss with a warning and the step runs again`() throws {
    try project.script("step.sh", "seq 20000 > big")
    let arguments: [ByteString] = ["exec", "--task", "step", "--output", "big", "--", "./step.sh"]
    try project.purser(arguments)
    let made = try project.bytes("big")
    let digest = try project.digest("big")
    let blob = ".purser/blobs/" + ByteString(digest.prefix(2)) + "/" + ByteString(digest.dropFirst(2))
    var content = try project.bytes(blob)
    content[content.count / 2] ^= 1
    try project.write(blob, content)
    try project.remove("big")
    let outcome = try project.purser(arguments)
    #expect(outcome.code == 0)
    #expect(
      outcome.errorText == """
        warning: the blob \(digest.prefix(12)) is damaged; it was moved to blobs/quarantine and counts as a miss; \
        'step' is not restored

        """)
    #expect(try project.bytes("big") == made)
    #expect(project.executions() == 2)
    try project.remove("big")
    #expect(try project.purser(arguments).error.isEmpty)
    #expect(project.executions() == 2)
  }

  @Test func `A fresh task says so with -v and how much time it saved`() throws {
    try makeStep()
    _ = try exec()
    let outcome = try project.purser(
      "-v", "exec", "--task", "step", "--output", "build/made", "--", "./step.sh")
    #expect(outcome.output == output)
    let note = String(decoding: outcome.error.dropFirst(error.count), as: UTF8.self)
    #expect(note.hasPrefix("purser: step: fresh, saved "))
  }

  @Test func `Renewing the times of fresh outputs leaves them fresh`() throws {
    try makeStep()
    _ = try exec()
    try project.shell("touch -d 2001-01-01 build/made")
    let outcome = try project.purser(
      "exec", "--task", "step", "--output", "build/made", "--touch", "--", "./step.sh")
    #expect(outcome.code == 0)
    #expect(try project.status("build/made").st_mtim.tv_sec > 1_500_000_000)
    #expect(try project.purser("check", "step").code == 0)
    #expect(project.executions() == 1)
  }
}
