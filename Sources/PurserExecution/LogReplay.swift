import Glibc
import PurserModel

/// Prints a captured log again.
package struct LogReplay {
  private static let bufferSize = 1 << 16

  /// Writes a log's frames to two descriptors, in the order in which they arrived.
  ///
  /// Streams in constant memory. A negative descriptor leaves its stream out; the same one twice merges them. A frame
  /// is checked before any of it is written, so that what precedes the damage has been written, and nothing of it.
  ///
  /// - Throws: ``LogFormatError`` on damage; ``ExecutionError`` if reading the log or writing fails.
  package static func replay(
    _ contents: LogContents, standardOutput: Int32 = 1, standardError: Int32 = 2
  ) throws {
    switch contents {
    case .memory(let bytes):
      try bytes.withUnsafeBytes { log in
        try replay(size: Int64(log.count), standardOutput, standardError) { offset, count, body in
          let start = Int(offset)
          try body(UnsafeRawBufferPointer(rebasing: log[start..<start + count]))
        }
      }
    case .file(let descriptor, let size):
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferSize, alignment: 16)
      defer { buffer.deallocate() }
      try replay(size: size, standardOutput, standardError) { offset, count, body in
        try read(descriptor, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
        try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      }
    }
  }

  /// `read` gives at most `bufferSize` bytes from an offset to a closure.
  private static func replay(
    size: Int64, _ standardOutput: Int32, _ standardError: Int32,
    read: (Int64, Int, (UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) throws {
    var offset: Int64 = 0
    while offset < size {
      let start = offset
      guard size - start >= Int64(LogSpool.headerSize) else {
        throw LogFormatError(offset: start, problem: .truncated)
      }
      var stream: UInt8 = 0
      var length: Int64 = 0
      try read(start, LogSpool.headerSize) { header in
        stream = header[0]
        length = (1...4).reduce(0) { $0 | Int64(header[$1]) << (8 * ($1 - 1)) }
      }
      guard stream == 1 || stream == 2 else {
        throw LogFormatError(offset: start, problem: .unknownStream(stream))
      }
      offset += Int64(LogSpool.headerSize)
      guard length <= size - offset else { throw LogFormatError(offset: start, problem: .truncated) }
      let end = offset + length
      let target = stream == 1 ? standardOutput : standardError
      while target >= 0 && offset < end {
        let count = Int(min(end - offset, Int64(bufferSize)))
        try read(offset, count) { try write($0, to: target) }
        offset += Int64(count)
      }
      offset = end
    }
  }

  private static func read(
    _ descriptor: Int32, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer
  ) throws {
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

  private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) throws {
    var done = 0
    while done < bytes.count {
      let count = Glibc.write(descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done)
      if count >= 0 {
        done += count
      } else if errno == EAGAIN {
        // Somebody else made the shared file description non-blocking.
        var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&wait, 1, -1)
      } else if errno != EINTR {
        throw ExecutionError(
          code: .system, command: "", errno: errno,
          message: "cannot write a captured log to descriptor \(descriptor): \(ExecutionError.text(errno)); "
            + "look at where the output goes")
      }
    }
  }
}
