import PurserModel

/// A JSON value as validation wants it: numbers exact, members found by the bytes of their names.
enum Value: Sendable {
  case null
  case bool(Bool)
  /// `nil` for what Swift can hold and JSON cannot: infinities and the like.
  case number(ExactNumber?)
  case string(String)
  case array([Value])
  case object(Members)

  struct Members: Sendable {
    var list: [(name: String, value: Value)] = []
    /// Where a name stands in the list. By bytes: for Swift's strings, "é" composed and decomposed are equal.
    var places: [ByteString: Int] = [:]

    subscript(name: ByteString) -> Value? { places[name].map { list[$0].value } }
  }

  /// Why a value is refused, and where.
  struct Refusal: Error {
    var path: [String]
    var message: String
  }

  /// Copies a value. O(size).
  ///
  /// - Throws: for a nesting deeper than `depth`, and for an object that has two members of one name: readers disagree
  ///   about what it means.
  init(_ json: JSON, depth: Int = JSONSchema.maximumValueDepth) throws(Refusal) {
    guard depth > 0 else {
      throw Refusal(path: [], message: "nested more than \(JSONSchema.maximumValueDepth) levels deep")
    }
    switch json {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .number(ExactNumber(value))
    case .number(let value): self = .number(ExactNumber(value))
    case .string(let text): self = .string(text)
    case .array(let elements):
      var values: [Value] = []
      values.reserveCapacity(elements.count)
      for (index, element) in elements.enumerated() {
        do { values.append(try Value(element, depth: depth - 1)) } catch { throw error.below("\(index)") }
      }
      self = .array(values)
    case .object(let pairs):
      var members = Members()
      members.list.reserveCapacity(pairs.count)
      for (name, member) in pairs {
        guard members.places.updateValue(members.list.count, forKey: ByteString(name)) == nil else {
          throw Refusal(path: [], message: "the object has two members named '\(Value.brief(name))'")
        }
        do { members.list.append((name, try Value(member, depth: depth - 1))) } catch { throw error.below(name) }
      }
      self = .object(members)
    }
  }

  /// Bytes that two values have in common if, and only if, they are equal: 1 and 1.0 are, and the order of members
  /// does not matter. O(size), but for the sorting of members.
  func appendCanonicalForm(to bytes: inout [UInt8]) {
    switch self {
    case .null: bytes += "null".utf8
    case .bool(let value): bytes += (value ? "true" : "false").utf8
    case .number(let number): bytes += (number?.description ?? "none").utf8
    case .string(let text): JSON.write(text, to: &bytes)
    case .array(let elements):
      bytes.append(UInt8(ascii: "["))
      for element in elements {
        element.appendCanonicalForm(to: &bytes)
        bytes.append(UInt8(ascii: ","))
      }
      bytes.append(UInt8(ascii: "]"))
    case .object(let members):
      bytes.append(UInt8(ascii: "{"))
      for (name, value) in members.list.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }) {
        JSON.write(name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        value.appendCanonicalForm(to: &bytes)
        bytes.append(UInt8(ascii: ","))
      }
      bytes.append(UInt8(ascii: "}"))
    }
  }

  /// See ``appendCanonicalForm(to:)``.
  var canonicalForm: ByteString {
    var bytes: [UInt8] = []
    appendCanonicalForm(to: &bytes)
    return ByteString(bytes: bytes)
  }
}

extension Value.Refusal {
  fileprivate func below(_ name: String) -> Self {
    Self(path: [name] + path, message: message)
  }
}

extension Value {
  /// The value in a few words, for messages.
  var brief: String {
    switch self {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .number(let number): number?.description ?? "a number that is not finite"
    case .string(let text): "\"\(Value.brief(text))\""
    case .array(let elements):
      elements.count == 1 ? "an array of 1 element" : "an array of \(elements.count) elements"
    case .object: "an object"
    }
  }

  /// A pointer, safe to print.
  static func brief(pointer: String) -> String { brief(pointer, limit: 200) }

  /// The start of a text, safe to print.
  static func brief(_ text: String, limit: Int = 60) -> String {
    let scalars = text.unicodeScalars
    let end = scalars.index(scalars.startIndex, offsetBy: limit, limitedBy: scalars.endIndex) ?? scalars.endIndex
    return ByteString(text[..<end]).printable + (end < scalars.endIndex ? "…" : "")
  }
}
