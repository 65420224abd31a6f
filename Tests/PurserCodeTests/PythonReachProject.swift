import PurserCode
import PurserHashing
import PurserModel
import Testing

/// Files in a folder of their own below the test's.
struct PythonReachProject {
  typealias Files = [ByteString: String]

  let folder: ByteString
  private(set) var files: Files

  private static let root: ByteString = "projects"

  /// Writes the files.
  init(_ name: ByteString, _ files: Files) throws {
    folder = Self.root + "/" + name
    self.files = files
    for (path, text) in files { try TemporaryFolder.current.write(folder + "/" + path, text) }
  }

  /// What a function reaches, by "path:name" and by path for those that count as a whole.
  struct Reached {
    var digests: [String: Digest] = [:]
    var files: [String] = []
    var folders: [String] = []
    var remarks: [String] = []

    var names: [String] { digests.keys.sorted() }

    /// What differs.
    func changes(to other: Reached) -> [String] {
      Set(digests.keys).union(other.digests.keys).filter { digests[$0] != other.digests[$0] }.sorted()
    }
  }

  func reach(
    _ function: ByteString?, in path: ByteString = "step.py", beside others: [ByteString] = [],
    skipping skipped: Set<ByteString> = [], summaries: SummaryCache = SummaryCache(path: nil)
  ) throws -> Reached {
    let follower = CodeFollower(
      root: TemporaryFolder.current(folder), hasher: FileHasher(cache: StatCache(path: nil), workers: 1),
      summaries: summaries)
    let request = CodeRequest(
      files: ([path] + others).map { CodeRequest.Start(path: $0, content: nil) }, workingDirectory: "",
      sourceFolders: [])
    let reach = try follower.reach(of: function, in: path, for: request, skipping: { skipped.contains($0) })
    var reached = Reached()
    for definition in reach.definitions {
      let name = "\(definition.path):\(definition.name)"
      #expect(reached.digests[name] == nil)
      reached.digests[name] = definition.digest
    }
    for file in reach.wholeFiles { reached.digests[file.path.escaped] = file.content.digest }
    reached.files = reach.files.map(\.path.escaped)
    reached.folders = reach.folders.map(\.path.escaped)
    reached.remarks = reach.remarks.map(\.text)
    #expect(reach.definitions == reach.definitions.sorted { ($0.path, $0.name) < ($1.path, $1.name) })
    return reached
  }

  /// The same files with one text in place of another that stands there once.
  func changing(_ path: ByteString, _ old: String, to new: String) throws -> Files {
    var files = files
    let text = try #require(files[path])
    let parts = Self.split(text, at: old)
    try #require(parts.count == 2, "'\(old)' stands \(parts.count - 1) times in \(path)")
    files[path] = parts.joined(separator: new)
    return files
  }

  private static func split(_ text: String, at separator: String) -> [String] {
    var parts: [String] = []
    var part = ""
    var rest = text[...]
    while let first = rest.first {
      if rest.hasPrefix(separator) {
        parts.append(part)
        part = ""
        rest = rest.dropFirst(separator.count)
      } else {
        part.append(first)
        rest = rest.dropFirst()
      }
    }
    return parts + [part]
  }
}
