import Glibc
package import PurserModel

/// Where a command may be found, in the order in which `execvp` looks.
package enum PathSearch {
  /// Used where the environment has no `PATH`; the C library's own default.
  static let defaultPath: ByteString = "/bin:/usr/bin"

  /// The files to try. Those with a relative path are relative to the command's working directory.
  static func candidates(for name: ByteString, environment: [ByteString]) -> [ByteString] {
    if name.isEmpty || name.bytes.contains(UInt8(ascii: "/")) { return [name] }
    return path(in: environment).bytes.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
      .map { folder in
        // An empty element is the current folder.
        let folder: ByteString = folder.isEmpty ? "." : ByteString(folder)
        return folder + (folder.bytes.last == UInt8(ascii: "/") ? "" : "/") + name
      }
  }

  /// The file that would be executed: the first regular one that this process may execute; `nil` where there is none.
  package static func executable(
    for name: ByteString, environment: [ByteString], workingDirectory: ByteString
  ) -> ByteString? {
    candidates(for: name, environment: environment).first { candidate in
      guard !candidate.isEmpty else { return false }
      return location(of: candidate, in: workingDirectory).withCString { path in
        var info = stat()
        return access(path, X_OK) == 0 && stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFREG
      }
    }
  }

  /// A candidate's path for this process, which may be elsewhere.
  static func location(of candidate: ByteString, in workingDirectory: ByteString) -> ByteString {
    candidate.isAbsolutePath ? candidate : workingDirectory + "/" + candidate
  }

  private static func path(in environment: [ByteString]) -> ByteString {
    let prefix: ByteString = "PATH="
    guard let variable = environment.first(where: { $0.hasPrefix(prefix) }) else { return defaultPath }
    return ByteString(variable.bytes.dropFirst(prefix.count))
  }
}
