package import PurserCode
package import PurserHashing
package import PurserModel

/// What looking at a task's code, inputs and environment gave.
package struct Survey: Sendable {
  /// The components and their digests.
  package var fingerprint: Fingerprint
  /// Every file that was looked at, so that a rewrite during the run can be noticed.
  package var identities: [(path: ByteString, identity: FileIdentity)]
  /// The same for outputs of upstream tasks.
  package var upstreamIdentities: [(path: ByteString, identity: FileIdentity)] = []
  /// Of a task with a dep file, or whose inputs are found: what is declared, without what its command told or was seen
  /// to use.
  package var declared: Fingerprint?
  /// What the command told, or was seen to use, as far as it is not declared.
  package var usedByCommand: [(path: ByteString, identity: FileIdentity)] = []
  /// Files that the code uses, beside those that are declared.
  package var usedCode: [CodeClosure.File] = []
  /// Folders whose entries decided what the code uses.
  package var codeFolders: [CodeClosure.Folder] = []
  /// What of the code could not be followed, or does not count as it was asked to.
  package var remarks: [CodeClosure.Remark] = []
  /// Listings of the folders among the components.
  package var treeNodes: [Digest: [UInt8]]
  /// What the user should know; one line each.
  package var warnings: [String]
}
