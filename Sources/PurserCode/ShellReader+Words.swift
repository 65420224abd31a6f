import PurserModel

/// Words, and the quotes and brackets within them.
extension ShellReader {
  /// Bytes that mean nothing but themselves, wherever they stand.
  private static let plainBytes: [Bool] = {
    var plain = [Bool](repeating: false, count: 256)
    for byte in 0x80...0xff { plain[byte] = true }
    for byte in UInt8(ascii: "a")...UInt8(ascii: "z") { plain[Int(byte)] = true }
    for byte in UInt8(ascii: "A")...UInt8(ascii: "Z") { plain[Int(byte)] = true }
    for byte in UInt8(ascii: "0")...UInt8(ascii: "9") { plain[Int(byte)] = true }
    for byte in "_-./,:%^@+]!}".utf8 { plain[Int(byte)] = true }
    return plain
  }()

  /// Whether a word ends before this byte; true at the end.
  func isWordEnd(_ index: Int) -> Bool {
    guard index < bytes.count else { return true }
    return switch bytes[index] {
    case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: ";"), UInt8(ascii: "&"),
      UInt8(ascii: "|"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "("), UInt8(ascii: ")"):
      true
    case UInt8(ascii: "\r"): byte(at: index + 1) == UInt8(ascii: "\n")
    default: false
    }
  }

  /// Reads one word. What it says is kept only if that is asked for; what is substituted in it is read in any case.
  mutating func word(isKept: Bool, assigns: Bool = false) throws(ShellFault) -> ShellWord {
    var word = ShellWord()
    var assigns = assigns && isKept
    let start = index
    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case UInt8(ascii: "'"):
        word.hasQuotes = true
        try singleQuotes(isKept, &word)
      case UInt8(ascii: "\""):
        word.hasQuotes = true
        try doubleQuotes(isKept, &word)
      case UInt8(ascii: "\\"):
        index += 1
        guard index < bytes.count else { continue }
        if bytes[index] == UInt8(ascii: "\n") {
          line += 1
        } else {
          word.hasQuotes = true
          if isKept { word.text.append(bytes[index]) }
        }
        index += 1
      case UInt8(ascii: "$"): try dollar(isKept, isQuoted: false, &word)
      case UInt8(ascii: "`"):
        let value = try backquotes(isQuoted: false)
        if isKept { word.append(value) }
      case UInt8(ascii: "=") where assigns:
        index += 1
        assigns = false
        guard takeName(&word) else {
          word.text.append(byte)
          continue
        }
        if self.byte(at: index) == UInt8(ascii: "(") {
          word.addsValue = true
          try skipArray()
        } else if self.byte(at: index) == UInt8(ascii: "~") {
          word.hasPattern = true
        }
      case UInt8(ascii: "(") where index > start && isGroup(index - 1): try skipGroup()
      case UInt8(ascii: "<") where self.byte(at: index + 1) == UInt8(ascii: "("),
        UInt8(ascii: ">") where self.byte(at: index + 1) == UInt8(ascii: "("):
        index += 2
        try enter()
        _ = try readCommands(until: UInt8(ascii: ")"))
        depth -= 1
        if isKept { word.append(ShellWord(prefix: .process)) }
      default:
        if isWordEnd(index) { return word }
        let run = index
        if Self.isPlain(byte) {
          repeat { index += 1 } while index < bytes.count && Self.isPlain(bytes[index])
        } else {
          index += 1
          switch byte {
          case UInt8(ascii: "*"), UInt8(ascii: "?"), UInt8(ascii: "["), 0: word.hasPattern = true
          case UInt8(ascii: "{"): if !isWordEnd(index) || run > start { word.hasPattern = true }
          case UInt8(ascii: "~"): if run == start { word.hasPattern = true }
          default: break
          }
        }
        if isKept { word.text.append(contentsOf: bytes[run..<index]) }
      }
    }
    return word
  }

  private static func isPlain(_ byte: UInt8) -> Bool { plainBytes[Int(byte)] }

  /// If what was read so far is a variable's name (or `NAME+`, `NAME[…]`), makes the word an assignment to it.
  private func takeName(_ word: inout ShellWord) -> Bool {
    guard case .none = word.prefix, word.assigned == nil else { return false }
    var name = word.text[...]
    if let bracket = name.firstIndex(of: UInt8(ascii: "[")) {
      name = name[..<bracket]
      word.addsValue = true
    } else if word.hasQuotes {
      return false
    } else if name.last == UInt8(ascii: "+") {
      name.removeLast()
      word.addsValue = true
    }
    guard let first = name.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first),
      name.allSatisfy(Self.isNameByte)
    else { return false }
    word.assigned = ByteString(name)
    word.text = []
    word.hasPattern = false
    return true
  }

  static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  mutating func enter() throws(ShellFault) {
    guard depth < Self.maximumDepth else { throw ShellFault(line: line, message: "expansions are nested too deeply") }
    depth += 1
  }

  // MARK: Quotes

  /// From the quote.
  private mutating func singleQuotes(_ isKept: Bool, _ word: inout ShellWord) throws(ShellFault) {
    let first = line
    index += 1
    let start = index
    while index < bytes.count && bytes[index] != UInt8(ascii: "'") {
      if bytes[index] == UInt8(ascii: "\n") { line += 1 }
      index += 1
    }
    guard index < bytes.count else { throw ShellFault(line: first, message: "a string is not closed") }
    if isKept { word.text.append(contentsOf: bytes[start..<index]) }
    index += 1
  }

  /// From the quote.
  mutating func doubleQuotes(_ isKept: Bool, _ word: inout ShellWord) throws(ShellFault) {
    let first = line
    index += 1
    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case UInt8(ascii: "\""):
        index += 1
        return
      case UInt8(ascii: "\\"):
        index += 1
        guard index < bytes.count else { continue }
        let next = bytes[index]
        index += 1
        switch next {
        case UInt8(ascii: "\n"): line += 1
        case UInt8(ascii: "$"), UInt8(ascii: "`"), UInt8(ascii: "\""), UInt8(ascii: "\\"):
          if isKept { word.text.append(next) }
        default:
          if isKept { word.text += [byte, next] }
        }
      case UInt8(ascii: "$"): try dollar(isKept, isQuoted: true, &word)
      case UInt8(ascii: "`"):
        let value = try backquotes(isQuoted: true)
        if isKept { word.append(value) }
      default:
        if byte == UInt8(ascii: "\n") { line += 1 }
        index += 1
        if isKept { word.text.append(byte) }
      }
    }
    throw ShellFault(line: first, message: "a string is not closed")
  }

  /// `$'…'`, from the quote.
  mutating func escapedQuotes(_ isKept: Bool, _ word: inout ShellWord) throws(ShellFault) {
    let first = line
    index += 1
    while index < bytes.count {
      let byte = bytes[index]
      index += 1
      if byte == UInt8(ascii: "'") { return }
      if byte == UInt8(ascii: "\n") { line += 1 }
      guard byte == UInt8(ascii: "\\"), index < bytes.count else {
        if isKept { word.text.append(byte) }
        continue
      }
      let escape = bytes[index]
      index += 1
      if escape == UInt8(ascii: "\n") { line += 1 }
      guard isKept else { continue }
      switch escape {
      case UInt8(ascii: "n"): word.text.append(0x0a)
      case UInt8(ascii: "t"): word.text.append(0x09)
      case UInt8(ascii: "r"): word.text.append(0x0d)
      case UInt8(ascii: "a"): word.text.append(0x07)
      case UInt8(ascii: "b"): word.text.append(0x08)
      case UInt8(ascii: "f"): word.text.append(0x0c)
      case UInt8(ascii: "v"): word.text.append(0x0b)
      case UInt8(ascii: "e"), UInt8(ascii: "E"): word.text.append(0x1b)
      case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "?"): word.text.append(escape)
      case UInt8(ascii: "0")...UInt8(ascii: "7"):
        index -= 1
        word.text.append(UInt8(truncatingIfNeeded: digits(limit: 3, radix: 8)))
      case UInt8(ascii: "x"): word.text.append(UInt8(truncatingIfNeeded: digits(limit: 2, radix: 16)))
      case UInt8(ascii: "u"), UInt8(ascii: "U"):
        let value = digits(limit: escape == UInt8(ascii: "u") ? 4 : 8, radix: 16)
        guard let scalar = Unicode.Scalar(UInt32(truncatingIfNeeded: value)) else {
          word.prefix = .computed
          continue
        }
        word.text += Array(String(scalar).utf8)
      default: word.text += [byte, escape]
      }
    }
    throw ShellFault(line: first, message: "a string is not closed")
  }

  private mutating func digits(limit: Int, radix: Int) -> Int {
    var value = 0
    var count = 0
    while count < limit, let digit = Character(Unicode.Scalar(byte(at: index))).hexDigitValue, digit < radix {
      value = value * radix + digit
      index += 1
      count += 1
    }
    return value
  }

  // MARK: Brackets

  /// Whether bash takes a bracket behind this byte for one of its patterns: `@(a|b)`.
  private func isGroup(_ index: Int) -> Bool {
    switch bytes[index] {
    case UInt8(ascii: "@"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"): true
    // A `!` that stands alone is a word of the language.
    case UInt8(ascii: "!"): index > 0 && !isWordEnd(index - 1)
    default: false
    }
  }

  /// From the bracket to behind the one that closes it.
  private mutating func skipGroup() throws(ShellFault) {
    let first = line
    var open = 0
    var ignored = ShellWord()
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "("):
        open += 1
        index += 1
      case UInt8(ascii: ")"):
        open -= 1
        index += 1
        if open == 0 { return }
      default: try skipByte(isQuoted: false, &ignored)
      }
    }
    throw ShellFault(line: first, message: "'(' is not closed")
  }

  /// Goes over a byte that ends nothing, or what it begins.
  mutating func skipByte(isQuoted: Bool, _ ignored: inout ShellWord) throws(ShellFault) {
    switch bytes[index] {
    case UInt8(ascii: "'") where !isQuoted: try singleQuotes(false, &ignored)
    case UInt8(ascii: "\""): try doubleQuotes(false, &ignored)
    case UInt8(ascii: "$"): try dollar(false, isQuoted: isQuoted, &ignored)
    case UInt8(ascii: "`"): _ = try backquotes(isQuoted: isQuoted)
    case UInt8(ascii: "\\"):
      if byte(at: index + 1) == UInt8(ascii: "\n") { line += 1 }
      index = min(index + 2, bytes.count)
    case UInt8(ascii: "\n"):
      line += 1
      index += 1
    default: index += 1
    }
  }

  /// `(a b c)` behind `NAME=`, from the bracket.
  private mutating func skipArray() throws(ShellFault) {
    let first = line
    try enter()
    index += 1
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: ")"):
        index += 1
        depth -= 1
        return
      case UInt8(ascii: "#"): skipComment()
      case UInt8(ascii: "\n"):
        line += 1
        index += 1
      case UInt8(ascii: "<") where byte(at: index + 1) == UInt8(ascii: "("),
        UInt8(ascii: ">") where byte(at: index + 1) == UInt8(ascii: "("):
        _ = try word(isKept: false)
      default:
        if isWordEnd(index) { index += 1 } else { _ = try word(isKept: false) }
      }
    }
    throw ShellFault(line: first, message: "'(' is not closed")
  }
}
