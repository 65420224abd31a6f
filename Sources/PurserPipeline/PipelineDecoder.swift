/// Reads what ``PipelineEncoder`` wrote. A read beyond the end, or of a string that there is not, gives nothing and
/// remembers it, so that the many reads need no test each.
struct PipelineDecoder {
  let bytes: UnsafeRawBufferPointer
  private var offset = 0
  private var isDamaged = false
  private let hasInlineStrings: Bool
  private var strings: [String] = []

  init(bytes: UnsafeRawBufferPointer, hasInlineStrings: Bool = false) {
    self.bytes = bytes
    self.hasInlineStrings = hasInlineStrings
  }

  mutating func readFile(_ dialect: PipelineFile.Dialect) -> PipelineFile? {
    readStrings()
    var file = PipelineFile(dialect: dialect)
    file.cacheNamespace = readOptionalString()
    file.sourceRoots = readStringList()
    file.storageKeys = readList { decoder in
      let branch = decoder.readString()
      return StorageKeyRule(branch: branch, storageKey: decoder.readString())
    }
    file.commonCode = readStringList()
    file.codeDigest = readMode()
    let milliseconds = Int64(readSigned())
    file.snapshotMilliseconds = milliseconds > 0 ? milliseconds : nil
    file.pythonFolders = readStringList()
    file.rFolders = readStringList()
    file.tasks = readList { $0.readTask() }
    file.graphs = readList { $0.readGraph() }
    file.warnings = readDiagnostics()
    return isDamaged || offset != bytes.count ? nil : file
  }

  private mutating func readDiagnostics() -> [Diagnostic] {
    readList { decoder in
      let severity: Diagnostic.Severity = decoder.readNumber() == 1 ? .error : .warning
      let message = decoder.readString()
      return Diagnostic(severity, message, at: decoder.readNumber() == 0 ? nil : decoder.readMark())
    }
  }

  private mutating func readStrings() {
    let lengths = readList { $0.readNumber() }
    strings.reserveCapacity(lengths.count)
    for length in lengths where !isDamaged { strings.append(readText(length)) }
  }

  private mutating func readText(_ length: Int) -> String {
    guard length >= 0, length <= bytes.count - offset else {
      isDamaged = true
      return ""
    }
    defer { offset += length }
    return String(decoding: bytes[offset..<offset + length], as: UTF8.self)
  }

  private mutating func readNumber() -> Int {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while offset < bytes.count, shift < 64 {
      let byte = bytes[offset]
      offset += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return Int(truncatingIfNeeded: value) }
      shift += 7
    }
    isDamaged = true
    return 0
  }

  private mutating func readSigned() -> Int {
    let value = UInt(bitPattern: readNumber())
    return Int(bitPattern: value >> 1) ^ -Int(bitPattern: value & 1)
  }

  private mutating func readOptionalString() -> String? {
    let place = readNumber()
    if place == 0 { return nil }
    if hasInlineStrings { return readText(place - 1) }
    guard place > 0, place <= strings.count else {
      isDamaged = true
      return nil
    }
    return strings[place - 1]
  }

  private mutating func readString() -> String {
    guard let string = readOptionalString() else {
      isDamaged = true
      return ""
    }
    return string
  }

  /// Every element takes at least a byte, so that a damaged count cannot ask for more than there is.
  private mutating func readList<Element>(_ read: (inout PipelineDecoder) -> Element) -> [Element] {
    let count = readNumber()
    guard count >= 0, count <= bytes.count - offset else {
      isDamaged = true
      return []
    }
    if count == 0 { return [] }
    var result: [Element] = []
    result.reserveCapacity(count)
    for _ in 0..<count where !isDamaged { result.append(read(&self)) }
    return result
  }

  private mutating func readStringList() -> [String] {
    readList { $0.readString() }
  }

  private mutating func readArguments() -> [Argument] {
    readList { decoder in
      let name = decoder.readString()
      return Argument(name: name, value: ConfigValue(text: decoder.readString()))
    }
  }

  private mutating func readMark() -> SourceMark {
    let line = readNumber()
    return SourceMark(line: line, column: readNumber())
  }

  private mutating func readGraph() -> GraphDefinition {
    let name = readString()
    let config = ConfigValue(text: readString())
    let mark = readMark()
    let findings = readNumber() == 0 ? nil : readDiagnostics()
    let nodes = readList { $0.readNode() }
    var graph = GraphDefinition(name: name, nodes: nodes, config: config, mark: mark)
    graph.findings = findings
    return graph
  }

  private mutating func readNode() -> GraphDefinition.Node {
    let task = readString()
    let dependencies = readStringList()
    let arguments = readArguments()
    return GraphDefinition.Node(task: task, dependencies: dependencies, arguments: arguments, mark: readMark())
  }

  mutating func readMember() -> GraphMember? {
    let member = GraphMember(definition: readTask(), node: readNode())
    return isDamaged || offset != bytes.count ? nil : member
  }

  private mutating func readMode() -> CodeDigestMode? {
    guard let text = readOptionalString() else { return nil }
    let mode = CodeDigestMode(rawValue: text)
    if mode == nil { isDamaged = true }
    return mode
  }

  private mutating func readTask() -> TaskDefinition {
    let name = readString()
    var task = TaskDefinition(name: name, mark: readMark())
    let fields = TaskFields(rawValue: UInt64(bitPattern: Int64(readNumber())))
    if fields.contains(.file) { task.file = readString() }
    if fields.contains(.function) { task.function = readString() }
    if fields.contains(.shell) { task.command = .shell(readString()) }
    if fields.contains(.words) { task.command = .words(readStringList()) }
    if fields.contains(.code) { task.code = readStringList() }
    if fields.contains(.inputs) { task.inputs = readStringList() }
    if fields.contains(.outputs) { task.outputs = readStringList() }
    if fields.contains(.excludes) { task.excludes = readStringList() }
    if fields.contains(.environment) { task.environment = readStringList() }
    if fields.contains(.tools) { task.tools = readStringList() }
    if fields.contains(.arguments) { task.arguments = readArguments() }
    task.cachesResult = fields.contains(.cachesResult)
    if fields.contains(.iterableItem) { task.iterableItem = readStringList() }
    if fields.contains(.mapOver) { task.mapOver = readStringList() }
    if fields.contains(.bundleSize) { task.bundleSize = readSigned() }
    if fields.contains(.groupSize) { task.groupSize = readSigned() }
    if fields.contains(.prefixArguments) { task.prefixArguments = readString() }
    if fields.contains(.commandLineArguments) { task.commandLineArguments = readString() }
    if fields.contains(.logs) { task.logs = readString() }
    if fields.contains(.tags) { task.tags = readStringList() }
    if fields.contains(.timeout) { task.timeoutMilliseconds = Int64(readSigned()) }
    if fields.contains(.retries) { task.retries = readSigned() }
    if fields.contains(.priority) { task.priority = readSigned() }
    if fields.contains(.codeDigest) { task.codeDigest = readMode() }
    if fields.contains(.dependencyFile) { task.dependencyFile = readString() }
    if fields.contains(.tracing) {
      task.tracing = TracingMode(rawValue: readString())
      if task.tracing == nil { isDamaged = true }
    }
    task.findsInputs = fields.contains(.findsInputs)
    task.isPure = fields.contains(.isPure)
    task.keepsOutputs = fields.contains(.keepsOutputs)
    return task
  }
}
