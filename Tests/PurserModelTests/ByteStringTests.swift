import PurserModel
import Testing

@Suite("Byte strings")
struct ByteStringTests {
  @Test(
    "text is escaped where it is not UTF-8, and at backslashes",
    arguments: [
      ([], ""),
      (Array("raw/a.csv".utf8), "raw/a.csv"),
      (Array("Käse 🧀".utf8), "Käse 🧀"),
      (Array("a\\b".utf8), "a\\\\b"),
      (Array("\\x41".utf8), "\\\\x41"),
      ([0x00], "\u{0}"),
      ([0x0a], "\n"),
      ([0xff], "\\xff"),
      ([0x61, 0x80, 0x62], "a\\x80b"),
      ([0xc3], "\\xc3"),
      ([0xc3, 0x28], "\\xc3("),
      ([0xc0, 0xaf], "\\xc0\\xaf"),
      ([0xc1, 0xbf], "\\xc1\\xbf"),
      ([0xe0, 0x80, 0xaf], "\\xe0\\x80\\xaf"),
      ([0xed, 0xa0, 0x80], "\\xed\\xa0\\x80"),
      ([0xef, 0xbb, 0xbf], "\u{feff}"),
      ([0xf0, 0x8f, 0xbf, 0xbf], "\\xf0\\x8f\\xbf\\xbf"),
      ([0xf4, 0x90, 0x80, 0x80], "\\xf4\\x90\\x80\\x80"),
      ([0xf4, 0x8f, 0xbf, 0xbf], "\u{10ffff}"),
      ([0xf5, 0x80, 0x80, 0x80], "\\xf5\\x80\\x80\\x80"),
      ([0xe2, 0x82], "\\xe2\\x82"),
    ] as [([UInt8], String)])
  func escaping(bytes: [UInt8], text: String) {
    #expect(Array(ByteString(bytes: bytes).escaped.utf8) == Array(text.utf8))
    #expect(ByteString(escaped: text) == ByteString(bytes: bytes))
  }

  @Test("escaping is reversible for 10,000 random byte strings")
  func roundTrip() {
    var generator = SeededGenerator(seed: 1)
    let awkward: [UInt8] = [0x5c, 0x78, 0x30, 0x66, 0xc3, 0xa4, 0xe2, 0x82, 0xac, 0xed, 0xa0, 0x80, 0xf0, 0x9f, 0x00]
    for round in 0..<10_000 {
      let string = ByteString(bytes: generator.bytes(upTo: 24, from: round.isMultiple(of: 2) ? awkward : []))
      #expect(ByteString(escaped: string.escaped) == string)
      #expect(ByteString(escaped: string.printable) == string)
    }
  }

  @Test(
    "a backslash that starts no known escape is refused",
    arguments: ["\\", "a\\", "\\n", "\\x", "\\x4", "\\xg0", "\\x0g", "\\X41", "\\\\\\"])
  func badEscapes(text: String) {
    #expect(ByteString(escaped: text) == nil)
  }

  @Test("hex digits of an escape may be of either case")
  func escapeCase() {
    #expect(ByteString(escaped: "\\xFf\\xfF") == ByteString(bytes: [0xff, 0xff]))
  }

  @Test(
    "a name in a message can neither break a line nor drive a terminal",
    arguments: [
      ("a\nb", "a\\x0ab"),
      ("\u{1b}[2J", "\\x1b[2J"),
      ("a\tb\r", "a\\x09b\\x0d"),
      ("\u{7f}", "\\x7f"),
      ("\u{0}", "\\x00"),
      ("Käse", "Käse"),
      ("a\\b", "a\\\\b"),
      // U+009B is the one-character form of ESC [.
      ("\u{9b}2J", "\\xc2\\x9b2J"),
    ])
  func printable(text: String, expected: String) {
    #expect(ByteString(text).printable == expected)
  }

  @Test("order is that of unsigned bytes")
  func order() {
    let sorted: [ByteString] = ["", "A", "B", "a", "a\u{0}", "aa", "ä", ByteString(bytes: [0xff])]
    #expect(sorted.shuffled().sorted() == sorted)
  }

  @Test("a precomposed and a decomposed letter are different names")
  func normalization() {
    let (composed, decomposed): (ByteString, ByteString) = ("\u{e9}", "e\u{301}")
    #expect(composed != decomposed)
    #expect(composed.escaped.utf8.count == 2 && decomposed.escaped.utf8.count == 3)
  }

  @Test("as a C string it ends with a NUL and throws what its body throws")
  func cString() throws {
    struct Failure: Error {}
    let string = ByteString(bytes: [0x61, 0xff])
    let copy = string.withCString { [UInt8(bitPattern: $0[0]), UInt8(bitPattern: $0[1]), UInt8(bitPattern: $0[2])] }
    #expect(copy == [0x61, 0xff, 0])
    #expect(throws: Failure.self) { try string.withCString { _ throws(Failure) in throw Failure() } }
  }

  @Test(
    "a shell would read back what it is shown",
    arguments: [
      ("", "''"),
      ("src/a-b_c.py", "src/a-b_c.py"),
      ("a b", "'a b'"),
      ("it's", "'it'\\''s'"),
      ("$HOME", "'$HOME'"),
      ("'\u{301}", "''\\''\u{301}'"),
    ])
  func shellQuoting(text: String, expected: String) {
    #expect(Array(ByteString(text).shellQuoted.utf8) == Array(expected.utf8))
  }
}

@Suite("Digests")
struct DigestTests {
  let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1cfdfeff"

  @Test("are written as 64 lower-case hex digits and read from either case")
  func hexadecimal() throws {
    let digest = try #require(Digest(hex: hex))
    #expect(digest.hex == hex)
    #expect(digest.description == hex)
    #expect(digest.short == "000102030405")
    #expect(Digest(hex: hex.uppercased()) == digest)
    #expect(digest.bytes.prefix(3) == [0, 1, 2] && digest.bytes.suffix(3) == [0xfd, 0xfe, 0xff])
    #expect(Digest(bytes: digest.bytes) == digest)
  }

  @Test("other texts are not digests")
  func badHex() {
    for text in ["", String(hex.dropLast()), hex + "0", String(hex.dropLast()) + "g", String(hex.dropLast(2)) + " 0"] {
      #expect(Digest(hex: text) == nil)
    }
    for count in [0, 31, 33] { #expect(Digest(bytes: [UInt8](repeating: 1, count: count)) == nil) }
  }

  @Test("each byte at each place is a digit or refused")
  func eachByte() {
    for place in 0..<64 {
      for byte in UInt8.min...UInt8.max {
        var text = Array(hex.utf8)
        text[place] = byte
        let value = Character(Unicode.Scalar(byte)).hexDigitValue
        let digest = text.withUnsafeBytes { Digest(hexDigits: $0) }
        #expect((digest == nil) == (value == nil || byte > 0x7f))
        guard let digest, let value else { continue }
        let pair = digest.bytes[place / 2]
        #expect(Int(place % 2 == 0 ? pair >> 4 : pair & 15) == value)
        #expect(digest.bytes[(place / 2 + 1) % 32] == Digest(hex: hex)?.bytes[(place / 2 + 1) % 32])
      }
    }
  }

  @Test("sort as their bytes and round-trip, for 1,000 random ones")
  func order() throws {
    var generator = SeededGenerator(seed: 2)
    var digests: [Digest] = []
    for _ in 0..<1000 {
      let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
      let digest = try #require(Digest(bytes: bytes))
      #expect(digest.bytes == bytes)
      #expect(Digest(hex: digest.hex) == digest)
      digests.append(digest)
    }
    #expect(digests.sorted().map(\.hex) == digests.map(\.hex).sorted())
  }
}
