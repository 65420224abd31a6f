import PurserModel
import Testing

/// `purser hash` is `sha256sum`, for folders too.
@Suite(.project)
struct HashTests {
  let project = TestProject.current

  @Test func `Digests are written as sha256sum writes them whatever the name`() throws {
    let names: [ByteString] = [
      "plain", "two words", "back\\slash", "two\nlines", "carriage\rreturn", " ", "-dash", "tab\t", "ünï", "*",
      ByteString(bytes: [0x66, 0xff, 0xfe]), "both\\\n",
    ]
    for name in names { try project.write("./" + name, "content of " + name.escaped) }
    try project.write("empty", "")
    try project.shell("head -c 5000000 /dev/urandom > large")
    let paths = names.map { "./" + $0 } + ["empty", "large", "/bin/sh"]
    let ours = try project.purser(["hash"] + paths)
    let theirs = try project.start(["/usr/bin/sha256sum", "--"] + paths).wait()
    #expect(ours.code == 0)
    #expect(ours.output == theirs.output)
    #expect(ours.error.isEmpty)
    #expect(try project.start(["/bin/sh", "-c", "\"$TOOL\" hash large empty | sha256sum -c --quiet"]).wait().code == 0)
  }

  @Test func `JSON escapes the bytes of a name`() throws {
    let name = ByteString(bytes: [0x66, 0xff, 0x0a, 0x5c])
    try project.write(name, "content")
    let file = try project.purser("hash", "--json", name).json()["files"]?.array?.first
    #expect(file?["path"]?.string == "f\\xff\n\\\\")
    #expect(file?["digest"]?.string == (try project.digest(name)))
  }

  @Test func `A folder's digest follows what is in it and not where it is`() throws {
    func digest(_ folder: ByteString) throws -> String {
      let outcome = try project.purser("hash", folder)
      #expect(outcome.code == 0)
      #expect(outcome.outputText.wholeMatch(of: #/[0-9a-f]{64}  .*\n/#) != nil)
      return String(outcome.outputText.prefix(64))
    }
    try project.shell(
      "for d in a b; do mkdir -p $d/sub; echo x > $d/sub/x; echo y > $d/y; ln -s y $d/link; done; touch -d 2001-01-01 b/y"
    )
    let first = try digest("a")
    #expect(try digest("b") == first)
    var seen = [first]
    for change in [
      "echo z > b/y", "chmod +x b/y", "mv b/y b/z", "ln -sfn sub b/link", "mkdir b/empty", "echo h > b/.hidden",
      "mv b/sub/x b/x",
    ] {
      try project.shell(change)
      let now = try digest("b")
      #expect(!seen.contains(now), "after \(change)")
      seen.append(now)
    }
  }

  /// Needs root, and a container that lets it; elsewhere the script ends with 9, and nothing is asked of it.
  @Test func `What is mounted over a folder whose names are known is seen and so is its end`() throws {
    let outcome = try project.shell(
      """
      set -eu
      mkdir -p tree/inner
      for i in $(seq 40); do echo $i > tree/inner/f$i; done
      cat > ../mounted <<'END'
      known() { "$TOOL" --store ../known hash tree; }
      anew() { rm -rf ../anew; "$TOOL" --store ../anew hash tree; }
      # The names are kept as soon as the clock has moved on.
      until [ -e ../known/folder-cache ]; do known > before; done
      mount -t tmpfs none tree/inner || exit 9
      [ "$(known)" = "$(anew)" ] || exit 1
      echo more > tree/inner/more
      [ "$(known)" = "$(anew)" ] || exit 2
      [ "$(known)" != "$(cat before)" ] || exit 3
      umount tree/inner
      [ "$(known)" = "$(cat before)" ] || exit 4
      END
      unshare -m true 2> /dev/null || exit 9
      exec unshare -m sh -u ../mounted
      """)
    #expect(outcome.code == 0 || outcome.code == 9)
  }

  @Test func `What is missing is told with 66 and the others are hashed all the same`() throws {
    try project.write("there", "content")
    let outcome = try project.purser("hash", "missing", "there")
    #expect(outcome.code == 66)
    #expect(outcome.errorText == "error: 'missing' cannot be hashed: does not exist\n")
    #expect(outcome.outputText == "\(try project.digest("there"))  there\n")
  }

  @Test func `What has no content is refused`() throws {
    try project.shell("mkfifo pipe")
    let outcome = try project.start([TestProject.tool, "hash", "pipe", "/dev/null"]).wait(seconds: 20)
    #expect(outcome.code == 65)
    #expect(
      outcome.errorText == """
        error: 'pipe' cannot be hashed: is a named pipe (FIFO), which has no content to hash
        error: '/dev/null' cannot be hashed: is a character device, which has no content to hash

        """)
  }

  @Test func `Hashing makes no store`() throws {
    try project.write("file", "content")
    #expect(try project.purser("hash", "file").code == 0)
    #expect(project.names(".") == ["file"])
  }
}
