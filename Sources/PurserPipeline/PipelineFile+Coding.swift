import PurserModel

// A parsed file, to be kept by the digest of what it was parsed from. Not a format for exchange: another version is
// read as nothing, and the file is parsed again.
//
// Version 5: the version (u8), the dialect (u8), the strings, the file, a checksum of all before it (u64,
// little-endian). Numbers are LEB128, signed ones zigzag. The strings come first, each once: their count, their
// lengths, their bytes; everything else names them by place, and 0 stands for none. A task begins with a set of bits
// for the fields that it has. Measured, for 10,000 tasks of one input, one output and two dependencies: 0.5 MB, 5 ms to
// read, where parsing and checking the file takes 125 ms.

extension PipelineFile {
  private static let version: UInt8 = 5

  /// The compact form. O(size).
  public var encoded: [UInt8] {
    var encoder = PipelineEncoder()
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
      var decoder = PipelineDecoder(bytes: UnsafeRawBufferPointer(rebasing: bytes[2..<end]))
      return decoder.readFile(dialect)
    }
    guard let file else { return nil }
    self = file
  }
}

/// A task as a graph has it: what the file says of it, and where it stands in the graph.
public struct GraphMember: Sendable, Hashable {
  /// The task.
  public var definition: TaskDefinition
  /// Where it stands.
  public var node: GraphDefinition.Node

  /// Makes a member.
  public init(definition: TaskDefinition, node: GraphDefinition.Node) {
    self.definition = definition
    self.node = node
  }
}

extension GraphMember {
  /// Reads what a ``GraphMemberEncoder`` has written of one; `nil` for damaged bytes. O(size).
  public init?(encoded: UnsafeRawBufferPointer) {
    var decoder = PipelineDecoder(bytes: encoded, hasInlineStrings: true)
    guard let member = decoder.readMember() else { return nil }
    self = member
  }
}

/// Writes tasks of a graph, each so that it can be read without the others: the task and the node as in
/// ``PipelineFile/encoded``, but with each string where it is used, its length and one more before it.
public struct GraphMemberEncoder {
  private var encoder = PipelineEncoder(hasInlineStrings: true)

  /// Starts empty.
  public init() {}

  /// What has been written, one after the other.
  public var bytes: [UInt8] { encoder.bytes }

  /// Adds a task. O(size).
  public mutating func append(_ definition: TaskDefinition, _ node: GraphDefinition.Node) {
    encoder.write(definition)
    encoder.write(node)
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
