package import PurserModel

/// The identity of every regular file that a tree covers. Folders are kept as the walk left them, each with its node,
/// its names and 56 bytes a file: nothing is copied.
package struct TreeIdentities: Sendable {
  private var folders: [TreeFolder] = []
  /// Files that links lead to.
  private var files: [(path: ByteString, identity: FileIdentity)] = []

  /// The number of files.
  package private(set) var count = 0

  package init() {}

  /// Adds the files of a folder that is finished.
  mutating func append(_ folder: TreeFolder, files: Int) {
    folders.append(folder)
    count += files
  }

  /// Adds a file, by its path relative to the project root.
  mutating func append(_ path: ByteString, _ identity: FileIdentity) {
    files.append((path, identity))
    count += 1
  }

  mutating func append(contentsOf other: TreeIdentities) {
    folders += other.folders
    files += other.files
    count += other.count
  }

  /// Calls `body` with each file's path (relative to the project root; absolute outside of it) and identity, folder by
  /// folder, in no particular order.
  package func forEach<Failure: Error>(
    _ body: (ByteString, FileIdentity) throws(Failure) -> Void
  ) throws(Failure) {
    for folder in folders {
      for index in 0..<folder.count where folder.kind(index) == .file {
        try body(folder.path(of: index), folder.identity(index))
      }
    }
    for file in files { try body(file.path, file.identity) }
  }
}
