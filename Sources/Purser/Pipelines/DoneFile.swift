import Glibc
import PurserModel
import Synchronization

/// The file in which a bundled command tells of its items, line by line.
final class DoneFile: Sendable {
  private let path: ByteString
  private let items: [ByteString: Item]
  private struct State {
    /// What the last line said of an item.
    var said: [ByteString: Bool] = [:]
    var offset = 0
    var rest: [UInt8] = []
    var problem: String?
    var failure: String?
  }
  private let state = Mutex(State())

  init(path: ByteString, items: [Item]) {
    self.path = path
    self.items = Dictionary(items.map { (ByteString($0.key), $0) }) { first, _ in first }
  }

  /// The items that no line has named yet, in the order of the list.
  var unnamed: [Item] {
    state.withLock { state in
      items.filter { state.said[$0.key] == nil }.values.sorted { $0.index < $1.index }
    }
  }

  /// The first line that told of nothing; `nil` where all did.
  var problem: String? { state.withLock { $0.problem } }

  /// The first line that told of a failure, but of no item here. It may have been meant for one that no other line names,
  /// so that those cannot be taken for done.
  var failure: String? { state.withLock { $0.failure } }

  /// The ends that were told of since the last call; of two lines for one item, the later counts.
  ///
  /// - Parameter isLast: whether nothing more is coming, so that what has no newline behind it is a line too.
  func newLines(isLast: Bool = false) -> [ItemEnd] {
    state.withLock { state in
      let bytes = state.rest + read(from: &state.offset)
      var ends: [ItemEnd] = []
      var rest = bytes[...]
      while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
        if let end = end(rest[..<newline], &state) { ends.append(end) }
        rest = rest[(newline + 1)...]
      }
      if isLast, let end = end(rest, &state) {
        ends.append(end)
        rest = []
      }
      state.rest = Array(rest)
      return ends
    }
  }

  private func end(_ line: ArraySlice<UInt8>, _ state: inout State) -> ItemEnd? {
    guard line.contains(where: { $0 != 0x20 && $0 != 0x0d && $0 != 0x09 }) else { return nil }
    func refuse(_ why: String) {
      let shown = ByteString(line.prefix(80)).printable
      if state.problem == nil { state.problem = "a line in the file of PURSER_DONE \(why): \(shown)" }
    }
    guard let members = try? JSONText.members(of: line) else {
      refuse("is no JSON object")
      return nil
    }
    func member(_ name: String) -> String? { members.first { $0.name == name }?.value }
    let status = member("status").map(ItemList.text)
    guard let key = member("key").map({ ByteString(ItemList.text($0)) }), status == "done" || status == "failed" else {
      refuse("has no key, or no status that is done or failed")
      return nil
    }
    guard let item = items[key] else {
      refuse("names no item of this bundle")
      if status == "failed", state.failure == nil { state.failure = state.problem }
      return nil
    }
    let isDone = status == "done"
    guard state.said.updateValue(isDone, forKey: key) != isDone else { return nil }
    if isDone { return ItemEnd(item: item, error: nil, data: member("data")) }
    return ItemEnd(
      item: item, error: member("error").map(ItemList.text) ?? "the command says that it failed", data: nil)
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

/// Looks at something forty times a second, on a thread of its own, while a command runs.
final class Tail: Sendable {
  private struct State: Sendable {
    var isStopped = false
    var failure: (any Error)?
  }
  /// Shared with the thread.
  private final class Shared: Sendable {
    /// Held while the thread is at work.
    let state = Mutex(State())
  }
  private let shared = Shared()
  private let thread: RepeatingThread

  init(_ look: @escaping @Sendable () throws -> Void) {
    thread = RepeatingThread(everyMilliseconds: 25) { [shared] in
      shared.state.withLock { state in
        guard !state.isStopped else { return }
        do { try look() } catch { state.failure = state.failure ?? error }
      }
    }
  }

  /// Ends the thread, once it is not at work, and throws what went wrong there.
  func stop() throws {
    thread.stop()
    let failure = shared.state.withLock { state in
      state.isStopped = true
      return state.failure
    }
    if let failure { throw failure }
  }
}
