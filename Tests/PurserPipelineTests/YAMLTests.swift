import PurserPipeline
import Testing

@Suite("YAML files")
struct YAMLTests {
  @Test(
    "what is not YAML is refused with the place and what to do",
    arguments: [
      ("tasks:\n\ta:\n", "2:1: error: a tab stands where YAML takes only spaces; indent with spaces"),
      ("tasks:\n  a:\n\t  command: x\n", "3:1: error: a tab stands where YAML takes only spaces; indent with spaces"),
      (
        "tasks: a: b\n",
        "1:9: error: a ':' stands where no key can be; check the indentation, or put a text that holds ': ' in quotes"
      ),
      (
        "tasks: [a, b\n",
        "2:1: error: a list in brackets does not go on with ',' or end with ']' here (in a flow sequence that "
          + "begins at line 1, column 8)"
      ),
      (
        "tasks: {a: {command: x}\nb: 1\n",
        "2:1: error: a mapping in braces does not go on with ',' or end with '}' here (in a flow mapping that "
          + "begins at line 1, column 8)"
      ),
      (
        "tasks:\n  a: \"x\n",
        "3:1: error: the file ends inside a quoted text; close the quotes (in a quoted scalar that begins at line 2, "
          + "column 6)"
      ),
      (
        "tasks:\n  a: {command: x}\n b: {command: y}\n",
        "3:2: error: a key is expected here; check the indentation and the quotes (in a block mapping that begins at "
          + "line 1, column 1)"
      ),
      (
        "tasks:\n  a: {command: x}\n  bbb\n  c: d\n",
        "3:3: error: a key has no ':' behind it; write 'key: value', or check the indentation"
      ),
      ("tasks:\n  a: @x\n", "2:6: error: a value cannot begin with '@'; put it in quotes"),
      ("tasks:\n  ä: `x`\n", "2:6: error: a value cannot begin with '`'; put it in quotes"),
      (
        "tasks: {a: {command: x, outputs: *.csv}}\n",
        "1:35: error: '&' and '*' begin the name of an anchor, which has letters and digits; put a text that begins "
          + "with them in quotes (in an alias that begins at line 1, column 34)"
      ),
      (
        "tasks: {a: {command: \"\\d\"}}\n",
        "1:23: error: a backslash in double quotes begins an escape that YAML does not know; write '\\\\' for a "
          + "backslash, or use single quotes (in a quoted scalar that begins at line 1, column 22)"
      ),
      ("tasks:\n  a: - b\n", "2:6: error: a list cannot begin here; put it on a line of its own"),
      ("tasks: ]\n", "1:8: error: a value is expected here"),
      ("tasks: !Foo {a: b}\n", "1:8: error: the tag '!Foo' is not supported; remove it"),
      ("tasks: !e!x y\n", "1:8: error: a '!' begins a tag that is not defined; put the value in quotes"),
      ("tasks:\n  ? [a]\n  : b\n", "2:5: error: a key must be a text, not a list"),
      ("a: 1\n---\nb: 1\n", "2:1: error: a second document begins here; a pipeline file has only one"),
      ("tasks: *abc\n", "1:8: error: the alias '*abc' names no anchor before it; define '&abc'"),
      (
        "x-a: &defaults {command: x}\ntasks: {a: *default}\n",
        "2:12: error: the alias '*default' names no anchor before it; did you mean 'defaults'?"
      ),
      ("tasks: &a\n  b: *a\n", "2:6: error: the alias '*a' stands inside of what '&a' names; remove it"),
      ("x-a: &a [1, [*a]]\n", "1:14: error: the alias '*a' stands inside of what '&a' names; remove it"),
      ("tasks:\n  a:\n    <<: x\n", "3:9: error: '<<' merges mappings, not a text"),
      ("tasks:\n  a:\n    <<: [{command: z}, 3]\n", "3:24: error: '<<' merges mappings, not a number"),
      ("", "error: the file is empty; define 'tasks', and 'graphs' of them"),
      ("# nothing\n", "error: the file is empty; define 'tasks', and 'graphs' of them"),
      ("~\n", "error: the file is empty; define 'tasks', and 'graphs' of them"),
      ("- a\n- b\n", "1:1: error: a pipeline file is a mapping with 'tasks' and 'graphs', not a list"),
      ("hello\n", "1:1: error: a pipeline file is a mapping with 'tasks' and 'graphs', not a text"),
    ])
  func syntax(text: String, problem: String) {
    #expect(problems(text) == [problem])
    #expect(problems(text, .kptn) == [problem])
    #expect(problems(text.replacing("\n", with: "\r\n")) == [problem])
  }

  @Test(
    "bytes that are no text are refused with their place",
    arguments: [
      (
        [0x61, 0x3a, 0x0a, 0x63, 0x61, 0x66, 0xe9, 0x3a, 0x20, 0x62, 0x0a],
        "2:4: error: the file is not UTF-8 here (invalid trailing UTF-8 octet)"
      ),
      ([0x61, 0x3a, 0x20, 0xc3, 0xa4, 0xff], "1:5: error: the file is not UTF-8 here (invalid leading UTF-8 octet)"),
      ([0x61, 0x3a, 0x20, 0xed, 0xa0, 0x80], "1:4: error: the file is not UTF-8 here (invalid Unicode character)"),
      ([0x61, 0x3a, 0x20, 0xe2, 0x82], "1:4: error: the file is not UTF-8 here (incomplete UTF-8 octet sequence)"),
      ([0xff, 0xfe, 0x61, 0x00], "1:1: error: the file is not UTF-8 here (invalid leading UTF-8 octet)"),
    ] as [([UInt8], String)])
  func encoding(bytes: [UInt8], problem: String) {
    #expect(problems(bytes) == [problem + "; save it as UTF-8"])
  }

  @Test("control characters are refused, also as escapes where no path can have them")
  func control() {
    let advice = "is not allowed in YAML; remove it, or write it as an escape in double quotes"
    #expect(problems("tasks:\n  a: {command: x\0y}\n") == ["2:17: error: the character U+0000 \(advice)"])
    #expect(problems("tasks:\n  ä\u{7}: x\n") == ["2:4: error: the character U+0007 \(advice)"])
    #expect(
      problems("tasks:\n  a: {command: \"x\\0y\"}\n") == [
        "2:16: error: 'command' of task 'a' holds a NUL character, which no path or argument can; remove it"
      ])
    #expect(
      problems("tasks:\n  \"a\\e[1m\": {command: x}\n") == [
        "2:3: error: a task's name has a control character: 'a\\x1b[1m'; remove it"
      ])
  }

  @Test("a byte order mark and carriage returns make no difference")
  func lineEnds() throws {
    let plain = try parse(Sample.purser)
    let crlf = try parse(Sample.purser.replacing("\n", with: "\r\n"))
    let mark = try parse("\u{feff}" + Sample.purser)
    #expect(plain.tasks == crlf.tasks && plain.graphs == crlf.graphs)
    #expect(plain.tasks == mark.tasks && plain.graphs == mark.graphs)
    #expect(
      problems("\u{feff}task: 1") == [
        "1:1: error: unknown key 'task' at the top of the file; did you mean 'tasks'?",
        "1:1: error: the file has no 'tasks'; define them there, by name",
      ])
  }

  @Test("a key that stands twice is refused with both places")
  func duplicates() {
    #expect(
      problems("tasks:\n  a: {command: x, command: y}\n  a: {command: z}\n") == [
        "2:19: error: the key 'command' stands twice in one mapping, first at line 2, column 7; remove one of them",
        "3:3: error: the key 'a' stands twice in one mapping, first at line 2, column 3; remove one of them",
      ])
    let many = (0..<20).map { "  t\($0): {command: x}\n" }.joined()
    #expect(
      problems("tasks:\n" + many + "  t7: {command: x}\n") == [
        "22:3: error: the key 't7' stands twice in one mapping, first at line 9, column 3; remove one of them"
      ])
  }

  @Test("merged keys come first, and a mapping's own count")
  func merging() throws {
    let file = try parse(
      """
      x-a: &a {command: from-a, retries: 1, priority: 1}
      x-b: &b {command: from-b, outputs: b, priority: 2}
      tasks:
        one: {<<: *a, command: own}
        two: {<<: [*a, *b]}
        three: {retries: 5, <<: *b}
        four: {"<<": 1, command: x}
      """.replacing("\"<<\": 1, ", with: ""))
    #expect(file.tasks.map(\.command) == [.shell("own"), .shell("from-a"), .shell("from-b"), .shell("x")])
    #expect(file.tasks.map(\.retries) == [1, 1, 5, 0])
    #expect(file.tasks.map(\.priority) == [1, 1, 2, 0])
    #expect(file.tasks.map(\.outputs) == [[], ["b"], ["b"], []])
    let order = try parse(
      "x: 1\ntasks:\n  <<: {b: {command: x}, a: {command: x}}\n  c: {command: x}\n  a: {command: y}\n", .kptn,
      whole: true)
    #expect(order.tasks.map(\.name) == ["b", "a", "c"])
    #expect(order.tasks[1].command == .shell("y"))
    #expect(
      problems("tasks: {a: {\"<<\": {command: x}, command: y}}") == [
        "1:13: error: unknown key '<<' of task 'a'; remove it, or see 'purser schema' for those that there are"
      ])
    #expect(
      problems("tasks:\n  a:\n    <<: {command: x}\n    command: y\n    command: z\n") == [
        "5:5: error: the key 'command' stands twice in one mapping, first at line 4, column 5; remove one of them"
      ])
  }

  private func parse(_ text: String) throws(PipelineFileError) -> PipelineFile {
    try PurserPipelineTests.parse(text)
  }

  /// With a graph of no interest added.
  private func parse(_ text: String, _ dialect: PipelineFile.Dialect, whole: Bool) throws(PipelineFileError)
    -> PipelineFile
  {
    try PurserPipelineTests.parse(text + "graphs: {g: {tasks: {a: }}}\n", dialect)
  }
}
