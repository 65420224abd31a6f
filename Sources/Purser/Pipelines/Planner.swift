import PurserHashing
package import PurserModel
import PurserStore

/// What a run of a pipeline would do.
package struct Plan: Sendable {
  /// One entry for each task of the pipeline, in its order; `nil` for those that are not asked for.
  package var entries: [Entry?]
  /// The sum of what is expected of the tasks that have to run, in microseconds.
  package var expectedMicroseconds: Int64
  /// The longest chain of tasks that have to run, as places.
  package var criticalPath: [Int]

  /// One task.
  package struct Entry: Sendable {
    /// What to do, and on what ground; `nil` where its declaration cannot be used.
    package var assessment: Assessment?
    /// Why it cannot be decided about.
    package var error: PurserError?
    /// What it took last time, in microseconds; `nil` for one that never ended well.
    package var expectedMicroseconds: Int64?
    /// The time from its start to the end of the longest chain of tasks behind it.
    package var pathMicroseconds: Int64

    /// Whether nothing is to be done.
    package var isFresh: Bool {
      if case .fresh? = assessment?.decision { true } else { false }
    }

    /// `fresh`, `restore`, `run` or `error`.
    package var word: String { assessment?.decision.word ?? "error" }

    /// Why it is not fresh.
    package var reasons: [Reason] { assessment?.decision.reasons ?? [] }
  }
}

/// Decides about all the tasks of a pipeline at once: one query for the records, one look at every file.
package struct Planner {
  let cache: TaskCache
  let pipeline: Pipeline

  package init(cache: TaskCache, pipeline: Pipeline) {
    self.cache = cache
    self.pipeline = pipeline
  }

  /// What a task is taken to need that never ended well, in microseconds.
  private static let unknownDuration: Int64 = 1_000_000

  /// Plans the tasks that are asked for (all for an empty list) and what they depend on. Changes nothing.
  ///
  /// A task behind one that has to run is listed as one that has to run too, because of `upstreamPending`: whether it
  /// really does is decided when its turn comes. O(tasks + declared files).
  package func plan(_ targets: [String] = [], _ options: DecisionOptions = DecisionOptions()) throws(PurserError) -> Plan {
    let selected = try pipeline.selection(targets)
    let records = try self.records(selected)
    var sight = Sight(records: records, table: FileTable(locations(selected, records), hasher: cache.hasher))
    var plan = Plan(
      entries: Array(repeating: nil, count: pipeline.tasks.count), expectedMicroseconds: 0, criticalPath: [])
    for (place, task) in pipeline.tasks.enumerated() where selected[place] {
      var entry = entry(for: task, options, sight)
      entry.expectedMicroseconds = records[task.spec.id]?.result?.durationMicroseconds
      if let state = Self.upstreamState(of: entry) { sight.upstream[task.spec.id] = state }
      plan.entries[place] = entry
    }
    addPaths(to: &plan)
    return plan
  }

  private func records(_ selected: [Bool]) throws(PurserError) -> [String: TaskRecord] {
    let ids = pipeline.tasks.indices.lazy.filter { selected[$0] }.map { pipeline.tasks[$0].spec.id }
    do {
      var records: [String: TaskRecord] = [:]
      for record in try cache.records.records(for: ids.map { cache.key($0) }) {
        if let record { records[record.key.task] = record }
      }
      return records
    } catch {
      throw PurserError(error)
    }
  }

  /// Every literal path that is declared, and what was made before.
  private func locations(_ selected: [Bool], _ records: [String: TaskRecord]) -> [ByteString] {
    var locations: [ByteString] = []
    for (place, task) in pipeline.tasks.enumerated() where selected[place] {
      let spec = task.spec
      for path in spec.code + spec.inputs + spec.outputs where !Glob.isPattern(path) {
        locations.append(cache.project.location(of: path))
      }
    }
    return locations
  }

  private func entry(for task: PipelineTask, _ options: DecisionOptions, _ sight: Sight) -> Plan.Entry {
    var entry = Plan.Entry(assessment: nil, error: nil, expectedMicroseconds: nil, pathMicroseconds: 0)
    do throws(PurserError) {
      entry.assessment = try cache.assess(task.spec, options, sight: sight)
    } catch {
      let pending = task.spec.upstream.filter { sight.upstream[$0] == nil }
      if error.code == .missing, !pending.isEmpty {
        // What is missing may well be what those tasks make.
        entry.assessment = cache.unseen(task.spec, because: [.upstreamPending(pending)])
      } else {
        entry.error = error
      }
    }
    return entry
  }

  /// What dependents will see of a task that need not run; `nil` for one that has to.
  private static func upstreamState(of entry: Plan.Entry) -> Surveyor.UpstreamState? {
    switch entry.assessment?.decision {
    case .fresh(let record)?:
      Surveyor.UpstreamState(
        outputsVersion: entry.assessment?.outputs?.manifest.digest ?? record.result?.outputsVersion,
        outputDataVersion: record.outputDataVersion.map { ByteString($0) })
    default: nil
    }
  }

  /// Expected times, from the end of the graph to its start.
  private func addPaths(to plan: inout Plan) {
    var longest = Array(repeating: Int64(0), count: plan.entries.count)
    var follower = Array(repeating: -1, count: plan.entries.count)
    var behind = longest
    for place in plan.entries.indices.reversed() {
      guard let entry = plan.entries[place] else { continue }
      let own = entry.isFresh ? 0 : entry.expectedMicroseconds ?? Self.unknownDuration
      if !entry.isFresh { plan.expectedMicroseconds += entry.expectedMicroseconds ?? 0 }
      longest[place] = own + behind[place]
      plan.entries[place]?.pathMicroseconds = longest[place]
      for dependency in pipeline.tasks[place].dependencies where longest[place] > behind[dependency] {
        behind[dependency] = longest[place]
        follower[dependency] = place
      }
    }
    guard var place = longest.indices.max(by: { longest[$0] < longest[$1] }), longest[place] > 0 else { return }
    while place >= 0 {
      if plan.entries[place]?.isFresh == false { plan.criticalPath.append(place) }
      place = follower[place]
    }
  }
}

extension TaskCache {
  /// An assessment of a task that cannot be surveyed yet.
  func unseen(_ spec: TaskSpec, because reasons: [Reason]) -> Assessment {
    Assessment(
      decision: .run(reasons),
      survey: Survey(fingerprint: ActionKey.fingerprint(of: []), identities: [], treeNodes: [:], warnings: []),
      record: nil, standardInput: nil, newestResult: nil, outputs: nil)
  }
}
