import Purser
import PurserModel
import PurserStore

let dbCommand = CommandSpec(
  name: "db", summary: "the record store itself: its schema, backups, cleaning up, what it holds",
  operands: "status | migrate | rollback [N] | backup FILE | maintain | dump",
  options: [
    .value("keep", "DURATION", "with maintain: history that is younger stays (default: 90d)"),
    .value("keep-runs", "N", "with maintain: so many runs of each task stay (default: 20)"),
    .value("keep-events", "N", "with maintain: so many events stay (default: 100000)"),
  ], takesOperands: true,
  discussion: """
    A rollback removes the last N migrations (default 1) and what their tables hold; a backup is made before, in the
    store. A backup holds the records, not the contents in 'blobs'. 'maintain' forgets old history, gives back what dead
    workers had claimed, and frees space; 'run' and 'worker' do so by themselves once a week, when they are done. 'dump'
    lists what is stored of executions: what tasks left, trees, snapshots, states, with their bytes.
    """
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  let usage = "db is followed by status, migrate, rollback [N], backup FILE, maintain or dump"
  let verb = invocation.operands.first?.escaped
  switch (verb, invocation.operands.count) {
  case ("status", 1): session.show(try cache.schemaStatus())
  case ("migrate", 1): session.show(try cache.migrateSchema())
  case ("rollback", 1), ("rollback", 2):
    let text = invocation.operands.count == 2 ? invocation.operands[1].escaped : "1"
    guard let count = Int(text), count > 0 else {
      throw UsageError(message: "rollback takes a number above 0, not '\(text)'", command: "db")
    }
    let (status, backup) = try cache.rollBackSchema(count)
    if let backup, !session.console.isJSON { session.console.note("what was there is in \(backup.printable)") }
    session.show(status)
  case ("backup", 2):
    let path = invocation.operands[1]
    try cache.backUp(to: path)
    if session.console.isJSON {
      session.console.print(.object([("backup", .string(path.escaped))]))
    } else if session.console.verbosity != .quiet {
      session.console.print("backed up to \(path.printable)")
    }
  case ("maintain", 1): try session.maintain(cache)
  case ("dump", 1):
    let dump = try cache.recoveryStore().dump()
    if session.console.isJSON { session.console.print(dump.json) } else { session.console.print(dump.text) }
  case ("backup", _): throw UsageError(message: "name the file to make: db backup FILE", command: "db")
  default:
    throw UsageError(
      message: usage
        + (verb.map { Suggestion.hint($0, among: ["status", "migrate", "rollback", "backup", "maintain", "dump"]) }
          ?? ""),
      command: "db")
  }
  return 0
}

extension Session {
  fileprivate func show(_ schema: SchemaStatus) {
    if console.isJSON {
      let migrations = schema.migrations.map { migration in
        JSON.object([
          ("version", .integer(migration.version)), ("name", .string(migration.name)),
          ("appliedAt", migration.appliedAt.map { .string($0) } ?? .null),
        ])
      }
      return console.print(.object([("version", .integer(schema.version)), ("migrations", .array(migrations))]))
    }
    let rows = schema.migrations.map { migration -> [(text: String, style: Console.Style?)] in
      [(migration.name, nil), (migration.appliedAt ?? "pending", migration.appliedAt == nil ? .yellow : .green)]
    }
    console.print("schema version \(schema.version)\n" + console.table(["MIGRATION", "APPLIED"], rows))
  }

  fileprivate func maintain(_ cache: TaskCache) throws {
    var options = MaintenanceOptions()
    if let text = invocation.text("keep") {
      guard let age = parseDuration(text) else {
        throw UsageError(message: "--keep is a duration such as 30d, not '\(text)'", command: "db")
      }
      options.keptAge = age
    }
    func count(_ name: String) throws -> Int? {
      try invocation.text(name).map { text in
        guard let number = Int(text), number >= 0 else {
          throw UsageError(message: "--\(name) is a number, not '\(text)'", command: "db")
        }
        return number
      }
    }
    options.runsOfEachTask = try count("keep-runs") ?? options.runsOfEachTask
    options.events = try count("keep-events") ?? options.events
    let report = try cache.maintain(options)
    if console.isJSON {
      console.print(report.json)
    } else if console.verbosity != .quiet {
      console.print(
        "forgot \(report.runs) runs, \(report.events) events and \(report.workers) workers; the store has "
          + "\(report.bytesAfter / 1024) KiB, it had \(report.bytesBefore / 1024)")
    }
  }
}
