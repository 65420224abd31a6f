import Glibc
package import PurserModel

extension ChildProcess {
  /// The processes of this user that were started with a variable in their environment, `NAME=value`, this one left out.
  ///
  /// For a takeover of work that had many processes at once: each of them, and what it started, still has the variable
  /// that tells whose it was. Reads `/proc/PID/environ` of every process.
  package static func all(startedWith variable: ByteString) -> [ChildProcess] {
    let own = getpid()
    return ProcessTable.snapshot().entries.compactMap { entry in
      guard entry.pid != own, !entry.isZombie, hasVariable(variable, entry.pid) else { return nil }
      return ChildProcess(pid: entry.pid, startTime: entry.startTime)
    }
  }

  private static func hasVariable(_ variable: ByteString, _ pid: Int32) -> Bool {
    let descriptor = open("/proc/\(pid)/environ", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { break }
      content += buffer[..<count]
    }
    return content.split(separator: 0).contains { $0.elementsEqual(variable.bytes) }
  }
}
