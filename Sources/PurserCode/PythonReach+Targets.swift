import PurserModel

// What each target leads to: the edges of the graph that is walked through.
extension PythonReach {
  /// What a target leads to; `nil` if files have to be loaded first.
  func targets(of target: Target) -> [Target]? {
    switch target {
    case .execute(let file): isLoaded(file) ? execution(of: file) : nil
    case .run(let file): isLoaded(file) ? program(file) : nil
    case .exports(let file): isLoaded(file) ? exports(of: file) : nil
    case .everything(let file): isLoaded(file) ? everything(in: file) : nil
    case .below: []
    case .attribute(let attribute): isLoaded(attribute.file) ? targets(of: attribute) : nil
    case .unit(let unit): targets(of: unit)
    }
  }

  // MARK: - Modules

  /// What loading a file does.
  private func execution(of number: Int) -> [Target] {
    guard !state(number).isSkipped else { return [] }
    let file = files.files[number]
    guard let language = file.language else { return [] }
    var targets: [Target] = []
    let module = module(number)
    for use in file.uses {
      let use = files.uses.uses[use]
      switch use {
      case .searchFolder: continue
      case .module where module != nil: continue
      default: break
      }
      let resolution = resolver.resolution(of: use, in: file.path, language)
      let isProgram = if case .file = use { true } else { language != .python }
      for found in note(resolution, in: number) {
        targets.append(isProgram ? .run(found) : .execute(found))
        targets.append(.everything(found))
      }
      for (found, _) in resolution.starred { targets.append(.exports(found)) }
    }
    guard let module else { return targets }
    for (index, unit) in module.units.enumerated() where !unit.traits.contains(.isMain) {
      for item in module.imports(of: index) where module.imports[item].isImmediate {
        addExecutions(of: item, module, number, to: &targets)
      }
      if isCounted(index, module, number) {
        targets.append(.unit(Target.Unit(file: number, number: index, isWhole: true)))
        if unit.traits.isDisjoint(with: [.isActive, .isIdle]) {
          for name in unit.binds { targets.append(own(module.name(name), number)) }
        }
      }
    }
    let getattr = outlines.number(of: "__getattr__")
    if module.bindings[getattr] != nil { targets.append(own(getattr, number)) }
    return targets
  }

  /// Whether executing a statement does what may not show in the names that it binds.
  private func isCounted(_ number: Int, _ module: PythonReachModule, _ file: Int) -> Bool {
    let unit = module.units[number]
    if unit.traits.contains(.isActive) { return true }
    if unit.traits.contains(.isIdle) {
      return module.imports(of: number).contains { item in
        module.imports[item].level == 0 && places.answer(item, module, file).modules.isEmpty
      }
    }
    return unit.decorators.contains { !isInert(decorator: $0, module, file) }
  }

  /// Whether a decorator only acts on what it decorates, or is the project's own, so that what it does can be followed.
  private func isInert(decorator path: Int, _ module: PythonReachModule, _ file: Int) -> Bool {
    let name = module.root(of: path)
    guard module.bindings[name] != nil else {
      return PythonReachDecorators.isBuiltin(text(name)) || module.stars.contains { isProject($0, module, file) }
    }
    let parts = module.outline.parts(of: path).map { module.text($0) }
    return (module.importBindings[name] ?? []).allSatisfy { entry in
      let item = module.imports[entry.item]
      if isProject(entry.item, module, file) { return true }
      let origin = item.path.map { module.text($0) } + [item.member].compactMap { $0.map { module.text($0) } }
      let rest = parts.dropFirst(item.kind == .top ? item.path.count : 1)
      return item.level == 0 && PythonReachDecorators.isInert(origin + rest)
    }
  }

  /// What running a file as a program does.
  private func program(_ file: Int) -> [Target] {
    var targets: [Target] = [.execute(file)]
    guard let module = module(file) else { return targets }
    for (index, unit) in module.units.enumerated() where unit.traits.contains(.isMain) {
      targets.append(.unit(Target.Unit(file: file, number: index, isWhole: true)))
    }
    return targets
  }

  /// What importing all names of a module loads, and what says which they are.
  private func exports(of file: Int) -> [Target] {
    guard !state(file).isSkipped else { return [] }
    var targets: [Target] = []
    for name in files.files[file].exports {
      for place in places.members(of: .file(file), named: name) {
        if case .file(let member) = place { targets.append(.execute(member)) }
      }
    }
    let all = outlines.number(of: "__all__")
    if let module = module(file), module.bindings[all] != nil { targets.append(own(all, file)) }
    return targets
  }

  private func everything(in file: Int) -> [Target] {
    var targets: [Target] = []
    if let module = module(file) {
      // Whoever has the module may also assign to its names.
      for name in module.bindings.keys where isBoundBySelf(name, module, file) {
        targets.append(own(name, file, isStored: true))
      }
      for other in starFiles(module, file) { targets.append(.everything(other)) }
    }
    if let folder = places.folder(ofPackage: file) { targets.append(.below(folder)) }
    return targets
  }

  // MARK: - Names

  func text(_ name: Int) -> ByteString { outlines.names.texts[name] }

  private func own(_ name: Int, _ file: Int, isStored: Bool = false) -> Target {
    let path = paths.number(of: name)
    return .attribute(Target.Attribute(file: file, path: path, isOwn: true, isStored: isStored))
  }

  /// Whether a statement is executed, and counts among those that bind a module's names.
  func runs(_ unit: PythonOutline.Unit, _ file: Int) -> Bool {
    !unit.traits.contains(.isMain) || isProgram(file)
  }

  private func isBoundBySelf(_ name: Int, _ module: PythonReachModule, _ file: Int) -> Bool {
    (module.bindings[name] ?? []).contains { runs(module.units[$0], file) }
  }

  /// The statements that bind a name of a module.
  func units(binding name: Int, in file: Int, _ module: PythonReachModule) -> [Int] {
    (module.bindings[name] ?? []).filter { runs(module.units[$0], file) }
  }

  private func targets(of attribute: Target.Attribute) -> [Target]? {
    let file = attribute.file
    guard let module = module(file) else { return [] }
    let name = paths.name(attribute.path)
    let rest = paths.rest(attribute.path)
    var targets: [Target] = []
    var isFound = false
    for unit in module.bindings[name] ?? [] where runs(module.units[unit], file) {
      targets.append(.unit(Target.Unit(file: file, number: unit, isWhole: true)))
      isFound = true
    }
    for (unit, item) in module.importBindings[name] ?? [] where runs(module.units[unit], file) {
      follow(item, rest, module, file, isStored: attribute.isStored, to: &targets)
    }
    // They may come after the file's own statements.
    for other in starFiles(module, file) {
      var further = attribute
      further.file = other
      further.isOwn = true
      targets.append(.attribute(further))
    }
    if places.folder(ofPackage: file) != nil {
      for place in places.members(of: .file(file), named: text(name)) {
        isFound = true
        addTargets(of: place, rest, isStored: attribute.isStored, to: &targets)
      }
    }
    if !isFound, !attribute.isOwn, !PythonReachDecorators.isModuleOwn(text(name)) {
      guard let isBound = isBound(name, in: file) else { return nil }
      if !isBound {
        let getattr = outlines.number(of: "__getattr__")
        targets.append(module.bindings[getattr] != nil ? own(getattr, file) : .everything(file))
      }
    }
    return targets
  }

  /// Whether a name is bound by a module itself, or by what it imports all names of; `nil` if files have to be loaded
  /// first.
  func isBound(_ name: Int, in file: Int) -> Bool? {
    var open = [file]
    var seen: Set<Int> = [file]
    var isKnown = true
    while let file = open.popLast() {
      guard isLoaded(file) else {
        isKnown = false
        continue
      }
      guard let module = module(file) else {
        // It may be there.
        if !state(file).isSkipped, files.files[file].language == .python { return true }
        continue
      }
      if isBoundBySelf(name, module, file) { return true }
      for other in starFiles(module, file) {
        if !places.members(of: .file(other), named: text(name)).isEmpty { return true }
        if seen.insert(other).inserted { open.append(other) }
      }
    }
    return isKnown ? false : nil
  }

  /// Adds what attributes of a module lead to; all of it, if there are none.
  private func addTargets(of place: Place, _ path: Int, isStored: Bool, to targets: inout [Target]) {
    switch place {
    case .file(let file):
      targets.append(.execute(file))
      targets.append(
        path == PythonReachPaths.empty
          ? .everything(file)
          : .attribute(Target.Attribute(file: file, path: path, isOwn: false, isStored: isStored)))
    case .folder(let folder):
      guard path != PythonReachPaths.empty else { return targets.append(.below(folder)) }
      // As deep as a path is long.
      for member in places.members(of: place, named: text(paths.name(path))) {
        addTargets(of: member, paths.rest(path), isStored: isStored, to: &targets)
      }
    }
  }

  // MARK: - Imports

  /// The files that an import loads.
  func filesLoaded(by item: Int, _ module: PythonReachModule, _ file: Int) -> [Int] {
    places.answer(item, module, file).resolution.files
  }

  /// Adds what executing an import does.
  private func addExecutions(of number: Int, _ module: PythonReachModule, _ file: Int, to targets: inout [Target]) {
    let answer = places.answer(number, module, file)
    for loaded in note(answer.resolution, in: file) { targets.append(.execute(loaded)) }
    switch module.imports[number].kind {
    case .all:
      for case .file(let other) in answer.modules { targets.append(.exports(other)) }
    case .call:
      for place in answer.steps.joined() {
        addTargets(of: place, PythonReachPaths.empty, isStored: false, to: &targets)
      }
    case .top, .whole, .member: break
    }
  }

  /// Adds what attributes of the name that an import binds lead to.
  private func follow(
    _ number: Int, _ path: Int, _ module: PythonReachModule, _ file: Int, isStored: Bool, to targets: inout [Target]
  ) {
    let item = module.imports[number]
    let answer = places.answer(number, module, file)
    switch item.kind {
    case .top where path == PythonReachPaths.empty:
      // Whoever gets the package alone has all of its modules that are named.
      for place in answer.steps.joined() { addTargets(of: place, path, isStored: isStored, to: &targets) }
    case .top:
      for place in answer.steps.first ?? [] { addTargets(of: place, path, isStored: isStored, to: &targets) }
    case .whole:
      for place in answer.modules { addTargets(of: place, path, isStored: isStored, to: &targets) }
    case .member:
      guard let member = item.member, !answer.modules.isEmpty else { return }
      let path = paths.number(of: module.name(member), rest: path)
      for place in answer.modules { addTargets(of: place, path, isStored: isStored, to: &targets) }
    case .all, .call: break
    }
  }

  /// Whether what an import names is the project's.
  private func isProject(_ number: Int, _ module: PythonReachModule, _ file: Int) -> Bool {
    places.answer(number, module, file).modules.contains { place in
      if case .file = place { return true }
      return module.imports[number].member.map { !places.members(of: place, named: module.text($0)).isEmpty } ?? false
    }
  }

  /// Whether what an import binds is a module of the project.
  private func isModule(_ number: Int, _ module: PythonReachModule, _ file: Int) -> Bool {
    let item = module.imports[number]
    let modules = places.answer(number, module, file).modules
    guard item.kind == .member, let member = item.member else { return !modules.isEmpty }
    return modules.contains { !places.members(of: $0, named: module.text(member)).isEmpty }
  }

  /// The files of the project of which a module imports all names.
  private func starFiles(_ module: PythonReachModule, _ file: Int) -> [Int] {
    guard !module.stars.isEmpty else { return [] }
    var files: [Int] = []
    for star in module.stars {
      for case .file(let other) in places.answer(star, module, file).modules where !files.contains(other) {
        files.append(other)
      }
    }
    return files
  }

  // MARK: - Statements

  private func targets(of target: Target.Unit) -> [Target] {
    let file = target.file
    guard let module = module(file) else { return [] }
    let unit = module.units[target.number]
    var targets: [Target] = []
    // Names that imports within functions and classes bind.
    var inner: [Int: [Int]] = [:]
    for item in module.imports(of: target.number) {
      if target.isWhole { addExecutions(of: item, module, file, to: &targets) }
      if let binding = module.imports[item].binding { inner[module.name(binding), default: []].append(item) }
    }
    let isPlain = module.stars.isEmpty && places.folder(ofPackage: file) == nil
    for use in unit.uses where target.isWhole || use.modes.contains(.immediate) {
      let name = module.root(of: use.path)
      let hasAttributes = module.outline.paths[use.path].parent >= 0
      let isStored = hasAttributes && use.modes.contains(.stored)
      guard hasAttributes, !isPlain || module.importBindings[name] != nil || inner[name] != nil else {
        targets.append(own(name, file, isStored: isStored))
        for item in inner[name] ?? [] {
          follow(item, PythonReachPaths.empty, module, file, isStored: isStored, to: &targets)
        }
        continue
      }
      let path = module.number(of: use.path, in: &paths)
      targets.append(.attribute(Target.Attribute(file: file, path: path, isOwn: true, isStored: isStored)))
      for item in inner[name] ?? [] {
        follow(item, paths.rest(path), module, file, isStored: isStored, to: &targets)
      }
    }
    if unit.traits.contains(.evaluatesText) {
      for word in unit.words { targets.append(own(module.name(word), file)) }
      for word in module.constantWords { targets.append(own(word, file)) }
    }
    if obstacle(of: target.number, module, file) != nil { targets.append(.everything(file)) }
    return targets
  }

  /// Why it cannot be told which names a statement uses.
  func obstacle(of number: Int, _ module: PythonReachModule, _ file: Int) -> References.Remark? {
    let unit = module.units[number]
    if let obstacle = unit.obstacle { return obstacle }
    for reflection in unit.reflections {
      let name = module.name(reflection.name)
      let items =
        module.imports(of: number).filter { module.imports[$0].binding == reflection.name }
        + (module.importBindings[name] ?? []).map(\.item)
      if items.contains(where: { isModule($0, module, file) }) {
        return References.Remark(line: reflection.line, "takes from a module what a computed name stands for")
      }
    }
    return nil
  }
}
