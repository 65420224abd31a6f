package import PurserModel

/// The identity of every regular file that a tree covers. Compact: 56 bytes a file and its name; a folder's path once.
package struct TreeIdentities: Sendable {
  /// The files of one folder. Handed on whole: 100,000 entries are never copied from one array to another.
  private struct Folder: Sendable {
    var path: ByteString
    /// End to end.
    var names: [UInt8] = []
    var files: ContiguousArray<File> = []
  }

  private struct File: Sendable {
    var identity: FileIdentity
    /// Where the name ends in `names`; it begins where the one before ends.
    var nameEnd: UInt32
  }

  private var folders: [Folder] = []

  /// The number of files.
  package private(set) var count = 0

  package init() {}

  /// Begins a folder, by its path relative to the project root.
  mutating func beginFolder(_ path: ByteString, files: Int, nameBytes: Int) {
    var folder = Folder(path: path)
    folder.names.reserveCapacity(nameBytes)
    folder.files.reserveCapacity(files)
    folders.append(folder)
  }

  /// Adds a file of the folder begun last.
  mutating func append(_ name: UnsafeBufferPointer<UInt8>, _ identity: FileIdentity) {
    let last = folders.count - 1
    folders[last].names.append(contentsOf: name)
    folders[last].files.append(File(identity: identity, nameEnd: UInt32(folders[last].names.count)))
    count += 1
  }

  mutating func append(contentsOf other: TreeIdentities) {
    folders += other.folders
    count += other.count
  }

  /// Calls `body` with each file's path (relative to the project root; absolute outside of it) and identity, folder by
  /// folder, in no particular order.
  package func forEach<Failure: Error>(
    _ body: (ByteString, FileIdentity) throws(Failure) -> Void
  ) throws(Failure) {
    for folder in folders {
      let prefix = folder.path.isEmpty ? [] : folder.path.bytes + [UInt8(ascii: "/")]
      var start = 0
      for file in folder.files {
        let end = Int(file.nameEnd)
        try body(ByteString(bytes: prefix + folder.names[start..<end]), file.identity)
        start = end
      }
    }
  }
}
