import Glibc
import PurserCode
import PurserHashing
import PurserModel
import PurserStore
import Synchronization

/// Decides about all the tasks of a pipeline at once: one query for the records, one look at every file.
package final class Planner {
  /// Where the records are.
  package let cache: TaskCache
  /// What is planned.
  package let pipeline: Pipeline
  /// Where the plan is kept; `nil` where it is not.
  private let keeping: PlanCache.Place?
  private let sight: PlanSight?
  private var known: PlanCache?
  private var mark: StoreMark?
  /// What the cache had invalidated by then.
  private var invalidations = 0
  private var table: FileTable?
  /// Whether a task is fresh, as far as the plan goes.
  private var isSettled: [Bool] = []

  /// - Parameter sight: what a look at the kept plan gave just now, where there was one.
  package init(
    cache: TaskCache, pipeline: Pipeline, keptAt keeping: PlanCache.Place? = nil, sight: PlanSight? = nil
  ) {
    self.cache = cache
    self.pipeline = pipeline
    self.keeping = keeping
    self.sight = sight
  }

  /// What a task is taken to need that never ended well, in microseconds.
  private static let unknownDuration: Int64 = 1_000_000

  /// Plans the tasks that are asked for (all for an empty list) and what they depend on. Changes no record.
  ///
  /// A task behind one that has to run is listed as one that has to run too, because of `upstreamPending`: whether it
  /// really does is decided when its turn comes. O(tasks + declared files).
  ///
  /// - Parameter isThorough: whether each task is looked at in full, also one that is known to be untouched.
  package func plan(
    _ targets: [String] = [], _ options: DecisionOptions = DecisionOptions(), isThorough: Bool = false
  ) throws(PurserError) -> Plan {
    let selected = try pipeline.selection(targets)
    invalidations = cache.invalidations.load(ordering: .acquiring)
    mark = cache.records.mark()
    var open = selected
    if !isThorough, !options.isForced, let keeping, let sight = sight ?? cache.sight(ofPlan: keeping),
      sight.plan.mark == mark, sight.plan.taskCount == pipeline.tasks.count
    {
      known = sight.plan
      for place in open.indices where open[place] { open[place] = sight.isOpen[place] }
    }
    let places = open.indices.filter { open[$0] }
    let records = try self.records(places)
    let table = FileTable(locations(places, records), hasher: cache.hasher)
    self.table = table
    var sight = Sight(records: records, table: table, follower: cache.follower())
    var plan = Plan(
      entries: Array(repeating: nil, count: pipeline.tasks.count), expectedMicroseconds: 0, criticalPath: [])
    isSettled = Array(repeating: false, count: pipeline.tasks.count)
    for place in pipeline.tasks.indices where selected[place] {
      let entry = open[place] ? look(at: place, options, &sight, plan) : untouched(place)
      isSettled[place] = entry.isFresh
      if entry.isFresh, known == nil || open[place], let state = entry.recorded {
        sight.upstream[pipeline.tasks.name(place)] = state
      }
      plan.entries[place] = entry
    }
    addPaths(to: &plan)
    return plan
  }

  private func records(_ places: [Int]) throws(PurserError) -> [String: TaskRecord] {
    do {
      var records: [String: TaskRecord] = [:]
      for record in try cache.records.records(for: places.map { cache.key(pipeline.tasks.name($0)) }) {
        if let record { records[record.key.task] = record }
      }
      return records
    } catch {
      throw PurserError(error)
    }
  }

  /// Every literal path that is declared.
  private func locations(_ places: [Int], _ records: [String: TaskRecord]) -> [ByteString] {
    var locations: [ByteString] = []
    for place in places {
      let spec = pipeline.tasks[place].spec
      for path in spec.code + spec.inputs + spec.outputs where !Glob.isPattern(path) {
        locations.append(cache.project.location(of: path))
      }
      if spec.mapping != nil, let manifest = records[spec.id]?.result?.manifest {
        for entry in manifest.entries { locations.append(cache.project.location(of: entry.path)) }
      }
    }
    return locations
  }

  // MARK: One task

  /// A task that was fresh and was not touched: it still is, unless a task before it comes to something else.
  private func untouched(_ place: Int) -> Plan.Entry {
    let pending = pending(place)
    var entry = Plan.Entry(
      pending.isEmpty ? .untouched : .pending(pending, of: pipeline.tasks), isFreshIfUpstreamSame: true)
    entry.recorded = recorded(place)
    entry.expectedMicroseconds = known?.duration(of: place)
    return entry
  }

  /// What it depends on and is not fresh.
  private func pending(_ place: Int) -> [Int] {
    let dependencies = pipeline.tasks.dependencies(of: place)
    // Mostly none, and then nothing is allocated.
    return dependencies.allSatisfy { isSettled[$0] } ? [] : dependencies.filter { !isSettled[$0] }
  }

  private func recorded(_ place: Int) -> Surveyor.UpstreamState? {
    known.map {
      Surveyor.UpstreamState(outputsVersion: $0.outputsVersion(of: place), outputDataVersion: $0.dataVersion(of: place))
    }
  }

  private func look(
    at place: Int, _ options: DecisionOptions, _ sight: inout Sight, _ plan: Plan
  ) -> Plan.Entry {
    let task = pipeline.tasks[place]
    if known != nil {
      for dependency in task.dependencies where sight.upstream[pipeline.tasks.name(dependency)] == nil {
        guard case .untouched? = plan.entries[dependency]?.verdict else { continue }
        sight.upstream[pipeline.tasks.name(dependency)] = recorded(dependency)
      }
    }
    let pending = pending(place)
    var entry: Plan.Entry
    do throws(PurserError) {
      let assessment = try cache.assess(task.spec, options, sight: sight)
      entry = Plan.Entry(.assessed(assessment))
      entry.isFreshIfUpstreamSame = entry.isFresh
    } catch {
      // What is missing may well be what those tasks make.
      entry = Plan.Entry(
        error.code == .missing && !pending.isEmpty ? .pending(pending, of: pipeline.tasks) : .error(error))
    }
    let record = sight.records[task.spec.id]
    if let result = record?.result, record?.status == .success, record?.invalidation == nil {
      entry.recorded = Surveyor.UpstreamState(
        outputsVersion: result.outputsVersion, outputDataVersion: record?.outputDataVersion.map { ByteString($0) })
    }
    // Nobody knows what it takes to make what was adopted.
    entry.expectedMicroseconds = record?.result?.durationMicroseconds.nonZero
    if !pending.isEmpty, !options.isForced, isFresh(task, options, &sight, ifSame: pending, plan) {
      entry.isFreshIfUpstreamSame = true
    }
    return entry
  }

  /// Whether a task is fresh if what it waits for comes to what is recorded.
  private func isFresh(
    _ task: PipelineTask, _ options: DecisionOptions, _ sight: inout Sight, ifSame pending: [Int], _ plan: Plan
  ) -> Bool {
    guard pending.allSatisfy({ plan.entries[$0]?.recorded != nil }) else { return false }
    // Put in and taken out again: a copy of what is known of all tasks, for each of them, would be the square of it.
    for dependency in pending {
      sight.upstream[pipeline.tasks.name(dependency)] = plan.entries[dependency]?.recorded
    }
    defer { for dependency in pending { sight.upstream[pipeline.tasks.name(dependency)] = nil } }
    guard let assessment = try? cache.assess(task.spec, options, sight: sight) else { return false }
    if case .fresh = assessment.decision { return true }
    return false
  }

  /// Expected times, from the end of the graph to its start.
  private func addPaths(to plan: inout Plan) {
    var longest = Array(repeating: Int64(0), count: plan.entries.count)
    var follower = Array(repeating: -1, count: plan.entries.count)
    var behind = longest
    for place in plan.entries.indices.reversed() {
      guard plan.entries[place] != nil else { continue }
      let expected = plan.entries[place]?.expectedMicroseconds
      let own = isSettled[place] ? 0 : expected ?? Self.unknownDuration
      if !isSettled[place] { plan.expectedMicroseconds += expected ?? 0 }
      longest[place] = own + behind[place]
      plan.entries[place]?.pathMicroseconds = longest[place]
      for dependency in pipeline.tasks.dependencies(of: place) where longest[place] > behind[dependency] {
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

  // MARK: Keeping

  /// Below this, planning anew costs less than keeping plans.
  private static let smallest = 50

  package static func keepsPlan(of pipeline: Pipeline) -> Bool { pipeline.tasks.count >= smallest }

  /// Keeps what is fresh for the next plan, where nobody else wrote to the store meanwhile.
  ///
  /// - Parameter isFresh: whether a task of the plan was fresh, and still is.
  package func keep(_ plan: Plan, isFresh: (Int) -> Bool) {
    guard let keeping, let mark, Self.keepsPlan(of: pipeline), plan.entries.allSatisfy({ $0 != nil }) else { return }
    let changes = known.map { self.changes(to: $0, plan, isFresh) }
    let store = cache.records
    if let known, changes?.isEmpty == true, known.mark == store.mark() { return }
    guard store.hasOnlyOwnWrites(since: mark), let current = store.settledMark(), store.hasOnlyOwnWrites(since: mark)
    else { return }
    if let known, let changes, known.save(changes, at: keeping.path, mark: current) { return }
    let entries = plan.entries.indices.map { isFresh($0) ? entry(for: $0, plan) : nil }
    PlanCache.save(entries, at: keeping.path, key: keeping.key, mark: current)
  }

  /// What is to be kept otherwise than it is.
  private func changes(
    to known: PlanCache, _ plan: Plan, _ isFresh: (Int) -> Bool
  ) -> [(task: Int, entry: PlanCache.Entry?)] {
    plan.entries.indices.compactMap { place in
      if isFresh(place), isTakenOver(place, plan) { return nil }
      let entry = isFresh(place) ? entry(for: place, plan) : nil
      return entry == nil && !known.isCovered(place) ? nil : (place, entry)
    }
  }

  /// Whether what is known of a task is what the kept plan says.
  private func isTakenOver(_ place: Int, _ plan: Plan) -> Bool {
    known?.isCovered(place) == true && plan.entries[place]?.assessment == nil
  }

  /// Whether programs are looked for inside the project.
  private lazy var hasOwnPrograms: Bool = {
    (cache.environment["PATH"] ?? "").bytes.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
      .contains { cache.project.root.appending(path: ByteString($0)).normalizedPath.isWithin(cache.project.root) }
  }()

  /// A task as it is kept; `nil` for one that depends on more than files which the stat cache trusts.
  private func entry(for place: Int, _ plan: Plan) -> PlanCache.Entry? {
    guard let state = plan.entries[place]?.recorded, let outputsVersion = state.outputsVersion else { return nil }
    guard let files = files(of: place, plan) else { return nil }
    if plan.entries[place]?.assessment != nil {
      guard
        files.allSatisfy({ $0.identity.kind == .directory || cache.hasher.cache.digest(for: $0.identity) != nil })
      else { return nil }
    }
    return PlanCache.Entry(
      duration: plan.entries[place]?.expectedMicroseconds ?? 0, outputsVersion: outputsVersion,
      dataVersion: state.outputDataVersion, files: files)
  }

  /// Those of some tasks of which no file was touched since they were planned, and which nobody has invalidated; without
  /// those where that takes more than a look at each file.
  func stillUntouched(_ places: [Int], _ plan: Plan) -> [Int] {
    var found = places.filter { !isTakenOver($0, plan) && isStillUntouched($0, plan) }
    if let known {
      let rest = places.filter { isTakenOver($0, plan) }
      let areUntouched = known.areUntouched(rest, root: cache.project.root, workers: cache.hasher.workers)
      found += zip(rest, areUntouched).lazy.filter(\.1).map(\.0)
    }
    return stillValid(found)
  }

  private func isStillUntouched(_ place: Int, _ plan: Plan) -> Bool {
    guard let files = files(of: place, plan) else { return false }
    return files.allSatisfy { path, identity in
      (try? FileIdentity.of(path: cache.project.location(of: path), followLinks: false)) == identity
    }
  }

  /// Those that nobody has invalidated since they were planned. Where only this run wrote to the store, nobody has.
  private func stillValid(_ places: [Int]) -> [Int] {
    let isKnown = cache.invalidations.load(ordering: .acquiring) == invalidations
    if isKnown, let mark, cache.records.hasOnlyOwnWrites(since: mark) { return places }
    guard let records = try? cache.records.records(for: places.map { cache.key(pipeline.tasks.name($0)) }) else {
      return []
    }
    return zip(places, records).filter { $1.map { $0.invalidation == nil } ?? false }.map(\.0)
  }

  /// What the files of a task were when it was planned; `nil` for one that depends on more than files.
  private func files(
    of place: Int, _ plan: Plan
  ) -> [(path: ByteString, identity: FileIdentity)]? {
    if isTakenOver(place, plan) { return known?.identities(of: place) }
    let spec = pipeline.tasks[place].spec
    var files: [(path: ByteString, identity: FileIdentity)] = []
    guard spec.tools.isEmpty, spec.environment.isEmpty, !spec.readsStandardInput, let program = spec.command.first
    else { return nil }
    if program.bytes.contains(UInt8(ascii: "/")) {
      let location = cache.project.location(of: spec.workingDirectory).appending(path: program).normalizedPath
      guard !location.isWithin(cache.project.root) else { return nil }
    } else if hasOwnPrograms {
      return nil
    }
    for path in spec.code + spec.inputs + spec.outputs {
      guard case .success(let look)? = table?[cache.project.location(of: path)], look.digest != nil else { return nil }
      files.append((path, look.identity))
    }
    // What was found out while it ran is more than files: names that were not there, and those in folders.
    guard !spec.isTraced, plan.entries[place]?.assessment?.record?.result?.undeclared?.isEmpty ?? true else {
      return nil
    }
    guard let survey = plan.entries[place]?.assessment?.survey else {
      return spec.code.isEmpty && spec.dependencyFile == nil ? files : nil
    }
    for file in survey.usedCode {
      guard !file.isLink else { return nil }
      files.append((file.path, file.content.identity))
    }
    files += survey.usedByCommand
    for folder in survey.codeFolders {
      guard folder.isSettled else { return nil }
      files.append((folder.path.isEmpty ? "." : folder.path, folder.identity))
    }
    return files
  }
}
