import PurserHashing
import PurserModel
package import PurserStore

/// Small contents, which stand in the record store under its group commit instead of in a file of their own.
package enum InlineBlob {
  /// Contents up to this many bytes are small: most logs and many outputs.
  package static let maximumSize = 16 * 1024

  /// Encodes a small content.
  package static func make(_ content: [UInt8]) -> NewBlob {
    let compressed = Zstandard.compress(content)
    return NewBlob(
      digest: SHA256.digest(of: content), size: UInt64(content.count),
      encoding: compressed == nil ? .identity : .zstd, inlineContent: compressed ?? content)
  }

  /// Decodes and verifies a small content; throws `corrupt` if it is not what its digest says.
  package static func content(of blob: StoredBlob, stored: [UInt8]) throws(StoreError) -> [UInt8] {
    var content: [UInt8] = []
    switch blob.encoding {
    case .identity:
      content = stored
    case .zstd:
      let decoding = stored.withUnsafeBytes { bytes in
        Result { () throws(StoreError) -> Bool in
          guard var decompressor = ZstdDecompressor() else { return false }
          let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: maximumSize, alignment: 16)
          defer { buffer.deallocate() }
          let isDecoded = try decompressor.add(bytes, into: buffer) { piece throws(StoreError) in
            content += piece
            return UInt64(content.count) <= blob.size
          }
          return isDecoded && decompressor.isComplete
        }
      }
      if try !decoding.get() { content = [] }
    }
    guard UInt64(content.count) == blob.size, SHA256.digest(of: content) == blob.digest else {
      throw StoreError(.corrupt, "the stored content \(blob.digest.short) is damaged; it counts as a miss")
    }
    return content
  }
}
