/// Records by (device, inode); of two for one pair the later counts.
///
/// Open addressing with linear probing, over an array in order of arrival. A slot holds 32 bits of the hash beside the
/// index, so that records themselves are touched only where they match, and growing touches none.
struct StatRecordTable: Sendable {
  private(set) var records: ContiguousArray<StatRecord> = []
  /// Hash in the upper half, index in `records` plus one in the lower; 0 is free. A power of two, at most half full.
  private var slots: [UInt64] = []

  var isEmpty: Bool { records.isEmpty }

  subscript(identity: FileIdentity) -> StatRecord? {
    guard !slots.isEmpty else { return nil }
    let index = Self.index(slots[slot(of: identity, Self.hash(identity))])
    return index < 0 ? nil : records[index]
  }

  mutating func set(_ record: StatRecord) {
    if 2 * (records.count + 1) > slots.count { resize(max(16, 2 * slots.count)) }
    let hash = Self.hash(record.identity)
    let slot = slot(of: record.identity, hash)
    let index = Self.index(slots[slot])
    if index < 0 {
      records.append(record)
      slots[slot] = hash | UInt64(records.count)
    } else {
      records[index] = record
    }
  }

  /// Sets all of the other's records, which count as later.
  mutating func merge(_ newer: StatRecordTable) {
    if isEmpty {
      self = newer
    } else {
      reserve(records.count + newer.records.count)
      for record in newer.records { set(record) }
    }
  }

  /// The records by ascending (device, inode). Sorts keys of 24 bytes instead of records of 80.
  func sorted() -> ContiguousArray<StatRecord> {
    var keys = records.enumerated().map { index, record in
      (device: record.identity.device, inode: record.identity.inode, index: index)
    }
    keys.sort { $0.device != $1.device ? $0.device < $1.device : $0.inode < $1.inode }
    return ContiguousArray(keys.lazy.map { records[$0.index] })
  }

  mutating func reserve(_ count: Int) {
    records.reserveCapacity(count)
    var size = max(16, slots.count)
    while size < 2 * count { size *= 2 }
    if size > slots.count { resize(size) }
  }

  /// -1 for a free slot.
  private static func index(_ slot: UInt64) -> Int { Int(slot & 0xffff_ffff) - 1 }

  /// In the upper half of the word. Eight inodes in a row, which are mostly one folder's, share a cache line of slots.
  private static func hash(_ identity: FileIdentity) -> UInt64 {
    let mixed = (identity.inode >> 3 ^ (identity.device &* 0xd6e8_feb8_6659_fd93)) &* 0x9e37_79b9_7f4a_7c15
    return ((mixed ^ mixed << 32) & 0xffff_fff8_0000_0000) | (identity.inode & 7) << 32
  }

  /// The slot that holds the key, or the free one where it belongs.
  private func slot(of identity: FileIdentity, _ hash: UInt64) -> Int {
    let mask = slots.count - 1
    var slot = Int(hash >> 32) & mask
    while slots[slot] != 0 {
      if slots[slot] & 0xffff_ffff_0000_0000 == hash {
        let found = records[Self.index(slots[slot])].identity
        if found.inode == identity.inode && found.device == identity.device { break }
      }
      slot = (slot + 1) & mask
    }
    return slot
  }

  private mutating func resize(_ count: Int) {
    var resized = [UInt64](repeating: 0, count: count)
    for entry in slots where entry != 0 {
      var slot = Int(entry >> 32) & (count - 1)
      while resized[slot] != 0 { slot = (slot + 1) & (count - 1) }
      resized[slot] = entry
    }
    slots = resized
  }
}
