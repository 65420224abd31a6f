import PurserModel

/// Reads import statements.
enum PythonImports {
  /// One module that a statement names, by the indices of its tokens.
  struct Import {
    let tokens: [PythonToken]
    /// The parts of the module's name.
    var path: [Int] = []
    /// How many dots stand before it.
    var level = 0
    /// What is imported of it, and under which name if not its own; `nil` for `import a.b`.
    var members: [(name: Int, alias: Int?)]?
    /// The `c` of `import a.b as c`.
    var alias: Int?

    func use(in source: PythonTokens) -> References.Use {
      .module(
        path: path.map { source.string(of: tokens[$0]) }, level: level,
        names: members?.map { source.string(of: tokens[$0.name]) } ?? [])
    }
  }

  /// Whether a statement can begin at an index: there `from` is an import, and not a part of `yield from` or `raise`.
  static func isBegin(_ index: Int, in tokens: [PythonToken]) -> Bool {
    guard index > 0 else { return true }
    let previous = tokens[index - 1]
    switch previous.kind {
    case .newline, .indent, .dedent: return true
    default: return previous.isSymbol(";") || previous.isSymbol(":")
    }
  }

  /// Calls `body` with each module that import statements name, in order.
  static func forEach(in tokens: [PythonToken], _ source: PythonTokens, _ body: (Import) -> Void) {
    var index = 0
    while index < tokens.count {
      if tokens[index].keyword == .import || tokens[index].keyword == .from, isBegin(index, in: tokens) {
        index = read(tokens, source, at: index, body)
      } else {
        index += 1
      }
    }
  }

  /// Reads the statement that begins at an index, and gives the index behind what could be read of it. A module counts
  /// as soon as its part of the statement is complete.
  static func read(
    _ tokens: [PythonToken], _ source: PythonTokens, at start: Int, _ body: (Import) -> Void
  ) -> Int {
    var index = start + 1
    if tokens[start].keyword == .import {
      while true {
        var item = Import(tokens: tokens)
        guard readPath(tokens, &index, &item), readAlias(tokens, &index, &item.alias) else { return index }
        body(item)
        guard index < tokens.count, tokens[index].isSymbol(",") else { return index }
        index += 1
      }
    }
    var item = Import(tokens: tokens)
    while index < tokens.count, tokens[index].kind == .operator {
      if tokens[index].isSymbol(".") {
        item.level += 1
      } else if source.is(tokens[index], "...") {
        item.level += 3
      } else {
        return index
      }
      index += 1
    }
    guard readPath(tokens, &index, &item) || item.level > 0, index < tokens.count, tokens[index].keyword == .import
    else {
      return index
    }
    index += 1
    item.members = readMembers(tokens, &index)
    if item.members?.isEmpty == false { body(item) }
    return index
  }

  private static func isName(_ tokens: [PythonToken], _ index: Int) -> Bool {
    index < tokens.count && tokens[index].kind == .name && tokens[index].keyword == nil
  }

  /// Reads `a.b.c`; `false` if there is no name.
  private static func readPath(_ tokens: [PythonToken], _ index: inout Int, _ item: inout Import) -> Bool {
    guard isName(tokens, index) else { return false }
    item.path.append(index)
    index += 1
    while index < tokens.count, tokens[index].isSymbol("."), isName(tokens, index + 1) {
      item.path.append(index + 1)
      index += 2
    }
    return true
  }

  /// Reads `as a`, if it is there; `false` if a name is missing.
  private static func readAlias(_ tokens: [PythonToken], _ index: inout Int, _ alias: inout Int?) -> Bool {
    guard index < tokens.count, tokens[index].keyword == .as else { return true }
    guard isName(tokens, index + 1) else { return false }
    alias = index + 1
    index += 2
    return true
  }

  /// Reads `*`, `a, b as c` or the same in brackets.
  private static func readMembers(_ tokens: [PythonToken], _ index: inout Int) -> [(name: Int, alias: Int?)] {
    if index < tokens.count, tokens[index].isSymbol("*") {
      index += 1
      return [(index - 1, nil)]
    }
    if index < tokens.count, tokens[index].isSymbol("(") { index += 1 }
    var members: [(name: Int, alias: Int?)] = []
    while isName(tokens, index) {
      var member: (name: Int, alias: Int?) = (index, nil)
      index += 1
      guard readAlias(tokens, &index, &member.alias) else { return members }
      members.append(member)
      guard index < tokens.count, tokens[index].isSymbol(",") else { break }
      index += 1
    }
    return members
  }
}
