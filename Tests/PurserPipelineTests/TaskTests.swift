import PurserPipeline
import Testing

@Suite("Tasks of a pipeline file")
struct TaskTests {
  @Test("a file with everything in it is read")
  func everything() throws {
    let file = try parse(Sample.purser)
    #expect(file.warnings.isEmpty)
    #expect(file.cacheNamespace == "shared")
    #expect(file.pythonFolders == ["steps", "more steps"])
    #expect(file.tasks.map(\.name) == ["fetch", "clean", "model", "each", "report"])

    var fetch = TaskDefinition(name: "fetch", mark: SourceMark(line: 29, column: 3))
    fetch.command = .words(["curl", "-o", "raw.csv", "https://example.org/"])
    fetch.outputs = ["raw.csv"]
    fetch.environment = ["API_KEY"]
    fetch.timeoutMilliseconds = 5_400_000
    fetch.retries = 2
    fetch.tools = ["python3"]
    #expect(file.tasks[0] == fetch)

    var clean = TaskDefinition(name: "clean", mark: SourceMark(line: 35, column: 3))
    clean.file = "src/clean.py"
    clean.inputs = ["raw.csv", "data/**/*.csv"]
    clean.outputs = ["build/clean.csv"]
    clean.excludes = ["*.tmp"]
    clean.tags = ["slow", "nightly"]
    #expect(file.tasks[1] == clean)

    var model = TaskDefinition(name: "model", mark: SourceMark(line: 41, column: 3))
    model.file = "src/model.py"
    model.function = "fit"
    model.arguments = [
      Argument(name: "rate", value: ConfigValue(text: "1")),
      Argument(name: "names", value: ConfigValue(text: "[\"a\",\"b\"]")),
    ]
    model.cachesResult = true
    model.iterableItem = ["region", "year"]
    model.code = ["src/lib"]
    #expect(file.tasks[2] == model)

    var each = TaskDefinition(name: "each", mark: SourceMark(line: 48, column: 3))
    each.file = "src/each.R"
    each.mapOver = ["region", "year"]
    each.prefixArguments = "nice -n 5"
    each.commandLineArguments = "--region ${region}"
    each.logs = "logs/${region}-${year}.log"
    each.outputs = ["out/${region}/${some.thing}.csv"]
    each.bundleSize = 10
    each.groupSize = 4
    each.keepsOutputs = true
    each.timeoutMilliseconds = 5_400_000
    each.retries = 2
    each.priority = 3
    each.tools = ["python3"]
    #expect(file.tasks[3] == each)

    var report = TaskDefinition(name: "report", mark: SourceMark(line: 59, column: 3))
    report.command = .shell("cat out/*/*.csv | sort\n")
    report.timeoutMilliseconds = 90_000
    #expect(file.tasks[4] == report)
  }

  @Test("a file of kptn's is read as it is")
  func kptn() throws {
    let file = try parse(Sample.kptn, .kptn)
    #expect(file.dialect == .kptn)
    #expect(file.warnings.isEmpty)
    #expect(file.pythonFolders == ["steps"])
    #expect(file.rFolders == ["r", "more"])
    let tasks = Dictionary(uniqueKeysWithValues: file.tasks.map { ($0.name, $0) })
    #expect(tasks["P"]?.file == "r/P/run.R")
    #expect(tasks["P"]?.outputs == ["P_${year}"])
    #expect(tasks["R"]?.cachesResult == true)
    #expect(tasks["R"]?.iterableItem == ["R_VALUE"])
    #expect(tasks["S"]?.mapOver == ["R_VALUE"])
    #expect(tasks["pair_each"]?.function == "each")
    #expect(tasks["pair_each"]?.mapOver == ["first", "second"])
    #expect(tasks["pair_each"]?.bundleSize == 3)
    #expect(tasks["pair_each"]?.groupSize == 10)
    #expect(tasks["pair_bundles"]?.logs == "${first}_${second}.log")
    for graph in file.graphs { #expect(file.checks(graph: graph.name) == []) }
  }

  @Test(
    "a timeout is read as it is meant",
    arguments: [
      ("90s", 90_000), ("5m", 300_000), ("1h30m", 5_400_000), ("250ms", 250), ("1.5h", 5_400_000), ("2d", 172_800_000),
      ("90", 90_000), ("0.5", 500), ("1:30", 90_000), ("1h1m1s1ms", 3_661_001), ("'90s'", 90_000),
      ("1000d", 86_400_000_000),
      ("~", nil),
    ] as [(String, Int64?)])
  func timeout(text: String, milliseconds: Int64?) throws {
    #expect(try task("command: x, timeout: \(text)").timeoutMilliseconds == milliseconds)
  }

  @Test(
    "what is no timeout is refused",
    arguments: [
      ("0", "'0'"), ("-1", "'-1'"), ("5x", "'5x'"), ("m", "'m'"), ("5m3", "'5m3'"), ("'90'", "'90'"),
      ("1001d", "'1001d'"),
      ("0s", "'0s'"), ("[5m]", "a list"), ("yes", "'yes'"), ("5 m", "'5 m'"), (".inf", "'.inf'"), ("'٣s'", "'٣s'"),
      ("''", "''"), ("1..5s", "'1..5s'"),
    ])
  func badTimeout(text: String, shown: String) {
    #expect(
      problems("tasks: {t: {command: x, timeout: \(text)}}") == [
        "1:34: error: 'timeout' of task 't' must be a time such as 90s, 5m, 1h30m or a number of seconds, more than "
          + "none and at most 1000 days, not \(shown)"
      ])
  }

  @Test(
    "fields of the wrong kind are refused with their place",
    arguments: [
      ("command: x, cache_result: 1", "1:39: error: 'cache_result' of task 't' must be true or false, not a number"),
      ("command: x, pure: 'yes'", "1:31: error: 'pure' of task 't' must be true or false, not a text"),
      ("command: x, retries: -1", "1:34: error: 'retries' of task 't' must be from 0 to 1000, not -1"),
      ("command: x, retries: 1.5", "1:34: error: 'retries' of task 't' must be a whole number, not a number"),
      ("command: x, trace: often", "1:32: error: 'trace' of task 't' must be true, false or strict, not a text"),
      ("command: x, trace: [true]", "1:32: error: 'trace' of task 't' must be true or false, not a list"),
      (
        "command: x, map_over: a, inputs: auto",
        "1:38: error: task 't' is mapped, and only a task with one command can be traced; declare what it reads"
      ),
      (
        "command: x, map_over: a, trace: strict",
        "1:38: error: task 't' is mapped, and only a task with one command can be traced; declare what it reads"
      ),
      ("command: x, priority: high", "1:35: error: 'priority' of task 't' must be a whole number, not a text"),
      ("command: x, map_over: a, bundle_size: 0", "1:51: error: 'bundle_size' of task 't' must be at least 1, not 0"),
      ("command: x, map_over: a, group_size: -3", "1:50: error: 'group_size' of task 't' must be at least 1, not -3"),
      (
        "command: x, outputs: {a: b}",
        "1:34: error: 'outputs' of task 't' must be a text or a list of texts, not a mapping"
      ),
      ("command: x, outputs: [[a]]", "1:35: error: an element of 'outputs' of task 't' must be a text, not a list"),
      (
        "command: x, outputs: [a, ~]",
        "1:38: error: an element of 'outputs' of task 't' is empty; remove it, or put it in quotes"
      ),
      ("command: x, outputs: ''", "1:34: error: 'outputs' of task 't' is empty; write a text, or remove the key"),
      (
        "command: {a: b}",
        "1:22: error: 'command' of task 't' must be a text for the shell or a list of words, not a mapping"
      ),
      ("command: []", "1:22: error: 'command' of task 't' has no program; write at least one word"),
      ("command: ['', x]", "1:22: error: 'command' of task 't' has no program; write at least one word"),
      ("command: x, args: [1]", "1:31: error: 'args' of task 't' must be a mapping, not a list"),
      ("command: x, compute: big", "1:34: error: 'compute' of task 't' must be a mapping, not a text"),
      (
        "command: x, env: {A: 1}",
        "1:30: error: 'env' of task 't' lists the names of variables that matter; their values come from where "
          + "Purser is started"
      ),
      (
        "command: x, env: [A=1]",
        "1:30: error: 'env' of task 't' lists names, and 'A=1' is none; write the name without '='"
      ),
      (
        "command: x, map_over: 'a,,b'",
        "1:35: error: 'map_over' of task 't' has an empty name; write names, separated by commas"
      ),
      ("command: x, map_over: 'a, a'", "1:35: error: 'map_over' of task 't' has the name 'a' twice; remove one"),
      ("file: ':f'", "1:19: error: 'file' of task 't' names no file before the ':'; write 'file.py:function'"),
      ("file: [a]", "1:19: error: 'file' of task 't' must be a text, not a list"),
      ("file: x.py, command: y", "1:25: error: task 't' has both 'file' and 'command'; remove one"),
      ("outputs: x", "1:9: error: task 't' has neither 'file' nor 'command'; give it one"),
      ("command: ~", "1:9: error: task 't' has neither 'file' nor 'command'; give it one"),
      (
        "command: x, cli_args: y", "1:25: error: 'cli_args' of task 't' is for a 'file'; write the words into 'command'"
      ),
      (
        "command: x, prefix_args: y",
        "1:25: error: 'prefix_args' of task 't' is for a 'file'; write the words into 'command'"
      ),
      ("command: x, ouputs: y", "1:25: error: unknown key 'ouputs' of task 't'; did you mean 'outputs'?"),
      ("command: x, bundel_size: 3", "1:25: error: unknown key 'bundel_size' of task 't'; did you mean 'bundle_size'?"),
      (
        "command: x, zzz: 3",
        "1:25: error: unknown key 'zzz' of task 't'; remove it, or see 'purser schema' for those that there are"
      ),
      ("comand: x", "1:13: error: unknown key 'comand' of task 't'; did you mean 'command'?"),
      ("command: x, after: t2", "1:32: error: task 't' comes after 't2', which is not defined; did you mean 't'?"),
      ("command: x, after: [~]", "1:33: error: 'after' of task 't' has an empty name; name a task, or remove it"),
      (
        "command: x, after: {a: b}",
        "1:32: error: 'after' of task 't' must be a task, a list of tasks, or nothing, not a mapping"
      ),
      (
        "command: x, after: t",
        "1:9: error: tasks wait for each other: t -> t (each comes after the next); remove one of these dependencies"
      ),
    ])
  func wrongKind(fields: String, problem: String) {
    #expect(problems("tasks: {t: {\(fields)}}") == [problem])
  }

  @Test(
    "what can be used but has no effect is warned about",
    arguments: [
      (
        "file: x.py, iterable_item: a",
        "1:25: warning: 'iterable_item' of task 't' has no effect without 'cache_result: true', which keeps the "
          + "list to map over"
      ),
      ("command: x, bundle_size: 2", "1:25: warning: 'bundle_size' of task 't' has no effect without 'map_over'"),
      ("command: x, group_size: 2", "1:25: warning: 'group_size' of task 't' has no effect without 'map_over'"),
      (
        "file: x.sql",
        "1:13: warning: task 't' has the DuckDB script 'x.sql', which Purser does not run; call it by a 'command'; "
          + "a graph with it cannot run"
      ),
      (
        "file: x.sh",
        "1:13: warning: task 't' has the file 'x.sh', which is neither Python (.py) nor R (.R); run it by a "
          + "'command'; a graph with it cannot run"
      ),
      (
        "file: x.py, outputs: ['duckdb://main.t']",
        "1:25: warning: task 't' has the output 'duckdb://main.t', which is no file, and which Purser does not "
          + "keep; declare files; a graph with it cannot run"
      ),
    ])
  func warnings(fields: String, problem: String) {
    #expect(problems("tasks: {t: {\(fields)}}") == [problem])
  }

  @Test("nothing is as if the key were not there")
  func nothing() throws {
    let keys = [
      "code", "inputs", "outputs", "exclude", "env", "tools", "args", "cache_result", "iterable_item", "map_over",
      "bundle_size", "group_size", "logs", "tags", "compute", "timeout", "retries", "priority", "pure", "keep_outputs",
      "trace",
      "after", "file", "cli_args", "prefix_args",
    ]
    let fields = keys.map { "\($0): " }.joined(separator: ", ")
    #expect(try task("\(fields), command: x") == task("command: x"))
  }

  @Test("how a command is traced, and when its inputs are found")
  func tracing() throws {
    #expect(try task("command: x, trace: true").tracing == .on)
    #expect(try task("command: x, trace: strict").tracing == .strict)
    #expect(try task("command: x, trace: false").tracing == nil)
    let found = try task("command: x, inputs: auto")
    #expect(found.findsInputs && found.inputs.isEmpty)
    // A file of that name.
    let named = try task("command: x, inputs: [auto]")
    #expect(!named.findsInputs && named.inputs == ["auto"])
  }

  @Test("the function is what follows the last colon")
  func function() throws {
    #expect(try task("file: 'a.py : f '").file == "a.py")
    #expect(try task("file: 'a.py : f '").function == "f")
    #expect(try task("file: 'a:b.py:f'").file == "a:b.py")
    #expect(try task("file: 'a.py:'").function == nil)
  }

  @Test("at the top, keys are known; 'x-' ones are for anchors; kptn's own are warned about")
  func top() {
    let tasks = "tasks: {t: {command: x}}\n"
    #expect(problems("x-anything: [1]\n" + tasks) == [])
    #expect(
      problems("setings: {}\n" + tasks)
        == ["1:1: error: unknown key 'setings' at the top of the file; did you mean 'settings'?"])
    #expect(
      problems("settings: {cache_namespce: a}\n" + tasks)
        == ["1:12: error: unknown key 'cache_namespce' of 'settings'; did you mean 'cache_namespace'?"])
    #expect(problems("settings: []\n" + tasks) == ["1:11: error: 'settings' must be a mapping, not a list"])
    #expect(
      problems("qqqqqqqqqq: 1\n" + tasks) == [
        "1:1: error: unknown key 'qqqqqqqqqq' at the top of the file; remove it (known are settings, config, "
          + "graphs, tasks)"
      ])
    #expect(
      problems("extra: 1\ngraphs: {g: {tasks: {t: }}}\ntasks: {t: {file: x.py, wraper: 1, after: t}}\n", .kptn) == [
        "1:1: warning: unknown key 'extra' at the top of the file is ignored",
        "3:25: warning: unknown key 'wraper' of task 't' is ignored",
        "3:36: warning: unknown key 'after' of task 't' is ignored",
      ])
    #expect(
      problems("x: 1") == [
        "1:1: error: unknown key 'x' at the top of the file; remove it (known are settings, config, graphs, tasks)",
        "1:1: error: the file has no 'tasks'; define them there, by name",
      ])
    #expect(problems("tasks: {}") == ["1:8: error: 'tasks' is empty; define a task"])
    #expect(problems("tasks: [a]") == ["1:8: error: 'tasks' must be a mapping from a name to a task, not a list"])
    #expect(problems("tasks: {t: x}") == ["1:12: error: task 't' must be a mapping, not a text"])
    #expect(problems("tasks: {t: }") == ["1:9: error: task 't' has neither 'file' nor 'command'; give it one"])
  }

  @Test(
    "names that could not be used are refused",
    arguments: [
      ("''", "a task's name is empty; give it a name"), ("' '", "a task's name is empty; give it a name"),
      ("\"a\\nb\"", "a task's name has a control character: 'a\\x0ab'; remove it"),
      ("\"a\\u202e\"", "a task's name has a control character: 'a\\xe2\\x80\\xae'; remove it"),
      ("' a'", "a task's name begins or ends with white space: ' a'; remove it"),
      (
        String(repeating: "n", count: 1001),
        "a task's name is longer than 1000 bytes: '\(String(repeating: "n", count: 200))…'; shorten it"
      ),
    ])
  func names(name: String, problem: String) {
    #expect(problems("tasks:\n  ? \(name)\n  : {command: x}\n") == ["2:5: error: \(problem)"])
    let graph = problem.replacing("a task's", with: "a graph's")
    #expect(
      problems("graphs:\n  ? \(name)\n  : tasks: {t: }\ntasks: {t: {command: x}}\n") == ["2:5: error: \(graph)"])
  }
}
