import PurserModel
import Testing

/// A command line that cannot be read is answered with one error, a suggestion and 64; help is complete.
@Suite(.project)
struct UsageTests {
  let project = TestProject.current

  struct Mistake: Sendable, CustomTestStringConvertible {
    let arguments: [ByteString]
    let message: String
    /// The command whose help is named.
    let help: String
    var testDescription: String { "purser " + arguments.map(\.shellQuoted).joined(separator: " ") }

    init(_ arguments: [ByteString], _ message: String, help: String = "") {
      self.arguments = arguments
      self.message = message
      self.help = help
    }
  }

  @Test(arguments: [
    Mistake([], "name a command"),
    Mistake(["exce"], "unknown command 'exce'; did you mean 'exec'?"),
    Mistake(["staus", "--json"], "unknown command 'staus'; did you mean 'status'?"),
    Mistake(["--json", "explian", "x"], "unknown command 'explian'; did you mean 'explain'?"),
    Mistake(["frobnicate"], "unknown command 'frobnicate'"),
    Mistake(["--frobnicate", "status"], "unknown option '--frobnicate'", help: "status "),
    Mistake(
      ["exec", "--ouput", "x", "--", "true"], "unknown option '--ouput'; did you mean '--output'?", help: "exec "),
    Mistake(["exec", "--inputs=x", "--", "true"], "unknown option '--inputs'; did you mean '--input'?", help: "exec "),
    Mistake(
      ["exec", "--stroage-key", "x", "--", "true"], "unknown option '--stroage-key'; did you mean '--storage-key'?",
      help: "exec "),
    Mistake(["exec", "-x", "--", "true"], "unknown option '-x'", help: "exec "),
    Mistake(["exec", "--input"], "option '--input' needs a value: --input PATH", help: "exec "),
    Mistake(["exec", "--input", "--", "true"], "option '--input' needs a value: --input PATH", help: "exec "),
    Mistake(["exec", "--force=yes", "--", "true"], "option '--force' takes no value", help: "exec "),
    Mistake(["exec", "true"], "unexpected 'true'; put '--' before the command", help: "exec "),
    Mistake(["exec"], "put '--' and the command behind the options"),
    Mistake(["exec", "--"], "put '--' and the command behind the options"),
    Mistake(["exec", "--arg", "x", "--", "true"], "--arg is NAME=VALUE, not 'x'"),
    Mistake(["exec", "--arg", "=x", "--", "true"], "--arg is NAME=VALUE, not '=x'"),
    Mistake(
      ["exec", "--env", "A=b", "--", "true"], "--env takes a variable's name, not 'A=b'; its value is read by Purser"),
    Mistake(["status", "--color", "pink"], "--color is auto, always or never, not 'pink'"),
    Mistake(["status", "extra"], "unexpected 'extra'", help: "status "),
    Mistake(["status", "--", "true"], "'status' takes no command behind '--'", help: "status "),
    Mistake(["explain"], "name a task", help: "explain "),
    Mistake(["check"], "name a task", help: "check "),
    Mistake(["invalidate"], "name a task, or say --all-tasks", help: "invalidate "),
    Mistake(["log"], "name a task", help: "log "),
    Mistake(["hash"], "name a file or folder", help: "hash "),
    Mistake(["runs", "--limit", "none"], "--limit is a number above 0, not 'none'", help: "runs "),
    Mistake(["gc", "--older-than", "old"], "--older-than is a duration such as 12h or 30d, not 'old'", help: "gc "),
    Mistake(["gc", "--max-size", "1X"], "--max-size is a size such as 500M or 20G, not '1X'", help: "gc "),
    Mistake(
      ["completions", "bsh"], "completions is followed by bash, zsh or fish; did you mean 'bash'?",
      help: "completions "),
    Mistake(["doctor", "repair"], "unexpected 'repair'", help: "doctor "),
    Mistake(["db"], "db is followed by status, migrate, rollback [N], backup FILE, maintain or dump", help: "db "),
    Mistake(
      ["db", "upgrade"], "db is followed by status, migrate, rollback [N], backup FILE, maintain or dump", help: "db "),
    Mistake(["db", "rollback", "0"], "rollback takes a number above 0, not '0'", help: "db "),
  ])
  func `A mistake is named and the right page of help too`(_ mistake: Mistake) throws {
    let outcome = try project.purser(mistake.arguments)
    #expect(outcome.code == 64)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errorText == "error: \(mistake.message)\nSee 'purser \(mistake.help)--help'.\n")
    #expect(project.names(".") == [], "nothing is made by a mistake")
  }

  @Test(arguments: ["explain", "log", "invalidate", "check"])
  func `An unknown task is answered with the nearest known one`(_ command: String) throws {
    try project.purser("exec", "--task", "clean", "--", "true")
    let outcome = try project.purser(ByteString(command), "claen")
    #expect(outcome.code == 66)
    #expect(outcome.output.isEmpty)
    #expect(
      outcome.errorText == """
        error: no task 'claen' under storage key 'default' of pipeline 'project'; did you mean 'clean'?

        """)
    let strange = try project.purser(ByteString(command), "something-else")
    #expect(strange.code == 66)
    #expect(
      strange.errorText == """
        error: no task 'something-else' under storage key 'default' of pipeline 'project'; see 'purser status'

        """)
  }

  static let options: [(command: String, options: [String])] = [
    (
      "exec",
      [
        "task", "code", "input", "output", "env", "tool", "arg", "after", "exclude", "pure", "keep-outputs", "touch",
        "stdin", "force", "no-restore", "timeout", "require-cache",
      ]
    ),
    (
      "check",
      [
        "task", "code", "input", "output", "env", "tool", "arg", "after", "exclude", "pure", "stdin", "force",
        "no-restore",
      ]
    ),
    ("status", []), ("explain", []), ("invalidate", ["downstream", "all-keys", "why"]), ("runs", ["limit"]),
    ("log", ["run"]), ("hash", []), ("gc", ["max-age", "older-than", "max-size", "dry-run"]),
    ("db", []), ("verify", []), ("doctor", ["repair"]), ("completions", []),
  ]
  static let globalOptions = [
    "project", "store", "storage-key", "pipeline", "json", "color", "quiet", "verbose", "help",
  ]

  @Test(arguments: options)
  func `Help names every option and exits with 0`(_ command: String, _ options: [String]) throws {
    for arguments: [ByteString] in [
      [ByteString(command), "--help"], [ByteString(command), "-h"], ["--help", ByteString(command)],
      ["help", ByteString(command)],
    ] {
      let outcome = try project.purser(arguments)
      #expect(outcome.code == 0)
      #expect(outcome.error.isEmpty)
      #expect(outcome.outputText.hasPrefix("purser \(command): "))
      #expect(outcome.outputText.contains("Usage: purser \(command)"))
      for option in options + Self.globalOptions {
        #expect(outcome.outputText.contains(" --\(option)"), "--\(option) is not in the help")
      }
    }
  }

  @Test func `The overview names every command and the version is printed`() throws {
    for arguments: [ByteString] in [["--help"], ["-h"], ["help"]] {
      let outcome = try project.purser(arguments)
      #expect(outcome.code == 0)
      #expect(outcome.error.isEmpty)
      for (command, _) in Self.options { #expect(outcome.outputText.contains("\n  \(command) ")) }
      for option in Self.globalOptions { #expect(outcome.outputText.contains("--\(option)")) }
    }
    let version = try project.purser("--version")
    #expect(version.code == 0)
    #expect(version.outputText.wholeMatch(of: #/purser \d+\.\d+\.\d+\n/#) != nil)
    #expect(version.error.isEmpty)
  }

  @Test func `Global options stand before or after the command`() throws {
    let before = try project.purser("--storage-key", "k", "--pipeline", "p", "--json", "status")
    let after = try project.purser("status", "--json", "--pipeline=p", "--storage-key=k")
    #expect(before.code == 0)
    #expect(before.output == after.output)
    #expect(before.outputText == "{\"storageKey\":\"k\",\"pipeline\":\"p\",\"tasks\":[]}\n")
    let variables = try project.purser(
      "status", "--json", environment: ["PURSER_STORAGE_KEY": "k", "PURSER_PIPELINE": "p"])
    #expect(variables.output == before.output)
  }

  @Test func `Colour is shown when it is asked for and NO_COLOR is honoured otherwise`() throws {
    try project.purser("exec", "--task", "step", "--", "true")
    let escape = "\u{1b}["
    #expect(try !project.purser("status").outputText.contains(escape))
    #expect(try project.purser("status", "--color", "always").outputText.contains(escape))
    #expect(try !project.purser("status", "--color", "never").outputText.contains(escape))
    let terminal = "script -qec '\"$TOOL\" status' /dev/null"
    #expect(try project.shell(terminal).outputText.contains(escape))
    #expect(try !project.shell(terminal, environment: ["NO_COLOR": "1"]).outputText.contains(escape))
  }
}
