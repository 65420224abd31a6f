import Glibc
import PurserModel
import Synchronization

/// One thread's part of a walk.
final class TreeWorker {
  private let walk: TreeWalk
  /// Made at the first file that is to be read.
  private lazy var reader = FileReader(cache: walk.hasher.cache)
  private var collected = TreeWalk.Collected()
  /// Called when there is work for more threads.
  var whenBusy: (() -> Void)?
  private var looked = 0
  private var missed = 0
  private var missesInARow = 0

  /// Entries looked at in one task: 64 files in the cache are 200 µs of work.
  private static let batch = 64
  /// From here on a file is a task of its own.
  private static let largeFile: Int64 = 256 * 1024

  init(walk: TreeWalk) {
    self.walk = walk
  }

  /// Works until the walk is done, then hands in what was found.
  func work() {
    walk.queue.work { task in
      callForHelp()
      switch task {
      case .list(let folder, let parent):
        attempt { () throws(FileError) in
          guard let above = folder.parent else { return }
          list(
            folder,
            try DirectoryHandle(in: parent.descriptor, name: above.cName(folder.index), followLinks: false) {
              folder.path
            })
        }
      case .entries(let folder, let handle, let range):
        attempt { () throws(FileError) in
          try look(at: range, folder, handle)
          finishPart(of: folder)
        }
      case .hash(let folder, let handle, let index):
        attempt { () throws(FileError) in
          let location = Location(directory: handle.descriptor, name: folder.cName(index), followsLinks: false)
          reader.mayUseSecondThread = walk.hasher.workers > 1 && walk.queue.isLast
          try hash(folder, location, -1, index)
          reader.mayUseSecondThread = false
          finishPart(of: folder)
        }
      }
    }
    deliver()
  }

  /// Has more threads started, once. Starting one costs 25 µs: worth it from 16 files to read, or 256 to look at, when
  /// there are tasks that nobody has begun.
  private func callForHelp() {
    guard let whenBusy, looked >= 256 || missed >= 16, walk.queue.hasTasks else { return }
    self.whenBusy = nil
    whenBusy()
  }

  private func attempt(_ body: () throws(FileError) -> Void) {
    do throws(FileError) {
      try body()
    } catch {
      walk.fail(error)
    }
  }

  /// Begins with a folder by its path: the top of a walk, or what lies below changes of an overlay. Folders that have
  /// such are walked here and now, by one thread; there are few.
  func list(_ folder: TreeFolder, at path: ByteString, in overlay: FileOverlay?) throws(FileError) {
    var path = path
    if let overlay {
      guard let real = try overlay.unchangedFolder(path) else { return try listChanged(folder, path, overlay) }
      path = real
    }
    let handle = try path.withPath { cPath throws(FileError) in
      try DirectoryHandle(in: AT_FDCWD, name: cPath, followLinks: true) { folder.path.isEmpty ? path : folder.path }
    }
    list(folder, handle)
  }

  private func listChanged(_ folder: TreeFolder, _ path: ByteString, _ overlay: FileOverlay) throws(FileError) {
    var listing = TreeFolder.Listing()
    let scope = walk.filter.scope(of: folder.path)
    for (name, kind) in try overlay.entries(of: path) {
      var known = kind
      if known == nil { known = try overlay.identity(of: path.appending(path: name), followLinks: false).kind }
      guard let kind = known else { continue }
      name.bytes.withUnsafeBufferPointer { bytes in
        if !scope.skips(bytes, isDirectory: kind == .directory, path: { folder.path.appending(bytes) }) {
          listing.append(bytes, kind)
        }
      }
    }
    folder.adopt(listing)
    for index in 0..<folder.count {
      let inner = path.appending(folder.name(index))
      switch folder.kind(index) {
      case .directory:
        folder.unfinished.add(1, ordering: .relaxed)
        try list(TreeFolder(parent: folder, index: index, path: folder.path(of: index)), at: inner, in: overlay)
      case .file:
        do throws(FileError) {
          let file = try walk.hasher.digest(of: inner)
          folder.set(file.identity, at: index)
          folder.set(file.digest, at: index)
        } catch {
          var named = error
          named.path = folder.path(of: index)
          throw named
        }
      case .symbolicLink: lookAtLink(folder, index, try overlay.linkText(of: inner).bytes)
      case let kind: throw .notAFile(kind, path: folder.path(of: index))
      }
    }
    finishPart(of: folder)
  }

  /// Reads a folder's listing, and makes tasks of it.
  func list(_ folder: TreeFolder, _ handle: DirectoryHandle) {
    attempt { () throws(FileError) in
      var listing = TreeFolder.Listing()
      let scope = walk.filter.scope(of: folder.path)
      try handle.list(path: { folder.path }) { name, kind throws(FileError) in
        var known = kind
        if known == nil { known = try handle.kind(of: name) { folder.path.appending(name) } }
        guard let known, !scope.skips(name, isDirectory: known == .directory, path: { folder.path.appending(name) })
        else { return }
        listing.append(name, known)
      }
      folder.adopt(listing)
      var tasks: [TreeWalk.Task] = []
      for index in 0..<folder.count where folder.kind(index) == .directory {
        let child = TreeFolder(parent: folder, index: index, path: folder.path(of: index))
        tasks.append(.list(child, parent: handle))
      }
      looked += 1 + tasks.count
      for start in stride(from: Self.batch, to: folder.count, by: Self.batch) {
        tasks.append(.entries(folder, handle, start..<min(start + Self.batch, folder.count)))
      }
      folder.unfinished.add(tasks.count, ordering: .relaxed)
      walk.queue.push(tasks)
      callForHelp()
      try look(at: 0..<min(Self.batch, folder.count), folder, handle)
      finishPart(of: folder)
    }
  }

  private func look(at range: Range<Int>, _ folder: TreeFolder, _ handle: DirectoryHandle) throws(FileError) {
    for index in range {
      looked += 1
      switch folder.kind(index) {
      case .file: try lookAtFile(folder, handle, index)
      case .symbolicLink:
        let text = try handle.linkText(folder.cName(index)) { folder.path(of: index) }
        lookAtLink(folder, index, text)
      case .directory: continue
      case let kind: throw .notAFile(kind, path: folder.path(of: index))
      }
    }
  }

  private func lookAtFile(_ folder: TreeFolder, _ handle: DirectoryHandle, _ index: Int) throws(FileError) {
    let location = Location(directory: handle.descriptor, name: folder.cName(index), followsLinks: false)
    // Where files were not in the cache, the next one is not either: it is opened at once, which saves one look by name.
    let opened = missesInARow >= 8 ? location.open() : -1
    defer { if opened >= 0 { close(opened) } }
    let identity = try identity(location, opened, folder, index)
    // Listed as a file a moment ago.
    guard identity.kind == .file else { throw .unstable(path: folder.path(of: index)) }
    folder.set(identity, at: index)
    if let digest = walk.hasher.cache.digest(for: identity) {
      folder.set(digest, at: index)
      missesInARow = 0
    } else if identity.size >= Self.largeFile {
      folder.unfinished.add(1, ordering: .relaxed)
      walk.queue.push([.hash(folder, handle, index)])
      missed += 8
    } else {
      missed += 1
      missesInARow += 1
      try hash(folder, location, opened, index)
    }
  }

  private func identity(
    _ location: Location, _ opened: Int32, _ folder: TreeFolder, _ index: Int
  ) throws(FileError) -> FileIdentity {
    if opened >= 0 { return try FileIdentity.of(descriptor: opened) }
    do throws(FileError) {
      return try location.identity { folder.path(of: index) }
    } catch  where error.code == .missing {
      // Listed a moment ago.
      throw .unstable(path: error.path)
    }
  }

  private func hash(
    _ folder: TreeFolder, _ location: Location, _ opened: Int32, _ index: Int
  ) throws(FileError) {
    guard let identity = folder.identity(index) else { return }
    let file = try reader.digest(at: location, identity, opened: opened) { folder.path(of: index) }
    folder.set(file.identity, at: index)
    folder.set(file.digest, at: index)
  }

  private func lookAtLink(_ folder: TreeFolder, _ index: Int, _ text: [UInt8]) {
    let target = walk.hasher.realPath(walk.boundary.path(folder.path(of: index)))
      .flatMap(walk.boundary.contentPath)
      .flatMap { walk.linksByText && walk.contains($0) ? nil : $0 }
    if let target {
      if !walk.linksByText { folder.unfinished.add(1, ordering: .relaxed) }
      collected.links.append(TreeWalk.Link(folder: folder, index: index, text: text, target: target))
    }
    if target == nil || walk.linksByText { folder.set(TreeLink.digest(text: text), at: index) }
  }

  /// One task less for the folder; after the last one it has its digest, and its parent a task less.
  func finishPart(of folder: TreeFolder) {
    var folder = folder
    while folder.unfinished.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 {
      let node = folder.encoded()
      let digest = SHA256.digest(of: node)
      collected.nodes[digest] = node
      collected.identities.beginFolder(folder.path, files: folder.count, nameBytes: folder.nameBytes)
      for index in 0..<folder.count {
        guard let identity = folder.identity(index) else { continue }
        collected.identities.append(folder.name(index), identity)
        collected.byteCount += identity.size
      }
      guard let parent = folder.parent else {
        collected.digest = digest
        return
      }
      parent.set(digest, at: folder.index)
      folder = parent
    }
  }

  /// Hands in what this thread found.
  func deliver() {
    walk.collected.withLock { all in
      all.links += collected.links
      all.nodes.merge(collected.nodes) { first, _ in first }
      all.identities.append(contentsOf: collected.identities)
      all.byteCount += collected.byteCount
      all.digest = all.digest ?? collected.digest
    }
    collected = TreeWalk.Collected()
  }
}
