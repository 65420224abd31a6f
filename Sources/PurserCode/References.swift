package import PurserModel

/// What a source file says that it uses, before anything is looked up: a function of its bytes alone.
package struct References: Sendable, Hashable {
  /// Modules and files, in order, each once.
  package var uses: [Use] = []
  /// What is used in a way that only running it would tell; in order.
  package var remarks: [Remark] = []
  /// Of a Python module, the names in `__all__`: a star import of a package loads those that are submodules.
  package var exports: [ByteString] = []

  package init() {}

  /// One module or file that is used.
  package enum Use: Sendable, Hashable {
    /// Python's `import a.b` (`names` empty) and `from ..a import b, c` (`level` 2, `names` b and c; "*" for a star
    /// import). `path` may be empty only where `level` is not 0.
    case module(path: [ByteString], level: Int, names: [ByteString])
    /// A file by a path that is written out, never empty.
    case file(ByteString, from: Base)
    /// A folder that is added to where modules are looked for; of a shell script, one that it changes to.
    case searchFolder(ByteString, from: Base)
  }

  /// What a relative path is relative to.
  package enum Base: UInt8, Sendable, Hashable {
    /// The folder that the program runs in, by rule; the file's own and the root may be meant too.
    case workingDirectory = 1
    /// The folder of the file that says so: `$(dirname "$0")/…`, `Path(__file__).parent / …`.
    case ownFolder = 2
    /// The folder that `here::here()` takes for the project's.
    case here = 3
  }

  /// Something that could not be followed, or understood.
  package struct Remark: Sendable, Hashable {
    /// From 1; 0 where it is about the whole file.
    package var line: Int
    /// In words, without the place: "imports a module by a computed name".
    package var message: String

    package init(line: Int, _ message: String) {
      self.line = line
      self.message = message
    }
  }
}

extension References {
  /// Scans one file. Never fails: what cannot be read is a remark. O(bytes).
  package init(of bytes: [UInt8], in language: Language) {
    switch language {
    case .python: self = PythonScanner.references(in: bytes)
    case .r: self = RScanner.references(in: bytes)
    case .shell: self = ShellScanner.references(in: bytes)
    }
  }
}
