import PurserModel

/// Makes up programs of a few modules, with what a function of theirs may use, and changes them in one place.
///
/// A statement only uses what stands before it, or in modules behind its own, so that all programs end.
struct PythonReachPrograms {
  /// The statements of each file.
  typealias Program = [(path: ByteString, statements: [String])]

  private var random: SourceFuzzer
  private var modules: [Module] = []
  private var count = 0
  /// Whether the program has what makes all of a file or a module count: else that would hide what does not.
  private var isCoarse = false

  init(seed: UInt64) {
    random = SourceFuzzer(seed: seed)
  }

  private enum Kind: CaseIterable {
    case number, list, function, type, instance, decorator, registry
  }

  private struct Item {
    var name: String
    var kind: Kind
  }

  private struct Module {
    var name: String
    var path: ByteString
    var items: [Item] = []
    /// What it gives as attributes only.
    var attributes: [Item] = []
    var statements: [String] = []
    /// What it can use by now: an expression for each item.
    var known: [Item] = []
    /// Modules that it has imported, by what they are called.
    var aliases: [(text: String, module: Int)] = []
  }

  static let entry: ByteString = "main.py"

  /// A program; `run` in ``entry`` gives a number.
  mutating func program() -> Program {
    modules = [
      Module(name: "main", path: Self.entry), Module(name: "one", path: "one.py"), Module(name: "two", path: "two.py"),
      Module(name: "pack", path: "pack/__init__.py"), Module(name: "pack.three", path: "pack/three.py"),
      Module(name: "pack.four", path: "pack/four.py"),
    ]
    count = 0
    isCoarse = chance(1, of: 4)
    for number in modules.indices.reversed() where number == 0 || chance(3, of: 5) {
      for _ in 0..<(number == 5 ? 0 : number == 0 ? 4 : 2) { addImport(to: number) }
      for _ in 0..<2 + random.number(below: 4) { addStatement(to: number) }
    }
    // Most of what it can use, so that most changes matter; some do not.
    let usable = modules[0].known.filter { $0.kind != .decorator }.suffix(12)
    let sum = usable.filter { _ in chance(3, of: 4) }.map { expression(of: $0) } + ["\(digit())"]
    add("def run():\n    return \(sum.joined(separator: " + "))", to: 0)
    return modules.map { ($0.path, $0.statements) }
  }

  // MARK: - Changes

  enum Change: CaseIterable {
    case number, `operator`, swap, removal, comment
  }

  /// The program with one change; `nil` if there is nothing to change so.
  mutating func changed(_ program: Program, by change: Change) -> Program? {
    var program = program
    // A file and a statement, and where in it something can be changed.
    var places: [(file: Int, statement: Int, byte: Int)] = []
    for (file, part) in program.enumerated() {
      for (statement, text) in part.statements.enumerated() {
        for byte in Self.places(for: change, in: Array(text.utf8)) { places.append((file, statement, byte)) }
      }
    }
    guard !places.isEmpty else { return nil }
    let (file, statement, byte) = pick(places)
    var text = Array(program[file].statements[statement].utf8)
    switch change {
    case .number:
      text[byte] = UInt8(ascii: "0") + (text[byte] - UInt8(ascii: "0") + 1 + UInt8(random.number(below: 8))) % 10
    case .operator:
      text[byte] = UInt8(ascii: "-")
    case .swap:
      guard statement + 1 < program[file].statements.count else { return nil }
      program[file].statements.swapAt(statement, statement + 1)
      return program
    case .removal:
      program[file].statements.remove(at: statement)
      return program
    case .comment:
      text += Array("  # a comment".utf8)
    }
    program[file].statements[statement] = String(decoding: text, as: UTF8.self)
    return program
  }

  private static func places(for change: Change, in text: [UInt8]) -> [Int] {
    switch change {
    case .number:
      text.indices.filter { index in
        isDigit(text[index]) && (index == 0 || !isNameByte(text[index - 1]))
          && (index + 1 == text.count || !isNameByte(text[index + 1]))
      }
    case .operator:
      text.indices.filter { text[$0] == UInt8(ascii: "+") && $0 + 1 < text.count && text[$0 + 1] == 0x20 }
    case .swap, .removal, .comment: [0]
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    isDigit(byte) || byte == UInt8(ascii: "_") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }

  // MARK: - Statements

  private mutating func chance(_ part: Int, of whole: Int) -> Bool { random.number(below: whole) < part }

  private mutating func pick<Element>(_ elements: [Element]) -> Element {
    elements[random.number(below: elements.count)]
  }

  private mutating func new(_ prefix: String) -> String {
    count += 1
    return "\(prefix)_\(count)"
  }

  private mutating func digit() -> Int { random.number(below: 10) }

  private mutating func add(_ text: String, to module: Int) { modules[module].statements.append(text) }

  private mutating func define(_ name: String, _ kind: Kind, _ text: String, in module: Int) {
    add(text, to: module)
    modules[module].items.append(Item(name: name, kind: kind))
    modules[module].known.append(Item(name: name, kind: kind))
  }

  private func known(_ module: Int, _ kinds: Set<Kind>) -> [String] {
    modules[module].known.filter { kinds.contains($0.kind) }.map(\.name)
  }

  /// An expression that gives a number.
  private mutating func expression(_ module: Int) -> String {
    let usable = modules[module].known.filter { $0.kind != .decorator }
    guard !usable.isEmpty, chance(9, of: 10) else { return "\(digit())" }
    return expression(of: pick(usable))
  }

  private mutating func expression(of item: Item) -> String {
    switch item.kind {
    case .number: return chance(1, of: 2) ? item.name : "(\(item.name) + \(digit()))"
    case .list: return pick(["sum(\(item.name))", "len(\(item.name))", "sum(i * \(digit()) for i in \(item.name))"])
    case .function: return pick(["\(item.name)(\(digit()))", "len(f'{\(item.name)(\(digit()))}')"])
    case .type: return pick(["\(item.name)().get()", "\(item.name).limit"])
    case .instance: return pick(["\(item.name).get()", "\(item.name).limit"])
    case .registry: return "sum(f(\(digit())) for f in \(item.name).values())"
    case .decorator: return "0"
    }
  }

  /// The module as a file imports it, absolutely or relatively.
  private mutating func reference(to other: Int, from module: Int) -> String {
    let name = modules[other].name
    guard module >= 3, other >= 4, chance(1, of: 2) else { return name }
    return "." + name.split(separator: ".")[1]
  }

  private mutating func addImport(to module: Int) {
    let other = module + 1 + random.number(below: modules.count - module - 1)
    let items = modules[other].items
    guard !items.isEmpty else { return }
    let name = modules[other].name
    switch random.number(below: 7) {
    case 0, 1:
      let item = pick(items)
      let source = reference(to: other, from: module)
      if chance(1, of: 2) {
        add("from \(source) import \(item.name)", to: module)
        modules[module].known.append(item)
        modules[module].items.append(item)
      } else {
        let alias = new("alias")
        let text = "from \(source) import \(item.name) as \(alias)"
        add(chance(1, of: 3) ? "try:\n    \(text)\nexcept ImportError:\n    \(alias) = None" : text, to: module)
        modules[module].known.append(Item(name: alias, kind: item.kind))
        modules[module].items.append(Item(name: alias, kind: item.kind))
      }
    case 2:
      add("from \(reference(to: other, from: module)) import *", to: module)
      modules[module].known += items
      modules[module].items += items
    case 3 where module < 3:
      add("import \(name)", to: module)
      addModule(name, other, to: module)
    case 4 where other >= 4:
      let alias = String(name.split(separator: ".")[1])
      add(module >= 3 ? "from . import \(alias)" : "from pack import \(alias)", to: module)
      addModule(alias, other, to: module)
    default:
      let alias = new("module")
      add("import \(name) as \(alias)", to: module)
      addModule(alias, other, to: module)
    }
  }

  private mutating func addModule(_ alias: String, _ other: Int, to module: Int) {
    modules[module].aliases.append((alias, other))
    let items = modules[other].items + modules[other].attributes
    modules[module].known += items.map { Item(name: "\(alias).\($0.name)", kind: $0.kind) }
    // What is bound again: the module itself.
    if isCoarse, chance(1, of: 3) {
      let name = new("again")
      add("\(name) = \(alias)", to: module)
      modules[module].known += modules[other].items.map { Item(name: "\(name).\($0.name)", kind: $0.kind) }
    }
  }

  private mutating func addStatement(to module: Int) {
    let name = new("name")
    switch random.number(below: 42) {
    case 0...2: define(name, .number, "\(name) = \(expression(module))", in: module)
    case 3: define(name, .number, "\(name): int = \(digit())", in: module)
    case 4: define(name, .list, "\(name) = [\(digit()), \(expression(module))]", in: module)
    case 5...7:
      let parameter = chance(1, of: 3) ? "x=\(expression(module))" : "x"
      define(name, .function, "def \(name)(\(parameter)):\n    return \(expression(module)) + x", in: module)
    case 8, 39: addInnerImport(name, to: module)
    case 9:
      let bases = known(module, [.type])
      let base = !bases.isEmpty && chance(1, of: 2) ? "(\(pick(bases)))" : ""
      define(
        name, .type,
        "class \(name)\(base):\n    limit = \(expression(module))\n    def get(self):\n        return self.limit + \(expression(module))",
        in: module)
    case 10:
      let functions = known(module, [.function])
      guard !functions.isEmpty else { return }
      define(name, .function, "\(name) = \(pick(functions))", in: module)
    case 11: define(name, .function, "\(name) = lambda x: x * \(expression(module))", in: module)
    case 12:
      define(
        name, .decorator, "def \(name)(f):\n    return lambda x: f(x) + \(expression(module))", in: module)
    case 13:
      let decorators = known(module, [.decorator])
      guard !decorators.isEmpty else { return }
      define(name, .function, "@\(pick(decorators))\ndef \(name)(x):\n    return x + \(digit())", in: module)
    case 14:
      let register = new("register")
      let values = (0...random.number(below: 2)).map { _ in expression(module) }
      define(name, .registry, "\(name) = {}", in: module)
      add("def \(register)(f):\n    \(name)[f.__name__] = f\n    return f", to: module)
      for value in values {
        add("@\(register)\ndef \(new("entry"))(x):\n    return x + \(value)", to: module)
      }
    case 15:
      let lists = known(module, [.list])
      guard !lists.isEmpty else { return }
      add("\(pick(lists)).append(\(expression(module)))", to: module)
    case 16:
      let lists = known(module, [.list])
      guard !lists.isEmpty else { return }
      // What is called for its effect, by a function and a name that nothing else uses.
      add("def \(name)(x):\n    \(pick(lists)).append(x + \(digit()))\n    return x", to: module)
      add("\(new("effect")) = \(name)(\(digit()))", to: module)
    case 17:
      let numbers = modules[module].items.filter { $0.kind == .number }.map(\.name)
      guard !numbers.isEmpty else { return }
      let number = pick(numbers)
      if chance(1, of: 2) {
        add("\(number) += \(digit())", to: module)
      } else {
        define(
          name, .function,
          "def \(name)(x):\n    global \(number)\n    \(number) = x + \(digit())\n    return \(number)", in: module)
      }
    case 18:
      guard let (alias, other) = modules[module].aliases.last else { return }
      let numbers = modules[other].items.filter { $0.kind == .number }.map(\.name)
      guard !numbers.isEmpty else { return }
      if chance(1, of: 2) {
        add("\(alias).\(pick(numbers)) = \(expression(module))", to: module)
      } else {
        add("def \(name)(x):\n    \(alias).\(pick(numbers)) = x\n    return x", to: module)
        add("\(new("effect")) = \(name)(\(digit()))", to: module)
      }
    case 19:
      define(
        name, .number,
        "if \(expression(module)) > \(digit()):\n    \(name) = \(digit())\nelse:\n    \(name) = \(expression(module))",
        in: module)
    case 20:
      define(
        name, .list, "\(name) = []\nfor \(new("i")) in range(\(digit())):\n    \(name).append(\(expression(module)))",
        in: module)
    case 21:
      // A class that knows those that are derived from it.
      let base = new("base")
      define(
        base, .type,
        "class \(base):\n    all = []\n    limit = \(digit())\n    def __init_subclass__(cls):\n        \(base).all.append(cls.limit)\n"
          + "    def get(self):\n        return sum(\(base).all)", in: module)
      add("class \(name)(\(base)):\n    limit = \(expression(module))", to: module)
    case 22 where isCoarse: addByText(name, to: module)
    case 23 where isCoarse:
      guard let (alias, other) = modules[module].aliases.last,
        let item = modules[other].items.first(where: { $0.kind == .number })
      else { return }
      let use = new("use")
      add("def \(use)(module):\n    return module.\(item.name)", to: module)
      define(name, .function, "def \(name)(x):\n    return \(use)(\(alias)) + x", in: module)
    case 22...24:
      add("if __name__ == '__main__':\n    \(name) = \(expression(module))", to: module)
    case 25:
      let second = new("name")
      add("\(name), \(second) = \(expression(module)), \(expression(module))", to: module)
      for name in [name, second] {
        modules[module].items.append(Item(name: name, kind: .number))
        modules[module].known.append(Item(name: name, kind: .number))
      }
    case 26:
      let lists = known(module, [.list])
      guard !lists.isEmpty else { return }
      define(name, .list, "\(name) = \(pick(lists))", in: module)
    case 27, 28:
      let types = known(module, [.type])
      guard !types.isEmpty else { return }
      define(name, .instance, "\(name) = \(pick(types))()", in: module)
    case 29:
      guard let (alias, other) = modules[module].aliases.last,
        let item = modules[other].items.first(where: { $0.kind == .number || $0.kind == .function })
      else { return }
      let value = item.kind == .number ? "x" : "lambda y: x + y"
      add("def \(name)(x):\n    setattr(\(alias), '\(item.name)', \(value))\n    return x", to: module)
      add("\(new("effect")) = \(name)(\(digit()))", to: module)
    case 30: define(name, .number, "if (\(name) := \(expression(module))) > \(digit()):\n    pass", in: module)
    case 31:
      let lists = known(module, [.list])
      guard !lists.isEmpty else { return }
      let list = pick(lists)
      define(name, .function, "def \(name)(x):\n    \(list).append(x)\n    return len(\(list))", in: module)
    case 32:
      define(
        name, .function,
        "import functools\n@functools.lru_cache(maxsize=None)\ndef \(name)(x):\n    return x + \(expression(module))",
        in: module)
    case 33:
      let types = known(module, [.type])
      guard !types.isEmpty else { return }
      define(
        name, .type,
        "class \(name)(\(pick(types))):\n    def get(self):\n        return super().get() + self.own\n    @property\n"
          + "    def own(self):\n        return \(expression(module))", in: module)
    case 34:
      let functions = known(module, [.function])
      guard !functions.isEmpty else { return }
      define(name, .registry, "\(name) = {'a': \(pick(functions)), 'b': \(pick(functions))}", in: module)
    case 35:
      let types = known(module, [.type])
      guard !types.isEmpty else { return }
      let type = pick(types)
      if chance(1, of: 2) {
        add("\(type).limit = \(expression(module))", to: module)
      } else {
        add("def \(name)(x):\n    \(type).limit = x\n    return x", to: module)
        add("\(new("effect")) = \(name)(\(digit()))", to: module)
      }
    case 36:
      let size = expression(module)
      define(name, .function, "def \(name)(x):\n    return \(name).size + x", in: module)
      add("\(name).size = \(size)", to: module)
    case 37:
      guard !modules[module].statements.contains(where: { $0.hasPrefix("def __getattr__") }) else { return }
      add(
        "def __getattr__(name):\n    if name == '\(name)':\n        return \(expression(module))\n    raise AttributeError(name)",
        to: module)
      modules[module].attributes.append(Item(name: name, kind: .number))
    case 38:
      let functions = known(module, [.function])
      guard !functions.isEmpty else { return }
      define(name, .function, "def \(name)(x, then=\(pick(functions))):\n    return then(x) + \(digit())", in: module)
    default:
      define(
        name, .function,
        "def \(name)(x):\n    def inner(y):\n        return y + \(expression(module))\n    return sum(inner(y) for y in [x, \(digit())])",
        in: module)
    }
  }

  /// A function that imports what it uses.
  private mutating func addInnerImport(_ name: String, to module: Int) {
    guard module + 1 < modules.count else { return }
    let other = module + 1 + random.number(below: modules.count - module - 1)
    let items = modules[other].items.filter { $0.kind == .number || $0.kind == .function }
    guard !items.isEmpty else { return }
    let item = pick(items)
    let source = modules[other].name
    let call = item.kind == .function ? "(x)" : ""
    let body =
      switch random.number(below: 4) {
      case 0: "from \(source) import \(item.name) as found\n    return found\(call)"
      case 1: "import \(source)\n    return \(source).\(item.name)\(call)"
      case 2: "import \(source) as found\n    return found.\(item.name)\(call)"
      default: "import importlib\n    return importlib.import_module('\(source)').\(item.name)\(call)"
      }
    define(name, .function, "def \(name)(x):\n    \(body) + x", in: module)
  }

  /// A function that finds a number by its name.
  private mutating func addByText(_ name: String, to module: Int) {
    if let (alias, other) = modules[module].aliases.last,
      let item = modules[other].items.first(where: { $0.kind == .number }), chance(1, of: 2)
    {
      let text = Array(item.name)
      let (first, second) = (String(text.prefix(2)), String(text.dropFirst(2)))
      return define(
        name, .function, "def \(name)(x):\n    return getattr(\(alias), '\(first)' + '\(second)') + x", in: module)
    }
    guard let item = modules[module].items.first(where: { $0.kind == .number }) else { return }
    let text = pick(["globals()['\(item.name)']", "eval('\(item.name)')"])
    define(name, .function, "def \(name)(x):\n    return \(text) + x", in: module)
  }
}
