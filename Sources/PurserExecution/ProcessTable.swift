import Glibc

/// What the kernel says of the processes of this machine, from `/proc`.
struct ProcessTable {
  /// One process. The pid alone may be reused, with the start time it is unique until the next boot.
  struct Entry {
    var pid: Int32
    var parent: Int32
    var group: Int32
    var session: Int32
    /// Clock ticks since boot.
    var startTime: UInt64
    /// Dead, not yet reaped.
    var isZombie: Bool
  }

  var entries: [Entry]

  /// Reads all processes. They go on meanwhile: a process that forks while this reads may hide its child.
  static func snapshot() -> ProcessTable {
    var entries: [Entry] = []
    guard let folder = opendir("/proc") else { return ProcessTable(entries: []) }
    defer { closedir(folder) }
    while let item = readdir(folder) {
      let pid = withUnsafePointer(to: &item.pointee.d_name) { name in
        name.withMemoryRebound(to: CChar.self, capacity: 256) { atoi($0) }
      }
      if pid > 0, let entry = entry(of: pid) { entries.append(entry) }
    }
    return ProcessTable(entries: entries)
  }

  /// One process, or `nil` if there is none (or no `/proc`).
  static func entry(of pid: Int32) -> Entry? {
    // About 300 bytes: 52 numbers and a short name.
    withUnsafeTemporaryAllocation(byteCount: 2048, alignment: 8) { buffer in
      let descriptor = open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { return nil }
      defer { close(descriptor) }
      var count: Int
      repeat { count = Glibc.read(descriptor, buffer.baseAddress, buffer.count) } while count < 0 && errno == EINTR
      return count > 0 ? entry(of: pid, UnsafeRawBufferPointer(rebasing: buffer[..<count])) : nil
    }
  }

  /// "pid (name) state parent group session …", where the name may hold anything, parentheses and newlines too.
  private static func entry(of pid: Int32, _ text: UnsafeRawBufferPointer) -> Entry? {
    guard let end = text.lastIndex(of: UInt8(ascii: ")")), end + 2 < text.count else { return nil }
    let state = text[end + 2]
    var entry = Entry(
      pid: pid, parent: 0, group: 0, session: 0, startTime: 0,
      isZombie: state == UInt8(ascii: "Z") || state == UInt8(ascii: "X"))
    // The numbers that follow the state, from the fourth field on; a negative one is none that is asked for.
    var field = 3
    var number: UInt64 = 0
    for byte in text[(end + 3)...] {
      guard byte == UInt8(ascii: " ") else {
        number = number &* 10 &+ UInt64(byte &- UInt8(ascii: "0"))
        continue
      }
      switch field {
      case 4: entry.parent = Int32(truncatingIfNeeded: number)
      case 5: entry.group = Int32(truncatingIfNeeded: number)
      case 6: entry.session = Int32(truncatingIfNeeded: number)
      case 22:
        entry.startTime = number
        return entry
      default: break
      }
      field += 1
      number = 0
    }
    return nil
  }

  /// The children of this process that its first thread has, which are those that it adopted and those that were
  /// started from there; empty if the kernel was built without the list.
  static func childrenOfFirstThread() -> [Int32] {
    read("/proc/self/task/\(getpid())/children").split(separator: UInt8(ascii: " "))
      .compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
  }

  /// Whether a process has a file open whose link in `/proc` reads as one of `targets` (`pipe:[1234]`).
  static func process(_ pid: Int32, hasOpen targets: Set<String>) -> Bool {
    guard let folder = opendir("/proc/\(pid)/fd") else { return false }
    defer { closedir(folder) }
    while let item = readdir(folder) {
      let name = withUnsafePointer(to: &item.pointee.d_name) { name in
        name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if let target = link("/proc/\(pid)/fd/\(name)"), targets.contains(target) { return true }
    }
    return false
  }

  /// The text of a symbolic link of `/proc`, which are short.
  static func link(_ path: String) -> String? {
    var buffer = [CChar](repeating: 0, count: 256)
    let count = readlink(path, &buffer, buffer.count)
    guard count > 0 else { return nil }
    return String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  private static func read(_ path: String) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { return content }
      content.append(contentsOf: buffer[..<count])
    }
  }
}
