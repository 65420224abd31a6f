import Glibc
import PurserHashing
import PurserModel
import Synchronization
import Testing

@Suite("File digests")
struct FileHasherTests {
  @Test(
    "a digest is that of the raw bytes, of any length", .temporaryFolder,
    arguments: [
      0, 1, 4_095, 4_096, 131_071, 131_072, 131_073, 2_097_151, 2_097_152, 5_000_001,
    ])
  func lengths(count: Int) throws {
    let folder = TemporaryFolder.current
    let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
    try folder.write("f", content)
    for workers in [1, 2] {
      let hasher = FileHasher(cache: StatCache(path: nil), workers: workers)
      #expect(try hasher.digest(of: folder("f")).digest == SHA256.digest(of: content))
    }
  }

  @Test("a known file is not read again; its current digest is", .temporaryFolder)
  func cached() throws {
    let folder = TemporaryFolder.current
    try folder.write("f", "one")
    let hasher = FileHasher(cache: StatCache(path: nil, clock: FakeFileClock.ahead()))
    let first = try hasher.digest(of: folder("f"))
    #expect(hasher.cache.digest(for: first.identity) == first.digest)
    // Content that its digest does not fit shows where an answer came from.
    hasher.cache.record(first.identity, SHA256.digest(of: []), hashingBegan: .max, granularity: 0)
    #expect(try hasher.digest(of: folder("f")).digest == SHA256.digest(of: []))
    #expect(try hasher.currentDigest(of: folder("f")) == first)
    #expect(try hasher.digest(of: folder("f")) == first)
  }

  @Test("a file that was just written is not trusted, however often it is rewritten", .temporaryFolder)
  func rewrites() throws {
    let folder = TemporaryFolder.current
    let hasher = FileHasher(cache: StatCache(path: nil))
    for version in 0..<2_000 {
      let content = Array("version \(10_000 + version)".utf8)
      try folder.write("f", content)
      #expect(try hasher.digest(of: folder("f")).digest == SHA256.digest(of: content))
    }
  }

  @Test("a restored modification time is caught by the change time", .temporaryFolder)
  func touched() throws {
    let folder = TemporaryFolder.current
    let clock = SystemFileClock()
    let hasher = FileHasher(cache: StatCache(path: nil, clock: FakeFileClock.ahead()))
    for version in 0..<50 {
      let content = Array("version \(10_000 + version)".utf8)
      try folder.write("f", content)
      var times = [timespec(tv_sec: 1_000_000, tv_nsec: 1), timespec(tv_sec: 1_000_000, tv_nsec: 1)]
      _ = folder("f").withCString { utimensat(AT_FDCWD, $0, &times, 0) }
      #expect(try hasher.digest(of: folder("f")).digest == SHA256.digest(of: content))
      let now = clock.now()
      while clock.now() == now { sched_yield() }
    }
  }

  @Test("a file replaced by an older one is read again", .temporaryFolder)
  func replaced() throws {
    let folder = TemporaryFolder.current
    let hasher = FileHasher(cache: StatCache(path: nil, clock: FakeFileClock.ahead()))
    try folder.write("old", "old")
    try folder.write("f", "new")
    let new = try hasher.digest(of: folder("f"))
    try folder.rename("old", "f")
    #expect(try hasher.digest(of: folder("f")).digest == SHA256.digest(of: Array("old".utf8)))
    #expect(new.digest == SHA256.digest(of: Array("new".utf8)))
  }

  @Test("a file that changes once while it is read is read again; one that always does is refused", .temporaryFolder)
  func unstable() throws {
    let folder = TemporaryFolder.current
    let path = folder("f")
    for limit in [1, 3, 100] {
      try folder.write("f", "start")
      let changes = Atomic(0)
      // The clock is read before each attempt's first byte.
      let clock = FakeFileClock.ahead {
        guard changes.add(1, ordering: .relaxed).newValue <= limit else { return }
        let descriptor = path.withCString { open($0, O_WRONLY | O_APPEND) }
        _ = write(descriptor, "x", 1)
        close(descriptor)
      }
      let hasher = FileHasher(cache: StatCache(path: nil, clock: clock))
      if limit < 4 {
        let content = Array("start".utf8) + [UInt8](repeating: 0x78, count: limit)
        #expect(try hasher.digest(of: path).digest == SHA256.digest(of: content))
      } else {
        let error = #expect(throws: FileError.self) { try hasher.digest(of: path) }
        #expect(error?.code == .unstable)
        #expect(error?.description == "'\(path)': changed each time while it was being read")
        #expect(hasher.cache.digest(for: try FileIdentity.of(path: path, followLinks: true)) == nil)
      }
    }
  }

  @Test("what is not a regular file is refused at once", .temporaryFolder)
  func kinds() throws {
    let folder = TemporaryFolder.current
    let hasher = FileHasher(cache: StatCache(path: nil))
    #expect(folder("pipe").withCString { mkfifo($0, 0o600) } == 0)
    for (path, kind) in [
      (folder("pipe"), FileIdentity.Kind.fifo), (folder.path, .directory), ("/dev/null", .characterDevice),
    ] {
      let error = #expect(throws: FileError.self) { try hasher.digest(of: path) }
      #expect(error?.code == .notAFile(kind))
    }
    try folder.write("f", "x")
    let file = try FileIdentity.of(path: folder("f"), followLinks: true)
    // The file gave way to a FIFO after the caller looked at it.
    try folder.rename("pipe", "f")
    #expect(throws: FileError.self) { try hasher.digest(of: folder("f"), identity: file) }
  }

  @Test("errors name what happened", .temporaryFolder)
  func errors() throws {
    let folder = TemporaryFolder.current
    let hasher = FileHasher(cache: StatCache(path: nil))
    try folder.write("f", "x")
    try folder.link("gone", to: "nowhere")
    for name in ["none", "f/x", "gone"] as [ByteString] {
      let error = #expect(throws: FileError.self) { try hasher.digest(of: folder(name)) }
      #expect(error?.code == .missing)
      #expect(error?.description == "'\(folder(name))': does not exist")
    }
    let cut = #expect(throws: FileError.self) { try hasher.digest(of: folder("f") + ByteString(bytes: [0])) }
    #expect(cut?.code == .missing)
    try folder.link("a", to: "b")
    try folder.link("b", to: "a")
    let loop = #expect(throws: FileError.self) { try hasher.digest(of: folder("a")) }
    #expect(loop?.code == .io)
    #expect(loop?.errno == ELOOP)
  }

  @Test("a link's digest is its target's", .temporaryFolder)
  func links() throws {
    let folder = TemporaryFolder.current
    try folder.write("f", "x")
    try folder.link("l", to: "f")
    let hasher = FileHasher(cache: StatCache(path: nil))
    #expect(try hasher.digest(of: folder("l")) == hasher.digest(of: folder("f")))
  }

  @Test("a file of /proc, whose size is not that of its content, is read to its end and not remembered")
  func proc() throws {
    let hasher = FileHasher(cache: StatCache(path: nil, clock: FakeFileClock.ahead()))
    let found = try hasher.digest(of: "/proc/version")
    #expect(found.digest != SHA256.digest(of: []))
    #expect(hasher.cache.digest(for: found.identity) == nil)
  }

  @Test(
    "many files come in order, each with its own result", .temporaryFolder, arguments: [0, 1, 15, 16, 200, 257, 1_000])
  func many(count: Int) throws {
    let folder = TemporaryFolder.current
    var paths: [ByteString] = []
    for number in 0..<count {
      paths.append(folder(ByteString("f\(number)")))
      if number % 7 != 3 { try folder.write(ByteString("f\(number)"), "content \(number)") }
    }
    let hasher = FileHasher(cache: StatCache(path: nil, clock: FakeFileClock.ahead()), workers: 2)
    for _ in 0..<2 {
      let results = hasher.digests(of: paths)
      #expect(results.count == count)
      for (number, result) in results.enumerated() {
        switch result {
        case .success(let file): #expect(file.digest == SHA256.digest(of: Array("content \(number)".utf8)))
        case .failure(let error): #expect(error.code == .missing && error.path == paths[number] && number % 7 == 3)
        }
      }
    }
  }
}
