package import PurserHashing
package import PurserModel

/// What of the code that a task uses a function reaches.
package struct CodeReach: Sendable {
  /// A name of a module with all statements that bind it; `(module)` for the statements that do something when the
  /// module is loaded, `(order)` for the order of those whose order may matter.
  package struct Definition: Sendable, Hashable {
    /// The module's file, relative to the root.
    package var path: ByteString
    package var name: ByteString
    /// Of the normal forms of the statements.
    package var digest: Digest
  }

  /// By path and name; none of a file in `wholeFiles`.
  package var definitions: [Definition] = []
  /// Files of which every byte counts; by path.
  package var wholeFiles: [CodeClosure.File] = []
  /// Every file that was looked at: if none changes, nothing of all this does; by path.
  package var files: [CodeClosure.File] = []
  /// Every folder that was looked into; by path.
  package var folders: [CodeClosure.Folder] = []
  /// By file and line.
  package var remarks: [CodeClosure.Remark] = []
}

extension CodeFollower {
  /// What a function reaches, directly and indirectly, with what its modules do when they are loaded.
  ///
  /// A statement at module level counts if it does more than bind names, or binds a name that is reached. Where it
  /// cannot be told what is reached, more counts rather than less: all names of a module, every byte of a file, and all
  /// files of ``closure(of:skipping:)`` if there is no such function. O(what is reached and may change it).
  ///
  /// - Parameters:
  ///   - function: a name of the file at module level; `nil` to run the file as a program.
  ///   - request: its other files are run as programs.
  ///   - skips: as for ``closure(of:skipping:)``.
  /// - Throws: the error of a file that is there and cannot be digested.
  package func reach(
    of function: ByteString?, in path: ByteString, for request: CodeRequest, skipping skips: (ByteString) -> Bool
  ) throws(FileError) -> CodeReach {
    var request = request
    if !request.files.contains(where: { $0.path == path }) {
      request.files.append(CodeRequest.Start(path: path, content: nil))
    }
    let starts = request.files.map { start in
      files.number(of: start.path, language: start.guess, isLink: false, content: start.content)
    }
    try files.load(starts)
    let entry = files.number(of: path, language: .unknown, isLink: false)
    guard function == nil || files.files[entry].language == .python else {
      return try wholeReach(
        of: request,
        because: CodeClosure.Remark(
          path: path, line: 0, message: "is no Python, of which functions can be followed: every byte counts"), skips)
    }
    var consulted: [Int] = []
    let isPython = starts.contains { files.files[$0].language == .python }
    var search = isPython ? searchFolders(for: request, &consulted) : []
    while true {
      let walk = PythonReach(self, request, resolver(search, request), consulted)
      guard try walk.follow(function, of: entry, starts, skips) else {
        return try wholeReach(
          of: request,
          because: CodeClosure.Remark(
            path: path, line: 0,
            message:
              "has no function '\(function?.printable ?? "")' that could be found: every byte of all that it uses "
              + "counts"), skips)
      }
      let more = walk.addedFolders.filter { !search.contains($0) }
      if more.isEmpty { return walk.result() }
      for folder in more where !search.contains(folder) { search.append(folder) }
    }
  }

  /// All that the declared files use, and every byte of it.
  private func wholeReach(
    of request: CodeRequest, because remark: CodeClosure.Remark, _ skips: (ByteString) -> Bool
  ) throws(FileError) -> CodeReach {
    let closure = try closure(of: request, skipping: skips)
    var reach = CodeReach()
    let roots = request.files.compactMap { start in
      file(files.number(of: start.path, language: .unknown, isLink: false))
    }
    reach.wholeFiles = (roots + closure.files).sorted { $0.path < $1.path }
    reach.files = reach.wholeFiles
    reach.folders = closure.folders
    reach.remarks = ([remark] + closure.remarks).sorted {
      ($0.path, $0.line, $0.message) < ($1.path, $1.line, $1.message)
    }
    return reach
  }
}
