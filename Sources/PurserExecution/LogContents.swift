/// A captured log, encoded as frames: one byte for the stream (1 or 2), the length as 32 bits little-endian, the bytes.
///
/// Frames stand in order of arrival; the boundaries between two frames of one stream carry no meaning.
package enum LogContents: Sendable {
  /// The whole log.
  case memory([UInt8])
  /// The first `size` bytes of a file. Read it with `pread`: where the descriptor stands is not defined.
  case file(descriptor: Int32, size: Int64)

  /// The encoded size in bytes.
  package var size: Int64 {
    switch self {
    case .memory(let bytes): Int64(bytes.count)
    case .file(_, let size): size
    }
  }
}
