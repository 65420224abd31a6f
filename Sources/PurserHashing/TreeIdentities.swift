package import PurserModel

/// The identity of every regular file that a tree covers. Compact: names stand end to end, each folder's path once;
/// 64 bytes a file and its name.
package struct TreeIdentities: Sendable {
  private struct File: Sendable {
    var identity: FileIdentity
    var folder: UInt32
    /// Where the name ends in `names`; it begins where the one before ends.
    var nameEnd: Int
  }

  private var folders: [ByteString] = []
  private var names: [UInt8] = []
  private var files: ContiguousArray<File> = []

  package init() {}

  /// The number of files.
  package var count: Int { files.count }

  mutating func beginFolder(_ path: ByteString) {
    folders.append(path)
  }

  /// Adds a file of the folder begun last.
  mutating func append(_ name: UnsafeBufferPointer<UInt8>, _ identity: FileIdentity) {
    names.append(contentsOf: name)
    files.append(File(identity: identity, folder: UInt32(folders.count - 1), nameEnd: names.count))
  }

  mutating func append(contentsOf other: TreeIdentities) {
    let (folderOffset, nameOffset) = (UInt32(folders.count), names.count)
    folders += other.folders
    names += other.names
    files.reserveCapacity(files.count + other.files.count)
    for var file in other.files {
      file.folder += folderOffset
      file.nameEnd += nameOffset
      files.append(file)
    }
  }

  /// Calls `body` with each file's path (relative to the project root; absolute outside of it) and identity, folder by
  /// folder, in no particular order.
  package func forEach<Failure: Error>(
    _ body: (ByteString, FileIdentity) throws(Failure) -> Void
  ) throws(Failure) {
    var start = 0
    for file in files {
      let folder = folders[Int(file.folder)]
      let name = names[start..<file.nameEnd]
      start = file.nameEnd
      let path = folder.isEmpty ? ByteString(name) : ByteString(bytes: folder.bytes + [UInt8(ascii: "/")] + name)
      try body(path, file.identity)
    }
  }
}
