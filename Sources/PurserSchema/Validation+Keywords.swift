import PurserModel

extension Validation {
  mutating func check(_ number: ExactNumber?, by keyword: Subschema.Keyword, of pointer: String) {
    guard let number else { return add("the number is not finite", pointer) }
    switch keyword {
    case .multipleOf(let divisor):
      if !number.isMultiple(of: divisor) { add("\(number) is not a multiple of \(divisor)", pointer + "/multipleOf") }
    case .bound(let bound, let limit):
      let problem: String? =
        switch bound {
        case .minimum: number < limit ? "less than the minimum" : nil
        case .maximum: number > limit ? "more than the maximum" : nil
        case .exclusiveMinimum: number <= limit ? "not more than" : nil
        case .exclusiveMaximum: number >= limit ? "not less than" : nil
        }
      if let problem { add("\(number) is \(problem) \(limit)", "\(pointer)/\(bound.rawValue)") }
    default: break
    }
  }

  mutating func check(_ value: Value, _ size: Subschema.Size, _ limit: Int, _ pointer: String) {
    let (count, singular, plural, isMinimum): (Int, String, String, Bool)
    switch (size, value) {
    case (.minLength, .string(let text)), (.maxLength, .string(let text)):
      guard spend(text.utf8.count / 64) else { return }
      count = text.unicodeScalars.count
      (singular, plural, isMinimum) = ("character", "characters", size == .minLength)
    case (.minItems, .array(let elements)), (.maxItems, .array(let elements)):
      (count, singular, plural, isMinimum) = (elements.count, "element", "elements", size == .minItems)
    case (.minProperties, .object(let members)), (.maxProperties, .object(let members)):
      (count, singular, plural, isMinimum) = (members.list.count, "property", "properties", size == .minProperties)
    default: return
    }
    guard isMinimum ? count < limit : count > limit else { return }
    let subject: String
    switch value {
    case .string: subject = "\(value.brief) has"
    case .array: subject = "the array has"
    default: subject = "the object has"
    }
    let bound = "\(isMinimum ? "at least" : "at most") \(limit)"
    add(
      "\(subject) \(count) \(count == 1 ? singular : plural), and \(bound) \(limit == 1 ? "is" : "are") allowed",
      pointer)
  }

  mutating func check(_ elements: [Value], by keyword: Subschema.Keyword, of pointer: String) {
    switch keyword {
    case .items(let id):
      for (index, element) in elements.enumerated() where !isDone { check(element, at: .index(index), by: id) }
    case .tuple(let ids, let additional):
      for (index, element) in elements.enumerated() where !isDone {
        guard let id = index < ids.count ? ids[index] : additional else { break }
        check(element, at: .index(index), by: id)
      }
    case .uniqueItems:
      var places: [ByteString: Int] = [:]
      for (index, element) in elements.enumerated() where !isDone && spend(1) {
        if let first = places.updateValue(index, forKey: canonicalForm(of: element)) {
          add(
            "\(element.brief) stands there twice: it is element \(first) too", pointer + "/uniqueItems",
            below: .index(index))
        }
      }
    case .contains(let id):
      for element in elements where steps >= 0 {
        if fits(element, id) { return }
      }
      add("the array has no element that it has to contain", pointer + "/contains")
    default: break
    }
  }

  mutating func check(_ members: Value.Members, of object: Value, by keyword: Subschema.Keyword, pointer: String) {
    switch keyword {
    case .required(let names):
      for name in names where !isDone && spend(1) && members[ByteString(name)] == nil {
        add("property '\(Value.brief(name))' is missing", pointer + "/required")
      }
    case .properties(let properties, let names, let patterns, let additional):
      for (name, value) in members.list where !isDone {
        var isKnown = false
        if let id = properties[ByteString(name)] {
          isKnown = true
          check(value, at: .name(name), by: id)
        }
        for (pattern, id) in patterns where !isDone && spend(1) && pattern.matches(name, steps: &steps) == true {
          isKnown = true
          check(value, at: .name(name), by: id)
        }
        if !isKnown, let additional { check(value, named: name, among: names, byAdditional: additional) }
      }
    case .propertyNames(let id):
      for (name, _) in members.list where !isDone {
        if let violation = attempt(.string(name), by: id).first {
          add("the property's name: \(violation.message)", violation.schemaPointer, below: .name(name))
        }
      }
    case .dependencies(let dependencies):
      for (name, needs) in dependencies where !isDone && spend(1) && members[ByteString(name)] != nil {
        switch needs {
        case .schema(let id): check(object, by: id)
        case .properties(let needed):
          for other in needed where !isDone && spend(1) && members[ByteString(other)] == nil {
            add(
              "property '\(Value.brief(other))' is missing, which '\(Value.brief(name))' needs",
              JSONPointer.appending(name, to: pointer + "/dependencies"))
          }
        }
      }
    default: break
    }
  }

  /// Checks a property that neither `properties` nor `patternProperties` knows.
  private mutating func check(_ value: Value, named name: String, among names: [String], byAdditional id: Int) {
    guard case .bool(false) = form(of: id) else {
      check(value, at: .name(name), by: id)
      return
    }
    // The search for a name that is near looks at all of them.
    guard spend(1 + names.count * 8) else { return }
    add(
      "property '\(Value.brief(name))' is not allowed" + Suggestion.hint(name, among: names), pointer(of: id),
      below: .name(name))
  }

  mutating func combine(_ value: Value, by keyword: Subschema.Keyword, of pointer: String) {
    switch keyword {
    case .allOf(let ids):
      for id in ids where !isDone { check(value, by: id) }
    case .anyOf(let ids):
      explain(value, ids, in: pointer + "/anyOf")
    case .oneOf(let ids):
      guard let first = explain(value, ids, in: pointer + "/oneOf") else { return }
      for index in ids.indices.dropFirst(first + 1) where steps >= 0 && fits(value, ids[index]) {
        return add(
          "\(value.brief) fits more than one of the schemas of which it may fit only one: \(first) and \(index)",
          pointer + "/oneOf")
      }
    case .not(let id):
      if fits(value, id) { add("\(value.brief) is what 'not' excludes", pointer + "/not") }
    case .conditional(let condition, let then, let otherwise):
      if let id = fits(value, condition) ? then : otherwise { check(value, by: id) }
    default: break
    }
  }

  /// The first schema that the value fits. If there is none, what keeps it from fitting the one that it is nearest to
  /// is told: the one it violates least, where a wrong type is furthest off.
  @discardableResult
  private mutating func explain(_ value: Value, _ ids: [Int], in pointer: String) -> Int? {
    let here = instancePointer
    var nearest: (distance: Int, violation: Violation)?
    for (index, id) in ids.enumerated() where steps >= 0 {
      let violations = attempt(value, by: id, wanted: 10)
      guard let first = violations.first else { return steps >= 0 ? index : nil }
      let isOfType = !violations.contains { $0.instancePointer == here && $0.schemaPointer.hasSuffix("/type") }
      let distance = violations.count + (isOfType ? 0 : 100)
      if nearest.map({ distance < $0.distance }) ?? true { nearest = (distance, first) }
    }
    guard let nearest, steps >= 0 else { return nil }
    let problem = nearest.violation
    let relative = Value.brief(
      pointer: String(decoding: problem.instancePointer.utf8.dropFirst(here.utf8.count), as: UTF8.self))
    add(
      ids.count == 1
        ? (relative.isEmpty ? problem.message : "\(relative): \(problem.message)")
        : "\(value.brief) fits none of \(ids.count) schemas; the nearest says: "
          + (relative.isEmpty ? problem.message : "\(relative): \(problem.message)"), pointer)
    return nil
  }
}
