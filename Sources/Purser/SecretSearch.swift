import CLinux
import Glibc
import PurserBlobs
import PurserHashing
package import PurserModel
import PurserStore

/// What became of looking for values of declared variables in what the store keeps.
package struct SecretSearch: Sendable {
  /// A value that stands where anybody may read it who may read the store.
  package struct Exposure: Sendable, Hashable {
    /// The variable.
    package var name: ByteString
    /// The task whose content it is.
    package var task: TaskKey
    /// What of the task, for a message.
    package var place: String
  }

  /// The variables whose values were looked for.
  package var names: [ByteString] = []
  /// Those that are not set here, or whose value is so short that it stands everywhere.
  package var skipped: [ByteString] = []
  /// How many contents were looked through.
  package var contents = 0
  package var exposures: [Exposure] = []
}

extension TaskCache {
  /// Shorter values stand in all kinds of text.
  private static let shortestSecret = 6
  /// What is larger is looked through in one piece all the same, but not as a log.
  private static let largestLog = 64 << 20

  /// Looks for the values that declared variables have here in every content of the store: what tasks printed, made
  /// and returned. O(store); nothing of a value is kept or told.
  package func searchSecrets() throws(PurserError) -> SecretSearch {
    guard let inspected = records as? any InspectedStore else {
      throw PurserError(.usage, "this store has no contents that could be looked through")
    }
    do {
      var found = SecretSearch()
      var declared: Set<ByteString> = []
      for record in try records.records(storageKey: nil, pipeline: nil) {
        guard let text = try records.specification(of: record.key), let json = try? JSON(parsing: text.utf8),
          let spec = TaskSpec(json: json)
        else { continue }
        declared.formUnion(spec.environment)
      }
      var values: [(name: ByteString, value: [UInt8])] = []
      for name in declared.sorted() {
        if let value = environment[name], value.count >= Self.shortestSecret {
          values.append((name, value.bytes))
        } else {
          found.skipped.append(name)
        }
      }
      found.names = values.map(\.name)
      var last: Int64 = 0
      while !values.isEmpty {
        let batch = try inspected.contents(after: last, limit: 512)
        guard let end = batch.last?.number else { break }
        last = end
        for (_, blob) in batch {
          found.contents += 1
          let names = try exposed(values, in: blob)
          guard !names.isEmpty else { continue }
          for task in try inspected.owners(of: blob.digest) {
            let place = try place(of: blob.digest, in: task)
            found.exposures += names.map { SecretSearch.Exposure(name: $0, task: task, place: place) }
          }
        }
      }
      return found
    } catch {
      throw PurserError(wrapping: error)
    }
  }

  /// The variables whose values stand in a content; what cannot be read is the verification's business.
  private func exposed(_ values: [(name: ByteString, value: [UInt8])], in blob: StoredBlob) throws -> [ByteString] {
    func search(_ bytes: UnsafeRawBufferPointer) -> [ByteString] {
      let streams = bytes.count <= Self.largestLog ? Self.streams(ofLog: bytes) : []
      return values.filter { _, value in
        value.withUnsafeBytes { value in
          purser_contains(bytes.baseAddress, bytes.count, value.baseAddress, value.count) == 1
            || streams.contains { stream in
              stream.withUnsafeBytes { purser_contains($0.baseAddress, $0.count, value.baseAddress, value.count) == 1 }
            }
        }
      }.map(\.name)
    }
    do throws(StoreError) {
      if blob.isInline {
        guard let stored = try records.inlineContent(blob.digest) else { return [] }
        return try InlineBlob.content(of: stored.blob, stored: stored.content).withUnsafeBytes(search)
      }
      guard blob.size > 0 else { return [] }
      let file = try TemporaryFile(in: project.store.appending(path: "tmp"))
      try blobStore.write(blob, to: file.descriptor)
      let size = Int(blob.size)
      guard let memory = mmap(nil, size, PROT_READ, MAP_PRIVATE, file.descriptor, 0), memory != MAP_FAILED else {
        throw StoreError(.io, "a content cannot be looked through: \(String(cString: strerror(errno)))")
      }
      defer { munmap(memory, size) }
      return search(UnsafeRawBufferPointer(start: memory, count: size))
    } catch {
      if error.code == .corrupt { return [] }
      throw error
    }
  }

  /// What a log's two streams hold, where a content is one: in the log itself, a value may be in two pieces.
  private static func streams(ofLog bytes: UnsafeRawBufferPointer) -> [[UInt8]] {
    var streams: [[UInt8]] = [[], []]
    var offset = 0
    while offset < bytes.count {
      guard bytes.count - offset >= 5, bytes[offset] == 1 || bytes[offset] == 2 else { return [] }
      let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 1, as: UInt32.self)))
      guard length <= bytes.count - offset - 5 else { return [] }
      streams[Int(bytes[offset]) - 1].append(contentsOf: bytes[(offset + 5)..<(offset + 5 + length)])
      offset += 5 + length
    }
    return streams
  }

  private func place(of digest: Digest, in task: TaskKey) throws(StoreError) -> String {
    guard let result = try records.records(for: [task])[0]?.result else { return "something that it left" }
    if result.log == digest { return "what it printed" }
    if result.data == digest { return "the data that it returned" }
    if let entry = result.manifest.entries.first(where: { $0.digest == digest && $0.kind != .directory }) {
      return "its output '\(entry.path.printable)'"
    }
    return "something that an earlier run of it left"
  }
}
