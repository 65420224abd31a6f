package import PurserModel

/// What folders and globs leave out: `.git`, `__pycache__` and `*.pyc` everywhere, given paths, and patterns.
///
/// Paths are relative to the project root, or absolute outside of it, with single slashes and no `.` segments.
package struct PathFilter: Sendable {
  private let skippedPaths: [ByteString]
  /// Patterns of names, at any depth: those without a slash, as in .gitignore.
  private let namePatterns: [Glob]
  private let pathPatterns: [Glob]
  private let skipsCaches: Bool

  /// - Parameters:
  ///   - root: the project root; absolute paths below it are taken as relative to it.
  ///   - skippedPaths: left out with everything below: the store, the task's own outputs.
  ///   - patterns: left out with everything below. A pattern without a slash is matched against names at any depth;
  ///     one with a slash, and any without `*`, `?` or `[`, against the whole path. Hidden names match like others.
  ///   - skipsCaches: whether `__pycache__` and `*.pyc` are left out: by-products as inputs, perhaps products as outputs.
  package init(root: ByteString, skippedPaths: [ByteString], patterns: [Glob], skipsCaches: Bool = true) {
    self.skipsCaches = skipsCaches
    let prefix = root.bytes.last == UInt8(ascii: "/") ? root : root + "/"
    self.skippedPaths = skippedPaths.compactMap { path in
      var bytes = (!root.isEmpty && path.hasPrefix(prefix)) ? Array(path.bytes[prefix.count...]) : path.bytes
      while bytes.count > 1 && bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
      return bytes.isEmpty || path == root ? nil : ByteString(bytes: bytes)
    }
    let isOfNames = { (glob: Glob) in
      Glob.isPattern(glob.pattern) && !glob.pattern.bytes.contains(UInt8(ascii: "/"))
    }
    namePatterns = patterns.filter(isOfNames)
    pathPatterns = patterns.filter { !isOfNames($0) }
  }

  /// Whether a path is left out, itself or with a folder above it. O(length × patterns).
  package func skips(_ relativePath: ByteString, isDirectory: Bool) -> Bool {
    let bytes = relativePath.bytes
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: UInt8(ascii: "/")) ?? bytes.count
      if end > start {
        let parent = ByteString(bytes[..<max(0, start - 1)])
        let isLast = end == bytes.count
        let skipped = bytes[start..<end].withUnsafeBufferPointer { name in
          scope(of: parent).skips(name, isDirectory: isDirectory || !isLast) { ByteString(bytes[..<end]) }
        }
        if skipped { return true }
      }
      start = end + 1
    }
    return false
  }

  /// What is left out among the entries of one folder that is not itself left out: most folders need no full paths.
  struct Scope: Sendable {
    fileprivate let filter: PathFilter
    fileprivate let names: [[UInt8]]

    /// - Parameter path: the entry's path, asked for only where a pattern needs it.
    func skips(_ name: UnsafeBufferPointer<UInt8>, isDirectory: Bool, path: () -> ByteString) -> Bool {
      if isPartOfRestore(name) { return true }
      if !filter.skipsCaches {
        // Only what is left out everywhere.
      } else if isDirectory {
        if name.elementsEqual(Self.cacheFolder) { return true }
      } else if name.count > 4 && name[(name.count - 4)...].elementsEqual(Self.compiled) {
        return true
      }
      if name.elementsEqual(Self.git) || names.contains(where: { name.elementsEqual($0) }) { return true }
      if !filter.namePatterns.isEmpty {
        let name = ByteString(name)
        if filter.namePatterns.contains(where: { $0.matches(name, hidden: true) }) { return true }
      }
      if !filter.pathPatterns.isEmpty {
        let path = path()
        if filter.pathPatterns.contains(where: { $0.matches(path, hidden: true) }) { return true }
      }
      return false
    }

    /// A file that a restore, perhaps one that was killed, has not yet moved to its place.
    private func isPartOfRestore(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
      name.count > Self.temporary.count && name.starts(with: Self.temporary)
    }

    private static let temporary = Array(".purser-tmp-".utf8)
    private static let git = Array(".git".utf8)
    private static let cacheFolder = Array("__pycache__".utf8)
    private static let compiled = Array(".pyc".utf8)
  }

  /// The rules for the entries of `directory` (empty for the root).
  func scope(of directory: ByteString) -> Scope {
    let names = skippedPaths.compactMap { path -> [UInt8]? in
      let bytes = path.bytes
      let slash = bytes.lastIndex(of: UInt8(ascii: "/"))
      let parent = slash.map { bytes[..<$0] } ?? []
      guard parent.elementsEqual(directory.bytes) else { return nil }
      return Array(bytes[(slash.map { $0 + 1 } ?? 0)...])
    }
    return Scope(filter: self, names: names)
  }
}
