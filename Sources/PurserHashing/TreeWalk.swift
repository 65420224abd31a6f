import Glibc
import PurserModel
import Synchronization

/// One walk over a folder and everything below: lists, looks, hashes what the cache does not know, and builds nodes
/// from the bottom up. For one ``run(path:relativePath:)``.
final class TreeWalk: @unchecked Sendable {
  // Guard: what threads share is `queue`, `failure` and `collected`, each with its lock; the rest is written before
  // threads start or after they were joined.

  /// A link whose content counts, to be finished when that is known.
  struct Link {
    var folder: TreeFolder
    var index: Int
    var text: [UInt8]
    /// Relative to the project root.
    var target: ByteString
  }

  enum Task {
    case list(TreeFolder, parent: DirectoryHandle)
    case entries(TreeFolder, DirectoryHandle, Range<Int>)
    /// A file that is large enough to be a task of its own.
    case hash(TreeFolder, DirectoryHandle, Int)
  }

  struct Collected {
    var links: [Link] = []
    var nodes: [Digest: [UInt8]] = [:]
    var identities = TreeIdentities()
    var byteCount: Int64 = 0
    var digest: Digest?
  }

  let hasher: FileHasher
  let filter: PathFilter
  let boundary: TreeBoundary
  /// Whether the cache knew nothing but its file when the walk began.
  let isFresh: Bool
  /// Whether nodes and identities are wanted, or only the digest.
  var keepsParts = true
  /// Whether links are hashed by their text alone, and `links` only names what they lead to.
  var linksByText = false
  private var top: ByteString = ""
  let queue = TreeQueue<Task>()
  let failure = Mutex<FileError?>(nil)
  let collected = Mutex(Collected())

  init(hasher: FileHasher, filter: PathFilter, boundary: TreeBoundary) {
    self.hasher = hasher
    self.filter = filter
    self.boundary = boundary
    isFresh = hasher.cache.isFresh
  }

  var links: [Link] { collected.withLock { $0.links } }
  var nodes: [Digest: [UInt8]] { collected.withLock { $0.nodes } }
  var identities: TreeIdentities { collected.withLock { $0.identities } }
  var byteCount: Int64 { collected.withLock { $0.byteCount } }
  /// Of the top folder, when it has been finished: not before ``finish(_:_:)`` was called for every link.
  var digest: Digest? { collected.withLock { $0.digest } }

  func run(path: ByteString, relativePath: ByteString) throws(FileError) {
    let top = TreeFolder(parent: nil, index: 0, path: relativePath)
    self.top = relativePath
    let threads = WorkerThreads()
    let worker = TreeWorker(walk: self)
    // Who has to lock the cache for each file does better without more threads than processors.
    var spare = (isFresh ? hasher.lookers : hasher.workers) - 1
    worker.whenBusy = {
      if spare > 0 { threads.start { TreeWorker(walk: self).work() } }
      spare -= 1
      return spare > 0
    }
    do throws(FileError) {
      try worker.list(top, at: path, in: hasher.overlay)
    } catch {
      fail(error)
    }
    worker.work()
    threads.join()
    if let failure = failure.withLock({ $0 }) { throw failure }
  }

  /// Gives a link its digest. For one thread, after ``run(path:relativePath:)``.
  func finish(_ link: Link, _ digest: Digest) {
    let worker = TreeWorker(walk: self)
    link.folder.set(digest, at: link.index)
    worker.finishPart(of: link.folder)
    worker.deliver()
  }

  /// Whether a path relative to the project is in this walk.
  func contains(_ path: ByteString) -> Bool {
    top.isEmpty || path == top || path.hasPrefix(top + "/")
  }

  func fail(_ error: FileError) {
    failure.withLock { $0 = $0 ?? error }
    queue.stop()
  }
}
