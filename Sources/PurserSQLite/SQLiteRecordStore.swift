package import PurserModel
package import PurserStore
import Synchronization

/// The record store in one SQLite file, `records.db`.
///
/// `@unchecked Sendable`: every use of `database` holds `mutex`, and every use of `aside` holds `asideMutex`.
package final class SQLiteRecordStore: RecordStore, @unchecked Sendable {
  private let mutex = Mutex(())
  private let database: RecordDatabase
  /// Where is read while many threads write and one of them is at `database`; made when that happens first.
  private var aside: RecordDatabase?
  private let asideMutex = Mutex(())
  private let readsAside = Atomic(false)
  package let place: StorePlace
  /// The clock, ISO 8601.
  let now: @Sendable () -> String
  /// Writes that wait for a commit.
  private let sharedWrites = CommitQueue<SharedWrite>()

  /// A store in the folder `directory`, which is made at the first write; reading where there is none finds nothing.
  ///
  /// - Parameters:
  ///   - isDurable: whether commits survive a power cut (`synchronous=FULL`) or only a killed process (`NORMAL`).
  ///   - now: the clock, for rows whose caller brings no time: ISO 8601.
  package convenience init(
    directory: ByteString, isDurable: Bool = true, now: @escaping @Sendable () -> String
  ) {
    self.init(.folder(directory), isDurable: isDurable, now: now)
  }

  /// A store wherever it is.
  package init(_ place: StorePlace, isDurable: Bool = true, now: @escaping @Sendable () -> String) {
    self.now = now
    self.place = place
    database = RecordDatabase(place, isDurable: isDurable, now: now)
  }

  func read<Result: Sendable>(
    else missing: Result, _ body: (Connection) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    guard readsAside.load(ordering: .relaxed) else {
      return try locked { database throws(StoreError) in try database.read(else: missing, body) }
    }
    // What writes keeps its pages over its own commits, a connection beside it does not: the second choice.
    let found = try mutex.withLockIfAvailable { _ throws(StoreError) in try database.read(else: missing, body) }
    if let found { return found }
    return try asideMutex.withLock { _ throws(StoreError) in
      let database = aside ?? RecordDatabase(place, isDurable: false, now: now)
      aside = database
      return try database.read(else: missing, body)
    }
  }

  func write<Result: Sendable>(
    durable: Bool = true, appends: Bool = false, _ body: (Connection) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    try locked { database throws(StoreError) in try database.write(durable: durable, appends: appends, body) }
  }

  /// As ``write(durable:appends:_:)``, in one transaction with those of other threads that come meanwhile: beginning and
  /// ending tasks, and the progress of items. `body` may be called twice: what it did is taken back if another's fails.
  func writeShared<Result: Sendable>(
    durable: Bool = true, appends: Bool = false,
    _ body: @escaping @Sendable (Connection) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    let outcome = Outcome<Result>()
    let request = SharedWrite(isDurable: durable, isAppend: appends) { connection throws(StoreError) in
      let result = try body(connection)
      outcome.value.withLock { $0 = result }
    }
    try sharedWrites.submit(request) { take in commit(take) }
    guard let result = outcome.value.withLock({ $0 }) else { preconditionFailure("what was committed has a result") }
    return result
  }

  package func expect(writers: Int) {
    sharedWrites.expect(writers)
    readsAside.store(writers > 1 && place != .memory, ordering: .relaxed)
    if writers <= 1 { asideMutex.withLock { _ in aside = nil } }
  }

  /// One transaction for all; where it fails, one for each, so that nobody fails with another's request.
  private func commit(_ take: () -> [SharedWrite]) -> [Swift.Result<Void, StoreError>] {
    var requests: [SharedWrite] = []
    var hasBegun = false
    let shared = Swift.Result { () throws(StoreError) in
      try locked { database throws(StoreError) in
        requests = take()
        try database.write(
          durable: requests.contains(where: \.isDurable), appends: requests.allSatisfy(\.isAppend)
        ) { connection throws(StoreError) in
          hasBegun = true
          for request in requests { try request.body(connection) }
        }
      }
    }
    // A gate that is shut is shut for all.
    guard case .failure = shared, requests.count > 1, hasBegun else { return requests.map { _ in shared } }
    return requests.flatMap { request in commit { [request] } }
  }

  /// What several threads' writes come to in one transaction.
  private struct SharedWrite: Sendable {
    var isDurable: Bool
    var isAppend: Bool
    var body: @Sendable (Connection) throws(StoreError) -> Void
  }

  private final class Outcome<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
  }

  func locked<Result: Sendable>(
    _ body: (RecordDatabase) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    try mutex.withLock { _ throws(StoreError) in try body(database) }
  }

  // MARK: Schema

  /// Where the schema stands, without changing it.
  package func schemaStatus() throws(StoreError) -> SchemaStatus {
    try locked { database throws(StoreError) in
      try database.inspect { connection throws(StoreError) in try Migrator(connection: connection).status() }
    }
      ?? SchemaStatus(
        version: 0,
        migrations: Migration.all.map { SchemaStatus.Migration(version: $0.version, name: $0.name, appliedAt: nil) })
  }

  /// Applies what is missing. Opening a store for writing does so too.
  package func migrate(now: String) throws(StoreError) -> SchemaStatus {
    try locked { database throws(StoreError) in
      try database.withMigrator { migrator throws(StoreError) in
        try migrator.migrate(now: now)
        try migrator.verifyChecksums()
        return try migrator.status()
      }
    }
  }

  /// Takes back the last `count` migrations, and what they held.
  package func rollback(_ count: Int) throws(StoreError) -> SchemaStatus {
    try locked { database throws(StoreError) in
      try database.withMigrator { migrator throws(StoreError) in
        try migrator.rollback(count)
        return try migrator.status()
      }
    }
  }
}
