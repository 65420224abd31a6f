import Glibc
import PurserBlobs
public import PurserModel
import PurserSQLite
package import PurserStore

/// What executions of graphs leave, for whoever runs graphs of their own: results of their nodes, the tree of an
/// execution, what of it is active and pending, and snapshots of any bytes.
///
/// ```swift
/// let store = try RecoveryStore.open("sqlite:flow.db")
/// try store.saveCacheDelta("nightly", ["clean": ["rows": .integer(344)]])
/// try store.saveExecutionState("nightly", .pending, Array(#"["report"]"#.utf8))
/// ```
///
/// An execution has a name, any text; those that look like JSON arrays are Purser's own (``ExecutionName``): `purser run`
/// saves here what its tasks leave, and how far they are. Trees, states and snapshots are compressed (zstd, level 3), and
/// checked by their size and SHA-256 when they are loaded. Every write is one transaction, on disk when the call returns.
/// Safe to use from several threads and processes. Calls block on the disk; do not make them on Swift's cooperative pool.
///
/// Errors: `unavailable` for a file that is no store, or is on a network file system; `busy` where another process has
/// written for half a minute; `io` for a disk that fails or is full, and for a value that is damaged, which it names.
public final class RecoveryStore: Sendable {
  /// What tasks left: by task, then by key. Names are told apart by Swift's rules for text.
  public typealias Cache = [String: [String: JSON]]

  package let store: any ExecutionStore
  private let codec = ZstdCodec()

  package init(_ store: any ExecutionStore) {
    self.store = store
  }

  /// Opens a store, made when it is first written to.
  ///
  /// - Parameter url: `sqlite::memory:` for one that nobody else sees and that goes with the object; else a path, with
  ///   `sqlite:` before it or without: a folder that holds `records.db`, such as a project's `.purser`, or a file of its
  ///   own, which has the same tables.
  /// - Throws: `usage` for an empty path, or one of another scheme.
  public static func open(_ url: String) throws(PurserError) -> RecoveryStore {
    let scheme = "sqlite:"
    let path = ByteString(escaped: url.hasPrefix(scheme) ? String(url.dropFirst(scheme.count)) : url) ?? ByteString(url)
    guard url != scheme + ":memory:" else { return RecoveryStore(openStore(.memory)) }
    if let other = url.split(separator: ":", maxSplits: 1).first, url.hasPrefix(other + "://") {
      throw PurserError(.usage, "'\(url)' is of kind '\(other)'; a store is a path, sqlite:PATH or sqlite::memory:")
    }
    guard !path.isEmpty else { throw PurserError(.usage, "name the store: a path, sqlite:PATH or sqlite::memory:") }
    let absolute = (try? absolutePath(path)) ?? path
    // One file has one gate, by whatever name it is opened.
    if FileKind.of(absolute) == .directory { return RecoveryStore(openStore(.folder(absolute))) }
    if absolute.lastPathComponent == "records.db" { return RecoveryStore(openStore(.folder(absolute.parentPath))) }
    return RecoveryStore(openStore(.file(absolute)))
  }

  private static func openStore(_ place: StorePlace) -> SQLiteRecordStore {
    SQLiteRecordStore(
      place, isDurable: ProcessEnvironment.current["PURSER_DURABILITY"] != "fast", now: { TaskCache.now() })
  }

  /// From the root, without links where the file is there.
  private static func absolutePath(_ path: ByteString) throws -> ByteString {
    func resolved(_ path: ByteString) -> ByteString? {
      guard let real = path.withCString({ realpath($0, nil) }) else { return nil }
      defer { free(real) }
      return ByteString(UnsafeRawBufferPointer(start: real, count: strlen(real)))
    }
    if let there = resolved(path) { return there }
    let parent = path.parentPath
    return (resolved(parent.isEmpty ? "." : parent) ?? parent).appending(path: path.lastPathComponent)
  }

  // MARK: What tasks left

  /// Saves what an execution's tasks left in place of all that was there; atomic. O(entries).
  public func saveCache(_ name: String, _ cache: Cache) throws(PurserError) {
    try save([.allArtifacts(of: name, Self.artifacts(cache))])
  }

  /// Saves what tasks left anew, and nothing else: entries that are not named stay, one that has the same value keeps its
  /// `updated_at`. Atomic. O(entries).
  public func saveCacheDelta(_ name: String, _ delta: Cache) throws(PurserError) {
    try save([.artifacts(of: name, Self.artifacts(delta))])
  }

  /// All that an execution's tasks left; nothing for an unknown name. O(entries).
  public func loadCache(_ name: String) throws(PurserError) -> Cache {
    try asking {
      var cache: Cache = [:]
      for artifact in try store.artifacts(of: name) {
        guard let value = try? JSON(parsing: artifact.value.utf8) else {
          throw StoreError(.corrupt, "the artifact '\(artifact.key)' of '\(artifact.node)' in \(name) is damaged")
        }
        cache[artifact.node, default: [:]][artifact.key] = value
      }
      return cache
    }
  }

  private static func artifacts(_ cache: Cache) -> [Artifact] {
    cache.flatMap { node, values in
      values.map { key, value in Artifact(node: node, key: key, value: value.serialized) }
    }
  }

  // MARK: Trees

  /// Saves the tree of an execution, in place of the one that was there. O(nodes).
  public func saveExecutionTree(_ name: String, _ tree: ExecutionTree) throws(PurserError) {
    try asking { try save([.tree(of: name, codec.seal(tree.serialized))]) }
  }

  /// The tree of an execution; `nil` where none was saved. O(nodes).
  public func loadExecutionTree(_ name: String) throws(PurserError) -> ExecutionTree? {
    try asking {
      guard let stored = try store.tree(of: name) else { return nil }
      let text = try codec.open(stored.value, named: "the execution tree of \(name)")
      guard let tree = (try? JSON(parsing: text)).flatMap({ ExecutionTree(json: $0) }) else {
        throw StoreError(.corrupt, "the execution tree of \(name) cannot be read; it is of another version, or damaged")
      }
      return tree
    }
  }

  // MARK: States

  /// Saves what of an execution is active, or what is pending: any bytes. O(size).
  public func saveExecutionState(_ name: String, _ phase: ExecutionPhase, _ state: [UInt8]) throws(PurserError) {
    try asking { try save([.state(of: name, phase, codec.seal(state))]) }
  }

  /// What was saved last; `nil` where nothing was, or it was removed. O(size).
  public func loadExecutionState(_ name: String, _ phase: ExecutionPhase) throws(PurserError) -> [UInt8]? {
    try asking {
      guard let stored = try store.state(of: name, phase) else { return nil }
      return try codec.open(stored.value, named: "the \(phase.rawValue) state of \(name)")
    }
  }

  /// Removes what is active and pending of an execution: it is over. Its tree stays.
  public func removeExecutionState(_ name: String) throws(PurserError) {
    try save(ExecutionPhase.allCases.map { .state(of: name, $0, nil) })
  }

  // MARK: Snapshots

  /// Saves a snapshot: any bytes. Two taken at one moment are two. O(size).
  @discardableResult
  public func saveSnapshot(_ name: String, _ data: [UInt8], note: String = "") throws(PurserError) -> SnapshotEntry {
    try asking {
      try store.save(
        NewSnapshot(
          id: TaskCache.newSnapshotID(), name: name, kind: "manual", note: note, by: ProcessEnvironment.current.author,
          now: TaskCache.now(), value: codec.seal(data)))
    }
  }

  /// What the last snapshot holds; `nil` where there is none. O(size).
  public func loadLatestSnapshot(_ name: String) throws(PurserError) -> [UInt8]? {
    try load(snapshots(of: name).last)
  }

  /// What the last snapshot that was taken by then holds; `nil` where there is none.
  ///
  /// - Parameter time: ISO 8601 in UTC, such as `2026-11-21T08:30:00Z`.
  /// - Throws: `usage` for what is no such time.
  public func loadSnapshot(_ name: String, at time: String) throws(PurserError) -> [UInt8]? {
    guard let time = Timestamp.microseconds(time) else {
      throw PurserError(.usage, "'\(time)' is no time; write it as 2026-11-21T08:30:00Z")
    }
    return try load(snapshots(of: name).last { (Timestamp.microseconds($0.createdAt) ?? 0) <= time })
  }

  /// What a snapshot holds, by its id or the beginning of it, four digits at least.
  ///
  /// - Throws: `missing` where no snapshot's id begins so, `usage` where several do.
  public func loadSnapshot(id: String, of name: String) throws(PurserError) -> [UInt8] {
    let entry = try TaskCache.snapshot(id, among: snapshots(of: name))
    guard let data = try load(entry) else { throw PurserError(.missing, "snapshot \(entry.id) is gone") }
    return data
  }

  /// The snapshots of a name, in the order in which they were taken. O(snapshots).
  public func snapshots(of name: String) throws(PurserError) -> [SnapshotEntry] {
    try asking { try store.snapshots(of: name) }
  }

  /// Removes all but the newest `count`; returns how many.
  @discardableResult
  public func pruneSnapshots(_ name: String, keeping count: Int) throws(PurserError) -> Int {
    try asking { try store.removeSnapshots(store.snapshots(of: name).dropLast(max(0, count)).map(\.number)) }
  }

  private func load(_ entry: SnapshotEntry?) throws(PurserError) -> [UInt8]? {
    try asking {
      guard let entry, let value = try store.snapshot(entry.number) else { return nil }
      return try codec.open(value, named: "snapshot \(entry.id)")
    }
  }

  // MARK: Everything

  /// What is stored, for people: how many artifacts, trees, snapshots and states each execution has, and their bytes as
  /// stored. O(store).
  public func dump() throws(PurserError) -> StoreDump {
    try asking { StoreDump(try store.executionSizes()) }
  }

  private func save(_ changes: [ExecutionChange]) throws(PurserError) {
    try asking { try store.save(changes, now: TaskCache.now(), durable: true) }
  }

  private func asking<Result>(_ body: () throws -> Result) throws(PurserError) -> Result {
    do {
      return try body()
    } catch {
      throw PurserError(wrapping: error)
    }
  }
}

/// How much a store holds of executions, as `purser db dump` shows it.
public struct StoreDump: Sendable {
  let sizes: ExecutionSizes

  init(_ sizes: ExecutionSizes) {
    self.sizes = sizes
  }

  /// As lines of text.
  public var text: String {
    var lines = ["=== SQLite DB contents ===", "Artifacts by execution:"]
    lines += sizes.artifacts.map { "  \(Self.shown($0.name)): \($0.count) \($0.count == 1 ? "entry" : "entries")" }
    lines.append("Execution trees:")
    lines += sizes.trees.map { "  \(Self.shown($0.name)): \($0.storedBytes) bytes" }
    lines.append("Snapshots by execution:")
    lines += sizes.snapshots.map {
      "  \(Self.shown($0.name)): \($0.count) \($0.count == 1 ? "snapshot" : "snapshots"), \($0.storedBytes) bytes"
    }
    lines.append("Execution states:")
    lines += sizes.states.map { "  \(Self.shown($0.name)) \($0.phase?.rawValue ?? "?"): \($0.storedBytes) bytes" }
    return lines.joined(separator: "\n")
  }

  /// `{"artifacts":[{"execution","entries"}],"trees":[{"execution","storedBytes","bytes","updatedAt"}],
  /// "snapshots":[{"execution","snapshots","storedBytes"}],"states":[{"execution","state","storedBytes","bytes",
  /// "updatedAt"}]}`
  public var json: JSON {
    func members(_ value: ExecutionSizes.Value) -> [(String, JSON)] {
      [
        ("storedBytes", .integer(Int64(clamping: value.storedBytes))),
        ("bytes", .integer(Int64(clamping: value.bytes))),
        ("updatedAt", .string(value.updatedAt)),
      ]
    }
    return .object([
      (
        "artifacts",
        .array(
          sizes.artifacts.map {
            .object([("execution", .string($0.name)), ("entries", .integer(Int64($0.count)))])
          })
      ),
      ("trees", .array(sizes.trees.map { .object([("execution", .string($0.name))] + members($0)) })),
      (
        "snapshots",
        .array(
          sizes.snapshots.map {
            .object([
              ("execution", .string($0.name)), ("snapshots", .integer(Int64($0.count))),
              ("storedBytes", .integer(Int64(clamping: $0.storedBytes))),
            ])
          })
      ),
      (
        "states",
        .array(
          sizes.states.map {
            .object(
              [("execution", .string($0.name)), ("state", .string($0.phase?.rawValue ?? ""))] + members($0))
          })
      ),
    ])
  }

  /// Purser's own names as `KEY / PIPELINE (run ID)`, others in quotes.
  private static func shown(_ name: String) -> String {
    guard let parts = ExecutionName.parts(of: name) else { return "'\(TaskCache.shown(name))'" }
    let shown = parts.map(TaskCache.shown)
    return switch shown.count {
    case 1: shown[0]
    case 2: "\(shown[0]) / \(shown[1])"
    default: "\(shown[0]) / \(shown[1]) (run \(shown[2]))"
    }
  }
}
