import Glibc
import PurserModel
import Testing

/// What a task returns by writing JSON to the file that PURSER_RESULT names.
@Suite(.project)
struct PipelineDataTests {
  let project = TestProject.current

  /// `make` returns what `data.json` holds; `use` follows.
  private func makePipeline() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        make:
          command: echo >> "$COUNTS/make"; cat data.json > "$PURSER_RESULT"
          inputs: [data.json]
          cache_result: true
        use: {after: make, command: 'echo >> "$COUNTS/use"; "$TOOL" data get make > used', outputs: [used]}
      """)
  }

  @Test(arguments: [
    #"[1,"b",null]"#, #"{"a":{"b":[]}}"#, "[]", "{}", #""""#, #""ü€😀\u0000\"\\""#, "123456789012345678901234567890",
    "null",
    "[123456789012345678901234567890,-0.1e-400,1E+999,0.1000]", "true", "[[1,2],[\"a,b\",{\"c\":1}]]", "1.50",
  ])
  func `Data comes back as it was written`(_ text: String) throws {
    try makePipeline()
    try project.write("data.json", text)
    let run = try project.runPipeline()
    #expect(run.code == 0, "\(run.errorText)")
    let data = try project.purser("data", "get", "make")
    #expect(data.code == 0)
    #expect(data.outputText == text + "\n")
    #expect(try project.text("used") == text + "\n")
    #expect(try project.runPipeline().endings == ["make": "fresh", "use": "fresh"])
  }

  @Test(.enabled(if: TestProject.hasSQLite, "sqlite3 is not installed"))
  func `A long list lies in bins of 500`() throws {
    try makePipeline()
    try project.write("data.json", "[" + (0..<1201).map { "\"e\($0)\"" }.joined(separator: ", ") + "]")
    #expect(try project.runPipeline().code == 0)
    let data = try project.purser("data", "get", "make").json().array?.compactMap(\.string)
    #expect(data == (0..<1201).map { "e\($0)" })
    #expect(
      try project.query("SELECT bin_id, json_array_length(data) FROM taskdata_bins ORDER BY bin_id + 0") == [
        "0|500", "1|500", "2|201",
      ])
    // Shorter again: no bin is left behind.
    try project.write("data.json", "[1]")
    #expect(try project.runPipeline().code == 0)
    #expect(try project.query("SELECT bin_id, data FROM taskdata_bins") == ["0|[1]"])
  }

  @Test(arguments: [
    "hello {", "{'a': 1}", "[1, 2", "[1,]", "NaN", "1 2", "\u{feff}[]", "[\"a\nb\"]", "{\"a\":1,}", "01", "nul",
    String(repeating: "[", count: 100_000),
  ])
  func `What is not JSON fails the task, is shown, and is not stored`(_ text: String) throws {
    try makePipeline()
    try project.write("data.json", text)
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(run.endings == ["make": "failed", "use": "skipped"])
    let start = ByteString(String(text.prefix(30))).printable
    #expect(run.errorText.contains("the result of task 'make' is "), "\(run.errorText)")
    #expect(run.errorText.contains(start), "\(run.errorText)")
    #expect(run.outcome.error.count < 1000, "only the beginning is shown")
    #expect(try project.purser("data", "get", "make").code == 66)
    #expect(try project.status(of: "make") == "FAILURE")
    #expect(try project.runPipeline().code == 1)
    #expect(project.executions("make") == 2)
    #expect(project.executions("use") == 0)
    try project.write("data.json", "[]")
    #expect(try project.runPipeline().code == 0)
  }

  @Test func `Bytes that are not UTF-8 are not JSON`() throws {
    try makePipeline()
    try project.write("data.json", [0x22, 0xff, 0xfe, 0x22])
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(run.errorText.contains("the result of task 'make' is "))
    #expect(try project.purser("data", "get", "make").code == 66)
  }

  @Test func `A task that is to return data and writes none has failed`() throws {
    try makePipeline()
    try project.write("data.json", "")
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(
      run.errorText == """
        error: task 'make' failed: task 'make' keeps its result but wrote none; write JSON to the file that \
        PURSER_RESULT names, or remove 'cache_result'

        """)
    #expect(try project.purser("data", "get", "make").code == 66)
  }

  @Test func `What failed leaves the data of the last good run`() throws {
    try makePipeline()
    try project.write("data.json", "[1]")
    #expect(try project.runPipeline().code == 0)
    try project.write("data.json", "oops")
    #expect(try project.runPipeline().code == 1)
    let data = try project.purser("data", "get", "make")
    #expect(data.code == 66 || data.outputText == "[1]\n")
    try project.write("data.json", "[1]")
    #expect(try project.runPipeline().code == 0)
    #expect(try project.purser("data", "get", "make").outputText == "[1]\n")
    #expect(project.executions("use") == 1)
  }

  @Test func `What follows runs when the data changed, not when its layout did`() throws {
    try makePipeline()
    try project.write("data.json", #"{"a":[1,2.0],"b":"é"}"#)
    #expect(try project.runPipeline().code == 0)
    #expect(project.executions("use") == 1)
    try project.write("data.json", "{ \"b\" : \"\\u00e9\",\n \"a\":[ 1 , 2.0 ] }\n")
    #expect(try project.runPipeline().endings == ["make": "ran", "use": "fresh"])
    try project.write("data.json", #"{"a":[2.0,1],"b":"é"}"#)
    let run = try project.runPipeline()
    #expect(run.endings == ["make": "ran", "use": "ran"])
    #expect(project.executions("use") == 2)
    let reasons = try project.purser("runs", "use", "--json", "--limit", "1").json()["runs"]?.array?.first?["reasons"]
    #expect(reasons?.array?.compactMap { $0["kind"]?.string } == ["dataChanged"])
  }

  @Test func `Data that was set by hand counts`() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        make: {command: "echo '[1]' > $PURSER_RESULT", cache_result: true}
        use: {after: make, command: 'echo >> "$COUNTS/use"'}
      """)
    #expect(try project.runPipeline().code == 0)
    try project.write("new.json", " [1 ]")
    #expect(try project.purser("data", "set", "make", "--from", "new.json").code == 0)
    #expect(try project.runPipeline().endings["use"] == "fresh", "it is the same")
    try project.write("new.json", "[1, 2]")
    #expect(try project.purser("data", "set", "make", input: project("new.json")).code == 0)
    #expect(try project.purser("data", "get", "make").json().serialized == "[1,2]")
    let run = try project.runPipeline()
    #expect(run.code == 0)
    #expect(run.endings["use"] == "ran")
    #expect(project.executions("use") == 2)
    try project.write("new.json", "[1, 2")
    let refused = try project.purser("data", "set", "make", "--from", "new.json")
    #expect(refused.code == 65)
    #expect(refused.errorText.contains("'make'"))
    #expect(try project.purser("data", "get", "make").json().serialized == "[1,2]")
  }

  @Test func `Data of an unknown task is an error with a suggestion`() throws {
    try makePipeline()
    try project.write("data.json", "1")
    #expect(try project.runPipeline().code == 0)
    let outcome = try project.purser("data", "get", "mkae")
    #expect(outcome.code == 66)
    #expect(outcome.errorText.contains("'make'"), "\(outcome.errorText)")
    let none = try project.purser("data", "get", "use")
    #expect(none.code == 66)
    #expect(none.errorText.contains("task 'use' has no data"))
  }

  @Test func `A task is told where it is`() throws {
    try project.write(
      "purser.yaml",
      """
      graphs: {main: {tasks: {tell: null}}}
      tasks:
        tell:
          command: |
            printf '%s\\n' "$PURSER_TASK" "$PURSER_PIPELINE" "$PURSER_STORAGE_KEY"
            printf '%s\\n' "$PURSER_SCRATCH" "$OUTPUT_PIPELINE_DIR" "$PWD"
            [ ! -e "$PURSER_RESULT" ]; [ -d "$(dirname "$PURSER_RESULT")" ]; [ -z "${PURSER_ITEMS+x}" ]
      """)
    let run = try project.purser(
      "run", "-q", "-j1",
      environment: ["PURSER_STORAGE_KEY": "some/key", "PURSER_ITEMS": "from outside"])
    #expect(run.code == 0, "\(run.errorText)")
    let root = project.root.printable
    #expect(
      run.outputText == """
        tell
        main
        some/key
        \(root)/scratch/some/key
        \(root)/scratch/some/key
        \(root)

        """)
  }
}
