import Glibc
package import PurserModel

/// How a survey sees files: on disk, or as an overlay has them.
extension FileHasher {
  /// The identity of what stands at an absolute path.
  ///
  /// - Throws: `missing`, `unreadable` or `io`.
  package func identity(of path: ByteString, followLinks: Bool) throws(FileError) -> FileIdentity {
    guard let overlay else { return try FileIdentity.of(path: path, followLinks: followLinks) }
    return try overlay.identity(of: path, followLinks: followLinks)
  }

  /// The path without links; `nil` for one that leads nowhere.
  package func realPath(_ path: ByteString) -> ByteString? {
    guard let overlay else { return TreeHasher.realPath(path) }
    return overlay.realPath(path)
  }

  /// The text of a symbolic link.
  package func linkText(of path: ByteString) throws(FileError) -> ByteString {
    guard let overlay else { return try Self.linkText(at: path) }
    return try overlay.linkText(of: path)
  }

  /// The text of a symbolic link on disk.
  package static func linkText(at path: ByteString) throws(FileError) -> ByteString {
    guard let text = FileOverlay.linkText(path) else {
      throw FileError(code: .unreadable, path: path, errno: errno, message: "the link cannot be read")
    }
    return text
  }

  /// The names of all that stands in a folder.
  package func names(in folder: ByteString) throws(FileError) -> [ByteString] {
    guard let overlay else { return try FileOverlay.list(folder).map(\.name) }
    return try overlay.entries(of: folder).map(\.name)
  }

  /// Whether somebody like us may execute what a path leads to; for a folder, enter it.
  package func isExecutable(_ path: ByteString) -> Bool {
    var path = path
    if let overlay {
      switch overlay.place(of: path, followLinks: true) {
      case .disk(let real, _): path = real
      case .file(let file): return file.permissions & 0o111 != 0
      case .folder: return true
      case .missing, .link: return false
      }
    }
    return path.withCString { access($0, X_OK) } == 0
  }

  func digest(of path: ByteString, in overlay: FileOverlay) throws(FileError) -> FileDigest {
    do throws(FileError) {
      switch overlay.place(of: path, followLinks: true) {
      case .disk(let real, let identity): return try plain.digest(of: real, identity: identity)
      case .file(let file): return try overlay.digest(of: file)
      case .folder: throw .notAFile(.directory, path: path)
      case .link: throw .notAFile(.symbolicLink, path: path)
      case .missing(let number): throw overlay.error(number, path)
      }
    } catch {
      var named = error
      named.path = path
      throw named
    }
  }

  /// What is on disk as ever, on all processors; the rest one by one.
  func digests(of paths: [ByteString], in overlay: FileOverlay) -> [Result<FileDigest, FileError>] {
    var results = [Result<FileDigest, FileError>?](repeating: nil, count: paths.count)
    var onDisk: [(index: Int, path: ByteString)] = []
    for (index, path) in paths.enumerated() {
      if case .disk(let real, _) = overlay.place(of: path, followLinks: true) {
        onDisk.append((index, real))
      } else {
        results[index] = Result { () throws(FileError) in try digest(of: path, in: overlay) }
      }
    }
    for ((index, _), result) in zip(onDisk, plain.digests(of: onDisk.map(\.path))) {
      results[index] = result.mapError { error in
        var named = error
        named.path = paths[index]
        return named
      }
    }
    return results.map { result in
      guard let result else { preconditionFailure("every path leads somewhere or nowhere") }
      return result
    }
  }
}
