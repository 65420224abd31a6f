import PurserHashing
import PurserModel
import PurserStore

/// Refuses declarations under which a result could not be trusted, or a restore could do harm.
struct Declarations {
  let project: Project

  /// Checks one task by itself, without a system call, and returns it with its paths normalized. Throws `refused` or
  /// `usage`.
  func admit(_ declared: TaskSpec) throws(PurserError) -> TaskSpec {
    let spec = declared.normalized
    try check(spec)
    return spec
  }

  private func check(_ spec: TaskSpec) throws(PurserError) {
    for path in spec.code + spec.inputs + spec.outputs + [spec.workingDirectory] where path.bytes.contains(0) {
      throw PurserError(
        .usage, "the path '\(path.printable)' of task '\(spec.id)' holds a NUL; no file can be named so")
    }
    guard !spec.id.isEmpty, !spec.id.unicodeScalars.contains(where: { $0.value < 0x20 }) else {
      throw PurserError(.usage, "a task's id must not be empty or hold control characters; choose another with --task")
    }
    for output in spec.outputs { try checkOutput(output, of: spec) }
    for folder in spec.sourceRoots where folder.leadsOut {
      throw PurserError(
        .refused,
        "source root '\(folder.printable)' of task '\(spec.id)' is outside the project; what is used there is not "
          + "followed: declare it with --code")
    }
    if let file = spec.dependencyFile, Glob.isPattern(file) || spec.mapping != nil {
      throw PurserError(
        .usage,
        "the dep file '\(file.printable)' of task '\(spec.id)' has to be one file of a task that is not mapped; name it "
          + "in full")
    }
    if spec.isTraced, spec.mapping != nil || spec.command.isEmpty {
      throw PurserError(
        .usage,
        "task '\(spec.id)' cannot be traced: only one command can, and it \(spec.mapping == nil ? "has none" : "is mapped")"
          + "; declare what it reads")
    }
    for (paths, declaration) in [(spec.inputs, "input"), (spec.code, "code")] {
      for path in paths { try checkInput(path, declaration, of: spec) }
    }
    guard !spec.upstream.contains(spec.id) else {
      throw PurserError(.refused, "task '\(spec.id)' cannot come after itself; remove --after \(spec.id)")
    }
  }

  private func checkOutput(_ output: ByteString, of spec: TaskSpec) throws(PurserError) {
    func refuse(_ why: String) -> PurserError {
      PurserError(.refused, "output '\(output.printable)' of task '\(spec.id)' is refused: \(why)")
    }
    if output.leadsOut {
      throw refuse("it is outside the project '\(project.root.printable)'; declare one inside it, or use --project")
    }
    if output == "." || output.isEmpty { throw refuse("it is the project's root; declare a folder or file in it") }
    let location = project.location(of: output)
    if location.isWithin(project.store) { throw refuse("it is in Purser's own store; declare another place") }
    if project.store.isWithin(location) { throw refuse("it holds Purser's store; declare another folder") }
    if spec.workingDirectory.isWithin(output) {
      throw refuse("the command runs in it, and it would be removed; declare what the command makes there")
    }
    let isPattern = Glob.isPattern(output)
    let glob = isPattern ? try Surveyor.glob(output, of: spec) : nil
    for path in spec.inputs + spec.code {
      if path == output { throw refuse("it is an input too; a task cannot be made from what it makes") }
      // By the text alone this holds for patterns too: all that they match is within.
      if path.isWithin(output) {
        throw refuse("it holds the input '\(path.printable)', which would be removed with it")
      }
      if glob?.matches(path) == true {
        throw refuse("it matches the input '\(path.printable)', which would be removed")
      }
    }
  }

  private func checkInput(_ path: ByteString, _ declaration: String, of spec: TaskSpec) throws(PurserError) {
    guard project.location(of: path).isWithin(project.store) else { return }
    throw PurserError(
      .refused, "\(declaration) '\(path.printable)' of task '\(spec.id)' is in Purser's own store; remove it")
  }

  /// Checks what only matters before something is removed or written: links on the way, and other tasks' outputs.
  func checkPlaces(_ spec: TaskSpec, key: TaskKey, records: any RecordStore) throws(PurserError) {
    do {
      let files = try ProjectFiles(root: project.root)
      for output in spec.outputs {
        do {
          try files.checkParent(of: output)
        } catch {
          throw PurserError(.refused, "output '\(output.printable)' of task '\(spec.id)' is refused: \(error.message)")
        }
        guard let inner = try records.outputs(below: output, near: key).first else { continue }
        throw PurserError(
          .refused,
          "output '\(output.printable)' of task '\(spec.id)' is refused: it holds '\(inner.path.printable)', an "
            + "output of task '\(inner.task)'; declare the single files, or, if that task is gone, run 'purser "
            + "invalidate \(inner.task)'")
      }
    } catch {
      throw PurserError(wrapping: error)
    }
  }
}
