import PurserModel
import Testing

/// Names are bytes: whatever the file system takes, works, and is shown so that nothing is lost.
@Suite(.project)
struct NameTests {
  let project = TestProject.current

  struct Name: Sendable, CustomTestStringConvertible {
    let bytes: ByteString
    /// As it stands in JSON, decoded.
    let shown: String
    var testDescription: String { shown }

    /// What is not there yet is a pattern if it looks like one; a backslash takes that from it.
    let pattern: ByteString

    init(_ bytes: ByteString, _ shown: String? = nil, pattern: ByteString? = nil) {
      self.bytes = bytes
      self.pattern = pattern ?? bytes
      self.shown = shown ?? bytes.escaped
    }
  }

  static let names: [Name] = [
    Name("two words", "two words"),
    Name(" leading and trailing ", " leading and trailing "),
    Name("two\nlines", "two\nlines"),
    Name("it's \"quoted\"", "it's \"quoted\""),
    Name("back\\slash", "back\\\\slash"),
    Name("tab\tescape\u{1b}[31m", "tab\tescape\u{1b}[31m", pattern: "tab\tescape\u{1b}\\[31m"),
    Name("$(touch pwned); `touch pwned`", "$(touch pwned); `touch pwned`"),
    Name("-rf", "-rf"),
    Name("grüße 日本語 👩‍🚀", "grüße 日本語 👩‍🚀"),
    Name(ByteString(bytes: [0x66, 0xff, 0xfe, 0x6f]), "f\\xff\\xfeo"),
    Name("\\xff", "\\\\xff"),
    // NFC and NFD are two names.
    Name("u\u{308}", "u\u{308}"),
    Name("star*.csv", "star*.csv", pattern: "star\\*.csv"),
    Name("set[1]?", "set[1]?", pattern: "set\\[1]\\?"),
    Name("{a,b}", "{a,b}"),
    Name(ByteString(String(repeating: "n", count: 255)), String(repeating: "n", count: 255)),
    Name("deep/er name/\n", "deep/er name/\n"),
  ]

  @Test(arguments: names)
  func `Any name works as input and output and is right in JSON`(_ name: Name) throws {
    let input = "in/" + name.bytes
    let output = "out/" + name.bytes
    try project.script(project.folder + "/step.sh", #"mkdir -p "$(dirname -- "$2")"; cat "$1" > "$2"; echo made"#)
    let arguments: [ByteString] = [
      "--task", "step", "--input", input, "--output", "out/" + name.pattern, "--", project.folder + "/step.sh", input,
      output,
    ]
    try project.write(input, "one")
    for _ in 1...2 {
      let outcome = try project.purser(["exec"] + arguments)
      #expect(outcome.code == 0)
      #expect(outcome.errorText == "")
      #expect(try project.text(output) == "one")
    }
    #expect(project.executions() == 1)

    try project.remove(output)
    let missing = try project.purser(["check", "--json"] + arguments).json()["tasks"]?.array?.first?["reasons"]?.array
    #expect(missing?.compactMap { $0["kind"]?.string } == ["outputMissing"])
    #expect(missing?.first?["paths"]?.array?.compactMap(\.string) == ["out/" + name.shown])
    #expect(try project.purser(["exec"] + arguments).code == 0)
    #expect(try project.text(output) == "one")
    #expect(project.executions() == 1)

    try project.write(input, "two")
    let changed = try project.purser("explain", "--json", "step").json()["reasons"]?.array?.first?["changes"]?.array
    #expect(changed?.compactMap { $0["name"]?.string } == ["in/" + name.shown])
    #expect(try project.purser(["exec"] + arguments).code == 0)
    #expect(try project.text(output) == "two")
    #expect(!project.exists("pwned"))
  }

  @Test(arguments: names)
  func `Any name works inside a folder and for a glob`(_ name: Name) throws {
    let inner = "in/" + name.bytes
    try project.write(inner, "one")
    try project.script("step.sh", "rm -rf out; cp -r in out")
    let arguments: [ByteString] = ["exec", "--task", "step", "--input", "in", "--output", "out", "--", "./step.sh"]
    try project.purser(arguments)
    let made = project.tree("out")
    #expect(made == project.tree("in"))
    try project.remove("out")
    #expect(try project.purser(arguments).code == 0)
    #expect(project.tree("out") == made)
    #expect(project.executions() == 1)
    try project.write(inner, "two")
    let changed = try project.purser("explain", "--json", "step").json()["reasons"]?.array?.first?["changes"]?.array
    #expect(changed?.compactMap { $0["name"]?.string } == ["in/" + name.shown])
  }

  @Test func `A message escapes what would break its line`() throws {
    let name = ByteString(bytes: Array("two\nlines\u{1b}7".utf8) + [0xff])
    let outcome = try project.purser("exec", "--task", "step", "--input", name, "--", "true")
    #expect(outcome.code == 66)
    #expect(
      outcome.errorText == #"""
        error: input 'two\x0alines\x1b7\xff' does not exist (declared by task 'step'); create it, or remove --input \#
        two\x0alines\x1b7\xff

        """#)
  }

  @Test func `Arguments reach the command as they are`() throws {
    let arguments: [ByteString] = [
      "", " ", "a b", "$HOME", "`id`", "*", "\"'", "-x", "--", ByteString(bytes: [0xff, 0x0a, 0x80]), "\\xff",
    ]
    let expected = arguments.flatMap { argument -> [UInt8] in argument.bytes + Array("|".utf8) }
    for _ in 1...2 {
      let outcome = try project.purser(["exec", "--task", "step", "--", "printf", "%s|"] + arguments)
      #expect(outcome.code == 0)
      #expect(outcome.output == expected)
    }
  }

  @Test(arguments: ["clean data", "ünï", "a'b\"c", "x; DROP TABLE tasks", "<script>", "a/b", "--task", "%s"])
  func `A task may have any name in one line`(_ task: String) throws {
    let name = ByteString(task)
    #expect(try project.purser("exec", "--task", name, "--", "sh", "-c", "echo hi; false").code == 1)
    let status = try project.purser("status", "--json").json()["tasks"]?.array
    #expect(status?.compactMap { $0["task"]?.string } == [task])
    if !task.hasPrefix("-") {
      #expect(try project.purser("log", name).outputText == "hi\n")
      #expect(try project.purser("explain", "--json", name).json()["task"]?.string == task)
    }
  }

  @Test func `A project whose path is not text works`() throws {
    let odd = project.folder + "/" + ByteString(bytes: [0x70, 0xff, 0x20, 0x0a])
    try project.write(odd + "/in", "content")
    let arguments: [ByteString] = [
      "exec", "--store", project.folder + "/store", "--task", "step", "--input", "in", "--output", "out", "--", "sh",
      "-c",
      "echo >> \"$COUNTS/step\"; cp in out",
    ]
    for _ in 1...2 {
      #expect(try project.purser(arguments, in: odd).code == 0)
      try project.remove(odd + "/out")
    }
    #expect(try project.purser(arguments, in: odd).code == 0)
    #expect(try project.text(odd + "/out") == "content")
    #expect(project.executions() == 1)
  }
}
