package import PurserModel
package import PurserStore

extension SQLiteRecordStore {
  package func components(of actionKeys: [Digest]) throws(StoreError) -> [Digest: [Component]] {
    try read(else: [:]) { connection throws(StoreError) in
      var found: [Digest: [Component]] = [:]
      for actionKey in actionKeys { found[actionKey] = try Self.components(of: actionKey, connection) }
      return found
    }
  }

  static func components(of actionKey: Digest, _ connection: Connection) throws(StoreError) -> [Component]? {
    var statement = try connection.statement(
      """
      SELECT c.members, i.members, d.members FROM fingerprints f
        JOIN component_sets c ON c.id = f.code_set JOIN component_sets i ON i.id = f.inputs_set
        JOIN component_sets d ON d.id = f.data_set
      WHERE f.action_key = ?
      """)
    try statement.bind([.digest(actionKey)])
    guard try statement.step() else { return nil }
    var components: [Component] = []
    for column: Int32 in 0..<3 {
      for id in Varint.decode(statement.bytes(column) ?? []) {
        if let component = try component(id, connection) { components.append(component) }
      }
    }
    return components
  }

  private static func component(_ id: Int64, _ connection: Connection) throws(StoreError) -> Component? {
    var statement = try connection.statement("SELECT tag, name, value FROM components WHERE id = ?")
    try statement.bind([.integer(id)])
    guard try statement.step(), let tag = Component.Tag(rawValue: UInt8(truncatingIfNeeded: statement.integer(0))),
      let value = Component.Value(encoded: statement.bytes(2) ?? [])
    else { return nil }
    return Component(tag, ByteString(bytes: statement.bytes(1) ?? []), value)
  }

  /// Writes a fingerprint's components, each set and each component at most once per store.
  static func intern(_ fingerprint: Fingerprint, _ connection: Connection) throws(StoreError) {
    let known = try connection.integer(
      "SELECT 1 FROM fingerprints WHERE action_key = ?", [.digest(fingerprint.actionKey)])
    guard known == nil else { return }
    var sets: [SQLValue] = []
    for group in Component.Group.allCases {
      let components = fingerprint.components.filter { $0.tag.group == group }
      sets.append(.integer(try internSet(fingerprint.digest(of: group), components, connection)))
    }
    try connection.run(
      "INSERT INTO fingerprints (action_key, code_set, inputs_set, data_set) VALUES (?, ?, ?, ?)",
      [.digest(fingerprint.actionKey)] + sets)
  }

  private static func internSet(
    _ digest: Digest, _ components: [Component], _ connection: Connection
  ) throws(StoreError) -> Int64 {
    if let known = connection.interned.sets[digest] { return known }
    let id: Int64
    if let known = try connection.integer("SELECT id FROM component_sets WHERE digest = ?", [.digest(digest)]) {
      id = known
    } else {
      var members: [Int64] = []
      for component in components { members.append(try intern(component, connection)) }
      try connection.run(
        "INSERT INTO component_sets (digest, members) VALUES (?, ?)", [.digest(digest), .blob(Varint.encode(members))])
      id = connection.lastInsertedRow
    }
    connection.interned.remember(id, for: digest)
    return id
  }

  private static func intern(_ component: Component, _ connection: Connection) throws(StoreError) -> Int64 {
    if let known = connection.interned.components[component] { return known }
    let values: [SQLValue] = [
      .integer(Int64(component.tag.rawValue)), .blob(component.name.bytes), .blob(component.value.encoded),
    ]
    try connection.run("INSERT INTO components (tag, name, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", values)
    var id = connection.lastInsertedRow
    if connection.changedRows == 0 {
      guard
        let known = try connection.integer(
          "SELECT id FROM components WHERE tag = ? AND name = ? AND value = ?", values)
      else { throw StoreError(.corrupt, "the component '\(component.label)' could not be recorded") }
      id = known
    }
    connection.interned.remember(id, for: component)
    return id
  }
}

/// Rows of components and of their sets that are known to be there: those of the many tasks of one run have most of
/// them in common. To be forgotten whenever somebody may have removed some.
struct InternedRows {
  /// Some 200 bytes each.
  private static let limit = 10_000
  private(set) var components: [Component: Int64] = [:]
  private(set) var sets: [Digest: Int64] = [:]

  mutating func remember(_ id: Int64, for component: Component) {
    if components.count >= Self.limit { components = [:] }
    components[component] = id
  }

  mutating func remember(_ id: Int64, for set: Digest) {
    if sets.count >= Self.limit { sets = [:] }
    sets[set] = id
  }
}

/// Lists of row ids, seven bits a byte, least significant first.
enum Varint {
  static func encode(_ numbers: [Int64]) -> [UInt8] {
    var bytes: [UInt8] = []
    for number in numbers {
      var rest = UInt64(bitPattern: number)
      while rest >= 0x80 {
        bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
        rest >>= 7
      }
      bytes.append(UInt8(rest))
    }
    return bytes
  }

  /// What can be read; a number cut off at the end is dropped.
  static func decode(_ bytes: [UInt8]) -> [Int64] {
    var numbers: [Int64] = []
    var number: UInt64 = 0
    var shift: UInt64 = 0
    for byte in bytes {
      guard shift < 64 else { return numbers }
      number |= UInt64(byte & 0x7f) << shift
      shift += 7
      if byte < 0x80 {
        numbers.append(Int64(bitPattern: number))
        number = 0
        shift = 0
      }
    }
    return numbers
  }
}
