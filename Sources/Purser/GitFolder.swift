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
    head = Self.head(at: folder.appending(path: "HEAD"))
  }

  /// What HEAD says. Which commit a branch has does not matter, so neither do unborn branches and packed references.
  private static func head(at path: ByteString) -> Head? {
    let text = firstLine(of: path)
    if let text, text.hasPrefix("ref:") {
      return reference(ByteString(text.bytes.dropFirst(4).drop(while: isBlank)))
    }
    // As git once wrote it, and still reads it: a symbolic link to the branch's file, which may not be there yet.
    if let target = linkTarget(of: path), target.hasPrefix("refs/") { return reference(target) }
    guard let text else { return nil }
    let isCommit = text.count >= 40 && text.bytes.allSatisfy(isHexDigit)
    return isCommit ? .detached(text) : .other
  }

  private static func reference(_ name: ByteString) -> Head {
    // Git puts the one name there for programs that know nothing of reftable.
    guard name.hasPrefix(branches), name.count > branches.count, name != "refs/heads/.invalid" else { return .other }
    return .branch(ByteString(name.bytes.dropFirst(branches.count)))
  }

  private static let branches: ByteString = "refs/heads/"

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

  private static func isHexDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) }

  private static func linkTarget(of path: ByteString) -> ByteString? {
    withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
      let count = path.withCString { path in
        buffer.withMemoryRebound(to: CChar.self) { target in
          target.baseAddress.map { readlink(path, $0, target.count) } ?? -1
        }
      }
      return count > 0 ? ByteString(buffer[0..<count]) : nil
    }
  }

  private static func firstLine(of path: ByteString) -> ByteString? {
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC) }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      guard count > 0 else { return nil }
      let line = buffer[0..<count].prefix { $0 != UInt8(ascii: "\n") }
      return ByteString(line.last == UInt8(ascii: "\r") ? line.dropLast() : line)
    }
  }
}
