import PurserModel

/// Works out the paths that expressions give: literals, `__file__`, and what `os.path` and `pathlib` make of them.
struct PythonPaths {
  let source: PythonTokens
  let tokens: [PythonToken]
  var names = PythonNames()
  /// Made when a name is first asked for.
  private var assignments: PythonAssignments?
  /// What names were found to give; `nil` inside for those that cannot be told, and while they are worked out.
  private var known: [ByteString: Value?] = [:]
  private var depth = 0

  /// Deeper expressions are not followed.
  private static let maximumDepth = 64

  init(source: PythonTokens, tokens: [PythonToken]) {
    self.source = source
    self.tokens = tokens
  }

  /// What an expression, or a part of it, gives.
  private enum Value {
    /// A module, or something in it.
    case name(String)
    /// A string literal.
    case text([UInt8])
    case path(PythonPath)
    /// `path.parents`.
    case parents(PythonPath)
    /// `os.path.split(path)`.
    case halves(PythonPath)
  }

  /// The folder that an expression gives: a literal as it is written, all else in normal form. `nil` if that cannot be
  /// told.
  mutating func folder(_ range: Range<Int>) -> (path: ByteString, base: References.Base)? {
    switch value(of: range) {
    case .text(let text):
      guard !text.contains(0) else { return nil }
      return (text.isEmpty ? "." : ByteString(bytes: text), .workingDirectory)
    case .path(let path): return path.folder
    default: return nil
    }
  }

  /// The tokens of the value of a name that is given only one.
  mutating func onlyValue(of token: PythonToken) -> Range<Int>? {
    let assignments = self.assignments ?? PythonAssignments(tokens, source)
    self.assignments = assignments
    return assignments.onlyValue(of: source.string(of: token))
  }

  private mutating func value(of range: Range<Int>) -> Value? {
    var index = range.lowerBound
    guard let value = sum(&index, range.upperBound), index == range.upperBound else { return nil }
    return value
  }

  // MARK: - Expressions

  private func symbol(_ index: Int, _ end: Int) -> UInt8 { index < end ? tokens[index].symbol : 0 }

  private mutating func sum(_ index: inout Int, _ end: Int) -> Value? {
    guard depth < Self.maximumDepth else { return nil }
    depth += 1
    defer { depth -= 1 }
    guard var left = quotient(&index, end) else { return nil }
    while symbol(index, end) == UInt8(ascii: "+") {
      index += 1
      guard case .text(let right)? = quotient(&index, end) else { return nil }
      switch left {
      case .text(let text):
        guard text.count + right.count <= Self.maximumText else { return nil }
        left = .text(text + right)
      case .path(var path):
        guard path.concatenate(right) else { return nil }
        left = .path(path)
      default: return nil
      }
    }
    return left
  }

  /// No path is longer.
  private static let maximumText = 4_096

  private mutating func quotient(_ index: inout Int, _ end: Int) -> Value? {
    guard var left = operand(&index, end) else { return nil }
    while symbol(index, end) == UInt8(ascii: "/") {
      index += 1
      guard let right = operand(&index, end), let joined = Self.join([left, right]) else { return nil }
      left = joined
    }
    return left
  }

  private mutating func operand(_ index: inout Int, _ end: Int) -> Value? {
    guard var value = atom(&index, end) else { return nil }
    while index < end {
      switch tokens[index].symbol {
      case UInt8(ascii: "."):
        guard index + 1 < end, tokens[index + 1].kind == .name else { return nil }
        let member = source.string(of: tokens[index + 1])
        index += 2
        guard let next = self.member(member, of: value, &index, end) else { return nil }
        value = next
      case UInt8(ascii: "("):
        guard case .name(let function) = value, let arguments = arguments(&index, end),
          let result = Self.apply(function, arguments)
        else { return nil }
        value = result
      case UInt8(ascii: "["):
        guard index + 2 < end, tokens[index + 1].kind == .number, tokens[index + 1].count <= 2,
          tokens[index + 2].isSymbol("]"),
          let number = Int(String(decoding: source.text(of: tokens[index + 1]), as: UTF8.self))
        else { return nil }
        index += 3
        switch value {
        case .parents(var path):
          for _ in 0...number { path.removeLast() }
          value = .path(path)
        case .halves(var path) where number == 0:
          path.removeLast()
          value = .path(path)
        default: return nil
        }
      default:
        return value
      }
    }
    return value
  }

  private mutating func atom(_ index: inout Int, _ end: Int) -> Value? {
    guard index < end else { return nil }
    let token = tokens[index]
    switch token.kind {
    case .string:
      let begin = index
      while index < end, tokens[index].kind == .string { index += 1 }
      return PythonLiteral.text(of: tokens[begin..<index], in: source).flatMap {
        $0.count <= Self.maximumText ? .text($0) : nil
      }
    case .name where token.keyword == nil:
      index += 1
      return name(token)
    case .operator where token.isSymbol("("):
      index += 1
      guard let value = sum(&index, end), symbol(index, end) == UInt8(ascii: ")") else { return nil }
      index += 1
      return value
    default:
      return nil
    }
  }

  /// What a name stands for: what it was imported as, or what the only assignment to it gives.
  private mutating func name(_ token: PythonToken) -> Value? {
    if source.is(token, "__file__") { return .path(.ownFile) }
    let name = source.string(of: token)
    if let value = known[name] { return value }
    let assignments = self.assignments ?? PythonAssignments(tokens, source)
    self.assignments = assignments
    var value: Value?
    if let range = assignments.onlyValue(of: name) {
      known[name] = .some(nil)
      value = self.value(of: range)
    } else if !assignments.isAssigned(name) {
      value = names.meaning(of: token, in: source).map { Self.constant($0) ?? .name($0) }
    }
    known[name] = .some(value)
    return value
  }

  // MARK: - os.path and pathlib

  private static func constant(_ path: String) -> Value? {
    switch path {
    case "os.curdir", "os.path.curdir": .text([UInt8(ascii: ".")])
    case "os.pardir", "os.path.pardir": .text(Array("..".utf8))
    case "os.sep", "os.path.sep": .text([UInt8(ascii: "/")])
    default: nil
    }
  }

  private mutating func member(_ name: ByteString, of value: Value, _ index: inout Int, _ end: Int) -> Value? {
    guard case .name(let module) = value else { return method(name, of: value, &index, end) }
    let path = module + "." + name.escaped
    return Self.constant(path) ?? .name(path)
  }

  /// Attributes and methods of a path object.
  private mutating func method(_ name: ByteString, of value: Value, _ index: inout Int, _ end: Int) -> Value? {
    guard case .path(var path) = value else { return nil }
    switch name {
    case "parent":
      path.removeLast()
      return .path(path)
    case "parents":
      return .parents(path)
    case "resolve", "absolute", "as_posix", "expanduser", "joinpath":
      guard let arguments = arguments(&index, end) else { return nil }
      if name == "joinpath" { return Self.join([value] + arguments) }
      if name == "resolve" { path.makeAbsolute() }
      if name == "absolute" { path.isRooted = true }
      return .path(path)
    default:
      return nil
    }
  }

  /// The values of the positional arguments of a call; named ones of one token are passed over.
  private mutating func arguments(_ index: inout Int, _ end: Int) -> [Value]? {
    guard symbol(index, end) == UInt8(ascii: "(") else { return nil }
    index += 1
    var values: [Value] = []
    while symbol(index, end) != UInt8(ascii: ")") {
      if index + 3 < end, tokens[index].kind == .name, tokens[index + 1].isSymbol("=") {
        index += 3
      } else {
        guard let value = sum(&index, end) else { return nil }
        values.append(value)
      }
      if symbol(index, end) == UInt8(ascii: ",") {
        index += 1
      } else if symbol(index, end) != UInt8(ascii: ")") {
        return nil
      }
    }
    index += 1
    return values
  }

  private static func apply(_ function: String, _ arguments: [Value]) -> Value? {
    switch function {
    case "os.getcwd", "pathlib.Path.cwd":
      return arguments.isEmpty ? .path(PythonPath(base: .workingDirectory, isRooted: true)) : nil
    case "os.path.join":
      return join(arguments)
    case "pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath", "pathlib.PurePosixPath":
      return arguments.isEmpty ? .path(PythonPath(text: [])) : join(arguments)
    default:
      guard arguments.count == 1, var path = path(arguments[0]) else { return nil }
      switch function {
      case "str", "os.fspath":
        return arguments[0]
      case "os.path.expanduser":
        return path.base == .ownFolder ? .path(path) : nil
      case "os.path.dirname":
        path.removeLast()
      case "os.path.split":
        return .halves(path)
      case "os.path.abspath", "os.path.realpath":
        path.makeAbsolute()
      case "os.path.normpath":
        path.normalize()
      default:
        return nil
      }
      return .path(path)
    }
  }

  private static func path(_ value: Value) -> PythonPath? {
    switch value {
    case .path(let path): path
    case .text(let text): PythonPath(text: text)
    default: nil
    }
  }

  private static func join(_ values: [Value]) -> Value? {
    guard let first = values.first, var joined = path(first) else { return nil }
    for value in values.dropFirst() {
      switch value {
      case .text(let text):
        guard joined.join(text) else { return nil }
      case .path(let path):
        // An absolute path takes the place of all before it.
        guard path.isRooted else { return nil }
        joined = path
      default:
        return nil
      }
    }
    return .path(joined)
  }
}
