/// A value of a YAML file, with its place. What an alias stands for is shared, not copied.
final class YAMLNode: Sendable {
  enum Content: Sendable {
    case scalar(YAMLScalar)
    case sequence([YAMLNode])
    case mapping([YAMLEntry])
  }

  let mark: SourceMark
  let content: Content
  /// How many values it consists of, itself and those reached through aliases included.
  let weight: Int
  /// How many bytes of text they hold.
  let byteCount: Int
  /// Levels of lists and mappings.
  let height: Int

  init(_ scalar: YAMLScalar, at mark: SourceMark) {
    self.mark = mark
    content = .scalar(scalar)
    weight = 1
    byteCount = scalar.text.utf8.count
    height = 0
  }

  init(sequence: [YAMLNode], at mark: SourceMark) {
    self.mark = mark
    content = .sequence(sequence)
    weight = sequence.reduce(1) { $0 + $1.weight }
    byteCount = sequence.reduce(0) { $0 + $1.byteCount }
    height = sequence.reduce(0) { max($0, $1.height) } + 1
  }

  init(mapping: [YAMLEntry], at mark: SourceMark) {
    self.mark = mark
    content = .mapping(mapping)
    weight = mapping.reduce(1) { $0 + 1 + $1.value.weight }
    byteCount = mapping.reduce(0) { $0 + $1.key.utf8.count + $1.value.byteCount }
    height = mapping.reduce(0) { max($0, $1.value.height) } + 1
  }

  /// Whether nothing is said: `~`, `null`, or no text at all.
  var isNull: Bool {
    if case .scalar(let scalar) = content { scalar.isNull } else { false }
  }

  /// The text as it is written, if this is a scalar.
  var text: String? {
    if case .scalar(let scalar) = content { scalar.text } else { nil }
  }

  /// What it is, for messages.
  var kind: String {
    switch content {
    case .sequence: "a list"
    case .mapping: "a mapping"
    case .scalar(let scalar): scalar.kind
    }
  }
}

/// A name in a mapping, and its value.
struct YAMLEntry: Sendable {
  /// As it is written, whatever it would resolve to.
  let key: String
  let mark: SourceMark
  let value: YAMLNode
}
