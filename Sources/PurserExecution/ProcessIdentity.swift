import CSpawn
import Glibc

/// A process that may end, and its pid be reused, at any time.
struct ProcessIdentity: Hashable {
  var pid: Int32
  var startTime: UInt64

  init(_ entry: ProcessTable.Entry) {
    pid = entry.pid
    startTime = entry.startTime
  }

  /// Sends a signal to this process, and to no other: the pidfd is opened first, the start time compared after.
  func signal(_ number: Int32) {
    let opened = cspawn_pidfd_open(pid)
    guard opened >= 0 else { return }
    let descriptor = Descriptor(opened)
    guard ProcessTable.entry(of: pid)?.startTime == startTime else { return }
    cspawn_pidfd_kill(descriptor.number, number)
  }
}

extension ProcessTable {
  /// Adds to `known` all whose parents are in it, and returns the entries of all that are known.
  func addingDescendants(to known: inout Set<ProcessIdentity>) -> [Entry] {
    var children: [Int32: [Entry]] = [:]
    for entry in entries { children[entry.parent, default: []].append(entry) }
    var result = entries.filter { known.contains(ProcessIdentity($0)) }
    var next = 0
    while next < result.count {
      for child in children[result[next].pid] ?? [] where known.insert(ProcessIdentity(child)).inserted {
        result.append(child)
      }
      next += 1
    }
    return result
  }
}
