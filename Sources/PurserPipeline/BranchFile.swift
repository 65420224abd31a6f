import PurserModel

/// A file `branch_conf/<branch>.yaml`, by which kptn names a branch's storage key.
public enum BranchFile {
  /// The file's `storage_key`, as Purser writes keys (see ``ByteString/escaped``); `nil` where it has none. Its other
  /// keys are not looked at.
  ///
  /// - Throws: Everything that is wrong with it: no YAML, no mapping, a key that no record can stand under, one that is
  ///   misspelt.
  public static func storageKey(in bytes: [UInt8]) throws(PipelineFileError) -> String? {
    var parser = PipelineParser(dialect: .kptn, defaultGraph: "")
    var key: String?
    do {
      let (root, duplicates) = try YAMLNode.read(bytes)
      for duplicate in duplicates { parser.log.report(duplicate) }
      if let root { key = parser.branchStorageKey(root) }
    } catch {
      throw PipelineFileError([Diagnostic(.error, error.message, at: error.mark)])
    }
    guard parser.log.errorCount == 0 else { throw PipelineFileError(parser.log.sorted) }
    return key.map { ByteString($0).escaped }
  }
}

extension PipelineParser {
  fileprivate mutating func branchStorageKey(_ root: YAMLNode) -> String? {
    let name = "storage_key"
    let entries = entries(of: root, "the file")
    guard let entry = entries.first(where: { $0.key == name }) else {
      for entry in entries {
        let hint = log.hint(entry.key, among: [name])
        if !hint.isEmpty { error("unknown key \(quoted(entry.key))\(hint)", at: entry.mark) }
      }
      return nil
    }
    return storageKey(entry.value, "'\(name)'")
  }
}
