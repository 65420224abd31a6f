import Glibc
import PurserExecution
import Synchronization

/// A run of a pipeline that is under way, or over.
public final class PipelineRun: Sendable {
  /// All that happens, in order, from the plan to the end; for one loop. What nobody reads yet is kept.
  public let events: AsyncStream<RunEvent>

  private let cancellation: Cancellation
  private let state = Mutex(State.running(waiting: []))

  private enum State {
    case running(waiting: [CheckedContinuation<RunSummary, any Error>])
    case over(Result<RunSummary, PurserError>)
  }

  init(_ runner: Runner, _ targets: [String], _ options: RunOptions) {
    let (events, continuation) = AsyncStream.makeStream(of: RunEvent.self)
    self.events = events
    let cancellation = Cancellation()
    self.cancellation = cancellation
    // Not one of the cooperative pool's, since it blocks. It lives on idle, so that no command is killed by its end.
    WorkerPool(count: 1).submit { [self] in
      let outcome = Result { () throws(PurserError) in
        try runner.graphRun(options, cancellation: cancellation) { continuation.yield($0) }.run(targets)
      }
      continuation.finish()
      end(outcome)
    }
  }

  private func end(_ outcome: Result<RunSummary, PurserError>) {
    let waiting = state.withLock { state in
      guard case .running(let waiting) = state else { return [CheckedContinuation<RunSummary, any Error>]() }
      state = .over(outcome)
      return waiting
    }
    for continuation in waiting { continuation.resume(with: outcome.mapError { $0 }) }
  }

  /// Stops the run as SIGTERM would: commands are asked to end, closures' tasks are cancelled, nothing more is begun.
  /// What was recorded stays. Returns at once.
  public func cancel() { cancellation.request() }

  /// What the run came to, once it is over. Where the asking task is cancelled, so is the run.
  ///
  /// - Throws: as ``Runner/run(_:options:observe:)``.
  public var summary: RunSummary {
    get async throws {
      try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
          let outcome = state.withLock { state -> Result<RunSummary, PurserError>? in
            switch state {
            case .over(let outcome): return outcome
            case .running(var waiting):
              waiting.append(continuation)
              state = .running(waiting: waiting)
              return nil
            }
          }
          if let outcome { continuation.resume(with: outcome.mapError { $0 as any Error }) }
        }
      } onCancel: {
        cancel()
      }
    }
  }
}
