import Glibc
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
    listings.append(FolderListing(of: path.isEmpty ? root : root.appending(path: path), cache: hasher.cache))
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

  /// The names of a folder that begin with a stem and a dot, and end with a suffix.
  func names(_ stem: ByteString, suffix: ByteString, in folder: Int) -> [ByteString] {
    extensions(of: folder, suffix)[stem] ?? []
  }

  /// Whether a folder has an entry with such an end. O(entries).
  func hasName(endingWith suffix: ByteString, in folder: Int) -> Bool {
    listings[folder]?.entries.keys.contains { $0.bytes.suffix(suffix.count) == suffix.bytes[...] } ?? false
  }

  private var byStem: [Int: [ByteString: [ByteString]]] = [:]

  private func extensions(of folder: Int, _ suffix: ByteString) -> [ByteString: [ByteString]] {
    if let known = byStem[folder] { return known }
    var names: [ByteString: [ByteString]] = [:]
    for name in listings[folder]?.entries.keys ?? [:].keys where name.bytes.suffix(suffix.count) == suffix.bytes[...] {
      names[ByteString(name.bytes.prefix { $0 != UInt8(ascii: ".") }), default: []].append(name)
    }
    byStem[folder] = names
    return names
  }

  private func target(of path: ByteString, isLink: Bool) -> Entry? {
    if let known = resolved[path] { return known }
    var entry: Entry?
    if let real = Self.realPath(root.appending(path: path)),
      let identity = try? FileIdentity.of(path: real, followLinks: true)
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

  private static func realPath(_ path: ByteString) -> ByteString? {
    guard let found = path.withCString({ realpath($0, nil) }) else { return nil }
    defer { free(found) }
    return ByteString(UnsafeBufferPointer(start: found, count: strlen(found)).lazy.map { UInt8(bitPattern: $0) })
  }
}
