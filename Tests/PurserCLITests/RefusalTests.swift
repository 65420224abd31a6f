import Glibc
import PurserModel
import Testing

/// A declaration that cannot be used is refused with one clear error, and the command is not run.
@Suite(.project)
struct RefusalTests {
  let project = TestProject.current

  struct Refusal: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var prepare = ""
    let options: [ByteString]
    let code: Int32
    /// ROOT, STORE and BESIDE stand for the project, its store and the folder around it.
    let message: String

    init(_ what: String, after prepare: String = "", _ options: [ByteString], _ code: Int32, _ message: String) {
      testDescription = what
      self.prepare = prepare
      self.options = options
      self.code = code
      self.message = message
    }
  }

  @Test(arguments: [
    Refusal(
      "missing input", ["--input", "raw/a.csv"], 66,
      "input 'raw/a.csv' does not exist (declared by task 'step'); create it, or remove --input raw/a.csv"),
    Refusal(
      "missing code", ["--code", "lib.sh"], 66,
      "code 'lib.sh' does not exist (declared by task 'step'); create it, or remove --code lib.sh"),
    Refusal(
      "missing tool", ["--tool", "no-such-tool"], 66,
      "tool 'no-such-tool' of task 'step' is not on PATH; install it, or remove --tool no-such-tool"),
    Refusal(
      "upstream without a result", ["--after", "clean"], 66,
      "task 'step' comes after 'clean', which has no standing result under storage key 'default'; run 'clean' first"),
    Refusal(
      "upstream itself", ["--after", "step"], 65, "task 'step' cannot come after itself; remove --after step"),
    Refusal(
      "FIFO", after: "mkfifo pipe", ["--input", "pipe"], 65,
      "input 'pipe' of task 'step' cannot be used: is a named pipe (FIFO), which has no content to hash"),
    Refusal(
      "FIFO in a folder", after: "mkdir data; mkfifo data/pipe", ["--input", "data"], 65,
      "input 'data/pipe' of task 'step' cannot be used: is a named pipe (FIFO), which has no content to hash"),
    Refusal(
      "FIFO behind a link", after: "mkfifo pipe; ln -s pipe link", ["--input", "link"], 65,
      "input 'link' of task 'step' cannot be used: is a named pipe (FIFO), which has no content to hash"),
    Refusal(
      "FIFO as an output", after: "mkfifo pipe", ["--output", "pipe"], 65,
      "output 'pipe' of task 'step' cannot be used: is a named pipe (FIFO), which cannot be stored"),
    Refusal(
      "pattern inside the output", after: "mkdir src; touch src/a.c", ["--input", "src/*.c", "--output", "src"], 65,
      "output 'src' of task 'step' is refused: it holds the input 'src/*.c', which would be removed with it"),
    Refusal(
      "device", ["--input", "/dev/null"], 65,
      "input '/dev/null' of task 'step' cannot be used: is a character device, which has no content to hash"),
    Refusal(
      "output outside", ["--output", "../other"], 65,
      "output 'BESIDE/other' of task 'step' is refused: it is outside the project 'ROOT'; declare one inside it, or use "
        + "--project"),
    Refusal(
      "root as output", ["--output", "."], 65,
      "output '.' of task 'step' is refused: it is the project's root; declare a folder or file in it"),
    Refusal(
      "root as output, in other words", ["--output", "a/.."], 65,
      "output '.' of task 'step' is refused: it is the project's root; declare a folder or file in it"),
    Refusal(
      "output in the store", ["--output", ".purser/x"], 65,
      "output '.purser/x' of task 'step' is refused: it is in Purser's own store; declare another place"),
    Refusal(
      "output that holds the store", after: "mkdir d", ["--store", "d/store", "--output", "d"], 65,
      "output 'd' of task 'step' is refused: it holds Purser's store; declare another folder"),
    Refusal(
      "store as input", after: "mkdir -m 700 .purser", ["--input", ".purser"], 65,
      "input '.purser' of task 'step' is in Purser's own store; remove it"),
    Refusal(
      "input and output", after: "echo > a", ["--input", "a", "--output", "./b/../a"], 65,
      "output 'a' of task 'step' is refused: it is an input too; a task cannot be made from what it makes"),
    Refusal(
      "code and output", after: "echo > a", ["--code", "a", "--output", "a"], 65,
      "output 'a' of task 'step' is refused: it is an input too; a task cannot be made from what it makes"),
    Refusal(
      "output that holds an input", after: "mkdir d; echo > d/in", ["--input", "d/in", "--output", "d"], 65,
      "output 'd' of task 'step' is refused: it holds the input 'd/in', which would be removed with it"),
    Refusal(
      "output pattern that matches an input", after: "mkdir d; echo > d/in.csv",
      ["--input", "d/in.csv", "--output", "d/*.csv"],
      65, "output 'd/*.csv' of task 'step' is refused: it matches the input 'd/in.csv', which would be removed"),
    Refusal(
      "output through a link", after: "ln -s .. up", ["--output", "up/x"], 65,
      "output 'up/x' of task 'step' is refused: the folder 'up' is, or is reached through, a symbolic link or a file; "
        + "outputs are never written through one: declare the real path"),
    Refusal(
      "output below a file", after: "echo > f", ["--output", "f/x"], 65,
      "output 'f/x' of task 'step' is refused: the folder 'f' is, or is reached through, a symbolic link or a file; "
        + "outputs are never written through one: declare the real path"),
    Refusal(
      "task without a name", ["--task", ""], 64,
      "a task's id must not be empty or hold control characters; choose another with --task"),
    Refusal(
      "task with a newline in its name", ["--task", "a\nb"], 64,
      "a task's id must not be empty or hold control characters; choose another with --task"),
  ])
  func `It is refused and the command is not run`(_ refusal: Refusal) throws {
    try project.script(project.folder + "/step.sh", "echo ran")
    #expect(try project.shell(refusal.prepare).code == 0)
    let arguments: [ByteString] = ["--task", "step"] + refusal.options + ["--", project.folder + "/step.sh"]
    let message = "error: \(refusal.message)\n".replacing("ROOT", with: project.root.escaped)
      .replacing("BESIDE", with: project.folder.escaped)
    for command: [ByteString] in [["exec"], ["exec", "--require-cache"], ["exec", "--force"]] {
      let outcome = try project.start([TestProject.tool] + command + arguments).wait(seconds: 20)
      #expect(outcome.code == refusal.code)
      #expect(outcome.errorText == message)
      #expect(outcome.output.isEmpty)
    }
    #expect(project.executions() == 0)
  }

  @Test func `A folder that holds another task's output is refused as an output`() throws {
    try project.script("first.sh", "echo made > d/x", counting: "first")
    try project.script("second.sh", "mkdir -p d; echo made > d/y")
    #expect(try project.purser("exec", "--task", "first", "--output", "d/x", "--", "./first.sh").code == 0)
    let outcome = try project.purser("exec", "--task", "second", "--output", "d", "--", "./second.sh")
    #expect(outcome.code == 65)
    #expect(
      outcome.errorText == """
        error: output 'd' of task 'second' is refused: it holds 'd/x', an output of task 'first'; declare the single \
        files, or, if that task is gone, run 'purser invalidate first'

        """)
    #expect(project.executions() == 0)
    #expect(try project.text("d/x") == "made\n")
    #expect(try project.purser("invalidate", "first").code == 0)
    #expect(try project.purser("exec", "--task", "second", "--output", "d", "--", "./second.sh").code == 0)
    #expect(project.names("d") == ["y"])
  }

  @Test(.enabled(if: getuid() != 0 || access("/usr/bin/setpriv", X_OK) == 0, "root cannot become another user"))
  func `An input that may not be read is refused`() throws {
    try project.script("step.sh", "echo ran")
    try project.write("in", "secret", mode: 0)
    let outcome = try project.unprivileged("exec", "--task", "step", "--input", "in", "--", "./step.sh")
    #expect(outcome.code == 65)
    #expect(
      outcome.errorText == "error: input 'in' of task 'step' cannot be used: cannot open it: Permission denied\n")
    #expect(project.executions() == 0)
  }
}

extension TestProject {
  /// Runs the tool as a user for whom permissions count.
  func unprivileged(_ arguments: ByteString...) throws -> Outcome { try unprivileged(arguments) }

  func unprivileged(_ arguments: [ByteString]) throws -> Outcome {
    let drop: [ByteString] = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    return try start((getuid() == 0 ? drop : []) + [Self.tool] + arguments).wait()
  }
}
