import Glibc
import PurserCode
import PurserHashing
import PurserModel
import PurserStore

/// Tasks whose command tells by a dep file what it used, or whose inputs are what it was seen to read.
///
/// What it will use is not known before it has run once. So a decision takes the lists of files that earlier runs of
/// the same declaration came by, looks at those files as they are now, and holds the one whose whole key is that of a
/// record or result.
extension TaskCache {
  /// How many results of one declaration are tried: as many states of the headers are told apart.
  private static let candidates = 16

  /// The survey with the files that make its key that of the record or of a result; else with those of the record, so
  /// that what has changed can be named.
  func matching(_ declared: Survey, _ record: TaskRecord?, _ spec: TaskSpec) throws -> Survey {
    var base = declared
    base.declared = declared.fingerprint
    var fallback: Survey?
    func candidate(_ key: Digest) throws -> Survey? {
      guard let components = try records.components(of: [key])[key] else { return nil }
      var survey = try base.adding(
        components.lazy.filter { $0.tag == .usedFile }.map(\.name), of: spec, in: self)
      if spec.findsInputs {
        survey = try survey.addingFound(components.lazy.filter(\.tag.isTraced), of: spec, in: self)
      }
      if survey.fingerprint.actionKey == key { return survey }
      if fallback == nil { fallback = survey }
      return nil
    }
    if let key = record?.actionKey, let survey = try candidate(key) { return survey }
    let declaredKey = declared.fingerprint.actionKey
    let accepted = try records.acceptedKeys(declaredAs: declaredKey, of: key(spec.id)).prefix(Self.candidates)
    for key in try accepted + records.actionKeys(declaredAs: declaredKey, limit: Self.candidates) {
      if let survey = try candidate(key) { return survey }
    }
    return fallback ?? base
  }

  /// Waits until the clock of files moves on: what is written from then on is stamped with the time returned, or later.
  func nextTick() -> Int64 {
    let clock = hasher.cache.clock
    let start = clock.now()
    for _ in 0..<100 where clock.now() <= start { usleep(500) }
    return clock.now()
  }
}

extension Survey {
  /// With files that a command used: those that are declared anyway are left out, and one that is gone is absent.
  func adding(_ paths: some Sequence<ByteString>, of spec: TaskSpec, in cache: TaskCache) throws(PurserError) -> Survey
  {
    var components = fingerprint.components
    let known = Set(components.lazy.filter { $0.tag == .codeFile || $0.tag == .inputFile }.map(\.name))
    var survey = self
    for path in Set(paths).subtracting(known).sorted() {
      do throws(FileError) {
        let file = try cache.hasher.digest(of: cache.project.location(of: path))
        survey.usedByCommand.append((path, file.identity))
        components.append(Component(.usedFile, path, .file(file.digest, isExecutable: file.identity.isExecutable)))
      } catch {
        guard error.code == .missing else { throw PurserError(error.naming(path), declaration: "code", of: spec.id) }
        components.append(Component(.usedFile, path, .absent))
      }
    }
    survey.fingerprint = ActionKey.fingerprint(of: components)
    return survey
  }
}

extension Attempt {
  static func list(_ names: [String]) -> String {
    names.prefix(3).joined(separator: ", ") + (names.count > 3 ? " and \(names.count - 3) more" : "")
  }

  /// How Purser names a path of the dep file. Where `..` may stand behind a link, the folder is asked: by its text the
  /// path would lead elsewhere.
  private func name(of path: ByteString) -> ByteString {
    var location = cache.project.location(of: spec.workingDirectory).appending(path: path)
    if path.bytes.split(separator: UInt8(ascii: "/")).contains(where: { $0.elementsEqual("..".utf8) }),
      location.normalizedPath != location, let folder = Project.realPath(location.parentPath)
    {
      location = folder.appending(path: location.lastPathComponent)
    }
    let name = location.normalizedPath
    return name.path(relativeTo: cache.project.root) ?? name
  }

  private func isFolder(_ path: ByteString) -> Bool {
    let identity = try? FileIdentity.of(path: cache.project.location(of: path), followLinks: true)
    return identity?.kind == .directory
  }

  /// Whether a link on the way to a file, or the file's own, was made since, or a folder was moved to its place.
  func isWayTouched(_ location: ByteString, since time: Int64) -> Bool {
    var path = location
    while path.count > 1 {
      if let identity = try? FileIdentity.of(path: path, followLinks: false), identity.changed >= time {
        // A folder in which only files came and went has another time of modification as well.
        if identity.kind == .symbolicLink || (identity.kind == .directory && identity.modified < time) { return true }
      }
      path = path.parentPath
    }
    return false
  }

  /// Reads what the command says that it used, and makes it part of the key. Nothing is stored if some of it may have
  /// changed since the command began.
  func addUsedFiles(to outcome: inout RunOutcome, _ report: inout Report) throws {
    guard let file = spec.dependencyFile, let readsFrom else { return }
    func drop(_ kind: String, _ names: [String], _ warning: String) {
      report.warnings.append("task '\(spec.id)' is not stored: \(warning)")
      outcome.manifest = nil
      outcome.outputsVersion = nil
      outcome.status = nil
      outcome.errorInfo = Self.error(kind, "names", names)
    }
    let location = cache.project.location(of: file)
    let paths: [ByteString]
    do {
      guard let bytes = SourceFile.read(location, limit: 64 << 20) else {
        return drop("depfile", [file.escaped], "its dep file '\(file.printable)' cannot be read; look at what made it")
      }
      // With kept outputs, one that another run has written may still be there.
      guard let written = try? FileIdentity.of(path: location, followLinks: true), written.changed >= readsFrom else {
        return drop(
          "depfile", [file.escaped],
          "its dep file '\(file.printable)' was not written by this run; let the command write it")
      }
      paths = try DependencyFile.prerequisites(in: bytes).map { name(of: $0) }
    } catch {
      return drop(
        "depfile", [file.escaped],
        "its dep file '\(file.printable)' cannot be understood: \(error); look at what made it")
    }
    let filter = try Surveyor.filter(for: spec, in: cache.project)
    let used = paths.filter { path in
      // Its own products are no reason to run again.
      !(spec.outputs.contains { path.isWithin($0) }) && !filter.skips(path, isDirectory: false)
    }
    let gone = used.filter { FileKind.of(cache.project.location(of: $0)) == nil }.map(\.printable)
    guard gone.isEmpty else {
      return drop(
        "depfile", gone,
        "\(Self.list(gone)), which its dep file names, is not there as seen from '\(spec.workingDirectory.printable)', "
          + "where the command runs; let it write paths from there")
    }
    let folders = used.filter { isFolder($0) }.map(\.printable)
    guard folders.isEmpty else {
      return drop(
        "depfile", folders,
        "its dep file names the folder \(Self.list(folders)); only files can be compared; declare it "
          + "with --input, and keep it out of the dep file")
    }
    var survey = assessment.survey
    survey.fingerprint = survey.declared ?? survey.fingerprint
    survey.usedByCommand = []
    survey = try survey.adding(used, of: spec, in: cache)
    let moved = survey.usedByCommand.filter { path, identity in
      let location = cache.project.location(of: path)
      return !cache.hasher.isOlder(identity, at: location, than: readsFrom) || isWayTouched(location, since: readsFrom)
    }.map(\.path.printable)
    guard moved.isEmpty else {
      return drop(
        "inputMoved", moved,
        "\(Self.list(moved)), which its dep file names, changed while it ran; run it again")
    }
    outcome.fingerprint = survey.fingerprint
    outcome.declaredKey = survey.declared?.actionKey
  }
}
