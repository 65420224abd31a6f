/// What a run produced: every file, link and folder of its declared outputs. Its digest is the `outputs_version`.
public struct OutputManifest: Sendable, Hashable {
  /// The declared outputs that were looked at: paths and globs, sorted. Whatever else they match later is not part of
  /// the result.
  public var patterns: [ByteString]
  /// Sorted by path, each path once, relative to the project root.
  public var entries: [Entry]

  /// What stands for the outputs in comparisons with other tasks': the patterns; for a mapped task, what its items made.
  public var places: [ByteString] { patterns.isEmpty ? entries.map(\.path) : patterns }

  /// Makes a manifest; sorts what it is given.
  public init(patterns: [ByteString] = [], entries: [Entry] = []) {
    self.patterns = patterns.sorted()
    self.entries = entries.sorted { $0.path < $1.path }
  }

  /// One thing on disk.
  public struct Entry: Sendable, Hashable {
    /// Relative to the project root.
    public var path: ByteString
    /// What it is.
    public var kind: Kind
    /// Permission bits (octal 07777); 0 for a link.
    public var mode: UInt32
    /// Of a file's bytes, of a link's target text; of no bytes for a folder.
    public var digest: Digest
    /// In bytes; a link's is the length of its target text, a folder's is 0.
    public var size: UInt64

    /// Makes an entry.
    public init(path: ByteString, kind: Kind, mode: UInt32, digest: Digest, size: UInt64) {
      self.path = path
      self.kind = kind
      self.mode = mode
      self.digest = digest
      self.size = size
    }
  }

  /// The types that can be restored. The raw value is part of the format.
  public enum Kind: UInt8, Sendable {
    case file = 1
    case link = 2
    case directory = 3
  }
}

// Format, version 1: a version byte; the number of patterns (u64), and each with its length (u64) before it; then per
// entry, sorted by path: kind (1 byte), mode (u32), size (u64), digest (32 bytes), length of the path (u64), path.
// Integers are little-endian. The entry count is not stored: the encoding ends where the entries do, and anything left
// over is damage. The `outputs_version` is a digest of the entries alone: declaring the same files in other words does
// not change what a dependent sees.
extension OutputManifest {
  static var formatVersion: UInt8 { 1 }

  /// The manifest as bytes: as stored with a result.
  public var encoded: [UInt8] {
    var writer = ByteWriter()
    writer.append(byte: Self.formatVersion)
    writer.append(littleEndian: UInt64(patterns.count))
    for pattern in patterns { writer.append(lengthPrefixed: pattern.bytes) }
    writer.append(encodedEntries)
    return writer.bytes
  }

  /// The entries as bytes: hashed for the `outputs_version`.
  public var encodedEntries: [UInt8] {
    var writer = ByteWriter()
    for entry in entries {
      writer.append(byte: entry.kind.rawValue)
      writer.append(littleEndian: entry.mode)
      writer.append(littleEndian: entry.size)
      writer.append(entry.digest)
      writer.append(lengthPrefixed: entry.path.bytes)
    }
    return writer.bytes
  }

  /// Reads ``encoded`` back; `nil` for anything damaged, unsorted or of another version.
  public init?(encoded: [UInt8]) {
    var reader = ByteReader(encoded)
    guard reader.readByte() == Self.formatVersion, let patternCount: UInt64 = reader.readInteger() else { return nil }
    var patterns: [ByteString] = []
    for _ in 0..<min(patternCount, UInt64(encoded.count)) {
      guard let pattern = reader.readLengthPrefixed() else { return nil }
      patterns.append(ByteString(bytes: pattern))
    }
    var entries: [Entry] = []
    while !reader.isAtEnd {
      guard let kind = reader.readByte().flatMap(Kind.init), let mode: UInt32 = reader.readInteger(),
        let size: UInt64 = reader.readInteger(), let digest = reader.readDigest(),
        let path = reader.readLengthPrefixed()
      else { return nil }
      let entry = Entry(path: ByteString(bytes: path), kind: kind, mode: mode, digest: digest, size: size)
      if let last = entries.last, !(last.path < entry.path) { return nil }
      entries.append(entry)
    }
    self.patterns = patterns
    self.entries = entries
  }
}
