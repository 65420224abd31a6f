import CSpawn
import Glibc
package import PurserModel

/// What a command printed, in order of arrival, in the format of ``LogContents``.
///
/// In memory up to a limit, then in a file without a name, so that nothing is left behind by a crash. One that others
/// may follow (``LogFollower``) has a file with a name, from the first byte on, which goes with the spool. A write that
/// fails (the disk is full) never stops the command: the spool then drops everything, since part of a log must not
/// pass for the whole, and says why in ``failure``. For one thread at a time.
package final class LogSpool {
  static let headerSize = 5
  /// How much is collected before it is written, once there is a file.
  private static let fileBuffer = 1 << 18

  private let directory: ByteString
  private let memoryLimit: Int
  private var buffer: [UInt8] = []
  /// Where in `buffer` the header of the last frame stands, if that frame may still grow.
  private var lastFrame: Int?
  private var file: Int32 = -1
  private var written: Int64 = 0
  /// The file that others may follow, until it cannot be written; its path is set as long as it exists.
  private var live: Int32 = -1
  private var livePath: ByteString?
  private var isFollowable: Bool
  /// How much of `buffer` the followers can see.
  private var shown = 0

  /// The error number of what went wrong, here or in passing on; the spool is empty from then on.
  package private(set) var failure: Int32?

  /// An empty spool that makes its file, if it comes to that, in `directory`; `memoryLimit` is in bytes.
  ///
  /// - Parameter run: the number of the run whose log others may follow; `nil` for nobody.
  package init(directory: ByteString, run: Int64? = nil, memoryLimit: Int = 1 << 20) {
    self.directory = directory
    self.memoryLimit = memoryLimit
    isFollowable = run != nil
    livePath = run.map { Self.livePath(of: $0, in: directory) }
  }

  /// Where the log of a run stands while it grows.
  package static func livePath(of run: Int64, in directory: ByteString) -> ByteString {
    directory.appending(path: ByteString("live-\(run)"))
  }

  /// A spool that keeps nothing: for a run that is not to be stored.
  package static func discarding() -> LogSpool {
    let spool = LogSpool(directory: "")
    spool.fail(0)
    return spool
  }

  deinit {
    closeFiles()
  }

  private func closeFiles() {
    if let livePath, live >= 0 { _ = livePath.withCString { unlink($0) } }
    if file >= 0 { close(file) }
    if live >= 0 && live != file { close(live) }
    (file, live) = (-1, -1)
  }

  /// The size of the encoded log in bytes.
  package var size: Int64 { written + Int64(buffer.count) }

  /// Whether nothing was captured (or all was dropped, see ``failure``).
  package var isEmpty: Bool { size == 0 }

  /// Adds what was read from a stream (1 or 2). O(count), amortised.
  ///
  /// - Throws: ``LogFormatError`` if there is no such stream. A failing write does not throw; see ``failure``.
  package func append(stream: UInt8, _ bytes: UnsafeRawBufferPointer) throws(LogFormatError) {
    guard stream == 1 || stream == 2 else {
      throw LogFormatError(offset: size, problem: .unknownStream(stream))
    }
    guard failure == nil, !bytes.isEmpty else { return }
    var rest = bytes[...]
    while !rest.isEmpty {
      // A frame's length has 32 bits.
      let piece = rest.prefix(1 << 30)
      rest = rest.dropFirst(piece.count)
      add(stream: stream, UnsafeRawBufferPointer(rebasing: piece))
      if failure != nil { return }
    }
  }

  /// Adds what another spool captured, after what this one has. O(size of the other).
  ///
  /// For the items of a task, each captured by itself, that end up in one log. If the other one failed, or cannot be
  /// read, this one fails too.
  package func append(contentsOf other: LogSpool) {
    guard failure == nil else { return }
    let contents = other.withContents { $0 }
    if let number = other.failure { return fail(number) }
    // What is copied has headers of its own, so that the last frame before it is complete.
    lastFrame = nil
    switch contents {
    case .memory(let bytes):
      addEncoded(bytes[...])
    case .file(let descriptor, let size):
      var piece = [UInt8](repeating: 0, count: Int(min(size, Int64(Self.fileBuffer))))
      var offset: Int64 = 0
      while offset < size && failure == nil {
        let count = Int(min(size - offset, Int64(piece.count)))
        do {
          try piece.withUnsafeMutableBytes {
            try LogReader.fill(UnsafeMutableRawBufferPointer(rebasing: $0[..<count]), from: descriptor, at: offset)
          }
        } catch {
          return fail((error as? ExecutionError)?.errno ?? EIO)
        }
        addEncoded(piece[..<count])
        offset += Int64(count)
      }
    }
  }

  /// Gives the log to `body`; the file stays the spool's.
  package func withContents<Result>(_ body: (LogContents) throws -> Result) rethrows -> Result {
    if file >= 0 { flush() }
    return try body(file >= 0 ? .file(descriptor: file, size: written) : .memory(buffer))
  }

  private func add(stream: UInt8, _ bytes: UnsafeRawBufferPointer) {
    let grown = lastFrame.map { buffer[$0] == stream ? frameLength(at: $0) + bytes.count : .max } ?? .max
    if let start = lastFrame, grown <= Int(UInt32.max) {
      setFrameLength(grown, at: start)
    } else {
      lastFrame = buffer.count
      buffer.append(stream)
      buffer.append(contentsOf: [0, 0, 0, 0])
      setFrameLength(bytes.count, at: buffer.count - Self.headerSize)
    }
    buffer.append(contentsOf: bytes)
    flushIfFull()
  }

  /// Adds a part of an encoded log, which may end inside a frame: nothing but the rest may come next.
  private func addEncoded(_ bytes: ArraySlice<UInt8>) {
    buffer.append(contentsOf: bytes)
    flushIfFull()
  }

  private func flushIfFull() {
    if isFollowable { return show() }
    if buffer.count > (file >= 0 ? Self.fileBuffer : memoryLimit) { flush() }
  }

  /// Lets the followers see what has come, and keeps it in memory no longer than it is short.
  private func show() {
    if live < 0, let livePath {
      live = livePath.withCString { open($0, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600) }
    }
    let failed: Int32? = live < 0 ? errno : buffer.withUnsafeBytes { Self.write($0[shown...], to: live) }
    if let failed {
      if file >= 0 { return fail(failed) }
      // Nobody follows then; the log itself is in memory still.
      isFollowable = false
      return flushIfFull()
    }
    shown = buffer.count
    lastFrame = nil
    guard file >= 0 || buffer.count > memoryLimit else { return }
    file = live
    written += Int64(buffer.count)
    buffer = []
    shown = 0
  }

  private func frameLength(at start: Int) -> Int {
    (0..<4).reduce(0) { $0 | Int(buffer[start + 1 + $1]) << (8 * $1) }
  }

  private func setFrameLength(_ length: Int, at start: Int) {
    for index in 0..<4 {
      buffer[start + 1 + index] = UInt8(truncatingIfNeeded: length >> (8 * index))
    }
  }

  /// Moves the buffer to the file, which is made if there is none.
  private func flush() {
    if file < 0 {
      file = directory.withCString { cspawn_unnamed_file($0) }
      if file < 0 { return fail(errno) }
      // A small buffer from here on; the large one goes back to the allocator.
      defer { buffer = [] }
      writeBuffer()
    } else {
      writeBuffer()
      buffer.removeAll(keepingCapacity: true)
    }
    lastFrame = nil
  }

  private func writeBuffer() {
    let failed = buffer.withUnsafeBytes { Self.write($0[...], to: file) }
    if let failed { fail(failed) } else { written += Int64(buffer.count) }
  }

  /// Returns the error number of a write that failed.
  private static func write(_ bytes: Slice<UnsafeRawBufferPointer>, to descriptor: Int32) -> Int32? {
    var rest = bytes
    while !rest.isEmpty {
      let piece = UnsafeRawBufferPointer(rebasing: rest)
      let count = Glibc.write(descriptor, piece.baseAddress, piece.count)
      if count < 0 && errno == EINTR { continue }
      if count < 0 { return errno }
      rest = rest.dropFirst(count)
    }
    return nil
  }

  /// Drops what was captured, and all that comes.
  func fail(_ number: Int32) {
    failure = number
    closeFiles()
    isFollowable = false
    written = 0
    buffer = []
    lastFrame = nil
  }
}
