import PurserStore
import Synchronization

/// Renews the leases of all open attempts, on one thread for all of them: the work itself, and storing what it made, may
/// take hours.
final class LeaseKeeper: Sendable {
  /// What the thread looks at. It outlives the keeper by the renewals that are under way.
  private final class Held: Sendable {
    let runs = Mutex<[OpenRun]>([])
  }

  private let held = Held()
  private let thread = Mutex<RepeatingThread?>(nil)

  deinit {
    thread.withLock { $0?.stop() }
  }

  /// Renews a run's leases from now on, four times in the time that they last.
  func keep(_ run: OpenRun, in records: any RecordStore, seconds: Int64) {
    held.runs.withLock { $0.append(run) }
    thread.withLock { thread in
      guard thread == nil else { return }
      thread = RepeatingThread(everyMilliseconds: Int32(seconds * 1000 / 4)) { [held] in
        for run in held.runs.withLock({ $0 }) { try? records.renew(run, until: TaskCache.time(in: seconds)) }
      }
    }
  }

  /// The run's leases are given back, or lost.
  func release(_ run: OpenRun) {
    held.runs.withLock { runs in runs.removeAll { $0.id == run.id } }
  }
}
