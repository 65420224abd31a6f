import CLinux
import Glibc
import PurserStore
import Synchronization

/// Lets callers on several threads share commits: who comes first commits for all who are waiting by then.
///
/// A caller by itself waits for nobody. Those who come while a commit is on its way stand together in the next one, so
/// that the time of one `fsync` is spent once for all of them. Where many are said to come, a commit waits for some of
/// them: a transaction writes the same pages for one as for several.
final class CommitQueue<Request: Sendable>: Sendable {
  private let state = Mutex(State())

  private struct State {
    var waiting: [Ticket] = []
    /// Whether somebody is committing, or was told to.
    var isLed = false
    /// With how many a commit is to be shared, if they come soon.
    var company = 0
    /// Who is to commit, but waits for company.
    var patient: Ticket?

    /// Lets who waits for company go on, if enough of it is there.
    mutating func endPatience() {
      guard waiting.count >= company, let ticket = patient else { return }
      patient = nil
      ticket.signal.send()
    }
  }

  /// The longest that a commit waits for company, in milliseconds.
  private let patience: Int32

  init(patience: Int32 = 25) {
    self.patience = patience
  }

  /// One caller's request, and what came of it.
  private final class Ticket: Sendable {
    let request: Request
    let signal = Signal()
    /// `nil` for who is to commit next.
    let outcome = Mutex<Result<Void, StoreError>?>(nil)

    init(_ request: Request) {
      self.request = request
    }
  }

  /// How many wait for the next commit.
  var count: Int { state.withLock { $0.waiting.count } }

  /// From now on, a commit waits a moment until `count` share it.
  func expect(_ count: Int) {
    state.withLock { state in
      state.company = count
      state.endPatience()
    }
  }

  /// Returns when the request is committed, by this call of `commit` or by somebody else's. `commit` takes, once, what
  /// waits by the time that it is ready to commit, and gives each request's outcome, in their order.
  func submit(
    _ request: Request, _ commit: (_ take: () -> [Request]) -> [Result<Void, StoreError>]
  ) throws(StoreError) {
    let ticket = Ticket(request)
    let mustWait = state.withLock { state in
      state.waiting.append(ticket)
      state.endPatience()
      defer { state.isLed = true }
      return state.isLed
    }
    if mustWait {
      ticket.signal.wait()
      if let outcome = ticket.outcome.withLock({ $0 }) { return try outcome.get() }
    }
    awaitCompany(ticket)
    var batch: [Ticket] = []
    let outcomes = commit {
      batch = state.withLock { state in
        defer { state.waiting = [] }
        return state.waiting
      }
      return batch.map(\.request)
    }
    var ownOutcome = Result<Void, StoreError>.success(())
    for (other, outcome) in zip(batch, outcomes) {
      if other === ticket {
        ownOutcome = outcome
      } else {
        other.outcome.withLock { $0 = outcome }
        other.signal.send()
      }
    }
    let next = state.withLock { state in
      state.isLed = !state.waiting.isEmpty
      return state.waiting.first
    }
    next?.signal.send()
    try ownOutcome.get()
  }

  private func awaitCompany(_ ticket: Ticket) {
    let isAlone = state.withLock { state in
      guard state.waiting.count < state.company else { return false }
      state.patient = ticket
      return true
    }
    guard isAlone else { return }
    ticket.signal.wait(milliseconds: patience)
    state.withLock { $0.patient = nil }
  }
}

/// Something that one thread waits for and another one gives, once.
///
/// `@unchecked Sendable`: POSIX semaphores may be used from any thread.
private final class Signal: @unchecked Sendable {
  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  init() {
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func wait() {
    while sem_wait(semaphore) != 0 && errno == EINTR {}
  }

  func wait(milliseconds: Int32) {
    _ = purser_semaphore_wait(semaphore, milliseconds)
  }

  func send() {
    sem_post(semaphore)
  }
}
