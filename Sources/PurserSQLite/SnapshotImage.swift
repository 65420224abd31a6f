import PurserModel
import PurserStore

// The image of a branch: its rows, as they stand in the tables, so that what comes back is what was there.
//
// Format, version 1: "PURSNAP1", then records, each a length (u32, little-endian) and as many bytes. The first byte of a
// record says what it is: 1, a table: its name, then its columns' names (texts); 2, a row of the table before it: its
// values in the order of the columns; 0, the end. A text is a length (u32) and UTF-8; a value is a byte, 0 NULL, 1 an
// integer (i64), 2 a text, 3 a BLOB (as a text), 4 a float (its bits, u64). Columns are known by name, so that an image
// can be read after a migration that adds some; one with columns that are gone is refused.
//
// Rejected: rows under a hidden storage key. Nothing would have to be read or written to compare and restore them; but a
// million items take 300 MB each time instead of a tenth of that, and every query over all keys would have to leave them
// out, kptn's client's too.

/// Writes an image.
struct ImageWriter {
  static let magic = Array("PURSNAP1".utf8)

  typealias Sink = (UnsafeRawBufferPointer) throws(StoreError) -> Void

  private var record: [UInt8] = []

  mutating func begin(_ write: Sink) throws(StoreError) {
    record = Self.magic
    try flush(write)
  }

  mutating func begin(table: String, columns: [String], _ write: Sink) throws(StoreError) {
    start(1)
    for text in [table] + columns { append(text.utf8) }
    try flush(write)
  }

  mutating func add(_ row: borrowing Statement, columns: Int, _ write: Sink) throws(StoreError) {
    start(2)
    for column in 0..<Int32(columns) {
      switch row.type(column) {
      case .null: record.append(0)
      case .integer: append(1, UInt64(bitPattern: row.integer(column)))
      case .float: append(4, row.float(column).bitPattern)
      case .text:
        record.append(2)
        row.withText(column) { append($0) }
      case .blob:
        record.append(3)
        row.withText(column) { append($0) }
      }
    }
    try flush(write)
  }

  mutating func end(_ write: Sink) throws(StoreError) {
    start(0)
    try flush(write)
  }

  private mutating func start(_ kind: UInt8) {
    record.removeAll(keepingCapacity: true)
    record += [0, 0, 0, 0, kind]
  }

  private mutating func append(_ kind: UInt8, _ bits: UInt64) {
    record.append(kind)
    withUnsafeBytes(of: bits.littleEndian) { record += $0 }
  }

  private mutating func append(_ bytes: some Collection<UInt8>) {
    withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { record += $0 }
    record += bytes
  }

  private mutating func flush(_ write: Sink) throws(StoreError) {
    if record.starts(with: [0, 0, 0, 0]) {
      let length = UInt32(record.count - 4).littleEndian
      withUnsafeBytes(of: length) { bytes in for index in 0..<4 { record[index] = bytes[index] } }
    }
    let outcome = record.withUnsafeBytes { bytes in Result { () throws(StoreError) in try write(bytes) } }
    try outcome.get()
  }
}

/// Reads an image that comes by pieces.
struct ImageReader {
  enum Record {
    case table(String, columns: [String])
    case row([SQLValue])
  }

  private let name: String
  private var pending: [UInt8] = []
  private var hasBegun = false
  private(set) var isComplete = false

  init(named name: String) {
    self.name = name
  }

  /// Takes a piece, and hands out the records that are whole by now.
  mutating func add(
    _ piece: UnsafeRawBufferPointer, _ body: (Record) throws(StoreError) -> Void
  ) throws(StoreError) {
    pending += piece
    var offset = 0
    if !hasBegun {
      guard pending.count >= ImageWriter.magic.count else { return }
      guard pending.starts(with: ImageWriter.magic) else {
        throw StoreError(
          .unavailable, "\(name) is of a version that this Purser does not know; use the one that took it")
      }
      hasBegun = true
      offset = ImageWriter.magic.count
    }
    while pending.count - offset >= 4 {
      let length = Int(Self.number(pending, offset))
      guard pending.count - offset - 4 >= length else { break }
      let end = offset + 4 + length
      guard !isComplete, length > 0 else { throw damage }
      let kind = pending[offset + 4]
      var at = offset + 5
      switch kind {
      case 0: isComplete = true
      case 1:
        var texts: [String] = []
        while at < end { texts.append(String(decoding: try bytes(&at, end), as: UTF8.self)) }
        guard let table = texts.first else { throw damage }
        try body(.table(table, columns: Array(texts.dropFirst())))
      case 2:
        var values: [SQLValue] = []
        while at < end { values.append(try value(&at, end)) }
        try body(.row(values))
      default: throw damage
      }
      offset = end
    }
    pending.removeFirst(offset)
  }

  var damage: StoreError { StoreError(.corrupt, "\(name) is damaged in the store; it is not used") }

  private static func number(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
    bytes.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
  }

  private func bytes(_ at: inout Int, _ end: Int) throws(StoreError) -> ArraySlice<UInt8> {
    guard end - at >= 4 else { throw damage }
    let length = Int(Self.number(pending, at))
    guard end - at - 4 >= length else { throw damage }
    defer { at += 4 + length }
    return pending[(at + 4)..<(at + 4 + length)]
  }

  private func value(_ at: inout Int, _ end: Int) throws(StoreError) -> SQLValue {
    let kind = pending[at]
    at += 1
    switch kind {
    case 0: return .null
    case 1, 4:
      guard end - at >= 8 else { throw damage }
      defer { at += 8 }
      let bits = pending.withUnsafeBytes { [at] in
        UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      }
      return kind == 1 ? .integer(Int64(bitPattern: bits)) : .number(Double(bitPattern: bits))
    case 2: return .utf8(Array(try bytes(&at, end)))
    case 3: return .blob(Array(try bytes(&at, end)))
    default: throw damage
    }
  }
}
