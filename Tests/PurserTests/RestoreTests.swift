import Glibc
import PurserHashing
import PurserModel
import PurserStore
import Testing

@testable import Purser

@Suite("Putting results back")
struct RestoreTests {
  let workspace = Workspace()
  let clean = Workspace.clean

  @Test("what was made from these inputs before is put back without running", .temporaryFolder)
  func restore() throws {
    let cache = try workspace.cache()
    try workspace.writeSources()
    try workspace.run(clean, cache, writing: ["build/clean.csv": "first"])
    try workspace.write("raw/a.csv", "other")
    try workspace.run(clean, cache, writing: ["build/clean.csv": "second"])
    try workspace.write("raw/a.csv", "1,2")
    let decision = try cache.decide(clean)
    #expect(decision.summary == "restore inputsChanged")
    try cache.restore(try #require(decision.result), for: clean)
    #expect(workspace.text("build/clean.csv") == "first")
    #expect(try cache.decide(clean).word == "fresh")
    #expect(try cache.runs(of: "clean", limit: 1).first?.kind == "restore")
  }

  @Test("on another storage key and pipeline too", .temporaryFolder)
  func otherKeys() throws {
    try workspace.writeSources()
    try workspace.run(clean, try workspace.cache(), writing: ["build/clean.csv": "1"])
    try workspace.remove("build/clean.csv")
    var other = clean
    other.id = "other"
    for (cache, spec) in [
      (try workspace.cache(on: "feature"), clean), (try workspace.cache(pipeline: "other"), clean),
      (try workspace.cache(on: "third"), other),
    ] {
      let decision = try cache.decide(spec)
      #expect(decision.summary == "restore neverRan")
      try cache.restore(try #require(decision.result), for: spec)
      #expect(workspace.text("build/clean.csv") == "1")
      #expect(try cache.decide(spec).word == "fresh")
    }
  }

  @Test("outputs that are gone or edited by hand are repaired, and the edit is kept", .temporaryFolder)
  func repair() throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("t", outputs: ["a", "b"])
    try workspace.run(spec, cache, writing: ["a": "1", "b": "2"])
    try workspace.remove("a")
    try workspace.write("b", "edited by hand")
    let decision = try cache.decide(spec)
    #expect(decision.reasons == [.outputMissing(["a"]), .outputModified(["b"])])
    try cache.restore(try #require(decision.result), for: spec)
    #expect(workspace.text("a") == "1" && workspace.text("b") == "2")
    #expect(try cache.contents.small(sha256("edited by hand")) == Array("edited by hand".utf8))
  }

  @Test("a folder comes back exactly: modes, links, empty folders, nothing extra", .temporaryFolder)
  func folder() throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("t", outputs: ["out", "pages/*.html"])
    let attempt = try cache.begin(spec, because: [])
    try workspace.write("out/run.sh", "#!/bin/sh", mode: 0o755)
    try workspace.write("out/secret", "s", mode: 0o600)
    try workspace.write("out/deep/er/x", String(repeating: "large ", count: 10_000))
    try workspace.folder.makeFolder("project/out/empty")
    try workspace.folder.link("project/out/link", to: "deep/er/x")
    try workspace.folder.link("project/out/dangling", to: "/nowhere")
    try workspace.write("pages/a.html", "a")
    #expect(try attempt.finish(.success).isStored)
    #expect(try cache.decide(spec).word == "fresh")
    let manifest = try cache.scan(spec).manifest

    try workspace.remove("out/link")
    try workspace.write("out/link/now/a/folder", "x")
    try workspace.remove("out/deep/er/x")
    try workspace.write("out/secret", "s", mode: 0o644)
    try workspace.write("out/extra/file", "x")
    try workspace.write("pages/b.html", "extra")
    try workspace.write("pages/b.txt", "not an output")
    let decision = try cache.decide(spec)
    #expect(decision.summary == "restore outputMissing outputModified")
    try cache.restore(try #require(decision.result), for: spec)
    #expect(try cache.scan(spec).manifest == manifest)
    #expect(workspace.text("pages/b.txt") == "not an output")
    #expect(workspace.folder.mode("project/out/run.sh") == S_IFREG | 0o755)
    #expect(workspace.folder.names(in: "project/out/empty") == [])
  }

  @Test("a folder without permission to write is filled nevertheless", .temporaryFolder)
  func readOnlyFolder() throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("t", outputs: ["out"])
    let attempt = try cache.begin(spec, because: [])
    try workspace.write("out/a", "1", mode: 0o444)
    try #require(workspace.folder("project/out").withCString { chmod($0, 0o555) } == 0)
    #expect(try attempt.finish(.success).isStored)
    let manifest = try cache.scan(spec).manifest
    try #require(workspace.folder("project/out").withCString { chmod($0, 0o755) } == 0)
    try workspace.remove("out/a")
    try workspace.remove("out")
    try cache.restore(try #require(try cache.decide(spec).result), for: spec)
    #expect(try cache.scan(spec).manifest == manifest)
    try #require(workspace.folder("project/out").withCString { chmod($0, 0o755) } == 0)
  }

  @Test("without outputs it stays where it was made, unless it is pure", .temporaryFolder)
  func sideEffects() throws {
    var spec = TaskSpec("load", inputs: ["a"])
    try workspace.write("a", "1")
    let cache = try workspace.cache()
    try workspace.run(spec, cache)
    #expect(try workspace.cache(on: "feature").decide(spec).summary == "run neverRan")
    #expect(try workspace.cache(pipeline: "other").decide(spec).summary == "run neverRan")
    try workspace.write("a", "2")
    try workspace.run(spec, cache)
    try workspace.write("a", "1")
    // What the second run did elsewhere has taken the place of what the first did.
    #expect(try cache.decide(spec).word == "run")
    spec.isPure = true
    #expect(try workspace.cache(on: "feature").decide(spec).word == "restore")
  }

  @Test("nothing is ever written through a symbolic link", .temporaryFolder)
  func links() throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("t", outputs: ["out/a"])
    try workspace.run(spec, cache, writing: ["out/a": "1"])
    try workspace.remove("out/a")
    try workspace.remove("out")
    try workspace.folder.makeFolder("elsewhere")
    try workspace.folder.link("project/out", to: "../elsewhere")
    let result = try #require(
      try cache.records.records(for: [cache.key("t")])[0]?.result)
    #expect(error { try cache.restore(result, for: spec) }?.code == .refused)
    #expect(error { _ = try cache.begin(spec, because: []) }?.code == .refused)
    #expect(workspace.folder.names(in: "elsewhere") == [])
  }

  @Test("a result whose list of outputs is damaged or cut short is not put back", .temporaryFolder)
  func damagedManifest() throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("t", outputs: ["a", "b"])
    try workspace.run(spec, cache, writing: ["a": "1", "b": "2"])
    var result = try #require(try cache.records.records(for: [cache.key("t")])[0]?.result)
    result.manifest.entries.removeLast()
    try workspace.remove("a")
    #expect(throws: PurserError.self) { try cache.restore(result, for: spec) }
    #expect(workspace.text("a") == nil && workspace.text("b") == "2")
    #expect(try cache.decide(spec).word == "restore")
  }

  @Test(
    "a manifest that names something else than its outputs is not put back", .temporaryFolder,
    arguments: ["c", "../x", "out/../../x", "/etc/x", "out//x", "out/./x", ""] as [ByteString])
  func hostileManifest(path: ByteString) throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("t", outputs: ["out"])
    try workspace.run(spec, cache, writing: ["out/a": "1"])
    var result = try #require(try cache.records.records(for: [cache.key("t")])[0]?.result)
    let entry = try #require(result.manifest.entries.last)
    result.manifest.entries[result.manifest.entries.count - 1].path = path
    result.outputsVersion = result.manifest.digest
    try workspace.remove("out/a")
    let error = error { try cache.restore(result, for: spec) }
    #expect(error?.code == .busy)
    #expect(error?.message == "task 't' is not any more what was decided about; decide again")
    #expect(entry.kind == .file && workspace.folder.files(in: "project") == [])
    #expect(workspace.folder.names(in: ".") == ["project", "store"])
  }

  @Test(
    "a content that is damaged is a miss: the task runs, and is whole again", .temporaryFolder,
    arguments: [100, 20_000])
  func damagedContent(size: Int) throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("t", outputs: ["a", "b"])
    // Not compressible: stored as it is.
    var state: UInt64 = 1
    let content = (0..<size).map { _ -> Character in
      state = state &* 6_364_136_223_846_793_005 &+ 1
      return Character(Unicode.Scalar(UInt8(32 + (state >> 33) % 95)))
    }
    try workspace.run(spec, cache, writing: ["a": String(content), "b": "small"])
    try workspace.remove("a")
    try workspace.remove("b")
    let digest = sha256(String(content))
    if size > 16 * 1024 {
      let blob = ByteString("store/blobs/\(digest.hex.prefix(2))/\(digest.hex.dropFirst(2))")
      var bytes = try workspace.folder.bytes(blob)
      bytes[size / 3] ^= 1
      try workspace.folder.write(blob, bytes)
    } else {
      try workspace.corruptInlineContent(digest)
    }
    let decision = try cache.decide(spec)
    let error = error { try cache.restore(try #require(decision.result), for: spec) }
    #expect(error?.code == .io)
    #expect(error?.message.hasSuffix("counts as a miss") == true)
    #expect(workspace.folder.files(in: "project").allSatisfy { $0 == "project/b" })
    #expect(try cache.decide(spec).word == "run")
    try workspace.run(spec, cache, writing: ["a": String(content), "b": "small"])
    try workspace.remove("a")
    try cache.restore(try #require(try cache.decide(spec).result), for: spec)
    #expect(workspace.text("a") == String(content))
  }

  @Test("a large content that is gone from the disk is not offered", .temporaryFolder)
  func missingBlob() throws {
    let cache = try workspace.cache()
    let spec = TaskSpec("t", outputs: ["a"])
    try workspace.run(spec, cache, writing: ["a": String(repeating: "x", count: 100_000)])
    try workspace.remove("a")
    #expect(try cache.decide(spec).word == "restore")
    let files = workspace.folder.files(in: "store/blobs")
    #expect(files.count == 1)
    for file in files { try workspace.folder.remove(file) }
    #expect(try cache.decide(spec).summary == "run outputMissing")
    try workspace.run(spec, cache, writing: ["a": String(repeating: "x", count: 100_000)])
    #expect(workspace.folder.files(in: "store/blobs") == files)
  }
}
