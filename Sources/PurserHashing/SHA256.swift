import CCrypto
import Glibc
package import PurserModel

// OpenSSL's SHA256_Init, SHA256_Update and SHA256_Final, not EVP: measured on OpenSSL 3.0, the first EVP_MD_fetch of a
// process costs 0.60–0.69 ms (it registers every algorithm of the default provider), which is more than all else
// that a hit does; these three cost 0.5 µs, and half as much as EVP for a short message (0.07 against 0.15 µs). They
// run the same assembly (SHA extensions included), are exported by every libcrypto since 0.9.8, need no initialisation
// (and so no OPENSSL_CONF), and take 4 MB of providers out of a static executable.

/// A SHA-256 computation (FIPS 180-4), fed piece by piece.
///
/// One instance may hash any number of messages, one after the other: ``finalize()`` makes it ready for the next.
/// Not for two threads at once, which the compiler sees to. About 1.5–2.0 GB/s on a core with SHA extensions.
package struct SHA256: ~Copyable {
  private let context: UnsafeMutablePointer<SHA256_CTX>

  /// A computation at the start of a message.
  package init() {
    context = .allocate(capacity: 1)
    _ = SHA256_Init(context)
  }

  deinit {
    // The state may have seen an HMAC's key.
    OPENSSL_cleanse(context, MemoryLayout<SHA256_CTX>.size)
    context.deallocate()
  }

  /// Appends bytes to the message.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count > 0 else { return }
    _ = SHA256_Update(context, bytes.baseAddress, bytes.count)
  }

  /// Appends bytes to the message.
  package mutating func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }

  /// Appends the raw bytes of a string, without its length.
  package mutating func update(_ string: ByteString) {
    update(string.bytes)
  }

  /// Appends the eight bytes of an integer, least significant first.
  package mutating func update(littleEndian value: UInt64) {
    withUnsafeBytes(of: value.littleEndian) { update($0) }
  }

  /// Appends one byte.
  package mutating func update(byte: UInt8) {
    withUnsafeBytes(of: byte) { update($0) }
  }

  /// Appends the 32 bytes of a digest.
  package mutating func update(_ digest: Digest) {
    digest.withBytes { update($0) }
  }

  /// Ends the message, gives its digest, and starts the next message.
  package mutating func finalize() -> Digest {
    let digest = withUnsafeTemporaryAllocation(byteCount: Digest.byteCount, alignment: 8) { buffer -> Digest in
      guard let base = buffer.baseAddress else { preconditionFailure("a buffer of 32 bytes has a base") }
      _ = SHA256_Final(base, context)
      guard let digest = Digest(bytes: UnsafeRawBufferPointer(buffer)) else {
        preconditionFailure("32 bytes are a digest")
      }
      return digest
    }
    _ = SHA256_Init(context)
    return digest
  }

  /// The digest of one message.
  package static func digest(of bytes: [UInt8]) -> Digest {
    bytes.withUnsafeBytes { digest(of: $0) }
  }

  /// The digest of one message.
  package static func digest(of bytes: UnsafeRawBufferPointer) -> Digest {
    var hash = SHA256()
    hash.update(bytes)
    return hash.finalize()
  }
}
