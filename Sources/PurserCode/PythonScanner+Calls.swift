import PurserModel

extension PythonScanner {
  private static let computedImport = "imports a module by a computed name"
  private static let computedPath = "changes sys.path by a computed value"

  /// Looks at a name in the walk.
  mutating func scanName(at index: Int) {
    let token = tokens[index]
    guard names.mayMatter(token, in: source.bytes), !isDefinition(index) else { return }
    if scanImportName(at: index) { return }
    guard !isMember(index), let meaning = names.meaning(of: token, in: source) else { return }
    switch meaning {
    case "__all__": return scanExports(at: index)
    case "__path__": return scanPackagePath(at: index)
    // Only as `os.sys`.
    case "os" where index + 2 >= tokens.count || !source.is(tokens[index + 2], "sys"): return
    case "importlib" where symbol(index + 1) != UInt8(ascii: ".") && symbol(index + 1) != UInt8(ascii: "="):
      // Passed on, as to `getattr`.
      return remark(token, Self.computedImport)
    case "exec", "builtins.exec": return scanExecution(at: index)
    case "execfile" where symbol(index + 1) == UInt8(ascii: "("):
      return remark(token, "executes the text of another file")
    default: break
    }
    var (path, end) = (meaning, index + 1)
    // `a.b.c.d` is the longest path of interest.
    for _ in 0..<4 {
      if scanPath(path, from: index, to: end) { return }
      guard symbol(end) == UInt8(ascii: "."), end + 1 < tokens.count, tokens[end + 1].kind == .name else { return }
      path = PythonNames.normal(path + "." + source.string(of: tokens[end + 1]).escaped)
      end += 2
    }
  }

  /// Looks at a dotted name, `end` being the index behind it; `true` if nothing more is to be seen in it.
  private mutating func scanPath(_ path: String, from index: Int, to end: Int) -> Bool {
    let isCall = symbol(end) == UInt8(ascii: "(")
    switch path {
    case "runpy.run_module", "runpy.run_path":
      remark(tokens[index], "runs a module or file by runpy")
    case "imp.load_source", "importlib.util.spec_from_file_location", "importlib.machinery.SourceFileLoader":
      remark(tokens[index], "loads a module from a file by a computed path")
    case "importlib.util.find_spec", "importlib.resources.files", "pkgutil.resolve_name":
      guard isCall, let name = arguments(at: end)?.first, name.keyword == nil, let text = literal(name.range),
        let parts = Self.parts(text.prefix { $0 != UInt8(ascii: ":") }, mayBeEmpty: false)
      else { break }
      use(.module(path: parts, level: 0, names: []))
    case "pkgutil.iter_modules", "pkgutil.walk_packages":
      remark(tokens[index], "looks for modules in folders by pkgutil")
    case "builtins.exec":
      scanExecution(at: end - 1)
    case "builtins.__import__", "importlib.__import__":
      scanImportCall(at: end - 1, isBuiltin: true)
    case "site.addsitedir":
      addFolder(isCall ? arguments(at: end)?.first : nil, index)
    case "sys.path.append":
      addFolder(isCall ? arguments(at: end)?.first : nil, index)
    case "sys.path.insert":
      addFolder(isCall ? arguments(at: end)?.dropFirst().first : nil, index)
    case "sys.path.extend":
      let list = isCall ? arguments(at: end)?.first : nil
      addFolders(list?.range, index)
    case "sys.path":
      // Going on to the methods, if it is no statement of its own.
      return scanPathAssignment(from: index, to: end)
    default:
      return false
    }
    return true
  }

  // MARK: - Tokens

  /// The byte of the one-byte operator at an index, or 0.
  func symbol(_ index: Int) -> UInt8 { index < tokens.count ? tokens[index].symbol : 0 }

  /// Whether a name is an attribute: what it stands for depends on what is before it.
  private func isMember(_ index: Int) -> Bool { index > 0 && tokens[index - 1].isSymbol(".") }

  /// Whether a function or class is given this name here.
  private func isDefinition(_ index: Int) -> Bool {
    index > 0 && (tokens[index - 1].keyword == .def || tokens[index - 1].keyword == .class)
  }

  /// The index behind the statement that an index is in.
  private func statementEnd(from start: Int) -> Int {
    var depth = 0
    var index = start
    while index < tokens.count {
      switch tokens[index].symbol {
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      case UInt8(ascii: ";") where depth <= 0: return index
      default: if tokens[index].kind == .newline { return index }
      }
      index += 1
    }
    return index
  }

  /// One argument of a call.
  struct Argument {
    var keyword: ByteString?
    /// The tokens of its value.
    var range: Range<Int>
  }

  /// More is not looked through: so a call costs a bounded time, however calls are nested.
  private static let maximumArgumentTokens = 1_000

  /// The arguments of the call whose bracket is at an index; `nil` if they are too long, or some are spread (`*a`).
  private func arguments(at open: Int) -> [Argument]? {
    guard let end = closing(of: open) else { return nil }
    var found: [Argument] = []
    for part in split(open + 1..<end, at: UInt8(ascii: ",")) where !part.isEmpty {
      let first = part.lowerBound
      if symbol(first) == UInt8(ascii: "*") || source.is(tokens[first], "**") { return nil }
      if tokens[first].kind == .name, part.count > 1, symbol(first + 1) == UInt8(ascii: "=") {
        found.append(Argument(keyword: source.string(of: tokens[first]), range: first + 2..<part.upperBound))
      } else {
        found.append(Argument(keyword: nil, range: part))
      }
    }
    return found
  }

  /// The index of the bracket that closes the one at an index.
  private func closing(of open: Int) -> Int? {
    var depth = 0
    for index in open..<min(tokens.count, open + Self.maximumArgumentTokens) {
      switch tokens[index].symbol {
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
        depth -= 1
        if depth == 0 { return index }
      default: break
      }
    }
    return nil
  }

  /// The parts between the separators that stand in no inner bracket.
  private func split(_ range: Range<Int>, at separator: UInt8) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var depth = 0
    var begin = range.lowerBound
    for index in range {
      switch tokens[index].symbol {
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      case separator where depth == 0:
        parts.append(begin..<index)
        begin = index + 1
      default: break
      }
    }
    parts.append(begin..<range.upperBound)
    return parts
  }

  /// The text of an argument that is nothing but string literals, perhaps in brackets.
  private func literal(_ range: Range<Int>) -> [UInt8]? {
    var range = range
    while range.count > 2, symbol(range.lowerBound) == UInt8(ascii: "("),
      closing(of: range.lowerBound) == range.upperBound - 1
    {
      range = range.lowerBound + 1..<range.upperBound - 1
    }
    guard !range.isEmpty else { return nil }
    return PythonLiteral.text(of: tokens[range], in: source)
  }

  // MARK: - Imports by a call

  /// Looks whether a name is that of a function that imports; if so, follows it.
  @discardableResult
  mutating func scanImportName(at index: Int) -> Bool {
    let token = tokens[index]
    guard names.mayMatter(token, in: source.bytes) else { return false }
    if isMember(index) {
      guard source.is(token, "import_module") else { return scanLoaderMember(at: index) }
      // A method of the file's own.
      let isOwn = index > 1 && (source.is(tokens[index - 2], "self") || source.is(tokens[index - 2], "cls"))
      if !isOwn { scanImportCall(at: index, isBuiltin: false) }
      return true
    }
    switch names.meaning(of: token, in: source) {
    case "importlib.import_module": scanImportCall(at: index, isBuiltin: false)
    case "__import__", "builtins.__import__", "importlib.__import__": scanImportCall(at: index, isBuiltin: true)
    default: return false
    }
    return true
  }

  private mutating func scanLoaderMember(at index: Int) -> Bool {
    guard source.is(tokens[index], "spec_from_file_location") || source.is(tokens[index], "SourceFileLoader") else {
      return false
    }
    remark(tokens[index], "loads a module from a file by a computed path")
    return true
  }

  /// Follows the call of the function at an index.
  private mutating func scanImportCall(at index: Int, isBuiltin: Bool) {
    guard symbol(index + 1) == UInt8(ascii: "(") else {
      // Not called here, but perhaps elsewhere; unless something else is put in its place.
      if symbol(index + 1) != UInt8(ascii: "=") { remark(tokens[index], Self.computedImport) }
      return
    }
    guard let arguments = arguments(at: index + 1) else { return remark(tokens[index], Self.computedImport) }
    guard !arguments.isEmpty else { return }
    func argument(_ position: Int, _ keyword: ByteString) -> Range<Int>? {
      if position < arguments.count, arguments[position].keyword == nil { return arguments[position].range }
      return arguments.first { $0.keyword == keyword }?.range
    }
    let use =
      isBuiltin
      ? builtinUse(argument(0, "name"), argument(3, "fromlist"), argument(4, "level"))
      : moduleUse(argument(0, "name"), package: argument(1, "package"))
    if let use { self.use(use) } else { remark(tokens[index], Self.computedImport) }
  }

  /// What `import_module(name, package)` imports.
  private func moduleUse(_ name: Range<Int>?, package: Range<Int>?) -> References.Use? {
    guard let text = name.flatMap(literal) else { return nil }
    let level = text.prefix { $0 == UInt8(ascii: ".") }.count
    guard let path = Self.parts(text[level...], mayBeEmpty: level > 0) else { return nil }
    guard level > 0 else { return .module(path: path, level: 0, names: []) }
    guard let package else { return nil }
    if package.count == 1 {
      let token = tokens[package.lowerBound]
      if source.is(token, "__package__") || source.is(token, "__name__") {
        return .module(path: path, level: level, names: [])
      }
    }
    guard let base = literal(package).flatMap({ Self.parts($0[...], mayBeEmpty: false) }), base.count >= level else {
      return nil
    }
    return .module(path: base.dropLast(level - 1) + path, level: 0, names: [])
  }

  /// What `__import__(name, globals, locals, fromlist, level)` imports.
  private func builtinUse(_ name: Range<Int>?, _ list: Range<Int>?, _ level: Range<Int>?) -> References.Use? {
    var number = 0
    if let level {
      guard level.count == 1, let value = smallNumber(level.lowerBound) else { return nil }
      number = value
    }
    var members: [ByteString] = []
    if let list, !(list.count == 1 && tokens[list.lowerBound].keyword == .noneValue) {
      guard symbol(list.lowerBound) == UInt8(ascii: "[") || symbol(list.lowerBound) == UInt8(ascii: "("),
        closing(of: list.lowerBound) == list.upperBound - 1
      else { return nil }
      for part in split(list.lowerBound + 1..<list.upperBound - 1, at: UInt8(ascii: ",")) where !part.isEmpty {
        guard let text = literal(part) else { return nil }
        if !text.isEmpty { members.append(ByteString(bytes: text)) }
      }
    }
    guard let text = name.flatMap(literal), let path = Self.parts(text[...], mayBeEmpty: number > 0) else { return nil }
    return .module(path: path, level: number, names: members)
  }

  /// The number 0…99 that a token is.
  private func smallNumber(_ index: Int) -> Int? {
    guard tokens[index].kind == .number, tokens[index].count <= 2 else { return nil }
    return Int(String(decoding: source.text(of: tokens[index]), as: UTF8.self))
  }

  /// The parts of a dotted name; `nil` where one cannot be a file's name.
  private static func parts(_ text: ArraySlice<UInt8>, mayBeEmpty: Bool) -> [ByteString]? {
    if text.isEmpty { return mayBeEmpty ? [] : nil }
    var parts: [ByteString] = []
    for part in text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
      guard !part.isEmpty, !part.contains(UInt8(ascii: "/")), !part.contains(0) else { return nil }
      parts.append(ByteString(part))
    }
    return parts
  }

  // MARK: - exec

  /// Notes the `exec(open("x.py").read())` of one statement.
  private mutating func scanExecution(at index: Int) {
    guard symbol(index + 1) == UInt8(ascii: "("), index >= executionEnd else { return }
    executionEnd = statementEnd(from: index)
    var opens = false
    var reads = false
    for token in tokens[index..<executionEnd] where token.kind == .name {
      if source.is(token, "open") { opens = true }
      if source.is(token, "read") { reads = true }
      if source.is(token, "read_text") || source.is(token, "read_bytes") { (opens, reads) = (true, true) }
    }
    if opens && reads {
      remark(tokens[index], "executes the text of another file")
    } else if arguments(at: index + 1)?.first.map({ literal($0.range) == nil }) ?? true {
      remark(tokens[index], "executes text that is computed")
    }
  }

  // MARK: - __path__

  /// Notes that a package changes where its modules are looked for; but for the old way of spreading one over folders.
  private mutating func scanPackagePath(at index: Int) {
    guard index + 1 < tokens.count else { return }
    let isItem = tokens[index + 1].isSymbol("[")
    if tokens[index + 1].isSymbol(".") {
      // Reading it is nothing.
      let methods: [StaticString] = ["append", "insert", "extend"]
      guard index + 2 < tokens.count, methods.contains(where: { source.is(tokens[index + 2], $0) }) else { return }
    } else {
      guard isItem || tokens[index + 1].isSymbol("=") || source.is(tokens[index + 1], "+=") else { return }
    }
    if index >= packageStatement.end {
      // Looked through once, however often the name stands in it.
      let end = statementEnd(from: index)
      packageStatement.end = end
      packageStatement.isSpread = tokens[index..<end].contains { source.is($0, "extend_path") }
      packageStatement.isAssignment = tokens[index..<end].contains { $0.isSymbol("=") }
    }
    if packageStatement.isSpread || isItem && !packageStatement.isAssignment { return }
    remark(tokens[index], "changes __path__, by which the package's modules are found")
  }

  // MARK: - __all__

  /// Gathers the literals of a statement that begins with `__all__`, or gives it a value.
  private mutating func scanExports(at index: Int) {
    guard index >= exportsEnd, index + 1 < tokens.count else { return }
    let next = tokens[index + 1]
    if next.isSymbol(".") {
      guard index + 3 < tokens.count, symbol(index + 3) == UInt8(ascii: "(") else { return }
      let method = tokens[index + 2]
      guard source.is(method, "extend") || source.is(method, "append") || source.is(method, "insert") else { return }
    } else {
      guard next.isSymbol("=") || next.isSymbol(":") || source.is(next, "+=") else { return }
    }
    exportsEnd = statementEnd(from: index)
    if tokens[(index + 1)..<exportsEnd].contains(where: isComputedExport) { export("*") }
    var run = index
    while run < exportsEnd {
      let begin = run
      while run < exportsEnd, tokens[run].kind == .string { run += 1 }
      if run == begin {
        run += 1
      } else if let text = PythonLiteral.text(of: tokens[begin..<run], in: source) {
        // A name has no blanks: several stand in `"a b".split()`.
        for name in text.split(whereSeparator: { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }) {
          export(ByteString(name))
        }
      }
    }
  }

  /// Whether a token of a list of names says that there may be others.
  private func isComputedExport(_ token: PythonToken) -> Bool {
    if token.kind == .formattedString { return true }
    guard token.kind == .name, token.keyword == nil else { return token.keyword == .for }
    return !Self.listWords.contains(source.string(of: token))
  }

  private static let listWords: Set<ByteString> = [
    "__all__", "extend", "append", "insert", "list", "tuple", "List", "Tuple", "Sequence", "str", "split", "typing",
  ]

  // MARK: - sys.path

  /// Follows `sys.path += […]`, `sys.path = […] + sys.path` and `sys.path[:0] = […]`; `false` if it is none of them.
  private mutating func scanPathAssignment(from index: Int, to end: Int) -> Bool {
    var end = end
    if symbol(end) == UInt8(ascii: "["), let close = closing(of: end) { end = close + 1 }
    if end < tokens.count, tokens[end].kind == .newline || tokens[end].isSymbol(";"), index > 0,
      tokens[index - 1].isSymbol("="), symbol(end - 1) != UInt8(ascii: "]")
    {
      // From here on it may be changed by another name.
      remark(tokens[index], Self.computedPath)
      return true
    }
    guard end < tokens.count, tokens[end].isSymbol("=") || source.is(tokens[end], "+=") else {
      // Methods come later.
      if symbol(end) == UInt8(ascii: ".") { return false }
      // A sum is another list.
      let isSum = symbol(end) == UInt8(ascii: "+")
      if !isSum, !isReadOnly(index, symbol(end - 1) == UInt8(ascii: "]")) { remark(tokens[index], Self.computedPath) }
      return true
    }
    // Not a keyword argument.
    guard PythonImports.isBegin(index, in: tokens) || index > 0 && tokens[index - 1].isSymbol("=") else { return false }
    addFolders(end + 1..<statementEnd(from: end), index)
    return true
  }

  /// Whether `sys.path` is only looked at here: searched, counted, printed, copied.
  private func isReadOnly(_ index: Int, _ isPart: Bool) -> Bool {
    guard index > 0 else { return true }
    if isPart { return true }
    let previous = tokens[index - 1]
    if previous.keyword == .in || previous.isSymbol("+") || previous.isSymbol("*") { return true }
    guard previous.isSymbol("("), index > 1, tokens[index - 2].kind == .name else { return false }
    return Self.readers.contains(source.string(of: tokens[index - 2]))
  }

  private static let readers: Set<ByteString> = [
    "len", "print", "list", "tuple", "set", "str", "repr", "sorted", "enumerate", "any", "all", "join", "pprint", "map",
    "filter", "reversed", "iter", "frozenset", "copy", "deepcopy", "debug", "info", "dumps",
  ]

  private mutating func addFolder(_ argument: Argument?, _ index: Int) {
    guard let argument, argument.keyword == nil || argument.keyword == "object",
      let (path, base) = paths.folder(argument.range)
    else { return remark(tokens[index], Self.computedPath) }
    use(.searchFolder(path, from: base))
  }

  /// Adds the folders of a sum of lists, of which `sys.path` itself may be one.
  private mutating func addFolders(_ range: Range<Int>?, _ index: Int) {
    guard let range, range.count <= Self.maximumArgumentTokens else {
      return remark(tokens[index], Self.computedPath)
    }
    for term in split(range, at: UInt8(ascii: "+")) {
      let first = term.lowerBound
      if isSearchPath(term) { continue }
      guard symbol(first) == UInt8(ascii: "[") || symbol(first) == UInt8(ascii: "("),
        closing(of: first) == term.upperBound - 1
      else {
        remark(tokens[index], Self.computedPath)
        continue
      }
      for part in split(first + 1..<term.upperBound - 1, at: UInt8(ascii: ",")) where !part.isEmpty {
        let isSpread = symbol(part.lowerBound) == UInt8(ascii: "*")
        if isSpread, isSearchPath(part.lowerBound + 1..<part.upperBound) { continue }
        addFolder(isSpread ? nil : Argument(keyword: nil, range: part), index)
      }
    }
  }

  /// Whether tokens are `sys.path`, or a part or copy of it, or a name that only such a copy was put away in.
  private mutating func isSearchPath(_ range: Range<Int>, mayBeName: Bool = true) -> Bool {
    guard let first = range.first, tokens[first].kind == .name else { return false }
    if source.is(tokens[first], "list"), range.count > 2, symbol(first + 1) == UInt8(ascii: "(") {
      return isSearchPath(first + 2..<range.upperBound - 1, mayBeName: false)
    }
    var end = first + 1
    switch names.meaning(of: tokens[first], in: source) {
    case "sys.path": break
    case "sys":
      guard range.count > 2, symbol(end) == UInt8(ascii: "."), source.is(tokens[end + 1], "path") else { return false }
      end += 2
    default:
      guard mayBeName, range.count == 1, let value = paths.onlyValue(of: tokens[first]) else { return false }
      return isSearchPath(value, mayBeName: false)
    }
    if end == range.upperBound || symbol(end) == UInt8(ascii: "[") { return true }
    return end + 1 < range.upperBound && symbol(end) == UInt8(ascii: ".") && source.is(tokens[end + 1], "copy")
  }
}
