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

  /// The same place with another task.
  public func naming(_ task: String) -> TaskKey {
    TaskKey(storageKey: storageKey, pipeline: pipeline, task: task)
  }
}
