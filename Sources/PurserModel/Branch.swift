/// A storage key, or the part of it that one pipeline has.
public struct BranchScope: Sendable, Hashable {
  /// The storage key.
  public var storageKey: String
  /// Only this pipeline; `nil` for all.
  public var pipeline: String?

  /// Names a scope.
  public init(storageKey: String, pipeline: String? = nil) {
    self.storageKey = storageKey
    self.pipeline = pipeline
  }
}

/// What stands under a storage key.
public struct StorageKeySummary: Sendable, Hashable {
  /// The key.
  public var storageKey: String
  /// Sorted.
  public var pipelines: [String]
  /// Number of task records.
  public var tasks: Int
  /// Number of mapped items.
  public var subtasks: Int
  /// When a record was last written, ISO 8601; `nil` where none says.
  public var lastActivity: String?
  /// Bytes, decoded, of the contents that its records' results name, each content once.
  public var bytes: UInt64
  /// Bytes of those that no record on another key names.
  public var ownBytes: UInt64

  /// Makes a summary.
  public init(
    storageKey: String, pipelines: [String], tasks: Int, subtasks: Int, lastActivity: String?, bytes: UInt64,
    ownBytes: UInt64
  ) {
    self.storageKey = storageKey
    self.pipelines = pipelines
    self.tasks = tasks
    self.subtasks = subtasks
    self.lastActivity = lastActivity
    self.bytes = bytes
    self.ownBytes = ownBytes
  }
}

/// How much was copied or removed.
public struct BranchCounts: Sendable, Hashable {
  /// Sorted.
  public var pipelines: [String]
  /// Number of task records.
  public var tasks: Int
  /// Number of mapped items.
  public var subtasks: Int

  /// Makes a count.
  public init(pipelines: [String] = [], tasks: Int = 0, subtasks: Int = 0) {
    self.pipelines = pipelines
    self.tasks = tasks
    self.subtasks = subtasks
  }
}
