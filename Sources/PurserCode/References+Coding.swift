import PurserModel

// As they are kept: bounds-checked when read, for the file may be damaged. A change here, or in what a scanner finds,
// takes another `SummaryCache.version`.
//
//     number of uses u32; each: length u32, the use
//     number of remarks u32; each: line u32, message
//     the exports
//
// A text is its length (u32) and its bytes, a list its length and its elements. Uses have lengths, so that they can be
// compared with those that are known already without being read.
extension References {
  var encoded: [UInt8] {
    var writer = ByteWriter()
    writer.append(littleEndian: UInt32(uses.count))
    for use in uses { writer.append(text: use.encoded) }
    writer.append(littleEndian: UInt32(remarks.count))
    for remark in remarks {
      writer.append(littleEndian: UInt32(clamping: remark.line))
      writer.append(text: Array(remark.message.utf8))
    }
    writer.append(texts: exports)
    return writer.bytes
  }

  /// Reads the encoded form: the uses by their numbers in a table, and the rest. `nil` if it is damaged.
  static func decode(
    _ encoded: [UInt8], _ table: UseTable
  ) -> (uses: [Int], remarks: [Remark], exports: [ByteString])? {
    var offset = 4
    var uses: [Int] = []
    let isWhole = encoded.withUnsafeBytes { bytes -> Bool in
      func word(_ offset: Int) -> Int? {
        guard bytes.count - offset >= 4 else { return nil }
        return Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
      }
      guard let count = word(0), count <= bytes.count / 4 else { return false }
      uses.reserveCapacity(count)
      for _ in 0..<count {
        guard let length = word(offset), length <= bytes.count - offset - 4,
          let number = table.number(UnsafeRawBufferPointer(rebasing: bytes[offset + 4..<offset + 4 + length]))
        else { return false }
        uses.append(number)
        offset += 4 + length
      }
      return true
    }
    guard isWhole else { return nil }
    // Nearly always nothing follows.
    if encoded.count - offset == 8, encoded[offset...].allSatisfy({ $0 == 0 }) { return (uses, [], []) }
    var reader = ByteReader(Array(encoded[offset...]))
    var remarks: [Remark] = []
    guard let count: UInt32 = reader.readInteger() else { return nil }
    for _ in 0..<count {
      guard let line: UInt32 = reader.readInteger(), let message = reader.readText() else { return nil }
      remarks.append(Remark(line: Int(line), message.escaped))
    }
    guard let exports = reader.readTexts(), reader.isAtEnd else { return nil }
    return (uses, remarks, exports)
  }
}

extension References.Use {
  var encoded: [UInt8] {
    var writer = ByteWriter()
    switch self {
    case .module(let path, let level, let names):
      writer.append(byte: 1)
      writer.append(littleEndian: UInt32(clamping: level))
      writer.append(texts: path)
      writer.append(texts: names)
    case .file(let path, let base):
      writer.append(byte: 2)
      writer.append(byte: base.rawValue)
      writer.append(text: path.bytes)
    case .searchFolder(let path, let base):
      writer.append(byte: 3)
      writer.append(byte: base.rawValue)
      writer.append(text: path.bytes)
    }
    return writer.bytes
  }

  init?(encoded: [UInt8]) {
    var reader = ByteReader(encoded)
    switch reader.readByte() {
    case 1?:
      guard let level: UInt32 = reader.readInteger(), let path = reader.readTexts(), let names = reader.readTexts()
      else { return nil }
      self = .module(path: path, level: Int(level), names: names)
    case 2?:
      guard let base = reader.readByte().flatMap(References.Base.init), let path = reader.readText() else { return nil }
      self = .file(path, from: base)
    case 3?:
      guard let base = reader.readByte().flatMap(References.Base.init), let path = reader.readText() else { return nil }
      self = .searchFolder(path, from: base)
    default: return nil
    }
    guard reader.isAtEnd else { return nil }
  }
}

extension ByteWriter {
  /// A length (u32), then the bytes.
  mutating func append(text: [UInt8]) {
    append(littleEndian: UInt32(text.count))
    append(text)
  }

  /// A number (u32), then texts.
  mutating func append(texts: [ByteString]) {
    append(littleEndian: UInt32(texts.count))
    for text in texts { append(text: text.bytes) }
  }
}

extension ByteReader {
  mutating func readText() -> ByteString? {
    guard let count: UInt32 = readInteger() else { return nil }
    return readBytes(Int(count)).map { ByteString(bytes: $0) }
  }

  mutating func readTexts() -> [ByteString]? {
    guard let count: UInt32 = readInteger() else { return nil }
    var texts: [ByteString] = []
    for _ in 0..<count {
      guard let text = readText() else { return nil }
      texts.append(text)
    }
    return texts
  }
}
