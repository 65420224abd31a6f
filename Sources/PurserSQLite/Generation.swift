import Glibc

/// Counts how often anybody went through the writers' gate, to read without locks what nobody is writing.
///
/// A reader that sees an even number, and the same one afterwards, knows that no transaction, checkpoint or migration
/// happened in between. Given an empty write-ahead log too, the database file alone is a consistent state, and can be
/// opened as immutable: no locks, no shared memory file. That saves some fifty system calls of a hit's hundred and
/// fifty, among them the creation of a shared memory file which the only reader would throw away again.
struct Generation: ~Copyable {
  /// Where the number stands in the gate's file: twenty decimal digits, padded with blanks.
  static let offset = 11

  private let descriptor: Int32
  private let number: UInt64

  /// `nil` where somebody is inside the gate, or nobody ever was.
  init?(gateAt path: String) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { return nil }
    guard let number = Self.read(descriptor), number & 1 == 0 else {
      close(descriptor)
      return nil
    }
    self.descriptor = descriptor
    self.number = number
  }

  deinit {
    close(descriptor)
  }

  /// Whether nobody has gone through the gate since.
  var isCurrent: Bool { Self.read(descriptor) == number }

  /// The number now; `nil` where somebody is inside the gate, or nobody ever was.
  static func current(gateAt path: String) -> UInt64? {
    Generation(gateAt: path)?.number
  }

  /// The number in an open gate file.
  static func read(_ descriptor: Int32) -> UInt64? {
    withUnsafeTemporaryAllocation(byteCount: 20, alignment: 8) { buffer in
      guard pread(descriptor, buffer.baseAddress, 20, offset) == 20 else { return nil }
      var number: UInt64 = 0
      for byte in buffer {
        guard byte != UInt8(ascii: " ") else { break }
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        number = number &* 10 &+ UInt64(byte - UInt8(ascii: "0"))
      }
      return number
    }
  }
}
