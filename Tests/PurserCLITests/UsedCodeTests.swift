import Glibc
import PurserModel
import Testing

/// A declared code file is enough: what it uses makes the task run again too.
@Suite(.project)
struct UsedCodeTests {
  let project = TestProject.current

  private func write(_ files: KeyValuePairs<ByteString, String>) throws {
    for (name, text) in files { try project.write(name, text) }
  }

  private func exec(_ options: ByteString..., code: Int32 = 0) throws {
    let outcome = try project.purser(["exec", "--task", "step"] + options + ["--", "./count.sh"])
    #expect(outcome.code == code, "\(outcome.errorText)")
  }

  private func changes(_ task: ByteString = "step") throws -> [String] {
    let reasons = try project.purser("explain", "--json", task).json()["reasons"]?.array ?? []
    return reasons.flatMap { $0["changes"]?.array ?? [] }.compactMap { $0["name"]?.string }
  }

  private func remarks(_ task: ByteString = "step") throws -> [String] {
    (try project.purser("explain", "--json", task).json()["remarks"]?.array ?? []).map { remark in
      "\(remark["file"]?.string ?? "?"):\(remark["line"]?.integer ?? 0): \(remark["message"]?.string ?? "?")"
    }
  }

  @Test func `A change three imports away reruns a Python step and is named, another module's is not`() throws {
    try project.script("count.sh", "")
    try write([
      "step.py": "import one\n", "one.py": "from pkg import two\n", "pkg/__init__.py": "",
      "pkg/two.py": "from .three import x\n", "pkg/three.py": "x = 1\n", "pkg/other.py": "x = 1\n",
    ])
    for _ in 0..<2 { try exec("--code", "step.py") }
    #expect(project.executions() == 1)
    try project.write("pkg/other.py", "x = 2\n")
    #expect(try changes() == [])
    try exec("--code", "step.py")
    #expect(project.executions() == 1)
    try project.write("pkg/three.py", "x = 2\n")
    #expect(try changes() == ["pkg/three.py"])
    try exec("--code", "step.py")
    #expect(project.executions() == 2)
    try write(["pkg/two.py": "from .three import x\nfrom . import other\n"])
    #expect(try changes() == ["pkg/other.py", "pkg/two.py"])
  }

  @Test func `A program of the project and the files of a declared folder are followed`() throws {
    try project.write("tool.py", "#!/usr/bin/env python3\nimport helper\n", mode: 0o755)
    try write(["helper.py": "", "steps/a.py": "import shared\n", "shared.py": ""])
    let exec: [ByteString] = ["exec", "--task", "step", "--code", "steps", "--", "./tool.py"]
    for _ in 0..<2 { #expect(try project.purser(exec).code == 0) }
    for name in ["helper.py", "shared.py"] as [ByteString] {
      try project.write(name, "pass\n")
      #expect(try changes() == [name.escaped])
      #expect(try project.purser(exec).code == 0)
      #expect(try changes() == [])
    }
  }

  @Test func `R and shell scripts are followed to what they source`() throws {
    try project.script("count.sh", "")
    try write([
      "main.R": "source('R/a.R')\nsource(here::here('R', 'b.R'))\n", "R/a.R": "source('R/b.R')\n",
      "R/b.R": "source('R/a.R')\n",
      ".here": "", "step.sh": ". lib/x.sh\n", "lib/x.sh": ". \"$(dirname \"$0\")/lib/y.sh\"\n", "lib/lib/y.sh": "",
    ])
    try exec("--code", "main.R", "--code", "step.sh")
    for name in ["R/b.R", "lib/lib/y.sh"] as [ByteString] {
      try project.write(name, "# changed\n")
      #expect(try changes() == [name.escaped])
      try exec("--code", "main.R", "--code", "step.sh")
    }
    #expect(project.executions() == 3)
  }

  @Test func `What cannot be followed is listed by explain`() throws {
    try project.script("count.sh", "")
    try write(["step.py": "import importlib\nx = 1\nimportlib.import_module(x)\nfrom .gone import y\n"])
    try exec("--code", "step.py")
    #expect(
      try remarks() == [
        "step.py:0: imports '.gone', which is not there; declare with --code what makes it up",
        "step.py:3: imports a module by a computed name; declare as code what that may be",
      ])
    let text = try project.purser("explain", "step").outputText
    #expect(text.contains("step.py:3: imports a module by a computed name"))
  }

  @Test func `Normalized, comments and layout change nothing and a string does`() throws {
    try project.script("count.sh", "")
    let options: [ByteString] = ["--code-digest", "normalized", "--code", "step.py", "--code", "requirements.txt"]
    func exec() throws {
      #expect(try project.purser(["exec", "--task", "step"] + options + ["--", "./count.sh"]).code == 0)
    }
    try write(["step.py": "import colours\n", "colours.py": "c = '#fff'\n", "requirements.txt": "numpy==1\n"])
    try exec()
    try write([
      "step.py": "# Now with a comment\nimport   colours\n",
      "colours.py": "'''About colours.'''\n\nc = '#fff'  # white\n",
    ])
    try exec()
    #expect(project.executions() == 1)
    try write(["colours.py": "c = '#000'\n"])
    #expect(try changes() == ["colours.py"])
    try exec()
    try write(["requirements.txt": "numpy==1  # a comment is no comment here\n"])
    try exec()
    #expect(project.executions() == 3)
    try write(["colours.py": "c = ('#000'\n"])
    #expect(try Set(changes()) == ["colours.py"])
    #expect(try remarks().count == 1)
    #expect(try remarks().first?.contains("every byte of it counts") == true)
    try exec()
    try write(["colours.py": "c = ('#000' \n"])
    try exec()
    #expect(project.executions() == 5)
  }

  @Test func `Another mode of digest is another fingerprint`() throws {
    try project.script("count.sh", "")
    try write(["step.py": "x = 1\n"])
    try exec("--code", "step.py")
    try exec("--code", "step.py", "--code-digest", "normalized")
    #expect(project.executions() == 2)
    #expect(try project.purser("exec", "--code-digest", "loose", "--", "true").code == 64)
  }

  @Test func `Modules under PYTHONPATH and source roots are found`() throws {
    try project.script("count.sh", "")
    try write(["step.py": "import a, b\n", "lib/a.py": "", "more/b.py": "", "venv/site-packages/a.py": ""])
    let path: [String: ByteString] = ["PYTHONPATH": "lib:venv/site-packages:/usr/lib"]
    func decision() throws -> String? {
      try project.purser(
        "check", "--json", "--task", "step", "--code", "step.py", "--source-root", "more", "--", "./count.sh",
        environment: path
      ).json()["tasks"]?.array?.first?["decision"]?.string
    }
    #expect(
      try project.purser(
        "exec", "--task", "step", "--code", "step.py", "--source-root", "more", "--", "./count.sh", environment: path
      ).code == 0)
    #expect(try decision() == "fresh")
    try write(["venv/site-packages/a.py": "x"])
    #expect(try decision() == "fresh")
    for name in ["lib/a.py", "more/b.py"] as [ByteString] {
      try project.write(name, "x = 1\n")
      #expect(try decision() == "run")
      try project.write(name, "")
      #expect(try decision() == "fresh")
    }
    let outside = try project.purser("exec", "--source-root", "..", "--", "true")
    #expect(outside.code == 65)
    #expect(outside.errorText.contains("source root '..'") || outside.errorText.contains("outside the project"))
  }

  @Test func `A module that changes while the task runs is noticed`() throws {
    try write(["step.py": "import a\n", "a.py": "x = 1\n"])
    try project.script("count.sh", "sleep 0.05; echo 'x = 2' > a.py")
    let outcome = try project.purser("exec", "--task", "step", "--code", "step.py", "--", "./count.sh")
    #expect(outcome.code == 0)
    #expect(outcome.errorText.contains("a.py changed while it ran"))
    #expect(try project.purser("exec", "--task", "step", "--code", "step.py", "--", "./count.sh").code == 0)
    #expect(project.executions() == 2)
  }

  @Test func `Own outputs, and what is excluded, are left out and said`() throws {
    try project.script("count.sh", "echo 'x = 1' > made.py; date +%N > gen.py")
    try write(["step.py": "import made, gen\n", "gen.py": ""])
    let options: [ByteString] = ["--code", "step.py", "--output", "made.py", "--exclude", "gen.py"]
    for _ in 0..<2 {
      #expect(try project.purser(["exec", "--task", "step"] + options + ["--", "./count.sh"]).code == 0)
    }
    #expect(project.executions() == 1)
    #expect(
      try remarks() == [
        "step.py:0: uses 'gen.py', which is left out: an output, or excluded",
        "step.py:0: uses 'made.py', which is left out: an output, or excluded",
      ])
  }

  // MARK: Pipelines

  private func endings() throws -> [String: String] {
    let outcome = try project.runPipeline()
    #expect(outcome.code == 0, "\(outcome.errorText)")
    return outcome.endings
  }

  @Test(.enabled(if: access("/usr/bin/python3", X_OK) == 0, "python3 is not installed"))
  func `A function in a file of the pipeline runs again for what the file imports`() throws {
    try write([
      "steps/clean.py": "from . import helpers\n\ndef clean():\n    open('out', 'w').write(helpers.text())\n",
      "steps/__init__.py": "", "steps/helpers.py": "def text():\n    return 'one'\n",
      "purser.yaml": "tasks:\n  clean: {file: steps/clean.py, outputs: [out]}\n",
    ])
    #expect(try endings() == ["clean": "ran"])
    #expect(try endings() == ["clean": "fresh"])
    try write(["steps/helpers.py": "def text():\n    return 'two'\n"])
    #expect(try changes("clean") == ["steps/helpers.py"])
    #expect(try endings() == ["clean": "ran"])
    #expect(try project.text("out") == "two")
  }

  @Test(.enabled(if: access("/usr/bin/python3", X_OK) == 0, "python3 is not installed"))
  func `By function, what the function reaches counts and the rest does not`() throws {
    let helpers = "LIMIT = 1\n\ndef text():\n    return str(LIMIT)\n\ndef other():\n    return 'other'\n"
    try write([
      "steps/clean.py":
        "from steps.helpers import text\n\ndef clean():\n    open('out', 'w').write(text())\n\ndef dirty():\n    return 1\n",
      "steps/helpers.py": helpers,
      "purser.yaml": "tasks:\n  clean: {file: steps/clean.py, outputs: [out], code_digest: function}\n",
    ])
    #expect(try endings() == ["clean": "ran"])
    try write(["steps/helpers.py": helpers.replacing("'other'", with: "'another'") + "# The end.\n"])
    #expect(try endings() == ["clean": "fresh"])
    try write(["steps/helpers.py": helpers.replacing("LIMIT = 1", with: "LIMIT = 2")])
    #expect(try changes("clean") == ["steps/helpers.py:LIMIT"])
    #expect(try endings() == ["clean": "ran"])
    #expect(try project.text("out") == "2")
    try write([
      "steps/helpers.py": helpers.replacing("str(LIMIT)", with: "repr(LIMIT + 1)").replacing("= 1", with: "= 2")
    ])
    #expect(try changes("clean") == ["steps/helpers.py:text"])
    #expect(try endings() == ["clean": "ran"])
    #expect(try project.text("out") == "3")
    try write(["steps/helpers.py": helpers + "print(open(__file__).read())\n"])
    #expect(try Set(changes("clean")).isSuperset(of: ["steps/clean.py", "steps/helpers.py"]))
    #expect(try remarks("clean").contains { $0.contains("every byte") })
  }

  @Test func `By function, a script counts by what running it reaches`() throws {
    try project.script("count.sh", "")
    try write([
      "step.py": "import lib\n\nprint(lib.used())\n", "lib.py": "def used(): return 1\ndef unused(): return 1\n",
    ])
    for _ in 0..<2 { try exec("--code", "step.py", "--code-digest", "function") }
    try write(["lib.py": "def used(): return 1\ndef unused(): return 2\n"])
    try exec("--code", "step.py", "--code-digest", "function")
    #expect(project.executions() == 1)
    try write(["lib.py": "def used(): return 2\ndef unused(): return 2\n"])
    #expect(try changes() == ["lib.py:used"])
    try exec("--code", "step.py", "--code-digest", "function")
    #expect(project.executions() == 2)
  }

  @Test func `Docstrings that another file reads count there too`() throws {
    try project.script("count.sh", "")
    try write(["step.py": "import mod\nprint(mod.f.__doc__)\n", "mod.py": "def f():\n  'one'\n"])
    try exec("--code", "step.py", "--code-digest", "normalized")
    try write(["mod.py": "def f():\n  'two'\n"])
    try exec("--code", "step.py", "--code-digest", "normalized")
    #expect(project.executions() == 2)
    try write(["step.py": "import mod, inspect\nprint(inspect.getsource(mod.f))\n"])
    try exec("--code", "step.py", "--code-digest", "normalized")
    try write(["mod.py": "def f():\n  'two'  # three\n"])
    try exec("--code", "step.py", "--code-digest", "normalized")
    #expect(project.executions() == 4)
  }

  @Test func `A plan that is kept does not miss what the code uses, nor what comes to be used`() throws {
    try project.makeFolder("lib")
    var tasks = "settings: {source_roots: [lib], code: [lock.txt]}\ntasks:\n"
    for number in 0..<60 { tasks += "  t\(number): {command: 'true', code: [step\(number % 3).py]}\n" }
    try write([
      "purser.yaml": tasks, "step0.py": "import shared\n", "step1.py": "import later\n", "step2.py": "",
      "lock.txt": "1",
      "lib/shared.py": "x = 1\n",
    ])
    #expect(try endings().values.allSatisfy { $0 == "ran" })
    // Twice, so that the files have been left alone for long enough to be trusted, and the plan is kept.
    for _ in 0..<2 {
      usleep(30_000)
      #expect(try endings().values.allSatisfy { $0 == "fresh" })
    }
    func ran() throws -> Set<Int> {
      Set(try endings().filter { $0.value == "ran" }.keys.compactMap { Int($0.dropFirst()).map { $0 % 3 } })
    }
    try write(["lib/shared.py": "x = 2\n"])
    #expect(try ran() == [0])
    usleep(30_000)
    #expect(try ran() == [])
    try write(["lib/later.py": ""])
    #expect(try ran() == [1])
    usleep(30_000)
    #expect(try ran() == [])
    try write(["lock.txt": "2"])
    #expect(try ran() == [0, 1, 2])
  }

  @Test func `Lint lists what cannot be followed, with its place`() throws {
    try write([
      "step.py": "import importlib\n\nimportlib.import_module(f'plugins.{name}')\n", "tool.sh": ". \"$HOME/rc\"\n",
      "purser.yaml": "tasks:\n  a: {command: [python3, step.py], code: [step.py, tool.sh]}\n",
    ])
    let outcome = try project.purser("lint")
    #expect(outcome.code == 0)
    #expect(
      outcome.outputText == """
        step.py:3: warning: imports a module by a computed name; declare as code what that may be
        tool.sh:1: warning: sources a file by a computed path; declare as code what that may be

        """)
    let findings = try project.purser("lint", "--json").json()["findings"]?.array ?? []
    #expect(findings.map { $0["file"]?.string } == ["step.py", "tool.sh"])
    #expect(findings.map { $0["line"]?.integer } == [3, 1])
  }

  @Test func `A setting of the file is no more than a default`() throws {
    try write([
      "a.py": "x = 1  # one\n",
      "purser.yaml": """
      settings: {code_digest: normalized}
      tasks:
        loose: {command: 'true', code: a.py}
        strict: {command: 'true', code: a.py, code_digest: raw}
      """,
    ])
    _ = try endings()
    try write(["a.py": "x = 1  # the same\n"])
    #expect(try endings() == ["loose": "fresh", "strict": "ran"])
    try write(["purser.yaml": "tasks:\n  t: {command: 'true', code_digest: exact}\n"])
    let outcome = try project.purser("run")
    #expect(outcome.code == 78)
    #expect(outcome.errorText.contains("purser.yaml:2:"))
    #expect(outcome.errorText.contains("raw, normalized, function"))
  }
}
