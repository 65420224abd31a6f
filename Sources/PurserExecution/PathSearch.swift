import Glibc
import PurserModel

/// Where a command may be found, in the order in which `execvp` looks.
enum PathSearch {
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

  private static func path(in environment: [ByteString]) -> ByteString {
    let prefix: ByteString = "PATH="
    guard let variable = environment.first(where: { $0.hasPrefix(prefix) }) else { return defaultPath }
    return ByteString(variable.bytes.dropFirst(prefix.count))
  }
}
