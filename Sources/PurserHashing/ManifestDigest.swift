package import PurserModel

extension OutputManifest {
  /// The `outputs_version`: SHA-256 over "purser.output-manifest" 00, a version byte 01, and the encoded entries.
  /// O(size).
  package var digest: Digest {
    SHA256.digest(of: Array("purser.output-manifest\0".utf8) + [1] + encodedEntries)
  }
}
