import CLinux
import Glibc
import PurserStore

/// The writers' gate: an exclusive `flock` that every write transaction, checkpoint and migration holds.
///
/// SQLite before 3.51.3 can corrupt a WAL database when one connection resets the WAL while another checkpoints. With
/// one writer at a time, checkpoints included, that cannot happen; and waiting writers stand in the kernel's queues
/// instead of polling. There are two, so that who is quickly done need not wait for all those who wait for the disk:
/// many workers that end their work at the same time each have their next work after one end, not after all.
///
/// The file holds the number of the process that went through last, so that a waiter can name it, and a generation: odd
/// while somebody is inside, and another even number afterwards, so that a reader can tell whether the database was left
/// alone while it looked (see ``Generation``).
struct WriterGate: ~Copyable {
  private let descriptor: Int32
  private let path: String
  /// The generation before the first time that this process went through, and after the last.
  private(set) var firstGeneration: UInt64?
  private(set) var lastGeneration: UInt64?
  /// Whether somebody else went through in between.
  private(set) var hasSeenOthers = false
  /// Whether the head of the other queue stands still: it was let in before, and did not come.
  private var hasWaitedInVain = false

  init(path: String) throws(StoreError) {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
      let reason = String(cString: strerror(errno))
      throw StoreError(.unavailable, "the writers' gate '\(path)' cannot be opened: \(reason); check its permissions")
    }
    self.path = path
  }

  deinit {
    close(descriptor)
  }

  /// Runs `body` with the gate held, and the generation before. Waits for it at most `seconds`, then throws `busy` naming
  /// the holder.
  ///
  /// - Parameter isQuick: whether `body` ends without a commit that is synced.
  mutating func hold<Result: ~Copyable>(
    isQuick: Bool = false, seconds: Int32 = 30, _ body: (UInt64) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    letOthersPass(isQuick ? 0 : 1)
    let code = purser_lock(descriptor, isQuick ? 1 : 0, seconds * 1000)
    guard code == 0 else {
      if code == -ETIMEDOUT {
        throw StoreError(
          .busy, "'\(path)' has been held for \(seconds) s by \(holder()); wait until it is done and try again")
      }
      throw StoreError(.io, "the writers' gate '\(path)' cannot be locked: \(String(cString: strerror(-code)))")
    }
    defer { flock(descriptor, LOCK_UN) }
    // Whoever died inside left an odd number: the next odd one follows.
    let before = Generation.read(descriptor) ?? 0
    let inside = (before | 1) + 2
    if firstGeneration == nil { firstGeneration = before }
    if let lastGeneration, before != lastGeneration {
      hasSeenOthers = true
      hasWaitedInVain = false
    }
    lastGeneration = inside + 1
    let mark = Self.padded(UInt64(getpid()), 10) + "\n" + Self.padded(inside, 20) + "\n"
    guard write(mark, at: 0) else {
      // Without the odd number, a reader without locks would not know that somebody is inside.
      let isFull = errno == ENOSPC || errno == EDQUOT || errno == EFBIG
      throw StoreError(
        isFull ? .full : .io, "the writers' gate '\(path)' cannot be written: \(String(cString: strerror(errno)))")
    }
    defer { _ = write(Self.padded(inside + 1, 20), at: Generation.offset) }
    return try body(before)
  }

  /// Where this process was the last inside and somebody waits in the other queue, lets that one in before: one that
  /// comes again and again would often be back before the other has woken. Waits for a few milliseconds at most, and not
  /// again for one that stands still.
  private mutating func letOthersPass(_ queue: Int32) {
    guard let lastGeneration, !hasWaitedInVain else { return }
    let end = Self.milliseconds() + 5
    while purser_lock_is_awaited(descriptor, queue) != 0, Generation.read(descriptor) == lastGeneration {
      if Self.milliseconds() > end {
        hasWaitedInVain = true
        return
      }
      usleep(50)
    }
  }

  private static func milliseconds() -> Int {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1000 + now.tv_nsec / 1_000_000
  }

  private static func padded(_ number: UInt64, _ width: Int) -> String {
    let digits = String(number)
    return digits + String(repeating: " ", count: max(0, width - digits.utf8.count))
  }

  private func write(_ text: String, at offset: Int) -> Bool {
    var text = text
    return text.withUTF8 { pwrite(descriptor, $0.baseAddress, $0.count, offset) == $0.count }
  }

  private func holder() -> String {
    let pid = withUnsafeTemporaryAllocation(byteCount: 16, alignment: 1) { buffer in
      let count = pread(descriptor, buffer.baseAddress, 11, 0)
      return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).prefix { $0.isNumber }
    }
    guard !pid.isEmpty else { return "another process" }
    let file = open("/proc/\(pid)/comm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "process \(pid)" }
    defer { close(file) }
    let name = withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
      let count = read(file, buffer.baseAddress, 64)
      return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).prefix { $0 != "\n" }
    }
    return "process \(pid) (\(name))"
  }
}
