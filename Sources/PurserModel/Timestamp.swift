/// Times as the store writes them: ISO 8601, UTC, microseconds.
public enum Timestamp {
  /// `2026-11-21T08:30:00.000000Z` for microseconds since 1970. Civil date from a day count by the proleptic Gregorian
  /// calendar, in eras of 400 years that begin in March, so that the leap day comes last.
  public static func string(microseconds: Int64) -> String {
    let (days, time) = floorDivide(microseconds, 86_400_000_000)
    let (era, dayOfEra) = floorDivide(days + 719_468, 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let seconds = time / 1_000_000
    guard (0...9999).contains(year) else {
      // As wide as it has to be.
      let rest = string(microseconds: microseconds - days * 86_400_000_000).dropFirst(10)
      return pad(year, 4) + "-" + pad(month, 2) + "-" + pad(day, 2) + rest
    }
    return String(unsafeUninitializedCapacity: 27) { buffer in
      var count = 0
      func put(_ value: Int64, _ width: Int, _ mark: Unicode.Scalar) {
        var rest = value
        for place in stride(from: count + width - 1, through: count, by: -1) {
          buffer[place] = UInt8(ascii: "0") + UInt8(rest % 10)
          rest /= 10
        }
        buffer[count + width] = UInt8(ascii: mark)
        count += width + 1
      }
      put(year, 4, "-")
      put(month, 2, "-")
      put(day, 2, "T")
      put(seconds / 3600, 2, ":")
      put(seconds / 60 % 60, 2, ":")
      put(seconds % 60, 2, ".")
      put(time % 1_000_000, 6, "Z")
      return count
    }
  }

  /// Microseconds since 1970 for `YYYY-MM-DDTHH:MM:SS[.fraction][Z]`, read as UTC; `nil` for anything else.
  public static func microseconds(_ text: String) -> Int64? {
    var fields: [Int64] = []
    var rest = text.utf8[...]
    for (width, separator) in [(4, "-"), (2, "-"), (2, "T"), (2, ":"), (2, ":"), (2, "")] {
      let digits = rest.prefix(width)
      guard digits.count == width, digits.allSatisfy(isDigit),
        let value = Int64(String(decoding: digits, as: UTF8.self))
      else { return nil }
      fields.append(value)
      rest = rest.dropFirst(width)
      if let expected = separator.utf8.first {
        guard rest.first == expected || (separator == "T" && rest.first == UInt8(ascii: " ")) else { return nil }
        rest = rest.dropFirst()
      }
    }
    var fraction: Int64 = 0
    if rest.first == UInt8(ascii: ".") {
      let digits = rest.dropFirst().prefix(while: isDigit)
      let padded = (String(decoding: digits, as: UTF8.self) + "000000").prefix(6)
      guard let value = Int64(padded) else { return nil }
      fraction = value
      rest = rest.dropFirst(digits.count + 1)
    }
    guard rest.isEmpty || rest.elementsEqual("Z".utf8) || rest.elementsEqual("+00:00".utf8) else { return nil }
    let (month, day) = (fields[1], fields[2])
    let isLeapYear = fields[0] % 4 == 0 && (fields[0] % 100 != 0 || fields[0] % 400 == 0)
    let lastDays: [Int64] = [31, isLeapYear ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    guard (1...12).contains(month), (1...lastDays[Int(month) - 1]).contains(day), fields[3] < 24, fields[4] < 60,
      fields[5] < 60
    else { return nil }
    let year = month <= 2 ? fields[0] - 1 : fields[0]
    let (era, yearOfEra) = floorDivide(year, 400)
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    return ((days * 24 + fields[3]) * 60 + fields[4]) * 60_000_000 + fields[5] * 1_000_000 + fraction
  }

  /// A duration for people: `850 µs`, `12 ms`, `3.4 s`, `2 min 05 s`, `3 h 10 min`.
  public static func duration(microseconds: Int64) -> String {
    switch microseconds {
    case ..<1000: return "\(microseconds) µs"
    case ..<1_000_000: return "\(microseconds / 1000) ms"
    case ..<60_000_000: return "\(microseconds / 1_000_000).\(microseconds / 100_000 % 10) s"
    case ..<3_600_000_000:
      return "\(microseconds / 60_000_000) min \(pad(microseconds / 1_000_000 % 60, 2)) s"
    default: return "\(microseconds / 3_600_000_000) h \(pad(microseconds / 60_000_000 % 60, 2)) min"
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static func floorDivide(_ value: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let quotient = value >= 0 ? value / divisor : -((divisor - 1 - value) / divisor)
    return (quotient, value - quotient * divisor)
  }

  private static func pad(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
