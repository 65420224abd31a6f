import PurserHashing
import PurserModel

/// The folders of a project, each listed once, when it is first asked for. Paths are relative to the root.
final class FolderTable {
  /// What a name in a folder stands for, links followed.
  enum Entry {
    case file(isLink: Bool)
    case folder
    /// A link that leads out of the project.
    case outside
  }

  let root: ByteString
  private let hasher: FileHasher
  private var numbers: [ByteString: Int] = [:]
  private var paths: [ByteString] = []
  private var listings: [FolderListing?] = []
  /// By folder and name: what a link, or an entry of unknown kind, leads to.
  private var resolved: [ByteString: Entry?] = [:]

  init(root: ByteString, hasher: FileHasher) {
    self.root = root
    self.hasher = hasher
  }

  /// The number of a folder; `nil` where there is none. Adds it, or the nearest folder above it, to `consulted`: what
  /// may appear there appears in that one.
  func folder(_ path: ByteString, _ consulted: inout [Int]) -> Int? {
    let number = number(of: path)
    if listings[number] != nil {
      consulted.append(number)
      return number
    }
    if !path.isEmpty { _ = folder(path.parentPath, &consulted) }
    return nil
  }

  private func number(of path: ByteString) -> Int {
    if let number = numbers[path] { return number }
    let number = paths.count
    numbers[path] = number
    paths.append(path)
    listings.append(FolderListing(of: path.isEmpty ? root : root.appending(path: path), hasher: hasher))
    return number
  }

  func path(_ folder: Int) -> ByteString { paths[folder] }

  func closureFolder(_ number: Int) -> CodeClosure.Folder? {
    listings[number].map { CodeClosure.Folder(path: paths[number], identity: $0.identity, isSettled: $0.isSettled) }
  }

  /// What a name in a folder stands for; `nil` for nothing, or nothing that can be used.
  func entry(_ name: ByteString, in folder: Int) -> Entry? {
    guard let listing = listings[folder], let kind = listing.entries[name] else { return nil }
    switch kind {
    case .file: return .file(isLink: false)
    case .directory: return .folder
    case .symbolicLink, nil: return target(of: paths[folder].appending(path: name), isLink: kind != nil)
    default: return nil
    }
  }

  /// The extension modules of a name in a folder, for whichever Python: `fast.so`, `fast.abi3.so`,
  /// `fast.cpython-311-x86_64-linux-gnu.so`.
  func extensionModules(_ name: ByteString, in folder: Int) -> [ByteString] {
    extensions(of: folder)[name] ?? []
  }

  /// Every name in a folder that may be a module.
  func moduleNames(in folder: Int) -> [ByteString] {
    var names = Set(extensions(of: folder).keys)
    for (name, kind) in listings[folder]?.entries ?? [:] {
      if name.bytes.suffix(3).elementsEqual(".py".utf8) {
        names.insert(ByteString(name.bytes.dropLast(3)))
      } else if kind != .file, !name.bytes.contains(UInt8(ascii: ".")), name != "__pycache__" {
        names.insert(name)
      }
    }
    return names.subtracting(["__init__", "__main__"]).sorted()
  }

  /// A name of a folder that Python takes for the same: identifiers are normalized, file names need not be.
  func canonicalName(_ name: ByteString, in folder: Int) -> ByteString? {
    guard let listing = listings[folder] else { return nil }
    let wanted = String(decoding: name.bytes, as: UTF8.self)
    return listing.entries.keys.first { entry in
      guard entry.bytes.contains(where: { $0 >= 0x80 }) else { return false }
      let stem = entry.bytes.suffix(3).elementsEqual(".py".utf8) ? ByteString(entry.bytes.dropLast(3)) : entry
      return stem != name && String(decoding: stem.bytes, as: UTF8.self) == wanted
    }.map { $0.bytes.suffix(3).elementsEqual(".py".utf8) ? ByteString($0.bytes.dropLast(3)) : $0 }
  }

  /// The folder that a file really lies in, links resolved; `nil` outside of the project.
  func realFolder(of path: ByteString) -> ByteString? {
    hasher.realPath(root.appending(path: path)).flatMap { $0.path(relativeTo: root) }?.parentPath
  }

  /// Whether a folder has an entry with such an end. O(entries).
  func hasName(endingWith suffix: ByteString, in folder: Int) -> Bool {
    listings[folder]?.entries.keys.contains { $0.bytes.suffix(suffix.count) == suffix.bytes[...] } ?? false
  }

  private var byStem: [Int: [ByteString: [ByteString]]] = [:]

  private func extensions(of folder: Int) -> [ByteString: [ByteString]] {
    if let known = byStem[folder] { return known }
    var names: [ByteString: [ByteString]] = [:]
    for name in listings[folder]?.entries.keys ?? [:].keys where name.bytes.suffix(3).elementsEqual(".so".utf8) {
      let stem = name.bytes.prefix { $0 != UInt8(ascii: ".") }
      let suffix = name.bytes[stem.endIndex...]
      let isModule =
        suffix.elementsEqual(".so".utf8) || suffix.elementsEqual(".abi3.so".utf8)
        || suffix.starts(with: ".cpython-".utf8) || suffix.starts(with: ".pypy".utf8)
      if isModule { names[ByteString(stem), default: []].append(name) }
    }
    byStem[folder] = names
    return names
  }

  /// The path by which a folder's inner folder is to be followed: its own, unless it is a link back to a folder on the
  /// way to it, which then stands for it; `nil` behind more links than anybody has.
  func innerPath(_ name: ByteString, in folder: Int) -> ByteString? {
    let path = paths[folder].appending(path: name)
    guard let listing = listings[folder], listing.entries[name] != .some(.directory) else { return path }
    guard let real = hasher.realPath(root.appending(path: path)).flatMap({ $0.path(relativeTo: root) }) else {
      return path
    }
    var above = paths[folder]
    var links = 0
    while true {
      let realAbove =
        above.isEmpty ? "" : hasher.realPath(root.appending(path: above)).flatMap { $0.path(relativeTo: root) }
      if realAbove == real { return above }
      if realAbove != nil, realAbove != above { links += 1 }
      if above.isEmpty { return links > Self.maximumLinks ? nil : path }
      above = above.parentPath
    }
  }

  /// Folders on one way that are behind links.
  private static let maximumLinks = 8

  private func target(of path: ByteString, isLink: Bool) -> Entry? {
    if let known = resolved[path] { return known }
    var entry: Entry?
    if let real = hasher.realPath(root.appending(path: path)),
      let identity = try? hasher.identity(of: real, followLinks: true)
    {
      if !real.isWithin(root) {
        entry = .outside
      } else if identity.kind == .directory {
        entry = .folder
      } else if identity.kind == .file {
        entry = .file(isLink: isLink)
      }
    }
    resolved[path] = .some(entry)
    return entry
  }
}
