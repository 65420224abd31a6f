import PurserHashing
import PurserModel
import PurserStore
import Testing

@Suite("Record store contract: acceptance")
struct AcceptanceContractTests {
  /// The task as it ran, and as it is after a change.
  private var ran: Step {
    var step = Step("clean", version: "1")
    step.outputs = ["a": "A"]
    step.log = "printed"
    return step
  }

  private var changed: Step {
    var step = Step("clean", version: "2")
    step.outputs = ["a": "A"]
    return step
  }

  private func elsewhere(_ step: Step) -> [TaskKey] {
    [
      key(step.key.task, on: "feature"), key(step.key.task, pipeline: "other"), key("other"),
      TaskKey(storageKey: step.key.storageKey.uppercased(), pipeline: step.key.pipeline, task: step.key.task),
    ]
  }

  // MARK: Where it holds

  @Test(
    "an accepted result stands for this task on this storage key, and nowhere else", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func alias(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    for key in elsewhere(ran) {
      var step = ran
      step.key = key
      try step.run(in: store)
    }
    try ran.run(in: store)
    let result = try store.newestResult(of: ran)
    let before = try #require(try store.record(ran.key))
    #expect(!before.isVouchedFor)
    let run = try changed.accepting(result, in: store)

    let record = try #require(try store.record(ran.key))
    #expect(record.isVouchedFor && record.status == .success && record.result == result)
    #expect(record.actionKey == changed.actionKey && record.inputs == changed.fingerprint.inputs)
    #expect(record.outputsVersion == before.outputsVersion && record.lastRun == run)
    #expect(record.lastRunState == .completed && record.invalidation == nil)
    #expect(try store.acceptedResult(for: changed.actionKey, of: ran.key) == result)
    for other in elsewhere(ran) {
      #expect(try store.acceptedResult(for: changed.actionKey, of: other) == nil)
      #expect(try store.acceptances(of: [other]) == [:])
      #expect(try store.record(other)?.isVouchedFor == false)
    }
    #expect(try store.results(for: [changed.actionKey]) == [:])
    #expect(try store.acceptedResult(for: ran.actionKey, of: ran.key) == nil)
    #expect(try store.components(of: [changed.actionKey])[changed.actionKey] == changed.fingerprint.components)
    #expect(try store.acceptances(of: [ran.key]) == [ran.key: [.word(.accepted)]])
    #expect(try store.acceptedTasks([ran.key] + elsewhere(ran)) == [ran.key])
  }

  @Test(
    "an adopted result is found by no fingerprint, on no storage key", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func adoption(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.adopting(in: store)
    let record = try #require(try store.record(ran.key))
    #expect(record.status == .success && record.actionKey == ran.actionKey && record.isVouchedFor)
    #expect(record.result?.manifest == ran.manifest && record.result?.actionKey == ran.adoptionKey)
    #expect(try store.results(for: [ran.actionKey]) == [:])
    #expect(try store.acceptedResult(for: ran.actionKey, of: ran.key) == record.result)
    for other in elsewhere(ran) { #expect(try store.acceptedResult(for: ran.actionKey, of: other) == nil) }
    #expect(try store.blobs([digest("A")]).count == 1)
    #expect(try store.acceptances(of: [ran.key])[ran.key] == [.word(.adopted, why: "by hand")])
  }

  @Test(
    "what a task with a dep file accepted is found by what is declared, by that task alone", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func declared(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    var attempt = try changed.vouched(for: try store.newestResult(of: ran), in: store)
    attempt.outcome.declaredKey = digest("declared")
    _ = try store.accepted([attempt])
    #expect(try store.acceptedKeys(declaredAs: digest("declared"), of: ran.key) == [changed.actionKey])
    for other in elsewhere(ran) { #expect(try store.acceptedKeys(declaredAs: digest("declared"), of: other) == []) }
    #expect(try store.actionKeys(declaredAs: digest("declared"), limit: 9) == [])
  }

  @Test(
    "once the task has run as it is, nobody's word is needed", .temporaryFolder, arguments: RecordStoreBackend.all)
  func replaced(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    let old = try store.newestResult(of: ran)
    try changed.accepting(old, in: store)
    try changed.run(in: store)
    let record = try #require(try store.record(ran.key))
    #expect(!record.isVouchedFor && record.result?.id != old.id)
    #expect(try store.acceptedResult(for: changed.actionKey, of: ran.key) == nil)
    #expect(try store.acceptedTasks([ran.key]) == [])
  }

  @Test(
    "a failure after it leaves it, for when the task is put back", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func failed(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    let result = try store.newestResult(of: ran)
    try changed.accepting(result, in: store)
    try store.finish(try changed.begin(in: store), with: changed.ending(.failed, .failure, exitCode: 1))
    #expect(try store.record(ran.key)?.result == nil)
    #expect(try store.acceptances(of: [ran.key]) == [:])
    #expect(try store.acceptedResult(for: changed.actionKey, of: ran.key) == result)
    try changed.restore(result, in: store)
    #expect(try store.record(ran.key)?.isVouchedFor == true)
    #expect(try store.acceptances(of: [ran.key])[ran.key]?.count == 1)
  }

  // MARK: All or none

  @Test("a lease in the way lets nothing be recorded", .temporaryFolder, arguments: RecordStoreBackend.all)
  func held(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    let result = try store.newestResult(of: ran)
    var other = Step("second")
    other.outputs = ["b": "B"]
    let attempts = try [other.adopted(in: store), changed.vouched(for: result, in: store)]
    let open = try ran.begin(in: store)
    guard case .held(let leases) = try store.accept(attempts, replacing: []) else {
      Issue.record("a lease is held")
      return
    }
    #expect(leases.map(\.token) == open.tokens)
    #expect(try store.record(other.key) == nil)
    #expect(try store.blobs([digest("B")]) == [:])
    // Its owner turns out to be dead: then the task was left in another state than was known of.
    guard case .moved = try store.accept(attempts, replacing: open.tokens) else {
      Issue.record("the run was given up")
      return
    }
    #expect(try store.accepted([other.adopted(in: store), changed.vouched(for: result, in: store)]).count == 2)
    #expect(try store.leases(named: ran.newRun.leases) == [])
  }

  @Test("a run in between lets nothing be recorded", .temporaryFolder, arguments: RecordStoreBackend.all)
  func moved(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    var other = Step("second")
    other.outputs = ["b": "B"]
    let attempts = try [
      other.adopted(in: store), changed.vouched(for: try store.newestResult(of: ran), in: store),
    ]
    try ran.run(in: store)
    guard case .moved = try store.accept(attempts, replacing: []) else {
      Issue.record("it ran in between")
      return
    }
    #expect(try store.record(other.key) == nil && store.record(ran.key)?.actionKey == ran.actionKey)
  }

  @Test(
    "a result that was voided or forgotten in between is not accepted", .temporaryFolder,
    arguments: RecordStoreBackend.all, [0, 1, 2])
  func voided(backend: RecordStoreBackend, how: Int) throws {
    let store = try backend.open()
    try ran.run(in: store)
    let attempt = try changed.vouched(for: try store.newestResult(of: ran), in: store)
    switch how {
    case 0: _ = try store.invalidate([ran.key])
    case 1: _ = try store.invalidate([ran.key], allKeys: true)
    default: try store.forgetBlob(digest("A"))
    }
    guard case .moved = try store.accept([attempt], replacing: []) else {
      Issue.record("its result does not count any more")
      return
    }
    #expect(try store.record(ran.key)?.actionKey == ran.actionKey)
    #expect(try store.acceptedTasks([ran.key]) == [])
  }

  // MARK: Taking back

  @Test(
    "after it is taken back the record is what it was, and nothing is served by it", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func revoke(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    let before = try #require(try store.record(ran.key))
    var third = Step("clean", version: "3")
    third.outputs = changed.outputs
    try changed.accepting(try #require(before.result), in: store)
    try third.accepting(try #require(before.result), in: store)
    #expect(try store.acceptances(of: [ran.key])[ran.key]?.count == 2)
    #expect(try store.revoke(ran) == [2])
    let record = try #require(try store.record(ran.key))
    #expect(record.actionKey == before.actionKey && record.result == before.result && record.status == .success)
    #expect(record.code == before.code && record.inputs == before.inputs && record.data == before.data)
    #expect(record.outputsVersion == before.outputsVersion && !record.isVouchedFor)
    for step in [changed, third] {
      #expect(try store.acceptedResult(for: step.actionKey, of: ran.key) == nil)
    }
    #expect(try store.acceptances(of: [ran.key]) == [:])
    #expect(try store.revoke(ran) == [0])
  }

  @Test(
    "an adoption that is taken back leaves a task that never ran", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func revokeAdoption(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.adopting(in: store)
    let result = try #require(try store.record(ran.key)?.result)
    try changed.accepting(result, in: store)
    #expect(try store.acceptances(of: [ran.key])[ran.key]?.map(\.kind) == [.accepted, .adopted])
    #expect(try store.revoke(ran) == [2])
    let record = try #require(try store.record(ran.key))
    #expect(record.actionKey == nil && record.result == nil && record.outputsVersion == nil && record.code == nil)
    #expect(record.status == .incomplete)
    for step in [ran, changed] { #expect(try store.acceptedResult(for: step.actionKey, of: ran.key) == nil) }
  }

  @Test(
    "one that the record does not rest on any more is taken back alone", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func revokeOther(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    try changed.accepting(try store.newestResult(of: ran), in: store)
    var third = Step("clean", version: "3")
    third.outputs = ["a": "new"]
    try third.run(in: store)
    #expect(try store.revoke(ran) == [1])
    #expect(try store.record(ran.key)?.actionKey == third.actionKey)
    #expect(try store.acceptedResult(for: changed.actionKey, of: ran.key) == nil)
  }

  @Test("nothing is taken back beside a run", .temporaryFolder, arguments: RecordStoreBackend.all)
  func revokeHeld(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    try changed.accepting(try store.newestResult(of: ran), in: store)
    _ = try changed.begin(in: store)
    #expect(throws: StoreError.self) { try store.revoke(ran) }
    #expect(try store.acceptedTasks([ran.key]) == [ran.key])
  }

  // MARK: Beside other things

  @Test("a result is put back only while it stands", .temporaryFolder, arguments: RecordStoreBackend.all)
  func restoring(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    let result = try store.newestResult(of: ran)
    try changed.accepting(result, in: store)
    func begin(_ step: Step) throws -> Bool {
      var run = step.newRun
      let record = try store.record(step.key)
      (run.previousRun, run.previousRunState) = (record?.lastRun, record?.lastRunState)
      run.restoring = result.id
      guard case .opened(let open) = try store.begin(run, replacing: []) else { return false }
      try store.finish(open, with: step.ending(.cancelled, nil, exitCode: nil))
      return true
    }
    var elsewhere = changed
    elsewhere.key = key("clean", on: "feature")
    var ranElsewhere = ran
    ranElsewhere.key = elsewhere.key
    #expect(try begin(changed) && begin(ran) && begin(ranElsewhere))
    #expect(try !begin(elsewhere), "another storage key was never told")
    try store.revoke(ran)
    #expect(try !begin(changed) && begin(ran))
    _ = try store.invalidate([ran.key])
    #expect(try !begin(ran) && begin(ranElsewhere))
    _ = try store.invalidate([ran.key], allKeys: true)
    #expect(try !begin(ranElsewhere))
  }

  @Test("a mark voids what was accepted and adopted too", .temporaryFolder, arguments: RecordStoreBackend.all)
  func invalidated(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    try changed.accepting(try store.newestResult(of: ran), in: store)
    var other = Step("second")
    other.outputs = ["b": "B"]
    try other.adopting(in: store)
    _ = try store.invalidate([ran.key, other.key], why: "bad")
    for key in [ran.key, other.key] {
      let record = try #require(try store.record(key))
      #expect(record.invalidation?.why == "bad" && record.isVouchedFor)
      let horizon = try #require(try store.invalidationHorizons(for: [key])[key])
      #expect(record.result.map(horizon.voids) == true)
    }
    #expect(try store.takeBack([ran.key, other.key]).count == 2)
    #expect(try store.record(ran.key)?.invalidation == nil && store.record(other.key)?.invalidation == nil)
    _ = try store.invalidate([ran.key, other.key], allKeys: true)
    #expect(try store.acceptedResult(for: changed.actionKey, of: ran.key) == nil)
    #expect(try store.acceptedResult(for: other.actionKey, of: other.key) == nil)
    // Made after the mark.
    try other.adopting(in: store)
    #expect(try store.record(other.key)?.invalidation == nil)
    #expect(try store.acceptedResult(for: other.actionKey, of: other.key) != nil)
  }

  @Test(
    "what is vouched for is no garbage, however old it is", .temporaryFolder, arguments: RecordStoreBackend.all)
  func garbage(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    let result = try store.newestResult(of: ran)
    try changed.accepting(result, in: store)
    var third = Step("clean", version: "3")
    third.outputs = ["a": "new"]
    try third.run(in: store)
    #expect(try store.collectGarbage(olderThan: Time.day(9), treeChildren: { _ in [] }).results == 0)
    #expect(try store.acceptedResult(for: changed.actionKey, of: ran.key) == result)
    #expect(try store.components(of: [changed.actionKey]).count == 1)
    try store.revoke(ran)
    #expect(try store.collectGarbage(olderThan: Time.day(9), treeChildren: { _ in [] }).results == 1)
    #expect(try store.components(of: [changed.actionKey, ran.actionKey]) == [:])
    #expect(try store.blobs([digest("A")]) == [:])
  }

  @Test(
    "a content that is forgotten takes with it what was vouched for", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func forgotten(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    try changed.accepting(try store.newestResult(of: ran), in: store)
    try store.forgetBlob(digest("A"))
    #expect(try store.acceptedResult(for: changed.actionKey, of: ran.key) == nil)
    let record = try #require(try store.record(ran.key))
    #expect(record.result == nil && !record.isVouchedFor)
  }

  @Test("it is told from the last word to the first", .temporaryFolder, arguments: RecordStoreBackend.all)
  func chain(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    let result = try store.newestResult(of: ran)
    for (version, why) in [("2", "one"), ("3", "two"), ("4", "three")] {
      let step = Step("clean", version: version)
      _ = try store.accepted([step.vouched(for: result, in: store, day: Int(version) ?? 0, why: why)])
    }
    #expect(try store.acceptances(of: [ran.key])[ran.key]?.map(\.why) == ["three", "two", "one"])
    // To and fro: what it was made from needs nobody's word, and what was accepted before is accepted anew.
    _ = try store.accepted([ran.vouched(for: result, in: store)])
    #expect(try store.acceptances(of: [ran.key]) == [:] && store.record(ran.key)?.isVouchedFor == false)
    _ = try store.accepted([Step("clean", version: "3").vouched(for: result, in: store, why: "again")])
    #expect(try store.acceptances(of: [ran.key])[ran.key]?.map(\.why) == ["again"])
    #expect(try store.revoke(ran) == [3])
  }

  @Test("history tells who accepted what, when and why", .temporaryFolder, arguments: RecordStoreBackend.all)
  func events(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    let run = try changed.accepting(try store.newestResult(of: ran), in: store)
    try store.revoke(ran)
    let runs = try store.runs(matching: RunFilter(task: "clean"))
    #expect(runs.map(\.kind) == ["adopt", "run"] && runs[0].id == run && runs[0].state == .completed)
    #expect(runs[0].actionKey == changed.actionKey && runs[0].createdBy == "me@here")
    var filter = EventFilter(limit: 9)
    filter.types = ["ACCEPTED", "ACCEPTANCE_REVOKED"]
    let events = try store.events(matching: filter).map { event in
      "\(event.type)|\(event.run ?? 0)|\(event.previous ?? "")|\(event.new ?? "")|\(event.time)|"
        + "\(event.actor ?? "")|\(event.data ?? "")"
    }
    let changes = #"[{"group":"inputs","name":"raw.csv","was":"1","is":"2"}]"#
    #expect(
      events == [
        "ACCEPTED|\(run)|SUCCESS|SUCCESS|\(Time.day(2))|me@here|"
          + #"{"kind":"accepted","at":"\#(Time.day(2))","by":"me@here","why":"a comment","changes":\#(changes)}"#,
        #"ACCEPTANCE_REVOKED|0|SUCCESS|SUCCESS|\#(Time.day(4))|me@here|{"why":"no","words":1}"#,
      ])
  }

  // MARK: Items

  @Test(
    "what items were made from before changes were accepted is known back to the first", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func items(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try ran.run(in: store)
    let result = try store.newestResult(of: ran)
    let keys = (0..<4).map { digest("base \($0)") }
    for number in 1..<4 {
      let step = Step("clean", version: "\(number + 1)")
      _ = try store.accepted([
        step.vouched(
          for: result, in: store, why: "\(number)", itemKey: keys[number], formerItemKey: keys[number - 1])
      ])
    }
    #expect(try store.formerItemKeys(of: ran.key, keys[3]) == [keys[2], keys[1], keys[0]])
    #expect(try store.formerItemKeys(of: ran.key, keys[1]) == [keys[0]])
    #expect(try store.formerItemKeys(of: ran.key, keys[0]) == [])
    #expect(try store.itemAcceptance(of: ran.key, keys[2])?.why == "2")
    for other in elsewhere(ran) {
      #expect(try store.formerItemKeys(of: other, keys[3]) == [])
      #expect(try store.itemAcceptance(of: other, keys[3]) == nil)
    }
    // Back to where it began: a circle ends.
    _ = try store.accepted([
      Step("clean", version: "5").vouched(for: result, in: store, itemKey: keys[0], formerItemKey: keys[3])
    ])
    #expect(Set(try store.formerItemKeys(of: ran.key, keys[0])) == Set(keys[1...]))
    #expect(Set(try store.formerItemKeys(of: ran.key, keys[3])) == Set(keys[0..<3]))
    try store.revoke(ran)
    #expect(try store.formerItemKeys(of: ran.key, keys[3]) == [])
  }
}
