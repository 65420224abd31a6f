/// Where a record store's schema stands.
public struct SchemaStatus: Sendable, Hashable {
  /// The version in the file; 0 for an empty one, or none.
  public var version: Int64
  /// Every migration that this build knows, in order.
  public var migrations: [Migration]

  /// One step of the schema.
  public struct Migration: Sendable, Hashable {
    /// The version that it leads to.
    public var version: Int64
    /// Its name.
    public var name: String
    /// When it was applied, ISO 8601; `nil` if it was not.
    public var appliedAt: String?

    /// Makes a description.
    public init(version: Int64, name: String, appliedAt: String?) {
      self.version = version
      self.name = name
      self.appliedAt = appliedAt
    }
  }

  /// Makes a status.
  public init(version: Int64, migrations: [Migration]) {
    self.version = version
    self.migrations = migrations
  }
}
