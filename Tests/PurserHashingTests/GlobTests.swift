import Glibc
import PurserHashing
import PurserModel
import Testing

@Suite("Glob patterns")
struct GlobTests {
  @Test(
    "a pattern matches the paths it should, and no others",
    arguments: [
      ("a", "a", true), ("a", "b", false), ("a/b", "a/b", true), ("a/b", "a", false), ("a", "a/b", false),
      ("./a/b", "a/b", true), ("a//b", "a/b", true), ("a/b", "./a/b", true), ("a/b/", "a/b", true),
      ("*", "a", true), ("*", "a/b", false), ("*", ".a", false), (".*", ".a", true), ("*.csv", "x.csv", true),
      ("*.csv", ".csv", false), ("*.csv", "d/x.csv", false), ("x*", "x", true), ("x*y*z", "x1y2z", true),
      ("x*y*z", "x1z2y", false), ("*a*b*a*", "xaybza", true), ("a*b", "a/b", false),
      ("?", "a", true), ("?", "ab", false), ("?", ".", false), ("?a", ".a", false), ("a?c", "a/c", false),
      ("?", "é", true), ("??", "é", false), ("?", "😀", true), ("*?é", "xyé", true), ("*??x", "😀x", false),
      ("[a-c]", "b", true), ("[a-c]", "d", false), ("[!a-c]", "d", true), ("[!a-c]", "a", false), ("[^a]", "b", true),
      ("[]]", "]", true), ("[!]]", "a", true), ("[a-]", "-", true), ("[\\]]", "]", true), ("[é-ü]", "ö", true),
      ("[a/b]", "a", nil), ("[.]a", ".a", false), ("[!a]b", ".b", false), ("x[*?]", "x*", true), ("x[*?]", "xy", false),
      ("\\*", "*", true), ("\\*", "a", false), ("a\\?", "a?", true), ("\\[a]", "[a]", true), ("\\a", "a", true),
      ("**", "a", true), ("**", "a/b/c", true), ("**", "a/.b", false), ("**", ".a/b", false),
      ("**/x", "x", true), ("**/x", "a/b/x", true), ("**/x", "a/.b/x", false), ("a/**/x", "a/x", true),
      ("a/**/x", "a/b/c/x", true), ("a/**/x", "b/x", false), ("a/**", "a", false), ("a/**", "a/b", true),
      ("a/**", "a/b/c", true), ("a**b", "axxb", true), ("a**b", "a/b", false), ("**/**/x", "x", true),
      ("**/.h/**", "a/.h/b", true), ("**/a/**/b", "a/x/a/y/b", true), ("**/a/**/b", "a/x/a/y", false),
      ("**/*/.h/c", "a/b/.h/c", true), (".git/**", ".git/x", true), ("**/*.py", "a/b.py", true),
      ("{a,b}.csv", "a.csv", true), ("{a,b}.csv", "c.csv", false), ("{a,b/c}/*.x", "b/c/1.x", true),
      ("x{,.gz}", "x", true), ("x{,.gz}", "x.gz", true), ("{a,{b,c}d}", "cd", true), ("{a}", "{a}", true),
      ("{a", "{a", true), ("a}", "a}", true), ("\\{a,b}", "{a,b}", true), ("[{]a,b}", "{a,b}", true),
      ("/a/*", "/a/b", true), ("/a/*", "a/b", false), ("a/*", "/a/b", false), ("../a/*", "../a/b", true),
      ("a\nb*", "a\nbc", true),
    ] as [(String, String, Bool?)])
  func matching(pattern: String, path: String, expected: Bool?) throws {
    guard let expected else {
      #expect(throws: GlobError.self) { try Glob(ByteString(pattern)) }
      return
    }
    #expect(try Glob(ByteString(pattern)).matches(ByteString(path)) == expected)
  }

  @Test("names that are not UTF-8 match byte by byte")
  func bytes() throws {
    let latin = ByteString(bytes: [0x63, 0x61, 0x66, 0xe9])
    #expect(try Glob("caf?").matches(latin))
    #expect(try Glob("*").matches(latin))
    #expect(try Glob(latin).matches(latin))
    #expect(try !Glob("café").matches(latin))
    #expect(try Glob(ByteString(bytes: [0x5b, 0xe0, 0x2d, 0xef, 0x5d])).matches(ByteString(bytes: [0xe9])))
    // NFC and NFD are two names.
    #expect(try !Glob("caf\u{e9}").matches("cafe\u{301}"))
  }

  @Test(
    "a pattern that no path can have is refused, with advice",
    arguments: [
      ("", "pattern '': is empty; name a file or a pattern such as 'data/*.csv'"),
      ("a[b", "pattern 'a[b': has a '[' that is not closed; close it with ']', or write '\\[' for the character"),
      ("[z-a]", "pattern '[z-a]': has a set whose range runs backwards; write the lower end first"),
      ("a\\", "pattern 'a\\\\': ends a segment with a backslash; write '\\\\' for the character"),
      ("/", "pattern '/': names no file; name one, or a pattern such as 'data/*.csv'"),
      ("a\0b", "pattern 'a\\x00b': holds a NUL byte, which no path can"),
      (
        String(repeating: "{a,b}", count: 11),
        "pattern '\(String(repeating: "{a,b}", count: 11))': "
          + "has braces that stand for more than 1024 patterns; write fewer"
      ),
    ])
  func refused(pattern: String, message: String) {
    let error = #expect(throws: GlobError.self) { try Glob(ByteString(pattern)) }
    #expect(error?.description == message)
  }

  @Test("hostile patterns take no exponential time")
  func hostile() throws {
    let path = ByteString(String(repeating: "a", count: 250))
    #expect(try !Glob(ByteString(String(repeating: "a*", count: 100) + "b")).matches(path))
    let deep = ByteString(Array(repeating: "a", count: 500).joined(separator: "/"))
    #expect(try !Glob(ByteString(String(repeating: "**/a/", count: 30) + "b")).matches(deep))
    #expect(try !Glob(ByteString(String(repeating: "{", count: 1_000) + "a,b")).matches(path))
    #expect(throws: GlobError.self) { try Glob(ByteString(String(repeating: "{", count: 5_000) + "a,b")) }
  }

  @Test(
    "a path is a pattern if it has an unescaped wildcard",
    arguments: [
      ("a", false), ("a*", true), ("a?", true), ("[a]", true), ("a\\*", true), ("a\\\\*", true), ("{a,b}", false),
      ("a]", false), ("a\\", false),
    ])
  func isPattern(path: String, expected: Bool) {
    #expect(Glob.isPattern(ByteString(path)) == expected)
  }

  private func fill(_ folder: TemporaryFolder) throws {
    for name in [
      "a.csv", "b.csv", "b.txt", ".hidden.csv", "d/c.csv", "d/e/f.csv", "d-x/g.csv", "d/.h/i.csv",
      "d/__pycache__/j.csv",
      "d/k.pyc", ".git/l.csv", "out/m.csv", "far/n.csv",
    ] as [ByteString] {
      try folder.write(name, "x")
    }
    try folder.link("d/link.csv", to: "nowhere")
    try folder.link("linked", to: "far")
    try folder.link("loop", to: ".")
    try folder.makeFolder("folder.csv")
  }

  @Test(
    "a pattern stands for files and links, sorted by bytes", .temporaryFolder,
    arguments: [
      ("*.csv", "a.csv b.csv"), ("**/*.csv", "a.csv b.csv d-x/g.csv d/c.csv d/e/f.csv d/link.csv far/n.csv"),
      ("d/**", "d/c.csv d/e/f.csv d/link.csv"), ("d/*/*.csv", "d/e/f.csv"), ("d/c.csv", "d/c.csv"), ("d", ""),
      ("none/*.csv", ""), ("a.csv/*", ""), (".*.csv", ".hidden.csv"), ("d/.h/*", "d/.h/i.csv"), (".git/*", ""),
      ("out/*", ""), ("linked/*.csv", "linked/n.csv"), ("*/n.csv", "far/n.csv linked/n.csv"), ("loop", "loop"),
      ("{b,a}.{csv,txt}", "a.csv b.csv b.txt"), ("loop/loop/a.*", "loop/loop/a.csv"), ("*.none", ""),
    ])
  func expansion(pattern: String, expected: String) throws {
    let folder = TemporaryFolder.current
    try fill(folder)
    let filter = PathFilter(root: folder.path, skippedPaths: ["out"], patterns: [])
    let found = try Glob(ByteString(pattern)).expand(root: folder.path, filter: filter)
    #expect(found.map(\.escaped).joined(separator: " ") == expected)
    let absolute = try Glob(folder.path + "/" + ByteString(pattern)).expand(root: folder.path, filter: filter)
    #expect(absolute == found)
    let outer = PathFilter(root: "/usr", skippedPaths: [folder("out")], patterns: [])
    let outside = try Glob(folder.path + "/" + ByteString(pattern)).expand(root: "/usr", filter: outer)
    #expect(outside == found.map { folder.path + "/" + $0 })
  }

  @Test("a matching FIFO is refused by name", .temporaryFolder)
  func fifo() throws {
    let folder = TemporaryFolder.current
    #expect(folder("pipe").withCString { mkfifo($0, 0o600) } == 0)
    let filter = PathFilter(root: folder.path, skippedPaths: [], patterns: [])
    let error = #expect(throws: FileError.self) { try Glob("*").expand(root: folder.path, filter: filter) }
    #expect(error?.description == "'pipe': is a named pipe (FIFO), which has no content to hash")
    #expect(try Glob("*.csv").expand(root: folder.path, filter: filter).isEmpty)
  }

  @Test(
    "a filter skips what it names, wherever it stands",
    arguments: [
      (".git", true, true), ("a/.git/x", false, true), ("a/.gitignore", false, false), ("__pycache__", true, true),
      ("__pycache__", false, false), ("x/__pycache__/y", false, true), ("m.pyc", false, true), ("m.pyc", true, false),
      ("m.py", false, false), ("out", true, true), ("out/x/y", false, true), ("output", false, false),
      ("a/out", false, false), ("deep/er", true, true), ("deep/er/x", false, true), ("deep", true, false),
      ("x.tmp", false, true), ("a/b/.x.tmp", false, true), ("a.tmp/b", false, true), ("logs/a/x", false, true),
      ("a/logs/x", false, false), ("lit", false, true), ("lit/x", false, true), ("a/lit", false, false),
      ("/abs/x", false, true), ("/abs", true, true), ("/other", true, false), ("", true, false),
    ])
  func filter(path: String, isDirectory: Bool, expected: Bool) throws {
    let filter = PathFilter(
      root: "/p", skippedPaths: ["out", "/p/deep/er/", "/abs"],
      patterns: try ["*.tmp", "logs/**", "lit"].map { try Glob($0) })
    #expect(filter.skips(ByteString(path), isDirectory: isDirectory) == expected)
  }
}
