import PurserModel

/// Finds the files that an R script sources.
///
/// R decides only when it runs what a name stands for. By rule, `source` is the function of that name wherever it is
/// called without another package's prefix, whatever a script may have made of the name.
enum RScanner {
  static func references(in bytes: [UInt8]) -> References {
    bytes.withUnsafeBufferPointer { bytes in
      var reader = RReader(bytes)
      reader.read()
      return reader.list.references()
    }
  }
}

/// Goes over the tokens of a script once. Brackets stand on a stack of single bytes; only calls that are of interest
/// have more, and of those not more than ``maximumCalls`` may be open.
struct RReader {
  private(set) var list = ReferenceList()

  private enum Bracket: UInt8 {
    /// Of a call: `f(`
    case call
    /// Of a function's parameters.
    case parameters
    /// `(a + b)`, `if (a)`
    case group
    case square
    case brace

    /// Those that are written alike.
    var closer: UInt8 {
      switch self {
      case .call, .parameters, .group: UInt8(ascii: ")")
      case .square: UInt8(ascii: "]")
      case .brace: UInt8(ascii: "}")
      }
    }
  }

  /// What stands before a token, as far as it matters.
  private enum Before {
    /// The beginning of a statement, an operator.
    case other
    /// Something that can be called.
    case value
    /// The beginning of a call's argument, or of its value.
    case argument
    case assignment
    case member
    case pipe
    /// `function`, `\`
    case function
  }

  /// A name that is of interest if it is called, and otherwise too where it is `source`.
  private struct Pending {
    var callee: RCallee
    var line: Int
    var before: Before
  }

  private static let maximumCalls = 1_024

  private var lexer: RLexer
  private let callees = RCallee.table()
  private var brackets: [Bracket] = []
  private var openParentheses = 0
  private var openSquares = 0
  private var openBraces = 0
  /// Where the outermost bracket is.
  private var outermost = (line: 0, byte: UInt8(0))
  private var calls: [RCall] = []
  /// That of the innermost call, or -1.
  private var callDepth = -1
  private var before = Before.other
  private var pending: Pending?

  init(_ bytes: UnsafeBufferPointer<UInt8>) {
    lexer = RLexer(bytes)
  }

  mutating func read() {
    var isAtEnd = false
    while !isAtEnd {
      let (token, line) = lexer.next()
      if case .separator(UInt8(ascii: "\n")) = token, !endsStatements { continue }
      if let name = pending {
        pending = nil
        if case .open(UInt8(ascii: "(")) = token {
          open(name)
          continue
        }
        mention(name, next: token)
      }
      if case .end = token { isAtEnd = true }
      take(token, line)
    }
    finish()
  }

  private mutating func finish() {
    if let fault = lexer.fault {
      list.syntaxError(line: fault.line, fault.message)
    } else if !brackets.isEmpty {
      list.syntaxError(
        line: outermost.line, "'\(String(UnicodeScalar(outermost.byte)))' is not closed")
    }
    while !calls.isEmpty { closeCall() }
  }

  /// Whether a newline does.
  private var endsStatements: Bool {
    brackets.last.map { $0 == .brace } ?? true
  }

  /// Whether the next token belongs to an argument of a call that is of interest, and not to something within it.
  private var isInCall: Bool { callDepth == brackets.count }

  // MARK: Tokens

  private mutating func take(_ token: RToken, _ line: Int) {
    switch token {
    case .name(let range, let package):
      let callee = before == .member ? nil : callees.callee(range, package: package, in: lexer)
      if isInCall { calls[calls.count - 1].take(name: range, package: package, callee, lexer) }
      if let callee { pending = Pending(callee: callee, line: line, before: before) }
      before = .value
    case .string(let range, let isRaw):
      if isInCall { calls[calls.count - 1].take(string: range, isRaw: isRaw, lexer) }
      before = .value
    case .number:
      if isInCall { calls[calls.count - 1].takeOther() }
      before = .value
    case .open(let byte):
      let isCall = before == .value
      let isFunction = before == .function
      if isInCall { calls[calls.count - 1].take(open: byte) }
      switch byte {
      case UInt8(ascii: "("): push(isCall ? .call : isFunction ? .parameters : .group, byte, line)
      case UInt8(ascii: "["): push(.square, byte, line)
      default: push(.brace, byte, line)
      }
      before = isCall && byte == UInt8(ascii: "(") ? .argument : .other
    case .close(let byte):
      close(byte, line)
      before = .value
    case .comma:
      if isInCall { calls[calls.count - 1].finishArgument(lexer) }
      before = brackets.last == .call ? .argument : .other
    case .equals:
      if isInCall { calls[calls.count - 1].takeEquals(lexer) }
      before = brackets.last == .call ? .argument : brackets.last == .brace || brackets.isEmpty ? .assignment : .other
    case .separator:
      if before == .value { before = .other }
    case .assignment:
      if isInCall { calls[calls.count - 1].takeOther() }
      before = .assignment
    case .member:
      if isInCall { calls[calls.count - 1].takeOther() }
      before = .member
    case .pipe:
      if isInCall { calls[calls.count - 1].takeOther() }
      before = .pipe
    case .function:
      if isInCall { calls[calls.count - 1].takeOther() }
      before = .function
    case .symbol(let byte):
      if isInCall { calls[calls.count - 1].take(symbol: byte) }
      before = .other
    case .end: break
    }
  }

  private mutating func push(_ bracket: Bracket, _ byte: UInt8, _ line: Int) {
    if brackets.isEmpty { outermost = (line, byte) }
    brackets.append(bracket)
    switch bracket {
    case .call, .parameters, .group: openParentheses += 1
    case .square: openSquares += 1
    case .brace: openBraces += 1
    }
  }

  /// Takes the innermost bracket off, and the call that it belongs to.
  private mutating func pop() -> Bracket? {
    guard let bracket = brackets.popLast() else { return nil }
    switch bracket {
    case .call, .parameters, .group: openParentheses -= 1
    case .square: openSquares -= 1
    case .brace: openBraces -= 1
    }
    if callDepth > brackets.count { closeCall() }
    return bracket
  }

  private mutating func close(_ byte: UInt8, _ line: Int) {
    let hasOpener =
      switch byte {
      case UInt8(ascii: ")"): openParentheses > 0
      case UInt8(ascii: "]"): openSquares > 0
      default: openBraces > 0
      }
    if brackets.last?.closer != byte {
      list.syntaxError(line: line, "'\(String(UnicodeScalar(byte)))' closes nothing")
    }
    guard hasOpener else { return }
    while let bracket = pop(), bracket.closer != byte {}
  }

  // MARK: Calls

  private mutating func open(_ name: Pending) {
    let callee = name.callee
    let line = name.line
    let parent = isInCall ? calls.count - 1 : nil
    let isKept =
      switch callee {
      case .loadAll: false
      case .here, .filePath, .vector, .url:
        parent.map { calls[$0].accepts(callee, within: $0 > 0 ? calls[$0 - 1].callee : nil) } ?? false
      default: calls.count < Self.maximumCalls
      }
    if let parent { calls[parent].take(call: callee, isKept: isKept) }
    push(.call, UInt8(ascii: "("), line)
    before = .argument
    if isKept {
      calls.append(RCall(callee: callee, depth: brackets.count, line: line, place: list.reserve()))
      callDepth = brackets.count
    } else if callee == .loadAll {
      list.remark(line: line, "loads a package from its source files with 'load_all'")
    } else if callee == .source || callee == .sourceCpp {
      list.remark(line: line, RCall.computedPath)
    }
  }

  private mutating func closeCall() {
    guard var call = calls.popLast() else { return }
    callDepth = calls.last?.depth ?? -1
    call.finishArgument(lexer)
    list.fill(call.place, with: call.entry)
    if call.depth == brackets.count + 1, isInCall { calls[calls.count - 1].take(result: call.result) }
  }

  /// Judges `source` where it is not called.
  private mutating func mention(_ name: Pending, next: RToken) {
    guard name.callee == .source else { return }
    let endsValue =
      switch next {
      case .comma, .close, .separator, .end: true
      default: false
      }
    guard endsValue else { return }
    switch name.before {
    case .argument where brackets.last == .call:
      if !(isInCall && calls[calls.count - 1].callee == .apply) {
        list.remark(line: name.line, "passes 'source' to another function")
      }
    case .pipe: list.remark(line: name.line, RCall.computedPath)
    case .assignment: list.remark(line: name.line, "gives 'source' another name")
    default: break
    }
  }
}
