import Glibc
import PurserHashing
import PurserModel
import Synchronization
import Testing

/// Files that are not as on disk are seen as the same files on disk would be.
struct FileOverlayTests {
  let folder = TemporaryFolder.current

  /// Contents from memory, which counts how often they are asked for.
  private final class Contents: OverlayContents {
    let texts: [String]
    let count = Mutex(0)

    init(_ texts: [String]) { self.texts = texts }

    func read(
      _ number: Int, at path: ByteString, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(FileError) {
      count.withLock { $0 += 1 }
      // In pieces.
      for byte in texts[number].utf8 { withUnsafeBytes(of: byte) { body($0) } }
    }
  }

  private func hasher(
    _ changes: [(path: ByteString, change: FileOverlay.Change)], _ contents: Contents
  ) throws -> FileHasher {
    FileHasher(
      cache: StatCache(path: nil), workers: 2,
      overlay: FileOverlay(
        top: folder.path, label: "then", changes: changes, folderPermissions: 0o755, contents: contents))
  }

  private func message(_ body: () throws(FileError) -> some Any) -> String? {
    do throws(FileError) {
      _ = try body()
      return nil
    } catch {
      return error.message
    }
  }

  @Test(.temporaryFolder)
  func `A folder with changes has the digest, the listing and the matches of one that was changed`() throws {
    try folder.write("a/same", "same")
    try folder.write("a/changed", "before")
    try folder.write("a/gone/x", "x")
    try folder.write("a/half/x", "x")
    try folder.write("a/half/y", "y")
    try folder.write("a/file", "a file")
    try folder.link("a/link", to: "same")
    let contents = Contents(["after", "new", "inner", "run"])
    let hasher = try hasher(
      [
        ("a/changed", .file(number: 0, permissions: 0o644)), ("a/gone/x", .nothing), ("a/half/x", .nothing),
        ("a/new/deep/file", .file(number: 1, permissions: 0o644)), ("a/file", .nothing),
        ("a/file/inner", .file(number: 2, permissions: 0o644)), ("a/link", .link(text: "half")),
        ("a/run", .file(number: 3, permissions: 0o755)), ("a/module", .folder(isKept: true)),
        ("a/left", .folder(isKept: false)),
      ], contents)
    let filter = PathFilter(root: folder.path, skippedPaths: [], patterns: [])
    let seen = try TreeHasher(hasher: hasher, projectRoot: folder.path).tree(at: "a", excluding: filter)
    let matches = try Glob("a/**/*").expand(root: folder.path, filter: filter, overlay: hasher.overlay)
    #expect(contents.count.withLock { $0 } == 4)
    let again = hasher.digests(of: matches.map { folder($0) }).compactMap { try? $0.get().digest }
    #expect(contents.count.withLock { $0 } == 4, "each content is asked for once")

    try folder.write("a/changed", "after")
    try folder.remove("a/gone/x")
    try #require(folder("a/gone").withCString { rmdir($0) } == 0)
    try folder.remove("a/half/x")
    try folder.write("a/new/deep/file", "new")
    try folder.remove("a/file")
    try folder.write("a/file/inner", "inner")
    try folder.remove("a/link")
    try folder.link("a/link", to: "half")
    try folder.write("a/run", "run", mode: 0o755)
    try folder.makeFolder("a/module")
    let plain = FileHasher(cache: StatCache(path: nil))
    let real = try TreeHasher(hasher: plain, projectRoot: folder.path).tree(at: "a", excluding: filter)
    #expect(seen.digest == real.digest)
    #expect(seen.nodes == real.nodes)
    #expect(seen.fileCount == real.fileCount && seen.byteCount == real.byteCount)
    #expect(matches == (try Glob("a/**/*").expand(root: folder.path, filter: filter)))
    #expect(again == plain.digests(of: matches.map { folder($0) }).compactMap { try? $0.get().digest })
  }

  @Test(.temporaryFolder) func `Links lead from the disk into what differs and back`() throws {
    try folder.write("disk/file", "disk")
    try folder.link("toNew", to: "new")
    try folder.link("loop", to: "loop/x")
    let hasher = try hasher(
      [
        ("new/file", .file(number: 0, permissions: 0o644)), ("new/back", .link(text: "../disk")),
        ("new/up", .link(text: "../toNew/../disk/./file")), ("new/self", .link(text: "self")),
        ("new/away", .link(text: "/")), ("disk/into", .link(text: "../toNew")),
      ], Contents(["new"]))
    #expect(hasher.realPath(folder("toNew/file")) == folder("new/file"))
    #expect(hasher.realPath(folder("toNew/back/file")) == folder("disk/file"))
    #expect(hasher.realPath(folder("toNew/back/into/back/into/file")) == folder("new/file"))
    #expect(hasher.realPath(folder("new/up")) == folder("disk/file"))
    #expect(hasher.realPath(folder("disk//into/./file/")) == folder("new/file"))
    #expect(hasher.realPath(folder("new/away") + folder.path + "/disk/into") == folder("new"))
    #expect(hasher.realPath(folder("loop")) == nil)
    #expect(try hasher.digest(of: folder("disk/into/file")).digest == SHA256.digest(of: Array("new".utf8)))
    #expect(try hasher.linkText(of: folder("toNew/up")) == "../toNew/../disk/./file")
    #expect(try hasher.identity(of: folder("toNew"), followLinks: true).kind == .directory)
    #expect(
      message { () throws(FileError) in try hasher.digest(of: folder("new/self")) }?.contains("symbolic links") == true)
    #expect(message { () throws(FileError) in try hasher.digest(of: folder("new/file/x")) } == "does not exist then")
    #expect(message { () throws(FileError) in try hasher.digest(of: folder("disk/none")) } == "does not exist then")
    #expect(message { () throws(FileError) in try hasher.digest(of: "/nonexistent") } == "does not exist")
  }

  @Test(.temporaryFolder) func `What differs never comes into the stat cache`() throws {
    try folder.write("a", "before")
    let contents = Contents(["after"])
    let hasher = try hasher([("a", .file(number: 0, permissions: 0o644))], contents)
    let seen = try hasher.digest(of: folder("a"))
    #expect(seen.digest == SHA256.digest(of: Array("after".utf8)))
    #expect(seen.identity.size == 5)
    let plain = FileHasher(cache: hasher.cache)
    #expect(hasher.cache.digest(for: seen.identity) == nil)
    #expect(try plain.digest(of: folder("a")).digest == SHA256.digest(of: Array("before".utf8)))
    #expect(try hasher.digest(of: folder("a")).digest == seen.digest, "nor is the cache asked")
  }

  @Test(.temporaryFolder) func `A program may be executed as it may be then`() throws {
    try folder.write("was", "", mode: 0o755)
    try folder.write("stays", "", mode: 0o755)
    let hasher = try hasher(
      [
        ("was", .file(number: 0, permissions: 0o644)), ("is", .file(number: 0, permissions: 0o755)),
        ("link", .link(text: "stays")),
      ], Contents([""]))
    #expect(
      ["was", "is", "stays", "link", "none"].map { hasher.isExecutable(folder($0)) } == [
        false, true, true, true, false,
      ])
  }
}
