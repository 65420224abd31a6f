import Glibc
import PurserModel
import Testing

// What the tool does not show is looked up in its records with sqlite3, while no Purser process runs.
extension TestProject {
  static let hasSQLite = access("/usr/bin/sqlite3", X_OK) == 0

  /// The rows of a query or the effect of a statement, columns separated by `|`, on the records of a store.
  @discardableResult
  func query(_ sql: String, store: ByteString = ".purser") throws -> [String] {
    let outcome = try start(["/usr/bin/sqlite3", self(store) + "/records.db", ByteString(sql)]).wait()
    try #require(outcome.code == 0, "\(outcome.errorText)")
    return outcome.outputText.split(separator: "\n").map(String.init)
  }

  /// What makes a database sound: nothing broken, no reference into the void.
  func requireSoundRecords(store: ByteString = ".purser") throws {
    #expect(try query("PRAGMA integrity_check", store: store) == ["ok"])
    #expect(try query("PRAGMA foreign_key_check", store: store) == [])
  }

  /// Digests of what runs have saved of a path, before it was overwritten or removed; oldest first.
  func savedDigests(_ path: ByteString) throws -> [String] {
    try query(
      """
      SELECT lower(hex(b.digest)) FROM run_blobs r JOIN blobs b ON b.id = r.blob_id
      WHERE r.role = 'saved' AND r.path = x'\(path.bytes.hex)' ORDER BY r.run_id
      """)
  }

  /// The small, uncompressed contents that runs have saved of a path.
  func saved(_ path: ByteString) throws -> [[UInt8]] {
    try query(
      """
      SELECT hex(b.content) FROM run_blobs r JOIN blobs b ON b.id = r.blob_id
      WHERE r.role = 'saved' AND r.path = x'\(path.bytes.hex)' AND b.encoding = 0 ORDER BY r.run_id
      """
    ).map { hex in
      let digits = Array(hex)
      return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
    }
  }

  /// As `sha256sum` has it.
  func digest(_ name: ByteString) throws -> String {
    let outcome = try start(["/usr/bin/sha256sum", "--", self(name)]).wait()
    try #require(outcome.code == 0, "\(outcome.errorText)")
    return String(outcome.outputText.drop { $0 == "\\" }.prefix(64))
  }
}

extension [UInt8] {
  var hex: String { map { String(UInt16($0) | 0x100, radix: 16).dropFirst() }.joined() }
}
