/// The state of a record store at one moment: two that are equal hold the same records.
public struct StoreMark: Sendable, Hashable {
  /// What tells one state from another; means something only to the store that gave it.
  public var bytes: [UInt8]

  /// Takes what a store says of itself.
  public init(bytes: [UInt8]) {
    self.bytes = bytes
  }
}

/// A store that can tell whether it was changed, so that what was derived from it can be kept.
public protocol MarkedStore: Sendable {
  /// The state that it is in; `nil` while somebody writes, where there is no store, or where it changed so short a time
  /// ago that a further change might not show.
  func mark() -> StoreMark?

  /// As ``mark()``, for who has just written: the store sees to it that the next change will show, where it can.
  func settledMark() -> StoreMark?

  /// Whether everything written since a mark was written by this object.
  func hasOnlyOwnWrites(since mark: StoreMark) -> Bool
}

extension MarkedStore {
  /// A store that cannot tell: nothing derived from it is kept.
  public func mark() -> StoreMark? { nil }

  /// See ``mark()``.
  public func settledMark() -> StoreMark? { mark() }

  /// See ``mark()``.
  public func hasOnlyOwnWrites(since mark: StoreMark) -> Bool { false }
}
