import CSpawn
import Glibc

/// Looks after one command from its start to its end, on one thread, by one poll over everything that may happen.
struct Supervisor: ~Copyable {
  private enum Phase {
    case running
    /// SIGTERM was sent; SIGKILL follows.
    case terminating(killAt: MonotonicTime)
    /// SIGKILL was sent; what survives until then cannot be killed.
    case killing(giveUpAt: MonotonicTime)
    /// The command is reaped, its output may still have to be written; after a timeout, not for ever.
    case ended(passUntil: MonotonicTime?)
  }

  /// How often the processes are looked at while they are being ended: only then, since it reads all of `/proc`.
  private static let huntInterval: Duration = .milliseconds(10)
  private static let killPatience: Duration = .seconds(5)
  /// How much is read in one turn while both streams have something, for the sake of the order between them.
  private static let smallTurn = 4096

  let command: Command
  let capture: LogSpool
  let process: Spawner.Spawned
  let ownGroup: Bool
  var first: OutputStream
  var second: OutputStream
  var descendants: Descendants?
  let started: MonotonicTime

  private var phase = Phase.running
  private var exit: Exit?
  private var timedOut = false
  private var interruption: Int32?
  /// How many of SIGINT and SIGTERM came.
  private var requests = 0
  private var isEscalated = false
  private var isCancelled = false
  private var duration: Duration = .zero

  init(
    command: Command, capture: LogSpool, process: consuming Spawner.Spawned, ownGroup: Bool,
    first: consuming OutputStream, second: consuming OutputStream, descendants: Descendants?, started: MonotonicTime
  ) {
    self.command = command
    self.capture = capture
    self.process = process
    self.ownGroup = ownGroup
    self.first = first
    self.second = second
    self.descendants = descendants
    self.started = started
  }

  /// Blocks until the command has ended, which is told, and its output is written.
  mutating func run(_ signals: borrowing SignalScope, ended: () -> Void) -> Completion {
    let deadline = command.timeout.map { started.advanced(by: $0) }
    while !isFinished {
      var polled = [
        pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: awaitsEnd ? process.pidfd.number : -1, events: Int16(POLLIN), revents: 0),
        first.interest,
        second.interest,
        pollfd(fd: isCancelled ? -1 : command.cancellation?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
      ]
      poll(&polled, nfds_t(polled.count), pollTimeout(deadline: deadline))

      // A key on a terminal reaches the command as well, which may have ended by it before this process has run.
      if polled[1].revents != 0 { signals.collect(thoroughly: cspawn_has_failed(process.pidfd.number)) }
      if polled[0].revents != 0 || polled[1].revents != 0 {
        while let signal = signals.next() {
          if !command.isShielded || !SignalScope.interruptions.contains(signal.number) { received(signal, signals) }
        }
      }
      if polled[4].revents != 0 {
        isCancelled = true
        received(SignalScope.Received(number: SIGTERM, fromTerminal: false, isEcho: false), signals)
      }
      let bothReady = polled[2].revents != 0 && polled[3].revents != 0
      let limit = bothReady ? Self.smallTurn : OutputStream.bufferSize
      if polled[2].revents != 0 { first.advance(capture: capture, limit: limit) }
      if polled[3].revents != 0 { second.advance(capture: capture, limit: limit) }
      let now = MonotonicTime.now()
      let wasAwaited = awaitsEnd
      proceed(now, hasEnded: polled[1].revents != 0, deadline: deadline, signals)
      if wasAwaited, !awaitsEnd { ended() }
    }
    return Completion(
      exit: timedOut ? .timedOut : exit ?? .signalled(SIGKILL), interruption: interruption, isEscalated: isEscalated,
      duration: duration, outputFailure: first.failure ?? second.failure)
  }

  /// Kills the command and all that it started, without a grace, and reaps it.
  mutating func abort(_ signals: borrowing SignalScope) {
    stopPassing()
    // What stands still starts nothing that could be missed.
    send(SIGSTOP)
    startKilling(MonotonicTime.now(), signals)
    while awaitsEnd {
      var ended = pollfd(fd: process.pidfd.number, events: Int16(POLLIN), revents: 0)
      poll(&ended, 1, Int32(10))
      proceed(MonotonicTime.now(), hasEnded: ended.revents != 0, deadline: nil, signals)
    }
  }

  private var isFinished: Bool {
    guard case .ended = phase else { return false }
    return first.isDone && second.isDone
  }

  private var awaitsEnd: Bool {
    if case .ended = phase { return false }
    return true
  }

  private func pollTimeout(deadline: MonotonicTime?) -> Int32 {
    let other: MonotonicTime? =
      switch phase {
      case .running: deadline
      case .terminating, .killing: MonotonicTime.now().advanced(by: Self.huntInterval)
      case .ended(let passUntil): passUntil
      }
    return other?.millisecondsFromNow ?? -1
  }

  // MARK: - Signals

  private mutating func received(_ signal: SignalScope.Received, _ signals: borrowing SignalScope) {
    switch signal.number {
    case SIGTSTP:
      signals.stopProcess()
    case SIGCONT:
      if ownGroup { send(SIGCONT) }
    default:
      interruption = interruption ?? signal.number
      if !signal.isEcho && (signal.number == SIGINT || signal.number == SIGTERM) { requests += 1 }
      if awaitsEnd && command.escalates && requests > 1 {
        escalate(signals)
      } else if awaitsEnd {
        // In the foreground group of a terminal, the key's signal went to the command directly.
        if ownGroup || !signal.fromTerminal { send(signal.number) }
      } else if first.isBlocked || second.isBlocked {
        // Only a reader that does not read is still waited for.
        stopPassing()
      }
    }
  }

  private mutating func escalate(_ signals: borrowing SignalScope) {
    if case .killing = phase { return }
    isEscalated = true
    startKilling(MonotonicTime.now(), signals)
  }

  /// To the command, or its group. Neither number can have been reused, since the command is not reaped.
  private func send(_ signal: Int32) {
    guard awaitsEnd else { return }
    kill(ownGroup ? -process.pid : process.pid, signal)
  }

  // MARK: - The end

  private mutating func proceed(
    _ now: MonotonicTime, hasEnded: Bool, deadline: MonotonicTime?, _ signals: borrowing SignalScope
  ) {
    switch phase {
    case .running:
      if hasEnded {
        reap(signals)
      } else if let deadline, now >= deadline {
        timedOut = true
        phase = .terminating(killAt: now.advanced(by: command.grace))
        signalAll(SIGTERM, signals)
        // Whoever is stopped gets the signal only when it goes on.
        signalAll(SIGCONT, signals)
      }
    case .terminating(let killAt):
      if hasEnded && survivors(signals).isEmpty {
        reap(signals)
      } else if now >= killAt {
        startKilling(now, signals)
      }
    case .killing(let giveUpAt):
      if hasEnded && (survivors(signals).isEmpty || now >= giveUpAt) {
        reap(signals)
      } else {
        // Again, for what was started meanwhile.
        signalAll(SIGKILL, signals)
      }
    case .ended(let passUntil):
      if let passUntil, now >= passUntil { stopPassing() }
    }
  }

  private mutating func stopPassing() {
    first.stopPassing()
    second.stopPassing()
  }

  private mutating func startKilling(_ now: MonotonicTime, _ signals: borrowing SignalScope) {
    phase = .killing(giveUpAt: now.advanced(by: Self.killPatience))
    signalAll(SIGKILL, signals)
  }

  private mutating func survivors(_ signals: borrowing SignalScope) -> [ProcessTable.Entry] {
    descendants?.update(signals) ?? []
  }

  private mutating func signalAll(_ signal: Int32, _ signals: borrowing SignalScope) {
    // Looked at first: when the command is dead, its children are no longer known by their parent.
    let others = survivors(signals)
    send(signal)
    for entry in others where entry.pid != process.pid && !(ownGroup && entry.group == process.pid) {
      ProcessIdentity(entry).signal(signal)
    }
  }

  private mutating func reap(_ signals: borrowing SignalScope) {
    duration = started.duration(to: MonotonicTime.now())
    // Before the command is reaped, and its number can become a stranger's: none may be stopped then. Its own is told
    // until it is reaped, so that nobody else takes it for an orphan.
    signals.register(pid: process.pid, group: nil)
    var signalled = false
    var status: Int32 = 0
    // Without a result (somebody else in this process reaped it), the code is unknown; taken for a kill.
    if cspawn_reap(process.pidfd.number, true, &signalled, &status) == 1 {
      exit = signalled ? .signalled(status) : .exited(status)
    }
    signals.register(pid: 0, group: nil)
    if signals.hasAdopted { descendants?.reap() }
    phase = .ended(passUntil: timedOut ? MonotonicTime.now().advanced(by: command.grace) : nil)
    first.commandEnded()
    second.commandEnded()
  }
}
