import PurserHashing
import PurserModel
import Testing

@Suite("Action keys")
struct ActionKeyTests {
  static let abc = SHA256.digest(of: Array("abc".utf8))
  static let empty = SHA256.digest(of: [])

  /// A step with one of nearly everything, deliberately not in order.
  static let typical: [Component] = [
    Component(.inputFile, "raw/a.csv", .file(abc, isExecutable: false)),
    Component(.codeFile, "src/clean.py", .file(abc, isExecutable: false)),
    Component(.parameter, "seed", .text("42")),
    Component(.codeFile, "run.sh", .file(empty, isExecutable: true)),
    Component(.argv, "", .list(["python3", "src/clean.py", ""])),
    Component(.environment, "NOPE", .absent),
    Component(.environment, "LANG", .digest(abc)),
    Component(.workingDirectory, "", .text(".")),
    Component(.outputPattern, "build/clean.csv", .text("")),
    Component(.upstreamData, "load", .absent),
    Component(.upstreamOutputs, "load", .digest(empty)),
    Component(.inputPattern, "raw/*.csv", .text("")),
  ]

  /// Action key, then the digests of code, inputs and data, computed with Python's hashlib from the format that is
  /// written in ActionKey.swift, by a program that shares no code with it.
  static let vectors: [(String, [Component], [String])] = [
    (
      "nothing", [],
      [
        "e66b28a860d6bb67e828ce42ce468389d176a6331a025d39282750030a466293",
        "98cb3d56cbed78c5a1dce7568ef52b787a4a54c549073b019b1f3b5180440ca8",
        "31664aa6b1e74ad04b190304f2b14bb8f2ea4a3498ae0a044a35e2264581f73e",
        "ff88a5a90383d63bb11931a6fb342ecb5751c7d78c9b65678e207c8dbea9a183",
      ]
    ),
    (
      "typical", typical,
      [
        "500531008e104e3309d107d36a4c65c44a5a720b16a58c62c3c39d9f6576f149",
        "730ea2c852c44b6a23638a4ef0c13bc2a894da1dbaddd548678bd7402fdcf15d",
        "bbd4b9c9b5d339c9178ce9a37953c2f757a38ad443f3bb517ae0a91e4e846d2f",
        "d9a5d11e7b6a425af28b938a82a188666fb7fbd37aeacc950d5f1ca731284f4d",
      ]
    ),
    (
      "[ab, c]", [Component(.argv, "", .list(["ab", "c"]))],
      [
        "75c18c908ccd3df0c84ddc3b2535a7e8be7da2382d1ec42360b4f77c6b3b4138",
        "105b685cec15893b6e6b229303cb00b4478f264917ff1904cc44c12a2ef722ca",
        "31664aa6b1e74ad04b190304f2b14bb8f2ea4a3498ae0a044a35e2264581f73e",
        "ff88a5a90383d63bb11931a6fb342ecb5751c7d78c9b65678e207c8dbea9a183",
      ]
    ),
    (
      "[a, bc]", [Component(.argv, "", .list(["a", "bc"]))],
      [
        "809501e1e283c92b2a94360a2d3b9ddb3ccc1547148fb2a693a72aef2d6a1a49",
        "72f732263cc560ecd3d882cd026ab2f127924bcea1931496e7d11321997cb4b7",
        "31664aa6b1e74ad04b190304f2b14bb8f2ea4a3498ae0a044a35e2264581f73e",
        "ff88a5a90383d63bb11931a6fb342ecb5751c7d78c9b65678e207c8dbea9a183",
      ]
    ),
    (
      "absent", [Component(.environment, "HOME", .absent)],
      [
        "9344afbe1b9ed12aeeabc289844a87bd190c07185bbf7ec63caab4e64b433900",
        "bae33114105d0660c3e2e22348966ff57bf0a5f09ed2850ae7b7b5172aa0083f",
        "31664aa6b1e74ad04b190304f2b14bb8f2ea4a3498ae0a044a35e2264581f73e",
        "ff88a5a90383d63bb11931a6fb342ecb5751c7d78c9b65678e207c8dbea9a183",
      ]
    ),
    (
      "empty", [Component(.environment, "HOME", .text(""))],
      [
        "1b27616a9071db7272465ddfd2640123eef219b0b29188023d382ab2238a4d95",
        "397eab7afd09b6c7151c42074f64325fe23fe745c0db07220f099fbfb834ce72",
        "31664aa6b1e74ad04b190304f2b14bb8f2ea4a3498ae0a044a35e2264581f73e",
        "ff88a5a90383d63bb11931a6fb342ecb5751c7d78c9b65678e207c8dbea9a183",
      ]
    ),
    (
      "NUL and other raw bytes",
      [Component(.inputFile, ByteString(bytes: [0x61, 0, 0x62, 0xff]), .text(ByteString(bytes: [0])))],
      [
        "bac998d9bfccdfbba019782f27a7c85b52196a970e0db8254ef9ed32ce822f66",
        "98cb3d56cbed78c5a1dce7568ef52b787a4a54c549073b019b1f3b5180440ca8",
        "c765cf0f04878be2cb637d433699841ac6eda0bcdab0b4353e9633baef4485e3",
        "ff88a5a90383d63bb11931a6fb342ecb5751c7d78c9b65678e207c8dbea9a183",
      ]
    ),
  ]

  @Test("keys are those that the written format gives", arguments: vectors.indices)
  func golden(index: Int) {
    let (name, components, expected) = Self.vectors[index]
    let fingerprint = ActionKey.fingerprint(of: components)
    let digests = [fingerprint.actionKey] + Component.Group.allCases.map { fingerprint.digest(of: $0) }
    #expect(digests.map(\.hex) == expected, "\(name)")
  }

  @Test("the order of declaration does not count")
  func order() {
    let expected = ActionKey.fingerprint(of: Self.typical)
    var generator = ActionKeyGenerator(state: 1)
    for _ in 0..<100 {
      #expect(ActionKey.fingerprint(of: Self.typical.shuffled(using: &generator)) == expected)
    }
    #expect(ActionKey.fingerprint(of: expected.components) == expected)
    let names = expected.components.map { ($0.tag.rawValue, $0.name) }
    #expect(zip(names, names.dropFirst()).allSatisfy { $0 < $1 })
  }

  @Test("of two components with one tag and name the later counts")
  func repeated() {
    let (first, second) = (Component(.argument, "a", .text("1")), Component(.argument, "a", .text("2")))
    #expect(ActionKey.fingerprint(of: [first, second]) == ActionKey.fingerprint(of: [second]))
    #expect(ActionKey.fingerprint(of: [second, first]) == ActionKey.fingerprint(of: [first]))
    #expect(ActionKey.fingerprint(of: Self.typical + Self.typical) == ActionKey.fingerprint(of: Self.typical))
  }

  @Test("what is easily taken for the same gives different keys")
  func distinct() {
    let digest = Self.abc
    let sets: [[Component]] = [
      [],
      [Component(.argv, "", .list(["ab", "c"]))],
      [Component(.argv, "", .list(["a", "bc"]))],
      [Component(.argv, "", .list(["abc"]))],
      [Component(.argv, "", .list(["abc", ""]))],
      [Component(.argv, "", .list(["", "abc"]))],
      [Component(.argv, "", .list([]))],
      [Component(.argv, "", .text("abc"))],
      [Component(.argv, "", .list([ByteString(bytes: [0x61, 0, 0x62])]))],
      [Component(.argv, "", .list(["a", "b"]))],
      [Component(.environment, "A", .absent)],
      [Component(.environment, "A", .text(""))],
      [Component(.environment, "A", .list([]))],
      [Component(.environment, "A", .digest(digest))],
      [Component(.environment, "A", .text(ByteString(bytes: digest.bytes)))],
      [Component(.environment, "A", .text(ByteString(digest.hex)))],
      [Component(.environment, "A", .file(digest, isExecutable: false))],
      [Component(.environment, "A", .file(digest, isExecutable: true))],
      [Component(.argument, "A", .text(""))],
      [Component(.parameter, "A", .text(""))],
      [Component(.argument, "A=", .text(""))],
      [Component(.argument, "A", .text("="))],
      [Component(.argument, "a", .text("bc"))],
      [Component(.argument, "ab", .text("c"))],
      [Component(.argument, ByteString(bytes: [0x61, 0]), .text("bc"))],
      [Component(.argument, "\u{e9}", .text(""))],
      [Component(.argument, "e\u{301}", .text(""))],
      [Component(.argument, ByteString(bytes: [0xe9]), .text(""))],
      // Two outputs swap their contents.
      [Component(.inputFile, "a", .digest(Self.abc)), Component(.inputFile, "b", .digest(Self.empty))],
      [Component(.inputFile, "a", .digest(Self.empty)), Component(.inputFile, "b", .digest(Self.abc))],
      [Component(.codeFile, "a", .digest(Self.abc)), Component(.inputFile, "b", .digest(Self.empty))],
    ]
    #expect(Set(sets.map { ActionKey.fingerprint(of: $0).actionKey }).count == sets.count)
  }

  @Test("any change of tag, name or value, any addition and any removal changes the key: 10,000 random ones")
  func mutations() throws {
    let original = ActionKey.fingerprint(of: Self.typical)
    var generator = ActionKeyGenerator(state: 2)
    var keys: [Digest: [Component]] = [original.actionKey: original.components]
    var count = 0
    while count < 10_000 {
      let fingerprint = ActionKey.fingerprint(of: try generator.mutate(original.components))
      guard fingerprint.components != original.components else { continue }
      count += 1
      #expect(fingerprint.actionKey != original.actionKey)
      let changed = Component.Group.allCases.filter { fingerprint.digest(of: $0) != original.digest(of: $0) }
      let expected = Set(Change.between(original.components, fingerprint.components).map(\.tag.group))
      #expect(Set(changed) == expected)
      let earlier = keys.updateValue(fingerprint.components, forKey: fingerprint.actionKey)
      #expect(earlier == nil || earlier == fingerprint.components)
    }
  }
}

/// SplitMix64, and small changes to components made with it.
private struct ActionKeyGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  mutating func mutate(_ components: [Component]) throws -> [Component] {
    var components = components
    let index = Int.random(in: components.indices, using: &self)
    switch Int.random(in: 0...5, using: &self) {
    case 0: components.remove(at: index)
    case 1: components.append(Component(try tag(), name(like: ""), try value(like: .absent)))
    case 2: components[index].tag = try tag()
    case 3: components[index].name = name(like: components[index].name)
    default: components[index].value = try value(like: components[index].value)
    }
    return components
  }

  private mutating func tag() throws -> Component.Tag {
    try #require(Component.Tag.allCases.randomElement(using: &self))
  }

  /// A byte flipped, removed or inserted.
  private mutating func name(like name: ByteString) -> ByteString {
    var bytes = name.bytes
    let byte = UInt8.random(in: 0...255, using: &self)
    switch Int.random(in: 0...2, using: &self) {
    case 0 where !bytes.isEmpty: bytes[Int.random(in: bytes.indices, using: &self)] ^= max(1, byte)
    case 1 where !bytes.isEmpty: bytes.remove(at: Int.random(in: bytes.indices, using: &self))
    default: bytes.insert(byte, at: Int.random(in: 0...bytes.count, using: &self))
    }
    return ByteString(bytes: bytes)
  }

  private mutating func value(like value: Component.Value) throws -> Component.Value {
    func flipped(_ digest: Digest) throws -> Digest {
      var bytes = digest.bytes
      bytes[Int.random(in: 0..<32, using: &self)] ^= 1 << UInt8.random(in: 0..<8, using: &self)
      return try #require(Digest(bytes: bytes))
    }
    switch value {
    case .absent: return Bool.random(using: &self) ? .text("") : .list([])
    case .text(let text): return .text(name(like: text))
    case .file(let digest, let isExecutable):
      return Bool.random(using: &self)
        ? .file(digest, isExecutable: !isExecutable) : .file(try flipped(digest), isExecutable: isExecutable)
    case .digest(let digest): return .digest(try flipped(digest))
    case .list(var items):
      let index = Int.random(in: items.indices, using: &self)
      if Bool.random(using: &self), index + 1 < items.count {
        items[index] = items[index] + items.remove(at: index + 1)
      } else {
        items[index] = name(like: items[index])
      }
      return .list(items)
    }
  }
}
