import Glibc
import PurserModel
import Testing

/// What a file that cannot be used, or a name that is not in it, gets.
@Suite(.project)
struct PipelineFileTests {
  let project = TestProject.current

  private func refuse(
    _ file: String, _ code: Int32 = 78, _ messages: String..., arguments: ByteString...,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try project.write("purser.yaml", file)
    let outcome = try project.purser(arguments.isEmpty ? ["run"] : arguments)
    #expect(outcome.code == code, "\(outcome.errorText)", sourceLocation: sourceLocation)
    for message in messages {
      #expect(outcome.errorText.contains(message), "\(outcome.errorText)", sourceLocation: sourceLocation)
    }
    #expect(project.executions() == 0, "nothing ran", sourceLocation: sourceLocation)
  }

  private let step = #"{command: 'echo >> "$COUNTS/step"'}"#

  @Test(arguments: ["run", "plan"] as [ByteString])
  func `Without a pipeline file there is nothing to run`(_ command: ByteString) throws {
    let outcome = try project.purser(command)
    #expect(outcome.code == 66)
    #expect(
      outcome.errorText == """
        error: there is no purser.yaml or kptn.yaml in '\(project.root.printable)'; write one (see 'purser schema'), \
        or put 'purser exec … --' before single steps

        """)
    #expect(try project.purser("lint").code == 66)
  }

  @Test func `One of several graphs has to be chosen`() throws {
    let file = "graphs: {north: {tasks: {a: null}}, south: {tasks: {a: null}}}\ntasks: {a: \(step)}"
    try refuse(file, 64, "error: purser.yaml has several graphs; choose one with --pipeline: north, south")
    try refuse(file, 64, "has no graph 'soth'; did you mean 'south'?", arguments: "run", "--pipeline", "soth")
    #expect(try project.purser("run", "--pipeline", "south").code == 0)
    #expect(try project.purser("run", environment: ["PURSER_PIPELINE": "north"]).code == 0)
    #expect(project.executions() == 2)
  }

  @Test func `A task that is not in the graph is an error with a suggestion`() throws {
    let file = "tasks: {clean: \(step), chart: \(step)}"
    for command in ["run", "plan"] as [ByteString] {
      try refuse(file, 66, "has no task 'claen'; did you mean 'clean'?", arguments: command, "claen")
    }
  }

  @Test func `A dependency that is no task is an error with place and suggestion`() throws {
    try refuse(
      "graphs:\n  main:\n    tasks:\n      clean:\n      chart: claen\ntasks: {clean: \(step), chart: \(step)}", 78,
      "purser.yaml:5:14: error: task 'chart' comes after 'claen'", "did you mean 'clean'?")
  }

  @Test func `A graph's task that is not defined is an error`() throws {
    try refuse(
      "graphs: {main: {tasks: {claen: null}}}\ntasks: {clean: \(step)}", 78, "'claen'", "did you mean 'clean'?")
  }

  @Test func `A cycle is shown as a path`() throws {
    try refuse(
      "graphs: {main: {tasks: {start: null, a: [start, c], b: a, c: b}}}\n"
        + "tasks: {start: \(step), a: \(step), b: \(step), c: \(step)}", 78, "a -> c -> b -> a")
    try refuse("graphs: {main: {tasks: {a: a}}}\ntasks: {a: \(step)}", 78, "a -> a")
  }

  @Test func `Two tasks with the same output are refused`() throws {
    try refuse(
      "tasks:\n  one: {command: 'echo >> \"$COUNTS/step\"; touch out/x', outputs: [out/x]}\n"
        + "  two: {command: 'echo >> \"$COUNTS/step\"; touch out/x', outputs: [./out//x]}", 78, "'one'", "'two'",
      "out//x")
  }

  @Test func `The same output in two graphs is no mistake`() throws {
    try project.write(
      "purser.yaml",
      """
      graphs: {north: {tasks: {one: null}}, south: {tasks: {two: null}}}
      tasks: {one: {command: touch x, outputs: [x]}, two: {command: touch x, outputs: [x]}}
      """)
    #expect(try project.purser("run", "--pipeline", "north").code == 0)
    #expect(try project.purser("lint").code == 0)
  }

  @Test func `An output that is used without a dependency is warned about`() throws {
    try project.write(
      "purser.yaml",
      "tasks:\n  make: {command: echo 1 > made, outputs: [made]}\n  use: {command: cat made, inputs: [made]}\n")
    try project.write("made", "0")
    let lint = try project.purser("lint")
    #expect(lint.code == 0)
    let warning = try #require(lint.outputText.split(separator: "\n").first)
    #expect(warning.contains(": warning: "))
    #expect(warning.contains("'make'") && warning.contains("'use'") && warning.contains("made"), "\(warning)")
    #expect(try project.purser("run").errorText.contains(warning))
    // With the dependency, also by way of another task, all is well.
    try project.write(
      "purser.yaml",
      """
      tasks:
        make: {command: echo 1 > made, outputs: [made]}
        between: {after: make, command: 'true'}
        use: {after: between, command: cat made, inputs: [made]}
      """)
    #expect(try project.purser("lint").outputText == "purser.yaml: no findings\n")
  }

  @Test func `A file over 32 mebibytes is refused`() throws {
    let line = "# " + String(repeating: "x", count: 997) + "\n"
    let file = "tasks: {a: \(step)}\n" + String(repeating: line, count: 34_000)
    try refuse(file, 78, "purser.yaml", "32 MiB")
  }

  @Test func `Names to map over that nobody provides are named`() throws {
    try refuse(
      "tasks:\n  list: {command: x, cache_result: true, iterable_item: name}\n"
        + "  work: {after: list, map_over: nmae, command: 'echo >> \"$COUNTS/step\"'}", 78, "'work'", "'nmae'")
    try refuse(
      "tasks:\n  list: {command: x, cache_result: true, iterable_item: name}\n"
        + "  work: {map_over: name, command: 'echo >> \"$COUNTS/step\"'}", 78, "'work'", "'name'")
  }

  /// A file, and what is said of it with line and column.
  static let mistakes: [(file: String, place: String, message: String)] = [
    ("tasks:\n  a:\n    comand: x\n", "3:5", "did you mean 'command'?"),
    ("taks:\n  a: {command: x}\n", "1:1", "did you mean 'tasks'?"),
    ("tasks:\n  a: {command: x}\ngraphs:\n  g:\n    taks: {a: }\n", "5:5", "did you mean 'tasks'?"),
    ("tasks:\n  a: {command: x, retries: many}\n", "2:28", "not a text"),
    ("tasks:\n  a: {command: x, timeout: soon}\n", "2:28", "'soon'"),
    ("tasks:\n  a: {command: x, bundle_size: 0}\n", "2:32", "0"),
    ("tasks:\n  a: {inputs: [x]}\n", "2:3", "neither 'file' nor 'command'"),
    ("tasks:\n  a: {command: x, file: y.py}\n", "2:19", "both 'file' and 'command'"),
    ("tasks:\n  a: {command: x}\n  a: {command: y}\n", "3:3", "'a'"),
    ("tasks: [a, b\n", "2:1", ""), ("tasks:\n\ta: x\n", "2:1", ""), ("- a\n", "1:1", ""), ("", "", ""),
    ("graphs:\n  g: {extends: f, tasks: {a: }}\ntasks: {a: {command: x}}\n", "2:16", "'f'"),
    ("graphs:\n  f: {extends: g}\n  g: {extends: f}\ntasks: {a: {command: x}}\n", "", " -> "),
    ("tasks:\n  ü: {command: x, comand: y}\n", "2:19", "did you mean 'command'?"),
  ]

  @Test(arguments: mistakes.indices)
  func `A mistake is told with line and column`(_ place: Int) throws {
    let mistake = Self.mistakes[place]
    try project.write("purser.yaml", mistake.file)
    let lint = try project.purser("lint")
    #expect(lint.code == 78)
    let first = lint.outputText.split(separator: "\n").first { $0.contains(": error: ") } ?? ""
    #expect(first.hasPrefix("purser.yaml:"), "\(lint.outputText)")
    if !mistake.place.isEmpty { #expect(first.hasPrefix("purser.yaml:\(mistake.place): error: "), "\(first)") }
    #expect(first.contains(mistake.message), "\(first)")

    let json = try project.purser("lint", "--json")
    #expect(json.code == 78)
    #expect(try json.json()["file"]?.string == "purser.yaml")
    let finding = try json.json()["findings"]?.array?.first { $0["severity"]?.string == "error" }
    #expect(finding?["message"]?.string.map { first.hasSuffix($0) } == true)
    if !mistake.place.isEmpty {
      let shown = "\(finding?["line"]?.serialized ?? ""):\(finding?["column"]?.serialized ?? "")"
      #expect(shown == mistake.place)
    }

    for command in ["run", "plan", "status"] as [ByteString] {
      let outcome = try project.purser(command)
      #expect(outcome.code == 78, "\(command.printable)")
      #expect(outcome.errorText.contains(first))
    }
  }

  @Test func `All mistakes are told at once`() throws {
    try project.write("purser.yaml", "tasks:\n  a: {comand: x}\n  b: {command: x, retires: 1}\n  c: {}\n")
    let findings = try project.purser("lint", "--json").json()["findings"]?.array ?? []
    #expect(findings.compactMap { $0["line"]?.serialized } == ["2", "3", "4"])
  }

  @Test func `A file without mistakes has no findings`() throws {
    try project.write("purser.yaml", "graphs: {main: {tasks: {a: null, b: a}}}\ntasks: {a: \(step), b: \(step)}")
    let lint = try project.purser("lint")
    #expect(lint.code == 0)
    #expect(lint.outputText == "purser.yaml: no findings\n")
    let json = try project.purser("lint", "--json")
    #expect(json.code == 0)
    #expect(try json.json().serialized == #"{"file":"purser.yaml","findings":[]}"#)
    #expect(try project.purser("lint", "mian").code == 64)
    #expect(project.executions() == 0)
  }

  @Test func `An unknown key of kptn.yaml is a warning and the pipeline runs`() throws {
    try project.write("steps.py", "def a():\n  pass\n")
    try project.write(
      "kptn.yaml", "graphs: {main: {tasks: {a: null}}}\ntasks:\n  a:\n    file: steps.py\n    colour: red\n")
    let lint = try project.purser("lint")
    #expect(lint.code == 0)
    #expect(lint.outputText.contains("kptn.yaml:5:5: warning: "), "\(lint.outputText)")
    #expect(lint.outputText.contains("'colour'"))
    try #require(TestProject.hasPython)
    let run = try project.purser("run")
    #expect(run.code == 0)
    #expect(run.errorText.contains("kptn.yaml:5:5: warning: "))
  }

  @Test func `Bad options are refused`() throws {
    let file = "tasks: {a: \(step)}"
    for jobs in ["0", "x", "-1", "1025", ""] as [ByteString] {
      try refuse(file, 64, "--jobs is a number from 1 to 1024", arguments: "run", "--jobs=" + jobs)
    }
    try refuse(file, 64, "did you mean '--keep-going'?", arguments: "run", "--keep-gong")
  }

  @Test func `The schema is JSON and knows every key`() throws {
    let outcome = try project.purser("schema")
    #expect(outcome.code == 0)
    #expect(try outcome.json()["$schema"]?.string?.contains("json-schema.org") == true)
    for key in ["command", "map_over", "iterable_item", "cache_result", "retries", "extends", "bundle_size", "pure"] {
      #expect(outcome.outputText.contains("\"\(key)\""))
    }
  }

  // MARK: What a plan and a status show

  @Test func `A plan says what would run, why, and how long the longest way is`() throws {
    try project.write("in", "1")
    try project.write(
      "purser.yaml",
      """
      graphs: {main: {tasks: {a: null, b: a, c: a, d: [b, c]}}}
      tasks:
        a: {command: cp in a, inputs: [in], outputs: [a]}
        b: {command: cp a b, outputs: [b]}
        c: {command: "sleep 0.3; cp a c", outputs: [c]}
        d: {command: cat b c > d, outputs: [d]}
      """)
    let first = try project.purser("plan", "--json")
    #expect(first.code == 0)
    let tasks = try first.json()["tasks"]?.array ?? []
    #expect(tasks.map { $0["task"]?.string } == ["a", "b", "c", "d"])
    #expect(tasks.allSatisfy { $0["decision"]?.string == "run" })
    #expect(!project.exists(".purser/records.db") || !project.exists("a"), "a plan runs nothing")
    #expect(try project.purser("run").code == 0)
    #expect(try project.purser("plan").outputText == "All 4 tasks are fresh.\n")
    try project.write("in", "2")
    let plan = try project.purser("plan", "--json").json()
    let reasons = plan["tasks"]?.array?.map { task in
      (task["reasons"]?.array ?? []).compactMap { $0["kind"]?.string }
    }
    #expect(reasons == [["inputsChanged"], ["upstreamPending"], ["upstreamPending"], ["upstreamPending"]])
    #expect(plan["criticalPath"]?.array?.map(\.string) == ["a", "c", "d"])
    #expect(try project.purser("plan").outputText.contains("Critical path: a → c → d"))
    #expect(try project.purser("plan", "b", "--json").json()["tasks"]?.array?.count == 2)
    #expect(try project.text("a") == "1", "a plan runs nothing")
  }

  @Test func `The status shows every task and what differs`() throws {
    try project.write("in", "1")
    try project.write(
      "purser.yaml",
      """
      graphs: {main: {tasks: {a: null, b: a, c: null}}}
      tasks:
        a: {command: cp in a, inputs: [in], outputs: [a]}
        b: {command: cp a b, outputs: [b]}
        c: {command: "false"}
      """)
    let before = try project.purser("status", "--json").json()["tasks"]?.array ?? []
    #expect(before.map { $0["task"]?.string }.count == 3)
    #expect(try project.purser("run", "-k").code == 1)
    func shown(_ task: String) throws -> [String?] {
      try ["state", "code", "inputs", "outputs"].map { try project.status(of: task, $0) }
    }
    #expect(try shown("a") == ["fresh", "same", "same", "same"])
    #expect(try project.status(of: "c", "state") == "failed")
    try project.write("in", "2")
    try project.write("b", "edited")
    #expect(try shown("a") == ["stale", "same", "changed", "same"])
    #expect(try project.status(of: "b", "outputs") == "changed")
  }
}
