import PurserModel
import Testing

@Suite("Components and changes")
struct FingerprintTests {
  static let digest = Digest(bytes: Array(0..<32))

  static func file(_ byte: UInt8) throws -> Component.Value {
    .file(try #require(Digest(bytes: [UInt8](repeating: byte, count: 32))), isExecutable: false)
  }

  @Test("every tag belongs to the group that its high half says, and keeps its number")
  func tags() {
    let numbers: [Component.Group: [UInt8]] = [
      .code: Array(0x10...0x1f), .inputs: Array(0x20...0x27), .data: [0x30, 0x31],
    ]
    for (group, expected) in numbers {
      #expect(Component.Tag.allCases.filter { $0.group == group }.map(\.rawValue).sorted() == expected)
    }
    #expect(Component.Group.allCases.map(\.rawValue) == [1, 2, 3])
    #expect(Component.Group.allCases.map(\.description) == ["code", "inputs", "data"])
  }

  @Test("values have the documented bytes")
  func golden() throws {
    let digest = try #require(Self.digest)
    let table: [(Component.Value, [UInt8])] = [
      (.absent, [0]),
      (.text(""), [1]),
      (.text(ByteString(bytes: [0xff, 0])), [1, 0xff, 0]),
      (.file(digest, isExecutable: false), [2] + digest.bytes),
      (.file(digest, isExecutable: true), [3] + digest.bytes),
      (.digest(digest), [4] + digest.bytes),
      (.list([]), [5]),
      (.list([""]), [5, 0, 0, 0, 0, 0, 0, 0, 0]),
      (
        .list(["ab", "c"]),
        [5, 2, 0, 0, 0, 0, 0, 0, 0, 0x61, 0x62, 1, 0, 0, 0, 0, 0, 0, 0, 0x63]
      ),
    ]
    for (value, bytes) in table {
      #expect(value.encoded == bytes)
      #expect(Component.Value(encoded: bytes) == value)
    }
  }

  @Test("random values are read back, and damaged bytes are never read as the same value nor crash")
  func coding() throws {
    var generator = SeededGenerator(seed: 6)
    for _ in 0..<2000 {
      let value = try Self.value(&generator)
      let bytes = value.encoded
      #expect(Component.Value(encoded: bytes) == value)
      for length in 0..<bytes.count { #expect(Component.Value(encoded: Array(bytes.prefix(length))) != value) }
      for index in bytes.indices {
        var damaged = bytes
        damaged[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        #expect(Component.Value(encoded: damaged) != value)
      }
    }
  }

  @Test(
    "bytes that no value has are refused",
    arguments: [
      [], [6], [0xff], [0, 0], [2], [2] + [UInt8](repeating: 0, count: 31), [4] + [UInt8](repeating: 0, count: 33),
      [5, 1], [5, 1, 0, 0, 0, 0, 0, 0, 0], [5] + [UInt8](repeating: 0xff, count: 8) + [1],
    ] as [[UInt8]])
  func refused(bytes: [UInt8]) {
    #expect(Component.Value(encoded: bytes) == nil)
  }

  @Test("values are shown in full and in short")
  func text() throws {
    let digest = try #require(Self.digest)
    #expect(Component.Value.absent.text == nil && Component.Value.absent.short == "absent")
    #expect(Component.Value.text("a\nb").text == "a\nb" && Component.Value.text("a\nb").short == "a\\x0ab")
    #expect(Component.Value.file(digest, isExecutable: true).text == digest.hex + " executable")
    #expect(Component.Value.file(digest, isExecutable: true).short == "000102030405 (executable)")
    #expect(Component.Value.digest(digest).text == digest.hex)
    #expect(Component.Value.list(["echo", "a b", ""]).text == "echo 'a b' ''")
  }

  @Test("components are labelled as people call them")
  func labels() {
    let table: [(Component.Tag, String)] = [
      (.codeFile, "x"), (.inputTree, "x"), (.inputLink, "link x"), (.codePattern, "pattern x"), (.argv, "argv"),
      (.environment, "env x"), (.toolFile, "tool x"), (.toolPath, "tool x path"), (.outputPattern, "output x"),
      (.workingDirectory, "working directory"), (.standardInput, "standard input"),
      (.upstreamOutputs, "outputs of x"), (.upstreamData, "data of x"), (.parameter, "parameter x"), (.form, "x"),
      (.form, "x"),
    ]
    for (tag, label) in table { #expect(Component(tag, "x", .absent).label == label) }
  }

  /// Old and new as `name+value` letters, and what should differ.
  @Test(
    "what differs between two fingerprints is named",
    arguments: [
      ("", "", ""),
      ("a1 b1", "a1 b1", ""),
      ("", "a1 b1", "+a1 +b1"),
      ("a1 b1", "", "-a1 -b1"),
      ("a1", "a2", "a1>2"),
      ("a1 c1", "b1 d1", "-a1 +b1 -c1 +d1"),
      ("b1 d1", "a1 c1", "+a1 -b1 +c1 -d1"),
      ("a1 b1 c1", "b2 c1 d1", "-a1 b1>2 +d1"),
      ("b1 c1", "a1 b1 c2", "+a1 c1>2"),
      ("a1", "a1 b1 c1", "+b1 +c1"),
      ("a1 b1 c1", "c1", "-a1 -b1"),
      ("c1", "a1 b1 c1", "+a1 +b1"),
      ("a1 b1 c1", "a1", "-b1 -c1"),
    ])
  func between(old: String, new: String, expected: String) throws {
    let changes = Change.between(try Self.components(old), try Self.components(new))
    #expect(changes.map(Self.text).joined(separator: " ") == expected)
    let back = Change.between(try Self.components(new), try Self.components(old))
    #expect(back.map { Change(tag: $0.tag, name: $0.name, was: $0.now, now: $0.was) } == changes)
  }

  @Test("one name under two tags is two components, sorted by tag first")
  func tagsBeforeNames() {
    let old = [Component(.codeFile, "z", .absent), Component(.inputFile, "a", .absent)]
    let new = [
      Component(.codeFile, "z", .text("")), Component(.argv, "a", .absent), Component(.inputFile, "b", .absent),
    ]
    #expect(
      Change.between(old, new) == [
        Change(tag: .codeFile, name: "z", was: .absent, now: .text("")),
        Change(tag: .argv, name: "a", was: nil, now: .absent),
        Change(tag: .inputFile, name: "a", was: .absent, now: nil),
        Change(tag: .inputFile, name: "b", was: nil, now: .absent),
      ])
  }

  @Test("for 1,000 random pairs, applying the changes to the old gives the new")
  func randomChanges() throws {
    var generator = SeededGenerator(seed: 7)
    func side() throws -> [ByteString: Component.Value] {
      var values: [ByteString: Component.Value] = [:]
      for name in "abcdefgh" where Bool.random(using: &generator) {
        values[ByteString(String(name))] = try Self.file(UInt8.random(in: 0...1, using: &generator))
      }
      return values
    }
    func list(_ values: [ByteString: Component.Value]) -> [Component] {
      values.map { Component(.inputFile, $0.key, $0.value) }.sorted { $0.name < $1.name }
    }
    for _ in 0..<1000 {
      let (old, new) = (try side(), try side())
      var patched = old
      for change in Change.between(list(old), list(new)) {
        #expect(change.was == old[change.name] && change.was != change.now)
        patched[change.name] = change.now
      }
      #expect(patched == new)
    }
  }

  private static func value(_ generator: inout SeededGenerator) throws -> Component.Value {
    let digest = try #require(Digest(bytes: (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }))
    switch Int.random(in: 0...4, using: &generator) {
    case 0: return .absent
    case 1: return .text(ByteString(bytes: generator.bytes(upTo: 20)))
    case 2: return .file(digest, isExecutable: Bool.random(using: &generator))
    case 3: return .digest(digest)
    default:
      var items: [ByteString] = []
      for _ in 0..<Int.random(in: 0...4, using: &generator) {
        items.append(ByteString(bytes: generator.bytes(upTo: 6)))
      }
      return .list(items)
    }
  }

  private static func components(_ text: String) throws -> [Component] {
    try text.split(separator: " ").map { word in
      Component(.inputFile, ByteString(word.prefix(1)), try file(try #require(UInt8(word.suffix(1)))))
    }
  }

  private static func text(_ change: Change) -> String {
    func letter(_ value: Component.Value?) -> String {
      guard case .file(let digest, _)? = value, let byte = digest.bytes.first else { return "?" }
      return String(byte)
    }
    return switch (change.was, change.now) {
    case (nil, let now): "+\(change.name)\(letter(now))"
    case (let was, nil): "-\(change.name)\(letter(was))"
    case (let was, let now): "\(change.name)\(letter(was))>\(letter(now))"
    }
  }
}

@Suite("Reasons")
struct ReasonTests {
  @Test("are kinds and evidence in JSON, and one line in a message")
  func forms() {
    let change = Change(tag: .argv, name: "", was: .list(["a"]), now: .list(["b c"]))
    let added = Change(tag: .inputFile, name: "raw/\u{1b}.csv", was: nil, now: .text("x"))
    let mark = Invalidation(at: "2026-11-21T00:00:00.000000Z", by: "me@here", why: "new sensor")
    let table: [(Reason, String, String)] = [
      (.neverRan, #"{"kind":"neverRan"}"#, "never ran"),
      (.forced, #"{"kind":"forced"}"#, "forced"),
      (.failed, #"{"kind":"failed"}"#, "failed last time"),
      (.interrupted, #"{"kind":"interrupted"}"#, "was interrupted"),
      (
        .invalidated(mark),
        #"{"kind":"invalidated","at":"2026-11-21T00:00:00.000000Z","by":"me@here","why":"new sensor"}"#,
        "invalidated (new sensor)"
      ),
      (.incomplete(done: 2, total: 5), #"{"kind":"incomplete","done":2,"total":5}"#, "incomplete, 2 of 5 done"),
      (
        .codeChanged([change]),
        #"{"kind":"codeChanged","changes":[{"group":"code","name":"argv","was":"a","is":"'b c'"}]}"#,
        "code changed: argv"
      ),
      (
        .inputsChanged([added]),
        #"{"kind":"inputsChanged","changes":[{"group":"inputs","name":"raw/\u001b.csv","was":null,"is":"x"}]}"#,
        "inputs changed: raw/\\x1b.csv"
      ),
      (.dataChanged([]), #"{"kind":"dataChanged","changes":[]}"#, "data changed: "),
      (.upstreamPending(["a", "b"]), #"{"kind":"upstreamPending","tasks":["a","b"]}"#, "upstream not done: a, b"),
      (
        .outputMissing(["1", "2", "3", "4", "5"]), #"{"kind":"outputMissing","paths":["1","2","3","4","5"]}"#,
        "output missing: 1, 2, 3 and 2 more"
      ),
      (
        .outputModified([ByteString(bytes: [0xff])]), #"{"kind":"outputModified","paths":["\\xff"]}"#,
        "output modified: \\xff"
      ),
      (
        .refuted([Change(tag: .tracedFile, name: "a b", was: .text("x"), now: .absent)]),
        #"{"kind":"refuted","changes":[{"group":"inputs","name":"a b","was":"x","is":null}]}"#,
        "refuted, an undeclared file that it read has changed: a b; declare it: --input 'a b'"
      ),
    ]
    for (reason, json, summary) in table {
      #expect(reason.json.serialized == json)
      #expect(reason.summary == summary)
      #expect(reason.json["kind"]?.string == reason.kind)
    }
  }
}
