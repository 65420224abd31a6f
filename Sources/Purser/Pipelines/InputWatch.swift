import Glibc
import PurserExecution
import PurserHashing
import PurserModel
import Synchronization

/// Looks, while items run, whether what they are made from is still what it was when the run began.
///
/// The files are looked at by their times alone: an item that ran beside a write is not to be trusted, whatever the file
/// holds now. A look is made before each commit; where there are so many files that this would cost more than the items
/// do, a fiftieth of the time is spent on it, and what was committed since the last look is taken back.
final class InputWatch: Sendable {
  private let files: [(path: ByteString, location: ByteString, identity: FileIdentity)]
  private struct State {
    var nextLook: MonotonicTime
    var moved: String?
    /// Committed since the last look that found nothing.
    var unconfirmed: [Int] = []
  }
  private let state: Mutex<State>

  init(_ identities: [(path: ByteString, identity: FileIdentity)], project: Project) {
    files = identities.map { ($0.path, project.location(of: $0.path), $0.identity) }
    state = Mutex(State(nextLook: MonotonicTime.now()))
  }

  /// The name of a file that was touched since the run began; `nil` while all is well, or nobody looked.
  func check(now force: Bool = false) -> String? {
    state.withLock { state in
      if let moved = state.moved { return moved }
      let start = MonotonicTime.now()
      guard force || start >= state.nextLook else { return nil }
      state.moved = files.first { !Self.isUnchanged($0.location, $0.identity) }?.path.printable
      let end = MonotonicTime.now()
      let spent = start.duration(to: end)
      state.nextLook = spent > .milliseconds(1) ? end.advanced(by: spent * 50) : end
      if state.moved == nil { state.unconfirmed = [] }
      return state.moved
    }
  }

  /// Notes what is about to be committed.
  func note(_ items: [Int]) {
    state.withLock { $0.unconfirmed += items }
  }

  /// What was committed since all was last known to be well.
  func unconfirmed() -> [Int] {
    state.withLock { $0.unconfirmed }
  }

  private static func isUnchanged(_ location: ByteString, _ before: FileIdentity) -> Bool {
    guard let now = try? FileIdentity.of(path: location, followLinks: true) else { return false }
    return now.inode == before.inode && now.modified == before.modified && now.size == before.size
  }
}
