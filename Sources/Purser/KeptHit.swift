import Glibc
import PurserHashing
import PurserModel
import PurserStore

/// What the record store said when a step was fresh, so that the next one that finds it so need not open it: a third of
/// a hit's instructions were SQLite reading its own schema.
///
/// One small file for each task and what it comes after, derived from everything else: it holds for one state of the
/// record store. What it says is a decision's starting point only; every file is looked at as ever, and the log is
/// hashed before it is shown. Removing the file costs the next hit time.
///
/// Format, version 2, integers little-endian: "PURSHIT\0", a checksum over all that follows (u64), version (u32), the
/// key (32 bytes), the mark (length-prefixed), the number of records (u32), the records, and the log.
struct KeptHit {
  private static let magic: UInt64 = 0x0054_4948_5352_5550
  private static let version: UInt32 = 2

  var mark: StoreMark
  /// The records of the task and of those that it comes after.
  var records: [TaskRecord?]
  /// What the task printed, if that stands in the record store.
  var log: (blob: StoredBlob, content: [UInt8])?

  /// Where the hit of a task is kept, and the key that is in it.
  struct Place {
    let path: ByteString
    fileprivate let key: Digest
    fileprivate let store: ByteString

    init(_ spec: TaskSpec, in project: Project) {
      var writer = ByteWriter()
      writer.append(Array("purser.hit\0".utf8))
      for name in [project.storageKey, project.pipeline, spec.id] + spec.upstream {
        writer.append(lengthPrefixed: Array(name.utf8))
      }
      key = SHA256.digest(of: writer.bytes)
      store = project.store
      path = store.appending(path: "hits").appending(path: ByteString(key.short))
    }
  }

  init(mark: StoreMark, records: [TaskRecord?], log: (blob: StoredBlob, content: [UInt8])?) {
    self.mark = mark
    self.records = records
    self.log = log
  }

  /// Reads what is kept; `nil` where there is nothing, or it is damaged, or of another state of the store.
  init?(at place: Place, mark: StoreMark) {
    let descriptor = place.path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_size >= 64, info.st_size < 1 << 24 else { return nil }
    let size = Int(info.st_size)
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      count = max(0, read(descriptor, buffer.baseAddress, size))
    }
    guard bytes.count == size else { return nil }
    var reader = ByteReader(bytes)
    guard reader.readInteger() == Self.magic,
      reader.readInteger()
        == bytes.withUnsafeBytes({ StateFile.checksum(UnsafeRawBufferPointer(rebasing: $0[16...])) }),
      reader.readInteger() == Self.version, reader.readDigest() == place.key,
      reader.readLengthPrefixed() == mark.bytes, let count: UInt32 = reader.readInteger()
    else { return nil }
    self.mark = mark
    records = []
    for _ in 0..<count {
      guard let isThere = reader.readByte() else { return nil }
      if isThere == 0 {
        records.append(nil)
      } else {
        guard let record = TaskRecord(from: &reader) else { return nil }
        records.append(record)
      }
    }
    guard let hasLog = reader.readByte() else { return nil }
    if hasLog == 1 {
      guard let digest = reader.readDigest(), let size: UInt64 = reader.readInteger(),
        let encoding = (reader.readInteger() as Int64?).flatMap(BlobEncoding.init),
        let content = reader.readLengthPrefixed()
      else { return nil }
      log = (StoredBlob(digest: digest, size: size, encoding: encoding, isInline: true), content)
    }
    guard reader.isAtEnd else { return nil }
  }

  /// Failing costs time later, nothing else.
  func save(at place: Place) {
    var body = ByteWriter()
    body.append(littleEndian: Self.version)
    body.append(place.key)
    body.append(lengthPrefixed: mark.bytes)
    body.append(littleEndian: UInt32(records.count))
    for record in records {
      body.append(byte: record == nil ? 0 : 1)
      record?.append(to: &body)
    }
    body.append(byte: log == nil ? 0 : 1)
    if let log {
      body.append(log.blob.digest)
      body.append(littleEndian: log.blob.size)
      body.append(littleEndian: log.blob.encoding.rawValue)
      body.append(lengthPrefixed: log.content)
    }
    var whole = ByteWriter()
    whole.append(littleEndian: Self.magic)
    whole.append(littleEndian: body.bytes.withUnsafeBytes { StateFile.checksum($0) })
    whole.append(body.bytes)
    _ = place.path.parentPath.withCString { mkdir($0, 0o700) }
    StateFile.replace(place.path, in: place.store, with: whole.bytes)
  }
}

// A record as bytes: every member in the order of its declaration; what may be absent after a byte that says so.
extension TaskRecord {
  fileprivate func append(to writer: inout ByteWriter) {
    writer.append(key)
    for digest in [code, inputs, data] { writer.append(optional: digest) }
    for text in [outputsVersion, outputDataVersion, status?.rawValue, startTime, endTime] {
      writer.append(optional: text)
    }
    writer.append(littleEndian: Int64(subtaskCount))
    writer.append(littleEndian: Int64(taskdataCount))
    writer.append(updatedAt)
    writer.append(optional: actionKey)
    writer.append(byte: result == nil ? 0 : 1)
    result?.append(to: &writer)
    writer.append(byte: invalidation == nil ? 0 : 1)
    if let invalidation { for text in [invalidation.at, invalidation.by, invalidation.why] { writer.append(text) } }
    writer.append(littleEndian: markedRun)
    writer.append(byte: lastRun == nil ? 0 : 1)
    writer.append(littleEndian: lastRun ?? 0)
    writer.append(optional: lastRunState?.rawValue)
  }

  fileprivate init?(from reader: inout ByteReader) {
    guard let key = reader.readKey(), let code = reader.readOptionalDigest(), let inputs = reader.readOptionalDigest(),
      let data = reader.readOptionalDigest(), let outputsVersion = reader.readOptionalText(),
      let outputDataVersion = reader.readOptionalText(), let status = reader.readOptionalText(),
      let startTime = reader.readOptionalText(), let endTime = reader.readOptionalText(),
      let subtaskCount: Int64 = reader.readInteger(), let taskdataCount: Int64 = reader.readInteger(),
      let updatedAt = reader.readText(), let actionKey = reader.readOptionalDigest(), let hasResult = reader.readByte()
    else { return nil }
    self.init(key: key, status: status.flatMap(TaskStatus.init), updatedAt: updatedAt)
    (self.code, self.inputs, self.data, self.actionKey) = (code, inputs, data, actionKey)
    (self.outputsVersion, self.outputDataVersion) = (outputsVersion, outputDataVersion)
    (self.startTime, self.endTime) = (startTime, endTime)
    (self.subtaskCount, self.taskdataCount) = (Int(subtaskCount), Int(taskdataCount))
    if hasResult == 1 {
      guard let result = ActionResult(from: &reader) else { return nil }
      self.result = result
    }
    guard let isMarked = reader.readByte() else { return nil }
    if isMarked == 1 {
      guard let at = reader.readText(), let by = reader.readText(), let why = reader.readText() else { return nil }
      invalidation = Invalidation(at: at, by: by, why: why)
    }
    guard let markedRun: Int64 = reader.readInteger(), let hasRun = reader.readByte(),
      let run: Int64 = reader.readInteger(), let state = reader.readOptionalText()
    else { return nil }
    self.markedRun = markedRun
    lastRun = hasRun == 1 ? run : nil
    lastRunState = state.flatMap(RunState.init)
  }
}

extension ActionResult {
  fileprivate func append(to writer: inout ByteWriter) {
    writer.append(littleEndian: id)
    writer.append(actionKey)
    writer.append(lengthPrefixed: manifest.encoded)
    writer.append(outputsVersion)
    writer.append(optional: log)
    writer.append(optional: data)
    writer.append(littleEndian: Int64(dataCount))
    writer.append(littleEndian: durationMicroseconds)
    writer.append(producer)
    writer.append(createdAt)
    writer.append(littleEndian: run)
    writer.append(byte: undeclared == nil ? 0 : 1)
    if let undeclared { writer.append(lengthPrefixed: undeclared.encoded) }
  }

  fileprivate init?(from reader: inout ByteReader) {
    guard let id: Int64 = reader.readInteger(), let actionKey = reader.readDigest(),
      let manifest = reader.readLengthPrefixed().flatMap({ OutputManifest(encoded: $0) }),
      let outputsVersion = reader.readDigest(), let log = reader.readOptionalDigest(),
      let data = reader.readOptionalDigest(), let dataCount: Int64 = reader.readInteger(),
      let duration: Int64 = reader.readInteger(), let producer = reader.readKey(), let createdAt = reader.readText(),
      let run: Int64 = reader.readInteger(), let isTraced = reader.readByte()
    else { return nil }
    self.init(
      id: id, actionKey: actionKey, manifest: manifest, outputsVersion: outputsVersion, log: log,
      durationMicroseconds: duration, producer: producer, createdAt: createdAt)
    self.data = data
    self.dataCount = Int(dataCount)
    self.run = run
    if isTraced == 1 {
      guard let files = reader.readLengthPrefixed().flatMap({ [Component](encoded: $0) }) else { return nil }
      undeclared = files
    }
  }
}

extension ByteWriter {
  fileprivate mutating func append(_ text: String) { append(lengthPrefixed: Array(text.utf8)) }

  fileprivate mutating func append(_ key: TaskKey) {
    for name in [key.storageKey, key.pipeline, key.task] { append(name) }
  }

  fileprivate mutating func append(optional text: String?) {
    append(byte: text == nil ? 0 : 1)
    if let text { append(text) }
  }

  fileprivate mutating func append(optional digest: Digest?) {
    append(byte: digest == nil ? 0 : 1)
    if let digest { append(digest) }
  }
}

extension ByteReader {
  fileprivate mutating func readText() -> String? {
    readLengthPrefixed().flatMap { String(validating: $0, as: UTF8.self) }
  }

  fileprivate mutating func readKey() -> TaskKey? {
    guard let storageKey = readText(), let pipeline = readText(), let task = readText() else { return nil }
    return TaskKey(storageKey: storageKey, pipeline: pipeline, task: task)
  }

  /// `nil` for damage, `.some(nil)` for what is absent.
  fileprivate mutating func readOptionalText() -> String?? {
    guard let isThere = readByte() else { return nil }
    guard isThere == 1 else { return .some(nil) }
    guard let text = readText() else { return nil }
    return .some(text)
  }

  /// `nil` for damage, `.some(nil)` for what is absent.
  fileprivate mutating func readOptionalDigest() -> Digest?? {
    guard let isThere = readByte() else { return nil }
    guard isThere == 1 else { return .some(nil) }
    guard let digest = readDigest() else { return nil }
    return .some(digest)
  }
}
