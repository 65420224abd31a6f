import PurserHashing
import PurserModel

/// One item of a mapped task, as its list has it now.
struct Item: Sendable {
  /// Its place in the list.
  var index: Int
  /// Its value as a string, the parts of a tuple joined by commas.
  var key: String
  /// The parts as text, in the order of the mapping's names.
  var values: [String]
  /// The parts as JSON: an object by name.
  var json: String
  /// The list's element itself, as JSON.
  var element: String
  /// What the item is made from: everything the task is made from, with the list replaced by this element.
  var contentKey: Digest
  /// What it was made from where that was accepted to stand for this, nearest first; empty for most tasks.
  var formerKeys: [Digest] = []

  /// All that what was done of it may go by.
  var keys: [Digest] { [contentKey] + formerKeys }
}

/// The list that a task maps over.
///
/// The content key of an item is SHA-256 over "purser.item-key" 00, a format version (u32), the action key over the
/// task's components without the list, and then, each after its length (u64), the item's key and its canonical JSON.
struct ItemList {
  let task: String
  let mapping: TaskSpec.Mapping
  private static let formatVersion: UInt32 = 1

  /// Takes the elements apart.
  ///
  /// - Parameter formerBases: what stood in the place of ``base(of:)`` before changes were accepted.
  /// - Throws: `refused` for data that is no list, an element without the parts that are mapped over, or a key that
  ///   stands twice.
  func items(
    of data: TaskData, fingerprint: Fingerprint, formerBases: [Digest] = []
  ) throws(PurserError) -> [Item] {
    guard data.isList else {
      throw refusal("'\(mapping.upstream)' returned no list but \(Self.shown(data.text)); return a list there")
    }
    let prefix = Self.prefix(base(of: fingerprint.components))
    let formerPrefixes = formerBases.map(Self.prefix)
    var items: [Item] = []
    items.reserveCapacity(data.elements.count)
    // As bytes: for Swift's strings, "é" composed and decomposed are one.
    var seen: Set<ByteString> = []
    seen.reserveCapacity(data.elements.count)
    var repeated: [String] = []
    for (index, element) in data.elements.enumerated() {
      let parts = try parts(of: element, at: index)
      let values = parts.map(Self.text)
      let key = values.joined(separator: ",")
      if !seen.insert(ByteString(key)).inserted { repeated.append(key) }
      let json =
        "{" + zip(mapping.names, parts).map { "\(JSON.string($0).serialized):\($1)" }.joined(separator: ",") + "}"
      // The key too: 1.5 and 1.50 are one number, but two names.
      var own = ByteWriter()
      own.append(lengthPrefixed: Array(key.utf8))
      own.append(lengthPrefixed: Array(((try? JSONText.canonical(json)) ?? json).utf8))
      items.append(
        Item(
          index: index, key: key, values: values, json: json, element: element,
          contentKey: SHA256.digest(of: prefix + own.bytes),
          formerKeys: formerPrefixes.map { SHA256.digest(of: $0 + own.bytes) }))
    }
    guard repeated.isEmpty else { throw TaskCache.repeated(repeated, task) }
    return items
  }

  /// What the content keys of all items have in common: the action key without the list.
  func base(of components: [Component]) -> Digest {
    let upstream = ByteString(mapping.upstream)
    return ActionKey.fingerprint(of: components.filter { !($0.tag == .upstreamData && $0.name == upstream) }).actionKey
  }

  private static func prefix(_ base: Digest) -> [UInt8] {
    var writer = ByteWriter()
    writer.append(Array("purser.item-key\0".utf8))
    writer.append(littleEndian: formatVersion)
    writer.append(base)
    return writer.bytes
  }

  private func refusal(_ why: String) -> PurserError {
    PurserError(.refused, "task '\(task)' cannot map over '\(mapping.names.joined(separator: ","))': \(why)")
  }

  private static func shown(_ text: String) -> String {
    let start = ByteString(text.prefix(40)).printable
    return text.count > 40 ? "\(start)…" : start
  }

  /// The JSON texts of the parts that are mapped over.
  private func parts(of element: String, at index: Int) throws(PurserError) -> [String] {
    if mapping.positions.isEmpty { return [element] }
    func wrong() -> PurserError {
      refusal(
        "element \(index) of '\(mapping.upstream)' is \(Self.shown(element)), which has no such parts; return a list of "
          + "\((mapping.positions.max() ?? 0) + 1) values for each item")
    }
    if element.first == "[" {
      guard let (_, parts) = try? JSONText.elements(of: Array(element.utf8)) else { throw wrong() }
      guard mapping.positions.allSatisfy({ $0 < parts.count }) else { throw wrong() }
      return mapping.positions.map { parts[$0] }
    }
    guard element.first == "{", let members = try? JSONText.members(of: element.utf8) else { throw wrong() }
    var values: [String] = []
    for name in mapping.names {
      guard let value = members.first(where: { $0.name == name })?.value else { throw wrong() }
      values.append(value)
    }
    return values
  }

  /// A string as it is, anything else as the JSON that it was.
  static func text(_ json: String) -> String {
    guard json.first == "\"" else { return json }
    return (try? JSON(parsing: json.utf8))?.string ?? json
  }
}
