import Glibc
import PurserModel

/// Prints a captured log again.
package struct LogReplay {
  /// Writes a log's frames to two descriptors, in the order in which they arrived.
  ///
  /// Streams in constant memory. A negative descriptor leaves its stream out; the same one twice merges them. A frame
  /// is checked before any of it is written, so that what precedes the damage has been written, and nothing of it.
  ///
  /// - Throws: ``LogFormatError`` on damage; ``ExecutionError`` if reading the log or writing fails.
  package static func replay(
    _ contents: LogContents, standardOutput: Int32 = 1, standardError: Int32 = 2
  ) throws {
    let target = { (stream: UInt8) in stream == 1 ? standardOutput : standardError }
    try LogReader.read(contents, skipping: { stream, length in target(stream) < 0 ? length : 0 }) { stream, bytes in
      try write(bytes, to: target(stream))
    }
  }

  /// Writes bytes of a log, in whole.
  ///
  /// - Throws: ``ExecutionError`` if that fails.
  package static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) throws {
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
