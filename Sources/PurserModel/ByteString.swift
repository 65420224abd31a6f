/// A string of raw bytes: a path, a name or an argument exactly as the operating system has it.
///
/// Paths on Linux need not be UTF-8, and Swift's `String` would repair (and so change) those that are not. Keys,
/// comparisons and system calls use `bytes`; text, JSON and TEXT columns use ``escaped``, which is reversible.
/// Ordering is by unsigned bytes, so that it does not depend on a locale.
@frozen
public struct ByteString: Sendable, Hashable {
  /// The bytes, without a terminating NUL.
  public var bytes: [UInt8]

  /// Wraps bytes as they are.
  @inlinable
  public init(bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// Copies any sequence of bytes.
  @inlinable
  public init(_ bytes: some Sequence<UInt8>) {
    self.bytes = Array(bytes)
  }

  /// The UTF-8 of a string, taken literally (no escapes).
  @inlinable
  public init(_ string: some StringProtocol) {
    self.bytes = Array(string.utf8)
  }

  /// The inverse of ``escaped``; `nil` where a backslash starts no known escape.
  public init?(escaped text: some StringProtocol) {
    var result: [UInt8] = []
    var iterator = text.utf8.makeIterator()
    while let byte = iterator.next() {
      guard byte == UInt8(ascii: "\\") else {
        result.append(byte)
        continue
      }
      switch iterator.next() {
      case UInt8(ascii: "\\"):
        result.append(byte)
      case UInt8(ascii: "x"):
        guard let high = iterator.next().flatMap(Hex.value), let low = iterator.next().flatMap(Hex.value) else {
          return nil
        }
        result.append(high << 4 | low)
      default:
        return nil
      }
    }
    bytes = result
  }

  /// The number of bytes.
  @inlinable public var count: Int { bytes.count }

  /// Whether there are no bytes.
  @inlinable public var isEmpty: Bool { bytes.isEmpty }

  /// Reversible text: valid UTF-8 as it is, other bytes as `\xHH`, a backslash as `\\`. O(count).
  public var escaped: String {
    escape(controlCharacters: false)
  }

  /// As ``escaped``, and control characters (a newline, an escape sequence) as `\xHH` too: for messages, so that a
  /// name can neither break a line nor drive a terminal.
  public var printable: String {
    escape(controlCharacters: true)
  }

  private func escape(controlCharacters: Bool) -> String {
    let isPlain = bytes.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\\") }
    if isPlain { return String(decoding: bytes, as: UTF8.self) }
    var result = ""
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      let length = utf8SequenceLength(at: index)
      if length == 0 {
        result += "\\x" + Hex.string([byte])
        index += 1
      } else if controlCharacters && isControl(at: index, length) {
        for byte in bytes[index..<index + length] { result += "\\x" + Hex.string([byte]) }
        index += length
      } else if byte == UInt8(ascii: "\\") {
        result += "\\\\"
        index += 1
      } else {
        result += String(decoding: bytes[index..<index + length], as: UTF8.self)
        index += length
      }
    }
    return result
  }

  /// Whether a character could break a line, drive a terminal or reorder what is shown: C0, DEL, C1, the line and
  /// paragraph separators, and the bidirectional controls.
  private func isControl(at index: Int, _ length: Int) -> Bool {
    switch length {
    case 1: bytes[index] < 0x20 || bytes[index] == 0x7f
    case 2: bytes[index] == 0xc2 && bytes[index + 1] < 0xa0
    case 3:
      bytes[index] == 0xe2
        && (bytes[index + 1] == 0x80 && (0xa8...0xae).contains(bytes[index + 2])
          || bytes[index + 1] == 0x81 && (0xa6...0xa9).contains(bytes[index + 2]))
    default: false
    }
  }

  /// The length of the valid UTF-8 sequence that starts at `index`, or 0 (RFC 3629, table of well-formed sequences).
  private func utf8SequenceLength(at index: Int) -> Int {
    func continuation(_ offset: Int, _ range: ClosedRange<UInt8> = 0x80...0xbf) -> Bool {
      index + offset < bytes.count && range.contains(bytes[index + offset])
    }
    switch bytes[index] {
    case 0x00...0x7f: return 1
    case 0xc2...0xdf: return continuation(1) ? 2 : 0
    case 0xe0: return continuation(1, 0xa0...0xbf) && continuation(2) ? 3 : 0
    case 0xed: return continuation(1, 0x80...0x9f) && continuation(2) ? 3 : 0
    case 0xe1...0xef: return continuation(1) && continuation(2) ? 3 : 0
    case 0xf0: return continuation(1, 0x90...0xbf) && continuation(2) && continuation(3) ? 4 : 0
    case 0xf1...0xf3: return continuation(1) && continuation(2) && continuation(3) ? 4 : 0
    case 0xf4: return continuation(1, 0x80...0x8f) && continuation(2) && continuation(3) ? 4 : 0
    default: return 0
    }
  }

  /// Calls `body` with the bytes as a NUL-terminated C string.
  @inlinable
  public func withCString<Result, Failure: Error>(
    _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var terminated = ContiguousArray<CChar>()
    terminated.reserveCapacity(bytes.count + 1)
    for byte in bytes { terminated.append(CChar(bitPattern: byte)) }
    terminated.append(0)
    let outcome: Swift.Result<Result, Failure> = terminated.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else { preconditionFailure("an array of at least one element has a base") }
      do throws(Failure) {
        return .success(try body(base))
      } catch {
        return .failure(error)
      }
    }
    return try outcome.get()
  }

  /// Whether the bytes begin with those of `prefix`.
  @inlinable
  public func hasPrefix(_ prefix: ByteString) -> Bool {
    bytes.starts(with: prefix.bytes)
  }

  /// The two joined, nothing between them.
  @inlinable
  public static func + (left: ByteString, right: ByteString) -> ByteString {
    ByteString(bytes: left.bytes + right.bytes)
  }
}

extension ByteString: Comparable {
  @inlinable
  public static func < (left: ByteString, right: ByteString) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }
}

extension ByteString: ExpressibleByStringLiteral {
  @inlinable
  public init(stringLiteral value: String) {
    self.init(value)
  }
}

extension ByteString: CustomStringConvertible {
  public var description: String { escaped }
}
