import Purser
import PurserModel

let gcCommand = CommandSpec(
  name: "gc", summary: "remove results and contents that no record and no recent run names",
  options: [.value("older-than", "DURATION", "keep what is younger (default: 30d)")]
) { invocation in
  let session = try Session(invocation)
  let text = invocation.text("older-than") ?? "30d"
  guard let age = parseDuration(text) else {
    throw UsageError(message: "--older-than is a duration such as 12h or 30d, not '\(text)'", command: "gc")
  }
  let report = try session.cache().collectGarbage(olderThan: age)
  if session.console.isJSON {
    session.console.print(
      .object([
        ("results", .integer(Int64(report.results))), ("blobs", .integer(Int64(report.blobs))),
        ("contentBytes", .integer(Int64(clamping: report.contentBytes))), ("files", .integer(Int64(report.files))),
        ("fileBytes", .integer(Int64(clamping: report.fileBytes))),
      ]))
  } else {
    session.console.print(
      "forgot \(report.results) results and \(report.blobs) contents; removed \(report.files) files, "
        + "\(report.fileBytes / 1024) KiB on disk")
  }
  return 0
}

let dbCommand = CommandSpec(
  name: "db", summary: "show or change the record store's schema", operands: "status | migrate | rollback [N]",
  takesOperands: true,
  discussion: "A rollback removes the last N migrations (default 1) and what their tables hold."
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  let schema: SchemaStatus
  switch (invocation.operands.first?.escaped, invocation.operands.count) {
  case ("status", 1): schema = try cache.schemaStatus()
  case ("migrate", 1): schema = try cache.migrateSchema()
  case ("rollback", 1), ("rollback", 2):
    let text = invocation.operands.count == 2 ? invocation.operands[1].escaped : "1"
    guard let count = Int(text), count > 0 else {
      throw UsageError(message: "rollback takes a number above 0, not '\(text)'", command: "db")
    }
    schema = try cache.rollBackSchema(count)
  default: throw UsageError(message: "db is followed by status, migrate or rollback [N]", command: "db")
  }
  if session.console.isJSON {
    session.console.print(
      .object([
        ("version", .integer(schema.version)),
        (
          "migrations",
          .array(
            schema.migrations.map {
              .object([
                ("version", .integer($0.version)), ("name", .string($0.name)),
                ("appliedAt", $0.appliedAt.map { .string($0) } ?? .null),
              ])
            })
        ),
      ]))
    return 0
  }
  let rows = schema.migrations.map { migration -> [(text: String, style: Console.Style?)] in
    [(migration.name, nil), (migration.appliedAt ?? "pending", migration.appliedAt == nil ? .yellow : .green)]
  }
  session.console.print("schema version \(schema.version)\n" + session.console.table(["MIGRATION", "APPLIED"], rows))
  return 0
}
