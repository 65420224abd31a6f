import Glibc
import PurserModel

/// The few facts that Purser reads of a git repository, from its files, without starting git.
struct GitFolder {
  enum Head {
    case branch(ByteString)
    case detached(ByteString)
    /// A reference that is no branch, or one that is not kept in files (reftable).
    case other
  }

  /// What HEAD points to.
  let head: Head?
  /// The root of the main worktree, where this one is linked.
  let mainWorktree: ByteString?

  /// The repository whose worktree `root` is, or lies in; `nil` where there is none.
  init?(at root: ByteString) {
    var top = root
    while FileKind.of(top.appending(path: ".git")) == nil {
      guard top != "/" else { return nil }
      top = top.parentPath
    }
    var folder = top.appending(path: ".git")
    var main: ByteString?
    if FileKind.of(folder) == .file {
      // A linked worktree: "gitdir: /main/.git/worktrees/name", whose `commondir` leads to the main one's `.git`.
      guard let text = Self.firstLine(of: folder), text.hasPrefix("gitdir: ") else { return nil }
      folder = top.appending(path: ByteString(text.bytes.dropFirst(8))).normalizedPath
      if let common = Self.firstLine(of: folder.appending(path: "commondir")) {
        let shared = folder.appending(path: common).normalizedPath
        if shared.lastPathComponent == ".git" {
          main = root.path(relativeTo: top).map { shared.parentPath.appending(path: $0) }
        }
      }
    }
    mainWorktree = main
    guard let text = Self.firstLine(of: folder.appending(path: "HEAD")) else {
      head = nil
      return
    }
    if text == "ref: refs/heads/.invalid" {
      head = .other
    } else if text.hasPrefix("ref: refs/heads/") {
      head = .branch(ByteString(text.bytes.dropFirst("ref: refs/heads/".utf8.count)))
    } else {
      head = text.hasPrefix("ref:") ? .other : .detached(text)
    }
  }

  private static func firstLine(of path: ByteString) -> ByteString? {
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC) }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      guard count > 0 else { return nil }
      return ByteString(buffer[0..<count].prefix { $0 != UInt8(ascii: "\n") })
    }
  }
}
