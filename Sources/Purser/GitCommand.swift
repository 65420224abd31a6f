import PurserExecution
package import PurserModel
import Synchronization

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
    let found = Mutex<[ByteString]>([])
    // What a hook or another git command has set up is about that one.
    let variables = environment.entries.filter { !$0.hasPrefix("GIT_DIR=") && !$0.hasPrefix("GIT_INDEX_FILE=") }
    let command = Command(
      argv: ["git", "--no-optional-locks", "-c", "core.quotePath=false"] + arguments,
      environment: variables + ["LC_ALL=C", "GIT_TERMINAL_PROMPT=0"], workingDirectory: folder, timeout: .seconds(60))
    let completion = try? LocalExecutor().run(
      command, capture: .discarding(),
      output: .lines { stream, line in
        if stream == 1 { found.withLock { $0.append(ByteString(bytes: line)) } }
      }, started: { _ in })
    guard completion?.exit == .exited(0) else { return nil }
    return found.withLock { $0 }
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
