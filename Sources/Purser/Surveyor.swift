import Glibc
import PurserCode
import PurserHashing
import PurserModel

/// Looks at everything that a task declares and makes its fingerprint. Starts no process and runs none of what it reads.
struct Surveyor {
  let project: Project
  let hasher: FileHasher
  let environment: ProcessEnvironment
  /// Those of PATH.
  let searchFolders: [ByteString]
  /// What is known of the upstream tasks, by id.
  let upstream: [String: UpstreamState]
  /// Digest of standard input, for a task that reads it.
  let standardInput: Digest?
  /// What was looked at before, for a whole plan; `nil` to look now.
  let table: FileTable?
  /// Follows code to what it uses.
  let follower: CodeFollower

  /// What a dependent sees of an upstream task.
  struct UpstreamState: Sendable {
    var outputsVersion: Digest?
    var outputDataVersion: ByteString?
    /// Its files as they were looked at, so that a rewrite during the run can be noticed.
    var identities: [(path: ByteString, identity: FileIdentity)] = []
  }

  var components: [Component] = []
  var identities: [(path: ByteString, identity: FileIdentity)] = []
  private var upstreamIdentities: [(path: ByteString, identity: FileIdentity)] = []
  var code = UsedCode()
  private var treeNodes: [Digest: [UInt8]] = [:]
  private var warnings: [String] = []

  init(
    cache: TaskCache, upstream: [String: UpstreamState], standardInput: Digest?, follower: CodeFollower,
    table: FileTable? = nil
  ) {
    project = cache.project
    hasher = cache.hasher
    environment = cache.environment
    searchFolders = cache.searchFolders
    self.upstream = upstream
    self.standardInput = standardInput
    self.table = table
    self.follower = follower
  }

  /// Surveys one task. O(declared files); contents are read only where the stat cache does not know them.
  mutating func survey(_ spec: TaskSpec) throws(PurserError) -> Survey {
    let filter = try Self.filter(for: spec, in: project)
    try addCode(of: spec, filter)
    for path in spec.inputs { try add(path, as: .inputs, of: spec, filter) }
    for name in spec.tools { try addTool(name, of: spec) }
    if !spec.command.isEmpty { components.append(Component(.argv, "", .list(spec.command))) }
    for argument in spec.arguments { components.append(Component(.argument, argument.name, .text(argument.value))) }
    for output in spec.outputs { components.append(Component(.outputPattern, output, .text(""))) }
    components.append(Component(.workingDirectory, "", .text(spec.workingDirectory)))
    addForm(of: spec)
    try addEnvironment(of: spec)
    if spec.readsStandardInput {
      components.append(Component(.standardInput, "", standardInput.map { .digest($0) } ?? .absent))
    }
    for task in spec.upstream {
      let state = upstream[task]
      upstreamIdentities += state?.identities ?? []
      components.append(
        Component(.upstreamOutputs, ByteString(task), state?.outputsVersion.map { .digest($0) } ?? .absent))
      components.append(
        Component(.upstreamData, ByteString(task), state?.outputDataVersion.map { .text($0) } ?? .absent))
    }
    return Survey(
      fingerprint: ActionKey.fingerprint(of: components), identities: identities,
      upstreamIdentities: upstreamIdentities, usedCode: code.files, codeFolders: code.folders, remarks: code.remarks,
      treeNodes: treeNodes, warnings: warnings)
  }

  private mutating func addCode(of spec: TaskSpec, _ filter: PathFilter) throws(PurserError) {
    for path in spec.code { try add(path, as: .code, of: spec, filter) }
    try addProgram(of: spec, filter)
    try addUsedCode(of: spec, filter)
  }

  /// Looks at the code alone, and says what of it could not be followed.
  mutating func surveyCode(of spec: TaskSpec) throws(PurserError) -> [CodeClosure.Remark] {
    try addCode(of: spec, Self.filter(for: spec, in: project))
    return code.remarks
  }

  /// What it returns and how it is mapped; nothing for a plain task.
  private mutating func addForm(of spec: TaskSpec) {
    for parameter in spec.parameters {
      components.append(Component(.parameter, parameter.name, .text(parameter.value)))
    }
    // Without it, the same declaration by itself would find what is made by a task that declares all that it reads.
    if spec.findsInputs { components.append(Component(.form, "finds its inputs", .text(""))) }
    if spec.keepsData { components.append(Component(.form, "returns data", .text(""))) }
    guard let mapping = spec.mapping else { return }
    let parts = mapping.names.enumerated().map { index, name in
      ByteString(mapping.positions.isEmpty ? name : "\(name)=\(mapping.positions[index])")
    }
    components.append(Component(.form, "maps over", .list([ByteString(mapping.upstream)] + parts)))
    components.append(Component(.form, "outputs of an item", .list(mapping.outputs)))
  }

  /// What folders and globs of a task leave out: the store, its own outputs, and what it excludes.
  static func filter(for spec: TaskSpec, in project: Project) throws(PurserError) -> PathFilter {
    var skipped: [ByteString] = []
    var patterns: [Glob] = []
    if let store = project.store.path(relativeTo: project.root) { skipped.append(store) }
    for output in spec.outputs {
      if Glob.isPattern(output) { patterns.append(try glob(output, of: spec)) } else { skipped.append(output) }
    }
    for exclude in spec.excludes { patterns.append(try glob(exclude, of: spec)) }
    return PathFilter(root: project.root, skippedPaths: skipped, patterns: patterns)
  }

  static func glob(_ pattern: ByteString, of spec: TaskSpec) throws(PurserError) -> Glob {
    do {
      return try Glob(pattern)
    } catch {
      throw PurserError(.usage, "the pattern '\(pattern.printable)' of task '\(spec.id)' cannot be read: \(error)")
    }
  }

  // MARK: Paths

  private mutating func add(
    _ path: ByteString, as group: Component.Group, of spec: TaskSpec, _ filter: PathFilter
  ) throws(PurserError) {
    let location = project.location(of: path)
    if case .success(let look)? = table?[location], let digest = look.digest {
      record(FileDigest(identity: look.identity, digest: digest), path, as: group)
      return
    }
    guard Glob.isPattern(path), hasher.kind(of: location) == nil else {
      try addLiteral(path, at: location, as: group, of: spec, filter)
      return
    }
    let glob = try Self.glob(path, of: spec)
    let matches: [ByteString]
    do {
      matches = try glob.expand(root: project.root, filter: filter, overlay: hasher.overlay)
    } catch {
      throw PurserError(error, declaration: group == .code ? "code" : "input", of: spec.id)
    }
    // The pattern itself is a component, so that an empty set differs from no declaration at all.
    components.append(Component(group == .code ? .codePattern : .inputPattern, path, .text("")))
    if matches.isEmpty {
      warnings.append(
        "\(group == .code ? "code" : "input") pattern '\(path.printable)' of task '\(spec.id)' matches no file")
    }
    try addFiles(matches, as: group, of: spec, filter)
  }

  /// Many files at once, on all cores; links one by one.
  private mutating func addFiles(
    _ paths: [ByteString], as group: Component.Group, of spec: TaskSpec, _ filter: PathFilter
  ) throws(PurserError) {
    var files: [ByteString] = []
    for path in paths {
      let location = project.location(of: path)
      if hasher.kind(of: location) == .symbolicLink {
        try addLiteral(path, at: location, as: group, of: spec, filter)
      } else {
        files.append(path)
      }
    }
    for (path, result) in zip(files, hasher.digests(of: files.map { project.location(of: $0) })) {
      do {
        record(try result.get(), path, as: group)
      } catch {
        throw PurserError(error, declaration: group == .code ? "code" : "input", of: spec.id)
      }
    }
  }

  private mutating func record(_ file: FileDigest, _ path: ByteString, as group: Component.Group) {
    identities.append((path, file.identity))
    if group == .code { code.declared.append(CodeRequest.Start(path: path, content: file)) }
    components.append(
      Component(
        group == .code ? .codeFile : .inputFile, path,
        .file(file.digest, isExecutable: file.identity.isExecutable)))
  }

  private mutating func addLiteral(
    _ path: ByteString, at location: ByteString, as group: Component.Group, of spec: TaskSpec, _ filter: PathFilter
  ) throws(PurserError) {
    let declaration = group == .code ? "code" : "input"
    do throws(FileError) {
      let identity = try hasher.identity(of: location, followLinks: false)
      switch identity.kind {
      case .file:
        record(try hasher.digest(of: location, identity: identity), path, as: group)
      case .directory:
        try addTree(path, at: location, as: group, filter)
      case .symbolicLink:
        try addLink(path, at: location, as: group, filter)
      default:
        _ = try hasher.digest(of: location)
      }
    } catch {
      throw PurserError(error.naming(path), declaration: declaration, of: spec.id)
    }
  }

  private mutating func addTree(
    _ path: ByteString, at location: ByteString, as group: Component.Group, _ filter: PathFilter
  ) throws(FileError) {
    let tree = try TreeHasher(hasher: hasher, projectRoot: project.root).tree(at: location, excluding: filter)
    treeNodes.merge(tree.nodes) { kept, _ in kept }
    tree.identities.forEach { file, identity in
      identities.append((file, identity))
      if group == .code { code.addInTree(file) }
    }
    components.append(Component(group == .code ? .codeTree : .inputTree, path, .digest(tree.digest)))
  }

  /// A link counts by its target's text and, where it leads inside the project, by the content there.
  private mutating func addLink(
    _ path: ByteString, at location: ByteString, as group: Component.Group, _ filter: PathFilter
  ) throws(FileError) {
    let target = try hasher.linkText(of: location)
    components.append(Component(group == .code ? .codeLink : .inputLink, path, .text(target)))
    guard let resolved = hasher.realPath(location), resolved.isWithin(project.root),
      !resolved.isWithin(project.store)
    else { return }
    switch hasher.kind(of: resolved) {
    case .directory: try addTree(path, at: resolved, as: group, filter)
    default:
      record(try hasher.digest(of: resolved), path, as: group)
      // Python looks for modules beside the file that a link leads to.
      if group == .code, let inside = resolved.path(relativeTo: project.root) {
        code.declared.append(CodeRequest.Start(path: inside, content: nil))
      }
    }
  }

  // MARK: Programs and variables

  /// A program that belongs to the project is code without being declared.
  private mutating func addProgram(of spec: TaskSpec, _ filter: PathFilter) throws(PurserError) {
    guard let program = spec.command.first, let found = find(program, of: spec),
      let name = found.path(relativeTo: project.root), !spec.code.contains(name),
      !filter.skips(name, isDirectory: false)
    else { return }
    switch hasher.kind(of: found) {
    case .file, .symbolicLink: try addLiteral(name, at: found, as: .code, of: spec, filter)
    default: return
    }
  }

  /// Where the program is inside the project; `nil` if it is elsewhere or nowhere.
  private func find(_ program: ByteString, of spec: TaskSpec) -> ByteString? {
    let folder = project.location(of: spec.workingDirectory)
    if program.bytes.contains(UInt8(ascii: "/")) { return folder.appending(path: program).normalizedPath }
    // Only folders of PATH that lie inside the project can hold it; the usual ones cost nothing.
    for entry in searchFolders where !entry.isAbsolutePath || entry.isWithin(project.root) {
      let candidate = folder.appending(path: entry).normalizedPath.appending(path: program)
      if candidate.isWithin(project.root), hasher.isExecutable(candidate) { return candidate }
    }
    return nil
  }

  private mutating func addTool(_ name: ByteString, of spec: TaskSpec) throws(PurserError) {
    let folder = project.location(of: spec.workingDirectory)
    var found: ByteString?
    if name.bytes.contains(UInt8(ascii: "/")) {
      found = folder.appending(path: name).normalizedPath
    } else {
      for entry in searchFolders {
        let candidate = folder.appending(path: entry).normalizedPath.appending(path: name)
        if hasher.isExecutable(candidate), hasher.kind(of: candidate) != .directory {
          found = candidate
          break
        }
      }
    }
    guard let found, let resolved = hasher.realPath(found) else {
      throw PurserError(
        .missing,
        "tool '\(name.printable)' of task '\(spec.id)' is not on PATH; install it, or remove --tool \(name.printable)")
    }
    do throws(FileError) {
      let file = try hasher.digest(of: resolved)
      identities.append((found, file.identity))
      components.append(Component(.toolPath, name, .text(found.path(relativeTo: project.root) ?? found)))
      components.append(Component(.toolFile, name, .file(file.digest, isExecutable: file.identity.isExecutable)))
      // A virtual environment's python is a link to the real one: what tells two apart is the file beside `bin`.
      let configuration = found.parentPath.parentPath.appending(path: "pyvenv.cfg")
      if hasher.kind(of: configuration) == .file {
        let digest = try hasher.digest(of: configuration).digest
        components.append(Component(.toolConfiguration, name, .file(digest, isExecutable: false)))
      }
    } catch {
      throw PurserError(error, declaration: "tool", of: spec.id)
    }
    if SourceFile.read(resolved, limit: 2, in: hasher.overlay) == Array("#!".utf8) {
      warnings.append(
        "tool '\(name.printable)' of task '\(spec.id)' is a script (\(resolved.printable)): what it starts is not part "
          + "of the key; name the real program with --tool too")
    }
  }

  private mutating func addEnvironment(of spec: TaskSpec) throws(PurserError) {
    guard !spec.environment.isEmpty else { return }
    let key = try SecretKey.load(store: project.store)
    for name in spec.environment {
      let value = environment[name].map { value in
        Component.Value.digest(HMAC.sha256(key: key, message: name.bytes + [0] + value.bytes))
      }
      components.append(Component(.environment, name, value ?? .absent))
    }
  }
}

extension FileError {
  /// The same error about the path as the user declared it.
  func naming(_ path: ByteString) -> FileError {
    var renamed = self
    // A path inside a declared folder is named itself; what is behind a declared link is not what the user wrote.
    if !self.path.isWithin(path) { renamed.path = path }
    return renamed
  }
}
