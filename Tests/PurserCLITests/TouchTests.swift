import Glibc
import PurserModel
import Testing

/// A file that was touched is looked at once more, and not run for.
@Suite(.project)
struct TouchTests {
  let project = TestProject.current

  @Test(arguments: ["touch in", "cp in copy && mv copy in", "touch -d 2001-01-01 in", "cp in copy && cp copy in"])
  func `A file that is touched and not changed is hashed again but not run for`(_ change: String) throws {
    try project.script("step.sh", "cat in > out")
    try project.write("in", "content")
    let arguments: [ByteString] = ["exec", "--task", "step", "--input", "in", "--output", "out", "--", "./step.sh"]
    let isKnown = { () throws -> Bool in
      try OpenWatch.opened(project("in")) {
        let outcome = try project.purser(arguments)
        #expect(outcome.code == 0)
      } == 0
    }
    let isKnownAtOnce = try isKnown()
    #expect(!isKnownAtOnce)
    // What was written a moment ago is hashed until the clock has ticked past it.
    let isKnownThen = try hasComeTrue(state: isKnown)
    #expect(isKnownThen)

    try project.shell(change)
    let opened = try OpenWatch.opened(project("in")) {
      let check = try project.purser("check", "step")
      #expect(check.code == 0)
      #expect(check.outputText == "step: fresh\n")
    }
    #expect(opened > 0)
    let isKnownAgain = try hasComeTrue(state: isKnown)
    #expect(isKnownAgain)
    #expect(try project.text("out") == "content")
    #expect(project.executions() == 1)
  }

  @Test func `A change that keeps size and time is found`() throws {
    try project.script("step.sh", "cat in > out")
    try project.write("in", "one")
    let arguments: [ByteString] = ["exec", "--task", "step", "--input", "in", "--output", "out", "--", "./step.sh"]
    try project.purser(arguments)
    for (index, content) in ["two", "six", "ten"].enumerated() {
      try project.shell("cp -p in reference; printf \(content) > in; touch -r reference in")
      #expect(try project.purser(arguments).code == 0)
      #expect(try project.text("out") == content)
      #expect(project.executions() == index + 2)
    }
  }

  @Test func `A lost stat cache costs hashing and nothing else`() throws {
    try project.script("step.sh", "cat in > out")
    try project.write("in", "content")
    let arguments: [ByteString] = ["exec", "--task", "step", "--input", "in", "--output", "out", "--", "./step.sh"]
    try project.purser(arguments)
    for content in [nil, "", "garbage", String(repeating: "x", count: 5000)] {
      if let content {
        try project.write(".purser/stat-cache", content)
      } else {
        try project.remove(".purser/stat-cache")
      }
      let outcome = try project.purser(arguments)
      #expect(outcome.code == 0)
      #expect(outcome.error.isEmpty)
    }
    #expect(project.executions() == 1)
  }
}

/// Counts how often a file is opened.
enum OpenWatch {
  static func opened(_ path: ByteString, during body: () throws -> Void) throws -> Int {
    let descriptor = inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK))
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    try #require(path.withCString { inotify_add_watch(descriptor, $0, UInt32(IN_OPEN)) } >= 0)
    try body()
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let count = read(descriptor, &buffer, buffer.count)
    // An event for a file itself has no name behind it.
    return max(0, count) / MemoryLayout<inotify_event>.size
  }
}
