import Glibc
import PurserBlobs
import PurserHashing
import PurserModel
import PurserStore
import Synchronization
import Testing

@Suite("Blobs on the local disk")
struct LocalBlobStoreTests {
  @Test(
    "what is published is read back, in the encoding that suits it", .temporaryFolder,
    arguments: Content.allCases,
    [0, 1, 127, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 256 * 1024, 256 * 1024 + 1, 1024 * 1024 + 3])
  func roundTrip(content: Content, size: Int) throws {
    let blobs = try Blobs()
    let bytes = content.bytes(size)
    let blob = try blobs.publish(bytes)
    #expect(blob.digest == SHA256.digest(of: bytes) && blob.size == UInt64(size))
    #expect(blobs.store.contains(blob.digest))
    #expect(try blobs.read(blob) == bytes)
    #expect(blobs.temporaryFiles == [])
    #expect(TemporaryFolder.current.mode(blobs.name(blob.digest)) == 0o600)
    let stored = try #require(try TemporaryFolder.current.bytes(blobs.name(blob.digest))).count
    switch content {
    case .random: #expect(blob.encoding == .identity && stored == size)
    case .text, .zeros: if size > 100 { #expect(blob.encoding == .zstd && stored < size) }
    }
  }

  @Test("what begins compressibly is compressed as a whole, and the other way round", .temporaryFolder)
  func mixed() throws {
    let blobs = try Blobs()
    let (text, noise) = (Content.text.bytes(300_000), Content.random.bytes(300_000))
    let first = try blobs.publish(text + noise)
    #expect(first.encoding == .zstd)
    #expect(try blobs.read(first) == text + noise)
    let second = try blobs.publish(noise + text)
    #expect(second.encoding == .identity)
    #expect(try blobs.read(second) == noise + text)
  }

  @Test("the same content twice is one file, and publishing again repairs a damaged one", .temporaryFolder)
  func again() throws {
    let blobs = try Blobs()
    let bytes = Content.random.bytes(20_000)
    let blob = try blobs.publish(bytes)
    try TemporaryFolder.current.write(blobs.name(blob.digest), [1, 2, 3])
    #expect(try blobs.publish(bytes) == blob)
    #expect(try blobs.read(blob) == bytes)
  }

  @Test("many are committed at once, repeated ones too", .temporaryFolder)
  func batch() throws {
    let blobs = try Blobs()
    var staged: [StagedBlob] = []
    for number in 0..<40 {
      try TemporaryFolder.current.write("source", Content.text.bytes(1000 + number % 20))
      staged.append(try blobs.store.stage(fileAt: TemporaryFolder.current("source")))
      #expect(!blobs.store.contains(staged[number].digest))
    }
    try blobs.store.commit(staged)
    #expect(staged.allSatisfy { blobs.store.contains($0.digest) })
    #expect(blobs.temporaryFiles == [])
  }

  @Test("nothing is there under its name before the commit, and nothing is left after a discard", .temporaryFolder)
  func discard() throws {
    let blobs = try Blobs()
    try TemporaryFolder.current.write("source", Content.text.bytes(5000))
    let staged = try blobs.store.stage(fileAt: TemporaryFolder.current("source"))
    #expect(blobs.temporaryFiles.count == 1)
    #expect(TemporaryFolder.current.names(in: "store/blobs") == [])
    blobs.store.discard([staged])
    blobs.store.discard([staged])
    #expect(blobs.temporaryFiles == [])
    #expect(code { try blobs.store.commit([staged]) } == .io)
    #expect(!blobs.store.contains(staged.digest))
  }

  @Test("a commit that fails leaves no temporary files", .temporaryFolder)
  func failedCommit() throws {
    let blobs = try Blobs()
    var staged: [StagedBlob] = []
    for number in 0..<3 {
      try TemporaryFolder.current.write("source", Content.text.bytes(5000 + number))
      staged.append(try blobs.store.stage(fileAt: TemporaryFolder.current("source")))
    }
    try #require(staged[1].temporaryPath.withCString { unlink($0) } == 0)
    #expect(code { try blobs.store.commit(staged) } == .io)
    #expect(blobs.temporaryFiles == [])
  }

  @Test("an open file is staged from its start, wherever it stands", .temporaryFolder)
  func descriptor() throws {
    let blobs = try Blobs()
    let bytes = Content.text.bytes(70_000)
    try TemporaryFolder.current.write("source", bytes)
    let file = TemporaryFolder.current("source").withCString { open($0, O_RDONLY | O_CLOEXEC) }
    try #require(file >= 0)
    defer { close(file) }
    lseek(file, 1234, SEEK_SET)
    let staged = try blobs.store.stage(descriptor: file, name: "a log")
    #expect(staged.digest == SHA256.digest(of: bytes) && staged.size == UInt64(bytes.count))
    #expect(lseek(file, 0, SEEK_CUR) == 1234)
  }

  @Test(
    "what is no regular file is not staged", .temporaryFolder, arguments: ["missing", "folder", "link", "fifo"])
  func notAFile(name: String) throws {
    let blobs = try Blobs()
    try TemporaryFolder.current.write("source", [1])
    try TemporaryFolder.current.makeFolder("folder")
    _ = TemporaryFolder.current("link").withCString { symlink("source", $0) }
    _ = TemporaryFolder.current("fifo").withCString { mkfifo($0, 0o600) }
    #expect(code { _ = try blobs.store.stage(fileAt: TemporaryFolder.current(ByteString(name))) } == .io)
    #expect(blobs.temporaryFiles == [])
  }

  @Test("a file that changes while it is staged is an error", .temporaryFolder)
  func changing() throws {
    let blobs = try Blobs()
    let path = TemporaryFolder.current("source")
    try TemporaryFolder.current.write("source", Content.random.bytes(8 << 20))
    let isOver = Atomic<Bool>(false)
    var thread = pthread_t()
    // Rewrites the last byte until it is told to stop. The test does not depend on when: it stages until it is noticed.
    let work = ChangingFile(path: path, isOver: { isOver.load(ordering: .sequentiallyConsistent) })
    defer {
      isOver.store(true, ordering: .sequentiallyConsistent)
      pthread_join(thread, nil)
    }
    try work.start(&thread)
    var error: StoreError?
    while error == nil {
      do throws(StoreError) {
        blobs.store.discard([try blobs.store.stage(fileAt: path)])
      } catch let found {
        error = found
      }
    }
    #expect(error == StoreError(.io, "'\(path)' changed while it was being stored"))
    #expect(blobs.temporaryFiles == [])
  }

  @Test("several threads may stage and commit at once", .temporaryFolder)
  func threads() async throws {
    let blobs = try Blobs()
    for number in 0..<8 {
      try TemporaryFolder.current.write(ByteString("source \(number)"), Content.text.bytes(40_000 + number / 2))
    }
    let folder = TemporaryFolder.current
    let store = blobs.store
    let digests = try await withThrowingTaskGroup(of: Digest.self) { group in
      for number in 0..<8 {
        group.addTask {
          let staged = try store.stage(fileAt: folder(ByteString("source \(number)")))
          try store.commit([staged])
          return staged.digest
        }
      }
      return try await group.reduce(into: Set<Digest>()) { $0.insert($1) }
    }
    #expect(digests.count == 4 && digests.allSatisfy { store.contains($0) })
    #expect(blobs.temporaryFiles == [])
  }
}

/// A thread that keeps writing to a file.
private final class ChangingFile: Sendable {
  let path: ByteString
  let isOver: @Sendable () -> Bool

  init(path: ByteString, isOver: @escaping @Sendable () -> Bool) {
    self.path = path
    self.isOver = isOver
  }

  func start(_ thread: inout pthread_t) throws {
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<ChangingFile>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    try #require(code == 0)
  }

  private func run() {
    let descriptor = path.withCString { open($0, O_WRONLY | O_CLOEXEC) }
    defer { close(descriptor) }
    var byte: UInt8 = 0
    while !isOver() {
      byte &+= 1
      pwrite(descriptor, &byte, 1, 0)
    }
  }
}
