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
  /// What the item is made from: everything the task is made from, with the list replaced by this element.
  var contentKey: Digest
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
  /// - Throws: `refused` for data that is no list, an element without the parts that are mapped over, or a key that
  ///   stands twice.
  func items(of data: TaskData, fingerprint: Fingerprint) throws(PurserError) -> [Item] {
    guard data.isList else {
      throw refusal("'\(mapping.upstream)' returned no list but \(Self.shown(data.text)); return a list there")
    }
    let list = fingerprint.components.filter { component in
      !(component.tag == .upstreamData && component.name == ByteString(mapping.upstream))
    }
    var prefix = ByteWriter()
    prefix.append(Array("purser.item-key\0".utf8))
    prefix.append(littleEndian: Self.formatVersion)
    prefix.append(ActionKey.fingerprint(of: list).actionKey)
    var items: [Item] = []
    items.reserveCapacity(data.elements.count)
    // As bytes: for Swift's strings, "é" composed and decomposed are one.
    var seen: Set<ByteString> = []
    var repeated: [String] = []
    for (index, element) in data.elements.enumerated() {
      let parts = try parts(of: element, at: index)
      let values = parts.map(Self.text)
      let key = values.joined(separator: ",")
      if !seen.insert(ByteString(key)).inserted { repeated.append(key) }
      let json =
        "{" + zip(mapping.names, parts).map { "\(JSON.string($0).serialized):\($1)" }.joined(separator: ",") + "}"
      var writer = prefix
      // The key too: 1.5 and 1.50 are one number, but two names.
      writer.append(lengthPrefixed: Array(key.utf8))
      writer.append(lengthPrefixed: Array(((try? JSONText.canonical(json)) ?? json).utf8))
      items.append(
        Item(index: index, key: key, values: values, json: json, contentKey: SHA256.digest(of: writer.bytes)))
    }
    guard repeated.isEmpty else { throw TaskCache.repeated(repeated, task) }
    return items
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

/// Where the items of a mapped task make their outputs.
struct ItemOutputs: Sendable {
  private let task: String
  private let names: [String]
  /// Outputs that have a part of the item in their name.
  let ofItems: [ByteString]
  /// Outputs that belong to no single item, wildcards for what is not known.
  let shared: [ByteString]
  /// Whether an item's outputs are known only once they are made.
  let hasWildcards: Bool

  init(_ spec: TaskSpec) {
    task = spec.id
    let names = spec.mapping?.names ?? []
    self.names = names
    let templates = spec.mapping?.outputs ?? []
    ofItems = templates.filter { template in Template(template).names.contains { names.contains($0) } }
    shared = templates.filter { template in !Template(template).names.contains { names.contains($0) } }
      .map { Template($0).path([:]) }
    let values = Dictionary(names.map { ($0, ByteString("x")) }) { first, _ in first }
    hasWildcards = ofItems.contains { Glob.isPattern(Template($0).path(values)) }
  }

  /// The parts of an item by name.
  func values(of item: Item) -> [String: ByteString] {
    Dictionary(zip(names, item.values.map { ByteString($0) })) { first, _ in first }
  }

  /// Whether a path is one of those that belong to no single item.
  func isShared(_ path: ByteString) -> Bool {
    shared.contains { path.isWithin($0) || (try? Glob($0))?.matches(path) == true }
  }

  /// The outputs of an item: paths, and patterns where a part is not known before they are made.
  ///
  /// - Throws: `refused` for a value that would lead to another place than the task's outputs.
  func places(of item: Item) throws(PurserError) -> [ByteString] {
    let values = values(of: item)
    var places: [ByteString] = []
    for template in ofItems {
      let parsed = Template(template)
      let plain = parsed.replacing(values)
      let pattern = parsed.path([:])
      let isWithin =
        plain.normalizedPath == plain && !plain.bytes.contains(0) && (try? Glob(pattern))?.matches(plain) == true
      guard isWithin else {
        throw PurserError(
          .refused,
          "item '\(ByteString(item.key).printable)' of task '\(task)' would make '\(plain.printable)', which is outside of "
            + "its outputs '\(pattern.printable)'; a value in 'outputs' must not be empty, begin with a dot, or hold a '/' "
            + "or a NUL")
      }
      places.append(parsed.path(values))
    }
    return places
  }

  /// The outputs of an item whose paths are known before they are made.
  func exactPlaces(of item: Item) throws(PurserError) -> [ByteString] {
    let values = values(of: item)
    let places = try places(of: item)
    return zip(ofItems, places).filter { template, _ in
      let parsed = Template(template)
      return parsed.names.allSatisfy { values[$0] != nil }
        && !Glob.isPattern(parsed.replacing(values.mapValues { _ in "" }))
    }.map(\.1)
  }

  /// Whether a path is, or is within, what one of the items makes. O(depth) after O(items) to begin with.
  func reach(of items: [Item]) -> (ByteString) -> Bool {
    var paths: Set<ByteString> = []
    var globs: [Glob] = []
    for item in items {
      let values = values(of: item)
      for template in ofItems.map(Template.init) {
        paths.insert(template.replacing(values))
        if template.names.contains(where: { values[$0] == nil }) || hasWildcards,
          let glob = try? Glob(template.path(values))
        {
          globs.append(glob)
        }
      }
    }
    return { path in
      var outer = path
      while !outer.isEmpty {
        if paths.contains(outer) { return true }
        outer = outer.parentPath
      }
      return globs.contains { $0.matches(path) }
    }
  }

  /// Refuses a list of which two items would make the same file: the later one would take the place of the other.
  func refuseRepeated(_ items: [Item]) throws(PurserError) {
    guard !ofItems.isEmpty else { return }
    var makers: [ByteString: Item] = [:]
    for item in items {
      let values = values(of: item)
      for template in ofItems {
        let path = Template(template).replacing(values)
        if let other = makers.updateValue(item, forKey: path), other.index != item.index {
          throw PurserError(
            .refused,
            "items '\(ByteString(other.key).printable)' and '\(ByteString(item.key).printable)' of task '\(task)' would both "
              + "make '\(path.printable)'; put every part that tells them apart into 'outputs'")
        }
      }
    }
  }
}
