import Glibc
import PurserModel

/// Takes the frames of a captured log apart, in constant memory.
enum LogReader {
  /// Where the encoded bytes are; what is asked for is given by a pointer that holds until the next time.
  private enum Source {
    case memory(UnsafeRawBufferPointer)
    case file(descriptor: Int32, buffer: UnsafeMutableRawBufferPointer)

    func bytes(at offset: Int64, count: Int) throws -> UnsafeRawBufferPointer {
      switch self {
      case .memory(let log):
        return UnsafeRawBufferPointer(rebasing: log[Int(offset)..<Int(offset) + count])
      case .file(let descriptor, let buffer):
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        try fill(part, from: descriptor, at: offset)
        return UnsafeRawBufferPointer(part)
      }
    }
  }

  private static let bufferSize = 1 << 16

  /// Gives the bytes of each frame to `body`, with their stream, in one piece or several.
  ///
  /// A frame is checked before `body` gets any of it.
  ///
  /// - Parameter skipping: tells, of a frame of a stream and a length, how many bytes at its beginning to leave out.
  /// - Throws: ``LogFormatError`` on damage; ``ExecutionError`` if reading fails; what `body` throws.
  static func read(
    _ contents: LogContents, skipping: (UInt8, Int64) -> Int64, _ body: (UInt8, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    switch contents {
    case .memory(let bytes):
      try bytes.withUnsafeBytes { try read(.memory($0), size: Int64($0.count), skipping, body) }
    case .file(let descriptor, let size):
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferSize, alignment: 16)
      defer { buffer.deallocate() }
      try read(.file(descriptor: descriptor, buffer: buffer), size: size, skipping, body)
    }
  }

  private static func read(
    _ source: Source, size: Int64, _ skipping: (UInt8, Int64) -> Int64,
    _ body: (UInt8, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    var offset: Int64 = 0
    while offset < size {
      let start = offset
      guard size - start >= Int64(LogSpool.headerSize) else {
        throw LogFormatError(offset: start, problem: .truncated)
      }
      let (stream, length) = header(try source.bytes(at: start, count: LogSpool.headerSize))
      guard stream == 1 || stream == 2 else {
        throw LogFormatError(offset: start, problem: .unknownStream(stream))
      }
      offset += Int64(LogSpool.headerSize)
      guard length <= size - offset else { throw LogFormatError(offset: start, problem: .truncated) }
      let end = offset + length
      offset += skipping(stream, length)
      while offset < end {
        let count = Int(min(end - offset, Int64(bufferSize)))
        try body(stream, try source.bytes(at: offset, count: count))
        offset += Int64(count)
      }
    }
  }

  /// What the header of a frame says: the stream, and how many bytes of it follow.
  static func header(_ bytes: UnsafeRawBufferPointer) -> (stream: UInt8, length: Int64) {
    (bytes[0], (1...4).reduce(0) { $0 | Int64(bytes[$1]) << (8 * ($1 - 1)) })
  }

  /// Reads from a place of a file until the buffer is full.
  static func fill(_ buffer: UnsafeMutableRawBufferPointer, from descriptor: Int32, at offset: Int64) throws {
    var done = 0
    while done < buffer.count {
      let count = pread(descriptor, buffer.baseAddress?.advanced(by: done), buffer.count - done, Int(offset) + done)
      if count < 0 && errno == EINTR { continue }
      if count < 0 {
        throw ExecutionError(
          code: .system, command: "", errno: errno,
          message: "cannot read a captured log: \(ExecutionError.text(errno)); run the task again to make a new one")
      }
      // The file is shorter than it was said to be.
      if count == 0 { throw LogFormatError(offset: offset, problem: .truncated) }
      done += count
    }
  }
}
