import CLinux
import Glibc
import PurserModel
import PurserStore

/// The store's own key for HMACs: 32 random bytes in `key`, readable by the owner alone. With it, values of declared
/// environment variables enter the action key without being stored or guessable from the store alone.
enum SecretKey {
  static let size = 32

  /// Reads the key, making one if there is none yet.
  static func load(store: ByteString) throws(PurserError) -> [UInt8] {
    let path = store.appending(path: "key")
    for _ in 0..<2 {
      if let key = try read(path) { return key }
      try create(path, in: store)
    }
    throw PurserError(.unavailable, "the store's key '\(path.printable)' is damaged; remove it to start a new one")
  }

  private static func read(_ path: ByteString) throws(PurserError) -> [UInt8]? {
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) }
    guard descriptor >= 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw PurserError(
        .unavailable, "the store's key '\(path.printable)' cannot be read: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var key = [UInt8](repeating: 0, count: size + 1)
    let count = Glibc.read(descriptor, &key, key.count)
    guard count == size else {
      throw PurserError(.unavailable, "the store's key '\(path.printable)' is damaged; remove it to start a new one")
    }
    return Array(key.prefix(size))
  }

  /// Writes a new key beside its place and links it there, so that of two processes one wins and neither reads half.
  private static func create(_ path: ByteString, in store: ByteString) throws(PurserError) {
    var key = [UInt8](repeating: 0, count: size)
    guard purser_random(&key, size) == 0 else { throw PurserError(.io, "no random bytes to be had") }
    do {
      try StoreFolder.prepare(store)
    } catch {
      throw PurserError(error)
    }
    var unique: UInt64 = 0
    _ = purser_random(&unique, MemoryLayout.size(ofValue: unique))
    let temporary = path + ByteString("." + String(unique, radix: 16))
    let descriptor = temporary.withCString { open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600) }
    guard descriptor >= 0 else {
      throw PurserError(
        .unavailable, "the store's key '\(path.printable)' cannot be made: \(String(cString: strerror(errno)))")
    }
    let isWritten = write(descriptor, key, size) == size && fsync(descriptor) == 0
    close(descriptor)
    defer { _ = temporary.withCString { unlink($0) } }
    guard isWritten else { throw PurserError(.io, "the store's key '\(path.printable)' cannot be written") }
    let code = temporary.withCString { from in path.withCString { link(from, $0) } }
    guard code == 0 || errno == EEXIST else {
      throw PurserError(.io, "the store's key '\(path.printable)' cannot be made: \(String(cString: strerror(errno)))")
    }
  }
}
