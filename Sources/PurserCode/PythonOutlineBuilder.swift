import PurserHashing
import PurserModel

/// Makes the outline of a source: one loop over its lines, with the open blocks on a stack.
///
/// It takes what it does not understand for an expression: the lexer lets through what no Python would run.
struct PythonOutlineBuilder {
  let source: PythonTokens
  let tokens: [PythonToken]
  private let keepsDocstrings: Bool

  var names = PythonOutlineNames()
  var paths = PythonOutlinePaths()
  private var index = 0
  private var blocks: [Block] = []
  /// What the next indented line stands in.
  private var nextBlock = Block.plain
  /// How many of the open blocks are functions, and classes.
  private(set) var functions = 0
  private(set) var classes = 0
  /// The statement at module level that is being read.
  var unit = Draft(start: 0)
  private var isOpen = false
  /// Whether only decorators of it have been read.
  private var isDecorator = false
  private var drafts: [Draft] = []

  enum Block {
    case plain, function, `class`
    /// Of `match`.
    case cases
  }

  /// A statement at module level, as far as it is read.
  struct Draft {
    let start: Int
    var line = 0
    var traits: PythonOutline.Traits = []
    var binds: [Int] = []
    private var bound: Set<Int> = []
    /// By path.
    var uses: [Int: PythonOutline.Modes] = [:]
    /// The paths of `uses`, in order.
    var used: [Int] = []
    var imports: [PythonOutline.Import] = []
    var decorators: [Int] = []
    /// Names that it declares as global, and those of the function that it is that are no others' for sure.
    var globals: Set<Int> = []
    var locals: Set<Int> = []
    /// A class within a function: its names are looked up past the function's.
    var hasInnerClass = false
    /// Where its strings stand.
    var strings: [Range<Int>] = []
    /// Where strings stand that are annotations, or a part of them.
    var annotations: [Range<Int>] = []
    var reflections: [PythonOutline.Reflection] = []
    var obstacle: References.Remark?
    var digest: Digest?

    init(start: Int) {
      self.start = start
    }

    mutating func bind(_ name: Int) {
      if bound.insert(name).inserted { binds.append(name) }
    }

    mutating func use(_ path: Int, _ modes: PythonOutline.Modes) {
      if let known = uses[path] {
        uses[path] = known.union(modes)
      } else {
        uses[path] = modes
        used.append(path)
      }
    }

    mutating func obstruct(_ line: Int, _ message: String) {
      if obstacle == nil { obstacle = References.Remark(line: line, message) }
    }
  }

  init(_ source: PythonTokens) {
    self.source = source
    tokens = source.tokens
    keepsDocstrings = PythonNormalForm.keepsDocstrings(in: source)
  }

  mutating func build() -> PythonOutline {
    while index < tokens.count {
      switch tokens[index].kind {
      case .indent:
        push(nextBlock)
        nextBlock = .plain
        index += 1
      case .dedent:
        pop()
        index += 1
      case .newline:
        index += 1
      case .endOfFile:
        endUnit(at: index)
        index = tokens.count
      default:
        readLine()
      }
    }
    var finish = PythonOutlineFinish(builder: self, drafts: drafts)
    return finish.outline()
  }

  private mutating func push(_ block: Block) {
    blocks.append(block)
    if block == .function { functions += 1 }
    if block == .class { classes += 1 }
  }

  private mutating func pop() {
    switch blocks.popLast() {
    case .function?: functions -= 1
    case .class?: classes -= 1
    default: break
    }
  }

  /// Whether names that are bound here are the module's.
  var isModuleLevel: Bool { functions == 0 && classes == 0 }
  /// Whether what stands here is executed when the module is.
  var isImmediate: Bool { functions == 0 }
  var modes: PythonOutline.Modes { isImmediate ? .immediate : .deferred }
  /// Whether what stands here is in the function that the unit is, and in none within it.
  private var isInOwnFunction: Bool {
    functions == 1 && classes == 0 && unit.traits.contains(.isFunction)
  }

  // MARK: - Units

  private mutating func beginUnit(at start: Int) {
    unit = Draft(start: start)
    unit.line = tokens[start].line
    isOpen = true
  }

  private mutating func endUnit(at end: Int) {
    guard isOpen else { return }
    isOpen = false
    isDecorator = false
    if unit.traits.contains(.isFunction), !unit.hasInnerClass { dropLocals() }
    guard
      !unit.binds.isEmpty || !unit.uses.isEmpty || !unit.imports.isEmpty || !unit.traits.isEmpty
        || unit.obstacle != nil
    else { return }
    if unit.digest == nil {
      var form: [UInt8] = []
      PythonNormalForm.append(unit.start..<end, of: source, keepsDocstrings: keepsDocstrings, to: &form)
      unit.digest = Self.digest("purser.python.statement.1\0", form)
    }
    drafts.append(unit)
  }

  static func digest(_ domain: ByteString, _ content: [UInt8]) -> Digest {
    var hash = SHA256()
    hash.update(domain)
    hash.update(content)
    return hash.finalize()
  }

  /// What a function binds itself is not the module's.
  private mutating func dropLocals() {
    var locals = unit.locals.subtracting(unit.globals)
    for item in unit.imports { if let binding = item.binding { locals.remove(binding) } }
    guard !locals.isEmpty else { return }
    unit.used.removeAll { path in
      var root = path
      while paths.all[root].parent >= 0 { root = paths.all[root].parent }
      guard locals.contains(paths.all[root].name), let modes = unit.uses[path] else { return false }
      let rest = modes.subtracting(.deferred)
      unit.uses[path] = rest
      return rest.isDisjoint(with: [.immediate, .annotation])
    }
  }

  // MARK: - Lines

  /// Reads the logical line at `index`, and goes behind it.
  private mutating func readLine() {
    var end = index
    while tokens[end].kind != .newline, tokens[end].kind != .endOfFile { end += 1 }
    defer { index = tokens[end].kind == .newline ? end + 1 : end }
    nextBlock = .plain
    let first = tokens[index]
    let isAsynchronous = first.keyword == .async && index + 1 < end
    let at = isAsynchronous ? index + 1 : index
    let keyword = tokens[at].keyword
    let isDecorator = first.isSymbol("@")
    let beginsBlock = Self.beginsBlock(keyword) || isDecorator || startsCases(index, end)
    let isCase = blocks.last == .cases && source.is(first, "case")
    guard beginsBlock || isCase else { return readStatements(index..<end, isInline: false) }
    if blocks.isEmpty {
      switch keyword {
      case .elif, .else, .except, .finally: break
      default:
        if !self.isDecorator {
          endUnit(at: index)
          beginUnit(at: index)
        }
      }
      if !isOpen { beginUnit(at: index) }
      self.isDecorator = isDecorator
    }
    if isDecorator {
      readDecorator(index + 1..<end)
    } else if isCase {
      let colon = colon(from: index, to: end)
      readTargets(index + 1..<colon)
      scan(index + 1..<colon, modes)
      readBody(from: colon + 1, to: end, .plain)
    } else {
      switch keyword {
      case .def: readFunction(at, end)
      case .class: readClass(at, end)
      case nil:
        let colon = colon(from: index, to: end)
        scan(index + 1..<colon, modes)
        readBody(from: colon + 1, to: end, .cases)
      default: readHeader(keyword, at, end)
      }
    }
  }

  private static func beginsBlock(_ keyword: PythonKeyword?) -> Bool {
    switch keyword {
    case .if, .elif, .else, .while, .for, .try, .except, .finally, .with, .def, .class: true
    default: false
    }
  }

  /// Whether the line from an index to its end begins a `match` statement.
  private func startsCases(_ start: Int, _ end: Int) -> Bool {
    source.is(tokens[start], "match") && tokens[end - 1].isSymbol(":") && end + 1 < tokens.count
      && tokens[end + 1].kind == .indent
  }

  /// The index of the colon that ends a header, or of the line's end.
  private func colon(from start: Int, to end: Int) -> Int {
    var depth = 0
    var lambdas = 0
    for index in start..<end {
      switch tokens[index].symbol {
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      case UInt8(ascii: ":") where depth == 0:
        if lambdas == 0 { return index }
        lambdas -= 1
      default: if depth == 0, tokens[index].keyword == .lambda { lambdas += 1 }
      }
    }
    return end
  }

  /// Reads what follows a header: statements in its line, or the block below it.
  private mutating func readBody(from start: Int, to end: Int, _ block: Block) {
    if start >= end {
      nextBlock = block
    } else {
      push(block)
      readStatements(start..<end, isInline: true)
      pop()
    }
  }

  private mutating func readStatements(_ range: Range<Int>, isInline: Bool) {
    var start = range.lowerBound
    var depth = 0
    for index in range.lowerBound...range.upperBound {
      if index < range.upperBound {
        switch tokens[index].symbol {
        case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
        case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
        default: break
        }
        guard depth == 0, tokens[index].isSymbol(";") else { continue }
      }
      if start < index {
        if blocks.isEmpty, !isInline {
          endUnit(at: start)
          beginUnit(at: start)
          readOwnStatement(start..<index)
          endUnit(at: index)
        } else {
          readStatement(start..<index)
        }
      }
      start = index + 1
    }
  }

  /// Reads a statement that is a unit of its own, or several if it is an import.
  private mutating func readOwnStatement(_ range: Range<Int>) {
    let keyword = tokens[range.lowerBound].keyword
    guard keyword == .import || keyword == .from else {
      if range.lowerBound == 0, isText(range) { unit.bind(PythonOutlineNames.Special.documentation.rawValue) }
      return readStatement(range)
    }
    let items = imports(range)
    if items.isEmpty { unit.obstruct(tokens[range.lowerBound].line, "imports what cannot be read") }
    for (offset, item) in items.enumerated() {
      if offset > 0 {
        endUnit(at: range.upperBound)
        beginUnit(at: range.lowerBound)
      }
      unit.traits.insert(.isImport)
      unit.digest = digest(of: item)
      add(item)
    }
  }

  /// Whether it consists of strings alone.
  func isText(_ range: Range<Int>) -> Bool { range.allSatisfy { tokens[$0].kind == .string } }

  // MARK: - Headers

  private mutating func readDecorator(_ range: Range<Int>) {
    scan(range, modes)
    guard isImmediate else { return }
    unit.traits.insert(.runsCode)
    if isModuleLevel, let first = range.first {
      unit.decorators.append(path(at: first, in: tokens, to: range.upperBound))
    }
  }

  private mutating func readHeader(_ keyword: PythonKeyword?, _ at: Int, _ end: Int) {
    let colon = colon(from: at, to: end)
    let header = at + 1..<max(colon, at + 1)
    switch keyword {
    case .if where blocks.isEmpty && unit.start == index:
      if isMainCondition(header) { unit.traits.insert(.isMain) }
    case .elif, .else:
      if blocks.isEmpty { unit.traits.remove(.isMain) }
    case .for:
      if isModuleLevel { unit.traits.insert(.isActive) }
      var depth = 0
      for index in header {
        switch tokens[index].symbol {
        case UInt8(ascii: "("), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: ")"), UInt8(ascii: "]"): depth -= 1
        default: break
        }
        if depth == 0, tokens[index].keyword == .in {
          readTargets(header.lowerBound..<index)
          break
        }
      }
    case .while:
      if isModuleLevel { unit.traits.insert(.isActive) }
    case .with, .except:
      if keyword == .with, isModuleLevel { unit.traits.insert(.isActive) }
      readAliases(header)
    default: break
    }
    scan(header, modes)
    readBody(from: colon + 1, to: end, .plain)
  }

  /// Whether it is `__name__ == "__main__"`, in any order.
  private func isMainCondition(_ header: Range<Int>) -> Bool {
    var range = header
    while range.count > 3, tokens[range.lowerBound].isSymbol("("), tokens[range.upperBound - 1].isSymbol(")") {
      range = range.lowerBound + 1..<range.upperBound - 1
    }
    guard range.count == 3, source.is(tokens[range.lowerBound + 1], "==") else { return false }
    let sides = [tokens[range.lowerBound], tokens[range.lowerBound + 2]]
    return sides.contains { source.is($0, "__name__") }
      && sides.contains { $0.kind == .string && PythonLiteral.text(of: [$0], in: source) == Array("__main__".utf8) }
  }

  private mutating func readFunction(_ at: Int, _ end: Int) {
    let colon = colon(from: at, to: end)
    guard at + 1 < colon, tokens[at + 1].kind == .name else { return }
    if isModuleLevel { unit.bind(name(tokens[at + 1])) }
    // Decorators stand before it; anything else makes the unit more than a function.
    let isOwn = blocks.isEmpty
    if isOwn { unit.traits.insert(.isFunction) }
    readParameters(at + 2..<colon, isOwn: isOwn)
    readBody(from: colon + 1, to: end, .function)
  }

  /// Reads the parameters of a function, and its annotations.
  private mutating func readParameters(_ range: Range<Int>, isOwn: Bool) {
    let annotation: PythonOutline.Modes = isImmediate ? .annotation : .deferred
    guard let open = range.first(where: { tokens[$0].isSymbol("(") }) else { return scan(range, annotation) }
    if open > range.lowerBound { scan(range.lowerBound..<open, annotation) }
    enum Part { case name, annotation, value }
    var part = Part.name
    var begin = open + 1
    var depth = 0
    var lambdas = 0
    var end = range.upperBound
    func scanPart(_ builder: inout Self, _ end: Int) {
      switch part {
      case .name: break
      case .annotation: builder.scan(begin..<end, annotation)
      case .value: builder.scan(begin..<end, builder.modes)
      }
    }
    for index in open..<range.upperBound {
      let token = tokens[index]
      switch token.symbol {
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      default: break
      }
      if depth == 0 {
        scanPart(&self, index)
        end = index
        break
      }
      guard depth == 1 else { continue }
      if token.keyword == .lambda {
        lambdas += 1
      } else if token.isSymbol(":"), lambdas > 0 {
        lambdas -= 1
      } else if lambdas == 0 {
        if token.kind == .name, token.keyword == nil, part == .name {
          if isOwn { unit.locals.insert(name(token)) }
        } else if token.isSymbol(",") || token.isSymbol(":") && part == .name || token.isSymbol("=") {
          scanPart(&self, index)
          part = token.isSymbol(",") ? .name : token.isSymbol(":") ? .annotation : .value
          begin = index + 1
        }
      }
    }
    if end + 1 < range.upperBound { scan(end + 1..<range.upperBound, annotation) }
  }

  private mutating func readClass(_ at: Int, _ end: Int) {
    let colon = colon(from: at, to: end)
    guard at + 1 < colon, tokens[at + 1].kind == .name else { return }
    if isModuleLevel { unit.bind(name(tokens[at + 1])) }
    if !isImmediate { unit.hasInnerClass = true }
    // Empty brackets are none.
    if isImmediate, colon - at > 4 { unit.traits.insert(.runsCode) }
    scan(at + 2..<colon, modes)
    readBody(from: colon + 1, to: end, .class)
  }

  // MARK: - What binds names

  /// Binds every name that stands alone in what is assigned to, or in a pattern.
  mutating func readTargets(_ range: Range<Int>) {
    guard isModuleLevel else { return }
    for index in range where tokens[index].kind == .name && tokens[index].keyword == nil {
      let isAttribute = index > range.lowerBound && tokens[index - 1].isSymbol(".")
      let isBase = index + 1 < range.upperBound && tokens[index + 1].isSymbol(".")
      if !isAttribute, !isBase { unit.bind(name(tokens[index])) }
    }
  }

  /// Binds what stands behind `as`.
  private mutating func readAliases(_ range: Range<Int>) {
    guard isModuleLevel else { return }
    for index in range where tokens[index].keyword == .as && index + 1 < range.upperBound {
      var end = index + 1
      var depth = 0
      repeat {
        switch tokens[end].symbol {
        case UInt8(ascii: "("), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: ")"), UInt8(ascii: "]"): depth -= 1
        default: break
        }
        end += 1
      } while end < range.upperBound && depth > 0
      readTargets(index + 1..<end)
    }
  }

  /// Notes what the function that the unit is binds by a plain assignment.
  mutating func noteLocal(_ range: Range<Int>) {
    guard isInOwnFunction, range.count > 1, tokens[range.lowerBound].kind == .name,
      tokens[range.lowerBound].keyword == nil
    else { return }
    let next = tokens[range.lowerBound + 1]
    if next.isSymbol("=") || next.isSymbol(":") { unit.locals.insert(name(tokens[range.lowerBound])) }
  }
}
