import PurserCode
import PurserModel
import Testing

@Suite("What Python files use")
struct PythonScannerTests {
  private func scan(_ text: String) -> References {
    References(of: Array(text.utf8), in: .python)
  }

  /// Uses as text: `a.b`, `..a: b, c`, `own/lib`, `cwd/lib`.
  private func uses(_ text: String) -> [String] {
    scan(text).uses.map { use in
      switch use {
      case .module(let path, let level, let names):
        String(repeating: ".", count: level) + path.map(\.escaped).joined(separator: ".")
          + (names.isEmpty ? "" : ": " + names.map(\.escaped).joined(separator: ", "))
      case .searchFolder(let path, from: .ownFolder): "own/" + path.escaped
      case .searchFolder(let path, from: .workingDirectory): "cwd/" + path.escaped
      default: "\(use)"
      }
    }
  }

  private func remarks(_ text: String) -> [String] {
    scan(text).remarks.map { "\($0.line): \($0.message)" }
  }

  @Test(
    "Import statements",
    arguments: [
      ("import a", ["a"]), ("import a.b.c", ["a.b.c"]), ("import a, b.c as d, e", ["a", "b.c", "e"]),
      ("from a import b", ["a: b"]), ("from a.b import c as d, e", ["a.b: c, e"]),
      ("from a import (b, c as d,)", ["a: b, c"]),
      ("from a import (\n  b,  # c\n  d\n)", ["a: b, d"]), ("from . import a", [".: a"]),
      ("from .a import b", [".a: b"]),
      ("from ..a.b import *", ["..a.b: *"]), ("from ... import a", ["...: a"]), ("from ....a import b", ["....a: b"]),
      ("from . .a import b", ["..a: b"]), ("from .import a", [".: a"]), ("from a import *", ["a: *"]),
      ("import a; import b", ["a", "b"]), ("if x: import a", ["a"]),
      ("if x: import a; import b\nelse: import c", ["a", "b", "c"]),
      ("def f():\n  import a\n  class B:\n    from c import d", ["a", "c: d"]),
      ("try:\n  import a\nexcept ImportError:\n  import b as a\nfinally: import c", ["a", "b", "c"]),
      ("if TYPE_CHECKING:\n  from a import b", ["a: b"]), ("import a \\\n  , b", ["a", "b"]), ("import é", ["é"]),
      ("from __future__ import annotations", ["__future__: annotations"]),
      ("import a\nimport b\nimport a", ["a", "b"]),
      ("from a import b\nfrom a import c\nfrom a import b", ["a: b", "a: c"]),
      ("\u{feff}import a\r\nimport b\r\n", ["a", "b"]),
      ("match a:\n  case b: import c", ["c"]), ("with a: import b", ["b"]),
      ("def f():\n  yield from a\nraise b from c\n'import d'\n# import e\nf'import g'", []),
      ("a = b.importer\nimporting = 1\nfrom_ = 2", []),
    ])
  func statements(_ text: String, _ expected: [String]) {
    #expect(uses(text) == expected)
    #expect(remarks(text) == [])
  }

  @Test(
    "Imports by a call with a literal",
    arguments: [
      ("import importlib\nimportlib.import_module('a.b')", ["importlib", "a.b"]),
      ("import importlib as il\nil.import_module('a')", ["importlib", "a"]),
      ("from importlib import import_module\nimport_module('a')", ["importlib: import_module", "a"]),
      ("from importlib import import_module as im\nim('a')", ["importlib: import_module", "a"]),
      ("def f():\n  load('a')\nfrom importlib import import_module as load", ["a", "importlib: import_module"]),
      (
        "from django.utils.importlib import import_module\nimport_module('a')",
        ["django.utils.importlib: import_module", "a"]
      ),
      ("x.importlib.import_module('a')", ["a"]), ("importlib.import_module(name='a')", ["a"]),
      ("importlib.import_module('a' '.b'\n  \"c\")", ["a.bc"]), ("importlib.import_module(('a'))", ["a"]),
      ("importlib.import_module(r'a')", ["a"]), ("importlib.import_module('\\x61\\u0062\\143')", ["abc"]),
      ("importlib.import_module('a-b')", ["a-b"]), ("importlib.import_module('''a''')", ["a"]),
      ("importlib.import_module('.a', __package__)", [".a"]),
      ("importlib.import_module('.a.b', package=__name__)", [".a.b"]),
      ("importlib.import_module('..a', __package__)", ["..a"]), ("importlib.import_module('.', __package__)", ["."]),
      ("importlib.import_module('.a', 'b.c')", ["b.c.a"]), ("importlib.import_module('..a', 'b.c')", ["b.a"]),
      ("__import__('a.b')", ["a.b"]), ("__import__('a', globals(), locals(), ['b', 'c'], 0)", ["a: b, c"]),
      ("__import__('a', fromlist=('b',), level=2)", ["..a: b"]), ("__import__('a', None, None, None)", ["a"]),
      ("__import__('', globals(), locals(), ['a'], 1)", [".: a"]), ("__import__('a', fromlist=[''])", ["a"]),
      ("import builtins\nbuiltins.__import__('a')", ["builtins", "a"]), ("x = {'k': [__import__('a').b]}", ["a"]),
      ("f'{__import__('a').b}'", ["a"]), ("f'{f'{importlib.import_module('a')}'}'", ["a"]),
      ("def f(m=importlib.import_module('a')): pass", ["a"]), ("self.import_module(a)", []),
      ("cls.import_module(a)", []),
      ("def import_module(a): pass", []), ("class A:\n  def __import__(self): pass", []), ("f(import_module=a)", []),
      ("builtins.__import__ = f", []), ("import_module()", []),
    ])
  func calls(_ text: String, _ expected: [String]) {
    #expect(uses(text) == expected)
    #expect(remarks(text) == [])
  }

  @Test(
    "Imports by a computed name are remarked",
    arguments: [
      "importlib.import_module(a)", "importlib.import_module('a' + b)", "importlib.import_module(f'a')",
      "importlib.import_module(b'a')", "importlib.import_module('a%s' % b)", "importlib.import_module(*a)",
      "importlib.import_module(**a)", "importlib.import_module('.a')", "importlib.import_module('.a', b)",
      "importlib.import_module('...a', 'b.c')", "importlib.import_module('\\N{DASH}')", "importlib.import_module('')",
      "importlib.import_module('a..b')", "importlib.import_module('a/b')", "importlib.import_module('\\0')",
      "importlib.import_module('\\ud800')", "map(importlib.import_module, a)", "load = __import__", "__import__(a)",
      "__import__('a', level=b)", "__import__('a', fromlist=b)", "__import__('a', fromlist=[b])", "__import__('')",
      "f'{__import__(a)}'", "importlib.import_module('a'.b)", "importlib.import_module(package='a')",
      "builtins.__import__(a)",
    ])
  func computed(_ text: String) {
    #expect(uses(text) == [])
    #expect(remarks("\n" + text) == ["2: imports a module by a computed name"])
  }

  @Test(
    "What else cannot be followed is remarked",
    arguments: [
      ("import runpy\nrunpy.run_module(a)", ["2: runs a module or file by runpy"]),
      ("from runpy import run_path as r\nr('a.py')", ["2: runs a module or file by runpy"]),
      ("a.run_path(b)", []),
      ("importlib.util.spec_from_file_location(a, b)", ["1: loads a module from a file by a computed path"]),
      (
        "from importlib.util import spec_from_file_location as s\ns(a, b)",
        ["2: loads a module from a file by a computed path"]
      ),
      (
        "from importlib import util\nutil.spec_from_file_location(a, b)",
        ["2: loads a module from a file by a computed path"]
      ),
      (
        "import importlib.machinery as m\nm.SourceFileLoader(a, b)",
        ["2: loads a module from a file by a computed path"]
      ),
      ("import imp\nimp.load_source(a, b)", ["2: loads a module from a file by a computed path"]),
      ("import pkgutil\npkgutil.iter_modules(a)", ["2: looks for modules in folders by pkgutil"]),
      (
        "from pkgutil import walk_packages\nfor a in walk_packages(b): c",
        ["2: looks for modules in folders by pkgutil"]
      ),
      ("exec(open('a.py').read())", ["1: executes the text of another file"]),
      ("exec(compile(open(a).read(), a, 'exec'), b)", ["1: executes the text of another file"]),
      ("exec(Path('a.py').read_text())", ["1: executes the text of another file"]),
      ("execfile('a.py')", ["1: executes the text of another file"]),
      ("exec(a)", ["1: executes text that is computed"]), ("exec('a = 1')", []),
      ("a = open(b).read()\nexec(a)", ["2: executes text that is computed"]),
      ("exec(a); open(b).read()", ["1: executes text that is computed"]),
      ("with open('o.py') as f:\n  exec(f.read())", ["2: executes text that is computed"]),
      ("__path__.append('plugins')", ["1: changes __path__, by which the package's modules are found"]),
      ("__path__ += [a]; __path__[0] = b", ["1: changes __path__, by which the package's modules are found"]),
      ("a = __path__[0]; b(__path__.index(c))", []),
      ("__path__ = __import__('pkgutil').extend_path(__path__, __name__)", []), ("for p in __path__: pass", []),
      ("import sys; p = sys.path; p.append('lib')", ["1: changes sys.path by a computed value"]),
      ("import sys; p = sys.path[:]; print(sys.path)", []),
      ("import importlib; getattr(importlib, 'import_module')(x)", ["1: imports a module by a computed name"]),
      ("a.exec(open(b).read())", []),
      ("a.iter_modules(b)", []), ("def spec_from_file_location(): pass", []),
      (
        "import_module(a)\nimport_module(a)\nimport_module(a); import_module(b)",
        [
          "1: imports a module by a computed name", "2: imports a module by a computed name",
          "3: imports a module by a computed name",
        ]
      ),
    ])
  func others(_ text: String, _ expected: [String]) {
    #expect(remarks(text) == expected)
  }

  @Test(
    "Folders that are added to sys.path by a literal",
    arguments: [
      ("sys.path.insert(0, 'lib')", ["cwd/lib"]), ("sys.path.append('../lib/')", ["cwd/../lib/"]),
      ("sys.path.append('')", ["cwd/."]),
      ("sys.path.append('/opt/x')", ["cwd//opt/x"]), ("sys.path.append(os.getcwd())", ["cwd/."]),
      ("sys.path.append(os.path.join('a', 'b'))", ["cwd/a/b"]),
      ("sys.path.append(os.path.abspath('../a'))", ["cwd/../a"]),
      ("sys.path.append(os.path.dirname(os.path.abspath('a')))", ["cwd/."]),
      ("sys.path.append(os.path.dirname('a/b'))", ["cwd/a"]),
      ("sys.path.append(os.path.dirname(os.getcwd()))", ["cwd/.."]),
      ("from pathlib import Path\nsys.path.append(str(Path.cwd() / 'a'))", ["pathlib: Path", "cwd/a"]),
      ("sys.path += ['a', \"b\"]", ["cwd/a", "cwd/b"]), ("sys.path.extend(['a', 'b'])", ["cwd/a", "cwd/b"]),
      ("sys.path.extend(('a',))", ["cwd/a"]), ("sys.path = ['a'] + sys.path", ["cwd/a"]),
      ("sys.path[:0] = ['a']", ["cwd/a"]),
      ("sys.path = [*sys.path, 'a']", ["cwd/a"]), ("sys.path = sys.path[:] + ['a']", ["cwd/a"]),
      ("site.addsitedir('a')", ["cwd/a"]),
      ("import sys as s\ns.path.append('a')", ["sys", "cwd/a"]),
      ("from sys import path\npath.append('a')", ["sys: path", "cwd/a"]),
      ("from sys import path as p\np += ['a']", ["sys: path", "cwd/a"]),
      ("from site import addsitedir as a\na('b')", ["site: addsitedir", "cwd/b"]),
      ("if 'a' not in sys.path: sys.path.append('a' 'b')", ["cwd/ab"]),
      ("a = 'lib'\nsys.path.append(a + '/x')", ["cwd/lib/x"]),
      ("print(len(sys.path), sys.path[0])", []), ("a = sys.path + b", []), ("a = [b, *sys.path]", []),
      ("for a in sys.path: print(a)", []), ("sys.path.remove('a')", []),
      ("sys.path_hooks.append(a)", []),
      ("a.sys.path.append('b')", []), ("old = sys.path[:]\nsys.path = old", []),
      ("old = list(sys.path)\nsys.path[:] = old", []),
      ("old = sys.path.copy()\nsys.path = old + ['a']", ["cwd/a"]),
    ])
  func literalFolders(_ text: String, _ expected: [String]) {
    #expect(uses(text) == expected)
    #expect(remarks(text) == [])
  }

  @Test(
    "Folders that are made of __file__",
    arguments: [
      ("os.path.dirname(__file__)", "."), ("os.path.dirname(os.path.abspath(__file__))", "."),
      ("os.path.dirname(os.path.dirname(os.path.realpath(__file__)))", ".."),
      ("os.path.join(os.path.dirname(__file__), 'lib')", "lib"),
      ("os.path.join(os.path.dirname(__file__), '..', 'lib', 'x')", "../lib/x"),
      ("os.path.join(os.path.dirname(__file__), os.pardir)", ".."), ("os.path.join(__file__, '..', '..')", ".."),
      ("os.path.abspath(os.path.join(os.path.dirname(__file__), '../..'))", "../.."),
      ("os.path.normpath(os.path.join(os.path.dirname(__file__), './a/../b/'))", "b"),
      ("os.path.dirname(os.path.join(os.path.dirname(__file__), '..'))", "."),
      ("os.path.dirname(os.path.abspath(os.path.join(os.path.dirname(__file__), '..')))", "../.."),
      ("os.path.dirname(__file__) + '/lib'", "lib"), ("os.path.dirname(__file__) + '/../lib'", "../lib"),
      ("os.path.dirname(__file__) + os.sep + 'lib'", "lib"), ("os.path.split(os.path.abspath(__file__))[0]", "."),
      ("os.path.dirname(os.path.dirname(__file__)) + '/a' + '/b'", "../a/b"), ("(os.path.dirname((__file__)))", "."),
      ("str(Path(__file__).parent)", "."), ("Path(__file__).resolve().parent.parent", ".."),
      ("str(Path(__file__).parents[1])", ".."),
      ("Path(__file__).absolute().parents[0] / 'lib'", "lib"), ("str(Path(__file__).parent / '..' / 'lib')", "../lib"),
      ("str((Path(__file__).parent / '..').resolve().parent)", "../.."),
      ("str((Path(__file__).parent / '..').parent)", "."),
      ("Path(__file__).parent.joinpath('a', 'b').as_posix()", "a/b"), ("Path(os.path.dirname(__file__), 'a')", "a"),
      ("Path(__file__).resolve(strict=True).parent", "."), ("os.fspath(Path(__file__).parent)", "."),
      ("osp.join(osp.dirname(__file__), 'a')", "a"), ("d(r(__file__))", "."), ("join(d(__file__), 'a')", "a"),
      ("pathlib.Path(__file__).parent", "."), ("HERE", "."), ("ROOT", ".."), ("str(ROOT / 'src')", "../src"),
      ("LIB", "../lib"),
      ("os.path.join(HERE, 'a')", "a"), ("TYPED", "t"), ("os.path.join(os.path.dirname(__file__), '/x')", nil),
      ("os.path.expanduser(os.path.dirname(__file__))", "."),
    ] as [(String, String?)])
  func ownFolders(_ expression: String, _ expected: String?) {
    let text = """
      import os, pathlib, sys
      import os.path as osp
      from os.path import dirname as d, join, realpath as r
      from pathlib import Path
      HERE = os.path.dirname(os.path.abspath(__file__))
      ROOT = Path(HERE).parent
      LIB = os.path.join(str(ROOT), "lib")
      TYPED: Path = HERE + "/t"
      os.environ["A"] = HERE
      def f(a=HERE):
        sys.path.insert(0, \(expression))
      """
    let folders = uses(text).filter { $0.hasPrefix("own/") || $0.hasPrefix("cwd/") }
    #expect(folders == [expected.map { "own/" + $0 } ?? "cwd//x"])
    #expect(remarks(text) == [])
  }

  @Test(
    "Changes of sys.path by what cannot be told are remarked",
    arguments: [
      "sys.path.append(a)", "sys.path.insert(0, f'a')", "sys.path.insert(0, os.environ['A'])", "sys.path.extend(a)",
      "sys.path += a", "sys.path = a", "sys.path.append(b'a')", "sys.path.append('a' if b else 'c')",
      "sys.path.append(*a)",
      "sys.path += [a]", "sys.path.append(__file__)", "sys.path.append(os.path.join(__file__, 'a'))",
      "map(sys.path.append, a)",
      "a = os.path.dirname(__file__)\na = 'b'; sys.path.append(a)", "for a in b: pass\na = 'c'; sys.path.append(a)",
      "def f(a): pass\na = 'b'; sys.path.append(a)", "a = 'b'; a += 'c'; sys.path.append(a)",
      "a = b = 'c'; sys.path.append(a)",
      "a, b = 'c'; sys.path.append(a)", "with a as b: pass\nb = 'c'; sys.path.append(b)",
      "a = a + 'b'; sys.path.append(a)",
      "a = b\nb = a; sys.path.append(b)", "f(a := 'b')\na = 'c'; sys.path.append(a)",
      "lambda a: b\na = 'c'; sys.path.append(a)",
      "global a\na = 'b'; sys.path.append(a)", "import os\nos = 'x'; sys.path.append(os.getcwd())",
      "sys.path.append('a\\0')",
      "site.addsitedir(a)", "sys.path.append(os.path.dirname(__file__) + 'a')", "sys.path.append('~' + a)",
      "sys.path.append(os.path.expanduser('~/a'))", "sys.path.append(str(Path.cwd() / 'a'))", "f(sys.path)",
      "f(path=sys.path)", "a = sys.path",
      "sys.path.append(Path(__file__).parents[a])",
      "sys.path.append('%s/a' % b)",
      "with f() as (a, b): pass\na = 'c'; sys.path.append(a)",
    ])
  func computedFolders(_ text: String) {
    let line = text.contains("\n") ? 2 : 1
    #expect(uses(text).filter { $0.contains("/") } == [])
    #expect(remarks(text) == ["\(line): changes sys.path by a computed value"])
  }

  @Test("A list of folders is followed as far as it can be")
  func mixedFolders() {
    #expect(uses("sys.path += ['a', b, 'c']") == ["cwd/a", "cwd/c"])
    #expect(remarks("sys.path += ['a', b, c]") == ["1: changes sys.path by a computed value"])
  }

  @Test(
    "The names of __all__",
    arguments: [
      ("__all__ = ['a', 'b']", ["a", "b"]), ("__all__ = (\n  'a',\n  \"b\" # c\n)", ["a", "b"]),
      ("__all__ += ['a']", ["a"]),
      ("__all__: list[str] = ['a']", ["a"]), ("__all__.extend(['a'] + ['b'])", ["a", "b"]),
      ("__all__.append('a')", ["a"]),
      ("__all__ = ['a'] + b.__all__", ["*", "a"]), ("__all__ = 'a b\\n c'.split()", ["a", "b", "c"]),
      ("__all__ = ['a' 'b']", ["ab"]),
      ("if a: __all__ = ['a']\nelse: __all__ = ['b', 'a']", ["a", "b"]), ("__all__ = ['a']; b = 'c'", ["a"]),
      ("b = __all__ = ['a']", ["a"]), ("__all__.remove('a')", []), ("b.__all__ = ['a']", []), ("'a' in __all__", []),
      ("__all__ = [f'a', b'b', 'c']", ["*", "c"]),
    ])
  func exports(_ text: String, _ expected: [String]) {
    #expect(scan(text).exports.map(\.escaped) == expected)
    #expect(remarks(text) == [])
  }

  @Test("A file with a syntax error is read as far as can be")
  func syntaxErrors() {
    let text = """
      import a
      from b import (c,
      import d
        import e.f as g
      from .h import (i,
         j)
      x = $
      import k, l.
      from m import n  # (
      from o import (p,
      from q import r
      """
    #expect(uses(text) == ["a", "d", "e.f", ".h: i, j", "m: n", "q: r"])
    #expect(remarks(text) == ["7: has a syntax error: '$' stands where no '$' can"])
    #expect(uses("import a\n'''\nimport b\n") == ["a", "b"])
    #expect(remarks("import a\n'''\nimport b\n") == ["2: has a syntax error: a string is not closed"])
    #expect(uses("import a\nx = \0\nimport b") == ["a", "b"])
    #expect(uses("# coding: latin-1\nimport a # é\nimport b") == ["a", "b"])
    #expect(
      References(of: Array("import a\nx = '".utf8) + [0xe9] + Array("'\nimport b".utf8), in: .python).uses.count == 2)
  }

  @Test("A file whose tokens show a syntax error is read whole")
  func structuralErrors() {
    let text = "import_module(a)\nimport a\nprint 'x'\nimport b\nimport_module(c)"
    #expect(uses(text) == ["a", "b"])
    #expect(
      remarks(text) == [
        "1: imports a module by a computed name", "3: has a syntax error: two expressions stand side by side",
        "5: imports a module by a computed name",
      ])
  }
}
