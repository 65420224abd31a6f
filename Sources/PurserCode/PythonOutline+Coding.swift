import PurserModel

// As it is kept: whole numbers in LEB128, bounds-checked when read, for the file may be damaged. A change here, or in
// what the outline says, takes another `SummaryCache.version`.
extension PythonOutline {
  var encoded: [UInt8] {
    var writer = ByteWriter()
    writer.append(number: names.count)
    for name in names {
      writer.append(number: name.count)
      writer.append(name.bytes)
    }
    writer.append(number: paths.count)
    for path in paths {
      writer.append(number: path.parent + 1)
      writer.append(number: path.name)
    }
    writer.append(number: units.count)
    for unit in units { Self.append(unit, to: &writer) }
    Self.append(refusal, to: &writer)
    return writer.bytes
  }

  private static func append(_ unit: Unit, to writer: inout ByteWriter) {
    writer.append(number: unit.line)
    writer.append(unit.digest)
    writer.append(byte: unit.traits.rawValue)
    writer.append(numbers: unit.binds)
    writer.append(number: unit.uses.count)
    for use in unit.uses {
      writer.append(number: use.path)
      writer.append(byte: use.modes.rawValue)
    }
    writer.append(number: unit.imports.count)
    for item in unit.imports {
      writer.append(byte: item.kind.rawValue | (item.isImmediate ? 0x80 : 0))
      writer.append(numbers: item.path)
      writer.append(number: item.level)
      writer.append(number: (item.member ?? -1) + 1)
      writer.append(number: (item.binding ?? -1) + 1)
    }
    writer.append(numbers: unit.decorators)
    writer.append(numbers: unit.words)
    writer.append(number: unit.reflections.count)
    for reflection in unit.reflections {
      writer.append(number: reflection.name)
      writer.append(number: reflection.line)
    }
    append(unit.obstacle, to: &writer)
  }

  private static func append(_ remark: References.Remark?, to writer: inout ByteWriter) {
    writer.append(byte: remark == nil ? 0 : 1)
    guard let remark else { return }
    writer.append(number: remark.line)
    writer.append(number: remark.message.utf8.count)
    writer.append(Array(remark.message.utf8))
  }

  init?(encoded: [UInt8]) {
    var reader = ByteReader(encoded)
    guard let nameCount = reader.readNumber() else { return nil }
    for _ in 0..<nameCount {
      guard let count = reader.readNumber(), let name = reader.readBytes(count) else { return nil }
      names.append(ByteString(bytes: name))
    }
    guard let pathCount = reader.readNumber() else { return nil }
    for number in 0..<pathCount {
      // A parent stands before its children, so that no path leads back to itself.
      guard let parent = reader.readNumber(below: number + 1), let name = reader.readNumber(below: names.count)
      else { return nil }
      paths.append(Path(parent: parent - 1, name: name))
    }
    guard let unitCount = reader.readNumber() else { return nil }
    for _ in 0..<unitCount {
      guard let unit = readUnit(&reader) else { return nil }
      units.append(unit)
    }
    guard Self.read(&refusal, &reader), reader.isAtEnd else { return nil }
  }

  /// Reads a remark that may not be there; `false` for anything else.
  private static func read(_ remark: inout References.Remark?, _ reader: inout ByteReader) -> Bool {
    switch reader.readByte() {
    case 0?: return true
    case 1?:
      guard let line = reader.readNumber(), let count = reader.readNumber(), let text = reader.readBytes(count) else {
        return false
      }
      remark = References.Remark(line: line, String(decoding: text, as: UTF8.self))
      return true
    default: return false
    }
  }

  private func readUnit(_ reader: inout ByteReader) -> Unit? {
    guard let line = reader.readNumber(), let digest = reader.readDigest(), let traits = reader.readByte(),
      let binds = reader.readNumbers(below: names.count), let useCount = reader.readNumber()
    else { return nil }
    var unit = Unit(line: line, digest: digest, traits: Traits(rawValue: traits), binds: binds)
    for _ in 0..<useCount {
      guard let path = reader.readNumber(below: paths.count), let modes = reader.readByte() else { return nil }
      unit.uses.append(Use(path: path, modes: Modes(rawValue: modes)))
    }
    guard let importCount = reader.readNumber() else { return nil }
    for _ in 0..<importCount {
      guard let item = readImport(&reader) else { return nil }
      unit.imports.append(item)
    }
    guard let decorators = reader.readNumbers(below: paths.count), let words = reader.readNumbers(below: names.count),
      let reflectionCount = reader.readNumber()
    else { return nil }
    unit.decorators = decorators
    unit.words = words
    for _ in 0..<reflectionCount {
      guard let name = reader.readNumber(below: names.count), let line = reader.readNumber() else { return nil }
      unit.reflections.append(Reflection(name: name, line: line))
    }
    guard Self.read(&unit.obstacle, &reader) else { return nil }
    return unit
  }

  private func readImport(_ reader: inout ByteReader) -> Import? {
    guard let first = reader.readByte(), let kind = Import.Kind(rawValue: first & 0x7f),
      let path = reader.readNumbers(below: names.count), let level = reader.readNumber(),
      let member = reader.readNumber(below: names.count + 1), let binding = reader.readNumber(below: names.count + 1),
      level > 0 || !path.isEmpty, kind != .member || member > 0
    else { return nil }
    return Import(
      kind: kind, path: path, level: level, member: member > 0 ? member - 1 : nil,
      binding: binding > 0 ? binding - 1 : nil, isImmediate: first & 0x80 != 0)
  }
}

extension ByteWriter {
  /// A number from 0, in LEB128.
  fileprivate mutating func append(number: Int) {
    var rest = UInt(bitPattern: number)
    while rest >= 0x80 {
      append(byte: UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(byte: UInt8(truncatingIfNeeded: rest))
  }

  fileprivate mutating func append(numbers: [Int]) {
    append(number: numbers.count)
    for number in numbers { append(number: number) }
  }
}

extension ByteReader {
  /// A number from 0 to 2³¹ - 1.
  fileprivate mutating func readNumber() -> Int? {
    var number = 0
    var shift = 0
    while let byte = readByte() {
      guard shift <= 28 else { return nil }
      number |= Int(byte & 0x7f) << shift
      shift += 7
      if byte < 0x80 { return number <= Int(Int32.max) ? number : nil }
    }
    return nil
  }

  fileprivate mutating func readNumber(below limit: Int) -> Int? {
    readNumber().flatMap { $0 < limit ? $0 : nil }
  }

  fileprivate mutating func readNumbers(below limit: Int) -> [Int]? {
    guard let count = readNumber() else { return nil }
    var numbers: [Int] = []
    for _ in 0..<count {
      guard let number = readNumber(below: limit) else { return nil }
      numbers.append(number)
    }
    return numbers
  }
}
