import CSpawn
import Glibc
package import PurserModel

/// A program that is asked on its standard input and answers on its standard output, for as long as this is held. What
/// it prints to standard error is kept.
///
/// - Important: The program is killed when the *thread* that made this ends (see ``LocalExecutor``), and when this does.
package final class Dialogue: @unchecked Sendable {
  // Guard: the caller's; for one thread at a time.
  private var pidfd: Int32 = -1
  private let answers: Int32
  private let errors: Int32
  /// A socket, not a pipe: writing to a program that is gone is then an error and no SIGPIPE. -1 when it was closed.
  private var questions: Int32
  private var exit: Exit?
  private var printed: [UInt8] = []
  private var hasClosedErrors = false

  /// How long nothing may come before the program is taken for stuck: 60 seconds.
  private static let patience: Int32 = 60_000

  /// Starts the program, in the caller's process group; what the command says of input, time and signals is left out.
  package init(_ command: Command) throws(ExecutionError) {
    // Ours and the program's end of its standard input, output and error.
    var ends: [Int32] = Array(repeating: -1, count: 6)
    var failure =
      socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 ? 0 : errno
    for start in [2, 4] where failure == 0 {
      failure = ends.withUnsafeMutableBufferPointer { cspawn_pipe($0.baseAddress.map { $0 + start }, 1) }
    }
    (questions, answers, errors) = (cspawn_raise(ends[0]), ends[2], ends[4])
    defer { for end in [ends[1], ends[3], ends[5]] where end >= 0 { close(end) } }
    guard failure == 0, questions >= 0 else {
      throw .system(
        "no pipe could be made", command: command.argv.first ?? "", errno: failure == 0 ? errno : failure,
        next: "raise the limit on open files (ulimit -n)")
    }
    var command = command
    command.standardInput = ends[1]
    let process = try Spawner(command).spawn(output: ends[3], error: ends[5], ownGroup: false, ignoredSignals: 0)
    pidfd = fcntl(process.pidfd.number, F_DUPFD_CLOEXEC, 3)
  }

  deinit {
    endQuestions()
    if pidfd >= 0, exit == nil {
      _ = cspawn_pidfd_kill(pidfd, SIGKILL)
      _ = wait()
    }
    for descriptor in [pidfd, answers, errors] where descriptor >= 0 { close(descriptor) }
  }

  /// Sends a question. `false` if the program does not listen any more.
  package func ask(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { send(questions, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// Tells the program that nothing more is asked.
  package func endQuestions() {
    if questions >= 0 { close(questions) }
    questions = -1
  }

  /// Takes what was answered, as soon as there is something: 0 bytes at the end, `nil` if nothing comes for too long or
  /// it cannot be read.
  package func read(into buffer: UnsafeMutableRawBufferPointer) -> Int? {
    while true {
      let count = Glibc.read(answers, buffer.baseAddress, buffer.count)
      if count >= 0 { return count }
      guard errno == EAGAIN || errno == EINTR else { return nil }
      var wanted = [
        pollfd(fd: answers, events: Int16(POLLIN), revents: 0),
        pollfd(fd: hasClosedErrors ? -1 : errors, events: Int16(POLLIN), revents: 0),
      ]
      let ready = poll(&wanted, 2, Self.patience)
      guard ready > 0 || (ready < 0 && errno == EINTR) else { return nil }
      // A program that can not get rid of its complaints would wait for ever.
      if wanted[1].revents != 0 { takeErrors() }
    }
  }

  private func takeErrors() {
    var buffer = [UInt8](repeating: 0, count: 1 << 12)
    while true {
      let count = Glibc.read(errors, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      if count == 0 { hasClosedErrors = true }
      guard count > 0 else { return }
      if printed.count < 1 << 16 { printed += buffer[..<count] }
    }
  }

  /// Everything that is answered up to the end; `nil` if that does not come.
  package func readAll() -> [UInt8]? {
    var all: [UInt8] = []
    return withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 16) { buffer in
      while let count = read(into: buffer) {
        if count == 0 { return all }
        all += buffer[..<count]
      }
      return nil
    }
  }

  /// How the program ended. Waits for that; call it after the last answer.
  package func end() -> Exit {
    endQuestions()
    let exit = self.exit ?? wait()
    self.exit = exit
    return exit
  }

  private func wait() -> Exit {
    var wanted = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
    if poll(&wanted, 1, Self.patience) == 0 { _ = cspawn_pidfd_kill(pidfd, SIGKILL) }
    while true {
      var signalled = false
      var status: Int32 = 0
      switch cspawn_reap(pidfd, false, &signalled, &status) {
      case 1: return signalled ? .signalled(status) : .exited(status)
      case 0: poll(&wanted, 1, -1)
      default: return .signalled(SIGKILL)
      }
    }
  }

  /// What the program has printed to standard error so far, without the white space at its end; 64 KiB and a bit.
  package var errorText: ByteString {
    if !hasClosedErrors { takeErrors() }
    return ByteString(printed.reversed().drop { $0 == 0x0a || $0 == 0x20 }.reversed())
  }
}
