import PurserModel
import PurserPipeline
import Testing

@Suite("The compact form of a pipeline file")
struct CodingTests {
  private func expectRoundTrip(_ file: PipelineFile) throws {
    let back = try #require(PipelineFile(encoded: file.encoded))
    #expect(back.dialect == file.dialect)
    #expect(back.cacheNamespace == file.cacheNamespace)
    #expect(back.storageKeys == file.storageKeys)
    #expect(back.sourceRoots == file.sourceRoots)
    #expect(back.commonCode == file.commonCode)
    #expect(back.codeDigest == file.codeDigest)
    #expect(back.snapshotMilliseconds == file.snapshotMilliseconds)
    #expect(back.pythonFolders == file.pythonFolders)
    #expect(back.rFolders == file.rFolders)
    #expect(back.tasks == file.tasks)
    #expect(back.graphs == file.graphs)
    #expect(back.warnings == file.warnings)
    #expect(back.encoded == file.encoded)
  }

  @Test("what was parsed reads back the same")
  func samples() throws {
    try expectRoundTrip(parse(Sample.purser))
    try expectRoundTrip(parse(Sample.kptn, .kptn))
    try expectRoundTrip(parse("tasks: {a: {file: x.sql}, b: {command: [x, ''], inputs: [o], outputs: o}}"))
    try expectRoundTrip(
      parse(
        "settings: {source_roots: [src], code: lock, code_digest: normalized, snapshot_every: 90s}\n"
          + "tasks: {a: {command: x, code_digest: function, depfile: a.d, trace: true}, c: {command: x, inputs: auto, trace: strict}, b: {command: x, code_digest: raw}}"
      ))
    try expectRoundTrip(PipelineFile(dialect: .purser))
  }

  @Test("anything reads back the same")
  func random() throws {
    var generator = SeededGenerator(seed: 11)
    for _ in 0..<500 { try expectRoundTrip(randomFile(&generator)) }
  }

  @Test("so does each task of a graph by itself, and nothing else is taken for one")
  func members() throws {
    var generator = SeededGenerator(seed: 12)
    for round in 0..<100 {
      let file = randomFile(&generator)
      for (definition, node) in zip(file.tasks, file.graphs.flatMap(\.nodes)) {
        var encoder = GraphMemberEncoder()
        encoder.append(definition, node)
        let member = GraphMember(definition: definition, node: node)
        #expect(encoder.bytes.withUnsafeBytes { GraphMember(encoded: $0) } == member)
        guard round % 20 == 0 else { continue }
        func isRead(_ bytes: some Collection<UInt8>) -> Bool {
          Array(bytes).withUnsafeBytes { GraphMember(encoded: $0) } != nil
        }
        #expect(!encoder.bytes.indices.contains { isRead(encoder.bytes.prefix($0)) })
        #expect(!isRead(encoder.bytes + [0]))
        for _ in 0..<50 {
          var bytes = encoder.bytes
          bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
          _ = isRead(bytes)
        }
      }
    }
    let file = try parse("tasks: {a: {command: cp x y, inputs: x, outputs: y}, b: {command: [y], after: a}}")
    var encoder = GraphMemberEncoder()
    for (task, node) in zip(file.tasks, file.graphs[0].nodes) { encoder.append(task, node) }
    #expect(Hex.string(encoder.bytes) == Self.goldenMembers)
  }

  @Test("the form is version 5's")
  func golden() throws {
    let file = try parse("tasks: {a: {command: cp x y, inputs: x, outputs: y}, b: {command: [y], after: a}}")
    #expect(Hex.string(file.encoded) == Self.golden)
    var other = file.encoded
    other[0] = 4
    #expect(PipelineFile(encoded: other) == nil)
  }

  /// `cp x y`, `x`, `y`, `main`, `{}` and the tasks' names first; then two tasks, a graph of two nodes, no warnings.
  static let golden =

    "05010701060101010402616370207820797879626d61696e7b7d00000000000000000201010964"
    + "02010301040501360801040106070101010002010000010905010100013600e7fdde576f941aa4"

  /// `a`, its command, input and output, and its node; then `b`.
  static let goldenMembers =
    "02610109640763702078207901027801027902610000010902620136080102790262010261000136"

  private func randomFile(_ generator: inout SeededGenerator) -> PipelineFile {
    var file = PipelineFile(dialect: Bool.random(using: &generator) ? .purser : .kptn)
    file.cacheNamespace = maybe(&generator) { text(&$0) }
    file.storageKeys = list(&generator) { StorageKeyRule(branch: text(&$0), storageKey: text(&$0)) }
    file.pythonFolders = texts(&generator)
    file.rFolders = texts(&generator)
    file.tasks = list(&generator) { randomTask(&$0) }
    file.graphs = list(&generator) { generator in
      let nodes = list(&generator) { generator in
        GraphDefinition.Node(
          task: text(&generator), dependencies: texts(&generator), arguments: arguments(&generator),
          mark: mark(&generator))
      }
      var graph = GraphDefinition(
        name: text(&generator), nodes: nodes, config: ConfigValue(text: text(&generator)), mark: mark(&generator))
      graph.findings = maybe(&generator) { diagnostics(&$0) }
      return graph
    }
    file.warnings = diagnostics(&generator)
    return file
  }

  private func randomTask(_ generator: inout SeededGenerator) -> TaskDefinition {
    var task = TaskDefinition(name: text(&generator), mark: mark(&generator))
    task.file = maybe(&generator) { text(&$0) }
    task.function = maybe(&generator) { text(&$0) }
    task.command = maybe(&generator) { Bool.random(using: &$0) ? .shell(text(&$0)) : .words(texts(&$0)) }
    task.code = texts(&generator)
    task.inputs = texts(&generator)
    task.outputs = texts(&generator)
    task.excludes = texts(&generator)
    task.environment = texts(&generator)
    task.tools = texts(&generator)
    task.arguments = arguments(&generator)
    task.cachesResult = Bool.random(using: &generator)
    task.iterableItem = texts(&generator)
    task.mapOver = texts(&generator)
    task.bundleSize = maybe(&generator) { Int.random(in: .min ... .max, using: &$0) }
    task.groupSize = maybe(&generator) { Int.random(in: 1...300, using: &$0) }
    task.prefixArguments = maybe(&generator) { text(&$0) }
    task.commandLineArguments = maybe(&generator) { text(&$0) }
    task.logs = maybe(&generator) { text(&$0) }
    task.tags = texts(&generator)
    task.timeoutMilliseconds = maybe(&generator) { Int64.random(in: .min ... .max, using: &$0) }
    task.retries = Int.random(in: 0...3, using: &generator)
    task.priority = Int.random(in: -200...200, using: &generator)
    task.isPure = Bool.random(using: &generator)
    task.keepsOutputs = Bool.random(using: &generator)
    return task
  }

  private func maybe<Value>(_ generator: inout SeededGenerator, _ make: (inout SeededGenerator) -> Value) -> Value? {
    Bool.random(using: &generator) ? make(&generator) : nil
  }

  private func list<Value>(_ generator: inout SeededGenerator, _ make: (inout SeededGenerator) -> Value) -> [Value] {
    (0..<Int.random(in: 0...4, using: &generator)).map { _ in make(&generator) }
  }

  private func text(_ generator: inout SeededGenerator) -> String {
    let length = Int.random(in: 0...3, using: &generator) == 0 ? 200 : 20
    return String(decoding: generator.bytes(upTo: length, from: Array("ab \n\0${}é".utf8)), as: UTF8.self)
  }

  private func texts(_ generator: inout SeededGenerator) -> [String] {
    list(&generator) { text(&$0) }
  }

  private func arguments(_ generator: inout SeededGenerator) -> [Argument] {
    list(&generator) { Argument(name: text(&$0), value: ConfigValue(text: text(&$0))) }
  }

  private func mark(_ generator: inout SeededGenerator) -> SourceMark {
    SourceMark(line: Int.random(in: 1...100_000, using: &generator), column: Int.random(in: 1...200, using: &generator))
  }

  private func diagnostics(_ generator: inout SeededGenerator) -> [Diagnostic] {
    list(&generator) { generator in
      let place = maybe(&generator) { mark(&$0) }
      let severity: Diagnostic.Severity = Bool.random(using: &generator) ? .error : .warning
      return Diagnostic(severity, text(&generator), at: place)
    }
  }
}
