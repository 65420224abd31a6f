import Dispatch
import Glibc
import PurserModel
import PurserSQLite
import PurserStore
import Synchronization
import Testing

@testable import Purser

@Suite("Environment variables")
struct EnvironmentTests {
  private func workspace(_ variables: ByteString...) -> Workspace {
    var workspace = Workspace()
    for variable in variables {
      let parts = variable.bytes.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      workspace.environment.set(ByteString(parts[0]), to: ByteString(parts[1]))
    }
    return workspace
  }

  private var spec: TaskSpec {
    var spec = TaskSpec("t", outputs: ["out"])
    spec.environment = ["TOKEN"]
    return spec
  }

  @Test("that are declared change the key, others do not", .temporaryFolder)
  func changes() throws {
    let first = workspace("TOKEN=one", "OTHER=1")
    try first.run(spec, try first.cache(), writing: ["out": "1"])
    #expect(try workspace("TOKEN=one", "OTHER=2").cache().decide(spec).word == "fresh")
    #expect(try workspace("TOKEN=one", "TOKEN2=x").cache().decide(spec).word == "fresh")
    for other in [workspace("TOKEN=two"), workspace("TOKEN="), workspace(), workspace("TOKEN=one ")] {
      let decision = try other.cache().decide(spec)
      #expect(decision.summary == "run codeChanged" && decision.changes == ["env TOKEN"])
    }
  }

  @Test("absent and empty differ", .temporaryFolder)
  func absent() throws {
    let absent = workspace()
    try absent.run(spec, try absent.cache(), writing: ["out": "1"])
    #expect(try absent.cache().decide(spec).word == "fresh")
    #expect(try workspace("TOKEN=").cache().decide(spec).word == "run")
  }

  @Test("values never stand in the store, neither as they are nor as a plain digest", .temporaryFolder)
  func secrecy() throws {
    let secret = "correct-horse-battery-staple"
    let workspace = workspace(ByteString("TOKEN=\(secret)"))
    let cache = try workspace.cache()
    try workspace.run(spec, cache, writing: ["out": "1"])
    try workspace.run(spec, cache, writing: ["out": "2"], .failure(exitCode: 1))
    cache.saveStatCache()
    let digest = sha256(secret)
    let files = workspace.folder.files(in: "store")
    #expect(files.contains("store/records.db") && files.contains("store/key"))
    for file in files {
      let bytes = try workspace.folder.bytes(file)
      for needle in [Array(secret.utf8), digest.bytes, Array(digest.hex.utf8)] {
        #expect(!contains(bytes, needle), "\(file)")
      }
    }
  }

  @Test("another store has other keys for the same values", .temporaryFolder)
  func keyed() throws {
    let workspace = workspace("TOKEN=one")
    var keys: Set<Digest> = []
    for store: ByteString in ["a", "b"] {
      _ = try workspace.cache()
      var project = workspace.project()
      project.store = workspace.folder(store)
      let cache = TaskCache(project: project, environment: workspace.environment)
      keys.insert(try cache.assess(spec, DecisionOptions()).survey.fingerprint.actionKey)
    }
    #expect(keys.count == 2)
  }

  @Test("the store's key is made once, whoever asks at the same time", .temporaryFolder)
  func keyRace() throws {
    let folder = TemporaryFolder.current
    for round in 0..<25 {
      let store = folder(ByteString("store \(round)"))
      let found = Mutex<[[UInt8]]>([])
      let failures = Mutex<[String]>([])
      DispatchQueue.concurrentPerform(iterations: 4) { _ in
        do throws(PurserError) {
          let key = try SecretKey.load(store: store)
          found.withLock { $0.append(key) }
        } catch {
          failures.withLock { $0.append(error.message) }
        }
      }
      let now = try SecretKey.load(store: store)
      #expect(failures.withLock { $0 } == [])
      #expect(found.withLock { $0 } == [[UInt8]](repeating: now, count: 4))
      #expect(now.count == 32 && Set(now).count > 4)
      #expect((folder.mode(ByteString("store \(round)/key")) ?? 0) & 0o777 == 0o600)
      #expect(!folder.names(in: ByteString("store \(round)")).contains { $0.hasPrefix("key.") })
    }
  }

  @Test("a key that is damaged is refused, not replaced", .temporaryFolder, arguments: [0, 31, 33])
  func damagedKey(size: Int) throws {
    let workspace = workspace("TOKEN=one")
    try workspace.folder.write("store/key", [UInt8](repeating: 7, count: size))
    let cache = try workspace.cache()
    let path = workspace.folder("store/key")
    #expect(
      error { _ = try cache.decide(spec) }
        == PurserError(
          .unavailable, "the store's key '\(path)' is damaged; remove it to start a new one"))
    #expect(try workspace.folder.bytes("store/key").count == size)
  }

  private func contains(_ bytes: [UInt8], _ needle: [UInt8]) -> Bool {
    guard let first = needle.first else { return true }
    return bytes.indices.contains { bytes[$0] == first && bytes[$0...].starts(with: needle) }
  }
}
