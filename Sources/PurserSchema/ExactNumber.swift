/// A decimal number, `±digits × 10^exponent`, compared and divided without rounding.
///
/// It is what a number says in decimal, not what a `Double` holds in binary: 0.0075 is a multiple of 0.0001. An
/// `Int64` is itself; a `Double` is the shortest decimal that reads back as the same `Double`, at most 17 digits. So an
/// integer beyond 64 bits, which JSON's reader gives as a `Double`, has its first 17 digits.
struct ExactNumber: Hashable, Comparable, Sendable {
  /// Below 10^19, and without zeros at the end: one number has one form.
  private let digits: UInt64
  private let exponent: Int
  private let isNegative: Bool

  private init(digits: UInt64, exponent: Int, isNegative: Bool) {
    var (digits, exponent) = (digits, digits == 0 ? 0 : exponent)
    while digits != 0, digits % 10 == 0 {
      digits /= 10
      exponent += 1
    }
    self.digits = digits
    self.exponent = exponent
    self.isNegative = isNegative && digits != 0
  }

  init(_ value: Int64) {
    self.init(digits: value.magnitude, exponent: 0, isNegative: value < 0)
  }

  /// `nil` for infinities and what is no number, which JSON does not have.
  init?(_ value: Double) {
    guard value.isFinite else { return nil }
    var (digits, exponent, scale): (UInt64, Int, Int) = (0, 0, 0)
    let parts = value.magnitude.description.utf8.split(separator: UInt8(ascii: "e"))
    for byte in parts[0] {
      if byte == UInt8(ascii: ".") {
        scale = -1
        continue
      }
      // Seventeen digits, and `.0` after sixteen before the point: no overflow.
      digits = digits * 10 + UInt64(byte - UInt8(ascii: "0"))
      if scale < 0 { exponent -= 1 }
    }
    if parts.count == 2, let power = Int(Substring(parts[1])) { exponent += power }
    self.init(digits: digits, exponent: exponent, isNegative: value < 0)
  }

  /// Whether there is no fraction: 1.0 and 1e300 are integers.
  var isInteger: Bool { exponent >= 0 }

  var isPositive: Bool { digits != 0 && !isNegative }

  /// A number of things, the largest `Int` if there are more; `nil` if it is negative or has a fraction.
  var count: Int? {
    guard isInteger, !isNegative else { return nil }
    var result = Int(clamping: digits)
    for _ in 0..<min(exponent, 20) {
      let (product, overflow) = result.multipliedReportingOverflow(by: 10)
      guard !overflow else { return .max }
      result = product
    }
    return result
  }

  static func < (left: ExactNumber, right: ExactNumber) -> Bool {
    if left.isNegative != right.isNegative { return left.isNegative }
    return left.isNegative ? right.isCloserToZero(than: left) : left.isCloserToZero(than: right)
  }

  private func isCloserToZero(than other: ExactNumber) -> Bool {
    guard digits != 0, other.digits != 0 else { return digits == 0 && other.digits != 0 }
    let (own, others) = (Self.length(digits), Self.length(other.digits))
    // Where the first digit stands, then the digits, as many on either side.
    if own + exponent != others + other.exponent { return own + exponent < others + other.exponent }
    return digits * Self.power(max(0, others - own)) < other.digits * Self.power(max(0, own - others))
  }

  /// Whether this is a whole number of times the other, which has to be positive.
  func isMultiple(of other: ExactNumber) -> Bool {
    guard digits != 0 else { return true }
    // The quotient is digits × 10^shift / other.digits. With a negative shift, a last digit that is not 0 is left over.
    var shift = exponent - other.exponent
    guard shift >= 0 else { return false }
    let modulus = other.digits
    func product(_ left: UInt64, _ right: UInt64) -> UInt64 {
      modulus.dividingFullWidth((left % modulus).multipliedFullWidth(by: right % modulus)).remainder
    }
    var (result, square): (UInt64, UInt64) = (digits % modulus, 10)
    while shift > 0 {
      if shift & 1 == 1 { result = product(result, square) }
      square = product(square, square)
      shift >>= 1
    }
    return result % modulus == 0
  }

  private static func length(_ digits: UInt64) -> Int {
    var (length, rest) = (0, digits)
    while rest > 0 {
      length += 1
      rest /= 10
    }
    return length
  }

  private static func power(_ exponent: Int) -> UInt64 {
    (0..<exponent).reduce(1) { power, _ in power * 10 }
  }
}

extension ExactNumber: CustomStringConvertible {
  /// As people write it; with an exponent where there would be many zeros.
  var description: String {
    let sign = isNegative ? "-" : ""
    let text = String(digits)
    let point = text.utf8.count + exponent
    if exponent >= 0, point <= 21 { return sign + text + String(repeating: "0", count: exponent) }
    if exponent < 0, point > 0 { return sign + text.prefix(point) + "." + text.dropFirst(point) }
    if exponent < 0, point > -6 { return sign + "0." + String(repeating: "0", count: -point) + text }
    let rest = text.dropFirst()
    return "\(sign)\(text.prefix(1))\(rest.isEmpty ? "" : ".")\(rest)e\(point - 1)"
  }
}
