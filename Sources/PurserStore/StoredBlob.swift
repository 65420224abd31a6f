public import PurserModel

/// How a blob's bytes are encoded at rest. The raw value is part of the format.
public enum BlobEncoding: Int64, Sendable {
  case identity = 0
  case zstd = 1
}

/// A blob that the store knows.
public struct StoredBlob: Sendable, Hashable {
  /// SHA-256 of the content.
  public var digest: Digest
  /// Bytes of content, decoded.
  public var size: UInt64
  /// How it is kept.
  public var encoding: BlobEncoding
  /// Whether the content stands in the record store itself.
  public var isInline: Bool

  /// Makes a description.
  public init(digest: Digest, size: UInt64, encoding: BlobEncoding, isInline: Bool) {
    self.digest = digest
    self.size = size
    self.encoding = encoding
    self.isInline = isInline
  }
}

/// A blob to be named by a commit: small ones bring their content, large ones are on disk already.
public struct NewBlob: Sendable, Hashable {
  /// SHA-256 of the content.
  public var digest: Digest
  /// Bytes of content, decoded.
  public var size: UInt64
  /// How it is kept.
  public var encoding: BlobEncoding
  /// The encoded content of a small blob.
  public var inlineContent: [UInt8]?

  /// Makes a description.
  public init(digest: Digest, size: UInt64, encoding: BlobEncoding, inlineContent: [UInt8]?) {
    self.digest = digest
    self.size = size
    self.encoding = encoding
    self.inlineContent = inlineContent
  }
}
