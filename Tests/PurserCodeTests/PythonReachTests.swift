import PurserCode
import PurserModel
import Testing

/// A project, a change of it, and what shows the change.
struct ReachCase: Sendable, CustomTestStringConvertible {
  var title: String
  var files: PythonReachProject.Files
  var path: ByteString
  var old: String
  var new: String
  var shown: [String]
  var function: ByteString?
  var step: ByteString

  /// - Parameter shown: what of the reach of `run` in step.py differs after the change.
  init(
    _ title: String, _ files: PythonReachProject.Files, in path: ByteString = "step.py", _ old: String,
    to new: String, shows shown: [String] = [], of function: ByteString? = "run", at step: ByteString = "step.py"
  ) {
    self.title = title
    self.files = files
    self.path = path
    self.old = old
    self.new = new
    self.shown = shown
    self.function = function
    self.step = step
  }

  var testDescription: String { title }

  func check() throws {
    let project = try PythonReachProject("before", files)
    let other = try PythonReachProject("after", project.changing(path, old, to: new))
    let (before, after) = (try project.reach(function, in: step), try other.reach(function, in: step))
    #expect(before.changes(to: after) == shown)
  }
}

@Suite("What a Python function reaches", .temporaryFolder)
struct PythonReachTests {
  private func names(_ files: PythonReachProject.Files, _ function: ByteString? = "run") throws -> [String] {
    try PythonReachProject("project", files).reach(function).names
  }

  static let helper =
    "def f(x):\n    return g(x)\n\ndef g(x):\n    return x * FACTOR\n\nFACTOR = 2\n\ndef h():\n    return 1\n"

  @Test(
    "A function of another module is reached by any way to import it",
    arguments: [
      "from helper import f\ndef run():\n    return f(1)\n", "import helper\ndef run():\n    return helper.f(1)\n",
      "import helper as other\ndef run():\n    return other.f(1)\n",
      "from helper import f as other\ndef run():\n    return other(1)\n",
      "def run():\n    from helper import f\n    return f(1)\n",
      "def run():\n    import helper\n    return helper.f(1)\n",
      "from helper import *\ndef run():\n    return f(1)\n",
      "import helper\ng = helper.f\ndef run():\n    return g(1)\n",
      "if True:\n    from helper import f\nelse:\n    f = None\ndef run():\n    return f(1)\n",
      "try:\n    from helper import f\nexcept ImportError:\n    f = None\ndef run():\n    return f(1)\n",
      "from helper import f\ndef run():\n    return f'{f(1)}'\n",
      "class run:\n    from helper import f\n    x = f(1)\n",
    ])
  func imports(_ text: String) throws {
    let names = try names(["step.py": text, "helper.py": Self.helper]).filter { $0.hasPrefix("helper") }
    #expect(names == ["helper.py:FACTOR", "helper.py:f", "helper.py:g"])
  }

  @Test(
    "A function of a package is reached by any way to import it",
    arguments: [
      "import p.q as c\ndef run():\n    return c.f(1)\n", "import p.q\ndef run():\n    return p.q.f(1)\n",
      "from p.q import f\ndef run():\n    return f(1)\n", "from p import q\ndef run():\n    return q.f(1)\n",
      "from p import f\ndef run():\n    return f(1)\n", "import p\ndef run():\n    return p.f(1)\n",
      "from p.r import q\ndef run():\n    return q.f(1)\n", "from p import r\ndef run():\n    return r.q.f(1)\n",
      "import importlib\nimport p\ndef run():\n    return p.q.f(1)\n",
    ])
  func packages(_ text: String) throws {
    let names = try names([
      "step.py": text, "p/__init__.py": "from .q import f\n", "p/q.py": Self.helper, "p/r.py": "from . import q\n",
    ])
    #expect(names.filter { $0.hasPrefix("p/q") } == ["p/q.py:FACTOR", "p/q.py:f", "p/q.py:g"])
  }

  @Test("Only what is reached is named")
  func reached() throws {
    let files: PythonReachProject.Files = [
      "step.py": """
      import os
      import json
      import numpy as np
      import helper
      LIMIT = 5
      OTHER = 6
      def run(x):
          return np.sum(helper.f(x)) + LIMIT
      def unused():
          return json.dumps(OTHER)
      """, "helper.py": Self.helper, "unrelated.py": "",
    ]
    let reached = try PythonReachProject("project", files).reach("run")
    #expect(
      reached.names == [
        "helper.py:FACTOR", "helper.py:f", "helper.py:g", "step.py:(module)", "step.py:LIMIT", "step.py:helper",
        "step.py:np", "step.py:run",
      ])
    #expect(reached.files == ["helper.py", "step.py"])
    #expect(reached.folders == [""])
    #expect(reached.remarks == [])
  }
}
