import Glibc
package import PurserModel
import PurserStore
import Synchronization

/// Where a store is.
package enum StorePlace: Sendable, Hashable {
  /// A folder that is the store's own, with `records.db` in it.
  case folder(ByteString)
  /// A database file; its gate is beside it, `.lock` after its name.
  case file(ByteString)
  /// Nowhere: it goes with the object.
  case memory
}

/// The open files behind a ``SQLiteRecordStore``: a connection for reading, one for writing, and the gate.
///
/// Connections are opened when first needed; a decision that finds a fresh task opens one, read-only. Guarded by the
/// store's mutex.
final class RecordDatabase {
  private let directory: ByteString
  /// Whether it is one in memory, which only this object sees: without a gate, and gone with it.
  private let isInMemory: Bool
  let databasePath: String
  let gatePath: String
  private let isDurable: Bool
  private let now: @Sendable () -> String
  private var wasMissing = false
  private var reader: Connection?
  private var writer: Connection?
  /// The number of the file that `writer` has open.
  private var writerFile: UInt64?
  private var gate: WriterGate?
  /// What `writer` is set to; `nil` before it was set.
  private var isSynchronous: Bool?
  /// The log that `writer` writes to.
  var log: WriteAheadLog?
  private var appends = 0
  private var truncations = 0
  /// Seconds of the monotonic clock.
  private var lastTruncation = 0
  private var snapshot: Snapshot?

  /// A database that nobody was writing to when it was opened.
  private struct Snapshot: ~Copyable {
    let connection: Connection
    let generation: Generation
    var isOurs = false
  }

  /// A WAL longer than this is moved into the database before a writer leaves the gate: a 4 MB leftover costs the next
  /// process that opens the store 2 ms.
  private static let longestWAL = 64 * 1024

  /// Of a process that appends progress many times a second: truncating the WAL every 16 commits would cost as much as
  /// the commits, and a log that is written again from its start is synced in half the time of one that grows, whose
  /// length has to reach the disk as well.
  private static let pagesInWAL = 1000
  private static let isManyAppends = 16
  private static let isManyTruncations = 4

  private static let readingSettings =
    "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA cache_size = -8192"

  init(_ place: StorePlace, isDurable: Bool, now: @escaping @Sendable () -> String) {
    self.isDurable = isDurable
    self.now = now
    // Text that is not UTF-8 is refused by StoreFolder before any of these paths is used.
    switch place {
    case .folder(let folder):
      let text = String(decoding: folder.bytes, as: UTF8.self)
      (directory, isInMemory) = (folder, false)
      (databasePath, gatePath) = (text + "/records.db", text + "/write.lock")
    case .file(let file):
      let text = String(decoding: file.bytes, as: UTF8.self)
      (directory, isInMemory) = (file.parentPath.isEmpty ? "." : file.parentPath, false)
      (databasePath, gatePath) = (text, text + ".lock")
    case .memory:
      (directory, isInMemory) = (".", true)
      (databasePath, gatePath) = (":memory:", "")
    }
  }

  /// The reading connection, or `nil` where there is no store yet.
  func reading() throws(StoreError) -> Connection? {
    // What writes keeps its pages over its own commits, a reader beside it does not.
    if let open = writer ?? reader { return open }
    if isInMemory { return try writing() }
    guard try findFile() else { return nil }
    let connection = try Connection(path: databasePath, mode: .readOnly)
    // In one transaction: another process may be creating the store between two questions.
    try connection.execute("BEGIN")
    let version = try Migrator.check(connection)
    try connection.execute("COMMIT")
    guard version == Migration.current else { return try writing() }
    try connection.execute(Self.readingSettings)
    reader = connection
    return connection
  }

  /// Whether there is a store; throws for one that must not be used. Where there was none, only its file is looked for
  /// again: who plans a first run asks for each task.
  private func findFile() throws(StoreError) -> Bool {
    if wasMissing, try !hasFile() { return false }
    try StoreFolder.check(directory)
    wasMissing = try !hasFile()
    return !wasMissing
  }

  /// Whether the database's file is there; throws for what is no file, or cannot be reached.
  private func hasFile() throws(StoreError) -> Bool {
    var info = stat()
    guard stat(databasePath, &info) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return false }
      throw StoreError(
        .unavailable, "the record store '\(databasePath)' cannot be reached: \(String(cString: strerror(errno)))")
    }
    guard info.st_mode & S_IFMT == S_IFREG else {
      throw StoreError(
        .unavailable, "'\(databasePath)' is not a file, so not a record store; move it away, or use --store")
    }
    return true
  }

  /// Looks at the file as it is, of whatever version; `nil` where there is none.
  func inspect<Result>(_ body: (Connection) throws(StoreError) -> Result) throws(StoreError) -> Result? {
    if isInMemory { return try body(writing()) }
    guard try hasFile() else { return nil }
    return try body(Connection(path: databasePath, mode: .readOnly))
  }

  /// One consistent view for several statements. `body` may be called twice: what it finds in a database that is written
  /// to at the same moment is thrown away.
  func read<Result>(
    else missing: Result, _ body: (Connection) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    if reader == nil, writer == nil, !isInMemory, let result = try readSnapshot(body) { return result }
    guard let connection = try reading() else { return missing }
    try connection.run("BEGIN", [])
    do throws(StoreError) {
      let result = try body(connection)
      try connection.run("COMMIT", [])
      return result
    } catch {
      try? connection.execute("ROLLBACK")
      throw error
    }
  }

  /// Reads without locks; `nil` where somebody writes, or did, so that locks are needed.
  private func readSnapshot<Result>(
    _ body: (Connection) throws(StoreError) -> Result
  ) throws(StoreError) -> Result? {
    if snapshot == nil {
      guard try findFile(), let generation = Generation(gateAt: gatePath), isLogEmpty() else { return nil }
      let connection = try Connection(path: databasePath, mode: .immutable)
      try connection.execute(Self.readingSettings)
      snapshot = Snapshot(connection: connection, generation: generation)
    }
    let outcome = Swift.Result { () throws(StoreError) -> Result? in
      guard let connection = snapshot?.connection else { return nil }
      if snapshot?.isOurs == false {
        guard try Migrator.check(connection) == Migration.current else { return nil }
        snapshot?.isOurs = true
      }
      return try body(connection)
    }
    guard snapshot?.generation.isCurrent == true else {
      snapshot = nil
      return nil
    }
    return try outcome.get()
  }

  private func isLogEmpty() -> Bool {
    var info = stat()
    return stat(databasePath + "-wal", &info) == 0 ? info.st_size == 0 : errno == ENOENT
  }

  private func writing() throws(StoreError) -> Connection {
    if let writer { return writer }
    snapshot = nil
    isSynchronous = nil
    if isInMemory {
      let connection = try Connection(path: databasePath, mode: .readWrite)
      try connection.execute("PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY")
      try Migrator(connection: connection).migrate(now: now())
      writer = connection
      return connection
    }
    try StoreFolder.prepare(directory)
    let connection = try holdGate { _ throws(StoreError) in
      _ = try hasFile()
      let connection = try Connection(path: databasePath, mode: .readWrite)
      let version = try Migrator.check(connection)
      guard try connection.text("PRAGMA journal_mode = WAL") == "wal" else {
        throw StoreError(
          .unavailable,
          "the record store '\(databasePath)' cannot use a write-ahead log on this file system; "
            + "use --store with a local one")
      }
      try connection.execute(
        """
        PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;
        PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = \(Self.pagesInWAL); PRAGMA cache_size = -8192
        """)
      chmod(databasePath, 0o600)
      if version < Migration.current {
        try setSynchronous(connection, durable: true)
        try Migrator(connection: connection).migrate(now: now())
      }
      return connection
    }
    writer = connection
    // SQLite may make it only when it writes to it.
    let hasLog = access(databasePath + "-wal", F_OK) == 0
    log = isDurable && hasLog ? try WriteAheadLog(at: databasePath + "-wal") : nil
    reader = nil
    var info = stat()
    writerFile = stat(databasePath, &info) == 0 ? UInt64(info.st_ino) : nil
    return connection
  }

  /// Whether this object ever went through the gate.
  var hasWritten: Bool { gate?.lastGeneration != nil }

  /// Whether nobody else went through the gate since a generation.
  func hasOnlyOwnWrites(since generation: UInt64) -> Bool {
    let (first, last) = (gate?.firstGeneration, gate?.lastGeneration)
    return Generation.current(gateAt: gatePath) == last ?? generation && first ?? generation == generation
      && gate?.hasSeenOthers != true
  }

  private func holdGate<Result>(
    isQuick: Bool = false, _ body: (UInt64) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    if isInMemory { return try body(0) }
    if gate == nil { gate = try WriterGate(path: gatePath) }
    guard gate != nil else { preconditionFailure("the gate was opened above") }
    var result: Result?
    try gate?.hold(isQuick: isQuick) { generation throws(StoreError) in result = try body(generation) }
    guard let result else { preconditionFailure("hold runs its body or throws") }
    return result
  }

  private func setSynchronous(_ connection: Connection, durable: Bool) throws(StoreError) {
    guard isSynchronous != durable else { return }
    try connection.execute(durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL")
    isSynchronous = durable
  }

  /// One write transaction within the gate. A transaction that is not `durable` survives a killed process but perhaps
  /// not a power cut: enough for leases, which mean nothing after a boot, and for what moves within the store. One that
  /// `appends` is likely to be followed by others at once.
  func write<Result>(
    durable: Bool = true, appends isAppend: Bool = false, _ body: (Connection) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    let connection = try writing()
    let known = gate?.lastGeneration ?? 0
    return try holdGate(isQuick: !durable) { generation throws(StoreError) in
      if generation != known { connection.interned = InternedRows() }
      try setSynchronous(connection, durable: durable && isDurable)
      try connection.run("BEGIN IMMEDIATE", [])
      do throws(StoreError) {
        let result = try body(connection)
        try connection.run("COMMIT", [])
        if isAppend {
          appends += 1
          if appends > Self.isManyAppends { return result }
        }
        // Only after a durable commit: opening a run, noting its child and closing it would each pay for a checkpoint.
        var info = stat()
        if durable, stat(databasePath + "-wal", &info) == 0, info.st_size > Self.longestWAL,
          isTruncationDue(amongOthers: known != 0 && generation != known)
        {
          connection.truncateWAL()
        }
        return result
      } catch {
        try? connection.execute("ROLLBACK")
        connection.interned = InternedRows()
        throw error
      }
    }
  }

  /// Whether the WAL is to be truncated: at each of the first commits, then every second or two, and by none of several
  /// that commit many times. A process that commits many times a second would spend more on checkpoints, three syncs
  /// each and one for the log's new header, than on what it commits: 16 workers ended 400 to 500 claims a second instead
  /// of 130 to 200. SQLite's own checkpoints, every `pagesInWAL`, bound the WAL in between.
  private func isTruncationDue(amongOthers: Bool) -> Bool {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
    guard truncations < Self.isManyTruncations || !amongOthers && now.tv_sec - lastTruncation >= 2 else { return false }
    truncations += 1
    lastTruncation = now.tv_sec
    return true
  }

  /// A WAL longer than this is moved into the database by a ``sync()``, which comes once for many commits.
  private static let longestSharedWAL = 32 << 20

  /// The longest that a run of many commits leaves behind: moving it costs three syncs, leaving it half a millisecond for
  /// each process that opens the store next.
  private static let longestLeftWAL = 1 << 20

  /// Throws if the file that is written to is not the one of that name any more: what is recorded would be lost.
  private func requireFile() throws(StoreError) {
    var info = stat()
    if stat(databasePath, &info) == 0, writerFile == nil || UInt64(info.st_ino) == writerFile { return }
    throw StoreError(
      .unavailable,
      "the record store '\(databasePath)' was removed or replaced while it was in use; what was recorded since is lost")
  }

  /// The log that holds what was committed without being made durable; `nil` if there is nothing to be done. Nothing has
  /// to be held while it is synced.
  func logToSync() throws(StoreError) -> WriteAheadLog? {
    guard writer != nil, !isInMemory else { return nil }
    try requireFile()
    if log == nil, isDurable { log = try WriteAheadLog(at: databasePath + "-wal") }
    return log
  }

  /// Moves a log that has become long into the database.
  func shortenLog(isLast: Bool) throws(StoreError) {
    var info = stat()
    let limit = isLast ? Self.longestLeftWAL : Self.longestSharedWAL
    guard stat(databasePath + "-wal", &info) == 0, info.st_size > limit, let writer else { return }
    try holdGate { _ throws(StoreError) in writer.truncateWAL() }
  }

  /// Lets another file take the place of the database, with nobody at it but who has it open still.
  func replaceFile<Result>(_ body: (String) throws(StoreError) -> Result) throws(StoreError) -> Result {
    try StoreFolder.prepare(directory)
    reader = nil
    writer = nil
    log = nil
    snapshot = nil
    return try holdGate { _ throws(StoreError) in try body(databasePath) }
  }

  /// Runs migrations forth or back, outside of any transaction of ours.
  func withMigrator<Result>(_ body: (Migrator) throws(StoreError) -> Result) throws(StoreError) -> Result {
    if isInMemory { return try body(Migrator(connection: writing())) }
    try StoreFolder.prepare(directory)
    reader = nil
    writer = nil
    log = nil
    return try holdGate { _ throws(StoreError) in
      _ = try hasFile()
      let connection = try Connection(path: databasePath, mode: .readWrite)
      _ = try Migrator.check(connection)
      _ = try connection.text("PRAGMA journal_mode = WAL")
      try connection.execute("PRAGMA foreign_keys = OFF; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL")
      let result = try body(Migrator(connection: connection))
      connection.truncateWAL()
      return result
    }
  }
}

/// The open log of a database.
///
/// It stays open from before the first commit: of an error in writing back what was committed since, the kernel tells
/// each file that was open by then, once. One that is opened by its name later need not hear of it.
final class WriteAheadLog: Sendable {
  private let path: String
  private let descriptor: Int32
  /// Whether the disk refused something that was committed. What it holds after that, nobody knows.
  private let isDoubtful = Atomic(false)

  init(at path: String) throws(StoreError) {
    self.path = path
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.failure(path, errno) }
  }

  deinit {
    // SQLite's locks are on other files, so that closing this one takes none of them away.
    close(descriptor)
  }

  /// Returns when all that was committed is on the disk. Throws `io` if the disk refused any of it, now or earlier.
  func sync() throws(StoreError) {
    guard fdatasync(descriptor) == 0 else {
      let number = errno
      distrust()
      throw Self.failure(path, number)
    }
    if isDoubtful.load(ordering: .sequentiallyConsistent) { throw Self.failure(path, EIO) }
  }

  func distrust() { isDoubtful.store(true, ordering: .sequentiallyConsistent) }

  private static func failure(_ path: String, _ number: Int32) -> StoreError {
    StoreError(
      .io,
      "the record store's log '\(path)' cannot be made durable: \(String(cString: strerror(number))); "
        + "see to the disk, then start this again: what was recorded may be lost if the power fails")
  }
}
