// Paths are lexical here: "." and ".." are removed by name, as a shell does, without asking the file system.
extension ByteString {
  package var isAbsolutePath: Bool { bytes.first == UInt8(ascii: "/") }

  /// The path without empty segments, "." and "..".
  package var normalizedPath: ByteString {
    if isNormalizedPath { return self }
    var segments: [ArraySlice<UInt8>] = []
    for segment in bytes.split(separator: UInt8(ascii: "/")) {
      if segment.elementsEqual(".".utf8) { continue }
      if segment.elementsEqual("..".utf8) {
        if let last = segments.last, !last.elementsEqual("..".utf8) {
          segments.removeLast()
        } else if !isAbsolutePath {
          segments.append(segment)
        }
        continue
      }
      segments.append(segment)
    }
    let joined = segments.joined(separator: CollectionOfOne(UInt8(ascii: "/")))
    return isAbsolutePath ? "/" + ByteString(joined) : ByteString(joined)
  }

  /// Whether no segment is empty, "." or "..": most paths are so, and then nothing has to be taken apart.
  private var isNormalizedPath: Bool {
    var start = isAbsolutePath ? 1 : 0
    let end = bytes.count
    if start == end { return true }
    while start <= end {
      var next = start
      while next < end, bytes[next] != UInt8(ascii: "/") { next += 1 }
      switch next - start {
      case 0: return false
      case 1 where bytes[start] == UInt8(ascii: "."): return false
      case 2 where bytes[start] == UInt8(ascii: ".") && bytes[start + 1] == UInt8(ascii: "."): return false
      default: start = next + 1
      }
    }
    return true
  }

  /// Joined by a slash; an absolute right side stands alone.
  package func appending(path: ByteString) -> ByteString {
    if path.isAbsolutePath || isEmpty { return path }
    if path.isEmpty { return self }
    return bytes.last == UInt8(ascii: "/") ? self + path : self + "/" + path
  }

  /// The part before the last slash: empty for a bare name, "/" for a name in the root folder.
  package var parentPath: ByteString {
    guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return "" }
    return slash == 0 ? "/" : ByteString(bytes[..<slash])
  }

  /// The part after the last slash.
  package var lastPathComponent: ByteString {
    guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return self }
    return ByteString(bytes[(slash + 1)...])
  }

  /// Whether this is `folder` itself or something below it. Both normalized. Everything relative is below "".
  package func isWithin(_ folder: ByteString) -> Bool {
    // Asked several times for every path of a pipeline: nothing is allocated for it.
    let (count, slash) = (folder.bytes.count, UInt8(ascii: "/"))
    if count == 0 { return !isAbsolutePath }
    if count == 1, folder.bytes[0] == slash { return isAbsolutePath }
    guard bytes.count == count || bytes.count > count && bytes[count] == slash else { return false }
    return bytes[..<count].elementsEqual(folder.bytes)
  }

  /// Whether this, normalized, is absolute or leads out of what it is relative to.
  package var leadsOut: Bool {
    let dot = UInt8(ascii: ".")
    if isAbsolutePath { return true }
    guard bytes.count >= 2, bytes[0] == dot, bytes[1] == dot else { return false }
    return bytes.count == 2 || bytes[2] == UInt8(ascii: "/")
  }

  /// The rest of the path below `folder`, empty for the folder itself; `nil` if it is not within.
  package func path(relativeTo folder: ByteString) -> ByteString? {
    guard isWithin(folder) else { return nil }
    if self == folder { return "" }
    if folder.isEmpty { return self }
    return ByteString(bytes.dropFirst(folder == "/" ? 1 : folder.count + 1))
  }
}
