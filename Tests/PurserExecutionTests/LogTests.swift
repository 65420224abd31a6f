import Glibc
import PurserExecution
import PurserModel
import Testing

@Suite(.timeLimit(.minutes(5)))
struct LogTests {
  private func append(_ spool: LogSpool, _ stream: UInt8, _ text: String) throws {
    try Array(text.utf8).withUnsafeBytes { try spool.append(stream: stream, $0) }
  }

  /// The bytes of a log; the format is stored, so it must not change.
  @Test func `The format is a stream, a length and the bytes`() throws {
    let spool = LogSpool(directory: "/tmp")
    #expect(spool.isEmpty)
    try append(spool, 1, "a")
    try append(spool, 1, "b\n")
    try append(spool, 2, "err")
    try append(spool, 1, "")
    #expect(spool.size == 16)
    #expect(!spool.isEmpty)
    spool.withContents { contents in
      guard case .memory(let bytes) = contents else { return #expect(Bool(false), "it is small") }
      #expect(bytes == [1, 3, 0, 0, 0, 97, 98, 10, 2, 3, 0, 0, 0, 101, 114, 114])
    }
  }

  @Test func `A stream that does not exist is refused`() throws {
    let spool = LogSpool(directory: "/tmp")
    #expect(throws: LogFormatError(offset: 0, problem: .unknownStream(3))) { try append(spool, 3, "x") }
    #expect(spool.isEmpty)
  }

  @Test(arguments: [0, 1, 100, 10_000])
  func `Beyond its limit a log goes to a file and stays the same`(limit: Int) throws {
    let spool = LogSpool(directory: "/tmp", memoryLimit: limit)
    var expected = ["", ""]
    for index in 0..<2000 {
      let stream = index % 7 == 0 ? 2 : 1
      try append(spool, UInt8(stream), "line \(index)\n")
      expected[stream - 1] += "line \(index)\n"
    }
    try spool.withContents { contents in
      guard case .file(_, let size) = contents else { return #expect(Bool(false), "it is large") }
      #expect(size == spool.size)
      let decoded = frames(contents)
      for stream in 1...2 {
        let bytes = decoded.filter { Int($0.stream) == stream }.flatMap(\.bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == expected[stream - 1])
      }
      try append(spool, 1, "more")
    }
    #expect(spool.withContents(frames).last == Frame(stream: 1, bytes: Array("more".utf8)))
  }

  @Test(arguments: [0, 1, 100, 1 << 20])
  func `A log can be followed while it grows, whatever its size, and finished from the whole`(limit: Int) async throws {
    try await withTemporaryDirectory { folder in
      let follower = LogFollower(run: 7, directory: folder)
      var spool: LogSpool? = LogSpool(directory: folder, run: 7, memoryLimit: limit)
      var shown: [[UInt8]] = [[], []]
      let take = { (stream: UInt8, bytes: UnsafeRawBufferPointer) in shown[Int(stream) - 1] += bytes }
      follower.follow(take)
      #expect(shown == [[], []])
      var expected: [[UInt8]] = [[], []]
      for index in 0..<500 {
        let stream = index % 7 == 0 ? 2 : 1
        try append(#require(spool), UInt8(stream), "line \(index)\n")
        expected[stream - 1] += Array("line \(index)\n".utf8)
        if index % 5 == 0, index < 400 {
          follower.follow(take)
          #expect(shown == expected)
        }
      }
      let whole = try #require(spool).withContents(frames)
      #expect(whole.filter { $0.stream == 1 }.flatMap(\.bytes) == expected[0])
      try #require(spool).withContents { try follower.finish($0, take) }
      #expect(shown == expected)
      #expect(access("\(folder)/live-7", F_OK) == 0)
      spool = nil
      #expect(access("\(folder)/live-7", F_OK) != 0, "the file is left")
    }
  }

  @Test func `Nothing can be followed where there is no place for it, and the log is whole`() throws {
    let spool = LogSpool(directory: "/no/such/folder", run: 7)
    try append(spool, 1, "text")
    #expect(spool.failure == nil)
    #expect(spool.withContents(frames) == [Frame(stream: 1, bytes: Array("text".utf8))])
  }

  @Test func `A spool that failed is empty, so that a part does not pass for the whole`() throws {
    let spool = LogSpool(directory: "/no/such/folder", memoryLimit: 4)
    try append(spool, 1, "too long")
    #expect(spool.failure == ENOENT)
    #expect(spool.isEmpty)
    try append(spool, 1, "more")
    #expect(spool.isEmpty)
    #expect(spool.withContents(frames).isEmpty)
  }

  /// A spool of lines on both streams, and what is in it.
  private func filled(_ name: String, limit: Int, lines: Int) throws -> (spool: LogSpool, frames: [String]) {
    let spool = LogSpool(directory: "/tmp", memoryLimit: limit)
    var expected: [String] = []
    // So long that it does not take many to fill what is read at a time.
    let filling = String(repeating: "-", count: 250)
    for index in 0..<lines {
      let text = "\(index % 3 == 0 ? 2 : 1): \(name) \(index) \(filling)\n"
      try append(spool, index % 3 == 0 ? 2 : 1, text)
      expected.append(text)
    }
    return (spool, expected)
  }

  /// All that is in a spool in order, and whether each line stands in the stream that it names.
  private func text(_ spool: LogSpool) -> (all: String, isSorted: Bool) {
    let found = spool.withContents(frames)
    let isSorted = found.allSatisfy { frame in
      String(decoding: frame.bytes, as: UTF8.self).split(separator: "\n").allSatisfy {
        $0.hasPrefix("\(frame.stream): ")
      }
    }
    return (String(decoding: found.flatMap(\.bytes), as: UTF8.self), isSorted)
  }

  @Test(
    arguments: [(1 << 20, 1 << 20), (1 << 20, 10), (10, 1 << 20), (10, 10), (2000, 2000)],
    [(0, 3), (3, 0), (3, 1500)])
  func `A spool takes up another one, in memory or in a file`(limits: (Int, Int), lines: (Int, Int)) throws {
    let one = try filled("one", limit: limits.0, lines: lines.0)
    let other = try filled("other", limit: limits.1, lines: lines.1)
    one.spool.append(contentsOf: other.spool)
    #expect(one.spool.failure == nil)
    #expect(text(one.spool) == ((one.frames + other.frames).joined(), true))
    #expect(text(other.spool) == (other.frames.joined(), true), "the other one is as it was")
    // Both go on as spools of their own.
    try append(one.spool, 1, "1: more\n")
    one.spool.append(contentsOf: other.spool)
    #expect(text(one.spool) == ((one.frames + other.frames + ["1: more\n"] + other.frames).joined(), true))
    #expect(one.spool.size == one.spool.withContents { $0.size })
  }

  @Test func `A spool that takes up one that failed has failed`() throws {
    let failed = LogSpool(directory: "/no/such/folder", memoryLimit: 4)
    try append(failed, 1, "too long")
    let spool = try filled("one", limit: 1 << 20, lines: 10).spool
    spool.append(contentsOf: failed)
    #expect(spool.failure == ENOENT)
    #expect(spool.isEmpty)
    // The other one fails only when it is asked for its file.
    let late = LogSpool(directory: "/no/such/folder", memoryLimit: 4)
    let good = try filled("good", limit: 1 << 20, lines: 10).spool
    late.append(contentsOf: good)
    #expect(late.failure == ENOENT)
    #expect(good.failure == nil)
  }

  @Test(
    arguments: [
      ("", 3, 100, ""), ("a\n", 3, 100, "a\n"), ("a\nb\nc\n", 2, 100, "b\nc\n"), ("a\nb\nc", 2, 100, "b\nc"),
      ("a\nb\nc\n", 0, 100, ""), ("a\nb\nc\n", 3, 0, ""), ("a\n\n\n", 2, 100, "\n\n"),
      // Not more bytes than asked for; a line that would be cut is left out, but for the last.
      ("aaa\nbbb\nccc\n", 3, 8, "bbb\nccc\n"), ("aaa\nbbb\nccc\n", 3, 7, "ccc\n"), ("aaa\nbbb\n", 3, 2, "b\n"),
      ("abcdef", 3, 4, "cdef"), ("aaa\nbbb", 3, 3, "bbb"),
    ], [1 << 20, 0])
  func `The tail is the last whole lines`(
    sample: (text: String, lines: Int, bytes: Int, expected: String), memoryLimit: Int
  ) throws {
    let spool = LogSpool(directory: "/tmp", memoryLimit: memoryLimit)
    // Byte by byte over both streams, so that frames and lines have nothing to do with each other.
    for (index, character) in sample.text.enumerated() { try append(spool, index % 2 == 0 ? 1 : 2, "\(character)") }
    #expect(String(decoding: spool.tail(lines: sample.lines, maxBytes: sample.bytes), as: UTF8.self) == sample.expected)
  }

  @Test func `The tail of a long log is found, and a failed one has none`() throws {
    let filled = try filled("line", limit: 1000, lines: 2000)
    #expect(
      String(decoding: filled.spool.tail(lines: 3, maxBytes: 4096), as: UTF8.self) == filled.frames.suffix(3).joined())
    filled.spool.append(contentsOf: .discarding())
    #expect(filled.spool.tail(lines: 3, maxBytes: 4096) == [])
  }

  @Test func `A spool is written to one descriptor in order of arrival`() throws {
    for limit in [1 << 20, 100] {
      let filled = try filled("line", limit: limit, lines: 500)
      let merged = try filled.spool.withContents { try replay($0) { output, _ in (output, output) } }
      #expect(merged.output == filled.frames.joined())
    }
  }

  private static let log: [UInt8] = [1, 2, 0, 0, 0, 97, 10, 2, 1, 0, 0, 0, 98, 1, 1, 0, 0, 0, 99]

  /// Replays to two files, and gives what is in them.
  private func replay(
    _ contents: LogContents, _ choose: (Int32, Int32) -> (Int32, Int32) = { ($0, $1) }
  ) throws -> (output: String, error: String, failure: LogFormatError?) {
    let files = (0..<2).map { _ in open("/tmp", O_RDWR | 0o20200000 | O_CLOEXEC, 0o600) }
    defer { for file in files { close(file) } }
    let targets = choose(files[0], files[1])
    var failure: LogFormatError?
    do {
      try LogReplay.replay(contents, standardOutput: targets.0, standardError: targets.1)
    } catch let error as LogFormatError {
      failure = error
    }
    let texts = files.map { String(decoding: read($0, count: 10_000_000), as: UTF8.self) }
    return (texts[0], texts[1], failure)
  }

  @Test func `A log is replayed to both streams, to one, or merged`() throws {
    let both = try replay(.memory(Self.log))
    #expect(both.output == "a\nc" && both.error == "b" && both.failure == nil)
    let one = try replay(.memory(Self.log)) { output, _ in (output, -1) }
    #expect(one.output == "a\nc" && one.error == "")
    let merged = try replay(.memory(Self.log)) { output, _ in (output, output) }
    #expect(merged.output == "a\nbc")
    #expect(try replay(.memory([])).failure == nil)
  }

  @Test func `A log is replayed from a file, in pieces`() throws {
    let spool = LogSpool(directory: "/tmp", memoryLimit: 10)
    let text = String(repeating: "0123456789", count: 50_000)
    try append(spool, 1, text)
    try append(spool, 2, "end")
    let result = try spool.withContents { try replay($0) }
    #expect(result.output == text)
    #expect(result.error == "end")
  }

  struct Damaged: Sendable {
    var bytes: [UInt8]
    var expected: LogFormatError
    var output: String
    var error: String

    init(_ bytes: [UInt8], _ offset: Int64, _ problem: LogFormatError.Problem, _ output: String, _ error: String) {
      self.bytes = bytes
      expected = LogFormatError(offset: offset, problem: problem)
      (self.output, self.error) = (output, error)
    }
  }

  @Test(arguments: [
    Damaged(Array(log.prefix(18)), 13, .truncated, "a\n", "b"),
    Damaged(Array(log.prefix(16)), 13, .truncated, "a\n", "b"),
    Damaged(log + [0], 19, .truncated, "a\nc", "b"),
    Damaged(log + [0, 0, 0, 0, 0], 19, .unknownStream(0), "a\nc", "b"),
    Damaged([3] + log.dropFirst(), 0, .unknownStream(3), "", ""),
    Damaged([1, 255, 255, 255, 255, 97], 0, .truncated, "", ""),
  ])
  func `Damage is found before any of the damaged frame is written`(damaged: Damaged) throws {
    let result = try replay(.memory(damaged.bytes))
    #expect(result.failure == damaged.expected)
    #expect(result.output == damaged.output)
    #expect(result.error == damaged.error)
  }

  @Test func `Damage is described with its place`() {
    #expect(
      LogFormatError(offset: 13, problem: .truncated).description
        == "captured log is damaged: the frame at byte 13 is longer than what is left of the log; "
        + "run the task again to make a new one")
  }
}
