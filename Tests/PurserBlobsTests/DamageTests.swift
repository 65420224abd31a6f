import Glibc
import PurserBlobs
import PurserHashing
import PurserModel
import PurserStore
import Testing

@Suite("Damaged blobs")
struct DamageTests {
  /// Reads a blob whose file was tampered with: `corrupt`, and out of the way; never wrong bytes as if they were right.
  private func expectQuarantine(_ blob: StoredBlob, _ damaged: [UInt8], _ blobs: Blobs) throws {
    let name = blobs.name(blob.digest)
    try TemporaryFolder.current.write(name, damaged)
    let error = #expect(throws: StoreError.self) { try blobs.read(blob) }
    #expect(
      error
        == StoreError(
          .corrupt,
          "the blob \(blob.digest.short) is damaged; it was moved to blobs/quarantine and counts as a miss"))
    #expect(!blobs.store.contains(blob.digest))
    #expect(try TemporaryFolder.current.bytes(blobs.quarantined(blob.digest)) == damaged)
  }

  /// Both encodings, small and of several chunks.
  @Test("a flipped bit anywhere is noticed", .temporaryFolder, arguments: Content.allCases, [20_000, 300_000])
  func flippedBits(content: Content, size: Int) throws {
    let blobs = try Blobs()
    let blob = try blobs.publish(content.bytes(size))
    let stored = try #require(try TemporaryFolder.current.bytes(blobs.name(blob.digest)))
    var generator = SeededGenerator(state: 1)
    // The first bytes hold zstd's header, the last its end.
    var places = Array(stored.indices.prefix(24)) + Array(stored.indices.suffix(8))
    for _ in 0..<40 { places.append(Int.random(in: stored.indices, using: &generator)) }
    for place in places {
      var damaged = stored
      damaged[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      do {
        try TemporaryFolder.current.write(blobs.name(blob.digest), damaged)
        // zstd has bits that mean nothing; then the content is what it should be.
        #expect(try blobs.read(blob) == content.bytes(size))
        #expect(blob.encoding == .zstd)
      } catch let error as StoreError {
        #expect(error.code == .corrupt)
        #expect(!blobs.store.contains(blob.digest))
      }
    }
  }

  @Test("a file cut at any of many places is noticed", .temporaryFolder, arguments: Content.allCases)
  func truncation(content: Content) throws {
    let blobs = try Blobs()
    let blob = try blobs.publish(content.bytes(300_000))
    let stored = try #require(try TemporaryFolder.current.bytes(blobs.name(blob.digest)))
    let step = max(1, stored.count / 30)
    for length in [0, 1, 4, 5, stored.count - 1] + Array(stride(from: 6, to: stored.count - 1, by: step)) {
      try expectQuarantine(blob, Array(stored.prefix(length)), blobs)
    }
  }

  @Test("more than there should be is noticed", .temporaryFolder, arguments: Content.allCases)
  func trailing(content: Content) throws {
    let blobs = try Blobs()
    let blob = try blobs.publish(content.bytes(30_000))
    let stored = try #require(try TemporaryFolder.current.bytes(blobs.name(blob.digest)))
    for extra in [[0], stored] { try expectQuarantine(blob, stored + extra, blobs) }
  }

  @Test("another blob's content under this name is noticed", .temporaryFolder)
  func swapped() throws {
    let blobs = try Blobs()
    let first = try blobs.publish(Content.text.bytes(30_000))
    let second = try blobs.publish(Content.text.bytes(30_001))
    let other = try #require(try TemporaryFolder.current.bytes(blobs.name(second.digest)))
    try expectQuarantine(first, other, blobs)
  }

  @Test("a record that is wrong about size or encoding is noticed", .temporaryFolder, arguments: Content.allCases)
  func wrongRecord(content: Content) throws {
    let blobs = try Blobs()
    let bytes = content.bytes(30_000)
    for change in 0..<3 {
      var blob = try blobs.publish(bytes)
      switch change {
      case 0: blob.size -= 1
      case 1: blob.size += 1
      default: blob.encoding = blob.encoding == .zstd ? .identity : .zstd
      }
      #expect(code { _ = try blobs.read(blob) } == .corrupt)
    }
  }

  @Test("a frame that expands beyond what was declared is stopped there", .temporaryFolder)
  func bomb() throws {
    let blobs = try Blobs()
    // 64 MiB of zeros are about 2 KiB of zstd.
    let bomb = try blobs.publish(Content.zeros.bytes(64 << 20))
    let frame = try #require(try TemporaryFolder.current.bytes(blobs.name(bomb.digest)))
    #expect(frame.count < 100_000)
    var small = try blobs.publish(Content.zeros.bytes(300_000))
    try TemporaryFolder.current.write(blobs.name(small.digest), frame)
    #expect(code { _ = try blobs.read(small) } == .corrupt)
    #expect(try #require(try TemporaryFolder.current.bytes("target")).count <= 300_000)
    // And where even the size is a lie, the digest is not.
    small.size = 64 << 20
    try TemporaryFolder.current.write(blobs.name(small.digest), frame)
    #expect(code { _ = try blobs.read(small) } == .corrupt)
  }

  @Test("a frame that asks for a window above 128 MiB is refused", .temporaryFolder)
  func hugeWindow() throws {
    let blobs = try Blobs()
    let blob = try blobs.publish(Content.zeros.bytes(20_000))
    // Magic, a descriptor without single segment, a window descriptor of exponent 31 (2^41 bytes), an empty last block.
    try expectQuarantine(blob, [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00], blobs)
  }

  @Test("a file that is gone is a miss, with nothing to quarantine", .temporaryFolder)
  func missing() throws {
    let blobs = try Blobs()
    let blob = try blobs.publish(Content.text.bytes(30_000))
    try #require(TemporaryFolder.current(blobs.name(blob.digest)).withCString { unlink($0) } == 0)
    let error = #expect(throws: StoreError.self) { try blobs.read(blob) }
    #expect(
      error
        == StoreError(
          .corrupt, "the blob \(blob.digest.short) is not in the store any more; it counts as a miss"))
    #expect(TemporaryFolder.current.names(in: "store/blobs/quarantine") == [])
  }

  @Test("a symbolic link in a blob's place is not followed", .temporaryFolder)
  func link() throws {
    let blobs = try Blobs()
    let bytes = Content.random.bytes(20_000)
    let blob = try blobs.publish(bytes)
    let path = TemporaryFolder.current(blobs.name(blob.digest))
    try TemporaryFolder.current.write("elsewhere", bytes)
    try #require(path.withCString { unlink($0) } == 0)
    try #require(
      TemporaryFolder.current("elsewhere").withCString { to in path.withCString { symlink(to, $0) } } == 0)
    #expect(throws: StoreError.self) { try blobs.read(blob) }
  }

  @Test("an error of the target is no damage to the blob", .temporaryFolder, arguments: Content.allCases)
  func badTarget(content: Content) throws {
    let blobs = try Blobs()
    let bytes = content.bytes(30_000)
    let blob = try blobs.publish(bytes)
    let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
    try #require(full >= 0)
    defer { close(full) }
    #expect(code { try blobs.store.write(blob, to: full) } == .full)
    let closed = open("/dev/null", O_RDONLY | O_CLOEXEC)
    defer { close(closed) }
    #expect(code { try blobs.store.write(blob, to: closed) } == .io)
    #expect(try blobs.read(blob) == bytes)
  }
}
