import Glibc
package import PurserModel

/// Reads a log that another process is writing, as far as it has come.
///
/// What it has given is counted by stream, so that the rest can be taken from the log once that is stored, even if it
/// came late or missed the end. For one thread at a time.
package final class LogFollower {
  private let path: ByteString
  private var file: Int32 = -1
  private var offset: Int64 = 0
  /// Of the frame that `offset` is in: its stream, and how many of its bytes are still to come.
  private var frame: (stream: UInt8, length: Int64) = (0, 0)
  private var isBroken = false
  private var given: (first: Int64, second: Int64) = (0, 0)

  /// Follows the log of a run of a process that makes its files in `directory`. There need not be one (yet).
  package init(run: Int64, directory: ByteString) {
    path = LogSpool.livePath(of: run, in: directory)
  }

  deinit {
    if file >= 0 { close(file) }
  }

  /// Gives what has come since the last time, with its stream. Once `body` has thrown, nothing more is given; it is
  /// for ``finish(_:_:)`` to find out again.
  package func follow(_ body: (UInt8, UnsafeRawBufferPointer) throws -> Void) {
    guard !isBroken else { return }
    do {
      try read(body)
    } catch {
      isBroken = true
    }
  }

  private func read(_ body: (UInt8, UnsafeRawBufferPointer) throws -> Void) throws {
    if file < 0 { file = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) } }
    guard file >= 0 else { return }
    try withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 16) { buffer in
      while true {
        let isInFrame = frame.length > 0
        let wanted = isInFrame ? Int(min(frame.length, Int64(buffer.count))) : LogSpool.headerSize
        let count = pread(file, buffer.baseAddress, wanted, Int(offset))
        if count < 0 && errno == EINTR { continue }
        if count <= 0 || (!isInFrame && count < wanted) { return }
        offset += Int64(count)
        guard isInFrame else {
          frame = LogReader.header(UnsafeRawBufferPointer(buffer))
          continue
        }
        frame.length -= Int64(count)
        if frame.stream == 1 { given.first += Int64(count) } else { given.second += Int64(count) }
        try body(frame.stream, UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      }
    }
  }

  /// Gives what of the whole log was not given yet.
  ///
  /// - Throws: ``LogFormatError`` on damage; ``ExecutionError`` if reading fails; what `body` throws.
  package func finish(_ contents: LogContents, _ body: (UInt8, UnsafeRawBufferPointer) throws -> Void) throws {
    try LogReader.read(
      contents,
      skipping: { stream, length in
        let skipped = min(length, stream == 1 ? given.first : given.second)
        if stream == 1 { given.first -= skipped } else { given.second -= skipped }
        return skipped
      }, body)
  }
}
