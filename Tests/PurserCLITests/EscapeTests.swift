import Glibc
import PurserModel
import Testing

/// Nothing outside of the declared outputs is ever written or removed, whatever links and manifests say.
@Suite(.project, .enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
struct EscapeTests {
  let project = TestProject.current

  /// A folder beside the project that must not change, with the names of the outputs in it.
  private func makeOutside() throws {
    try project.write("../outside/made", "precious")
    try project.write("../outside/sub/b", "precious")
    try project.write("../outside/other", "precious")
  }

  private func expectOutsideUntouched() throws {
    #expect(project.tree("../outside") == ["made", "other", "sub/", "sub/b"])
    for name: ByteString in ["made", "sub/b", "other"] { #expect(try project.text("../outside/" + name) == "precious") }
  }

  @Test(arguments: [
    "mv build ../moved; ln -s ../outside build", "rm -r build; ln -s ../outside build",
    "rm -r build; ln -s \"$PWD/../outside\" build",
  ])
  func `A parent that became a link to outside is never written through`(_ change: String) throws {
    try makeOutside()
    try project.script("step.sh", "mkdir -p build; echo made > build/made")
    let arguments: [ByteString] = ["exec", "--task", "step", "--output", "build/made", "--", "./step.sh"]
    #expect(try project.purser(arguments).code == 0)
    #expect(try project.shell(change).code == 0)
    for options: [ByteString] in [
      ["exec"], ["exec", "--force"], ["exec", "--no-restore"], ["exec", "--keep-outputs"],
    ] {
      let outcome = try project.purser(options + arguments.dropFirst())
      #expect(outcome.code == 65)
      #expect(
        outcome.errorText == """
          error: output 'build/made' of task 'step' is refused: the folder 'build' is, or is reached through, a \
          symbolic link or a file; outputs are never written through one: declare the real path

          """)
    }
    #expect(project.executions() == 1)
    try expectOutsideUntouched()
  }

  @Test func `An output that became a link to outside is replaced and not written through`() throws {
    try makeOutside()
    try project.script("step.sh", "echo made > made")
    let arguments: [ByteString] = ["exec", "--task", "step", "--output", "made", "--", "./step.sh"]
    try project.purser(arguments)
    for options: [ByteString] in [["exec"], ["exec", "--force"]] {
      try project.link("made", to: "../outside/made")
      #expect(try project.purser(options + arguments.dropFirst()).code == 0)
      #expect(try project.text("made") == "made\n")
      #expect(try project.status("made").st_mode & S_IFMT == S_IFREG)
    }
    try expectOutsideUntouched()
  }

  @Test func `A folder in an output that became a link to outside is replaced and not written through`() throws {
    try makeOutside()
    try project.script("step.sh", "mkdir -p d/sub; echo made > d/sub/b; echo made > d/made")
    let arguments: [ByteString] = ["exec", "--task", "step", "--output", "d", "--", "./step.sh"]
    try project.purser(arguments)
    for options: [ByteString] in [["exec"], ["exec", "--force"]] {
      try project.remove("d/sub")
      try project.link("d/sub", to: "../../outside/sub")
      #expect(try project.purser(options + arguments.dropFirst()).code == 0)
      #expect(try project.text("d/sub/b") == "made\n")
      #expect(try project.status("d/sub").st_mode & S_IFMT == S_IFDIR)
      try expectOutsideUntouched()
      try project.remove("d")
      try project.link("d", to: "../outside")
      #expect(try project.purser(options + arguments.dropFirst()).code == 0)
      #expect(try project.status("d").st_mode & S_IFMT == S_IFDIR)
      try expectOutsideUntouched()
    }
  }

  @Test func `A link that the step made is restored as a link and nothing behind it`() throws {
    try makeOutside()
    try project.script("step.sh", "mkdir -p d; ln -s ../../outside d/up; ln -s ../../outside/made d/file")
    let arguments: [ByteString] = ["exec", "--task", "step", "--output", "d", "--", "./step.sh"]
    try project.purser(arguments)
    try project.remove("d")
    #expect(try project.purser(arguments).code == 0)
    #expect(try project.target("d/up") == "../../outside")
    #expect(try project.target("d/file") == "../../outside/made")
    try project.write("../outside/new", "new")
    #expect(try project.purser("check", "step").code == 0)
    try project.remove("../outside/new")
    #expect(try project.purser(["exec", "--force"] + arguments.dropFirst()).code == 0)
    try expectOutsideUntouched()
  }

  struct Forgery: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var patterns: [ByteString] = ["d"]
    /// Path and kind; a link leads to "..".
    let entries: [(ByteString, OutputManifest.Kind)]
  }

  @Test(arguments: [
    Forgery(testDescription: "../outside/made", entries: [("../outside/made", .file)]),
    Forgery(testDescription: "d/../../outside/made", entries: [("d/../../outside/made", .file)]),
    Forgery(testDescription: "/tmp path", entries: [("/tmp/purser-cli-escaped", .file)]),
    Forgery(testDescription: "root as pattern", patterns: ["/"], entries: [("/tmp/purser-cli-escaped", .file)]),
    Forgery(testDescription: "empty pattern", patterns: [""], entries: [("victim", .file)]),
    Forgery(testDescription: "undeclared", entries: [("victim", .file)]),
    Forgery(testDescription: "prefix of a name", entries: [("dd", .file), ("d.txt", .file)]),
    Forgery(testDescription: "undeclared pattern", patterns: ["d", "victim"], entries: [("victim", .file)]),
    Forgery(testDescription: "everything", patterns: ["**"], entries: [("victim", .file)]),
    Forgery(testDescription: "store", patterns: [".purser"], entries: [(".purser/key", .file)]),
    Forgery(testDescription: "store inside", patterns: ["d", ".purser/x"], entries: [(".purser/x", .file)]),
    Forgery(testDescription: "chained links", entries: [("d/up", .link), ("d/up/victim", .file)]),
    Forgery(
      testDescription: "twice chained links",
      entries: [("d/up", .link), ("d/up/out", .link), ("d/up/out/outside/made", .file)]),
    Forgery(testDescription: "empty name", entries: [("d//x", .file)]),
    Forgery(testDescription: "dot", entries: [("d/./x", .file)]),
    Forgery(testDescription: "link as folder", entries: [("d", .link), ("d/victim", .file)]),
  ])
  func `A forged manifest is not restored`(_ forgery: Forgery) throws {
    try makeOutside()
    try project.write("victim", "precious")
    try project.script("step.sh", "mkdir -p d; echo made > d/made")
    try project.script("links.sh", "mkdir -p e; ln -s .. e/up", counting: "links")
    try project.purser("exec", "--task", "links", "--output", "e", "--", "./links.sh")
    let arguments: [ByteString] = ["exec", "--task", "step", "--output", "d", "--", "./step.sh"]
    try project.purser(arguments)
    let content = try #require(Digest(hex: try project.digest("d/made")))
    try project.write("dots", "..")
    let up = try #require(Digest(hex: try project.digest("dots")))
    let manifest = OutputManifest(
      patterns: forgery.patterns,
      entries: forgery.entries.map { path, kind in
        OutputManifest.Entry(
          path: path, kind: kind, mode: kind == .link ? 0 : 0o644, digest: kind == .link ? up : content,
          size: kind == .link ? 2 : 5)
      })
    // The digest is made to fit, so that nothing but the check of the paths stands in the way.
    try project.write("../digested", Array("purser.output-manifest\0\u{1}".utf8) + manifest.encodedEntries)
    let version = try project.digest("../digested")
    try project.query(
      "UPDATE action_results SET manifest = x'\(manifest.encoded.hex)', outputs_version = x'\(version)' WHERE task_id = 'step'"
    )
    try project.remove("d")
    let key = try? project.bytes(".purser/key")

    let outcome = try project.purser(arguments)
    #expect(outcome.code == 0)
    #expect(outcome.errorText.hasPrefix("warning: "))
    #expect(outcome.errorText.hasSuffix("; 'step' is not restored\n"))
    #expect(project.executions() == 2)
    try expectOutsideUntouched()
    #expect(try project.text("victim") == "precious")
    #expect(project.tree("d") == ["made"])
    #expect(!project.exists("/tmp/purser-cli-escaped"))
    #expect(!project.exists("dd") && !project.exists("d.txt") && !project.exists(".purser/x"))
    #expect((try? project.bytes(".purser/key")) == key)
  }
}
