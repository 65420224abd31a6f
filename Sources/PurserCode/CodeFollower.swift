package import PurserHashing
package import PurserModel

/// Follows code to the files that it uses. Whatever it looks at is looked at once: make one for each look at a task, or
/// one for all the tasks of a plan. For one thread.
package final class CodeFollower {
  let root: ByteString
  let hasher: FileHasher
  let summaries: SummaryCache
  private let files: CodeFileTable
  private let folders: FolderTable
  private var resolvers: [[ByteString]: UseResolver] = [:]

  /// - Parameter root: the project's root, absolute.
  package init(root: ByteString, hasher: FileHasher, summaries: SummaryCache) {
    self.root = root
    self.hasher = hasher
    self.summaries = summaries
    files = CodeFileTable(root: root, hasher: hasher, summaries: summaries)
    folders = FolderTable(root: root, hasher: hasher)
  }

  /// How often folders that the code itself adds to the search may lead to code that adds others.
  private static let rounds = 16

  /// Everything that the declared files use, directly and indirectly. O(files + uses); unchanged files are not read.
  ///
  /// - Parameter skips: whether a path is left out: the task's own outputs, what it excludes, the store.
  /// - Throws: the error of a file that is there and cannot be digested.
  package func closure(
    of request: CodeRequest, skipping skips: (ByteString) -> Bool
  ) throws(FileError) -> CodeClosure {
    var consulted: [Int] = []
    let starts = request.files.map { start in
      files.number(of: start.path, language: Language.guess(path: start.path), isLink: false, content: start.content)
    }
    try files.load(starts)
    // Listing folders is only worth while where modules may be looked for.
    let isPython = starts.contains { files.files[$0].language == .python }
    var search = isPython ? searchFolders(for: request, &consulted) : []
    for _ in 0..<Self.rounds {
      var walk = Walk(folders: consulted)
      let more = try follow(request, starts, search, &walk, skips).filter { !search.contains($0) }
      if more.isEmpty { return closure(walk) }
      search += more
    }
    var walk = Walk(folders: consulted)
    _ = try follow(request, starts, search, &walk, skips)
    return closure(walk)
  }

  /// What one walk through the code has come by.
  private struct Walk {
    /// By number; some more than once.
    var folders: [Int]
    var roots: [Int] = []
    var found: [Int] = []
    private var isReached: [Bool] = []
    var remarks: Set<CodeClosure.Remark> = []

    init(folders: [Int]) { self.folders = folders }

    /// `false` for one that was reached before.
    mutating func reach(_ file: Int) -> Bool {
      if file >= isReached.count { isReached += Array(repeating: false, count: file + 1024 - isReached.count) }
      if isReached[file] { return false }
      isReached[file] = true
      return true
    }
  }

  /// Walks through the code with one list of folders to search.
  ///
  /// - Returns: the folders that the code adds to the search.
  private func follow(
    _ request: CodeRequest, _ starts: [Int], _ search: [ByteString], _ walk: inout Walk, _ skips: (ByteString) -> Bool
  ) throws(FileError) -> [ByteString] {
    let resolver = resolver(search, request.workingDirectory)
    var added: [ByteString] = []
    var starred: [(file: Int, folder: Int)] = []
    var frontier: [Int] = []
    for number in starts where walk.reach(number) { frontier.append(number) }
    walk.roots = frontier
    var isFirst = true
    while !frontier.isEmpty {
      try files.load(frontier)
      var next: [Int] = []
      func reach(_ resolution: UseResolver.Resolution, from path: ByteString) {
        walk.folders += resolution.folders
        for remark in resolution.remarks {
          walk.remarks.insert(CodeClosure.Remark(path: path, line: 0, message: remark))
        }
        for number in resolution.files where walk.reach(number) {
          if skips(files.files[number].path) {
            let left = files.files[number].path.printable
            walk.remarks.insert(
              CodeClosure.Remark(
                path: path, line: 0, message: "uses '\(left)', which is left out: an output, or excluded"))
          } else {
            walk.found.append(number)
            next.append(number)
          }
        }
        starred += resolution.starred
      }
      for number in frontier {
        let file = files.files[number]
        guard let language = file.language else { continue }
        for remark in file.remarks { walk.remarks.insert(CodeClosure.Remark(remark, in: file.path)) }
        if isFirst, language == .python {
          var resolution = UseResolver.Resolution()
          resolver.packageFiles(above: file.path, &resolution)
          reach(resolution, from: file.path)
        }
        let edges = resolver.edges(of: number)
        for (path, base) in edges.searchFolders {
          if let folder = searchFolder(path, base, file.path, request, &walk) { added.append(folder) }
        }
        reach(edges.resolution, from: file.path)
      }
      // What a star import loads stands in the package's own file, which may be among those just found.
      let waiting = starred
      starred = []
      try files.load(waiting.map(\.file))
      for (file, folder) in waiting {
        var resolution = UseResolver.Resolution()
        for name in files.files[file].exports { _ = resolver.addSubmodule(name, in: folder, &resolution) }
        reach(resolution, from: files.files[file].path)
      }
      isFirst = false
      frontier = next
    }
    return added
  }

  private func closure(_ walk: Walk) -> CodeClosure {
    var closure = CodeClosure()
    closure.files = walk.found.compactMap(file)
    closure.roots = walk.roots.compactMap(file).filter { $0.language != nil }
    closure.folders = Set(walk.folders).compactMap { folders.closureFolder($0) }.sorted { $0.path < $1.path }
    closure.remarks = walk.remarks.sorted { ($0.path, $0.line, $0.message) < ($1.path, $1.line, $1.message) }
    return closure
  }

  private func file(_ number: Int) -> CodeClosure.File? {
    let file = files.files[number]
    return file.content.map {
      CodeClosure.File(path: file.path, content: $0, language: file.language, isLink: file.isLink)
    }
  }

  private func resolver(_ search: [ByteString], _ workingDirectory: ByteString) -> UseResolver {
    let key = search + [workingDirectory]
    if let resolver = resolvers[key] { return resolver }
    let resolver = UseResolver(
      files: files, folders: folders, searchFolders: search, workingDirectory: workingDirectory)
    resolvers[key] = resolver
    return resolver
  }

  // MARK: Where modules are looked for

  /// The folders of the declared files; the first folder above each that is no package; those above it that hold a
  /// project's description, and their `src`; the working directory; the root; and those that are named.
  private func searchFolders(for request: CodeRequest, _ consulted: inout [Int]) -> [ByteString] {
    var search: [ByteString] = []
    func add(_ folder: ByteString) {
      if !search.contains(folder) { search.append(folder) }
    }
    for start in request.files {
      let guess = Language.guess(path: start.path)
      if guess == .known(.python) || guess == .unknown { add(start.path.parentPath) }
    }
    add(request.workingDirectory)
    for folder in request.sourceFolders { add(folder) }
    add("")
    for start in search {
      var path = start
      var isInPackage = true
      while true {
        if let folder = folders.folder(path, &consulted) {
          if isInPackage, folders.entry("__init__.py", in: folder) == nil {
            isInPackage = false
            add(path)
          }
          let descriptions: [ByteString] = ["pyproject.toml", "setup.py", "setup.cfg"]
          if descriptions.contains(where: { folders.entry($0, in: folder) != nil }) {
            add(path)
            if case .folder? = folders.entry("src", in: folder) { add(path.appending(path: "src")) }
          }
        }
        if path.isEmpty { break }
        path = path.parentPath
      }
    }
    return search
  }

  /// A folder that the code adds to the search, relative to the root; `nil` where it is none of the project's.
  private func searchFolder(
    _ path: ByteString, _ base: References.Base, _ file: ByteString, _ request: CodeRequest, _ walk: inout Walk
  ) -> ByteString? {
    let start = base == .workingDirectory ? request.workingDirectory : file.parentPath
    var folder = start.appending(path: path).normalizedPath
    if path.isAbsolutePath {
      folder = path.normalizedPath.path(relativeTo: self.folders.root) ?? ".."
    }
    if folder == ".." || folder.hasPrefix("../") {
      walk.remarks.insert(
        CodeClosure.Remark(
          path: file, line: 0,
          message: "adds '\(path.printable)' to sys.path, which is outside of the project; declare with --code what is "
            + "used there"))
      return nil
    }
    return folders.folder(folder, &walk.folders) == nil ? nil : folder
  }
}
