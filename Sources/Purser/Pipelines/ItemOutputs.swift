import PurserHashing
import PurserModel

/// Where the items of a mapped task make their outputs.
struct ItemOutputs: Sendable {
  private let task: String
  private let names: [String]
  /// Outputs that have a part of the item in their name.
  let ofItems: [Own]
  /// Outputs that belong to no single item, wildcards for what is not known.
  let shared: [ByteString]
  /// Whether an item's outputs are known only once they are made.
  let hasWildcards: Bool

  /// An output of each item, read once for all of them.
  struct Own: Sendable {
    let template: Template
    /// With wildcards for the parts of the item: the place that no value may lead out of.
    let pattern: ByteString
    /// Of `pattern`; `nil` where that cannot be read, and nothing is within it.
    let glob: Glob?
    /// Whether the path is known before it is made.
    let isExact: Bool
  }

  init(_ spec: TaskSpec) {
    task = spec.id
    let names = spec.mapping?.names ?? []
    self.names = names
    let templates = (spec.mapping?.outputs ?? []).map(Template.init)
    let values = Dictionary(names.map { ($0, ByteString("x")) }) { first, _ in first }
    ofItems = templates.filter { $0.names.contains(where: names.contains) }.map { template in
      let pattern = template.path([:])
      return Own(
        template: template, pattern: pattern, glob: try? Glob(pattern),
        isExact: !Glob.isPattern(template.path(values)))
    }
    shared = templates.filter { !$0.names.contains(where: names.contains) }.map { $0.path([:]) }
    hasWildcards = !ofItems.allSatisfy(\.isExact)
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
    for output in ofItems {
      let plain = output.template.replacing(values)
      guard plain.normalizedPath == plain, !plain.bytes.contains(0), output.glob?.matches(plain) == true else {
        throw PurserError(
          .refused,
          "item '\(ByteString(item.key).printable)' of task '\(task)' would make '\(plain.printable)', which is outside of "
            + "its outputs '\(output.pattern.printable)'; a value in 'outputs' must not be empty, begin with a dot, or hold "
            + "a '/' or a NUL")
      }
      places.append(output.template.path(values))
    }
    return places
  }

  /// The outputs of an item whose paths are known before they are made. Throws as ``places(of:)``.
  func exactPlaces(of item: Item) throws(PurserError) -> [ByteString] {
    zip(ofItems, try places(of: item)).filter { output, _ in output.isExact }.map(\.1)
  }

  /// Whether a path is, or is within, what one of the items makes. O(depth) after O(items) to begin with.
  func reach(of items: [Item]) -> (ByteString) -> Bool {
    var paths: Set<ByteString> = []
    var globs: [Glob] = []
    for item in items {
      let values = values(of: item)
      for output in ofItems {
        paths.insert(output.template.replacing(values))
        if !output.isExact, let glob = try? Glob(output.template.path(values)) { globs.append(glob) }
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
      for output in ofItems {
        let path = output.template.replacing(values)
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
