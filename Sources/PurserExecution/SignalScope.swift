import CSpawn
import Glibc

/// The signals that this process gets while a command runs.
///
/// While at least one is alive in the process, they do not have their usual effect; see `cspawn_signals_begin`.
/// Belongs to the thread that made it.
struct SignalScope: ~Copyable {
  /// A signal as it arrived.
  struct Received {
    var number: Int32
    /// Whether a key on the terminal made it; the kernel has then sent it to the whole foreground group.
    var fromTerminal: Bool
    /// Whether it repeats the one just before: sent twice for one cause.
    var isEcho: Bool
  }

  /// Those that are passed on to the command; the others are about job control.
  static let interruptions: [Int32] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]

  private static let originKernel: Int32 = 0x80

  private let slot: Int32
  /// The signals that this process was started ignoring, bit n - 1 for signal n.
  let ignored: UInt64
  /// Poll this for reading.
  let descriptor: Int32

  init(jobControl: Bool, adopting: Bool) throws(SystemError) {
    var ignored: UInt64 = 0
    slot = cspawn_signals_begin(jobControl, adopting, &ignored)
    guard slot >= 0 else { throw SystemError(-slot) }
    self.ignored = ignored
    descriptor = cspawn_signals_descriptor(slot)
  }

  /// Sees to it that ``next()`` has what was sent to this process before, on whatever thread it arrives; `thoroughly`,
  /// also what has just arrived on another, for which it may wait 50 ms.
  func collect(thoroughly: Bool) {
    cspawn_signals_collect(thoroughly)
  }

  /// The next signal, without blocking.
  func next() -> Received? {
    var signal = cspawn_signal()
    guard cspawn_signals_next(slot, &signal) else { return nil }
    return Received(
      number: signal.number, fromTerminal: signal.origin == Self.originKernel, isEcho: signal.is_echo)
  }

  /// Tells that the command is about to be started, so that it is not taken for what another one left behind.
  func announce() {
    cspawn_signals_starting(slot, true)
  }

  /// Takes that back.
  func renounce() {
    cspawn_signals_starting(slot, false)
  }

  /// Makes the command known, so that stopping this process stops it; zeroes make it unknown, before it is reaped.
  func register(pid: Int32, group: Int32?) {
    cspawn_signals_set_child(slot, pid, group ?? 0)
  }

  /// Whether no other command ran at any time since this began.
  var isAlone: Bool { cspawn_signals_alone(slot) }

  /// Whether orphaned descendants were adopted, for this or another command, at any time since this began.
  var hasAdopted: Bool { cspawn_signals_adopted(slot) }

  /// Stops the groups of all commands and this process; returns when this process is continued.
  func stopProcess() {
    cspawn_signals_stop()
  }

  /// Restores what was before, and gives the first interruption that no one has read.
  ///
  /// With `raising`, for a command that never ran, that signal then has the effect that it would have had.
  consuming func end(raising: Bool) -> Int32? {
    let last = cspawn_signals_end(slot)
    var first: Int32?
    while let signal = next() {
      if first == nil && Self.interruptions.contains(signal.number) { first = signal.number }
    }
    cspawn_signals_free(slot)
    if let first, raising && last { kill(getpid(), first) }
    return first
  }
}
