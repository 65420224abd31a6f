public import PurserModel
import PurserStore

/// Where a task's being out of date began.
public struct RootCause: Sendable, Hashable {
  /// From the task that was asked about to the one where the difference began.
  public var path: [String]
  /// What differs there.
  public var evidence: Evidence
  /// The commit that last touched the file that differs, where git knows it.
  public var commit: Commit?

  /// What was found at the end of the path.
  public enum Evidence: Sendable, Hashable {
    /// A component of the task itself: a file, a variable, an argument.
    case change(Change)
    /// A reason of its own: it failed, was invalidated, its outputs were touched.
    case reason(Reason)
    /// Its outputs differ from those that were used, though it was made from the same: it is not deterministic, or they
    /// were made elsewhere.
    case differentOutputs
  }

  /// The task where the difference began.
  public var task: String { path.last ?? "" }
}

extension TaskCache {
  /// Where a task's being out of date began: every first difference behind it, each once, found by following the recorded
  /// dependencies upstream. Empty for one that is fresh. O(tasks upstream · declared files).
  ///
  /// - Throws: `missing` or `refused` for a declaration that cannot be used, `unavailable` or `io` for a store that cannot
  ///   be read.
  public func rootCauses(of task: String) throws(PurserError) -> [RootCause] {
    try Explainer(self) { task throws(PurserError) in try self.storedSpecification(of: task) }.causes(of: task).causes
  }
}

/// Follows differences upstream to where they began.
package struct Explainer {
  let cache: TaskCache
  /// The declaration of a task; `nil` where it is not known.
  let declaration: (String) throws(PurserError) -> TaskSpec?

  package init(_ cache: TaskCache, declaration: @escaping (String) throws(PurserError) -> TaskSpec?) {
    self.cache = cache
    self.declaration = declaration
  }

  /// How many causes are told.
  private static let limit = 100

  /// Every first difference behind a task, each once, and which of the tasks that it directly follows are not fresh.
  /// O(tasks upstream · declared files).
  package func causes(of task: String) throws(PurserError) -> (causes: [RootCause], pending: [String]) {
    var search = Search()
    var pending: [Step] = [.now([task])]
    var next = 0
    while next < pending.count, search.causes.count < Self.limit {
      let step = pending[next]
      next += 1
      switch step {
      case .now(let path): pending += try lookNow(path, &search)
      case .since(let time, let path): pending += try lookBack(to: time, path, &search)
      }
    }
    let causes = search.causes.map { cause in
      var cause = cause
      if let file = cause.file {
        cause.commit = GitCommand(folder: cache.project.root, environment: cache.environment).lastCommit(touching: file)
      }
      return cause
    }
    return (causes, search.pending)
  }

  private enum Step {
    /// Why the last task of the path is not fresh.
    case now([String])
    /// How the last task of the path has come to other outputs than it had at a time.
    case since(String, [String])
  }

  private struct Search {
    var causes: [RootCause] = []
    var isSeenNow: Set<String> = []
    var isSeenBack: Set<String> = []
    /// Tasks that the one that was asked about follows, with something behind them that is not fresh now.
    var pending: [String] = []

    mutating func add(_ evidence: RootCause.Evidence, _ path: [String]) {
      if causes.contains(where: { $0.evidence == evidence && $0.task == path.last }) { return }
      causes.append(RootCause(path: path, evidence: evidence))
    }
  }

  private func lookNow(_ path: [String], _ search: inout Search) throws(PurserError) -> [Step] {
    guard let task = path.last, search.isSeenNow.insert(task).inserted, let spec = try declaration(task) else {
      return []
    }
    let assessment = try cache.checkedAssessment(spec, DecisionOptions())
    var steps: [Step] = []
    if !assessment.decision.reasons.isEmpty, path.count > 1, !search.pending.contains(path[1]) {
      search.pending.append(path[1])
    }
    for reason in assessment.decision.reasons {
      switch reason {
      case .codeChanged(let changes), .inputsChanged(let changes), .dataChanged(let changes):
        steps += sort(changes, path, since: assessment.record?.startTime ?? assessment.record?.endTime, &search)
      case .upstreamPending(let tasks): steps += tasks.map { .now(path + [$0]) }
      default: search.add(.reason(reason), path)
      }
    }
    // A task is fresh by what its upstream tasks have made so far; they may not be.
    return steps + spec.upstream.map { .now(path + [$0]) }
  }

  /// What has changed in an upstream task between its last run before a time and its record.
  private func lookBack(to time: String, _ path: [String], _ search: inout Search) throws(PurserError) -> [Step] {
    guard let task = path.last, search.isSeenBack.insert(task).inserted else { return [] }
    do {
      let key = cache.key(task)
      guard let now = try cache.records.records(for: [key])[0]?.actionKey else { return [.now(path)] }
      let runs = try cache.records.runs(
        matching: RunFilter(
          storageKey: key.storageKey, pipeline: key.pipeline, task: task, limit: 1000))
      let before = runs.first { run in
        run.state == .completed && run.actionKey != nil && run.finishedAt.map { $0 <= time } == true
      }
      guard let old = before?.actionKey else { return [.now(path)] }
      guard old != now else {
        // Made from the same: what is on disk, or came out of it, differs.
        let steps = try lookNow(path, &search)
        if steps.isEmpty, !search.causes.contains(where: { $0.task == task }) { search.add(.differentOutputs, path) }
        return steps
      }
      let known = try cache.records.components(of: [old, now])
      guard let was = known[old], let isNow = known[now] else { return [.now(path)] }
      var changes: [Change] = []
      for change in Change.between(was, isNow) { changes += try cache.expand(change, treeNodes: [:]) }
      return sort(changes, path, since: before?.startedAt, &search) + [.now(path)]
    } catch {
      throw PurserError(wrapping: error)
    }
  }

  /// Differences of a task's own are causes; those of upstream tasks lead on.
  private func sort(_ changes: [Change], _ path: [String], since time: String?, _ search: inout Search) -> [Step] {
    var steps: [Step] = []
    for change in changes {
      switch change.tag {
      case .upstreamOutputs, .upstreamData:
        let next = path + [change.name.escaped]
        if change.was == nil || change.now == nil {
          // The dependency itself came or went.
          search.add(.change(change), path)
        } else {
          steps.append(time.map { .since($0, next) } ?? .now(next))
        }
      default: search.add(.change(change), path)
      }
    }
    return steps
  }
}

extension TaskCache {
  /// How what a task is made from now differs from what its record on another storage key was made from.
  ///
  /// - Throws: `missing` where that key has no record of the task, or none of its components is known.
  package func changes(
    of assessment: Assessment, against storageKey: String, task: String
  ) throws(PurserError) -> [Change] {
    do {
      let key = TaskKey(storageKey: storageKey, pipeline: project.pipeline, task: task)
      guard let actionKey = try records.records(for: [key])[0]?.actionKey,
        let components = try records.components(of: [actionKey])[actionKey]
      else {
        let known = Set(try records.records(storageKey: nil, pipeline: project.pipeline).map(\.key.storageKey))
        let hint = known.contains(storageKey) ? "" : Suggestion.hint(storageKey, among: known.sorted())
        throw PurserError(
          .missing,
          "task '\(task)' has no record on storage key '\(storageKey)' of pipeline '\(project.pipeline)'"
            + (hint.isEmpty ? "; see 'purser branch list'" : hint))
      }
      var changes: [Change] = []
      for change in Change.between(components, assessment.survey.fingerprint.components) {
        changes += try expand(change, treeNodes: assessment.survey.treeNodes)
      }
      return changes
    } catch {
      throw PurserError(wrapping: error)
    }
  }
}

extension RootCause {
  /// The file that differs, as Purser names it; `nil` for what is no file of the project.
  package var file: ByteString? {
    switch evidence {
    case .change(let change):
      switch change.tag {
      case .codeFile, .codeTree, .codeLink, .codeForm, .usedFile, .tracedFile, .inputFile, .inputTree, .inputLink:
        change.name
      case .codeDefinition:
        change.name.bytes.lastIndex(of: UInt8(ascii: ":")).map { ByteString(change.name.bytes[..<$0]) }
      default: nil
      }
    case .reason(.outputModified(let paths)): paths.first
    default: nil
    }
  }
}
