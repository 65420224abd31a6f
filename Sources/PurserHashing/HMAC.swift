package import PurserModel

/// Keyed digests (RFC 2104), for what must be comparable and yet not be readable: values of environment variables.
package enum HMAC {
  private static let blockSize = 64

  /// HMAC-SHA-256 of a message. A key of any length; one longer than 64 bytes counts as its digest.
  package static func sha256(key: [UInt8], message: [UInt8]) -> Digest {
    var block = key.count > blockSize ? SHA256.digest(of: key).bytes : key
    block.append(contentsOf: repeatElement(0, count: blockSize - block.count))
    var hash = SHA256()
    hash.update(block.map { $0 ^ 0x36 })
    hash.update(message)
    let inner = hash.finalize()
    hash.update(block.map { $0 ^ 0x5c })
    hash.update(inner)
    return hash.finalize()
  }
}
