import Glibc
import PurserCode
package import PurserHashing
public import PurserModel
package import PurserPipeline

/// From the branch to the storage key: `settings.storage_keys` of the pipeline file, else `branch_conf/<branch>.yaml`
/// (as kptn has it), else the branch itself.
extension Project {
  /// Finds the project that `currentFolder` is in, and the storage key that its branch is mapped to. A few system calls
  /// a folder on the way up, and reads at most four small files; no process is started.
  ///
  /// - Throws: `usage` if the root that was named is no folder; `pipeline` for a pipeline file, or a file of
  ///   `branch_conf`, that cannot be read where the storage key depends on it.
  public static func find(
    _ options: Options = Options(), environment: ProcessEnvironment, currentFolder: ByteString? = nil
  ) throws(PurserError) -> Project {
    var project = try locate(options, environment: environment, currentFolder: currentFolder)
    guard project.branch != nil else { return project }
    let loader = PipelineLoader(project: project)
    var file: PipelineFile?
    if let source = try loader.source() {
      do throws(PipelineFileError) {
        file = try loader.file(of: source)
      } catch {
        throw PurserError(.pipeline, error.summary(file: source.name))
      }
    }
    try project.mapStorageKey(by: file)
    return project
  }

  /// Takes the key that the branch is mapped to, if it is. One or two system calls where there is no such file.
  ///
  /// - Throws: `pipeline` for a file of `branch_conf` that cannot be read, where the pipeline file says nothing.
  package mutating func mapStorageKey(
    by file: PipelineFile?, overlay: FileOverlay? = nil
  ) throws(PurserError) {
    guard let branch else { return }
    if let key = file?.storageKey(ofBranch: branch) {
      storageKey = key
    } else if let key = try BranchConfiguration(root: root, overlay: overlay).storageKey(of: branch) {
      storageKey = key
    }
  }
}

/// `branch_conf` in a project's root.
struct BranchConfiguration {
  let root: ByteString
  /// Where the files may stand instead of the disk.
  var overlay: FileOverlay?

  /// The key that a branch's file gives; `nil` where there is no file, or no key in it.
  func storageKey(of branch: ByteString) throws(PurserError) -> String? {
    for path in Self.paths(of: branch) {
      guard let bytes = try read(path) else { continue }
      do throws(PipelineFileError) {
        return try BranchFile.storageKey(in: bytes)
      } catch {
        throw PurserError(.pipeline, error.summary(file: path.printable))
      }
    }
    return nil
  }

  /// Slashes of the branch lead into folders; else they are written as `_`. None for a name that would lead elsewhere,
  /// which no branch has, but a variable of CI may.
  private static func paths(of branch: ByteString) -> [ByteString] {
    let parts = branch.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    let leadsElsewhere = parts.contains { part in
      part.isEmpty || part.contains(0) || part.elementsEqual(".".utf8) || part.elementsEqual("..".utf8)
    }
    if leadsElsewhere { return [] }
    let nested = "branch_conf/" + branch + ".yaml"
    if parts.count == 1 { return [nested] }
    return [nested, "branch_conf/" + ByteString(parts.joined(separator: CollectionOfOne(UInt8(ascii: "_")))) + ".yaml"]
  }

  /// The content of a file; `nil` where there is none.
  private func read(_ path: ByteString) throws(PurserError) -> [UInt8]? {
    if let overlay {
      return SourceFile.read(root.appending(path: path), limit: PipelineFile.maximumSize + 1, in: overlay)
    }
    do {
      return try PipelineText.read(root.appending(path: path))
    } catch {
      if error.code == ENOENT || error.code == ENOTDIR || error.code == ENAMETOOLONG { return nil }
      throw Self.unreadable(path, error.code)
    }
  }

  private static func unreadable(_ path: ByteString, _ code: Int32) -> PurserError {
    PurserError(
      .pipeline,
      "'\(path.printable)' cannot be read: \(String(cString: strerror(code))); mend it, or name the key with "
        + "--storage-key")
  }
}
