import Glibc
import PurserCode
package import PurserHashing
package import PurserModel
package import PurserPipeline

/// A pipeline file as it lies on disk.
package struct PipelineSource: Sendable {
  /// Its name, for messages.
  package var name: String
  /// Whose format it has.
  package var dialect: PipelineFile.Dialect
  /// Its content.
  package var bytes: [UInt8]
  /// Of the content, the format and the default graph's name.
  package var digest: Digest
}

/// Finds and reads a project's pipeline file. What was read is kept in the store by the file's digest, so that an
/// unchanged file is not parsed again.
package struct PipelineLoader {
  let root: ByteString
  let store: ByteString
  /// The name of the graph in a file that defines none.
  let defaultGraph: String
  /// Where the file may stand instead of the disk.
  let overlay: FileOverlay?

  package init(project: Project, overlay: FileOverlay? = nil) {
    self.overlay = overlay
    root = project.root
    store = project.store
    defaultGraph = project.rootName
  }

  /// The file's name and format; `nil` where there is none.
  package func find() -> (name: ByteString, dialect: PipelineFile.Dialect)? {
    for (name, dialect) in [("purser.yaml", PipelineFile.Dialect.purser), ("kptn.yaml", .kptn)] {
      let path = ByteString(name)
      if kind(of: root.appending(path: path)) != nil { return (path, dialect) }
    }
    return nil
  }

  private func kind(of path: ByteString) -> FileKind? {
    guard let overlay else { return FileKind.of(path) }
    return (try? overlay.identity(of: path, followLinks: false)).map { FileKind($0.kind) }
  }

  /// Reads the file's bytes; `nil` where there is none. Throws `pipeline` for one that cannot be read.
  package func source() throws(PurserError) -> PipelineSource? {
    guard let (name, dialect) = find() else { return nil }
    let bytes = try read(root.appending(path: name))
    var key = ByteWriter()
    key.append(byte: dialect.rawValue)
    key.append(lengthPrefixed: Array(defaultGraph.utf8))
    key.append(bytes)
    let shown = name.escaped + (overlay.map { " " + $0.label } ?? "")
    return PipelineSource(name: shown, dialect: dialect, bytes: bytes, digest: SHA256.digest(of: key.bytes))
  }

  /// What the file says: as kept, or parsed.
  ///
  /// - Throws: everything that is wrong with it.
  package func file(of source: PipelineSource) throws(PipelineFileError) -> PipelineFile {
    if let kept = kept(source.digest) { return kept }
    let file = try PipelineFile.parse(source.bytes, dialect: source.dialect, defaultGraph: defaultGraph)
    // What is kept is for the file on disk: the next command reads that one.
    if overlay == nil { StateFile.replace(keptPath, in: keptPath.parentPath, with: source.digest.bytes + file.encoded) }
    return file
  }

  private func read(_ path: ByteString) throws(PurserError) -> [UInt8] {
    if let overlay {
      guard let bytes = SourceFile.read(path, limit: PipelineFile.maximumSize + 1, in: overlay) else {
        throw PurserError(.pipeline, "'\(path.printable)' cannot be read \(overlay.label); it has to be a file there")
      }
      return bytes
    }
    do {
      return try PipelineText.read(path)
    } catch {
      throw Self.unreadable(path, error.code)
    }
  }

  private static func unreadable(_ path: ByteString, _ code: Int32) -> PurserError {
    PurserError(.pipeline, "'\(path.printable)' cannot be read: \(String(cString: strerror(code)))")
  }

  // MARK: What was read before

  private var keptPath: ByteString { store.appending(path: "pipeline-cache") }

  private func kept(_ digest: Digest) -> PipelineFile? {
    let descriptor = keptPath.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_size > 32, info.st_size < 8 * PipelineFile.maximumSize else {
      return nil
    }
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(info.st_size)) { buffer, count in
      count = max(0, Glibc.read(descriptor, buffer.baseAddress, buffer.count))
    }
    guard bytes.count == Int(info.st_size), Digest(bytes: Array(bytes.prefix(32))) == digest else { return nil }
    return PipelineFile(encoded: Array(bytes.dropFirst(32)))
  }
}

extension PipelineLoader {
  /// The graph that is meant: the one named, else the file's only one; `nil` without a name where there are several.
  package static func graph(_ name: String?, of file: PipelineFile) -> GraphDefinition? {
    if let name { return file.graphs.first { $0.name == name } }
    return file.graphs.count == 1 ? file.graphs[0] : nil
  }
}
