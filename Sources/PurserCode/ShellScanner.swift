import PurserModel

/// Finds the files that a shell script sources.
///
/// POSIX's grammar and what bash adds to it, as far as it takes to know where commands begin. Functions and aliases
/// that are called `source`, and what `eval` is given, are not looked at.
enum ShellScanner {
  static func references(in bytes: [UInt8]) -> References {
    bytes.withUnsafeBufferPointer { bytes in
      var reader = ShellReader(bytes)
      reader.readScript()
      reader.resolveVariables()
      return reader.list.references()
    }
  }
}

/// Why reading cannot go on.
struct ShellFault: Error {
  var line: Int
  var message: String
}

/// Goes over a script once. What stands within a word (a substitution, an expansion, an array) is read by recursion up
/// to ``maximumDepth``; subshells and `case` stand on a stack.
struct ShellReader {
  let bytes: UnsafeBufferPointer<UInt8>
  var index = 0
  /// Of the byte at `index`.
  var line = 1
  var list = ReferenceList()
  var variables = ShellVariables()
  /// Those whose text begins after the next newline.
  var hereDocuments: [HereDocument] = []
  /// How many substitutions and expansions `index` is within.
  var depth = 0
  /// How much may yet be read for nothing, in finding out that `((` starts no arithmetic: all in all as much as there
  /// is.
  var spareBytes: Int

  static let maximumDepth = 100

  struct HereDocument {
    var delimiter: [UInt8]
    var stripsTabs: Bool
    var line: Int
  }

  init(_ bytes: UnsafeBufferPointer<UInt8>) {
    self.bytes = bytes
    spareBytes = bytes.count + 1_024
  }

  func byte(at index: Int) -> UInt8 {
    index < bytes.count ? bytes[index] : 0
  }

  mutating func readScript() {
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { index = 3 }
    do throws(ShellFault) {
      _ = try readCommands(until: nil)
      if let left = hereDocuments.first { throw ShellFault(line: left.line, message: "a here-document is not closed") }
    } catch {
      list.syntaxError(line: error.line, error.message)
    }
  }

  /// Reads commands to the end, or behind the `)` that closes a substitution. The word that their output is, where it
  /// is one of the usual ways to name the script's folder.
  mutating func readCommands(until closer: UInt8?) throws(ShellFault) -> ShellWord? {
    let first = line
    var state = ShellCommands()
    while true {
      skipBlanks()
      guard index < bytes.count else {
        finishCommand(&state, endsPipeline: true)
        if closer != nil { throw ShellFault(line: first, message: "a substitution is not closed") }
        if let open = state.nest.first {
          throw ShellFault(
            line: open.line, message: open.kind == .parenthesis ? "'(' is not closed" : "'case' is not closed")
        }
        return state.output
      }
      let byte = bytes[index]
      switch byte {
      case UInt8(ascii: "#"): skipComment()
      case UInt8(ascii: "\n"):
        index += 1
        line += 1
        if state.expected != .caseIn { finishCommand(&state, endsPipeline: true) }
        readHereDocuments()
      case UInt8(ascii: ";"), UInt8(ascii: "|"): readSeparator(byte, &state)
      case UInt8(ascii: "&"):
        if self.byte(at: index + 1) == UInt8(ascii: ">") {
          index += 1
          try readRedirection(&state)
        } else {
          readSeparator(byte, &state)
        }
      case UInt8(ascii: "("): try openParenthesis(&state)
      case UInt8(ascii: ")"):
        index += 1
        if closeParenthesis(&state) { continue }
        finishCommand(&state, endsPipeline: true)
        if closer == byte { return state.output }
        list.syntaxError(line: line, "')' closes nothing")
      case UInt8(ascii: "<"), UInt8(ascii: ">"):
        if self.byte(at: index + 1) == UInt8(ascii: "(") {
          try readWord(&state)
        } else {
          try readRedirection(&state)
        }
      default: try readWord(&state)
      }
    }
  }

  private mutating func skipBlanks() {
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: " "), UInt8(ascii: "\t"): index += 1
      case UInt8(ascii: "\r") where byte(at: index + 1) == UInt8(ascii: "\n"): index += 1
      case UInt8(ascii: "\\") where byte(at: index + 1) == UInt8(ascii: "\n"):
        index += 2
        line += 1
      default: return
      }
    }
  }

  mutating func skipComment() {
    while index < bytes.count && bytes[index] != UInt8(ascii: "\n") { index += 1 }
  }

  // MARK: Between commands

  private mutating func readSeparator(_ byte: UInt8, _ state: inout ShellCommands) {
    let isDouble = self.byte(at: index + 1) == byte
    index += isDouble ? 2 : 1
    if state.isInPattern { return }
    switch byte {
    case UInt8(ascii: ";"):
      finishCommand(&state, endsPipeline: true)
      let endsClause = isDouble || self.byte(at: index) == UInt8(ascii: "&")
      if self.byte(at: index) == UInt8(ascii: "&") { index += 1 }
      if endsClause { state.beginPatterns() }
    case UInt8(ascii: "&"): finishCommand(&state, endsPipeline: isDouble)
    default:
      if !isDouble && self.byte(at: index) == UInt8(ascii: "&") { index += 1 }
      finishCommand(&state, endsPipeline: false)
    }
  }

  private mutating func openParenthesis(_ state: inout ShellCommands) throws(ShellFault) {
    let isDouble = byte(at: index + 1) == UInt8(ascii: "(")
    if state.isInPattern {
      index += 1
    } else if isDouble, state.expected == .command || state.expected == .loopVariable, try skipArithmetic(from: index) {
      state.spoil()
      state.expected = state.expected == .loopVariable ? .command : .arguments
    } else if state.expected == .arguments && state.isFirstArgument && closesAtOnce() {
      // A function is defined: its body follows.
      state.reset()
      state.spoil()
    } else {
      finishCommand(&state, endsPipeline: false)
      state.nest.append(ShellCommands.Open(kind: .parenthesis, line: line))
      state.openParentheses += 1
      index += 1
    }
  }

  /// Goes over `()`.
  private mutating func closesAtOnce() -> Bool {
    var end = index + 1
    while byte(at: end) == UInt8(ascii: " ") || byte(at: end) == UInt8(ascii: "\t") { end += 1 }
    guard byte(at: end) == UInt8(ascii: ")") else { return false }
    index = end + 1
    return true
  }

  /// Takes a `)` that ends a subshell or a pattern; false where it must be something else's.
  private mutating func closeParenthesis(_ state: inout ShellCommands) -> Bool {
    if state.isInPattern {
      state.nest[state.nest.count - 1].kind = .clause
      return true
    }
    guard state.openParentheses > 0 else { return false }
    finishCommand(&state, endsPipeline: false)
    state.openParentheses -= 1
    while let open = state.nest.popLast(), open.kind != .parenthesis {}
    state.expected = .arguments
    return true
  }

  private mutating func finishCommand(_ state: inout ShellCommands, endsPipeline: Bool) {
    if state.isInPattern { return }
    state.finish(endsPipeline: endsPipeline)
  }

  // MARK: Redirections

  private mutating func readRedirection(_ state: inout ShellCommands) throws(ShellFault) {
    let start = index
    while index < start + 3, byte(at: index) == UInt8(ascii: "<") || byte(at: index) == UInt8(ascii: ">") {
      if index > start && byte(at: index + 1) == UInt8(ascii: "(") { break }
      index += 1
    }
    let isHereDocument = index == start + 2 && bytes[start] == UInt8(ascii: "<") && bytes[start + 1] == bytes[start]
    if isHereDocument {
      let stripsTabs = byte(at: index) == UInt8(ascii: "-")
      if stripsTabs { index += 1 }
      skipBlanks()
      let begin = index
      let document = HereDocument(delimiter: hereDelimiter(), stripsTabs: stripsTabs, line: line)
      if index > begin { hereDocuments.append(document) }
      return
    }
    if byte(at: index) == UInt8(ascii: "&") || byte(at: index) == UInt8(ascii: "|") { index += 1 }
    skipBlanks()
    guard index < bytes.count, !isWordEnd(index) || byte(at: index + 1) == UInt8(ascii: "(") else { return }
    _ = try word(isKept: false)
  }

  /// Reads a word without looking at what `$` and backquotes mean.
  private mutating func hereDelimiter() -> [UInt8] {
    var text: [UInt8] = []
    var quote: UInt8?
    while index < bytes.count {
      let byte = bytes[index]
      if byte == UInt8(ascii: "\n") { break }
      if quote == nil && isWordEnd(index) { break }
      index += 1
      if byte == quote {
        quote = nil
      } else if quote == nil && (byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"")) {
        quote = byte
      } else if byte == UInt8(ascii: "\\") && quote != UInt8(ascii: "'") && index < bytes.count
        && bytes[index] != UInt8(ascii: "\n")
      {
        text.append(bytes[index])
        index += 1
      } else {
        text.append(byte)
      }
    }
    return text
  }

  /// Passes over the texts that begin here.
  private mutating func readHereDocuments() {
    guard !hereDocuments.isEmpty else { return }
    let documents = hereDocuments
    hereDocuments.removeAll()
    for document in documents where !skipHereDocument(document) {
      list.syntaxError(line: document.line, "a here-document is not closed")
      return
    }
  }

  private mutating func skipHereDocument(_ document: HereDocument) -> Bool {
    while index < bytes.count {
      var start = index
      while index < bytes.count && bytes[index] != UInt8(ascii: "\n") { index += 1 }
      var end = index
      if index < bytes.count {
        index += 1
        line += 1
      }
      if end > start && bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
      if document.stripsTabs {
        while start < end && bytes[start] == UInt8(ascii: "\t") { start += 1 }
      }
      if end - start == document.delimiter.count && bytes[start..<end].elementsEqual(document.delimiter) { return true }
    }
    return false
  }

  // MARK: Words of a command

  private mutating func readWord(_ state: inout ShellCommands) throws(ShellFault) {
    let first = line
    if state.isInPattern {
      let word = try word(isKept: true)
      if state.isAtPattern && word.isPlain && word.text == Array("esac".utf8) {
        state.nest.removeLast()
        state.expected = .arguments
      }
      state.isAtPattern = false
      return
    }
    switch state.expected {
    case .command: try readCommandWord(first, &state)
    case .arguments: try readArgument(&state)
    case .loopVariable:
      variables.spoil(try word(isKept: true))
      state.expected = .loopIn
    case .loopIn:
      let isBody = try word(isKept: true).text == Array("do".utf8)
      state.expected = isBody ? .command : .arguments
    case .caseWord:
      _ = try word(isKept: false)
      state.expected = .caseIn
    case .caseIn:
      _ = try word(isKept: false)
      state.nest.append(ShellCommands.Open(kind: .clause, line: first))
      state.beginPatterns()
    case .functionName:
      _ = try word(isKept: false)
      skipBlanks()
      if byte(at: index) == UInt8(ascii: "(") { _ = closesAtOnce() }
      state.expected = .command
    }
  }

  private mutating func readCommandWord(_ first: Int, _ state: inout ShellCommands) throws(ShellFault) {
    let assignments = variables.counts.assignments
    let word = try word(isKept: true, assigns: true)
    if word.isNumber, byte(at: index) == UInt8(ascii: "<") || byte(at: index) == UInt8(ascii: ">") { return }
    if word.assigned != nil {
      variables.assign(word)
      if state.assignments == nil { state.assignments = assignments }
      return
    }
    if state.takesOptions && word.text.first == UInt8(ascii: "-") {
      // `command -v NAME` says what NAME is.
      if word.text.contains(where: { $0 | 0x20 == UInt8(ascii: "v") }) { state.begin(.other) }
      return
    }
    let name = ShellCommandName(word)
    if let name, name.isReserved {
      guard !word.hasQuotes else { return state.begin(.other) }
      state.spoil()
      switch name {
      case .loop: state.expected = .loopVariable
      case .case: state.expected = .caseWord
      case .function: state.expected = .functionName
      case .conditional: try skipConditional(&state)
      case .time: state.takesOptions = true
      case .esac:
        if state.nest.last?.kind == .clause { state.nest.removeLast() }
        state.expected = .arguments
      default: break
      }
      return
    }
    if name == .wrapper {
      state.takesOptions = true
      return
    }
    // What is assigned before a command is not there after it.
    if let first = state.assignments { variables.spoil(from: first) }
    state.begin(name ?? .other)
    if name == .source {
      state.place = list.reserve()
      state.line = first
    }
  }

  private mutating func readArgument(_ state: inout ShellCommands) throws(ShellFault) {
    state.isFirstArgument = false
    let word = try word(isKept: state.keepsArguments, assigns: state.name == .declare)
    guard state.keepsArguments else { return }
    if word.isNumber, byte(at: index) == UInt8(ascii: "<") || byte(at: index) == UInt8(ascii: ">") { return }
    switch state.name {
    case .source:
      if word.isPlain && word.text == Array("--".utf8) { return }
      state.name = .other
      variables.use(word, line: state.line, place: state.place, in: &list)
    case .declare:
      if word.assigned != nil { variables.assign(word) }
    case .names: variables.spoil(word)
    case .printf:
      if state.isVariableNext { variables.spoil(word) }
      state.isVariableNext = word.text == Array("-v".utf8)
    case .cd:
      // What is sourced by a path from here on may be meant from there.
      if case .none = word.prefix, !word.hasPattern, !word.text.isEmpty, word.text.first != UInt8(ascii: "-") {
        list.append(.folder(ByteString(bytes: word.text)))
      }
      state.take(operand: word)
    default: state.take(operand: word)
    }
  }

  /// Goes behind `]]`.
  private mutating func skipConditional(_ state: inout ShellCommands) throws(ShellFault) {
    let first = line
    while true {
      skipBlanks()
      guard index < bytes.count else { throw ShellFault(line: first, message: "'[[' is not closed") }
      switch bytes[index] {
      case UInt8(ascii: "\n"):
        index += 1
        line += 1
        readHereDocuments()
      case UInt8(ascii: "#"): skipComment()
      case UInt8(ascii: "]") where byte(at: index + 1) == UInt8(ascii: "]") && isWordEnd(index + 2):
        index += 2
        state.expected = .arguments
        return
      case UInt8(ascii: "<") where byte(at: index + 1) == UInt8(ascii: "("),
        UInt8(ascii: ">") where byte(at: index + 1) == UInt8(ascii: "("):
        _ = try word(isKept: false)
      default:
        if isWordEnd(index) { index += 1 } else { _ = try word(isKept: false) }
      }
    }
  }
}
