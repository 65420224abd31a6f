import Glibc
import PurserCode
import PurserHashing
import PurserModel
import PurserStore

/// Tasks whose command tells by a dep file what it used.
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
      let survey = try base.adding(
        components.lazy.filter { $0.tag == .usedFile }.map(\.name), of: spec, in: self)
      if survey.fingerprint.actionKey == key { return survey }
      if fallback == nil { fallback = survey }
      return nil
    }
    if let key = record?.actionKey, let survey = try candidate(key) { return survey }
    for key in try records.actionKeys(declaredAs: declared.fingerprint.actionKey, limit: Self.candidates) {
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
      let folder = spec.workingDirectory
      paths = try DependencyFile.prerequisites(in: bytes).map { path in
        let name = (folder == "." ? path : folder.appending(path: path)).normalizedPath
        return name.path(relativeTo: cache.project.root) ?? name
      }
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
    var survey = assessment.survey
    survey.fingerprint = survey.declared ?? survey.fingerprint
    survey.usedByCommand = []
    survey = try survey.adding(used, of: spec, in: cache)
    let moved = survey.usedByCommand.filter { path, identity in
      !cache.hasher.isOlder(identity, at: cache.project.location(of: path), than: readsFrom)
    }.map(\.path.printable)
    let gone = survey.fingerprint.components.filter { $0.tag == .usedFile && $0.value == .absent }.map(\.name.printable)
    guard moved.isEmpty, gone.isEmpty else {
      return drop(
        "inputMoved", moved + gone,
        "\((moved + gone).prefix(3).joined(separator: ", ")), which its dep file names, changed while it ran; run it again"
      )
    }
    outcome.fingerprint = survey.fingerprint
    outcome.declaredKey = survey.declared?.actionKey
  }
}
