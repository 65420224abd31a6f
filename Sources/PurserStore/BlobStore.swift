public import PurserModel

/// Large contents by their SHA-256. Small ones stand in the record store.
///
/// The order of a publish is: ``stage(fileAt:)``, ``commit(_:)``, then the record store's commit that names the blobs.
public protocol BlobStore: Sendable {
  /// Copies a file into the store's temporary folder, hashing and perhaps compressing as it goes. Throws if the file
  /// changes meanwhile.
  func stage(fileAt path: ByteString) throws(StoreError) -> StagedBlob

  /// As ``stage(fileAt:)``, from an open file, read from its start.
  func stage(descriptor: Int32, name: ByteString) throws(StoreError) -> StagedBlob

  /// Makes staged blobs durable under their digests; all of them, or an error.
  func commit(_ blobs: [StagedBlob]) throws(StoreError)

  /// Removes what was staged and is not wanted.
  func discard(_ blobs: [StagedBlob])

  /// Whether there is a file for this digest. One system call.
  func contains(_ digest: Digest) -> Bool

  /// Writes a blob's content to a descriptor, hashed and counted on the way. Throws `corrupt` if it is not what the
  /// digest and the size say; the file is then quarantined, and what was written must be discarded.
  func write(_ blob: StoredBlob, to descriptor: Int32) throws(StoreError)

  /// What a blob takes on disk, in bytes; 0 where there is none.
  func size(of digest: Digest) -> UInt64

  /// Removes blobs that `isKept` does not know and that were not written to in the last hour, and what has been in
  /// quarantine for longer than `quarantineAge` seconds. Returns how many files, and how many bytes on disk that freed.
  /// With `isTrial`, it only counts.
  func sweep(
    quarantineAge: Int64, isTrial: Bool, isKept: (Digest) -> Bool
  ) throws(StoreError) -> (count: Int, bytes: UInt64)
}

extension BlobStore {
  /// Removes blobs that `isKept` does not know and that were not written to in the last hour.
  public func sweep(isKept: (Digest) -> Bool) throws(StoreError) -> (count: Int, bytes: UInt64) {
    try sweep(quarantineAge: .max, isTrial: false, isKept: isKept)
  }
}

/// A blob on its way in.
public struct StagedBlob: Sendable, Hashable {
  /// SHA-256 of the content.
  public var digest: Digest
  /// Bytes of content, decoded.
  public var size: UInt64
  /// How it is kept.
  public var encoding: BlobEncoding
  /// Where it is until it is committed.
  public var temporaryPath: ByteString

  /// Makes a description.
  public init(digest: Digest, size: UInt64, encoding: BlobEncoding, temporaryPath: ByteString) {
    self.digest = digest
    self.size = size
    self.encoding = encoding
    self.temporaryPath = temporaryPath
  }
}
