import Glibc
import PurserExecution
import PurserHashing
public import PurserModel
import PurserSQLite
import PurserStore

/// One task as `status` shows it.
public struct TaskState: Sendable {
  public var task: String
  /// fresh, restorable, stale, failed, running; or the recorded status where kptn's client wrote the record.
  public var word: String
  public var status: String?
  /// Whether each part is as recorded; `nil` where that is not known.
  public var isCodeSame: Bool?
  public var areInputsSame: Bool?
  public var isDataSame: Bool?
  public var areOutputsSame: Bool?
  public var endTime: String?
  public var durationMicroseconds: Int64?
  public var reasons: [Reason]
  /// Of a mapped task: items that are done, and all.
  public var items: (done: Int, total: Int)?
  /// Why it cannot be decided about.
  public var error: String?
  /// By whose word its record stands, where it does not by its own.
  public var acceptance: Acceptance?
}

extension TaskState {
  /// What a decision says of each part.
  mutating func take(_ decision: Decision, _ record: TaskRecord?) {
    reasons = decision.reasons
    (isCodeSame, areInputsSame, isDataSame, areOutputsSame) = (true, true, true, true)
    for reason in reasons {
      switch reason {
      case .codeChanged: isCodeSame = false
      case .inputsChanged, .upstreamPending, .refuted: areInputsSame = false
      case .dataChanged: isDataSame = false
      case .outputMissing, .outputModified: areOutputsSame = false
      case .incomplete(let done, let total) where total > 1 || done > 0: items = (done, total)
      case .neverRan, .forced, .invalidated, .failed, .interrupted, .incomplete: break
      }
    }
    let isIncomplete = items.map { $0.done < $0.total } ?? false
    if record?.actionKey == nil { (isCodeSame, areInputsSame, isDataSame) = (nil, nil, nil) }
    if record?.result == nil { areOutputsSame = nil }
    switch decision {
    case .fresh: word = "fresh"
    case .restore: word = "restorable"
    case .run(let reasons):
      word =
        reasons.contains(.failed)
        ? "failed"
        : reasons.contains(.interrupted)
          ? "interrupted" : reasons.contains(.neverRan) ? "new" : isIncomplete ? "incomplete" : "stale"
    }
  }
}

extension TaskCache {
  /// Every task of a pipeline, as it stands now, in the pipeline's order. O(tasks + declared files).
  public func states(of pipeline: Pipeline) throws(PurserError) -> [TaskState] {
    let plan = try Planner(cache: self, pipeline: pipeline).plan(isThorough: true)
    var states: [TaskState] = []
    for (task, entry) in zip(pipeline.tasks, plan.entries) {
      guard let entry else { continue }
      let record = entry.assessment?.record
      var state = TaskState(
        task: task.spec.id, word: "stale", status: record?.status?.rawValue, endTime: record?.endTime,
        durationMicroseconds: record?.result?.durationMicroseconds.nonZero, reasons: [])
      if task.spec.mapping != nil, let count = record?.subtaskCount, count > 0 { state.items = (count, count) }
      if record?.status == .running, try asking({ try lessor.isAtWork(on: key(task.spec.id)) }) {
        state.word = "running"
        let subtasks = try subtasks(of: task.spec.id)
        if !subtasks.isEmpty { state.items = (subtasks.count { $0.isDone }, subtasks.count) }
      } else if let decision = entry.assessment?.decision {
        state.take(decision, record)
      } else if entry.error == nil {
        state.take(.run(entry.reasons), record)
      } else {
        state.word = "error"
        state.areInputsSame = false
        state.error = entry.error?.message
      }
      states.append(state)
    }
    try addAcceptances(to: &states, plan.entries.compactMap { $0?.assessment?.record })
    return states
  }

  private func addAcceptances(to states: inout [TaskState], _ records: [TaskRecord]) throws(PurserError) {
    let vouched = records.filter(\.isVouchedFor).map(\.key.task)
    guard !vouched.isEmpty else { return }
    let acceptances = try acceptances(of: vouched)
    for index in states.indices { states[index].acceptance = acceptances[states[index].task]?.first }
  }
}

extension TaskCache {
  /// Calls a closure of the store, with its errors as the user's.
  func asking<Result>(_ body: () throws -> Result) throws(PurserError) -> Result {
    do {
      return try body()
    } catch let error as PurserError {
      throw error
    } catch let error as StoreError {
      throw PurserError(error)
    } catch {
      throw PurserError(.io, "\(error)")
    }
  }

  /// The records of this storage key and pipeline, or of the pipeline on all keys, sorted by name.
  public func taskRecords(onAllKeys: Bool = false) throws(PurserError) -> [TaskRecord] {
    try asking {
      try records.records(storageKey: onAllKeys ? nil : project.storageKey, pipeline: project.pipeline)
    }
  }

  /// The declaration stored with a record; `nil` where there is none.
  public func storedSpecification(of task: String) throws(PurserError) -> TaskSpec? {
    try asking {
      guard let text = try records.specification(of: key(task)) else { return nil }
      return TaskSpec(json: try JSON(parsing: text.utf8))
    }
  }

  /// A decision for somebody who only wants to know. Standard input counts as it was recorded.
  package func checkedAssessment(_ declared: TaskSpec, _ options: DecisionOptions) throws(PurserError) -> Assessment {
    let spec = try Declarations(project: project).admit(declared)
    var options = options
    if spec.readsStandardInput, options.standardInput == nil {
      options.standardInput = try asking {
        guard let recorded = try records.records(for: [key(spec.id)])[0]?.actionKey else { return nil }
        for component in try records.components(of: [recorded])[recorded] ?? [] {
          if component.tag == .standardInput, case .digest(let digest) = component.value { return digest }
        }
        return nil
      }
    }
    return try assess(spec, options)
  }

  /// Every task of this storage key and pipeline, as it stands now. O(tasks · declared files).
  public func states() throws(PurserError) -> [TaskState] {
    var states: [TaskState] = []
    let records = try taskRecords()
    for record in records { states.append(try state(of: record)) }
    try addAcceptances(to: &states, records)
    return states
  }

  private func state(of record: TaskRecord) throws(PurserError) -> TaskState {
    let task = record.key.task
    var state = TaskState(
      task: task, word: record.status?.rawValue.lowercased() ?? "unknown", status: record.status?.rawValue,
      endTime: record.endTime, durationMicroseconds: record.result?.durationMicroseconds.nonZero, reasons: [])
    if record.status == .running, try asking({ try lessor.isAtWork(on: record.key) }) { return state }
    guard let spec = try storedSpecification(of: task) else {
      if record.status == .running { state.word = "interrupted" }
      return state
    }
    let decision: Decision
    do throws(PurserError) {
      decision = try checkedAssessment(spec, DecisionOptions()).decision
    } catch {
      // One task whose input is gone must not hide the others.
      guard error.code == .missing || error.code == .refused else { throw error }
      state.word = "stale"
      state.areInputsSame = false
      return state
    }
    state.take(decision, record)
    return state
  }

  /// Past runs on this storage key and pipeline, newest first; of one task, or of all.
  public func runs(of task: String?, limit: Int) throws(PurserError) -> [RunRecord] {
    try asking {
      try records.runs(
        matching: RunFilter(
          storageKey: project.storageKey, pipeline: project.pipeline, task: task, limit: limit))
    }
  }

  /// Writes what a run printed to standard output and error, verified first.
  package func replayLog(_ run: RunRecord) throws(PurserError) {
    guard let log = run.log else { return }
    try asking { try contents.withLog(log) { try LogReplay.replay($0) } }
  }

  /// Writes a stored content to standard output, verified first.
  package func writeContent(_ digest: Digest) throws(PurserError) {
    try asking {
      let file = try TemporaryFile(in: project.store.appending(path: "tmp"))
      try contents.copy(digest, to: file.descriptor)
      lseek(file.descriptor, 0, SEEK_SET)
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)
      defer { buffer.deallocate() }
      while true {
        let count = read(file.descriptor, buffer.baseAddress, buffer.count)
        guard count > 0 else { break }
        try TemporaryFile.write(Array(buffer[0..<count]), to: 1)
      }
    }
  }

  // MARK: Schema

  private var database: SQLiteRecordStore? { records as? SQLiteRecordStore }

  private func withDatabase(_ body: (SQLiteRecordStore) throws -> SchemaStatus) throws(PurserError) -> SchemaStatus {
    try asking {
      guard let database else { throw PurserError(.usage, "this store has no schema to change") }
      return try body(database)
    }
  }

  /// Where the schema stands.
  package func schemaStatus() throws(PurserError) -> SchemaStatus {
    try withDatabase { try $0.schemaStatus() }
  }

  /// Applies missing migrations.
  package func migrateSchema() throws(PurserError) -> SchemaStatus {
    try withDatabase { try $0.migrate(now: TaskCache.now()) }
  }

  /// Takes back the last migrations, and what they held; the store is backed up before, in its own folder.
  package func rollBackSchema(_ count: Int) throws(PurserError) -> (status: SchemaStatus, backup: ByteString?) {
    let before = try schemaStatus()
    var backup: ByteString?
    if before.version > 0 {
      let time = String(TaskCache.now().filter(\.isNumber))
      let path = project.store.appending(path: ByteString("backup-\(time)-schema-\(before.version).db"))
      try asking { try maintained?.backUp(to: path) }
      backup = path
    }
    return (try withDatabase { try $0.rollback(count) }, backup)
  }

  // MARK: Hashing

  /// Makes the state folder, for somebody who named one.
  package func prepareStore() throws(PurserError) {
    try asking { try StoreFolder.prepare(project.store) }
  }

  /// The digest of each path, from the current folder: of a file its content's, of a folder its tree's.
  package func digests(of paths: [ByteString]) -> [Result<Digest, PurserError>] {
    let locations = paths.map { project.currentFolder.appending(path: $0) }
    let files = hasher.digests(of: locations)
    return zip(zip(paths, locations), files).map { path, result in
      do throws(FileError) {
        do throws(FileError) {
          return .success(try result.get().digest)
        } catch {
          guard error.code == .notAFile(.directory) else { throw error }
          var skipped: [ByteString] = []
          if let store = project.store.path(relativeTo: project.root) { skipped.append(store) }
          let filter = PathFilter(root: project.root, skippedPaths: skipped, patterns: [])
          let digest = try TreeHasher(hasher: hasher, projectRoot: project.root).digest(
            at: path.1.normalizedPath, excluding: filter)
          return .success(digest)
        }
      } catch {
        let code: PurserError.Code =
          switch error.code {
          case .missing: .missing
          case .unreadable, .notAFile: .refused
          case .unstable: .unavailable
          case .io: .io
          }
        return .failure(PurserError(code, "'\(path.0.printable)' cannot be hashed: \(error.message)"))
      }
    }
  }

  /// What a run printed on each stream.
  package func printedText(of run: RunRecord) throws(PurserError) -> (output: [UInt8], error: [UInt8]) {
    guard let log = run.log else { return ([], []) }
    return try asking {
      let folder = project.store.appending(path: "tmp")
      let output = try TemporaryFile(in: folder)
      let error = try TemporaryFile(in: folder)
      try contents.withLog(log) {
        try LogReplay.replay($0, standardOutput: output.descriptor, standardError: error.descriptor)
      }
      return (output.contents(), error.contents())
    }
  }
}
