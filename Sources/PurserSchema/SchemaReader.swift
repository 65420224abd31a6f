import PurserModel

/// Reads a schema: every keyword into what is to be checked, or into a problem.
struct SchemaReader {
  private static let maximumSchemas = 10_000
  private static let maximumProblems = 100
  /// In bytes. Every schema keeps its pointer, and very long names would be kept in each of them.
  private static let maximumPointerSize = 4096

  var subschemas: [Subschema] = []
  var problems: [JSONSchemaError.Problem] = []
  /// The schemas by their pointers.
  var places: [ByteString: Int] = [:]
  /// The schemas by the names that `"$id": "#name"` gives them.
  var anchors: [ByteString: Int] = [:]
  var references: [(from: Int, to: String)] = []
  /// The schema's own `$id`, without a fragment.
  var identifier: String?

  mutating func read(_ schema: JSON) throws(JSONSchemaError) {
    do {
      read(try Value(schema), at: "")
    } catch {
      report(JSONPointer.pointer(to: error.path), error.message)
    }
    if problems.isEmpty { resolveReferences() }
    if problems.isEmpty { refuseLoops() }
    guard problems.isEmpty else { throw JSONSchemaError(problems: problems) }
  }

  mutating func report(_ pointer: String, _ message: String) {
    if problems.count < Self.maximumProblems { problems.append(.init(pointer: pointer, message: message)) }
  }

  /// Reads one schema, with those within it; gives its place among the ``subschemas``.
  @discardableResult
  mutating func read(_ value: Value, at pointer: String) -> Int {
    let id = subschemas.count
    subschemas.append(Subschema(pointer: pointer, form: .bool(true)))
    guard id < Self.maximumSchemas else {
      if id == Self.maximumSchemas { report("", "it has more than \(Self.maximumSchemas) schemas within it") }
      return id
    }
    guard pointer.utf8.count <= Self.maximumPointerSize else {
      report("", "it has a schema whose pointer is longer than \(Self.maximumPointerSize) bytes; use shorter names")
      return id
    }
    places[ByteString(pointer)] = id
    switch value {
    case .bool(let allows): subschemas[id].form = .bool(allows)
    case .object(let members):
      let keywords = KeywordReader.keywords(of: members, at: pointer, id: id, in: &self)
      if let reference = members[ByteString("$ref")] {
        if case .string(let target) = reference {
          references.append((id, target))
        } else {
          report(JSONPointer.appending("$ref", to: pointer), "\(reference.brief) is not a text")
        }
      } else {
        subschemas[id].form = keywords.isEmpty ? .bool(true) : .keywords(keywords)
      }
    default: report(pointer, "\(value.brief) is not a schema; an object, true or false is expected")
    }
    return id
  }
}

extension SchemaReader {
  /// Lets every `$ref` lead to the schema that it names.
  private mutating func resolveReferences() {
    for (id, reference) in references {
      if let target = target(of: reference, from: id) { subschemas[id].form = .reference(target) }
    }
  }

  private mutating func target(of reference: String, from id: Int) -> Int? {
    let pointer = JSONPointer.appending("$ref", to: subschemas[id].pointer)
    let shown = Value.brief(reference)
    let parts = reference.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
    let document = String(parts[0])
    guard document.isEmpty || identifier.map({ $0.utf8.elementsEqual(document.utf8) }) == true else {
      report(
        pointer,
        "'\(shown)' leads to another document, which is not supported; put that schema under 'definitions' and refer to "
          + "it by '#/definitions/…'")
      return nil
    }
    guard let fragment = JSONPointer.unescaped(fragment: parts.count == 2 ? parts[1] : "") else {
      report(pointer, "'\(shown)' has a '%' that is followed by no UTF-8 in two hex digits each")
      return nil
    }
    if !fragment.isEmpty, fragment.utf8.first != UInt8(ascii: "/") {
      if let target = anchors[ByteString(fragment)] { return target }
      report(pointer, "no schema here has the \"$id\": \"#\(Value.brief(fragment))\"")
      return nil
    }
    guard JSONPointer.isValid(fragment) else {
      report(pointer, "'\(shown)' is no JSON pointer: '~' has to be followed by 0 or 1")
      return nil
    }
    if let target = places[ByteString(fragment)] { return target }
    let names = places.keys.map { String(decoding: $0.bytes, as: UTF8.self) }.filter { !$0.isEmpty }.sorted()
    report(
      pointer,
      "'\(shown)' leads to no schema" + (names.count > 1000 ? "" : Suggestion.hint(fragment, among: names)))
    return nil
  }

  /// Refuses schemas that lead back to themselves without going on in the value: they would never end.
  private mutating func refuseLoops() {
    enum Mark { case new, open, closed }
    var marks = Array(repeating: Mark.new, count: subschemas.count)
    for root in subschemas.indices where marks[root] == .new {
      // Its own stack: a chain of references may be as long as the schema.
      var path: [(id: Int, rest: ArraySlice<Int>)] = [(root, subschemas[root].inPlace[...])]
      marks[root] = .open
      while let last = path.last {
        guard let next = last.rest.first else {
          marks[last.id] = .closed
          path.removeLast()
          continue
        }
        path[path.count - 1].rest.removeFirst()
        switch marks[next] {
        case .closed: continue
        case .new:
          marks[next] = .open
          path.append((next, subschemas[next].inPlace[...]))
        case .open:
          let start = path.firstIndex { $0.id == next } ?? 0
          let loop = path[start...].map(\.id) + [next]
          let shown = loop.count > 10 ? Array(loop.prefix(9)) + [next] : loop
          let names = shown.map { "#" + Value.brief(pointer: subschemas[$0].pointer) }
          report(
            subschemas[next].pointer,
            "it leads back to itself at the same place of the value, without end: "
              + names.joined(separator: " → "))
        }
      }
    }
  }
}
