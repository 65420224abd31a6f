package import PurserModel

/// A pattern of paths.
///
/// `*` is any run of characters and `?` any one, neither a `/`; `[a-z]`, `[!a]` (or `[^a]`) one of a set; `{a,b}` either
/// (nested too, and with slashes); `**` as a whole segment, any number of folders, none included, and at the end
/// everything below. A backslash takes the next character as it is. A name that begins with a dot is matched only by a
/// segment that begins with one. Bytes, not text: a character is one of UTF-8, or one byte where there is none.
///
/// Matching costs at most O(path × pattern), whatever the pattern.
package struct Glob: Sendable, Hashable {
  enum Segment: Sendable, Hashable {
    case anyFolders
    case name(GlobName)
  }

  /// The pattern as given.
  package let pattern: ByteString
  /// Whether it begins at the file system's root, and not at the project's.
  let isAbsolute: Bool
  let alternatives: [GlobPath]

  /// - Throws: for a pattern that is empty, holds a NUL, does not close a set, or stands for too many.
  package init(_ pattern: ByteString) throws(GlobError) {
    self.pattern = pattern
    isAbsolute = pattern.bytes.first == UInt8(ascii: "/")
    alternatives = try GlobParser(pattern: pattern).parse().map(GlobPath.init)
  }

  /// Whether a path is meant as a pattern: it has a `*`, a `?` or a `[`. With a backslash before it, that is a pattern
  /// which matches the one name. (Braces alone do not make one: shells expand them before, and `${A}` is a pipeline's
  /// variable.)
  package static func isPattern(_ path: ByteString) -> Bool {
    path.bytes.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "[") }
  }

  /// The folder that everything which a pattern matches lies below, as far as its text tells; empty for the root.
  package static func literalFolder(of pattern: ByteString) -> ByteString {
    let special: [UInt8] = Array("*?[{\\".utf8)
    let prefix = pattern.bytes.prefix { !special.contains($0) }
    guard let slash = prefix.lastIndex(of: UInt8(ascii: "/")) else { return "" }
    return ByteString(prefix[..<slash])
  }

  /// Whether a path, written like the pattern (both absolute or both relative to the root), matches as a whole.
  package func matches(_ path: ByteString) -> Bool {
    matches(path, hidden: false)
  }

  /// - Parameter hidden: whether hidden names match like any other.
  func matches(_ path: ByteString, hidden: Bool) -> Bool {
    guard isAbsolute == (path.bytes.first == UInt8(ascii: "/")) else { return false }
    return alternatives.contains { $0.matches(path, hidden: hidden) }
  }
}

/// One alternative of a pattern, as a machine that reads names: a state is a set of places between segments, one bit
/// each.
struct GlobPath: Sendable, Hashable {
  typealias State = UInt64

  let segments: [Glob.Segment]

  init(_ segments: [Glob.Segment]) {
    self.segments = segments
  }

  /// Before the first name.
  var start: State { closed(1) }

  /// Whether the names read so far are a whole match.
  func isAccepting(_ state: State) -> Bool { state >> UInt64(segments.count) & 1 == 1 }

  /// What may still follow: not the accepting place, after which nothing does.
  func continuing(_ state: State) -> State { state & ~(1 << UInt64(segments.count)) }

  /// The only names that can follow; `nil` where any may, so that the folder has to be listed.
  func literals(_ state: State) -> [[UInt8]]? {
    var names: [[UInt8]] = []
    for index in segments.indices where state >> UInt64(index) & 1 == 1 {
      guard case .name(let name) = segments[index], let literal = name.literal else { return nil }
      names.append(literal)
    }
    return names
  }

  /// Reads one name: the states by way of `**`, and by way of a segment that matched the name.
  func step(
    _ state: State, _ name: UnsafeBufferPointer<UInt8>, hidden: Bool = false
  ) -> (folders: State, named: State) {
    var folders: State = 0
    var named: State = 0
    for index in segments.indices where state >> UInt64(index) & 1 == 1 {
      switch segments[index] {
      case .anyFolders:
        if hidden || name.first != UInt8(ascii: ".") { folders |= 1 << UInt64(index) }
      case .name(let pattern):
        if pattern.matches(name, hidden: hidden) { named |= 1 << UInt64(index + 1) }
      }
    }
    return (closed(folders), closed(named))
  }

  /// Adds the places that `**` reaches by standing for no folder.
  private func closed(_ state: State) -> State {
    var state = state
    for index in segments.indices where state >> UInt64(index) & 1 == 1 && segments[index] == .anyFolders {
      state |= 1 << UInt64(index + 1)
    }
    return state
  }

  func matches(_ path: ByteString, hidden: Bool) -> Bool {
    path.bytes.withUnsafeBufferPointer { bytes in
      var state = start
      var index = 0
      while index < bytes.count {
        let end = bytes[index...].firstIndex(of: UInt8(ascii: "/")) ?? bytes.count
        let name = UnsafeBufferPointer(rebasing: bytes[index..<end])
        index = end + 1
        if name.isEmpty || name.elementsEqual([UInt8(ascii: ".")]) { continue }
        let (folders, named) = step(state, name, hidden: hidden)
        state = folders | named
        if state == 0 { return false }
      }
      return isAccepting(state)
    }
  }
}
