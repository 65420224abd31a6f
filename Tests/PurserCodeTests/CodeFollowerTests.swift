import Glibc
import PurserCode
import PurserHashing
import PurserModel
import Testing

/// Follows code in the test's own folder.
func follow(
  _ files: ByteString..., in workingDirectory: ByteString = "", searching folders: [ByteString] = [],
  skipping skipped: Set<ByteString> = [], summaries: SummaryCache = SummaryCache(path: nil)
) throws -> CodeClosure {
  let follower = CodeFollower(
    root: TemporaryFolder.current.path, hasher: FileHasher(cache: StatCache(path: nil)), summaries: summaries)
  return try follower.closure(
    of: CodeRequest(
      files: files.map { CodeRequest.Start(path: $0, content: nil) }, workingDirectory: workingDirectory,
      sourceFolders: folders),
    skipping: { skipped.contains($0) })
}

extension CodeClosure {
  var paths: [String] { files.map { $0.path.escaped }.sorted() }
  var texts: [String] { remarks.map(\.text) }
}

@Suite("What Python code uses", .temporaryFolder)
struct PythonClosureTests {
  let folder = TemporaryFolder.current

  private func write(_ files: KeyValuePairs<ByteString, String>) throws {
    for (name, text) in files { try folder.write(name, text) }
  }

  @Test("modules of modules, each once, and nothing else")
  func levels() throws {
    try write([
      "step.py": "import a\n", "a.py": "from b import f\n", "b.py": "import os, numpy\nimport c\n",
      "c.py": "import a\n",
      "unrelated.py": "import a\n",
    ])
    let closure = try follow("step.py")
    #expect(closure.paths == ["a.py", "b.py", "c.py"])
    #expect(closure.texts == [])
    #expect(closure.roots.map(\.path) == ["step.py"])
    #expect(closure.files.first { $0.path == "c.py" }?.content.digest == SHA256.digest(of: Array("import a\n".utf8)))
  }

  @Test("packages: every __init__ on the way, and names that are submodules")
  func packages() throws {
    try write([
      "step.py": "import p.q.r\nfrom p import s, value\nfrom p.t import *\n", "p/__init__.py": "value = 1\n",
      "p/q/__init__.py": "", "p/q/r.py": "", "p/q/unused.py": "", "p/s.py": "", "p/t/__init__.py": "__all__ = ['u']\n",
      "p/t/u.py": "", "p/t/v.py": "",
    ])
    #expect(
      try follow("step.py").paths == [
        "p/__init__.py", "p/q/__init__.py", "p/q/r.py", "p/s.py", "p/t/__init__.py", "p/t/u.py",
      ])
  }

  @Test("relative imports, from modules and from a package's own file")
  func relative() throws {
    try write([
      "step.py": "import p.a.b\n", "p/__init__.py": "from . import c\n", "p/c.py": "",
      "p/a/__init__.py": "from .d import x\n",
      "p/a/d.py": "", "p/a/b.py": "from ..e import y\nfrom .. import f\nfrom . import d\n", "p/e.py": "", "p/f.py": "",
    ])
    #expect(
      try follow("step.py").paths == [
        "p/__init__.py", "p/a/__init__.py", "p/a/b.py", "p/a/d.py", "p/c.py", "p/e.py", "p/f.py",
      ])
  }

  @Test("folders without a file of their own are packages too, and give way to modules")
  func namespaces() throws {
    try write([
      "step.py": "import n.m\nimport both\nimport data\n", "n/m.py": "", "both.py": "", "both/other.py": "",
      "data/x.csv": "",
    ])
    #expect(try follow("step.py").paths == ["both.py", "n/m.py"])
  }

  @Test("a module that is also a package: the package counts, and that is said")
  func twice() throws {
    try write(["step.py": "import m\n", "m.py": "", "m/__init__.py": ""])
    let closure = try follow("step.py")
    #expect(closure.paths == ["m/__init__.py"])
    #expect(closure.texts == ["step.py: imports 'm', of which Python takes the package 'm' and not 'm.py'"])
  }

  @Test("extension modules count and are not read")
  func extensionModules() throws {
    try write([
      "step.py": "import fast\n", "fast.cpython-311-x86_64-linux-gnu.so": "import os", "fast.py": "import gone",
    ])
    try folder.write("fast.helper.so", "")
    // For another Python it is passed over: the module beside it counts too.
    #expect(try follow("step.py").paths == ["fast.cpython-311-x86_64-linux-gnu.so", "fast.py"])
  }

  @Test(
    "sys.path by other names, folders that are made anew in each round, and folders that are not there",
    arguments: [
      "from os import sys, path\nsys.path.append(path.join(path.dirname(path.abspath(__file__)), 'lib'))\nimport mod\n",
      "import os\nos.sys.path.insert(0, 'lib')\nimport mod\n",
      "import os, sys\nos.chdir('jobs')\nsys.path.insert(0, 'lib')\nimport mod\n",
    ])
  func otherNames(text: String) throws {
    try write(["jobs/step.py": text, "jobs/lib/mod.py": ""])
    #expect(try follow("jobs/step.py").paths == ["jobs/lib/mod.py"])
    try write(["gone.py": "import sys\nsys.path.append('nowhere')\n"])
    #expect(
      try follow("gone.py").texts == [
        "gone.py: adds 'nowhere' to sys.path, which is not there; declare with --code what is used there"
      ])
  }

  @Test("a chain of folders, each added by a module of the one before")
  func chain() throws {
    try write(["step.py": "import sys\nsys.path.append('d0')\nimport m0\n"])
    for number in 0..<20 {
      try folder.write(
        ByteString("d\(number)/m\(number).py"),
        "import sys\nsys.path.append('d\(number + 1)')\nimport m\(number + 1)\n")
    }
    #expect(try follow("step.py").files.count == 20)
  }

  @Test("a name that may come from elsewhere is no folder that is known")
  func doubtfulNames() throws {
    try write([
      "step.py":
        "import sys\nLIB = 'other'\ntry:\n    from cfg import LIB\nexcept ImportError:\n    pass\nsys.path.insert(0, LIB)\n",
      "cfg.py": "LIB = 'lib'\n", "other/x.py": "",
    ])
    #expect(
      try follow("step.py").texts == [
        "step.py:7: changes sys.path by a computed value; declare as code what that may be"
      ])
  }

  @Test("a star import of a package whose names are computed loads whatever is there")
  func computedExports() throws {
    try write([
      "step.py": "from p import *\n", "p/__init__.py": "import glob\n__all__ = [f[:-3] for f in glob.glob('*.py')]\n",
      "p/a.py": "", "p/b/__init__.py": "",
    ])
    #expect(try follow("step.py").paths == ["p/__init__.py", "p/a.py", "p/b/__init__.py"])
  }

  @Test("a linked module sees folders from the link and from where it leads")
  func linkedFolders() throws {
    try write([
      "step.py": "import mod\n", "shared/real/vendor/dep.py": "",
      "shared/real/mod.py": "import sys\nfrom pathlib import Path\n"
        + "sys.path.insert(0, str(Path(__file__).resolve().parent / 'vendor'))\nimport dep\n",
    ])
    try folder.link("mod.py", to: "shared/real/mod.py")
    #expect(try follow("step.py").paths == ["mod.py", "shared/real/vendor/dep.py"])
  }

  @Test("links back to a folder on the way come to an end")
  func loops() throws {
    try write(["p/__init__.py": "", "p/x.py": "from .q import x\nfrom .r import x\n", "step.py": "import p.x\n"])
    try folder.link("p/q", to: ".")
    try folder.link("p/r", to: ".")
    #expect(try follow("step.py").paths == ["p/__init__.py", "p/x.py"])
  }

  @Test("a package that is spread over the folders of the search is looked for in all of them")
  func spread() throws {
    try write([
      "step.py": "import sys\nsys.path.insert(0, 'q')\nimport n.a\n", "n/a.py": "from . import b\n", "n/b.py": "",
      "q/n/b.py": "",
    ])
    #expect(try follow("step.py").paths == ["n/a.py", "n/b.py", "q/n/b.py"])
  }

  @Test("identifiers and file names may be composed or decomposed")
  func composed() throws {
    try write(["step.py": "import mo\u{308}d\n", "m\u{f6}d.py": ""])
    #expect(try follow("step.py").paths == ["m\u{f6}d.py"])
  }

  @Test("what Python loads at its start")
  func startup() throws {
    try write(["step.py": "", "src/sitecustomize.py": "import own\n", "src/own.py": ""])
    #expect(try follow("step.py", searching: ["src"]).paths == ["src/own.py", "src/sitecustomize.py"])
  }

  @Test("modules that are asked for in other ways")
  func otherWays() throws {
    try write([
      "step.py": "import importlib.util, pkgutil\nimportlib.util.find_spec('a')\npkgutil.resolve_name('b:x')\n",
      "a.py": "", "b.py": "",
    ])
    #expect(try follow("step.py").paths == ["a.py", "b.py"])
  }

  @Test("the file's own folder, the root, the working directory, src beside pyproject.toml, and named folders")
  func searchFolders() throws {
    try write([
      "jobs/step.py": "import beside, atroot, working, insrc, named\n", "jobs/beside.py": "", "atroot.py": "",
      "w/working.py": "", "src/insrc.py": "", "pyproject.toml": "", "lib/named.py": "", "elsewhere/beside.py": "",
    ])
    #expect(
      try follow("jobs/step.py", in: "w", searching: ["lib"]).paths == [
        "atroot.py", "jobs/beside.py", "lib/named.py", "src/insrc.py", "w/working.py",
      ])
  }

  @Test("of two modules of one name, both count: which one Python takes depends on how it is started")
  func ambiguous() throws {
    try write(["jobs/step.py": "import helpers\n", "jobs/helpers.py": "", "helpers.py": ""])
    #expect(try follow("jobs/step.py").paths == ["helpers.py", "jobs/helpers.py"])
  }

  @Test("the packages that a declared file is in")
  func ownPackages() throws {
    try write(["a/__init__.py": "import a.x\n", "a/x.py": "", "a/b/step.py": "from a import x\n", "a/b/c.py": ""])
    #expect(try follow("a/b/step.py").paths == ["a/__init__.py", "a/x.py"])
  }

  @Test("folders that the code adds to the search, also from what is found there")
  func addedFolders() throws {
    try write([
      "jobs/step.py":
        "import sys, os\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))\nimport one\n",
      "lib/one.py": "import sys\nsys.path.append('more')\nimport two\n", "more/two.py": "",
    ])
    #expect(try follow("jobs/step.py").paths == ["lib/one.py", "more/two.py"])
  }

  @Test("imports in functions, under conditions, and by a literal name")
  func hidden() throws {
    try write([
      "step.py": """
      import importlib
      if x:
          import a
      def f():
          try:
              import b
          except ImportError: import c
          return importlib.import_module("d.e")
      """, "a.py": "", "b.py": "", "c.py": "", "d/e.py": "",
    ])
    #expect(try follow("step.py").paths == ["a.py", "b.py", "c.py", "d/e.py"])
  }

  @Test("what cannot be followed is said: computed, missing and outside")
  func remarks() throws {
    try write([
      "p/__init__.py": "", "step.py": "import importlib\nimport p.gone\n\nimportlib.import_module(name)\n",
      "p/deep.py": "from ... import x\nfrom .lost import y\n",
    ])
    #expect(
      try follow("step.py").texts == [
        "step.py: imports 'p.gone', which is not there; declare with --code what makes it up",
        "step.py:4: imports a module by a computed name; declare as code what that may be",
      ])
    #expect(
      try follow("p/deep.py").texts == [
        "p/deep.py: imports '...', which is outside of the project; declare it with --code",
        "p/deep.py: imports '.lost', which is not there; declare with --code what makes it up",
      ])
  }

  @Test("links are followed inside the project and named where they lead out")
  func links() throws {
    try write(["step.py": "import inside, outside\n", "real.py": "import other\n", "other.py": ""])
    try folder.link("inside.py", to: "real.py")
    try folder.link("outside.py", to: "/etc/hostname")
    let closure = try follow("step.py")
    #expect(closure.paths == ["inside.py", "other.py"])
    #expect(closure.files.first { $0.path == "inside.py" }?.isLink == true)
    #expect(
      closure.texts == [
        "step.py: uses 'outside.py', a link that leads out of the project; declare with --code the file that it leads to, by its own path"
      ])
  }

  @Test("what is left out is said")
  func skipped() throws {
    try write(["step.py": "import made\n", "made.py": "import other\n", "other.py": ""])
    let closure = try follow("step.py", skipping: ["made.py"])
    #expect(closure.paths == [])
    #expect(closure.texts == ["step.py: uses 'made.py', which is left out: an output, or excluded"])
  }

  @Test("cycles, names that are not UTF-8, FIFOs and folders named like modules do no harm")
  func strange() throws {
    try write(["step.py": "import a, fifo, folder\n", "a.py": "import b\n", "b.py": "import a\nimport step\n"])
    try folder.write(ByteString(bytes: Array("x".utf8) + [0xff] + Array(".py".utf8)), "")
    try folder.makeFolder("folder.py")
    #expect(folder("fifo.py").withCString { mkfifo($0, 0o644) } == 0)
    #expect(try follow("step.py").paths == ["a.py", "b.py"])
  }

  @Test("a file that cannot be parsed is followed as far as it can be, and that is said")
  func syntaxError() throws {
    try write(["step.py": "import a\ndef f(:\n    pass\n", "a.py": ""])
    let closure = try follow("step.py")
    #expect(closure.paths == ["a.py"])
    #expect(closure.remarks.count == 1)
    #expect(closure.remarks.first?.message.hasPrefix("has a syntax error") == true)
  }

  @Test("an unchanged file is not read again: what was found is kept by content")
  func kept() throws {
    try write(["step.py": "import a\n", "a.py": "import b\n", "b.py": ""])
    try folder.makeFolder("tmp")
    let path = folder("code-cache")
    let first = SummaryCache(path: path)
    #expect(try follow("step.py", summaries: first).paths == ["a.py", "b.py"])
    first.save()
    // The same contents under other names need no scan: a scan of these bytes could not say what is remembered.
    let second = SummaryCache(path: path)
    let size = try folder.bytes("code-cache").count
    #expect(try follow("step.py", summaries: second).paths == ["a.py", "b.py"])
    second.save()
    #expect(try folder.bytes("code-cache").count == size)
    try folder.write("a.py", "import c\n")
    try folder.write("c.py", "")
    #expect(try follow("step.py", summaries: SummaryCache(path: path)).paths == ["a.py", "c.py"])
  }

  @Test("a damaged file of what was found costs time and nothing else", arguments: [0, 9, 20, 60, 90])
  func damaged(offset: Int) throws {
    try write(["step.py": "import a\n", "a.py": "import b\n", "b.py": ""])
    try folder.makeFolder("tmp")
    let path = folder("code-cache")
    let first = SummaryCache(path: path)
    _ = try follow("step.py", summaries: first)
    first.save()
    var bytes = try folder.bytes("code-cache")
    bytes[offset] ^= 0x40
    try folder.write("code-cache", bytes)
    let second = SummaryCache(path: path)
    #expect(try follow("step.py", summaries: second).paths == ["a.py", "b.py"])
    second.save()
    #expect(try follow("step.py", summaries: SummaryCache(path: path)).paths == ["a.py", "b.py"])
  }

  @Test("a folder that was looked into is known, so that a module that appears there is noticed")
  func folders() throws {
    try write(["jobs/step.py": "import helpers\n", "helpers.py": ""])
    let before = try follow("jobs/step.py")
    #expect(before.folders.map(\.path) == ["", "jobs"])
    try write(["jobs/helpers.py": ""])
    let after = try follow("jobs/step.py")
    #expect(after.paths == ["helpers.py", "jobs/helpers.py"])
    #expect(before.folders[1].identity != after.folders[1].identity)
  }
}

@Suite("What R and shell scripts use", .temporaryFolder)
struct ScriptClosureTests {
  let folder = TemporaryFolder.current

  @Test("R files that source each other, by here() and from the working directory")
  func r() throws {
    try folder.write("analysis/.here", "")
    try folder.write(
      "analysis/main.R",
      "source('R/a.R')\nsource(here::here('R', 'b.R'))\nsource(paste0('R/', name))\nsource('gone.R')\n")
    try folder.write("analysis/R/a.R", "source(\"R/b.R\")\n")
    try folder.write("analysis/R/b.R", "source('R/a.R')\n")
    let closure = try follow("analysis/main.R", in: "analysis")
    #expect(closure.paths == ["analysis/R/a.R", "analysis/R/b.R"])
    #expect(
      closure.texts == [
        "analysis/main.R: sources 'gone.R', which is not there; declare with --code what it stands for",
        "analysis/main.R:3: sources a file by a computed path; declare as code what that may be",
      ])
  }

  @Test("shell scripts: literal paths, the script's own folder, and absolute ones")
  func shell() throws {
    try folder.write(
      "bin/step.sh", ". lib/a.sh\nsource \"$(dirname \"$0\")/b.conf\"\n. \"$X/c.sh\"\n. /etc/profile\n")
    try folder.write("lib/a.sh", ". \(folder.path)/lib/d.sh\n")
    try folder.write("lib/d.sh", "")
    try folder.write("bin/b.conf", ". lib/e.sh\n")
    try folder.write("lib/e.sh", "")
    let closure = try follow("bin/step.sh")
    #expect(closure.paths == ["bin/b.conf", "lib/a.sh", "lib/d.sh", "lib/e.sh"])
    #expect(
      closure.texts == [
        "bin/step.sh: sources '/etc/profile', which is outside of the project; declare it with --code",
        "bin/step.sh:3: sources a file by a computed path; declare as code what that may be",
      ])
  }

  @Test("$0 in a sourced file is the script that was started, BASH_SOURCE the file itself; both count")
  func startedScript() throws {
    try folder.write("run.sh", ". lib/a.sh\n")
    try folder.write("lib/a.sh", ". \"$(dirname \"$0\")/b.sh\"\n")
    try folder.write("b.sh", "")
    try folder.write("lib/b.sh", "")
    #expect(try follow("run.sh").paths == ["b.sh", "lib/a.sh", "lib/b.sh"])
  }

  @Test("after a literal cd, paths may be meant from there")
  func changedFolder() throws {
    try folder.write("run.sh", "cd sub\n. ./x.sh\n")
    try folder.write("x.sh", "")
    try folder.write("sub/x.sh", "")
    #expect(try follow("run.sh").paths == ["sub/x.sh", "x.sh"])
  }

  @Test("a file that is declared and sourced is read as what sources it")
  func declaredAndSourced() throws {
    try folder.write("run.sh", ". ./common\n")
    try folder.write("common", ". ./more.sh\n")
    try folder.write("more.sh", "")
    #expect(try follow("common", "run.sh").paths == ["more.sh"])
    #expect(try follow("run.sh", "common").paths == ["more.sh"])
  }

  @Test("a file without suffix is followed by its first line")
  func firstLine() throws {
    try folder.write("tool", "#!/usr/bin/env python3\nimport helper\n")
    try folder.write("helper.py", "")
    try folder.write("data", "import helper\n")
    #expect(try follow("tool").paths == ["helper.py"])
    #expect(try follow("data").paths == [])
  }
}
