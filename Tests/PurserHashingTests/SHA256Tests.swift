import PurserHashing
import PurserModel
import Testing

@Suite("SHA-256 and HMAC")
struct SHA256Tests {
  /// FIPS 180-4 examples and NIST's long message.
  @Test(
    "digests are those of the standard",
    arguments: [
      ("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
      ("a", 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ])
  func vectors(piece: String, count: Int, hex: String) {
    let message = Array(repeatElement(Array(piece.utf8), count: count).joined())
    #expect(SHA256.digest(of: message).hex == hex)
    var hash = SHA256()
    for _ in 0..<count { hash.update(ByteString(piece)) }
    #expect(hash.finalize().hex == hex)
  }

  @Test("one instance hashes message after message")
  func reuse() {
    var hash = SHA256()
    hash.update(Array("x".utf8))
    _ = hash.finalize()
    hash.update(Array("abc".utf8))
    #expect(hash.finalize() == SHA256.digest(of: Array("abc".utf8)))
    #expect(hash.finalize() == SHA256.digest(of: []))
  }

  @Test("integers are little-endian and of fixed length")
  func integers() {
    var hash = SHA256()
    hash.update(littleEndian: 0x0102_0304_0506_0708)
    hash.update(byte: 9)
    #expect(hash.finalize() == SHA256.digest(of: [8, 7, 6, 5, 4, 3, 2, 1, 9]))
  }

  /// RFC 4231, test cases 1 to 4, 6 and 7 (5 is a truncated digest).
  @Test(
    "keyed digests are those of RFC 4231",
    arguments: [
      (
        [UInt8](repeating: 0x0b, count: 20), Array("Hi There".utf8),
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
      ),
      (
        Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
      ),
      (
        [UInt8](repeating: 0xaa, count: 20), [UInt8](repeating: 0xdd, count: 50),
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
      ),
      (
        Array(1...25), [UInt8](repeating: 0xcd, count: 50),
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
      ),
      (
        [UInt8](repeating: 0xaa, count: 131), Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
      ),
      (
        [UInt8](repeating: 0xaa, count: 131),
        Array(
          ("This is a test using a larger than block-size key and a larger than block-size data. "
            + "The key needs to be hashed before being used by the HMAC algorithm.").utf8),
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
      ),
    ] as [([UInt8], [UInt8], String)])
  func keyed(key: [UInt8], message: [UInt8], hex: String) {
    #expect(HMAC.sha256(key: key, message: message).hex == hex)
  }
}
