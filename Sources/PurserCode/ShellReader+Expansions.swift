import PurserModel

/// What begins with `$`, and backquotes.
extension ShellReader {
  /// From the `$`.
  mutating func dollar(_ isKept: Bool, isQuoted: Bool, _ word: inout ShellWord) throws(ShellFault) {
    let next = byte(at: index + 1)
    switch next {
    case UInt8(ascii: "'") where !isQuoted:
      index += 1
      word.hasQuotes = true
      try escapedQuotes(isKept, &word)
    case UInt8(ascii: "\"") where !isQuoted:
      index += 1
      word.hasQuotes = true
      try doubleQuotes(isKept, &word)
    case UInt8(ascii: "("):
      let value = try substitution()
      if isKept { word.append(value) }
    case UInt8(ascii: "{"):
      let value = try braces(isQuoted: isQuoted)
      if isKept { word.append(value) }
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"):
      let start = index + 1
      index = start
      while index < bytes.count && Self.isNameByte(bytes[index]) { index += 1 }
      if isKept { word.append(variable(start..<index)) }
    case UInt8(ascii: "0"):
      index += 2
      if isKept { word.append(ShellWord(prefix: .script)) }
    case UInt8(ascii: "1")...UInt8(ascii: "9"), UInt8(ascii: "@"), UInt8(ascii: "*"), UInt8(ascii: "#"),
      UInt8(ascii: "?"), UInt8(ascii: "-"), UInt8(ascii: "$"), UInt8(ascii: "!"):
      index += 2
      if isKept { word.append(.computed) }
    default:
      index += 1
      if isKept { word.text.append(UInt8(ascii: "$")) }
      if next == UInt8(ascii: "[") { word.hasPattern = true }
    }
  }

  private func variable(_ name: Range<Int>) -> ShellWord {
    let name = ByteString(bytes[name])
    return ShellWord(prefix: name == "BASH_SOURCE" ? .script : .variable(name))
  }

  /// `$(…)` or `$((…))`, from the `$`.
  private mutating func substitution() throws(ShellFault) -> ShellWord {
    index += 1
    try enter()
    if byte(at: index + 1) == UInt8(ascii: "("), try skipArithmetic(from: index) {
      depth -= 1
      return .computed
    }
    index += 1
    let value = try readCommands(until: UInt8(ascii: ")"))
    depth -= 1
    return value ?? .computed
  }

  /// Goes over `((…))`, from the first bracket, and what is substituted within it. False, and nothing has happened, if
  /// the brackets do not close like that: then they are two subshells.
  mutating func skipArithmetic(from start: Int) throws(ShellFault) -> Bool {
    guard spareBytes > 0, depth < Self.maximumDepth else { return false }
    let before = (line, depth, hereDocuments, list.count, variables.counts)
    do throws(ShellFault) {
      var open = 0
      var ignored = ShellWord()
      index = start + 2
      depth += 1
      reading: while index < bytes.count {
        switch bytes[index] {
        case UInt8(ascii: "("):
          open += 1
          index += 1
        case UInt8(ascii: ")") where open > 0:
          open -= 1
          index += 1
        case UInt8(ascii: ")"):
          guard byte(at: index + 1) == UInt8(ascii: ")") else { break reading }
          index += 2
          depth -= 1
          return true
        default: try skipByte(isQuoted: false, &ignored)
        }
      }
    } catch {
      // It is found again by reading it as commands.
    }
    spareBytes -= index - start
    index = start
    (line, depth, hereDocuments) = (before.0, before.1, before.2)
    list.truncate(to: before.3)
    variables.truncate(to: before.4)
    return false
  }

  /// `${…}`, from the `$`.
  private mutating func braces(isQuoted: Bool) throws(ShellFault) -> ShellWord {
    let first = line
    try enter()
    index += 2
    let start = index
    while index < bytes.count && Self.isNameByte(bytes[index]) { index += 1 }
    let name = start..<index
    if byte(at: index) == UInt8(ascii: "["), byte(at: index + 1) == UInt8(ascii: "0"),
      byte(at: index + 2) == UInt8(ascii: "]")
    {
      index += 3
    }
    let isElement = index > name.upperBound
    let operation = index
    let isDefault =
      Self.isDefault(byte(at: index)) || byte(at: index) == UInt8(ascii: ":") && Self.isDefault(byte(at: index + 1))
    var ignored = ShellWord()
    while index < bytes.count && bytes[index] != UInt8(ascii: "}") {
      try skipByte(isQuoted: isQuoted && isDefault, &ignored)
    }
    guard index < bytes.count else { throw ShellFault(line: first, message: "'${' is not closed") }
    let rest = bytes[operation..<index]
    index += 1
    depth -= 1
    guard !name.isEmpty else { return .computed }
    if rest.first == UInt8(ascii: "=") || rest.starts(with: ":=".utf8) {
      variables.spoil(name: Array(bytes[name])[...])
      return .computed
    }
    return value(of: name, isElement: isElement, rest)
  }

  private static func isDefault(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "-") || byte == UInt8(ascii: "=") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "?")
  }

  private func value(of name: Range<Int>, isElement: Bool, _ operation: Slice<UnsafeBufferPointer<UInt8>>) -> ShellWord
  {
    let isZero = name.count == 1 && bytes[name.lowerBound] == UInt8(ascii: "0")
    guard isZero || !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[name.lowerBound]) else { return .computed }
    let word = isZero ? ShellWord(prefix: .script) : variable(name)
    if case .script = word.prefix {} else if isElement { return .computed }
    if operation.isEmpty { return word }
    if operation.elementsEqual("%/*".utf8) { return word.folder }
    guard case .script = word.prefix else { return .computed }
    // zsh's, for the head of the path.
    if isZero && [":h", ":A:h", ":a:h"].contains(where: { operation.elementsEqual($0.utf8) }) { return word.folder }
    // Where there is no `BASH_SOURCE`: "${BASH_SOURCE[0]:-$0}".
    return operation.first == UInt8(ascii: "-") || operation.starts(with: ":-".utf8) ? word : .computed
  }

  /// From the first backquote. What is within is a script of its own, once the backslashes that protect it are off.
  mutating func backquotes(isQuoted: Bool) throws(ShellFault) -> ShellWord {
    let first = line
    try enter()
    index += 1
    let start = index
    var isProtected = false
    while index < bytes.count && bytes[index] != UInt8(ascii: "`") {
      if bytes[index] == UInt8(ascii: "\n") { line += 1 }
      if bytes[index] == UInt8(ascii: "\\") {
        isProtected = true
        index += 1
        if index < bytes.count && bytes[index] == UInt8(ascii: "\n") { line += 1 }
      }
      index += 1
    }
    guard index < bytes.count else {
      index = bytes.count
      throw ShellFault(line: first, message: "a backquote is not closed")
    }
    let content = bytes[start..<index]
    index += 1
    let value: ShellWord
    if isProtected {
      value = unprotected(content, isQuoted: isQuoted).withUnsafeBufferPointer { read($0, from: first) }
    } else {
      value = read(UnsafeBufferPointer(rebasing: content), from: first)
    }
    depth -= 1
    return value
  }

  private func unprotected(_ content: Slice<UnsafeBufferPointer<UInt8>>, isQuoted: Bool) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(content.count)
    var position = content.startIndex
    while position < content.endIndex {
      if bytes[position] == UInt8(ascii: "\\") && position + 1 < content.endIndex {
        position += 1
        switch bytes[position] {
        case UInt8(ascii: "`"), UInt8(ascii: "\\"), UInt8(ascii: "$"): break
        case UInt8(ascii: "\"") where isQuoted: break
        default: result.append(UInt8(ascii: "\\"))
        }
      }
      result.append(bytes[position])
      position += 1
    }
    return result
  }

  /// Reads a script within this one.
  private mutating func read(_ content: UnsafeBufferPointer<UInt8>, from first: Int) -> ShellWord {
    var inner = ShellReader(content)
    inner.line = first
    inner.depth = depth
    inner.spareBytes = spareBytes
    swap(&inner.list, &list)
    swap(&inner.variables, &variables)
    let value: ShellWord?
    do throws(ShellFault) {
      value = try inner.readCommands(until: nil)
    } catch {
      inner.list.syntaxError(line: error.line, error.message)
      value = nil
    }
    swap(&inner.list, &list)
    swap(&inner.variables, &variables)
    spareBytes = inner.spareBytes
    return value ?? .computed
  }
}
