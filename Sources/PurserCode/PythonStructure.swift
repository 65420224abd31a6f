/// Finds common syntax errors that the lexer does not: a modest check, without a grammar.
///
/// What it refuses, no Python from 3.8 to 3.14 accepts; it says nothing where it is not sure. So a user is told of most
/// errors, and a program that runs is never called broken.
package struct PythonStructure {
  private let source: PythonTokens
  /// What the last statement of each open block began with.
  private var blocks: [PythonKeyword?] = [nil]

  private init(_ source: PythonTokens) {
    self.source = source
  }

  /// Throws the first error that it finds. O(tokens).
  package static func check(_ source: PythonTokens) throws(PythonSyntaxError) {
    var structure = PythonStructure(source)
    try structure.check()
  }

  private mutating func check() throws(PythonSyntaxError) {
    let tokens = source.tokens
    var index = 0
    var opensBlock = false
    while index < tokens.count {
      let token = tokens[index]
      switch token.kind {
      case .indent:
        guard opensBlock else { throw error(token, "a line is indented, and no block begins before it") }
        opensBlock = false
        blocks.append(nil)
        index += 1
      case _ where opensBlock:
        throw error(tokens[index - 1], "a line ends with ':', and no block follows it")
      case .dedent:
        try leaveStatement(before: token, keyword: nil)
        if blocks.count > 1 { blocks.removeLast() }
        index += 1
      case .endOfFile:
        try leaveStatement(before: token, keyword: nil)
        return
      default:
        try beginStatement(at: index)
        index = try checkLine(from: index)
        opensBlock = index >= 2 && tokens[index - 2].isSymbol(":")
      }
    }
  }

  private func error(_ token: PythonToken, _ message: String) -> PythonSyntaxError {
    PythonSyntaxError(line: token.line, message)
  }

  // MARK: - Statements

  /// Checks what a logical line begins with against the statement before it.
  private mutating func beginStatement(at index: Int) throws(PythonSyntaxError) {
    let token = source.tokens[index]
    try leaveStatement(before: token, keyword: token.keyword)
    guard Self.canFollow(token.keyword, blocks[blocks.count - 1]) else {
      throw error(token, "'\(text(token))' follows nothing that it can belong to")
    }
    // Of `async`, what it makes asynchronous.
    blocks[blocks.count - 1] = token.keyword == .async ? source.tokens[index + 1].keyword : token.keyword
  }

  /// Whether a statement that begins with a keyword can stand behind one that began with another, or with none.
  private static func canFollow(_ keyword: PythonKeyword?, _ previous: PythonKeyword?) -> Bool {
    switch keyword {
    case .elif: previous == .if || previous == .elif
    case .else:
      switch previous {
      case .if, .elif, .for, .while, .except: true
      default: false
      }
    case .except: previous == .try || previous == .except
    case .finally: previous == .try || previous == .except || previous == .else
    default: true
    }
  }

  private func leaveStatement(before token: PythonToken, keyword: PythonKeyword?) throws(PythonSyntaxError) {
    guard blocks[blocks.count - 1] == .try, keyword != .except, keyword != .finally else { return }
    throw error(token, "'try' has neither 'except' nor 'finally' before this line")
  }

  /// Checks a logical line, and returns the index behind its end.
  private func checkLine(from start: Int) throws(PythonSyntaxError) -> Int {
    let tokens = source.tokens
    let first = tokens[start]
    var depth = 0
    // Colons outside of brackets, without those of lambdas.
    var colons = 0
    var hasLambda = false
    var statement = start
    var index = start
    while tokens[index].kind != .newline, index + 1 < tokens.count {
      let token = tokens[index]
      let next = tokens[index + 1]
      if index == statement { try checkBegin(token, next) }
      try checkPair(token, next, isBegin: index == statement)
      if token.kind == .string, let message = PythonEscapes.error(in: source.bytes, token.range) {
        throw error(token, message)
      }
      switch token.symbol {
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      case UInt8(ascii: ":") where depth == 0:
        colons += 1
        if colons == 1, Self.begins(first.keyword), next.kind != .newline { statement = index + 1 }
      case UInt8(ascii: ";") where depth == 0:
        if next.kind != .newline { statement = index + 1 }
      case UInt8(ascii: ",") where depth == 0:
        if tokens[statement].keyword == .raise, !hasLambda {
          throw error(token, "a ',' stands in a 'raise' statement")
        }
      default:
        if depth == 0, token.keyword == .lambda {
          colons -= 1
          hasLambda = true
        }
      }
      index += 1
    }
    if Self.begins(first.keyword) {
      if colons <= 0 { throw error(first, "':' is missing after '\(first.keyword?.text ?? "")'") }
    } else if tokens[index - 1].isSymbol(":"), !source.is(first, "match"), !source.is(first, "case") {
      throw error(tokens[index - 1], "a line ends with ':', and begins no block")
    }
    return index + 1
  }

  /// Whether it begins a statement that has a block.
  private static func begins(_ keyword: PythonKeyword?) -> Bool {
    switch keyword {
    case .if, .elif, .else, .while, .for, .try, .except, .finally, .with, .def, .class, .async: true
    default: false
    }
  }

  private func checkBegin(_ token: PythonToken, _ next: PythonToken) throws(PythonSyntaxError) {
    switch token.keyword {
    case .else, .try, .finally:
      guard next.isSymbol(":") else { throw error(token, "':' is missing after '\(token.keyword?.text ?? "")'") }
    case nil where token.kind == .operator:
      switch token.symbol {
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: "-"), UInt8(ascii: "+"),
        UInt8(ascii: "~"), UInt8(ascii: "*"), UInt8(ascii: "@"):
        return
      default:
        if source.is(token, "...") { return }
        throw error(token, "a statement begins with '\(text(token))'")
      }
    default:
      return
    }
  }

  private func text(_ token: PythonToken) -> String { String(decoding: source.text(of: token), as: UTF8.self) }

  // MARK: - Neighbours

  /// Checks two tokens of which one follows the other in a line.
  private func checkPair(
    _ token: PythonToken, _ next: PythonToken, isBegin: Bool
  ) throws(PythonSyntaxError) {
    if endsOperand(token) {
      guard startsOperand(next) else { return }
      if isString(token), isString(next) {
        guard isBytes(token) == isBytes(next) else { throw error(next, "bytes and text stand side by side") }
        return
      }
      if isBegin, source.is(token, "match") || source.is(token, "case") || source.is(token, "type") { return }
      throw error(next, "two expressions stand side by side")
    }
    if token.keyword == .async {
      guard next.keyword == .def || next.keyword == .for || next.keyword == .with else {
        throw error(token, "'async' is followed by neither 'def', 'for' nor 'with'")
      }
    } else if needsOperand(token), endsExpression(next) || isOnlyBinary(next) {
      throw error(token, "nothing follows '\(text(token))' that it could apply to")
    }
  }

  private func isString(_ token: PythonToken) -> Bool { token.kind == .string || token.kind == .formattedString }

  private func isBytes(_ token: PythonToken) -> Bool { PythonEscapes.isBytes(source.bytes, token.range) }

  private func isName(_ token: PythonToken) -> Bool {
    guard token.kind == .name else { return false }
    switch token.keyword {
    case nil, .noneValue, .true, .false: return true
    default: return false
    }
  }

  private func endsOperand(_ token: PythonToken) -> Bool {
    switch token.kind {
    case .name: isName(token)
    case .number, .string, .formattedString: true
    case .operator: token.isSymbol(")") || token.isSymbol("]") || token.isSymbol("}")
    default: false
    }
  }

  private func startsOperand(_ token: PythonToken) -> Bool {
    switch token.kind {
    case .name: isName(token) || token.keyword == .lambda
    case .number, .string, .formattedString: true
    case .operator: token.isSymbol("{")
    default: false
    }
  }

  /// Whether something must follow it that has a value. Not `*`, `**` and `/`, which may end a list of parameters.
  private func needsOperand(_ token: PythonToken) -> Bool {
    switch token.kind {
    case .name:
      switch token.keyword {
      case .and, .or, .not, .in, .is, .if, .elif, .while, .as, .assert, .del, .import: true
      default: false
      }
    case .operator:
      switch token.symbol {
      case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "%"), UInt8(ascii: "&"), UInt8(ascii: "|"),
        UInt8(ascii: "^"), UInt8(ascii: "~"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "="),
        UInt8(ascii: "."), UInt8(ascii: "@"):
        true
      case 0: !source.is(token, "...") && !source.is(token, "**")
      default: false
      }
    default: false
    }
  }

  private func endsExpression(_ token: PythonToken) -> Bool {
    switch token.kind {
    case .newline: true
    case .operator:
      switch token.symbol {
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: ","), UInt8(ascii: ";"): true
      default: false
      }
    default: false
    }
  }

  /// Whether it is an operator that nothing begins with.
  private func isOnlyBinary(_ token: PythonToken) -> Bool {
    guard token.kind == .operator else { return false }
    switch token.symbol {
    case UInt8(ascii: "/"), UInt8(ascii: "%"), UInt8(ascii: "&"), UInt8(ascii: "|"), UInt8(ascii: "^"),
      UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "="), UInt8(ascii: "@"):
      return true
    case 0: return !source.is(token, "...") && !source.is(token, "**")
    default: return false
    }
  }
}
