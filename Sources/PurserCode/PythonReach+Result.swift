import PurserHashing
import PurserModel

extension PythonReach {
  /// What was reached.
  func result() -> CodeReach {
    var reach = CodeReach()
    let orders = PythonReachOrder(self)
    for file in executed {
      if state(file).isWhole || files.files[file].language != .python {
        if let file = follower.file(file) { reach.wholeFiles.append(file) }
      } else if let module = module(file) {
        reach.definitions += definitions(of: file, module, orders)
      }
    }
    reach.files = loaded.compactMap(follower.file)
    reach.definitions.sort { ($0.path, $0.name) < ($1.path, $1.name) }
    reach.wholeFiles.sort { $0.path < $1.path }
    reach.files.sort { $0.path < $1.path }
    let consulted = Set(walk.folders).union(places.consulted)
    reach.folders = consulted.compactMap { follower.folders.closureFolder($0) }.sorted { $0.path < $1.path }
    reach.remarks = CodeClosure.Remark.sorted(walk.remarks)
    return reach
  }

  private func definitions(
    of file: Int, _ module: PythonReachModule, _ orders: PythonReachOrder
  ) -> [CodeReach.Definition] {
    let path = files.files[file].path
    var definitions: [CodeReach.Definition] = []
    func add(_ name: ByteString, _ units: [Int]) {
      guard !units.isEmpty else { return }
      var hash = SHA256()
      hash.update("purser.python.definition.1\0" as ByteString)
      for unit in units { hash.update(module.units[unit].digest) }
      definitions.append(CodeReach.Definition(path: path, name: name, digest: hash.finalize()))
    }
    for name in state(file).names { add(text(name), units(binding: name, in: file, module)) }
    add("(module)", unnamedUnits(of: file, module))
    let order = orders.units(of: file)
    if order.count > 1 {
      definitions.append(
        CodeReach.Definition(path: path, name: "(order)", digest: Self.digest(ofOrder: order, module)))
    }
    return definitions
  }

  /// The digest of an order, of which a change within one statement makes no other.
  private static func digest(ofOrder order: [Int], _ module: PythonReachModule) -> Digest {
    var hash = SHA256()
    hash.update("purser.python.order.1\0" as ByteString)
    for number in order {
      let unit = module.units[number]
      if unit.traits.contains(.isImport) {
        hash.update(byte: 1)
        hash.update(unit.digest)
      } else {
        hash.update(byte: 0)
        hash.update(littleEndian: UInt64(unit.binds.count))
        for name in unit.binds {
          hash.update(littleEndian: UInt64(module.text(name).count))
          hash.update(module.text(name))
        }
      }
    }
    return hash.finalize()
  }

  /// The statements of a module that are reached without a name, in order: what they do counts, not what they bind.
  func unnamedUnits(of file: Int, _ module: PythonReachModule) -> [Int] {
    state(file).units.sorted().filter { number in
      let unit = module.units[number]
      return !unit.traits.isDisjoint(with: [.isActive, .isMain, .isIdle]) || unit.binds.isEmpty
    }
  }
}

/// The statements of each module whose order may matter, among those that are reached: `list.append(1)` before or after
/// `size = len(list)`. What only defines functions can stand anywhere, if no name has two definitions.
struct PythonReachOrder {
  private var orders: [Int: [Int]] = [:]

  init(_ reach: PythonReach) {
    var importers: [Int: [(file: Int, unit: Int)]] = [:]
    var open: [Int] = []
    for file in reach.executed {
      guard let module = reach.module(file), !reach.state(file).isWhole else {
        open.append(file)
        continue
      }
      let units = Self.ownUnits(of: file, module, reach)
      orders[file] = units
      if !units.isEmpty { open.append(file) }
    }
    for file in reach.executed {
      guard let module = reach.module(file) else { continue }
      for (number, unit) in module.units.enumerated() where reach.runs(unit, file) {
        for item in module.imports(of: number) where module.imports[item].isImmediate {
          for other in reach.filesLoaded(by: item, module, file) {
            importers[other, default: []].append((file, number))
          }
        }
      }
    }
    // A module whose statements have an order gives one to the imports that load it.
    var isOpen = Set(open)
    var added: [Int: Set<Int>] = [:]
    while let file = open.popLast() {
      for (importer, unit) in importers[file] ?? [] {
        added[importer, default: []].insert(unit)
        if isOpen.insert(importer).inserted { open.append(importer) }
      }
    }
    for (file, units) in added { orders[file] = Set(orders[file] ?? []).union(units).sorted() }
  }

  func units(of file: Int) -> [Int] { orders[file] ?? [] }

  private static func ownUnits(of file: Int, _ module: PythonReachModule, _ reach: PythonReach) -> [Int] {
    let reached = reach.state(file).units.sorted()
    let hasEffect = reached.contains { number in
      let traits = module.units[number].traits
      return !traits.isDisjoint(with: [.isActive, .isMain]) && !traits.contains(.isImport)
    }
    return reached.filter { number in
      let unit = module.units[number]
      if !unit.traits.isDisjoint(with: [.isActive, .isMain]) { return true }
      // Imports only matter beside what has an effect.
      if unit.traits.contains(.isImport) { return hasEffect }
      if unit.binds.contains(where: { reach.units(binding: module.name($0), in: file, module).count > 1 }) {
        return true
      }
      return unit.traits.contains(.runsCode) || unit.uses.contains { $0.modes.contains(.immediate) }
    }
  }
}
