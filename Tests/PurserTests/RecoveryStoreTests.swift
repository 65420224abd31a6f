import Glibc
import PurserBlobs
import PurserHashing
import PurserModel
import PurserSQLite
import PurserStore
import Testing

@testable import Purser

@Suite("A store for recovery")
struct RecoveryStoreTests {
  let folder = TemporaryFolder.current

  /// How a store may be named, in the test's own folder.
  enum Place: String, CaseIterable {
    case path = ""
    case url = "sqlite:"
    case memory = "sqlite::memory:"

    func open() throws -> RecoveryStore {
      try RecoveryStore.open(
        self == .memory ? rawValue : rawValue + TemporaryFolder.current("flow.db").escaped)
    }
  }

  private func shown(_ cache: RecoveryStore.Cache) -> [String] {
    cache.flatMap { node, values in values.map { "\(node) \($0.key) \($0.value.serialized)" } }.sorted()
  }

  @Test("saves a cache whole, by what changed, and loads it", .temporaryFolder, arguments: Place.allCases)
  func cache(place: Place) throws {
    let store = try place.open()
    #expect(try store.loadCache("nightly").isEmpty)
    try store.saveCache(
      "nightly", ["a": ["x": .integer(1), "y": .array([.null, .string("é")])], "b": ["x": .bool(true)]])
    #expect(shown(try store.loadCache("nightly")) == ["a x 1", #"a y [null,"é"]"#, "b x true"])
    try store.saveCacheDelta("nightly", ["a": ["x": .integer(2)], "c": ["z": .object([])]])
    #expect(shown(try store.loadCache("nightly")) == ["a x 2", #"a y [null,"é"]"#, "b x true", "c z {}"])
    try store.saveCache("nightly", ["d": ["x": .integer(3)]])
    #expect(shown(try store.loadCache("nightly")) == ["d x 3"])
    #expect(try store.loadCache("other").isEmpty)
  }

  @Test("saves trees and states", .temporaryFolder, arguments: Place.allCases)
  func tree(place: Place) throws {
    let store = try place.open()
    #expect(try store.loadExecutionTree("nightly") == nil)
    var tree = ExecutionTree(
      startedAt: "2026-11-21T08:30:00.000000Z",
      nodes: [ExecutionTree.Node("a", state: .ran), ExecutionTree.Node("b", after: ["a"], state: .failed)])
    tree.nodes[1].why = "exit code 1"
    tree.nodes[0].order = 1
    tree.nodes[0].finishedAt = "2026-11-21T08:31:00.000000Z"
    tree.owner = ExecutionTree.Owner(worker: "boot/pid", pid: 42, startTime: .max)
    tree.command = ["run", "b"]
    tree.root = "/project"
    tree.exitCode = 1
    try store.saveExecutionTree("nightly", tree)
    #expect(try store.loadExecutionTree("nightly") == tree)
    tree.nodes.removeLast()
    try store.saveExecutionTree("nightly", tree)
    #expect(try store.loadExecutionTree("nightly") == tree)
    let state = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
    try store.saveExecutionState("nightly", .active, state)
    try store.saveExecutionState("nightly", .pending, [])
    #expect(try store.loadExecutionState("nightly", .active) == state)
    #expect(try store.loadExecutionState("nightly", .pending) == [])
    try store.removeExecutionState("nightly")
    #expect(try store.loadExecutionState("nightly", .active) == nil)
    #expect(try store.loadExecutionTree("nightly") == tree)
  }

  @Test("saves snapshots, which are found by time and by id", .temporaryFolder, arguments: Place.allCases)
  func snapshots(place: Place) throws {
    let store = try place.open()
    #expect(try store.loadLatestSnapshot("nightly") == nil)
    let entries = try (0..<50).map { try store.saveSnapshot("nightly", [UInt8($0)], note: "number \($0)") }
    #expect(Set(entries.map(\.id)).count == 50)
    #expect(try store.snapshots(of: "nightly") == entries)
    #expect(try store.loadLatestSnapshot("nightly") == [49])
    #expect(try store.loadSnapshot(id: entries[7].id, of: "nightly") == [7])
    #expect(try store.loadSnapshot(id: entries[7].id.uppercased(), of: "nightly") == [7])
    let last = try #require(entries.last { $0.createdAt <= entries[20].createdAt })
    #expect(
      try store.loadSnapshot("nightly", at: entries[20].createdAt) == store.loadSnapshot(id: last.id, of: "nightly"))
    #expect(try store.loadSnapshot("nightly", at: "2020-01-01T00:00:00Z") == nil)
    #expect(error { _ = try store.loadSnapshot("nightly", at: "yesterday") }?.code == .usage)
    #expect(error { _ = try store.loadSnapshot(id: "zzzz", of: "nightly") }?.code == .missing)
    #expect(error { _ = try store.loadSnapshot(id: "abc", of: "nightly") }?.code == .usage)
    #expect(try store.pruneSnapshots("nightly", keeping: 3) == 47)
    #expect(try store.snapshots(of: "nightly") == Array(entries.suffix(3)))
  }

  @Test("says what it holds", .temporaryFolder)
  func dump() throws {
    let store = try RecoveryStore.open("sqlite::memory:")
    try store.saveCache("nightly", ["a": ["x": .integer(1), "y": .integer(2)]])
    try store.saveCache(ExecutionName.pipeline("main", "penguins"), ["a": ["x": .integer(1)]])
    try store.saveExecutionTree(
      ExecutionName.run("main", "penguins", "1f"), ExecutionTree(startedAt: "", nodes: []))
    try store.saveExecutionState("nightly", .active, [1, 2, 3])
    try store.saveSnapshot(ExecutionName.branch("main"), [1])
    let dump = try store.dump()
    let text = dump.text.split(separator: "\n").map { $0.prefix { !$0.isNumber || $0 == "1" || $0 == "2" } }
    #expect(
      dump.text.hasPrefix(
        """
        === SQLite DB contents ===
        Artifacts by execution:
          main / penguins: 1 entry
          'nightly': 2 entries
        Execution trees:
          main / penguins (run 1f): 
        """), "\(text)")
    #expect(dump.text.contains("\nSnapshots by execution:\n  main: 1 snapshot, "))
    #expect(dump.text.contains("\nExecution states:\n  'nightly' active: "))
    #expect(dump.json["artifacts"]?.array?.count == 2)
    #expect(dump.json["states"]?.array?.first?["bytes"]?.integer == 3)
  }

  @Test("has one gate for one file, by whatever name it is opened", .temporaryFolder)
  func places() throws {
    let workspace = Workspace()
    let cache = try workspace.cache()
    try workspace.writeSources()
    try workspace.run(Workspace.clean, cache, writing: ["build/clean.csv": "1"])
    let names = [folder("store"), folder("store/records.db"), "sqlite:" + folder("store/records.db")]
    for name in names {
      let left = try RecoveryStore.open(name.escaped).loadCache(ExecutionName.pipeline("main", "penguins"))
      let result = try #require(left["clean"]?["result"])
      #expect(result["status"]?.string == "SUCCESS" && result["outputs"]?["files"]?.integer == 1)
      #expect(result["outputs"]?["bytes"]?.integer == 1)
    }
    try folder.link("alias.db", to: "store/records.db")
    let alias = try RecoveryStore.open(folder("alias.db").escaped)
    #expect((alias.store as? SQLiteRecordStore)?.place == .folder(folder("store")))
    #expect(
      error { _ = try RecoveryStore.open("postgres://host/db") }?.message
        == "'postgres://host/db' is of kind 'postgres'; a store is a path, sqlite:PATH or sqlite::memory:")
    #expect(error { _ = try RecoveryStore.open("") }?.code == .usage)
  }

  /// Damages whatever is compressed, in turn, and in every way that a row can be wrong.
  @Test(
    "names what is damaged, and gives no wrong byte", .temporaryFolder,
    arguments: [
      "data = substr(data, 1, length(data) - 1)", "data = data || x'00'", "data = zeroblob(length(data))", "data = x''",
      "size = size + 1", "size = size - 1", "size = -1", "digest = zeroblob(32)", "digest = x'01'",
    ])
  func damage(change: String) throws {
    let store = try RecoveryStore.open(folder("flow.db").escaped)
    try store.saveExecutionTree("t", ExecutionTree(startedAt: "x", nodes: [ExecutionTree.Node("a")]))
    try store.saveExecutionState("t", .active, Array("state".utf8))
    let entry = try store.saveSnapshot("t", Array("snapshot".utf8))
    for (table, column) in [
      ("execution_trees", "tree_data"), ("execution_state", "state_data"), ("snapshots", "snapshot_data"),
    ] {
      let set = change.split(separator: " ").map { $0 == "data" ? Substring(column) : $0 }.joined(separator: " ")
        .replacing("(data", with: "(\(column)")
      try folder.change("UPDATE \(table) SET \(set)", in: "flow.db")
    }
    let again = try RecoveryStore.open(folder("flow.db").escaped)
    #expect(
      error { _ = try again.loadExecutionTree("t") }?.message
        == "the execution tree of t is damaged in the store; it is not used")
    #expect(
      error { _ = try again.loadExecutionState("t", .active) }?.message
        == "the active state of t is damaged in the store; it is not used")
    #expect(
      error { _ = try again.loadLatestSnapshot("t") }?.message
        == "snapshot \(entry.id) is damaged in the store; it is not used")
    #expect(error { _ = try again.loadExecutionTree("t") }?.code == .io)
  }

  @Test("seals and opens values of any size", .temporaryFolder, arguments: [0, 1, 127, 128 << 10, 1_000_003])
  func codec(size: Int) throws {
    let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 2) }
    let codec = ZstdCodec()
    let value = try codec.seal(bytes)
    #expect(value.size == UInt64(size) && value.digest == SHA256.digest(of: bytes))
    #expect(try codec.open(value, named: "it") == bytes)
    for index in stride(from: 0, to: value.content.count, by: max(1, value.content.count / 97)) {
      var damaged = value
      damaged.content[index] ^= 1 << UInt8(index % 8)
      // A bit of a header may mean nothing; whatever comes out is what went in.
      if let opened = try? codec.open(damaged, named: "it") { #expect(opened == bytes) }
    }
  }
}

extension TemporaryFolder {
  /// Changes a database from beside the store.
  fileprivate func change(_ sql: String, in name: ByteString) throws {
    let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute(sys.argv[2]); db.commit()"
    let pipe = try #require(popen("exec python3 -c '\(script)' '\(self(name).escaped)' \"\(sql)\"", "r"))
    try #require(pclose(pipe) == 0)
  }
}
