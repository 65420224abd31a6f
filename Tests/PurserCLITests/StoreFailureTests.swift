import Glibc
import PurserModel
import Testing

/// If the cache fails, the command still runs, its exit code is the user's, and one warning says why.
@Suite(.project, .enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
struct StoreFailureTests {
  let project = TestProject.current

  private func makeStep(code: Int32 = 0) throws {
    try project.script("step.sh", "echo out; echo err >&2; echo made > made; exit \(code)")
  }

  private let arguments: [ByteString] = ["exec", "--task", "step", "--output", "made", "--", "./step.sh"]

  struct Spoiling: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let script: String
    let isMadeByUs: Bool
    let message: String
  }

  static let spoilings = [
    Spoiling(
      testDescription: "a newer version", script: "sqlite3 records.db 'PRAGMA user_version = 99'", isMadeByUs: true,
      message: """
        the record store 'STORE/records.db' was written by a newer Purser (schema 99, this one knows VERSION); use that \
        version, or another --store
        """),
    Spoiling(
      testDescription: "a database of another program",
      script: "sqlite3 records.db 'CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)'", isMadeByUs: false,
      message: """
        'STORE/records.db' is a database of another program; it is left as it is: move it away, or use --store
        """),
    Spoiling(
      testDescription: "another application's id", script: "sqlite3 records.db 'PRAGMA application_id = 7'",
      isMadeByUs: true,
      message: """
        'STORE/records.db' is a database of another program; it is left as it is: move it away, or use --store
        """),
    Spoiling(
      testDescription: "no database", script: "yes 'not a database' | head -c 9000 > records.db", isMadeByUs: false,
      message: """
        'STORE/records.db' is not a Purser record store (file is not a database); move it away, or use --store
        """),
  ]

  @Test(arguments: spoilings, [0, 3] as [Int32])
  func `A store that is not ours is left as it is and the command runs`(_ spoiling: Spoiling, _ code: Int32) throws {
    try makeStep(code: code)
    var version = "0"
    if spoiling.isMadeByUs {
      try project.purser("exec", "--task", "other", "--", "true")
      version = try project.query("PRAGMA user_version").first ?? ""
    } else {
      try project.makeFolder(".purser")
    }
    #expect(try project.shell("cd .purser && \(spoiling.script) && rm -f records.db-*").code == 0)
    let before = try project.bytes(".purser/records.db")
    let message = spoiling.message.replacing("STORE", with: "\(project.root)/.purser")
      .replacing("VERSION", with: version)

    let status = try project.purser("status")
    #expect(status.code == 69)
    #expect(status.errorText == "error: \(message)\n")
    #expect(status.output.isEmpty)

    let outcome = try project.purser(arguments)
    #expect(outcome.code == code)
    #expect(outcome.outputText == "out\n")
    #expect(outcome.errorText == "warning: \(message); 'step' runs uncached\nerr\n")
    #expect(project.executions() == 1)

    let required = try project.purser(["exec", "--require-cache"] + arguments.dropFirst())
    #expect(required.code == 69)
    #expect(required.errorText == "error: \(message)\n")
    #expect(project.executions() == 1)
    #expect(try project.bytes(".purser/records.db") == before)
  }

  @Test func `A store that is a file is refused and the command runs`() throws {
    try makeStep(code: 5)
    try project.write("store", "mine")
    let message = "the store '\(project.root)/store' is not a folder; move it away, or name another with --store"
    let outcome = try project.purser(["--store", "store"] + arguments)
    #expect(outcome.code == 5)
    #expect(outcome.errorText == "warning: \(message); 'step' runs uncached\nerr\n")
    let required = try project.purser(["--store", "store", "exec", "--require-cache"] + arguments.dropFirst())
    #expect(required.code == 69)
    #expect(required.errorText == "error: \(message)\n")
    #expect(try project.text("store") == "mine")
    #expect(project.executions() == 1)
  }

  @Test(.enabled(if: getuid() == 0 && access("/usr/bin/setpriv", X_OK) == 0, "needs root and setpriv"))
  func `A store that cannot be written is warned about and the command runs`() throws {
    try makeStep(code: 4)
    #expect(try project.shell("mkdir -m 700 .purser; chown -R 65534 . ; chmod 500 .purser").code == 0)
    let outcome = try project.unprivileged(arguments)
    #expect(outcome.code == 4)
    #expect(outcome.outputText == "out\n")
    #expect(outcome.errorText.hasPrefix("warning: "))
    #expect(outcome.errorText.hasSuffix("; 'step' runs uncached\nerr\n"))
    #expect(outcome.errorText.count { $0 == "\n" } == 2)
    let required = try project.unprivileged(["exec", "--require-cache"] + arguments.dropFirst())
    #expect(required.code == 69)
    #expect(project.executions() == 1)
  }

  @Test(.enabled(if: getuid() == 0 && access("/usr/bin/setpriv", X_OK) == 0, "needs root and setpriv"))
  func `A filled store that became read-only serves or warns but never stops the command`() throws {
    try makeStep()
    #expect(try project.shell("chown -R 65534 .").code == 0)
    #expect(try project.unprivileged(arguments).code == 0)
    #expect(try project.shell("chmod -R a-w .purser").code == 0)
    let hit = try project.unprivileged(arguments)
    #expect(hit.code == 0)
    #expect(hit.outputText == "out\n")
    try project.script("step.sh", "echo changed; exit 6")
    let miss = try project.unprivileged(arguments)
    #expect(miss.code == 6)
    #expect(miss.outputText == "changed\n")
    #expect(miss.errorText.hasPrefix("warning: "))
    #expect(try project.shell("chmod -R u+w .purser").code == 0)
    #expect(try project.unprivileged(["status"]).code == 0)
    try project.requireSoundRecords()
  }

  @Test func `Who cannot give a lease back does not wait for itself`() throws {
    try project.write("in", "1\n")
    let arguments: [ByteString] = ["exec", "--task", "t", "--input", "in", "--output", "out", "--", "cp", "in", "out"]
    #expect(try project.purser(arguments).code == 0)
    try project.write("in", "2\n")
    #expect(try project.purser(arguments).code == 0)
    // As with damaged records: no run can be ended any more, neither well nor badly.
    _ = try project.query(
      "CREATE TRIGGER broken BEFORE UPDATE OF status ON task_runs BEGIN SELECT RAISE(ABORT, 'broken'); END")
    try project.write("in", "1\n")
    let outcome = try project.purser(arguments)
    #expect(outcome.code == 0)
    #expect(try project.text("out") == "1\n")
    #expect(outcome.errorText.hasSuffix("; 't' runs uncached\n"))
  }

  @Test(.enabled(if: TestProject.canMount, "needs root that may mount"))
  func `A disk that fills up while a result is stored costs the result and nothing else`() throws {
    try project.makeFolder("../store")
    #expect(try project.shell("mount -t tmpfs -o size=1700k tmpfs ../store").code == 0)
    defer { _ = try? project.shell("umount ../store") }
    try project.script("step.sh", "echo out; head -c 3000000 /dev/urandom > made; exit 0")
    try project.script("small.sh", "echo small; exit 0", counting: "small")
    let small: [ByteString] = ["--store", "../store", "exec", "--task", "small", "--", "./small.sh"]
    #expect(try project.purser(small).errorText == "")

    let outcome = try project.purser(["--store", "../store"] + arguments)
    #expect(outcome.code == 0)
    #expect(outcome.outputText == "out\n")
    #expect(outcome.errorText.hasPrefix("warning: "))
    #expect(outcome.errorText.contains("No space left on device; free some space, or run 'purser gc'"))
    #expect(outcome.errorText.hasSuffix("; the result of 'step' is not stored\n"))
    #expect(try project.status("made").st_size == 3_000_000)
    #expect(try project.purser(["--store", "../store"] + arguments).code == 0)
    #expect(project.executions() == 2)
    #expect(try project.purser("--store", "../store", "status").code == 0)
    #expect(project.names("../store/tmp") == [])
    #expect(try project.purser(small).errorText == "")
    #expect(project.executions("small") == 1)
    try project.requireSoundRecords(store: "../store")
  }

  @Test(.enabled(if: TestProject.canMount, "needs root that may mount"))
  func `A disk that is full stops no command and damages nothing`() throws {
    try project.makeFolder("../store")
    #expect(try project.shell("mount -t tmpfs -o size=1700k tmpfs ../store").code == 0)
    defer { _ = try? project.shell("umount ../store") }
    try project.script("step.sh", "echo out; echo made > made; exit 7")
    try project.script("small.sh", "echo small", counting: "small")
    let small: [ByteString] = ["--store", "../store", "exec", "--task", "small", "--", "./small.sh"]
    #expect(try project.purser(small).code == 0)
    try project.shell("cat /dev/zero > ../store/filling 2> /dev/null")
    for execution in 1...3 {
      let outcome = try project.purser(["--store", "../store"] + arguments)
      #expect(outcome.code == 7)
      #expect(outcome.outputText == "out\n")
      #expect(outcome.errorText.hasPrefix("warning: "))
      #expect(project.executions() == execution)
    }
    try project.remove("../store/filling")
    #expect(try project.purser(small).errorText == "")
    #expect(project.executions("small") == 1)
    #expect(try project.purser(["--store", "../store"] + arguments).code == 7)
    try project.requireSoundRecords(store: "../store")
  }
}

extension TestProject {
  static let canMount: Bool = {
    guard getuid() == 0, access("/usr/bin/mount", X_OK) == 0 else { return false }
    var template = Array("/tmp/purser-cli-mount-XXXXXX".utf8CString)
    guard let path = template.withUnsafeMutableBufferPointer({ $0.baseAddress.flatMap { mkdtemp($0) } }) else {
      return false
    }
    defer { rmdir(path) }
    guard mount("tmpfs", path, "tmpfs", 0, "size=64k") == 0 else { return false }
    return umount(path) == 0
  }()
}
