/// Which statements could change what is reached, though nothing that is reached uses what they bind.
///
/// `table = setup()` runs code when its module is loaded; so do a decorator and a class that is derived from another.
/// Such a statement counts if what it runs leads to a name that is reached and whose value may change. Only what leads
/// outside of the project's own names is not seen.
///
/// The same graph is walked through from all these statements; then back from the names that are reached. Every target
/// and every edge is looked at once.
struct PythonReachInfluence {
  private struct Name: Hashable {
    var file: Int
    var name: Int
  }

  private var numbers: [PythonReachTarget: Int] = [:]
  private var targets: [PythonReachTarget] = []
  /// By target, the targets that lead to it.
  private var users: [[Int]] = []
  /// Whether it leads to what is reached.
  private var leads: [Bool] = []
  private var isCandidate: [Bool] = []
  private var byName: [Name: [Int]] = [:]

  /// Targets whose own targets are not known yet, and those that wait for files.
  private var open: [Int] = []
  private var candidateFiles = 0
  private var namesSeen = 0
  private var isReached: Set<Name> = []
  private var leading: [Int] = []

  /// The statements of the files that were executed since it was last asked, as far as they run code.
  mutating func candidates(in reach: PythonReach) -> [(file: Int, unit: Int)] {
    var found: [(file: Int, unit: Int)] = []
    for file in reach.executed[candidateFiles...] {
      guard let module = reach.module(file) else { continue }
      for (number, unit) in module.units.enumerated()
      where unit.traits.contains(.runsCode) && unit.traits.isDisjoint(with: [.isActive, .isMain, .isImport]) {
        found.append((file, number))
      }
    }
    candidateFiles = reach.executed.count
    return found
  }

  /// Adds a target, once, and gives its number.
  @discardableResult
  mutating func add(_ target: PythonReachTarget, isCandidate: Bool, _ reach: PythonReach) -> Int {
    if let number = numbers[target] {
      if isCandidate { self.isCandidate[number] = true }
      return number
    }
    let number = targets.count
    numbers[target] = number
    targets.append(target)
    users.append([])
    leads.append(false)
    self.isCandidate.append(isCandidate)
    open.append(number)
    if case .attribute(let attribute) = target {
      let name = Name(file: attribute.file, name: reach.paths.name(attribute.path))
      byName[name, default: []].append(number)
      if isReached.contains(name), mayChange(attribute, reach) { leading.append(number) }
    }
    return number
  }

  /// Whether using a name that way may change what is reached by it.
  private func mayChange(_ attribute: PythonReachTarget.Attribute, _ reach: PythonReach) -> Bool {
    attribute.isStored || reach.module(attribute.file)?.isMutable(reach.paths.name(attribute.path)) ?? false
  }

  /// Whether it leads to a file that is executed and whose names are not known.
  private func leadsToWhole(_ target: PythonReachTarget, _ reach: PythonReach) -> Bool {
    let file: Int
    switch target {
    case .attribute(let attribute): file = attribute.file
    case .everything(let number): file = number
    default: return false
    }
    return reach.state(file).isExecuted && reach.state(file).isWhole && reach.module(file) == nil
  }

  /// Follows everything that is open, as far as files are loaded.
  mutating func grow(_ reach: PythonReach) {
    var waiting: [Int] = []
    while let number = open.popLast() {
      guard let next = reach.targets(of: targets[number]) else {
        waiting.append(number)
        continue
      }
      if leadsToWhole(targets[number], reach) { leading.append(number) }
      for target in next {
        let used = add(target, isCandidate: false, reach)
        users[used].append(number)
        if leads[used] { leading.append(number) }
      }
    }
    open = waiting
  }

  /// The statements that were found to lead to what is reached, since it was last asked.
  mutating func found(in reach: PythonReach) -> [PythonReachTarget.Unit] {
    for (file, name) in reach.reachedNames[namesSeen...] {
      let name = Name(file: file, name: name)
      isReached.insert(name)
      for number in byName[name] ?? [] {
        if case .attribute(let attribute) = targets[number], mayChange(attribute, reach) { leading.append(number) }
      }
    }
    namesSeen = reach.reachedNames.count
    var found: [PythonReachTarget.Unit] = []
    while let number = leading.popLast() {
      if leads[number] { continue }
      leads[number] = true
      if isCandidate[number], case .unit(let unit) = targets[number] { found.append(unit) }
      leading += users[number]
    }
    return found
  }
}
