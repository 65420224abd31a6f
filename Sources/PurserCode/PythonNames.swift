import PurserModel

/// What the names of a file stand for, as far as its imports tell, of those that can change what is imported: after
/// `from importlib import import_module as load`, `load` is `importlib.import_module`.
struct PythonNames {
  private var meanings: [ByteString: String] = [:]
  /// A bit for each first byte, last byte and length that a name of interest has: most names are dismissed by it.
  private var filter = [UInt64](repeating: 0, count: 64)

  /// The modules whose names matter, and what else does by itself.
  private static let roots = [
    "sys", "site", "importlib", "runpy", "imp", "pkgutil", "builtins", "exec", "execfile", "__import__", "__all__",
    "__path__", "os",
  ]
  /// What is rarely named so without being it, however it came into the file.
  private static let members = [
    "import_module": "importlib.import_module",
    "spec_from_file_location": "importlib.util.spec_from_file_location",
    "SourceFileLoader": "importlib.machinery.SourceFileLoader",
  ]
  /// Modules that only paths are made with.
  private static let pathRoots = ["pathlib"]

  init() {
    for root in Self.roots { add(ByteString(root), root) }
    for (name, meaning) in Self.members { add(ByteString(name), meaning) }
    for root in Self.pathRoots { meanings[ByteString(root)] = root }
    meanings["str"] = "str"
  }

  private mutating func add(_ name: ByteString, _ meaning: String) {
    meanings[name] = meaning
    let slot = Self.slot(name.bytes[0], name.bytes[name.count - 1], name.count)
    filter[slot >> 6] |= 1 << UInt64(slot & 63)
  }

  private static func slot(_ first: UInt8, _ last: UInt8, _ count: Int) -> Int {
    (Int(first) &* 67 ^ Int(last) &* 29 ^ count &* 11) & 4095
  }

  /// Whether a name may be one that the walk must look at.
  func mayMatter(_ token: PythonToken, in bytes: [UInt8]) -> Bool {
    let slot = Self.slot(bytes[token.start], bytes[token.end - 1], token.count)
    return filter[slot >> 6] >> UInt64(slot & 63) & 1 != 0
  }

  /// What a name stands for, if that is of interest: a module, or something in it.
  func meaning(of token: PythonToken, in source: PythonTokens) -> String? {
    meanings[source.string(of: token)]
  }

  // MARK: - Imports

  /// Notes the names that an import binds.
  mutating func bind(_ item: PythonImports.Import, in source: PythonTokens) {
    guard item.level == 0, let first = item.path.first else { return }
    let root = source.string(of: item.tokens[first])
    guard let module = Self.modules[root] else { return }
    let path = ([module] + item.path.dropFirst().map { source.string(of: item.tokens[$0]).escaped })
      .joined(separator: ".")
    if let members = item.members {
      for member in members where !item.tokens[member.name].isSymbol("*") {
        let name = source.string(of: item.tokens[member.name])
        bind(member.alias.map { source.string(of: item.tokens[$0]) } ?? name, path + "." + name.escaped)
      }
    } else if let alias = item.alias {
      bind(source.string(of: item.tokens[alias]), path)
    } else if root.bytes != Array(module.utf8) {
      bind(root, module)
    }
  }

  /// The modules of interest, and what they are called here.
  private static let modules: [ByteString: String] = {
    var modules: [ByteString: String] = ["posixpath": "os.path"]
    for root in roots + pathRoots { modules[ByteString(root)] = root }
    return modules
  }()

  /// Other modules have `sys` as a name of theirs too: `from os import sys`.
  static func normal(_ path: String) -> String {
    guard let range = path.firstRange(of: ".sys"), path[range.upperBound...].first.map({ $0 == "." }) ?? true else {
      return path
    }
    return String(path[path.index(after: range.lowerBound)...])
  }

  private mutating func bind(_ name: ByteString, _ path: String) {
    let meaning = Self.normal(path)
    if meaning == "os" || meaning.hasPrefix("os.") || meaning.hasPrefix("pathlib") {
      meanings[name] = meaning
    } else {
      add(name, meaning)
    }
  }
}
