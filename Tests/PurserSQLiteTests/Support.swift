import PurserHashing
import PurserMemoryStore
import PurserModel
import PurserSQLite
import PurserStore
import Synchronization
import Testing

/// What the contract suites are run against: every backend of the record store.
struct RecordStoreBackend: Sendable, CustomTestStringConvertible {
  let testDescription: String
  /// Opens a store in a folder; two of one folder are two clients of one store.
  let openStore: @Sendable (ByteString) throws -> any RecordStore

  static let all = [
    RecordStoreBackend(testDescription: "SQLite") {
      SQLiteRecordStore(directory: $0, isDurable: false, now: { Time.day(1) })
    },
    RecordStoreBackend(testDescription: "memory") { folder in
      memoryStores.withLock { stores in
        if let known = stores[folder] { return known }
        let store = MemoryRecordStore(now: { Time.day(1) })
        stores[folder] = store
        return store
      }
    },
  ]

  /// Each by the folder that it would be in: its clients are one object.
  private static let memoryStores = Mutex<[ByteString: MemoryRecordStore]>([:])

  /// A store in the test's own folder.
  func open() throws -> any RecordStore { try openStore(TemporaryFolder.current("store")) }
}

/// Times of a test.
enum Time {
  static func day(_ number: Int) -> String {
    Timestamp.string(microseconds: 1_767_225_600_000_000 + Int64(number) * 86_400_000_000)
  }
}

func digest(_ text: String) -> Digest { SHA256.digest(of: Array(text.utf8)) }

func key(_ task: String, on storageKey: String = "main", pipeline: String = "penguins") -> TaskKey {
  TaskKey(storageKey: storageKey, pipeline: pipeline, task: task)
}

/// One attempt at a task, with a default for everything.
struct Step {
  var key: TaskKey
  var components: [Component]
  /// Small files that it makes.
  var outputs: [ByteString: String] = [:]
  var patterns: [ByteString]?
  var upstream: [String] = []
  var log: String?
  var treeNodes: [Digest: [UInt8]] = [:]
  var trace: TaskTrace?
  var undeclared: [Component]?
  var day = 1
  var leases: [String]?
  var owner = LeaseProcess(pid: 42, startTime: 7, processGroup: nil)

  init(_ task: String, on storageKey: String = "main", pipeline: String = "penguins", version: String = "1") {
    key = TaskKey(storageKey: storageKey, pipeline: pipeline, task: task)
    components = [
      Component(.argv, "", .list(["make", ByteString(task)])),
      Component(.inputFile, "raw.csv", .file(digest(version), isExecutable: false)),
    ]
  }

  var fingerprint: Fingerprint { ActionKey.fingerprint(of: components) }

  var actionKey: Digest { fingerprint.actionKey }

  var newRun: NewRun {
    var run = NewRun(
      key: key, kind: "run", actionKey: actionKey, reasons: #"[{"kind":"neverRan"}]"#, createdBy: "me@here",
      specification: specification, previousRun: nil, previousRunState: nil,
      leases: leases ?? ["task \(key.storageKey) \(key.pipeline) \(key.task)"], worker: "boot/pid", owner: owner,
      now: Time.day(day), expiresAt: Time.day(day + 1))
    run.dependencies = upstream
    return run
  }

  var specification: String { JSON.object([("id", .string(key.task))]).serialized }

  /// Opens the run, as somebody who has just looked at the record, and who looks again if it was moved.
  func begin(in store: any RecordStore, replacing tokens: [Int64] = []) throws -> OpenRun {
    for _ in 0..<2 {
      var run = newRun
      let record = try store.record(key)
      (run.previousRun, run.previousRunState) = (record?.lastRun, record?.lastRunState)
      if case .opened(let open) = try store.begin(run, replacing: tokens) { return open }
    }
    throw StoreError(.busy, "'\(key.task)' could not be opened")
  }

  var manifest: OutputManifest {
    OutputManifest(
      patterns: patterns ?? outputs.keys.sorted(),
      entries: outputs.map { path, content in
        OutputManifest.Entry(
          path: path, kind: .file, mode: 0o644, digest: digest(content), size: UInt64(content.utf8.count))
      })
  }

  /// The outcome of a success.
  var success: RunOutcome {
    var outcome = ending(.completed, .success, exitCode: 0)
    outcome.manifest = manifest
    outcome.outputsVersion = manifest.digest
    outcome.blobs = outputs.values.sorted().map(Self.blob)
    if let log {
      outcome.log = digest(log)
      outcome.blobs.append(Self.blob(log))
    }
    return outcome
  }

  func ending(_ state: RunState, _ status: TaskStatus?, exitCode: Int32?) -> RunOutcome {
    var outcome = RunOutcome(
      state: state, status: status, exitCode: exitCode, startedAt: Time.day(day), finishedAt: Time.day(day),
      durationMicroseconds: 1234, fingerprint: fingerprint)
    outcome.treeNodes = treeNodes
    outcome.trace = trace
    outcome.undeclared = undeclared
    outcome.dependencies = upstream
    return outcome
  }

  /// Runs the task with success.
  @discardableResult
  func run(in store: any RecordStore) throws -> OpenRun {
    let run = try begin(in: store)
    try store.finish(run, with: success)
    return run
  }

  /// Puts a result back.
  func restore(_ result: ActionResult, in store: any RecordStore) throws {
    let run = try begin(in: store)
    var outcome = ending(.completed, .success, exitCode: 0)
    outcome.restored = result
    outcome.log = result.log
    try store.finish(run, with: outcome)
  }

  static func blob(_ content: String) -> NewBlob {
    NewBlob(
      digest: digest(content), size: UInt64(content.utf8.count), encoding: .identity,
      inlineContent: Array(content.utf8))
  }
}

extension RecordStore {
  func record(_ key: TaskKey) throws -> TaskRecord? { try records(for: [key])[0] }

  func newestResult(of step: Step) throws -> ActionResult {
    try #require(try results(for: [step.actionKey])[step.actionKey]?.first)
  }

  func invalidate(
    _ tasks: [TaskKey], downstream: Bool = false, allKeys: Bool = false, day: Int = 2, why: String = "because"
  ) throws -> [String] {
    try invalidate(
      InvalidationRequest(
        keys: tasks, includesDownstream: downstream, allKeys: allKeys,
        mark: Invalidation(at: Time.day(day), by: "me@here", why: why))
    ).map { "\($0.storageKey)/\($0.task)" }
  }
}

/// The code of the error that a call throws; `nil` if it throws none.
func code(_ body: () throws -> Void) -> StoreError.Code? {
  do {
    try body()
    return nil
  } catch {
    return (error as? StoreError)?.code
  }
}
