public import PurserModel

/// A value as it is kept: compressed, with what has to come out again.
public struct SealedValue: Sendable, Hashable {
  /// Compressed by a ``ValueCodec``.
  public var content: [UInt8]
  /// Bytes before that.
  public var size: UInt64
  /// SHA-256 of those.
  public var digest: Digest

  /// Makes a value.
  public init(content: [UInt8], size: UInt64, digest: Digest) {
    self.content = content
    self.size = size
    self.digest = digest
  }
}

/// Compresses values on their way into a store, and checks them on their way out. A store itself does neither.
public protocol ValueCodec: Sendable {
  /// A value of the pieces that `write` hands out. O(size), in bounded memory beside the result.
  func seal(
    _ write: ((UnsafeRawBufferPointer) throws(StoreError) -> Void) throws(StoreError) -> Void
  ) throws(StoreError) -> SealedValue

  /// Hands out a value by pieces, which count only once this returns: throws `corrupt`, with the name, for one that is
  /// not what its size and its digest say.
  func open(
    _ value: SealedValue, named name: String, _ read: (UnsafeRawBufferPointer) throws(StoreError) -> Void
  ) throws(StoreError)
}

extension ValueCodec {
  /// Seals bytes. O(size).
  public func seal(_ bytes: [UInt8]) throws(StoreError) -> SealedValue {
    try seal { write throws(StoreError) in
      let outcome = bytes.withUnsafeBytes { piece in Result { () throws(StoreError) in try write(piece) } }
      try outcome.get()
    }
  }

  /// The bytes of a value. O(size).
  public func open(_ value: SealedValue, named name: String) throws(StoreError) -> [UInt8] {
    var bytes: [UInt8] = []
    try open(value, named: name) { bytes += $0 }
    return bytes
  }
}
