// The encoding of a value, version 1: a type byte (0 absent, 1 text, 2 file, 3 executable file, 4 digest, 5 list),
// then the text, or the 32 bytes of the digest, or for each element of the list its length (u64, little-endian) and
// its bytes. It enters the action key, and stands in the store's `components.value`.
extension Component.Value {
  /// The value as bytes.
  public var encoded: [UInt8] {
    var writer = ByteWriter()
    switch self {
    case .absent:
      writer.append(byte: 0)
    case .text(let text):
      writer.append(byte: 1)
      writer.append(text.bytes)
    case .file(let digest, let isExecutable):
      writer.append(byte: isExecutable ? 3 : 2)
      writer.append(digest)
    case .digest(let digest):
      writer.append(byte: 4)
      writer.append(digest)
    case .list(let items):
      writer.append(byte: 5)
      for item in items { writer.append(lengthPrefixed: item.bytes) }
    }
    return writer.bytes
  }

  /// Reads ``encoded`` back; `nil` for anything damaged.
  public init?(encoded bytes: [UInt8]) {
    var reader = ByteReader(bytes)
    switch reader.readByte() {
    case 0:
      self = .absent
    case 1:
      self = .text(ByteString(bytes.dropFirst()))
      return
    case let type where type == 2 || type == 3:
      guard let digest = reader.readDigest() else { return nil }
      self = .file(digest, isExecutable: type == 3)
    case 4:
      guard let digest = reader.readDigest() else { return nil }
      self = .digest(digest)
    case 5:
      var items: [ByteString] = []
      while !reader.isAtEnd {
        guard let item = reader.readLengthPrefixed() else { return nil }
        items.append(ByteString(bytes: item))
      }
      self = .list(items)
    default:
      return nil
    }
    guard reader.isAtEnd else { return nil }
  }
}
