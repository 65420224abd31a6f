/// What a task is made from, at one moment: its components, the digest of each group, and the action key over all.
public struct Fingerprint: Sendable, Hashable {
  /// Sorted by (tag, name), each pair once.
  public var components: [Component]
  /// The digest of each group's components.
  public var code: Digest
  /// The digest of each group's components.
  public var inputs: Digest
  /// The digest of each group's components.
  public var data: Digest
  /// The digest over every component: two tasks with the same key do the same work.
  public var actionKey: Digest

  /// Puts together what `ActionKey` has computed.
  public init(components: [Component], code: Digest, inputs: Digest, data: Digest, actionKey: Digest) {
    self.components = components
    self.code = code
    self.inputs = inputs
    self.data = data
    self.actionKey = actionKey
  }

  /// The digest of one group.
  public func digest(of group: Component.Group) -> Digest {
    switch group {
    case .code: code
    case .inputs: inputs
    case .data: data
    }
  }
}

/// One difference between two fingerprints.
public struct Change: Sendable, Hashable {
  /// The component's kind and name.
  public var tag: Component.Tag
  /// The component's name; for a file inside a folder component, the path of that file.
  public var name: ByteString
  /// The earlier value; `nil` where the component was added.
  public var was: Component.Value?
  /// The present value; `nil` where the component was removed.
  public var now: Component.Value?

  /// Makes a change.
  public init(tag: Component.Tag, name: ByteString, was: Component.Value?, now: Component.Value?) {
    self.tag = tag
    self.name = name
    self.was = was
    self.now = now
  }

  /// The component's name as people see it.
  public var label: String { Component(tag, name, .absent).label }

  /// The same for messages: without control characters.
  public var printableLabel: String { Component(tag, name, .absent).printableLabel }

  /// What differs between two lists of components, each sorted by (tag, name). O(n + m).
  public static func between(_ old: [Component], _ new: [Component]) -> [Change] {
    var changes: [Change] = []
    var left = old[...]
    var right = new[...]
    while let was = left.first ?? right.first {
      let now = right.first
      if let was = left.first, let now, (was.tag, was.name) == (now.tag, now.name) {
        if was.value != now.value {
          changes.append(Change(tag: was.tag, name: was.name, was: was.value, now: now.value))
        }
        left.removeFirst()
        right.removeFirst()
      } else if left.isEmpty || now.map({ ($0.tag.rawValue, $0.name) < (was.tag.rawValue, was.name) }) == true {
        let added = right.removeFirst()
        changes.append(Change(tag: added.tag, name: added.name, was: nil, now: added.value))
      } else {
        changes.append(Change(tag: was.tag, name: was.name, was: was.value, now: nil))
        left.removeFirst()
      }
    }
    return changes
  }
}
