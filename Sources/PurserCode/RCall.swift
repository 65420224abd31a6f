import PurserModel

/// A function whose calls are of interest.
enum RCallee: UInt8 {
  /// `source`, `sys.source`
  case source
  case sourceCpp
  case sourceURL
  /// `lapply` and its like.
  case apply
  case doCall
  case loadAll
  case boxUse
  case here
  case filePath
  /// `c`, `list`
  case vector
  case url

  static func table() -> Table { Table() }

  /// The names, by their first byte.
  struct Table {
    private struct Name {
      var name: StaticString
      /// The packages that may be named before it; "" where none has to be.
      var packages: [StaticString]
      var callee: RCallee
    }

    private var names: [[Name]] = Array(repeating: [], count: 128)

    fileprivate init() {
      add(["source", "sys.source"], ["", "base"], .source)
      add(["sourceCpp"], ["", "Rcpp"], .sourceCpp)
      add(["source_url"], ["", "devtools"], .sourceURL)
      add(["lapply", "sapply", "vapply", "mapply", "Map"], ["", "base"], .apply)
      add(["map", "walk"], ["", "purrr"], .apply)
      add(["do.call", "match.fun"], ["", "base"], .doCall)
      add(["load_all"], ["", "devtools", "pkgload"], .loadAll)
      add(["use"], ["box"], .boxUse)
      add(["here"], ["", "here"], .here)
      add(["file.path"], ["", "base"], .filePath)
      add(["c", "list"], ["", "base"], .vector)
      add(["url"], ["", "base"], .url)
    }

    private mutating func add(_ list: [StaticString], _ packages: [StaticString], _ callee: RCallee) {
      for name in list {
        let first = name.withUTF8Buffer { $0[0] }
        names[Int(first)].append(Name(name: name, packages: packages, callee: callee))
      }
    }

    func callee(_ range: Range<Int>, package: Range<Int>, in lexer: RLexer) -> RCallee? {
      guard let first = range.first, lexer.bytes[first] < 128 else { return nil }
      for name in names[Int(lexer.bytes[first])] where lexer.matches(range, name.name) {
        for allowed in name.packages where lexer.matches(package, allowed) { return name.callee }
      }
      return nil
    }
  }
}

/// A call that is of interest, while its arguments are read.
struct RCall {
  static let computedPath = "sources a file by a computed path"

  /// What is known of an argument, or of what a call returns.
  enum Value {
    case empty
    /// A single name; whether it is the function `source`.
    case name(Range<Int>, isSource: Bool)
    /// A string, as it stands there.
    case text(ByteString)
    /// What `here` or `file.path` put together.
    case path(ByteString, References.Base)
    case paths([(ByteString, References.Base)])
    case network
    /// A call whose result is not there yet.
    case waiting
    case other

    var isEmpty: Bool {
      if case .empty = self { true } else { false }
    }
  }

  let callee: RCallee
  /// How many brackets are open within it.
  let depth: Int
  let line: Int
  let place: Int

  private var value = Value.empty
  private var argument: ByteString?

  /// The first argument without a name, and the one by the name of the first parameter.
  private var first = Value.empty
  private var named = Value.empty
  private var hasFunction = false
  private var hasCode = false
  private var positions = 0
  /// Of a call that puts parts together.
  private var parts: [ByteString] = []
  private var elements: [(ByteString, References.Base)] = []
  private var base = References.Base.workingDirectory
  private var isComputed = false
  private var module = RModulePath()
  private var modules: [ReferenceList.Entry] = []

  init(callee: RCallee, depth: Int, line: Int, place: Int) {
    self.callee = callee
    self.depth = depth
    self.line = line
    self.place = place
  }

  /// Whether what a call within this one returns is looked at. So few may stand within each other that their results
  /// cannot grow with the depth.
  func accepts(_ inner: RCallee, within outer: RCallee?) -> Bool {
    switch (callee, inner) {
    case (.source, .here), (.source, .filePath), (.source, .url), (.sourceCpp, .here), (.sourceCpp, .filePath),
      (.apply, .vector), (.apply, .here), (.apply, .filePath), (.vector, .here), (.vector, .filePath):
      isName
    case (.here, .filePath), (.filePath, .here): outer != inner && isName
    default: false
    }
  }

  private var isName: Bool {
    if case .name = value { true } else { false }
  }

  // MARK: Tokens of an argument

  mutating func take(name range: Range<Int>, package: Range<Int>, _ callee: RCallee?, _ lexer: RLexer) {
    if self.callee == .boxUse { module.take(name: lexer.bytes[range], isQualified: !package.isEmpty) }
    value = value.isEmpty ? .name(range, isSource: callee == .source && !lexer.matches(range, "sys.source")) : .other
  }

  mutating func take(string range: Range<Int>, isRaw: Bool, _ lexer: RLexer) {
    if self.callee == .boxUse { module.spoil() }
    guard value.isEmpty, let text = lexer.text(range, isRaw: isRaw) else { return value = .other }
    value = .text(text)
  }

  mutating func take(symbol byte: UInt8) {
    if callee == .boxUse { module.take(symbol: byte) }
    value = .other
  }

  mutating func take(open byte: UInt8) {
    if callee == .boxUse { module.take(open: byte) }
    value = .other
  }

  mutating func takeOther() {
    if callee == .boxUse { module.spoil() }
    value = .other
  }

  /// The name before was not a value, but a call.
  mutating func take(call: RCallee, isKept: Bool) {
    if callee == .boxUse { module.spoil() }
    value = isKept && isName ? .waiting : .other
  }

  mutating func take(result: Value) {
    if case .waiting = value { value = result } else { value = .other }
  }

  /// What stands before `=` is the name of the argument.
  mutating func takeEquals(_ lexer: RLexer) {
    module = RModulePath()
    switch value {
    case .name(let range, _) where argument == nil: argument = ByteString(lexer.bytes[range])
    case .text(let text) where argument == nil: argument = text
    default: return value = .other
    }
    value = .empty
  }

  // MARK: Arguments

  mutating func finishArgument(_ lexer: RLexer) {
    let value = value
    let name = argument
    self.value = .empty
    argument = nil
    if callee == .boxUse {
      finishModule()
      return
    }
    guard !(value.isEmpty && name == nil) else { return }
    switch callee {
    case .source, .sourceCpp, .sourceURL, .url, .doCall: takeFirst(value, name)
    case .apply: takeApplied(value, name)
    case .here, .filePath: takePart(value, name)
    case .vector:
      switch value {
      case _ where elements.count >= Self.maximumParts: isComputed = true
      case .text(let text): elements.append((text, .workingDirectory))
      case .path(let path, let base): elements.append((path, base))
      default: isComputed = true
      }
    case .loadAll, .boxUse: break
    }
  }

  private mutating func takeFirst(_ value: Value, _ name: ByteString?) {
    guard let name else {
      if positions == 0 { first = value }
      positions += 1
      return
    }
    switch name {
    case "file", "fil", "fi", "f", "what": named = value
    case "code": hasCode = true
    default: break
    }
  }

  private mutating func takeApplied(_ value: Value, _ name: ByteString?) {
    if case .name(_, isSource: true) = value {
      hasFunction = true
      return
    }
    guard let name else {
      if case .text("source") = value, positions > 0, !hasFunction {
        hasFunction = true
      } else if positions == 0 {
        first = value
      }
      positions += 1
      return
    }
    switch name {
    case "X", ".x": named = value
    case "FUN", ".f", "f":
      if case .text("source") = value { hasFunction = true }
    default: break
    }
  }

  /// More parts of a path, or elements of a list, count as computed.
  private static let maximumParts = 1_000

  private mutating func takePart(_ value: Value, _ name: ByteString?) {
    guard parts.count < Self.maximumParts else { return isComputed = true }
    switch value {
    case .text(let text) where name == nil: parts.append(text)
    case .path(let path, .workingDirectory) where name == nil: parts.append(path)
    case .path(let path, .here) where name == nil && parts.isEmpty && callee == .filePath:
      base = .here
      if !path.isEmpty { parts.append(path) }
    default: isComputed = true
    }
  }

  private mutating func finishModule() {
    switch module.target {
    case .none: break
    case .file(let path): modules.append(.file(path, from: .ownFolder))
    case .searched: modules.append(.remark(.init(line: line, "uses a module from where 'box' looks for modules")))
    }
    module = RModulePath()
  }

  // MARK: Results

  /// What the call returns to the one around it.
  var result: Value {
    switch callee {
    case .here where !isComputed: .path(joined, .here)
    case .filePath where !isComputed: .path(joined, base)
    case .vector where !isComputed: .paths(elements)
    case .url:
      if case .text(let text) = file, Self.isURL(text) { .network } else { .other }
    default: .other
    }
  }

  private var joined: ByteString {
    ByteString(bytes: Array(parts.map(\.bytes).joined(separator: [UInt8(ascii: "/")])))
  }

  private var file: Value {
    named.isEmpty ? first : named
  }

  /// What the call uses.
  var entry: ReferenceList.Entry {
    switch callee {
    case .source: entry(of: file)
    case .sourceCpp: hasCode && file.isEmpty ? .nothing : entry(of: file)
    case .sourceURL: network
    case .apply:
      if !hasFunction {
        .nothing
      } else if case .paths(let paths) = file {
        .several(paths.map { entry(path: $0, from: $1) })
      } else {
        entry(of: file)
      }
    case .doCall:
      if case .text("source") = file { remark("passes 'source' to another function") } else { .nothing }
    case .boxUse: .several(modules)
    default: .nothing
    }
  }

  private func entry(of value: Value) -> ReferenceList.Entry {
    switch value {
    case .text(let text): entry(path: text, from: .workingDirectory)
    case .path(let path, let base): entry(path: path, from: base)
    case .network: network
    default: remark(Self.computedPath)
    }
  }

  private func entry(path: ByteString, from base: References.Base) -> ReferenceList.Entry {
    if base == .workingDirectory && Self.isURL(path) { return network }
    if path.isEmpty || path.bytes.first == UInt8(ascii: "~") { return remark(Self.computedPath) }
    return .file(path, from: base)
  }

  private var network: ReferenceList.Entry { remark("sources a file from the network") }

  private func remark(_ message: String) -> ReferenceList.Entry {
    .remark(References.Remark(line: line, message))
  }

  private static func isURL(_ path: ByteString) -> Bool {
    let schemes: [ByteString] = ["http://", "https://", "ftp://", "ftps://"]
    return schemes.contains { path.hasPrefix($0) }
  }
}

/// What an argument of `box::use` names: `stats`, `./x`, `name = ../m/x[f, g]`.
struct RModulePath {
  enum Target {
    /// A package, or nothing that can be told.
    case none
    /// The file of a module, from the folder of the script.
    case file(ByteString)
    /// A module of the folders that are set for that.
    case searched
  }

  private enum State { case start, name, slash, done, spoilt }

  private var state = State.start
  private var path: [UInt8] = []
  private var last: [UInt8] = []
  private var isRelative = false
  private var segments = 0

  mutating func take(name: Slice<UnsafeBufferPointer<UInt8>>, isQualified: Bool) {
    guard state == .start || state == .slash, !isQualified else { return state = .spoilt }
    last = Array(name)
    if state == .start { isRelative = isDots }
    path += last
    segments += 1
    state = .name
  }

  mutating func take(symbol byte: UInt8) {
    guard state == .name, byte == UInt8(ascii: "/") else { return state = .spoilt }
    path.append(byte)
    state = .slash
  }

  /// The names that are taken from the module are in square brackets.
  mutating func take(open byte: UInt8) {
    state = state == .name && byte == UInt8(ascii: "[") ? .done : .spoilt
  }

  mutating func spoil() {
    state = .spoilt
  }

  private var isDots: Bool { last == [UInt8(ascii: ".")] || last == [UInt8(ascii: "."), UInt8(ascii: ".")] }

  var target: Target {
    guard state == .name || state == .done else { return .none }
    if isRelative { return .file(ByteString(bytes: path) + (isDots ? "/__init__.R" : ".R")) }
    return segments > 1 ? .searched : .none
  }
}
