import PurserModel
import Testing

@Suite("Output manifests")
struct OutputManifestTests {
  static func entry(_ path: ByteString, _ kind: OutputManifest.Kind = .file, size: UInt64 = 3) throws
    -> OutputManifest.Entry
  {
    OutputManifest.Entry(
      path: path, kind: kind, mode: kind == .link ? 0 : 0o644, digest: try #require(Digest(bytes: Array(0..<32))),
      size: size)
  }

  static func sample() throws -> OutputManifest {
    OutputManifest(
      patterns: ["build", "*.csv"],
      entries: [
        try entry("build/z"), try entry("build", .directory, size: 0), try entry("build/l", .link, size: 1 << 40),
        try entry(ByteString(bytes: [0x62, 0xff])),
      ])
  }

  @Test("entries and patterns are sorted by bytes, whatever their order was")
  func sorting() throws {
    let manifest = try Self.sample()
    #expect(manifest.patterns == ["*.csv", "build"])
    #expect(manifest.entries.map(\.path.escaped) == ["build", "build/l", "build/z", "b\\xff"])
    #expect(OutputManifest(patterns: manifest.patterns, entries: manifest.entries.reversed()) == manifest)
  }

  @Test("the encoding has the documented bytes")
  func golden() throws {
    let manifest = OutputManifest(patterns: ["out"], entries: [try Self.entry("out/a", size: 0x0102)])
    let entry: [UInt8] =
      [1, 0xa4, 0x01, 0, 0, 0x02, 0x01, 0, 0, 0, 0, 0, 0] + Array(0..<32)
      + [5, 0, 0, 0, 0, 0, 0, 0] + Array("out/a".utf8)
    #expect(manifest.encodedEntries == entry)
    #expect(manifest.encoded == [1, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0] + Array("out".utf8) + entry)
    #expect(OutputManifest().encoded == [1, 0, 0, 0, 0, 0, 0, 0, 0])
    #expect(OutputManifest().encodedEntries == [])
  }

  @Test("random manifests are read back")
  func roundTrip() throws {
    var generator = SeededGenerator(seed: 8)
    for _ in 0..<500 {
      var entries: [ByteString: OutputManifest.Entry] = [:]
      for _ in 0..<Int.random(in: 0...6, using: &generator) {
        let path = ByteString(bytes: generator.bytes(upTo: 8))
        entries[path] = OutputManifest.Entry(
          path: path, kind: [.file, .link, .directory].randomElement(using: &generator) ?? .file,
          mode: UInt32.random(in: 0...0o7777, using: &generator),
          digest: try #require(Digest(bytes: (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })),
          size: UInt64.random(in: 0 ... .max, using: &generator))
      }
      let manifest = OutputManifest(
        patterns: (0..<Int.random(in: 0...3, using: &generator)).map { _ in ByteString(bytes: generator.bytes(upTo: 5))
        },
        entries: Array(entries.values))
      #expect(OutputManifest(encoded: manifest.encoded) == manifest)
    }
  }

  @Test("cut off at any length it is refused, or it is a shorter manifest that ends where an entry does")
  func truncation() throws {
    let manifest = try Self.sample()
    let bytes = manifest.encoded
    for length in 0..<bytes.count {
      guard let read = OutputManifest(encoded: Array(bytes.prefix(length))) else { continue }
      #expect(read.patterns == manifest.patterns)
      #expect(read.entries == Array(manifest.entries.prefix(read.entries.count)))
      #expect(read.entries.count < manifest.entries.count)
    }
    #expect(OutputManifest(encoded: bytes + [0]) == nil)
  }

  @Test("no damaged byte crashes it or goes unnoticed")
  func damage() throws {
    let manifest = try Self.sample()
    let bytes = manifest.encoded
    for index in bytes.indices {
      for bit: UInt8 in 0..<8 {
        var damaged = bytes
        damaged[index] ^= 1 << bit
        #expect(OutputManifest(encoded: damaged) != manifest)
      }
    }
  }

  @Test("unsorted or repeated entries, unknown kinds and other versions are refused")
  func refused() throws {
    let (first, second) = (try Self.entry("a"), try Self.entry("b"))
    func encoded(_ entries: [OutputManifest.Entry]) -> [UInt8] {
      [1] + [UInt8](repeating: 0, count: 8) + entries.flatMap { OutputManifest(entries: [$0]).encodedEntries }
    }
    #expect(OutputManifest(encoded: encoded([first, second])) != nil)
    #expect(OutputManifest(encoded: encoded([second, first])) == nil)
    #expect(OutputManifest(encoded: encoded([first, first])) == nil)
    for kind: UInt8 in [0, 4, 255] {
      var bytes = encoded([first])
      bytes[9] = kind
      #expect(OutputManifest(encoded: bytes) == nil)
    }
    for version: UInt8 in [0, 2, 255] {
      var bytes = encoded([first])
      bytes[0] = version
      #expect(OutputManifest(encoded: bytes) == nil)
    }
  }

  @Test("lengths beyond the end are refused without asking for memory")
  func hugeLengths() {
    let huge = [UInt8](repeating: 0xff, count: 8)
    #expect(OutputManifest(encoded: [1] + huge) == nil)
    #expect(OutputManifest(encoded: [1, 1, 0, 0, 0, 0, 0, 0, 0] + huge) == nil)
    #expect(
      OutputManifest(
        encoded: [1] + [UInt8](repeating: 0, count: 8) + [1] + [UInt8](repeating: 0, count: 44) + huge) == nil)
  }
}
