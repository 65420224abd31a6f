import Synchronization

/// Looks, while items run, whether what they are made from is still what it was when the run began.
///
/// An item is recorded as done only after a look that began when it had ended: then nothing that it may have read has
/// changed while it ran. A look takes in all that the task declares, folders, globs and upstream outputs too, and the
/// times of every file, so that what was changed and changed back is noticed. Items that end at once share one.
final class InputWatch: Sendable {
  private let attempt: Attempt
  /// Counts items that ended.
  private let ended = Atomic(0)
  private struct State {
    /// Items up to this number had ended when the last good look began.
    var covered = 0
    var moved: String?
  }
  private let state = Mutex(State())

  init(_ attempt: Attempt) {
    self.attempt = attempt
  }

  /// The name of what was touched since the run began; `nil` if nothing was.
  func check() throws -> String? {
    let number = ended.add(1, ordering: .sequentiallyConsistent).newValue
    return try state.withLock { state in
      if state.moved != nil || state.covered >= number { return state.moved }
      let upTo = ended.load(ordering: .sequentiallyConsistent)
      state.moved = try attempt.movedInputs().first
      if state.moved == nil { state.covered = upTo }
      return state.moved
    }
  }

  /// What was found to be touched so far.
  var moved: String? { state.withLock { $0.moved } }
}
