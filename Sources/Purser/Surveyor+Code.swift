package import PurserCode
import PurserHashing
import PurserModel

/// What a survey knows of a task's code beyond what is declared.
struct UsedCode {
  /// Declared files, as Purser names them.
  var declared: [CodeRequest.Start] = []
  /// Files in declared folders that may use others; they count with their folder.
  private(set) var inTrees: Set<ByteString> = []
  var files: [CodeClosure.File] = []
  var folders: [CodeClosure.Folder] = []
  var remarks: [CodeClosure.Remark] = []

  mutating func addInTree(_ path: ByteString) {
    if case .known = Language.guess(path: path) { inTrees.insert(path) }
  }
}

extension TaskCache {
  /// What of the tasks' code cannot be followed, or does not count as it was asked to; by file and line. A task whose
  /// code is not there yet is passed over.
  package func codeRemarks(of specs: some Sequence<TaskSpec>) -> [CodeClosure.Remark] {
    let follower = follower()
    var remarks: Set<CodeClosure.Remark> = []
    for spec in specs {
      var surveyor = Surveyor(
        project: project, hasher: hasher, environment: environment, upstream: [:], standardInput: nil,
        follower: follower)
      if let found = try? surveyor.surveyCode(of: spec) { remarks.formUnion(found) }
    }
    return remarks.sorted { ($0.path, $0.line, $0.message) < ($1.path, $1.line, $1.message) }
  }
}

extension Surveyor {
  /// Adds every file of the project that the declared code uses, each as a component of its own, and puts the digests
  /// that were asked for in place of the raw ones.
  mutating func addUsedCode(of spec: TaskSpec, _ filter: PathFilter) throws(PurserError) {
    let inTrees = code.inTrees.sorted().map { CodeRequest.Start(path: $0, content: nil) }
    let starts = (code.declared + inTrees).filter { start in
      !start.path.isAbsolutePath && !start.path.hasPrefix("../") && Language.guess(path: start.path) != .none
    }
    guard !starts.isEmpty else { return }
    func inside(_ folder: ByteString) -> ByteString { folder == "." ? "" : folder }
    let request = CodeRequest(
      files: starts, workingDirectory: inside(spec.workingDirectory),
      sourceFolders: spec.sourceRoots.map(inside) + pythonPath(of: spec))
    let closure: CodeClosure
    do {
      closure = try follower.closure(of: request) { path in
        filter.skips(path, isDirectory: false) || project.location(of: path).isWithin(project.store)
      }
    } catch {
      throw Self.unusable(error, spec)
    }
    let known = Set(code.declared.map(\.path)).union(code.inTrees)
    code.files = closure.files.filter { !known.contains($0.path) }
    code.folders = closure.folders
    code.remarks = closure.remarks
    for file in code.files {
      identities.append((file.path, file.content.identity))
      components.append(
        Component(
          .codeFile, file.path, .file(file.content.digest, isExecutable: file.content.identity.isExecutable)))
    }
    try addForms(of: closure.roots.filter { !code.inTrees.contains($0.path) } + code.files, spec)
  }

  /// Folders of `PYTHONPATH` that lie in the project and hold its own modules.
  private func pythonPath(of spec: TaskSpec) -> [ByteString] {
    let folder = project.location(of: spec.workingDirectory)
    return (environment["PYTHONPATH"] ?? "").bytes.split(separator: UInt8(ascii: ":")).compactMap { entry in
      let location = folder.appending(path: ByteString(entry)).normalizedPath
      guard !entry.split(separator: UInt8(ascii: "/")).contains(where: { $0.elementsEqual("site-packages".utf8) })
      else {
        return nil
      }
      return location.path(relativeTo: project.root)
    }
  }

  /// Where not every byte counts: puts the digest of the form that does in place of the raw one.
  private mutating func addForms(of files: [CodeClosure.File], _ spec: TaskSpec) throws(PurserError) {
    guard spec.codeDigest == .normalized else { return }
    let files = files.filter { $0.language == .python }
    let forms: [PythonForm]
    do {
      forms = try follower.normalForms(of: files)
    } catch {
      throw Self.unusable(error, spec)
    }
    var normal: [ByteString: Digest] = [:]
    for (file, form) in zip(files, forms) {
      switch form {
      case .normal(let digest): normal[file.path] = digest
      // A file that has a syntax error has been remarked on for its imports too: one line is enough.
      case .raw(let remark):
        code.remarks.removeAll { $0.path == remark.path && $0.line == remark.line }
        code.remarks.append(remark)
      }
    }
    for index in components.indices where components[index].tag == .codeFile {
      let name = components[index].name
      if let digest = normal[name] { components[index] = Component(.codeForm, name, .digest(digest)) }
    }
  }

  static func unusable(_ error: FileError, _ spec: TaskSpec) -> PurserError {
    PurserError(
      error.code == .unstable ? .io : .refused,
      "code '\(error.path.printable)', which task '\(spec.id)' uses, \(error.message)")
  }
}
