import Glibc

/// Where output is passed on to: this process's standard output or error, written without ever blocking for long.
///
/// `O_NONBLOCK` must not be set on those: they are shared with other processes (the shell, the neighbours in a
/// pipeline), which would see it. So pipes and terminals are opened a second time, through `/proc`, to get a file
/// description of one's own; sockets can be asked per call; regular files do not block.
struct OutputSink: ~Copyable {
  enum Outcome {
    case wrote(Int)
    case wouldBlock
    case failed(Int32)
  }

  private enum Kind {
    /// Regular files and devices such as `/dev/null`: written at once.
    case direct
    /// A description of our own, or one that is non-blocking already.
    case nonBlocking
    case socket
    /// Neither; asked for room before, and given no more than what then fits.
    case cautious
  }

  /// The largest write that a pipe with any room at all takes without blocking (Linux's PIPE_BUF).
  private static let pipeBuffer = 4096

  let descriptor: Int32
  private let kind: Kind
  private let reopened: Bool

  /// `nil` if the descriptor is not open for writing: what is printed is then only captured.
  init?(_ number: Int32) {
    let flags = fcntl(number, F_GETFL)
    var status = stat()
    guard flags >= 0, flags & O_ACCMODE != O_RDONLY, fstat(number, &status) == 0 else { return nil }
    let type = status.st_mode & S_IFMT
    let isTerminal = type == S_IFCHR && isatty(number) == 1
    if type == S_IFSOCK {
      (descriptor, kind, reopened) = (number, .socket, false)
    } else if type != S_IFIFO && !isTerminal {
      (descriptor, kind, reopened) = (number, .direct, false)
    } else if flags & O_NONBLOCK != 0 {
      (descriptor, kind, reopened) = (number, .nonBlocking, false)
    } else {
      // Opening the master of a pseudo-terminal would make another terminal.
      let isMaster = isTerminal && status.st_rdev == Self.device(5, 2)
      let mode = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
      let own = isMaster ? -1 : open("/proc/self/fd/\(number)", mode)
      if own >= 0 {
        (descriptor, kind, reopened) = (own, .nonBlocking, true)
      } else {
        (descriptor, kind, reopened) = (number, .cautious, false)
      }
    }
  }

  deinit {
    if reopened { close(descriptor) }
  }

  /// Writes some of the bytes.
  func write(_ bytes: UnsafeRawBufferPointer) -> Outcome {
    var count: Int
    repeat {
      switch kind {
      case .direct, .nonBlocking:
        count = Glibc.write(descriptor, bytes.baseAddress, bytes.count)
      case .socket:
        count = send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
      case .cautious:
        var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        if poll(&room, 1, 0) == 0 { return .wouldBlock }
        count = Glibc.write(descriptor, bytes.baseAddress, min(bytes.count, Self.pipeBuffer))
      }
    } while count < 0 && errno == EINTR
    if count >= 0 { return .wrote(count) }
    return errno == EAGAIN || errno == EWOULDBLOCK ? .wouldBlock : .failed(errno)
  }

  /// `makedev` for the small numbers of the memory and terminal devices.
  private static func device(_ major: UInt, _ minor: UInt) -> UInt {
    major << 8 | minor
  }
}
