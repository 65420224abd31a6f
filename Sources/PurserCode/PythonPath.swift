import PurserModel

/// A path that is made of `__file__`, of the working directory or of literals, as `os.path` and `pathlib` make it:
/// by its text, without a look at any file.
struct PythonPath {
  var base: References.Base
  /// Whether it begins with a slash, then `base` does not matter.
  var isAbsolute = false
  /// Whether it was made absolute; then the parent of the working directory can be told.
  var isRooted: Bool
  /// How many folders above `base` it begins.
  var ascent = 0
  /// The names from there, `..` among them until ``normalize()``.
  var parts: [ArraySlice<UInt8>] = []
  /// Whether its text ends with a slash, so that more can be appended to it.
  var endsWithSlash = false

  /// Stands for the name of the file itself; no file can have it.
  private static let ownName: [UInt8] = [0]
  /// A longer path is none.
  private static let maximumParts = 1_024

  /// `__file__`.
  static let ownFile = PythonPath(base: .ownFolder, isRooted: true, parts: [ownName[...]])

  init(base: References.Base, isRooted: Bool, parts: [ArraySlice<UInt8>] = []) {
    self.base = base
    self.isRooted = isRooted
    self.parts = parts
  }

  /// A path as it is written.
  init(text: [UInt8]) {
    self.init(base: .workingDirectory, isRooted: false)
    isAbsolute = text.first == UInt8(ascii: "/")
    isRooted = isAbsolute
    append(text)
  }

  private mutating func append(_ text: [UInt8]) {
    for part in text.split(separator: UInt8(ascii: "/")) where part != [UInt8(ascii: ".")] { parts.append(part) }
    if let last = text.last { endsWithSlash = last == UInt8(ascii: "/") }
  }

  private static let up: [UInt8] = Array("..".utf8)

  // MARK: - What programs do with paths

  /// `os.path.dirname`, `.parent`.
  mutating func removeLast() {
    endsWithSlash = false
    if !parts.isEmpty {
      parts.removeLast()
    } else if isRooted, !isAbsolute {
      ascent += 1
    }
  }

  /// `os.path.join`, `/`. `false` if the path becomes too long.
  mutating func join(_ text: [UInt8]) -> Bool {
    if text.first == UInt8(ascii: "/") {
      self = PythonPath(text: text)
    } else {
      append(text)
    }
    return parts.count <= Self.maximumParts
  }

  /// `+`: `false` where that does not end at a slash.
  mutating func concatenate(_ text: [UInt8]) -> Bool {
    guard !text.isEmpty else { return true }
    guard endsWithSlash || text.first == UInt8(ascii: "/") else { return false }
    append(text)
    return parts.count <= Self.maximumParts
  }

  /// `os.path.normpath` and all that imply it.
  mutating func normalize() {
    var kept: [ArraySlice<UInt8>] = []
    for part in parts {
      if part != Self.up[...] {
        kept.append(part)
      } else if !kept.isEmpty {
        kept.removeLast()
      } else if !isAbsolute {
        ascent += 1
      }
    }
    parts = kept
    endsWithSlash = false
  }

  /// `os.path.abspath`, `.resolve()`.
  mutating func makeAbsolute() {
    normalize()
    isRooted = true
  }

  /// In normal form, `.` for the base itself; `nil` for what is below a file.
  var folder: (path: ByteString, base: References.Base)? {
    var path = self
    path.normalize()
    guard path.ascent <= Self.maximumParts, !path.parts.contains(where: { $0.contains(0) }) else { return nil }
    var names = [ArraySlice<UInt8>](repeating: Self.up[...], count: path.ascent)
    names += path.parts
    let text = Array(names.joined(separator: [UInt8(ascii: "/")]))
    if isAbsolute { return (ByteString(bytes: [UInt8(ascii: "/")] + text), .workingDirectory) }
    return (text.isEmpty ? "." : ByteString(bytes: text), base)
  }
}
