import Glibc
import PurserHashing
import PurserModel

/// Looks at what is on disk where a task's outputs are declared to be.
struct OutputScanner {
  let project: Project
  let hasher: FileHasher
  /// What was looked at before, for a whole plan; `nil` to look now.
  var table: FileTable?

  /// What was found, and which declared literal paths are not there.
  struct Finding: Sendable {
    var manifest: OutputManifest
    var missing: [ByteString]
    /// Globs that match nothing.
    var emptyPatterns: [ByteString]
    /// Everything that was found, but for what a plan had looked at before.
    var identities: [(path: ByteString, identity: FileIdentity)] = []
  }

  /// Scans declared outputs, given as normalized names. Folders in full, empty ones and hidden files included.
  func scan(_ patterns: [ByteString]) throws(FileError) -> Finding {
    if let table, let finding = known(patterns, table) { return finding }
    var finding = Finding(manifest: OutputManifest(), missing: [], emptyPatterns: [])
    var paths: [(ByteString, FileIdentity)] = []
    for pattern in patterns {
      if Glob.isPattern(pattern), hasher.kind(of: project.location(of: pattern)) == nil {
        let matches = try expand(pattern)
        if matches.isEmpty { finding.emptyPatterns.append(pattern) }
        for match in matches {
          paths.append((match, try hasher.identity(of: project.location(of: match), followLinks: false)))
        }
        continue
      }
      do throws(FileError) {
        let identity = try hasher.identity(of: project.location(of: pattern), followLinks: false)
        paths.append((pattern, identity))
        if identity.kind == .directory { try list(pattern, into: &paths) }
      } catch {
        guard error.code == .missing else { throw error }
        finding.missing.append(pattern)
      }
    }
    paths = Self.removingRepetitions(paths)
    finding.identities = paths.map { ($0.0, $0.1) }
    var entries: [OutputManifest.Entry] = []
    var files = paths.filter { $0.1.kind == .file }
    if files.count <= 8 {
      // Nothing to share among threads.
      for (path, identity) in files {
        entries.append(Self.entry(path, try hasher.digest(of: project.location(of: path), identity: identity)))
      }
      files = []
    }
    if !files.isEmpty {
      for ((path, _), result) in zip(files, hasher.digests(of: files.map { project.location(of: $0.0) })) {
        entries.append(Self.entry(path, try result.get()))
      }
    }
    for (path, identity) in paths where identity.kind != .file {
      switch identity.kind {
      case .directory:
        entries.append(
          OutputManifest.Entry(
            path: path, kind: .directory, mode: identity.permissions, digest: SHA256.digest(of: []), size: 0))
      case .symbolicLink:
        let target = try hasher.linkText(of: project.location(of: path))
        entries.append(
          OutputManifest.Entry(
            path: path, kind: .link, mode: 0, digest: SHA256.digest(of: target.bytes), size: UInt64(target.count)))
      default:
        throw FileError(
          code: .notAFile(identity.kind), path: path, message: "is \(identity.kind), which cannot be stored")
      }
    }
    finding.manifest = OutputManifest(patterns: patterns, entries: entries)
    return finding
  }

  /// The finding from the table alone, if all the patterns are files, or nothing, that were looked at.
  private func known(_ patterns: [ByteString], _ table: FileTable) -> Finding? {
    var finding = Finding(manifest: OutputManifest(), missing: [], emptyPatterns: [])
    var entries: [OutputManifest.Entry] = []
    for pattern in patterns {
      switch table[project.location(of: pattern)] {
      case .success(let look)?:
        guard let digest = look.digest else { return nil }
        entries.append(Self.entry(pattern, FileDigest(identity: look.identity, digest: digest)))
      case .failure(let error)?:
        guard error.code == .missing, !Glob.isPattern(pattern) else { return nil }
        finding.missing.append(pattern)
      case nil: return nil
      }
    }
    finding.manifest = OutputManifest(patterns: patterns, entries: entries)
    return finding
  }

  /// Patterns may overlap: each path once, sorted.
  private static func removingRepetitions(
    _ paths: [(ByteString, FileIdentity)]
  ) -> [(ByteString, FileIdentity)] {
    guard paths.count > 1 else { return paths }
    var unique: [(ByteString, FileIdentity)] = []
    unique.reserveCapacity(paths.count)
    for path in paths.sorted(by: { $0.0 < $1.0 }) where unique.last?.0 != path.0 { unique.append(path) }
    return unique
  }

  private static func entry(_ path: ByteString, _ file: FileDigest) -> OutputManifest.Entry {
    OutputManifest.Entry(
      path: path, kind: .file, mode: file.identity.permissions, digest: file.digest, size: UInt64(file.identity.size))
  }

  private func expand(_ pattern: ByteString) throws(FileError) -> [ByteString] {
    var skipped: [ByteString] = []
    if let store = project.store.path(relativeTo: project.root) { skipped.append(store) }
    do {
      return try Glob(pattern).expand(
        root: project.root,
        filter: PathFilter(root: project.root, skippedPaths: skipped, patterns: [], skipsCaches: false),
        overlay: hasher.overlay)
    } catch let error as FileError {
      throw error
    } catch {
      throw FileError(code: .io, path: pattern, errno: EINVAL, message: "\(error)")
    }
  }

  private func list(
    _ folder: ByteString, into paths: inout [(ByteString, FileIdentity)]
  ) throws(FileError) {
    let names: [ByteString]
    do throws(FileError) {
      names = try hasher.names(in: project.location(of: folder))
    } catch {
      throw FileError(errno: error.errno, path: folder)
    }
    for name in names {
      let path = folder.appending(path: name)
      let identity = try hasher.identity(of: project.location(of: path), followLinks: false)
      paths.append((path, identity))
      if identity.kind == .directory { try list(path, into: &paths) }
    }
  }
}

extension ByteString {
  /// The path as a declaration that means this one file, whatever characters it has.
  var asLiteralPattern: ByteString {
    guard Glob.isPattern(self) else { return self }
    return ByteString(bytes.flatMap { "*?[]{}\\".utf8.contains($0) ? [UInt8(ascii: "\\"), $0] : [$0] })
  }
}

extension OutputManifest {
  /// What to look at to see whether the result is still there: the declared outputs; for a mapped task, whose patterns
  /// may match what others made, what its items made.
  var scanned: [ByteString] { patterns.isEmpty ? entries.map(\.path.asLiteralPattern) : patterns }

  /// What differs on disk from this manifest: paths that are gone, and paths that are other than recorded or extra.
  func differences(onDisk found: OutputManifest) -> (missing: [ByteString], modified: [ByteString]) {
    var present: [ByteString: Entry] = [:]
    for entry in found.entries { present[entry.path] = entry }
    var missing: [ByteString] = []
    var modified: [ByteString] = []
    for entry in entries {
      guard let now = present.removeValue(forKey: entry.path) else {
        missing.append(entry.path)
        continue
      }
      if now != entry { modified.append(entry.path) }
    }
    modified += present.keys
    return (missing, modified.sorted())
  }
}
