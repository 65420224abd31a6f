import PurserHashing
import PurserModel
import PurserStore
import Testing

@Suite("Record store contract: what was recorded")
struct RecordContractTests {
  @Test(
    "components are read back as they were, whatever bytes they hold", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func components(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.components += [
      Component(.codeFile, ByteString(bytes: [0x61, 0xff, 0, 0x5c]), .file(digest("x"), isExecutable: true)),
      Component(.inputFile, "\u{e9}", .digest(digest("composed"))),
      Component(.inputFile, "e\u{301}", .digest(digest("decomposed"))),
      Component(.environment, "UNSET", .absent),
      Component(.environment, "EMPTY", .text("")),
      Component(.argument, "list", .list(["", "a", ByteString(bytes: [0x80])])),
      Component(.parameter, "1e5", .text("1e5")),
      Component(.inputTree, "raw", .digest(digest("tree"))),
    ]
    try step.run(in: store)
    let other = Step("other")
    try other.run(in: store)
    let found = try store.components(of: [step.actionKey, digest("unknown"), other.actionKey])
    #expect(found.count == 2)
    #expect(found[step.actionKey] == step.fingerprint.components)
    #expect(found[other.actionKey] == other.fingerprint.components)
  }

  @Test("a task without components has a fingerprint too", .temporaryFolder, arguments: RecordStoreBackend.all)
  func noComponents(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.components = []
    try step.run(in: store)
    #expect(try store.components(of: [step.actionKey]) == [step.actionKey: []])
    #expect(try store.record(step.key)?.actionKey == step.actionKey)
  }

  @Test(
    "a trace is kept for its run, and what was undeclared for its result", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func traces(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    try step.run(in: store)
    #expect(try store.trace(of: step.key) == nil)
    #expect(try store.record(step.key)?.result?.undeclared == nil)
    step.trace = TaskTrace(
      entries: [
        TaskTrace.Entry(path: ByteString(bytes: [0x61, 0xff]), use: .read, isDeclared: false),
        TaskTrace.Entry(path: "b", use: .written, isDeclared: true),
      ], gap: "half of it")
    step.undeclared = [
      Component(.tracedFile, ByteString(bytes: [0x61, 0xff]), .file(digest("x"), isExecutable: true)),
      Component(.tracedFile, "c", .absent),
    ]
    let run = try step.run(in: store)
    #expect(try store.trace(of: step.key)?.run == run.id)
    #expect(try store.trace(of: step.key)?.trace == step.trace)
    #expect(try store.record(step.key)?.result?.undeclared == step.undeclared)
    #expect(try store.results(for: [step.actionKey])[step.actionKey]?.map(\.undeclared) == [step.undeclared, nil])
    // One that failed is shown, too; and then the last that was traced.
    step.trace = TaskTrace(entries: [])
    let failed = try step.begin(in: store)
    try store.finish(failed, with: step.ending(.failed, .failure, exitCode: 1))
    #expect(try store.trace(of: step.key)?.run == failed.id)
    step.trace = nil
    try step.run(in: store)
    #expect(try store.trace(of: step.key)?.run == failed.id)
    #expect(try store.trace(of: Step("other").key) == nil)
  }

  @Test(
    "results of one action come newest first, and not the invalidated", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func results(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var contents: [String] = []
    for number in 1...3 {
      var step = Step("clean", on: "branch \(number)")
      step.outputs = ["a": "\(number)"]
      // The clock may go backwards: the order is that of recording.
      step.day = 10 - number
      try step.run(in: store)
      contents.append(digest("\(number)").hex)
    }
    let step = Step("clean")
    func found() throws -> [String] {
      try store.results(for: [step.actionKey, digest("none")])[step.actionKey, default: []].map {
        try #require($0.manifest.entries.first).digest.hex
      }
    }
    #expect(try found() == contents.reversed())
    _ = try store.invalidate([key("clean", on: "branch 2")], allKeys: true)
    #expect(try found() == [])
    var again = Step("clean", on: "branch 4")
    again.outputs = ["a": "4"]
    try again.run(in: store)
    #expect(try found() == [digest("4").hex])
  }

  @Test("a restored result belongs to both tasks, and stays one", .temporaryFolder, arguments: RecordStoreBackend.all)
  func restored(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.outputs = ["a": "A"]
    step.log = "printed"
    try step.run(in: store)
    let result = try store.newestResult(of: step)
    let other = Step("clean", on: "feature")
    try other.restore(result, in: store)
    let record = try #require(try store.record(other.key))
    #expect(record.status == .success && record.result == result && record.outputsVersion == result.outputsVersion.hex)
    #expect(record.result?.producer == step.key)
    #expect(try store.results(for: [step.actionKey])[step.actionKey] == [result])
  }

  @Test("records are listed by storage key and pipeline, in order", .temporaryFolder, arguments: RecordStoreBackend.all)
  func listing(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    for (task, storageKey, pipeline) in [
      ("b", "main", "p"), ("a", "main", "p"), ("a", "main", "o"), ("a", "feature", "p"), ("é", "main", "p"),
    ] {
      try Step(task, on: storageKey, pipeline: pipeline).run(in: store)
    }
    func names(_ storageKey: String?, _ pipeline: String?) throws -> [String] {
      try store.records(storageKey: storageKey, pipeline: pipeline).map {
        "\($0.key.storageKey)/\($0.key.pipeline)/\($0.key.task)"
      }
    }
    #expect(try names(nil, nil) == ["feature/p/a", "main/o/a", "main/p/a", "main/p/b", "main/p/é"])
    #expect(try names("main", nil) == ["main/o/a", "main/p/a", "main/p/b", "main/p/é"])
    #expect(try names(nil, "p") == ["feature/p/a", "main/p/a", "main/p/b", "main/p/é"])
    #expect(try names("main", "o") == ["main/o/a"])
    #expect(try names("none", nil) == [])
  }

  @Test(
    "names are text and nothing else", .temporaryFolder,
    arguments: RecordStoreBackend.all,
    ["1e5", "0x10", " a ", "A", "a", "'; DROP TABLE tasks; --", "é", "e\u{301}", "\\xff", "a\u{0}b", "%", "_", ""])
  func names(backend: RecordStoreBackend, name: String) throws {
    let store = try backend.open()
    let step = Step(name, on: name, pipeline: name)
    try step.run(in: store)
    try Step("other").run(in: store)
    let record = try #require(try store.record(step.key))
    #expect(Array(record.key.task.utf8) == Array(name.utf8))
    #expect(Array(record.key.storageKey.utf8) == Array(name.utf8))
    #expect(Array(record.key.pipeline.utf8) == Array(name.utf8))
    #expect(try store.records(storageKey: name, pipeline: name).count == 1)
    #expect(try store.runs(matching: RunFilter(task: name)).count == 1)
  }

  @Test("history is newest first, filtered and limited", .temporaryFolder, arguments: RecordStoreBackend.all)
  func history(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var ids: [Int64] = []
    for task in ["a", "b", "a"] { ids.append(try Step(task).run(in: store).id) }
    ids.append(try Step("a", on: "feature").run(in: store).id)
    ids.append(try Step("a", pipeline: "other").run(in: store).id)
    func found(_ filter: RunFilter) throws -> [Int64] { try store.runs(matching: filter).map(\.id) }
    #expect(try found(RunFilter()) == ids.reversed())
    #expect(try found(RunFilter(limit: 2)) == [ids[4], ids[3]])
    #expect(try found(RunFilter(storageKey: "main", pipeline: "penguins", task: "a")) == [ids[2], ids[0]])
    #expect(try found(RunFilter(pipeline: "other")) == [ids[4]])
    #expect(try found(RunFilter(task: "none")) == [])
    #expect(try found(RunFilter(limit: 0)) == [])
  }

  @Test("contents are known by digest, and small ones are there", .temporaryFolder, arguments: RecordStoreBackend.all)
  func blobs(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.outputs = ["small": "S", "large": "L", "empty": ""]
    var outcome = step.success
    outcome.blobs = [
      NewBlob(digest: digest("S"), size: 1, encoding: .zstd, inlineContent: [9, 9]),
      NewBlob(digest: digest("L"), size: 1 << 40, encoding: .identity, inlineContent: nil),
      NewBlob(digest: digest(""), size: 0, encoding: .identity, inlineContent: []),
    ]
    try store.finish(try step.begin(in: store), with: outcome)
    let found = try store.blobs([digest("S"), digest("L"), digest(""), digest("none")])
    #expect(found.count == 3)
    #expect(found[digest("S")] == StoredBlob(digest: digest("S"), size: 1, encoding: .zstd, isInline: true))
    #expect(found[digest("L")] == StoredBlob(digest: digest("L"), size: 1 << 40, encoding: .identity, isInline: false))
    #expect(found[digest("")] == StoredBlob(digest: digest(""), size: 0, encoding: .identity, isInline: true))
    #expect(try store.inlineContent(digest("S"))?.content == [9, 9])
    #expect(try store.inlineContent(digest("S"))?.blob == found[digest("S")])
    #expect(try store.inlineContent(digest(""))?.content == [])
    #expect(try store.inlineContent(digest("L")) == nil)
    #expect(try store.inlineContent(digest("none")) == nil)
  }

  @Test(
    "a result whose content is not named is not recorded at all", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func missingContent(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.outputs = ["a": "A", "b": "B"]
    step.log = "printed"
    let run = try step.begin(in: store)
    var outcome = step.success
    outcome.blobs.removeLast()
    #expect(code { try store.finish(run, with: outcome) } == .corrupt)
    #expect(try store.record(step.key)?.status == .running)
    #expect(try store.results(for: [step.actionKey]).isEmpty)
    #expect(try store.blobs([digest("A")]).isEmpty)
    #expect(try store.components(of: [step.actionKey]).isEmpty)
    // The lease still stands: the run can be closed without a result.
    try store.finish(run, with: step.ending(.failed, .failure, exitCode: 0))
  }

  @Test(
    "a result that was forgotten while it was put back is not recorded", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func forgottenMeanwhile(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.outputs = ["a": "A"]
    try step.run(in: store)
    let result = try store.newestResult(of: step)
    try store.forgetBlob(digest("A"))
    #expect(code { try step.restore(result, in: store) } == .corrupt)
    #expect(try store.record(step.key)?.status == .running)
  }

  @Test(
    "keys by what is declared are those of the newest results, each once", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func declaredKeys(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    for version in ["1", "2", "3", "3"] {
      let step = Step("clean", version: version)
      var outcome = step.success
      outcome.declaredKey = digest("declared")
      try store.finish(try step.begin(in: store), with: outcome)
    }
    let keys = ["3", "2", "1"].map { Step("clean", version: $0).actionKey }
    #expect(try store.actionKeys(declaredAs: digest("declared"), limit: 9) == keys)
    #expect(try store.actionKeys(declaredAs: digest("declared"), limit: 3) == Array(keys.prefix(2)))
    #expect(try store.actionKeys(declaredAs: digest("none"), limit: 9) == [])
  }

  @Test(
    "outputs of other tasks below a folder are found, while they stand", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func outputsBelow(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    func make(_ task: String, _ path: ByteString, on storageKey: String = "main", pipeline: String = "penguins") throws
    {
      var step = Step(task, on: storageKey, pipeline: pipeline)
      step.components.append(Component(.outputPattern, path, .text("")))
      step.outputs = [path: "x"]
      try step.run(in: store)
    }
    try make("a", "build/a.csv")
    try make("b", "build/deep/b.csv")
    try make("c", "builds/c.csv")
    try make("d", "build")
    try make("e", "build/e.csv", on: "feature")
    try make("f", "build/f.csv", pipeline: "other")
    try make("self", "build/self.csv")
    func found(_ folder: ByteString) throws -> [String] {
      try store.outputs(below: folder, near: key("self")).map { "\($0.task) \($0.path)" }.sorted()
    }
    #expect(try found("build") == ["a build/a.csv", "b build/deep/b.csv"])
    #expect(try found("build/deep") == ["b build/deep/b.csv"])
    #expect(try found("build/a.csv") == [])
    #expect(try found("bui") == [])
    #expect(try found("none") == [])
    _ = try store.invalidate([key("a")])
    try store.finish(
      try Step("b", version: "2").begin(in: store), with: Step("b").ending(.failed, .failure, exitCode: 1))
    #expect(try found("build") == [])
  }

  @Test("listings of folders are kept", .temporaryFolder, arguments: RecordStoreBackend.all)
  func treeNodes(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    var step = Step("clean")
    step.treeNodes = [digest("node"): [1, 2, 3], digest("empty"): []]
    try step.run(in: store)
    try step.run(in: store)
    #expect(try store.treeNode(digest("node")) == [1, 2, 3])
    #expect(try store.treeNode(digest("empty")) == [])
    #expect(try store.treeNode(digest("none")) == nil)
  }
}
