import PurserHashing
import PurserModel

/// Finds the files that a use means: Python's modules under the folders where the program looks for them, and files by
/// their paths. Remembers every answer.
final class UseResolver {
  /// What a use means.
  struct Resolution {
    /// By number in the file table.
    var files: [Int] = []
    /// Folders that were asked, by number in the folder table; some more than once.
    var folders: [Int] = []
    /// What is to be said about it.
    var remarks: [String] = []
    /// For a star import of packages: each package's first file and the folders of its submodules.
    var starred: [(file: Int, folder: Int)] = []
  }

  private struct Key: Hashable {
    /// By number in the table of uses.
    var use: Int
    /// The folder of the file that says it; empty where that does not matter.
    var folder: ByteString
    var language: Language
  }

  /// What a file uses in all: of each use what ``resolution(of:in:_:)`` says, and folders added to the search.
  final class Edges {
    /// Of the file, as it was looked through.
    let revision: Int
    var resolution = Resolution()
    var searchFolders: [(path: ByteString, base: References.Base)] = []

    init(_ revision: Int) { self.revision = revision }
  }

  let files: CodeFileTable
  let folders: FolderTable
  /// Where modules are looked for. Python takes the first that has one; which that is depends on how it is started, so
  /// all count.
  let searchFolders: [ByteString]
  private let workingDirectory: ByteString
  /// Where the declared files are: `$0` of a shell script is the one that was started, also in those that it sources.
  private let startFolders: [ByteString]
  private var known: [Key: Resolution] = [:]
  private var absolute: [Resolution?] = []
  private var edges: [Edges?] = []
  private var found: [FindKey: Finding] = [:]
  /// Made when functions are first asked for.
  private(set) lazy var places = PythonReachPlaces(self)

  init(
    files: CodeFileTable, folders: FolderTable, searchFolders: [ByteString], workingDirectory: ByteString,
    startFolders: [ByteString]
  ) {
    self.startFolders = startFolders
    self.files = files
    self.folders = folders
    self.searchFolders = searchFolders
    self.workingDirectory = workingDirectory
  }

  /// What a file uses in all. O(uses) the first time.
  func edges(of number: Int) -> Edges {
    let file = files.files[number]
    if number < edges.count, let known = edges[number], known.revision == file.revision { return known }
    let made = Edges(file.revision)
    if let language = file.language {
      for use in file.uses {
        if case .searchFolder(let path, let base) = files.uses.uses[use] { made.searchFolders.append((path, base)) }
      }
      for use in file.uses {
        if case .searchFolder = files.uses.uses[use] { continue }
        let part: Resolution
        if language == .shell, !made.searchFolders.isEmpty,
          case .file(let target, .workingDirectory) = files.uses.uses[use]
        {
          // The script changes its folder by a literal `cd`: paths may be meant from there.
          part = moved(to: made.searchFolders.map(\.path), target, file.path)
        } else {
          part = resolution(of: use, in: file.path, language)
        }
        made.resolution.files += part.files
        made.resolution.folders += part.folders
        made.resolution.remarks += part.remarks
        made.resolution.starred += part.starred
      }
    }
    if edges.count <= number { edges += Array(repeating: nil, count: number + 1 - edges.count) }
    edges[number] = made
    return made
  }

  private func resolution(of number: Int, in path: ByteString, _ language: Language) -> Resolution {
    let use = files.uses.uses[number]
    if case .module(_, 0, _) = use {
      if number < absolute.count, let known = absolute[number] { return known }
      let resolution = resolution(of: use, in: path, language)
      if absolute.count <= number { absolute += Array(repeating: nil, count: number + 1 - absolute.count) }
      absolute[number] = resolution
      return resolution
    }
    let key = Key(use: number, folder: path.parentPath, language: language)
    if let resolution = known[key] { return resolution }
    let resolution = resolution(of: use, in: path, language)
    known[key] = resolution
    return resolution
  }

  /// What a use means in a file of a language. O(search folders × parts of the name).
  func resolution(of use: References.Use, in path: ByteString, _ language: Language) -> Resolution {
    let folder = path.parentPath
    var resolution = Resolution()
    switch use {
    case .module(let parts, let level, let names):
      if level == 0 {
        addModule(parts, names, to: &resolution)
      } else {
        addRelative(parts, level, names, from: folder, to: &resolution)
      }
    case .file(let target, let base):
      var ownFolders = [folder]
      if base == .ownFolder {
        ownFolders += [folders.realFolder(of: path)].compactMap(\.self)
        if language == .shell { ownFolders += startFolders }
      }
      addFile(target, base, from: ownFolders, language, to: &resolution)
    case .searchFolder: break
    }
    return resolution
  }

  // MARK: Python

  enum Found {
    case package(folder: Int, file: Int)
    case namespace(folder: Int)
    case module([Int])
  }

  private struct FindKey: Hashable {
    var folder: Int
    var name: ByteString
  }

  private struct Finding {
    var found: Found?
    var folders: [Int]
    var remarks: [String]
  }

  private func addModule(_ parts: [ByteString], _ names: [ByteString], to resolution: inout Resolution) {
    var isInPackage = false
    var isWhole = false
    for start in searchFolders {
      guard let folder = folders.folder(start, &resolution.folders) else { continue }
      let (reached, package) = descend(parts, names, from: folder, &resolution)
      isWhole = isWhole || reached
      isInPackage = isInPackage || package
    }
    // The first part is the project's own, so that the rest cannot be anybody else's.
    if isInPackage, !isWhole {
      resolution.remarks.append(
        "imports '\(Self.name(parts))', which is not there; declare with --code what makes it up")
    }
  }

  private func addRelative(
    _ parts: [ByteString], _ level: Int, _ names: [ByteString], from own: ByteString, to resolution: inout Resolution
  ) {
    var base = own
    for _ in 1..<max(level, 1) {
      guard !base.isEmpty else {
        resolution.remarks.append(
          "imports '\(Self.name(parts, level))', which is outside of the project; declare it with --code")
        return
      }
      base = base.parentPath
    }
    guard let folder = folders.folder(base, &resolution.folders) else { return }
    var isNamespace = true
    if case .package(_, let file)? = package(folder, &resolution) {
      resolution.files.append(file)
      isNamespace = false
    }
    var found = addRelative(parts, names, in: folder, &resolution)
    if isNamespace {
      // A package without a file of its own may be spread over the folders where modules are looked for.
      for start in searchFolders {
        guard let dotted = base.path(relativeTo: start), !dotted.isEmpty else { continue }
        for other in searchFolders where other != start {
          let path = other.appending(path: dotted)
          guard path != base, let folder = folders.folder(path, &resolution.folders) else { continue }
          if addRelative(parts, names, in: folder, &resolution) { found = true }
        }
      }
    }
    if !found {
      let missing = parts.isEmpty ? names : parts
      resolution.remarks.append(
        "imports '\(Self.name(missing, level))', which is not there; declare with --code what makes it up")
    }
  }

  private func addRelative(
    _ parts: [ByteString], _ names: [ByteString], in folder: Int, _ resolution: inout Resolution
  ) -> Bool {
    parts.isEmpty ? addNames(names, in: folder, &resolution) : descend(parts, names, from: folder, &resolution).0
  }

  private static func name(_ parts: [ByteString], _ level: Int = 0) -> String {
    String(repeating: ".", count: level)
      + parts.map(\.printable).joined(separator: level > 0 && parts.isEmpty ? "" : ".")
  }

  /// Follows the parts of a name down from a folder, adding every file that Python would load on the way.
  ///
  /// - Returns: whether the last part was found, and whether the first one is a package with a file of its own.
  private func descend(
    _ parts: [ByteString], _ names: [ByteString], from start: Int, _ resolution: inout Resolution
  ) -> (Bool, Bool) {
    var folder = start
    var isPackage = false
    for (index, part) in parts.enumerated() {
      let isLast = index == parts.count - 1
      switch find(part, in: folder, &resolution) {
      case .package(let inner, let file)?:
        if index == 0 { isPackage = true }
        resolution.files.append(file)
        folder = inner
        if isLast, names.contains("*") { resolution.starred.append((file, inner)) }
      case .namespace(let inner)?:
        folder = inner
      case .module(let files)?:
        resolution.files += files
        // What a module has inside is its own; `import module.name` of one that is no package fails in Python too.
        return (isLast, isPackage)
      case nil:
        return (false, isPackage)
      }
    }
    _ = addNames(names, in: folder, &resolution)
    return (true, isPackage)
  }

  /// Adds those names that are submodules; the others are what the package's own file defines.
  ///
  /// - Returns: whether at least one was one, or the folder has a file of its own that may define them.
  private func addNames(_ names: [ByteString], in folder: Int, _ resolution: inout Resolution) -> Bool {
    var isFound = folders.entry("__init__.py", in: folder) != nil
    for name in names {
      if name == "*" {
        if case .package(_, let file)? = package(folder, &resolution) { resolution.starred.append((file, folder)) }
      } else if addSubmodule(name, in: folder, &resolution) {
        isFound = true
      }
    }
    return isFound
  }

  /// Adds what a name stands for in a package's folder, if it is a module.
  func addSubmodule(_ name: ByteString, in folder: Int, _ resolution: inout Resolution) -> Bool {
    switch find(name, in: folder, &resolution) {
    case .package(_, let file)?: resolution.files.append(file)
    case .module(let files)?: resolution.files += files
    case .namespace?: break
    case nil: return false
    }
    return true
  }

  /// What Python takes a name in a folder for: a package before an extension module before a module before a folder
  /// without a file of its own.
  func find(_ name: ByteString, in folder: Int, _ resolution: inout Resolution) -> Found? {
    let key = FindKey(folder: folder, name: name)
    let finding: Finding
    if let known = found[key] {
      finding = known
    } else {
      var alone = Resolution()
      let look = look(for: name, in: folder, &alone)
      finding = Finding(found: look, folders: alone.folders, remarks: alone.remarks)
      found[key] = finding
    }
    resolution.folders += finding.folders
    resolution.remarks += finding.remarks
    return finding.found
  }

  private func look(for name: ByteString, in folder: Int, _ resolution: inout Resolution) -> Found? {
    let path = folders.path(folder).appending(path: name)
    let module = folders.entry(name + ".py", in: folder)
    var namespace: Int?
    switch folders.entry(name, in: folder) {
    case .folder?:
      if let followed = folders.innerPath(name, in: folder),
        let inner = folders.folder(followed, &resolution.folders)
      {
        if let package = package(inner, &resolution) {
          if case .file? = module {
            resolution.remarks.append(
              "imports '\(name.printable)', of which Python takes the package '\(path.printable)' and not "
                + "'\(path.printable).py'")
          }
          return package
        }
        namespace = inner
      }
    case .outside?: sayOutside(path, &resolution)
    default: break
    }
    var modules = folders.extensionModules(name, in: folder).compactMap { name -> Int? in
      guard case .file(let isLink)? = folders.entry(name, in: folder) else { return nil }
      return files.number(of: folders.path(folder).appending(path: name), language: .none, isLink: isLink)
    }
    // An extension module may be for another Python than the one that runs: the module beside it counts too.
    switch module {
    case .file(let isLink)?:
      modules.append(files.number(of: path + ".py", language: .known(.python), isLink: isLink))
    case .outside?: sayOutside(path + ".py", &resolution)
    default: break
    }
    if !modules.isEmpty { return .module(modules.sorted()) }
    if namespace == nil, name.bytes.contains(where: { $0 >= 0x80 }),
      let other = folders.canonicalName(name, in: folder)
    {
      return look(for: other, in: folder, &resolution)
    }
    return namespace.map { .namespace(folder: $0) }
  }

  /// A folder that has a file of its own.
  func package(_ folder: Int, _ resolution: inout Resolution) -> Found? {
    let path = folders.path(folder).appending(path: "__init__.py")
    switch folders.entry("__init__.py", in: folder) {
    case .file(let isLink)?:
      return .package(folder: folder, file: files.number(of: path, language: .known(.python), isLink: isLink))
    case .outside?: sayOutside(path, &resolution)
    default: break
    }
    return nil
  }

  private func sayOutside(_ path: ByteString, _ resolution: inout Resolution) {
    resolution.remarks.append(
      "uses '\(path.printable)', a link that leads out of the project; declare with --code the file that it leads to, "
        + "by its own path")
  }

  /// The files of the packages above a file, which are loaded before it when it is loaded as a module.
  func packageFiles(above path: ByteString, _ resolution: inout Resolution) {
    var folder = path.parentPath
    while !folder.isEmpty {
      if let number = folders.folder(folder, &resolution.folders),
        case .package(_, let file)? = package(number, &resolution)
      {
        resolution.files.append(file)
      }
      folder = folder.parentPath
    }
  }

  /// The modules that Python loads at its start, wherever they are found.
  func startupFiles(_ resolution: inout Resolution) {
    addModule(["sitecustomize"], [], to: &resolution)
    addModule(["usercustomize"], [], to: &resolution)
  }

  // MARK: Files by path

  private func addFile(
    _ target: ByteString, _ base: References.Base, from ownFolders: [ByteString], _ language: Language,
    to resolution: inout Resolution
  ) {
    let own = ownFolders[0]
    var bases: [ByteString]
    switch base {
    case .ownFolder: bases = ownFolders
    case .workingDirectory: bases = [workingDirectory, own, ""]
    case .here: bases = [hereFolder(workingDirectory, &resolution), hereFolder(own, &resolution), ""]
    }
    if target.isAbsolutePath { bases = [""] }
    var isFound = false
    var isOutside = true
    for base in bases {
      let path: ByteString
      if target.isAbsolutePath {
        guard let inside = target.normalizedPath.path(relativeTo: folders.root) else { continue }
        path = inside
      } else {
        path = base.appending(path: target).normalizedPath
      }
      if path.isEmpty || path == ".." || path.hasPrefix("../") { continue }
      isOutside = false
      guard let folder = folders.folder(path.parentPath, &resolution.folders) else { continue }
      switch folders.entry(path.lastPathComponent, in: folder) {
      case .file(let isLink)?:
        isFound = true
        // A file that is sourced is read as what sources it, whatever it is called; C++ from R is not.
        let other = Language.guess(path: path)
        let taken: Language.Guess = language == .r && other == .none ? .none : .known(language)
        let number = files.number(of: path, language: taken, isLink: isLink)
        if !resolution.files.contains(number) { resolution.files.append(number) }
      case .outside?:
        isFound = true
        sayOutside(path, &resolution)
      default: continue
      }
    }
    if !isFound {
      resolution.remarks.append(
        isOutside
          ? "sources '\(target.printable)', which is outside of the project; declare it with --code"
          : "sources '\(target.printable)', which is not there; declare with --code what it stands for")
    }
  }

  /// What a shell script sources by a path after it may have gone to other folders.
  private func moved(to others: [ByteString], _ target: ByteString, _ path: ByteString) -> Resolution {
    var resolution = Resolution()
    let own = path.parentPath
    let bases = [workingDirectory, own] + startFolders
    addFile(
      target, .ownFolder,
      from: [own] + bases + bases.flatMap { base in others.map { base.appending(path: $0) } } + [""],
      .shell, to: &resolution)
    return resolution
  }

  /// What `here::here()` takes for the project's folder: the nearest one that says so.
  private func hereFolder(_ start: ByteString, _ resolution: inout Resolution) -> ByteString {
    var path = start
    while true {
      if let folder = folders.folder(path, &resolution.folders) {
        let marks: [ByteString] = [".here", "DESCRIPTION", ".git", ".vscode", "_quarto.yml", "renv.lock"]
        if marks.contains(where: { folders.entry($0, in: folder) != nil })
          || folders.hasName(endingWith: ".Rproj", in: folder)
        {
          return path
        }
      }
      if path.isEmpty { return "" }
      path = path.parentPath
    }
  }
}
