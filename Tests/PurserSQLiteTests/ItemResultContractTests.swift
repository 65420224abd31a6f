import PurserHashing
import PurserModel
import PurserStore
import Testing

@Suite("Record store contract: results of items")
struct ItemResultContractTests {
  private func done(_ index: Int, _ contentKey: Digest, output: String?, data: String? = nil, day: Int = 1)
    -> ItemProgress
  {
    let entries = output.map {
      [
        OutputManifest.Entry(
          path: ByteString("out/\(index)"), kind: .file, mode: 0o644, digest: digest($0), size: UInt64($0.utf8.count))
      ]
    }
    return ItemProgress(
      event: SubtaskEvent(index: index, status: .done, time: Time.day(day), contentKey: contentKey),
      result: NewItemResult(
        manifest: OutputManifest(patterns: [], entries: entries ?? []), data: data, durationMicroseconds: 42,
        blobs: output.map { [Step.blob($0)] } ?? []))
  }

  private func makeList(_ task: TaskKey, _ count: Int = 10, in store: any RecordStore) throws {
    try store.setSubtasks((0..<count).map { Subtask(index: $0, key: "\($0)") }, of: task, under: nil)
  }

  private let task = key("map")
  private let one = digest("one")
  private let two = digest("two")

  @Test(
    "are found by what the item was made from, on every storage key", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func found(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    #expect(try store.itemResults(for: [one], of: task) == [:])
    try makeList(task, in: store)
    try store.append([done(0, one, output: "A", data: #"{"n": 1}"#), done(1, two, output: nil)], of: task, under: nil)
    for key in [task, key("map", on: "feature"), key("another")] {
      let found = try store.itemResults(for: [one, two, digest("three"), one], of: key)
      #expect(Set(found.keys) == [one, two])
      let result = try #require(found[one])
      #expect(result.manifest == done(0, one, output: "A").result?.manifest && result.data == #"{"n": 1}"#)
      #expect(result.durationMicroseconds == 42 && result.producer == task)
      #expect(found[two]?.data == nil)
    }
    #expect(try store.inlineContent(digest("A"))?.content == Array("A".utf8))
    #expect(try store.subtasks(of: task)[0].contentKey == one)
  }

  @Test("the newest counts, whether few are asked for or all", .temporaryFolder, arguments: RecordStoreBackend.all)
  func newest(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try makeList(task, 1000, in: store)
    let keys = (0..<1000).map { digest("key \($0)") }
    for data in ["1", "2"] {
      try store.append(keys.enumerated().map { done($0, $1, output: nil, data: data) }, of: task, under: nil)
    }
    try store.append([done(3, keys[3], output: nil, data: "3")], of: task, under: nil)
    let all = try store.itemResults(for: keys + [one], of: task)
    #expect(all.count == 1000 && all[keys[3]]?.data == "3" && all[keys[4]]?.data == "2")
    let few = try store.itemResults(for: [keys[3], keys[4], one], of: task)
    #expect(few == all.filter { [keys[3], keys[4]].contains($0.key) })
  }

  @Test("a mark hides what was made before it from its task", .temporaryFolder, arguments: RecordStoreBackend.all)
  func invalidation(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try makeList(task, in: store)
    try makeList(key("map", on: "feature"), in: store)
    try store.append([done(0, one, output: nil), done(1, two, output: nil)], of: task, under: nil)
    #expect(try store.invalidate([task]) == ["main/map"])
    #expect(try store.itemResults(for: [one, two], of: task) == [:])
    #expect(try store.itemResults(for: [one, two], of: key("map", on: "feature")).count == 2)
    try store.append([done(0, one, output: nil, data: "new")], of: task, under: nil)
    #expect(try store.itemResults(for: [one, two], of: task).mapValues(\.data) == [one: "new"])
  }

  @Test("on all keys the results themselves are void", .temporaryFolder, arguments: RecordStoreBackend.all)
  func allKeys(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    let feature = key("map", on: "feature")
    try makeList(task, in: store)
    try makeList(feature, in: store)
    try makeList(key("other"), in: store)
    try store.append([done(0, one, output: nil)], of: task, under: nil)
    try store.append([done(0, two, output: nil)], of: key("other"), under: nil)
    _ = try store.invalidate([feature], allKeys: true)
    #expect(try store.itemResults(for: [one], of: key("unmarked")) == [:])
    #expect(try store.itemResults(for: [two], of: key("unmarked")).count == 1)
    try store.append([done(0, one, output: nil)], of: feature, under: nil)
    #expect(try store.itemResults(for: [one], of: task).count == 1)
  }

  @Test(
    "one whose content is not in the store is refused with its event", .temporaryFolder,
    arguments: RecordStoreBackend.all)
  func missingBlob(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try makeList(task, in: store)
    var bad = done(0, one, output: "A")
    bad.result?.blobs = []
    #expect(code { try store.append([done(1, two, output: "B"), bad], of: task, under: nil) } == .corrupt)
    #expect(try store.itemResults(for: [one, two], of: task) == [:])
    #expect(try store.subtasks(of: task).filter(\.isDone).isEmpty)
    #expect(try store.blobs([digest("B")]) == [:])
  }

  @Test(
    "old ones go with their contents, but for the newest that a list has", .temporaryFolder,
    arguments: RecordStoreBackend.all, [false, true])
  func garbage(backend: RecordStoreBackend, isFolded: Bool) throws {
    let store = try backend.open()
    try makeList(task, in: store)
    try store.append([done(0, one, output: "first"), done(1, two, output: "two")], of: task, under: nil)
    try store.append([done(0, one, output: "second")], of: task, under: nil)
    // Another content takes item 1's place; the one of before is nobody's.
    try store.append([done(1, digest("three"), output: "three")], of: task, under: nil)
    try store.append([done(2, digest("young"), output: "young", day: 9)], of: task, under: nil)
    try store.append([done(2, digest("late"), output: "late", day: 9)], of: task, under: nil)
    if isFolded { try store.foldProgress(of: task) }
    let report = try store.collectGarbage(olderThan: Time.day(5), treeChildren: { _ in [] })
    // What the journal still speaks of is kept until it is folded.
    #expect(report.results == (isFolded ? 2 : 1) && report.blobs == report.results)
    let found = try store.itemResults(for: [one, two, digest("three"), digest("young"), digest("late")], of: task)
    #expect(found.count == (isFolded ? 4 : 5))
    #expect(found[one]?.manifest.entries.map(\.digest) == [digest("second")])
    #expect(try store.blobs([digest("first")]) == [:])
    #expect(try store.blobs([digest("second"), digest("three"), digest("young"), digest("late")]).count == 4)

    _ = try store.invalidate([task], allKeys: true)
    #expect(try store.collectGarbage(olderThan: Time.day(5), treeChildren: { _ in [] }).results >= 2)
    #expect(try store.blobs([digest("second"), digest("three")]) == [:])
    #expect(try store.collectGarbage(olderThan: Time.day(10), treeChildren: { _ in [] }).blobs == 2)
  }

  @Test(
    "a forgotten content takes the items' results that need it", .temporaryFolder, arguments: RecordStoreBackend.all)
  func forget(backend: RecordStoreBackend) throws {
    let store = try backend.open()
    try makeList(task, in: store)
    try store.append([done(0, one, output: "A"), done(1, two, output: "B")], of: task, under: nil)
    try store.forgetBlob(digest("A"))
    #expect(Set(try store.itemResults(for: [one, two], of: task).keys) == [two])
    #expect(try store.blobs([digest("A")]) == [:])
  }
}
