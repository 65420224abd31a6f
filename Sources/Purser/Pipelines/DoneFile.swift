import Glibc
import PurserModel
import Synchronization

/// The file in which a bundled command tells of its items, line by line.
final class DoneFile: Sendable {
  private let path: ByteString
  private struct State {
    var waiting: [String: Item]
    var offset = 0
    var rest: [UInt8] = []
  }
  private let state: Mutex<State>

  init(path: ByteString, items: [Item]) {
    self.path = path
    state = Mutex(State(waiting: Dictionary(items.map { ($0.key, $0) }) { first, _ in first }))
  }

  /// The items that no line has named yet, in the order of the list.
  var unnamed: [Item] {
    state.withLock { $0.waiting.values.sorted { $0.index < $1.index } }
  }

  /// The ends that were told of since the last call. A line that is not JSON, or names no item of the bundle, is left
  /// out: its item then counts by the command's exit.
  func newLines() -> [ItemEnd] {
    state.withLock { state in
      let bytes = state.rest + read(from: &state.offset)
      var ends: [ItemEnd] = []
      var rest = bytes[...]
      while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
        if let end = Self.end(rest[..<newline], &state.waiting) { ends.append(end) }
        rest = rest[(newline + 1)...]
      }
      state.rest = Array(rest)
      return ends
    }
  }

  private static func end(_ line: ArraySlice<UInt8>, _ waiting: inout [String: Item]) -> ItemEnd? {
    guard let value = try? JSON(parsing: line), let key = value["key"]?.string, let status = value["status"]?.string,
      status == "done" || status == "failed", let item = waiting.removeValue(forKey: key)
    else { return nil }
    guard status == "done" else {
      return ItemEnd(item: item, error: value["error"]?.string ?? "the command says that it failed", data: nil)
    }
    // The text of the data as it stands in the line, so that no number is changed on the way.
    let data = (try? JSONText.members(of: line))?.last { $0.name == "data" }?.value
    return ItemEnd(item: item, error: nil, data: data)
  }

  private func read(from offset: inout Int) -> [UInt8] {
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = pread(descriptor, &buffer, buffer.count, offset)
      guard count > 0 else { return bytes }
      bytes += buffer[..<count]
      offset += count
    }
  }
}

/// Looks at something ten times a second, on a thread of its own, while a command runs.
final class Tail: Sendable {
  private let shared: Shared

  private final class Shared: Sendable {
    let look: @Sendable () throws -> Void
    let pipe: (reading: Int32, writing: Int32)
    let failure = Mutex<(any Error)?>(nil)
    /// Held by the thread while it works: whether it is to end.
    let isStopped = Mutex(false)

    init(_ look: @escaping @Sendable () throws -> Void, _ pipe: (Int32, Int32)) {
      self.look = look
      self.pipe = pipe
    }

    func run() {
      var entry = pollfd(fd: pipe.reading, events: Int16(POLLIN), revents: 0)
      while poll(&entry, 1, 100) == 0 {
        isStopped.withLock { isStopped in
          guard !isStopped else { return }
          do { try look() } catch { failure.withLock { $0 = $0 ?? error } }
        }
      }
      close(pipe.reading)
    }
  }

  init(_ look: @escaping @Sendable () throws -> Void) {
    var ends: [Int32] = [-1, -1]
    _ = pipe(&ends)
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    shared = Shared(look, (ends[0], ends[1]))
    guard ends[0] >= 0 else { return }
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Shared>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(shared).toOpaque())
    if code == 0 { pthread_detach(thread) }
  }

  /// Ends the thread, once it is not at work, and throws what went wrong there.
  func stop() throws {
    if shared.pipe.writing >= 0 { close(shared.pipe.writing) }
    shared.isStopped.withLock { $0 = true }
    if let error = shared.failure.withLock({ $0 }) { throw error }
  }
}
