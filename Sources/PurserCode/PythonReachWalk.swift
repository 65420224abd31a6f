import PurserHashing
import PurserModel

/// One walk through the code that a function reaches, with one list of folders to search.
final class PythonReach {
  typealias Target = PythonReachTarget
  typealias Place = PythonReachPlaces.Place

  let follower: CodeFollower
  let files: CodeFileTable
  let resolver: UseResolver
  let places: PythonReachPlaces
  let outlines: PythonOutlineTable
  private let request: CodeRequest

  /// What is known of a file.
  struct State {
    var isLoaded = false
    var isSkipped = false
    var isExecuted = false
    /// Whether it runs as a program.
    var isProgram = false
    /// Whether every byte counts.
    var isWhole = false
    /// The statements and names that are reached.
    var units: Set<Int> = []
    var names: Set<Int> = []
  }

  private(set) var states: [State] = []
  /// The files that were looked at, and those that are executed, in order.
  private(set) var loaded: [Int] = []
  private(set) var executed: [Int] = []
  /// The names that are reached, in order.
  private(set) var reachedNames: [(file: Int, name: Int)] = []
  /// Folders that the code adds to the search.
  private(set) var addedFolders: [ByteString] = []
  var paths = PythonReachPaths()
  var walk: CodeFollower.Walk

  /// Which file was first to use another one.
  private var users: [Int: Int] = [:]
  /// Files that have to be loaded before the walk can go on.
  private var wanted: [Int] = []
  private var isWanted: Set<Int> = []
  private var roots: Set<Int> = []

  private var visited: Set<Target> = []
  private var stack: [Target] = []
  /// Packages that may be used with all that lies in their folders.
  private var openFolders: Set<ByteString> = []
  /// What could change what is reached.
  private var influence = PythonReachInfluence()
  /// Whether what is looked at is reached, and not only asked for its influence.
  private(set) var isReaching = true

  init(_ follower: CodeFollower, _ request: CodeRequest, _ resolver: UseResolver, _ consulted: [Int]) {
    self.follower = follower
    self.request = request
    self.resolver = resolver
    files = follower.files
    outlines = follower.outlines
    places = resolver.places
    places.consulted = []
    walk = CodeFollower.Walk(folders: consulted)
  }

  /// Walks through all that a function reaches, or a program if there is none.
  ///
  /// - Returns: whether there is such a function.
  func follow(
    _ function: ByteString?, of entry: Int, _ starts: [Int], _ skips: (ByteString) -> Bool
  ) throws(FileError) -> Bool {
    roots = Set(starts)
    for start in starts {
      if files.files[start].language == .python {
        var resolution = UseResolver.Resolution()
        resolver.packageFiles(above: files.files[start].path, &resolution)
        for file in note(resolution, in: start) { push(.execute(file)) }
      }
      push(start == entry && function != nil ? .execute(start) : .run(start))
    }
    try drain(skips)
    if let function, case .module? = outlines[entry] {
      // Of a method, the class.
      let name = outlines.number(of: Self.name(ByteString(function.bytes.prefix { $0 != UInt8(ascii: ".") })))
      guard isBound(name, in: entry) != false else { return false }
      push(.attribute(Target.Attribute(file: entry, path: paths.number(of: name), isOwn: true, isStored: false)))
    }
    repeat {
      try drain(skips)
      try followInfluence(skips)
    } while !stack.isEmpty
    return true
  }

  private static func name(_ name: ByteString) -> ByteString {
    name.bytes.allSatisfy { $0 < 0x80 } ? name : PythonOutline.otherName
  }

  // MARK: - Files

  func state(_ file: Int) -> State { file < states.count ? states[file] : State() }

  private func change(_ file: Int, _ body: (inout State) -> Void) {
    if file >= states.count { states += Array(repeating: State(), count: file + 64 - states.count) }
    body(&states[file])
  }

  /// Whether a file has been looked at; if not, it will be.
  func isLoaded(_ file: Int) -> Bool {
    if file < states.count, states[file].isLoaded { return true }
    if isWanted.insert(file).inserted { wanted.append(file) }
    return false
  }

  func isProgram(_ file: Int) -> Bool { file < states.count && states[file].isProgram }

  /// The outline of a file that is loaded; `nil` where there is none, or it is left out.
  func module(_ file: Int) -> PythonReachModule? {
    guard file < states.count, !states[file].isSkipped, case .module(let module)? = outlines[file] else { return nil }
    return module
  }

  private func load(_ skips: (ByteString) -> Bool) throws(FileError) {
    let wanted = wanted
    self.wanted = []
    var open: [Int] = []
    for file in wanted {
      let path = files.files[file].path
      if !roots.contains(file), skips(path) {
        change(file) { $0.isSkipped = true }
        let user = files.files[users[file] ?? file].path
        remark(user, 0, "uses '\(path.printable)', which is left out: an output, or excluded")
      } else {
        open.append(file)
      }
    }
    try files.load(open)
    try outlines.load(open.filter { files.files[$0].language == .python })
    for file in wanted { change(file) { $0.isLoaded = true } }
    loaded += open
  }

  func remark(_ path: ByteString, _ line: Int, _ message: String) {
    walk.remarks.append(CodeClosure.Remark(path: path, line: line, message: message))
  }

  /// Notes what was asked for an answer, and gives the files that it names.
  func note(_ resolution: UseResolver.Resolution, in file: Int) -> [Int] {
    walk.folders += resolution.folders
    if isReaching {
      for message in resolution.remarks { remark(files.files[file].path, 0, message) }
    }
    for found in resolution.files where users[found] == nil { users[found] = file }
    return resolution.files
  }

  // MARK: - The walk

  private func push(_ target: Target) {
    if visited.insert(target).inserted { stack.append(target) }
  }

  private func drain(_ skips: (ByteString) -> Bool) throws(FileError) {
    isReaching = true
    var waiting: [Target] = []
    while true {
      while let target = stack.popLast() {
        guard let targets = targets(of: target) else {
          waiting.append(target)
          continue
        }
        visit(target)
        for target in targets { push(target) }
      }
      guard !waiting.isEmpty else { return }
      try load(skips)
      stack = waiting
      waiting = []
    }
  }

  /// Notes that a target is reached.
  private func visit(_ target: Target) {
    switch target {
    case .execute(let file): visitExecution(of: file)
    case .run(let file): change(file) { $0.isProgram = true }
    case .below(let folder):
      let path = resolver.folders.path(folder)
      openFolders.insert(path)
      for file in executed where files.files[file].path.isWithin(path) { push(.everything(file)) }
    case .attribute(let attribute):
      let name = paths.name(attribute.path)
      guard let module = module(attribute.file), module.bindings[name] != nil else { return }
      var isNew = false
      change(attribute.file) { isNew = $0.names.insert(name).inserted }
      if isNew { reachedNames.append((attribute.file, name)) }
    case .unit(let unit): visitUnit(unit)
    case .exports, .everything: break
    }
  }

  private func visitExecution(of number: Int) {
    guard !state(number).isSkipped else { return }
    executed.append(number)
    let file = files.files[number]
    change(number) { $0.isExecuted = true }
    var remarks = file.remarks
    if module(number) == nil {
      change(number) { $0.isWhole = true }
      if case .none(let reason)? = outlines[number] {
        remarks.removeAll { $0.line == reason.line }
        remark(file.path, reason.line, reason.message + ": every byte of the file counts")
      }
    }
    for remark in remarks { walk.remarks.append(CodeClosure.Remark(remark, in: file.path)) }
    for use in file.uses {
      guard case .searchFolder(let path, let base) = files.uses.uses[use] else { continue }
      addedFolders += follower.searchFolders(path, base, file.path, request, &walk)
    }
    guard !openFolders.isEmpty else { return }
    var folder = file.path.parentPath
    while true {
      if openFolders.contains(folder) { push(.everything(number)) }
      if folder.isEmpty { return }
      folder = folder.parentPath
    }
  }

  private func visitUnit(_ unit: Target.Unit) {
    guard let module = module(unit.file) else { return }
    change(unit.file) { $0.units.insert(unit.number) }
    if let obstacle = obstacle(of: unit.number, module, unit.file) {
      change(unit.file) { $0.isWhole = true }
      remark(files.files[unit.file].path, obstacle.line, obstacle.message + ": every byte of the file counts")
    }
  }

  // MARK: - Influence

  /// Reaches the statements that could change what is reached, though nothing uses what they bind.
  private func followInfluence(_ skips: (ByteString) -> Bool) throws(FileError) {
    for (file, number) in influence.candidates(in: self) {
      influence.add(.unit(Target.Unit(file: file, number: number, isWhole: false)), isCandidate: true, self)
    }
    isReaching = false
    defer { isReaching = true }
    while true {
      influence.grow(self)
      if wanted.isEmpty { break }
      try load(skips)
    }
    for unit in influence.found(in: self) {
      push(.unit(Target.Unit(file: unit.file, number: unit.number, isWhole: true)))
      guard let module = module(unit.file) else { continue }
      for name in module.units[unit.number].binds {
        let path = paths.number(of: module.name(name))
        push(.attribute(Target.Attribute(file: unit.file, path: path, isOwn: true, isStored: false)))
      }
    }
  }
}
