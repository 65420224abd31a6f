package import PurserModel

/// Turns components into a fingerprint.
///
/// Format of what is hashed, version 1. The key of an action:
///
///     "purser.action-key" 00, version (u32)
///     then each component, sorted by (tag, name):
///       tag (1 byte), length of name (u64), name, length of value (u64), value
///
/// and the digest of a group, over its components alone, with "purser.component-group" 00 and the group's number (1
/// byte) before the version. Integers are little-endian; values as in `Component.Value.encoded`.
///
/// What it guarantees: every part is preceded by its length, so that ["ab","c"] and ["a","bc"] differ; a value begins
/// with its type, so that absent, empty, a text and a digest of the same bytes differ; order of declaration does not
/// count. Rejected: joining with separators (ambiguous), JSON (no bytes, no canonical form).
///
/// History: 1 (2026-11): the first.
package enum ActionKey {
  static let formatVersion: UInt32 = 1

  /// Sorts the components and computes the digests. Of two components with one tag and name the later counts.
  /// O(n log n).
  package static func fingerprint(of components: [Component]) -> Fingerprint {
    var sorted: [Component] = []
    sorted.reserveCapacity(components.count)
    let order = components.indices.sorted { left, right in
      let (first, second) = (components[left], components[right])
      if first.tag != second.tag { return first.tag.rawValue < second.tag.rawValue }
      return first.name != second.name ? first.name < second.name : left < right
    }
    for index in order {
      let component = components[index]
      if let last = sorted.last, last.tag == component.tag, last.name == component.name { sorted.removeLast() }
      sorted.append(component)
    }
    return Fingerprint(
      components: sorted, code: digest(of: .code, sorted), inputs: digest(of: .inputs, sorted),
      data: digest(of: .data, sorted), actionKey: actionKey(of: sorted))
  }

  private static func actionKey(of components: [Component]) -> Digest {
    var writer = ByteWriter()
    writer.append(Array("purser.action-key\0".utf8))
    writer.append(littleEndian: formatVersion)
    for component in components { append(component, to: &writer) }
    return SHA256.digest(of: writer.bytes)
  }

  private static func digest(of group: Component.Group, _ components: [Component]) -> Digest {
    var writer = ByteWriter()
    writer.append(Array("purser.component-group\0".utf8))
    writer.append(byte: group.rawValue)
    writer.append(littleEndian: formatVersion)
    for component in components where component.tag.group == group { append(component, to: &writer) }
    return SHA256.digest(of: writer.bytes)
  }

  private static func append(_ component: Component, to writer: inout ByteWriter) {
    writer.append(byte: component.tag.rawValue)
    writer.append(lengthPrefixed: component.name.bytes)
    writer.append(lengthPrefixed: component.value.encoded)
  }
}
