import Glibc
import PurserModel
import Testing

@testable import PurserHashing

@Suite("Names of folders that did not change")
struct FolderCacheTests {
  // MARK: Trees

  private static let names = (0..<40).map { ByteString("f\($0 * 7 % 40)") }

  private func fill(_ path: ByteString) throws {
    for name in Self.names { try TemporaryFolder.current.write(path + "/" + name, "content of \(name)") }
  }

  private func open(_ clock: any FileClock = SystemFileClock()) -> StatCache {
    let folder = TemporaryFolder.current
    return StatCache(path: folder("stat-cache"), folders: folder("folder-cache"), clock: clock)
  }

  private func knows(_ path: ByteString, _ cache: StatCache) throws -> Bool {
    let identity = try FileIdentity.of(path: TemporaryFolder.current(path), followLinks: false)
    return cache.folders.names(in: identity) != nil
  }

  /// Hashes the tree until the names of these folders are kept: when the clock has moved on since they changed.
  private func settle(_ paths: [ByteString], _ cache: StatCache) throws {
    for _ in 0..<2_000 {
      _ = try TreeTests.tree(cache: cache)
      if try paths.allSatisfy({ try knows($0, cache) }) { return }
      usleep(2_000)
    }
    Issue.record("the names were never kept")
  }

  /// What a walk says that knows nothing, beside one that knows what was before.
  private func expectRight(_ name: String, _ cache: StatCache) throws {
    #expect(try TreeTests.tree(cache: cache).digest == TreeTests.tree().digest, "\(name)")
  }

  @Test("each change of a folder is seen at once, and seen again when it is undone", .temporaryFolder)
  func changes() throws {
    let folder = TemporaryFolder.current
    for path in ["tree", "tree/sub", "tree/sub/deep", "other"] as [ByteString] { try fill(path) }
    try folder.write("other/more", "m")
    let cache = open()
    func expectSeen(_ name: String, _ change: () throws -> Void, undo: () throws -> Void) throws {
      try settle(["tree", "tree/sub", "tree/sub/deep"], cache)
      let before = try TreeTests.tree(cache: cache).digest
      try change()
      #expect(try TreeTests.tree(cache: cache).digest != before, "\(name)")
      try expectRight(name, cache)
      try cache.folders.save()
      try undo()
      try expectRight("\(name), undone", open())
      #expect(try TreeTests.tree(cache: cache).digest == before, "\(name), undone")
    }
    try expectSeen("a file added", { try folder.write("tree/sub/new", "n") }) { try folder.remove("tree/sub/new") }
    try expectSeen("a file removed", { try folder.remove("tree/f3") }) {
      try folder.write("tree/f3", "content of f3")
    }
    try expectSeen("a file renamed in its folder", { try folder.rename("tree/f3", "tree/g3") }) {
      try folder.rename("tree/g3", "tree/f3")
    }
    try expectSeen("a file moved to another folder", { try folder.rename("tree/f3", "tree/sub/deep/g3") }) {
      try folder.rename("tree/sub/deep/g3", "tree/f3")
    }
    try expectSeen("a file replaced by another of its size") {
      try folder.write("spare", "CONTENT of f3")
      try folder.rename("spare", "tree/f3")
    } undo: {
      try folder.write("tree/f3", "content of f3")
    }
    try expectSeen("a file's content", { try folder.write("tree/f3", "content of f4") }) {
      try folder.write("tree/f3", "content of f3")
    }
    try expectSeen("execute permission", { _ = folder("tree/f3").withCString { chmod($0, 0o755) } }) {
      _ = folder("tree/f3").withCString { chmod($0, 0o644) }
    }
    try expectSeen("a file that becomes a link") {
      try folder.rename("tree/f3", "spare")
      try folder.link("tree/f3", to: "f4")
    } undo: {
      try folder.rename("spare", "tree/f3")
    }
    try expectSeen("a file that becomes a folder") {
      try folder.rename("tree/f3", "spare")
      try folder.makeFolder("tree/f3")
    } undo: {
      _ = folder("tree/f3").withCString { rmdir($0) }
      try folder.rename("spare", "tree/f3")
    }
    try expectSeen("a folder replaced by another") {
      try folder.rename("tree/sub/deep", "spare")
      try folder.rename("other", "tree/sub/deep")
    } undo: {
      try folder.rename("tree/sub/deep", "other")
      try folder.rename("spare", "tree/sub/deep")
    }
    try expectSeen("a file added, and the folder's time set back") {
      let before = try FileIdentity.of(path: folder("tree"), followLinks: false).modified
      try folder.write("tree/new", "n")
      let time = timespec(tv_sec: Int(before / 1_000_000_000), tv_nsec: Int(before % 1_000_000_000))
      #expect(folder("tree").withCString { utimensat(AT_FDCWD, $0, [time, time], 0) } == 0)
      #expect(try FileIdentity.of(path: folder("tree"), followLinks: false).modified == before)
    } undo: {
      try folder.remove("tree/new")
    }
  }

  @Test("what comes and goes right after a listing is seen, time and again", .temporaryFolder)
  func sameTick() throws {
    let folder = TemporaryFolder.current
    try fill("tree")
    let cache = open()
    for round in 0..<300 {
      _ = try TreeTests.tree(cache: cache)
      switch round % 4 {
      case 0: try folder.write("tree/new", "n")
      case 1: try folder.rename("tree/new", "tree/newer")
      case 2: try folder.rename("tree/newer", "tree/f1")
      default: try folder.write("tree/f1", "content of f1")
      }
      try expectRight("round \(round)", cache)
    }
  }

  @Test("what is left out, and what cannot be hashed, does not depend on who listed the folder", .temporaryFolder)
  func filters() throws {
    let folder = TemporaryFolder.current
    try fill("tree")
    try folder.write("tree/a.pyc", "c")
    try fill("tree/out")
    let cache = open()
    try settle(["tree", "tree/out"], cache)
    for skipping in [["tree/out"], ["tree/f7", "tree/out/f7"], []] as [[ByteString]] {
      let expected = try TreeTests.tree(skipping: skipping).digest
      #expect(try TreeTests.tree(cache: cache, skipping: skipping).digest == expected)
    }
    #expect(folder("tree/pipe").withCString { mkfifo($0, 0o600) } == 0)
    for _ in 0..<5 {
      let error = #expect(throws: FileError.self) { try TreeTests.tree(cache: cache) }
      #expect(error?.code == .notAFile(.fifo))
      #expect(error?.path == "tree/pipe")
      usleep(4_000)
    }
    #expect(try TreeTests.tree(cache: cache, skipping: ["tree/pipe"]).fileCount == 80)
  }

  @Test("names are kept only where a later change is sure to stamp the folder otherwise", .temporaryFolder)
  func settled() throws {
    let folder = TemporaryFolder.current
    try fill("tree")
    try folder.makeFolder("tree/few")
    for name in Self.names.prefix(31) { try folder.write("tree/few/" + name, "x") }
    let identity = try FileIdentity.of(path: folder("tree"), followLinks: false)
    let tick: Int64 = 8_000_000
    let clock = FakeFileClock(identity.changed + tick, granularity: tick)
    let cache = open(clock)
    _ = try TreeTests.tree(cache: cache)
    #expect(try !knows("tree", cache))
    clock.set(identity.changed + tick + 1)
    _ = try TreeTests.tree(cache: cache)
    #expect(try knows("tree", cache))
    #expect(try !knows("tree/few", cache))
    // A file system whose clock is not known is not trusted to stamp folders at all.
    let unknown = open(FakeFileClock(identity.changed + 3_600_000_000_000, granularity: SystemFileClock.coarsest))
    _ = try TreeTests.tree(cache: unknown)
    #expect(try !knows("tree", unknown))
  }

  // MARK: The file

  private static func identity(_ inode: UInt64, changed: Int64 = 5) -> FileIdentity {
    FileIdentity(device: 7, inode: inode, size: 4_096, mode: 0o40755, modified: 4, changed: changed)
  }

  /// Forty names that tell the folder and its state.
  private static func names(_ inode: UInt64, changed: Int64 = 5) -> FolderNames {
    var listing = FolderNames.Listing()
    for number in 0..<40 {
      Array("\(inode)-\(changed)-\(number)".utf8).withUnsafeBufferPointer { listing.append($0, .file) }
    }
    return FolderNames(listing)
  }

  private func record(_ cache: FolderCache, _ inodes: ClosedRange<UInt64>, changed: Int64 = 5) {
    for inode in inodes {
      cache.record(
        Self.identity(inode, changed: changed), Self.names(inode, changed: changed), listingBegan: 1_000_000,
        granularity: 10)
    }
  }

  private func file() -> FolderCache { FolderCache(path: TemporaryFolder.current("folder-cache")) }

  private func list(_ names: FolderNames?) -> [ByteString]? {
    var list: [ByteString] = []
    names?.forEach { name, _ in list.append(ByteString(name)) }
    return names == nil ? nil : list
  }

  private func knows(_ cache: FolderCache, _ inodes: ClosedRange<UInt64>, changed: Int64 = 5) -> Bool {
    inodes.allSatisfy {
      list(cache.names(in: Self.identity($0, changed: changed))) == list(Self.names($0, changed: changed))
    }
  }

  @Test("names come back sorted, for exactly the identity they were kept for", .temporaryFolder)
  func keeping() throws {
    let cache = file()
    record(cache, 1...3)
    #expect(knows(cache, 1...3))
    try cache.save()
    let reopened = file()
    #expect(knows(reopened, 1...3))
    let names = try #require(list(reopened.names(in: Self.identity(2))))
    #expect(names == names.sorted())
    #expect(names.count == 40)
    for other in [Self.identity(4), Self.identity(2, changed: 6)] { #expect(reopened.names(in: other) == nil) }
    record(reopened, 2...2, changed: 6)
    #expect(reopened.names(in: Self.identity(2)) == nil)
    try reopened.save()
    #expect(knows(file(), 2...2, changed: 6))
    let identity = try FileIdentity.of(path: TemporaryFolder.current("folder-cache"), followLinks: false)
    #expect(identity.permissions == 0o600)
    try reopened.save()
    #expect(
      try FileIdentity.of(path: TemporaryFolder.current("folder-cache"), followLinks: false) == identity)
  }

  @Test("many saves by several processes lose nothing, and leave few parts", .temporaryFolder)
  func saving() throws {
    let (first, second) = (file(), file())
    for round in UInt64(0)..<40 {
      record(first, (round * 2)...(round * 2))
      record(second, (round * 2 + 1)...(round * 2 + 1))
      try first.save()
      try second.save()
    }
    #expect(knows(file(), 0...79))
    let bytes = try TemporaryFolder.current.bytes("folder-cache")
    let magic = Array("PURLIST\n".utf8)
    let parts = bytes.indices.count { bytes[$0...].starts(with: magic) }
    #expect((1...16).contains(parts))
  }

  @Test("a file cut off at any length gives only right names, and is repaired by a save", .temporaryFolder)
  func truncated() throws {
    let folder = TemporaryFolder.current
    let cache = file()
    record(cache, 1...2)
    try cache.save()
    record(cache, 3...3)
    try cache.save()
    let whole = try folder.bytes("folder-cache")
    for length in stride(from: 0, to: whole.count, by: 3) {
      try folder.write("folder-cache", Array(whole[..<length]))
      let cut = file()
      for inode in UInt64(1)...3 {
        if let names = list(cut.names(in: Self.identity(inode))) { #expect(names == list(Self.names(inode))) }
      }
      if length % 60 == 0 {
        record(cut, 9...9)
        try cut.save()
        #expect(knows(file(), 9...9))
      }
    }
  }

  @Test("a flip of any bit gives only right names", .temporaryFolder)
  func flipped() throws {
    let folder = TemporaryFolder.current
    let cache = file()
    record(cache, 1...2)
    try cache.save()
    let whole = try folder.bytes("folder-cache")
    for bit in 0..<(whole.count * 8) {
      var damaged = whole
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      try folder.write("folder-cache", damaged)
      let flipped = file()
      for inode in UInt64(1)...2 {
        guard let names = flipped.names(in: Self.identity(inode)) else { continue }
        #expect(list(names) == list(Self.names(inode)))
      }
    }
  }

  @Test(
    "what is not a folder cache gives an empty one", .temporaryFolder, arguments: ["folder", "fifo", "text", "link"])
  func foreign(kind: String) throws {
    let folder = TemporaryFolder.current
    switch kind {
    case "folder": try folder.makeFolder("folder-cache")
    case "fifo": #expect(folder("folder-cache").withCString { mkfifo($0, 0o600) } == 0)
    case "text": try folder.write("folder-cache", [UInt8](repeating: 0x20, count: 5_000))
    default: try folder.link("folder-cache", to: "nowhere")
    }
    let cache = file()
    #expect(cache.names(in: Self.identity(1)) == nil)
    record(cache, 1...1)
    if kind == "folder" {
      #expect(throws: FileError.self) { try cache.save() }
    } else {
      try cache.save()
      #expect(knows(file(), 1...1))
    }
  }
}
