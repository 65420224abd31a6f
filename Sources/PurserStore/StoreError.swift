/// Why a store could not do what it was asked.
public struct StoreError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The kind of failure; decides the exit code.
  public enum Code: Sendable, Hashable {
    /// Somebody else holds the gate for too long. Try again.
    case busy
    /// The store cannot be used: foreign, newer, on a network file system, not permitted.
    case unavailable
    /// What is stored is damaged.
    case corrupt
    /// The disk, or the quota, is full.
    case full
    /// Reading or writing failed.
    case io
    /// The lease was taken over; what this owner made must not be published.
    case leaseLost
  }

  /// The kind of failure.
  public var code: Code
  /// What, which object, why, what to do next.
  public var message: String

  /// Makes an error.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// The message.
  public var description: String { message }
}
