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
  /// Listings of the folders among the components.
  package var treeNodes: [Digest: [UInt8]]
  /// What the user should know; one line each.
  package var warnings: [String]
}
