package import PurserHashing
package import PurserModel

/// Follows code to the files that it uses. Whatever it looks at is looked at once: make one for each look at a task, or
/// one for all the tasks of a plan. For one thread.
package final class CodeFollower {
  let root: ByteString
  let hasher: FileHasher
  let summaries: SummaryCache
  let files: CodeFileTable
  let folders: FolderTable
  /// Made when functions are first asked for.
  private(set) lazy var outlines = PythonOutlineTable(root: root, hasher: hasher, summaries: summaries, files: files)
  /// A list, not a dictionary, whose type alone would cost a hit 170,000 instructions; there are few.
  private var resolvers: [(key: [ByteString], resolver: UseResolver)] = []

  /// - Parameter root: the project's root, absolute.
  package init(root: ByteString, hasher: FileHasher, summaries: SummaryCache) {
    self.root = root
    self.hasher = hasher
    self.summaries = summaries
    files = CodeFileTable(root: root, hasher: hasher, summaries: summaries)
    folders = FolderTable(root: root, hasher: hasher)
  }

  /// Everything that the declared files use, directly and indirectly. O(files + uses); unchanged files are not read.
  ///
  /// - Parameter skips: whether a path is left out: the task's own outputs, what it excludes, the store.
  /// - Throws: the error of a file that is there and cannot be digested.
  package func closure(
    of request: CodeRequest, skipping skips: (ByteString) -> Bool
  ) throws(FileError) -> CodeClosure {
    var consulted: [Int] = []
    let starts = request.files.map { start in
      files.number(of: start.path, language: start.guess, isLink: false, content: start.content)
    }
    try files.load(starts)
    // Listing folders is only worth while where modules may be looked for.
    let isPython = starts.contains { files.files[$0].language == .python }
    var search = isPython ? searchFolders(for: request, &consulted) : []
    while true {
      var walk = Walk(folders: consulted)
      // Each round adds a folder of the project, so it ends by itself.
      let generation = files.generation
      let more = try follow(request, starts, search, &walk, skips).filter { !search.contains($0) }
      if more.isEmpty, files.generation == generation { return closure(walk) }
      for folder in more where !search.contains(folder) { search.append(folder) }
    }
  }

  /// What one walk through the code has come by.
  struct Walk {
    /// By number; some more than once.
    var folders: [Int]
    var roots: [Int] = []
    var found: [Int] = []
    private var isReached: [Bool] = []
    /// Some of them more than once.
    var remarks: [CodeClosure.Remark] = []

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
    let resolver = resolver(search, request)
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
          walk.remarks.append(CodeClosure.Remark(path: path, line: 0, message: remark))
        }
        for number in resolution.files where walk.reach(number) {
          if skips(files.files[number].path) {
            let left = files.files[number].path.printable
            walk.remarks.append(
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
        for remark in file.remarks { walk.remarks.append(CodeClosure.Remark(remark, in: file.path)) }
        if isFirst, language == .python {
          var resolution = UseResolver.Resolution()
          resolver.packageFiles(above: file.path, &resolution)
          resolver.startupFiles(&resolution)
          reach(resolution, from: file.path)
        }
        let edges = resolver.edges(of: number)
        for (path, base) in edges.searchFolders where language == .python {
          added += searchFolders(path, base, file.path, request, &walk)
        }
        reach(edges.resolution, from: file.path)
      }
      // What a star import loads stands in the package's own file, which may be among those just found.
      let waiting = starred
      starred = []
      try files.load(waiting.map(\.file))
      for (file, folder) in waiting {
        var resolution = UseResolver.Resolution()
        let exports = files.files[file].exports
        // What cannot be known may be any of them.
        for name in exports.contains("*") ? folders.moduleNames(in: folder) : exports {
          _ = resolver.addSubmodule(name, in: folder, &resolution)
        }
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
    closure.remarks = CodeClosure.Remark.sorted(walk.remarks)
    return closure
  }

  func file(_ number: Int) -> CodeClosure.File? {
    let file = files.files[number]
    return file.content.map {
      CodeClosure.File(path: file.path, content: $0, language: file.language, isLink: file.isLink)
    }
  }

  func resolver(_ search: [ByteString], _ request: CodeRequest) -> UseResolver {
    var startFolders: [ByteString] = []
    for start in request.files where !startFolders.contains(start.path.parentPath) {
      startFolders.append(start.path.parentPath)
    }
    let key = search + [request.workingDirectory, "/"] + startFolders
    if let known = resolvers.first(where: { $0.key == key }) { return known.resolver }
    let resolver = UseResolver(
      files: files, folders: folders, searchFolders: search, workingDirectory: request.workingDirectory,
      startFolders: startFolders)
    resolvers.append((key, resolver))
    return resolver
  }

  // MARK: Where modules are looked for

  /// The folders of the declared files; the first folder above each that is no package; those above it that hold a
  /// project's description, and their `src`; the working directory; the root; and those that are named.
  func searchFolders(for request: CodeRequest, _ consulted: inout [Int]) -> [ByteString] {
    var search: [ByteString] = []
    func add(_ folder: ByteString) {
      if !search.contains(folder) { search.append(folder) }
    }
    for start in request.files {
      if start.guess == .known(.python) || start.guess == .unknown { add(start.path.parentPath) }
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

  /// The folders that the code adds to the search by one path, relative to the root; of a file that is a link, or behind
  /// one, as seen from the link and from where it leads.
  func searchFolders(
    _ path: ByteString, _ base: References.Base, _ file: ByteString, _ request: CodeRequest, _ walk: inout Walk
  ) -> [ByteString] {
    // A path from the working directory may be meant from the file's own: the program may have gone there.
    let own = [file.parentPath] + [folders.realFolder(of: file)].compactMap(\.self)
    let starts = base == .workingDirectory ? [request.workingDirectory] + own : own
    var found: [ByteString] = []
    var isOutside = true
    for start in starts {
      var folder = start.appending(path: path).normalizedPath
      if path.isAbsolutePath { folder = path.normalizedPath.path(relativeTo: folders.root) ?? ".." }
      if folder == ".." || folder.hasPrefix("../") { continue }
      isOutside = false
      if folders.folder(folder, &walk.folders) != nil, !found.contains(folder) { found.append(folder) }
    }
    if found.isEmpty {
      let problem = isOutside ? "which is outside of the project" : "which is not there"
      walk.remarks.append(
        CodeClosure.Remark(
          path: file, line: 0,
          message: "adds '\(path.printable)' to sys.path, \(problem); declare with --code what is used there"))
    }
    return found
  }
}
