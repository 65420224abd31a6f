import Glibc
package import PurserModel
import Synchronization

/// What stands at many paths, looked at once, on all processors: for plans, which ask for the same file from several
/// sides.
package struct FileTable: Sendable {
  /// One path: what it is, and its content's digest where it is a file. A final link is not followed.
  package struct Look: Sendable {
    /// The entry itself.
    package var identity: FileIdentity
    /// Of a regular file; `nil` for anything else.
    package var digest: Digest?
  }

  private var looks: [ByteString: Result<Look, FileError>]

  /// Looks at each path once. One system call a path that the stat cache knows; the others are read.
  package init(_ paths: [ByteString], hasher: FileHasher) {
    let unique = Array(Set(paths))
    let threads = unique.count > 256 ? min(hasher.workers, unique.count) : 1
    let results = SharedBuffer<Result<Look, FileError>?>(count: unique.count, nil)
    let next = Atomic(0)
    WorkerThreads.run(threads) {
      let batch = 64
      while true {
        let start = next.add(batch, ordering: .relaxed).oldValue
        guard start < unique.count else { return }
        for index in start..<min(start + batch, unique.count) {
          results[index] = Self.look(at: unique[index], hasher)
        }
      }
    }
    looks = Dictionary(minimumCapacity: unique.count)
    for (index, path) in unique.enumerated() { looks[path] = results[index] }
  }

  private static func look(at path: ByteString, _ hasher: FileHasher) -> Result<Look, FileError> {
    Result { () throws(FileError) in
      let identity = try hasher.identity(of: path, followLinks: false)
      guard identity.kind == .file else { return Look(identity: identity, digest: nil) }
      let file = try hasher.digest(of: path, identity: identity)
      return Look(identity: file.identity, digest: file.digest)
    }
  }

  /// What was seen at a path; `nil` if it was not among those looked at.
  package subscript(path: ByteString) -> Result<Look, FileError>? { looks[path] }
}
