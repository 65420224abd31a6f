import CSpawn
import Glibc

/// The processes that a command started, directly or not, as far as they can be told from those of others.
///
/// A child is found by its parent. One whose parent is dead was adopted by this process (a subreaper during a run),
/// and counts if it is in the command's process group or session, or holds one of its output pipes open. One that
/// gave up all that is a daemon; it counts where no other run could have started it.
struct Descendants {
  private let command: ProcessTable.Entry
  private let ownGroup: Bool
  /// The numbers of the pipes that are the command's standard output and error.
  private let pipes: [UInt]
  /// Children that this process had before.
  private let earlier: [Int32]
  /// Whether children of this process may be orphans that it adopted.
  private let adoptsOrphans: Bool
  private var known: Set<ProcessIdentity> = []

  init(of command: ProcessTable.Entry, ownGroup: Bool, pipes: [UInt], earlier: [Int32], adoptsOrphans: Bool) {
    self.command = command
    self.ownGroup = ownGroup
    self.pipes = pipes
    self.earlier = earlier
    self.adoptsOrphans = adoptsOrphans
  }

  /// When the command started; see ``ChildProcess/startTime``.
  var startTime: UInt64 { command.startTime }

  /// Looks again, and returns those that are alive, the command among them.
  mutating func update(_ signals: borrowing SignalScope) -> [ProcessTable.Entry] {
    let table = ProcessTable.snapshot()
    let own = getpid()
    known.insert(ProcessIdentity(command))
    let links = Set(pipes.map { "pipe:[\($0)]" })
    // In this order: another command that starts in between is not alone any more.
    let children = ProcessTable.childrenOfFirstThread()
    let adoptable = adoptsOrphans && signals.isAlone ? Set(children).subtracting(earlier) : []
    for entry in table.entries where entry.startTime >= command.startTime && entry.pid != own {
      let belongs = (ownGroup && entry.group == command.pid) || entry.session == command.pid
      if belongs || (entry.parent == own && isOrphan(entry, adoptable, links)) { known.insert(ProcessIdentity(entry)) }
    }
    return table.addingDescendants(to: &known).filter { !$0.isZombie && $0.pid != own }
  }

  /// Sees to it that those which this process adopted are reaped: the dead now, the others whenever they end.
  ///
  /// Here it does not matter which run they come from, only that they are nobody's child by birth. Someone else's child
  /// that the first thread started is told from an adopted daemon by its session, which is this process's.
  func reap() {
    guard adoptsOrphans else { return }
    let own = getpid()
    let session = getsid(0)
    for pid in ProcessTable.childrenOfFirstThread() where !earlier.contains(pid) && !cspawn_signals_is_child(pid) {
      guard let entry = ProcessTable.entry(of: pid), pid != command.pid, entry.parent == own else { continue }
      if known.contains(ProcessIdentity(entry)) || entry.group == command.pid || entry.session != session {
        let pidfd = cspawn_pidfd_open(pid)
        if pidfd >= 0 { cspawn_reap_eventually(pidfd) }
      }
    }
  }

  private func isOrphan(_ entry: ProcessTable.Entry, _ adoptable: Set<Int32>, _ links: Set<String>) -> Bool {
    if entry.pid == command.pid || cspawn_signals_is_child(entry.pid) { return false }
    if adoptable.contains(entry.pid) { return true }
    func isHolder() -> Bool { !entry.isZombie && ProcessTable.process(entry.pid, hasOpen: links) }
    // Another command that is just being started has copies of everything until it is executed, and is not known yet.
    return isHolder() && cspawn_signals_settle() && !cspawn_signals_is_child(entry.pid) && isHolder()
  }
}
