import Glibc
import PurserModel
import Testing

/// The package in `fixtures/swift-runner`: a runner of its own, built on the library, whose records the tool sees.
@Suite(.project, .serialized)
struct SwiftRunnerTests {
  private static let root = ByteString(#filePath).folder.folder.folder
  private static let fixture = root + "/fixtures/swift-runner"

  /// The program, built once; what stands in its way where that failed.
  private static let program: Result<ByteString, BuildError> = {
    let scratch = root + "/.build/swift-runner"
    let path = scratch + "/debug/runner"
    do {
      // Not by system(3), which makes this whole process ignore SIGINT meanwhile: other tests send it.
      let build = try TestProject.current.shell(
        "PATH=\"$SEARCH\" exec swift build --package-path '\(fixture.escaped)' --scratch-path '\(scratch.escaped)' 2>&1",
        environment: [
          "SEARCH": ByteString(String(cString: getenv("PATH"))), "HOME": ByteString(String(cString: getenv("HOME"))),
        ])
      return build.code == 0 ? .success(path) : .failure(BuildError(log: build.outputText))
    } catch {
      return .failure(BuildError(log: "\(error)"))
    }
  }()

  private struct BuildError: Error {
    var log: String
  }

  private let project = TestProject.current

  private static func text(_ path: ByteString) -> String {
    guard let file = path.withCString({ fopen($0, "r") }) else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    while case let byte = getc(file), byte != EOF { bytes.append(UInt8(byte)) }
    return String(decoding: bytes, as: UTF8.self)
  }

  private func prepare() throws {
    for (name, values) in [("hill", "3.5\n4.0\n2.5\n"), ("lake", "8.0\n7.5\n9.5\n"), ("moor", "5.0\n6.0\n4.0\n")] {
      try project.write(ByteString("raw/\(name).txt"), values)
    }
  }

  private func runner(_ words: String = "") throws -> Outcome {
    try project.shell("'\(Self.program.get().escaped)' \(words)")
  }

  /// How each task ended.
  private func endings(_ outcome: Outcome) -> [String: String] {
    let words: Set<Substring> = ["fresh", "restored", "ran"]
    return outcome.outputText.split(separator: "\n").reduce(into: [:]) { endings, line in
      let parts = line.split(separator: " ")
      guard parts.count == 2, let name = parts.first?.dropLast(), words.contains(parts[1]) else { return }
      endings[String(name)] = String(parts[1])
    }
  }

  private func purser(_ arguments: ByteString...) throws -> Outcome {
    try project.purser(arguments + ["--pipeline", "weather"])
  }

  private func states() throws -> [String: String] {
    let tasks = try purser("status", "--json").json()["tasks"]?.array ?? []
    return tasks.reduce(into: [:]) { $0[$1["task"]?.string ?? ""] = $1["state"]?.string }
  }

  private func all(_ word: String) -> [String: String] {
    ["stations": word, "sort": word, "summarise": word, "report": word]
  }

  @Test func `The runner and the tool see each other's records`() throws {
    try prepare()
    #expect(try endings(runner()) == all("ran"))
    #expect(try project.text("build/report.md").split(separator: "\n").last == "- moor: 5.0 degrees, 3 readings")
    #expect(try states() == all("fresh"))
    #expect(try purser("check", "stations", "sort", "summarise", "report").code == 0)
    #expect(try purser("log", "summarise").outputText.split(separator: "\n").sorted().first == "hill: 3 readings")
    #expect(try purser("data", "get", "stations").outputText == #"["hill","lake","moor"]"# + "\n")
    let items = try purser("subtasks", "summarise", "--json").outputText
    #expect(items.components(of: #""key":"hill""#) == 1)
    #expect(try endings(runner()) == all("fresh"))

    #expect(try purser("invalidate", "summarise", "--downstream").code == 0)
    #expect(
      try runner("plan").outputText
        == "stations: fresh\nsort: fresh\nsummarise: invalidated\nreport: invalidated; upstream not done: summarise\n")
    #expect(
      try endings(runner()) == ["stations": "fresh", "sort": "fresh", "summarise": "ran", "report": "ran"])
    #expect(try runner("invalidate sort").code == 0)
    #expect(try states() == all("fresh").merging(["sort": "stale"]) { $1 })
    #expect(try purser("explain", "sort").outputText.contains("asked for"))
    #expect(try runner("sort").code == 0)

    try project.write("raw/lake.txt", "1.0\n")
    let causes = try purser("explain", "report", "--json").json()["rootCauses"]?.array ?? []
    #expect(causes.contains { $0["task"]?.string == "summarise" })
    #expect(try endings(runner()) == all("ran"))
    try project.requireSoundRecords()
  }

  @Test func `A runner that is killed goes on where it stopped`() throws {
    try prepare()
    #expect(try runner("stations").code == 0)
    try project.write("raw/none.txt", "no number\n")
    let failed = try runner()
    #expect(failed.code == 1)
    #expect(failed.outputText.contains("summarise: failed: item 'none': station 'none' has no readings\n"))
    try project.write("raw/none.txt", "1\n")
    // Killed at any moment: what it recorded stands, and the next run ends well.
    for delay in ["0.001", "0.01", "0.03"] {
      try project.shell(
        "'\(Self.program.get().escaped)' >/dev/null & sleep \(delay); kill -9 $! 2>/dev/null; wait; true")
    }
    let outcome = try runner()
    #expect(outcome.code == 0, "\(outcome.outputText)\(outcome.errorText)")
    #expect(try states() == all("fresh"))
    try project.requireSoundRecords()
  }

  @Test func `What the tutorial shows is what is built here`() throws {
    let page = Self.text(Self.root + "/Sources/Purser/Purser.docc/WritingARunner.md")
    let sources = try ["Package.swift", "Sources/runner/Weather.swift", "Sources/runner/Runner.swift"].map { name in
      let text = Self.text(Self.fixture + "/" + ByteString(name))
      try #require(!text.isEmpty)
      return text
    }
    let parts = page.split(separator: "```swift\n", omittingEmptySubsequences: false).dropFirst()
    let blocks = parts.compactMap { $0.split(separator: "```", maxSplits: 1).first }
    #expect(blocks.count == 8)
    for block in blocks {
      #expect(sources.contains { $0.contains(block) }, "not in the fixture: \(block)")
    }
  }
}

extension String {
  /// How often a text stands in this one.
  fileprivate func components(of text: String) -> Int {
    split(separator: text, omittingEmptySubsequences: false).count - 1
  }
}
