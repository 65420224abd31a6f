import PurserModel
import PurserStore
import Testing

@testable import Purser

@Suite("Upstream and invalidation")
struct InvalidationTests {
  let workspace = Workspace()
  let load = TaskSpec("load", inputs: ["raw"], outputs: ["build/load"])
  let tidy = TaskSpec("tidy", inputs: ["config"], outputs: ["build/tidy"], upstream: ["load"])

  private func runBoth(_ cache: TaskCache, raw: String = "1", loaded: String = "L", tidied: String = "T") throws {
    try workspace.write("raw", raw)
    try workspace.write("config", "c")
    try workspace.run(load, cache, writing: ["build/load": loaded])
    try workspace.run(tidy, cache, writing: ["build/tidy": tidied])
  }

  @Test("a task waits for what it comes after", .temporaryFolder)
  func pending() throws {
    let cache = try workspace.cache()
    try workspace.write("raw", "1")
    try workspace.write("config", "c")
    #expect(try cache.decide(tidy).reasons == [.neverRan, .upstreamPending(["load"])])
    try workspace.run(load, cache, .failure(exitCode: 1))
    #expect(try cache.decide(tidy).reasons == [.neverRan, .upstreamPending(["load"])])
    try workspace.run(load, cache, writing: ["build/load": "L"])
    #expect(try cache.decide(tidy).reasons == [.neverRan])
  }

  @Test("what ran again and made the same does not make others run", .temporaryFolder)
  func earlyCutoff() throws {
    let cache = try workspace.cache()
    try runBoth(cache)
    #expect(try cache.decide(tidy).word == "fresh")
    try workspace.write("raw", "2")
    #expect(try cache.decide(load).summary == "run inputsChanged")
    try workspace.run(load, cache, writing: ["build/load": "L"])
    #expect(try cache.decide(tidy).word == "fresh")
    try workspace.write("raw", "3")
    try workspace.run(load, cache, writing: ["build/load": "other"])
    let decision = try cache.decide(tidy)
    #expect(decision.summary == "run inputsChanged" && decision.changes == ["outputs of load"])
    // And back again.
    try workspace.write("raw", "1")
    try cache.restore(try #require(try cache.decide(load).result), for: load)
    #expect(try cache.decide(tidy).word == "fresh")
  }

  @Test("an upstream output that was edited by hand is another input", .temporaryFolder)
  func editedUpstream() throws {
    let cache = try workspace.cache()
    try runBoth(cache)
    try workspace.write("build/load", "edited")
    #expect(try cache.decide(tidy).changes == ["outputs of load"])
    try workspace.write("build/load", "L")
    #expect(try cache.decide(tidy).word == "fresh")
  }

  @Test("an upstream output that moves during the run is noticed", .temporaryFolder)
  func movedUpstream() throws {
    let cache = try workspace.cache()
    try runBoth(cache)
    try workspace.write("config", "d")
    let attempt = try cache.begin(tidy, because: [])
    try workspace.write("build/load", "edited")
    try workspace.write("build/tidy", "T2")
    let report = try attempt.finish(.success)
    #expect(!report.isStored)
    #expect(report.warnings == ["task 'tidy' is not stored: outputs of load changed while it ran; run it again"])
  }

  @Test("an invalidated task is neither fresh nor put back until it has run again", .temporaryFolder)
  func invalidate() throws {
    let cache = try workspace.cache()
    try runBoth(cache)
    let hit = try cache.invalidate("load", downstream: true, why: "new calibration")
    #expect(Set(hit.map(\.task)) == ["load", "tidy"])
    let decision = try cache.decide(load)
    guard case .run(let reasons) = decision, case .invalidated(let mark)? = reasons.first else {
      Issue.record("\(decision.summary)")
      return
    }
    #expect(reasons.count == 1 && mark.why == "new calibration" && mark.by.hasPrefix("me@"))
    // What load will have made is not known yet: nothing can be said to have changed.
    let downstream = try cache.decide(tidy).summary
    #expect(downstream == "run invalidated upstreamPending")
    try workspace.run(load, cache, writing: ["build/load": "L"])
    #expect(try cache.decide(load).word == "fresh")
    #expect(try cache.decide(tidy).summary == "run invalidated")
    try workspace.run(tidy, cache, writing: ["build/tidy": "T"])
    #expect(try cache.decide(tidy).word == "fresh")
  }

  @Test("an invalidation holds on its own storage key, or on all and for keys to come", .temporaryFolder)
  func storageKeys() throws {
    let cache = try workspace.cache()
    try runBoth(cache)
    try cache.invalidate("load", why: "")
    let feature = try workspace.cache(on: "feature")
    #expect(try feature.decide(load).summary == "restore neverRan")
    try feature.restore(try #require(try feature.decide(load).result), for: load)
    #expect(try cache.invalidate(["load"], allKeys: true, why: "bad").count == 2)
    #expect(try feature.decide(load).summary == "run invalidated")
    #expect(try workspace.cache(on: "third").decide(load).summary == "run neverRan")
    try workspace.run(load, feature, writing: ["build/load": "L"])
    #expect(try workspace.cache(on: "third").decide(load).word == "restore")
    // Made after the mark: it may be used on the marked key too.
    #expect(try cache.decide(load).word == "restore")
  }

  @Test("a result of before the mark does not come back by changing inputs to and fro", .temporaryFolder)
  func horizon() throws {
    let cache = try workspace.cache()
    try runBoth(cache)
    try cache.invalidate("load", why: "")
    try workspace.write("raw", "2")
    try workspace.run(load, cache, writing: ["build/load": "L2"])
    try workspace.write("raw", "1")
    #expect(try cache.decide(load).word == "run")
  }

  @Test("collecting garbage leaves what is fresh fresh", .temporaryFolder)
  func garbage() throws {
    let cache = try workspace.cache()
    try runBoth(cache, raw: "0", loaded: "old")
    try runBoth(cache)
    let summary = try cache.collectGarbage(olderThan: .seconds(-60))
    // What load made first, and tidy of it.
    #expect(summary.results == 2 && summary.blobs == 1)
    #expect(try cache.decide(load).word == "fresh")
    #expect(try cache.decide(tidy).word == "fresh")
    try workspace.remove("build/tidy")
    try cache.restore(try #require(try cache.decide(tidy).result), for: tidy)
    #expect(workspace.text("build/tidy") == "T")
  }
}
