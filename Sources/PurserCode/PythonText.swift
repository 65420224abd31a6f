/// What Python asks of a source before it is split into tokens: valid UTF-8 without NUL bytes, declared as nothing else.
struct PythonText {
  /// The first byte after a byte order mark.
  let start: Int
  /// The end of what can be read: the offset of the fault, or the number of bytes.
  let end: Int
  /// What is wrong at `end`.
  let fault: Fault?

  enum Fault {
    case nul
    case notUTF8
    case carriageReturn
    case tooLarge
    case encoding(String)

    var message: String {
      switch self {
      case .nul: "a NUL byte"
      case .notUTF8: "bytes that are not UTF-8"
      case .carriageReturn: "a carriage return that is no part of a line's end"
      case .tooLarge: "more than 2 GB"
      case .encoding(let name): "the encoding '\(name)' is declared, and only UTF-8 is read"
      }
    }
  }

  init(_ bytes: UnsafeBufferPointer<UInt8>) {
    let hasMark = bytes.count >= 3 && bytes[0] == 0xef && bytes[1] == 0xbb && bytes[2] == 0xbf
    start = hasMark ? 3 : 0
    guard bytes.count <= Int(Int32.max) else {
      (end, fault) = (start, .tooLarge)
      return
    }
    let checked = Self.check(bytes)
    if let declaration = Self.declaredEncoding(bytes, from: start),
      !Self.isUTF8(declaration), hasMark || !checked.isASCII || !Self.extendsASCII(declaration)
    {
      (end, fault) = (start, .encoding(String(decoding: declaration, as: UTF8.self)))
    } else {
      (end, fault) = (checked.end, checked.fault)
    }
  }

  // MARK: - Bytes

  private static func check(_ bytes: UnsafeBufferPointer<UInt8>) -> (end: Int, fault: Fault?, isASCII: Bool) {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let highs: UInt64 = 0x8080_8080_8080_8080
    let returns: UInt64 = 0x0d0d_0d0d_0d0d_0d0d
    let raw = UnsafeRawBufferPointer(bytes)
    var index = 0
    var isASCII = true
    while index < bytes.count {
      // Eight bytes at a time, as long as they are ASCII without NUL and carriage returns.
      while index + 8 <= bytes.count {
        let word = raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
        let other = word ^ returns
        guard (word | ((word &- ones) & ~word) | ((other &- ones) & ~other)) & highs == 0 else { break }
        index += 8
      }
      guard index < bytes.count else { break }
      let byte = bytes[index]
      if byte >= 0x80 {
        isASCII = false
        let length = sequenceLength(bytes, index)
        guard length > 0 else { return (index, .notUTF8, isASCII) }
        index += length
      } else if byte == 0 {
        return (index, .nul, isASCII)
      } else if byte == UInt8(ascii: "\r"), index + 1 >= bytes.count || bytes[index + 1] != UInt8(ascii: "\n") {
        return (index, .carriageReturn, isASCII)
      } else {
        index += 1
      }
    }
    return (index, nil, isASCII)
  }

  /// The length of the sequence of two to four bytes at `index`, or 0 (RFC 3629, table of well-formed sequences).
  private static func sequenceLength(_ bytes: UnsafeBufferPointer<UInt8>, _ index: Int) -> Int {
    func isContinuation(_ offset: Int, _ range: ClosedRange<UInt8> = 0x80...0xbf) -> Bool {
      index + offset < bytes.count && range.contains(bytes[index + offset])
    }
    switch bytes[index] {
    case 0xc2...0xdf: return isContinuation(1) ? 2 : 0
    case 0xe0: return isContinuation(1, 0xa0...0xbf) && isContinuation(2) ? 3 : 0
    case 0xed: return isContinuation(1, 0x80...0x9f) && isContinuation(2) ? 3 : 0
    case 0xe1...0xef: return isContinuation(1) && isContinuation(2) ? 3 : 0
    case 0xf0: return isContinuation(1, 0x90...0xbf) && isContinuation(2) && isContinuation(3) ? 4 : 0
    case 0xf1...0xf3: return isContinuation(1) && isContinuation(2) && isContinuation(3) ? 4 : 0
    case 0xf4: return isContinuation(1, 0x80...0x8f) && isContinuation(2) && isContinuation(3) ? 4 : 0
    default: return 0
    }
  }

  // MARK: - Declaration

  /// The name in a comment such as `# -*- coding: utf-8 -*-` on one of the first two lines (PEP 263).
  private static func declaredEncoding(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> [UInt8]? {
    var index = start
    for _ in 0..<2 {
      var end = index
      while end < bytes.count, bytes[end] != UInt8(ascii: "\n"), bytes[end] != UInt8(ascii: "\r") { end += 1 }
      while index < end, isBlank(bytes[index]) || bytes[index] == 0x0c { index += 1 }
      if index < end {
        // A line of code: the next one does not count.
        guard bytes[index] == UInt8(ascii: "#") else { return nil }
        if let name = encoding(bytes, index..<end) { return name }
      }
      guard end < bytes.count else { return nil }
      index = end + 1
      if bytes[end] == UInt8(ascii: "\r"), index < bytes.count, bytes[index] == UInt8(ascii: "\n") { index += 1 }
    }
    return nil
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

  /// What follows the first `coding:` or `coding=` that a name follows.
  private static func encoding(_ bytes: UnsafeBufferPointer<UInt8>, _ comment: Range<Int>) -> [UInt8]? {
    let word = Array("coding".utf8)
    var index = comment.lowerBound
    while index + word.count < comment.upperBound {
      defer { index += 1 }
      guard bytes[index] == word[0], (1..<word.count).allSatisfy({ bytes[index + $0] == word[$0] }) else { continue }
      var begin = index + word.count
      guard bytes[begin] == UInt8(ascii: ":") || bytes[begin] == UInt8(ascii: "=") else { continue }
      begin += 1
      while begin < comment.upperBound, isBlank(bytes[begin]) { begin += 1 }
      var end = begin
      while end < comment.upperBound, isNameByte(bytes[end]) { end += 1 }
      if end > begin { return Array(bytes[begin..<min(end, begin + 64)]) }
    }
    return nil
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
      true
    default: false
    }
  }

  private static func normalized(_ name: [UInt8]) -> String {
    let lower = name.map { byte -> UInt8 in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
      case UInt8(ascii: "_"): UInt8(ascii: "-")
      default: byte
      }
    }
    return String(decoding: lower, as: UTF8.self)
  }

  private static func isUTF8(_ name: [UInt8]) -> Bool {
    let name = normalized(name)
    return ["utf-8", "utf8", "u8", "utf"].contains(name) || name.hasPrefix("utf-8-")
  }

  /// Whether a file of ASCII alone means the same in this encoding.
  private static func extendsASCII(_ name: [UInt8]) -> Bool {
    ["ascii", "us-ascii", "latin-1", "latin1", "iso-8859-1", "iso-8859-15", "cp1252"].contains(normalized(name))
  }
}
