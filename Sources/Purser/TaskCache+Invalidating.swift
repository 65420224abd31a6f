import PurserHashing
public import PurserModel
import PurserStore
import Synchronization

/// Which tasks somebody means.
public struct TaskSelection: Sendable {
  /// Their ids, or patterns of ids; empty for all.
  public var names: [ByteString] = []
  /// Not only those of the cache's own pipeline.
  public var onAllPipelines = false
  /// Not only those of the cache's own storage key.
  public var onAllKeys = false
  /// Also what depends on them, as recorded.
  public var includesDownstream = false

  public init() {}
}

extension TaskCache {
  /// Marks results as void; they stay in history. What a run that is under way is about to make is void too. Returns
  /// what was hit.
  ///
  /// - Parameters:
  ///   - tasks: their ids; one without a record is passed over.
  ///   - downstream: also what depends on the tasks, as recorded.
  ///   - allKeys: on every storage key, and for keys to come.
  ///   - why: the reason, kept with the mark; may be empty.
  @discardableResult
  public func invalidate(
    _ tasks: [String], downstream: Bool = false, allKeys: Bool = false, why: String
  ) throws(PurserError) -> [TaskKey] {
    try invalidate(
      InvalidationRequest(
        keys: tasks.map { key($0) }, includesDownstream: downstream, allKeys: allKeys, mark: mark(why)))
  }

  private func invalidate(_ request: InvalidationRequest) throws(PurserError) -> [TaskKey] {
    // After it, so that whoever sees the new number sees the marks.
    defer { invalidations.add(1, ordering: .releasing) }
    return try asking { try records.invalidate(request) }
  }

  /// Marks one task's results as void.
  @discardableResult
  public func invalidate(_ task: String, downstream: Bool = false, why: String) throws(PurserError) -> [TaskKey] {
    try invalidate([task], downstream: downstream, why: why)
  }

  /// Now, by the author.
  func mark(_ why: String) -> Invalidation { Invalidation(at: TaskCache.now(), by: author, why: why) }

  /// Marks what is selected, all of it in one transaction, and returns it.
  ///
  /// - Throws: `missing` for a name or pattern that stands for no task; nothing is changed then.
  public func invalidate(
    _ selection: TaskSelection, why: String, isTrial: Bool
  ) throws(PurserError) -> [TaskKey] {
    var request = try request(selection, why, includesTraces: selection.onAllKeys)
    request.isTrial = isTrial
    return try invalidate(request)
  }

  /// Takes back the last mark of what is selected, or with all keys the last one on all keys, and returns the marks.
  ///
  /// - Throws: `missing` for a name or pattern that stands for no task, or where there is no mark to take back; `refused`
  ///   for a mark on all keys that is to be taken back on one. Nothing is changed then.
  public func takeBackMarks(
    _ selection: TaskSelection, why: String, isTrial: Bool
  ) throws(PurserError) -> [StandingMark] {
    var request = try request(selection, why, includesTraces: true)
    request.isTrial = true
    let found = try asking { try records.takeBack(request) }
    if !selection.onAllKeys, let mark = found.first(where: \.isOnAllKeys) {
      throw PurserError(
        .refused,
        "the mark on task '\(mark.key.task)' was made on all storage keys\(mark.mark.reason); take it back there, with "
          + "--all-keys")
    }
    let marked = Set(found.lazy.map { ByteString($0.key.task) })
    let unmarked = selection.names.first { !Self.isPattern($0) && !marked.contains(ByteString($0.escaped)) }
    if let task = unmarked?.printable {
      let what = selection.onAllKeys ? "no mark on all storage keys" : "no mark on storage key '\(project.storageKey)'"
      let otherwise =
        selection.onAllKeys
        ? "; one on a single key is taken back with --storage-key" : "; see 'purser status' for what is invalidated"
      throw PurserError(.missing, "task '\(task)' has \(what)\(otherwise)")
    }
    guard !found.isEmpty else {
      throw PurserError(.missing, "there is no mark to take back on \(scope(selection))")
    }
    guard !isTrial else { return found }
    request.isTrial = false
    return try asking { try records.takeBack(request) }
  }

  private func request(
    _ selection: TaskSelection, _ why: String, includesTraces: Bool
  ) throws(PurserError) -> InvalidationRequest {
    let keys = try keys(of: selection, includesTraces: includesTraces)
    return InvalidationRequest(
      keys: keys, includesDownstream: selection.includesDownstream, allKeys: selection.onAllKeys, mark: mark(why))
  }

  private func scope(_ selection: TaskSelection) -> String {
    (selection.onAllKeys ? "any storage key" : "storage key '\(project.storageKey)'")
      + (selection.onAllPipelines ? "" : " of pipeline '\(project.pipeline)'")
  }

  /// The tasks that a selection names, sorted.
  ///
  /// - Throws: `missing` for a name or pattern that stands for none, `usage` for a pattern that cannot be read.
  private func keys(of selection: TaskSelection, includesTraces: Bool) throws(PurserError) -> [TaskKey] {
    let known = try asking {
      try records.taskKeys(
        storageKey: selection.onAllKeys ? nil : project.storageKey,
        pipeline: selection.onAllPipelines ? nil : project.pipeline, includesTraces: includesTraces)
    }
    // By bytes: see TaskKey.
    let ids = Set(known.lazy.map { ByteString($0.task) })
    guard !selection.names.isEmpty else {
      guard !known.isEmpty else { throw try nothing(selection) }
      return known
    }
    var wanted: Set<ByteString> = []
    for name in selection.names {
      let id = ByteString(name.escaped)
      if ids.contains(id) {
        wanted.insert(id)
      } else if Self.isPattern(name) {
        let matches = try Self.matches(name, among: known.map(\.task))
        guard !matches.isEmpty else {
          throw PurserError(
            .missing,
            "the pattern '\(name.printable)' matches no task under \(scope(selection)); see 'purser status'")
        }
        wanted.formUnion(matches.lazy.map { ByteString($0) })
      } else {
        let hint = Suggestion.hint(name.escaped, among: Set(known.map(\.task)).sorted())
        throw PurserError(
          .missing,
          "no task '\(name.escaped)' under \(scope(selection))" + (hint.isEmpty ? "; see 'purser status'" : hint))
      }
    }
    return known.filter { wanted.contains(ByteString($0.task)) }
  }

  private func nothing(_ selection: TaskSelection) throws(PurserError) -> PurserError {
    let keys = try asking { try records.taskKeys(storageKey: nil, pipeline: nil, includesTraces: false) }
    let storageKeys = Set(keys.map(\.storageKey))
    let hint =
      storageKeys.contains(project.storageKey) ? "" : Suggestion.hint(project.storageKey, among: storageKeys.sorted())
    return PurserError(.missing, "there are no tasks under \(scope(selection))\(hint)")
  }

  /// The ids that a pattern matches, by the rules of paths.
  package static func matches(_ pattern: ByteString, among ids: some Sequence<String>) throws(PurserError) -> [String] {
    do throws(GlobError) {
      let glob = try Glob(pattern)
      return ids.filter { id in ByteString(escaped: id).map { glob.matches($0) } ?? false }
    } catch {
      throw PurserError(.usage, "the pattern '\(pattern.printable)' \(error.message)")
    }
  }

  /// Whether a name that is no task's may stand for several.
  package static func isPattern(_ name: ByteString) -> Bool {
    Glob.isPattern(name) || name.bytes.contains(UInt8(ascii: "{"))
  }
}

extension Invalidation {
  /// The reason in brackets, if there is one.
  var reason: String { why.isEmpty ? "" : " (\(why))" }

  /// What to say of a run that a mark came in the way of.
  var meanwhile: String { "was invalidated while it ran\(reason), so that its result does not count; run it again" }
}
