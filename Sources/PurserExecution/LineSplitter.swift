import Glibc

/// Cuts a stream of bytes into lines.
package struct LineSplitter: Sendable {
  /// The longest piece that is delivered.
  static let limit = 1 << 16

  private let stream: UInt8
  private let deliver: @Sendable (UInt8, [UInt8]) -> Void
  /// The beginning of a line whose end has not come; at most `limit` bytes.
  private var begun: [UInt8] = []

  package init(stream: UInt8, deliver: @escaping @Sendable (UInt8, [UInt8]) -> Void) {
    self.stream = stream
    self.deliver = deliver
  }

  /// Delivers the lines that these bytes complete. O(count).
  package mutating func add(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while let base = rest.baseAddress, !rest.isEmpty {
      let newline = memchr(base, 0x0A, rest.count).map { base.distance(to: $0) }
      extend(UnsafeRawBufferPointer(rebasing: rest[..<(newline ?? rest.count)]))
      guard let newline else { return }
      deliver(stream, begun)
      begun = []
      rest = UnsafeRawBufferPointer(rebasing: rest[(newline + 1)...])
    }
  }

  /// Delivers the last line, if no newline ended it.
  package mutating func finish() {
    if !begun.isEmpty { deliver(stream, begun) }
    begun = []
  }

  /// A full piece goes only when more of its line comes, so that no empty line follows one of exactly that size.
  private mutating func extend(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes[...]
    while !rest.isEmpty {
      if begun.count == Self.limit {
        deliver(stream, begun)
        begun = []
      }
      let piece = rest.prefix(Self.limit - begun.count)
      begun.append(contentsOf: piece)
      rest = rest.dropFirst(piece.count)
    }
  }
}
