extension JSON {
  /// The value that this is the JSON form of. O(size).
  ///
  /// - Throws: `DecodingError`, with the place, where the form is another.
  public func decoded<Value: Decodable>(as type: Value.Type = Value.self) throws -> Value {
    try ValueDecoder(json: self, codingPath: []).decode(type)
  }
}

private struct ValueDecoder: Decoder {
  let json: JSON
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    switch type {
    case is Bool.Type:
      if case .bool(let value) = json, let value = value as? Value { return value }
    case is String.Type:
      if case .string(let text) = json, let text = text as? Value { return text }
    case is Double.Type:
      if let value = number as? Value { return value }
    case is Float.Type:
      if let number, let value = Float(number) as? Value { return value }
    case let type as any FixedWidthInteger.Type:
      if let value = try integer(type) as? Value { return value }
    default: return try Value(from: self)
    }
    throw mismatch(type)
  }

  private var number: Double? {
    switch json {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  private func integer<Integer: FixedWidthInteger>(_ type: Integer.Type) throws -> Integer {
    let value: Integer?
    switch json {
    case .integer(let integer): value = Integer(exactly: integer)
    case .number(let number): value = Integer(exactly: number)
    default: throw mismatch(type)
    }
    guard let value else {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(codingPath: codingPath, debugDescription: "\(json.serialized) is no \(type)"))
    }
    return value
  }

  func mismatch(_ type: Any.Type) -> DecodingError {
    let found =
      switch json {
      case .null: "null"
      case .bool: "a truth value"
      case .integer, .number: "a number"
      case .string: "a text"
      case .array: "a list"
      case .object: "an object"
      }
    let context = DecodingError.Context(codingPath: codingPath, debugDescription: "\(type) is expected, not \(found)")
    if case .null = json { return .valueNotFound(type, context) }
    return .typeMismatch(type, context)
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard case .object(let members) = json else { throw mismatch([String: Any].self) }
    return KeyedDecodingContainer(
      KeyedDecoding(members: Dictionary(members) { _, last in last }, codingPath: codingPath))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard case .array(let elements) = json else { throw mismatch([Any].self) }
    return UnkeyedDecoding(elements: elements, codingPath: codingPath)
  }

  func singleValueContainer() -> any SingleValueDecodingContainer { SingleDecoding(decoder: self) }
}

private struct KeyedDecoding<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let members: [String: JSON]
  let codingPath: [any CodingKey]

  var allKeys: [Key] { members.keys.sorted().compactMap(Key.init(stringValue:)) }

  func contains(_ key: Key) -> Bool { members[key.stringValue] != nil }

  private func decoder(_ key: any CodingKey) throws -> ValueDecoder {
    guard let json = members[key.stringValue] else {
      throw DecodingError.keyNotFound(
        key, DecodingError.Context(codingPath: codingPath, debugDescription: "'\(key.stringValue)' is missing"))
    }
    return ValueDecoder(json: json, codingPath: codingPath + [key])
  }

  func decodeNil(forKey key: Key) throws -> Bool {
    if case .null = try decoder(key).json { true } else { false }
  }

  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value { try decoder(key).decode(type) }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> {
    try decoder(key).container(keyedBy: type)
  }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try decoder(key).unkeyedContainer()
  }

  func superDecoder() throws -> any Decoder { try decoder(PlaceKey.parent) }

  func superDecoder(forKey key: Key) throws -> any Decoder { try decoder(key) }
}

private struct UnkeyedDecoding: UnkeyedDecodingContainer {
  let elements: [JSON]
  let codingPath: [any CodingKey]
  private(set) var currentIndex = 0

  init(elements: [JSON], codingPath: [any CodingKey]) {
    self.elements = elements
    self.codingPath = codingPath
  }

  var count: Int? { elements.count }
  var isAtEnd: Bool { currentIndex == elements.count }

  private func decoder(for type: Any.Type) throws -> ValueDecoder {
    let path = codingPath + [PlaceKey.element(currentIndex)]
    guard !isAtEnd else {
      throw DecodingError.valueNotFound(
        type, DecodingError.Context(codingPath: path, debugDescription: "the list has only \(elements.count) elements"))
    }
    return ValueDecoder(json: elements[currentIndex], codingPath: path)
  }

  mutating func decodeNil() throws -> Bool {
    guard case .null = try decoder(for: Never.self).json else { return false }
    currentIndex += 1
    return true
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    let value = try decoder(for: type).decode(type)
    currentIndex += 1
    return value
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> {
    let container = try decoder(for: type).container(keyedBy: type)
    currentIndex += 1
    return container
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    let container = try decoder(for: [Any].self).unkeyedContainer()
    currentIndex += 1
    return container
  }

  mutating func superDecoder() throws -> any Decoder {
    let decoder = try decoder(for: (any Decoder).self)
    currentIndex += 1
    return decoder
  }
}

private struct SingleDecoding: SingleValueDecodingContainer {
  let decoder: ValueDecoder
  var codingPath: [any CodingKey] { decoder.codingPath }

  func decodeNil() -> Bool {
    if case .null = decoder.json { true } else { false }
  }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try decoder.decode(type) }
}
