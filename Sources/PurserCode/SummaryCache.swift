import CLinux
import Glibc
package import PurserModel
import Synchronization

/// What was found out about source files, by their content's digest, so that no content is scanned twice.
///
/// Derived from the files alone, and may be deleted at any time; see ``SummaryFile`` for the format. A save appends with
/// one write; when the file has outgrown ``limit``, it is written anew with what this process used. Any use from any
/// thread.
package final class SummaryCache: Sendable {
  /// Taken anew with every change of what any scanner finds or how it is written down: older summaries then go.
  static let version: UInt32 = 1
  /// Bytes beyond which a save starts the file anew: about 100,000 summaries.
  private static let limit = 32 << 20

  /// What a summary says.
  struct Kind: Hashable, Sendable {
    let rawValue: UInt32

    /// ``References`` of a file in a language.
    static func references(_ language: Language) -> Kind { Kind(rawValue: UInt32(language.rawValue)) }
    /// The digest of a Python file's normal form, or why there is none.
    static let normalForm = Kind(rawValue: 0x100)
    /// A Python file's definitions, or why there are none.
    static let outline = Kind(rawValue: 0x101)
    /// The language that a file's first line names.
    static let language = Kind(rawValue: 0x102)
  }

  private struct Key: Hashable {
    var digest: Digest
    var kind: Kind
  }

  private struct State: ~Copyable {
    /// `nil` until somebody asks.
    var file: SummaryFile?
    /// Of this process, not yet in the file.
    var new: [Key: [UInt8]] = [:]
    /// Of this process, already in the file.
    var saved: [Key: [UInt8]] = [:]
    /// What was asked of a file that is going to be written anew.
    var used: Set<Key> = []
  }

  private let path: ByteString?
  private let state = Mutex(State())
  private let hasNew = Atomic(false)

  /// A cache in one file, which is opened when it is first asked; `nil` for one in memory only.
  package init(path: ByteString?) {
    self.path = path
  }

  /// What is known about a content. O(1), but for the first, which opens the file.
  func summary(_ kind: Kind, of digest: Digest) -> [UInt8]? {
    state.withLock { state in
      let key = Key(digest: digest, kind: kind)
      if let known = state.new[key] ?? state.saved[key] { return known }
      open(&state)
      guard let found = state.file?.summary(kind.rawValue, digest) else { return nil }
      if state.file?.mustBeReplaced == true { state.used.insert(key) }
      return found
    }
  }

  /// Remembers a summary.
  func set(_ kind: Kind, of digest: Digest, _ summary: [UInt8]) {
    state.withLock { $0.new[Key(digest: digest, kind: kind)] = summary }
    hasNew.store(true, ordering: .releasing)
  }

  private func open(_ state: inout State) {
    let isOpen = state.file != nil
    guard !isOpen else { return }
    state.file = path.map { SummaryFile(path: $0, version: Self.version, limit: Self.limit) }
  }

  /// Keeps what is new. Nothing new: no system call. Failing, or losing to another process, costs a scan later.
  package func save() {
    guard let path, hasNew.exchange(false, ordering: .acquiringAndReleasing) else { return }
    state.withLock { state in
      open(&state)
      var writer = ByteWriter()
      for (key, summary) in state.new { SummaryFile.append(key.kind.rawValue, key.digest, summary, to: &writer) }
      let mustReplace = state.file?.mustBeReplaced ?? true
      if mustReplace || !Self.append(writer.bytes, to: path) {
        var whole = ByteWriter()
        whole.append(SummaryFile.header(version: Self.version))
        for key in state.used {
          guard let summary = state.file?.summary(key.kind.rawValue, key.digest) else { continue }
          SummaryFile.append(key.kind.rawValue, key.digest, summary, to: &whole)
        }
        for (key, summary) in state.saved {
          SummaryFile.append(key.kind.rawValue, key.digest, summary, to: &whole)
        }
        whole.append(writer.bytes)
        Self.replace(path, with: whole.bytes)
        // What of the old file was not asked for is forgotten with it.
        state.file = SummaryFile(mustBeReplaced: false)
        state.used = []
      }
      state.saved.merge(state.new) { $1 }
      state.new = [:]
    }
  }

  /// One write at the end of the file as it is now; part of an entry there makes the next process write it anew.
  private static func append(_ bytes: [UInt8], to path: ByteString) -> Bool {
    let descriptor = path.withCString { Glibc.open($0, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW) }
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == bytes.count
  }

  private static func replace(_ path: ByteString, with bytes: [UInt8]) {
    var unique: UInt64 = 0
    _ = purser_random(&unique, MemoryLayout.size(ofValue: unique))
    let temporary = path.parentPath.appending(path: "tmp").appending(
      path: path.lastPathComponent + ByteString("-" + String(unique, radix: 16)))
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
    let descriptor = temporary.withCString { Glibc.open($0, flags, 0o600) }
    guard descriptor >= 0 else { return }
    let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    close(descriptor)
    let isKept =
      written == bytes.count && temporary.withCString { from in path.withCString { rename(from, $0) == 0 } }
    if !isKept { _ = temporary.withCString { unlink($0) } }
  }
}
