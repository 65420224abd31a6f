import PurserModel

/// Reads the keywords of one schema.
struct KeywordReader {
  private let members: Value.Members
  private let pointer: String
  private let id: Int
  private var keywords: [Subschema.Keyword] = []

  static func keywords(
    of members: Value.Members, at pointer: String, id: Int, in reader: inout SchemaReader
  ) -> [Subschema.Keyword] {
    var keywords = KeywordReader(members: members, pointer: pointer, id: id)
    for (name, value) in members.list { keywords.read(name, value, in: &reader) }
    return keywords.keywords
  }

  private init(members: Value.Members, pointer: String, id: Int) {
    self.members = members
    self.pointer = pointer
    self.id = id
  }

  /// Keywords that say nothing about whether a value is valid.
  private static let annotations: Set<String> = [
    "title", "description", "default", "examples", "$comment", "format", "readOnly", "writeOnly", "contentEncoding",
    "contentMediaType",
  ]

  private static let others: Set<String> = [
    "$id", "$schema", "$ref", "definitions", "type", "enum", "const", "multipleOf", "pattern", "items",
    "additionalItems", "uniqueItems", "contains", "required", "properties", "patternProperties",
    "additionalProperties", "propertyNames", "dependencies", "allOf", "anyOf", "oneOf", "not", "if", "then", "else",
  ]

  private static let known =
    (annotations.union(others).sorted() + Subschema.Bound.allCases.map(\.rawValue)
      + Subschema.Size.allCases.map(\.rawValue))

  /// What draft 7 says instead of a keyword of another draft.
  private static let replacements = [
    "$defs": "draft 7 calls it 'definitions'", "id": "draft 7 calls it '$id'",
    "prefixItems": "in draft 7, 'items' takes the list", "dependentRequired": "draft 7 calls it 'dependencies'",
    "dependentSchemas": "draft 7 calls it 'dependencies'", "$anchor": "draft 7 writes \"$id\": \"#name\"",
    "nullable": "JSON Schema writes \"type\": [\"string\", \"null\"]",
  ]

  private mutating func read(_ name: String, _ value: Value, in reader: inout SchemaReader) {
    let place = JSONPointer.appending(name, to: pointer)
    if let bound = Subschema.Bound(rawValue: name) {
      guard case .number(let number?) = value else { return reader.report(place, "\(value.brief) is not a number") }
      return keywords.append(.bound(bound, number))
    }
    if let size = Subschema.Size(rawValue: name) {
      guard case .number(let number?) = value, let count = number.count else {
        return reader.report(place, "\(value.brief) is not an integer from 0 up")
      }
      return keywords.append(.size(size, count))
    }
    switch name {
    case "type": readType(value, place, in: &reader)
    case "enum", "const", "multipleOf", "pattern", "uniqueItems":
      readAssertion(name, value, place, in: &reader)
    case "required":
      if let names = names(value, place, in: &reader), !names.isEmpty { keywords.append(.required(names)) }
    case "items": readItems(value, place, in: &reader)
    case "additionalItems":
      // With a list of items it is read there; without, it means nothing, but has to be a schema.
      if case .array? = members[ByteString("items")] { return }
      reader.read(value, at: place)
    case "contains": keywords.append(.contains(reader.read(value, at: place)))
    case "propertyNames": keywords.append(.propertyNames(reader.read(value, at: place)))
    case "not": keywords.append(.not(reader.read(value, at: place)))
    case "allOf":
      if let schemas = schemas(value, place, in: &reader) { keywords.append(.allOf(schemas)) }
    case "anyOf":
      if let schemas = schemas(value, place, in: &reader) { keywords.append(.anyOf(schemas)) }
    case "oneOf":
      if let schemas = schemas(value, place, in: &reader) { keywords.append(.oneOf(schemas)) }
    case "if":
      let condition = reader.read(value, at: place)
      let then = optional("then", in: &reader)
      let otherwise = optional("else", in: &reader)
      if then != nil || otherwise != nil { keywords.append(.conditional(condition, then: then, else: otherwise)) }
    case "then", "else":
      if members[ByteString("if")] == nil { reader.read(value, at: place) }
    case "properties": readProperties(in: &reader)
    case "patternProperties":
      if members[ByteString("properties")] == nil { readProperties(in: &reader) }
    case "additionalProperties":
      if members[ByteString("properties")] == nil, members[ByteString("patternProperties")] == nil {
        readProperties(in: &reader)
      }
    case "dependencies": readDependencies(value, place, in: &reader)
    case "definitions":
      for (name, schema) in object(value, place, in: &reader)?.list ?? [] {
        reader.read(schema, at: JSONPointer.appending(name, to: place))
      }
    case "$ref": break
    case "$id": readIdentifier(value, place, in: &reader)
    case "$schema": readDraft(value, place, in: &reader)
    case _ where Self.annotations.contains(name): break
    default:
      let hint = Self.replacements[name].map { "; " + $0 } ?? Suggestion.hint(name, among: Self.known)
      reader.report(place, "keyword '\(Value.brief(name))' is not supported" + hint)
    }
  }

  private mutating func readType(_ value: Value, _ place: String, in reader: inout SchemaReader) {
    guard let names = value.string.map({ [$0] }) ?? names(value, place, in: &reader) else { return }
    guard !names.isEmpty else { return reader.report(place, "the list of types is empty") }
    var types: [Subschema.ValueType] = []
    for name in names {
      if let type = Subschema.ValueType(rawValue: name) {
        types.append(type)
      } else {
        let hint = Suggestion.hint(name, among: Subschema.ValueType.allCases.map(\.rawValue))
        reader.report(place, "'\(Value.brief(name))' is not a type of JSON" + hint)
      }
    }
    keywords.append(.type(types))
  }

  private mutating func readAssertion(_ name: String, _ value: Value, _ place: String, in reader: inout SchemaReader) {
    switch (name, value) {
    case ("const", _): keywords.append(.constant(value.canonicalForm, brief: value.brief))
    case ("enum", .array(let values)):
      guard !values.isEmpty else { return reader.report(place, "the list of values is empty") }
      let shown = values.count <= 8 ? values.map(\.brief).joined(separator: ", ") : nil
      keywords.append(.enumeration(Set(values.map(\.canonicalForm)), count: values.count, only: shown))
    case ("enum", _): reader.report(place, "\(value.brief) is not an array")
    case ("multipleOf", .number(let number?)) where number.isPositive: keywords.append(.multipleOf(number))
    case ("multipleOf", _): reader.report(place, "\(value.brief) is not a number above 0")
    case ("pattern", .string(let source)):
      if let pattern = pattern(source, place, in: &reader) { keywords.append(.pattern(pattern)) }
    case ("pattern", _): reader.report(place, "\(value.brief) is not a text")
    case (_, .bool(let isUnique)):
      if isUnique { keywords.append(.uniqueItems) }
    default: reader.report(place, "\(value.brief) is not true or false")
    }
  }

  private mutating func readItems(_ value: Value, _ place: String, in reader: inout SchemaReader) {
    guard case .array(let elements) = value else { return keywords.append(.items(reader.read(value, at: place))) }
    let schemas = elements.enumerated().map { reader.read($1, at: JSONPointer.appending("\($0)", to: place)) }
    keywords.append(.tuple(schemas, additional: optional("additionalItems", in: &reader)))
  }

  private mutating func readProperties(in reader: inout SchemaReader) {
    var schemas: [ByteString: Int] = [:]
    var names: [String] = []
    var patterns: [(Pattern, Int)] = []
    let place = JSONPointer.appending("properties", to: pointer)
    if let value = members[ByteString("properties")], let properties = object(value, place, in: &reader) {
      for (name, schema) in properties.list {
        names.append(name)
        schemas[ByteString(name)] = reader.read(schema, at: JSONPointer.appending(name, to: place))
      }
    }
    let patternPlace = JSONPointer.appending("patternProperties", to: pointer)
    if let value = members[ByteString("patternProperties")], let all = object(value, patternPlace, in: &reader) {
      for (source, schema) in all.list {
        let place = JSONPointer.appending(source, to: patternPlace)
        let id = reader.read(schema, at: place)
        if let pattern = pattern(source, place, in: &reader) { patterns.append((pattern, id)) }
      }
    }
    let additional = optional("additionalProperties", in: &reader)
    keywords.append(.properties(schemas, names: names, patterns: patterns, additional: additional))
  }

  private mutating func readDependencies(_ value: Value, _ place: String, in reader: inout SchemaReader) {
    guard let object = object(value, place, in: &reader) else { return }
    var dependencies: [(name: String, needs: Subschema.Dependency)] = []
    for (name, needs) in object.list {
      let place = JSONPointer.appending(name, to: place)
      if case .array = needs {
        if let names = names(needs, place, in: &reader) { dependencies.append((name, .properties(names))) }
      } else {
        dependencies.append((name, .schema(reader.read(needs, at: place))))
      }
    }
    keywords.append(.dependencies(dependencies))
  }

  private func readIdentifier(_ value: Value, _ place: String, in reader: inout SchemaReader) {
    // Beside a reference it means nothing, as all else.
    if members[ByteString("$ref")] != nil { return }
    guard let text = value.string else { return reader.report(place, "\(value.brief) is not a text") }
    if text.utf8.first == UInt8(ascii: "#") {
      let name = text.dropFirst()
      guard !name.isEmpty, name.utf8.first != UInt8(ascii: "/") else {
        if !name.isEmpty { reader.report(place, "'\(Value.brief(text))' is no name: '/' begins a pointer") }
        return
      }
      if reader.anchors.updateValue(id, forKey: ByteString(name)) != nil {
        reader.report(place, "two schemas have the name '\(Value.brief(text))'")
      }
    } else if pointer.isEmpty {
      reader.identifier = String(text.prefix { $0 != "#" })
    } else {
      reader.report(
        place,
        "'$id' within a schema changes what references lead to, which is not supported; remove it, and refer to the "
          + "schema by '#/definitions/…'")
    }
  }

  private func readDraft(_ value: Value, _ place: String, in reader: inout SchemaReader) {
    guard let text = value.string else { return reader.report(place, "\(value.brief) is not a text") }
    let name = text.utf8.last == UInt8(ascii: "#") ? text.dropLast() : text[...]
    guard ["http://json-schema.org/draft-07/schema", "https://json-schema.org/draft-07/schema"].contains(name) else {
      return reader.report(
        place,
        "'\(Value.brief(text))' is not supported; write the schema in draft 7, \"http://json-schema.org/draft-07/schema#\""
      )
    }
  }

  private func optional(_ name: String, in reader: inout SchemaReader) -> Int? {
    members[ByteString(name)].map { reader.read($0, at: JSONPointer.appending(name, to: pointer)) }
  }

  private func object(_ value: Value, _ place: String, in reader: inout SchemaReader) -> Value.Members? {
    if case .object(let members) = value { return members }
    reader.report(place, "\(value.brief) is not an object")
    return nil
  }

  private func schemas(_ value: Value, _ place: String, in reader: inout SchemaReader) -> [Int]? {
    guard case .array(let elements) = value, !elements.isEmpty else {
      reader.report(place, "\(value.brief) is not a list of one schema or more")
      return nil
    }
    return elements.enumerated().map { reader.read($1, at: JSONPointer.appending("\($0)", to: place)) }
  }

  private func names(_ value: Value, _ place: String, in reader: inout SchemaReader) -> [String]? {
    guard case .array(let elements) = value else {
      reader.report(place, "\(value.brief) is not a list of names")
      return nil
    }
    let names = elements.compactMap(\.string)
    guard names.count == elements.count else {
      reader.report(place, "the list of names has something else in it")
      return nil
    }
    return names
  }

  private func pattern(_ source: String, _ place: String, in reader: inout SchemaReader) -> Pattern? {
    do {
      return try Pattern(source)
    } catch {
      reader.report(place, "the pattern '\(Value.brief(source))' cannot be used: \(error.message)")
      return nil
    }
  }
}

extension Value {
  fileprivate var string: String? {
    if case .string(let text) = self { text } else { nil }
  }
}
