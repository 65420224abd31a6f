/// The parts of a regular expression.
indirect enum PatternSyntax: Sendable {
  case set(ScalarSet)
  case sequence([PatternSyntax])
  case choice([PatternSyntax])
  /// `maximum` is `nil` where there is none. Greedy or not makes no difference to whether a text matches.
  case repetition(PatternSyntax, minimum: Int, maximum: Int?)
  case assertion(Assertion)

  enum Assertion: Sendable {
    case start, end, wordBoundary, noWordBoundary
  }
}

/// A set of code points, as sorted ranges that neither touch nor overlap.
struct ScalarSet: Sendable {
  private(set) var ranges: [ClosedRange<UInt32>]

  init(_ ranges: [ClosedRange<UInt32>]) {
    self.ranges = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = self.ranges.last, range.lowerBound <= last.upperBound + 1 {
        self.ranges[self.ranges.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        self.ranges.append(range)
      }
    }
  }

  init(_ scalar: UInt32) {
    ranges = [scalar...scalar]
  }

  /// Everything that is not in this one.
  var inverted: ScalarSet {
    var (result, next): ([ClosedRange<UInt32>], UInt32) = ([], 0)
    for range in ranges {
      if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    if next <= 0x10ffff { result.append(next...0x10ffff) }
    return ScalarSet(result)
  }

  func contains(_ scalar: UInt32) -> Bool {
    if ranges.count == 1 { return ranges[0].contains(scalar) }
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < scalar { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].lowerBound <= scalar
  }

  static let digits = ScalarSet([0x30...0x39])
  static let word = ScalarSet([0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a])
  static let lineEnds = ScalarSet([0x0a...0x0a, 0x0d...0x0d, 0x2028...0x2029])
  /// ECMA-262's WhiteSpace and LineTerminator.
  static let space = ScalarSet([
    0x09...0x0d, 0x20...0x20, 0xa0...0xa0, 0x1680...0x1680, 0x2000...0x200a, 0x2028...0x2029, 0x202f...0x202f,
    0x205f...0x205f, 0x3000...0x3000, 0xfeff...0xfeff,
  ])
}
