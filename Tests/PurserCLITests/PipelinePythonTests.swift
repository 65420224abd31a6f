import Glibc
import PurserModel
import Testing

/// `file: x.py[:function]`: a function is called with what the pipeline has for its parameters.
@Suite(.project, .enabled(if: TestProject.hasPython, "python3 is not installed"))
struct PipelinePythonTests {
  let project = TestProject.current

  /// A pipeline of one task, `step`, in `steps.py`.
  private func makeStep(_ code: String, _ fields: String = "") throws {
    try project.write("steps.py", code)
    let indented = fields.split(separator: "\n").map { "    \($0)\n" }.joined()
    try project.write("purser.yaml", "tasks:\n  step:\n    file: steps.py\n    cache_result: true\n" + indented)
  }

  private func data(_ task: ByteString = "step") throws -> String {
    try project.purser("data", "get", task).outputText
  }

  @Test func `The function of the task's name is called with the arguments`() throws {
    try makeStep(
      "def step(count, word='x', *, flags=(), nothing=1, deep=None):\n"
        + "  print('called')\n  return [count, word, flags, nothing, deep]\n",
      "args: {count: 3, flags: [a, true, 1.5], nothing: null, deep: {b: {c: []}}}")
    let run = try project.runPipeline("-j1")
    #expect(run.code == 0, "\(run.errorText)")
    #expect(
      try project.purser("data", "get", "step").json().serialized == #"[3,"x",["a",true,1.5],null,{"b":{"c":[]}}]"#)
    #expect(try project.purser("log", "step").outputText == "called\n")
    #expect(try project.runPipeline().endings == ["step": "fresh"])
    // Another argument, and another file, run it again.
    let file = try project.text("purser.yaml")
    try project.write("purser.yaml", file.replacing("count: 3", with: "count: 4"))
    #expect(try project.runPipeline().endings == ["step": "ran"])
    try project.write("steps.py", project.text("steps.py") + "# more\n")
    #expect(try project.runPipeline().endings == ["step": "ran"])
  }

  @Test func `Another function is named behind a colon`() throws {
    try project.write("src/steps.py", "def other():\n  return 'other'\n")
    try project.write("purser.yaml", "tasks: {step: {file: 'src/steps.py:other', cache_result: true}}")
    #expect(try project.runPipeline().code == 0)
    #expect(try data() == "\"other\"\n")
  }

  @Test func `A function has the data of what it depends on, by name or by reference`() throws {
    try project.write(
      "steps.py",
      """
      def make():
          return {"n": 123456789012345678901234567890, "text": "ü"}
      def by_name(make, plain=None):
          return [make["n"], make["text"], plain]
      def by_reference(given, factor):
          return given["n"] * factor
      def uninterested():
          return 1

      """)
    try project.write(
      "purser.yaml",
      """
      graphs:
        main:
          tasks:
            make:
            plain:
            by_name: [make, plain]
            by_reference: {deps: make, args: {given: {ref: make}, factor: 2}}
            uninterested: make
      tasks:
        make: {file: steps.py, cache_result: true}
        plain: {command: 'true'}
        by_name: {file: steps.py, cache_result: true}
        by_reference: {file: steps.py, cache_result: true}
        uninterested: {file: steps.py, cache_result: true}
      """)
    let run = try project.runPipeline("-j2")
    #expect(run.code == 0, "\(run.errorText)")
    #expect(try data("by_name").filter { $0 != " " } == "[123456789012345678901234567890,\"ü\",null]\n")
    #expect(try data("by_reference") == "246913578024691357802469135780\n")
    #expect(try data("uninterested") == "1\n")
  }

  @Test func `A function has the configuration of the pipeline`() throws {
    try project.write(
      "steps.py",
      """
      from kptn.util.pipeline_config import PipelineConfig
      def step(pipeline_config: PipelineConfig, unit, region="none"):
          c = pipeline_config
          return [str(c.scratch_dir), c.STORAGE_KEY, c.PIPELINE_NAME, c.DATA_YEAR, c.unit, unit, region]

      """)
    try project.write(
      "purser.yaml",
      """
      config: {unit: kg, region: north}
      graphs: {main: {config: {region: south}, tasks: {step: null}}}
      tasks: {step: {file: steps.py, cache_result: true}}
      """)
    let run = try project.runPipeline(environment: ["PURSER_STORAGE_KEY": "k", "DATA_YEAR": "2024"])
    #expect(run.code == 0, "\(run.errorText)")
    let data = try project.purser("data", "get", "step", "--storage-key", "k").json().array?.compactMap(\.string)
    #expect(data == [project.root.printable + "/scratch/k", "k", "main", "2024", "kg", "kg", "south"])
    // The configuration is part of what it was made from.
    try project.write("purser.yaml", project.text("purser.yaml").replacing("kg", with: "g"))
    #expect(
      try project.runPipeline(environment: ["PURSER_STORAGE_KEY": "k", "DATA_YEAR": "2024"]).endings == ["step": "ran"])
  }

  @Test func `A parameter that is annotated as a path is given one`() throws {
    try makeStep(
      "from pathlib import Path\nimport typing\n"
        + "def step(a: Path, b: 'Path', c: Path | None, d: str, e: typing.Optional[Path], f: str | Path = 'x'):\n"
        + "  return [isinstance(v, Path) for v in (a, b, c, d, e)] + [str(a)]\n",
      "args: {a: x/y, b: z, c: w, d: s, e: v}")
    let run = try project.runPipeline()
    #expect(run.code == 0, "\(run.errorText)")
    #expect(try project.purser("data", "get", "step").json().serialized == #"[true,true,true,false,true,"x/y"]"#)
  }

  @Test func `Files beside it and in its package can be imported`() throws {
    try project.write("src/pkg/__init__.py", "")
    try project.write("src/pkg/near.py", "VALUE = 'near'\n")
    try project.write("src/pkg/beside.py", "VALUE = 'beside'\n")
    try project.write("top.py", "VALUE = 'top'\n")
    try project.write(
      "src/pkg/steps.py",
      "from .near import VALUE as near\nimport beside\nimport top\nfrom . import near as module\n"
        + "def step():\n  return [near, beside.VALUE, top.VALUE, module.VALUE]\n")
    try project.write("purser.yaml", "tasks: {step: {file: src/pkg/steps.py, cache_result: true}}")
    let run = try project.runPipeline()
    #expect(run.code == 0, "\(run.errorText)")
    #expect(try project.purser("data", "get", "step").json().serialized == #"["near","beside","top","near"]"#)
  }

  /// What is wrong, the fields of the task, and what the run says.
  @Test(arguments: [
    ("def step(:\n  pass\n", "SyntaxError"), ("def other():\n  pass\n", "has no function 'step'"),
    ("import no_such_module\ndef step():\n  pass\n", "no_such_module"), ("step = 3\n", "step"),
    ("def step():\n  return {1, 2}\n", "returned set, which is not JSON"),
    ("def step():\n  return float('nan')\n", "returned float, which is not JSON"),
    ("def step():\n  return object()\n", "returned object, which is not JSON"),
    ("def step():\n  raise ValueError('no good')\n", "ValueError: no good"),
    ("def step(needed):\n  return 1\n", "needed"), ("def step():\n  raise SystemExit(3)\n", "failed: exit code 3"),
  ])
  func `What goes wrong in a file fails the task and is said`(_ code: String, _ message: String) throws {
    try makeStep(code)
    let run = try project.runPipeline("-j1")
    #expect(run.code == 1)
    #expect(run.endings == ["step": "failed"])
    #expect(run.errorText.contains(message), "\(run.errorText)")
    #expect(try project.purser("data", "get", "step").code == 66)
    #expect(try project.status(of: "step") == "FAILURE")
  }

  @Test func `A file that is not there is a missing input`() throws {
    try project.write("purser.yaml", "tasks: {step: {file: no/such.py}}")
    let run = try project.purser("run")
    #expect([1, 66, 78].contains(run.code))
    #expect(run.errorText.contains("no/such.py"), "\(run.errorText)")
  }

  @Test func `Without cache_result anything may be returned`() throws {
    try project.write("steps.py", "def step():\n  return object()\n")
    try project.write("purser.yaml", "tasks: {step: {file: steps.py}}")
    #expect(try project.runPipeline().code == 0)
  }

  @Test func `What is printed without a result is not taken for data`() throws {
    try makeStep("import sys\ndef step():\n  print('[1]')\n  print('err', file=sys.stderr)\n  return {'a': 'ü'}\n")
    let outcome = try project.purser("run", "-q", "-j1")
    #expect(outcome.code == 0)
    #expect(outcome.outputText == "[1]\n")
    #expect(outcome.errorText == "err\n")
    #expect(try project.purser("data", "get", "step").json().serialized == #"{"a":"ü"}"#)
  }

  // MARK: Items

  @Test func `A function has its item by name, and its failures are its own`() throws {
    try project.write(
      "steps.py",
      """
      import os
      def pairs():
          return [[1, "a"], [2, "b"], [3, "it's; $(c)"]]
      def work(number, letter, factor=1):
          with open(os.environ["COUNTS"] + "/items", "a") as file:
              print(number, letter, file=file)
          if number == 2 and not os.path.exists("../mended"):
              raise RuntimeError("two is no good")
          return {"n": number * factor, "l": letter}

      """)
    try project.write(
      "purser.yaml",
      """
      tasks:
        pairs: {file: steps.py, cache_result: true, iterable_item: "number,letter"}
        work:
          after: pairs
          file: steps.py
          map_over: number,letter
          args: {factor: 10}
          cache_result: true
          bundle_size: 10
      """)
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(project.lines("items") == ["1 a", "2 b", "3 it's; $(c)"])
    let items = try project.items(of: "work")
    #expect(items.map(\.key) == ["1,a", "2,b", "3,it's; $(c)"])
    #expect(items.map(\.isDone) == [true, false, true])
    #expect(items[1].error == "RuntimeError: two is no good")
    try project.clearCounts()
    try project.write("../mended", "")
    #expect(try project.runPipeline().code == 0)
    #expect(project.lines("items") == ["2 b"])
    #expect(
      try project.purser("data", "get", "work").json().serialized
        == #"[{"n":10,"l":"a"},{"n":20,"l":"b"},{"n":30,"l":"it's; $(c)"}]"#)
  }

  @Test func `Ctrl-C in a function leaves what is done`() throws {
    try project.write(
      "steps.py",
      """
      import os, time
      def names():
          return ["a", "b", "c"]
      def work(name):
          with open(os.environ["COUNTS"] + "/items", "a") as file:
              print(name, file=file)
          while name == "b" and not os.path.exists("../go"):
              time.sleep(0.01)

      """)
    try project.write(
      "purser.yaml",
      """
      tasks:
        names: {file: steps.py, cache_result: true, iterable_item: name}
        work: {after: names, file: steps.py, map_over: name, bundle_size: 10}
      """)
    let process = try project.start([TestProject.tool, "run"])
    #expect(hasComeTrue { project.lines("items").contains("b") })
    kill(-process.pid, SIGINT)
    #expect(try process.wait().code == 130)
    project.expectNoProcess()
    #expect(try project.items(of: "work").map(\.isDone) == [true, false, false])
    try project.clearCounts()
    try project.write("../go", "")
    #expect(try project.runPipeline().code == 0)
    #expect(project.lines("items") == ["b", "c"])
  }
}
