import CSpawn
import Glibc
import PurserBlobs
import PurserExecution
import PurserHashing
package import PurserModel
package import PurserStore

/// Contents by digest, wherever they are kept: small ones in the record store, large ones as files.
struct ContentStore: Sendable {
  let records: any RecordStore
  let blobs: any BlobStore
  /// Where large temporary files go: the store's own.
  let temporaryFolder: ByteString

  /// Contents that are ready to be named by a commit.
  struct Prepared: Sendable {
    var blobs: [NewBlob] = []
    fileprivate var staged: [StagedBlob] = []

    mutating func add(_ other: Prepared) {
      blobs += other.blobs
      staged += other.staged
    }
  }

  /// Whether every one of these contents can be had. One query, and one system call for each large one.
  func hasAll(_ digests: Set<Digest>) throws(StoreError) -> Bool {
    let known = try records.blobs(Array(digests))
    return digests.allSatisfy { digest in
      guard let blob = known[digest] else { return false }
      return blob.isInline || blobs.contains(digest)
    }
  }

  /// Reads the contents of these entries from the project and stages what the store does not hold yet. Throws, and
  /// leaves nothing behind, if a file is not any more what its entry says.
  func prepare(_ entries: [OutputManifest.Entry], in project: Project) throws(StoreError) -> Prepared {
    var wanted: [Digest: OutputManifest.Entry] = [:]
    for entry in entries where entry.kind != .directory { wanted[entry.digest] = entry }
    let known = try records.blobs(Array(wanted.keys))
    var prepared = Prepared()
    do throws(StoreError) {
      for (digest, entry) in wanted {
        if let blob = known[digest], blob.isInline || blobs.contains(digest) { continue }
        let location = project.location(of: entry.path)
        if entry.size <= InlineBlob.maximumSize {
          let blob = InlineBlob.make(try Self.smallContent(of: entry, at: location))
          try Self.require(blob.digest, toBe: entry)
          prepared.blobs.append(blob)
        } else {
          let blob = try blobs.stage(fileAt: location)
          prepared.staged.append(blob)
          try Self.require(blob.digest, toBe: entry)
        }
      }
      return prepared
    } catch {
      blobs.discard(prepared.staged)
      throw error
    }
  }

  private static func require(_ digest: Digest, toBe entry: OutputManifest.Entry) throws(StoreError) {
    guard digest == entry.digest else {
      throw StoreError(.io, "'\(entry.path.printable)' changed while it was being stored; nothing is stored")
    }
  }

  private static func smallContent(
    of entry: OutputManifest.Entry, at location: ByteString
  ) throws(StoreError) -> [UInt8] {
    if entry.kind == .link { return ((try? FileHasher.linkText(at: location)) ?? "").bytes }
    let descriptor = location.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
    guard descriptor >= 0 else {
      throw StoreError(.io, "'\(entry.path.printable)' cannot be read: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var content = [UInt8](repeating: 0, count: InlineBlob.maximumSize + 1)
    var count = 0
    while count < content.count {
      let capacity = content.count - count
      let step = content.withUnsafeMutableBytes { read(descriptor, $0.baseAddress?.advanced(by: count), capacity) }
      guard step >= 0 else {
        throw StoreError(.io, "'\(entry.path.printable)' cannot be read: \(String(cString: strerror(errno)))")
      }
      if step == 0 { break }
      count += step
    }
    return Array(content.prefix(count))
  }

  /// Stages a captured output; `nil` where nothing was printed.
  func add(_ log: LogSpool, to prepared: inout Prepared) throws -> Digest? {
    guard !log.isEmpty else { return nil }
    return try log.withContents { contents in
      switch contents {
      case .memory(let bytes): return try add(bytes, named: "the captured output", to: &prepared)
      case .file(let descriptor, _):
        let blob = try blobs.stage(descriptor: descriptor, name: "the captured output")
        prepared.staged.append(blob)
        return blob.digest
      }
    }
  }

  /// Stages bytes.
  func add(_ bytes: [UInt8], named name: ByteString, to prepared: inout Prepared) throws(StoreError) -> Digest {
    if bytes.count <= InlineBlob.maximumSize {
      let blob = InlineBlob.make(bytes)
      prepared.blobs.append(blob)
      return blob.digest
    }
    let file = try TemporaryFile(in: temporaryFolder)
    try TemporaryFile.write(bytes, to: file.descriptor)
    let blob = try blobs.stage(descriptor: file.descriptor, name: name)
    prepared.staged.append(blob)
    return blob.digest
  }

  /// Any content, verified, in memory.
  func bytes(of digest: Digest) throws(StoreError) -> [UInt8] {
    if let content = try small(digest) { return content }
    let file = try TemporaryFile(in: temporaryFolder)
    try copy(digest, to: file.descriptor)
    return file.contents()
  }

  /// Contents that the store holds, to be named once more.
  func known(_ digests: Set<Digest>) throws(StoreError) -> [NewBlob] {
    var found: [NewBlob] = []
    for (digest, blob) in try records.blobs(Array(digests)) {
      let content = blob.isInline ? try records.inlineContent(digest)?.content : nil
      if blob.isInline, content == nil { continue }
      found.append(NewBlob(digest: digest, size: blob.size, encoding: blob.encoding, inlineContent: content))
    }
    return found
  }

  /// Makes the staged contents durable; what is returned may then be named by a commit of the record store.
  func commit(_ prepared: Prepared) throws(StoreError) -> [NewBlob] {
    try blobs.commit(prepared.staged)
    return prepared.blobs
      + prepared.staged.map { NewBlob(digest: $0.digest, size: $0.size, encoding: $0.encoding, inlineContent: nil) }
  }

  /// Removes what was staged and will not be used.
  func discard(_ prepared: Prepared) {
    blobs.discard(prepared.staged)
  }

  /// Calls `body` with a captured output, verified before a byte of it is shown.
  ///
  /// - Parameter known: it, as stored, where it was looked up already.
  func withLog<Result>(
    _ digest: Digest, known: (blob: StoredBlob, content: [UInt8])? = nil, _ body: (LogContents) throws -> Result
  ) throws -> Result {
    if let stored = try small(digest, known: known) { return try body(.memory(stored)) }
    let file = try TemporaryFile(in: temporaryFolder)
    let size = try copy(digest, to: file.descriptor)
    return try body(.file(descriptor: file.descriptor, size: Int64(size)))
  }

  /// A small content, verified; `nil` if it is a large one or not there.
  func small(
    _ digest: Digest, known: (blob: StoredBlob, content: [UInt8])? = nil
  ) throws(StoreError) -> [UInt8]? {
    var stored = known
    if stored?.blob.digest != digest { stored = try records.inlineContent(digest) }
    guard let stored else { return nil }
    return try forgettingIfCorrupt(digest) { () throws(StoreError) in
      try InlineBlob.content(of: stored.blob, stored: stored.content)
    }
  }

  /// Writes any content to a descriptor, verified as it goes: on an error, what was written must be thrown away.
  @discardableResult
  func copy(_ digest: Digest, to descriptor: Int32) throws(StoreError) -> UInt64 {
    guard let blob = try records.blobs([digest])[digest] else {
      throw StoreError(.corrupt, "the content \(digest.short) is not in the store any more; it counts as a miss")
    }
    if let content = try small(digest) {
      try TemporaryFile.write(content, to: descriptor)
    } else {
      try forgettingIfCorrupt(digest) { () throws(StoreError) in try blobs.write(blob, to: descriptor) }
    }
    return blob.size
  }

  /// A damaged content is forgotten, with the results that need it: the next decision is then to run.
  private func forgettingIfCorrupt<Result: ~Copyable>(
    _ digest: Digest, _ body: () throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    do throws(StoreError) {
      return try body()
    } catch {
      if error.code == .corrupt { try? records.forgetBlob(digest) }
      throw error
    }
  }
}

/// A file without a name, gone when it is closed.
package struct TemporaryFile: ~Copyable {
  package let descriptor: Int32

  /// An empty one in `folder`, or in `/tmp` where that cannot hold any.
  package init(in folder: ByteString) throws(StoreError) {
    let file = folder.withCString { cspawn_unnamed_file($0) }
    descriptor = file >= 0 ? file : cspawn_unnamed_file("/tmp")
    guard descriptor >= 0 else {
      throw StoreError(.io, "no temporary file to be had: \(String(cString: strerror(errno)))")
    }
  }

  deinit {
    close(descriptor)
  }

  /// All that was written.
  func contents() -> [UInt8] {
    var info = stat()
    guard fstat(descriptor, &info) == 0 else { return [] }
    return [UInt8](unsafeUninitializedCapacity: Int(info.st_size)) { buffer, count in
      count = max(0, pread(descriptor, buffer.baseAddress, buffer.count, 0))
    }
  }

  /// Writes all of it, wherever the descriptor stands.
  package static func write(_ bytes: [UInt8], to descriptor: Int32) throws(StoreError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard count >= 0 || errno == EINTR else {
        let isFull = errno == ENOSPC || errno == EDQUOT || errno == EFBIG
        throw StoreError(isFull ? .full : .io, "a file cannot be written: \(String(cString: strerror(errno)))")
      }
      rest = rest.dropFirst(max(0, count))
    }
  }
}
