import Glibc
import PurserBlobs
import PurserHashing
package import PurserModel
package import PurserStore

/// What a verification found.
package struct Verification: Sendable {
  /// A content that is not what it was.
  package struct DamagedContent: Sendable {
    package var digest: Digest
    /// Bytes of content, as recorded.
    package var size: UInt64
    /// Whether there is nothing at all.
    package var isMissing: Bool
    package var tasks: [TaskKey]
  }

  package var contents = 0
  /// Their bytes, unpacked.
  package var bytes: UInt64 = 0
  package var damagedContents: [DamagedContent] = []
  package var damagedRecords: [RecordDamage] = []
  package var health = StoreHealth(.sound)

  package var isSound: Bool {
    damagedContents.isEmpty && damagedRecords.isEmpty && (health.state == .sound || health.state == .absent)
  }
}

extension TaskCache {
  private var inspected: (any InspectedStore)? { records as? any InspectedStore }

  private static let batch = 512

  /// Reads and hashes every content, on several threads, and checks every reference. A damaged content goes into
  /// quarantine, and what needs it is forgotten, so that it is made again. O(store); some 600 KiB a thread.
  package func verify() throws(PurserError) -> Verification {
    guard let inspected else { throw PurserError(.usage, "this store has no records that could be verified") }
    var found = Verification()
    found.health = inspected.health()
    if found.health.state == .foreign || found.health.state == .unreadable {
      throw PurserError(.unavailable, found.health.messages.joined(separator: "; "))
    }
    do {
      var last: Int64 = 0
      while true {
        let batch = try inspected.contents(after: last, limit: Self.batch)
        guard let end = batch.last?.number else { break }
        last = end
        let states = ParallelMap.map(batch.map(\.blob), workers: Self.workers, batch: 4) { self.state(of: $0) }
        for (blob, state) in zip(batch.map(\.blob), states) {
          found.contents += 1
          found.bytes += blob.size
          if case .unreadable(let error) = state { throw error }
          guard state != .whole else { continue }
          // Somebody may have collected it meanwhile.
          guard try records.blobs([blob.digest])[blob.digest] != nil else { continue }
          found.damagedContents.append(
            Verification.DamagedContent(
              digest: blob.digest, size: blob.size, isMissing: state == .missing,
              tasks: try inspected.owners(of: blob.digest)))
          try records.forgetBlob(blob.digest)
        }
      }
      found.damagedRecords = try inspected.damagedRecords(Self.recordDigests)
    } catch {
      // The rest cannot be looked at before the records are salvaged.
      guard found.health.state == .damaged else { throw PurserError(wrapping: error) }
    }
    return found
  }

  /// How the digests of records are computed.
  static let recordDigests = RecordDigests(
    outputsVersion: { $0.digest }, actionKey: { ActionKey.fingerprint(of: $0).actionKey },
    isListing: { listing, digest in SHA256.digest(of: listing) == digest })

  private static var workers: Int { max(1, min(16, sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

  private enum ContentState: Sendable, Hashable {
    case whole
    case damaged
    case missing
    /// Nobody can say.
    case unreadable(StoreError)
  }

  private func state(of blob: StoredBlob) -> ContentState {
    do throws(StoreError) {
      if blob.isInline {
        guard let stored = try records.inlineContent(blob.digest) else { return .missing }
        _ = try InlineBlob.content(of: stored.blob, stored: stored.content)
        return .whole
      }
      guard blobStore.contains(blob.digest) else { return .missing }
      let nowhere = Glibc.open("/dev/null", O_WRONLY | O_CLOEXEC)
      defer { close(nowhere) }
      try blobStore.write(blob, to: nowhere)
      return .whole
    } catch {
      return error.code == .corrupt ? .damaged : .unreadable(error)
    }
  }
}
