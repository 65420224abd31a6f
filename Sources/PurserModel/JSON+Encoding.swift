extension JSON {
  /// The JSON form of a value, members sorted by the bytes of their names: one value has one text. O(size).
  ///
  /// `Float` and `Double` have to be finite, and integers fit 64 bits with a sign: JSON has no others that every reader
  /// understands. Types of Foundation encode as their own `Encodable` says: a `Date` as its seconds.
  ///
  /// - Throws: `EncodingError` for a number as above, and what the value's own `encode(to:)` throws.
  public init(encoding value: some Encodable) throws {
    let node = EncodingNode()
    try node.encode(value, [])
    self = node.json
  }
}

/// A place in the value that is being built: whatever encodes there writes to it, now or later.
private final class EncodingNode {
  private enum Content {
    case nothing
    case value(JSON)
    case list([EncodingNode])
    case members([String: EncodingNode])
  }

  private var content = Content.nothing

  var json: JSON {
    switch content {
    case .nothing: .object([])
    case .value(let json): json
    case .list(let nodes): .array(nodes.map(\.json))
    case .members(let nodes):
      .object(nodes.map { ($0, $1.json) }.sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) })
    }
  }

  var count: Int {
    if case .list(let nodes) = content { nodes.count } else { 0 }
  }

  func set(_ json: JSON) { content = .value(json) }

  func becomeList() {
    if case .list = content { return }
    content = .list([])
  }

  func becomeObject() {
    if case .members = content { return }
    content = .members([:])
  }

  func appended() -> EncodingNode {
    let node = EncodingNode()
    if case .list(var nodes) = content {
      content = .nothing
      nodes.append(node)
      content = .list(nodes)
    }
    return node
  }

  func member(_ name: String) -> EncodingNode {
    let node = EncodingNode()
    if case .members(var nodes) = content {
      content = .nothing
      nodes[name] = node
      content = .members(nodes)
    }
    return node
  }

  func encode(_ value: some Encodable, _ path: [any CodingKey]) throws {
    switch value {
    case let value as Bool: set(.bool(value))
    case let value as String: set(.string(value))
    case let value as Double: set(try Self.number(value, value, path))
    // The shortest decimal that reads back as the same Float: 0.1, not 0.10000000149011612.
    case let value as Float: set(try Self.number(Double(value.description) ?? Double(value), value, path))
    case let value as any BinaryInteger:
      guard let integer = Int64(exactly: value) else {
        throw Self.error(value, path, "the integer \(value) does not fit 64 bits with a sign; encode it as a text")
      }
      set(.integer(integer))
    default: try value.encode(to: NodeEncoder(node: self, codingPath: path))
    }
  }

  private static func number(_ double: Double, _ value: some Sendable, _ path: [any CodingKey]) throws -> JSON {
    guard double.isFinite else { throw error(value, path, "JSON has no number \(double)") }
    return .number(double)
  }

  private static func error(_ value: Any, _ path: [any CodingKey], _ message: String) -> EncodingError {
    EncodingError.invalidValue(value, EncodingError.Context(codingPath: path, debugDescription: message))
  }
}

private struct NodeEncoder: Encoder {
  let node: EncodingNode
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    node.becomeObject()
    return KeyedEncodingContainer(KeyedEncoding(node: node, codingPath: codingPath))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    node.becomeList()
    return UnkeyedEncoding(node: node, codingPath: codingPath)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer {
    SingleEncoding(node: node, codingPath: codingPath)
  }
}

private struct KeyedEncoding<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let node: EncodingNode
  let codingPath: [any CodingKey]

  private func encoder(_ key: any CodingKey) -> NodeEncoder {
    NodeEncoder(node: node.member(key.stringValue), codingPath: codingPath + [key])
  }

  func encodeNil(forKey key: Key) { node.member(key.stringValue).set(.null) }

  func encode(_ value: some Encodable, forKey key: Key) throws {
    try node.member(key.stringValue).encode(value, codingPath + [key])
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) -> KeyedEncodingContainer<Nested> {
    encoder(key).container(keyedBy: type)
  }

  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { encoder(key).unkeyedContainer() }

  func superEncoder() -> any Encoder { encoder(PlaceKey.parent) }

  func superEncoder(forKey key: Key) -> any Encoder { encoder(key) }
}

private struct UnkeyedEncoding: UnkeyedEncodingContainer {
  let node: EncodingNode
  let codingPath: [any CodingKey]
  var count: Int { node.count }

  private func encoder() -> NodeEncoder {
    let path = codingPath + [PlaceKey.element(count)]
    return NodeEncoder(node: node.appended(), codingPath: path)
  }

  func encodeNil() { node.appended().set(.null) }

  func encode(_ value: some Encodable) throws {
    let path = codingPath + [PlaceKey.element(count)]
    try node.appended().encode(value, path)
  }

  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
    encoder().container(keyedBy: type)
  }

  func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { encoder().unkeyedContainer() }

  func superEncoder() -> any Encoder { encoder() }
}

private struct SingleEncoding: SingleValueEncodingContainer {
  let node: EncodingNode
  let codingPath: [any CodingKey]

  func encodeNil() { node.set(.null) }

  func encode(_ value: some Encodable) throws { try node.encode(value, codingPath) }
}

/// A place that no `CodingKeys` of the value names.
struct PlaceKey: CodingKey {
  let stringValue: String
  let intValue: Int?

  static let parent = PlaceKey(stringValue: "super")

  static func element(_ index: Int) -> PlaceKey { PlaceKey(intValue: index) }

  init(stringValue: String) {
    self.stringValue = stringValue
    intValue = nil
  }

  init(intValue: Int) {
    stringValue = "Index \(intValue)"
    self.intValue = intValue
  }
}
