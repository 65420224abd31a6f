package import PurserModel

/// A language whose files are followed to what they use.
package enum Language: UInt8, Sendable, CaseIterable {
  case python = 1
  case r = 2
  case shell = 3

  /// What a path's suffix tells.
  package enum Guess: Sendable, Equatable {
    /// It is a file of this language.
    case known(Language)
    /// It has no suffix: its first line tells (see ``init(firstBytes:)``).
    case unknown
    /// It is none that is followed.
    case none
  }

  /// What the name of a file tells. O(name).
  package static func guess(path: ByteString) -> Guess {
    let name = path.lastPathComponent
    guard let dot = name.bytes.lastIndex(of: UInt8(ascii: ".")), dot > 0 else { return .unknown }
    let suffix = name.bytes[(dot + 1)...].map { byte -> UInt8 in
      (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }
    switch String(decoding: suffix, as: UTF8.self) {
    case "py", "pyw": return .known(.python)
    case "r": return .known(.r)
    case "sh", "bash", "ksh", "zsh": return .known(.shell)
    default: return Self.others.contains(String(decoding: suffix, as: UTF8.self)) ? .none : .unknown
    }
  }

  /// Suffixes of files that are no scripts, so that nobody need look at their first line.
  private static let others: Set<String> = [
    "a", "bin", "c", "cc", "cfg", "cpp", "css", "csv", "cxx", "dat", "db", "feather", "go", "gz", "h", "hh", "hpp",
    "html",
    "ini", "ipynb", "java", "jpg", "js", "json", "jsonl", "kt", "lock", "md", "npy", "npz", "o", "parquet", "pdf",
    "pkl",
    "png", "pyc", "pyi", "rds", "rs", "rst", "so", "sql", "svg", "swift", "tex", "toml", "ts", "tsv", "txt", "xlsx",
    "xml",
    "yaml", "yml", "zip", "zst",
  ]

  /// The language that a program reads, by its name: `python3.11`, `/bin/sh`.
  package init?(interpreter: ByteString) {
    let name = String(decoding: interpreter.bytes.split(separator: UInt8(ascii: "/")).last ?? [], as: UTF8.self)
    if name.hasPrefix("python") || name.hasPrefix("pypy") {
      self = .python
    } else if name == "Rscript" || name == "R" {
      self = .r
    } else if ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"].contains(name) {
      self = .shell
    } else {
      return nil
    }
  }

  /// How many bytes of a file ``init(firstBytes:)`` looks at.
  package static let firstLineLimit = 256

  /// What the first line tells: `#!/usr/bin/env python3`; `nil` for any other beginning.
  package init?(firstBytes: [UInt8]) {
    guard firstBytes.starts(with: "#!".utf8) else { return nil }
    let line = firstBytes.dropFirst(2).prefix(Self.firstLineLimit).prefix { $0 != UInt8(ascii: "\n") }
    let words = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
    var isValue = false
    for (index, word) in words.prefix(8).enumerated() {
      let name = String(decoding: word.split(separator: UInt8(ascii: "/")).last ?? [], as: UTF8.self)
      if isValue {
        isValue = false
        continue
      }
      if name == "env" || name.hasPrefix("-") || name.contains("=") {
        isValue = name == "-u" || name == "-C"
        continue
      }
      if let language = Language(interpreter: ByteString(name)) {
        self = language
        return
      }
      // Runners of Python scripts: `uv run --script`, `pipx run`.
      let runners = ["uv", "pipx", "conda", "poetry", "pdm", "hatch", "rye", "pixi"]
      guard runners.contains(name), words.dropFirst(index + 1).contains(where: { $0.elementsEqual("run".utf8) }) else {
        return nil
      }
      self = .python
      return
    }
    return nil
  }
}
