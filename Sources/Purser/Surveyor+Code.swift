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
    if Language.guess(path: path) != .none { inTrees.insert(path) }
  }
}

extension TaskCache {
  /// What of the tasks' code cannot be followed, or does not count as it was asked to; by file and line. A task whose
  /// code is not there yet is passed over.
  package func codeRemarks(of specs: some Sequence<TaskSpec>) -> [CodeClosure.Remark] {
    let follower = follower()
    var remarks: Set<CodeClosure.Remark> = []
    for spec in specs {
      var surveyor = Surveyor(cache: self, upstream: [:], standardInput: nil, follower: follower)
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
    let run = interpreted(by: spec)
    let starts = (code.declared + inTrees).compactMap { start -> CodeRequest.Start? in
      guard !start.path.isAbsolutePath, !start.path.hasPrefix("../") else { return nil }
      var start = start
      if start.path == run?.path { start.language = run?.language }
      return start.guess == .none ? nil : start
    }
    guard !starts.isEmpty else { return }
    func inside(_ folder: ByteString) -> ByteString { folder == "." ? "" : folder }
    let request = CodeRequest(
      files: starts, workingDirectory: inside(spec.workingDirectory),
      sourceFolders: spec.sourceRoots.map(inside) + pythonPath(of: spec))
    let skips = { [project] (path: ByteString) in
      filter.skips(path, isDirectory: false) || project.location(of: path).isWithin(project.store)
    }
    let closure: CodeClosure
    do {
      closure = try follower.closure(of: request, skipping: skips)
      if case .function(let name) = spec.codeDigest {
        let python = Set(closure.roots.lazy.filter { $0.language == .python }.map(\.path)).subtracting(code.inTrees)
        if let entry = code.declared.first(where: { python.contains($0.path) })?.path {
          return try addReach(of: name, in: entry, python, request, spec, skips)
        }
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

  /// Of the Python files that are declared, adds what a function of one of them reaches, each definition as a component;
  /// of the others all that they use.
  private mutating func addReach(
    of function: String?, in entry: ByteString, _ python: Set<ByteString>, _ request: CodeRequest, _ spec: TaskSpec,
    _ skips: (ByteString) -> Bool
  ) throws(FileError) {
    var ours = request
    ours.files.removeAll { !python.contains($0.path) }
    var others = request
    others.files.removeAll { python.contains($0.path) }
    let reach = try follower.reach(of: function.map { ByteString($0) }, in: entry, for: ours, skipping: skips)
    let rest = others.files.isEmpty ? CodeClosure() : try follower.closure(of: others, skipping: skips)
    let files = reach.files.filter { $0.language == .python }
    // What one file defines may be read by another as text.
    var readings: PythonNormalForm.Readings = []
    let forms = try follower.normalForms(of: files)
    for case .normal(_, _, let own) in forms { readings.formUnion(own) }

    let declared = Set(code.declared.map(\.path)).union(code.inTrees)
    var whole = Set(reach.wholeFiles.map(\.path)).union(rest.files.map { $0.path })
    if readings.contains(.source) { whole.formUnion(files.map(\.path)) }
    components.removeAll { $0.tag == .codeFile && python.contains($0.name) && !whole.contains($0.name) }
    for definition in reach.definitions where !whole.contains(definition.path) {
      components.append(
        Component(.codeDefinition, definition.path + ":" + definition.name, .digest(definition.digest)))
    }
    if readings == .docstrings {
      for (file, form) in zip(files, forms) where !whole.contains(file.path) {
        if case .normal(_, let documented, _) = form {
          components.append(Component(.codeForm, file.path, .digest(documented)))
        }
      }
    }
    var seen = declared
    for file in reach.files + reach.wholeFiles + rest.files where seen.insert(file.path).inserted {
      code.files.append(file)
      identities.append((file.path, file.content.identity))
      guard whole.contains(file.path) else { continue }
      components.append(
        Component(
          .codeFile, file.path, .file(file.content.digest, isExecutable: file.content.identity.isExecutable)))
    }
    code.folders = Array(Set(reach.folders).union(rest.folders))
    code.remarks = reach.remarks + rest.remarks
    if !readings.isEmpty {
      code.remarks.append(
        CodeClosure.Remark(
          path: entry, line: 0,
          message: readings.contains(.source)
            ? "uses code that reads source text: every byte of the task's Python files counts"
            : "uses code that reads docstrings: all definitions of the task's Python files count"))
    }
  }

  /// The file that the command hands to an interpreter: `python3 -u step`.
  private func interpreted(by spec: TaskSpec) -> (path: ByteString, language: Language)? {
    guard let program = spec.command.first, let language = Language(interpreter: program),
      let argument = spec.command.dropFirst().first(where: { !$0.hasPrefix("-") })
    else { return nil }
    let folder = spec.workingDirectory == "." ? "" : spec.workingDirectory
    let path = folder.appending(path: argument).normalizedPath
    return (path.path(relativeTo: project.root) ?? path, language)
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
    var readings: PythonNormalForm.Readings = []
    for (file, form) in zip(files, forms) {
      switch form {
      case .normal(_, _, let own):
        readings.formUnion(own)
        guard own.contains(.source) else { continue }
        code.remarks.append(
          CodeClosure.Remark(
            path: file.path, line: 0, message: "reads source text: every byte of the task's Python files counts"))
      // A file that has a syntax error has been remarked on for its imports too: one line is enough.
      case .raw(let remark):
        code.remarks.removeAll { $0.path == remark.path && $0.line == remark.line }
        code.remarks.append(remark)
      }
    }
    // What one file defines may be read by another.
    guard !readings.contains(.source) else { return }
    var normal: [ByteString: Digest] = [:]
    for (file, form) in zip(files, forms) {
      if case .normal(let plain, let documented, _) = form {
        normal[file.path] = readings.contains(.docstrings) ? documented : plain
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
