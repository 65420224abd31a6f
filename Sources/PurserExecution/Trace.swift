package import PurserModel

/// What a command, and all that it started, did with the files of a folder, as its system calls tell.
///
/// Seen are names that are opened, executed, moved, linked, made and removed, and folders whose names are read; not
/// `stat` and `access`, which look at a file without reading it.
package struct Trace: Sendable, Equatable {
  /// What was done with a file or folder.
  package struct Use: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
      self.rawValue = rawValue
    }

    /// Opened for reading, before the command had written to it.
    package static let read = Use(rawValue: 1 << 0)
    /// Executed, by itself or as the interpreter of a script.
    package static let run = Use(rawValue: 1 << 1)
    /// The names in the folder were read.
    package static let listed = Use(rawValue: 1 << 2)
    /// Looked for, and not there.
    package static let missing = Use(rawValue: 1 << 3)
    /// Opened for writing, made, moved or removed.
    package static let written = Use(rawValue: 1 << 4)
    /// A folder that the command made.
    package static let made = Use(rawValue: 1 << 5)
    /// Removed or moved away, though the command had not made it.
    package static let removed = Use(rawValue: 1 << 6)
  }

  /// By path from the folder's root, as the command used it; the root itself is ".".
  package var uses: [ByteString: Use] = [:]
  /// Programs that were killed since they are for another kind of machine (32 bits), which nobody could follow.
  package var refused: [ByteString] = []
  /// Programs with more privileges than the user's; under a tracer they may run without them.
  package var privileged: [ByteString] = []
  /// Why some of what was done is not here, for a message; `nil` if all is.
  package var gap: String?
  /// Whether nothing is here, since the command could not be followed.
  package var isEmptyHanded = false

  /// Starts with nothing.
  package init() {}
}
