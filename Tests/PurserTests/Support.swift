import Glibc
import PurserHashing
import PurserModel
import PurserStore
import Testing

@testable import Purser

/// A project in the test's own folder.
struct Workspace {
  var folder: TemporaryFolder { TemporaryFolder.current }
  var environment = ProcessEnvironment(entries: ["USER=me", "PATH=/usr/bin:/bin"])

  func project(on storageKey: String = "main", pipeline: String = "penguins") -> Project {
    Project(
      root: folder("project"), store: folder("store"), storageKey: storageKey, pipeline: pipeline,
      currentFolder: folder("project"))
  }

  /// A cache as another process would open it.
  func cache(on storageKey: String = "main", pipeline: String = "penguins") throws -> TaskCache {
    if folder.mode("project") == nil { try folder.makeFolder("project") }
    return TaskCache(project: project(on: storageKey, pipeline: pipeline), environment: environment)
  }

  func write(_ name: ByteString, _ content: String, mode: mode_t = 0o644) throws {
    try folder.write("project/" + name, content, mode: mode)
  }

  func text(_ name: ByteString) -> String? { folder.text("project/" + name) }

  func remove(_ name: ByteString) throws { try folder.remove("project/" + name) }

  /// Runs a task whose work is to write files.
  @discardableResult
  func run(
    _ spec: TaskSpec, _ cache: TaskCache, writing files: [ByteString: String] = [:],
    _ ending: Attempt.Ending = .success
  ) throws -> Attempt.Report {
    let attempt = try cache.begin(spec, because: try cache.decide(spec).reasons)
    for (path, content) in files { try write(path, content) }
    return try attempt.finish(ending)
  }

  /// A task that cleans a table.
  static let clean = TaskSpec(
    "clean", code: ["src/clean.py"], inputs: ["raw/*.csv"], outputs: ["build/clean.csv"])

  /// What ``clean`` needs.
  func writeSources() throws {
    try write("src/clean.py", "print(1)")
    try write("raw/a.csv", "1,2")
    try write("raw/b.csv", "3,4")
  }
}

extension Decision {
  /// The word and the kinds of its reasons.
  var summary: String { ([word] + reasons.map(\.kind)).joined(separator: " ") }

  var result: ActionResult? {
    guard case .restore(let result, _) = self else { return nil }
    return result
  }

  /// The names of all components that changed.
  var changes: [String] {
    reasons.flatMap { reason -> [String] in
      switch reason {
      case .codeChanged(let changes), .inputsChanged(let changes), .dataChanged(let changes): changes.map(\.label)
      default: []
      }
    }
  }
}

/// The error that a call throws.
func error(_ body: () throws -> Void) -> PurserError? {
  do {
    try body()
    return nil
  } catch {
    return error as? PurserError
  }
}

/// The digest of a text.
func sha256(_ text: String) -> Digest { SHA256.digest(of: Array(text.utf8)) }

extension Workspace {
  /// Changes a small content where it stands in the record store, as a failing disk would.
  func corruptInlineContent(_ digest: Digest) throws {
    let path = "\(folder("store/records.db"))"
    let script = """
      import sqlite3, sys
      db = sqlite3.connect(sys.argv[1])
      count = db.execute("UPDATE blobs SET content = zeroblob(length(content)) WHERE digest = ?",
        (bytes.fromhex(sys.argv[2]),)).rowcount
      db.commit()
      sys.exit(0 if count == 1 else 1)
      """
    let pipe = try #require(popen("exec python3 -c '\(script)' '\(path)' \(digest.hex)", "r"))
    try #require(pclose(pipe) == 0)
  }
}
