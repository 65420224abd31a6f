import PurserModel

/// Builds the tree of a YAML file from its events, within budgets, so that a small hostile file cannot ask for much
/// work.
struct YAMLComposer: ~Copyable {
  /// Levels of lists and mappings, aliases included. Recursion here and in everything that walks the tree relies on it.
  static let maximumDepth = 64
  /// How many values aliases may stand for in all. 10,000 tasks that each merge in a few defaults need some 100,000;
  /// a bomb multiplies far beyond it within a few lines. Nothing is copied before it is counted.
  static let maximumAliasedNodes = 200_000
  /// How much text they may stand for.
  static let maximumAliasedBytes = 8 << 20

  private var events: YAMLEvents
  /// `nil` while what an anchor names is still being read.
  private var anchors: [String: YAMLNode?] = [:]
  private var aliasedNodes = 0
  private var aliasedBytes = 0
  /// Keys that stand twice.
  private(set) var diagnostics: [Diagnostic] = []

  init(_ source: UnsafeBufferPointer<UInt8>) throws(YAMLProblem) {
    events = try YAMLEvents(source)
  }

  /// The file's only value; `nil` for a file without one.
  mutating func compose() throws(YAMLProblem) -> YAMLNode? {
    var root: YAMLNode?
    while true {
      let (event, mark) = try events.next()
      switch event {
      case .documentStart:
        guard root == nil else {
          throw YAMLProblem(message: "a second document begins here; a pipeline file has only one", mark: mark)
        }
        root = try node(depth: 0)
      case .streamEnd: return root
      default: continue
      }
    }
  }

  private mutating func node(depth: Int) throws(YAMLProblem) -> YAMLNode? {
    let (event, mark) = try events.next()
    return try node(event, mark, depth)
  }

  /// `nil` at the end of a list or mapping.
  private mutating func node(_ event: YAMLEvent, _ mark: SourceMark, _ depth: Int) throws(YAMLProblem) -> YAMLNode? {
    let node: YAMLNode
    let name: String?
    switch event {
    case .alias(let name): return try resolve(name, mark, depth)
    case .scalar(let scalar, let anchor, let tag):
      try check(tag, ["str", "int", "float", "bool", "null"], mark)
      name = anchor
      node = YAMLNode(scalar, at: mark)
    case .sequenceStart(let anchor, let tag):
      try check(tag, ["seq"], mark)
      try open(anchor, mark, depth)
      name = anchor
      var elements: [YAMLNode] = []
      while let element = try self.node(depth: depth + 1) { elements.append(element) }
      node = YAMLNode(sequence: elements, at: mark)
    case .mappingStart(let anchor, let tag):
      try check(tag, ["map"], mark)
      try open(anchor, mark, depth)
      name = anchor
      node = YAMLNode(mapping: try entries(depth + 1), at: mark)
    case .documentStart, .streamEnd, .collectionEnd, .other: return nil
    }
    if let name { anchors[name] = .some(node) }
    return node
  }

  private mutating func open(_ anchor: String?, _ mark: SourceMark, _ depth: Int) throws(YAMLProblem) {
    guard depth < Self.maximumDepth else { throw Self.tooDeep(mark) }
    if let anchor { anchors[anchor] = .some(nil) }
  }

  private static func tooDeep(_ mark: SourceMark) -> YAMLProblem {
    YAMLProblem(message: "values are nested more than \(maximumDepth) levels deep; make the file flatter", mark: mark)
  }

  private func check(_ tag: String?, _ allowed: [String], _ mark: SourceMark) throws(YAMLProblem) {
    guard let tag, tag != "!" else { return }
    let isCore = allowed.contains { tag == "tag:yaml.org,2002:" + $0 }
    guard isCore else {
      throw YAMLProblem(message: "the tag \(quoted(tag)) is not supported; remove it", mark: mark)
    }
  }

  private mutating func resolve(_ name: String, _ mark: SourceMark, _ depth: Int) throws(YAMLProblem) -> YAMLNode {
    guard let known = anchors[name] else {
      let hint = Suggestion.hint(name, among: anchors.keys.sorted())
      throw YAMLProblem(
        message: "the alias '*\(name)' names no anchor before it" + (hint.isEmpty ? "; define '&\(name)'" : hint),
        mark: mark)
    }
    guard let node = known else {
      throw YAMLProblem(message: "the alias '*\(name)' stands inside of what '&\(name)' names; remove it", mark: mark)
    }
    aliasedNodes += node.weight
    aliasedBytes += node.byteCount
    guard aliasedNodes <= Self.maximumAliasedNodes, aliasedBytes <= Self.maximumAliasedBytes else {
      throw YAMLProblem(
        message: "aliases stand for more than \(Self.maximumAliasedNodes) values or "
          + "\(Self.maximumAliasedBytes >> 20) MiB of text in all; write fewer of them",
        mark: mark)
    }
    guard depth + node.height <= Self.maximumDepth else { throw Self.tooDeep(mark) }
    return node
  }

  // MARK: Mappings

  private mutating func entries(_ depth: Int) throws(YAMLProblem) -> [YAMLEntry] {
    var own: [YAMLEntry] = []
    var merged: [YAMLEntry] = []
    while true {
      let (event, mark) = try events.next()
      guard let key = try node(event, mark, depth) else { break }
      guard case .scalar(let scalar) = key.content else {
        throw YAMLProblem(message: "a key must be a text, not \(key.kind)", mark: mark)
      }
      guard let value = try node(depth: depth) else { break }
      if scalar.isPlain, scalar.text == "<<" {
        try merge(value, into: &merged)
      } else {
        own.append(YAMLEntry(key: scalar.text, mark: mark, value: value))
      }
    }
    return combined(own, merged)
  }

  /// What `<<` brings: a mapping's entries, or those of several.
  private func merge(_ value: YAMLNode, into merged: inout [YAMLEntry]) throws(YAMLProblem) {
    switch value.content {
    case .mapping(let entries): merged += entries
    case .sequence(let nodes):
      for node in nodes {
        guard case .mapping(let entries) = node.content else {
          throw YAMLProblem(message: "'<<' merges mappings, not \(node.kind)", mark: node.mark)
        }
        merged += entries
      }
    case .scalar: throw YAMLProblem(message: "'<<' merges mappings, not \(value.kind)", mark: value.mark)
    }
  }

  /// Merged entries come first, as in PyYAML; a mapping's own replace them in place, and of merged ones the first
  /// counts.
  private mutating func combined(_ own: [YAMLEntry], _ merged: [YAMLEntry]) -> [YAMLEntry] {
    if merged.isEmpty, own.count <= 8 {
      for (index, entry) in own.enumerated() {
        if let first = own[..<index].first(where: { $0.key == entry.key }) { refuse(entry, first) }
      }
      return own
    }
    var places: [String: Int] = [:]
    places.reserveCapacity(own.count + merged.count)
    var result: [YAMLEntry] = []
    for entry in merged where places[entry.key] == nil {
      places[entry.key] = result.count
      result.append(entry)
    }
    let mergedCount = result.count
    var replaced: [Int: YAMLEntry] = [:]
    for entry in own {
      if let place = places[entry.key] {
        if place >= mergedCount {
          refuse(entry, result[place])
        } else if let first = replaced[place] {
          refuse(entry, first)
        } else {
          replaced[place] = entry
          result[place] = entry
        }
      } else {
        places[entry.key] = result.count
        result.append(entry)
      }
    }
    return result
  }

  private mutating func refuse(_ entry: YAMLEntry, _ first: YAMLEntry) {
    diagnostics.append(
      Diagnostic(
        .error,
        "the key \(quoted(entry.key)) stands twice in one mapping, first at line \(first.mark.line), column "
          + "\(first.mark.column); remove one of them",
        at: entry.mark))
  }
}

extension YAMLNode {
  /// The value of a file in UTF-8, `nil` for a file without one; and the keys in it that stand twice.
  static func read(_ bytes: [UInt8]) throws(YAMLProblem) -> (root: YAMLNode?, duplicates: [Diagnostic]) {
    guard bytes.count <= PipelineFile.maximumSize else {
      throw YAMLProblem(
        message: "the file is larger than \(PipelineFile.maximumSize >> 20) MiB, the most a pipeline file may have; "
          + "move data out of it",
        mark: nil)
    }
    return try bytes.withUnsafeBufferPointer { buffer throws(YAMLProblem) in
      let start = buffer.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
      // libyaml takes no null pointer, which an empty buffer may have.
      if buffer.count == start { return (nil, []) }
      var composer = try YAMLComposer(UnsafeBufferPointer(rebasing: buffer[start...]))
      let root = try composer.compose()
      return (root, composer.diagnostics)
    }
  }
}
