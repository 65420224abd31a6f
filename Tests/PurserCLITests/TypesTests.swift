import PurserModel
import Testing

/// `purser types`, and work of a type: parameters are checked before anything is queued.
@Suite(.project)
struct TypesTests {
  let project = TestProject.current

  private func addType(_ name: ByteString = "resize", _ options: ByteString...) throws -> Outcome {
    try project.write(
      "schema.json",
      """
      {"type": "object", "required": ["year"], "additionalProperties": false, "properties": {
        "year": {"type": "integer", "minimum": 2000}, "name": {"type": "string", "pattern": "^[a-z]+$"}}}
      """)
    return try project.purser(
      ["types", "add", name, "--schema", "schema.json", "--output", "out-${year}.txt"] + options
        + [
          "--", "sh", "-c", "echo >> \"$COUNTS/resize\"; echo \"$PURSER_PARAMETERS\" > \"$1\"", "sh", "out-${year}.txt",
        ])
  }

  private func add(_ parameters: ByteString, _ options: ByteString...) throws -> Outcome {
    try project.purser(["queue", "add", "--type", "resize", "--params", parameters] + options)
  }

  private func work() throws -> [JSON] { try project.purser("queue", "--json").json()["work"]?.array ?? [] }

  @Test func `Work of a type is checked, queued and done with its parameters`() throws {
    #expect(try addType().outputText == "registered resize@1\n")
    #expect(try add(#"{"year": 2026, "name": "abc"}"#).code == 0)
    #expect(try add(#"{"name":"abc","year":2026}"#).code == 0)
    #expect(try add(#"{"year":2027}"#, "--task", "mine").code == 0)
    #expect(try project.purser("worker", "-q", "--until-idle").code == 0)
    #expect(project.executions("resize") == 2, "the same parameters are the same task")
    #expect(try JSON(parsing: project.bytes("out-2027.txt"))["year"]?.integer == 2027)
    let done = try work()
    #expect(done.map { $0["type"]?.string } == ["resize@1", "resize@1", "resize@1"])
    #expect(done.map { $0["state"]?.string } == ["COMPLETED", "COMPLETED", "COMPLETED"])
    #expect(done[0]["task"]?.string == "mine" && done[1]["task"]?.string == done[2]["task"]?.string)
    #expect(done[0]["configuration"]?["parameters"]?.serialized == #"{"year":2027}"#)
    try project.write("parameters.json", #"{"year":2030}"#)
    #expect(try add("@parameters.json").code == 0)
    #expect(try work().count == 4)
  }

  @Test(arguments: [
    ("{\"year\":1999}", "/year: 1999 is less than the minimum 2000"), ("{}", "parameters: property 'year' is missing"),
    ("{\"year\":2001,\"yaer\":1}", "/yaer: property 'yaer' is not allowed"),
    ("{\"year\":", "the parameters are not JSON"),
    ("{\"year\":2001,\"name\":\"A\"}", "/name: "), ("@none.json", "'none.json' cannot be read"),
  ])
  func `Parameters that break the schema are refused with a pointer`(_ parameters: String, _ message: String) throws {
    #expect(try addType().code == 0)
    let outcome = try add(ByteString(parameters))
    #expect(outcome.code == 65 || outcome.code == 66)
    #expect(outcome.errorText.contains(message), "\(outcome.errorText)")
    #expect(try work().isEmpty)
  }

  @Test func `Types have versions, and can be disabled`() throws {
    #expect(try addType().code == 0)
    #expect(try addType().code == 0, "the same once more")
    let other = try addType("resize", "--env", "X")
    #expect(other.code == 65 && other.errorText.contains("give the new one another version"))
    #expect(try addType("resize", "--env", "X", "--version", "2").outputText == "registered resize@2\n")
    #expect(try project.purser("types", "disable", "resize@2").outputText == "disabled 1 version of resize@2\n")
    #expect(try add(#"{"year":2026}"#).code == 0)
    #expect(try work().first?["type"]?.string == "resize@1")
    #expect(try project.purser("types", "disable", "resize").code == 0)
    let refused = try add(#"{"year":2026}"#)
    #expect(refused.code == 65 && refused.errorText.contains("type 'resize' is disabled"))
    #expect(try project.purser("types", "enable", "resize@2").code == 0)
    #expect(try project.purser("types", "show", "resize", "--json").json()["version"]?.string == "2")
    let list = try project.purser("types", "--json").json()["types"]?.array ?? []
    #expect(list.map { "\($0["version"]?.string ?? "") \($0["active"]?.bool ?? false)" } == ["1 false", "2 true"])
  }

  @Test func `A schema that cannot be used is refused with every reason`() throws {
    try project.write("bad.json", #"{"typ":"object","properties":{"a":{"required":1},"b":{"minimum":"1"}}}"#)
    let outcome = try project.purser("types", "add", "t", "--schema", "bad.json", "--", "true")
    #expect(outcome.code == 65)
    for text in ["/typ: ", "/properties/a/required", "/properties/b/minimum"] {
      #expect(outcome.errorText.contains(text))
    }
    try project.write("bad.json", ##"{"$ref":"http://example.org/other"}"##)
    let remote = try project.purser("types", "add", "t", "--schema", "bad.json", "--", "true")
    #expect(remote.code == 65 && remote.errorText.contains("$ref"))
    #expect(try project.purser("types").outputText.hasPrefix("No types yet"))
    let unknown = try add("{}")
    #expect(unknown.code == 66 && unknown.errorText.contains("there is no type 'resize'"))
  }
}
