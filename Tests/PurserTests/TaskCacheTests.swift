import Glibc
import PurserModel
import PurserStore
import Testing

@testable import Purser

@Suite("A task from Swift")
struct TaskCacheTests {
  let workspace = Workspace()
  let clean = Workspace.clean

  @Test("that never ran has to, and is fresh after", .temporaryFolder)
  func life() throws {
    let cache = try workspace.cache()
    try workspace.writeSources()
    #expect(try cache.decide(clean).summary == "run neverRan")
    #expect(workspace.folder.names(in: "store") == [])
    let attempt = try cache.begin(clean, because: [.neverRan])
    #expect(workspace.folder.names(in: "project/build") == [])
    try workspace.write("build/clean.csv", "cleaned")
    let report = try attempt.finish(.success)
    #expect(report.isStored && report.missingOutputs == [] && report.warnings == [])
    for cache in [cache, try workspace.cache()] {
      guard case .fresh(let record) = try cache.decide(clean) else {
        Issue.record("not fresh")
        continue
      }
      #expect(record.key == cache.key("clean") && record.status == .success)
      #expect(record.result?.manifest.entries.map(\.path) == ["build/clean.csv"])
    }
    #expect(try cache.storedSpecification(of: "clean") == clean)
    let run = try #require(try cache.runs(of: "clean", limit: 10).first)
    #expect(run.state == .completed && run.reasons == #"[{"kind":"neverRan"}]"#)
  }

  @Test("names every change of what it is made from", .temporaryFolder)
  func changes() throws {
    let cache = try workspace.cache()
    try workspace.writeSources()
    try workspace.run(clean, cache, writing: ["build/clean.csv": "1"])

    try workspace.write("raw/a.csv", "9,9")
    try workspace.write("raw/c.csv", "new")
    try workspace.remove("raw/b.csv")
    try workspace.write("src/clean.py", "print(1)", mode: 0o755)
    let decision = try cache.decide(clean)
    #expect(decision.summary == "run codeChanged inputsChanged")
    #expect(decision.changes == ["src/clean.py", "raw/a.csv", "raw/b.csv", "raw/c.csv"])
    guard case .inputsChanged(let changes)? = decision.reasons.last else { return }
    #expect(changes.map { $0.was == nil } == [false, false, true])
    #expect(changes.map { $0.now == nil } == [false, true, false])
  }

  @Test("names other declarations too", .temporaryFolder)
  func otherDeclaration() throws {
    let cache = try workspace.cache()
    try workspace.writeSources()
    try workspace.run(clean, cache, writing: ["build/clean.csv": "1"])
    var spec = clean
    spec.arguments = [.init(name: "n", value: "1")]
    spec.command = ["python3", "src/clean.py"]
    spec.outputs.append("build/log.txt")
    spec.workingDirectory = "src"
    let decision = try cache.decide(spec)
    #expect(decision.summary == "run codeChanged")
    #expect(decision.changes == ["argv", "arg n", "working directory", "output build/log.txt"])
  }

  @Test("touching, without a change of content, changes nothing", .temporaryFolder)
  func touched() throws {
    let cache = try workspace.cache()
    try workspace.writeSources()
    try workspace.run(clean, cache, writing: ["build/clean.csv": "1"])
    try workspace.write("raw/a.csv", "1,2")
    try workspace.write("build/clean.csv", "1")
    #expect(try cache.decide(clean).word == "fresh")
  }

  @Test("a changed file in a folder is named itself", .temporaryFolder)
  func folderChanges() throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("t", code: ["src"], inputs: ["raw"], outputs: ["out"])
    try workspace.write("src/lib/a.py", "a")
    try workspace.write("src/b.py", "b")
    try workspace.write("raw/deep/er/c", "c")
    try workspace.run(spec, cache, writing: ["out": "1"])
    try workspace.write("src/lib/a.py", "changed")
    try workspace.write("src/lib/new.py", "n")
    try workspace.remove("raw/deep/er/c")
    #expect(try cache.decide(spec).changes == ["src/lib/a.py", "src/lib/new.py", "raw/deep/er/c"])
  }

  @Test("that failed has to run again, and says so", .temporaryFolder)
  func failure() throws {
    let cache = try workspace.cache()
    try workspace.writeSources()
    let report = try workspace.run(clean, cache, .failure(exitCode: 3))
    #expect(!report.isStored)
    #expect(try cache.decide(clean).summary == "run failed")
    try workspace.write("raw/a.csv", "9")
    #expect(try cache.decide(clean).summary == "run failed inputsChanged")
    let run = try #require(try cache.runs(of: "clean", limit: 1).first)
    #expect(run.exitCode == 3 && run.state == .failed)
    try workspace.run(clean, cache, writing: ["build/clean.csv": "1"])
    #expect(try cache.decide(clean).word == "fresh")
  }

  @Test("a failure after a success keeps no output for fresh", .temporaryFolder)
  func failureAfterSuccess() throws {
    let cache = try workspace.cache()
    try workspace.writeSources()
    try workspace.run(clean, cache, writing: ["build/clean.csv": "1"])
    try workspace.run(clean, cache, writing: ["build/clean.csv": "half"], .failure(exitCode: 1))
    // The result of before still stands under the same key, and puts right what the failure left.
    let decision = try cache.decide(clean)
    #expect(decision.word == "restore" && decision.reasons.contains(.failed))
    try cache.restore(try #require(decision.result), for: clean)
    #expect(workspace.text("build/clean.csv") == "1")
    #expect(try cache.decide(clean).word == "fresh")
  }

  @Test("that was stopped, or whose attempt was dropped, was interrupted", .temporaryFolder, arguments: [true, false])
  func interrupted(isDropped: Bool) throws {
    let cache = try workspace.cache()
    try workspace.writeSources()
    if isDropped {
      _ = try cache.begin(clean, because: [])
    } else {
      try workspace.run(clean, cache, .cancelled(exitCode: 130))
    }
    #expect(try cache.decide(clean).summary == "run interrupted")
    // And nobody waits for it.
    try workspace.run(clean, cache, writing: ["build/clean.csv": "1"])
    #expect(try cache.decide(clean).word == "fresh")
  }

  @Test("that does not make what it declared is a failure, and not stored", .temporaryFolder)
  func missingOutput() throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("t", outputs: ["a", "b", "c/*.x"])
    let report = try workspace.run(spec, cache, writing: ["a": "1"])
    #expect(!report.isStored && report.missingOutputs == ["b"])
    #expect(report.warnings == ["output pattern 'c/*.x' of task 't' matches no file"])
    #expect(try cache.decide(spec).summary == "run failed")
    #expect(try cache.runs(of: "t", limit: 1).first?.errorInfo == #"{"kind":"outputMissing","paths":["b"]}"#)
  }

  @Test("whose input moves while it runs is shown, and not stored", .temporaryFolder, arguments: [false, true])
  func movedInput(isChangedBack: Bool) throws {
    let cache = try workspace.cache()
    try workspace.writeSources()
    let attempt = try cache.begin(clean, because: [])
    try workspace.write("build/clean.csv", "1")
    // Another inode, whatever the clock's granularity.
    try workspace.remove("raw/a.csv")
    try workspace.write("spare", "")
    try workspace.write("raw/a.csv", isChangedBack ? "1,2" : "other")
    let report = try attempt.finish(.success)
    #expect(!report.isStored)
    #expect(report.warnings == ["task 'clean' is not stored: raw/a.csv changed while it ran; run it again"])
    #expect(workspace.text("build/clean.csv") == "1")
    #expect(try cache.decide(clean).word == "run")
  }

  @Test("leftovers of its outputs are removed before it runs, and kept in the store", .temporaryFolder)
  func leftovers() throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("t", outputs: ["out", "dir", "*.gen"])
    try workspace.write("out", "by hand")
    try workspace.write("dir/x/y", "deep")
    try workspace.write("a.gen", "generated")
    try workspace.write("keep.txt", "kept")
    let attempt = try cache.begin(spec, because: [])
    #expect(workspace.folder.files(in: "project") == ["project/keep.txt"])
    let saved = try cache.records.blobs(
      ["by hand", "deep", "generated"].map { sha256($0) })
    #expect(saved.count == 3)
    for content in ["by hand", "deep", "generated"] {
      #expect(try cache.contents.small(sha256(content)) == Array(content.utf8))
    }
    try attempt.finish(.failure(exitCode: 1))
  }

  @Test("outputs that it keeps are left in place", .temporaryFolder)
  func keepsOutputs() throws {
    let cache = try workspace.cache()
    var spec = TaskSpec("t", outputs: ["state"])
    spec.keepsOutputs = true
    try workspace.write("state", "1")
    let attempt = try cache.begin(spec, because: [])
    #expect(workspace.text("state") == "1")
    try workspace.write("state", "2")
    #expect(try attempt.finish(.success).isStored)
    #expect(try cache.decide(spec).word == "fresh")
  }

  @Test("a refused declaration touches nothing", .temporaryFolder)
  func refused() throws {
    let cache = try workspace.cache()
    try workspace.write("raw/a.csv", "precious")
    for outputs: [ByteString] in [["raw"], ["raw/"], ["./raw"], ["x/../raw"]] {
      let spec = TaskSpec("t", inputs: ["raw/a.csv"], outputs: outputs)
      #expect(error { _ = try cache.begin(spec, because: []) }?.code == .refused)
      #expect(error { _ = try cache.decide(spec) }?.code == .refused)
    }
    #expect(workspace.text("raw/a.csv") == "precious")
    #expect(workspace.folder.names(in: "store") == [])
  }

  @Test("an output that holds another task's output is refused while that stands", .temporaryFolder)
  func holdsOthersOutput() throws {
    let cache = try workspace.cache()
    try workspace.run(TaskSpec("inner", outputs: ["build/a"]), cache, writing: ["build/a": "1"])
    let outer = TaskSpec("outer", outputs: ["build"])
    let error = error { _ = try cache.begin(outer, because: []) }
    #expect(
      error
        == PurserError(
          .refused,
          "output 'build' of task 'outer' is refused: it holds 'build/a', an output of task 'inner'; declare the single "
            + "files, or, if that task is gone, run 'purser invalidate inner'"))
    #expect(workspace.text("build/a") == "1")
    try cache.invalidate("inner", why: "gone")
    _ = try cache.begin(outer, because: [])
  }

  @Test("a missing input is an error that says what to do", .temporaryFolder)
  func missingInput() throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("clean", inputs: ["raw/a.csv"])
    let expected = PurserError(
      .missing,
      "input 'raw/a.csv' does not exist (declared by task 'clean'); create it, or remove --input raw/a.csv")
    #expect(error { _ = try cache.decide(spec) } == expected)
    #expect(error { _ = try cache.begin(spec, because: []) } == expected)
    var tool = TaskSpec("clean")
    tool.tools = ["no-such-tool"]
    #expect(
      error { _ = try cache.decide(tool) }
        == PurserError(
          .missing,
          "tool 'no-such-tool' of task 'clean' is not on PATH; install it, or remove --tool no-such-tool"))
  }

  @Test("names that are not UTF-8 work as inputs and outputs", .temporaryFolder)
  func rawNames() throws {
    let cache = try workspace.cache()
    let (input, output) = (ByteString(bytes: [0x69, 0xff]), ByteString(bytes: [0x6f, 0xfe, 0x2f, 0x78]))
    try workspace.write(input, "1")
    let spec = TaskSpec("t\\xff", inputs: [input], outputs: [output])
    try workspace.run(spec, cache, writing: [output: "made"])
    #expect(try workspace.cache().decide(spec).word == "fresh")
    #expect(try workspace.cache().storedSpecification(of: "t\\xff") == spec)
    try workspace.write(input, "2")
    #expect(try cache.decide(spec).changes == ["i\\xff"])
  }

  @Test("a program of the project is code without being declared", .temporaryFolder)
  func program() throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("t", command: ["./bin/run.sh", "x"])
    try workspace.write("bin/run.sh", "#!/bin/sh", mode: 0o755)
    try workspace.run(spec, cache)
    try workspace.write("bin/run.sh", "#!/bin/sh -e", mode: 0o755)
    #expect(try cache.decide(spec).changes == ["bin/run.sh"])
  }
}
