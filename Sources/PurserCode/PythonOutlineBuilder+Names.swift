import PurserModel

extension PythonOutlineBuilder {
  private typealias Special = PythonOutlineNames.Special

  /// The number of the name that a token is.
  mutating func name(_ token: PythonToken) -> Int {
    let (name, isDoubtful) = source.bytes.withUnsafeBufferPointer { names.number(of: $0, token.range) }
    if isDoubtful { unit.obstruct(token.line, "uses a name that Python spells in another way") }
    return name
  }

  /// The path that begins with the name at an index.
  mutating func path(at index: Int, in list: [PythonToken], to end: Int) -> Int {
    guard list[index].kind == .name else { return paths.number(of: Special.other.rawValue) }
    var path = paths.number(of: name(list[index]))
    var index = index
    for _ in 0..<PythonOutline.attributeLimit {
      guard index + 2 < end, list[index + 1].isSymbol("."), list[index + 2].kind == .name else { break }
      path = paths.number(of: name(list[index + 2]), parent: path)
      index += 2
    }
    return path
  }

  /// Gathers what the tokens of a range use.
  mutating func scan(_ range: Range<Int>, _ modes: PythonOutline.Modes) {
    scan(tokens, range, modes, isInString: false)
  }

  private mutating func scan(
    _ list: [PythonToken], _ range: Range<Int>, _ modes: PythonOutline.Modes, isInString: Bool
  ) {
    var depth = 0
    var index = range.lowerBound
    while index < range.upperBound {
      let token = list[index]
      switch token.kind {
      case .name:
        if token.keyword != nil {
          if token.keyword == .await, modes.contains(.immediate) { unit.traits.insert(.runsCode) }
        } else if index > range.lowerBound, list[index - 1].isSymbol(".") {
          readAttribute(index, list, range.upperBound)
        } else if depth == 0 || index + 1 >= range.upperBound || !list[index + 1].isSymbol("=") {
          // Else the name of an argument or a parameter.
          readName(index, list, range.upperBound, modes)
        }
      case .operator:
        switch token.symbol {
        case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"):
          depth += 1
          if token.isSymbol("("), index > range.lowerBound, isCallable(list[index - 1]), modes.contains(.immediate) {
            unit.traits.insert(.runsCode)
          }
        case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
        case 0 where modes.contains(.immediate):
          if source.is(token, ">>") || source.is(token, "<<") { unit.traits.insert(.runsCode) }
        default: break
        }
      case .string:
        if modes.contains(.annotation) {
          unit.annotations.append(token.range)
        } else if !isInString {
          unit.strings.append(token.range)
        }
      case .formattedString:
        unit.strings.append(token.range)
        let fields = source.fieldTokens(of: token)
        scan(fields, fields.indices, modes, isInString: true)
      default: break
      }
      index += 1
    }
  }

  private func isCallable(_ token: PythonToken) -> Bool {
    switch token.kind {
    case .name: token.keyword == nil
    case .operator: token.isSymbol(")") || token.isSymbol("]") || token.isSymbol("}")
    default: false
    }
  }

  /// Uses the name at an index, with its attributes.
  private mutating func readName(
    _ index: Int, _ list: [PythonToken], _ end: Int, _ modes: PythonOutline.Modes
  ) {
    let token = list[index]
    let name = name(token)
    let path = path(at: index, in: list, to: end)
    unit.use(path, modes)
    if index + 1 < end, isModuleLevel, source.is(list[index + 1], ":=") { unit.bind(name) }
    noteEvaluator(name, index, list, end)
    guard let special = names.special(name) else { return }
    let attribute = index + 2 < end && list[index + 1].isSymbol(".") ? list[index + 2] : nil
    let member = attribute.flatMap { names.special(self.name($0)) }
    switch special {
    case .eval, .exec, .globals, .locals, .vars:
      unit.obstruct(token.line, "uses '\(special.text)()'")
    case .importFunction, .importModule:
      readImportCall(index, list, end, isFunction: special == .importFunction)
    case .sys:
      if member == .modules { unit.obstruct(token.line, "uses 'sys.modules'") }
    case .builtins, .builtinModule:
      switch member {
      case .eval?, .exec?, .globals?, .locals?, .vars?, .importFunction?:
        unit.obstruct(token.line, "uses 'builtins.\(member?.text.escaped ?? "")'")
      default:
        if attribute == nil, special == .builtinModule { unit.obstruct(token.line, "uses '__builtins__'") }
      }
    case .getattr:
      readReflection(index, list, end)
    default: break
    }
  }

  /// Looks at an attribute.
  private mutating func readAttribute(_ index: Int, _ list: [PythonToken], _ end: Int) {
    let name = name(list[index])
    noteEvaluator(name, index, list, end)
    guard let special = names.special(name) else { return }
    switch special {
    case .importModule:
      readImportCall(index, list, end, isFunction: false)
    case .importFunction, .functionGlobals, .frameGlobals, .frameLocals, .executeModule, .loadModule, .loadSource,
      .runModule, .runPath, .resolveName, .importString:
      unit.obstruct(list[index].line, "uses '\(special.text)'")
    default: break
    }
  }

  /// Notes a call of what may take names from a string.
  private mutating func noteEvaluator(_ name: Int, _ index: Int, _ list: [PythonToken], _ end: Int) {
    guard names.isEvaluator(name), index + 1 < end, list[index + 1].isSymbol("(") else { return }
    unit.traits.insert(.evaluatesText)
  }

  /// Notes `getattr(name, …)`, unless the attribute is written out.
  private mutating func readReflection(_ index: Int, _ list: [PythonToken], _ end: Int) {
    guard index + 3 < end, list[index + 1].isSymbol("("), list[index + 2].kind == .name,
      list[index + 2].keyword == nil, list[index + 3].isSymbol(",")
    else { return }
    if index + 5 < end, list[index + 4].kind == .string, list[index + 5].isSymbol(")") || list[index + 5].isSymbol(",")
    {
      return
    }
    unit.reflections.append(PythonOutline.Reflection(name: name(list[index + 2]), line: list[index].line))
  }
}
