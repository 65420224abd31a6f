import Glibc
import PurserHashing
import PurserModel
import Testing

@Suite("Folder digests")
struct TreeTests {
  static func tree(
    _ directory: ByteString = "tree", cache: StatCache = StatCache(path: nil), workers: Int = 2,
    skipping: [ByteString] = []
  ) throws -> Tree {
    let folder = TemporaryFolder.current
    let filter = PathFilter(root: folder.path, skippedPaths: skipping, patterns: [])
    let hasher = TreeHasher(hasher: FileHasher(cache: cache, workers: workers), projectRoot: folder.path)
    return try hasher.tree(at: directory, excluding: filter)
  }

  private func makeGolden() throws {
    let folder = TemporaryFolder.current
    try folder.makeFolder("tree")
    try folder.write("tree/a.txt", "alpha\n")
    try folder.write("tree/run.sh", "#!/bin/sh\n", mode: 0o755)
    try folder.write("tree/sub/b.txt", "beta\n")
    try folder.makeFolder("tree/sub/hollow")
    try folder.link("tree/inner", to: "a.txt")
    try folder.link("tree/outer", to: "../shared/data.csv")
    try folder.link("tree/gone", to: "nowhere")
    try folder.write("tree/new\nline", "n")
    try folder.write(ByteString(bytes: Array("tree/caf".utf8) + [0xe9]), "e")
    try folder.write("tree/.hidden", "h")
    try folder.write("shared/data.csv", "1,2\n")
  }

  /// Expected values computed in Python (hashlib) from the formats' description.
  @Test("digests are those of the format's description", .temporaryFolder)
  func golden() throws {
    try makeGolden()
    let tree = try Self.tree()
    #expect(tree.digest.hex == "b6df646da8c5b67d6d56c518010166bf9cd10138b39c1079a9b86405a81f58f8")
    #expect(tree.fileCount == 6)
    #expect(tree.byteCount == 6 + 10 + 5 + 1 + 1 + 1)
    #expect(tree.identities.count == 7)
    #expect(tree.nodes.count == 3)
    for (digest, node) in tree.nodes { #expect(SHA256.digest(of: node) == digest) }
    let hollow = try Self.tree("tree/sub/hollow")
    #expect(hollow.digest.hex == "fb57bdeafed0107ca644697bb119928b12d8764b426f7eac9d74138a93a4d38d")
    #expect(try Self.tree(TemporaryFolder.current("tree/sub/hollow/")).digest == hollow.digest)
  }

  @Test("folders that link to each other end, and count with their content", .temporaryFolder)
  func cycle() throws {
    let folder = TemporaryFolder.current
    for name in ["tree", "lib", "more"] as [ByteString] { try folder.makeFolder(name) }
    try folder.link("tree/to", to: "../lib")
    try folder.write("lib/x", "x")
    try folder.link("lib/back", to: "../tree")
    try folder.link("lib/next", to: "../more")
    try folder.write("more/y", "y")
    try folder.link("more/loop", to: "../lib")
    let before = try Self.tree()
    #expect(before.digest.hex == "cd36b67edaf5c7aa3ac3d0c15205f7915b6112102004b7303856b85bbb114834")
    try folder.write("more/y", "z")
    #expect(try Self.tree().digest != before.digest)
  }

  @Test(
    "links out of the project, into the tree, to themselves and to what is skipped count by their text",
    .temporaryFolder)
  func textOnly() throws {
    let folder = TemporaryFolder.current
    try folder.write("tree/f", "x")
    try folder.write("skipped/f", "x")
    try folder.link("tree/out", to: "/etc/hostname")
    try folder.link("tree/in", to: "f")
    try folder.link("tree/self", to: "self")
    try folder.link("tree/up", to: ".")
    try folder.link("tree/skipped", to: "../skipped")
    let before = try Self.tree(skipping: ["skipped"])
    try folder.write("skipped/f", "y")
    #expect(try Self.tree(skipping: ["skipped"]).digest == before.digest)
    #expect(try Self.tree().digest != before.digest)
    try folder.remove("tree/self")
    try folder.link("tree/self", to: "./self")
    #expect(try Self.tree(skipping: ["skipped"]).digest != before.digest)
  }

  @Test("a link to a folder above the tree ends", .temporaryFolder)
  func linkAbove() throws {
    let folder = TemporaryFolder.current
    try folder.write("tree/deep/f", "x")
    try folder.link("tree/deep/root", to: "../..")
    let before = try Self.tree()
    try folder.write("beside", "x")
    #expect(try Self.tree().digest != before.digest)
  }

  @Test("each of these changes the digest, and undoing it restores it", .temporaryFolder)
  func changes() throws {
    let folder = TemporaryFolder.current
    try makeGolden()
    let before = try Self.tree().digest
    func expectChange(_ name: String, _ change: () throws -> Void, undo: () throws -> Void) throws {
      try change()
      #expect(try Self.tree().digest != before, "\(name)")
      try undo()
      #expect(try Self.tree().digest == before, "\(name) undone")
    }
    try expectChange("execute permission") {
      _ = folder("tree/a.txt").withCString { chmod($0, 0o744) }
    } undo: {
      _ = folder("tree/a.txt").withCString { chmod($0, 0o600) }
    }
    try expectChange("rename", { try folder.rename("tree/a.txt", "tree/c.txt") }) {
      try folder.rename("tree/c.txt", "tree/a.txt")
    }
    try expectChange("move to another folder", { try folder.rename("tree/a.txt", "tree/sub/a.txt") }) {
      try folder.rename("tree/sub/a.txt", "tree/a.txt")
    }
    try expectChange("two files swap contents") {
      try folder.write("tree/a.txt", "beta\n")
      try folder.write("tree/sub/b.txt", "alpha\n")
    } undo: {
      try folder.write("tree/a.txt", "alpha\n")
      try folder.write("tree/sub/b.txt", "beta\n")
    }
    try expectChange("link target") {
      try folder.remove("tree/gone")
      try folder.link("tree/gone", to: "elsewhere")
    } undo: {
      try folder.remove("tree/gone")
      try folder.link("tree/gone", to: "nowhere")
    }
    try expectChange("content behind a link", { try folder.write("shared/data.csv", "1,3\n") }) {
      try folder.write("shared/data.csv", "1,2\n")
    }
    try expectChange("empty folder added", { try folder.makeFolder("tree/void") }) {
      _ = folder("tree/void").withCString { rmdir($0) }
    }
    try expectChange("file becomes a folder") {
      try folder.remove("tree/a.txt")
      try folder.makeFolder("tree/a.txt")
    } undo: {
      _ = folder("tree/a.txt").withCString { rmdir($0) }
      try folder.write("tree/a.txt", "alpha\n")
    }
    try expectChange("hidden file", { try folder.write("tree/.hidden", "i") }) {
      try folder.write("tree/.hidden", "h")
    }
  }

  @Test("a tree is the same with one thread or several, from the cache or not, and in any place", .temporaryFolder)
  func large() throws {
    let folder = TemporaryFolder.current
    for number in 0..<1_500 {
      try folder.write(ByteString("tree/d\(number % 7)/e\(number % 3)/file-\(number)"), "content \(number)")
    }
    for number in 0..<700 { try folder.write(ByteString("tree/flat/long-common-prefix-\(number)"), "\(number)") }
    for number in 0..<4 {
      try folder.write(ByteString("tree/large\(number)"), [UInt8](repeating: UInt8(number), count: 400_000))
    }
    let cache = StatCache(path: folder("stat-cache"), clock: FakeFileClock.ahead())
    let cold = try Self.tree(cache: cache)
    #expect(cold.fileCount == 2_204)
    #expect(cold.nodes.count == 1 + 7 + 21 + 1)
    #expect(try Self.tree(cache: cache).digest == cold.digest)
    #expect(try Self.tree(workers: 1).digest == cold.digest)
    try cache.save()
    #expect(try Self.tree(cache: StatCache(path: folder("stat-cache"))).digest == cold.digest)
    var seen: Set<ByteString> = []
    try cold.identities.forEach { (path, identity) throws in
      seen.insert(path)
      let now = try FileIdentity.of(path: folder(path), followLinks: false)
      #expect(now == identity)
    }
    #expect(seen.count == 2_204)
    try folder.rename("tree", "moved")
    #expect(try Self.tree("moved", cache: cache).digest == cold.digest)
    // Sorted by bytes, whatever the order of listing.
    let names = try #require(cold.nodes.values.compactMap { Tree.decode(node: $0) }.first { $0.count == 700 })
    #expect(names == names.sorted { $0.name < $1.name })
  }

  @Test("the store, .git, compiled files and given paths are left out", .temporaryFolder)
  func filter() throws {
    let folder = TemporaryFolder.current
    try folder.write("tree/f", "x")
    let before = try Self.tree(skipping: ["tree/out"]).digest
    try folder.write("tree/out/o", "x")
    try folder.write("tree/.git/HEAD", "x")
    try folder.write("tree/__pycache__/f.pyc", "x")
    try folder.write("tree/g.pyc", "x")
    #expect(try Self.tree(skipping: ["tree/out"]).digest == before)
    #expect(try Self.tree().digest != before)
  }

  @Test("what has no content is refused by its path, and never waited for", .temporaryFolder)
  func kinds() throws {
    let folder = TemporaryFolder.current
    try folder.write("tree/a/b/f", "x")
    #expect(folder("tree/a/pipe").withCString { mkfifo($0, 0o600) } == 0)
    let error = #expect(throws: FileError.self) { try Self.tree() }
    #expect(error?.code == .notAFile(.fifo))
    #expect(error?.description == "'tree/a/pipe': is a named pipe (FIFO), which has no content to hash")
    let missing = #expect(throws: FileError.self) { try Self.tree("none") }
    #expect(missing?.description == "'none': does not exist")
    #expect(throws: FileError.self) { try Self.tree("tree/a/b/f") }
  }

  @Test("an error in one folder ends the whole walk", .temporaryFolder)
  func unstable() throws {
    let folder = TemporaryFolder.current
    for number in 0..<600 { try folder.write(ByteString("tree/d\(number % 9)/f\(number)"), "x") }
    let path = folder("tree/d4/f400")
    let clock = FakeFileClock.ahead {
      let descriptor = path.withCString { open($0, O_WRONLY | O_APPEND) }
      _ = write(descriptor, "x", 1)
      close(descriptor)
    }
    let error = #expect(throws: FileError.self) { try Self.tree(cache: StatCache(path: nil, clock: clock)) }
    #expect(error?.code == .unstable)
    #expect(error?.path == "tree/d4/f400")
  }

  @Test("a difference names the files that changed", .temporaryFolder)
  func difference() throws {
    let folder = TemporaryFolder.current
    try makeGolden()
    try folder.write("tree/sub/deep/c.txt", "c")
    let before = try Self.tree()
    try folder.write("tree/sub/deep/c.txt", "C")
    try folder.remove("tree/a.txt")
    try folder.write("tree/sub/b-added", "new")
    _ = folder("tree/run.sh").withCString { chmod($0, 0o644) }
    let after = try Self.tree()
    let nodes = before.nodes.merging(after.nodes) { first, _ in first }
    var asked = 0
    let changes = Tree.difference(from: before.digest, to: after.digest) { digest in
      asked += 1
      return nodes[digest]
    }
    #expect(changes.map(\.path) == ["a.txt", "run.sh", "sub/b-added", "sub/deep/c.txt"])
    #expect(asked == 6)
    #expect(changes[0].is == nil && changes[0].was == SHA256.digest(of: Array("alpha\n".utf8)))
    #expect(changes[1].was == changes[1].is && changes[1].wasKind == .executable && changes[1].isKind == .file)
    #expect(changes[2].was == nil && changes[2].is == SHA256.digest(of: Array("new".utf8)))
    #expect(Tree.difference(from: after.digest, to: after.digest) { _ in nil }.isEmpty)
    // Without listings, or with wrong ones, the folder itself is named.
    #expect(Tree.difference(from: before.digest, to: after.digest) { _ in nil }.map(\.path) == [""])
    #expect(Tree.difference(from: before.digest, to: after.digest) { _ in nodes[after.digest] }.map(\.path) == [""])
  }

  @Test("a node from anywhere is decoded safely", .temporaryFolder)
  func hostileNodes() throws {
    try makeGolden()
    let tree = try Self.tree()
    let node = try #require(tree.nodes[tree.digest])
    let entries = try #require(Tree.decode(node: node))
    #expect(
      entries.map(\.name.printable) == [
        ".hidden", "a.txt", "caf\\xe9", "gone", "inner", "new\\x0aline", "outer", "run.sh", "sub",
      ])
    for length in 0..<node.count {
      if let cut = Tree.decode(node: Array(node[..<length])) { #expect(cut == Array(entries[..<cut.count])) }
    }
    for bit in 0..<(node.count * 8) {
      var flipped = node
      flipped[bit / 8] ^= 1 << UInt8(bit % 8)
      if let found = Tree.decode(node: flipped) { #expect(found != entries) }
    }
    let name = [UInt8](repeating: 0xff, count: 8)
    #expect(Tree.decode(node: Array("purser.tree-node".utf8) + [0, 1, 0, 0, 0, 0x66] + name + [1, 2, 3]) == nil)
  }
}
