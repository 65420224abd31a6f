import Glibc
import PurserModel

/// The names of all that stands in a folder, with what each is, sorted by their bytes.
struct FolderNames: Sendable, Equatable {
  /// Of each entry: a byte that says what it is, the name, a NUL.
  private(set) var bytes: [UInt8]
  private(set) var count: Int

  /// Sorts what was listed in any order.
  init(_ listing: Listing) {
    count = listing.starts.count
    bytes = [UInt8](unsafeUninitializedCapacity: listing.bytes.count) { buffer, filled in
      listing.bytes.withUnsafeBytes { listed in
        guard let from = listed.baseAddress, let to = buffer.baseAddress else { return }
        for index in listing.order() {
          let start = Int(listing.starts[Int(index)])
          let next = Int(index) + 1
          let end = next < listing.starts.count ? Int(listing.starts[next]) : listed.count
          UnsafeMutableRawPointer(to + filled).copyMemory(from: from + start, byteCount: end - start)
          filled += end - start
        }
      }
    }
  }

  /// Takes over what ``bytes`` once held; `nil` for what never was that. What may follow are NULs.
  init?(bytes: [UInt8], count: Int) {
    self.bytes = bytes
    self.count = count
    var seen = 0
    let isWhole = forEach { _, _ in seen += 1 }
    guard isWhole, seen == count else { return nil }
  }

  /// Calls `body` with each name, which a NUL follows.
  ///
  /// - Returns: `false` if it came upon something that is not an entry.
  @discardableResult
  func forEach<Failure: Error>(
    _ body: (UnsafeBufferPointer<UInt8>, FileIdentity.Kind) throws(Failure) -> Void
  ) throws(Failure) -> Bool {
    try bytes.withUnsafeBufferPointer { bytes throws(Failure) in
      var start = 0
      while start < bytes.count, bytes[start] != 0 {
        guard let kind = FileIdentity.Kind(byte: bytes[start]), let name = bytes.baseAddress?.advanced(by: start + 1),
          let end = memchr(name, 0, bytes.count - start - 1)
        else { return false }
        let length = UnsafeRawPointer(end) - UnsafeRawPointer(name)
        guard length > 0 else { return false }
        try body(UnsafeBufferPointer(start: name, count: length), kind)
        start += length + 2
      }
      return true
    }
  }

  /// A folder's entries while they are listed.
  struct Listing {
    fileprivate var bytes: [UInt8] = []
    fileprivate var starts: [UInt32] = []
    /// Of the first name, the bytes that all share.
    private var shared = 0

    mutating func append(_ name: UnsafeBufferPointer<UInt8>, _ kind: FileIdentity.Kind) {
      let start = bytes.count
      bytes.append(kind.byte)
      bytes.append(contentsOf: name)
      bytes.append(0)
      shared = starts.isEmpty ? name.count : sharedWithFirst(start)
      starts.append(UInt32(start))
    }

    private func sharedWithFirst(_ start: Int) -> Int {
      var length = 0
      while length < shared && bytes[1 + length] == bytes[start + 1 + length] { length += 1 }
      return length
    }

    /// The indices by the bytes of the names. Compares the eight bytes after what all names share, and whole names only
    /// where those are equal: sorting by whole names took five times as long.
    fileprivate func order() -> [UInt32] {
      bytes.withUnsafeBufferPointer { bytes in
        guard let base = bytes.baseAddress else { return [] }
        var keys = starts.indices.map { index -> (key: UInt64, index: UInt32) in
          var key: UInt64 = 0
          var next = Int(starts[index]) + 1 + shared
          for _ in 0..<8 {
            key = key << 8 | UInt64(bytes[next])
            if bytes[next] != 0 { next += 1 }
          }
          return (key, UInt32(index))
        }
        // A name's NUL is less than any byte of one that is longer, so comparing up to it orders as bytes do.
        keys.sort { left, right in
          if left.key != right.key { return left.key < right.key }
          return strcmp(base + Int(starts[Int(left.index)]) + 1, base + Int(starts[Int(right.index)]) + 1) < 0
        }
        return keys.map(\.index)
      }
    }
  }
}

extension FileIdentity.Kind {
  /// The kind by its byte in a listing: as in a tree's node, and more.
  fileprivate init?(byte: UInt8) {
    switch byte {
    case UInt8(ascii: "f"): self = .file
    case UInt8(ascii: "d"): self = .directory
    case UInt8(ascii: "l"): self = .symbolicLink
    case UInt8(ascii: "p"): self = .fifo
    case UInt8(ascii: "s"): self = .socket
    case UInt8(ascii: "c"): self = .characterDevice
    case UInt8(ascii: "b"): self = .blockDevice
    default: return nil
    }
  }

  fileprivate var byte: UInt8 {
    switch self {
    case .file: UInt8(ascii: "f")
    case .directory: UInt8(ascii: "d")
    case .symbolicLink: UInt8(ascii: "l")
    case .fifo: UInt8(ascii: "p")
    case .socket: UInt8(ascii: "s")
    case .characterDevice: UInt8(ascii: "c")
    case .blockDevice: UInt8(ascii: "b")
    }
  }
}
