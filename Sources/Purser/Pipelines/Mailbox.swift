import Glibc
import Synchronization

/// Messages from many threads to one, which may poll for them.
final class Mailbox<Message: Sendable>: Sendable {
  private let messages = Mutex<[Message]>([])
  private let pipe: (reading: Int32, writing: Int32)

  init() {
    var ends: [Int32] = [-1, -1]
    _ = Glibc.pipe(&ends)
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    pipe = (ends[0], ends[1])
  }

  deinit {
    close(pipe.reading)
    close(pipe.writing)
  }

  /// Readable once there are messages.
  var descriptor: Int32 { pipe.reading }

  func post(_ message: Message) {
    messages.withLock { $0.append(message) }
    var byte: UInt8 = 0
    write(pipe.writing, &byte, 1)
  }

  func take() -> [Message] {
    var buffer = [UInt8](repeating: 0, count: 512)
    while read(pipe.reading, &buffer, buffer.count) == buffer.count {}
    return messages.withLock { messages in
      defer { messages = [] }
      return messages
    }
  }
}
