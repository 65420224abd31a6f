import PurserModel
import PurserPipeline
import Testing

@Suite("Storage keys of branches")
struct StorageKeyTests {
  private func file(_ rules: String) throws -> PipelineFile {
    try parse("settings: {storage_keys: {\(rules)}}\ntasks: {t: {command: x}}")
  }

  @Test(
    "a name goes first, then patterns in the order of the file",
    arguments: [
      ("main", "prod"), ("feature/a", "first"), ("feature/b", "exact"), ("feature/a/b", "deep"), ("hotfix/1", "fix"),
      ("fix/1/2", "fix"), ("v1", "versions"), ("v12", nil), ("Main", nil), ("release", "plain"), ("rel", nil),
      ("one", "either"), ("two", "either"), ("{one,two}", "either"),
    ] as [(String, String?)])
  func rules(branch: String, expected: String?) throws {
    let file = try file(
      """
      "feature/*": first, "feature/**": deep, "feature/b": exact, main: prod, "{fix,hotfix}/**": fix, "v?": versions,
      "feature/?": never, release: plain, "{one,two}": either
      """)
    #expect(file.storageKey(ofBranch: ByteString(branch)) == expected)
    #expect(try #require(PipelineFile(encoded: file.encoded)).storageKey(ofBranch: ByteString(branch)) == expected)
  }

  @Test("branches are bytes, and so are keys, as everywhere escaped")
  func bytes() throws {
    let file = try file(#""é": composed, "x?": 'a\b', "**": "größe""#)
    #expect(file.storageKey(ofBranch: "e\u{301}") == "größe")
    #expect(file.storageKey(ofBranch: "\u{e9}") == "composed")
    #expect(file.storageKey(ofBranch: ByteString(bytes: [0x78, 0xff])) == #"a\\b"#)
  }

  @Test("without rules there is no key")
  func none() throws {
    #expect(try parse("tasks: {t: {command: x}}").storageKey(ofBranch: "main") == nil)
    #expect(try parse("settings: {storage_keys: }\ntasks: {t: {command: x}}").storageKeys == [])
    #expect(try file("main: ").storageKeys == [])
    #expect(try file("main: 1.10, other: no").storageKeys.map(\.storageKey) == ["1.10", "no"])
  }

  @Test(
    "rules that cannot be used are told with their places",
    arguments: [
      ("a: [b]", "1:30: error: the storage key of 'a' must be a text, not a list"),
      ("a: ''", "1:30: error: the storage key of 'a' is empty; write a text, or remove the key"),
      ("a: ' b'", "1:30: error: the storage key of 'a' begins or ends with white space: ' b'; remove it"),
      (
        "'': b",
        "1:27: error: 'storage_keys' of 'settings' has an empty branch name; name a branch, or a pattern such as 'feature/*'"
      ),
      (
        "'a[': b",
        "1:27: error: the pattern 'a[' of 'storage_keys' of 'settings' has a '[' that is not closed; close it with ']', "
          + "or write '\\[' for the character"
      ),
      (
        "a: b, a: c",
        "1:33: error: the key 'a' stands twice in one mapping, first at line 1, column 27; remove one of them"
      ),
    ])
  func refused(rules: String, expected: String) {
    #expect(problems("settings: {storage_keys: {\(rules)}}\ntasks: {t: {command: x}}") == [expected])
  }

  @Test("a list is no mapping")
  func shape() {
    #expect(
      problems("settings: {storage_keys: [a]}\ntasks: {t: {command: x}}")
        == ["1:26: error: 'storage_keys' of 'settings' must be a mapping, not a list"])
  }

  @Test("kptn's own setting of nearly that name is left alone")
  func kptn() throws {
    let text =
      "settings: {storage_key: x, branch: y, storage_keys: {a: b}}\ngraphs: {g: {tasks: {t: }}}\ntasks: {t: {file: t.py}}"
    let file = try parse(text, .kptn)
    #expect(file.warnings == [] && file.storageKey(ofBranch: "a") == "b" && file.storageKey(ofBranch: "y") == nil)
  }

  @Test(
    "a branch's own file names its key, and nothing else is looked at",
    arguments: [
      ("storage_key: prod\n", "prod"), ("\u{feff}{other: [1, {}], storage_key: 'a b'}", "a b"), ("other: x", nil),
      ("storage_key:", nil), ("", nil), ("# nothing", nil), ("storage_key: 007", "007"),
      (#"storage_key: 'a\b'"#, #"a\\b"#),
      ("base: &k prod\nstorage_key: *k", "prod"),
    ] as [(String, String?)])
  func branchFile(content: String, expected: String?) throws {
    #expect(try BranchFile.storageKey(in: Array(content.utf8)) == expected)
  }

  @Test("a branch's file that is too large, or no UTF-8, is refused")
  func strangeFiles() {
    #expect(throws: PipelineFileError.self) { try BranchFile.storageKey(in: Array("storage_key: a\n#".utf8) + [0xff]) }
    let large = Array("storage_key: a\n".utf8) + Array(repeating: UInt8(ascii: "#"), count: PipelineFile.maximumSize)
    #expect(throws: PipelineFileError.self) { try BranchFile.storageKey(in: large) }
  }
}
