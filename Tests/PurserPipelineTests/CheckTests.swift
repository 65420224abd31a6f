import PurserPipeline
import Testing

@Suite("Checks of a graph")
struct CheckTests {
  @Test("good files have nothing to be said about")
  func good() throws {
    let file = try parse(Sample.purser)
    #expect(file.checks(graph: "base") == [])
    #expect(file.checks(graph: "full") == [])
    #expect(
      file.checks(graph: "ful").map { $0.text(file: "f") } == [
        "f: error: there is no graph 'ful'; did you mean 'full'?"
      ])
  }

  @Test(
    "what tasks mean for each other is checked",
    arguments: [
      (
        "a: {command: x, cache_result: yes, iterable_item: region}\n  b: {command: x, after: a, map_over: regoin}",
        [
          "3:3: error: task 'b' maps over 'regoin', which no task that it comes after has as its 'iterable_item'; "
            + "did you mean 'region'?"
        ]
      ),
      (
        "a: {command: x, cache_result: yes, iterable_item: 'p,q'}\n  b: {command: x, map_over: p}",
        [
          "3:3: error: task 'b' maps over 'p', which no task that it comes after has as its 'iterable_item'; add it "
            + "there, or add the dependency"
        ]
      ),
      ("a: {command: x, cache_result: yes, iterable_item: 'p,q'}\n  b: {command: x, after: a, map_over: 'q,p'}", []),
      (
        "a: {command: x, args: {k: {ref: b}, l: {ref: b, x: 1}, m: {ref: 1}}}\n  b: {command: x}",
        [
          "2:3: error: argument 'k' of task 'a' refers to 'b', which it does not come after; add it to the task's "
            + "dependencies"
        ]
      ),
      ("a: {command: x, args: {k: {ref: b}}, after: b}\n  b: {command: x}", []),
      (
        "a: {command: x, cache_result: yes, iterable_item: year}\n  b: {file: x.R, after: a, map_over: year, "
          + "cli_args: '${yaer} ${other.x} $$ ${'}",
        ["3:3: error: 'cli_args' of task 'b' has the variable '${yaer}', which no item provides; did you mean 'year'?"]
      ),
      (
        "a: {command: x, cache_result: yes, iterable_item: year}\n  b: {file: x.R, after: a, map_over: year, logs: "
          + "'${year}-${zone}-${size}-${a}', args: {size: 1}}",
        [
          "3:3: error: 'logs' of task 'b' has the variable '${zone}', which no item provides; add it to 'map_over', "
            + "or remove it"
        ]
      ),
      (
        "a: {command: x, cache_result: yes, iterable_item: year}\n  b: {command: 'echo ${HOME}', after: a, "
          + "map_over: year, outputs: 'o/${anything}/${year}'}",
        []
      ),
      ("a: {file: x.R, cli_args: '${HOME}', logs: '${x}'}", []),
      (
        "a: {file: x.sql}",
        ["2:3: error: task 'a' has the DuckDB script 'x.sql', which Purser does not run; call it by a 'command'"]
      ),
      (
        "a: {command: x, outputs: 'duckdb://t'}",
        [
          "2:3: error: task 'a' has the output 'duckdb://t', which is no file, and which Purser does not keep; "
            + "declare files"
        ]
      ),
    ])
  func meaning(tasks: String, expected: [String]) throws {
    #expect(try findings("tasks:\n  \(tasks)\n") == expected)
  }

  @Test(
    "two tasks may not declare one output",
    arguments: [
      ("o/a", "o/a", "the output 'o/a'"), ("o/a", "./o//a/", "the output './o//a/'"),
      ("/abs/a", "/abs/./a", "the output '/abs/./a'"),
      ("o", "o/a", "the output 'o/a' in the folder 'o'"),
      ("o/a", "o/a/b/c", "the output 'o/a/b/c' in the folder 'o/a'"),
      ("o/a", "o/b", nil), ("o/a", "o/ab", nil), ("o/*", "o/*", nil), ("o/${x}", "o/a", nil), ("a", "/a", nil),
    ] as [(String, String, String?)])
  func outputs(first: String, second: String, what: String?) throws {
    let found = try findings(
      "tasks:\n  a: {command: x, outputs: '\(first)'}\n  b: {command: x, after: a, outputs: '\(second)'}\n")
    #expect(
      found
        == (what.map {
          [
            "3:3: error: task 'b' declares \($0), which task 'a' (line 2, column 3) declares too; let each output "
              + "have one task"
          ]
        } ?? []))
  }

  @Test("a folder that is an output may stand before what lies in it")
  func folderAfter() throws {
    #expect(
      try findings("tasks:\n  a: {command: x, outputs: o/x/y}\n  b: {command: x, outputs: o}\n") == [
        "2:3: error: task 'a' declares the output 'o/x/y' in the folder 'o', which task 'b' (line 3, column 3) "
          + "declares too; let each output have one task"
      ])
  }

  @Test("one task may declare a path twice, and two graphs may share an output")
  func sharing() throws {
    #expect(try findings("tasks: {a: {command: x, outputs: [o, ./o, o/x]}}") == [])
    let file = try parse(
      "graphs: {g: {tasks: {a: }}, h: {tasks: {b: }}}\ntasks: {a: {command: x, outputs: o}, b: {command: x, "
        + "outputs: o}}"
    )
    #expect(file.checks(graph: "g") == [] && file.checks(graph: "h") == [])
  }

  @Test("a task's own output is not its input")
  func ownOutput() throws {
    #expect(
      try findings("tasks: {a: {command: x, inputs: [i, ./o], outputs: o}}") == [
        "1:9: error: task 'a' declares './o' as input and as output; remove one of them"
      ])
    #expect(try findings("tasks: {a: {command: x, inputs: 'o/*', outputs: o/x}}") == [])
  }

  @Test(
    "an input that another task makes needs a dependency",
    arguments: [
      ("o/a", "o/a", "o/a"), ("o//a", "./o/a", "./o/a"), ("o", "o/a/b", "o/a/b"), ("o/a/b", "o", "o/a/b"),
      ("o/a.csv", "o/*.csv", "o/a.csv"), ("o/x/a.csv", "o/**/*.csv", "o/x/a.csv"), ("o/a.csv", "**/*.csv", "o/a.csv"),
      ("o/a.csv", "o/**", "o/a.csv"), ("o/${k}.csv", "o/17.csv", "o/17.csv"), ("o/*.csv", "o/a.csv", "o/a.csv"),
      ("o/${k}.csv", "o/*.csv", "o/*.csv"), ("o/a.csv", "o/[ab].csv", "o/a.csv"), ("o/a.csv", "o/?.csv", "o/a.csv"),
      ("a.csv", "*.csv", "a.csv"), ("a/b", ".", "a/b"), ("*.csv", "a.csv", "a.csv"),
      ("o/a.csv", "o/*.txt", nil), ("o/x/a.csv", "o/*.csv", nil), ("o/a", "o/ab", nil), ("o/a", "p/a", nil),
      ("o/a.csv", "o/??.csv", nil), ("o/a", "/o/a", nil), ("o/${k}.csv", "p/17.csv", nil),
    ] as [(String, String, String?)])
  func inputs(output: String, input: String, path: String?) throws {
    let tasks = "  a: {command: x, outputs: '\(output)'}\n  b: {command: x, inputs: '\(input)'"
    let found = try findings("tasks:\n\(tasks)}\n")
    #expect(
      found
        == (path.map {
          [
            "3:3: warning: task 'b' reads '\($0)', which task 'a' (line 2, column 3) makes, but does not come after "
              + "it; add 'a' to its dependencies"
          ]
        } ?? []))
    #expect(try findings("tasks:\n\(tasks), after: a}\n") == [])
    #expect(
      try findings("tasks:\n\(tasks), after: c}\n  c: {command: x, after: d}\n  d: {command: x, after: a}\n") == [])
  }

  @Test("code that another task makes needs a dependency too")
  func code() throws {
    let advice = "which task 'a' (line 2, column 3) makes, but does not come after it; add 'a' to its dependencies"
    #expect(
      try findings(
        "tasks:\n  a: {command: x, outputs: [g.py, lib.py]}\n  b: {file: g.py}\n  c: {command: x, code: lib.py}\n") == [
          "3:3: warning: task 'b' reads 'g.py', \(advice)", "4:3: warning: task 'c' reads 'lib.py', \(advice)",
        ])
  }

  @Test("in kptn's files outputs are elsewhere than inputs")
  func kptnInputs() throws {
    #expect(
      try findings(
        "graphs: {g: {tasks: {a: , b: }}}\ntasks: {a: {file: x.py, outputs: o}, b: {file: y.py, inputs: o}}",
        graph: "g", .kptn)
        == [])
  }

  @Test("a graph that is changed is looked at again")
  func changed() throws {
    var file = try parse("tasks: {a: {command: x, outputs: o}, b: {command: x, outputs: p}}")
    #expect(file.checks(graph: "main") == [])
    file.tasks[1].outputs = ["o"]
    file.graphs[0].findings = nil
    #expect(file.checks(graph: "main").count == 1)
    file.graphs[0].nodes[0].dependencies = ["b", "c"]
    file.graphs[0].nodes[1].dependencies = ["a"]
    file.tasks.remove(at: 1)
    #expect(
      file.checks(graph: "main").map { $0.text(file: "f") } == [
        "f:1:9: error: task 'a' comes after 'c', which is not in graph 'main'; add it to the 'tasks' of the graph",
        "f:1:9: error: tasks wait for each other: a -> b -> a (each comes after the next); remove one of these "
          + "dependencies",
        "f:1:38: error: graph 'main' has the task 'b', which is not defined; define it in 'tasks'",
      ])
  }

  @Test("many tasks that read a folder which many others write are warned about within a budget")
  func budget() throws {
    let writers = (0..<3000).map { " w\($0): {command: x, outputs: o/\($0)}\n" }.joined()
    let readers = (0..<3000).map { " r\($0): {command: x, inputs: 'o/*'}\n" }.joined()
    let found = try findings("tasks:\n" + writers + readers)
    #expect(found.count == 200)
    #expect(found[0].hasPrefix("3002:2: warning: task 'r0' reads 'o/0', which task 'w0' (line 2, column 2) makes"))
  }
}
