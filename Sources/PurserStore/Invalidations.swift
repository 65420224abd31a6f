public import PurserModel

/// Marks that void results, and taking them back.
public protocol InvalidationStore: Sendable {
  /// Marks tasks; returns those that were hit. With `allKeys`, on every storage key, and the results themselves.
  func invalidate(_ request: InvalidationRequest) throws(StoreError) -> [TaskKey]

  /// Takes back the last mark of each task that has one, in one transaction: what stood before it stands again. With
  /// `allKeys`, the last mark on all keys, wherever it stands, and the results that no other mark voids are free; a mark
  /// on all keys is taken back in no other way.
  func takeBack(_ request: InvalidationRequest) throws(StoreError) -> [StandingMark]

  /// What is void for tasks, if they were ever invalidated.
  func invalidationHorizons(for keys: [TaskKey]) throws(StoreError) -> [TaskKey: InvalidationHorizon]

  /// Every task that has a record; with `includesTraces`, also those that only results or marks tell of.
  func taskKeys(storageKey: String?, pipeline: String?, includesTraces: Bool) throws(StoreError) -> [TaskKey]
}

/// What a mark voids on its storage key. A result is void if it was there when the mark was made, or if the run that
/// made it had begun by then.
public struct InvalidationHorizon: Sendable, Hashable {
  /// The last result that is void.
  public var result: Int64
  /// The last run whose results are void.
  public var run: Int64

  /// Makes a horizon.
  public init(result: Int64, run: Int64) {
    self.result = result
    self.run = run
  }

  /// Whether a result is void.
  public func voids(_ result: ActionResult) -> Bool {
    result.id <= self.result || (result.run > 0 && result.run <= run)
  }
}

/// What to invalidate, or to free from a mark.
public struct InvalidationRequest: Sendable {
  /// The tasks, on their storage keys.
  public var keys: [TaskKey]
  /// Also what depends on them, as recorded.
  public var includesDownstream: Bool
  /// On every storage key, and the results themselves.
  public var allKeys: Bool
  /// Time, author and reason.
  public var mark: Invalidation
  /// Whether to tell only what would be hit.
  public var isTrial = false

  /// Makes a request.
  public init(keys: [TaskKey], includesDownstream: Bool, allKeys: Bool, mark: Invalidation) {
    self.keys = keys
    self.includesDownstream = includesDownstream
    self.allKeys = allKeys
    self.mark = mark
  }
}
