import Glibc
import PurserCode
import PurserExecution
import PurserHashing
import PurserModel
import PurserStore

/// Tasks whose system calls are followed: what they did with the project's files, and what follows from that.
///
/// What was read and is not declared makes no hit, it only takes hits away. Only a task that asks for it (`inputs: auto`)
/// has what it read for its inputs.
extension TaskCache {
  /// What the last traced run of a task did, else of the one that made the result which it has from elsewhere.
  package func trace(of task: String) throws(PurserError) -> (run: Int64, trace: TaskTrace)? {
    try asking {
      if let own = try records.trace(of: key(task)) { return own }
      guard let result = try records.records(for: [key(task)])[0]?.result else { return nil }
      return try records.trace(of: result.producer)
    }
  }

  /// What a result's run read without declaring it, and is another now.
  func refutations(of result: ActionResult) throws(PurserError) -> [Change] {
    var changes: [Change] = []
    for component in result.undeclared ?? [] {
      let now = try look(at: component.tag, component.name).value
      if now != component.value {
        changes.append(Change(tag: component.tag, name: component.name, was: component.value, now: now))
      }
    }
    return changes
  }

  /// A file, or the names in a folder, as a component that tells one state from another. Identities are those that may
  /// tell of a change while nobody looked.
  func look(
    at tag: Component.Tag, _ path: ByteString, _ filter: PathFilter? = nil
  ) throws(PurserError) -> (value: Component.Value, identity: FileIdentity?) {
    let location = path == "." ? project.root : project.location(of: path)
    if tag == .tracedFolder {
      guard let listing = FolderListing(of: location, hasher: hasher) else { return (.absent, nil) }
      var hash = SHA256()
      for (name, kind) in listing.entries.sorted(by: { $0.key < $1.key }) {
        let whole = path == "." ? name : path.appending(path: name)
        if filter?.skips(whole, isDirectory: kind == .directory) == true { continue }
        (name.bytes + [0]).withUnsafeBytes { hash.update($0) }
      }
      return (.digest(hash.finalize()), listing.identity)
    }
    do throws(FileError) {
      let file = try hasher.digest(of: location)
      return (.file(file.digest, isExecutable: file.identity.isExecutable), file.identity)
    } catch {
      // What is there and is no file, or cannot be read, is as good as gone.
      return (.absent, nil)
    }
  }
}

/// What a trace says, by the names and in the light of what a task declares.
struct TraceReading {
  private(set) var entries: [TaskTrace.Entry] = []
  /// Of what was read, what the command itself has changed: nobody knows any more what it was.
  private(set) var changed: [ByteString] = []
  /// Folders in which the command itself made or removed something.
  private var changedFolders: Set<ByteString> = []

  private let cache: TaskCache
  private let filter: PathFilter
  private let isDeclaredByName: (ByteString) -> Bool
  private let declared: Set<FileNumber>
  private let names: Set<ByteString>
  private let outputs: (ByteString) -> Bool

  private struct FileNumber: Hashable {
    var device: UInt64
    var inode: UInt64

    init(_ identity: FileIdentity) { (device, inode) = (identity.device, identity.inode) }
  }

  init(
    _ trace: Trace, of spec: TaskSpec, _ survey: Survey, in cache: TaskCache, since time: Int64
  ) throws(PurserError) {
    self.cache = cache
    filter = try Surveyor.filter(for: spec, in: cache.project)
    let known =
      survey.identities + survey.upstreamIdentities + survey.usedByCommand
      + survey.usedCode.map { ($0.path, $0.content.identity) }
    declared = Set(known.map { FileNumber($0.identity) })
    names = Set(known.map(\.path) + survey.codeFolders.map { $0.path.isEmpty ? "." : $0.path })
    outputs = try Self.matcher(spec.outputs, spec)
    isDeclaredByName = try Self.matcher(spec.inputs + spec.code, spec)
    for (path, use) in trace.uses {
      if !use.isDisjoint(with: [.written, .made]) {
        let folder = path.parentPath
        changedFolders.insert(folder.isEmpty ? "." : folder)
      }
      add(path, use, since: time)
    }
    let unique = Set(entries)
    entries = unique.sorted { ($0.use.rawValue, $0.path) < ($1.use.rawValue, $1.path) }
    changed.sort()
  }

  /// Whether the command itself made names come or go in a folder.
  func isChangedFolder(_ path: ByteString) -> Bool { changedFolders.contains(path) }

  /// Whether a name is, or is in, what was declared.
  private static func matcher(_ paths: [ByteString], _ spec: TaskSpec) throws(PurserError) -> (ByteString) -> Bool {
    var globs: [Glob] = []
    for path in paths where Glob.isPattern(path) { globs.append(try Surveyor.glob(path, of: spec)) }
    return { name in
      if paths.contains(where: { $0 == "." || name.isWithin($0) }) { return true }
      var path = name
      while !globs.isEmpty, !path.isEmpty {
        if globs.contains(where: { $0.matches(path) }) { return true }
        path = path.parentPath
      }
      return false
    }
  }

  private mutating func add(_ path: ByteString, _ use: Trace.Use, since time: Int64) {
    let location = path == "." ? cache.project.root : cache.project.location(of: path)
    let identity = try? FileIdentity.of(path: location, followLinks: true)
    if use.contains(.written), !use.contains(.made) { addWritten(path, use, at: location, since: time) }
    let isOwn = outputs(path)
    if use.contains(.read) {
      if let source = Self.source(ofCompiled: path) {
        // A module's compiled form stands for the module, whose file is only looked at then.
        let place = cache.project.location(of: source)
        if let found = try? FileIdentity.of(path: place, followLinks: true) { addRead(source, found) }
      } else if !isOwn, let identity, !filter.skips(path, isDirectory: false) {
        // Opened for writing as well, but not written to: read all the same.
        let wasChanged = use.contains(.written) && !cache.hasher.isOlder(identity, at: location, than: time)
        if wasChanged { changed.append(path) } else { addRead(path, identity) }
      } else if !isOwn, !filter.skips(path, isDirectory: false) {
        changed.append(path)
      }
    }
    let isFolder = identity?.kind == .directory
    if use.contains(.listed), !isOwn, isFolder, !filter.skips(path, isDirectory: true) {
      entries.append(
        TaskTrace.Entry(path: path, use: .listed, isDeclared: names.contains(path) || isDeclaredByName(path)))
    }
    if use.contains(.missing), !use.contains(.written), !isOwn, !filter.skips(path, isDirectory: false) {
      let isFollowed = names.contains(path.parentPath.isEmpty ? "." : path.parentPath)
      entries.append(TaskTrace.Entry(path: path, use: .missing, isDeclared: isFollowed || isDeclaredByName(path)))
    }
  }

  private mutating func addRead(_ path: ByteString, _ identity: FileIdentity) {
    guard identity.kind == .file else { return }
    let isDeclared = names.contains(path) || declared.contains(FileNumber(identity)) || isDeclaredByName(path)
    entries.append(TaskTrace.Entry(path: path, use: .read, isDeclared: isDeclared))
  }

  /// Only what is still to be seen: a file of the command's own that is gone again has left nothing behind.
  private mutating func addWritten(_ path: ByteString, _ use: Trace.Use, at location: ByteString, since time: Int64) {
    if let identity = try? FileIdentity.of(path: location, followLinks: false) {
      guard identity.kind != .directory, use.contains(.removed) || identity.changed >= time else { return }
    } else if !use.contains(.removed) {
      return
    }
    let isOwn = outputs(path)
    if !isOwn, filter.skips(path, isDirectory: false) { return }
    entries.append(TaskTrace.Entry(path: path, use: .written, isDeclared: isOwn))
  }

  /// `a/__pycache__/b.cpython-311.pyc` is `a/b.py`, compiled.
  private static func source(ofCompiled path: ByteString) -> ByteString? {
    let folder = path.parentPath
    guard path.bytes.suffix(4).elementsEqual(".pyc".utf8), folder.lastPathComponent == "__pycache__",
      let dot = path.lastPathComponent.bytes.firstIndex(of: UInt8(ascii: "."))
    else { return nil }
    let name = ByteString(path.lastPathComponent.bytes[..<dot]) + ".py"
    let parent = folder.parentPath
    return parent.isEmpty ? name : parent.appending(path: name)
  }
}

extension Attempt {
  /// Why what a command made is no result.
  private struct Refusal {
    var kind: String
    var names: [String]
    var warning: String
  }

  /// Looks at what a followed command did: what of it is to be kept, what is warned about, and what makes its result none.
  func add(_ trace: Trace, to outcome: inout RunOutcome, _ report: inout Report) throws {
    let hasSucceeded = outcome.state == .completed
    let privileged = trace.privileged.map(\.printable).sorted()
    if !privileged.isEmpty, geteuid() != 0 {
      report.warnings.append(
        "task '\(spec.id)' is traced, and so \(Self.list(privileged)) ran without the privileges that it has otherwise")
    }
    var refusals: [Refusal] = []
    if let gap = trace.gap {
      let what = trace.isEmptyHanded ? "ran untraced" : "is not traced in whole"
      report.warnings.append("task '\(spec.id)' \(what): \(gap)")
      if spec.findsInputs || spec.refusesUndeclared {
        let warning = "nobody knows all that it read; run it where it can be traced, or declare what it reads"
        refusals.append(Refusal(kind: "untraced", names: [], warning: warning))
      }
    }
    if !trace.isEmptyHanded, let readsFrom {
      var survey = assessment.survey
      // What is known of an earlier run is not what this one did.
      survey.usedByCommand = spec.dependencyFile == nil ? [] : usedFiles(of: outcome)
      let reading = try TraceReading(trace, of: spec, survey, in: cache, since: readsFrom)
      outcome.trace = TaskTrace(entries: reading.entries, gap: trace.gap)
      if spec.findsInputs {
        if outcome.manifest != nil, let refusal = try addFoundInputs(reading, to: &outcome) { refusals.append(refusal) }
      } else if outcome.manifest != nil, let refusal = try noteUndeclared(reading, in: &outcome) {
        refusals.append(refusal)
      }
      for use in [TaskTrace.Use.read, .written] where hasSucceeded && !(use == .read && spec.findsInputs) {
        let paths = outcome.trace?.undeclared(use) ?? []
        guard !paths.isEmpty else { continue }
        let names = paths.map(\.printable)
        let what = "\(use == .read ? "read" : "wrote") \(Self.list(names)) without declaring it"
        if spec.refusesUndeclared {
          let option = use == .read ? "--input" : "--output"
          let line = paths.prefix(8).map { "\(option) \($0.shellQuoted)" }.joined(separator: " ")
          refusals.append(Refusal(kind: "undeclared", names: names, warning: "it \(what); declare it: \(line)"))
        } else {
          report.warnings.append("task '\(spec.id)' \(what); see 'purser trace \(spec.id)'")
        }
      }
    }
    guard outcome.manifest != nil, let first = refusals.first else { return }
    for refusal in refusals {
      report.warnings.append("task '\(spec.id)' is not stored: \(refusal.warning)")
    }
    outcome.manifest = nil
    outcome.outputsVersion = nil
    outcome.status = nil
    outcome.errorInfo = Self.error(first.kind, "names", first.names)
  }

  /// The files that a dep file has named.
  private func usedFiles(of outcome: RunOutcome) -> [(path: ByteString, identity: FileIdentity)] {
    outcome.fingerprint.components.compactMap { component in
      guard component.tag == .usedFile else { return nil }
      let location = cache.project.location(of: component.name)
      return (try? FileIdentity.of(path: location, followLinks: true)).map { (component.name, $0) }
    }
  }

  /// Notes what a later hit is to be checked against.
  private func noteUndeclared(_ reading: TraceReading, in outcome: inout RunOutcome) throws -> Refusal? {
    let wanted = reading.entries.filter { !$0.isDeclared && ($0.use == .read || $0.use == .missing) }
      .map { (Component.Tag.tracedFile, $0.path) }
    let (components, moved) = try look(at: wanted, nil, reading)
    outcome.undeclared = components
    return moved
  }

  /// Makes what the command read its inputs.
  private func addFoundInputs(_ reading: TraceReading, to outcome: inout RunOutcome) throws -> Refusal? {
    let changed = reading.changed.map(\.printable)
    guard changed.isEmpty else {
      return Refusal(
        kind: "inputMoved", names: changed,
        warning: "it read \(Self.list(changed)) and changed it; declare what it makes, or let it write elsewhere")
    }
    let wanted = reading.entries.filter { !$0.isDeclared && $0.use != .written }
      .map { ($0.use == .listed ? Component.Tag.tracedFolder : .tracedFile, $0.path) }
    let (components, moved) = try look(at: wanted, Surveyor.filter(for: spec, in: cache.project), reading)
    let base = outcome.fingerprint.components.filter { !$0.tag.isTraced }
    outcome.declaredKey = assessment.survey.declared?.actionKey
    outcome.fingerprint = ActionKey.fingerprint(of: base + components)
    outcome.undeclared = []
    for place in outcome.trace?.entries.indices ?? 0..<0 where outcome.trace?.entries[place].use != .written {
      outcome.trace?.entries[place].isDeclared = true
    }
    return moved
  }

  /// Looks at files and folders as they are now; nothing is to be made of it if some may have changed since the command
  /// began.
  private func look(
    at wanted: [(Component.Tag, ByteString)], _ filter: PathFilter?, _ reading: TraceReading
  ) throws -> (components: [Component], moved: Refusal?) {
    var components: [Component] = []
    var moved: [String] = []
    var seen: Set<Component> = []
    for (tag, path) in wanted {
      let (value, identity) = try cache.look(at: tag, path, filter)
      let component = Component(tag, path, value)
      // Looked for first, and read after another process had made it.
      guard seen.insert(component).inserted else { continue }
      components.append(component)
      guard let identity, let readsFrom else { continue }
      let location = path == "." ? cache.project.root : cache.project.location(of: path)
      let isOld = cache.hasher.isOlder(identity, at: location, than: readsFrom)
      let isMoved =
        tag == .tracedFolder
        ? !isOld && !reading.isChangedFolder(path) : !isOld || isWayTouched(location, since: readsFrom)
      if isMoved { moved.append(path.printable) }
    }
    let warning = "\(Self.list(moved)), which it read, changed while it ran; run it again"
    return (components, moved.isEmpty ? nil : Refusal(kind: "inputMoved", names: moved, warning: warning))
  }
}

extension Survey {
  /// With what a command was seen to use, as that is now.
  func addingFound(_ found: some Sequence<Component>, of spec: TaskSpec, in cache: TaskCache) throws(PurserError)
    -> Survey
  {
    let filter = try Surveyor.filter(for: spec, in: cache.project)
    var components = fingerprint.components
    var survey = self
    for component in found {
      let (value, identity) = try cache.look(at: component.tag, component.name, filter)
      components.append(Component(component.tag, component.name, value))
      if let identity, component.tag == .tracedFile { survey.usedByCommand.append((component.name, identity)) }
    }
    survey.fingerprint = ActionKey.fingerprint(of: components)
    return survey
  }
}

extension ByteString {
  /// What to say of a program at this path that nobody could follow.
  func refusal(of spec: TaskSpec) -> String {
    "task '\(spec.id)' ran '\(printable)', a program for 32 bits, which cannot be traced, and which was stopped; run the task "
      + "untraced"
  }
}

extension Component.Tag {
  /// Whether it is about what a command was seen to use.
  var isTraced: Bool { self == .tracedFile || self == .tracedFolder }
}
