package import PurserModel

/// Why a file of dependencies cannot be used.
package struct DependencyFileError: Error, Sendable, Equatable, CustomStringConvertible {
  /// From 1.
  package var line: Int
  /// What is wrong with the line.
  package var message: String

  package init(line: Int, _ message: String) {
    self.line = line
    self.message = message
  }

  /// One line, without the name of the file.
  package var description: String { "line \(line): \(message)" }
}

/// Reads the rules that a compiler writes about what it has read: `cc -MD`, `-MMD`, `-MF`, `-MP`,
/// `rustc --emit=dep-info`, `ghc -M`.
///
/// The format is Make's, of which compilers use little, and that little with differences:
///
/// - A rule is `targets: prerequisites`. The colon that counts is the first with white space or the end of the line
///   behind it (Clang writes a target `a:b.o` as it is), else the first one.
/// - A backslash at the end of a line continues it.
/// - 2N+1 backslashes before white space are N backslashes and that white space as part of a name, 2N are N at the end
///   of a name. At the end of a line an even number stands for itself. So Make reads them, and GCC and Clang write
///   them.
/// - `\#` and `\:` are `#` and `:`, `$$` is `$`. Other backslashes stand for themselves, those before `\#` too: Make
///   would halve them, but no compiler doubles them.
/// - `#` starts a comment where a name could start. Within a name it is a character: rustc does not quote it.
/// - `|` alone, which in Make goes before prerequisites that only have to exist, is passed over.
///
/// GCC does not quote a backslash that ends a name, so that `a\` and `b` come out as the one name `a b`.
package enum DependencyFile {
  /// All prerequisites of all rules in order, each once. Targets do not matter, and so the empty rules that `-MP` adds
  /// do not either. O(bytes).
  package static func prerequisites(in bytes: [UInt8]) throws(DependencyFileError) -> [ByteString] {
    var parser = DependencyFileParser()
    let error = bytes.withUnsafeBufferPointer { buffer -> DependencyFileError? in
      do throws(DependencyFileError) {
        try parser.parse(buffer)
        return nil
      } catch {
        return error
      }
    }
    if let error { throw error }
    return parser.found
  }
}

/// Goes over the rules, one logical line at a time.
private struct DependencyFileParser {
  private(set) var found: [ByteString] = []
  private var known: Set<ByteString> = []
  /// Of the byte that is looked at.
  private var line = 1
  private var name: [UInt8] = []

  /// Where a rule may be split if no colon is followed by white space.
  private struct Split {
    var offset: Int
    var line: Int
  }

  /// What a logical line ended with.
  private enum LineEnd {
    case rule
    /// There was no colon, but there were names.
    case noColon
    /// As `rule`, or there was nothing at all.
    case blank
  }

  mutating func parse(_ bytes: UnsafeBufferPointer<UInt8>) throws(DependencyFileError) {
    var index = 0
    while index < bytes.count {
      let first = line
      var inner: Split?
      var escaped: Split?
      let end = try parseLine(bytes, &index, isAfterColon: false, &inner, &escaped)
      guard end == .noColon else { continue }
      guard let split = inner ?? escaped else {
        throw DependencyFileError(line: first, "has no ':' after its targets; the file may have been cut off")
      }
      if split.offset < bytes.count && bytes[split.offset] == UInt8(ascii: "=") {
        throw DependencyFileError(line: first, "sets a variable, where only rules are read")
      }
      index = split.offset
      line = split.line
      _ = try parseLine(bytes, &index, isAfterColon: true, &inner, &escaped)
    }
  }

  /// Goes over one logical line, or what is left of it, and the newline that ends it.
  private mutating func parseLine(
    _ bytes: UnsafeBufferPointer<UInt8>, _ index: inout Int, isAfterColon: Bool, _ inner: inout Split?,
    _ escaped: inout Split?
  ) throws(DependencyFileError) -> LineEnd {
    var isAfterColon = isAfterColon
    var hasTarget = false
    var hasName = false
    name.removeAll(keepingCapacity: true)

    func isSpace(_ offset: Int) -> Bool {
      guard offset < bytes.count else { return true }
      return switch bytes[offset] {
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"): true
      case UInt8(ascii: "\r"): offset + 1 == bytes.count || bytes[offset + 1] == UInt8(ascii: "\n")
      default: false
      }
    }

    func finishName(_ parser: inout DependencyFileParser) {
      guard hasName else { return }
      hasName = false
      if isAfterColon { parser.add() } else { hasTarget = true }
      parser.name.removeAll(keepingCapacity: true)
    }

    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case UInt8(ascii: "\n"):
        finishName(&self)
        index += 1
        line += 1
        return isAfterColon ? .rule : hasTarget ? .noColon : .blank
      case UInt8(ascii: " "), UInt8(ascii: "\t"),
        UInt8(ascii: "\r") where isSpace(index):
        finishName(&self)
        index += 1
      case UInt8(ascii: "#") where !hasName:
        try skipComment(bytes, &index)
      case UInt8(ascii: ":") where !isAfterColon && isSpace(index + 1):
        guard hasTarget || hasName else {
          throw DependencyFileError(line: line, "names no target before the ':'")
        }
        finishName(&self)
        isAfterColon = true
        index += 1
      case UInt8(ascii: ":"):
        if !isAfterColon && inner == nil { inner = Split(offset: index + 1, line: line) }
        name.append(byte)
        hasName = true
        index += 1
      case UInt8(ascii: "$"):
        name.append(byte)
        hasName = true
        index += index + 1 < bytes.count && bytes[index + 1] == byte ? 2 : 1
      case UInt8(ascii: "\\"):
        let start = index
        while index < bytes.count && bytes[index] == byte { index += 1 }
        let count = index - start
        guard index < bytes.count else {
          if count % 2 == 1 {
            throw DependencyFileError(line: line, "ends in a backslash; the file may have been cut off")
          }
          append(backslashes: count, &hasName)
          continue
        }
        let next = bytes[index]
        if next == UInt8(ascii: " ") || next == UInt8(ascii: "\t") {
          append(backslashes: count / 2, &hasName)
          if count % 2 == 1 {
            name.append(next)
            hasName = true
            index += 1
          }
        } else if isSpace(index) {
          if count % 2 == 1 {
            append(backslashes: count / 2, &hasName)
            finishName(&self)
            index += next == UInt8(ascii: "\r") ? 2 : 1
            line += 1
          } else {
            append(backslashes: count, &hasName)
          }
        } else if next == UInt8(ascii: "#") || next == UInt8(ascii: ":") {
          append(backslashes: count - 1, &hasName)
          name.append(next)
          hasName = true
          index += 1
          if next == UInt8(ascii: ":") && escaped == nil && isSpace(index) {
            escaped = Split(offset: index, line: line)
          }
        } else {
          append(backslashes: count, &hasName)
        }
      case 0:
        throw DependencyFileError(line: line, "holds a NUL byte, which no path can")
      default:
        name.append(byte)
        hasName = true
        index += 1
      }
    }
    finishName(&self)
    return isAfterColon ? .rule : hasTarget ? .noColon : .blank
  }

  private mutating func append(backslashes count: Int, _ hasName: inout Bool) {
    guard count > 0 else { return }
    name.append(contentsOf: repeatElement(UInt8(ascii: "\\"), count: count))
    hasName = true
  }

  private mutating func add() {
    let name = ByteString(bytes: Array(name))
    guard name != "|", known.insert(name).inserted else { return }
    found.append(name)
  }

  /// Goes to the newline that ends a comment, which an odd number of backslashes before it does not.
  private mutating func skipComment(_ bytes: UnsafeBufferPointer<UInt8>, _ index: inout Int)
    throws(DependencyFileError)
  {
    var isContinued = false
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "\n"):
        if !isContinued { return }
        isContinued = false
        line += 1
      case UInt8(ascii: "\\"): isContinued.toggle()
      case UInt8(ascii: "\r") where index + 1 < bytes.count && bytes[index + 1] == UInt8(ascii: "\n"): break
      case 0: throw DependencyFileError(line: line, "holds a NUL byte, which no path can")
      default: isContinued = false
      }
      index += 1
    }
  }
}
