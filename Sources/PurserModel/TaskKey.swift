/// What identifies a task record: the branch's name-space, the pipeline, and the task in it.
public struct TaskKey: Sendable, Hashable {
  /// The storage key: a branch name, usually.
  public var storageKey: String
  /// The pipeline.
  public var pipeline: String
  /// The task's id.
  public var task: String

  /// Makes a key. Text as stored: names that are not UTF-8 appear escaped (see ``ByteString/escaped``).
  public init(storageKey: String, pipeline: String, task: String) {
    self.storageKey = storageKey
    self.pipeline = pipeline
    self.task = task
  }

  /// By bytes: names that Swift takes for equal, such as an accented letter in one character or in two, are two.
  public static func == (left: TaskKey, right: TaskKey) -> Bool {
    left.task.utf8.elementsEqual(right.task.utf8) && left.storageKey.utf8.elementsEqual(right.storageKey.utf8)
      && left.pipeline.utf8.elementsEqual(right.pipeline.utf8)
  }

  /// The same place with another task.
  public func naming(_ task: String) -> TaskKey {
    TaskKey(storageKey: storageKey, pipeline: pipeline, task: task)
  }
}

extension TaskKey: Comparable {
  /// By bytes, too: storage key, pipeline, task.
  public static func < (left: TaskKey, right: TaskKey) -> Bool {
    for part in [\TaskKey.storageKey, \.pipeline, \.task] {
      let (left, right) = (left[keyPath: part].utf8, right[keyPath: part].utf8)
      if !left.elementsEqual(right) { return left.lexicographicallyPrecedes(right) }
    }
    return false
  }
}
