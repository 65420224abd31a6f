import PurserHashing
public import PurserModel
package import PurserStore

extension TaskData {
  /// What dependents see of it: the digest (hex) of its canonical text.
  package var version: String { SHA256.digest(of: Array(canonicalText.utf8)).hex }
}

extension TaskCache {
  /// The data that belongs to a result; `nil` where there is none.
  func storedData(of result: ActionResult) throws(StoreError) -> TaskData? {
    guard let digest = result.data else { return nil }
    let bytes = try contents.bytes(of: digest)
    do throws(JSONError) {
      return try TaskData(parsing: bytes)
    } catch {
      throw StoreError(.corrupt, "the stored data of a result is \(error)")
    }
  }

  /// What a task returned, as JSON text; `nil` where there is nothing. O(size).
  ///
  /// - Throws: `unavailable`, `busy` or `io` for a store that cannot be read.
  public func data(of task: String) throws(PurserError) -> TaskData? { try data(of: task, .result) }

  /// What a task returned; `nil` where there is nothing. O(size).
  ///
  /// - Throws: `DecodingError` where it is of another type, else as ``data(of:)``.
  public func data<Value: Decodable>(of task: String, as type: Value.Type) throws -> Value? {
    guard let data = try data(of: task) else { return nil }
    return try JSON(parsing: data.text.utf8).decoded(as: type)
  }

  /// What a task returned, or the items that were chosen of it.
  package func data(of task: String, _ kind: TaskDataKind) throws(PurserError) -> TaskData? {
    do {
      return try records.taskData(of: key(task), kind)
    } catch {
      throw PurserError(error)
    }
  }

  /// Sets what a task returned, for programs that run it themselves. O(size).
  public func setData(_ data: TaskData, of task: String) throws(PurserError) {
    do {
      try records.setTaskData(data, version: data.version, of: key(task), .result, now: TaskCache.now())
    } catch {
      throw PurserError(error)
    }
  }

  /// The items of a mapped task, by their place.
  public func subtasks(of task: String) throws(PurserError) -> [Subtask] {
    do {
      return try records.subtasks(of: key(task))
    } catch {
      throw PurserError(error)
    }
  }

  /// The same as JSON text, as bins hold them.
  package func encodedSubtasks(of task: String) throws(PurserError) -> [UInt8] {
    do {
      return try records.encodedSubtasks(of: key(task))
    } catch {
      throw PurserError(error)
    }
  }

  /// Makes the list of a task's items anew, for scripts that run them themselves. What is known of a key stays.
  ///
  /// - Throws: `refused` for a key that stands twice.
  public func createSubtasks(_ keys: [String], of task: String) throws(PurserError) {
    var known: [ByteString: Subtask] = [:]
    for subtask in try subtasks(of: task) { known[ByteString(subtask.key)] = subtask }
    var seen: Set<ByteString> = []
    let repeated = keys.filter { !seen.insert(ByteString($0)).inserted }
    guard repeated.isEmpty else { throw Self.repeated(repeated, task) }
    do {
      guard try !lessor.isAtWork(on: key(task)) else {
        throw PurserError(.busy, "task '\(task)' is being run; make its list when that is over")
      }
    } catch {
      throw PurserError(wrapping: error)
    }
    let list = keys.enumerated().map { index, key in
      var subtask = known[ByteString(key)] ?? Subtask(index: index, key: key)
      subtask.index = index
      return subtask
    }
    do {
      try records.setSubtasks(list, of: self.key(task), under: nil)
    } catch {
      throw PurserError(error)
    }
  }

  static func repeated(_ keys: [String], _ task: String) -> PurserError {
    let shown = keys.prefix(3).map { "'\($0)'" }.joined(separator: ", ")
    let more = keys.count > 3 ? " and \(keys.count - 3) more" : ""
    return PurserError(
      .refused, "task '\(task)' has items that stand more than once in its list: \(shown)\(more); make each key unique")
  }

  /// Records what happened to items, all in one durable commit.
  ///
  /// - Throws: `missing` for a key that is not in the list, with a suggestion; nothing is recorded then.
  public func mark(
    _ keys: [String], of task: String, _ status: Subtask.Status, error: String? = nil
  ) throws(PurserError) {
    var tries = 0
    while true {
      let progress = try progress(of: keys, of: task, status, error)
      do throws(StoreError) {
        try records.append(progress, of: key(task), under: nil)
        // For kptn's client, which knows of no journal.
        return try records.foldProgress(of: key(task))
      } catch {
        // Somebody changed the list between the look at it and the commit.
        tries += 1
        guard error.code == .busy, tries < 10 else { throw PurserError(error) }
      }
    }
  }

  private func progress(
    of keys: [String], of task: String, _ status: Subtask.Status, _ error: String?
  ) throws(PurserError) -> [ItemProgress] {
    let subtasks = try subtasks(of: task)
    var places: [ByteString: Subtask] = [:]
    for subtask in subtasks { places[ByteString(subtask.key)] = subtask }
    let now = TaskCache.now()
    var progress: [ItemProgress] = []
    for key in keys {
      guard let place = places[ByteString(key)] else {
        guard !subtasks.isEmpty else {
          throw PurserError(
            .missing, "task '\(task)' has no items yet; make the list with 'purser subtasks \(task) create KEY…'")
        }
        let hint = Suggestion.hint(key, among: subtasks.map(\.key))
        throw PurserError(.missing, "task '\(task)' has no item '\(key)'\(hint)")
      }
      // What it was made from when it failed under a runner: marked as done by hand, it is done for that.
      progress.append(
        ItemProgress(
          event: SubtaskEvent(
            index: place.index, key: key, status: status, time: now, error: error, contentKey: place.contentKey)))
    }
    return progress
  }
}
