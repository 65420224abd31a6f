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

  @Test func `Streams that go to one file are replayed in the order of the run`() throws {
    try makeStep()
    let first = try exec(merged: true)
    #expect(first.outputText.hasPrefix("out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"))
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
}
