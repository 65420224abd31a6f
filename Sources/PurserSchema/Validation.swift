import PurserModel

/// One check of one value.
struct Validation {
  private let subschemas: [Subschema]
  private let limit: Int
  /// What is left of the work that the check may cost; below 0, it is given up.
  var steps: Int
  /// Where in the value the check is.
  private var path: [Place] = []
  private var depth = 0
  private var found: [Violation] = []
  /// How many violations are worth finding: one, where only their presence matters.
  private var wanted = JSONSchema.maximumViolations

  enum Place {
    case name(String)
    case index(Int)
  }

  init(subschemas: [Subschema], steps: Int) {
    self.subschemas = subschemas
    self.steps = steps
    limit = steps
  }

  mutating func violations(of value: Value) -> [Violation] {
    check(value, by: 0)
    if steps < 0 {
      found = Array(found.prefix(JSONSchema.maximumViolations - 1))
      found.append(
        Violation(
          instancePointer: "", schemaPointer: "",
          message: "the check was given up after \(limit) steps; make the value smaller or its schema simpler"))
    }
    return found
  }

  /// Nothing that is found from here on would change the answer.
  var isDone: Bool { steps < 0 || found.count >= wanted }

  /// Whether the value at the present place fits a schema; if not, why not is added to what was found.
  @discardableResult
  mutating func check(_ value: Value, by id: Int) -> Bool {
    guard spend(1) else { return false }
    let before = found.count
    depth += 1
    defer { depth -= 1 }
    guard depth <= JSONSchema.maximumDepth else {
      add("it takes more than \(JSONSchema.maximumDepth) schemas within schemas to check this", subschemas[id].pointer)
      return false
    }
    switch subschemas[id].form {
    case .bool(true): break
    case .bool(false): add("nothing is allowed here", subschemas[id].pointer)
    case .reference(let target): check(value, by: target)
    case .keywords(let keywords):
      for keyword in keywords where !isDone && spend(1) { check(value, by: keyword, of: subschemas[id].pointer) }
    }
    return steps >= 0 && found.count == before
  }

  /// As ``check(_:by:)``, one step down.
  @discardableResult
  mutating func check(_ value: Value, at place: Place, by id: Int) -> Bool {
    path.append(place)
    defer { path.removeLast() }
    return check(value, by: id)
  }

  /// What the value violates, at most `wanted`, without adding it to what was found.
  mutating func attempt(_ value: Value, by id: Int, wanted: Int = 1) -> [Violation] {
    let outer = (found, self.wanted)
    (found, self.wanted) = ([], wanted)
    defer { (found, self.wanted) = outer }
    check(value, by: id)
    return found
  }

  /// Whether the value fits; nothing is added. False once the check is given up.
  mutating func fits(_ value: Value, _ id: Int) -> Bool {
    attempt(value, by: id).isEmpty && steps >= 0
  }

  /// Counts work; false once there was too much.
  mutating func spend(_ work: Int) -> Bool {
    steps -= work
    return steps >= 0
  }

  mutating func add(_ message: String, _ schemaPointer: String, below place: Place? = nil) {
    guard !isDone else { return }
    let here = instancePointer
    let pointer = place.map { Self.pointer(here, $0) } ?? here
    // Long names, over and over, would be work too.
    steps -= (pointer.utf8.count * path.count) / 64
    found.append(Violation(instancePointer: pointer, schemaPointer: schemaPointer, message: message))
  }

  /// Where the check is. O(size).
  var instancePointer: String { path.reduce("", Self.pointer) }

  private static func pointer(_ pointer: String, _ place: Place) -> String {
    switch place {
    case .name(let name): JSONPointer.appending(name, to: pointer)
    case .index(let index): "\(pointer)/\(index)"
    }
  }

  func form(of id: Int) -> Subschema.Form { subschemas[id].form }

  func pointer(of id: Int) -> String { subschemas[id].pointer }

  /// The canonical form of a value, its cost counted.
  mutating func canonicalForm(of value: Value) -> ByteString {
    let form = value.canonicalForm
    steps -= form.count / 16
    return form
  }

  private mutating func check(_ value: Value, by keyword: Subschema.Keyword, of pointer: String) {
    func schema(_ name: StaticString) -> String { "\(pointer)/\(name)" }
    switch keyword {
    case .type(let types):
      if !types.contains(where: { value.has(type: $0) }) {
        add("\(value.brief) is not \(types.map(\.withArticle).joined(separator: " or "))", schema("type"))
      }
    case .enumeration(let forms, let count, let only):
      if !forms.contains(canonicalForm(of: value)) {
        add("\(value.brief) is not one of \(only ?? "the \(count) values allowed")", schema("enum"))
      }
    case .constant(let form, let brief):
      if canonicalForm(of: value) != form {
        add("\(value.brief) is not \(brief), the one value allowed", schema("const"))
      }
    case .multipleOf, .bound:
      if case .number(let number) = value { check(number, by: keyword, of: pointer) }
    case .size(let size, let count): check(value, size, count, "\(pointer)/\(size.rawValue)")
    case .pattern(let pattern):
      if case .string(let text) = value, pattern.matches(text, steps: &steps) == false {
        add("\(value.brief) does not match the pattern '\(Value.brief(pattern.source))'", schema("pattern"))
      }
    case .items, .tuple, .uniqueItems, .contains:
      if case .array(let elements) = value { check(elements, by: keyword, of: pointer) }
    case .required, .properties, .propertyNames, .dependencies:
      if case .object(let members) = value { check(members, of: value, by: keyword, pointer: pointer) }
    case .allOf, .anyOf, .oneOf, .not, .conditional:
      combine(value, by: keyword, of: pointer)
    }
  }
}

extension Value {
  fileprivate func has(type: Subschema.ValueType) -> Bool {
    switch (self, type) {
    case (.null, .null), (.bool, .boolean), (.number, .number), (.string, .string), (.array, .array),
      (.object, .object):
      true
    case (.number(let number), .integer): number?.isInteger == true
    default: false
    }
  }
}

extension Subschema.ValueType {
  fileprivate var withArticle: String {
    switch self {
    case .null: "null"
    case .integer, .array, .object: "an \(rawValue)"
    case .boolean, .number, .string: "a \(rawValue)"
    }
  }
}
