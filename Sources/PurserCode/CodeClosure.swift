package import PurserHashing
package import PurserModel

/// The files that a task's code uses, and what could not be followed.
package struct CodeClosure: Sendable {
  /// One file of the project.
  package struct File: Sendable {
    /// Relative to the root.
    package var path: ByteString
    /// As it was looked at.
    package var content: FileDigest
    /// `nil` for a file that is used and not read by us, such as an extension module.
    package var language: Language?
    /// Whether the path is a symbolic link (its content is what counts).
    package var isLink: Bool
  }

  /// A folder whose entries decided what an import means.
  package struct Folder: Sendable, Hashable {
    /// Relative to the root; empty for the root.
    package var path: ByteString
    /// As it was listed.
    package var identity: FileIdentity
    /// Whether a change after that is sure to show.
    package var isSettled: Bool
  }

  /// A place where the code uses something that is not in the closure, or not as it stands.
  package struct Remark: Sendable, Hashable {
    /// The file, relative to the root.
    package var path: ByteString
    /// From 1; 0 for the whole file.
    package var line: Int
    /// What is there and what next.
    package var message: String

    package init(path: ByteString, line: Int, message: String) {
      self.path = path
      self.line = line
      self.message = message
    }

    /// In order, each once.
    static func sorted(_ remarks: [Remark]) -> [Remark] {
      var sorted: [Remark] = []
      for remark in remarks.sorted(by: { ($0.path, $0.line, $0.message) < ($1.path, $1.line, $1.message) })
      where sorted.last != remark {
        sorted.append(remark)
      }
      return sorted
    }

    /// What a scanner says of a file, with what to do about it.
    init(_ remark: References.Remark, in path: ByteString) {
      let isAboutReading = remark.message.hasPrefix("has a syntax error")
      self.init(
        path: path, line: remark.line,
        message: remark.message + (isAboutReading ? "" : "; declare as code what that may be"))
    }

    /// `src/step.py:12: imports …`.
    package var text: String { "\(path.printable)\(line > 0 ? ":\(line)" : ""): \(message)" }
  }

  /// What is used, without what was asked about itself; in no order.
  package var files: [File] = []
  /// What was asked about, as far as it is of a language that is followed.
  package var roots: [File] = []
  /// Every folder that was looked into; by path.
  package var folders: [Folder] = []
  /// By file and line.
  package var remarks: [Remark] = []

  /// Nothing.
  package init() {}
}

/// From where a task's code is followed.
package struct CodeRequest: Sendable, Hashable {
  /// The files that are declared.
  package var files: [Start]
  /// Where the program runs, relative to the root; empty for the root.
  package var workingDirectory: ByteString
  /// Folders where Python looks for modules, beside those that are found: relative to the root.
  package var sourceFolders: [ByteString]

  /// A file that is declared.
  package struct Start: Sendable, Hashable {
    /// Relative to the root.
    package var path: ByteString
    /// As the caller has looked at it; `nil` to look now.
    package var content: FileDigest?
    /// As what the command reads it, where that is known.
    package var language: Language?

    package init(path: ByteString, content: FileDigest?, language: Language? = nil) {
      self.path = path
      self.content = content
      self.language = language
    }

    /// The language, as far as it can be told without a look at the content.
    package var guess: Language.Guess { language.map { .known($0) } ?? Language.guess(path: path) }
  }

  package init(files: [Start], workingDirectory: ByteString, sourceFolders: [ByteString]) {
    self.files = files
    self.workingDirectory = workingDirectory
    self.sourceFolders = sourceFolders
  }
}
