import PurserHashing
import PurserModel
import PurserStore
import Synchronization

extension MappedRun {
  /// How a mapped task begins.
  enum Beginning {
    /// Nothing has to run.
    case ended(TaskEnding)
    /// The items of each process.
    case bundles(MappedRun, [[Item]])
    /// The decision was out of date, or another process is at it.
    case again(isHeld: Bool)
  }

  /// Decides about the task and, if it has to run, about each of its items; puts back what can be put back.
  static func begin(_ task: PipelineTask, _ worker: TaskWorker) throws(PurserError) -> Beginning {
    let cache = worker.cache
    let spec = task.spec
    guard let mapping = spec.mapping else { preconditionFailure("only mapped tasks are begun here") }
    let assessment = try cache.assess(spec, worker.decisionOptions)
    if case .fresh(let record) = assessment.decision, worker.options.subset == nil {
      return .ended(.fresh(savedMicroseconds: record.result?.durationMicroseconds ?? 0))
    }
    let reasons = assessment.decision.reasons
    try worker.refusePending(reasons, spec)
    guard let data = try cache.data(of: mapping.upstream) else {
      throw PurserError(
        .missing,
        "task '\(spec.id)' maps over the data of '\(mapping.upstream)', which has none; set 'cache_result: true' there and "
          + "return a list")
    }
    let list = ItemList(task: spec.id, mapping: mapping)
    let all = try list.items(
      of: data, fingerprint: assessment.survey.fingerprint,
      formerBases: cache.formerItemKeys(of: spec.id, list.base(of: assessment.survey.fingerprint.components)))
    try ItemOutputs(spec).refuseRepeated(all)
    let chosen = try Self.choose(worker.options.subset, among: all, spec)
    try Declarations(project: cache.project).checkPlaces(spec, key: cache.key(spec.id), records: cache.records)
    let opened = try worker.unlessHeld(spec) { whileHeld throws(PurserError) in
      try cache.open(
        spec, assessment, kind: "run", for: worker.options.queuedWork, isStopped: { true }, whileHeld: whileHeld)
    }
    guard let opened else { return .again(isHeld: true) }
    guard let attempt = opened else {
      return .again(isHeld: false)
    }
    do {
      let run = MappedRun(
        worker, task, attempt, items: chosen, total: all.count, isSubset: worker.options.subset != nil)
      for warning in assessment.survey.warnings { worker.report(.warning(warning)) }
      var isWhole = false
      if case .restore(let result, _) = assessment.decision, try run.mayPutBack(result) {
        isWhole = try run.putBack(result)
        if isWhole, result.actionKey != assessment.survey.fingerprint.actionKey { run.restOnAcceptance() }
      }
      let pending = try run.settleKnown(all: all, isWhole: isWhole)
      if !pending.isEmpty { worker.report(.started(task: spec.id, reasons: reasons)) }
      return .bundles(run, run.bundles(of: pending))
    } catch {
      let error = PurserError(wrapping: error)
      attempt.abandon(because: error.message)
      throw error
    }
  }

  private static func choose(
    _ subset: [String]?, among items: [Item], _ spec: TaskSpec
  ) throws(PurserError) -> [Item] {
    guard let subset else { return items }
    let places = Dictionary(items.map { (ByteString($0.key), $0.index) }) { first, _ in first }
    var chosen: [Item] = []
    var seen: Set<ByteString> = []
    for key in subset where seen.insert(ByteString(key)).inserted {
      guard let place = places[ByteString(key)] else {
        let hint = Suggestion.hint(key, among: items.map(\.key))
        throw PurserError(.missing, "task '\(spec.id)' has no item '\(key)'\(hint)")
      }
      chosen.append(items[place])
    }
    return chosen
  }

  private func bundles(of pending: [Item]) -> [[Item]] {
    let size = task.bundleSize(for: pending.count, jobs: worker.options.jobs)
    return stride(from: 0, to: pending.count, by: size).map { first in
      Array(pending[first..<min(first + size, pending.count)])
    }
  }

  /// Records the list, with those items as done that need not run; returns the others.
  ///
  /// - Parameter isWhole: whether the result of just these items was put back.
  private func settleKnown(all: [Item], isWhole: Bool) throws -> [Item] {
    let key = cache.key(spec.id)
    var known: [ByteString: Subtask] = [:]
    for subtask in try cache.records.subtasks(of: key) { known[ByteString(subtask.key)] = subtask }
    let usable = isRestorable && worker.options.mayRestore
    let results = usable ? try cache.records.itemResults(for: all.flatMap(\.keys), of: key) : [:]
    let startsAfresh = !worker.options.resumes && attempt.assessment.record?.status != .success
    let areSharedThere = try areSharedOutputsThere()
    let isChosen = Set(items.map(\.index))
    var list: [Subtask] = []
    var pending: [Item] = []
    list.reserveCapacity(all.count)
    pending.reserveCapacity(all.count)
    for item in all {
      let isWanted = isChosen.contains(item.index)
      var subtask = known.removeValue(forKey: ByteString(item.key)) ?? Subtask(index: item.index, key: item.key)
      subtask.index = item.index
      let hasFailed = subtask.status == .failed && (subtask.contentKey ?? item.contentKey) == item.contentKey
      let mustRun = isWanted && (worker.options.isForced || isSubset || startsAfresh) || hasFailed
      let doneAs = subtask.isDone ? item.keys.first { $0 == subtask.contentKey } : nil
      let isKept = doneAs != nil && !isVoid(subtask)
      // What it was done as comes first, then what it is made from now, then what that was accepted to stand for.
      let keys = (isKept ? [doneAs].compactMap(\.self) : []) + item.keys
      if isWhole {
        if !isKept {
          subtask = done(item, subtask, results[item.contentKey]?.manifest, as: item.formerKeys.last ?? item.contentKey)
        }
        state.withLock { $0.counts.restored += 1 }
      } else if !mustRun, isRestorable, let key = keys.first(where: { results[$0] != nil }), let result = results[key] {
        switch try putBack(result, for: item, isChosen: isWanted) {
        case .kept:
          if !isKept { subtask = done(item, subtask, result.manifest, as: key) }
          if isWanted { count(\.kept, item, result) }
        case .restored:
          subtask = done(item, subtask, result.manifest, as: key)
          if isWanted { count(\.restored, item, result) }
        case .no:
          if isWanted { pending.append(item) }
          subtask = reset(subtask)
        }
      } else if !mustRun, !isRestorable, isKept, areSharedThere {
        if isWanted { count(\.kept, item, nil) }
      } else {
        if isWanted { pending.append(item) }
        if isWanted && (mustRun || subtask.isDone) || isVoid(subtask) { subtask = reset(subtask) }
      }
      if isWanted, subtask.isDone, subtask.contentKey != item.contentKey { restOnAcceptance() }
      list.append(subtask)
    }
    state.withLock { $0.counts.total = items.count }
    try removeDropped(Array(known.values), key)
    // Nothing stands of what the items share: a leftover must not be taken for a part of it.
    if !outputs.shared.isEmpty, pending.count == all.count, !spec.keepsOutputs {
      let found = try cache.scan(places: outputs.shared, of: spec)
      try cache.restorer.clear(outputs.shared, keeping: false, found: found.manifest, for: attempt)
    }
    try cache.records.setSubtasks(list, of: key, under: attempt.run)
    return pending
  }

  /// Whether a mark has voided what was done of an item: it began before the mark, or the run did that did it.
  private func isVoid(_ subtask: Subtask) -> Bool {
    guard let record = attempt.assessment.record, let mark = record.invalidation, subtask.isDone else { return false }
    if let run = record.lastRun, run <= record.markedRun { return true }
    return (subtask.startTime ?? subtask.endTime ?? "") <= mark.at
  }

  /// Whether the outputs that belong to no single item are as they were recorded. Where nothing is recorded, after a run
  /// that did not come to its end, the items are taken at their word, if there is something at all.
  private func areSharedOutputsThere() throws -> Bool {
    guard !outputs.shared.isEmpty else { return true }
    let found = try cache.scan(places: outputs.shared, of: spec)
    guard let manifest = attempt.assessment.record?.result?.manifest else { return found.missing.isEmpty }
    return manifest.entries.filter { outputs.isShared($0.path) } == found.manifest.entries
  }

  /// Removes what items made that are not in the list any more; before the list forgets them, so that a run that fails,
  /// or is killed, leaves none behind.
  private func removeDropped(_ dropped: [Subtask], _ key: TaskKey) throws {
    let keys = dropped.compactMap(\.contentKey)
    guard !outputs.ofItems.isEmpty, !keys.isEmpty, !isSubset, !spec.keepsOutputs else { return }
    try remove(
      try cache.records.itemResults(for: keys, of: key).values.flatMap(\.manifest.entries).map(\.path),
      unless: outputs.reach(of: items))
  }

  private func count(_ field: WritableKeyPath<ItemCounts, Int>, _ item: Item, _ result: ItemResult?) {
    state.withLock { state in
      state.counts[keyPath: field] += 1
      if let data = result?.data { state.data[item.index] = data }
      state.savedMicroseconds += result?.durationMicroseconds ?? 0
    }
  }

  private func done(_ item: Item, _ old: Subtask, _ manifest: OutputManifest?, as contentKey: Digest) -> Subtask {
    var subtask = old
    let now = TaskCache.now()
    subtask.startTime = now
    subtask.endTime = now
    subtask.status = .done
    subtask.error = nil
    subtask.outputHash = outputHash(manifest ?? OutputManifest())
    subtask.contentKey = contentKey
    return subtask
  }

  private func reset(_ old: Subtask) -> Subtask { Subtask(index: old.index, key: old.key) }

  /// Whether the whole may be put back: only where items cannot be by themselves, and none was marked as failed, or ran
  /// again, since the result was made.
  private func mayPutBack(_ result: ActionResult) throws -> Bool {
    guard !isSubset, !outputs.shared.isEmpty else { return false }
    return try cache.records.subtasks(of: cache.key(spec.id)).allSatisfy { subtask in
      subtask.status != .failed && (subtask.endTime ?? "") <= result.createdAt
    }
  }

  /// Puts back the whole result, where the very same was made before; `false` if it is damaged.
  private func putBack(_ result: ActionResult) throws -> Bool {
    do {
      let data = try cache.storedData(of: result)
      let found = try cache.scan(spec, of: result.manifest)
      try cache.restorer.restore(result.manifest, within: places().places, over: found.manifest, for: attempt)
      state.withLock { state in
        for (index, element) in (data?.elements ?? []).enumerated() { state.data[index] = element }
      }
      return true
    } catch let error as StoreError {
      guard error.code == .corrupt else { throw error }
      worker.report(.warning("\(error.message); items of '\(spec.id)' that need it run again"))
      return false
    }
  }

  private enum PutBack {
    case kept
    case restored
    case no
  }

  private func putBack(_ result: ItemResult, for item: Item, isChosen: Bool) throws -> PutBack {
    guard !outputs.ofItems.isEmpty else { return .kept }
    // With outputs, but none made: what the item did may be elsewhere.
    if result.manifest.entries.isEmpty, !spec.keepsData, !spec.isPure { return .no }
    guard let places = try? outputs.places(of: item) else { return .no }
    let found = try cache.scan(places: places, of: spec)
    if found.manifest.digest == result.manifest.digest { return .kept }
    let needed = Set(result.manifest.entries.lazy.filter { $0.kind != .directory }.map(\.digest))
    guard isChosen, try cache.contents.hasAll(needed) else { return .no }
    do throws(StoreError) {
      try cache.restorer.restore(result.manifest, within: places, over: found.manifest, for: attempt)
      return .restored
    } catch {
      guard error.code == .corrupt else { throw error }
      worker.report(.warning("\(error.message); item '\(item.key)' of '\(spec.id)' runs again"))
      return .no
    }
  }
}
