import CLinux
import Glibc
import PurserHashing
package import PurserModel
import PurserStore

/// What was fresh when a pipeline was last planned or run, so that the next plan need only look whether a file or the
/// store was touched since.
///
/// One flat file for each graph and storage key, derived from everything else: it holds for one content of the pipeline
/// file, one state of the record store, and names the identity of every file that was looked at. A task is in it only if
/// the stat cache trusts those identities, and if it depends on nothing else (no declared variable, tool, folder or
/// pattern). Removing the file costs the next plan time.
///
/// Format, version 1, integers little-endian: "PURSPLAN", a checksum over all that follows (u64), version, number of
/// tasks, of files, of links, length of the mark, of the strings (u32 each), the key (32 bytes), the mark, filled up to
/// 8 bytes; then the files (see `IdentityTable`), the tasks (64 bytes: flags, first link, number of links, 0 (u32),
/// duration in microseconds (i64), outputs version (32 bytes), offset and length of the data version among the strings
/// (u32)), the links (u32: a task's files, by number), and the strings.
package final class PlanCache {
  private static let magic: UInt64 = 0x4e41_4c50_5352_5550
  private static let version: UInt32 = 1
  static let taskSize = 64

  let mark: StoreMark
  package let taskCount: Int
  private let bytes: UnsafeMutableRawBufferPointer
  private let files: Range<Int>
  private let tasks: Range<Int>
  private let links: Range<Int>
  private let strings: Range<Int>

  /// What the key of a plan is made of, beside the pipeline file, which may map the project's branch to a key.
  package static func key(
    _ source: PipelineSource, graph: String?, project: Project, environment: ProcessEnvironment
  ) -> Digest {
    var writer = ByteWriter()
    writer.append(Array("purser.plan\0".utf8))
    writer.append(littleEndian: version)
    writer.append(source.digest)
    for text in [
      project.root, ByteString(project.storageKey), ByteString(graph ?? ""), ByteString(graph == nil ? "0" : "1"),
      environment["PATH"] ?? "", environment["SCRATCH_DIR"] ?? "", environment["DATA_YEAR"] ?? "",
      environment["PYTHONPATH"] ?? "", project.branch ?? "", project.branch == nil ? "0" : "1",
    ] {
      writer.append(lengthPrefixed: text.bytes)
    }
    return SHA256.digest(of: writer.bytes)
  }

  /// Where a plan is kept: one place for each graph, branch and storage key.
  package static func path(graph: String?, project: Project) -> ByteString {
    var writer = ByteWriter()
    for text in [project.root, ByteString(project.storageKey), ByteString(graph ?? ""), project.branch ?? ""] {
      writer.append(lengthPrefixed: text.bytes)
    }
    return project.store.appending(path: ByteString("plan-" + SHA256.digest(of: writer.bytes).short))
  }

  /// Reads a kept plan; `nil` where there is none, or it is damaged, or of another key.
  package init?(at path: ByteString, key: Digest) {
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_size >= 72, info.st_size < 1 << 31 else { return nil }
    let size = Int(info.st_size)
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
    guard read(descriptor, bytes.baseAddress, size) == size, let header = Header(UnsafeRawBufferPointer(bytes), key)
    else {
      bytes.deallocate()
      return nil
    }
    self.bytes = bytes
    mark = header.mark
    taskCount = header.tasks.count / Self.taskSize
    (files, tasks, links, strings) = (header.files, header.tasks, header.links, header.strings)
  }

  deinit {
    bytes.deallocate()
  }

  private struct Header {
    var mark: StoreMark
    var files: Range<Int>
    var tasks: Range<Int>
    var links: Range<Int>
    var strings: Range<Int>

    init?(_ bytes: UnsafeRawBufferPointer, _ key: Digest) {
      func number(_ offset: Int) -> Int {
        Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
      }
      guard UInt64(littleEndian: bytes.load(as: UInt64.self)) == PlanCache.magic,
        UInt64(littleEndian: bytes.load(fromByteOffset: 8, as: UInt64.self))
          == PlanCache.checksum(UnsafeRawBufferPointer(rebasing: bytes[16...])),
        number(16) == PlanCache.version, Digest(bytes: UnsafeRawBufferPointer(rebasing: bytes[40..<72])) == key
      else { return nil }
      var end = 72
      func take(_ count: Int) -> Range<Int> {
        let range = end..<end + count
        end += (count + 7) / 8 * 8
        return range
      }
      let markRange = take(number(32))
      files = take(number(24) * IdentityTable.recordSize)
      tasks = take(number(20) * PlanCache.taskSize)
      links = take(number(28) * 4)
      strings = take(number(36))
      guard end == bytes.count, !strings.isEmpty else { return nil }
      mark = StoreMark(bytes: Array(bytes[markRange]))
    }
  }

  /// Told apart from a damaged file, not from a forged one.
  static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var sum: UInt64 = 0x9e37_79b9_7f4a_7c15
    var offset = 0
    while offset + 8 <= bytes.count {
      sum =
        (sum ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))) &* 0x100_0000_01b3
      sum ^= sum >> 29
      offset += 8
    }
    while offset < bytes.count {
      sum = (sum ^ UInt64(bytes[offset])) &* 0x100_0000_01b3
      offset += 1
    }
    return sum
  }

  // MARK: What it says

  /// Looks at every file, and says which tasks are not known to be as they were, by place.
  package func openTasks(root: ByteString, workers: Int) -> [Bool] {
    let raw = UnsafeRawBufferPointer(bytes)
    let changed = IdentityTable.changed(
      records: UnsafeRawBufferPointer(rebasing: raw[files]), strings: UnsafeRawBufferPointer(rebasing: raw[strings]),
      root: root, workers: workers)
    var open = (0..<taskCount).map { !isCovered($0) }
    guard !changed.isEmpty else { return open }
    let wrong = Set(changed)
    for task in 0..<taskCount where !open[task] {
      open[task] = fileNumbers(of: task).contains { wrong.contains($0) }
    }
    return open
  }

  /// What running all the tasks took, in microseconds.
  package var savedMicroseconds: Int64 { (0..<taskCount).reduce(0) { $0 + duration(of: $1) } }

  private func number(_ offset: Int) -> Int {
    Int(UInt32(littleEndian: bytes.load(fromByteOffset: offset, as: UInt32.self)))
  }

  private func base(_ task: Int) -> Int { tasks.lowerBound + task * Self.taskSize }

  func isCovered(_ task: Int) -> Bool { number(base(task)) == 1 }

  /// What running the task took, in microseconds.
  func duration(of task: Int) -> Int64 {
    Int64(littleEndian: bytes.load(fromByteOffset: base(task) + 16, as: Int64.self))
  }

  func outputsVersion(of task: Int) -> Digest? {
    Digest(
      bytes: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[(base(task) + 24)..<(base(task) + 56)]))
  }

  func dataVersion(of task: Int) -> ByteString? {
    let (offset, length) = (number(base(task) + 56), number(base(task) + 60))
    guard length > 0, offset + length <= strings.count else { return nil }
    return ByteString(bytes[(strings.lowerBound + offset)..<(strings.lowerBound + offset + length)])
  }

  private func fileNumbers(of task: Int) -> [Int] {
    let (first, count) = (number(base(task) + 4), number(base(task) + 8))
    guard first + count <= links.count / 4 else { return [] }
    return (first..<first + count).map { number(links.lowerBound + $0 * 4) }
  }

  /// The files of a task: paths from the root, and what they were.
  func identities(of task: Int) -> [(path: ByteString, identity: FileIdentity)] {
    fileNumbers(of: task).compactMap { index in
      let start = files.lowerBound + index * IdentityTable.recordSize
      guard start + IdentityTable.recordSize <= files.upperBound else { return nil }
      func word(_ number: Int) -> UInt64 {
        UInt64(littleEndian: bytes.load(fromByteOffset: start + number * 8, as: UInt64.self))
      }
      let offset = number(start + 44)
      guard offset < strings.count else { return nil }
      let path = ByteString(bytes[(strings.lowerBound + offset)..<strings.upperBound].prefix { $0 != 0 })
      return (
        path,
        FileIdentity(
          device: word(0), inode: word(1), size: Int64(bitPattern: word(2)), mode: UInt32(number(start + 40)),
          modified: Int64(bitPattern: word(3)), changed: Int64(bitPattern: word(4)))
      )
    }
  }

  // MARK: Writing

  /// A task for a new plan.
  struct Entry {
    var duration: Int64
    var outputsVersion: Digest
    var dataVersion: ByteString?
    /// Paths from the root, or absolute ones outside of it.
    var files: [(path: ByteString, identity: FileIdentity)]
  }

  /// Writes a plan: a task's entry, or `nil` for one that has to be decided about. Failing costs time later.
  static func save(_ entries: [Entry?], at path: ByteString, key: Digest, mark: StoreMark) {
    var known: [ByteString: (number: UInt32, identity: FileIdentity)] = [:]
    var fileCount: UInt32 = 0
    var files = ByteWriter()
    var tasks = ByteWriter()
    var links = ByteWriter()
    var strings: [UInt8] = []
    var linkCount: UInt32 = 0
    for entry in entries {
      tasks.append(littleEndian: UInt32(entry == nil ? 0 : 1))
      tasks.append(littleEndian: linkCount)
      tasks.append(littleEndian: UInt32(entry?.files.count ?? 0))
      tasks.append(littleEndian: UInt32(0))
      tasks.append(littleEndian: UInt64(bitPattern: entry?.duration ?? 0))
      tasks.append(entry?.outputsVersion ?? SHA256.digest(of: []))
      tasks.append(littleEndian: UInt32(strings.count))
      tasks.append(littleEndian: UInt32(entry?.dataVersion?.count ?? 0))
      if let data = entry?.dataVersion { strings += data.bytes }
      for (path, identity) in entry?.files ?? [] {
        let number: UInt32
        // A file that was seen in two states while the plan was made stands there twice: one of them is past.
        if let seen = known[path], seen.identity == identity {
          number = seen.number
        } else {
          number = fileCount
          fileCount += 1
          known[path] = (number, identity)
          IdentityTable.append(identity, pathOffset: UInt32(strings.count), to: &files)
          strings += path.bytes
          strings.append(0)
        }
        links.append(littleEndian: number)
        linkCount += 1
      }
    }
    strings.append(0)
    var body = ByteWriter()
    for number in [version, UInt32(entries.count), fileCount, linkCount] {
      body.append(littleEndian: number)
    }
    body.append(littleEndian: UInt32(mark.bytes.count))
    body.append(littleEndian: UInt32(strings.count))
    body.append(key)
    for part in [mark.bytes, files.bytes, tasks.bytes, links.bytes, strings] {
      body.append(part)
      body.append(Array(repeating: 0, count: (8 - part.count % 8) % 8))
    }
    var whole = ByteWriter()
    whole.append(littleEndian: magic)
    whole.append(littleEndian: body.bytes.withUnsafeBytes { checksum($0) })
    whole.append(body.bytes)
    StateFile.replace(path, in: path.parentPath, with: whole.bytes)
  }
}

extension TaskCache {
  /// Whether nothing was touched since a plan was kept: no file of any task, and no record.
  package func isUntouched(_ plan: PlanCache) -> Bool {
    guard records.mark() == plan.mark else { return false }
    return !plan.openTasks(root: project.root, workers: hasher.workers).contains(true)
  }
}

/// A file of the store's folder that is derived from others, and replaced as a whole.
enum StateFile {
  /// Failing costs time later, nothing else. Where there is no store yet, none is made for this.
  static func replace(_ path: ByteString, in store: ByteString, with bytes: [UInt8]) {
    var unique: UInt64 = 0
    _ = purser_random(&unique, MemoryLayout.size(ofValue: unique))
    let folder = store.appending(path: "tmp")
    let temporary = folder.appending(path: path.lastPathComponent + ByteString("-" + String(unique, radix: 16)))
    let descriptor = temporary.withCString { open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600) }
    guard descriptor >= 0 else { return }
    let isWritten = (try? TemporaryFile.write(bytes, to: descriptor)) != nil
    close(descriptor)
    let isKept = isWritten && temporary.withCString { from in path.withCString { rename(from, $0) == 0 } }
    if !isKept { _ = temporary.withCString { unlink($0) } }
  }
}
