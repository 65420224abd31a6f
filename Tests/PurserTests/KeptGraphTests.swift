import PurserHashing
import PurserModel
import PurserPipeline
import PurserStore
import Testing

@testable import Purser

/// A graph, and a plan, that were kept are what was kept, or nothing.
@Suite("What is kept of a pipeline")
struct KeptGraphTests {
  let workspace = Workspace()

  /// About everything that a task can be declared with.
  private static let text = """
    settings: {code: lock, code_digest: normalized, source_roots: [lib], snapshot_every: 90s, cache_namespace: shared}
    config: {rate: 2, name: "Käse"}
    graphs:
      main:
        tasks:
          list:
          each: list
          fit: {deps: [list, last], args: {rate: 0.5, rows: {ref: list}}}
          script: each
          last: script
          traced: [each, fit]
    tasks:
      list: {file: src/list.py, cache_result: true, iterable_item: "region,year", retries: 2, priority: -3}
      each:
        command: [cp, "in/${region}", "out/${region}/${year}"]
        outputs: "out/${region}/${year}"
        map_over: region,year
        bundle_size: 1
        group_size: 4
        logs: "log/${region}"
        timeout: 1h30m
      fit: {file: "src/fit.py:train", code_digest: function, outputs: fit.json, exclude: ["*.tmp"], env: [SEED]}
      script: {file: src/a.R, prefix_args: nice -n 5, cli_args: --fast, tools: [sh], keep_outputs: true}
      last: {command: "a | b", inputs: ["raw/*.csv", one], outputs: two, pure: true, depfile: two.d, tags: [slow]}
      traced: {command: x, inputs: auto, trace: strict, args: {a: [1, 2]}}
    """

  private func file(_ text: String = text) throws -> (file: PipelineFile, source: PipelineSource) {
    try workspace.write("purser.yaml", text)
    let loader = PipelineLoader(project: workspace.project())
    let source = try #require(try loader.source())
    return (try loader.file(of: source), source)
  }

  private func place(
    _ source: PipelineSource, graph: String? = nil, on storageKey: String = "main",
    _ environment: ProcessEnvironment? = nil
  ) -> PlanCache.Place {
    PlanCache.Place(
      source, graph: graph, project: workspace.project(on: storageKey),
      environment: environment ?? workspace.environment)
  }

  /// A pipeline as its file makes it, kept.
  private func keep() throws -> (pipeline: Pipeline, place: PlanCache.Place) {
    try workspace.folder.makeFolders("store/tmp")
    let (file, source) = try file()
    let graph = try #require(file.graphs.first)
    let pipeline = try Pipeline(
      graph, of: file, named: "purser.yaml", project: workspace.project(), environment: workspace.environment)
    let place = place(source)
    KeptGraph.save(pipeline.tasks, graph, of: file, at: place)
    return (pipeline, place)
  }

  private func pipeline(_ kept: KeptGraph) -> Pipeline {
    Pipeline(kept, named: "purser.yaml", project: workspace.project(), environment: workspace.environment)
  }

  @Test("the tasks of a kept graph are those that the file makes", .temporaryFolder)
  func sameTasks() throws {
    let (made, place) = try keep()
    let kept = pipeline(try #require(KeptGraph(at: place)))
    #expect(kept.tasks.count == 6 && made.tasks.count == 6)
    for (place, task) in made.tasks.enumerated() {
      #expect(kept.tasks.name(place) == task.spec.id)
      #expect(Array(kept.tasks.dependencies(of: place)) == task.dependencies)
      #expect(kept.tasks.place(of: task.spec.id) == place)
      #expect(kept.tasks[place].spec == task.spec)
      #expect("\(kept.tasks[place])" == "\(task)")
    }
    #expect(kept.tasks.place(of: "no task") == nil)
    #expect(kept.graph == made.graph && kept.config == made.config && kept.dialect == made.dialect)
    #expect(kept.scratch == made.scratch && kept.snapshotInterval == made.snapshotInterval)
    #expect(try kept.selection(["script"]) == made.selection(["script"]))
    #expect(error { _ = try kept.selection(["fitt"]) }?.message == error { _ = try made.selection(["fitt"]) }?.message)
  }

  @Test("a kept graph is for one file, graph, place and environment", .temporaryFolder)
  func key() throws {
    let (_, place) = try keep()
    let (_, source) = try file()
    #expect(self.place(source).key == place.key)
    var others = [
      self.place(source, graph: "main"), self.place(source, on: "other"),
      self.place(try file(Self.text + "\n").source),
    ]
    for variable in ["PATH=/bin", "SCRATCH_DIR=/scratch", "DATA_YEAR=2030", "PYTHONPATH=lib"] {
      let entries = ["USER=me", ByteString(variable)] + (variable.hasPrefix("PATH") ? [] : ["PATH=/usr/bin:/bin"])
      others.append(self.place(source, ProcessEnvironment(entries: entries)))
    }
    #expect(Set(others.map(\.key) + [place.key]).count == 8)
    let name = try #require(place.graphPath.path(relativeTo: workspace.folder.path))
    let bytes = try workspace.folder.bytes(name)
    for other in others {
      try workspace.folder.write(try #require(other.graphPath.path(relativeTo: workspace.folder.path)), bytes)
      #expect(KeptGraph(at: other) == nil, "of another key, also under its name")
    }
  }

  @Test("damaged and foreign files count as missing", .temporaryFolder)
  func damage() throws {
    let (_, place) = try keep()
    let name = try #require(place.graphPath.path(relativeTo: workspace.folder.path))
    let good = try workspace.folder.bytes(name)
    func isRead(_ bytes: [UInt8], isDamaged: Bool = true) throws -> Bool {
      try workspace.folder.write(name, bytes)
      #expect(StateFile.isDamaged(place.graphPath) == isDamaged)
      return KeptGraph(at: place) != nil
    }
    for length in stride(from: 0, to: good.count, by: 7) { #expect(try !isRead(Array(good[..<length]))) }
    for index in stride(from: 0, to: good.count, by: 5) {
      var bytes = good
      bytes[index] ^= 1 << (index % 8)
      #expect(try !isRead(bytes))
    }
    #expect(try !isRead(good + [0]))
    #expect(try !isRead(Array("PURSPLAN".utf8) + good.dropFirst(8), isDamaged: false))
    #expect(try isRead(good, isDamaged: false))
    try workspace.folder.remove(name)
    #expect(KeptGraph(at: place) == nil && !StateFile.isDamaged(place.graphPath))
    try workspace.folder.link(name, to: "elsewhere")
    #expect(KeptGraph(at: place) == nil)
  }

  /// Bytes that were changed on purpose, their checksum made to fit.
  @Test("whatever a file says, nothing beyond it is read", .temporaryFolder)
  func forged() throws {
    let (made, place) = try keep()
    let name = try #require(place.graphPath.path(relativeTo: workspace.folder.path))
    let good = try workspace.folder.bytes(name)
    var generator = SystemRandomNumberGenerator()
    var read = 0
    for round in 0..<3000 {
      var bytes = good
      for _ in 0...Int.random(in: 0..<3, using: &generator) {
        let index = Int.random(in: 16..<(round % 2 == 0 ? 72 : bytes.count), using: &generator)
        bytes[index] = [0, 1, 0x7f, 0xff, UInt8.random(in: 0...255, using: &generator)].randomElement() ?? 0
      }
      if round % 5 == 0 { bytes.removeLast(8 * Int.random(in: 0..<bytes.count / 8 - 2, using: &generator)) }
      let sum = bytes.dropFirst(16).withUnsafeBytes { StateFile.checksum($0) }
      withUnsafeBytes(of: sum.littleEndian) { bytes.replaceSubrange(8..<16, with: $0) }
      try workspace.folder.write(name, bytes)
      guard let kept = KeptGraph(at: place) else { continue }
      read += 1
      let tasks = pipeline(kept).tasks
      for (place, task) in tasks.enumerated() {
        #expect(task.spec.id == tasks.name(place) && task.dependencies.allSatisfy { $0 < place })
        // One that cannot be read is no task that could be taken for another.
        if task.spec.command.isEmpty { #expect(task.spec == TaskSpec(tasks.name(place))) }
      }
    }
    #expect(read > 100, "the test changes too much to see anything")
    #expect(made.tasks.allSatisfy { !$0.spec.command.isEmpty })
  }

  // MARK: Plans

  private func identity(_ number: Int) -> FileIdentity {
    FileIdentity(
      device: 1, inode: UInt64(number), size: 2, mode: 0o100_644, modified: Int64(number) << 40, changed: 3)
  }

  private func entry(_ files: [(ByteString, Int)], duration: Int64 = 5, data: ByteString? = nil) -> PlanCache.Entry {
    PlanCache.Entry(
      duration: duration, outputsVersion: SHA256.digest(of: [UInt8(duration)]), dataVersion: data,
      files: files.map { ($0, identity($1)) })
  }

  /// What a plan says of its tasks.
  private func content(_ plan: PlanCache) -> [String] {
    ["\(plan.mark.bytes)"]
      + (0..<plan.taskCount).map { task in
        guard plan.isCovered(task) else { return "open" }
        return "\(plan.duration(of: task)) \(plan.outputsVersion(of: task)?.hex ?? "") "
          + "\(plan.dataVersion(of: task)?.printable ?? "") \(plan.identities(of: task))"
      }
  }

  @Test("a plan that is brought up to date says what a new one would", .temporaryFolder)
  func update() throws {
    try workspace.folder.makeFolders("store/tmp")
    let place = place(try file().source)
    let entries: [PlanCache.Entry?] = [
      entry([("a", 1), ("b", 2)]), entry([("b", 2), ("c", 3)], data: "d"), nil, entry([("d", 4)]),
    ]
    let (old, new) = (StoreMark(bytes: [1, 2, 3]), StoreMark(bytes: [4, 5, 6]))
    func save(_ changes: [Int: PlanCache.Entry?]) throws -> Bool {
      PlanCache.save(entries, at: place.path, key: place.key, mark: old)
      let plan = try #require(PlanCache(at: place.path, key: place.key))
      let isSaved = plan.save(changes.map { ($0, $1) }, at: place.path, mark: new)
      let found = try #require(PlanCache(at: place.path, key: place.key))
      guard isSaved else {
        #expect(content(found) == content(plan))
        return false
      }
      var expected = entries
      for (task, entry) in changes { expected[task] = entry }
      PlanCache.save(expected, at: place.path, key: place.key, mark: new)
      #expect(content(found) == content(try #require(PlanCache(at: place.path, key: place.key))))
      return true
    }
    #expect(try save([:]))
    #expect(try save([0: nil, 3: nil]))
    #expect(try save([0: entry([("a", 9), ("b", 2)], duration: 7)]))
    #expect(try save([0: entry([("a", 1), ("b", 9)]), 1: entry([("b", 9), ("c", 3)], data: "d")]))
    #expect(try save([0: entry([("a", 1), ("b", 9)]), 1: nil]))
    #expect(try !save([0: entry([("a", 1), ("b", 9)])]), "the other task that has it was found fresh with what it was")
    #expect(
      try !save([0: entry([("a", 1), ("b", 8)]), 1: entry([("b", 9), ("c", 3)], data: "d")]), "seen in two states")
    #expect(try !save([2: entry([("e", 1)])]), "a task that had no files")
    #expect(try !save([0: entry([("a", 1), ("c", 3)])]), "other files")
    #expect(try !save([0: entry([("a", 1)])]), "fewer files")
    #expect(try !save([1: entry([("b", 2), ("c", 3)], data: "e")]), "other data")
    PlanCache.save(entries, at: place.path, key: place.key, mark: old)
    let plan = try #require(PlanCache(at: place.path, key: place.key))
    #expect(!plan.save([], at: place.path, mark: StoreMark(bytes: [1])))
  }
}
