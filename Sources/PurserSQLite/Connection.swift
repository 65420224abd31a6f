import CSQLite
import PurserModel
import PurserStore

/// One connection to a database, with its statements kept prepared.
///
/// Not `Sendable` by itself: a connection belongs to whoever holds the lock of its store.
final class Connection {
  enum Mode {
    case readOnly
    /// Without locks, taking for granted that nobody writes.
    case immutable
    case readWrite
    /// As `readOnly`, past what is wrong with the schema.
    case salvage
  }

  let path: String
  private let handle: OpaquePointer
  /// Prepared statements that are not in use, with the lengths of their texts. A list: there are some twenty at most in
  /// a process that lives for milliseconds, and the first use of a dictionary's type costs that more than looking through
  /// them; a hundred in one that lives long, where lengths tell nearly all of them apart.
  private var idle: [(length: Int, sql: String, handle: OpaquePointer)] = []

  var interned = InternedRows()

  /// Opens the file. It is created in `readWrite` mode if there is none.
  init(path: String, mode: Mode) throws(StoreError) {
    var handle: OpaquePointer?
    let flags =
      switch mode {
      case .readOnly: SQLITE_OPEN_READONLY
      case .salvage: SQLITE_OPEN_READWRITE
      case .immutable: SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
      case .readWrite: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
      }
    // The connection is guarded by its store's lock, so SQLite's own mutexes would be taken for nothing.
    let name = mode == .immutable ? Self.immutableURI(path) : path
    let code = sqlite3_open_v2(name, &handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nil)
    guard code == SQLITE_OK, let handle else {
      let message = handle.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
      sqlite3_close_v2(handle)
      throw Self.error(code, message, path)
    }
    self.path = path
    self.handle = handle
    // A reader that closes last would otherwise checkpoint outside the writers' gate.
    _ = purser_sqlite_set_flag(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    // With a schema that may be written to, an entry of it that cannot be read is left out instead of refused.
    _ = purser_sqlite_set_flag(handle, SQLITE_DBCONFIG_DEFENSIVE, mode == .salvage ? 0 : 1)
    if mode == .salvage { _ = purser_sqlite_set_flag(handle, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1) }
    _ = purser_sqlite_set_flag(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    sqlite3_busy_timeout(handle, 30_000)
    defineJSONValidity()
  }

  /// `json_valid` for CHECK constraints. SQLite 3.40 has one, but not marked as innocuous, so that a schema which is not
  /// trusted may not use it; this one takes its place.
  private func defineJSONValidity() {
    let flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS
    sqlite3_create_function_v2(
      handle, "json_valid", 1, flags, nil,
      { context, _, values in
        guard let value = values?.pointee, let text = sqlite3_value_text(value) else {
          return sqlite3_result_null(context)
        }
        let bytes = UnsafeBufferPointer(start: text, count: Int(sqlite3_value_bytes(value)))
        sqlite3_result_int(context, JSONText.isValid(bytes) ? 1 : 0)
      }, nil, nil, nil)
  }

  private static func immutableURI(_ path: String) -> String {
    var uri = Array("file:".utf8)
    for byte in path.utf8 {
      switch byte {
      case UInt8(ascii: "%"), UInt8(ascii: "?"), UInt8(ascii: "#"): uri += "%\(Hex.string([byte]))".utf8
      default: uri.append(byte)
      }
    }
    return String(decoding: uri + "?immutable=1".utf8, as: UTF8.self)
  }

  deinit {
    for statement in idle { sqlite3_finalize(statement.handle) }
    sqlite3_close_v2(handle)
  }

  /// A statement, compiled at most once per connection.
  func statement(_ sql: String) throws(StoreError) -> Statement {
    let length = sql.utf8.count
    if let index = idle.firstIndex(where: { $0.length == length && $0.sql == sql }) {
      idle.swapAt(index, idle.count - 1)
      return Statement(idle.removeLast().handle, sql, self)
    }
    var compiled: OpaquePointer?
    let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &compiled, nil)
    guard code == SQLITE_OK, let compiled else { throw error(code) }
    return Statement(compiled, sql, self)
  }

  fileprivate func keep(_ statement: OpaquePointer, _ sql: String) {
    idle.append((sql.utf8.count, sql, statement))
  }

  /// Runs one or more statements that return nothing of interest.
  func execute(_ sql: String) throws(StoreError) {
    let code = sqlite3_exec(handle, sql, nil, nil, nil)
    guard code == SQLITE_OK else { throw error(code) }
  }

  /// Runs one statement with values.
  func run(_ sql: String, _ values: [SQLValue]) throws(StoreError) {
    var statement = try statement(sql)
    try statement.bind(values)
    while try statement.step() {}
  }

  /// The first column of the first row, if there is one.
  func integer(_ sql: String, _ values: [SQLValue] = []) throws(StoreError) -> Int64? {
    var statement = try statement(sql)
    try statement.bind(values)
    return try statement.step() ? statement.integer(0) : nil
  }

  /// The first column of the first row, if there is one.
  func text(_ sql: String, _ values: [SQLValue] = []) throws(StoreError) -> String? {
    var statement = try statement(sql)
    try statement.bind(values)
    return try statement.step() ? statement.text(0) : nil
  }

  var lastInsertedRow: Int64 { sqlite3_last_insert_rowid(handle) }

  var changedRows: Int { Int(sqlite3_changes(handle)) }

  /// Copies the database, as it is at one moment, to a new file.
  func copyAll(to path: String) throws(StoreError) {
    var target: OpaquePointer?
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE
    let opened = sqlite3_open_v2(path, &target, flags, nil)
    defer { sqlite3_close_v2(target) }
    guard opened == SQLITE_OK, let copy = sqlite3_backup_init(target, "main", handle, "main") else {
      throw Self.error(opened == SQLITE_OK ? sqlite3_extended_errcode(target) : opened, Self.message(target), path)
    }
    let stepped = sqlite3_backup_step(copy, -1)
    let finished = sqlite3_backup_finish(copy)
    guard stepped == SQLITE_DONE, finished == SQLITE_OK else {
      throw Self.error(stepped == SQLITE_DONE ? finished : stepped, Self.message(target), path)
    }
  }

  private static func message(_ handle: OpaquePointer?) -> String { String(cString: sqlite3_errmsg(handle)) }

  /// Moves the WAL into the database and truncates it, if nobody reads from it. Only within the gate.
  func truncateWAL() {
    sqlite3_busy_timeout(handle, 0)
    _ = sqlite3_wal_checkpoint_v2(handle, "main", SQLITE_CHECKPOINT_TRUNCATE, nil, nil)
    sqlite3_busy_timeout(handle, 30_000)
  }

  func error(_ code: Int32) -> StoreError {
    Self.error(code, String(cString: sqlite3_errmsg(handle)), path)
  }

  static func error(_ code: Int32, _ message: String, _ path: String) -> StoreError {
    switch code & 0xff {
    case SQLITE_BUSY, SQLITE_LOCKED:
      StoreError(.busy, "the record store '\(path)' is locked by another program (\(message)); try again")
    case SQLITE_CORRUPT:
      StoreError(
        .corrupt, "the record store '\(path)' is damaged (\(message)); move it away, or restore a copy of it")
    case SQLITE_NOTADB:
      StoreError(.unavailable, "'\(path)' is not a Purser record store (\(message)); move it away, or use --store")
    case SQLITE_FULL:
      StoreError(.full, "the record store '\(path)' cannot grow: the disk is full; free some space")
    case SQLITE_CANTOPEN, SQLITE_READONLY, SQLITE_PERM, SQLITE_AUTH:
      StoreError(
        .unavailable, "the record store '\(path)' cannot be opened (\(message)); check its permissions, or use --store")
    default:
      StoreError(.io, "the record store '\(path)' failed: \(message) (SQLite code \(code))")
    }
  }
}

/// A value for a parameter of a statement.
enum SQLValue {
  case null
  case integer(Int64)
  case number(Double)
  case text(String)
  /// TEXT from bytes that are UTF-8.
  case utf8([UInt8])
  case blob([UInt8])
  case digest(Digest)

  static func text(orNull value: String?) -> SQLValue { value.map { .text($0) } ?? .null }
  static func integer(orNull value: Int64?) -> SQLValue { value.map { .integer($0) } ?? .null }
  static func digest(orNull value: Digest?) -> SQLValue { value.map { .digest($0) } ?? .null }
}

/// A prepared statement in use; returned to its connection when it goes.
struct Statement: ~Copyable {
  private let handle: OpaquePointer
  private let sql: String
  private let connection: Connection

  fileprivate init(_ handle: OpaquePointer, _ sql: String, _ connection: Connection) {
    self.handle = handle
    self.sql = sql
    self.connection = connection
  }

  deinit {
    sqlite3_reset(handle)
    sqlite3_clear_bindings(handle)
    connection.keep(handle, sql)
  }

  /// Binds the parameters in order, from the first, and starts over.
  mutating func bind(_ values: [SQLValue]) throws(StoreError) {
    sqlite3_reset(handle)
    for (index, value) in values.enumerated() {
      let position = Int32(index + 1)
      // SQLITE_TRANSIENT: SQLite copies, because the array's storage does not outlive the call.
      let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
      let code =
        switch value {
        case .null: sqlite3_bind_null(handle, position)
        case .integer(let number): sqlite3_bind_int64(handle, position, number)
        case .number(let number): sqlite3_bind_double(handle, position, number)
        case .text(var text):
          text.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) {
              sqlite3_bind_text64(handle, position, $0.baseAddress, UInt64($0.count), transient, UInt8(SQLITE_UTF8))
            }
          }
        case .utf8(let bytes):
          bytes.withUnsafeBufferPointer { utf8 in
            utf8.withMemoryRebound(to: CChar.self) {
              sqlite3_bind_text64(handle, position, $0.baseAddress, UInt64($0.count), transient, UInt8(SQLITE_UTF8))
            }
          }
        case .blob(let bytes):
          bytes.isEmpty
            ? sqlite3_bind_zeroblob(handle, position, 0)
            : bytes.withUnsafeBytes {
              sqlite3_bind_blob64(handle, position, $0.baseAddress, UInt64($0.count), transient)
            }
        case .digest(let digest):
          digest.withBytes { sqlite3_bind_blob64(handle, position, $0.baseAddress, UInt64($0.count), transient) }
        }
      guard code == SQLITE_OK else { throw connection.error(code) }
    }
  }

  /// Goes to the next row; `false` at the end.
  mutating func step() throws(StoreError) -> Bool {
    switch sqlite3_step(handle) {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    case let code: throw connection.error(code)
    }
  }

  func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

  func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

  func float(_ column: Int32) -> Double { sqlite3_column_double(handle, column) }

  /// What a value is stored as.
  enum StoredType {
    case null, integer, float, text, blob
  }

  func type(_ column: Int32) -> StoredType {
    switch sqlite3_column_type(handle, column) {
    case SQLITE_INTEGER: .integer
    case SQLITE_FLOAT: .float
    case SQLITE_TEXT: .text
    case SQLITE_BLOB: .blob
    default: .null
    }
  }

  /// A number or a text, as it is.
  func json(_ column: Int32) -> JSON {
    switch sqlite3_column_type(handle, column) {
    case SQLITE_INTEGER: .integer(integer(column))
    case SQLITE_FLOAT: .number(sqlite3_column_double(handle, column))
    case SQLITE_NULL: .null
    default: .string(text(column) ?? "")
    }
  }

  /// Whatever it is, to be bound again.
  func value(_ column: Int32) -> SQLValue {
    switch sqlite3_column_type(handle, column) {
    case SQLITE_INTEGER: .integer(integer(column))
    case SQLITE_FLOAT: .number(sqlite3_column_double(handle, column))
    case SQLITE_NULL: .null
    case SQLITE_TEXT: .utf8(bytes(column) ?? [])
    default: .blob(bytes(column) ?? [])
    }
  }

  func integer(orNil column: Int32) -> Int64? { isNull(column) ? nil : integer(column) }

  /// TEXT, with anything that is not UTF-8 repaired.
  func text(_ column: Int32) -> String? {
    guard let start = sqlite3_column_text(handle, column) else { return nil }
    let count = Int(sqlite3_column_bytes(handle, column))
    return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  }

  func bytes(_ column: Int32) -> [UInt8]? {
    guard !isNull(column) else { return nil }
    guard let start = sqlite3_column_blob(handle, column) else { return [] }
    return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
  }

  /// The bytes of TEXT where SQLite has them, not copied; none for NULL.
  func withText<Result>(_ column: Int32, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    guard let start = sqlite3_column_blob(handle, column) else {
      return body(UnsafeRawBufferPointer(start: nil, count: 0))
    }
    return body(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
  }

  func digest(_ column: Int32) -> Digest? {
    guard let start = sqlite3_column_blob(handle, column) else { return nil }
    return Digest(bytes: UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
  }
}
