/// What a run of a task did with the files of the project, as its system calls told.
public struct TaskTrace: Sendable, Hashable {
  /// What was done with a file or folder.
  public enum Use: UInt8, Sendable, CaseIterable {
    /// Opened for reading.
    case read = 1
    /// A folder whose names were read.
    case listed = 2
    /// Looked for, and not there.
    case missing = 3
    /// Made, changed, moved or removed.
    case written = 4
  }

  /// One file, and what was done with it.
  public struct Entry: Sendable, Hashable {
    /// Its path from the project's root.
    public var path: ByteString
    /// What was done.
    public var use: Use
    /// Whether the task's declaration covers it.
    public var isDeclared: Bool

    /// Makes an entry.
    public init(path: ByteString, use: Use, isDeclared: Bool) {
      self.path = path
      self.use = use
      self.isDeclared = isDeclared
    }
  }

  /// By use, then by path.
  public var entries: [Entry]
  /// Why it is not all, for a message; `nil` if it is.
  public var gap: String?

  /// Makes a trace.
  public init(entries: [Entry], gap: String? = nil) {
    self.entries = entries
    self.gap = gap
  }

  /// The paths that were used so and are not declared.
  public func undeclared(_ use: Use) -> [ByteString] {
    entries.filter { $0.use == use && !$0.isDeclared }.map(\.path)
  }
}

// Format, version 1, integers little-endian: version (u32); whether there is a gap (u8), and its text, length-prefixed;
// then each entry: the use, and 128 more where it is declared (u8), and the path, length-prefixed.
extension TaskTrace {
  private static let version: UInt32 = 1
  private static let declared: UInt8 = 0x80

  /// The trace as it is stored.
  public var encoded: [UInt8] {
    var writer = ByteWriter()
    writer.append(littleEndian: Self.version)
    writer.append(byte: gap == nil ? 0 : 1)
    if let gap { writer.append(lengthPrefixed: Array(gap.utf8)) }
    for entry in entries {
      writer.append(byte: entry.use.rawValue | (entry.isDeclared ? Self.declared : 0))
      writer.append(lengthPrefixed: entry.path.bytes)
    }
    return writer.bytes
  }

  /// Reads ``encoded`` back; `nil` for anything damaged, or of another version.
  public init?(encoded bytes: [UInt8]) {
    var reader = ByteReader(bytes)
    guard reader.readInteger() == Self.version, let hasGap = reader.readByte() else { return nil }
    self.init(entries: [])
    if hasGap == 1 {
      guard let text = reader.readLengthPrefixed() else { return nil }
      gap = String(decoding: text, as: UTF8.self)
    }
    while !reader.isAtEnd {
      guard let flags = reader.readByte(), let use = Use(rawValue: flags & ~Self.declared),
        let path = reader.readLengthPrefixed()
      else { return nil }
      entries.append(Entry(path: ByteString(bytes: path), use: use, isDeclared: flags & Self.declared != 0))
    }
  }
}

// Components by themselves, as they stand beside a result: each its tag (u8), name and value, both length-prefixed.
extension [Component] {
  /// The components as bytes.
  public var encoded: [UInt8] {
    var writer = ByteWriter()
    for component in self {
      writer.append(byte: component.tag.rawValue)
      writer.append(lengthPrefixed: component.name.bytes)
      writer.append(lengthPrefixed: component.value.encoded)
    }
    return writer.bytes
  }

  /// Reads ``encoded`` back; `nil` for anything damaged.
  public init?(encoded bytes: [UInt8]) {
    self = []
    var reader = ByteReader(bytes)
    while !reader.isAtEnd {
      guard let tag = reader.readByte().flatMap(Component.Tag.init), let name = reader.readLengthPrefixed(),
        let value = reader.readLengthPrefixed().flatMap({ Component.Value(encoded: $0) })
      else { return nil }
      append(Component(tag, ByteString(bytes: name), value))
    }
  }
}
