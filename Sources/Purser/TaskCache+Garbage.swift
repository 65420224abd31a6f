import Glibc
import PurserHashing
import PurserModel
import PurserStore

/// What a collection removed, or would.
public struct GarbageSummary: Sendable {
  /// Results that no record holds on to.
  public var results = 0
  /// Contents that nothing names any more.
  public var blobs = 0
  /// Their bytes, unpacked.
  public var contentBytes: UInt64 = 0
  /// Files removed: of contents, from quarantine, kept plans, backups.
  public var files = 0
  /// What they took on disk.
  public var fileBytes: UInt64 = 0
  /// Files of contents that nothing names any more, which were written to within the last hour.
  public var youngFiles = 0
  /// What the contents that stay take on disk; `nil` where they are not limited.
  public var keptBytes: UInt64?
}

/// What may be collected.
package struct GarbageOptions: Sendable {
  /// What is younger stays.
  package var maximumAge: Duration
  /// How much the contents may take on disk; results that no record holds on to go, however young, until they do.
  package var maximumBytes: UInt64?
  /// Whether to tell only what would go.
  package var isTrial = false

  package init(maximumAge: Duration) {
    self.maximumAge = maximumAge
  }
}

extension TaskCache {
  /// So many backups stay.
  private static let keptBackups = 3
  /// A cache of what files hold that has grown beyond this begins anew: room for those of three million.
  private static let largestCache = 256 << 20

  /// Forgets results older than `age` that no record holds on to, and removes the contents that nothing names. Safe
  /// beside running tasks: a file written to within the last hour stays.
  public func collectGarbage(olderThan age: Duration) throws(PurserError) -> GarbageSummary {
    try collectGarbage(GarbageOptions(maximumAge: age))
  }

  /// As ``collectGarbage(olderThan:)``, within a budget, and with the files that Purser can do without: what has been in
  /// quarantine for too long, plans that were not made for so long, all backups but the last ones, and caches that have
  /// grown too large.
  package func collectGarbage(_ options: GarbageOptions) throws(PurserError) -> GarbageSummary {
    try asking {
      let age = options.maximumAge.components.seconds
      let blobStore = blobStore
      var request = GarbageRequest(
        cutoff: TaskCache.time(in: -age), fileSize: { blobStore.size(of: $0) },
        treeChildren: { listing in
          (Tree.decode(node: listing) ?? []).filter { $0.kind == .directory }.map(\.digest)
        })
      request.maximumBytes = options.maximumBytes
      request.isTrial = options.isTrial
      let report = try records.collectGarbage(request)
      let swept = try blobStore.sweep(quarantineAge: age, isTrial: options.isTrial) { digest in
        if report.files.contains(digest), options.isTrial { return false }
        guard let found = try? records.blobs([digest]) else { return true }
        return found[digest] != nil
      }
      var summary = GarbageSummary(
        results: report.results, blobs: report.blobs, contentBytes: report.bytes, files: swept.count,
        fileBytes: swept.bytes, keptBytes: report.keptBytes)
      summary.youngFiles = report.files.count { options.isTrial || blobStore.contains($0) }
      if options.isTrial { summary.youngFiles = max(0, summary.youngFiles - swept.count) }
      removeSpareFiles(age, options.isTrial, &summary)
      return summary
    }
  }

  private func removeSpareFiles(_ age: Int64, _ isTrial: Bool, _ summary: inout GarbageSummary) {
    let files = Self.files(in: project.store)
    let limit = Glibc.time(nil) - Int(clamping: age)
    let backups = files.filter { $0.name.hasPrefix("backup-") && $0.name.hasSuffix(".db") }.sorted { $0.name > $1.name }
    let spare =
      (files.filter { $0.name.hasPrefix("plan-") } + Self.files(in: project.store.appending(path: "hits")))
      .filter { $0.info.st_mtim.tv_sec < limit }
      + backups.dropFirst(Self.keptBackups)
      + files.filter {
        ["stat-cache", "folder-cache", "code-cache", "pipeline-cache"].contains($0.name)
          && $0.info.st_size > Self.largestCache
      }
    for file in spare where isTrial || file.path.withCString({ unlink($0) }) == 0 {
      summary.files += 1
      summary.fileBytes += UInt64(file.info.st_blocks) * 512
    }
  }

  private static func files(in folder: ByteString) -> [(name: String, path: ByteString, info: stat)] {
    StoreFolder.names(in: folder).compactMap { name in
      var info = stat()
      let path = folder.appending(path: name)
      guard path.withCString({ lstat($0, &info) }) == 0, info.st_mode & S_IFMT == S_IFREG else { return nil }
      return (name.escaped, path, info)
    }
  }
}
