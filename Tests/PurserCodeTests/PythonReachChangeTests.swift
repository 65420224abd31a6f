import PurserCode
import PurserModel
import Testing

/// What of a reach shows a change, and what changes do not show.
@Suite("Changes of what a Python function reaches", .temporaryFolder)
struct PythonReachChangeTests {
  private static let helper = PythonReachTests.helper
  private static let simple: PythonReachProject.Files = [
    "step.py":
      "from helper import f\n\ndef run(x):\n    \"\"\"Runs.\"\"\"\n    return f(x)  # once\n\ndef unused():\n    return 7\n",
    "helper.py": helper,
  ]

  @Test(
    "Functions and constants",
    arguments: [
      ReachCase("another function", simple, "return 7", to: "return 8"),
      ReachCase("another function of another module", simple, in: "helper.py", "return 1", to: "return 2"),
      ReachCase("a comment", simple, "# once", to: "# twice"),
      ReachCase("a docstring", simple, "Runs.", to: "Walks."),
      ReachCase("the layout", simple, "return f(x)", to: "return f( x )"),
      ReachCase("the function", simple, "return f(x)", to: "return f(x) + 1", shows: ["step.py:run"]),
      ReachCase("a helper", simple, in: "helper.py", "return g(x)", to: "return g(-x)", shows: ["helper.py:f"]),
      ReachCase("a helper's helper", simple, in: "helper.py", "x * F", to: "x / F", shows: ["helper.py:g"]),
      ReachCase("a constant", simple, in: "helper.py", "R = 2", to: "R = 3", shows: ["helper.py:FACTOR"]),
      ReachCase("a new function", simple, in: "helper.py", "def h", to: "def i():\n    return 1\n\ndef h"),
      ReachCase("a new import", simple, "from helper", to: "import re\nfrom helper", shows: ["step.py:(module)"]),
      ReachCase("a new import that is used elsewhere", simple, "return 7", to: "return sys.path\n\nimport sys"),
      ReachCase(
        "another name of the same import", simple, "import f\n", to: "import f, h\n\ndef more():\n    return h()\n"),
      ReachCase(
        "a second definition", simple, in: "helper.py", "def h", to: "FACTOR = 4\ndef h",
        shows: ["helper.py:(order)", "helper.py:FACTOR"]),
      ReachCase(
        "a local of the same name as a function",
        [
          "step.py":
            "def run(data):\n    other = data\n    return data, other\ndef data():\n    return 1\ndef other():\n    return 1\n"
        ], "def data():\n    return 1", to: "def data():\n    return 2"),
      ReachCase(
        "a parameter of the same name as a constant",
        [
          "step.py": "limit = 1\ndef run(limit):\n    return limit\n"
        ], "limit = 1", to: "limit = 2"),
      ReachCase(
        "a default of the same name as its parameter",
        [
          "step.py": "limit = 1\ndef run(limit=limit):\n    return limit\n"
        ], "limit = 1", to: "limit = 2", shows: ["step.py:limit"]),
      ReachCase(
        "an argument's name", ["step.py": "def size():\n    return 1\ndef run():\n    return dict(size=2)\n"],
        "return 1", to: "return 3"),
      ReachCase(
        "a global that a function sets",
        [
          "step.py": "count = 0\ndef bump():\n    global count\n    count += 1\ndef run():\n    return count\n"
        ], "+= 1", to: "+= 2", shows: ["step.py:count"]),
    ])
  func functions(_ item: ReachCase) throws { try item.check() }

  private static let family: PythonReachProject.Files = [
    "step.py": """
    from base import Base
    class Used(Base):
        limit = 1
        def f(self):
            return helper()
        def other(self):
            return 2
    class Unused:
        x = 3
    def helper():
        return 4
    def twice(f):
        return lambda: f() * 2
    def default():
        return 5
    @twice
    def run(x=default()):
        return Used().f()
    """, "base.py": "class Top:\n    y = 6\nclass Base(Top):\n    z = 7\nclass Beside:\n    z = 8\n",
  ]

  @Test(
    "Classes, decorators and defaults",
    arguments: [
      ReachCase("a class attribute", family, "limit = 1", to: "limit = 9", shows: ["step.py:Used"]),
      ReachCase("a method", family, "return 2", to: "return 9", shows: ["step.py:Used"]),
      ReachCase("another class", family, "x = 3", to: "x = 9"),
      ReachCase("what a method calls", family, "return 4", to: "return 9", shows: ["step.py:helper"]),
      ReachCase("a base class", family, in: "base.py", "z = 7", to: "z = 9", shows: ["base.py:Base"]),
      ReachCase("a base class of it", family, in: "base.py", "y = 6", to: "y = 9", shows: ["base.py:Top"]),
      ReachCase("a class beside it", family, in: "base.py", "z = 8", to: "z = 9"),
      ReachCase("a decorator", family, "* 2", to: "* 9", shows: ["step.py:twice"]),
      ReachCase("a default", family, "return 5", to: "return 9", shows: ["step.py:default"]),
    ])
  func classes(_ item: ReachCase) throws { try item.check() }

  private static let loading: PythonReachProject.Files = [
    "step.py": """
    import os
    import setup
    from values import VALUES, SIZE
    os.environ["A"] = "1"
    unrelated = 2
    def run():
        return VALUES, SIZE
    if __name__ == "__main__":
        print(run())
    """, "setup.py": "import values\nvalues.VALUES.append(3)\nvalues.SIZE = 4\nnames = 5\n",
    "values.py": "VALUES = []\nSIZE = 6\nprint('loaded')\nassert SIZE\n",
  ]

  @Test(
    "What modules do when they are loaded",
    arguments: [
      ReachCase("an assignment to an item", loading, "\"1\"", to: "\"2\"", shows: ["step.py:(module)"]),
      ReachCase("a constant", loading, "unrelated = 2", to: "unrelated = 3"),
      ReachCase("a program's part", loading, "print(run())", to: "print(1)"),
      ReachCase("a call", loading, in: "setup.py", "append(3)", to: "append(4)", shows: ["setup.py:(module)"]),
      ReachCase(
        "an assignment to an attribute", loading, in: "setup.py", "SIZE = 4", to: "SIZE = 5",
        shows: ["setup.py:(module)"]),
      ReachCase("a name of a module that is loaded", loading, in: "setup.py", "names = 5", to: "names = 6"),
      ReachCase(
        "an assertion", loading, in: "values.py", "assert SIZE", to: "assert not SIZE",
        shows: ["values.py:(module)"]),
      ReachCase(
        "the order of imports", loading, "import setup\nfrom values import VALUES, SIZE\n",
        to: "from values import VALUES, SIZE\nimport setup\n", shows: ["step.py:(order)"]),
      ReachCase(
        "the order of what has an effect", loading, in: "setup.py", "values.VALUES.append(3)\nvalues.SIZE = 4\n",
        to: "values.SIZE = 4\nvalues.VALUES.append(3)\n", shows: ["setup.py:(module)"]),
      ReachCase(
        "the order of definitions", simple, in: "helper.py", helper,
        to: "FACTOR = 2\n\ndef g(x):\n    return x * FACTOR\n\ndef f(x):\n    return g(x)\n"),
      ReachCase(
        "the order of values", ["step.py": "L = [1]\nN = len(L)\nL = L + [2]\ndef run():\n    return N\n"],
        "N = len(L)\nL = L + [2]\n", to: "L = L + [2]\nN = len(L)\n", shows: ["step.py:(order)"]),
      ReachCase(
        "a loop", ["step.py": "L = []\nfor i in range(3):\n    L.append(i)\ndef run():\n    return L\n"],
        "range(3)", to: "range(4)", shows: ["step.py:(module)", "step.py:i"]),
      ReachCase(
        "the import of a package",
        [
          "step.py": "import p.q\ndef run():\n    return 1\n",
          "p/__init__.py": "print(1)\n", "p/q.py": "",
        ], in: "p/__init__.py", "1", to: "2", shows: ["p/__init__.py:(module)"]),
      ReachCase(
        "the package that a file is in", ["p/step.py": "def run():\n    return 1\n", "p/__init__.py": "print(1)\n"],
        in: "p/__init__.py", "1", to: "2", shows: ["p/__init__.py:(module)"], at: "p/step.py"),
      ReachCase(
        "an import for its effect", ["step.py": "import accessor\ndef run():\n    return 1\n"],
        "import accessor", to: "import other", shows: ["step.py:(module)"]),
      ReachCase(
        "what is called for its effect", ["step.py": "import np\n_ = np.seed(1)\ndef run():\n    return np.random()\n"],
        "seed(1)", to: "seed(2)", shows: ["step.py:(module)"]),
    ])
  func effects(_ item: ReachCase) throws { try item.check() }

  @Test(
    "Imports",
    arguments: [
      ReachCase(
        "another library by the same name",
        [
          "step.py": "import numpy as np\ndef run():\n    return np.sum(1)\n"
        ], "numpy as", to: "cupy as", shows: ["step.py:np"]),
      ReachCase(
        "a condition",
        [
          "step.py": "try:\n    import fast as lib\nexcept ImportError:\n    lib = 1\ndef run():\n    return lib\n"
        ], "lib = 1", to: "lib = 2", shows: ["step.py:lib"]),
      ReachCase(
        "a condition on two modules of the project",
        [
          "step.py":
            "import sys\nif sys.version_info > (3, 1):\n    from a import f\nelse:\n    from b import f\ndef run():\n    return f()\n",
          "a.py": "def f():\n    return 1\n", "b.py": "def f():\n    return 2\n",
        ], in: "b.py", "return 2", to: "return 3", shows: ["b.py:f"]),
      ReachCase(
        "a name that comes back from a package",
        [
          "step.py": "import p\ndef run():\n    return p.f()\n",
          "p/__init__.py": "from .impl import f\nfrom .impl import g\n",
          "p/impl.py": "def f():\n    return 1\ndef g():\n    return 2\n",
        ], in: "p/impl.py", "return 1", to: "return 3", shows: ["p/impl.py:f"]),
      ReachCase(
        "another name of that package",
        [
          "step.py": "import p\ndef run():\n    return p.f()\n",
          "p/__init__.py": "from .impl import f\nfrom .impl import g\n",
          "p/impl.py": "def f():\n    return 1\ndef g():\n    return 2\n",
        ], in: "p/impl.py", "return 2", to: "return 3"),
      ReachCase(
        "all names of a module",
        [
          "step.py": "from a import *\nfrom b import *\ndef run():\n    return f()\n",
          "a.py": "def f():\n    return 1\n",
          "b.py": "def g():\n    return 2\n",
        ], in: "a.py", "return 1", to: "return 3", shows: ["a.py:f"]),
      ReachCase(
        "all names of a module that shadow its own",
        [
          "step.py": "def f():\n    return 1\nfrom a import *\ndef run():\n    return f()\n",
          "a.py": "def f():\n    return 2\n",
        ], in: "a.py", "return 2", to: "return 3", shows: ["a.py:f"]),
      ReachCase(
        "all names of a module, by way of another",
        [
          "step.py": "import a\ndef run():\n    return a.f()\n", "a.py": "from b import *\nfrom c import *\n",
          "b.py": "def f():\n    return 1\n", "c.py": "def g():\n    return 2\n",
        ], in: "c.py", "return 2", to: "return 3"),
      ReachCase(
        "a module that is passed on",
        [
          "step.py": "import a\nfrom b import use\ndef run():\n    return use(a)\n", "a.py": "def f():\n    return 1\n",
          "b.py": "def use(m):\n    return m.f()\n",
        ], in: "a.py", "return 1", to: "return 3", shows: ["a.py:f"]),
      ReachCase(
        "a package that is passed on",
        [
          "step.py": "import p\nimport p.a\nfrom b import use\ndef run():\n    return use(p)\n", "p/__init__.py": "",
          "p/a.py": "def f():\n    return 1\n", "b.py": "def use(p):\n    return p.a.f()\n",
        ], in: "p/a.py", "return 1", to: "return 3", shows: ["p/a.py:f"]),
      ReachCase(
        "an attribute that a module makes up",
        [
          "step.py": "import a\ndef run():\n    return a.thing\n",
          "a.py": "def __getattr__(name):\n    return make(name)\ndef make(name):\n    return 1\n",
        ], in: "a.py", "return 1", to: "return 3", shows: ["a.py:make"]),
      ReachCase(
        "a module by its name in a call",
        [
          "step.py": "from importlib import import_module\ndef run():\n    return import_module('a').f()\n",
          "a.py": "def f():\n    return 1\n",
        ], in: "a.py", "return 1", to: "return 3", shows: ["a.py:f"]),
      ReachCase(
        "an alias", ["step.py": "def f():\n    return 1\ng = f\ndef run():\n    return g()\n"], "return 1",
        to: "return 2", shows: ["step.py:f"]),
      ReachCase(
        "a function that is bound again",
        [
          "step.py":
            "import functools\ndef f(a):\n    return a\ng = functools.partial(f, 1)\ndef run():\n    return g()\n"
        ], "f, 1", to: "f, 2", shows: ["step.py:g"]),
      ReachCase(
        "a name in a query",
        [
          "step.py": "limit = 1\nother = 2\ndef run(frame):\n    return frame.query('x > @limit')\n"
        ], "limit = 1", to: "limit = 3", shows: ["step.py:limit"]),
      ReachCase(
        "a name in a query that is a constant",
        [
          "step.py": "limit = 1\nTEXT = 'x > @limit'\ndef run(frame):\n    return frame.query(TEXT)\n"
        ], "limit = 1", to: "limit = 3", shows: ["step.py:limit"]),
      ReachCase(
        "a word of a message",
        [
          "step.py": "def clean():\n    return 1\ndef run():\n    print('clean data')\n"
        ], "return 1", to: "return 3"),
      ReachCase(
        "modules that use each other",
        [
          "step.py": "import a\ndef run():\n    return a.even(3)\n",
          "a.py": "import b\ndef even(n):\n    return n == 0 or b.odd(n - 1)\n",
          "b.py": "import a\ndef odd(n):\n    return n > 0 and a.even(n - 1)\n",
        ], in: "b.py", "n > 0", to: "n > 1", shows: ["b.py:odd"]),
    ])
  func imports(_ item: ReachCase) throws { try item.check() }

  @Test(
    "What runs when modules are loaded, and may change what is reached",
    arguments: [
      ReachCase(
        "a function that a call sets up",
        [
          "step.py": "import state\nx = state.setup(1)\ndef run():\n    return state.LIST\n",
          "state.py": "LIST = []\ndef setup(n):\n    LIST.append(n)\n",
        ], "setup(1)", to: "setup(2)", shows: ["step.py:x"]),
      ReachCase(
        "a call that leads elsewhere",
        [
          "step.py": "import state\nx = state.setup(1)\ndef run():\n    return state.LIST\n",
          "state.py": "LIST = []\nOTHER = []\ndef setup(n):\n    OTHER.append(n)\n",
        ], "setup(1)", to: "setup(2)"),
      ReachCase(
        "a call that sets an attribute of a module",
        [
          "step.py": "import state\nimport limits\nx = state.setup(1)\ndef run():\n    return limits.LIMIT\n",
          "state.py": "import limits\ndef setup(n):\n    limits.LIMIT = n\n", "limits.py": "LIMIT = 0\n",
        ], "setup(1)", to: "setup(2)", shows: ["step.py:x"]),
      ReachCase(
        "a function that is registered",
        [
          "step.py":
            "ALL = {}\ndef register(f):\n    ALL[f.__name__] = f\n@register\ndef one():\n    return 1\ndef run():\n    return ALL\n"
        ], "return 1", to: "return 2", shows: ["step.py:one"]),
      ReachCase(
        "a class that is derived from one that is used",
        [
          "step.py":
            "class Base:\n    pass\nclass One(Base):\n    x = 1\ndef run():\n    return Base.__subclasses__()\n"
        ], "x = 1", to: "x = 2", shows: ["step.py:One"]),
      ReachCase(
        "a library's register",
        [
          "step.py":
            "import pandas as pd\n@pd.api.extensions.register_dataframe_accessor('a')\nclass A:\n    x = 1\ndef run():\n    return pd.DataFrame().a\n"
        ], "x = 1", to: "x = 2", shows: ["step.py:A"]),
      ReachCase(
        "a library's decorator that only wraps",
        [
          "step.py": "from functools import lru_cache\n@lru_cache\ndef one():\n    return 1\ndef run():\n    return 2\n"
        ], "return 1", to: "return 3"),
    ])
  func influence(_ item: ReachCase) throws { try item.check() }

  private static let program: PythonReachProject.Files = [
    "step.py": """
    import sys
    LIMIT = 1
    OTHER = 2
    def main():
        return LIMIT
    def unused():
        return OTHER
    rows = [3]
    if __name__ == "__main__":
        sys.exit(main())
    """
  ]

  @Test(
    "Programs",
    arguments: [
      ReachCase(
        "what the program's part calls", program, "LIMIT = 1", to: "LIMIT = 4", shows: ["step.py:LIMIT"], of: nil),
      ReachCase(
        "the program's part", program, "exit(main())", to: "exit(0)",
        shows: ["step.py:(module)", "step.py:LIMIT", "step.py:main"], of: nil),
      ReachCase("what nothing uses", program, "OTHER = 2", to: "OTHER = 4", of: nil),
      ReachCase("values that nothing uses", program, "[3]", to: "[4]", of: nil),
      ReachCase(
        "a statement at the end", ["step.py": "x = 1\ny = 2\nprint(x)\n"], "x = 1", to: "x = 3",
        shows: ["step.py:x"], of: nil),
      ReachCase(
        "a statement that nothing uses", ["step.py": "x = 1\ny = 2\nprint(x)\n"], "y = 2", to: "y = 3", of: nil),
    ])
  func programs(_ item: ReachCase) throws { try item.check() }
}
