import CSpawn
import Glibc
import PurserModel
import Synchronization

/// Keeps SIGINT, SIGTERM, SIGHUP and SIGQUIT from ending this process, and tells that they came.
///
/// For as long as several commands run, one after another or at once: between and beside them a signal would otherwise
/// have its usual effect. Each command that runs meanwhile gets its own copy of each signal, and passes it on. A signal
/// that the process was started ignoring (by nohup, in the background of a plain shell) stays ignored and does not show
/// here. SIGPIPE and SIGXFSZ are ignored meanwhile: a write to a reader that went away fails instead.
package final class InterruptionWatch: Sendable {
  private enum State {
    case watching(slot: Int32)
    case ended(signal: Int32?, count: Int)
  }

  private let state: Mutex<State>

  /// Readable once a signal came, until ``wait(milliseconds:)`` has taken notice. It stays open for ever, and means
  /// nothing after ``end()``.
  package let descriptor: Int32

  /// Begins to watch.
  ///
  /// - Throws: ``ExecutionError`` if no more files can be opened, or too many commands run.
  package init() throws {
    let slot = cspawn_watch_begin()
    guard slot >= 0 else {
      throw ExecutionError(
        code: .system, command: "", errno: -slot,
        message: "signals cannot be caught: \(ExecutionError.text(-slot)); raise the limit on open files (ulimit -n)")
    }
    state = Mutex(.watching(slot: slot))
    descriptor = cspawn_signals_descriptor(slot)
  }

  deinit {
    end()
  }

  /// The first interruption since the beginning. Cheap; for any thread.
  package var signal: Int32? {
    status.signal
  }

  /// How many interruptions came. One that came within a tenth of a second of the same signal is not counted: it was
  /// sent twice for one cause, as `timeout(1)` does. Cheap; for any thread.
  package var count: Int {
    status.count
  }

  /// Blocks until a signal comes, or one has come since the last call, or the time is over; true if one came.
  ///
  /// A negative time is for ever. For one thread at a time.
  @discardableResult
  package func wait(milliseconds: Int32) -> Bool {
    let end = milliseconds < 0 ? nil : MonotonicTime.now().advanced(by: .milliseconds(milliseconds))
    while true {
      if takeNotice() { return true }
      let left = end?.millisecondsFromNow ?? -1
      if left == 0 { return false }
      var readable = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      poll(&readable, 1, left)
    }
  }

  /// Ends the watching; the process's own handling is restored when no command runs any more. What came stays known.
  package func end() {
    state.withLock { state in
      guard case .watching(let slot) = state else { return }
      _ = cspawn_signals_end(slot)
      let status = Self.status(slot)
      state = .ended(signal: status.signal, count: status.count)
      cspawn_signals_free(slot)
    }
  }

  private var status: (signal: Int32?, count: Int) {
    state.withLock { state in
      switch state {
      case .watching(let slot): Self.status(slot)
      case .ended(let signal, let count): (signal, count)
      }
    }
  }

  private static func status(_ slot: Int32) -> (signal: Int32?, count: Int) {
    var first: Int32 = 0
    var count: Int32 = 0
    cspawn_watch_state(slot, &first, &count)
    return (first == 0 ? nil : first, Int(count))
  }

  /// Takes the signals out of the pipe; whether there were any.
  private func takeNotice() -> Bool {
    state.withLock { state in
      guard case .watching(let slot) = state else { return false }
      var signal = cspawn_signal()
      var found = false
      while cspawn_signals_next(slot, &signal) { found = true }
      return found
    }
  }
}
