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
  private let differences: [UInt8]

  /// As the commit is named in messages: "at 1a2b3c4d5e6f".
  package var label: String { overlay.label }

  private static func label(_ commit: String) -> String { "at " + commit.prefix(12) }

  /// - Parameter reference: a commit, as git understands it.
  /// - Throws: `usage` for a name that is none, or outside of a repository; `missing` for one that git does not know,
  ///   `unavailable` where there is no git, `io` where git fails.
  package init(_ reference: ByteString, project: Project, environment: ProcessEnvironment) throws(PurserError) {
    guard !reference.isEmpty, !reference.hasPrefix("-") else {
      throw PurserError(
        .usage, "--at '\(reference.printable)' names no commit; give a branch, a tag or a commit, such as HEAD~1")
    }
    let atRoot = GitCommand(folder: project.root, environment: environment)
    let top = try Self.top(of: project, atRoot)
    git = GitCommand(folder: top, environment: environment)
    commit = try Self.commit(reference, project, git)
    differences = try Self.differences(from: commit, git)
    let parsed = try Self.parse(differences, top: top, label: Self.label(commit), git)
    overlay = FileOverlay(
      top: top, label: Self.label(commit), changes: parsed.changes, folderPermissions: 0o777 & ~parsed.mask,
      contents: parsed.contents)
    warnings = parsed.warnings
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
    return ByteString(answer.bytes.dropLast())
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

  private static func differences(from commit: String, _ git: GitCommand) throws(PurserError) -> [UInt8] {
    let answer = try git.answer([
      "diff-index", "--raw", "-z", "--no-renames", "--no-abbrev", "--ignore-submodules=dirty", ByteString(commit), "--",
    ])
    guard answer.succeeded else {
      throw PurserError(.io, "git cannot compare the working tree with \(commit): \(answer.complaint)")
    }
    return answer.bytes
  }

  // MARK: What differs

  private struct Parsed {
    var changes: [(path: ByteString, change: FileOverlay.Change)] = []
    var contents: GitContents
    var mask: UInt32
    var warnings: [String] = []
  }

  /// One record: `:MODE MODE ID ID STATUS`, the commit's first, and the path behind a NUL.
  private struct Difference {
    var mode: ByteString
    var diskMode: ByteString
    var id: ByteString
    var diskID: ByteString
    var path: ByteString

    /// Whether git knows no content for what is on disk, and would have to read it.
    var isTouched: Bool { diskID.bytes.allSatisfy { $0 == UInt8(ascii: "0") } }
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

  private static func parse(
    _ bytes: [UInt8], top: ByteString, label: String, _ git: GitCommand
  ) throws(PurserError) -> Parsed {
    let records = try records(in: bytes)
    let settings = Set(
      git.lines(["config", "--bool", "--get-regexp", #"^core\.(symlinks|sparsecheckout)$"#]) ?? [])
    let hasLinks = !settings.contains("core.symlinks false")
    var mask = mode_t(0)
    mask = umask(mask)
    umask(mask)
    var parsed = Parsed(contents: GitContents(top: top), mask: UInt32(mask))
    var links: [(path: ByteString, number: Int)] = []
    for record in records {
      let wasModule = record.diskMode == "160000"
      switch record.mode {
      case "160000":
        parsed.changes.append((record.path, .folder(isKept: true)))
      case "000000":
        parsed.changes.append((record.path, wasModule ? .folder(isKept: false) : .nothing))
      case "120000" where hasLinks:
        links.append((record.path, parsed.contents.add(record.id, at: record.path)))
      default:
        var permissions: UInt32 = (record.mode == "100755" ? 0o777 : 0o666) & ~UInt32(mask)
        // What was only touched is left as it is by a checkout.
        if record.isTouched, record.mode == record.diskMode,
          let identity = try? FileIdentity.of(path: top.appending(path: record.path), followLinks: false)
        {
          permissions = identity.permissions
        }
        let number = parsed.contents.add(record.id, at: record.path)
        parsed.changes.append((record.path, .file(number: number, permissions: permissions)))
      }
      if record.mode == "160000" || wasModule {
        parsed.warnings.append(
          "the submodule '\(record.path.printable)' is another \(label); it is seen as it is on disk")
      }
      if record.path.lastPathComponent == ".gitattributes" {
        parsed.warnings.append(
          "'\(record.path.printable)' is another \(label); line ends and filters are those of the one on disk")
      }
    }
    if settings.contains("core.sparsecheckout true") {
      parsed.warnings.append(
        "only part of the repository is checked out; what is another \(label) outside of it is seen as if it were")
    }
    try parsed.contents.start(git)
    for (path, number) in links {
      do throws(FileError) {
        parsed.changes.append((path, .link(text: try parsed.contents.linkText(number))))
      } catch {
        throw PurserError(.io, "the link \(error)")
      }
    }
    return parsed
  }
}
