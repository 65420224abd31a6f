import PurserHashing
package import PurserModel
import PurserSchema
import PurserStore

/// Types of work: which parameters they take, and the command that does them.
extension TaskCache {
  /// Registers a type, or makes a version that is there usable again; returns its number.
  ///
  /// - Parameter command: the declaration; `${NAME}` in its arguments, inputs and outputs stands for a parameter.
  /// - Throws: `refused` for a schema that cannot be used, with every reason, for a declaration that cannot, and for a
  ///   version that is there with another schema or command.
  package func registerType(
    name: String, version: String, schema text: [UInt8], command: TaskSpec
  ) throws(PurserError) -> Int64 {
    guard (1...255).contains(name.unicodeScalars.count), !name.contains("@") else {
      throw PurserError(
        .refused,
        "a type's name has 1 to 255 characters and no '@', not '\(name)'; its version is given apart (--version)")
    }
    guard (1...50).contains(version.unicodeScalars.count) else {
      throw PurserError(.refused, "a type's version has 1 to 50 characters, not '\(version)'")
    }
    let label = "\(name)@\(version)"
    let json: JSON
    do {
      json = try JSON(parsing: text)
    } catch {
      throw PurserError(.refused, "the schema of type '\(label)' is \(error)")
    }
    do {
      _ = try JSONSchema(reading: json)
    } catch {
      let problems = error.problems.prefix(10).map { "\n  \($0.pointer.isEmpty ? "/" : $0.pointer): \($0.message)" }
      throw PurserError(.refused, "the schema of type '\(label)' cannot be used:\(problems.joined())")
    }
    try check(command)
    let type = TaskType(
      name: name, version: version, schema: json.serialized, specification: command.json.serialized)
    do {
      return try records.register(type, now: TaskCache.now())
    } catch  where error.code == .busy {
      throw PurserError(.refused, error.message)
    } catch {
      throw PurserError(error)
    }
  }

  /// Every type, sorted by name and age.
  package func taskTypes() throws(PurserError) -> [TaskType] { try asking { try records.taskTypes() } }

  /// The type of a label, `NAME` or `NAME@VERSION`; without a version, the newest that is active.
  ///
  /// - Throws: `missing`, with a suggestion; `refused` for one that is not active, if it has to be.
  package func taskType(_ label: String, mustBeActive: Bool) throws(PurserError) -> TaskType {
    let types = try taskTypes()
    let parts = label.split(separator: "@", maxSplits: 1).map(String.init)
    let named = types.filter { $0.name == parts.first && (parts.count < 2 || $0.version == parts[1]) }
    guard let newest = named.last(where: \.isActive) ?? (mustBeActive ? nil : named.last) else {
      guard named.isEmpty else {
        throw PurserError(
          .refused, "type '\(label)' is disabled; enable it with 'purser types enable \(label)', or use another")
      }
      throw PurserError(
        .missing,
        "there is no type '\(label)'"
          + Suggestion.hint(label, among: types.map(\.label) + Set(types.map(\.name)).sorted())
          + "; see 'purser types'")
    }
    return newest
  }

  /// Enables or disables a type, or one version of it.
  package func setActive(_ isActive: Bool, type label: String) throws(PurserError) -> Int {
    _ = try taskType(label, mustBeActive: false)
    let parts = label.split(separator: "@", maxSplits: 1).map(String.init)
    return try asking {
      try records.setActive(
        isActive, type: parts[0], version: parts.count == 2 ? parts[1] : nil, now: TaskCache.now())
    }
  }

  /// Work of a type, checked by its schema.
  ///
  /// - Throws: `refused` for parameters that break the schema, with each pointer and reason.
  package func request(
    of type: TaskType, parameters text: [UInt8], task: String?
  ) throws(PurserError) -> WorkRequest {
    let parameters: JSON
    do {
      parameters = try JSON(parsing: text)
    } catch {
      throw PurserError(.refused, "the parameters are \(error)")
    }
    let schema: JSONSchema
    do {
      schema = try JSONSchema(reading: try JSON(parsing: type.schema.utf8))
    } catch {
      throw PurserError(.refused, "the schema of type '\(type.label)' cannot be used any more: \(error)")
    }
    let violations = schema.violations(of: parameters)
    guard violations.isEmpty else {
      let lines = violations.prefix(10).map { violation in
        "\n  " + (violation.instancePointer.isEmpty ? "parameters" : violation.instancePointer)
          + ": \(violation.message)"
      }
      throw PurserError(
        .refused,
        "these parameters are not what type '\(type.label)' takes; nothing is queued:\(lines.joined())")
    }
    guard let declared = (try? JSON(parsing: type.specification.utf8)).flatMap(TaskSpec.init(json:)) else {
      throw PurserError(.refused, "the command of type '\(type.label)' cannot be read any more")
    }
    let canonical = (try? JSONText.canonical(parameters.serialized)) ?? parameters.serialized
    var spec = declared.replacing(Self.values(of: parameters))
    spec.id = task ?? "\(type.name)-\(SHA256.digest(of: Array((type.label + "\0" + canonical).utf8)).short)"
    spec.arguments.append(TaskSpec.Argument(name: "parameters", value: ByteString(canonical)))
    try check(spec)
    var request = WorkRequest(key: key(spec.id), configuration: "{}")
    request.configuration =
      WorkConfiguration(root: project.root, kind: .command(spec), parameters: canonical).json.serialized
    request.type = type.id
    return request
  }

  /// What `${NAME}` stands for: a text as it is, anything else as its JSON.
  private static func values(of parameters: JSON) -> [String: ByteString] {
    guard case .object(let members) = parameters else { return [:] }
    return Dictionary(members.map { ($0.0, ByteString($0.1.string ?? $0.1.serialized)) }) { _, last in last }
  }
}

extension TaskSpec {
  /// The same declaration with values in place of their names.
  fileprivate func replacing(_ values: [String: ByteString]) -> TaskSpec {
    func replaced(_ list: [ByteString]) -> [ByteString] { list.map { Template($0).replacing(values) } }
    var spec = self
    spec.command = replaced(command)
    spec.code = replaced(code)
    spec.inputs = replaced(inputs)
    spec.outputs = replaced(outputs)
    return spec
  }
}
