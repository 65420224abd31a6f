import Glibc
import PurserHashing
import PurserModel
import Testing

@Suite("Stat cache")
struct StatCacheTests {
  static let second: Int64 = 1_000_000_000

  static func identity(_ inode: UInt64, modified: Int64 = 5, changed: Int64 = 5, size: Int64 = 4) -> FileIdentity {
    FileIdentity(device: 2049, inode: inode, size: size, mode: 0o100644, modified: modified, changed: changed)
  }

  static func digest(_ number: UInt64) -> Digest {
    SHA256.digest(of: Array("\(number)".utf8))
  }

  /// Opens the cache of the test's folder.
  func open() -> StatCache { StatCache(path: TemporaryFolder.current("stat-cache"), clock: FakeFileClock()) }

  func fill(_ cache: StatCache, _ inodes: some Sequence<UInt64>) {
    for inode in inodes {
      cache.record(Self.identity(inode), Self.digest(inode), hashingBegan: 10 * Self.second, granularity: 8_000_000)
    }
  }

  @Test(
    "an entry is kept only if both times are older than the granularity, and not of the future",
    arguments: [
      (-8_000_001, -8_000_001, true), (-8_000_000, -8_000_001, false), (-8_000_001, -8_000_000, false),
      (0, -8_000_001, false), (-8_000_001, 0, false), (1, -8_000_001, false), (3_600_000_000_000, -8_000_001, false),
      (-8_000_001, 3_600_000_000_000, false), (-8_000_001, -9_000_000_000, true),
    ] as [(Int64, Int64, Bool)])
  func racilyClean(modified: Int64, changed: Int64, isKept: Bool) {
    let began = 1_000 * Self.second + 1
    let cache = StatCache(path: nil)
    let identity = Self.identity(1, modified: began + modified, changed: began + changed)
    cache.record(identity, Self.digest(1), hashingBegan: began, granularity: 8_000_000)
    #expect((cache.digest(for: identity) != nil) == isKept)
  }

  @Test("a time of whole seconds must be two seconds old")
  func wholeSeconds() {
    let cache = StatCache(path: nil)
    for (inode, began) in [(1, 1_002 * Self.second), (2, 1_002 * Self.second + 1)] as [(UInt64, Int64)] {
      let identity = Self.identity(inode, modified: 1_000 * Self.second, changed: 999 * Self.second + 1)
      cache.record(identity, Self.digest(inode), hashingBegan: began, granularity: 8_000_000)
      #expect((cache.digest(for: identity) != nil) == (inode == 2))
    }
  }

  @Test("times at the ends of the range do not overflow", arguments: [Int64.min, .max])
  func extremes(time: Int64) {
    let cache = StatCache(path: nil)
    let identity = Self.identity(1, modified: time, changed: time)
    cache.record(identity, Self.digest(1), hashingBegan: .min, granularity: .max)
    #expect(cache.digest(for: identity) == nil)
  }

  @Test("same-size rewrites within one tick are never mistaken, 2,000 times")
  func coarseClock() {
    var random = SystemRandomNumberGenerator()
    let tick: Int64 = 4_000_000
    let cache = StatCache(path: nil)
    var time = 1_000 * Self.second
    var falseHits = 0
    var hits = 0
    for version in UInt64(0)..<2_000 {
      // Written, hashed and written again at any moments of one to four ticks.
      let stamp = time / tick * tick
      let identity = Self.identity(7, modified: stamp, changed: stamp)
      time += Int64.random(in: 0...(3 * tick), using: &random)
      cache.record(identity, Self.digest(version), hashingBegan: time / tick * tick, granularity: 2 * tick)
      time += Int64.random(in: 0...tick, using: &random)
      let stampAfter = time / tick * tick
      if cache.digest(for: identity) != nil { hits += 1 }
      let after = Self.identity(7, modified: stampAfter, changed: stampAfter)
      if cache.digest(for: after) != nil { falseHits += 1 }
    }
    #expect(falseHits == 0)
    #expect(hits > 100)
  }

  @Test("every part of the identity counts")
  func parts() {
    let cache = StatCache(path: nil)
    let identity = Self.identity(1)
    fill(cache, [1])
    #expect(cache.digest(for: identity) == Self.digest(1))
    let changes: [(inout FileIdentity) -> Void] = [
      { $0.device += 1 }, { $0.inode += 1 }, { $0.size += 1 }, { $0.mode ^= 0o100 }, { $0.modified -= 1 },
      { $0.changed += 1 },
    ]
    for change in changes {
      var other = identity
      change(&other)
      #expect(cache.digest(for: other) == nil)
    }
  }

  @Test("what was saved is found by the next process; sorted part and tail alike", .temporaryFolder)
  func roundTrip() throws {
    let cache = open()
    fill(cache, 1...50)
    try cache.save()
    fill(cache, 40...60)
    try cache.save()
    let newer = Self.identity(3, modified: 6)
    cache.record(newer, Self.digest(1_003), hashingBegan: 10 * Self.second, granularity: 0)
    try cache.save()
    let reopened = open()
    for inode in UInt64(1)...60 where inode != 3 {
      #expect(reopened.digest(for: Self.identity(inode)) == Self.digest(inode))
    }
    #expect(reopened.digest(for: newer) == Self.digest(1_003))
    #expect(reopened.digest(for: Self.identity(3)) == nil)
    #expect(reopened.digest(for: Self.identity(61)) == nil)
  }

  @Test("the file is private, and under 100 bytes a file", .temporaryFolder)
  func size() throws {
    let cache = open()
    fill(cache, 1...2_000)
    try cache.save()
    let identity = try FileIdentity.of(path: TemporaryFolder.current("stat-cache"), followLinks: false)
    #expect(identity.permissions == 0o600)
    #expect(identity.size == 32 + 2_000 * 88)
  }

  @Test("a save with nothing new touches nothing", .temporaryFolder)
  func nothingNew() throws {
    try open().save()
    let path = TemporaryFolder.current("stat-cache")
    #expect(throws: FileError.self) { try FileIdentity.of(path: path, followLinks: false) }
    let cache = open()
    fill(cache, 1...3)
    try cache.save()
    let before = try FileIdentity.of(path: TemporaryFolder.current("stat-cache"), followLinks: false)
    try cache.save()
    fill(cache, 1...3)
    try cache.save()
    let again = open()
    fill(again, 1...3)
    try again.save()
    #expect(try FileIdentity.of(path: TemporaryFolder.current("stat-cache"), followLinks: false) == before)
  }

  @Test("two processes that save after each other lose nothing", .temporaryFolder)
  func twoSavers() throws {
    let first = open()
    fill(first, 1...10)
    try first.save()
    let (second, third) = (open(), open())
    fill(second, 11...20)
    fill(third, 21...30)
    try second.save()
    try third.save()
    let reopened = open()
    #expect((UInt64(1)...30).allSatisfy { reopened.digest(for: Self.identity($0)) == Self.digest($0) })
  }

  @Test("a long tail is merged into the sorted part, and loses nothing", .temporaryFolder)
  func rewriting() throws {
    for batch in UInt64(0)..<30 {
      let cache = open()
      fill(cache, (batch * 300 + 1)...(batch * 300 + 300))
      try cache.save()
    }
    let bytes = try TemporaryFolder.current.bytes("stat-cache")
    let sorted = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 16, as: UInt64.self) }
    #expect(sorted > 6_000)
    #expect(bytes.count == 32 + 9_000 * 88)
    let reopened = open()
    #expect((UInt64(1)...9_000).allSatisfy { reopened.digest(for: Self.identity($0)) == Self.digest($0) })
  }

  @Test("a file cut off at any length gives only right digests, and is repaired by a save", .temporaryFolder)
  func truncated() throws {
    let folder = TemporaryFolder.current
    let whole = try sample()
    for length in 0..<whole.count {
      try folder.write("stat-cache", Array(whole[..<length]))
      let cache = open()
      #expect(wrong(cache) == 0)
      if length % 44 == 0 {
        fill(cache, [99])
        try cache.save()
        let repaired = open()
        #expect(repaired.digest(for: Self.identity(99)) == Self.digest(99))
        #expect(wrong(repaired) == 0)
      }
    }
  }

  @Test("a flip of any bit gives only right digests", .temporaryFolder)
  func flipped() throws {
    let folder = TemporaryFolder.current
    let whole = try sample()
    for bit in 0..<(whole.count * 8) {
      var damaged = whole
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      try folder.write("stat-cache", damaged)
      #expect(wrong(open()) == 0)
    }
  }

  @Test("a large file, which is mapped, survives damage too", .temporaryFolder)
  func largeDamaged() throws {
    let cache = open()
    fill(cache, 1...5_000)
    try cache.save()
    let whole = try TemporaryFolder.current.bytes("stat-cache")
    for seed in 0..<60 {
      var damaged = whole
      for step in 0..<50 { damaged[(seed * 7_919 + step * 104_729) % whole.count] ^= UInt8(1 + (seed + step) % 255) }
      if seed % 3 == 0 { damaged.removeLast((seed * 1_301) % whole.count) }
      try TemporaryFolder.current.write("stat-cache", damaged)
      let reopened = open()
      let wrong = (UInt64(0)...5_001).count { inode in
        let found = reopened.digest(for: Self.identity(inode))
        return found != nil && found != Self.digest(inode)
      }
      #expect(wrong == 0)
    }
  }

  @Test("what is not a stat cache gives an empty one", .temporaryFolder, arguments: ["folder", "fifo", "text", "link"])
  func foreign(kind: String) throws {
    let folder = TemporaryFolder.current
    switch kind {
    case "folder": try folder.makeFolder("stat-cache")
    case "fifo": #expect(folder("stat-cache").withCString { mkfifo($0, 0o600) } == 0)
    case "text": try folder.write("stat-cache", [UInt8](repeating: 0x20, count: 5_000))
    default: try folder.link("stat-cache", to: "nowhere")
    }
    let cache = open()
    #expect(cache.digest(for: Self.identity(1)) == nil)
    fill(cache, [1])
    if kind != "folder" {
      try cache.save()
      #expect(open().digest(for: Self.identity(1)) == Self.digest(1))
    } else {
      #expect(throws: FileError.self) { try cache.save() }
    }
  }

  @Test("a save into a folder that is gone is an error, and a later one succeeds", .temporaryFolder)
  func saveFails() throws {
    let folder = TemporaryFolder.current
    let cache = StatCache(path: folder("deep/stat-cache"), clock: FakeFileClock())
    fill(cache, [1])
    let error = #expect(throws: FileError.self) { try cache.save() }
    #expect(error?.code == .missing)
    try folder.makeFolder("deep")
    try cache.save()
    #expect(StatCache(path: folder("deep/stat-cache")).digest(for: Self.identity(1)) == Self.digest(1))
  }

  /// Five sorted records and three in the tail.
  private func sample() throws -> [UInt8] {
    let cache = open()
    fill(cache, 1...5)
    try cache.save()
    fill(cache, 6...8)
    try cache.save()
    let bytes = try TemporaryFolder.current.bytes("stat-cache")
    #expect(bytes.count == 32 + 8 * 88)
    return bytes
  }

  /// Digests that are there and not right, among those the sample holds and some it does not.
  private func wrong(_ cache: StatCache) -> Int {
    (UInt64(0)...16).count { inode in
      let found = cache.digest(for: Self.identity(inode))
      return found != nil && found != Self.digest(inode)
    }
  }
}
