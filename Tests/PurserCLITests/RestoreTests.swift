import Glibc
import PurserModel
import Testing

/// Folders and globs come back exactly as they were made; what is in their way is saved before it goes.
@Suite(.project, .enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
struct RestoreTests {
  let project = TestProject.current

  /// Makes a folder with all that one can hold.
  private func makeStep() throws {
    try project.script(
      "step.sh",
      #"""
      umask 022
      mkdir -p d/sub/deeper d/empty d/closed
      echo a > d/a; echo b > d/sub/b; : > d/sub/deeper/none; echo h > d/.hidden
      printf '#!/bin/sh\n' > d/run; chmod 755 d/run; chmod 640 d/a
      ln -s a d/link; ln -s sub d/folder-link; ln -s no/such/place d/dangling; ln -s / d/absolute
      echo c > d/closed/c; chmod 400 d/closed/c; chmod 555 d/closed; chmod 2750 d/sub
      """#)
  }

  private let arguments: [ByteString] = ["exec", "--task", "step", "--output", "d", "--", "./step.sh"]

  /// Type, mode, path, target and content of everything in a folder.
  private func listing(_ folder: String) throws -> String {
    let outcome = try project.shell(
      """
      [ -e \(folder) ] || exit 0
      find \(folder) -printf '%y %m %p %l\\n' | LC_ALL=C sort
      find \(folder) -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
      """)
    #expect(outcome.errorText == "")
    return outcome.outputText
  }

  @Test(arguments: [
    "chmod -R u+w d; rm -rf d", "chmod -R u+w d; find d -mindepth 1 -delete", "rm d/a d/link", "rm -rf d/sub d/empty",
    "echo edited >> d/sub/b", "chmod 600 d/run", "chmod 700 d/empty d d/sub", "chmod 700 d/closed; rm d/closed/c",
    "echo extra > d/extra; mkdir -p d/more/folders; echo x > d/more/folders/x; ln -s a d/sub/extra-link",
    "rm d/a; mkdir -p d/a/b; echo x > d/a/b/c", "rm -rf d/sub; echo file > d/sub", "rm d/link; echo file > d/link",
    "rm d/a; ln -s sub/b d/a", "ln -sfn empty d/folder-link", "rm -rf d/empty; ln -s sub d/empty",
    "chmod 444 d/sub/b", "chmod -R u+w d; rm -rf d; echo file > d", "chmod -R u+w d; rm -rf d; ln -s .. d",
  ])
  func `A folder is restored exactly after`(_ damage: String) throws {
    try makeStep()
    #expect(try project.purser(arguments).code == 0)
    let made = try listing("d")
    #expect(try project.shell(damage).code == 0)
    #expect(try listing("d") != made)
    #expect(try project.purser("check", "step").code == 1)

    let outcome = try project.purser(arguments)
    #expect(outcome.code == 0)
    #expect(outcome.errorText == "")
    #expect(try listing("d") == made)
    #expect(try project.purser("check", "step").code == 0)
    #expect(project.executions() == 1)
  }

  @Test func `Extra files in a folder are removed and their content is saved`() throws {
    try makeStep()
    try project.purser(arguments)
    let made = try listing("d")
    try project.write("d/extra", "extra")
    try project.write("d/sub/new/extra", "another")
    try project.link("d/extra-link", to: "somewhere")
    try project.write("d/a", "edited")
    let check = try project.purser("check", "--json", "step").json()["tasks"]?.array?.first
    let paths = check?["reasons"]?.array?.first?["paths"]?.array?.compactMap(\.string)
    #expect(paths == ["d/a", "d/extra", "d/extra-link", "d/sub/new", "d/sub/new/extra"])
    #expect(try project.purser(arguments).code == 0)
    #expect(try listing("d") == made)
    #expect(try project.saved("d/extra") == [Array("extra".utf8)])
    #expect(try project.saved("d/sub/new/extra") == [Array("another".utf8)])
    #expect(try project.saved("d/extra-link") == [Array("somewhere".utf8)])
    #expect(try project.saved("d/a") == [Array("edited".utf8)])
  }

  @Test func `A rerun empties the folder first and saves what it did not make`() throws {
    try makeStep()
    try project.purser(arguments)
    let made = try listing("d")
    try project.write("d/extra", "extra")
    #expect(try project.purser(["exec", "--force"] + arguments.dropFirst()).code == 0)
    #expect(try listing("d") == made)
    #expect(try project.saved("d/extra") == [Array("extra".utf8)])
  }

  @Test func `A glob is restored exactly and what it does not match is left alone`() throws {
    try project.script(
      "step.sh", "mkdir -p build/inner; for i in 1 2 3; do echo $i > build/$i.txt; done; echo x > build/inner/x.txt")
    let arguments: [ByteString] = ["exec", "--task", "step", "--output", "build/**/*.txt", "--", "./step.sh"]
    #expect(try project.purser(arguments).code == 0)
    let made = try listing("build")
    try project.write("build/4.txt", "four")
    try project.write("build/notes.md", "mine")
    try project.write("build/2.txt", "edited")
    try project.remove("build/3.txt")
    try project.remove("build/inner")
    #expect(try project.purser(arguments).code == 0)
    #expect(try project.text("build/notes.md") == "mine")
    try project.remove("build/notes.md")
    #expect(try listing("build") == made)
    #expect(try project.saved("build/4.txt") == [Array("four".utf8)])
    #expect(try project.saved("build/2.txt") == [Array("edited".utf8)])
    #expect(project.executions() == 1)
  }

  @Test func `An output pattern without a match is warned about`() throws {
    let outcome = try project.purser("exec", "--task", "step", "--output", "build/*.txt", "--", "true")
    #expect(outcome.code == 0)
    #expect(outcome.errorText == "warning: output pattern 'build/*.txt' of task 'step' matches no file\n")
  }

  @Test(arguments: ["mkfifo d/pipe", "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"d/socket\")'"])
  func `What cannot be stored is refused after the run and the exit code is kept`(_ making: String) throws {
    try project.script("step.sh", "mkdir -p d; echo a > d/a; \(making) || mkfifo d/other; echo printed")
    let outcome = try project.purser(arguments)
    #expect(outcome.code == 0)
    #expect(outcome.outputText == "printed\n")
    #expect(outcome.errorText.contains("warning: "))
    #expect(try project.purser(["check"] + arguments.dropFirst()).code != 0)
  }

  @Test func `An output with a name of 255 bytes and one of no bytes are restored`() throws {
    let long = ByteString(String(repeating: "n", count: 255))
    try project.script("step.sh", "mkdir -p d; : > \"d/\(long)\"")
    try project.purser(arguments)
    try project.remove("d")
    #expect(try project.purser(arguments).code == 0)
    #expect(project.names("d") == [long])
    #expect(project.executions() == 1)
  }
}
