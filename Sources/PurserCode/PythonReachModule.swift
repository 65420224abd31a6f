import PurserModel

/// The outline of a file, with its names as numbers that hold for all files.
final class PythonReachModule {
  typealias Unit = PythonOutline.Unit

  let outline: PythonOutline
  /// By number in the outline.
  private let names: [Int]
  /// The units that bind a name, in order.
  let bindings: [Int: [Int]]
  /// Imports of all names of a module, that bind them at module level.
  let stars: [PythonOutline.Import]
  /// Names of the file that are words of its constants; only where something in it evaluates text.
  let constantWords: [Int]

  init(_ outline: PythonOutline, _ names: inout PythonOutlineTable.Names) {
    self.outline = outline
    var numbers: [Int] = []
    numbers.reserveCapacity(outline.names.count)
    for name in outline.names { numbers.append(names.number(of: name)) }
    self.names = numbers
    var bindings: [Int: [Int]] = [:]
    var stars: [PythonOutline.Import] = []
    var words: Set<Int> = []
    for (index, unit) in outline.units.enumerated() {
      for name in unit.binds { bindings[numbers[name], default: []].append(index) }
      stars += unit.imports.filter { $0.kind == .all }
      if unit.traits.contains(.isConstant) { words.formUnion(unit.words.map { numbers[$0] }) }
    }
    self.bindings = bindings
    self.stars = stars
    constantWords = words.sorted()
  }

  var units: [Unit] { outline.units }

  func name(_ name: Int) -> Int { names[name] }

  /// A path's first name and its attributes.
  func parts(of path: Int) -> [Int] { outline.parts(of: path).map { names[$0] } }

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

  /// Whether an import in the file binds a name: then it may be a module, and its attributes that module's.
  func isImported(_ name: Int) -> Bool {
    (bindings[name] ?? []).contains { index in
      units[index].imports.contains { $0.binding.map { names[$0] } == name }
    }
  }
}
