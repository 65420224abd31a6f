import PurserModel

/// Finds which modules imports mean, one by one, where ``UseResolver`` gives all files that they load. Remembers every
/// answer.
final class PythonReachPlaces {
  /// A module.
  enum Place: Hashable {
    /// One that has a file, by number in the file table.
    case file(Int)
    /// A folder without a file of its own, by number in the folder table.
    case folder(Int)
  }

  /// What an import means.
  final class Answer {
    /// For each part of the module's name the modules that it may stand for; those of the package first for a relative
    /// one.
    var steps: [[Place]] = []
    /// Every file that is loaded, and all else that is to be said of it.
    var resolution = UseResolver.Resolution()
    /// Folders that were asked for `steps`.
    fileprivate var folders: [Int] = []

    fileprivate init() {}

    /// The modules that the whole name may stand for.
    var modules: [Place] { steps.last ?? [] }
  }

  private struct Key: Hashable {
    var path: [ByteString]
    var level: Int
    var member: ByteString
    /// Of the file that imports; empty where that does not matter.
    var folder: ByteString
  }

  private struct MemberKey: Hashable {
    var place: Place
    var name: ByteString
  }

  private unowned let resolver: UseResolver
  private var packages: [Int: Int?] = [:]
  private var answers: [Key: Answer] = [:]
  private var answersByFile: [[Answer?]] = []
  private var members: [MemberKey: (places: [Place], folders: [Int])] = [:]
  /// Folders that were asked since this was last emptied, by number in the folder table; some more than once.
  var consulted: [Int] = []

  init(_ resolver: UseResolver) {
    self.resolver = resolver
  }

  /// The package that a file is, by its folder; `nil` for any other file.
  func folder(ofPackage file: Int) -> Int? {
    if let known = packages[file] { return known }
    let path = resolver.files.files[file].path
    var folder: Int?
    if path.lastPathComponent == "__init__.py" { folder = resolver.folders.folder(path.parentPath, &consulted) }
    packages[file] = .some(folder)
    return folder
  }

  /// The modules that a name stands for in a package.
  func members(of place: Place, named name: ByteString) -> [Place] {
    let folder: Int
    switch place {
    case .folder(let number): folder = number
    case .file(let file):
      guard let number = self.folder(ofPackage: file) else { return [] }
      folder = number
    }
    return members(ofFolder: folder, place, name)
  }

  private func members(ofFolder folder: Int, _ place: Place, _ name: ByteString) -> [Place] {
    let key = MemberKey(place: place, name: name)
    if let known = members[key] {
      consulted += known.folders
      return known.places
    }
    var resolution = UseResolver.Resolution()
    let found: [Place] =
      switch resolver.find(name, in: folder, &resolution) {
      case .package(_, let file)?: [.file(file)]
      case .namespace(let folder)?: [.folder(folder)]
      case .module(let files)?: files.map { .file($0) }
      case nil: []
      }
    consulted += resolution.folders
    members[key] = (found, resolution.folders)
    return found
  }

  /// What an import of a file means, by its number in the file's module.
  func answer(_ number: Int, _ module: PythonReachModule, _ file: Int) -> Answer {
    if file >= answersByFile.count {
      answersByFile += Array(repeating: [], count: file + 64 - answersByFile.count)
    }
    if answersByFile[file].isEmpty { answersByFile[file] = Array(repeating: nil, count: module.imports.count) }
    if let known = answersByFile[file][number] {
      consulted += known.folders
      return known
    }
    let item = module.imports[number]
    let member: ByteString = item.kind == .all ? "*" : item.member.map { module.text($0) } ?? ""
    let answer = answer(
      item.path.map { module.text($0) }, level: item.level, member: member, in: resolver.files.files[file].path)
    answersByFile[file][number] = answer
    return answer
  }

  /// What an import means in a file.
  ///
  /// - Parameter member: what is imported of the module, "*" for all; empty for the module alone.
  private func answer(_ path: [ByteString], level: Int, member: ByteString, in file: ByteString) -> Answer {
    let key = Key(path: path, level: level, member: member, folder: level > 0 ? file.parentPath : "")
    if let known = answers[key] {
      consulted += known.folders
      return known
    }
    let begin = consulted.count
    let answer = Answer()
    answer.resolution = resolver.resolution(
      of: .module(path: path, level: level, names: member.isEmpty ? [] : [member]), in: file, .python)
    var places: [Place] = []
    if level > 0 {
      if let base = package(above: file, level) { places.append(base) }
      answer.steps.append(places)
    }
    for (index, part) in path.enumerated() {
      if index == 0, level == 0 {
        for start in resolver.searchFolders {
          guard let folder = resolver.folders.folder(start, &consulted) else { continue }
          places += members(ofFolder: folder, .folder(folder), part)
        }
      } else {
        places = places.flatMap { members(of: $0, named: part) }
      }
      places = places.enumerated().filter { places[..<$0.offset].contains($0.element) == false }.map(\.element)
      answer.steps.append(places)
    }
    answer.folders = Array(consulted[begin...])
    answers[key] = answer
    return answer
  }

  /// The package that so many dots mean in a file.
  private func package(above file: ByteString, _ level: Int) -> Place? {
    var path = file.parentPath
    for _ in 1..<max(level, 1) {
      guard !path.isEmpty else { return nil }
      path = path.parentPath
    }
    guard let folder = resolver.folders.folder(path, &consulted) else { return nil }
    var resolution = UseResolver.Resolution()
    if case .package(_, let file)? = resolver.package(folder, &resolution) { return .file(file) }
    return .folder(folder)
  }
}
