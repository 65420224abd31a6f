/// What a task returned: a list, or a single value, as JSON text.
///
/// The texts are kept as they came, so that a number too large for this machine's types is not changed on its way from
/// one program to another.
public struct TaskData: Sendable, Hashable {
  /// Whether it is a list; else `elements` holds the one value.
  public var isList: Bool
  /// Each element's JSON text.
  public var elements: [String]

  /// Makes data of elements that are JSON.
  public init(isList: Bool, elements: [String]) {
    self.isList = isList
    self.elements = elements
  }

  /// Reads one JSON text, a list or a value. O(size).
  public init(parsing bytes: some Collection<UInt8>) throws(JSONError) {
    (isList, elements) = try JSONText.elements(of: bytes)
  }

  /// The largest number of elements in one bin.
  public static let binSize = 500

  /// The whole as one JSON text.
  public var text: String { isList ? "[" + elements.joined(separator: ",") + "]" : elements.first ?? "null" }

  /// The whole in the form that does not depend on layout, the order of members or the spelling of strings and numbers:
  /// its digest is the data's version. Elements that are not JSON are left as they are. O(size).
  public var canonicalText: String { (try? JSONText.canonical(text)) ?? text }
}
