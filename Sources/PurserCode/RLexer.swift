import PurserModel

/// What an R script is made of, as far as it matters for finding calls.
enum RToken {
  /// A name; without the backquotes, where it has them. `package` is what stands before `::`, or empty.
  case name(Range<Int>, package: Range<Int>)
  /// What is between the quotes, or between the brackets of a raw string.
  case string(Range<Int>, isRaw: Bool)
  case number
  case open(UInt8)
  case close(UInt8)
  case comma
  /// A newline or a semicolon.
  case separator(UInt8)
  case equals
  /// `<-`, `<<-`, `:=`
  case assignment
  /// `$`, `@`
  case member
  /// `|>` and what magrittr has.
  case pipe
  /// `function` or `\`
  case function
  /// Any other operator or word of the language.
  case symbol(UInt8)
  case end
}

/// Splits an R script into tokens. Comments and blanks are passed over.
struct RLexer {
  /// A string or a name that is not closed, which is then the last token.
  struct Fault {
    var line: Int
    var message: String
  }

  let bytes: UnsafeBufferPointer<UInt8>
  private(set) var index: Int
  /// Of the byte at `index`.
  private(set) var line = 1
  private(set) var fault: Fault?

  init(_ bytes: UnsafeBufferPointer<UInt8>) {
    self.bytes = bytes
    index = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
  }

  private func byte(at index: Int) -> UInt8 {
    index < bytes.count ? bytes[index] : 0
  }

  /// The next token; the line of its first byte is ``line`` before a string or a name moves it on.
  mutating func next() -> (token: RToken, line: Int) {
    skipBlanks()
    let first = line
    guard index < bytes.count else { return (.end, first) }
    let start = index
    let byte = bytes[index]
    index += 1
    switch byte {
    case UInt8(ascii: "\n"):
      line += 1
      return (.separator(byte), first)
    case UInt8(ascii: ";"): return (.separator(byte), first)
    case UInt8(ascii: "\""), UInt8(ascii: "'"): return (string(quote: byte, line: first), first)
    case UInt8(ascii: "`"): return (quotedName(line: first), first)
    case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): return (.open(byte), first)
    case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): return (.close(byte), first)
    case UInt8(ascii: ","): return (.comma, first)
    case UInt8(ascii: "$"), UInt8(ascii: "@"): return (.member, first)
    case UInt8(ascii: "\\"): return (.function, first)
    case UInt8(ascii: "%"): return (percent(), first)
    case UInt8(ascii: "0")...UInt8(ascii: "9"):
      skipName()
      return (.number, first)
    case UInt8(ascii: "."):
      let isNumber = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self.byte(at: index))
      skipName()
      return (isNumber ? .number : name(start..<index, line: first), first)
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), 0x80...0xff:
      skipName()
      return (name(start..<index, line: first), first)
    default: return (symbol(byte), first)
    }
  }

  private mutating func skipBlanks() {
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), 0x0c: index += 1
      case UInt8(ascii: "#"):
        while index < bytes.count && bytes[index] != UInt8(ascii: "\n") { index += 1 }
      default: return
      }
    }
  }

  private mutating func skipName() {
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), 0x80...0xff,
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"):
        index += 1
      default: return
      }
    }
  }

  /// What follows a name: it may be a raw string's `r`, a word of the language, or the package of another name.
  private mutating func name(_ range: Range<Int>, line: Int) -> RToken {
    if range.count == 1, bytes[range.lowerBound] | 0x20 == UInt8(ascii: "r") {
      let quote = byte(at: index)
      if quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") {
        index += 1
        return rawString(quote: quote, line: line)
      }
    }
    switch range.count {
    case 2 where matches(range, "if") || matches(range, "in"), 3 where matches(range, "for"),
      4 where matches(range, "else"), 5 where matches(range, "while"), 6 where matches(range, "repeat"):
      return .symbol(0)
    case 8 where matches(range, "function"): return .function
    default: return qualified(range)
    }
  }

  /// Takes `::` and the name after it, if they are there.
  private mutating func qualified(_ range: Range<Int>) -> RToken {
    guard byte(at: index) == UInt8(ascii: ":"), byte(at: index + 1) == UInt8(ascii: ":") else {
      return .name(range, package: range.upperBound..<range.upperBound)
    }
    let start = index + (byte(at: index + 2) == UInt8(ascii: ":") ? 3 : 2)
    index = start
    let first = byte(at: start)
    if first == UInt8(ascii: "`") {
      index += 1
      guard case .name(let name, _) = quotedName(line: line, isQualified: true) else { return .end }
      return .name(name, package: range)
    }
    skipName()
    return .name(start..<index, package: range)
  }

  private mutating func quotedName(line first: Int, isQualified: Bool = false) -> RToken {
    let start = index
    guard skip(to: UInt8(ascii: "`")) else { return fail("a name in backquotes is not closed", first) }
    let range = start..<(index - 1)
    return isQualified ? .name(range, package: range.upperBound..<range.upperBound) : qualified(range)
  }

  private mutating func string(quote: UInt8, line first: Int) -> RToken {
    let start = index
    guard skip(to: quote) else { return fail("a string is not closed", first) }
    return .string(start..<(index - 1), isRaw: false)
  }

  /// Goes behind the next `quote` that has no backslash before it; false at the end.
  private mutating func skip(to quote: UInt8) -> Bool {
    while index < bytes.count {
      let byte = bytes[index]
      index += 1
      if byte == quote { return true }
      if byte == UInt8(ascii: "\n") { line += 1 }
      if byte == UInt8(ascii: "\\") && index < bytes.count {
        if bytes[index] == UInt8(ascii: "\n") { line += 1 }
        index += 1
      }
    }
    return false
  }

  /// `r"(…)"`, `R'---[…]---'`, from behind the quote.
  private mutating func rawString(quote: UInt8, line first: Int) -> RToken {
    var start = index
    while byte(at: start) == UInt8(ascii: "-") { start += 1 }
    let dashes = start - index
    let close: UInt8
    switch byte(at: start) {
    case UInt8(ascii: "("): close = UInt8(ascii: ")")
    case UInt8(ascii: "["): close = UInt8(ascii: "]")
    case UInt8(ascii: "{"): close = UInt8(ascii: "}")
    default:
      if fault == nil { fault = Fault(line: first, message: "a raw string does not begin with a bracket") }
      return string(quote: quote, line: first)
    }
    start += 1
    index = start
    while index < bytes.count {
      let byte = bytes[index]
      index += 1
      if byte == UInt8(ascii: "\n") { line += 1 }
      guard byte == close else { continue }
      let end = index - 1
      while index < bytes.count && index - end - 1 < dashes && bytes[index] == UInt8(ascii: "-") { index += 1 }
      if index - end - 1 == dashes && self.byte(at: index) == quote {
        index += 1
        return .string(start..<end, isRaw: true)
      }
    }
    return fail("a raw string is not closed", first)
  }

  /// `%%`, `%in%` and what else is between two percent signs of a line.
  private mutating func percent() -> RToken {
    let start = index
    while index < bytes.count && bytes[index] != UInt8(ascii: "%") && bytes[index] != UInt8(ascii: "\n") { index += 1 }
    guard byte(at: index) == UInt8(ascii: "%") else {
      if fault == nil { fault = Fault(line: line, message: "an operator's second '%' is missing") }
      return .symbol(UInt8(ascii: "%"))
    }
    let range = start..<index
    index += 1
    let isPipe = matches(range, ">") || matches(range, "T>") || matches(range, "<>") || matches(range, "!>")
    return isPipe ? .pipe : .symbol(UInt8(ascii: "%"))
  }

  private mutating func symbol(_ byte: UInt8) -> RToken {
    let second = self.byte(at: index)
    switch (byte, second) {
    case (UInt8(ascii: "<"), UInt8(ascii: "<")) where self.byte(at: index + 1) == UInt8(ascii: "-"):
      index += 2
      return .assignment
    case (UInt8(ascii: "<"), UInt8(ascii: "-")), (UInt8(ascii: ":"), UInt8(ascii: "=")):
      index += 1
      return .assignment
    case (UInt8(ascii: ":"), UInt8(ascii: ":")):
      // With blanks before it: whose function it is is not looked at, so that it is rather followed than not.
      index += self.byte(at: index + 1) == UInt8(ascii: ":") ? 2 : 1
      return .symbol(byte)
    case (UInt8(ascii: "|"), UInt8(ascii: ">")):
      index += 1
      return .pipe
    case (UInt8(ascii: "-"), UInt8(ascii: ">")):
      index += self.byte(at: index + 1) == UInt8(ascii: ">") ? 2 : 1
      return .symbol(byte)
    case (UInt8(ascii: "="), UInt8(ascii: "=")), (UInt8(ascii: "!"), UInt8(ascii: "=")),
      (UInt8(ascii: "<"), UInt8(ascii: "=")), (UInt8(ascii: ">"), UInt8(ascii: "=")):
      index += 1
      return .symbol(byte)
    case (UInt8(ascii: "="), _): return .equals
    default: return .symbol(byte)
    }
  }

  private mutating func fail(_ message: String, _ first: Int) -> RToken {
    if fault == nil { fault = Fault(line: first, message: message) }
    index = bytes.count
    return .end
  }

  /// Whether the bytes of a range are these.
  func matches(_ range: Range<Int>, _ word: StaticString) -> Bool {
    guard range.count == word.utf8CodeUnitCount else { return false }
    return word.withUTF8Buffer { word in
      for offset in 0..<word.count where bytes[range.lowerBound + offset] != word[offset] { return false }
      return true
    }
  }

  /// What a string stands for; `nil` if it has an escape that R would refuse, or a NUL.
  func text(_ range: Range<Int>, isRaw: Bool) -> ByteString? {
    guard !isRaw, bytes[range].contains(UInt8(ascii: "\\")) else {
      return bytes[range].contains(0) ? nil : ByteString(bytes[range])
    }
    var text: [UInt8] = []
    var index = range.lowerBound
    while index < range.upperBound {
      let byte = bytes[index]
      index += 1
      guard byte == UInt8(ascii: "\\") else {
        text.append(byte)
        continue
      }
      guard index < range.upperBound else { return nil }
      let escape = bytes[index]
      index += 1
      switch escape {
      case UInt8(ascii: "n"): text.append(0x0a)
      case UInt8(ascii: "t"): text.append(0x09)
      case UInt8(ascii: "r"): text.append(0x0d)
      case UInt8(ascii: "a"): text.append(0x07)
      case UInt8(ascii: "b"): text.append(0x08)
      case UInt8(ascii: "f"): text.append(0x0c)
      case UInt8(ascii: "v"): text.append(0x0b)
      case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"), UInt8(ascii: " "),
        UInt8(ascii: "\n"):
        text.append(escape)
      case UInt8(ascii: "0")...UInt8(ascii: "7"):
        index -= 1
        let value = digits(&index, range.upperBound, limit: 3, radix: 8)
        text.append(UInt8(truncatingIfNeeded: value))
      case UInt8(ascii: "x"):
        text.append(UInt8(truncatingIfNeeded: digits(&index, range.upperBound, limit: 2, radix: 16)))
      case UInt8(ascii: "u"), UInt8(ascii: "U"):
        let hasBraces = index < range.upperBound && bytes[index] == UInt8(ascii: "{")
        if hasBraces { index += 1 }
        let value = digits(&index, range.upperBound, limit: escape == UInt8(ascii: "u") ? 4 : 8, radix: 16)
        if hasBraces {
          guard index < range.upperBound, bytes[index] == UInt8(ascii: "}") else { return nil }
          index += 1
        }
        guard let scalar = Unicode.Scalar(UInt32(truncatingIfNeeded: value)) else { return nil }
        text.append(contentsOf: Array(String(scalar).utf8))
      default: return nil
      }
    }
    return text.contains(0) ? nil : ByteString(bytes: text)
  }

  private func digits(_ index: inout Int, _ end: Int, limit: Int, radix: Int) -> Int {
    var value = 0
    var count = 0
    while index < end, count < limit, let digit = Character(Unicode.Scalar(bytes[index])).hexDigitValue, digit < radix {
      value = value * radix + digit
      index += 1
      count += 1
    }
    return value
  }
}
