import Glibc
import PurserBlobs
import PurserHashing
import PurserModel
import PurserStore
import Testing

@Suite("Sweeping blobs")
struct SweepTests {
  /// The same store an hour or two later.
  private func later(by seconds: Int) -> LocalBlobStore {
    let now = time(nil) + seconds
    return LocalBlobStore(directory: TemporaryFolder.current("store"), now: { now })
  }

  @Test("what is kept stays, what is old and unknown goes", .temporaryFolder)
  func sweep() throws {
    let blobs = try Blobs()
    let kept = try blobs.publish(Content.random.bytes(20_000))
    let lost = try blobs.publish(Content.random.bytes(40_000))
    let other = try blobs.publish(Content.text.bytes(30_000))
    var asked: Set<Digest> = []
    let removed = try later(by: 7200).sweep { digest in
      asked.insert(digest)
      return digest == kept.digest
    }
    #expect(asked == [kept.digest, lost.digest, other.digest])
    #expect(removed.count == 2 && removed.bytes >= 40_000)
    #expect(blobs.store.contains(kept.digest))
    #expect(!blobs.store.contains(lost.digest) && !blobs.store.contains(other.digest))
    #expect(try blobs.read(kept) == Content.random.bytes(20_000))
    let again = try later(by: 7200).sweep { $0 == kept.digest }
    #expect(again.count == 0 && again.bytes == 0)
  }

  @Test("what was written within the hour stays, though nothing names it yet", .temporaryFolder, arguments: [0, 3500])
  func young(seconds: Int) throws {
    let blobs = try Blobs()
    let blob = try blobs.publish(Content.random.bytes(20_000))
    try TemporaryFolder.current.write("source", Content.text.bytes(5000))
    let staged = try blobs.store.stage(fileAt: TemporaryFolder.current("source"))
    let removed = try later(by: seconds).sweep { _ in false }
    #expect(removed.count == 0 && removed.bytes == 0)
    #expect(blobs.store.contains(blob.digest))
    try blobs.store.commit([staged])
  }

  @Test("publishing again makes an old blob young", .temporaryFolder)
  func renewed() throws {
    let blobs = try Blobs()
    let bytes = Content.random.bytes(20_000)
    let blob = try blobs.publish(bytes)
    let path = TemporaryFolder.current(blobs.name(blob.digest))
    var times = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1, tv_nsec: 0)]
    try #require(path.withCString { utimensat(AT_FDCWD, $0, &times, 0) } == 0)
    _ = try blobs.publish(bytes)
    #expect(try later(by: 3500).sweep { _ in false }.count == 0)
    #expect(blobs.store.contains(blob.digest))
  }

  @Test("leftovers of killed processes go, but do not count as blobs", .temporaryFolder)
  func leftovers() throws {
    let blobs = try Blobs()
    try TemporaryFolder.current.write("source", Content.random.bytes(20_000))
    _ = try blobs.store.stage(fileAt: TemporaryFolder.current("source"))
    let removed = try later(by: 7200).sweep { _ in true }
    #expect(removed.count == 0 && removed.bytes >= 20_000)
    #expect(blobs.temporaryFiles == [])
  }

  @Test("files that are no blobs are left alone, quarantine included", .temporaryFolder)
  func strangers() throws {
    let blobs = try Blobs()
    let blob = try blobs.publish(Content.random.bytes(20_000))
    let folder = ByteString("store/blobs/\(blob.digest.hex.prefix(2))")
    try TemporaryFolder.current.write(folder + "/README", [1])
    try TemporaryFolder.current.makeFolder("store/blobs/zz")
    try TemporaryFolder.current.write("store/blobs/zz/file", [1])
    try TemporaryFolder.current.makeFolder("store/blobs/quarantine")
    try TemporaryFolder.current.write(blobs.quarantined(blob.digest), [1])
    #expect(try later(by: 7200).sweep { _ in false }.count == 1)
    #expect(try TemporaryFolder.current.bytes(folder + "/README") == [1])
    #expect(try TemporaryFolder.current.bytes("store/blobs/zz/file") == [1])
    #expect(try TemporaryFolder.current.bytes(blobs.quarantined(blob.digest)) == [1])
  }

  @Test("a store without blobs has nothing to sweep", .temporaryFolder)
  func empty() throws {
    let removed = try later(by: 7200).sweep { _ in false }
    #expect(removed.count == 0 && removed.bytes == 0)
  }
}

@Suite("Small contents")
struct InlineBlobTests {
  @Test(
    "are read back, in the encoding that suits them", arguments: Content.allCases,
    [0, 1, 127, 128, 1000, 16 * 1024 - 1, 16 * 1024])
  func roundTrip(content: Content, size: Int) throws {
    let bytes = content.bytes(size)
    let blob = InlineBlob.make(bytes)
    #expect(blob.digest == SHA256.digest(of: bytes) && blob.size == UInt64(size))
    #expect(blob.encoding == (content == .random || size < 128 ? .identity : .zstd))
    let stored = try #require(blob.inlineContent)
    #expect(stored.count <= size)
    #expect(try InlineBlob.content(of: Self.stored(blob), stored: stored) == bytes)
  }

  @Test("a flipped bit or a cut anywhere is noticed", arguments: Content.allCases)
  func damage(content: Content) throws {
    let bytes = content.bytes(2000)
    let blob = InlineBlob.make(bytes)
    let stored = try #require(blob.inlineContent)
    for length in 0..<stored.count {
      #expect(
        code { _ = try InlineBlob.content(of: Self.stored(blob), stored: Array(stored.prefix(length))) } == .corrupt)
    }
    for place in stored.indices {
      var damaged = stored
      damaged[place] ^= 1 << UInt8(place % 8)
      do {
        // zstd has bits that mean nothing; then the content is what it should be.
        #expect(try InlineBlob.content(of: Self.stored(blob), stored: damaged) == bytes)
        #expect(blob.encoding == .zstd)
      } catch {
        #expect(error.code == .corrupt)
      }
    }
    #expect(code { _ = try InlineBlob.content(of: Self.stored(blob), stored: stored + [0]) } == .corrupt)
  }

  @Test("a frame that expands beyond what was declared is stopped, and a wrong record is noticed")
  func wrongRecord() throws {
    let bomb = try #require(InlineBlob.make(Content.zeros.bytes(8 << 20)).inlineContent)
    var blob = Self.stored(InlineBlob.make(Content.zeros.bytes(1000)))
    let error = #expect(throws: StoreError.self) { try InlineBlob.content(of: blob, stored: bomb) }
    #expect(
      error == StoreError(.corrupt, "the stored content \(blob.digest.short) is damaged; it counts as a miss"))
    let stored = try #require(InlineBlob.make(Content.zeros.bytes(1000)).inlineContent)
    for (size, encoding): (UInt64, BlobEncoding) in [(999, .zstd), (1001, .zstd), (1000, .identity), (0, .zstd)] {
      (blob.size, blob.encoding) = (size, encoding)
      #expect(code { _ = try InlineBlob.content(of: blob, stored: stored) } == .corrupt)
    }
  }

  private static func stored(_ blob: NewBlob) -> StoredBlob {
    StoredBlob(digest: blob.digest, size: blob.size, encoding: blob.encoding, isInline: true)
  }
}
