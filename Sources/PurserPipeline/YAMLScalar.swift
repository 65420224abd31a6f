/// A piece of text in a YAML file, which may stand for something else.
///
/// What it stands for follows PyYAML (YAML 1.1), by which kptn reads its files: `yes` and `off` are truth values, `010`
/// is eight, `1:30` is ninety, `1e5` and `0o17` are texts. Dates stay texts, since JSON has none.
struct YAMLScalar: Sendable {
  let text: String
  /// Whether it stands without quotes (and without `!!str`), so that it may mean something else than its text.
  let isPlain: Bool

  enum Value: Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case text
    /// An integer that does not fit into 64 bits.
    case overflow
  }

  var isNull: Bool {
    guard isPlain else { return false }
    return switch text {
    case "", "~", "null", "Null", "NULL": true
    default: false
    }
  }

  /// What it is, for messages.
  var kind: String {
    switch value {
    case .null: "nothing"
    case .bool(let value): "a truth value (\(value))"
    case .integer, .number, .overflow: "a number"
    case .text: "a text"
    }
  }

  var value: Value {
    guard isPlain else { return .text }
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON": return .bool(true)
    case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF": return .bool(false)
    case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .number(.infinity)
    case "-.inf", "-.Inf", "-.INF": return .number(-.infinity)
    case ".nan", ".NaN", ".NAN": return .number(.nan)
    default: break
    }
    guard let first = text.utf8.first, Self.isDigit(first) || first == UInt8(ascii: ".") || Self.isSign(first) else {
      return .text
    }
    return NumberReader(text).value
  }

  fileprivate static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  fileprivate static func isSign(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
  }
}

/// Reads the numbers of YAML 1.1, as far as PyYAML takes them.
private struct NumberReader {
  private let isNegative: Bool
  private let hasSign: Bool
  /// Without the sign.
  private let body: ArraySlice<UInt8>

  init(_ text: String) {
    let bytes = Array(text.utf8)
    hasSign = bytes.first.map(YAMLScalar.isSign) == true
    isNegative = bytes.first == UInt8(ascii: "-")
    body = hasSign ? bytes.dropFirst() : bytes[...]
  }

  var value: YAMLScalar.Value {
    guard let first = body.first else { return .text }
    if body.contains(UInt8(ascii: ":")) { return sexagesimal }
    if body.contains(UInt8(ascii: ".")) { return decimalFraction }
    guard YAMLScalar.isDigit(first) else { return .text }
    if body.count == 1 { return integer(body, radix: 10) }
    guard first == UInt8(ascii: "0") else { return integer(body, radix: 10) }
    switch body[body.startIndex + 1] {
    case UInt8(ascii: "b"): return integer(body.dropFirst(2), radix: 2)
    case UInt8(ascii: "x"): return integer(body.dropFirst(2), radix: 16)
    default: return integer(body, radix: 8)
    }
  }

  /// Digits and underscores; anything else makes it a text.
  private func integer(_ digits: ArraySlice<UInt8>, radix: UInt8) -> YAMLScalar.Value {
    var magnitude: UInt64 = 0
    var isOverflow = false
    var hasDigit = false
    for byte in digits where byte != UInt8(ascii: "_") {
      guard let digit = Self.digit(byte), digit < radix else { return .text }
      hasDigit = true
      let (product, first) = magnitude.multipliedReportingOverflow(by: UInt64(radix))
      let (sum, second) = product.addingReportingOverflow(UInt64(digit))
      isOverflow = isOverflow || first || second
      magnitude = sum
    }
    guard hasDigit else { return .text }
    return isOverflow ? .overflow : signed(magnitude)
  }

  private func signed(_ magnitude: UInt64) -> YAMLScalar.Value {
    if isNegative {
      return magnitude <= UInt64(1) << 63 ? .integer(Int64(truncatingIfNeeded: 0 &- magnitude)) : .overflow
    }
    return Int64(exactly: magnitude).map { .integer($0) } ?? .overflow
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  /// `12.5`, `12.`, `.5`, `1.5e+3`: an exponent needs its sign, and a number that begins with the point takes none.
  private var decimalFraction: YAMLScalar.Value {
    var rest = body
    let whole = Self.take(&rest)
    guard rest.popFirst() == UInt8(ascii: "."), whole.isEmpty ? !hasSign : whole[0] != UInt8(ascii: "_") else {
      return .text
    }
    let fraction = Self.take(&rest)
    if whole.isEmpty, fraction.first.map(YAMLScalar.isDigit) != true { return .text }
    var text = whole.isEmpty ? Array("0".utf8) : whole
    text.append(UInt8(ascii: "."))
    text += fraction.contains(where: YAMLScalar.isDigit) ? fraction : Array("0".utf8)
    if let mark = rest.popFirst() {
      guard mark == UInt8(ascii: "e") || mark == UInt8(ascii: "E"), let sign = rest.popFirst(),
        YAMLScalar.isSign(sign), !rest.isEmpty, rest.allSatisfy(YAMLScalar.isDigit)
      else { return .text }
      text += [UInt8(ascii: "e"), sign]
      text += rest
    }
    text.removeAll { $0 == UInt8(ascii: "_") }
    guard let number = Double(String(decoding: text, as: UTF8.self)) else { return .text }
    return .number(isNegative ? -number : number)
  }

  /// Digits and underscores from the front.
  private static func take(_ rest: inout ArraySlice<UInt8>) -> [UInt8] {
    let taken = rest.prefix { YAMLScalar.isDigit($0) || $0 == UInt8(ascii: "_") }
    rest = rest.dropFirst(taken.count)
    return Array(taken)
  }

  /// `1:30:00`, or `1:30.5`: base sixty.
  private var sexagesimal: YAMLScalar.Value {
    let halves = body.split(separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
    let parts = halves[0].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    guard let first = parts.first, first.first.map(YAMLScalar.isDigit) == true,
      halves.count == 2 || first.first != UInt8(ascii: "0"),
      first.allSatisfy({ YAMLScalar.isDigit($0) || $0 == UInt8(ascii: "_") })
    else { return .text }
    var total: UInt64 = 0
    for (index, part) in parts.enumerated() {
      let digits = part.filter { $0 != UInt8(ascii: "_") }
      guard let number = UInt64(String(decoding: digits, as: UTF8.self)) else {
        return digits.allSatisfy(YAMLScalar.isDigit) && !digits.isEmpty ? .overflow : .text
      }
      guard index == 0 || (part.count <= 2 && digits.count == part.count && number < 60) else { return .text }
      let (product, first) = total.multipliedReportingOverflow(by: 60)
      let (sum, second) = product.addingReportingOverflow(number)
      guard !first, !second else { return .overflow }
      total = sum
    }
    guard halves.count == 2 else { return signed(total) }
    guard halves[1].allSatisfy({ YAMLScalar.isDigit($0) || $0 == UInt8(ascii: "_") }) else { return .text }
    let digits = halves[1].filter(YAMLScalar.isDigit)
    let fraction = Double("0." + String(decoding: digits.isEmpty ? [UInt8(ascii: "0")] : digits, as: UTF8.self)) ?? 0
    return .number((isNegative ? -1 : 1) * (Double(total) + fraction))
  }
}
