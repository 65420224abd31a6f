import CSpawn
import Glibc

/// A process, named so that another one that got its pid later is not taken for it.
///
/// The name holds until the next boot; what outlives a boot has to note the boot too (`/proc/sys/kernel/random/boot_id`).
package struct ChildProcess: Sendable, Equatable {
  /// The process id.
  package var pid: Int32
  /// When it started: field 22 of `/proc/PID/stat`, in clock ticks since boot. 0 if that could not be read.
  package var startTime: UInt64
  /// Its process group, if it was given one of its own.
  package var processGroup: Int32?

  /// Names a process, as from a lease record.
  package init(pid: Int32, startTime: UInt64, processGroup: Int32? = nil) {
    self.pid = pid
    self.startTime = startTime
    self.processGroup = processGroup
  }

  /// This process. Its group is left out: it was made by a shell, and others may be in it.
  package static let current = {
    let pid = getpid()
    return ChildProcess(pid: pid, startTime: ProcessTable.entry(of: pid)?.startTime ?? 0)
  }()

  /// Whether it still runs: the same process, and no zombie.
  package var isAlive: Bool {
    guard let entry = ProcessTable.entry(of: pid) else { return false }
    return entry.startTime == startTime && !entry.isZombie
  }

  /// Kills the process, what it started and, if it has a process group of its own, what is left of that.
  ///
  /// For a takeover, when the owner is dead. Waits until all are gone, at most 10 seconds (a process may be stuck in
  /// the kernel, or belong to another user); ask ``isAlive`` afterwards. A process that merely has the same pid, or a
  /// group that merely has the same number, is left alone.
  package func destroy() {
    let deadline = MonotonicTime.now().advanced(by: .seconds(10))
    var known: Set<ProcessIdentity> = []
    while true {
      let victims = victims(known: &known)
      if victims.isEmpty || MonotonicTime.now() > deadline { return }
      for victim in victims { victim.signal(SIGKILL) }
      poll(nil, 0, 2)
    }
  }

  /// What is alive of the process, its descendants and its group.
  private func victims(known: inout Set<ProcessIdentity>) -> [ProcessIdentity] {
    let table = ProcessTable.snapshot()
    let leader = table.entries.first { $0.pid == pid }
    // The kernel gives no new process the number of a group that has members. So if another process has the pid, the
    // group that we knew is empty, and members of a group of that number are strangers.
    let isReused = leader.map { $0.startTime != startTime } ?? false
    if let leader, !isReused { known.insert(ProcessIdentity(leader)) }
    if let processGroup, processGroup == pid, !isReused {
      for entry in table.entries where entry.group == processGroup && entry.startTime >= startTime {
        known.insert(ProcessIdentity(entry))
      }
    }
    let own = getpid()
    return table.addingDescendants(to: &known).filter { !$0.isZombie && $0.pid != own }.map(ProcessIdentity.init)
  }
}
