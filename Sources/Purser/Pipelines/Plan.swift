public import PurserModel

/// What a run of a pipeline would do.
public struct Plan: Sendable {
  /// One entry for each task of the pipeline, in its order; `nil` for those that are not asked for.
  public var entries: [Entry?]
  /// The sum of what is expected of the tasks that have to run, in microseconds.
  public var expectedMicroseconds: Int64
  /// The longest chain of tasks that have to run, as places.
  public var criticalPath: [Int]

  /// One task.
  public struct Entry: Sendable {
    /// What was found out.
    package var verdict: Verdict
    /// Whether it is fresh if the tasks before it come to what they had come to when it last ran: then it need not be
    /// looked at again. Always so for one that is fresh.
    package var isFreshIfUpstreamSame: Bool
    /// What dependents saw of it when they last ran; `nil` where there is no standing result.
    var recorded: Surveyor.UpstreamState?
    /// What it took last time, in microseconds; `nil` for one that never ended well.
    public var expectedMicroseconds: Int64?
    /// The time from its start to the end of the longest chain of tasks behind it.
    package var pathMicroseconds: Int64 = 0

    init(_ verdict: Verdict, isFreshIfUpstreamSame: Bool = false) {
      self.verdict = verdict
      self.isFreshIfUpstreamSame = isFreshIfUpstreamSame
    }

    /// Whether nothing is to be done.
    public var isFresh: Bool {
      switch verdict {
      case .untouched: true
      case .assessed(let assessment): if case .fresh = assessment.decision { true } else { false }
      case .pending, .error: false
      }
    }

    /// What is known of it in full; `nil` where it was not looked at that closely.
    package var assessment: Assessment? {
      if case .assessed(let assessment) = verdict { assessment } else { nil }
    }

    /// Why it cannot be decided about.
    public var error: PurserError? {
      if case .error(let error) = verdict { error } else { nil }
    }

    /// `fresh`, `restore`, `run` or `error`.
    public var word: String {
      switch verdict {
      case .untouched: "fresh"
      case .assessed(let assessment): assessment.decision.word
      case .pending: "run"
      case .error: "error"
      }
    }

    /// Why it is not fresh.
    public var reasons: [Reason] {
      switch verdict {
      case .untouched, .error: []
      case .assessed(let assessment): assessment.decision.reasons
      case .pending(let places, let tasks): [.upstreamPending(places.map { tasks.name($0) })]
      }
    }
  }

  /// What was found out about a task.
  package enum Verdict: Sendable {
    /// It was fresh, and nothing that it is made from or makes was touched since.
    case untouched
    /// It was decided about.
    indirect case assessed(Assessment)
    /// It waits for these tasks, and nothing else is known.
    case pending([Int], of: PipelineTasks)
    /// Its declaration cannot be used.
    case error(PurserError)
  }
}
