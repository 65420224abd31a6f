import CLinux
import Glibc
import PurserHashing
public import PurserModel

/// Where a project is, where its store is, and under which names its records stand.
public struct Project: Sendable {
  /// Absolute, without symbolic links.
  public var root: ByteString
  /// The state folder, absolute.
  public var store: ByteString
  /// The branch's name-space.
  public var storageKey: String
  /// The pipeline.
  public var pipeline: String
  /// The folder that the user is in, absolute.
  public var currentFolder: ByteString
  /// The name of the root folder (of the main worktree's): the pipeline where nobody named one.
  package var rootName: String = ""
  /// What git says is checked out, or CI where HEAD is detached: what may be mapped to another key. `nil` where it says
  /// nothing, and where the storage key was named.
  package var branch: ByteString?

  /// What the user said about it; what is `nil` is found out.
  public struct Options: Sendable {
    /// The root.
    public var root: ByteString?
    /// The state folder.
    public var store: ByteString?
    /// The storage key.
    public var storageKey: String?
    /// The pipeline.
    public var pipeline: String?

    /// Nothing said.
    public init(
      root: ByteString? = nil, store: ByteString? = nil, storageKey: String? = nil, pipeline: String? = nil
    ) {
      self.root = root
      self.store = store
      self.storageKey = storageKey
      self.pipeline = pipeline
    }
  }

  /// As ``find(_:environment:currentFolder:)``, but a branch is its own storage key, whatever it is mapped to. A few
  /// system calls a folder on the way up.
  ///
  /// - Throws: `usage` if the root that was named is no folder.
  package static func locate(
    _ options: Options = Options(), environment: ProcessEnvironment, currentFolder: ByteString? = nil
  ) throws(PurserError) -> Project {
    guard let current = currentFolder ?? realPath(".") else {
      throw PurserError(.io, "the current folder cannot be found: \(String(cString: strerror(errno)))")
    }
    var root = current
    if let named = options.root {
      guard let found = realPath(current.appending(path: named)), FileKind.of(found) == .directory else {
        throw PurserError(.usage, "--project '\(named.printable)' is not a folder; name an existing one")
      }
      root = found
    } else {
      root = Self.root(above: current)
    }
    let git = GitFolder(at: root)
    let mainRoot = git?.mainWorktree ?? root
    let store =
      (options.store ?? environment[nonEmpty: "PURSER_STORE"]).map { current.appending(path: $0).normalizedPath }
      ?? mainRoot.appending(path: ".purser")
    let named = options.storageKey ?? environment[nonEmpty: "PURSER_STORAGE_KEY"]?.escaped
    let branch = named == nil ? Self.branch(git, environment) : nil
    return Project(
      root: root, store: store, storageKey: named ?? branch?.escaped ?? Self.storageKey(git),
      pipeline: options.pipeline ?? environment[nonEmpty: "PURSER_PIPELINE"]?.escaped ?? Self.name(of: mainRoot),
      currentFolder: current, rootName: Self.name(of: mainRoot), branch: branch)
  }

  private static func name(of root: ByteString) -> String {
    let name = root.lastPathComponent
    return name.isEmpty ? "root" : name.escaped
  }

  /// The nearest folder with a state folder or a pipeline file, else the git top level, else the folder itself.
  private static func root(above folder: ByteString) -> ByteString {
    var candidate = folder
    var gitTop: ByteString?
    while true {
      for name: ByteString in [".purser", "purser.yaml", "kptn.yaml"]
      where FileKind.of(candidate.appending(path: name)) != nil {
        return candidate
      }
      if gitTop == nil, let kind = FileKind.of(candidate.appending(path: ".git")) {
        gitTop = candidate
        // A linked worktree is a project of its own, even inside the main one: its store is the main one's.
        if kind == .file, GitFolder(at: candidate)?.mainWorktree != nil { return candidate }
      }
      if candidate == "/" { return gitTop ?? folder }
      candidate = candidate.parentPath
    }
  }

  /// The branch that is checked out; where HEAD is detached, the one that CI names.
  private static func branch(_ git: GitFolder?, _ environment: ProcessEnvironment) -> ByteString? {
    switch git?.head {
    case .branch(let name): return name
    case .detached:
      for variable: ByteString in ["GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME"] {
        if let name = environment[nonEmpty: variable] { return name }
      }
      return nil
    case .other, nil: return nil
    }
  }

  /// The key where there is no branch.
  private static func storageKey(_ git: GitFolder?) -> String {
    if case .detached(let commit) = git?.head { return "detached-" + commit.escaped.prefix(12) }
    return "default"
  }

  /// A path that the user gave, relative to where the user is, as Purser names it: relative to the root if it is
  /// inside, else absolute.
  public func name(ofPath path: ByteString) -> ByteString {
    let absolute = currentFolder.appending(path: path).normalizedPath
    if let inside = absolute.path(relativeTo: root) { return inside.isEmpty ? "." : inside }
    // The way there may lead through a symbolic link.
    if let parent = Self.realPath(absolute.parentPath),
      let inside = parent.appending(path: absolute.lastPathComponent).path(relativeTo: root)
    {
      return inside.isEmpty ? "." : inside
    }
    return absolute
  }

  /// Where something that Purser names is on disk.
  public func location(of name: ByteString) -> ByteString {
    name == "." ? root : root.appending(path: name)
  }

  static func realPath(_ path: ByteString) -> ByteString? {
    guard let resolved = path.withCString({ realpath($0, nil) }) else { return nil }
    defer { free(resolved) }
    return ByteString(UnsafeRawBufferPointer(start: resolved, count: strlen(resolved)))
  }
}

/// What is at a path, not following a final link.
enum FileKind {
  case file
  case directory
  case symbolicLink
  case other

  init(_ kind: FileIdentity.Kind) {
    switch kind {
    case .file: self = .file
    case .directory: self = .directory
    case .symbolicLink: self = .symbolicLink
    default: self = .other
    }
  }

  static func of(_ path: ByteString) -> FileKind? {
    var info = stat()
    guard path.withCString({ lstat($0, &info) }) == 0 else { return nil }
    return switch info.st_mode & S_IFMT {
    case S_IFREG: .file
    case S_IFDIR: .directory
    case S_IFLNK: .symbolicLink
    default: .other
    }
  }
}

extension FileHasher {
  /// What is at a path, not following a final link.
  func kind(of path: ByteString) -> FileKind? {
    if overlay == nil { return FileKind.of(path) }
    return (try? identity(of: path, followLinks: false)).map { FileKind($0.kind) }
  }
}
