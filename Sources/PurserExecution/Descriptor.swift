import CSpawn
import Glibc

/// An open file descriptor that is closed at the end of its life.
struct Descriptor: ~Copyable {
  let number: Int32

  init(_ number: Int32) {
    self.number = number
  }

  /// Takes over what `open` gave, moved to 3 or above.
  static func high(_ opened: Int32) throws(SystemError) -> Descriptor {
    let number = cspawn_raise(opened)
    guard number >= 0 else { throw SystemError(errno) }
    return Descriptor(number)
  }

  deinit {
    close(number)
  }

  /// A copy of a descriptor, close-on-exec, at least 3.
  static func high(copyOf number: Int32) throws(SystemError) -> Descriptor {
    let copy = fcntl(number, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { throw SystemError(errno) }
    return Descriptor(copy)
  }
}

/// A pipe from a command, both ends close-on-exec. Only reading is non-blocking: the command gets the other end.
struct Pipe: ~Copyable {
  let reading: Descriptor
  let writing: Descriptor

  init() throws(SystemError) {
    var ends: (Int32, Int32) = (-1, -1)
    let failure = withUnsafeMutablePointer(to: &ends) { pair in
      pair.withMemoryRebound(to: Int32.self, capacity: 2) { cspawn_pipe($0, 1) }
    }
    guard failure == 0 else { throw SystemError(failure) }
    reading = Descriptor(ends.0)
    writing = Descriptor(ends.1)
  }

  /// The number by which the pipe shows in `/proc`.
  var inode: UInt {
    var status = stat()
    return fstat(reading.number, &status) == 0 ? status.st_ino : 0
  }
}

/// An error number of a system call, inside this room.
struct SystemError: Error {
  var number: Int32

  init(_ number: Int32) {
    self.number = number
  }
}
