import PurserModel

/// One schema within the schema, ready to be checked. Others are known by their place in ``JSONSchema/subschemas``.
struct Subschema: Sendable {
  /// Where it stands.
  var pointer: String
  var form: Form

  enum Form: Sendable {
    /// `true` and `{}` allow everything, `false` nothing.
    case bool(Bool)
    /// What stands beside a `$ref` does not count in draft 7.
    case reference(Int)
    case keywords([Keyword])
  }

  /// A keyword, or several that only mean something together.
  enum Keyword: Sendable {
    case type([ValueType])
    case enumeration(Set<ByteString>, count: Int, only: String?)
    case constant(ByteString, brief: String)
    case multipleOf(ExactNumber)
    case bound(Bound, ExactNumber)
    case size(Size, Int)
    case pattern(Pattern)
    case items(Int)
    case tuple([Int], additional: Int?)
    case uniqueItems
    case contains(Int)
    case required([String])
    case properties([ByteString: Int], names: [String], patterns: [(Pattern, Int)], additional: Int?)
    case propertyNames(Int)
    case dependencies([(name: String, needs: Dependency)])
    case allOf([Int])
    case anyOf([Int])
    case oneOf([Int])
    case not(Int)
    case conditional(Int, then: Int?, else: Int?)
  }

  enum ValueType: String, CaseIterable, Sendable {
    case null, boolean, integer, number, string, array, object
  }

  enum Bound: String, CaseIterable, Sendable {
    case minimum, maximum, exclusiveMinimum, exclusiveMaximum
  }

  enum Size: String, CaseIterable, Sendable {
    case minLength, maxLength, minItems, maxItems, minProperties, maxProperties
  }

  enum Dependency: Sendable {
    case properties([String])
    case schema(Int)
  }

  /// The schemas that look at the same place of the value as this one does.
  var inPlace: [Int] {
    switch form {
    case .bool: []
    case .reference(let target): [target]
    case .keywords(let keywords):
      keywords.flatMap { keyword in
        switch keyword {
        case .allOf(let schemas), .anyOf(let schemas), .oneOf(let schemas): schemas
        case .not(let schema): [schema]
        case .conditional(let condition, let then, let otherwise):
          [condition] + [then, otherwise].compactMap { $0 }
        case .dependencies(let dependencies):
          dependencies.compactMap { if case .schema(let schema) = $0.needs { schema } else { nil } }
        default: [Int]()
        }
      }
    }
  }
}
