import PurserModel

// A parsed file, to be kept by the digest of what it was parsed from. Not a format for exchange: another version is read
// as nothing, and the file is parsed again.
//
// Version 1: the version (u8), the dialect (u8), the strings, the file, a checksum of all before it (u64, little-endian).
// Numbers are LEB128, signed ones zigzag. The strings come first, each once: their count, their lengths, their bytes;
// everything else names them by place, and 0 stands for none. A task begins with a set of bits for the fields that it
// has. Measured, for 10,000 tasks of one input and one output: reading it takes a sixth of parsing the file, most of it
// for making strings and lists; a string table beside length-prefixed strings in place halves both size and time, since
// a task's name stands in the task, in its node and in what comes after it.

extension PipelineFile {
  private static let version: UInt8 = 1

  /// The compact form. O(size).
  public var encoded: [UInt8] {
    var encoder = Encoder()
    encoder.write(self)
    var writer = ByteWriter()
    writer.append(byte: Self.version)
    writer.append(byte: dialect.rawValue)
    writer.append(encoder.stringTable)
    writer.append(encoder.bytes)
    let checksum = writer.bytes.withUnsafeBytes { Checksum.of($0) }
    writer.append(littleEndian: checksum)
    return writer.bytes
  }

  /// Reads the compact form; `nil` for bytes of another version, or damaged ones. O(size).
  public init?(encoded: [UInt8]) {
    let file = encoded.withUnsafeBytes { bytes -> PipelineFile? in
      guard bytes.count >= 10, bytes[0] == Self.version, let dialect = Dialect(rawValue: bytes[1]) else { return nil }
      let end = bytes.count - 8
      let checksum = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: end, as: UInt64.self))
      guard Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<end])) == checksum else { return nil }
      var decoder = Decoder(bytes: UnsafeRawBufferPointer(rebasing: bytes[2..<end]))
      return decoder.readFile(dialect)
    }
    guard let file else { return nil }
    self = file
  }
}

/// Finds damage, not forgery: the file lies in a folder that only its user writes.
private enum Checksum {
  static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var state: UInt64 = 0x9e37_79b9_7f4a_7c15 ^ UInt64(bytes.count)
    var offset = 0
    while offset + 8 <= bytes.count {
      mix(&state, UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
      offset += 8
    }
    var rest: UInt64 = 0
    for byte in bytes[offset...] { rest = rest << 8 | UInt64(byte) }
    mix(&state, rest)
    return state
  }

  private static func mix(_ state: inout UInt64, _ word: UInt64) {
    let product = (state ^ word).multipliedFullWidth(by: 0xd6e8_feb8_6659_fd93)
    // The state itself goes on too, so that a product of zero does not forget what came before.
    state = (state << 7 | state >> 57) &+ (product.high ^ product.low)
  }
}

/// Which fields of a task follow.
private struct TaskFields: OptionSet {
  let rawValue: UInt64
  static let file = Self(rawValue: 1 << 0)
  static let function = Self(rawValue: 1 << 1)
  static let shell = Self(rawValue: 1 << 2)
  static let words = Self(rawValue: 1 << 3)
  static let code = Self(rawValue: 1 << 4)
  static let inputs = Self(rawValue: 1 << 5)
  static let outputs = Self(rawValue: 1 << 6)
  static let excludes = Self(rawValue: 1 << 7)
  static let environment = Self(rawValue: 1 << 8)
  static let tools = Self(rawValue: 1 << 9)
  static let arguments = Self(rawValue: 1 << 10)
  static let cachesResult = Self(rawValue: 1 << 11)
  static let iterableItem = Self(rawValue: 1 << 12)
  static let mapOver = Self(rawValue: 1 << 13)
  static let bundleSize = Self(rawValue: 1 << 14)
  static let groupSize = Self(rawValue: 1 << 15)
  static let prefixArguments = Self(rawValue: 1 << 16)
  static let commandLineArguments = Self(rawValue: 1 << 17)
  static let logs = Self(rawValue: 1 << 18)
  static let tags = Self(rawValue: 1 << 19)
  static let timeout = Self(rawValue: 1 << 20)
  static let retries = Self(rawValue: 1 << 21)
  static let priority = Self(rawValue: 1 << 22)
  static let isPure = Self(rawValue: 1 << 23)
  static let keepsOutputs = Self(rawValue: 1 << 24)
}

// MARK: Writing

private struct Encoder {
  private(set) var bytes: [UInt8] = []
  private var strings: [String] = []
  private var places: [String: Int] = [:]

  var stringTable: [UInt8] {
    var table = Encoder()
    table.write(strings.count)
    for string in strings { table.write(string.utf8.count) }
    for string in strings { table.bytes += string.utf8 }
    return table.bytes
  }

  private mutating func write(_ value: Int) {
    var rest = UInt64(bitPattern: Int64(value))
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  private mutating func write(signed value: Int) {
    write((value << 1) ^ (value >> (Int.bitWidth - 1)))
  }

  private mutating func write(_ string: String?) {
    guard let string else { return write(0) }
    if let place = places[string] { return write(place) }
    strings.append(string)
    places[string] = strings.count
    write(strings.count)
  }

  private mutating func write(_ list: [String]) {
    write(list.count)
    for string in list { write(string) }
  }

  private mutating func write(_ mark: SourceMark) {
    write(mark.line)
    write(mark.column)
  }

  private mutating func write(_ arguments: [Argument]) {
    write(arguments.count)
    for argument in arguments {
      write(argument.name)
      write(argument.value.text)
    }
  }

  mutating func write(_ file: PipelineFile) {
    write(file.cacheNamespace)
    write(file.pythonFolders)
    write(file.rFolders)
    write(file.tasks.count)
    for task in file.tasks { write(task) }
    write(file.graphs.count)
    for graph in file.graphs { write(graph) }
    write(file.warnings)
  }

  private mutating func write(_ diagnostics: [Diagnostic]) {
    write(diagnostics.count)
    for diagnostic in diagnostics {
      write(diagnostic.severity == .error ? 1 : 0)
      write(diagnostic.message)
      write(diagnostic.mark == nil ? 0 : 1)
      if let mark = diagnostic.mark { write(mark) }
    }
  }

  private mutating func write(_ graph: GraphDefinition) {
    write(graph.name)
    write(graph.config.text)
    write(graph.mark)
    write(graph.findings == nil ? 0 : 1)
    if let findings = graph.findings { write(findings) }
    write(graph.nodes.count)
    for node in graph.nodes {
      write(node.task)
      write(node.dependencies)
      write(node.arguments)
      write(node.mark)
    }
  }

  private mutating func write(_ task: TaskDefinition) {
    write(task.name)
    write(task.mark)
    write(Int(fields(of: task).rawValue))
    if let file = task.file { write(file) }
    if let function = task.function { write(function) }
    switch task.command {
    case .shell(let text)?: write(text)
    case .words(let words)?: write(words)
    case nil: break
    }
    for list in [task.code, task.inputs, task.outputs, task.excludes, task.environment, task.tools]
    where !list.isEmpty {
      write(list)
    }
    if !task.arguments.isEmpty { write(task.arguments) }
    if !task.iterableItem.isEmpty { write(task.iterableItem) }
    if !task.mapOver.isEmpty { write(task.mapOver) }
    for number in [task.bundleSize, task.groupSize] { if let number { write(signed: number) } }
    for text in [task.prefixArguments, task.commandLineArguments, task.logs] { if let text { write(text) } }
    if !task.tags.isEmpty { write(task.tags) }
    if let timeout = task.timeoutMilliseconds { write(signed: Int(timeout)) }
    for number in [task.retries, task.priority] where number != 0 { write(signed: number) }
  }

  private func fields(of task: TaskDefinition) -> TaskFields {
    var fields: TaskFields = []
    if task.file != nil { fields.insert(.file) }
    if task.function != nil { fields.insert(.function) }
    switch task.command {
    case .shell: fields.insert(.shell)
    case .words: fields.insert(.words)
    case nil: break
    }
    if !task.code.isEmpty { fields.insert(.code) }
    if !task.inputs.isEmpty { fields.insert(.inputs) }
    if !task.outputs.isEmpty { fields.insert(.outputs) }
    if !task.excludes.isEmpty { fields.insert(.excludes) }
    if !task.environment.isEmpty { fields.insert(.environment) }
    if !task.tools.isEmpty { fields.insert(.tools) }
    if !task.arguments.isEmpty { fields.insert(.arguments) }
    if task.cachesResult { fields.insert(.cachesResult) }
    if !task.iterableItem.isEmpty { fields.insert(.iterableItem) }
    if !task.mapOver.isEmpty { fields.insert(.mapOver) }
    if task.bundleSize != nil { fields.insert(.bundleSize) }
    if task.groupSize != nil { fields.insert(.groupSize) }
    if task.prefixArguments != nil { fields.insert(.prefixArguments) }
    if task.commandLineArguments != nil { fields.insert(.commandLineArguments) }
    if task.logs != nil { fields.insert(.logs) }
    if !task.tags.isEmpty { fields.insert(.tags) }
    if task.timeoutMilliseconds != nil { fields.insert(.timeout) }
    if task.retries != 0 { fields.insert(.retries) }
    if task.priority != 0 { fields.insert(.priority) }
    if task.isPure { fields.insert(.isPure) }
    if task.keepsOutputs { fields.insert(.keepsOutputs) }
    return fields
  }
}

// MARK: Reading

/// Reads what `Encoder` wrote. A read beyond the end, or of a string that there is not, gives nothing and remembers it, so
/// that the many reads need no test each.
private struct Decoder {
  let bytes: UnsafeRawBufferPointer
  private var offset = 0
  private var isDamaged = false
  private var strings: [String] = []

  init(bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
  }

  mutating func readFile(_ dialect: PipelineFile.Dialect) -> PipelineFile? {
    readStrings()
    var file = PipelineFile(dialect: dialect)
    file.cacheNamespace = readOptionalString()
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
    for length in lengths {
      guard length >= 0, length <= bytes.count - offset else {
        isDamaged = true
        return
      }
      strings.append(String(decoding: bytes[offset..<offset + length], as: UTF8.self))
      offset += length
    }
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
  private mutating func readList<Element>(_ read: (inout Decoder) -> Element) -> [Element] {
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
    let nodes = readList { decoder in
      let task = decoder.readString()
      let dependencies = decoder.readStringList()
      let arguments = decoder.readArguments()
      return GraphDefinition.Node(
        task: task, dependencies: dependencies, arguments: arguments, mark: decoder.readMark())
    }
    var graph = GraphDefinition(name: name, nodes: nodes, config: config, mark: mark)
    graph.findings = findings
    return graph
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
    task.isPure = fields.contains(.isPure)
    task.keepsOutputs = fields.contains(.keepsOutputs)
    return task
  }
}
