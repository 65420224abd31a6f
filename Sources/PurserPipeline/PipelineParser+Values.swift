import PurserModel

/// A member of an object, with its value as canonical JSON.
struct ConfigMember {
  var name: String
  var value: ConfigValue
}

/// Reading single values. Nothing (`key:`, `key: ~`) is as if the key were not there.
extension PipelineParser {
  mutating func entries(of node: YAMLNode, _ field: @autoclosure () -> String) -> [YAMLEntry] {
    if case .mapping(let entries) = node.content { return entries }
    if !node.isNull { error("\(field()) must be a mapping, not \(node.kind)", at: node.mark) }
    return []
  }

  /// Text as it is written: `no` and `1.10` are what they look like.
  mutating func text(_ node: YAMLNode, _ field: @autoclosure () -> String) -> String? {
    if node.isNull { return nil }
    guard let text = node.text else {
      error("\(field()) must be a text, not \(node.kind)", at: node.mark)
      return nil
    }
    guard !text.isEmpty else {
      error("\(field()) is empty; write a text, or remove the key", at: node.mark)
      return nil
    }
    return checked(text, field(), node.mark)
  }

  private mutating func checked(_ text: String, _ field: @autoclosure () -> String, _ mark: SourceMark) -> String? {
    guard !text.utf8.contains(0) else {
      error("\(field()) holds a NUL character, which no path or argument can; remove it", at: mark)
      return nil
    }
    return text
  }

  /// One text, or a list of them.
  mutating func texts(_ node: YAMLNode, _ field: @autoclosure () -> String, allowsEmpty: Bool = false) -> [String] {
    if node.isNull { return [] }
    switch node.content {
    case .scalar: return text(node, field()).map { [$0] } ?? []
    case .mapping:
      error("\(field()) must be a text or a list of texts, not a mapping", at: node.mark)
      return []
    case .sequence(let elements):
      var result: [String] = []
      result.reserveCapacity(elements.count)
      for element in elements {
        if element.isNull {
          error("an element of \(field()) is empty; remove it, or put it in quotes", at: element.mark)
        } else if allowsEmpty, let text = element.text {
          if let text = checked(text, field(), element.mark) { result.append(text) }
        } else if let text = text(element, "an element of \(field())") {
          result.append(text)
        }
      }
      return result
    }
  }

  mutating func flag(_ node: YAMLNode, _ field: @autoclosure () -> String) -> Bool {
    if node.isNull { return false }
    if case .scalar(let scalar) = node.content, case .bool(let value) = scalar.value { return value }
    error("\(field()) must be true or false, not \(node.kind)", at: node.mark)
    return false
  }

  /// What of a Python file counts.
  mutating func mode(_ node: YAMLNode, _ field: @autoclosure () -> String) -> CodeDigestMode? {
    guard let text = text(node, field()) else { return nil }
    if let mode = CodeDigestMode(rawValue: text) { return mode }
    let known = CodeDigestMode.allCases.map(\.rawValue)
    error(
      "\(field()) is one of \(known.joined(separator: ", ")), not \(quoted(text))" + log.hint(text, among: known),
      at: node.mark)
    return nil
  }

  mutating func integer(_ node: YAMLNode, _ field: @autoclosure () -> String, _ range: ClosedRange<Int>) -> Int? {
    if node.isNull { return nil }
    guard case .scalar(let scalar) = node.content, case .integer(let value) = scalar.value else {
      error("\(field()) must be a whole number, not \(node.kind)", at: node.mark)
      return nil
    }
    guard let number = Int(exactly: value), range.contains(number) else {
      let bounds =
        range.upperBound == .max ? "at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
      error("\(field()) must be \(bounds), not \(value)", at: node.mark)
      return nil
    }
    return number
  }

  /// `90s`, `5m`, `1h30m`, `250ms`, or a number of seconds. In milliseconds.
  mutating func duration(_ node: YAMLNode, _ field: @autoclosure () -> String) -> Int64? {
    if node.isNull { return nil }
    var milliseconds: Double?
    if case .scalar(let scalar) = node.content {
      switch scalar.value {
      case .integer(let seconds): milliseconds = Double(seconds) * 1000
      case .number(let seconds): milliseconds = seconds * 1000
      case .text: milliseconds = Self.milliseconds(scalar.text)
      default: break
      }
    }
    guard let milliseconds, milliseconds.isFinite, milliseconds >= 1, milliseconds <= Self.maximumMilliseconds else {
      error(
        "\(field()) must be a time such as 90s, 5m, 1h30m or a number of seconds, more than none and at most 1000 "
          + "days, not \(node.text.map(quoted) ?? node.kind)", at: node.mark)
      return nil
    }
    return Int64(milliseconds.rounded())
  }

  private static let maximumMilliseconds = 86_400_000_000.0

  private static func milliseconds(_ text: String) -> Double? {
    let units = [("ms", 1.0), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
    var rest = text[...]
    var total = 0.0
    guard !rest.isEmpty else { return nil }
    while !rest.isEmpty {
      let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
      rest = rest.dropFirst(digits.count)
      let word = rest.prefix { $0.isLetter }
      rest = rest.dropFirst(word.count)
      guard let number = Double(digits), let unit = units.first(where: { $0.0 == word })?.1 else { return nil }
      total += number * unit
    }
    return total
  }

  private static let maximumNames = 100

  /// Names that are separated by commas, or a list of them.
  mutating func names(_ node: YAMLNode, _ field: @autoclosure () -> String) -> [String] {
    var result: [String] = []
    for text in texts(node, field()) {
      guard text.utf8.count(where: { $0 == UInt8(ascii: ",") }) + result.count < Self.maximumNames else {
        error("\(field()) has more than \(Self.maximumNames) names; use fewer", at: node.mark)
        break
      }
      for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let name = String(trimmed(part))
        if name.isEmpty {
          error("\(field()) has an empty name; write names, separated by commas", at: node.mark)
        } else if result.contains(name) {
          error("\(field()) has the name \(quoted(name)) twice; remove one", at: node.mark)
        } else {
          result.append(name)
        }
      }
    }
    return result
  }

  func trimmed(_ text: some StringProtocol) -> String {
    let blank: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0d).contains($0) }
    let bytes = Array(text.utf8)
    guard bytes.first.map(blank) == true || bytes.last.map(blank) == true else { return String(text) }
    let start = bytes.firstIndex { !blank($0) } ?? bytes.count
    let end = (bytes.lastIndex { !blank($0) } ?? start - 1) + 1
    return String(decoding: bytes[start..<end], as: UTF8.self)
  }

  /// The name of a task or graph goes into records, messages and commands.
  mutating func checkName(_ name: String, _ field: @autoclosure () -> String, at mark: SourceMark) {
    let bytes = ByteString(name)
    if trimmed(name).isEmpty {
      error("\(field()) is empty; give it a name", at: mark)
    } else if bytes.printable != bytes.escaped {
      error("\(field()) has a control character: \(quoted(name)); remove it", at: mark)
    } else if trimmed(name) != name {
      error("\(field()) begins or ends with white space: \(quoted(name)); remove it", at: mark)
    } else if bytes.count > 1000 {
      error("\(field()) is longer than 1000 bytes: \(quoted(name)); shorten it", at: mark)
    }
  }

  // MARK: JSON

  /// The members of a mapping, in the order of the file, with their values as JSON.
  mutating func members(of node: YAMLNode, _ field: @autoclosure () -> String) -> [ConfigMember] {
    var result: [ConfigMember] = []
    for entry in entries(of: node, field()) {
      guard let value = json(entry.value, field()) else { continue }
      result.append(ConfigMember(name: entry.key, value: ConfigValue(text: value.serialized)))
    }
    return result
  }

  /// A value as JSON with sorted members; `nil`, and an error, where JSON has none.
  private mutating func json(_ node: YAMLNode, _ field: @autoclosure () -> String) -> JSON? {
    switch node.content {
    case .sequence(let elements):
      return .array(elements.compactMap { json($0, field()) })
    case .mapping(let entries):
      let members = entries.compactMap { entry in json(entry.value, field()).map { (entry.key, $0) } }
      return .object(members.sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) })
    case .scalar(let scalar):
      switch scalar.value {
      case .null: return .null
      case .bool(let value): return .bool(value)
      case .integer(let value): return .integer(value)
      case .number(let value) where value.isFinite: return .number(value)
      case .text: return .string(scalar.text)
      case .number:
        error(
          "\(field()) holds \(quoted(scalar.text)), a number that JSON does not have; put it in quotes", at: node.mark)
      case .overflow:
        error(
          "\(field()) holds \(quoted(scalar.text)), a number that does not fit into 64 bits; put it in quotes",
          at: node.mark)
      }
      return nil
    }
  }
}
