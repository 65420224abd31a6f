extension LogSpool {
  /// The last lines of what was printed, both streams in order of arrival: for a message about a failure.
  ///
  /// At most `lines` lines and `maxBytes` bytes, a newline at the end not counted as a line. A line that `maxBytes`
  /// would cut is left out, unless it is the last one: then its end is given. Empty if nothing was captured, or it
  /// cannot be read. Reads the headers of all frames, and of the bytes only the last.
  package func tail(lines: Int, maxBytes: Int) -> [UInt8] {
    guard lines > 0 && maxBytes > 0 else { return [] }
    let end = withContents { Self.end(of: $0, maxBytes: maxBytes) }
    let newline = UInt8(ascii: "\n")
    var start = end.bytes.count
    var found = 0
    while start > 0 {
      let isEnd = end.bytes[start - 1] == newline && start < end.bytes.count
      if isEnd { found += 1 }
      if isEnd && found == lines { break }
      start -= 1
    }
    if start == 0 && end.isCut, let first = end.bytes.dropLast().firstIndex(of: newline) { start = first + 1 }
    return Array(end.bytes[start...])
  }

  /// The last bytes, and whether the first of them stands inside a line.
  private static func end(of contents: LogContents, maxBytes: Int) -> (bytes: [UInt8], isCut: Bool) {
    var total: Int64 = 0
    var bytes: [UInt8] = []
    do {
      try LogReader.read(
        contents,
        skipping: { _, length in
          total += length
          return length
        }, { _, _ in })
      // One more, to see whether it is a newline.
      let first = max(total - Int64(maxBytes) - 1, 0)
      var position: Int64 = 0
      try LogReader.read(
        contents,
        skipping: { _, length in
          defer { position += length }
          return min(max(first - position, 0), length)
        }, { _, piece in bytes.append(contentsOf: piece) })
    } catch {
      return ([], false)
    }
    guard bytes.count > maxBytes else { return (bytes, false) }
    return (Array(bytes.dropFirst()), bytes[0] != UInt8(ascii: "\n"))
  }
}
