import PurserModel
import Testing

@Suite("Swift values as JSON")
struct JSONCodingTests {
  private struct Point: Codable, Equatable {
    var x: Double
    var y: Float
    var name: String?
    var tags: [String: Int]
    var nested: [[Bool]]
  }

  private enum Shape: Codable, Equatable {
    case circle(radius: UInt8)
    case line(Int, Int)
    case none
  }

  private class Animal: Codable {
    var legs = 4
    init() {}
  }

  private final class Dog: Animal {
    var name = "Rex"
    private enum CodingKeys: CodingKey { case name }
    override init() { super.init() }
    required init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      name = try container.decode(String.self, forKey: .name)
      try super.init(from: container.superDecoder())
    }
    override func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(name, forKey: .name)
      try super.encode(to: container.superEncoder())
    }
  }

  private func text(_ value: some Encodable) throws -> String { try JSON(encoding: value).serialized }

  private func back<Value: Codable>(_ value: Value) throws -> Value {
    try JSON(parsing: text(value).utf8).decoded()
  }

  @Test("members are sorted, and absent ones left out")
  func texts() throws {
    let point = Point(x: 1.5, y: 0.1, name: nil, tags: ["b": 2, "a": 1], nested: [[true], []])
    #expect(try text(point) == #"{"nested":[[true],[]],"tags":{"a":1,"b":2},"x":1.5,"y":0.1}"#)
    #expect(try back(point) == point)
    #expect(try text([String?.none, "a\"\n"]) == #"[null,"a\"\n"]"#)
    #expect(try text(Shape.circle(radius: 255)) == #"{"circle":{"radius":255}}"#)
    #expect(try text(Dog()) == #"{"name":"Rex","super":{"legs":4}}"#)
    #expect(try text(["é": 1, "e": 2, "z": 3]) == #"{"e":2,"z":3,"é":1}"#)
    #expect(try text(3) == "3" && text("x") == #""x""# && text(Int?.none) == "null" && text([Int]()) == "[]")
  }

  @Test("come back as they were")
  func roundTrips() throws {
    for shape in [Shape.circle(radius: 0), .line(.min, .max), .none] { #expect(try back(shape) == shape) }
    #expect(try back([Int8.min, .max]) == [.min, .max])
    #expect(try back([1: "a", 2: "b"]) == [1: "a", 2: "b"])
    #expect(
      try back([Double.leastNonzeroMagnitude, .greatestFiniteMagnitude, -0.0, 1 / 3]).map(\.bitPattern)
        == [Double.leastNonzeroMagnitude, .greatestFiniteMagnitude, -0.0, 1 / 3].map(\.bitPattern))
    #expect(
      try back([Float(0.1), .leastNonzeroMagnitude, .greatestFiniteMagnitude])
        == [0.1, .leastNonzeroMagnitude, .greatestFiniteMagnitude])
    let dog = Dog()
    dog.legs = 3
    #expect(try back(dog).legs == 3)
    #expect(try back([Point?.none]) == [nil])
  }

  @Test("numbers that JSON does not have are refused with their place")
  func refused() {
    func place(_ value: some Encodable) -> String? {
      do {
        _ = try JSON(encoding: value)
        return nil
      } catch EncodingError.invalidValue(_, let context) {
        return context.codingPath.map { $0.stringValue }.joined(separator: ".") + ": " + context.debugDescription
      } catch {
        return "\(error)"
      }
    }
    #expect(place(["a": [1, Double.nan]]) == "a.Index 1: JSON has no number nan")
    #expect(place(-Double.infinity) == ": JSON has no number -inf")
    #expect(
      place([UInt64.max])
        == "Index 0: the integer 18446744073709551615 does not fit 64 bits with a sign; encode it as a text")
    #expect(place(UInt64(Int64.max)) == nil)
  }

  @Test(
    "what is of another type is told with its place",
    arguments: [
      (#"{"x":"1","y":1,"tags":{},"nested":[]}"#, "x: Double is expected, not a text"),
      (#"{"x":1,"y":1,"tags":{"a":1.5},"nested":[]}"#, "tags.a: 1.5 is no Int"),
      (#"{"x":1,"y":1,"tags":{},"nested":[[true],[null]]}"#, "nested.Index 1.Index 0: Bool is expected, not null"),
      (#"{"x":1,"y":1,"tags":{}}"#, ": 'nested' is missing"),
      (#"[]"#, ": Dictionary<String, Any> is expected, not a list"),
    ])
  func mismatches(text: String, expected: String) throws {
    let json = try JSON(parsing: text.utf8)
    do {
      _ = try json.decoded(as: Point.self)
      Issue.record("decoded")
    } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
      DecodingError.keyNotFound(_, let context), DecodingError.dataCorrupted(let context)
    {
      #expect(
        context.codingPath.map { $0.stringValue }.joined(separator: ".") + ": " + context.debugDescription == expected)
    }
  }

  @Test("integers are read from numbers only where they are the same")
  func integers() throws {
    #expect(try JSON.number(2).decoded(as: Int.self) == 2)
    #expect(throws: DecodingError.self) { try JSON.number(2.5).decoded(as: Int.self) }
    #expect(throws: DecodingError.self) { try JSON.integer(256).decoded(as: UInt8.self) }
    #expect(throws: DecodingError.self) { try JSON.integer(-1).decoded(as: UInt.self) }
    #expect(try JSON.integer(3).decoded(as: Double.self) == 3)
    #expect(throws: DecodingError.self) { try JSON.bool(true).decoded(as: Int.self) }
    #expect(throws: DecodingError.self) { try JSON.integer(1).decoded(as: Bool.self) }
  }
}
