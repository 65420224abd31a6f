import PurserModel

/// The outline of a file, with its names as numbers that hold for all files.
final class PythonReachModule {
  typealias Unit = PythonOutline.Unit

  let outline: PythonOutline
  /// By number in the outline.
  private let names: [Int]
  /// The units that bind a name, in order.
  let bindings: [Int: [Int]]
  /// All imports, unit by unit.
  let imports: [PythonOutline.Import]
  private let firstImports: [Int]
  /// Imports that bind a name at module level, or in a function that declares it as global, each with its unit.
  let importBindings: [Int: [(unit: Int, item: Int)]]
  /// Imports of all names of a module.
  let stars: [Int]
  /// Names of the file that are words of its constants; only where something in it evaluates text.
  let constantWords: [Int]

  init(_ outline: PythonOutline, _ names: inout PythonOutlineTable.Names) {
    self.outline = outline
    var numbers: [Int] = []
    numbers.reserveCapacity(outline.names.count)
    for name in outline.names { numbers.append(names.number(of: name)) }
    self.names = numbers
    var bindings: [Int: [Int]] = [:]
    var imports: [PythonOutline.Import] = []
    var firstImports = [0]
    var importBindings: [Int: [(unit: Int, item: Int)]] = [:]
    var stars: [Int] = []
    var words: Set<Int> = []
    for (index, unit) in outline.units.enumerated() {
      for name in unit.binds { bindings[numbers[name], default: []].append(index) }
      let binds = unit.imports.isEmpty ? [] : Set(unit.binds)
      for item in unit.imports {
        if item.kind == .all { stars.append(imports.count) }
        if let binding = item.binding, binds.contains(binding) {
          importBindings[numbers[binding], default: []].append((index, imports.count))
        }
        imports.append(item)
      }
      firstImports.append(imports.count)
      if unit.traits.contains(.isConstant) { words.formUnion(unit.words.map { numbers[$0] }) }
    }
    self.bindings = bindings
    self.imports = imports
    self.firstImports = firstImports
    self.importBindings = importBindings
    self.stars = stars
    constantWords = words.sorted()
  }

  var units: [Unit] { outline.units }

  /// The numbers of a unit's imports.
  func imports(of unit: Int) -> Range<Int> { firstImports[unit]..<firstImports[unit + 1] }

  func name(_ name: Int) -> Int { names[name] }

  /// The first name of a path.
  func root(of path: Int) -> Int {
    var path = outline.paths[path]
    while path.parent >= 0 { path = outline.paths[path.parent] }
    return names[path.name]
  }

  /// A path in the table of a walk.
  func number(of path: Int, in paths: inout PythonReachPaths) -> Int {
    var number = PythonReachPaths.empty
    var next = path
    while next >= 0 {
      number = paths.number(of: names[outline.paths[next].name], rest: number)
      next = outline.paths[next].parent
    }
    return number
  }

  func text(_ name: Int) -> ByteString { outline.names[name] }

  /// Whether what a name stands for may change without another binding of it.
  func isMutable(_ name: Int) -> Bool {
    (bindings[name] ?? []).contains { index in
      let unit = units[index]
      if !unit.traits.isDisjoint(with: [.isImport, .isConstant]) { return false }
      // What a function binds besides itself, it has declared as global.
      return !unit.traits.contains(.isFunction) || unit.binds.first.map { names[$0] } != name
    }
  }
}
