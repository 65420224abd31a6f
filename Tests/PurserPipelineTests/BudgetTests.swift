import PurserPipeline
import Testing

@Suite("Hostile pipeline files")
struct BudgetTests {
  static let aliasAdvice =
    "aliases stand for more than 200000 values or 8 MiB of text in all; write fewer of them"

  @Test("an alias bomb is refused")
  func aliasBomb() {
    var text = "x-0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
    for level in 1...9 {
      text += "x-\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ") + "]\n"
    }
    #expect(problems(text) == ["6:16: error: \(Self.aliasAdvice)"])
  }

  @Test("a bomb of merged keys is refused")
  func mergeBomb() {
    var text = "x-0: &a0 {" + (0..<1000).map { "k\($0): 1" }.joined(separator: ", ") + "}\n"
    for level in 1...200 { text += "x-\(level): &a\(level) {<<: *a\(level - 1), n\(level): 1}\n" }
    #expect(problems(text).last?.hasSuffix(Self.aliasAdvice) == true)
  }

  @Test("a long text that many aliases stand for is refused")
  func textBomb() {
    let text =
      "x-a: &a \(String(repeating: "x", count: 500_000))\nconfig: {b: ["
      + Array(repeating: "*a", count: 50_000).joined(separator: ",") + "]}\n"
    #expect(problems(text).map { $0.drop { $0 != "e" } } == ["error: \(Self.aliasAdvice)"])
  }

  @Test("10,000 tasks may each merge in a few defaults")
  func manyMerges() throws {
    let defaults = "x-d: &d {retries: 2, timeout: 5m, tools: [python3]}\ntasks:\n"
    let file = try parse(defaults + (0..<10_000).map { " t\($0): {<<: *d, command: x}\n" }.joined())
    #expect(file.tasks.count == 10_000)
    #expect(file.tasks.allSatisfy { $0.retries == 2 && $0.timeoutMilliseconds == 300_000 && $0.tools == ["python3"] })
  }

  @Test(
    "nesting 10,000 deep is refused", arguments: ["[", "{", "- ", "? ", "{a: ", "[a, "])
  func depth(opening: String) {
    let found = problems(String(repeating: opening, count: 10_000))
    #expect(found.count == 1)
    #expect(
      found.first?.hasSuffix("error: values are nested more than 64 levels deep; make the file flatter") == true)
  }

  @Test("nesting 10,000 deep by indentation is refused")
  func blockDepth() {
    let text = (0..<1400).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
    #expect(problems(text) == ["65:65: error: values are nested more than 64 levels deep; make the file flatter"])
  }

  @Test("aliases do not nest deeper than what is written")
  func aliasDepth() {
    var text = "x-0: &a0 [1]\n"
    for level in 1...80 { text += "x-\(level): &a\(level) [*a\(level - 1)]\n" }
    #expect(problems(text) == ["64:13: error: values are nested more than 64 levels deep; make the file flatter"])
  }

  @Test("64 levels may be used")
  func allowedDepth() throws {
    let lists = String(repeating: "[", count: 62) + String(repeating: "]", count: 62)
    #expect(try parse("config: {a: \(lists)}\ntasks: {t: {command: x}}").graphs[0].config.text == "{\"a\":\(lists)}")
    #expect(problems("config: {a: [\(lists)]}\ntasks: {t: {command: x}}").count == 1)
  }

  @Test("a file of 32 MiB is read, one byte more is refused")
  func size() {
    let text = "tasks: {t: {command: x}}\n#"
    let padding = String(repeating: "x", count: PipelineFile.maximumSize - text.utf8.count)
    #expect(problems(text + padding) == [])
    #expect(
      problems(text + padding + "x")
        == ["error: the file is larger than 32 MiB, the most a pipeline file may have; move data out of it"])
  }

  @Test("many graphs that extend a large one are refused")
  func inheritance() {
    let tasks = (0..<5000).map { "t\($0): ," }.joined()
    let children = (0..<5000).map { " g\($0): {extends: base}\n" }.joined()
    let definitions = (0..<5000).map { " t\($0): {command: x}\n" }.joined()
    let found = problems("graphs:\n base: {tasks: {\(tasks)}}\n\(children)tasks:\n\(definitions)")
    #expect(
      found == [
        "43:17: error: the graphs have more than 200000 tasks, or 16 MiB of 'config', with what they extend; use fewer "
          + "graphs"
      ])
  }

  @Test("many graphs with a config laid over a large one are refused")
  func config() {
    let graphs = (0..<5000).map { " g\($0): {config: {b: 1}, tasks: {t: }}\n" }.joined()
    let found = problems(
      "config: {a: \(String(repeating: "x", count: 500_000))}\ngraphs:\n\(graphs)tasks: {t: {command: x}}\n")
    #expect(found.count == 1)
    #expect(found[0].contains("16 MiB of 'config'"))
  }

  @Test("graphs that extend each other too deeply are refused")
  func inheritanceDepth() {
    let children = (1...200).map { " g\($0): {extends: g\($0 - 1)}\n" }.joined()
    let forward = problems("graphs:\n g0: {tasks: {t: }}\n\(children)tasks: {t: {command: x}}\n")
    // Read from the top, each finds its parent done.
    #expect(forward == [])
    let reversed = (1...200).reversed().map { " g\($0): {extends: g\($0 - 1)}\n" }.joined()
    #expect(
      problems("graphs:\n\(reversed) g0: {tasks: {t: }}\ntasks: {t: {command: x}}\n").first
        == "65:18: error: graphs extend each other more than 64 deep; make them flatter")
  }

  @Test("beyond 1,000 problems the rest is counted")
  func manyProblems() {
    let found = problems("tasks:\n" + (0..<3000).map { " t\($0): {}\n" }.joined())
    #expect(found.count == 1001)
    #expect(found[0] == "2:2: error: task 't0' has neither 'file' nor 'command'; give it one")
    #expect(found.last == "warning: there are 2000 more problems; mend these first")
  }

  @Test("a chain of 10,000 tasks is no problem, nor a cycle of as many")
  func chain() throws {
    let tasks = (1..<10_000).map { " t\($0): {command: x, after: t\($0 - 1)}\n" }.joined()
    let file = try parse("tasks:\n t0: {command: x}\n" + tasks)
    #expect(file.graphs[0].nodes.count == 10_000)
    #expect(file.checks(graph: "main") == [])
    let found = problems("tasks:\n t0: {command: x, after: t9999}\n" + tasks)
    #expect(found.count == 1)
    #expect(found[0].hasPrefix("2:2: error: tasks wait for each other: t0 -> t9999 -> t9998 -> "))
    #expect(found[0].contains(" -> … (9961 more) -> "))
  }
}
