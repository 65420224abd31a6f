import Glibc
import PurserModel
import Synchronization

/// One thread's part of a walk.
final class TreeWorker {
  private let walk: TreeWalk
  private let cache: StatCache
  /// Whether the cache knew nothing but its file when the walk began. What the walk itself learns it does not ask for, and
  /// so takes no lock for each file: sixteen threads that did took eight times as long.
  private let isFresh: Bool
  /// Where the last digest was found in that file.
  private var place = -1
  /// Made at the first file that is to be read.
  private var reader: FileReader?
  private var collected = TreeWalk.Collected()
  /// Called when there is work for one more thread; `false` if that was the last.
  var whenBusy: (() -> Bool)?
  /// How many threads it was called for.
  private var helpers = 0
  private var looked = 0
  private var missed = 0
  private var missesInARow = 0

  /// Entries looked at before some are handed to a thread that has nothing to do: 64 files in the cache are 200 µs of
  /// work.
  private static let batch = 64
  /// From here on a file is a task of its own.
  private static let largeFile: Int64 = 256 * 1024

  init(walk: TreeWalk) {
    self.walk = walk
    cache = walk.hasher.cache
    isFresh = walk.isFresh
  }

  /// Works until the walk is done, then hands in what was found.
  func work() {
    walk.queue.work { task in
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
          let isAlone = walk.hasher.workers > 1 && walk.queue.isLast
          try hash(folder, location, -1, index, mayUseSecondThread: isAlone)
          finishPart(of: folder)
        }
      }
    }
    deliver()
  }

  /// Has another thread started. That costs 25 µs: worth it after 16 files to read, or 256 to look at, when there is work
  /// that nobody has begun. Where files are read, more threads than processors take a tenth longer.
  private func callForHelp(_ rest: Int) {
    guard let whenBusy, looked >= 256 || missed >= 16, rest >= Self.batch || walk.queue.hasTasks,
      missesInARow < 8 || helpers < walk.hasher.workers - 1
    else { return }
    (looked, missed) = (0, 0)
    helpers += 1
    if !whenBusy() { self.whenBusy = nil }
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
    var listing = FolderNames.Listing()
    for (name, kind) in try overlay.entries(of: path) {
      var known = kind
      if known == nil { known = try overlay.identity(of: path.appending(path: name), followLinks: false).kind }
      if let known { name.bytes.withUnsafeBufferPointer { listing.append($0, known) } }
    }
    adopt(FolderNames(listing), folder)
    for index in 0..<folder.count {
      let inner = path.appending(path: folder.name(index))
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

  /// Makes tasks of a folder's entries.
  func list(_ folder: TreeFolder, _ handle: DirectoryHandle) {
    attempt { () throws(FileError) in
      adopt(try names(in: handle, folder), folder)
      var tasks: [TreeWalk.Task] = []
      for index in 0..<folder.count where folder.kind(index) == .directory {
        let child = TreeFolder(parent: folder, index: index, path: folder.path(of: index))
        tasks.append(.list(child, parent: handle))
      }
      looked += 1 + tasks.count
      folder.unfinished.add(tasks.count, ordering: .relaxed)
      walk.queue.push(tasks)
      try look(at: 0..<folder.count, folder, handle)
      finishPart(of: folder)
    }
  }

  private func adopt(_ names: FolderNames, _ folder: TreeFolder) {
    let scope = walk.filter.scope(of: folder.path)
    folder.adopt(names) { name, kind in
      scope.skips(name, isDirectory: kind == .directory) { folder.path.appending(name) }
    }
  }

  /// The names in a folder: as they were, if it did not change, else listed.
  private func names(in handle: DirectoryHandle, _ folder: TreeFolder) throws(FileError) -> FolderNames {
    let began = cache.clock.now()
    let identity = try FileIdentity.of(descriptor: handle.descriptor)
    if let known = cache.folders.names(in: identity) { return known }
    var listing = FolderNames.Listing()
    try handle.list(path: { folder.path }) { name, kind throws(FileError) in
      var known = kind
      if known == nil { known = try handle.kind(of: name) { folder.path.appending(name) } }
      if let known { listing.append(name, known) }
    }
    let names = FolderNames(listing)
    cache.folders.record(
      identity, names, listingBegan: began,
      granularity: cache.clock.granularity(ofDescriptor: handle.descriptor, device: identity.device))
    return names
  }

  /// Looks at entries, and hands half of what is left to a thread that has nothing to do. So each thread has a folder to
  /// itself while there are enough of them.
  private func look(at range: Range<Int>, _ folder: TreeFolder, _ handle: DirectoryHandle) throws(FileError) {
    var rest = range
    while let first = rest.first {
      callForHelp(rest.count)
      if rest.count >= 2 * Self.batch, walk.queue.isHungry {
        let middle = first + rest.count / 2
        folder.unfinished.add(1, ordering: .relaxed)
        walk.queue.push([.entries(folder, handle, middle..<rest.upperBound)])
        rest = first..<middle
      }
      let batch = rest.prefix(Self.batch)
      for index in batch { try look(at: index, folder, handle) }
      rest = batch.upperBound..<rest.upperBound
    }
  }

  private func look(at index: Int, _ folder: TreeFolder, _ handle: DirectoryHandle) throws(FileError) {
    looked += 1
    switch folder.kind(index) {
    case .file: try lookAtFile(folder, handle, index)
    case .symbolicLink:
      let text = try handle.linkText(folder.cName(index)) { folder.path(of: index) }
      lookAtLink(folder, index, text)
    case .directory: break
    case let kind: throw .notAFile(kind, path: folder.path(of: index))
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
    if let digest = isFresh ? cache.savedDigest(for: identity, after: &place) : cache.digest(for: identity) {
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
    _ folder: TreeFolder, _ location: Location, _ opened: Int32, _ index: Int, mayUseSecondThread: Bool = false
  ) throws(FileError) {
    let reader = self.reader ?? FileReader(cache: cache, batch: 256)
    self.reader = reader
    reader.mayUseSecondThread = mayUseSecondThread
    let file = try reader.digest(at: location, folder.identity(index), opened: opened) { folder.path(of: index) }
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
      let digest = folder.finish()
      if walk.keepsParts { collect(folder, digest) }
      guard let parent = folder.parent else {
        collected.digest = digest
        return
      }
      parent.set(digest, at: folder.index)
      folder = parent
    }
  }

  private func collect(_ folder: TreeFolder, _ digest: Digest) {
    collected.nodes[digest] = folder.node
    var files = 0
    for index in 0..<folder.count where folder.kind(index) == .file {
      files += 1
      collected.byteCount += folder.identity(index).size
    }
    collected.identities.append(folder, files: files)
  }

  /// Hands in what this thread found.
  func deliver() {
    reader?.flush()
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
