import Glibc

/// One pipe from the command, and what becomes of what comes through it: captured, then passed on.
///
/// At most one buffer is held: nothing is read while something is still to be written, which is the backpressure.
struct OutputStream: ~Copyable {
  static let bufferSize = 1 << 16

  /// 1 or 2, as it stands in the log.
  let number: UInt8
  private var source: Descriptor?
  private var sink: OutputSink?
  private var lines: LineSplitter?
  private let buffer: UnsafeMutableRawBufferPointer
  /// What of `buffer` is still to be written.
  private var pending: Range<Int> = 0..<0
  /// The error number of a write that failed, other than for a reader that went away.
  private(set) var failure: Int32?
  /// Set when the command has ended: how much of what it wrote is still in the pipe.
  private var remaining: Int?

  /// What is read from the source goes to the sink, as bytes, or to `lines`, if there is one.
  init(number: UInt8, source: consuming Descriptor, sink: consuming OutputSink?, lines: LineSplitter?) {
    self.number = number
    self.source = consume source
    self.sink = consume sink
    self.lines = lines
    buffer = .allocate(byteCount: Self.bufferSize, alignment: 4096)
  }

  deinit {
    buffer.deallocate()
  }

  /// Whether nothing more will come through.
  var isDone: Bool { sourceNumber < 0 && pending.isEmpty }

  /// Whether it waits for the reader of the output.
  var isBlocked: Bool { !pending.isEmpty }

  /// What to poll for now; descriptor -1 for nothing.
  var interest: pollfd {
    if !pending.isEmpty { return pollfd(fd: sinkNumber, events: Int16(POLLOUT), revents: 0) }
    return pollfd(fd: sourceNumber, events: Int16(POLLIN), revents: 0)
  }

  private var sourceNumber: Int32 {
    switch source {
    case .some(let descriptor): descriptor.number
    case .none: -1
    }
  }

  private var sinkNumber: Int32 {
    switch sink {
    case .some(let sink): sink.descriptor
    case .none: -1
    }
  }

  /// Goes on after `interest` was met. `limit` is how many bytes to read at most.
  mutating func advance(capture: LogSpool, limit: Int) {
    if pending.isEmpty && sourceNumber >= 0 { read(capture: capture, limit: limit) }
    write(capture: capture)
  }

  /// The command has ended: no more than what it left in the pipe is still to be taken, even if something that it
  /// started goes on writing.
  mutating func commandEnded() {
    guard sourceNumber >= 0 else { return }
    var count: Int32 = 0
    remaining = ioctl(sourceNumber, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
    if remaining == 0 { endSource() }
  }

  /// Captures on, but passes no more on.
  mutating func stopPassing() {
    sink = nil
    lines = nil
    pending = 0..<0
  }

  private mutating func endSource() {
    source = nil
    lines?.finish()
    lines = nil
  }

  private mutating func read(capture: LogSpool, limit: Int) {
    let wanted = min(limit, remaining ?? .max, buffer.count)
    let count = Glibc.read(sourceNumber, buffer.baseAddress, wanted)
    if count < 0 && (errno == EINTR || (errno == EAGAIN && remaining == nil)) { return }
    guard count > 0 else {
      endSource()
      return
    }
    let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
    do {
      try capture.append(stream: number, bytes)
    } catch {
      preconditionFailure("a stream is 1 or 2")
    }
    lines?.add(bytes)
    if sinkNumber >= 0 { pending = 0..<count }
    if let left = remaining {
      remaining = left - count
      if left == count { endSource() }
    }
  }

  private mutating func write(capture: LogSpool) {
    while !pending.isEmpty {
      switch writeOnce() {
      case .wrote(let count):
        pending = pending.lowerBound + count..<pending.upperBound
      case .wouldBlock:
        return
      case .failed(let number):
        if number != EPIPE { failure = number }
        // Part of what was printed must not pass for the whole.
        capture.fail(number)
        // The command is to find out as it would have without us: its next write fails, by default with SIGPIPE.
        stopPassing()
        source = nil
      }
    }
  }

  private func writeOnce() -> OutputSink.Outcome {
    switch sink {
    case .some(let sink): sink.write(UnsafeRawBufferPointer(rebasing: buffer[pending]))
    case .none: .failed(EBADF)
    }
  }
}
