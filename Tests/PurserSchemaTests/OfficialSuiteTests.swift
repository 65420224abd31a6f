import Glibc
import PurserModel
import PurserSchema
import Testing

/// The cases of the JSON Schema Test Suite for draft 7, read where they are: in `PURSER_JSON_SCHEMA_SUITE`, else beside
/// the checkout. Skipped without them.
@Suite(
  "The official cases of draft 7",
  .enabled(if: OfficialSuite.folder != nil, "no JSON Schema Test Suite; name its folder in PURSER_JSON_SCHEMA_SUITE"))
struct OfficialSuiteTests {
  /// The groups whose schema is refused, and where: references to other documents, and what changes what they lead to.
  private static let refused = [
    "definitions.json: validate definition against metaschema": "/$ref",
    "ref.json: $id must be resolved against nearest parent, not just immediate parent":
      "/definitions/x/$id /definitions/x/not/definitions/y/$id",
    "ref.json: $ref prevents a sibling $id from changing the base uri":
      "/definitions/foo/$id /definitions/base_foo/$id",
    "ref.json: Location-independent identifier with base URI change in subschema": "/definitions/A/$id",
    "ref.json: Recursive references between schemas": "/definitions/node/$id",
    "ref.json: ref to else": "/allOf/1/else/$id",
    "ref.json: ref to if": "/allOf/1/if/$id",
    "ref.json: ref to then": "/allOf/1/then/$id",
    "ref.json: ref with absolute-path-reference": "/definitions/a/$id /definitions/b/$id",
    "ref.json: refs with relative uris and defs": "/properties/foo/$id",
    "ref.json: relative refs with absolute uris and defs": "/properties/foo/$id",
    "ref.json: remote ref, containing refs itself": "/$ref",
    "refRemote.json: $ref to $ref finds location-independent $id": "/$ref",
    "refRemote.json: Location-independent identifier in remote ref": "/$ref",
    "refRemote.json: base URI change": "/items/$id",
    "refRemote.json: base URI change - change folder": "/definitions/baz/$id",
    "refRemote.json: base URI change - change folder in subschema": "/definitions/baz/$id",
    "refRemote.json: fragment within remote ref": "/$ref",
    "refRemote.json: ref within remote ref": "/$ref",
    "refRemote.json: remote ref": "/$ref",
    "refRemote.json: remote ref with ref to definitions": "/allOf/0/$ref",
    "refRemote.json: retrieved nested refs resolve relative to their URI not $id": "/properties/name/$ref",
    "refRemote.json: root ref in remote ref": "/properties/name/$ref",
  ]

  @Test("every case of every file is judged as the suite says, but for the groups that are refused")
  func all() throws {
    var refused: [String: String] = [:]
    var cases = 0
    let files = try OfficialSuite.files()
    for file in files {
      let groups = try OfficialSuite.read(file).array
      for group in try #require(groups) {
        let name = "\(file): \(try #require(group["description"]?.string))"
        let json = try #require(group["schema"])
        let schema: JSONSchema
        do throws(JSONSchemaError) {
          schema = try JSONSchema(reading: json)
        } catch {
          refused[name] = error.problems.map(\.pointer).joined(separator: " ")
          continue
        }
        for test in try #require(group["tests"]?.array) {
          let violations = schema.violations(of: try #require(test["data"]))
          #expect(
            violations.isEmpty == test["valid"]?.bool,
            "\(name), \(test["description"]?.string ?? ""): \(violations.map(\.description))")
          cases += 1
        }
      }
    }
    #expect(refused == Self.refused)
    #expect(files.count == 32 && cases == 695)
  }
}

private enum OfficialSuite {
  static let folder: String? = {
    let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
    let folder =
      getenv("PURSER_JSON_SCHEMA_SUITE").map { String(cString: $0) } ?? root + "/../shared/data/json-schema-draft7"
    return access(folder + "/type.json", R_OK) == 0 ? folder : nil
  }()

  static func files() throws -> [String] {
    let folder = try #require(folder)
    let entries = try #require(opendir(folder))
    defer { closedir(entries) }
    var names: [String] = []
    while let entry = readdir(entries) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasSuffix(".json") { names.append(name) }
    }
    return names.sorted()
  }

  static func read(_ name: String) throws -> JSON {
    let folder = try #require(folder)
    let file = try #require(fopen(folder + "/" + name, "r"))
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
    return try JSON(parsing: bytes)
  }
}
