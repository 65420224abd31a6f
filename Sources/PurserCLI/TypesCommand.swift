import Purser
import PurserModel

private let verbs = ["list", "show", "add", "enable", "disable"]

let typesCommand = CommandSpec(
  name: "types", summary: "types of work: their parameters by a JSON Schema, and the command that does them",
  operands:
    "[list] | show NAME[@VERSION] | add NAME [OPTIONS] -- COMMAND [ARGUMENT…] | enable | disable NAME[@VERSION]",
  options: stepOptions + [
    .value("schema", "FILE", "with add: the JSON Schema (draft 7) of the parameters; - is standard input"),
    .value("version", "TEXT", "with add: the version (default: 1)"),
  ], takesOperands: true, takesCommand: true,
  discussion: """
    ${NAME} in the command's arguments, inputs and outputs stands for a parameter, and the variable PURSER_PARAMETERS
    holds all of them as JSON. Queue work of a type with: purser queue add --type NAME --params '{"year": 2026}'
    """
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  let verb = invocation.operands.first?.escaped ?? (invocation.command == nil ? "list" : "add")
  func name() throws -> String {
    guard invocation.operands.count == 2 else { throw UsageError(message: "name one type", command: "types") }
    return invocation.operands[1].escaped
  }
  switch verb {
  case "list": session.show(try cache.taskTypes())
  case "show":
    let type = try cache.taskType(try name(), mustBeActive: false)
    session.console.print(type.json)
  case "add":
    let name = try name()
    guard let path = invocation.value("schema") else {
      throw UsageError(message: "name the schema of its parameters: --schema FILE", command: "types")
    }
    guard invocation.command != nil else {
      throw UsageError(message: "put '--' and the command behind the options", command: "types")
    }
    var spec = try session.declaredSpec(cache.project)
    spec.id = name
    let version = invocation.text("version") ?? "1"
    let id = try cache.registerType(
      name: name, version: version, schema: try session.content(ofFileNamed: path), command: spec)
    if session.console.isJSON {
      session.console.print(.object([("type", .string("\(name)@\(version)")), ("id", .integer(id))]))
    } else if session.console.verbosity != .quiet {
      session.console.print("registered \(name)@\(version)")
    }
  case "enable", "disable":
    let name = try name()
    let count = try cache.setActive(verb == "enable", type: name)
    if session.console.verbosity != .quiet, !session.console.isJSON {
      session.console.print("\(verb)d \(count) version\(count == 1 ? "" : "s") of \(name)")
    }
  default:
    throw UsageError(
      message: "types is followed by \(verbs.joined(separator: ", ")), not '\(verb)'"
        + Suggestion.hint(verb, among: verbs), command: "types")
  }
  return 0
}

extension Session {
  fileprivate func show(_ types: [TaskType]) {
    if console.isJSON { return console.print(.object([("types", .array(types.map(\.json)))])) }
    guard !types.isEmpty else { return console.print("No types yet. Make one with 'purser types add'.") }
    let rows = types.map { type -> [(text: String, style: Console.Style?)] in
      let spec = (try? JSON(parsing: type.specification.utf8)).flatMap(TaskSpec.init(json:))
      return [
        (type.label, .bold), (type.isActive ? "active" : "disabled", type.isActive ? .green : .yellow),
        (age(type.createdAt), nil), (spec?.command.map(\.printable).joined(separator: " ") ?? "", .dim),
      ]
    }
    console.print(console.table(["TYPE", "STATUS", "AGE", "COMMAND"], rows))
  }
}

extension TaskType {
  fileprivate var json: JSON {
    func parsed(_ text: String) -> JSON { (try? JSON(parsing: text.utf8)) ?? .null }
    return .object([
      ("name", .string(name)), ("version", .string(version)), ("active", .bool(isActive)),
      ("createdAt", .string(createdAt)), ("updatedAt", .string(updatedAt)), ("schema", parsed(schema)),
      ("spec", parsed(specification)),
    ])
  }
}
