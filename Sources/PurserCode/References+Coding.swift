import PurserModel

// As they are kept: bounds-checked when read, for the file may be damaged. A change here, or in what a scanner finds,
// takes another `SummaryCache.version`.
extension References {
  var encoded: [UInt8] {
    var writer = ByteWriter()
    writer.append(littleEndian: UInt32(uses.count))
    for use in uses {
      switch use {
      case .module(let path, let level, let names):
        writer.append(byte: 1)
        writer.append(littleEndian: UInt32(clamping: level))
        Self.append(path, to: &writer)
        Self.append(names, to: &writer)
      case .file(let path, let base):
        writer.append(byte: 2)
        writer.append(byte: base.rawValue)
        Self.append(path, to: &writer)
      case .searchFolder(let path, let base):
        writer.append(byte: 3)
        writer.append(byte: base.rawValue)
        Self.append(path, to: &writer)
      }
    }
    writer.append(littleEndian: UInt32(remarks.count))
    for remark in remarks {
      writer.append(littleEndian: UInt32(clamping: remark.line))
      Self.append(ByteString(remark.message), to: &writer)
    }
    Self.append(exports, to: &writer)
    return writer.bytes
  }

  private static func append(_ text: ByteString, to writer: inout ByteWriter) {
    writer.append(littleEndian: UInt32(text.count))
    writer.append(text.bytes)
  }

  private static func append(_ texts: [ByteString], to writer: inout ByteWriter) {
    writer.append(littleEndian: UInt32(texts.count))
    for text in texts { append(text, to: &writer) }
  }

  init?(encoded: [UInt8]) {
    self.init()
    var reader = ByteReader(encoded)
    guard let useCount: UInt32 = reader.readInteger() else { return nil }
    for _ in 0..<useCount {
      switch reader.readByte() {
      case 1?:
        guard let level: UInt32 = reader.readInteger(), let path = Self.texts(&reader), let names = Self.texts(&reader)
        else { return nil }
        uses.append(.module(path: path, level: Int(level), names: names))
      case 2?:
        guard let base = reader.readByte().flatMap(Base.init), let path = Self.text(&reader) else { return nil }
        uses.append(.file(path, from: base))
      case 3?:
        guard let base = reader.readByte().flatMap(Base.init), let path = Self.text(&reader) else { return nil }
        uses.append(.searchFolder(path, from: base))
      default: return nil
      }
    }
    guard let remarkCount: UInt32 = reader.readInteger() else { return nil }
    for _ in 0..<remarkCount {
      guard let line: UInt32 = reader.readInteger(), let message = Self.text(&reader) else { return nil }
      remarks.append(Remark(line: Int(line), message.escaped))
    }
    guard let exports = Self.texts(&reader), reader.isAtEnd else { return nil }
    self.exports = exports
  }

  private static func text(_ reader: inout ByteReader) -> ByteString? {
    guard let count: UInt32 = reader.readInteger() else { return nil }
    return reader.readBytes(Int(count)).map { ByteString(bytes: $0) }
  }

  private static func texts(_ reader: inout ByteReader) -> [ByteString]? {
    guard let count: UInt32 = reader.readInteger() else { return nil }
    var texts: [ByteString] = []
    for _ in 0..<count {
      guard let text = text(&reader) else { return nil }
      texts.append(text)
    }
    return texts
  }
}
