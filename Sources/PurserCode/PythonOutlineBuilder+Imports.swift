import PurserModel

extension PythonOutlineBuilder {
  private typealias Special = PythonOutlineNames.Special

  /// The modules and names of an import statement.
  mutating func imports(_ range: Range<Int>) -> [PythonOutline.Import] {
    var statements: [PythonImports.Import] = []
    _ = PythonImports.read(tokens, source, at: range.lowerBound) { statements.append($0) }
    var items: [PythonOutline.Import] = []
    for statement in statements {
      let path = statement.path.map { name(tokens[$0]) }
      guard let members = statement.members else {
        let alias = statement.alias.map { name(tokens[$0]) }
        items.append(
          PythonOutline.Import(
            kind: alias == nil ? .top : .whole, path: path, level: 0, binding: alias ?? path[0],
            isImmediate: isImmediate))
        continue
      }
      for member in members {
        var item = PythonOutline.Import(kind: .all, path: path, level: statement.level, isImmediate: isImmediate)
        if !tokens[member.name].isSymbol("*") {
          item.kind = .member
          item.member = name(tokens[member.name])
          item.binding = member.alias.map { name(tokens[$0]) } ?? item.member
        }
        items.append(item)
      }
    }
    return items
  }

  /// Adds an import to the unit, and looks whether it hides what imports or takes names by a string.
  mutating func add(_ item: PythonOutline.Import) {
    unit.imports.append(item)
    if isModuleLevel, let binding = item.binding { unit.bind(binding) }
    // What it gives or changes does not depend on a name.
    if isModuleLevel, item.kind == .all || item.level == 0 && item.path == [Special.future.rawValue] {
      unit.traits.insert(.isActive)
    }
    guard item.level == 0, item.path.count == 1, let member = item.member else { return }
    let text = names.all[member].escaped
    switch (names.special(item.path[0]), names.special(member)) {
    case (.sys?, .modules?):
      unit.obstruct(line, "uses 'sys.modules'")
    case (.importlib?, .importModule?), (.importlib?, .importFunction?), (.builtins?, .importFunction?),
      (.builtins?, .eval?), (.builtins?, .exec?), (.builtins?, .globals?), (.builtins?, .locals?), (.builtins?, .vars?):
      if item.binding != item.member { unit.obstruct(line, "imports '\(text)' by another name") }
    default: break
    }
  }

  private var line: Int { unit.line }

  /// Of an import that is a unit of its own: what it imports, whatever else stands in its statement.
  func digest(of item: PythonOutline.Import) -> Digest {
    var writer = ByteWriter()
    writer.append(byte: item.kind.rawValue)
    writer.append(littleEndian: UInt32(clamping: item.level))
    writer.append(littleEndian: UInt32(clamping: item.path.count))
    for name in item.path + [item.member, item.binding].compactMap({ $0 }) {
      writer.append(lengthPrefixed: names.all[name].bytes)
    }
    return Self.digest("purser.python.import.1\0", writer.bytes)
  }

  // MARK: - Calls

  /// Looks at a name that imports modules, at an index of `list`; it may be called with a literal.
  mutating func readImportCall(_ index: Int, _ list: [PythonToken], _ end: Int, isFunction: Bool) {
    let line = list[index].line
    let computed = "imports a module by a computed name"
    guard index + 2 < end, list[index + 1].isSymbol("(") else { return unit.obstruct(line, computed) }
    var last = index + 2
    while last < end, list[last].kind == .string { last += 1 }
    guard last > index + 2, last < end, let text = PythonLiteral.text(of: list[index + 2..<last], in: source) else {
      return unit.obstruct(line, computed)
    }
    let level = text.prefix { $0 == UInt8(ascii: ".") }.count
    let parts = text.dropFirst(level).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    let isName = parts.allSatisfy { part in
      part.first.map(PythonLexer.isNameStart) ?? false && part.allSatisfy(PythonLexer.isNameByte)
    }
    var isKnown = isName
    if level > 0 {
      isKnown = isName && !isFunction && isOwnPackage(last, list, end)
    } else if isFunction {
      isKnown = isName && list[last].isSymbol(")")
    }
    guard isKnown else { return unit.obstruct(line, computed) }
    let path = parts.map { part in Array(part).withUnsafeBufferPointer { names.number(of: $0, 0..<$0.count).name } }
    unit.imports.append(
      PythonOutline.Import(kind: .call, path: path, level: level, isImmediate: isImmediate))
  }

  /// Whether a second argument is the file's own package: `, __package__)`.
  private mutating func isOwnPackage(_ comma: Int, _ list: [PythonToken], _ end: Int) -> Bool {
    var index = comma
    guard index + 2 < end, list[index].isSymbol(",") else { return false }
    index += 1
    if source.is(list[index], "package"), list[index + 1].isSymbol("=") { index += 2 }
    guard index + 1 < end, source.is(list[index], "__package__") else { return false }
    return list[index + 1].isSymbol(")")
  }
}
