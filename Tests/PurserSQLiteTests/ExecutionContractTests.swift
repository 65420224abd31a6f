import PurserHashing
import PurserModel
import PurserStore
import Testing

@testable import PurserSQLite

/// What the suite is run against: every backend that keeps executions.
struct ExecutionStoreBackend: Sendable, CustomTestStringConvertible {
  let testDescription: String
  /// Whether two clients that open one folder have one store.
  var isShared = true
  let openStore: @Sendable (ByteString) throws -> any ExecutionStore

  static let all = [
    ExecutionStoreBackend(testDescription: "SQLite") {
      SQLiteRecordStore(directory: $0, isDurable: false, now: { Time.day(1) })
    },
    ExecutionStoreBackend(testDescription: "SQLite, a file of its own") {
      SQLiteRecordStore(.file($0 + ".db"), isDurable: false, now: { Time.day(1) })
    },
    ExecutionStoreBackend(testDescription: "SQLite in memory", isShared: false) { _ in
      SQLiteRecordStore(.memory, now: { Time.day(1) })
    },
  ]

  func open() throws -> any ExecutionStore { try openStore(TemporaryFolder.current("store")) }
}

@Suite("A store of executions")
struct ExecutionContractTests {
  private func value(_ text: String) -> SealedValue {
    SealedValue(content: Array(text.utf8), size: UInt64(text.utf8.count) + 1, digest: digest(text))
  }

  private func artifact(_ node: String, _ key: String, _ value: String) -> Artifact {
    Artifact(node: node, key: key, value: value)
  }

  private func shown(_ artifacts: [Artifact]) -> [String] {
    artifacts.map { "\($0.node) \($0.key) \($0.value) \($0.createdAt ?? "-") \($0.updatedAt ?? "-")" }
  }

  private func snapshot(_ id: String, _ name: String = "a", kind: String = "manual", day: Int = 1) -> NewSnapshot {
    NewSnapshot(
      id: id, name: name, kind: kind, note: "note \(id)", by: "me", now: Time.day(day), value: value("data \(id)"))
  }

  @Test("that is empty has nothing, and none is made by asking", .temporaryFolder, arguments: ExecutionStoreBackend.all)
  func empty(backend: ExecutionStoreBackend) throws {
    let store = try backend.open()
    #expect(try store.artifacts(of: "a") == [])
    #expect(try store.tree(of: "a") == nil)
    #expect(try store.state(of: "a", .active) == nil)
    #expect(try store.executions(withPrefix: "").isEmpty)
    #expect(try store.snapshots(of: nil) == [])
    #expect(try store.snapshot(1) == nil)
    #expect(try store.removeSnapshots([]) == 0)
    #expect(try store.executionSizes().trees == [])
  }

  @Test("replaces all artifacts of one name", .temporaryFolder, arguments: ExecutionStoreBackend.all)
  func wholeArtifacts(backend: ExecutionStoreBackend) throws {
    let store = try backend.open()
    let (first, second) = (Time.day(1), Time.day(2))
    try store.save(
      [
        .allArtifacts(of: "a", [artifact("x", "k", "1"), artifact("y", "k", #"{"b":[1,null]}"#)]),
        .allArtifacts(of: "b", [artifact("x", "k", "2")]),
      ], now: first, durable: true)
    try store.save([.allArtifacts(of: "a", [artifact("z", "k", "3")])], now: second, durable: true)
    #expect(shown(try store.artifacts(of: "a")) == ["z k 3 \(second) \(second)"])
    #expect(shown(try store.artifacts(of: "b")) == ["x k 2 \(first) \(first)"])
  }

  @Test("changes only artifacts that differ", .temporaryFolder, arguments: ExecutionStoreBackend.all)
  func artifactDelta(backend: ExecutionStoreBackend) throws {
    let store = try backend.open()
    let (first, second) = (Time.day(1), Time.day(2))
    try store.save(
      [.allArtifacts(of: "a", [artifact("x", "k", "1"), artifact("x", "l", "2"), artifact("y", "k", "3")])],
      now: first, durable: true)
    try store.save(
      [.artifacts(of: "a", [artifact("x", "k", "1"), artifact("x", "l", "4"), artifact("z", "k", "5")])],
      now: second, durable: true)
    #expect(
      shown(try store.artifacts(of: "a")) == [
        "x k 1 \(first) \(first)", "x l 4 \(first) \(second)", "y k 3 \(first) \(first)", "z k 5 \(second) \(second)",
      ])
  }

  @Test("makes all changes of one call, or none", .temporaryFolder, arguments: ExecutionStoreBackend.all)
  func atomicity(backend: ExecutionStoreBackend) throws {
    let store = try backend.open()
    try store.save([.allArtifacts(of: "a", [artifact("x", "k", "1")])], now: Time.day(1), durable: true)
    #expect(throws: StoreError.self) {
      try store.save(
        [
          .tree(of: "a", value("tree")),
          .allArtifacts(of: "a", [artifact("y", "k", "2"), artifact("z", "k", "no JSON")]),
        ], now: Time.day(2), durable: true)
    }
    #expect(try store.artifacts(of: "a").map(\.node) == ["x"])
    #expect(try store.tree(of: "a") == nil)
  }

  @Test("keeps one tree and two states of each name", .temporaryFolder, arguments: ExecutionStoreBackend.all)
  func values(backend: ExecutionStoreBackend) throws {
    let store = try backend.open()
    let (first, second) = (Time.day(1), Time.day(2))
    try store.save(
      [.tree(of: "a", value("1")), .state(of: "a", .active, value("2")), .tree(of: "b", value("3"))], now: first,
      durable: true)
    try store.save(
      [.tree(of: "a", value("4")), .state(of: "a", .pending, value("5"))], now: second, durable: false)
    #expect(try store.tree(of: "a") == StoredValue(value: value("4"), createdAt: first, updatedAt: second))
    #expect(try store.state(of: "a", .active) == StoredValue(value: value("2"), createdAt: first, updatedAt: first))
    #expect(try store.state(of: "a", .pending) == StoredValue(value: value("5"), createdAt: second, updatedAt: second))
    #expect(try store.executions(withPrefix: "").map { "\($0.name) \($0.hasState)" } == ["a true", "b false"])
    try store.save(
      [.state(of: "a", .active, nil), .state(of: "a", .pending, nil), .tree(of: "b", nil)], now: second, durable: true)
    #expect(try store.executions(withPrefix: "").map { "\($0.name) \($0.hasState)" } == ["a false"])
    #expect(try store.state(of: "a", .pending) == nil)
    let sizes = try store.executionSizes()
    #expect(sizes.trees.map { "\($0.name) \($0.storedBytes) \($0.bytes) \($0.updatedAt)" } == ["a 1 2 \(second)"])
    #expect(sizes.states == [])
  }

  @Test("finds executions by how their names begin", .temporaryFolder, arguments: ExecutionStoreBackend.all)
  func prefixes(backend: ExecutionStoreBackend) throws {
    let store = try backend.open()
    let names = [
      ExecutionName.run("main", "p", "2"), ExecutionName.run("main", "p", "1"), ExecutionName.run("main", "p%", "1"),
      ExecutionName.pipeline("main", "p"), "other", #"["é","p","1"]"#,
    ]
    try store.save(names.map { .tree(of: $0, value("x")) }, now: Time.day(1), durable: true)
    func found(_ prefix: String) throws -> [String] { try store.executions(withPrefix: prefix).map(\.name) }
    #expect(try found(ExecutionName.runsPrefix("main", "p")) == Array(names[0...1]))
    #expect(try found(ExecutionName.runsPrefix("é", "p")) == [names[5]])
    #expect(try found("[").count == 5)
  }

  @Test("keeps every snapshot, also of one moment", .temporaryFolder, arguments: ExecutionStoreBackend.all)
  func snapshots(backend: ExecutionStoreBackend) throws {
    let store = try backend.open()
    let first = try store.save(snapshot("1111111111111111"))
    let second = try store.save(snapshot("2222222222222222"))
    let other = try store.save(snapshot("3333333333333333", "b", day: 0))
    #expect(first.number < second.number && second.number < other.number)
    #expect(try store.snapshots(of: "a") == [first, second])
    #expect(try store.snapshots(of: nil) == [first, second, other])
    #expect(first.note == "note 1111111111111111" && first.kind == "manual" && first.createdAt == Time.day(1))
    #expect(first.size == 22 && first.storedSize == 21)
    #expect(try store.snapshot(second.number) == value("data 2222222222222222"))
    #expect(try store.removeSnapshots([first.number, 99]) == 1)
    #expect(try store.snapshots(of: "a") == [second])
    #expect(throws: StoreError.self) { try store.save(snapshot("2222222222222222")) }
    #expect(
      try store.executionSizes().snapshots.map { "\($0.name) \($0.count) \($0.storedBytes)" } == ["a 1 21", "b 1 21"])
  }

  @Test("removes what is in excess of a name and kind", .temporaryFolder, arguments: ExecutionStoreBackend.all)
  func pruning(backend: ExecutionStoreBackend) throws {
    let store = try backend.open()
    _ = try store.save(snapshot("0000000000000000", kind: "manual"))
    _ = try store.save(snapshot("0000000000000001", "b", kind: "run"))
    for number in 1...4 {
      var request = snapshot("aaaaaaaaaaaaaaa\(number)", kind: number == 2 ? "interval" : "run")
      request.pruned = (["run", "interval"], 2)
      _ = try store.save(request)
    }
    #expect(
      try store.snapshots(of: nil).map(\.id) == [
        "0000000000000000", "0000000000000001", "aaaaaaaaaaaaaaa3", "aaaaaaaaaaaaaaa4",
      ])
  }

  @Test("is one for all who open it", .temporaryFolder, arguments: ExecutionStoreBackend.all.filter(\.isShared))
  func sharing(backend: ExecutionStoreBackend) throws {
    try backend.open().save([.tree(of: "a", value("1"))], now: Time.day(1), durable: true)
    #expect(try backend.open().tree(of: "a")?.value == value("1"))
  }
}
