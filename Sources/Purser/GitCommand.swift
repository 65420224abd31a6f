import PurserExecution
package import PurserModel

/// Asks git, by starting it: for what only its history knows. Never on the way to a decision.
package struct GitCommand: Sendable {
  let folder: ByteString
  let environment: ProcessEnvironment

  package init(folder: ByteString, environment: ProcessEnvironment) {
    self.folder = folder
    self.environment = environment
  }

  /// The lines that git prints; `nil` where there is no git, or it fails.
  package func lines(_ arguments: [ByteString]) -> [ByteString]? {
    guard let answer = try? answer(arguments), answer.succeeded else { return nil }
    let lines = answer.bytes.split(separator: 0x0a, omittingEmptySubsequences: false)
    return (lines.last?.isEmpty == true ? lines.dropLast() : lines[...]).map { ByteString($0) }
  }

  private func command(_ arguments: [ByteString]) -> Command {
    // What a hook or another git command has set up is about that one.
    let variables = environment.entries.filter { entry in
      !Self.ofOthers.contains { entry.hasPrefix($0) }
    }
    return Command(
      argv: ["git", "--no-optional-locks", "-c", "core.quotePath=false", "-c", "core.fsmonitor=false"] + arguments,
      environment: variables + ["LC_ALL=C", "GIT_TERMINAL_PROMPT=0"], workingDirectory: folder)
  }

  private static let ofOthers: [ByteString] = ["GIT_DIR=", "GIT_INDEX_FILE=", "GIT_WORK_TREE=", "GIT_PREFIX="]

  /// Everything that git printed, and how it ended.
  struct Answer {
    var bytes: [UInt8]
    var succeeded: Bool
    /// What it said on standard error, on one line.
    var complaint: String
  }

  /// What git prints, byte by byte.
  ///
  /// - Parameter input: its standard input; it must be read whatever is printed, or what is printed be less than 64 KiB.
  /// - Throws: `unavailable` where it cannot be started.
  func answer(_ arguments: [ByteString], input: [UInt8] = []) throws(PurserError) -> Answer {
    let git = try ask(arguments)
    _ = git.ask(input)
    git.endQuestions()
    guard let bytes = git.readAll() else {
      throw PurserError(.io, "'git \(arguments.first?.printable ?? "")' gives no answer; try it by hand")
    }
    let exit = git.end()
    let lines = git.errorText.bytes.split(separator: 0x0a).map { ByteString($0).printable }
    return Answer(
      bytes: bytes, succeeded: exit == .exited(0),
      complaint: lines.isEmpty ? "nothing, and ended with \(exit.code)" : lines.joined(separator: "; "))
  }

  /// Starts git, to be asked more than once. It ends with the calling thread.
  func ask(_ arguments: [ByteString]) throws(PurserError) -> Dialogue {
    do {
      return try Dialogue(command(arguments))
    } catch {
      throw PurserError(
        .unavailable,
        error.code == .commandNotFound ? "git is needed for this, and is not on PATH; install it" : error.message)
    }
  }
}

/// A commit, as history names it.
public struct Commit: Sendable, Hashable {
  /// The full name: 40 or 64 hex digits.
  public var name: String
  /// Who wrote it.
  public var author: String
  /// When, ISO 8601 with its own offset.
  public var date: String
  /// The first line of its message.
  public var subject: String
  /// Whether the file has been changed since, in the working tree or the index.
  public var isOutdated: Bool
}

extension GitCommand {
  /// The commit that last touched a file; `nil` for one that git does not know.
  package func lastCommit(touching path: ByteString) -> Commit? {
    guard
      let line = lines(["log", "-1", "--format=%H%x09%an%x09%aI%x09%s", "--", ":(literal)" + path])?.first
    else { return nil }
    let parts = line.bytes.split(separator: 0x09, maxSplits: 3, omittingEmptySubsequences: false)
      .map { ByteString($0).escaped }
    guard parts.count == 4 else { return nil }
    let changed = lines(["status", "--porcelain", "--untracked-files=no", "--", ":(literal)" + path])
    return Commit(
      name: parts[0], author: parts[1], date: parts[2], subject: parts[3], isOutdated: changed?.isEmpty == false)
  }
}
