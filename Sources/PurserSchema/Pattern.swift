/// Why a text is no regular expression that can be used.
struct PatternError: Error {
  var message: String

  init(_ message: String) {
    self.message = message
  }
}

/// An ECMA-262 regular expression over code points, not anchored.
///
/// It runs as a Thompson automaton: all possible ways at once, one code point after the other. So no pattern takes
/// longer than its size times the text's, whereas Swift's `Regex` goes back and tries again: `^(a|a)*$` on 28 letters
/// did not end within ten seconds.
struct Pattern: Sendable {
  /// What it was made from.
  let source: String
  private let program: [Instruction]

  init(_ source: String) throws(PatternError) {
    var assembly = Assembly()
    guard source.utf8.count <= Assembly.maximumSize else { throw Assembly.tooLarge }
    try assembly.append(PatternParser.parse(source))
    self.source = source
    program = assembly.program + [.match]
  }

  /// Whether the pattern matches anywhere in the text. O(size of the pattern × size of the text), counted in `steps`;
  /// `nil` as soon as there are none left.
  func matches(_ text: String, steps: inout Int) -> Bool? {
    let scalars = text.unicodeScalars
    var states = States(capacity: program.count)
    var following = States(capacity: program.count)
    var pending: [Int] = []
    var (index, previous): (String.Index, UInt32?) = (scalars.startIndex, nil)
    // Two of these steps take about the time of one of validation.
    var work = 1
    defer { steps -= work / 2 }
    while true {
      let current = index < scalars.endIndex ? scalars[index].value : nil
      // Not anchored: a match may start at every place.
      if enter(0, &states, &pending, previous: previous, next: current) { return true }
      guard let current else { return false }
      work += states.list.count + 1
      if work / 2 > steps { return nil }
      following.removeAll()
      scalars.formIndex(after: &index)
      let next = index < scalars.endIndex ? scalars[index].value : nil
      for state in states.list {
        guard case .set(let set) = program[state], set.contains(current) else { continue }
        if enter(state + 1, &following, &pending, previous: current, next: next) { return true }
      }
      swap(&states, &following)
      previous = current
    }
  }

  /// Adds a state, and all that can be reached from there without a code point. Whether a match is among them.
  private func enter(
    _ start: Int, _ states: inout States, _ pending: inout [Int], previous: UInt32?, next: UInt32?
  ) -> Bool {
    pending.append(start)
    while let state = pending.popLast() {
      guard states.insert(state) else { continue }
      switch program[state] {
      case .match:
        pending.removeAll()
        return true
      case .set: break
      case .jump(let target): pending.append(target)
      case .fork(let first, let second):
        pending.append(second)
        pending.append(first)
      case .assertion(let assertion):
        if holds(assertion, previous: previous, next: next) { pending.append(state + 1) }
      }
    }
    return false
  }

  private func holds(_ assertion: PatternSyntax.Assertion, previous: UInt32?, next: UInt32?) -> Bool {
    let isBoundary = (previous.map(ScalarSet.word.contains) ?? false) != (next.map(ScalarSet.word.contains) ?? false)
    return switch assertion {
    case .start: previous == nil
    case .end: next == nil
    case .wordBoundary: isBoundary
    case .noWordBoundary: !isBoundary
    }
  }
}

/// States of the automaton, each once.
private struct States {
  private(set) var list: [Int] = []
  private var isMember: [Bool]

  init(capacity: Int) {
    isMember = Array(repeating: false, count: capacity)
  }

  mutating func insert(_ state: Int) -> Bool {
    guard !isMember[state] else { return false }
    isMember[state] = true
    list.append(state)
    return true
  }

  mutating func removeAll() {
    for state in list { isMember[state] = false }
    list.removeAll(keepingCapacity: true)
  }
}

private enum Instruction: Sendable {
  case match
  case set(ScalarSet)
  case jump(Int)
  case fork(Int, Int)
  case assertion(PatternSyntax.Assertion)
}

/// Writes the instructions of a pattern one after the other.
private struct Assembly {
  /// Repetitions are written out: `a{3}` is `aaa`.
  static let maximumSize = 2000
  static let tooLarge = PatternError("it is too large: more than \(maximumSize) steps, repetitions written out")

  private(set) var program: [Instruction] = []
  private var work = 0

  mutating func append(_ syntax: PatternSyntax) throws(PatternError) {
    // Counted apart from the program, which repetitions of nothing do not lengthen.
    work += 1
    guard work <= 4 * Self.maximumSize, program.count < Self.maximumSize else { throw Self.tooLarge }
    switch syntax {
    case .set(let set): program.append(.set(set))
    case .assertion(let assertion): program.append(.assertion(assertion))
    case .sequence(let parts): for part in parts { try append(part) }
    case .choice(let alternatives):
      var jumps: [Int] = []
      for alternative in alternatives.dropLast() {
        let fork = program.count
        program.append(.match)
        try append(alternative)
        jumps.append(program.count)
        program.append(.match)
        program[fork] = .fork(fork + 1, program.count)
      }
      if let last = alternatives.last { try append(last) }
      for jump in jumps { program[jump] = .jump(program.count) }
    case .repetition(let part, let minimum, let maximum):
      // The bounds of a hostile pattern may be astronomical; `append` ends it.
      for _ in 0..<minimum { try append(part) }
      guard let maximum else {
        let fork = program.count
        program.append(.match)
        try append(part)
        program.append(.jump(fork))
        program[fork] = .fork(fork + 1, program.count)
        return
      }
      var forks: [Int] = []
      for _ in minimum..<maximum {
        forks.append(program.count)
        program.append(.match)
        try append(part)
      }
      for fork in forks { program[fork] = .fork(fork + 1, program.count) }
    }
  }
}
