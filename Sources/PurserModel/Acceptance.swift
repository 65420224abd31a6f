/// Somebody's word that a result stands for what it was not made from.
public struct Acceptance: Sendable, Hashable {
  /// What was vouched for.
  public enum Kind: String, Sendable {
    /// What had changed since the result was made is harmless.
    case accepted
    /// The outputs were made without Purser, and are what the task would have made.
    case adopted
  }

  /// What was vouched for.
  public var kind: Kind
  /// ISO 8601.
  public var at: String
  /// Who said so: `user@host`, as far as the environment tells.
  public var by: String
  /// The reason given.
  public var why: String
  /// What differed, as the JSON text of an array of changes; `[]` for an adoption.
  public var changes: String

  /// Makes an acceptance.
  public init(kind: Kind, at: String, by: String, why: String, changes: String = "[]") {
    self.kind = kind
    self.at = at
    self.by = by
    self.why = why
    self.changes = changes
  }

  /// The documented JSON form, without the changes.
  public var json: JSON { .object(members) }

  /// The documented JSON form with the changes.
  public var jsonWithChanges: JSON {
    .object(members + [("changes", (try? JSON(parsing: changes.utf8)) ?? .array([]))])
  }

  private var members: [(String, JSON)] {
    [("kind", .string(kind.rawValue)), ("at", .string(at)), ("by", .string(by)), ("why", .string(why))]
  }
}
