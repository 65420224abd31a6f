import Purser
import PurserModel
import Testing

@Suite("Names of paths")
struct PathNameTests {
  @Test(
    "are normalized by name alone",
    arguments: [
      ("", ""), (".", ""), ("/", "/"), ("//", "/"), ("a", "a"), ("./a", "a"), ("a/", "a"), ("a//b", "a/b"),
      ("a/./b", "a/b"), ("a/../b", "b"), ("a/..", ""), ("..", ".."), ("../a", "../a"), ("../../a", "../../a"),
      ("a/../../b", "../b"), ("/..", "/"), ("/../a", "/a"), ("/a/../..", "/"), ("...", "..."), ("a/..b", "a/..b"),
      (".a", ".a"), ("a/b/../../c/./", "c"),
    ] as [(ByteString, ByteString)])
  func normalized(path: ByteString, expected: ByteString) {
    #expect(path.normalizedPath == expected)
    #expect(expected.normalizedPath == expected)
  }

  @Test(
    "are joined, an absolute one standing alone",
    arguments: [
      ("a", "b", "a/b"), ("a/", "b", "a/b"), ("/", "b", "/b"), ("a", "/b", "/b"), ("", "b", "b"), ("a", "", "a"),
      ("a", "../b", "a/../b"),
    ] as [(ByteString, ByteString, ByteString)])
  func appending(left: ByteString, right: ByteString, expected: ByteString) {
    #expect(left.appending(path: right) == expected)
  }

  @Test(
    "are split at the last slash",
    arguments: [
      ("a", "", "a"), ("a/b", "a", "b"), ("/a", "/", "a"), ("/a/b/c", "/a/b", "c"), ("a/", "a", ""), ("", "", ""),
    ] as [(ByteString, ByteString, ByteString)])
  func parts(path: ByteString, parent: ByteString, last: ByteString) {
    #expect(path.parentPath == parent)
    #expect(path.lastPathComponent == last)
  }

  @Test(
    "are within a folder or not",
    arguments: [
      ("a/b", "a", "b"), ("a", "a", ""), ("ab", "a", nil), ("a", "a/b", nil), ("/a", "/", "a"), ("/", "/", ""),
      ("a", "/", nil), ("/a", "", nil), ("a/b/c", "a/b", "c"), ("/x/y", "/x", "y"), ("/xy", "/x", nil),
      ("b/a", "a", nil),
    ] as [(ByteString, ByteString, ByteString?)])
  func within(path: ByteString, folder: ByteString, rest: ByteString?) {
    #expect(path.path(relativeTo: folder) == rest)
    #expect(path.isWithin(folder) == (rest != nil))
  }

  @Test("everything relative is below the empty name, and raw bytes stay as they are")
  func edges() {
    #expect(ByteString("a/b").isWithin("") && !ByteString("/a").isWithin(""))
    let raw = ByteString(bytes: [0xff, 0x2f, 0x2e, 0x2f, 0xfe])
    #expect(raw.normalizedPath == ByteString(bytes: [0xff, 0x2f, 0xfe]))
    #expect(raw.lastPathComponent == ByteString(bytes: [0xfe]))
    #expect(ByteString("/a").isAbsolutePath && !ByteString("a").isAbsolutePath && !ByteString("").isAbsolutePath)
  }
}
