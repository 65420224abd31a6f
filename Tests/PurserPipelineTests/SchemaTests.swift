import PurserModel
import Testing

@testable import PurserPipeline

@Suite("The schema")
struct SchemaTests {
  let schema: JSON

  init() throws {
    schema = try JSON(parsing: PipelineSchema.json.utf8)
  }

  private func keys(_ value: JSON?) -> Set<String> {
    guard case .object(let members)? = value?["properties"] else { return [] }
    return Set(members.map(\.0))
  }

  @Test("it has the keys that are read, and no others")
  func keys() {
    let definitions = schema["definitions"]
    #expect(keys(schema) == Set(RootKey.allCases.map(\.rawValue)))
    #expect(keys(definitions?["settings"]) == Set(SettingKey.allCases.map(\.rawValue)))
    #expect(keys(definitions?["graph"]) == Set(GraphKey.allCases.map(\.rawValue)))
    #expect(keys(definitions?["task"]) == Set(TaskKey.allCases.map(\.rawValue)))
    #expect(keys(definitions?["node"]?["anyOf"]?.array?.last) == Set(NodeKey.allCases.map(\.rawValue)))
    #expect(keys(definitions?["parent"]?["anyOf"]?.array?.last) == Set(ParentKey.allCases.map(\.rawValue)))
  }

  @Test("every key is described, and every reference leads somewhere")
  func descriptions() {
    var references: Set<String> = []
    func visit(_ value: JSON, _ path: String) {
      switch value {
      case .array(let elements): elements.forEach { visit($0, path) }
      case .object(let members):
        if let reference = value["$ref"]?.string { references.insert(reference) }
        for (name, member) in members {
          if name == "properties", case .object(let properties) = member {
            for (key, property) in properties {
              let target = property["$ref"]?.string.flatMap { reference in
                schema["definitions"]?[String(reference.dropFirst("#/definitions/".count))]
              }
              let text = property["description"]?.string ?? target?["description"]?.string
              #expect(text?.isEmpty == false, "\(path)/\(key) has no description")
            }
          }
          visit(member, "\(path)/\(name)")
        }
      default: break
      }
    }
    visit(schema, "")
    guard case .object(let definitions)? = schema["definitions"] else {
      Issue.record("there are no definitions")
      return
    }
    #expect(references == Set(definitions.map { "#/definitions/\($0.0)" }))
  }

  @Test("a key that the schema has is read, whatever its value")
  func accepted() {
    for key in TaskKey.allCases {
      #expect(!problems("tasks: {t: {\(key.rawValue): x}}").contains { $0.contains("unknown key") })
    }
  }
}
