import PurserHashing
import PurserModel
import PurserStore

/// Saves what is about to be lost, clears the way for a run, and puts results back.
struct Restorer {
  let project: Project
  let contents: ContentStore
  let hasher: FileHasher

  /// Stores every content among `entries` that no blob holds yet, and names it in the run's record, before anything of
  /// it is touched.
  ///
  /// - Parameter namesAll: whether also what a blob holds is named, so that it can be asked for, and is kept, as long as
  ///   the run is remembered.
  func save(_ entries: [OutputManifest.Entry], namesAll: Bool = false, for attempt: Attempt) throws(StoreError) {
    let files = entries.filter { $0.kind != .directory }
    var blobs = try contents.commit(try contents.prepare(files, in: project))
    if namesAll { blobs += try contents.known(Set(files.map(\.digest)).subtracting(blobs.map(\.digest))) }
    guard !blobs.isEmpty else { return }
    var byDigest: [Digest: NewBlob] = [:]
    for blob in blobs { byDigest[blob.digest] = blob }
    try contents.records.save(
      files.compactMap { entry in byDigest[entry.digest].map { SavedContent(path: entry.path, blob: $0) } },
      for: attempt.run)
  }

  /// Removes declared outputs before a run, so that a leftover is never taken for a product, and makes the folders
  /// that they go to.
  func clear(_ spec: TaskSpec, found: OutputManifest, for attempt: Attempt) throws(StoreError) {
    try clear(spec.outputs, keeping: spec.keepsOutputs, found: found, for: attempt)
  }

  /// As ``clear(_:found:for:)``, for any outputs.
  func clear(
    _ outputs: [ByteString], keeping: Bool, namesAll: Bool = false, found: OutputManifest, for attempt: Attempt
  ) throws(StoreError) {
    let files = try ProjectFiles(root: project.root)
    if !keeping {
      try save(found.entries, namesAll: namesAll, for: attempt)
      try attempt.confirm()
      for entry in found.entries.reversed() where entry.kind != .directory { try files.remove(entry.path) }
      for output in outputs where found.entries.contains(where: { $0.path == output && $0.kind == .directory }) {
        try files.remove(output)
      }
    }
    for output in outputs {
      try files.makeParent(of: Glob.isPattern(output) ? Glob.literalFolder(of: output).appending(path: "*") : output)
    }
  }

  /// Makes what is on disk equal to a result: what is right stays, what is wrong is replaced, what is extra goes. Each
  /// content is verified before it is put in its place; if one is damaged, the task has to run, and makes all of them.
  func restore(
    _ result: ActionResult, of spec: TaskSpec, over found: OutputManifest, for attempt: Attempt
  ) throws(StoreError) {
    guard result.manifest.digest == result.outputsVersion else {
      throw StoreError(.corrupt, "the stored list of outputs is damaged; it is not restored")
    }
    try restore(result.manifest, within: spec.outputs, over: found, for: attempt)
  }

  /// As ``restore(_:of:over:for:)``, for any list of what `outputs` declare.
  func restore(
    _ manifest: OutputManifest, within outputs: [ByteString], over found: OutputManifest, for attempt: Attempt
  ) throws(StoreError) {
    try require(manifest, toStayWithin: outputs)
    var present: [ByteString: OutputManifest.Entry] = [:]
    for entry in found.entries { present[entry.path] = entry }
    let wanted = Set(manifest.entries.map(\.path))
    let extra = found.entries.filter { !wanted.contains($0.path) }
    let wrong = manifest.entries.filter { present[$0.path] != $0 }
    let replaced = wrong.compactMap { present[$0.path] }
    try save(extra + replaced, for: attempt)

    let files = try ProjectFiles(root: project.root)
    try attempt.confirm()
    for entry in extra.reversed() { try files.remove(entry.path) }
    for entry in wrong {
      if let old = present[entry.path], old.kind != entry.kind { try files.remove(entry.path) }
    }
    // Folders come before what is in them, since entries are sorted by path; their final mode comes last, so that a
    // folder without write permission can be filled.
    for entry in wrong {
      try attempt.confirm()
      var entry = entry
      if entry.kind == .directory { entry.mode |= 0o700 }
      try files.place(entry) { descriptor throws(StoreError) in
        try contents.copy(entry.digest, to: descriptor)
      } linkTarget: { () throws(StoreError) in
        guard let target = try contents.small(entry.digest) else {
          throw StoreError(.corrupt, "the target of the link '\(entry.path.printable)' is not in the store")
        }
        return ByteString(bytes: target)
      }
    }
    for entry in wrong.reversed() where entry.kind == .directory && entry.mode & 0o700 != 0o700 {
      try files.place(entry) { _ in
      } linkTarget: {
        ""
      }
    }
  }

  /// A manifest may only name what the task declares as its outputs, inside the project and outside of the store.
  private func require(_ manifest: OutputManifest, toStayWithin outputs: [ByteString]) throws(StoreError) {
    let globs = outputs.compactMap { Glob.isPattern($0) ? try? Glob($0) : nil }
    for entry in manifest.entries {
      let segments = entry.path.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
      let isPlain =
        !entry.path.isEmpty
        && segments.allSatisfy { !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8) }
      let isCovered = outputs.contains { entry.path.isWithin($0) } || globs.contains { $0.matches(entry.path) }
      guard isPlain, isCovered, !project.location(of: entry.path).isWithin(project.store) else {
        throw StoreError(
          .corrupt,
          "a stored result names '\(entry.path.printable)', which is not one of its outputs; it is not restored"
        )
      }
    }
  }
}
