import PurserHashing
import PurserModel
package import PurserStore

/// Values compressed by zstd at level 3, all of them, checked by size and SHA-256 when they are opened.
package struct ZstdCodec: ValueCodec {
  /// Makes one.
  package init() {}

  package func seal(
    _ write: ((UnsafeRawBufferPointer) throws(StoreError) -> Void) throws(StoreError) -> Void
  ) throws(StoreError) -> SealedValue {
    guard var compressor = ZstdCompressor() else { throw Self.exhausted }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 16)
    defer { buffer.deallocate() }
    var hash = SHA256()
    var size: UInt64 = 0
    var content: [UInt8] = []
    try write { piece throws(StoreError) in
      hash.update(piece)
      size += UInt64(piece.count)
      guard try compressor.add(piece, isLast: false, into: buffer, { content += $0 }) else { throw Self.exhausted }
    }
    let end = UnsafeRawBufferPointer(start: nil, count: 0)
    guard try compressor.add(end, isLast: true, into: buffer, { content += $0 }) else { throw Self.exhausted }
    return SealedValue(content: content, size: size, digest: hash.finalize())
  }

  private static var exhausted: StoreError { StoreError(.io, "zstd failed to compress a value: not enough memory") }

  package func open(
    _ value: SealedValue, named name: String, _ read: (UnsafeRawBufferPointer) throws(StoreError) -> Void
  ) throws(StoreError) {
    guard var decompressor = ZstdDecompressor() else {
      throw StoreError(.io, "zstd failed to read \(name): not enough memory")
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 16)
    defer { buffer.deallocate() }
    var hash = SHA256()
    var size: UInt64 = 0
    let outcome = value.content.withUnsafeBytes { bytes in
      Result { () throws(StoreError) -> Bool in
        try decompressor.add(bytes, into: buffer) { piece throws(StoreError) in
          size += UInt64(piece.count)
          guard size <= value.size else { return false }
          hash.update(piece)
          try read(piece)
          return true
        }
      }
    }
    guard try outcome.get(), decompressor.isComplete, size == value.size, hash.finalize() == value.digest else {
      throw StoreError(.corrupt, "\(name) is damaged in the store; it is not used")
    }
  }
}
