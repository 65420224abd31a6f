import Glibc
import PurserBlobs
import PurserHashing
import PurserModel
import PurserStore
import Testing

/// SplitMix64: the same "random" bytes in every run.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// So many bytes that no compressor shrinks.
  mutating func bytes(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count { withUnsafeBytes(of: next()) { bytes.append(contentsOf: $0) } }
    return Array(bytes.prefix(count))
  }
}

/// Contents of a test.
enum Content: String, CaseIterable, Sendable {
  case random
  case text
  case zeros

  func bytes(_ count: Int) -> [UInt8] {
    switch self {
    case .random:
      var generator = SeededGenerator(state: UInt64(count))
      return generator.bytes(count)
    case .text: return (0..<count).map { Array("the captain's records, line after line\n".utf8)[($0 &* $0 / 7) % 39] }
    case .zeros: return [UInt8](repeating: 0, count: count)
    }
  }
}

/// A blob store in the test's own folder, and ways to look behind it.
struct Blobs {
  let store = LocalBlobStore(directory: TemporaryFolder.current("store"))

  init() throws {
    try TemporaryFolder.current.makeFolder("store")
  }

  /// Publishes a content as a file of the project.
  func publish(_ content: [UInt8]) throws -> StoredBlob {
    try TemporaryFolder.current.write("source", content)
    let staged = try store.stage(fileAt: TemporaryFolder.current("source"))
    try store.commit([staged])
    return StoredBlob(digest: staged.digest, size: staged.size, encoding: staged.encoding, isInline: false)
  }

  /// Reads a blob through the store.
  func read(_ blob: StoredBlob) throws -> [UInt8] {
    let target = TemporaryFolder.current("target")
    let descriptor = target.withCString { open($0, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600) }
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    try store.write(blob, to: descriptor)
    return try #require(try TemporaryFolder.current.bytes("target"))
  }

  /// Where a blob's file is, below the test's folder.
  func name(_ digest: Digest) -> ByteString {
    ByteString("store/blobs/\(digest.hex.prefix(2))/\(digest.hex.dropFirst(2))")
  }

  func quarantined(_ digest: Digest) -> ByteString { ByteString("store/blobs/quarantine/\(digest.hex)") }

  var temporaryFiles: [ByteString] { TemporaryFolder.current.names(in: "store/tmp") }
}

/// The code of the error that a call throws; `nil` if it throws none.
func code(_ body: () throws -> Void) -> StoreError.Code? {
  do {
    try body()
    return nil
  } catch {
    return (error as? StoreError)?.code
  }
}
