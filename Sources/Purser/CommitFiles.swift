import Glibc
import PurserExecution
package import PurserHashing
package import PurserModel

/// The files of a commit, seen without checking it out: what differs from the working tree comes from git's objects,
/// everything else is as it lies on disk, as it would be after a checkout. Nothing is written anywhere.
///
/// What differs is what `git diff-index` says: for a file that is the same in the commit, the index and, by the times
/// that git remembers, on disk, the disk is asked, and so is the stat cache.
package struct CommitFiles {
  /// The full name of the commit.
  package let commit: String
  package let overlay: FileOverlay
  /// What may be seen otherwise than after a checkout; one line each.
  package let warnings: [String]
  private let git: GitCommand
  private let differences: [Difference]

  /// As the commit is named in messages: "at 1a2b3c4d5e6f".
  package var label: String { overlay.label }

  /// - Parameter reference: a commit, as git understands it.
  /// - Throws: `usage` for a name that is none, or outside of a repository; `missing` for one that git does not know,
  ///   `unavailable` where there is no git, `io` where git fails.
  package init(_ reference: ByteString, project: Project, environment: ProcessEnvironment) throws(PurserError) {
    guard !reference.isEmpty, !reference.hasPrefix("-") else {
      throw PurserError(
        .usage, "--at '\(reference.printable)' names no commit; give a branch, a tag or a commit, such as HEAD~1")
    }
    let top = try Self.top(of: project, GitCommand(folder: project.root, environment: environment))
    git = GitCommand(folder: top, environment: environment)
    commit = try Self.commit(reference, project, git)
    differences = try Self.differences(from: commit, git)
    let label = "at " + commit.prefix(12)
    var mask = mode_t(0)
    mask = umask(mask)
    umask(mask)
    let view = try View(of: differences, label: label, mask: UInt32(mask), git)
    overlay = FileOverlay(
      top: top, label: label, changes: view.changes, folderPermissions: 0o777 & ~UInt32(mask), contents: view.contents)
    warnings = view.warnings
  }

  /// Whether what differs is still what it was: else some files may have been seen as neither the commit nor the working
  /// tree has them.
  package func isCurrent() throws(PurserError) -> Bool { try Self.differences(from: commit, git) == differences }

  // MARK: Asking git

  private static func top(of project: Project, _ git: GitCommand) throws(PurserError) -> ByteString {
    let answer = try git.answer(["rev-parse", "--show-toplevel"])
    guard answer.succeeded, answer.bytes.last == 0x0a else {
      throw PurserError(
        .usage,
        "--at needs the working tree of a git repository, and '\(project.root.printable)' is in none: git says "
          + "'\(answer.complaint)'")
    }
    let top = ByteString(answer.bytes.dropLast())
    guard project.root.isWithin(top) else {
      throw PurserError(
        .usage,
        "--at needs the project in git's working tree, which is '\(top.printable)' and not around "
          + "'\(project.root.printable)'; look at core.worktree")
    }
    return top
  }

  private static func commit(
    _ reference: ByteString, _ project: Project, _ git: GitCommand
  ) throws(PurserError) -> String {
    func resolve(_ name: ByteString) throws(PurserError) -> String? {
      let answer = try git.answer(["rev-parse", "--verify", "--quiet", "--end-of-options", name])
      return answer.succeeded ? ByteString(answer.bytes.filter { $0 != 0x0a }).escaped : nil
    }
    if let commit = try resolve(reference + "^{commit}") { return commit }
    // `:/text` takes everything behind it for text.
    if let object = try resolve(reference) {
      if let commit = try resolve(ByteString(object) + "^{commit}") { return commit }
      throw PurserError(.missing, "'\(reference.printable)' is no commit, but another object of git's; name a commit")
    }
    let names = git.lines(["for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes"])
    var hint = Suggestion.hint(reference.escaped, among: (names ?? []).map(\.escaped) + ["HEAD"])
    if hint.isEmpty { hint = "; 'git branch -a', 'git tag' and 'git log' name those that are there" }
    if git.lines(["rev-parse", "--is-shallow-repository"])?.first == "true" {
      hint += "; this clone has only part of the history: 'git fetch --unshallow' gets the rest"
    }
    throw PurserError(
      .missing, "git knows no commit '\(reference.printable)' in '\(project.root.printable)'" + hint)
  }

  private static func differences(from commit: String, _ git: GitCommand) throws(PurserError) -> [Difference] {
    let answer = try git.answer([
      "diff-index", "--raw", "-z", "--no-renames", "--no-abbrev", "--ignore-submodules=dirty", ByteString(commit), "--",
    ])
    guard answer.succeeded else {
      throw PurserError(.io, "git cannot compare the working tree with \(commit): \(answer.complaint)")
    }
    return try removingTouched(records(in: answer.bytes), git)
  }

  // MARK: What differs

  /// One record: `:MODE MODE ID ID STATUS`, the commit's first, and the path behind a NUL.
  private struct Difference: Equatable {
    var mode: ByteString
    var diskMode: ByteString
    var id: ByteString
    var diskID: ByteString
    var path: ByteString

    /// Whether git cannot tell by its times alone that a file is the commit's.
    var isTouchedFile: Bool {
      mode == diskMode && mode.hasPrefix("100") && diskID.bytes.allSatisfy { $0 == UInt8(ascii: "0") }
    }
  }

  private static func records(in bytes: [UInt8]) throws(PurserError) -> [Difference] {
    var parts = bytes.split(separator: 0, omittingEmptySubsequences: false)[...]
    var records: [Difference] = []
    while parts.count >= 2 {
      let words = parts.removeFirst().dropFirst().split(separator: 0x20).map { ByteString($0) }
      let path = ByteString(parts.removeFirst())
      guard words.count == 5, words[0].count == 6, words[1].count == 6 else {
        throw PurserError(.io, "git describes '\(path.printable)' in a way that is not understood")
      }
      records.append(Difference(mode: words[0], diskMode: words[1], id: words[2], diskID: words[3], path: path))
    }
    return records
  }

  /// Without files that were only touched: git reads them, and a checkout leaves them as they are, whatever their line
  /// ends.
  private static func removingTouched(
    _ differences: [Difference], _ git: GitCommand
  ) throws(PurserError) -> [Difference] {
    // One on a line; git takes one that begins with a quotation mark for quoted.
    let touched = differences.filter { difference in
      difference.isTouchedFile && !difference.path.bytes.contains(0x0a) && !difference.path.hasPrefix("\"")
    }
    var same: Set<ByteString> = []
    // As many as their answers fit into a pipe.
    for start in stride(from: 0, to: touched.count, by: 900) {
      let part = touched[start..<min(start + 900, touched.count)]
      let answer = try git.answer(["hash-object", "--stdin-paths"], input: part.flatMap { $0.path.bytes + [0x0a] })
      let lines = answer.bytes.split(separator: 0x0a)
      // One that is gone meanwhile will be noticed in the end.
      guard answer.succeeded, lines.count == part.count else { continue }
      for (difference, id) in zip(part, lines) where difference.id == ByteString(id) { same.insert(difference.path) }
    }
    return same.isEmpty ? differences : differences.filter { !same.contains($0.path) }
  }

  /// The differences as an overlay has them.
  private struct View {
    var changes: [(path: ByteString, change: FileOverlay.Change)] = []
    let contents: GitContents
    private(set) var warnings: [String] = []

    init(
      of differences: [Difference], label: String, mask: UInt32, _ git: GitCommand
    ) throws(PurserError) {
      let settings = Set(git.lines(["config", "--bool", "--get-regexp", #"^core\.(symlinks|sparsecheckout)$"#]) ?? [])
      let hasLinks = !settings.contains("core.symlinks false")
      var objects: [GitContents.Object] = []
      for difference in differences {
        let path = difference.path
        let wasModule = difference.diskMode == "160000"
        switch difference.mode {
        case "160000": changes.append((path, .folder(isKept: true)))
        case "000000": changes.append((path, wasModule ? .folder(isKept: false) : .nothing))
        case "120000" where hasLinks: objects.append(GitContents.Object(id: difference.id, path: path, isLink: true))
        default:
          let permissions: UInt32 = (difference.mode == "100755" ? 0o777 : 0o666) & ~mask
          changes.append((path, .file(number: objects.count, permissions: permissions)))
          objects.append(GitContents.Object(id: difference.id, path: path, isLink: false))
        }
        if difference.mode == "160000" || wasModule {
          warnings.append("the submodule '\(path.printable)' is another \(label); it is seen as it is on disk")
        }
      }
      // What git has to convert is converted by the attributes that are on disk.
      let attributes = differences.filter { $0.path.lastPathComponent == ".gitattributes" }.map(\.path)
      if objects.contains(where: { !$0.isLink && !attributes.contains($0.path) }) {
        warnings += attributes.map {
          "'\($0.printable)' is another \(label); line ends and filters are those of the one on disk"
        }
      }
      if settings.contains("core.sparsecheckout true") {
        warnings.append(
          "only part of the repository is checked out; what is another \(label) outside of it is seen as if it were")
      }
      contents = try GitContents(objects, git)
      for (number, object) in objects.enumerated() where object.isLink {
        do throws(FileError) {
          changes.append((object.path, .link(text: try contents.linkText(number))))
        } catch {
          throw PurserError(.io, "the link \(error)")
        }
      }
    }
  }
}
