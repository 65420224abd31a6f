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
  private static let version: UInt32 = 1
  static let taskSize = 64

  let mark: StoreMark
  package let taskCount: Int
  private let bytes: UnsafeRawBufferPointer
  private let markStart: Int
  private let files: Range<Int>
  private let tasks: Range<Int>
  private let links: Range<Int>
  private let strings: Range<Int>

  /// Where the plan of a graph is kept, and the graph itself (see ``KeptGraph``), and what both hold for.
  package struct Place: Sendable {
    /// One for each graph, branch and storage key.
    package let path: ByteString
    package let key: Digest
    var graphPath: ByteString { path + ".graph" }

    /// - Parameter project: under the storage key that it has before the pipeline file maps its branch to one.
    package init(_ source: PipelineSource, graph: String?, project: Project, environment: ProcessEnvironment) {
      var name = ByteWriter()
      for text in [project.root, ByteString(project.storageKey), ByteString(graph ?? ""), project.branch ?? ""] {
        name.append(lengthPrefixed: text.bytes)
      }
      path = project.store.appending(path: ByteString("plan-" + SHA256.digest(of: name.bytes).short))
      var writer = ByteWriter()
      writer.append(Array("purser.plan\0".utf8))
      writer.append(littleEndian: version)
      writer.append(source.digest)
      for text in [
        project.root, project.store, ByteString(project.storageKey), ByteString(graph ?? ""),
        ByteString(graph == nil ? "0" : "1"), environment["PATH"] ?? "", environment["SCRATCH_DIR"] ?? "",
        environment["DATA_YEAR"] ?? "", environment["PYTHONPATH"] ?? "", project.branch ?? "",
        project.branch == nil ? "0" : "1",
      ] {
        writer.append(lengthPrefixed: text.bytes)
      }
      key = SHA256.digest(of: writer.bytes)
    }
  }

  /// Reads a kept plan; `nil` where there is none, or it is damaged, or of another key.
  package init?(at path: ByteString, key: Digest) {
    guard let bytes = StateFile.read(path, .plan, version: Self.version, key: key) else { return nil }
    guard let header = Header(bytes) else {
      bytes.deallocate()
      return nil
    }
    self.bytes = bytes
    mark = header.mark
    markStart = header.markStart
    taskCount = header.tasks.count / Self.taskSize
    (files, tasks, links, strings) = (header.files, header.tasks, header.links, header.strings)
  }

  deinit {
    bytes.deallocate()
  }

  private struct Header {
    var mark: StoreMark
    var markStart: Int
    var files: Range<Int>
    var tasks: Range<Int>
    var links: Range<Int>
    var strings: Range<Int>

    init?(_ bytes: UnsafeRawBufferPointer) {
      func number(_ offset: Int) -> Int { StateFile.number(in: bytes, at: offset) }
      var end = StateFile.contentStart
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
      markStart = markRange.lowerBound
    }
  }

  // MARK: What it says

  /// Looks at every file, and says which tasks are not known to be as they were, by place.
  package func openTasks(root: ByteString, workers: Int) -> [Bool] {
    let isChanged = changedFiles(among: nil, root, workers)
    return (0..<taskCount).map { task in
      !isCovered(task) || isChanged.map { changed in !fileNumbers(of: task).allSatisfy { !changed[$0] } } ?? false
    }
  }

  /// Looks at the files of some tasks, each once, and says of each task whether none was touched.
  func areUntouched(_ places: [Int], root: ByteString, workers: Int) -> [Bool] {
    var isWanted = Array(repeating: false, count: fileCount)
    var wanted: [Int] = []
    for place in places {
      for file in fileNumbers(of: place) where !isWanted[file] {
        isWanted[file] = true
        wanted.append(file)
      }
    }
    let isChanged = changedFiles(among: wanted, root, workers)
    return places.map { place in
      isCovered(place) && isChanged.map { changed in fileNumbers(of: place).allSatisfy { !changed[$0] } } ?? true
    }
  }

  /// `nil` where none is.
  private func changedFiles(among wanted: [Int]?, _ root: ByteString, _ workers: Int) -> [Bool]? {
    let changed = IdentityTable.changed(
      records: UnsafeRawBufferPointer(rebasing: bytes[files]), among: wanted,
      strings: UnsafeRawBufferPointer(rebasing: bytes[strings]), root: root, workers: workers)
    guard !changed.isEmpty else { return nil }
    var isChanged = Array(repeating: false, count: fileCount)
    for file in changed { isChanged[file] = true }
    return isChanged
  }

  /// What running all the tasks took, in microseconds.
  package var savedMicroseconds: Int64 { (0..<taskCount).reduce(0) { $0 + duration(of: $1) } }

  private func number(_ offset: Int) -> Int { StateFile.number(in: bytes, at: offset) }

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

  private var fileCount: Int { files.count / IdentityTable.recordSize }

  /// Never beyond the table, whatever the file says.
  private func fileNumbers(of task: Int) -> some Collection<Int> {
    let (first, count, fileCount) = (number(base(task) + 4), number(base(task) + 8), fileCount)
    let isSound = fileCount > 0 && first + count <= links.count / 4
    return (first..<first + (isSound ? count : 0)).lazy.map { [bytes, links] in
      let file = Int(UInt32(littleEndian: bytes.load(fromByteOffset: links.lowerBound + $0 * 4, as: UInt32.self)))
      return file < fileCount ? file : 0
    }
  }

  /// The files of a task: paths from the root, and what they were.
  func identities(of task: Int) -> [(path: ByteString, identity: FileIdentity)] {
    fileNumbers(of: task).map { (path(ofFile: $0), identity(ofFile: $0)) }
  }

  private func path(ofFile file: Int) -> ByteString {
    let offset = number(files.lowerBound + file * IdentityTable.recordSize + 44)
    return ByteString(bytes[(strings.lowerBound + min(offset, strings.count))..<strings.upperBound].prefix { $0 != 0 })
  }

  private func identity(ofFile file: Int) -> FileIdentity {
    let start = files.lowerBound + file * IdentityTable.recordSize
    func word(_ number: Int) -> UInt64 {
      UInt64(littleEndian: bytes.load(fromByteOffset: start + number * 8, as: UInt64.self))
    }
    return FileIdentity(
      device: word(0), inode: word(1), size: Int64(bitPattern: word(2)), mode: UInt32(number(start + 40)),
      modified: Int64(bitPattern: word(3)), changed: Int64(bitPattern: word(4)))
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

  /// Writes a plan that differs from this one in some tasks: a copy with other numbers, where those tasks have the same
  /// files as before.
  ///
  /// - Parameter changes: tasks, and `nil` for those that have to be decided about.
  /// - Returns: whether that could be done; else a new plan has to be made.
  func save(_ changes: [(task: Int, entry: Entry?)], at path: ByteString, mark: StoreMark) -> Bool {
    guard mark.bytes.count == self.mark.bytes.count else { return false }
    var copy = Array(bytes)
    func set(_ content: [UInt8], at offset: Int) {
      copy.replaceSubrange(offset..<offset + content.count, with: content)
    }
    var isKept = (0..<taskCount).map(isCovered)
    // Files that are not as they were, what they are now, and how many of the changes say so.
    var changed: [Int: (identity: FileIdentity, count: Int)] = [:]
    for (task, entry) in changes {
      isKept[task] = entry != nil
      guard let entry else {
        set([0, 0, 0, 0], at: base(task))
        continue
      }
      guard entry.dataVersion == dataVersion(of: task), entry.files.count == fileNumbers(of: task).count else {
        return false
      }
      var numbers = ByteWriter()
      numbers.append(littleEndian: UInt64(bitPattern: entry.duration))
      numbers.append(entry.outputsVersion)
      set([1, 0, 0, 0], at: base(task))
      set(numbers.bytes, at: base(task) + 16)
      for (file, new) in zip(fileNumbers(of: task), entry.files) {
        guard self.path(ofFile: file) == new.path else { return false }
        if changed[file] == nil, identity(ofFile: file) == new.identity { continue }
        guard changed[file, default: (new.identity, 0)].identity == new.identity else { return false }
        changed[file, default: (new.identity, 0)].count += 1
      }
    }
    if !changed.isEmpty {
      // Whoever else has such a file was found fresh with what it was.
      for task in isKept.indices where isKept[task] {
        for file in fileNumbers(of: task) { changed[file]?.count -= 1 }
      }
      guard changed.values.allSatisfy({ $0.count == 0 }) else { return false }
    }
    for (file, (identity, _)) in changed {
      let start = files.lowerBound + file * IdentityTable.recordSize
      var record = ByteWriter()
      IdentityTable.append(identity, pathOffset: UInt32(number(start + 44)), to: &record)
      set(record.bytes, at: start)
    }
    set(mark.bytes, at: markStart)
    StateFile.replace(path, .plan, with: copy)
    return true
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
    body.append(Array(repeating: 0, count: StateFile.headerSize))
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
    StateFile.replace(path, .plan, with: body.bytes)
  }
}

/// A kept plan, and what a look at every file said of it.
package struct PlanSight {
  package let plan: PlanCache
  /// Tasks that are not known to be as they were, by place.
  package let isOpen: [Bool]

  /// Whether there is nothing to decide.
  package var isUntouched: Bool { !isOpen.contains(true) }
}

extension TaskCache {
  /// Reads the plan that is kept, and looks at every file; `nil` where there is none, or the records were touched since.
  package func sight(ofPlan place: PlanCache.Place) -> PlanSight? {
    guard let plan = PlanCache(at: place.path, key: place.key), plan.mark == records.mark() else { return nil }
    return PlanSight(plan: plan, isOpen: plan.openTasks(root: project.root, workers: hasher.workers))
  }
}
