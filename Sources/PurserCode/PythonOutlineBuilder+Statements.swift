import PurserModel

extension PythonOutlineBuilder {
  /// Reads a statement that is no header of a block, wherever it stands.
  mutating func readStatement(_ range: Range<Int>) {
    let first = tokens[range.lowerBound]
    switch first.keyword {
    case .import, .from:
      let items = imports(range)
      if items.isEmpty { unit.obstruct(first.line, "imports what cannot be read") }
      for item in items { add(item) }
    case .global:
      for index in range.dropFirst() where tokens[index].kind == .name {
        let name = name(tokens[index])
        unit.globals.insert(name)
        unit.bind(name)
      }
    case .nonlocal, .pass, .break, .continue: break
    case .del:
      if isModuleLevel { unit.traits.insert(.isActive) }
      scan(range, modes.union(.stored))
    case .assert, .raise:
      if isImmediate { unit.traits.insert(.isActive) }
      scan(range, modes)
    case .return, .yield:
      if isModuleLevel { unit.traits.insert(.isActive) }
      scan(range, modes)
    default:
      if source.is(first, "type"), range.count > 1, tokens[range.lowerBound + 1].kind == .name,
        tokens[range.lowerBound + 1].keyword == nil
      {
        // `type Name = …`.
        if isModuleLevel { unit.bind(name(tokens[range.lowerBound + 1])) }
        scan(range.lowerBound + 2..<range.upperBound, modes)
      } else {
        readExpression(range)
      }
    }
  }

  /// What of an expression statement stands outside of brackets.
  private struct Marks {
    /// Each `=`.
    var equals: [Int] = []
    /// The `+=` or the like.
    var augmented: Int?
    /// The `:` of an annotation.
    var colon: Int?
  }

  private func marks(in range: Range<Int>) -> Marks {
    var marks = Marks()
    var depth = 0
    var lambdas = 0
    for index in range {
      let token = tokens[index]
      switch token.symbol {
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      case UInt8(ascii: ":") where depth == 0:
        if lambdas > 0 {
          lambdas -= 1
        } else if marks.colon == nil, marks.equals.isEmpty {
          marks.colon = index
        }
      case UInt8(ascii: "=") where depth == 0 && lambdas == 0: marks.equals.append(index)
      case 0 where depth == 0:
        if token.keyword == .lambda { lambdas += 1 }
        if token.kind == .operator, isAugmented(token) { marks.augmented = index }
      default: break
      }
    }
    return marks
  }

  private func isAugmented(_ token: PythonToken) -> Bool {
    guard token.count > 1, source.bytes[token.end - 1] == UInt8(ascii: "=") else { return false }
    switch source.bytes[token.start] {
    case UInt8(ascii: "="), UInt8(ascii: "!"), UInt8(ascii: ":"): return false
    case UInt8(ascii: "<"), UInt8(ascii: ">"): return token.count == 3
    default: return true
    }
  }

  /// Reads an expression, or an assignment of any kind.
  private mutating func readExpression(_ range: Range<Int>) {
    let marks = marks(in: range)
    if let augmented = marks.augmented {
      // In a class, a plain name is the class's own.
      let isPlain = readTarget(range.lowerBound..<augmented, modes)
      if isModuleLevel || isImmediate && !isPlain { unit.traits.insert(.isActive) }
      scan(range.lowerBound..<augmented, modes.union(.stored))
      scan(augmented + 1..<range.upperBound, modes)
      return
    }
    noteLocal(range)
    var targets: [Range<Int>] = []
    var begin = range.lowerBound
    if let colon = marks.colon {
      targets.append(begin..<colon)
      let end = marks.equals.first ?? range.upperBound
      scan(colon + 1..<end, isImmediate ? .annotation : .deferred)
      begin = end + 1
      guard begin <= range.upperBound else {
        if !readTarget(targets[0], modes), isImmediate { unit.traits.insert(.isActive) }
        return
      }
    }
    for index in marks.equals where index >= begin {
      targets.append(begin..<index)
      begin = index + 1
    }
    let value = begin..<range.upperBound
    guard !targets.isEmpty else {
      let isInert = isText(range) || range.count == 1 && source.is(tokens[range.lowerBound], "...")
      if isImmediate, !isInert { unit.traits.insert(.isActive) }
      return scan(range, modes)
    }
    var isPlain = true
    for target in targets where !readTarget(target, modes) { isPlain = false }
    if isImmediate, !isPlain { unit.traits.insert(.isActive) }
    let ranCode = unit.traits.contains(.runsCode)
    unit.traits.remove(.runsCode)
    scan(value, modes)
    if isModuleLevel {
      // What is assigned to `_` is done for its effect.
      if unit.traits.contains(.runsCode), isDropped(targets) { unit.traits.insert(.isActive) }
      if isPlain, unit.start == range.lowerBound, isConstant(value) { unit.traits.insert(.isConstant) }
    }
    if ranCode { unit.traits.insert(.runsCode) }
  }

  /// Reads what is assigned to: binds plain names, and uses all else.
  ///
  /// - Returns: whether it is nothing but plain names.
  private mutating func readTarget(_ range: Range<Int>, _ modes: PythonOutline.Modes) -> Bool {
    var isPlain = true
    for index in range {
      let token = tokens[index]
      switch token.symbol {
      case UInt8(ascii: "."): isPlain = false
      case UInt8(ascii: "("), UInt8(ascii: "["):
        guard index > range.lowerBound else { continue }
        let previous = tokens[index - 1]
        if previous.kind != .operator || previous.isSymbol(")") || previous.isSymbol("]") { isPlain = false }
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: ","), UInt8(ascii: "*"): continue
      case 0 where token.kind == .name && token.keyword == nil: continue
      default: isPlain = false
      }
    }
    readTargets(range)
    if !isPlain { scan(range, modes.union(.stored)) }
    return isPlain
  }

  private func isDropped(_ targets: [Range<Int>]) -> Bool {
    targets.allSatisfy { range in
      range.allSatisfy { index in
        tokens[index].kind != .name || source.bytes[tokens[index].range].allSatisfy { $0 == UInt8(ascii: "_") }
      }
    }
  }

  /// Whether an expression is made of numbers and strings alone, without lists.
  private func isConstant(_ range: Range<Int>) -> Bool {
    !range.isEmpty
      && range.allSatisfy { index in
        let token = tokens[index]
        switch token.kind {
        case .number, .string: return true
        case .name:
          return token.keyword == .noneValue || token.keyword == .true || token.keyword == .false
        case .operator: return !token.isSymbol("[") && !token.isSymbol("{")
        default: return false
        }
      }
  }
}
