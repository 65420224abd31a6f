import PurserModel

/// Makes an outline of statements that were read, with what only the whole file tells.
struct PythonOutlineFinish {
  private var builder: PythonOutlineBuilder
  private var drafts: [PythonOutlineBuilder.Draft]
  private var result = PythonOutline()
  /// The numbers that names and paths have in the outline, which holds no others than those that it needs.
  private var newNames: [Int] = []
  private var newPaths: [Int] = []

  init(builder: PythonOutlineBuilder, drafts: [PythonOutlineBuilder.Draft]) {
    self.builder = builder
    self.drafts = drafts
  }

  mutating func outline() -> PythonOutline {
    if let refusal = refusal() {
      result.refusal = refusal
      return result
    }
    for index in drafts.indices where !drafts[index].annotations.isEmpty { addAnnotations(to: index) }
    let count = builder.names.all.count
    newNames = Array(repeating: -1, count: count)
    newPaths = Array(repeating: -1, count: builder.paths.all.count)
    var isImported = Array(repeating: false, count: count)
    var isUsed = Array(repeating: false, count: count)
    var isBound = Array(repeating: false, count: count)
    for draft in drafts {
      for item in draft.imports { if let binding = item.binding { isImported[binding] = true } }
      for path in draft.used { isUsed[root(of: path)] = true }
      for name in draft.binds { isBound[name] = true }
    }
    let evaluatesText = drafts.contains { $0.traits.contains(.evaluatesText) }
    let bound = evaluatesText ? names(where: isBound) : [:]
    for draft in drafts {
      guard let digest = draft.digest else { continue }
      var unit = PythonOutline.Unit(line: draft.line, digest: digest, traits: draft.traits)
      if unit.traits.contains(.isImport), unit.traits.isDisjoint(with: .isActive),
        !draft.binds.contains(where: { isUsed[$0] })
      {
        unit.traits.insert(.isIdle)
      }
      unit.binds = draft.binds.map { number(ofName: $0) }
      for path in draft.used {
        guard let modes = draft.uses[path] else { continue }
        unit.uses.append(PythonOutline.Use(path: number(ofPath: path), modes: modes))
      }
      unit.imports = draft.imports.map { item in
        var item = item
        item.path = item.path.map { number(ofName: $0) }
        item.member = item.member.map { number(ofName: $0) }
        item.binding = item.binding.map { number(ofName: $0) }
        return item
      }
      unit.decorators = draft.decorators.map { number(ofPath: $0) }
      if evaluatesText { unit.words = words(in: draft.strings, bound).map { number(ofName: $0) } }
      for reflection in draft.reflections where isImported[reflection.name] {
        unit.reflections.append(
          PythonOutline.Reflection(name: number(ofName: reflection.name), line: reflection.line))
      }
      unit.obstacle = draft.obstacle
      result.units.append(unit)
    }
    return result
  }

  /// Modules are found by the bytes of their names, of which names that are not ASCII keep none.
  private func refusal() -> References.Remark? {
    let other = PythonOutlineNames.Special.other.rawValue
    for draft in drafts where draft.imports.contains(where: { $0.path.contains(other) || $0.member == other }) {
      return References.Remark(line: draft.line, "imports a name that is not ASCII")
    }
    return nil
  }

  private func root(of path: Int) -> Int {
    var path = path
    while builder.paths.all[path].parent >= 0 { path = builder.paths.all[path].parent }
    return builder.paths.all[path].name
  }

  private mutating func number(ofName name: Int) -> Int {
    if newNames[name] < 0 {
      newNames[name] = result.names.count
      result.names.append(builder.names.all[name])
    }
    return newNames[name]
  }

  private mutating func number(ofPath path: Int) -> Int {
    // What it is an attribute of comes before it.
    var open: [Int] = []
    var next = path
    while next >= 0, newPaths[next] < 0 {
      open.append(next)
      next = builder.paths.all[next].parent
    }
    for path in open.reversed() {
      let (parent, name) = (builder.paths.all[path].parent, builder.paths.all[path].name)
      newPaths[path] = result.paths.count
      result.paths.append(
        PythonOutline.Path(parent: parent < 0 ? -1 : newPaths[parent], name: number(ofName: name)))
    }
    return newPaths[path]
  }

  // MARK: - Words

  /// Adds the names that stand in annotations that are strings.
  private mutating func addAnnotations(to index: Int) {
    for range in drafts[index].annotations {
      for path in words(range) {
        var number = -1
        for word in path.prefix(PythonOutline.attributeLimit + 1) {
          let name = builder.source.bytes.withUnsafeBufferPointer { builder.names.number(of: $0, word).name }
          number = builder.paths.number(of: name, parent: number)
        }
        drafts[index].use(number, .annotation)
      }
    }
  }

  /// The words of a string; those with a dot between them together.
  private func words(_ range: Range<Int>) -> [[Range<Int>]] {
    let bytes = builder.source.bytes
    var found: [[Range<Int>]] = []
    var index = range.lowerBound
    while index < range.upperBound {
      guard PythonLexer.isNameStart(bytes[index]) else {
        index += 1
        continue
      }
      let start = index
      while index < range.upperBound, PythonLexer.isNameByte(bytes[index]) { index += 1 }
      if start > range.lowerBound, bytes[start - 1] == UInt8(ascii: "."), !found.isEmpty {
        found[found.count - 1].append(start..<index)
      } else {
        found.append([start..<index])
      }
    }
    return found
  }

  private func names(where isWanted: [Bool]) -> [ByteString: Int] {
    var numbers: [ByteString: Int] = [:]
    for (number, name) in builder.names.all.enumerated() where isWanted[number] { numbers[name] = number }
    return numbers
  }

  /// The names among some that stand in strings as words.
  private func words(in strings: [Range<Int>], _ known: [ByteString: Int]) -> [Int] {
    let bytes = builder.source.bytes
    var found: [Int] = []
    var isFound: Set<Int> = []
    for range in strings {
      var index = range.lowerBound
      while index < range.upperBound {
        guard PythonLexer.isNameByte(bytes[index]) else {
          index += 1
          continue
        }
        let start = index
        var isASCII = true
        while index < range.upperBound, PythonLexer.isNameByte(bytes[index]) {
          if bytes[index] >= 0x80 { isASCII = false }
          index += 1
        }
        let word = isASCII ? ByteString(bytes[start..<index]) : PythonOutline.otherName
        if let name = known[word], isFound.insert(name).inserted { found.append(name) }
      }
    }
    return found
  }
}
