import PurserModel

/// Gives each name of a file a number, without an allocation for each place where it stands.
struct PythonOutlineNames {
  /// By number; first those of ``Special``, then those of ``evaluators``.
  private(set) var all: [ByteString] = []
  private var entries: [Entry] = []
  private var slots: [Int32] = Array(repeating: -1, count: 1_024)

  private struct Entry {
    var bytes: ByteString
    var hash: Int
    var name: Int
    var isDoubtful: Bool
  }

  /// Names that mean something to the outline.
  enum Special: Int, CaseIterable {
    case eval, exec, globals, locals, vars
    case importFunction, importModule, getattr, sys, modules, builtins, builtinModule, importlib
    case functionGlobals, frameGlobals, frameLocals, executeModule, loadModule, loadSource, runModule, runPath
    case resolveName, importString
    case name, documentation, package, future, star, other

    var text: ByteString {
      switch self {
      case .eval: "eval"
      case .exec: "exec"
      case .globals: "globals"
      case .locals: "locals"
      case .vars: "vars"
      case .importFunction: "__import__"
      case .importModule: "import_module"
      case .getattr: "getattr"
      case .sys: "sys"
      case .modules: "modules"
      case .builtins: "builtins"
      case .builtinModule: "__builtins__"
      case .importlib: "importlib"
      case .functionGlobals: "__globals__"
      case .frameGlobals: "f_globals"
      case .frameLocals: "f_locals"
      case .executeModule: "exec_module"
      case .loadModule: "load_module"
      case .loadSource: "load_source"
      case .runModule: "run_module"
      case .runPath: "run_path"
      case .resolveName: "resolve_name"
      case .importString: "import_string"
      case .name: "__name__"
      case .documentation: "__doc__"
      case .package: "__package__"
      case .future: "__future__"
      case .star: "*"
      case .other: PythonOutline.otherName
      }
    }
  }

  /// What takes names of the program from strings: queries of data frames (`@limit`), of tables that are variables, and
  /// model formulas.
  private static let evaluators: [ByteString] = [
    "query", "evaluate", "sql", "execute", "read_sql", "dmatrix", "dmatrices", "from_formula", "ols", "wls", "gls",
    "glsar", "glm", "gee", "rlm", "logit", "probit", "mnlogit", "poisson", "negativebinomial", "mixedlm", "quantreg",
    "phreg", "feols", "lmer",
  ]

  init() {
    for special in Special.allCases { _ = add(special.text) }
    for name in Self.evaluators { _ = add(name) }
  }

  private mutating func add(_ name: ByteString) -> Int {
    name.bytes.withUnsafeBufferPointer { number(of: $0, 0..<$0.count).name }
  }

  func special(_ name: Int) -> Special? { Special(rawValue: name) }

  /// Whether it is the name of something that may take names from a string.
  func isEvaluator(_ name: Int) -> Bool {
    name == Special.eval.rawValue
      || name >= Special.allCases.count && name < Special.allCases.count + Self.evaluators.count
  }

  /// The number of a name, and whether Python may take it for a name of other characters, some of them ASCII.
  mutating func number(
    of bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>
  ) -> (name: Int, isDoubtful: Bool) {
    let text = UnsafeBufferPointer(rebasing: bytes[range])
    // Seeded, so that no file can be made to be slow.
    var hasher = Hasher()
    hasher.combine(bytes: UnsafeRawBufferPointer(text))
    let hash = hasher.finalize()
    var slot = hash & (slots.count - 1)
    while slots[slot] >= 0 {
      let entry = entries[Int(slots[slot])]
      if entry.hash == hash, entry.bytes.bytes.elementsEqual(text) { return (entry.name, entry.isDoubtful) }
      slot = (slot + 1) & (slots.count - 1)
    }
    var entry = Entry(bytes: ByteString(text), hash: hash, name: all.count, isDoubtful: false)
    if text.allSatisfy({ $0 < 0x80 }) {
      all.append(entry.bytes)
    } else {
      entry.name = Special.other.rawValue
      entry.isDoubtful = Self.isDoubtful(text)
    }
    slots[slot] = Int32(entries.count)
    entries.append(entry)
    if 2 * entries.count > slots.count { grow() }
    return (entry.name, entry.isDoubtful)
  }

  private mutating func grow() {
    slots = Array(repeating: -1, count: 4 * slots.count)
    for (number, entry) in entries.enumerated() {
      var slot = entry.hash & (slots.count - 1)
      while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = Int32(number)
    }
  }

  /// Whether a name has a character that Python replaces by others (NFKC): a ligature, a letter of full width. Only such
  /// can become ASCII.
  private static func isDoubtful(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    String(decoding: text, as: UTF8.self).unicodeScalars.contains { scalar in
      guard scalar.value >= 0x80 else { return false }
      return String(scalar).lowercased().unicodeScalars.contains { scalar in
        switch scalar.value {
        // The sign for Kelvin.
        case ..<0x80: true
        // These are folded to others only where case does not count, or are not ASCII then: ß, µ, ς.
        case 0xdf, 0xb5, 0x3c2: false
        default: scalar.properties.changesWhenNFKCCaseFolded
        }
      }
    }
  }
}

/// Gives each dotted name of a file a number.
struct PythonOutlinePaths {
  private(set) var all: [PythonOutline.Path] = []
  private var numbers: [Key: Int] = [:]

  private struct Key: Hashable {
    var parent: Int
    var name: Int
  }

  mutating func number(of name: Int, parent: Int = -1) -> Int {
    let key = Key(parent: parent, name: name)
    if let number = numbers[key] { return number }
    numbers[key] = all.count
    all.append(PythonOutline.Path(parent: parent, name: name))
    return all.count - 1
  }
}
